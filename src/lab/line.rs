//! What a line between two bots does to bytes: latency, bandwidth.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::crypto::Random;

/// How long bytes are on their way; drawn anew for everything that is sent. A stream keeps its order all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Latency {
    /// Always the same.
    Fixed {
        /// Milliseconds.
        ms: u64,
    },
    /// Anything between two bounds, equally likely.
    Between {
        /// Shortest, in milliseconds.
        min_ms: u64,
        /// Longest, in milliseconds.
        max_ms: u64,
    },
    /// Mostly the same, now and then far longer: a radio, a busy machine.
    LongTail {
        /// Usual, in milliseconds.
        ms: u64,
        /// In rare cases, in milliseconds.
        rare_ms: u64,
        /// One in how many is rare.
        one_in: u32,
    },
}

impl Latency {
    pub(super) fn draw(self, random: &mut Random) -> Duration {
        let nanos = |ms: u64| ms.saturating_mul(1_000_000);
        Duration::from_nanos(match self {
            Self::Fixed { ms } => nanos(ms),
            Self::Between { min_ms, max_ms } => {
                let span = nanos(max_ms).saturating_sub(nanos(min_ms));
                nanos(min_ms).saturating_add(random.below(span.saturating_add(1)))
            }
            Self::LongTail { ms, rare_ms, one_in } => {
                if random.below(u64::from(one_in)) == 0 {
                    nanos(rare_ms)
                } else {
                    nanos(ms)
                }
            }
        })
    }
}

/// One direction between two bots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    /// How long bytes are on their way.
    pub latency: Latency,
    /// How many bytes it carries in a second; as many as are sent when it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_second: Option<u32>,
    /// How many bytes it holds before the writer has to wait: what two sockets' buffers hold together.
    #[serde(default = "capacity")]
    pub capacity_bytes: usize,
}

const fn capacity() -> usize {
    128 * 1024
}

impl Default for Line {
    /// 10 ms, any bandwidth, 128 KiB.
    fn default() -> Self {
        Self { latency: Latency::Fixed { ms: 10 }, bytes_per_second: None, capacity_bytes: capacity() }
    }
}

impl Line {
    /// A line of fixed latency.
    #[must_use]
    pub fn fixed(latency: Duration) -> Self {
        Self {
            latency: Latency::Fixed { ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX) },
            ..Self::default()
        }
    }

    /// How long the line is busy with so many bytes.
    pub(super) fn busy(&self, bytes: usize) -> Duration {
        let nanos = |rate: u32| (bytes as u64).saturating_mul(1_000_000_000) / u64::from(rate.max(1));
        Duration::from_nanos(self.bytes_per_second.map_or(0, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_stay_within_their_bounds_and_long_tails_are_rare() {
        let mut random = Random::child(&[1; 32], "latency");
        let between = Latency::Between { min_ms: 10, max_ms: 100 };
        let drawn: Vec<_> = (0..1000).map(|_| between.draw(&mut random).as_millis()).collect();
        assert!(drawn.iter().all(|ms| (10..=100).contains(ms)));
        assert!(drawn.iter().any(|ms| *ms < 20) && drawn.iter().any(|ms| *ms > 90));
        let tail = Latency::LongTail { ms: 5, rare_ms: 900, one_in: 10 };
        let rare = (0..1000).filter(|_| tail.draw(&mut random) == Duration::from_millis(900)).count();
        assert!((50..200).contains(&rare), "{rare}");
        let backwards = Latency::Between { min_ms: 7, max_ms: 3 };
        assert_eq!(backwards.draw(&mut random), Duration::from_millis(7));
    }

    #[test]
    fn a_line_is_busy_for_as_long_as_its_bandwidth_says() {
        let line = Line { bytes_per_second: Some(1_000), ..Line::default() };
        assert_eq!((line.busy(500), Line::default().busy(500)), (Duration::from_millis(500), Duration::ZERO));
    }
}
