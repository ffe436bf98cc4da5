//! Datagrams that get lost, doubled and out of order, for machines that run on them.

use alloc::collections::BinaryHeap;
use core::cmp::Reverse;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::line::Latency;
use crate::crypto::Random;
use crate::time::Instant;

/// What happens to datagrams on their way; the chances are in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weather {
    /// How long each is on its way; a varying one lets them overtake each other.
    pub latency: Latency,
    /// Chance that one is lost.
    #[serde(default)]
    pub loss_ppm: u32,
    /// Chance that one arrives twice.
    #[serde(default)]
    pub twice_ppm: u32,
    /// Longest that get through, in bytes; longer ones are lost.
    #[serde(default = "ethernet")]
    pub most_bytes: usize,
}

const fn ethernet() -> usize {
    // An Ethernet frame less the headers of IPv4 and UDP.
    1472
}

impl Default for Weather {
    /// 10 to 50 ms, nothing lost and nothing doubled.
    fn default() -> Self {
        let latency = Latency::Between { min_ms: 10, max_ms: 50 };
        Self { latency, loss_ppm: 0, twice_ppm: 0, most_bytes: ethernet() }
    }
}

/// One datagram that arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Datagram {
    /// When.
    pub at: Instant,
    /// In which order it was sent; equal for both copies of one.
    number: u64,
    /// Whose.
    pub from: usize,
    /// For whom.
    pub to: usize,
    /// What it says.
    pub bytes: Bytes,
}

/// A network that carries datagrams between places, in virtual time; the same seed and sends give the same arrivals.
///
/// ```
/// use interbot::Instant;
/// use interbot::lab::{Datagrams, Weather};
///
/// let mut net = Datagrams::new(1, Weather { loss_ppm: 500_000, ..Weather::default() });
/// for n in 0..100u8 {
///     net.send(Instant::ZERO, 0, 1, vec![n].into());
/// }
/// let mut arrived = 0;
/// while let Some(datagram) = net.next(Instant::from_millis(50)) {
///     assert_eq!((datagram.from, datagram.to), (0, 1));
///     arrived += 1;
/// }
/// assert!((30..70).contains(&arrived));
/// ```
#[derive(Debug)]
pub struct Datagrams {
    weather: Weather,
    random: Random,
    number: u64,
    under_way: BinaryHeap<Reverse<Datagram>>,
}

impl Datagrams {
    /// A network without any datagram.
    #[must_use]
    pub fn new(seed: u64, weather: Weather) -> Self {
        let mut full = [0xda; 32];
        full[..8].copy_from_slice(&seed.to_be_bytes());
        Self { weather, random: Random::child(&full, "datagrams"), number: 0, under_way: BinaryHeap::new() }
    }

    /// Changes what happens to those that are sent from now on.
    pub fn set_weather(&mut self, weather: Weather) {
        self.weather = weather;
    }

    /// Sends one; nobody is told what becomes of it.
    pub fn send(&mut self, now: Instant, from: usize, to: usize, bytes: Bytes) {
        self.number += 1;
        let lost = self.chance(self.weather.loss_ppm) || bytes.len() > self.weather.most_bytes;
        let copies = if lost { 0 } else { 1 + usize::from(self.chance(self.weather.twice_ppm)) };
        for _ in 0..copies {
            let at = now + self.weather.latency.draw(&mut self.random);
            let datagram = Datagram { at, number: self.number, from, to, bytes: bytes.clone() };
            self.under_way.push(Reverse(datagram));
        }
    }

    /// The next one that arrives until then.
    pub fn next(&mut self, until: Instant) -> Option<Datagram> {
        if self.wake_at()? > until {
            return None;
        }
        self.under_way.pop().map(|Reverse(datagram)| datagram)
    }

    /// When the next one arrives.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        self.under_way.peek().map(|Reverse(datagram)| datagram.at)
    }

    fn chance(&mut self, ppm: u32) -> bool {
        self.random.below(1_000_000) < u64::from(ppm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(seed: u64, weather: Weather) -> Vec<(Instant, u8)> {
        let mut net = Datagrams::new(seed, weather);
        for n in 0..200u8 {
            net.send(Instant::from_millis(u64::from(n)), 3, 4, vec![n].into());
        }
        core::iter::from_fn(|| net.next(Instant::from_millis(10_000))).map(|d| (d.at, d.bytes[0])).collect()
    }

    #[test]
    fn a_bad_line_loses_doubles_and_reorders_and_repeats_for_its_seed() {
        let bad = Weather { loss_ppm: 200_000, twice_ppm: 200_000, ..Weather::default() };
        let run = arrivals(1, bad);
        assert_eq!(run, arrivals(1, bad));
        assert_ne!(run, arrivals(2, bad));
        assert!(run.windows(2).all(|two| two[0].0 <= two[1].0), "in the order of their arrival");
        assert!(run.windows(2).any(|two| two[0].1 > two[1].1), "not in that of their sending");
        let distinct: std::collections::BTreeSet<u8> = run.iter().map(|(_, n)| *n).collect();
        assert!((130..190).contains(&distinct.len()) && run.len() > distinct.len() + 10);
    }

    #[test]
    fn a_good_line_loses_nothing_but_what_is_too_long() {
        assert_eq!(arrivals(1, Weather::default()).len(), 200);
        let mut net = Datagrams::new(1, Weather::default());
        net.send(Instant::ZERO, 0, 1, vec![0; 1473].into());
        assert_eq!((net.wake_at(), net.next(Instant::from_millis(1_000))), (None, None));
        net.send(Instant::ZERO, 0, 1, vec![0; 1472].into());
        assert_eq!(net.next(Instant::ZERO), None);
        assert!(net.next(Instant::from_millis(50)).is_some());
    }
}
