//! Collects the node's trace.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::Node;
use super::links::{Entry, LinkId};
use super::outbox::{Action, Event as Told};
use crate::crypto::Suite;
use crate::identity::BotId;
use crate::link::{Link, Side};
use crate::overlay::{PostId, Received};
use crate::time::Instant;
use crate::trace::{BUFFERED, Event, Kind, UnixMillis, Value};

type Fields = Vec<(&'static str, Value)>;

struct Noted {
    seq: u64,
    at: Instant,
    wall: Option<UnixMillis>,
    kind: Kind,
    peer: Option<BotId>,
    span: Option<LinkId>,
    fields: Fields,
}

/// The last events that were not polled.
#[derive(Default)]
pub(super) struct Tracer {
    /// Whether the host wants a trace at all.
    pub(super) on: bool,
    now: Instant,
    /// Milliseconds from the host's origin to the Unix epoch.
    epoch: Option<i128>,
    seq: u64,
    events: VecDeque<Noted>,
    lost: u64,
    /// Stands for all that were lost.
    last_lost: Option<Noted>,
}

impl Tracer {
    pub(super) fn clock(&mut self, now: Instant) {
        self.now = now;
    }

    pub(super) fn set_wall_clock(&mut self, UnixMillis(wall): UnixMillis) {
        self.epoch = Some(i128::from(wall) - i128::from(self.now.as_nanos() / 1_000_000));
    }

    pub(super) fn note(&mut self, kind: Kind, peer: Option<BotId>, span: Option<LinkId>, fields: Fields) {
        if !self.on {
            return;
        }
        if self.events.len() == BUFFERED {
            self.lost += 1;
            self.last_lost = self.events.pop_front();
        }
        self.seq += 1;
        let wall = self.epoch.map(|epoch| epoch + i128::from(self.now.as_nanos() / 1_000_000));
        let wall = wall.map(|millis| UnixMillis(u64::try_from(millis).unwrap_or(0)));
        self.events.push_back(Noted { seq: self.seq, at: self.now, wall, kind, peer, span, fields });
    }

    pub(super) fn poll(&mut self, node: BotId) -> Option<Event> {
        let lost = self.last_lost.take().map(|last| Noted {
            kind: Kind::Lost,
            peer: None,
            span: None,
            fields: [("events", core::mem::take(&mut self.lost).into())].into(),
            ..last
        });
        let Noted { seq, at, wall, kind, peer, span, fields } = lost.or_else(|| self.events.pop_front())?;
        Some(Event { node, seq, t_mono: at, t_wall: wall, kind, peer, span, fields })
    }

    /// What a link read and wrote since the last call.
    pub(super) fn frames(&mut self, id: LinkId, entry: &mut Entry) {
        let peer = entry.peer();
        for note in entry.link_mut().into_iter().flat_map(Link::take_notes) {
            let kind = if note.is_out { Kind::FrameOut } else { Kind::FrameIn };
            let mut fields: Fields = [("frame", note.frame.into())].into();
            fields.extend(note.inner.map(|inner| ("inner", inner.into())));
            fields.push(("bytes", note.bytes.into()));
            self.note(kind, peer, Some(id), fields);
        }
    }

    /// What the host is told, where an event says more than the step that led to it.
    pub(super) fn told(&mut self, action: &Action) {
        if !self.on {
            return;
        }
        match action {
            Action::PauseReading { link } => self.note(Kind::Pause, None, Some(*link), Vec::new()),
            Action::ResumeReading { link } => self.note(Kind::Resume, None, Some(*link), Vec::new()),
            Action::Persist { id, record } => {
                let key = String::from_utf8_lossy(&record.key).into_owned();
                let fields = [("write", id.as_u64().into()), ("key", key.into()), ("bytes", record.value.len().into())];
                self.note(Kind::Persist, None, None, fields.into());
            }
            Action::Notify(Told::LinkUp { link, peer, side, suite, bound, .. }) => {
                let side = if *side == Side::Client { "client" } else { "server" };
                let suite = match suite {
                    Suite::Aes256Gcm => "aes-256-gcm",
                    Suite::ChaCha20Poly1305 => "chacha20-poly1305",
                };
                let fields = [("side", side.into()), ("suite", suite.into()), ("bound", (*bound).into())];
                self.note(Kind::LinkUp, Some(*peer), Some(*link), fields.into());
            }
            Action::Notify(Told::Closed { link, peer, reason, retry_at }) => {
                let mut fields: Fields = [("reason", reason.to_string().into())].into();
                fields.extend(retry_at.map(|at| ("retry_at", at.as_nanos().into())));
                self.note(Kind::Closed, *peer, Some(*link), fields);
            }
            Action::Notify(Told::Ready) => self.note(Kind::Ready, None, None, Vec::new()),
            Action::Send { .. }
            | Action::CloseLink { .. }
            | Action::Dial { .. }
            | Action::Notify(Told::Post { .. } | Told::Published { .. }) => {}
            Action::Notify(Told::Ledger(event)) => {
                let mut fields: Fields = [("what", event.name().into())].into();
                fields.extend(event.height().map(|height| ("height", height.0.into())));
                self.note(Kind::Ledger, None, None, fields);
            }
            Action::Notify(Told::Applied { applicant, .. }) => {
                self.note(Kind::Ledger, Some(*applicant), None, [("what", "applied".into())].into());
            }
            Action::Notify(Told::Joining(state)) => {
                let fields = [("what", "joining".into()), ("state", state.name().into())];
                self.note(Kind::Ledger, None, None, fields.into());
            }
        }
    }

    /// A post came by a link.
    pub(super) fn post_in(&mut self, peer: Option<BotId>, link: LinkId, post: Seen, received: &Received) {
        let verdict = match received {
            Received::New { .. } => "new",
            Received::Duplicate => "duplicate",
            Received::Stranger => "stranger",
            Received::Forged => "forged",
        };
        self.post(Kind::PostIn, peer, link, post, Some(verdict));
    }

    /// A post was queued for a link.
    pub(super) fn post_out(&mut self, peer: Option<BotId>, link: LinkId, post: Seen) {
        self.post(Kind::PostOut, peer, link, post, None);
    }

    fn post(&mut self, kind: Kind, peer: Option<BotId>, link: LinkId, post: Seen, verdict: Option<&'static str>) {
        if !self.on {
            return;
        }
        let Seen { id, hops, bytes } = post;
        let mut fields: Fields = [
            ("origin", id.origin.to_string().into()),
            ("stream", alloc::format!("{:?}", id.stream).into()),
            ("post_seq", id.seq.into()),
            ("hops", u64::from(hops).into()),
            ("bytes", bytes.into()),
        ]
        .into();
        fields.extend(verdict.map(|verdict| ("verdict", verdict.into())));
        self.note(kind, peer, Some(link), fields);
    }
}

impl Node {
    /// What a link read and wrote since the last call.
    pub(super) fn note_frames(&mut self, id: LinkId) {
        if let Some(entry) = self.links.get_mut(id) {
            self.outbox.tracer.frames(id, entry);
        }
    }

    /// Deadlines have come; a host that ticks calls without any most of the time.
    pub(super) fn note_due(&mut self, now: Instant) {
        if !self.outbox.tracer.on {
            return;
        }
        let due = self.links.due(now).count() + self.links.wishes.due(now).count();
        if due > 0 {
            trace!(self.outbox, Timeout, None, None; "due": due);
        }
    }
}

/// What a trace says of a post.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) id: PostId,
    pub(super) hops: u8,
    pub(super) bytes: usize,
}

impl Seen {
    pub(super) fn of(message: &crate::overlay::Message) -> Self {
        let crate::overlay::Message::Post { hops, post } = message;
        Self { id: post.id(), hops: *hops, bytes: post.body().len() }
    }
}
