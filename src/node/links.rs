//! The links of a node: one entry each, with all that belongs to it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;
use core::time::Duration;

use bytes::Bytes;

use super::config::Limits;
use super::ledger::Candidate;
use crate::budget::Budget;
use crate::crypto::Random;
use crate::identity::BotId;
use crate::link::{CloseReason, Link, Side};
use crate::overlay::Message;
use crate::ring::pop_front;
use crate::time::{Instant, Span};
use crate::timers::Deadlines;

/// One stream between two bots, for as long as it lasts; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u64);

impl LinkId {
    /// Its number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The link with this number, in a replay.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link#{}", self.0)
    }
}

/// Where a link stands.
#[expect(clippy::large_enum_variant, reason = "nearly all are live, and what a record needs is to lie together")]
pub(super) enum Stage {
    /// The host opens the stream.
    Dialling { until: Instant },
    /// Bytes flow.
    Live(Link),
}

pub(super) struct Entry {
    pub(super) stage: Stage,
    pub(super) flow: Flow,
    pub(super) posts: Budget,
    /// Until when the link is not read because it sent too much.
    pub(super) over_budget_until: Option<Instant>,
    pub(super) opened_at: Option<Instant>,
    /// Whom this bot dialled, if it did.
    pub(super) dialled: Option<BotId>,
    /// Who proved its key on it; stays known when the link is closed.
    pub(super) proved: Option<BotId>,
    /// What is counted on the link of somebody who applies.
    pub(super) candidate: Option<Box<Candidate>>,
}

/// How a link's output leaves, and what waits for it.
pub(super) struct Flow {
    /// Bytes polled by the host and not reported as written.
    pub(super) in_flight: usize,
    /// Messages that wait for the window; shared with other links' queues.
    queue: VecDeque<Bytes>,
    pub(super) queued_bytes: usize,
    /// Since when anything is queued, or since the queue last showed that it moves.
    queued_since: Option<Instant>,
    /// Bytes written since then.
    written: usize,
    /// How often the queue must show that it moves.
    stall: Span,
    /// Whether a late timer was forgiven since the queue last moved: once is an accident, always is a host that ticks slowly.
    forgiven: bool,
    /// Whether the queue keeps others from being read.
    pub(super) congested: bool,
    /// The same, as it was counted last.
    counts_congested: bool,
    pub(super) paused: bool,
    /// Whether a send of this link is in the outbox.
    pub(super) send_waits: bool,
    /// Whether the ledger has more to say than the link has room for.
    pub(super) ledger_waits: bool,
}

impl Flow {
    fn has_window(&self, link: &Link, limits: &Limits) -> bool {
        self.in_flight + link.output_len() < limits.window_bytes
    }

    /// Seals waiting messages while the window allows.
    fn fill_window(&mut self, now: Instant, link: &mut Link, limits: &Limits) {
        while self.has_window(link, limits) {
            let Some(message) = pop_front(&mut self.queue) else { break };
            self.queued_bytes -= message.len();
            let taken = link.send(now, &message);
            debug_assert!(taken, "only messages that fit are queued, on open links");
        }
        self.congested &= self.queued_bytes >= limits.queue_low_bytes;
        if self.queue.is_empty() {
            self.congested = false;
            self.queued_since = None;
            self.forgiven = false;
        }
    }
}

