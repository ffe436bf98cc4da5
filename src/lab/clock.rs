//! A host's clock, which may be wrong.

use core::time::Duration;

use crate::time::Instant;

/// A clock that runs at a rate of its own; exact for as long as nobody spoils it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct HostClock {
    /// True time at which the two below were set.
    since: Instant,
    /// What the clock said then.
    said: Instant,
    /// How much it gains in a second, in millionths.
    drift_ppm: i32,
}

impl HostClock {
    /// What the clock says at a true time.
    pub(super) fn at(&self, true_time: Instant) -> Instant {
        let passed = true_time.since(self.since);
        self.said + if self.drift_ppm == 0 { passed } else { scaled(passed, self.rate(), 1_000_000) }
    }

    /// The true time at which the clock will say this, rounded up; now when it has said so already.
    pub(super) fn when(&self, says: Instant, now: Instant) -> Instant {
        let ahead = says.since(self.said);
        let passed = if self.drift_ppm == 0 { ahead } else { scaled(ahead, 1_000_000, self.rate()) };
        let mut at = self.since + passed;
        if self.at(at) < says {
            at = at + Duration::from_nanos(1);
        }
        at.max(now)
    }

    pub(super) fn jump(&mut self, now: Instant, by_ms: i64) {
        let says = self.at(now);
        let span = Duration::from_millis(by_ms.unsigned_abs());
        self.said = if by_ms < 0 { Instant::ZERO + says.since(Instant::ZERO + span) } else { says + span };
        self.since = now;
    }

    pub(super) fn set_drift(&mut self, now: Instant, ppm: i32) {
        (self.said, self.since) = (self.at(now), now);
        // A clock that stands still or runs backwards is a jump, not a drift.
        self.drift_ppm = ppm.clamp(-900_000, 900_000);
    }

    fn rate(&self) -> u64 {
        u64::try_from(1_000_000 + i64::from(self.drift_ppm)).unwrap_or(1)
    }
}

fn scaled(span: Duration, by: u64, of: u64) -> Duration {
    let nanos = (span.as_nanos() * u128::from(by)).div_ceil(u128::from(of));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_jumps_both_ways_and_drifts() {
        let mut clock = HostClock::default();
        let at = Instant::from_millis;
        assert_eq!(clock.at(at(5)), at(5));
        clock.jump(at(10), 1_000);
        assert_eq!(clock.at(at(20)), at(1_020));
        clock.jump(at(20), -2_000);
        assert_eq!(clock.at(at(25)), at(5));
        clock.set_drift(at(25), 100_000);
        assert_eq!(clock.at(at(1_025)), at(1_105));
        assert_eq!(clock.when(at(1_105), at(25)), at(1_025));
        assert_eq!(clock.when(at(0), at(30)), at(30));
    }

    proptest! {
        #[test]
        fn a_deadline_has_come_when_the_clock_is_asked_again(
            ppm in -900_000i32..900_000, now in 0u64..1 << 50, ahead in 0u64..1 << 50,
        ) {
            let mut clock = HostClock::default();
            let now = Instant::from_nanos(now);
            clock.set_drift(now, ppm);
            let says = clock.at(now) + Duration::from_nanos(ahead);
            let when = clock.when(says, now);
            prop_assert!(clock.at(when) >= says);
            let before = Instant::from_nanos(when.as_nanos().saturating_sub(3));
            prop_assert!(before <= now || clock.at(before) <= says);
        }
    }
}
