//! Three bots in virtual time and a list of what happens to them, against what must hold: always, and of a run in which
//! nothing went wrong, that every post reached everybody.
#![no_main]

use arbitrary::Arbitrary;
use interbot::lab::{Act, Check, FaultPoint, Liar, Lie, Scenario, Schedule, Shape, Step};
use libfuzzer_sys::fuzz_target;

const BOTS: usize = 3;
const MOST_STEPS: usize = 40;

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u16,
    shape: u8,
    liar: Option<u8>,
    ops: Vec<(u16, Op)>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Publish { bot: u8, bytes: u16 },
    Crash { bot: u8, point: u8 },
    Restart { bot: u8 },
    Stop { bot: u8 },
    Partition { island: u8 },
    Block { from: u8, to: u8 },
    Heal,
    Pause { bot: u8, ms: u16 },
    Jump { bot: u8, seconds: i8 },
    Drift { bot: u8, percent: i8 },
}

fn act(op: &Op) -> Act {
    let place = |bot: u8| usize::from(bot) % BOTS;
    match *op {
        Op::Publish { bot, bytes } => Act::Publish { bot: place(bot), bytes: usize::from(bytes) },
        Op::Crash { bot, point } => {
            let points = [FaultPoint::Now, FaultPoint::BeforePersist, FaultPoint::AfterPersist, FaultPoint::TornRecord];
            Act::Crash { bot: place(bot), point: points[usize::from(point) % 4] }
        }
        Op::Restart { bot } => Act::Restart { bot: place(bot) },
        Op::Stop { bot } => Act::Stop { bot: place(bot) },
        Op::Partition { island } => {
            Act::Partition { islands: vec![(0..BOTS).filter(|bot| island >> bot & 1 == 1).collect()] }
        }
        Op::Block { from, to } => {
            let from = place(from);
            // Never to itself.
            Act::Block { from, to: (from + 1 + usize::from(to) % (BOTS - 1)) % BOTS }
        }
        Op::Heal => Act::Heal,
        Op::Pause { bot, ms } => Act::Pause { bot: place(bot), ms: u64::from(ms) },
        Op::Jump { bot, seconds } => Act::JumpClock { bot: place(bot), ms: i64::from(seconds) * 1000 },
        Op::Drift { bot, percent } => Act::Drift { bot: place(bot), ppm: i32::from(percent) * 1000 },
    }
}

fuzz_target!(|input: Input| {
    let mut scenario = Scenario::new(BOTS);
    scenario.posts = None;
    scenario.shape = [Shape::Star, Shape::Chain, Shape::Ring][usize::from(input.shape) % 3];
    // Clocks that were set back by all steps together have caught up by then.
    (scenario.seconds, scenario.settle_seconds) = (70, 7_200);
    if let Some(bot) = input.liar {
        let lie = [Lie::Equivocator, Lie::Replayer, Lie::Silent, Lie::ClockLiar][usize::from(bot / 3) % 4];
        scenario.liars.push(Liar { bot: usize::from(bot) % BOTS, lie });
        // A liar that never rests makes each second of it dear.
        scenario.settle_seconds = 900;
    }
    let steps =
        input.ops.iter().take(MOST_STEPS).filter(|(_, op)| input.liar.is_none() || !matches!(op, Op::Jump { .. }));
    let mut schedule = Schedule { steps: steps.map(|(at, op)| Step { at_ms: u64::from(*at), act: act(op) }).collect() };
    schedule.sort();
    let is_quiet = schedule.steps.iter().all(|step| matches!(step.act, Act::Publish { .. }));
    if is_quiet && scenario.liars.is_empty() {
        scenario.checks.push(Check::Complete);
        if !matches!(scenario.shape, Shape::Ring) {
            scenario.checks.push(Check::InOrder);
        }
    }
    let run = scenario.run_schedule(u64::from(input.seed), &schedule, |_| {}).expect("a good schedule");
    assert!(run.failures.is_empty(), "{:?}\n{schedule:#?}", run.failures);
});