impl Entry {
    pub(super) fn new(
        stage: Stage,
        dialled: Option<BotId>,
        limits: &Limits,
        random: &mut Random,
        now: Instant,
    ) -> Self {
        let more = u64::try_from(limits.stall.as_nanos() / 2).unwrap_or(u64::MAX);
        let flow = Flow {
            in_flight: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            queued_since: None,
            written: 0,
            stall: limits.stall.saturating_add(Duration::from_nanos(random.below(more.max(1)))).into(),
            forgiven: false,
            congested: false,
            counts_congested: false,
            paused: false,
            send_waits: false,
            ledger_waits: false,
        };
        Self {
            stage,
            flow,
            posts: Budget::new(limits.posts, now),
            over_budget_until: None,
            opened_at: None,
            dialled,
            proved: None,
            candidate: None,
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        match &self.stage {
            Stage::Live(link) => Some(link),
            Stage::Dialling { .. } => None,
        }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.stage {
            Stage::Live(link) => Some(link),
            Stage::Dialling { .. } => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.link().is_some_and(Link::is_open)
    }

    pub(super) fn peer(&self) -> Option<BotId> {
        self.proved.or(self.dialled)
    }

    /// Whether this is an accepted stream that is no open link yet.
    pub(super) fn is_half_open(&self) -> bool {
        self.dialled.is_none() && !self.is_open()
    }

    pub(super) fn side(&self) -> Side {
        if self.dialled.is_some() { Side::Client } else { Side::Server }
    }

    /// Sends now if the window allows, else queues: what is queued is encoded by `bytes`, and shared by all queues.
    pub(super) fn send(&mut self, now: Instant, message: &Message, limits: &Limits, bytes: impl FnOnce() -> Bytes) {
        let Self { stage: Stage::Live(link), flow, .. } = self else { return };
        if !link.is_open() {
            return;
        }
        if flow.queue.is_empty() && flow.has_window(link, limits) {
            let taken = link.send_with(now, message.max_encoded_len(), |out| message.encode(out));
            debug_assert!(taken, "every message fits a record, and the link is open");
            return;
        }
        self.enqueue(now, bytes(), limits);
    }

    /// Sends a message that is encoded already now if the window allows, else queues it.
    pub(super) fn enqueue(&mut self, now: Instant, bytes: Bytes, limits: &Limits) {
        let Self { stage: Stage::Live(link), flow, candidate, .. } = self else { return };
        if !link.is_open() {
            return;
        }
        flow.queued_bytes += bytes.len();
        flow.queue.push_back(bytes);
        flow.fill_window(now, link, limits);
        // What an applicant does not read is little, and its own affair.
        flow.congested |= candidate.is_none() && flow.queued_bytes > limits.queue_high_bytes;
        if !flow.queue.is_empty() && flow.queued_since.is_none() {
            flow.queued_since = Some(now);
            flow.written = 0;
        }
    }

    /// Takes the host's word that bytes were written; whether messages waited for it.
    pub(super) fn written(&mut self, now: Instant, bytes: usize, limits: &Limits) -> bool {
        let flow = &mut self.flow;
        flow.in_flight = flow.in_flight.saturating_sub(bytes);
        flow.written = flow.written.saturating_add(bytes);
        let waited = !flow.queue.is_empty();
        if waited && let Stage::Live(link) = &mut self.stage {
            flow.fill_window(now, link, limits);
        }
        waited
    }

    /// Whether the queue did not move for a whole span; one that moved gets another span.
    pub(super) fn is_stalled(&mut self, now: Instant, limits: &Limits) -> bool {
        let flow = &mut self.flow;
        let Some(since) = flow.queued_since.filter(|since| now >= *since + flow.stall) else { return false };
        let moved = core::mem::take(&mut flow.written) >= limits.stall_bytes;
        // A timer that fires late says that this bot was away, nothing about the peer.
        let late = now > since + flow.stall + Duration::from_secs(1);
        flow.queued_since = Some(now);
        let forgiven = core::mem::replace(&mut flow.forgiven, !moved && late);
        !moved && (!late || forgiven)
    }

    /// While messages are queued, the stall rule judges the peer, and its silence proves nothing: an answer to a question
    /// would be behind all that is queued.
    pub(super) fn has_backlog(&self) -> bool {
        self.flow.queued_since.is_some()
    }

    /// Whether more waits than a link may hold: messages, and answers to keepalives that the peer does not read.
    pub(super) fn is_overfull(&self, limits: &Limits) -> bool {
        let sealed = self.flow.in_flight + self.link().map_or(0, Link::output_len);
        self.flow.queued_bytes + sealed > limits.window_bytes.saturating_add(limits.queue_max_bytes)
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Dialling { until } => Some(*until),
            Stage::Live(link) => link.wake_at(),
        };
        let stall = self.flow.queued_since.map(|since| since + self.flow.stall);
        let candidate = self.candidate.as_ref().map(|candidate| candidate.until);
        earlier(earlier(earlier(stage, stall), self.over_budget_until), candidate)
    }
}

/// A peer that this bot wants to be linked to.
pub(super) struct Wish {
    pub(super) address: String,
    pub(super) state: WishState,
    pub(super) failures: u32,
}

pub(super) enum WishState {
    /// Dial at this time.
    Waiting(Instant),
    /// This link is being dialled or open, in whichever direction.
    Linked(LinkId),
}

impl Wish {
    pub(super) fn dial_at(&self) -> Option<Instant> {
        match self.state {
            WishState::Waiting(at) => Some(at),
            WishState::Linked(_) => None,
        }
    }

