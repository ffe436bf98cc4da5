//! The node: one bot, all its links, one ordered stream of outputs.
//!
//! Methods `handle_…` tell what happened; plain verbs are the host's wishes; [`Node::poll`] says what to do, until it is idle.
//! Every input is worked off at once, so two inputs without a poll between them are fine; polling is needed to get on, never
//! for correctness. The same inputs give the same outputs, byte for byte.

mod config;
mod links;
mod outbox;
mod restore;
mod route;
mod upkeep;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::BytesMut;
use zeroize::Zeroizing;

pub use config::{Config, Limits};
pub use links::LinkId;
use links::{Entry, Links, Stage, Wish, WishState};
pub use outbox::{Action, Event, Output};
use outbox::{Item, Outbox};
use restore::Restored;
pub use restore::{PersistId, Record, RestoreError};

use crate::budget::Budget;
use crate::crypto::Random;
use crate::identity::{BotId, Identity};
use crate::link::{Binding, CloseReason, Code, Expect, ExportError, Facts, Kind, Link, Setup, Side, Strings};
use crate::overlay::{Counter, Hub, MAX_POST_BODY, Post, PostId, StreamId};
use crate::time::Instant;

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
    /// All slots for streams that are no links yet are taken by handshakes under way.
    #[error("too many handshakes are under way: close the stream")]
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
    scratch: BytesMut,
    stats: Stats,
}

impl Node {
    /// Starts a bot that has no records. `seed` is 32 bytes from the system's generator, new at every start.
    #[must_use]
    pub fn new(config: Config, identity: &Identity, seed: [u8; 32], now: Instant) -> Self {
        Self::start(config, identity, seed, now, Restored::default())
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
        Ok(Self::start(config, identity, seed, now, restored))
    }

    fn start(config: Config, identity: &Identity, seed: [u8; 32], now: Instant, restored: Restored) -> Self {
        let seed = Zeroizing::new(seed);
        let Config { community, members: roster, crypto, aes, capabilities, limits } = config;
        let facts = Facts { capabilities, ..Facts::default() };
        let setup = Setup::new(crypto.clone(), identity, community, aes, facts).expect("there are no credentials yet");
        let stream = || StreamId::from_u64(Random::child(&seed, "overlay").u64());
        let counter = restored.counter.unwrap_or_else(|| Counter { stream: stream(), next: 1 });
        Self {
            hub: Hub::new(crypto, identity, community, roster.clone(), counter, restored.seen),
            setup: Arc::new(setup),
            handshakes: Budget::new(limits.handshakes, now),
            limits,
            roster,
            now,
            random: Random::child(&seed, "node"),
            links: Links::default(),
            own_strings: Strings::default(),
            peer_strings: BTreeMap::new(),
            strings_key: Random::child(&seed, "strings").secret(),
            outbox: Outbox::default(),
            unpersisted: VecDeque::new(),
            unpersisted_bytes: 0,
            last_persist: 0,
            publish_refused: false,
            scratch: BytesMut::new(),
            stats: Stats::default(),
        }
    }

    /// Takes a stream that somebody opened to this bot.
    ///
    /// # Errors
    /// [`AcceptError`]; close the stream.
    pub fn handle_accepted(&mut self, now: Instant, binding: Binding) -> Result<LinkId, AcceptError> {
        let now = self.clock(now);
        self.check_drained()?;
        if self.setup.facts().capabilities.has(crate::link::Capabilities::CLIENT_ONLY) {
            return Err(AcceptError::ClientOnly);
        }
        if self.links.half_open() >= self.limits.half_open {
            let oldest = self.links.oldest_waiting().ok_or(AcceptError::Full)?;
            self.close_entry(now, oldest, CloseReason::Here(Code::Full), true);
        }
        let seed = *self.random.secret();
        let link = Link::accept(self.setup.clone(), now, seed, binding, self.limits.times);
        let entry = Entry::new(Stage::Live(Box::new(link)), None, &self.limits, &mut self.random, now);
        Ok(self.links.insert(entry))
    }

    /// Tells that the stream of an [`Action::Dial`] is open.
    pub fn handle_dialled(&mut self, now: Instant, id: LinkId, binding: Binding) {
        let now = self.clock(now);
        let Some(entry) = self.links.entries.get_mut(&id) else { return };
        let (Stage::Dialling { .. }, Some(peer)) = (&entry.stage, entry.dialled) else { return };
        let (seed, expect) = (*self.random.secret(), Expect::Key(peer));
        let (setup, strings, times) = (self.setup.clone(), &mut self.own_strings, self.limits.times);
        let link = Link::dial(setup, now, seed, binding, Kind::Member, expect, strings, times);
        entry.stage = Stage::Live(Box::new(link));
        self.settle(now);
    }

    /// Takes bytes that were read from a link's stream, in order, in pieces of up to 256 KiB: what they bring for other links
    /// has to fit those links' queues. Those of a closed link are ignored.
    ///
    /// # Errors
    /// [`Undrained`]; poll, then hand in the same bytes again.
    pub fn handle_bytes(&mut self, now: Instant, id: LinkId, bytes: &[u8]) -> Result<(), Undrained> {
        let now = self.clock(now);
        self.check_drained()?;
        self.route(now, id, bytes);
        self.settle(now);
        Ok(())
    }

