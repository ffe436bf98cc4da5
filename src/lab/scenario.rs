//! A scenario: a community, what goes wrong in it, and what must hold all the same; plain data, for a file or a test.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::checks::Check;
use super::line::{Latency, Line};
use super::puppet::Lie;
use super::schedule::{Act, Faults, Schedule};
use crate::crypto::Random;

/// Who dials whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Shape {
    /// A tree whose bots have so many children.
    Tree {
        /// How many.
        children: usize,
    },
    /// Everybody dials the first.
    Star,
    /// Each dials the one before.
    Chain,
    /// A chain whose ends are linked.
    Ring,
}

impl Shape {
    /// Whom the bot at this place dials.
    pub(super) fn dials(self, at: usize, bots: usize) -> Option<usize> {
        match self {
            Self::Tree { children } => (at > 0).then(|| (at - 1) / children.max(1)),
            Self::Star => (at > 0).then_some(0),
            Self::Chain => at.checked_sub(1),
            Self::Ring => (bots > 1).then(|| (at + bots - 1) % bots),
        }
    }
}

/// Posts at random times, of random honest bots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posts {
    /// How many in all.
    pub count: u32,
    /// Size of each body.
    pub bytes: usize,
}

/// A hostile member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liar {
    /// Its place.
    pub bot: usize,
    /// What it does.
    pub lie: Lie,
}

/// A defect that is put into the simulator on purpose, to see whether it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Planted {
    /// Hosts say that a record is durable before it is.
    ConfirmsEarly,
    /// A machine panics at the third step.
    Panics,
}

/// What is simulated, for how long, and what must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is about, for people.
    #[serde(default)]
    pub about: String,
    /// How many bots, liars included.
    pub bots: usize,
    /// Who dials whom.
    pub shape: Shape,
    /// What all lines are like.
    #[serde(default)]
    pub line: Line,
    /// Milliseconds until a write is durable.
    #[serde(default = "one")]
    pub disk_ms: u64,
    /// For how long things happen; steps of the schedule may come later.
    pub seconds: u64,
    /// For how long nothing goes wrong any more before the checks are made.
    #[serde(default = "settle")]
    pub settle_seconds: u64,
    /// Posts at random times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posts: Option<Posts>,
    /// How many posts a second a bot takes from a link; what a node takes by itself when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub posts_budget: Option<u32>,
    /// Faults at random times.
    #[serde(default)]
    pub faults: Faults,
    /// What happens in every run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Hostile members.
    #[serde(default)]
    pub liars: Vec<Liar>,
    /// What must hold.
    pub checks: Vec<Check>,
    /// Real signatures and ciphers, in place of [`ToyCrypto`](super::ToyCrypto).
    #[serde(default)]
    pub real_crypto: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) planted: Option<Planted>,
}

const fn one() -> u64 {
    1
}

const fn settle() -> u64 {
    900
}

/// Why a scenario cannot be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is {value}: {allowed}")]
#[non_exhaustive]
pub struct ScenarioError {
    /// What is wrong, as it is named in the file.
    pub key: String,
    /// What it says.
    pub value: String,
    /// What may stand there.
    pub allowed: String,
}

impl Scenario {
    /// Most bots of a scenario; a million of idle ones fit 16 GiB.
    pub const MAX_BOTS: usize = 1_000_000;
    /// Longest time, in seconds: a year.
    pub const MAX_SECONDS: u64 = 366 * 24 * 3600;

    /// An honest tree of so many bots in which nothing goes wrong; everything can be changed.
    #[must_use]
    pub fn new(bots: usize) -> Self {
        Self {
            about: String::new(),
            bots,
            shape: Shape::Tree { children: 2 },
            line: Line::default(),
            disk_ms: one(),
            seconds: 60,
            settle_seconds: settle(),
            posts: Some(Posts { count: 20, bytes: 100 }),
            posts_budget: None,
            faults: Faults::default(),
            schedule: Schedule::default(),
            liars: Vec::new(),
            checks: Check::ALWAYS.to_vec(),
            real_crypto: false,
            planted: None,
        }
    }

