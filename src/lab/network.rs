//! The network: bots, streams, a clock, and what goes wrong.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, BinaryHeap};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::host::{FaultPoint, Host, Restart};
use super::line::{Latency, Line};
use super::log::{Log, Logged};
use super::puppet::{Actor, Lie, Puppet};
use super::stream::Stream;
use crate::crypto::{Crypto, Random};
use crate::identity::{BotId, CommunityId, Identity};
use crate::node::{Config, Event, LinkId, Node, PublishError, Record};
use crate::overlay::{Post, PostId};
use crate::time::Instant;

/// A bot of a [`Network`], by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BotRef(pub(super) usize);

impl BotRef {
    /// The bot at this place, from 0.
    #[must_use]
    pub const fn at(place: usize) -> Self {
        Self(place)
    }

    /// Its place.
    #[must_use]
    pub const fn place(self) -> usize {
        self.0
    }
}

/// What happens at a time; the order of what happens at the same time does not depend on who asked first. In one word,
/// because the queue of all that is due is long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    Durable { bot: u32 },
    Dialled { bot: u32 },
    Wake { bot: u32 },
    Resume { bot: u32 },
    Arrive { stream: u32, side: u8 },
}

impl Due {
    pub(super) fn durable(bot: usize) -> Self {
        Self::Durable { bot: number(bot) }
    }

    pub(super) fn dialled(bot: usize) -> Self {
        Self::Dialled { bot: number(bot) }
    }

    pub(super) fn wake(bot: usize) -> Self {
        Self::Wake { bot: number(bot) }
    }

    pub(super) fn resume(bot: usize) -> Self {
        Self::Resume { bot: number(bot) }
    }

    pub(super) fn arrive(stream: usize, side: usize) -> Self {
        Self::Arrive { stream: number(stream), side: side as u8 }
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).expect("there are fewer bots and streams")
}

/// Bots in virtual time.
pub struct Network {
    pub(super) now: Instant,
    pub(super) random: Random,
    crypto: Option<Arc<dyn Crypto>>,
    pub(super) hosts: Vec<Host>,
    pub(super) places: BTreeMap<BotId, usize>,
    /// Places of streams that ended are used again.
    pub(super) streams: Vec<Option<Stream>>,
    pub(super) free: Vec<usize>,
    pub(super) queue: BinaryHeap<Reverse<(Instant, Due)>>,
    line: Line,
    lines: BTreeMap<(usize, usize), Line>,
    disk: Latency,
    /// Which island each bot is on; only bots of one island reach each other.
    islands: Vec<usize>,
    /// Directions that carry nothing.
    blocked: BTreeSet<(usize, usize)>,
    pub(super) cut_pieces: bool,
    pub(super) keeps_events: bool,
    pub(super) confirm_early: bool,
    pub(super) early: Option<Random>,
    pub(super) transcript: Option<Sha256>,
    pub(super) log: Option<Log>,
    #[cfg(feature = "trace")]
    records: bool,
    /// Events at one instant, to find a machine that makes its host spin.
    pub(super) at_once: u64,
}

