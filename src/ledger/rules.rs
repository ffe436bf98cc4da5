//! The rules of a community: what its genesis fixes and only a vote changes, and the numbers that follow from them.

use alloc::vec::Vec;
use core::time::Duration;

use crate::wire::{FixedReader, LayoutError};

/// Who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecidedBy {
    /// All members, in rounds.
    Rounds,
    /// Each owner, by a list of its own: no roster, no rounds (I-19). Cannot be voted into or out of.
    Owners,
}

/// How many traitors a quorum bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Faults {
    /// ⌊(n − 1) / 3⌋ active members.
    Third,
    /// None: smaller quorums, and one traitor can fork a round, provably but not preventably.
    Nobody,
}

/// Least respondents of a round that decides anything (I-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Floor {
    /// As many as a quorum.
    Quorum,
    /// This many; the certificate needs a quorum all the same.
    Respondents(u32),
}

/// Most members that one round may lose by removals and evictions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictCap {
    /// max(1, ⌊n / 4⌋).
    Quarter,
    /// No limit, as in the source.
    Unlimited,
}

/// The ready-made rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Preset {
    /// The default: a quarter goes at most, two silent rounds put to sleep, four remove.
    Village,
    /// The source to the letter: who does not answer once is out (I-14), no traitors are expected.
    Seed,
    /// Each owner's own list (I-19).
    Manual,
}

/// The rules of a community.
///
/// ```
/// use interbot::ledger::{Preset, Rules};
///
/// let village = Rules::preset(Preset::Village);
/// assert_eq!(village.numbers(10).quorum, 7);
/// assert_eq!(Rules::from_bytes(&village.to_bytes()), Ok(village));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Rules {
    /// Who decides.
    pub decided_by: DecidedBy,
    /// W: how long a proposal stands before it is judged, in milliseconds: one second to 366 days.
    pub vote_window_ms: u64,
    /// How many traitors a quorum bears.
    pub faults: Faults,
    /// Least respondents of a round that decides anything.
    pub floor: Floor,
    /// Silent rounds after which a member sleeps; never when it is not given.
    pub dormant_after: Option<u8>,
    /// Silent rounds after which a member is removed; never when it is not given.
    pub evict_after: Option<u8>,
    /// Most members that a round may lose.
    pub evict_cap: EvictCap,
    /// Silence takes no active member when fewer than this many would be left; at least 1.
    pub min_active: u32,
    /// X of variant b (I-17): the percentage of active members that must endorse, 1 to 100.
    pub endorse_percent: u8,
    /// N of variant b: active members without strikes that there must be; at least 1.
    pub endorse_members: u32,
    /// Least reports that make an automatic removal request; at least 1.
    pub observers: u32,
    /// Members that a newcomer asks before it believes; at least 1.
    pub witnesses: u8,
    /// Heights after its own at which a proposal may still be judged.
    pub stale_after: u8,
}

/// Rules that are out of range; the message says which value, and what is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is {value}, and must be {allowed}")]
pub struct RulesError {
    /// The value's name.
    pub name: &'static str,
    /// What it is.
    pub value: u64,
    /// What it may be.
    pub allowed: &'static str,
}

/// What follows from the rules for a number of active members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    /// n: active members.
    pub active: u32,
    /// f: traitors that the quorum bears.
    pub faults: u32,
    /// q: active members that must agree; also how many Commits make a certificate.
    pub quorum: u32,
    /// Least respondents of a round that decides anything.
    pub floor: u32,
    /// Most removals by vote, and most admissions, of a round.
    pub cap: u32,
    /// Most removals and evictions together.
    pub evict_cap: u32,
    /// Most admissions of a round.
    pub admit_cap: u32,
    /// Most admissions of one sponsor.
    pub admits_per_sponsor: u32,
    /// k: reports that make an automatic removal request.
    pub observers: u32,
}

/// Most reports that fit a proposal; beyond some 300 members f + 1 of them would not.
const MAX_OBSERVERS: u32 = 64;

impl Rules {
    /// Bytes of the encoding.
    pub const LEN: usize = 32;