    /// Tells how many bytes of the link's [`Action::Send`] were written to its stream. Without it nothing more is sent once
    /// [`Limits::window_bytes`] are on their way.
    pub fn handle_written(&mut self, now: Instant, id: LinkId, bytes: usize) {
        let now = self.clock(now);
        let Some(entry) = self.links.entries.get_mut(&id) else { return };
        // Where nothing waits for the window, room in it changes nothing.
        if entry.written(now, bytes, &self.limits) {
            self.settle(now);
        }
    }

    /// Tells that a link's stream ended or broke, or that it could not be opened.
    pub fn handle_ended(&mut self, now: Instant, id: LinkId) {
        let now = self.clock(now);
        let Some(entry) = self.links.entries.get(&id) else { return };
        let reason = if entry.link().is_some() { CloseReason::Ended } else { CloseReason::Unreachable };
        self.close_entry(now, id, reason, false);
        self.settle(now);
    }

    /// Tells the time. Early and repeated calls do no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.clock(now);
        self.run_timers(now);
        self.settle(now);
    }

    /// Tells that the record of this write, and of all before it, is durable.
    pub fn persisted(&mut self, now: Instant, id: PersistId) {
        let now = self.clock(now);
        while self.unpersisted.front().is_some_and(|(write, _)| *write <= id) {
            let Some((_, post)) = self.unpersisted.pop_front() else { break };
            self.unpersisted_bytes -= post.body().len();
            self.outbox.notify(Event::Published { id: post.id() });
            self.spread(now, None, &crate::overlay::Message::Post { hops: 0, post });
        }
        self.settle(now);
    }

    /// Signs a post and sends it to every linked bot, which pass it on; it leaves once its number is durable.
    ///
    /// Posts are live: bots that are not linked now do not get them.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(&mut self, now: Instant, body: &[u8]) -> Result<PostId, PublishError> {
        self.clock(now);
        if body.len() > MAX_POST_BODY {
            return Err(PublishError::TooLong(body.len()));
        }
        if self.is_busy() {
            self.publish_refused = true;
            return Err(PublishError::Busy);
        }
        let post = self.hub.publish(body);
        let id = post.id();
        self.last_persist += 1;
        let write = PersistId(self.last_persist);
        let record = restore::counter_record(self.setup.id(), self.hub.counter());
        self.outbox.push(Action::Persist { id: write, record });
        self.unpersisted_bytes += body.len();
        self.unpersisted.push_back((write, post));
        Ok(id)
    }

    /// Wishes for a link with a member at this address, now and again whenever it is lost.
    ///
    /// The address means something to the host only. A second call changes the address for the next attempt.
    ///
    /// # Errors
    /// [`DialError`].
    pub fn dial(&mut self, now: Instant, peer: BotId, address: impl Into<String>) -> Result<(), DialError> {
        let now = self.clock(now);
        if peer == self.id() {
            return Err(DialError::OurOwnKey);
        }
        if !self.roster.contains(&peer) {
            return Err(DialError::NotAMember(peer));
        }
        let address = address.into();
        if let Some(wish) = self.links.wishes.get_mut(&peer) {
            wish.address = address;
            return Ok(());
        }
        if self.links.wishes.len() >= self.limits.dials {
            return Err(DialError::TooMany(self.limits.dials));
        }
        let linked = self.links.entries.iter().find(|(_, entry)| entry.is_open() && entry.peer() == Some(peer));
        let state = linked.map_or(WishState::Waiting(now), |(id, _)| WishState::Linked(*id));
        self.links.wishes.insert(peer, Wish { address, state, failures: 0 });
        self.run_timers(now);
        self.settle(now);
        Ok(())
    }

    /// Gives up the wish for a link with this peer, and closes the link with it, whoever dialled.
    pub fn forget(&mut self, now: Instant, peer: BotId) {
        let now = self.clock(now);
        if let Some(Wish { state: WishState::Linked(id), .. }) = self.links.wishes.remove(&peer) {
            self.close_link(now, id, Code::GoingAway);
        }
        self.settle(now);
    }

    /// Closes a link and tells the peer this code. A peer that this bot dials is dialled again later.
    pub fn close(&mut self, now: Instant, id: LinkId, code: Code) {
        let now = self.clock(now);
        self.close_link(now, id, code);
        self.settle(now);
    }

    /// Closes all links with `going away` and forgets all wishes. Take a [`Node::snapshot`] after it.
    pub fn shut_down(&mut self, now: Instant) {
        let now = self.clock(now);
        self.links.wishes.clear();
        let all: Vec<LinkId> = self.links.entries.keys().copied().collect();
        for id in all {
            self.close_link(now, id, Code::GoingAway);
        }
        self.settle(now);
    }

    /// Says what to do next.
    pub fn poll(&mut self) -> Output {
        loop {
            match self.outbox.pop() {
                // The outbox itself may have been what was busy.
                None if self.tell_ready() => {}
                None => return Output::Idle { wake_at: self.wake_at() },
                Some(Item::Do(action)) => return Output::Do(action),
                Some(Item::Send(id)) => {
                    if let Some(bytes) = self.take_output(id) {
                        return Output::Do(Action::Send { link: id, bytes });
                    }
                }
            }
        }
    }

    /// Everything worth keeping, to be stored at an orderly stop in place of all records so far.
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
        self.links.entries.iter().map(|(id, entry)| LinkInfo {
            link: *id,
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
        let entry = self.links.entries.get(&id).filter(|entry| entry.is_open());
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
        self.now
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
