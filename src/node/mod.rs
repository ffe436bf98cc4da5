//! The node: one bot, all its links, one ordered stream of outputs.
//!
//! Methods `handle_…` tell what happened; plain verbs are the host's wishes; [`Node::poll`] says what to do, until it is idle.
//! Every input is worked off at once, so two inputs without a poll between them are fine; polling is needed to get on, never
//! for correctness. The same inputs give the same outputs, byte for byte.

/// Notes an event in the trace: `trace!(outbox, Kind, peer, link; "field": value, …)`. Without the feature nothing of it is
/// compiled.
macro_rules! trace {
    ($outbox:expr, $kind:ident, $peer:expr, $link:expr $(; $($name:literal: $value:expr),+)?) => {
        #[cfg(feature = "trace")]
        if $outbox.tracer.on {
            let fields = alloc::vec![$($(($name, crate::trace::Value::from($value))),+)?];
            $outbox.tracer.note(crate::trace::Kind::$kind, $peer, $link, fields);
        }
    };
}

/// The result of an input that can be refused; a refusal is an event of the trace.
macro_rules! result {
    ($node:expr, $input:literal, $result:expr) => {{
        let result = $result;
        #[cfg(feature = "trace")]
        $node.note_result($input, &result);
        result
    }};
}

/// Writes an input to the recording, if there is one, before it is worked off.
macro_rules! record {
    ($node:expr, $kind:ident { $($field:ident: $value:expr),* }) => {
        #[cfg(feature = "trace")]
        if let Some(tape) = &$node.tape {
            tape.input(crate::tape::Input::$kind { $($field: $value),* });
        }
    };
}

mod config;
mod door;
mod inputs;
mod joining;
mod ledger;
mod links;
mod outbox;
mod restore;
mod route;
#[cfg(feature = "trace")]
mod taping;
#[cfg(all(test, feature = "trace"))]
mod tests;
#[cfg(feature = "trace")]
mod tracer;
mod upkeep;
mod wishes;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use zeroize::Zeroizing;

pub use config::{Config, LedgerStart, Limits, Origin};
pub use door::InviteWishError;
pub use joining::JoinState;
use ledger::Council;
pub use links::LinkId;
use links::{Entry, Links, Stage};
pub use outbox::{Action, Event, Output};
use outbox::{Item, Outbox};
use restore::Restored;
pub use restore::{PersistId, Record, RestoreError};

use crate::budget::Budget;
use crate::crypto::Random;
use crate::identity::{BotId, Identity};
use crate::link::{Binding, CloseReason, Code, Expect, ExportError, Facts, Link, Setup, Side, Strings};
use crate::overlay::{Counter, Hub, MAX_POST_BODY, Post, PostId, StreamId};
use crate::time::{Instant, UnixMillis};

/// The outbox is full: poll until idle, then try again; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("outputs wait to be polled: poll until idle, then try again")]
pub struct Undrained;

/// Why a stream that somebody opened is not taken; nothing changed, close it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The outbox is full: poll until idle.
    #[error(transparent)]
    Undrained(#[from] Undrained),
    /// This bot declared itself client-only (I-2): do not listen.
    #[error("this bot is client-only: do not listen")]
    ClientOnly,
    /// There are no slots for streams that are no links yet ([`Limits::half_open`]).
    #[error("there is no slot for a handshake: close the stream")]
    Full,
}

/// Why a bot cannot be dialled; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// It is this bot itself.
    #[error("this is the bot's own id: dial another bot")]
    OurOwnKey,
    /// It is not among the members.
    #[error("{0} is not among the members: add it to the list of members first")]
    NotAMember(BotId),
    /// The outbox is full: poll until idle.
    #[error(transparent)]
    Undrained(#[from] Undrained),
    /// Too many peers are dialled already.
    #[error("at most {0} bots are dialled: forget one first")]
    TooMany(usize),
}

/// Why a post is not published; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The body is too long.
    #[error("a post has at most {MAX_POST_BODY} bytes, this has {0}: split it")]
    TooLong(usize),
    /// Links or the disk are behind: wait for [`Event::Ready`].
    #[error("links or the disk are busy: wait until the node is ready again")]
    Busy,
}

