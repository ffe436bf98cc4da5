//! One bot's machine: its disk, its clock, its crashes.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::clock::HostClock;
use super::puppet::{Actor, Lie};
use crate::node::{Config, Event, LinkId, PersistId, Record};
use crate::time::Instant;

/// Where a crash strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultPoint {
    /// At once: what is not durable is lost.
    Now,
    /// At the next write, which never reaches the disk.
    BeforePersist,
    /// When the next write is durable, before the bot is told so and sends what waited for it.
    AfterPersist,
    /// In the middle of the next write: a part of the record is on the disk.
    TornRecord,
}

/// How a bot came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restart {
    /// With its records.
    Restored,
    /// Its records were damaged; it threw them away, as the host's book says, and is a new stream to the others.
    FromNothing(crate::node::RestoreError),
}

/// What every delivery looks at; the rest is apart, so that a thousand hosts stay in the cache.
pub(super) struct Host {
    /// Nothing while it is down.
    pub(super) actor: Option<Actor>,
    pub(super) clock: HostClock,
    /// When the bot wants to be woken, in true time, and for when an event stands in the queue.
    pub(super) wake_at: Option<Instant>,
    pub(super) armed: Option<Instant>,
    pub(super) wires: Wires,
    /// Peers whose streams it does not read.
    pub(super) deaf_to: BTreeSet<usize>,
    /// Nobody gets it to do anything while it is.
    pub(super) paused: bool,
    pub(super) rest: Box<Rest>,
}

/// What is seldom looked at.
pub(super) struct Rest {
    pub(super) seed: [u8; 32],
    pub(super) config: Config,
    pub(super) lie: Option<Lie>,
    /// Durable records, by key.
    pub(super) disk: BTreeMap<Vec<u8>, Record>,
    /// Writes under way: when each is durable.
    pub(super) writes: Vec<(Instant, PersistId, Record)>,
    /// Dials that wait for the network: when each is answered.
    pub(super) dials: Vec<(Instant, LinkId, usize)>,
    pub(super) events: Vec<(Instant, Event)>,
    pub(super) paused_until: Instant,
    pub(super) crash_at: Option<FaultPoint>,
    /// The recordings of its lives, where they are kept.
    #[cfg(feature = "trace")]
    pub(super) reels: Vec<super::recordings::Reel>,
    /// Where in its events each life began.
    pub(super) lives: Vec<usize>,
}

impl Host {
    pub(super) fn new(seed: [u8; 32], config: Config, lie: Option<Lie>, actor: Actor) -> Self {
        let rest = Rest {
            seed,
            config,
            lie,
            disk: BTreeMap::new(),
            writes: Vec::new(),
            dials: Vec::new(),
            events: Vec::new(),
            paused_until: Instant::ZERO,
            crash_at: None,
            #[cfg(feature = "trace")]
            reels: Vec::new(),
            lives: [0].into(),
        };
        Self {
            actor: Some(actor),
            clock: HostClock::default(),
            wake_at: None,
            armed: None,
            wires: Wires::default(),
            deaf_to: BTreeSet::new(),
            paused: false,
            rest: Box::new(rest),
        }
    }

    /// Forgets what a machine forgets when its power goes.
    pub(super) fn power_off(&mut self) {
        self.actor = None;
        self.wake_at = None;
        self.wires = Wires::default();
        self.paused = false;
        self.rest.writes.clear();
        self.rest.dials.clear();
        self.rest.paused_until = Instant::ZERO;
        self.rest.crash_at = None;
    }

    /// Makes a record durable, or a part of it.
    pub(super) fn store(&mut self, mut record: Record, bytes: usize) {
        record.value.truncate(bytes);
        self.rest.disk.insert(record.key.to_vec(), record);
    }
}

/// Where the streams of a bot's links are: place and side, by link.
#[derive(Default)]
pub(super) struct Wires(Vec<(LinkId, usize, usize)>);

impl Wires {
    pub(super) fn get(&self, link: LinkId) -> Option<(usize, usize)> {
        self.find(link).ok().map(|at| (self.0[at].1, self.0[at].2))
    }

    pub(super) fn insert(&mut self, link: LinkId, stream: usize, side: usize) {
        if let Err(at) = self.find(link) {
            self.0.insert(at, (link, stream, side));
        }
    }

    pub(super) fn remove(&mut self, link: LinkId) -> Option<(usize, usize)> {
        let at = self.find(link).ok()?;
        let (_, stream, side) = self.0.remove(at);
        Some((stream, side))
    }

    pub(super) fn into_streams(self) -> impl Iterator<Item = (usize, usize)> {
        self.0.into_iter().map(|(_, stream, side)| (stream, side))
    }

    fn find(&self, link: LinkId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&link, |(other, ..)| *other)
    }
}
