//! What happens in a run and when, as plain data: to be drawn from a seed, kept in a file, and made smaller.

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::host::FaultPoint;
use super::line::Latency;
use crate::crypto::Random;

/// One thing that is done to the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Act {
    /// A bot publishes a post; one that is down or busy does not.
    Publish {
        /// Its place.
        bot: usize,
        /// Size of the body.
        bytes: usize,
    },
    /// A bot crashes.
    Crash {
        /// Its place.
        bot: usize,
        /// Where.
        point: FaultPoint,
    },
    /// A bot starts again from its records and makes its wishes; one that is up is not touched.
    Restart {
        /// Its place.
        bot: usize,
    },
    /// A bot is stopped in order.
    Stop {
        /// Its place.
        bot: usize,
    },
    /// The network falls into islands; who is not named is on one more.
    Partition {
        /// The places of the bots on each.
        islands: Vec<Vec<usize>>,
    },
    /// One direction carries nothing.
    Block {
        /// Whose bytes.
        from: usize,
        /// Who misses them.
        to: usize,
    },
    /// All partitions and blocks end.
    Heal,
    /// A machine stands still.
    Pause {
        /// Its place.
        bot: usize,
        /// For how long.
        ms: u64,
    },
    /// A host's clock jumps, forward or back.
    JumpClock {
        /// Its place.
        bot: usize,
        /// By how much.
        ms: i64,
    },
    /// A host's clock gains so many millionths, or loses them.
    Drift {
        /// Its place.
        bot: usize,
        /// How much.
        ppm: i32,
    },
    /// All lines have another latency.
    Latency {
        /// Which.
        line: Latency,
    },
    /// All disks have another latency.
    Disk {
        /// Milliseconds until a write is durable.
        ms: u64,
    },
}

impl Act {
    /// The bots that it names.
    pub(super) fn bots(&self) -> Vec<usize> {
        match self {
            Self::Publish { bot, .. }
            | Self::Crash { bot, .. }
            | Self::Restart { bot }
            | Self::Stop { bot }
            | Self::Pause { bot, .. }
            | Self::JumpClock { bot, .. }
            | Self::Drift { bot, .. } => [*bot].into(),
            Self::Block { from, to } => [*from, *to].into(),
            Self::Partition { islands } => islands.iter().flatten().copied().collect(),
            Self::Heal | Self::Latency { .. } | Self::Disk { .. } => Vec::new(),
        }
    }
}

/// An act and its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Milliseconds after the bots had time to link up.
    pub at_ms: u64,
    /// What is done.
    #[serde(rename = "do")]
    pub act: Act,
}

/// How much of what goes wrong, at random times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Bots that crash, at any fault point, and start again within half a minute.
    pub crashes: u32,
    /// Times that the network falls into two, for up to a minute.
    pub partitions: u32,
    /// Directions that carry nothing, for up to a minute.
    pub blocks: u32,
    /// Machines that stand still, for up to two minutes.
    pub pauses: u32,
    /// Clocks that jump: up to an hour forward, up to five minutes back. A node stands still until a clock that jumped back has
    /// caught up, so back is dearer than forward.
    pub clock_jumps: u32,
    /// Clocks that are wrong by up to a tenth.
    pub drifts: u32,
}

/// What happens, in the order of its time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Schedule {
    /// The steps; those of one time are done in this order.
    pub steps: Vec<Step>,
}

impl Schedule {
    /// Brings the steps into the order of their times.
    pub fn sort(&mut self) {
        self.steps.sort_by_key(|step| step.at_ms);
    }

    pub(super) fn push(&mut self, at_ms: u64, act: Act) {
        self.steps.push(Step { at_ms, act });
    }