    /// Ready-made rules.
    #[must_use]
    pub const fn preset(preset: Preset) -> Self {
        let village = Self {
            decided_by: DecidedBy::Rounds,
            vote_window_ms: 7 * 24 * 3600 * 1000,
            faults: Faults::Third,
            floor: Floor::Quorum,
            dormant_after: Some(2),
            evict_after: Some(4),
            evict_cap: EvictCap::Quarter,
            min_active: 4,
            endorse_percent: 51,
            endorse_members: 3,
            observers: 3,
            witnesses: 3,
            stale_after: 4,
        };
        match preset {
            Preset::Village => village,
            Preset::Seed => Self {
                faults: Faults::Nobody,
                floor: Floor::Respondents(1),
                dormant_after: None,
                evict_after: Some(1),
                evict_cap: EvictCap::Unlimited,
                min_active: 1,
                ..village
            },
            Preset::Manual => Self { decided_by: DecidedBy::Owners, ..village },
        }
    }

    /// The same with another window, for tests and demonstrations; everything timed shrinks with it.
    #[must_use]
    pub const fn with_vote_window(mut self, window: Duration) -> Self {
        let millis = window.as_millis();
        self.vote_window_ms = if millis > u64::MAX as u128 { u64::MAX } else { millis as u64 };
        self
    }

    /// Refuses what no community can live by.
    ///
    /// # Errors
    /// [`RulesError`] names the first value that is out of range.
    pub fn check(&self) -> Result<(), RulesError> {
        let at_least_one = "at least 1";
        let floor = match self.floor {
            Floor::Quorum => 1,
            Floor::Respondents(floor) => floor,
        };
        let checks: [(&'static str, u64, core::ops::RangeInclusive<u64>, &'static str); 9] = [
            ("the vote window in ms", self.vote_window_ms, 1_000..=366 * 86_400_000, "1,000 to 31,622,400,000"),
            ("the floor of respondents", floor.into(), 1..=u64::MAX, at_least_one),
            ("dormant_after", self.dormant_after.unwrap_or(1).into(), 1..=u64::MAX, at_least_one),
            ("evict_after", self.evict_after.unwrap_or(1).into(), 1..=u64::MAX, at_least_one),
            ("min_active", self.min_active.into(), 1..=u64::MAX, at_least_one),
            ("endorse_percent", self.endorse_percent.into(), 1..=100, "1 to 100"),
            ("endorse_members", self.endorse_members.into(), 1..=u64::MAX, at_least_one),
            ("observers", self.observers.into(), 1..=u64::from(MAX_OBSERVERS), "1 to 64"),
            ("witnesses", self.witnesses.into(), 1..=u64::MAX, at_least_one),
        ];
        for (name, value, range, allowed) in checks {
            if !range.contains(&value) {
                return Err(RulesError { name, value, allowed });
            }
        }
        Ok(())
    }

    /// u = W / 168, an hour when W is a week: the unit of all other spans.
    #[must_use]
    pub const fn unit_ms(&self) -> u64 {
        let unit = self.vote_window_ms / 168;
        if unit == 0 { 1 } else { unit }
    }

    /// What follows for `active` members.
    #[must_use]
    pub fn numbers(&self, active: u32) -> Numbers {
        let faults = match self.faults {
            Faults::Third => active.saturating_sub(1) / 3,
            Faults::Nobody => 0,
        };
        let quorum = (active + faults) / 2 + 1;
        let cap = (active / 4).max(1);
        let founding = active < 4;
        Numbers {
            active,
            faults,
            quorum,
            floor: match self.floor {
                Floor::Quorum => quorum,
                // More than there are would stop everything, the way back included.
                Floor::Respondents(floor) => floor.min(active.max(1)),
            },
            cap,
            evict_cap: match self.evict_cap {
                EvictCap::Quarter => cap,
                EvictCap::Unlimited => u32::MAX,
            },
            admit_cap: if founding { 3 } else { cap },
            admits_per_sponsor: if founding { 3 } else { 1 },
            observers: self.observers.max(faults + 1).min(MAX_OBSERVERS),
        }
    }