/// What a link is right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// Its id.
    pub link: LinkId,
    /// Who is there, as far as it was proved; on a dialled link who is expected.
    pub peer: Option<BotId>,
    /// Whether this bot dialled.
    pub side: Side,
    /// Since when it is open; nothing before it is.
    pub open_since: Option<Instant>,
}

/// Counters since the start; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Sealed bytes polled for sending.
    pub sent_bytes: u64,
    /// Handshakes that ended in an open link, on either side.
    pub handshakes: u64,
    /// Posts of others handed to the application.
    pub posts: u64,
    /// Posts that came again, or were this bot's own; dropped.
    pub duplicates: u64,
    /// Posts of authors who are no members here; dropped.
    pub strangers: u64,
}

/// One bot of a community.
pub struct Node {
    setup: Arc<Setup>,
    limits: Limits,
    roster: Arc<BTreeSet<BotId>>,
    hub: Hub,
    now: Instant,
    random: Random,
    links: Links,
    handshakes: Budget,
    own_strings: Strings,
    peer_strings: BTreeMap<BotId, Strings>,
    strings_key: Zeroizing<[u8; 32]>,
    outbox: Outbox,
    /// Own posts that wait for the write that covers their number.
    unpersisted: VecDeque<(PersistId, Post)>,
    unpersisted_bytes: usize,
    last_persist: u64,
    /// Whether the host was refused and waits for `Ready`.
    publish_refused: bool,
    stats: Stats,
    /// Nothing when the members stay who they are.
    council: Option<Box<Council>>,
    #[cfg(feature = "trace")]
    tape: Option<crate::tape::Running>,
}

impl Node {
    /// Starts a bot that has no records. `seed` is 32 bytes from the system's generator, new at every start.
    /// With [`Config::remembered`] there is nothing to go on from, and nobody is a member: that is for [`Node::restore`].
    #[must_use]
    pub fn new(mut config: Config, identity: &Identity, seed: [u8; 32], now: Instant) -> Self {
        config.ledger.take_if(|start| matches!(start.origin, Origin::Records { .. }));
        Self::start(config, identity, seed, now, None).expect("without records there are none to refuse")
    }

    /// Starts a bot with the records that the host stored for it, in any order.
    ///
    /// # Errors
    /// [`RestoreError`] when a record is damaged or another bot's.
    pub fn restore(
        config: Config,
        identity: &Identity,
        seed: [u8; 32],
        now: Instant,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, RestoreError> {
        let restored = Restored::read(identity.id(), records)?;
        Self::start(config, identity, seed, now, Some(restored))
    }

    /// Starts a bot in a replay, of which nobody knows whether it can.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) fn replayed(
        config: Config,
        identity: &Identity,
        now: Instant,
        records: Option<Vec<Record>>,
    ) -> Result<Self, RestoreError> {
        let restored = records.map(|records| Restored::read(identity.id(), records)).transpose()?;
        Self::start(config, identity, [0; 32], now, restored)
    }

