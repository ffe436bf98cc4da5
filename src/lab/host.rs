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

pub(super) struct Host {
    pub(super) seed: [u8; 32],
    /// Apart, because it is seldom looked at.
    pub(super) config: Box<Config>,
    /// Nothing while it is down.
    pub(super) actor: Option<Actor>,
    pub(super) lie: Option<Lie>,
    pub(super) clock: HostClock,
    /// When the bot wants to be woken, in true time, and for when an event stands in the queue.
    pub(super) wake_at: Option<Instant>,
    pub(super) armed: Option<Instant>,
    /// Durable records, by key.
    pub(super) disk: BTreeMap<Vec<u8>, Record>,
    /// Writes under way: when each is durable.
    pub(super) writes: Vec<(Instant, PersistId, Record)>,
    /// Dials that wait for the network: when each is answered.
    pub(super) dials: Vec<(Instant, LinkId, usize)>,
    /// Where its links' streams are.
    pub(super) wires: BTreeMap<LinkId, (usize, usize)>,
    pub(super) events: Vec<(Instant, Event)>,
    /// Peers whose streams it does not read.
    pub(super) deaf_to: BTreeSet<usize>,
    /// Nobody gets it to do anything until then.
    pub(super) paused: bool,
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
        Self {
            seed,
            config: Box::new(config),
            actor: Some(actor),
            lie,
            clock: HostClock::default(),
            wake_at: None,
            armed: None,
            disk: BTreeMap::new(),
            writes: Vec::new(),
            dials: Vec::new(),
            wires: BTreeMap::new(),
            events: Vec::new(),
            deaf_to: BTreeSet::new(),
            paused: false,
            paused_until: Instant::ZERO,
            crash_at: None,
            #[cfg(feature = "trace")]
            reels: Vec::new(),
            lives: [0].into(),
        }
    }

    /// Forgets what a machine forgets when its power goes.
    pub(super) fn power_off(&mut self) {
        self.actor = None;
        self.wake_at = None;
        self.writes.clear();
        self.dials.clear();
        self.wires.clear();
        self.paused = false;
        self.paused_until = Instant::ZERO;
        self.crash_at = None;
    }

    /// Makes a record durable, or a part of it.
    pub(super) fn store(&mut self, mut record: Record, bytes: usize) {
        record.value.truncate(bytes);
        self.disk.insert(record.key.to_vec(), record);
    }
}
