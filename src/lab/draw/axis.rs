//! A linear axis of time with round numbers.

use alloc::string::String;
use alloc::vec::Vec;

use super::text;
use crate::time::Instant;

const SECOND: u64 = 1_000_000_000;

/// Steps that people count in, from a minute on.
const LONG: [u64; 14] = [60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 432_000];

/// A stretch of time on a stretch of paper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    from: u64,
    to: u64,
    left: f64,
    width: f64,
}

impl Axis {
    /// Makes an axis; one instant gets a millisecond, so that it has a place.
    pub(super) fn new(from: Instant, to: Instant, left: f64, width: f64) -> Self {
        let (from, to) = (from.as_nanos(), to.as_nanos());
        let to = if to > from { to } else { from.saturating_add(1_000_000) };
        Self { from: from.min(to - 1), to, left, width }
    }

    pub(super) fn x(&self, at: Instant) -> f64 {
        let nanos = at.as_nanos().clamp(self.from, self.to) - self.from;
        self.left + self.width * (nanos as f64 / (self.to - self.from) as f64)
    }

    /// Round instants, about so many at most, with their names.
    pub(super) fn ticks(&self, most: u64) -> Vec<(Instant, String)> {
        let step = steps().find(|step| (self.to - self.from) / step < most.max(1)).unwrap_or(u64::MAX);
        let mut at = self.from.div_ceil(step).checked_mul(step);
        let mut out = Vec::new();
        while let Some(tick) = at.filter(|tick| *tick <= self.to) {
            out.push(Instant::from_nanos(tick));
            at = tick.checked_add(step);
        }
        let names = text::times(&out);
        out.into_iter().zip(names).collect()
    }
}

/// 1, 2, 5, 10 … up to 20 s, then minutes, hours, and days in ones, twos and fives.
fn steps() -> impl Iterator<Item = u64> {
    let round = |unit: u64| {
        let powers = (0..20).map_while(move |power| unit.checked_mul(10_u64.checked_pow(power)?));
        powers.flat_map(|power| [1, 2, 5].into_iter().filter_map(move |times| power.checked_mul(times)))
    };
    let short = round(1).take_while(|step| *step <= 20 * SECOND);
    short.chain(LONG.into_iter().map(|seconds| seconds * SECOND)).chain(round(10 * 86_400 * SECOND))
}