    fn start(
        config: Config,
        identity: &Identity,
        seed: [u8; 32],
        now: Instant,
        restored: Option<Restored>,
    ) -> Result<Self, RestoreError> {
        let seed = Zeroizing::new(seed);
        #[cfg(feature = "trace")]
        let (config, ledger_crypto, tape) = taping::begin(config, identity.id(), now, restored.as_ref());
        #[cfg(not(feature = "trace"))]
        let ledger_crypto = config.crypto.clone();
        let Config {
            community,
            members: roster,
            ledger,
            crypto,
            aes,
            capabilities,
            limits,
            #[cfg(feature = "trace")]
            trace,
            #[cfg(feature = "trace")]
                recorder: _,
        } = config;
        let facts = Facts { capabilities: capabilities.named(), ..Facts::default() };
        let setup = Setup::new(crypto.clone(), identity, community, aes, facts).expect("there are no credentials yet");
        let random = |purpose| Random::child(&seed, purpose);
        #[cfg(feature = "trace")]
        let (setup, random) = {
            let tape = tape.as_ref().map(crate::tape::Running::tape);
            (setup.taped(tape), move |purpose| random(purpose).taped(tape))
        };
        #[cfg(feature = "trace")]
        let is_restored = restored.is_some();
        let restored = restored.unwrap_or_default();
        let stream = || StreamId::from_u64(random("overlay").u64());
        #[cfg(feature = "trace")]
        let noted = |same| tape.as_ref().map_or(same, |tape| tape.tape().invitation(same));
        #[cfg(not(feature = "trace"))]
        let noted = core::convert::identity;
        let council = ledger.map(|start| Council::begin(start, &restored, identity, &ledger_crypto, now, noted));
        let council = council.transpose();
        #[cfg(feature = "trace")]
        let council = council.inspect_err(|error| taping::refused(tape.as_ref(), error));
        let council = council?;
        let counter = restored.counter.unwrap_or_else(|| Counter { stream: stream(), next: 1 });
        #[cfg(feature = "trace")]
        let outbox = Outbox::traced(trace, now, roster.len(), is_restored.then_some((counter, &restored.seen)));
        #[cfg(not(feature = "trace"))]
        let outbox = Outbox::default();
        let mut node = Self {
            hub: Hub::new(crypto, identity, community, roster.clone(), counter, restored.seen),
            setup: Arc::new(setup),
            handshakes: Budget::new(limits.handshakes, now),
            limits,
            roster,
            now,
            random: random("node"),
            links: Links::default(),
            own_strings: Strings::default(),
            peer_strings: BTreeMap::new(),
            strings_key: random("strings").secret(),
            outbox,
            unpersisted: VecDeque::new(),
            unpersisted_bytes: 0,
            last_persist: 0,
            publish_refused: false,
            stats: Stats::default(),
            council: council.map(Box::new),
            #[cfg(feature = "trace")]
            tape,
        };
        node.open_council(now);
        Ok(node)
    }

    /// Takes a stream that somebody opened to this bot.
    ///
    /// # Errors
    /// [`AcceptError`]; close the stream.
    pub fn handle_accepted(&mut self, now: Instant, binding: Binding) -> Result<LinkId, AcceptError> {
        record!(self, Accepted { now: now.as_nanos(), bound: binding != Binding::None });
        let now = self.clock(now);
        result!(self, "accepted", self.accept(now, binding))
    }

    /// Tells that the stream of an [`Action::Dial`] is open.
    pub fn handle_dialled(&mut self, now: Instant, id: LinkId, binding: Binding) {
        record!(self, Dialled { now: now.as_nanos(), link: id.as_u64(), bound: binding != Binding::None });
        let now = self.clock(now);
        let Some(entry) = self.links.touch(id) else { return };
        let (Stage::Dialling { .. }, Some(peer)) = (&entry.stage, entry.dialled) else { return };
        let kind = self.dialled_kind(&peer);
        let candidate = self.candidate_of(kind, now);
        let (seed, expect) = (*self.random.secret(), Expect::Key(peer));
        let setup = self.setup_for(kind);
        let (strings, times) = (&mut self.own_strings, self.limits.times);
        let link = Link::dial(setup, now, seed, binding, kind, expect, strings, times);
        #[cfg(feature = "trace")]
        let link = if self.outbox.tracer.on { link.noting_frames() } else { link };
        trace!(self.outbox, Dialled, Some(peer), Some(id); "bound": binding != Binding::None);
        let Some(entry) = self.links.touch(id) else { return };
        entry.stage = Stage::Live(link);
        entry.candidate = candidate;
        self.settle(now);
    }