    /// The one encoding; see the manual.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = Vec::with_capacity(Self::LEN);
        out.push(match self.decided_by {
            DecidedBy::Rounds => 0,
            DecidedBy::Owners => 1,
        });
        out.extend(self.vote_window_ms.to_be_bytes());
        out.push(match self.faults {
            Faults::Third => 0,
            Faults::Nobody => 1,
        });
        out.extend(match self.floor {
            Floor::Quorum => [0; 4],
            Floor::Respondents(floor) => floor.to_be_bytes(),
        });
        out.extend([self.dormant_after.unwrap_or(0), self.evict_after.unwrap_or(0)]);
        out.push(match self.evict_cap {
            EvictCap::Quarter => 0,
            EvictCap::Unlimited => 1,
        });
        out.extend(self.min_active.to_be_bytes());
        out.push(self.endorse_percent);
        out.extend(self.endorse_members.to_be_bytes());
        out.extend(self.observers.to_be_bytes());
        out.extend([self.witnesses, self.stale_after]);
        out.try_into().expect("the layout has a fixed length")
    }

    /// Reads the one encoding; nothing is said here of ranges, see [`Rules::check`].
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let option = |value: u8| (value > 0).then_some(value);
        let rules = Self {
            decided_by: match r.u8()? {
                0 => DecidedBy::Rounds,
                1 => DecidedBy::Owners,
                _ => return Err(LayoutError),
            },
            vote_window_ms: r.u64()?,
            faults: match r.u8()? {
                0 => Faults::Third,
                1 => Faults::Nobody,
                _ => return Err(LayoutError),
            },
            floor: match r.u32()? {
                0 => Floor::Quorum,
                floor => Floor::Respondents(floor),
            },
            dormant_after: option(r.u8()?),
            evict_after: option(r.u8()?),
            evict_cap: match r.u8()? {
                0 => EvictCap::Quarter,
                1 => EvictCap::Unlimited,
                _ => return Err(LayoutError),
            },
            min_active: r.u32()?,
            endorse_percent: r.u8()?,
            endorse_members: r.u32()?,
            observers: r.u32()?,
            witnesses: r.u8()?,
            stale_after: r.u8()?,
        };
        r.end()?;
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn quorums_are_those_of_the_table() {
        let table = |preset| {
            let rules = Rules::preset(preset);
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 100].map(|n| (rules.numbers(n).faults, rules.numbers(n).quorum))
        };
        let village = [(0, 1), (0, 2), (0, 2), (1, 3), (1, 4), (1, 4), (2, 5), (2, 6), (2, 6), (3, 7), (33, 67)];
        assert_eq!(table(Preset::Village), village);
        assert_eq!(table(Preset::Seed).map(|(_, quorum)| quorum), [1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 51]);
    }

    #[test]
    fn caps_are_a_quarter_and_founders_need_not_stop_at_two() {
        let village = Rules::preset(Preset::Village);
        let caps = |n| {
            let numbers = village.numbers(n);
            (numbers.cap, numbers.admit_cap, numbers.admits_per_sponsor)
        };
        assert_eq!([1, 3, 4, 8, 100].map(caps), [(1, 3, 3), (1, 3, 3), (1, 1, 1), (2, 2, 1), (25, 25, 1)]);
    }

    #[test]
    fn rules_have_one_encoding_and_presets_are_in_range() {
        for preset in [Preset::Village, Preset::Seed, Preset::Manual] {
            let rules = Rules::preset(preset);
            assert_eq!(rules.check(), Ok(()));
            let bytes = rules.to_bytes();
            assert_eq!(Rules::from_bytes(&bytes), Ok(rules));
            assert_eq!(Rules::from_bytes(&bytes[..31]), Err(LayoutError));
            for (at, value) in [(0, 2), (9, 2), (16, 2)] {
                let mut odd = bytes;
                odd[at] = value;
                assert_eq!(Rules::from_bytes(&odd), Err(LayoutError), "byte {at}");
            }
        }
    }

    #[test]
    fn values_out_of_range_are_named() {
        let village = Rules::preset(Preset::Village);
        assert_eq!(
            village.clone().with_vote_window(Duration::from_millis(999)).check().expect_err("too short").to_string(),
            "the vote window in ms is 999, and must be 1,000 to 31,622,400,000"
        );
        let percent = Rules { endorse_percent: 101, ..village.clone() };
        assert_eq!(percent.check().expect_err("too much").name, "endorse_percent");
        assert_eq!(Rules { min_active: 0, ..village }.check().expect_err("nobody").name, "min_active");
    }

    #[test]
    fn short_windows_shrink_every_span() {
        let village = Rules::preset(Preset::Village);
        assert_eq!(village.unit_ms(), 3_600_000);
        assert_eq!(village.with_vote_window(Duration::from_secs(168)).unit_ms(), 1_000);
    }
}
