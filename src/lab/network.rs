//! The network: bots, streams, a clock, and what goes wrong.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::time::Duration;

use sha2::{Digest, Sha256};

use super::pipe::{End, Pipe, Stream};
use crate::crypto::Random;
use crate::identity::{BotId, CommunityId, Identity};
use crate::link::Binding;
use crate::node::{Action, Config, Event, LinkId, Node, Output, PersistId, PublishError, Record};
use crate::overlay::{Post, PostId};
use crate::time::Instant;

/// A bot of a [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BotRef(usize);

struct Bot {
    seed: [u8; 32],
    config: Config,
    /// Nothing while it is down.
    node: Option<Node>,
    wake_at: Option<Instant>,
    /// Durable records, by key.
    disk: BTreeMap<Vec<u8>, Record>,
    /// Writes under way: when each is durable.
    writes: Vec<(Instant, PersistId, Record)>,
    events: Vec<(Instant, Event)>,
    /// Peers whose streams it does not read.
    deaf_to: BTreeSet<usize>,
    /// Dials that wait for the network: when each is answered.
    dials: Vec<(Instant, LinkId, usize)>,
}

/// Bots in virtual time.
pub struct Network {
    now: Instant,
    random: Random,
    bots: Vec<Bot>,
    streams: Vec<Stream>,
    latency: Duration,
    disk: Duration,
    /// Which island each bot is on; only bots of one island reach each other.
    islands: Vec<usize>,
    early: Option<Random>,
    transcript: Sha256,
}

