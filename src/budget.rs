//! Token buckets: how much of something a peer may cause.

use core::time::Duration;

use crate::time::Instant;

/// A rate and a burst, in tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Tokens that come back each second.
    pub per_second: u32,
    /// Tokens that may be spent at once.
    pub burst: u32,
}

/// A token bucket that may go into debt, so that work that already arrived is done and later work waits.
#[derive(Clone, Debug)]
pub struct Budget {
    rate: Rate,
    /// In billionths of a token, so that refilling needs no fractions.
    level: i128,
    at: Instant,
}

const TOKEN: i128 = 1_000_000_000;

impl Budget {
    /// A full bucket.
    #[must_use]
    pub fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, level: i128::from(rate.burst) * TOKEN, at: now }
    }

    /// Takes one token if there is one.
    pub fn try_take(&mut self, now: Instant) -> bool {
        self.refill(now);
        if self.level < TOKEN {
            return false;
        }
        self.level -= TOKEN;
        true
    }

    /// Takes `tokens` even into debt, and returns when the bucket is out of debt if it is in debt now.
    pub fn spend(&mut self, now: Instant, tokens: u32) -> Option<Instant> {
        self.refill(now);
        self.level -= i128::from(tokens) * TOKEN;
        if self.level >= 0 {
            return None;
        }
        let nanos = self.level.unsigned_abs().div_ceil(u128::from(self.rate.per_second.max(1)));
        Some(now + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// Whole tokens owed.
    #[must_use]
    pub fn debt(&self) -> u64 {
        u64::try_from((-self.level).max(0) / TOKEN).unwrap_or(u64::MAX)
    }

    fn refill(&mut self, now: Instant) {
        let nanos = i128::try_from(now.since(self.at).as_nanos()).unwrap_or(i128::MAX);
        let gained = nanos.saturating_mul(i128::from(self.rate.per_second));
        self.level = self.level.saturating_add(gained).min(i128::from(self.rate.burst) * TOKEN);
        self.at = self.at.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_refills_at_its_rate_and_not_above_its_burst() {
        let mut budget = Budget::new(Rate { per_second: 10, burst: 2 }, Instant::ZERO);
        assert!(budget.try_take(Instant::ZERO) && budget.try_take(Instant::ZERO));
        assert!(!budget.try_take(Instant::from_millis(99)));
        assert!(budget.try_take(Instant::from_millis(100)));
        let later = Instant::from_millis(60_000);
        assert!(budget.try_take(later) && budget.try_take(later) && !budget.try_take(later));
    }

    #[test]
    fn debt_says_when_it_is_paid() {
        let mut budget = Budget::new(Rate { per_second: 10, burst: 2 }, Instant::ZERO);
        assert_eq!(budget.spend(Instant::ZERO, 2), None);
        assert_eq!(budget.spend(Instant::ZERO, 3), Some(Instant::from_millis(300)));
        assert_eq!(budget.debt(), 3);
        assert_eq!(budget.spend(Instant::from_millis(300), 0), None);
    }
}