    /// Sets the next dial after a link of this wish ended, and says when.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        open_for: Option<Duration>,
        reason: &CloseReason,
        limits: &Limits,
        random: &mut Random,
    ) -> Instant {
        if open_for.is_some_and(|open_for| open_for >= limits.retry_forget) {
            self.failures = 0;
        }
        let doubled = limits.retry_min.saturating_mul(1 << self.failures.min(16)).min(limits.retry_max);
        self.failures = self.failures.saturating_add(1);
        // ± 50 %, so that many bots that lost one peer do not come back together.
        let nanos = u64::try_from(doubled.as_nanos()).unwrap_or(u64::MAX);
        let wait = Duration::from_nanos((nanos / 2).saturating_add(random.below(nanos)));
        let asked = match reason {
            CloseReason::Peer { retry_after, .. } | CloseReason::ClearKo { retry_after, .. } => *retry_after,
            _ => Duration::ZERO,
        };
        let at = now + wait.max(asked);
        self.state = WishState::Waiting(at);
        at
    }
}

fn earlier(a: Option<Instant>, b: Option<Instant>) -> Option<Instant> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        _ => a.or(b),
    }
}

/// The peers that this bot wants to be linked to, and when it dials which.
#[derive(Default)]
pub(super) struct Wishes {
    all: BTreeMap<BotId, Wish>,
    dials: Deadlines<BotId>,
}

impl Wishes {
    pub(super) fn insert(&mut self, peer: BotId, wish: Wish) {
        self.dials.set(peer, wish.dial_at());
        self.all.insert(peer, wish);
    }

    pub(super) fn remove(&mut self, peer: BotId) {
        self.dials.set(peer, None);
        self.all.remove(&peer);
    }