    /// Checks that every value makes sense.
    ///
    /// # Errors
    /// [`ScenarioError`], with the key, the value and what is allowed.
    pub fn validate(&self) -> Result<(), ScenarioError> {
        let number = |key: &str, value: u64, least: u64, most: u64| {
            let allowed = || format!("allowed is {least} to {most}");
            if (least..=most).contains(&value) { Ok(()) } else { Err(wrong(key, value, allowed())) }
        };
        let bot = |key: &str, value: usize| number(key, value as u64, 0, self.bots.saturating_sub(1) as u64);
        number("bots", self.bots as u64, 1, Self::MAX_BOTS as u64)?;
        number("seconds", self.seconds, 1, Self::MAX_SECONDS)?;
        number("settle_seconds", self.settle_seconds, 0, Self::MAX_SECONDS)?;
        number("disk_ms", self.disk_ms, 0, 60_000)?;
        number("line.capacity_bytes", self.line.capacity_bytes as u64, 1, 1 << 30)?;
        check_latency("line.latency", self.line.latency)?;
        if let Some(rate) = self.line.bytes_per_second {
            number("line.bytes_per_second", u64::from(rate), 1, u64::from(u32::MAX))?;
        }
        if let Shape::Tree { children } = self.shape {
            number("shape.tree.children", children as u64, 1, 32)?;
        }
        if let (Shape::Star, true) = (self.shape, self.bots > 33) {
            return Err(wrong("shape", "star", "a bot takes 32 children, so a star has at most 33 bots".to_string()));
        }
        if let Some(posts) = self.posts {
            number("posts.count", u64::from(posts.count), 0, 1_000_000)?;
            number("posts.bytes", posts.bytes as u64, 0, crate::overlay::MAX_POST_BODY as u64)?;
        }
        let f = &self.faults;
        for (name, count) in [
            ("crashes", f.crashes),
            ("partitions", f.partitions),
            ("blocks", f.blocks),
            ("pauses", f.pauses),
            ("clock_jumps", f.clock_jumps),
            ("drifts", f.drifts),
        ] {
            number(&format!("faults.{name}"), u64::from(count), 0, 10_000)?;
        }
        if let Some(rate) = self.posts_budget {
            number("posts_budget", u64::from(rate), 1, 1_000_000)?;
        }
        if self.checks.is_empty() {
            return Err(wrong("checks", "empty", "name at least one check, or nothing is looked at".to_string()));
        }
        for (at, liar) in self.liars.iter().enumerate() {
            bot(&format!("liars[{at}].bot"), liar.bot)?;
            let key = |name: &str| format!("liars[{at}].lie.{name}");
            match liar.lie {
                Lie::Flooder { posts_per_second } => {
                    number(&key("flooder.posts_per_second"), u64::from(posts_per_second), 1, 10_000)?;
                }
                Lie::SelectiveForwarder { drops_one_in } => {
                    number(&key("selective_forwarder.drops_one_in"), u64::from(drops_one_in), 1, u64::from(u32::MAX))?;
                }
                _ => {}
            }
            if self.liars[..at].iter().any(|other| other.bot == liar.bot) {
                let allowed = "a bot tells one lie".to_string();
                return Err(wrong(&format!("liars[{at}].bot"), liar.bot, allowed));
            }
        }
        if self.liars.len() == self.bots {
            return Err(wrong("liars", self.bots, "at least one bot is honest, or nothing can be checked".to_string()));
        }
        self.check_schedule(&self.schedule)
    }

