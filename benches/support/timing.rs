//! Quotients that a busy machine disturbs little: the cases take turns, the clock is the thread's CPU time, and each round
//! starts at another depth of the stack.

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};

/// Turns that each case gets; odd, so that the median is one of them.
const ROUNDS: usize = 201;

/// CPU time of one case in one turn, in nanoseconds: long against the clock, short against a neighbour's burst of load.
const TURN_NANOS: f64 = 3e6;

/// Depths of the stack that the rounds go through: where a run's vectors lie decides over some 4 % of a signature check, so a
/// single depth, which is another in every process, says little. At least 64 bytes a step, they cover a page.
const DEPTHS: usize = 67;

/// CPU time of this thread, in nanoseconds.
pub(crate) fn cpu_nanos() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// Something to be timed.
pub(crate) struct Case<'a> {
    name: &'static str,
    run: Box<dyn FnMut() + 'a>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut() + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    fn time(&mut self, times: u64, depth: usize) -> f64 {
        let mut nanos = 0.0;
        deep_in_the_stack(depth, &mut || {
            let start = cpu_nanos();
            for _ in 0..times {
                (self.run)();
            }
            nanos = cpu_nanos() - start;
        });
        nanos / times as f64
    }

    /// How many runs fill one turn.
    fn runs_in_a_turn(&mut self) -> u64 {
        let mut times = 1;
        loop {
            let nanos = self.time(times, 0);
            if nanos * times as f64 >= TURN_NANOS / 4.0 {
                return (TURN_NANOS / nanos).ceil() as u64;
            }
            times *= 4;
        }
    }
}

/// Nanoseconds of every case in every round.
pub(crate) struct Rounds(Vec<(&'static str, Vec<f64>)>);

/// Lets the cases take turns.
pub(crate) fn take_turns(mut cases: Vec<Case<'_>>) -> Rounds {
    let runs: Vec<u64> = cases.iter_mut().map(Case::runs_in_a_turn).collect();
    // A case that takes far longer than a turn needs fewer of them to be told from noise.
    let rounds = if cases.iter_mut().any(|case| case.time(1, 0) > 10.0 * TURN_NANOS) { ROUNDS / 5 + 1 } else { ROUNDS };
    let mut nanos = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..rounds {
        for ((case, runs), nanos) in cases.iter_mut().zip(&runs).zip(&mut nanos) {
            nanos.push(case.time(*runs, round % DEPTHS));
        }
    }
    Rounds(cases.iter().map(|case| case.name).zip(nanos).collect())
}

impl Rounds {
    /// The median over the rounds, in microseconds.
    pub(crate) fn micros(&self, name: &str) -> f64 {
        median(self.of(name).to_vec()) / 1e3
    }

    /// The median over the rounds of the quotient within each round.
    pub(crate) fn ratio(&self, ours: &str, theirs: &str) -> f64 {
        median(self.of(ours).iter().zip(self.of(theirs)).map(|(ours, theirs)| ours / theirs).collect())
    }

    fn of(&self, name: &str) -> &[f64] {
        let found = self.0.iter().find(|(case, _)| *case == name);
        &found.expect("the name of a case that was timed").1
    }
}

#[inline(never)]
fn deep_in_the_stack(steps: usize, run: &mut dyn FnMut()) {
    let frame = black_box([0; 48]);
    match steps.checked_sub(1) {
        None => run(),
        Some(fewer) => deep_in_the_stack(fewer, run),
    }
    black_box::<&[u8; 48]>(&frame);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