impl Network {
    /// An empty network; all randomness comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_millis(1_000),
            random: Random::child(&seed_bytes(0, seed), "lab"),
            crypto: None,
            hosts: Vec::new(),
            places: BTreeMap::new(),
            streams: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            line: Line::default(),
            lines: BTreeMap::new(),
            disk: Latency::Fixed { ms: 1 },
            islands: Vec::new(),
            blocked: BTreeSet::new(),
            cut_pieces: true,
            keeps_events: true,
            confirm_early: false,
            early: None,
            transcript: Some(Sha256::new()),
            log: None,
            #[cfg(feature = "trace")]
            records: false,
            at_once: 0,
        }
    }

    /// Gives all bots that are added from now on this crypto provider in place of their configuration's, such as
    /// [`ToyCrypto`](super::ToyCrypto).
    pub fn set_crypto(&mut self, crypto: impl Crypto + 'static) {
        self.crypto = Some(Arc::new(crypto));
    }

    /// Sets what all lines without a setting of their own are like, for streams opened from now on: 10 ms at first.
    pub fn set_line(&mut self, line: Line) {
        self.line = line;
    }

    /// Sets one direction between two bots, for streams opened from now on.
    pub fn set_line_between(&mut self, from: BotRef, to: BotRef, line: Line) {
        self.lines.insert((from.0, to.0), line);
    }

    /// Sets one latency for everything that is sent from now on, open streams included.
    pub fn set_latency(&mut self, latency: Duration) {
        self.set_latency_to(Line::fixed(latency).latency);
    }

    pub(super) fn set_latency_to(&mut self, latency: Latency) {
        self.line.latency = latency;
        for stream in self.streams.iter_mut().flatten() {
            stream.pipes.iter_mut().for_each(|pipe| pipe.line.latency = latency);
        }
    }

    /// Sets how long a write takes to be durable: 1 ms at first.
    pub fn set_disk_latency(&mut self, latency: Duration) {
        self.disk = Line::fixed(latency).latency;
    }

    /// Wakes nodes also when they did not ask for it; no output may change by it.
    pub fn wake_early(&mut self, seed: u64) {
        self.early = Some(Random::child(&seed_bytes(1, seed), "early"));
    }

    /// Leaves out what only tests of the library need: the transcript, and cutting what arrives into pieces.
    pub fn run_fast(&mut self) {
        self.transcript = None;
        self.cut_pieces = false;
    }

    /// Keeps a log from now on, for the pictures.
    pub fn keep_log(&mut self) {
        self.log.get_or_insert_default();
    }

    /// Records every honest bot that is added from now on, each life for itself; see [`Network::recordings`].
    #[cfg(feature = "trace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
    pub fn keep_recordings(&mut self) {
        self.records = true;
    }

    /// The recordings of a bot's lives, to be [replayed](super::replay).
    #[cfg(feature = "trace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
    #[must_use]
    pub fn recordings(&self, bot: BotRef) -> Vec<Vec<u8>> {
        self.hosts[bot.0].rest.reels.iter().map(super::recordings::Reel::bytes).collect()
    }

    /// Adds `count` bots that all know each other as members of the named community.
    pub fn add_members(&mut self, community: &str, count: usize) -> Vec<BotRef> {
        let first = self.hosts.len();
        let ids = (first..first + count).map(|at| identity(at).id());
        let config = Config::new(CommunityId::from_name(community), ids);
        (0..count).map(|_| self.add(config.clone())).collect()
    }

    /// Adds one bot with a configuration of its own; its key follows from its place, see [`Network::identity_of`].
    pub fn add(&mut self, config: Config) -> BotRef {
        self.add_host(config, None)
    }

    /// Adds a member that lies.
    pub fn add_liar(&mut self, config: Config, lie: Lie) -> BotRef {
        self.add_host(config, Some(lie))
    }

    fn add_host(&mut self, mut config: Config, lie: Option<Lie>) -> BotRef {
        let at = self.hosts.len();
        let seed = *self.random.secret();
        if let Some(crypto) = &self.crypto {
            config.crypto = Arc::clone(crypto);
        }
        #[cfg(feature = "trace")]
        let reel = (self.records && lie.is_none()).then(super::recordings::Reel::default);
        #[cfg(feature = "trace")]
        if let Some(reel) = &reel {
            config.recorder = Some(reel.recorder());
        }
        let actor = match lie {
            None => Actor::Node(Box::new(Node::new(config.clone(), &identity(at), seed, self.now))),
            Some(lie) => Actor::Puppet(Box::new(Puppet::new(lie, config.clone(), &identity(at), &seed, self.now))),
        };
        #[cfg_attr(not(feature = "trace"), expect(unused_mut, reason = "only a trace has reels"))]
        let mut host = Host::new(seed, config, lie, actor);
        #[cfg(feature = "trace")]
        host.rest.reels.extend(reel);
        self.hosts.push(host);
        self.places.insert(identity(at).id(), at);
        self.islands.push(0);
        BotRef(at)
    }

    /// The key of the bot at a place, also of one that is not added yet.
    #[must_use]
    pub fn identity_of(at: usize) -> Identity {
        identity(at)
    }

    /// A bot's id.
    #[must_use]
    pub fn id(&self, bot: BotRef) -> BotId {
        match &self.hosts[bot.0].actor {
            Some(Actor::Node(node)) => node.id(),
            _ => identity(bot.0).id(),
        }
    }

    /// All bots, in the order of their places.
    pub fn bots(&self) -> impl Iterator<Item = BotRef> + use<> {
        (0..self.hosts.len()).map(BotRef)
    }

    /// Whether a bot is an honest node that is up.
    #[must_use]
    pub fn is_up(&self, bot: BotRef) -> bool {
        matches!(self.hosts[bot.0].actor, Some(Actor::Node(_)))
    }

    /// What a bot does wrong, if it is a liar.
    #[must_use]
    pub fn lie(&self, bot: BotRef) -> Option<Lie> {
        self.hosts[bot.0].rest.lie
    }

    /// A bot's node.
    ///
    /// # Panics
    /// When the bot is down or a liar.
    #[must_use]
    pub fn node(&self, bot: BotRef) -> &Node {
        match &self.hosts[bot.0].actor {
            Some(Actor::Node(node)) => node,
            _ => panic!("bot {} is down or no node", bot.0),
        }
    }

    /// Makes `from` wish for a link to `to`.
    ///
    /// # Panics
    /// When `from` is down, or may not dial `to`.
    pub fn dial(&mut self, from: BotRef, to: BotRef) {
        let (now, peer, address) = (self.clock(from.0), identity(to.0).id(), to.0.to_string());
        match &mut self.hosts[from.0].actor {
            Some(Actor::Node(node)) => node.dial(now, peer, address).expect("the peer is a member"),
            Some(Actor::Puppet(puppet)) => puppet.dial(now, peer, address),
            None => panic!("bot {} is down", from.0),
        }
        self.drain(from.0);
    }

    /// Publishes a post.
    ///
    /// # Errors
    /// As [`Node::publish`].
    ///
    /// # Panics
    /// When the bot is down.
    pub fn publish(&mut self, bot: BotRef, body: &[u8]) -> Result<PostId, PublishError> {
        let now = self.clock(bot.0);
        let published = match &mut self.hosts[bot.0].actor {
            Some(Actor::Node(node)) => node.publish(now, body),
            Some(Actor::Puppet(puppet)) => Ok(puppet.publish(now, body).id()),
            None => panic!("bot {} is down", bot.0),
        };
        self.drain(bot.0);
        published
    }

    /// Does anything else with a node, at its own time, then carries out what it asks for.
    ///
    /// # Panics
    /// When the bot is down or a liar.
    pub fn with<T>(&mut self, bot: BotRef, act: impl FnOnce(&mut Node, Instant) -> T) -> T {
        let now = self.clock(bot.0);
        let Some(Actor::Node(node)) = &mut self.hosts[bot.0].actor else { panic!("bot {} is down or no node", bot.0) };
        let done = act(node, now);
        self.drain(bot.0);
        done
    }

    /// Makes a liar do or say anything, then carries it out.
    ///
    /// # Panics
    /// When the bot is down or honest.
    pub fn with_puppet<T>(&mut self, bot: BotRef, act: impl FnOnce(&mut Puppet, Instant) -> T) -> T {
        let now = self.clock(bot.0);
        let Some(Actor::Puppet(puppet)) = &mut self.hosts[bot.0].actor else { panic!("bot {} is no liar", bot.0) };
        let done = act(puppet, now);
        self.drain(bot.0);
        done
    }

    /// Cuts the network: bots named together reach each other, all others are one more island. Streams between islands stay
    /// open and carry nothing; dials fail.
    pub fn partition(&mut self, islands: &[&[BotRef]]) {
        self.islands.fill(0);
        for (at, island) in islands.iter().enumerate() {
            for bot in *island {
                self.islands[bot.0] = at + 1;
            }
        }
        self.wake_streams(|_| true);
    }

    /// Makes one direction carry nothing, or again everything; what waited arrives then. A dial needs both directions.
    pub fn set_blocked(&mut self, from: BotRef, to: BotRef, blocked: bool) {
        if blocked {
            self.blocked.insert((from.0, to.0));
        } else {
            self.blocked.remove(&(from.0, to.0));
            self.wake_streams(|stream| stream.ends.iter().any(|end| end.bot == to.0));
        }
    }

    /// Ends all partitions and blocks; what waited arrives.
    pub fn heal(&mut self) {
        self.islands.fill(0);
        self.blocked.clear();
        self.wake_streams(|_| true);
    }

    /// Stops `bot` from reading what `peer` sends, without telling anybody; or lets it read again.
    pub fn set_deaf(&mut self, bot: BotRef, peer: BotRef, deaf: bool) {
        if deaf {
            self.hosts[bot.0].deaf_to.insert(peer.0);
        } else {
            self.hosts[bot.0].deaf_to.remove(&peer.0);
            self.wake_streams(|stream| stream.ends.iter().any(|end| end.bot == bot.0));
        }
    }

    /// Stops a machine for a while, as a suspended laptop or a busy host does: it reads nothing, its timers do not fire, its
    /// clock runs on. What arrived meanwhile comes first when it goes on.
    pub fn pause(&mut self, bot: BotRef, span: Duration) {
        let until = self.hosts[bot.0].rest.paused_until.max(self.now + span);
        let host = &mut self.hosts[bot.0];
        (host.paused, host.rest.paused_until) = (true, until);
        self.schedule(until, Due::resume(bot.0));
    }

    /// Makes a host's clock jump; the node takes no step back with it.
    pub fn jump_clock(&mut self, bot: BotRef, by_ms: i64) {
        let now = self.now;
        self.hosts[bot.0].clock.jump(now, by_ms);
        self.rearm(bot.0);
    }

    /// Makes a host's clock run too fast or too slowly, by so many millionths.
    pub fn set_drift(&mut self, bot: BotRef, ppm: i32) {
        let now = self.now;
        self.hosts[bot.0].clock.set_drift(now, ppm);
        self.rearm(bot.0);
    }

    /// Kills a bot at once: what is not durable is lost, its streams break.
    pub fn crash(&mut self, bot: BotRef) {
        self.crash_at(bot, FaultPoint::Now);
    }

    /// Kills a bot when it gets to this point.
    pub fn crash_at(&mut self, bot: BotRef, point: FaultPoint) {
        if point != FaultPoint::Now {
            self.hosts[bot.0].rest.crash_at = Some(point);
            return;
        }
        self.power_off(bot.0);
    }

    /// Starts a bot that crashed, from its durable records, with a new seed; its wishes are to be made again.
    pub fn restart(&mut self, bot: BotRef) -> Restart {
        self.power_off(bot.0);
        let (seed, now) = (*self.random.secret(), self.clock(bot.0));
        let host = &mut self.hosts[bot.0];
        host.rest.seed = seed;
        host.rest.lives.push(host.rest.events.len());
        #[cfg(feature = "trace")]
        if !host.rest.reels.is_empty() {
            let reel = super::recordings::Reel::default();
            host.rest.config.recorder = Some(reel.recorder());
            host.rest.reels.push(reel);
        }
        let (config, own) = (host.rest.config.clone(), identity(bot.0));
        let mut outcome = Restart::Restored;
        let actor = match host.rest.lie {
            Some(lie) => Actor::Puppet(Box::new(Puppet::new(lie, config, &own, &seed, now))),
            None => {
                let records: Vec<Record> = host.rest.disk.values().cloned().collect();
                let node = Node::restore(config.clone(), &own, seed, now, records).unwrap_or_else(|error| {
                    host.rest.disk.clear();
                    outcome = Restart::FromNothing(error);
                    Node::new(config, &own, seed, now)
                });
                Actor::Node(Box::new(node))
            }
        };
        host.actor = Some(actor);
        self.note(Logged::Up(bot.0));
        self.drain(bot.0);
        outcome
    }

    /// Stops a bot in order: links are closed, and its snapshot is what it restarts from.
    ///
    /// # Panics
    /// When the bot is down.
    pub fn stop(&mut self, bot: BotRef) {
        let now = self.clock(bot.0);
        match &mut self.hosts[bot.0].actor {
            Some(Actor::Node(node)) => node.shut_down(now),
            Some(Actor::Puppet(puppet)) => puppet.shut_down(now),
            None => panic!("bot {} is down", bot.0),
        }
        self.drain(bot.0);
        if let Some(Actor::Node(node)) = &self.hosts[bot.0].actor {
            let snapshot = node.snapshot();
            self.hosts[bot.0].rest.disk = snapshot.into_iter().map(|record| (record.key.to_vec(), record)).collect();
        }
        self.power_off(bot.0);
    }

    /// Runs for a time.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.now + span);
    }

    /// The virtual time: the true one, whatever a bot's clock says.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Everything that a bot told its application, with the true time; crashes do not erase it.
    #[must_use]
    pub fn events(&self, bot: BotRef) -> &[(Instant, Event)] {
        &self.hosts[bot.0].rest.events
    }

    /// Keeps no events from now on, for runs that only count: see [`Node::stats`].
    pub fn keep_no_events(&mut self) {
        self.keeps_events = false;
        for host in &mut self.hosts {
            host.rest.events.clear();
            host.rest.lives = [0].into();
        }
    }

    /// The same, one list for each life: a crash or a stop ends one.
    pub fn lives(&self, bot: BotRef) -> impl Iterator<Item = &[(Instant, Event)]> {
        let host = &self.hosts[bot.0];
        let ends = host.rest.lives.iter().skip(1).copied().chain([host.rest.events.len()]);
        host.rest.lives.iter().zip(ends).map(|(from, to)| &host.rest.events[*from..to])
    }

    /// The posts that a bot was handed, in order.
    #[must_use]
    pub fn posts(&self, bot: BotRef) -> Vec<Post> {
        let posts = self.hosts[bot.0].rest.events.iter().filter_map(|(_, event)| match event {
            Event::Post { post, .. } => Some(post.clone()),
            _ => None,
        });
        posts.collect()
    }

    /// Bots that a bot has open links with.
    #[must_use]
    pub fn peers(&self, bot: BotRef) -> Vec<BotId> {
        match &self.hosts[bot.0].actor {
            Some(Actor::Node(node)) => {
                node.links().filter(|link| link.open_since.is_some()).filter_map(|link| link.peer).collect()
            }
            Some(Actor::Puppet(puppet)) => puppet.links().map(|(_, peer)| peer).collect(),
            None => Vec::new(),
        }
    }

    /// A hash of every output of every bot so far, with its time and bytes; zeros after [`Network::run_fast`].
    #[must_use]
    pub fn transcript(&self) -> [u8; 32] {
        self.transcript.as_ref().map_or([0; 32], |hash| hash.clone().finalize().into())
    }

    /// Writes into the log what a reader of its pictures should know.
    pub fn remark(&mut self, bot: BotRef, text: impl Into<String>) {
        self.note(Logged::Note { bot: bot.0, text: text.into(), good: None });
    }

    pub(super) fn note(&mut self, entry: Logged) {
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.add(now, entry);
        }
    }

    /// What a bot's clock says.
    pub(super) fn clock(&self, bot: usize) -> Instant {
        self.hosts[bot].clock.at(self.now)
    }

    pub(super) fn line_between(&self, from: usize, to: usize) -> Line {
        self.lines.get(&(from, to)).copied().unwrap_or(self.line)
    }

    /// Whether bytes get through in this direction.
    pub(super) fn carries(&self, from: usize, to: usize) -> bool {
        self.islands[from] == self.islands[to] && (self.blocked.is_empty() || !self.blocked.contains(&(from, to)))
    }

    pub(super) fn disk_latency(&mut self) -> Duration {
        self.disk.draw(&mut self.random)
    }
}

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").field("now", &self.now).field("bots", &self.hosts.len()).finish_non_exhaustive()
    }
}

fn seed_bytes(purpose: u8, seed: u64) -> [u8; 32] {
    let mut full = [purpose; 32];
    full[..8].copy_from_slice(&seed.to_be_bytes());
    full
}

fn identity(at: usize) -> Identity {
    let mut seed = [0xb0; 32];
    seed[..8].copy_from_slice(&(at as u64).to_be_bytes());
    Identity::from_seed(seed)
}

/// Says what a link id and a reason look like in a picture.
pub(super) fn closed_text(link: LinkId, reason: impl core::fmt::Display) -> String {
    format!("{link:?} closed: {reason}")
}