    /// Takes bytes that were read from a link's stream, in order, in pieces of up to 256 KiB: what they bring for other links
    /// has to fit those links' queues. Those of a closed link are ignored.
    ///
    /// # Errors
    /// [`Undrained`]; poll, then hand in the same bytes again.
    pub fn handle_bytes(&mut self, now: Instant, id: LinkId, bytes: &[u8]) -> Result<(), Undrained> {
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            let is_live = self.links.get(id).is_some_and(|entry| entry.link().is_some());
            tape.bytes(now.as_nanos(), id.as_u64(), bytes, is_live && self.check_drained().is_ok());
        }
        let now = self.clock(now);
        result!(self, "bytes", self.take_bytes(now, id, bytes))
    }

    /// Tells how many bytes of the link's [`Action::Send`] were written to its stream. Without it nothing more is sent once
    /// [`Limits::window_bytes`] are on their way.
    pub fn handle_written(&mut self, now: Instant, id: LinkId, bytes: usize) {
        record!(self, Written { now: now.as_nanos(), link: id.as_u64(), bytes: bytes as u64 });
        let now = self.clock(now);
        let Some(entry) = self.links.get_mut(id) else { return };
        // Where nothing waits for the window, room in it changes nothing.
        if entry.written(now, bytes, &self.limits) {
            let _ = self.links.touch(id);
            self.settle(now);
        }
    }

    /// Tells that a link's stream ended or broke, or that it could not be opened.
    pub fn handle_ended(&mut self, now: Instant, id: LinkId) {
        record!(self, Ended { now: now.as_nanos(), link: id.as_u64() });
        let now = self.clock(now);
        let Some(entry) = self.links.get(id) else { return };
        let reason = if entry.link().is_some() { CloseReason::Ended } else { CloseReason::Unreachable };
        self.close_entry(now, id, reason, false);
        self.settle(now);
    }

    /// Tells the time. Early and repeated calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        record!(self, Timeout { now: now.as_nanos() });
        let now = self.clock(now);
        #[cfg(feature = "trace")]
        self.note_due(now);
        self.tick_ledger(now);
        self.run_timers(now);
        self.settle(now);
    }

    /// Tells that the record of this write, and of all before it, is durable.
    pub fn persisted(&mut self, now: Instant, id: PersistId) {
        record!(self, Persisted { now: now.as_nanos(), write: id.as_u64() });
        let now = self.clock(now);
        trace!(self.outbox, Persisted, None, None;
            "write": id.as_u64(),
            "posts": self.unpersisted.iter().take_while(|(write, _)| *write <= id).count());
        while self.unpersisted.front().is_some_and(|(write, _)| *write <= id) {
            let Some((_, post)) = self.unpersisted.pop_front() else { break };
            self.unpersisted_bytes -= post.body().len();
            self.outbox.notify(Event::Published { id: post.id() });
            self.spread(now, None, &crate::overlay::Message::Post { hops: 0, post });
        }
        self.ledger_persisted(now, id);
        self.settle(now);
    }

    /// Signs a post and sends it to every linked bot, which pass it on; it leaves once its number is durable.
    ///
    /// Posts are live: bots that are not linked now do not get them.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(&mut self, now: Instant, body: &[u8]) -> Result<PostId, PublishError> {
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            tape.publish(now.as_nanos(), body);
        }
        self.clock(now);
        result!(self, "publish", self.take_post(body))
    }

    /// Wishes for a link with a member at this address, now and again whenever it is lost.
    ///
    /// The address means something to the host only. A second call changes the address for the next attempt.
    ///
    /// # Errors
    /// [`DialError`].
    pub fn dial(&mut self, now: Instant, peer: BotId, address: impl Into<String>) -> Result<(), DialError> {
        let address = address.into();
        record!(self, Dial { now: now.as_nanos(), peer: crate::tape::Id(peer), address: address.clone() });
        let now = self.clock(now);
        result!(self, "dial", self.wish(now, peer, address))
    }

    /// Gives up the wish for a link with this peer, and closes the link with it, whoever dialled.
    pub fn forget(&mut self, now: Instant, peer: BotId) {
        record!(self, Forget { now: now.as_nanos(), peer: crate::tape::Id(peer) });
        let now = self.clock(now);
        self.links.wishes.remove(peer);
        let with_peer: Vec<LinkId> =
            self.links.iter().filter(|(_, entry)| entry.peer() == Some(peer)).map(|(id, _)| id).collect();
        for id in with_peer {
            self.close_link(now, id, Code::GoingAway);
        }
        self.settle(now);
    }

    /// Closes a link and tells the peer this code. A peer that this bot dials is dialled again later.
    pub fn close(&mut self, now: Instant, id: LinkId, code: Code) {
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            tape.input(crate::tape::Input::close(now.as_nanos(), id.as_u64(), code));
        }
        let now = self.clock(now);
        self.close_link(now, id, code);
        self.settle(now);
    }

    /// Closes all links with `going away` and forgets all wishes. Take a [`Node::snapshot`] after it.
    pub fn shut_down(&mut self, now: Instant) {
        record!(self, ShutDown { now: now.as_nanos() });
        let now = self.clock(now);
        trace!(self.outbox, ShutDown, None, None; "links": self.links.ids().count());
        self.links.wishes.clear();
        let all: Vec<LinkId> = self.links.ids().collect();
        for id in all {
            self.close_link(now, id, Code::GoingAway);
        }
        self.settle(now);
    }

    /// Says what to do next.
    pub fn poll(&mut self) -> Output {
        let output = self.next_output();
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            tape.output(&output);
        }
        output
    }

    /// Hands out the oldest event of the trace; nothing when all were, and unless [`Config::trace`] is set. The last
    /// [`BUFFERED`](crate::trace::BUFFERED) are kept.
    #[cfg(feature = "trace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
    pub fn poll_trace(&mut self) -> Option<crate::trace::Event> {
        self.outbox.tracer.poll(self.setup.id())
    }

    /// Tells what people's clocks show now: the ledger measures its windows by it, and traces carry it from here on. Between two
    /// calls it goes on with the host's clock.
    pub fn set_wall_clock(&mut self, now: Instant, wall: UnixMillis) {
        record!(self, WallClock { now: now.as_nanos(), millis: wall.0 });
        let now = self.clock(now);
        #[cfg(feature = "trace")]
        self.outbox.tracer.set_wall_clock(wall);
        self.set_ledger_clock(now, wall);
        self.settle(now);
    }

    /// What is worth keeping besides what [`Action::Persist`] stored: which posts were seen. Store it at an orderly stop, each
    /// record in place of one with its key; all others, the ledger's among them, stay as they are.
    #[must_use]
    pub fn snapshot(&self) -> Vec<Record> {
        let id = self.setup.id();
        [restore::counter_record(id, self.hub.counter()), restore::seen_record(id, self.hub.seen())].into()
    }

    /// This bot's id.
    #[must_use]
    pub fn id(&self) -> BotId {
        self.setup.id()
    }

    /// All links, open or not yet, in the order in which they were made.
    pub fn links(&self) -> impl Iterator<Item = LinkInfo> {
        self.links.iter().map(|(id, entry)| LinkInfo {
            link: id,
            peer: entry.peer(),
            side: entry.side(),
            open_since: entry.opened_at,
        })
    }

    /// Fills `out` with a secret that only the two ends of an open link know, for the host's own use.
    ///
    /// # Errors
    /// [`ExportError`], and `out` is left as it is.
    pub fn export(&self, id: LinkId, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        let entry = self.links.get(id).filter(|entry| entry.is_open());
        let peer = entry.and_then(Entry::link).and_then(Link::peer).ok_or(ExportError::NotOpen)?;
        peer.export(label, context, out)
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.stats
    }

    /// The node's clock never goes back, whatever the host says, and stops before the end, where the deadlines are that never
    /// come.
    fn clock(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now).min(Instant::from_nanos(u64::MAX - 1));
        #[cfg(feature = "trace")]
        self.outbox.tracer.clock(self.now);
        self.now
    }

    fn next_output(&mut self) -> Output {
        loop {
            match self.outbox.pop() {
                // The outbox itself may have been what was busy.
                None if self.tell_ready() => {}
                None => return Output::Idle { wake_at: self.wake_at() },
                Some(Item::Do(action)) => return Output::Do(*action),
                Some(Item::Send(id)) => {
                    if let Some(bytes) = self.take_output(id) {
                        return Output::Do(Action::Send { link: id, bytes });
                    }
                }
            }
        }
    }

    fn check_drained(&self) -> Result<(), Undrained> {
        if self.outbox.len() < self.limits.outbox { Ok(()) } else { Err(Undrained) }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("id", &self.id()).field("stats", &self.stats).finish_non_exhaustive()
    }
}