    /// Checks a schedule that is to be run in place of this scenario's own.
    ///
    /// # Errors
    /// [`ScenarioError`], as from [`Scenario::validate`].
    pub fn check_schedule(&self, schedule: &Schedule) -> Result<(), ScenarioError> {
        for (at, step) in schedule.steps.iter().enumerate() {
            let key = |name: &str| format!("schedule[{at}].{name}");
            if step.at_ms > Self::MAX_SECONDS * 1000 {
                return Err(wrong(&key("at_ms"), step.at_ms, format!("allowed is 0 to {}", Self::MAX_SECONDS * 1000)));
            }
            if let Some(bot) = step.act.bots().into_iter().find(|bot| *bot >= self.bots) {
                let allowed = format!("allowed is 0 to {}", self.bots.saturating_sub(1));
                return Err(wrong(&key("do.bot"), bot, allowed));
            }
            let within = |name: &str, value: i64, most: i64| {
                let allowed = format!("allowed is {} to {most}", if value < 0 { -most } else { 0 });
                if value.unsigned_abs() <= most.unsigned_abs() {
                    Ok(())
                } else {
                    Err(wrong(&key(name), value, allowed))
                }
            };
            let most_ms = (Self::MAX_SECONDS * 1000).cast_signed();
            let span = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
            match &step.act {
                Act::JumpClock { ms, .. } => within("do.jump_clock.ms", *ms, most_ms)?,
                Act::Drift { ppm, .. } => within("do.drift.ppm", i64::from(*ppm), 900_000)?,
                Act::Pause { ms, .. } => within("do.pause.ms", span(*ms), most_ms)?,
                Act::Disk { ms } => within("do.disk.ms", span(*ms), 60_000)?,
                Act::Block { from, to } if from == to => {
                    return Err(wrong(&key("do.block.to"), to, "a bot has no line to itself".to_string()));
                }
                Act::Partition { islands } => {
                    let mut seen = alloc::collections::BTreeSet::new();
                    if let Some(twice) = islands.iter().flatten().find(|bot| !seen.insert(**bot)) {
                        return Err(wrong(&key("do.partition"), twice, "a bot is on one island".to_string()));
                    }
                }
                Act::Latency { line } => check_latency(&key("do.latency.line"), *line)?,
                Act::Publish { bytes, .. } if *bytes > crate::overlay::MAX_POST_BODY => {
                    let allowed = format!("allowed is 0 to {}", crate::overlay::MAX_POST_BODY);
                    return Err(wrong(&key("do.publish.bytes"), bytes, allowed));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Everything that happens in the run of this seed: the fixed steps, posts and faults.
    #[must_use]
    pub fn draw(&self, seed: u64) -> Schedule {
        let mut full = [0x5c; 32];
        full[..8].copy_from_slice(&seed.to_be_bytes());
        let random = &mut Random::child(&full, "scenario");
        let (mut schedule, span_ms) = (self.schedule.clone(), self.seconds * 1000);
        schedule.add_faults(&self.faults, self.bots, span_ms, random);
        let honest: Vec<usize> = (0..self.bots).filter(|bot| self.lie_of(*bot).is_none()).collect();
        if let (Some(posts), false) = (self.posts, honest.is_empty()) {
            for _ in 0..posts.count {
                let bot = honest[usize::try_from(random.below(honest.len() as u64)).unwrap_or(0)];
                schedule.push(random.below(span_ms), Act::Publish { bot, bytes: posts.bytes });
            }
        }
        // An equivocator lies by publishing.
        for liar in self.liars.iter().filter(|liar| liar.lie == Lie::Equivocator) {
            for _ in 0..self.posts.map_or(0, |posts| posts.count.div_ceil(4)) {
                schedule.push(random.below(span_ms), Act::Publish { bot: liar.bot, bytes: 16 });
            }
        }
        schedule.sort();
        schedule
    }

    pub(super) fn lie_of(&self, bot: usize) -> Option<Lie> {
        self.liars.iter().find(|liar| liar.bot == bot).map(|liar| liar.lie)
    }
}

fn wrong(key: &str, value: impl ToString, allowed: String) -> ScenarioError {
    ScenarioError { key: key.to_string(), value: value.to_string(), allowed }
}

fn check_latency(key: &str, latency: Latency) -> Result<(), ScenarioError> {
    const MOST: u64 = 600_000;
    let (values, ordered) = match latency {
        Latency::Fixed { ms } => ([ms, 0], true),
        Latency::Between { min_ms, max_ms } => ([min_ms, max_ms], min_ms <= max_ms),
        Latency::LongTail { ms, rare_ms, one_in } => ([ms, rare_ms], one_in > 0),
    };
    if let Some(ms) = values.into_iter().find(|ms| *ms > MOST) {
        return Err(wrong(key, format!("{ms} ms"), format!("allowed is at most {MOST} ms")));
    }
    if !ordered {
        let allowed = "min_ms is at most max_ms, and one_in at least 1".to_string();
        return Err(wrong(key, format!("{latency:?}"), allowed));
    }
    Ok(())
}