    /// Gives up the wishes for these peers.
    pub(super) fn give_up(&mut self, which: impl Fn(&BotId) -> bool) {
        let gone: Vec<BotId> = self.all.keys().filter(|peer| which(peer)).copied().collect();
        gone.into_iter().for_each(|peer| self.remove(peer));
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Changes a wish, if there is one.
    pub(super) fn change<T>(&mut self, peer: BotId, change: impl FnOnce(&mut Wish) -> T) -> Option<T> {
        let wish = self.all.get_mut(&peer)?;
        let result = change(wish);
        self.dials.set(peer, wish.dial_at());
        Some(result)
    }

    pub(super) fn contains(&self, peer: BotId) -> bool {
        self.all.contains_key(&peer)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// The peers that are to be dialled now.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = BotId> {
        self.dials.due(now)
    }
}

/// Which links settling has to look at.
#[derive(Clone, Copy, Default)]
enum Touched {
    #[default]
    None,
    One(LinkId),
    /// More than one; looking at those that did not change does no harm.
    All,
}

/// A link's place in the list: what finding it and its deadline takes.
struct Slot {
    id: LinkId,
    wake_at: Option<Instant>,
    entry: Box<Entry>,
}

/// All links and wishes. A node looks after its links once an input is worked off, but only after those that it touched.
#[derive(Default)]
pub(super) struct Links {
    /// By id, which is the order in which they were made.
    slots: Vec<Slot>,
    earliest: Option<Instant>,
    touched: Touched,
    /// How many entries are congested, as far as they were settled.
    congested: usize,
    pub(super) wishes: Wishes,
    next: u64,
}

impl Links {
    pub(super) fn insert(&mut self, entry: Entry) -> LinkId {
        self.next += 1;
        let id = LinkId(self.next);
        self.slots.push(Slot { id, wake_at: None, entry: Box::new(entry) });
        self.set_deadline(self.slots.len() - 1);
        id
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Entry> {
        let Slot { wake_at, entry, .. } = self.slots.remove(self.find(id)?);
        if wake_at.is_some() && wake_at == self.earliest {
            self.find_earliest();
        }
        if entry.flow.counts_congested {
            self.congested -= 1;
            self.touched = Touched::All;
        }
        Some(*entry)
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Entry> {
        Some(&self.slots[self.find(id)?].entry)
    }

    /// To be changed; settling looks at it.
    pub(super) fn touch(&mut self, id: LinkId) -> Option<&mut Entry> {
        let place = self.find(id)?;
        self.touched = match self.touched {
            Touched::None => Touched::One(id),
            Touched::One(other) if other == id => Touched::One(id),
            _ => Touched::All,
        };
        Some(&mut self.slots[place].entry)
    }

    /// All, to be changed; settling looks at them.
    pub(super) fn touch_all(&mut self) -> impl Iterator<Item = (LinkId, &mut Entry)> {
        self.touched = Touched::All;
        self.slots.iter_mut().map(|slot| (slot.id, &mut *slot.entry))
    }

    /// For changes that settling need not see.
    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Entry> {
        let place = self.find(id)?;
        Some(&mut self.slots[place].entry)
    }

    /// The entry at this place of the list.
    pub(super) fn at(&mut self, place: usize) -> (LinkId, &mut Entry) {
        let slot = &mut self.slots[place];
        (slot.id, &mut slot.entry)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Entry)> {
        self.slots.iter().map(|slot| (slot.id, &*slot.entry))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LinkId> {
        self.slots.iter().map(|slot| slot.id)
    }

    /// The places of what was touched since the last call, and how many links are congested. Whether any is decides what all
    /// may read: where that changed, all are named.
    pub(super) fn take_touched(&mut self) -> (Range<usize>, usize) {
        let all = 0..self.slots.len();
        let touched = match core::mem::take(&mut self.touched) {
            Touched::None => 0..0,
            Touched::One(id) => self.find(id).map_or(0..0, |place| place..place + 1),
            Touched::All => all.clone(),
        };
        let before = self.congested;
        for slot in &mut self.slots[touched.clone()] {
            let flow = &mut slot.entry.flow;
            self.congested = self.congested + usize::from(flow.congested) - usize::from(flow.counts_congested);
            flow.counts_congested = flow.congested;
        }
        (if self.congested == before { touched } else { all }, self.congested)
    }

    /// Brings the deadline of an entry that is settled up to date.
    pub(super) fn set_deadline(&mut self, place: usize) {
        let slot = &mut self.slots[place];
        let at = slot.entry.wake_at();
        let old = core::mem::replace(&mut slot.wake_at, at);
        if at.is_some() && (self.earliest.is_none() || at <= self.earliest) {
            self.earliest = at;
        } else if old.is_some() && old == self.earliest {
            self.find_earliest();
        }
    }

    /// The earliest deadline of all links and wishes.
    pub(super) fn wake_at(&self) -> Option<Instant> {
        earlier(self.earliest, self.wishes.dials.earliest())
    }

    /// The links whose deadlines have come.
    pub(super) fn due(&self, now: Instant) -> impl Iterator<Item = LinkId> {
        let any = self.earliest.is_some_and(|at| at <= now);
        let slots = if any { &self.slots[..] } else { &[] };
        slots.iter().filter(move |slot| slot.wake_at.is_some_and(|at| at <= now)).map(|slot| slot.id)
    }

    pub(super) const fn any_congested(&self) -> bool {
        self.congested > 0
    }

    pub(super) fn half_open(&self) -> usize {
        self.slots.iter().map(|slot| &slot.entry).filter(|entry| entry.is_half_open()).count()
    }

    /// Applicants that were answered and have proved nothing yet, the oldest first.
    pub(super) fn applicants_knocking(&self) -> impl Iterator<Item = LinkId> {
        let knocks = |entry: &Entry| entry.candidate.is_some() && entry.is_half_open();
        self.iter().filter(move |(_, entry)| knocks(entry)).map(|(id, _)| id)
    }

    pub(super) fn children(&self) -> usize {
        let is_child = |entry: &Entry| entry.dialled.is_none() && entry.candidate.is_none() && entry.is_open();
        self.slots.iter().filter(|slot| is_child(&slot.entry)).count()
    }

    /// The accepted stream that makes room for another: the oldest that has not sent its CONNECT, else the oldest that is no
    /// open link yet.
    pub(super) fn oldest_half_open(&self) -> Option<LinkId> {
        let waits = |entry: &Entry| entry.link().is_some_and(Link::waits_for_connect);
        let first = |is: &dyn Fn(&Entry) -> bool| self.iter().find(|(_, entry)| is(entry)).map(|(id, _)| id);
        first(&waits).or_else(|| first(&Entry::is_half_open))
    }

    /// Another link with this peer whose stream is up: an accepted one that is open before one that this bot dialled.
    pub(super) fn rival(&self, of: LinkId, peer: BotId) -> Option<(LinkId, Side)> {
        let is_rival = |entry: &Entry| entry.candidate.is_none() && entry.peer() == Some(peer);
        let others = || self.iter().filter(|(id, entry)| *id != of && is_rival(entry));
        let accepted = others().find(|(_, entry)| entry.dialled.is_none() && entry.is_open());
        let dialled = || others().find(|(_, entry)| entry.dialled.is_some() && entry.link().is_some());
        accepted.or_else(dialled).map(|(id, entry)| (id, entry.side()))
    }

    /// A dial to this peer whose stream is not up yet.
    pub(super) fn dialling(&self, peer: BotId) -> Option<LinkId> {
        let waits = |entry: &Entry| entry.dialled == Some(peer) && matches!(entry.stage, Stage::Dialling { .. });
        self.iter().find(|(_, entry)| waits(entry)).map(|(id, _)| id)
    }

    fn find(&self, id: LinkId) -> Option<usize> {
        self.slots.binary_search_by_key(&id, |slot| slot.id).ok()
    }

    fn find_earliest(&mut self) {
        self.earliest = self.slots.iter().filter_map(|slot| slot.wake_at).min();
    }
}
