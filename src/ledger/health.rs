//! Whether a community can still decide anything, and whom it waits for.

use alloc::vec::Vec;
use core::fmt;

use super::roster::{Member, Roster};
use super::rules::{DecidedBy, Numbers, Rules};
use crate::identity::BotId;

/// Whether enough active members are there for the next round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// By the roster and the rules.
    pub numbers: Numbers,
    /// Active members that are there.
    pub alive: u32,
    /// How many of those may go before nothing is decided any more.
    pub may_be_absent: u32,
    /// What is missing, if nothing can be decided now.
    pub blocked: Option<Blocked>,
}

/// Fewer active members are there than a quorum: no round ends until some of the others are back.
///
/// There is no automatic way out. Dormant members cannot mend it, as to wake takes a round; neither can a new key for an old
/// one, as that takes a vote: when too many keys are lost, the community is founded again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// q.
    pub need: u32,
    /// Active members that are there.
    pub have: u32,
    /// The other active members, by key.
    pub waiting_for: Vec<BotId>,
}

impl core::error::Error for Blocked {}

impl fmt::Display for Blocked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { need, have, waiting_for } = self;
        write!(f, "blocked: need {need}, have {have}, waiting for ")?;
        let missing = need.saturating_sub(*have);
        let keys = if waiting_for.len() == 1 { "that key is" } else { "their keys are" };
        if (missing as usize) < waiting_for.len() {
            write!(f, "{missing} of ")?;
        }
        write!(f, "{}; if {keys} lost, the community must be founded again", Names(waiting_for))
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.blocked {
            Some(blocked) => blocked.fmt(f),
            None => {
                let (alive, active, quorum) = (self.alive, self.numbers.active, self.numbers.quorum);
                write!(f, "{alive} of {active} active members are there, {quorum} are needed: ")?;
                match self.may_be_absent {
                    0 => f.write_str("nobody more may be absent"),
                    spare => write!(f, "{spare} more may be absent"),
                }
            }
        }
    }
}

/// Says how a community is when those are there that answered in the last round.
#[must_use]
pub fn health(roster: &Roster, rules: &Rules) -> Health {
    health_when(roster, rules, |member| member.strikes == 0)
}

/// Says how a community is when those are there that `is_alive` says; only active members are asked for.
///
/// Where each owner decides, there are no rounds and nothing is ever blocked.
#[must_use]
pub fn health_when(roster: &Roster, rules: &Rules, is_alive: impl Fn(&Member) -> bool) -> Health {
    let numbers = rules.numbers(roster.active_len());
    let waiting_for: Vec<_> = roster.active().filter(|member| !is_alive(member)).map(|member| member.key).collect();
    let alive = numbers.active.saturating_sub(u32::try_from(waiting_for.len()).unwrap_or(u32::MAX));
    let is_blocked = rules.decided_by == DecidedBy::Rounds && alive < numbers.quorum;
    let blocked = is_blocked.then_some(Blocked { need: numbers.quorum, have: alive, waiting_for });
    Health { numbers, alive, may_be_absent: alive.saturating_sub(numbers.quorum), blocked }
}

/// Most names that a sentence lists.
const NAMES: usize = 8;

/// Bots as logs show them, with commas; of many the first eight.
pub(super) struct Names<'a>(pub(super) &'a [BotId]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, name) in self.0.iter().take(NAMES).enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{}", name.short())?;
        }
        match self.0.len().saturating_sub(NAMES) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