impl Network {
    /// An empty network; all randomness comes from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut full = [0; 32];
        full[..8].copy_from_slice(&seed.to_be_bytes());
        Self {
            now: Instant::from_millis(1_000),
            random: Random::child(&full, "lab"),
            bots: Vec::new(),
            streams: Vec::new(),
            latency: Duration::from_millis(10),
            disk: Duration::from_millis(1),
            islands: Vec::new(),
            early: None,
            transcript: Sha256::new(),
        }
    }

    /// Sets the latency of everything sent from now on: 10 ms at first.
    pub fn set_latency(&mut self, latency: Duration) {
        self.latency = latency;
    }

    /// Sets how long a write takes to be durable: 1 ms at first.
    pub fn set_disk_latency(&mut self, latency: Duration) {
        self.disk = latency;
    }

    /// Wakes nodes also when they did not ask for it; no output may change by it.
    pub fn wake_early(&mut self, seed: u64) {
        let mut full = [1; 32];
        full[..8].copy_from_slice(&seed.to_be_bytes());
        self.early = Some(Random::child(&full, "early"));
    }

    /// Adds `count` bots that all know each other as members of the named community.
    pub fn add_members(&mut self, community: &str, count: usize) -> Vec<BotRef> {
        let first = self.bots.len();
        let ids = (first..first + count).map(|at| identity(at).id()).collect();
        let config = Config::new(CommunityId::from_name(community), ids);
        (0..count).map(|_| self.add(config.clone())).collect()
    }

    /// Adds one bot with a configuration of its own; its key follows from its place, see [`Network::identity_of`].
    pub fn add(&mut self, config: Config) -> BotRef {
        let at = self.bots.len();
        let seed = *self.random.secret();
        let node = Node::new(config.clone(), &identity(at), seed, self.now);
        self.bots.push(Bot {
            seed,
            config,
            node: Some(node),
            wake_at: None,
            disk: BTreeMap::new(),
            writes: Vec::new(),
            events: Vec::new(),
            deaf_to: BTreeSet::new(),
            dials: Vec::new(),
        });
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
        identity(bot.0).id()
    }

    /// A bot's node.
    ///
    /// # Panics
    /// When the bot is down.
    #[must_use]
    pub fn node(&self, bot: BotRef) -> &Node {
        self.bots[bot.0].node.as_ref().expect("the bot is up")
    }

    /// Makes `from` wish for a link to `to`.
    ///
    /// # Panics
    /// When `from` is down, or may not dial `to`.
    pub fn dial(&mut self, from: BotRef, to: BotRef) {
        let (now, peer) = (self.now, self.id(to));
        let node = self.bots[from.0].node.as_mut().expect("the bot is up");
        node.dial(now, peer, to.0.to_string()).expect("the peer is a member");
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
        let now = self.now;
        let published = self.bots[bot.0].node.as_mut().expect("the bot is up").publish(now, body);
        self.drain(bot.0);
        published
    }

    /// Does anything else with a node, then carries out what it asks for.
    ///
    /// # Panics
    /// When the bot is down.
    pub fn with<T>(&mut self, bot: BotRef, act: impl FnOnce(&mut Node, Instant) -> T) -> T {
        let now = self.now;
        let done = act(self.bots[bot.0].node.as_mut().expect("the bot is up"), now);
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
    }

    /// Ends all partitions; what waited arrives.
    pub fn heal(&mut self) {
        self.islands.fill(0);
    }

    /// Stops `bot` from reading what `peer` sends, without telling anybody; or lets it read again.
    pub fn set_deaf(&mut self, bot: BotRef, peer: BotRef, deaf: bool) {
        if deaf {
            self.bots[bot.0].deaf_to.insert(peer.0);
        } else {
            self.bots[bot.0].deaf_to.remove(&peer.0);
        }
    }

    /// Kills a bot: what is not durable is lost, its streams break.
    pub fn crash(&mut self, bot: BotRef) {
        let host = &mut self.bots[bot.0];
        host.node = None;
        host.wake_at = None;
        host.writes.clear();
        host.dials.clear();
        for at in 0..self.streams.len() {
            for side in 0..2 {
                if self.streams[at].ends[side].bot == bot.0 {
                    self.streams[at].ends[side].alive = false;
                    self.streams[at].pipes[side].backlog.clear();
                    self.streams[at].pipes[side].closing = true;
                }
            }
        }
    }

    /// Starts a bot that crashed, from its durable records, with a new seed; its wishes are to be made again.
    ///
    /// # Panics
    /// When the records cannot be read back, which is a defect.
    pub fn restart(&mut self, bot: BotRef) {
        self.bots[bot.0].seed = *self.random.secret();
        let host = &mut self.bots[bot.0];
        let records: Vec<Record> = host.disk.values().cloned().collect();
        let node = Node::restore(host.config.clone(), &identity(bot.0), host.seed, self.now, records);
        host.node = Some(node.expect("a node reads its own records"));
        self.drain(bot.0);
    }

    /// Stops a bot in order: links are closed, and its snapshot is what it restarts from.
    ///
    /// # Panics
    /// When the bot is down.
    pub fn stop(&mut self, bot: BotRef) {
        self.with(bot, Node::shut_down);
        let node = self.bots[bot.0].node.take().expect("the bot is up");
        self.bots[bot.0].disk = node.snapshot().into_iter().map(|record| (record.key.to_vec(), record)).collect();
        self.crash(bot);
    }

    /// Runs for a time.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(at) = self.next().filter(|at| *at <= end) {
            self.wake_some_early(at);
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    /// The virtual time.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Everything that a bot told its application, with the time; crashes do not erase it.
    #[must_use]
    pub fn events(&self, bot: BotRef) -> &[(Instant, Event)] {
        &self.bots[bot.0].events
    }

    /// The posts that a bot was handed, in order.
    #[must_use]
    pub fn posts(&self, bot: BotRef) -> Vec<Post> {
        let posts = self.bots[bot.0].events.iter().filter_map(|(_, event)| match event {
            Event::Post { post, .. } => Some(post.clone()),
            _ => None,
        });
        posts.collect()
    }

    /// Bots that a bot has open links with.
    #[must_use]
    pub fn peers(&self, bot: BotRef) -> Vec<BotId> {
        let links = self.bots[bot.0].node.iter().flat_map(Node::links);
        links.filter(|link| link.open_since.is_some()).filter_map(|link| link.peer).collect()
    }

    /// A hash of every output of every node so far, with its time and bytes.
    #[must_use]
    pub fn transcript(&self) -> [u8; 32] {
        self.transcript.clone().finalize().into()
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let bots = self.bots.iter().flat_map(|bot| {
            let writes = bot.writes.iter().map(|(at, ..)| *at);
            bot.wake_at.into_iter().chain(writes).chain(bot.dials.iter().map(|(at, ..)| *at))
        });
        let streams = self.streams.iter().flat_map(|stream| {
            (0..2).filter(|side| self.flows(stream, *side)).filter_map(|side| {
                let pipe = &stream.pipes[side];
                let end = (pipe.closing && pipe.is_empty() && stream.ends[1 - side].alive).then_some(pipe.last_arrival);
                pipe.under_way.front().map(|(at, _)| *at).or(end)
            })
        });
        bots.chain(streams).min()
    }

    /// Whether what this side wrote can be taken by the other.
    fn flows(&self, stream: &Stream, side: usize) -> bool {
        let (from, to) = (stream.ends[side], stream.ends[1 - side]);
        let deaf = self.bots[to.bot].deaf_to.contains(&from.bot);
        to.alive && !to.paused && !deaf && self.islands[from.bot] == self.islands[to.bot]
    }

    /// Does everything that is due now.
    fn step(&mut self) {
        let now = self.now;
        for at in 0..self.bots.len() {
            let due: Vec<_> = self.bots[at].writes.extract_if(.., |(when, ..)| *when <= now).collect();
            for (_, id, record) in due {
                self.bots[at].disk.insert(record.key.to_vec(), record);
                if let Some(node) = &mut self.bots[at].node {
                    node.persisted(now, id);
                }
                self.drain(at);
            }
            let due: Vec<_> = self.bots[at].dials.extract_if(.., |(when, ..)| *when <= now).collect();
            for (_, link, to) in due {
                self.connect(at, link, to);
            }
            if self.bots[at].wake_at.is_some_and(|when| when <= now) {
                if let Some(node) = &mut self.bots[at].node {
                    node.handle_timeout(now);
                }
                self.drain(at);
            }
        }
        for at in 0..self.streams.len() {
            for side in 0..2 {
                self.deliver(at, side);
            }
        }
        self.streams.retain(|stream| stream.ends.iter().any(|end| end.alive));
    }

    fn deliver(&mut self, at: usize, side: usize) {
        while self.flows(&self.streams[at], side) {
            let now = self.now;
            let to = self.streams[at].ends[1 - side];
            let pipe = &mut self.streams[at].pipes[side];
            let due = pipe.under_way.front().is_some_and(|(when, _)| *when <= now);
            if !due {
                if pipe.closing && pipe.is_empty() && pipe.last_arrival <= now {
                    self.streams[at].ends[1 - side].alive = false;
                    self.streams[at].pipes[1 - side].closing = true;
                    if let Some(node) = &mut self.bots[to.bot].node {
                        node.handle_ended(now, to.link);
                    }
                    self.drain(to.bot);
                }
                return;
            }
            let Some((_, bytes)) = pipe.under_way.pop_front() else { return };
            pipe.under_way_bytes -= bytes.len();
            // Streams have no borders: what was written at once may be read in pieces.
            let cut = usize::try_from(self.random.below(bytes.len() as u64 + 1)).unwrap_or(0);
            for piece in [&bytes[..cut], &bytes[cut..]] {
                if let Some(node) = &mut self.bots[to.bot].node {
                    node.handle_bytes(now, to.link, piece).expect("every input is drained");
                }
                self.drain(to.bot);
            }
            self.pump(at, side);
        }
    }

    fn pump(&mut self, at: usize, side: usize) {
        let (now, arrival) = (self.now, self.now + self.latency);
        let from = self.streams[at].ends[side];
        let accepted = self.streams[at].pipes[side].pump(arrival);
        if accepted > 0 && from.alive {
            if let Some(node) = &mut self.bots[from.bot].node {
                node.handle_written(now, from.link, accepted);
            }
            self.drain(from.bot);
        }
    }

    fn connect(&mut self, from: usize, link: LinkId, to: usize) {
        let now = self.now;
        let reachable = self.islands[from] == self.islands[to];
        let accepted = self.bots[to].node.as_mut().filter(|_| reachable);
        let accepted = accepted.and_then(|node| node.handle_accepted(now, Binding::None).ok());
        if let Some(other) = accepted {
            let ends = [(from, link), (to, other)].map(|(bot, link)| End { bot, link, alive: true, paused: false });
            self.streams.push(Stream { ends, pipes: [Pipe::default(), Pipe::default()] });
            self.drain(to);
            if let Some(node) = &mut self.bots[from].node {
                node.handle_dialled(now, link, Binding::None);
            }
        } else if let Some(node) = &mut self.bots[from].node {
            node.handle_ended(now, link);
        }
        self.drain(from);
    }

    /// Carries out what a node asks for, until it is idle.
    fn drain(&mut self, at: usize) {
        loop {
            let Some(node) = &mut self.bots[at].node else { return };
            let action = match node.poll() {
                Output::Do(action) => action,
                Output::Idle { wake_at } => {
                    self.bots[at].wake_at = wake_at;
                    return;
                }
            };
            let line = match &action {
                Action::Send { link, bytes } => format!("{at} {:?} send {link:?} {bytes:x}\n", self.now),
                other => format!("{at} {:?} {other:?}\n", self.now),
            };
            self.transcript.update(line.as_bytes());
            self.carry_out(at, action);
        }
    }

    fn carry_out(&mut self, at: usize, action: Action) {
        match action {
            Action::Send { link, bytes } => {
                if let Some((stream, side)) = self.find(at, link) {
                    self.streams[stream].pipes[side].backlog.push_back(bytes);
                    self.pump(stream, side);
                }
            }
            Action::CloseLink { link } => {
                self.bots[at].dials.retain(|(_, dialled, _)| *dialled != link);
                if let Some((stream, side)) = self.find(at, link) {
                    self.streams[stream].ends[side].alive = false;
                    self.streams[stream].pipes[side].closing = true;
                    let (arrival, pipe) = (self.now + self.latency, &mut self.streams[stream].pipes[side]);
                    pipe.last_arrival = pipe.last_arrival.max(arrival);
                }
            }
            Action::Dial { link, address, .. } => {
                let to = address.parse().expect("addresses are places in the network");
                self.bots[at].dials.push((self.now + self.latency, link, to));
            }
            Action::PauseReading { link } => self.set_paused(at, link, true),
            Action::ResumeReading { link } => self.set_paused(at, link, false),
            Action::Persist { id, record } => self.bots[at].writes.push((self.now + self.disk, id, record)),
            Action::Notify(event) => self.bots[at].events.push((self.now, event)),
        }
    }

    fn set_paused(&mut self, at: usize, link: LinkId, paused: bool) {
        if let Some((stream, side)) = self.find(at, link) {
            self.streams[stream].ends[side].paused = paused;
        }
    }

    fn find(&self, bot: usize, link: LinkId) -> Option<(usize, usize)> {
        self.streams.iter().enumerate().find_map(|(at, stream)| {
            let side = stream.ends.iter().position(|end| end.alive && end.bot == bot && end.link == link)?;
            Some((at, side))
        })
    }

    fn wake_some_early(&mut self, before: Instant) {
        let Some(early) = &mut self.early else { return };
        let span = before.as_nanos().saturating_sub(self.now.as_nanos());
        let (at, when) = (early.below(self.bots.len() as u64), self.now.as_nanos() + early.below(span.max(1)));
        let at = usize::try_from(at).unwrap_or(0);
        if let Some(node) = &mut self.bots[at].node {
            node.handle_timeout(Instant::from_nanos(when));
        }
        self.drain(at);
    }
}

impl core::fmt::Debug for Network {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Network").field("now", &self.now).field("bots", &self.bots.len()).finish_non_exhaustive()
    }
}

fn identity(at: usize) -> Identity {
    let mut seed = [0xb0; 32];
    seed[..8].copy_from_slice(&(at as u64).to_be_bytes());
    Identity::from_seed(seed)
}