    /// Adds random faults of `bots` bots within `span_ms`.
    pub(super) fn add_faults(&mut self, faults: &Faults, bots: usize, span_ms: u64, random: &mut Random) {
        let place = |random: &mut Random| usize::try_from(random.below(bots as u64)).unwrap_or(0);
        for _ in 0..faults.crashes {
            let (bot, at) = (place(random), random.below(span_ms));
            let points = [FaultPoint::Now, FaultPoint::BeforePersist, FaultPoint::AfterPersist, FaultPoint::TornRecord];
            let point = points[usize::try_from(random.below(4)).unwrap_or(0)];
            self.push(at, Act::Crash { bot, point });
            self.push(at + random.below(30_000), Act::Restart { bot });
        }
        for _ in 0..faults.partitions {
            let at = random.below(span_ms);
            let island = (0..bots).filter(|_| random.below(2) == 0).collect();
            self.push(at, Act::Partition { islands: [island].into() });
            self.push(at + random.below(60_000), Act::Heal);
        }
        for _ in 0..faults.blocks {
            let (from, to, at) = (place(random), place(random), random.below(span_ms));
            // A bot alone has nobody to be cut off from.
            if bots > 1 {
                self.push(at, Act::Block { from, to: if to == from { (to + 1) % bots } else { to } });
                self.push(at + random.below(60_000), Act::Heal);
            }
        }
        for _ in 0..faults.pauses {
            self.push(random.below(span_ms), Act::Pause { bot: place(random), ms: random.below(120_000) });
        }
        for _ in 0..faults.clock_jumps {
            let ms = i64::try_from(random.below(3_900_000)).unwrap_or(0) - 300_000;
            self.push(random.below(span_ms), Act::JumpClock { bot: place(random), ms });
        }
        for _ in 0..faults.drifts {
            let ppm = i32::try_from(random.below(200_000)).unwrap_or(0) - 100_000;
            self.push(random.below(span_ms), Act::Drift { bot: place(random), ppm });
        }
    }

    /// The smallest schedule found that still fails, by leaving out ever smaller parts (ddmin, Zeller and Hildebrandt 2002)
    /// and then making the times round. `fails` is asked at most `tries` times.
    #[must_use]
    pub fn shrink(&self, tries: usize, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let (mut best, mut left) = (self.clone(), tries);
        let mut still_fails = |candidate: &Self, left: &mut usize| {
            *left = left.saturating_sub(1);
            fails(candidate)
        };
        let mut part = best.steps.len().div_ceil(2);
        while part > 0 && left > 0 {
            let (mut from, mut smaller) = (0, false);
            while from < best.steps.len() && left > 0 {
                let mut candidate = best.clone();
                candidate.steps.drain(from..(from + part).min(best.steps.len()));
                if still_fails(&candidate, &mut left) {
                    (best, smaller) = (candidate, true);
                } else {
                    from += part;
                }
            }
            if !smaller || part > best.steps.len() {
                part /= 2;
            }
        }
        for unit in [10_000, 1_000, 100, 10] {
            for at in 0..best.steps.len() {
                let mut candidate = best.clone();
                candidate.steps[at].at_ms -= candidate.steps[at].at_ms % unit;
                candidate.sort();
                if candidate != best && left > 0 && still_fails(&candidate, &mut left) {
                    best = candidate;
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_shrinks_to_what_fails() {
        let mut schedule = Schedule::default();
        for n in 0..100 {
            schedule.push(n * 137, Act::Publish { bot: 1, bytes: n as usize });
        }
        let needs = |schedule: &Schedule, bytes| {
            schedule.steps.iter().any(|step| matches!(step.act, Act::Publish { bytes: b, .. } if b == bytes))
        };
        let mut asked = 0;
        let small = schedule.shrink(1_000, |schedule| {
            asked += 1;
            needs(schedule, 17) && needs(schedule, 83)
        });
        let bytes: Vec<u64> = small.steps.iter().map(|step| step.at_ms).collect();
        assert_eq!((small.steps.len(), bytes), (2, [0, 10_000].into()), "{small:?}");
        assert!(asked < 200, "{asked}");
        assert_eq!(schedule.shrink(0, |_| true), schedule);
    }

    #[test]
    fn random_faults_repeat_and_name_bots_that_exist() {
        let faults = Faults { crashes: 9, partitions: 3, blocks: 3, pauses: 3, clock_jumps: 3, drifts: 3 };
        let draw = |seed| {
            let mut schedule = Schedule::default();
            schedule.add_faults(&faults, 5, 60_000, &mut Random::child(&[seed; 32], "schedule"));
            schedule
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        assert!(draw(1).steps.iter().flat_map(|step| step.act.bots()).all(|bot| bot < 5));
        let text = serde_json::to_string(&draw(1)).expect("plain data");
        assert_eq!(serde_json::from_str::<Schedule>(&text).expect("its own text"), draw(1));
    }
}
