//! What it costs to simulate a community that spreads messages.

mod ours;
mod plumtree;

use rustix::time::{ClockId, clock_gettime};

use crate::report::Report;

const NODES: usize = 1000;
const BROADCASTS: usize = 100;
/// Broadcasts of which nothing is counted: plumtree's tree forms by them.
const WARM_UP: usize = 30;
const PAYLOAD_BYTES: usize = 200;
const WAIT_MS: u64 = 4_000;
const ROUNDS: u64 = 5;

/// A simulated community that spreads messages.
trait Overlay {
    /// Sends a message and runs for a while; how many nodes it reached, its author not counted.
    fn broadcast(&mut self, from: usize, id: u64) -> usize;
}

/// Every link has its own latency between 10 and 100 ms, the same in both directions.
fn latency_ms(a: usize, b: usize) -> u64 {
    let (low, high) = (a.min(b) as u64, a.max(b) as u64);
    10 + splitmix(low << 32 | high) % 90
}

fn splitmix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn cpu_us() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e6 + now.tv_nsec as f64 / 1e3
}

/// CPU per node and broadcast, in microseconds.
fn measure(overlay: &mut impl Overlay, seed: u64) -> f64 {
    for id in 0..WARM_UP as u64 {
        overlay.broadcast(0, 1 + id);
    }
    let start = cpu_us();
    for n in 0..BROADCASTS as u64 {
        let from = usize::try_from(splitmix(seed << 32 | n) % NODES as u64).expect("a place");
        let reached = overlay.broadcast(from, 1000 + n);
        assert_eq!(reached, NODES - 1, "every node is reached, or the times cannot be compared");
    }
    (cpu_us() - start) / (BROADCASTS * NODES) as f64
}

pub(crate) fn compare() -> Report {
    let (mut ratios, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 1..=ROUNDS {
        let us = measure(&mut ours::Tree::new(seed), seed);
        let them = measure(&mut plumtree::Net::new(seed), seed);
        ratios.push(us / them);
        ours.push(us);
        theirs.push(them);
    }
    let mut report = Report::default();
    report.ratio("sim_vs_plumtree", median(&mut ratios), Some(1.0));
    report.figure("sim_us_per_node_and_broadcast", median(&mut ours));
    report.figure("plumtree_us_per_node_and_broadcast", median(&mut theirs));
    report
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
