//! Three bots in virtual time and a list of what happens to them, against the laboratory's checks and a model that knows
//! from the list alone what each bot must and may be handed.
#![no_main]

use interbot::lab::{Act, BotRef, FaultPoint, Liar, Lie, Run, Scenario, Schedule, Shape, Step};
use interbot::node::Event;
use interbot::overlay::MAX_POST_BODY;
use interbot_fuzz::model::{BOTS, Handed, Model};
use libfuzzer_sys::fuzz_target;

const MOST_STEPS: usize = 40;
/// Bytes of a step: its time, what is done and to whom, and how much of it.
const STEP: usize = 6;

fn step(bytes: [u8; STEP], far_ms: u64) -> Step {
    let [time @ .., kind, bot, more, less] = bytes;
    let (bot, amount) = (usize::from(bot) % BOTS, u16::from_be_bytes([more, less]));
    let act = match kind % 16 {
        // Small ones mostly, and the largest.
        0..6 => Act::Publish { bot, bytes: (usize::from(more) * usize::from(more)).min(MAX_POST_BODY) },
        6 => {
            let points = [FaultPoint::Now, FaultPoint::BeforePersist, FaultPoint::AfterPersist, FaultPoint::TornRecord];
            Act::Crash { bot, point: points[usize::from(more) % 4] }
        }
        7..9 => Act::Restart { bot },
        9 => Act::Stop { bot },
        10 => Act::Partition { islands: vec![(0..BOTS).filter(|bot| more >> bot & 1 == 1).collect()] },
        // Never to itself.
        11 => Act::Block { from: bot, to: (bot + 1 + usize::from(more) % (BOTS - 1)) % BOTS },
        12 => Act::Heal,
        13 => Act::Pause { bot, ms: u64::from(amount) },
        14 => Act::JumpClock { bot, ms: i64::from(amount.cast_signed()) * 4 },
        _ => Act::Drift { bot, ppm: i32::from(amount.cast_signed()) * 3 },
    };
    Step { at_ms: at_ms(u16::from_be_bytes(time), far_ms), act }
}

/// Half of all times are within half a minute, to the millisecond; the others, `far_ms` apart, within half an hour, so that
/// links come back between what happens.
fn at_ms(time: u16, far_ms: u64) -> u64 {
    let (near, far) = (u64::from(time).min(0x8000), u64::from(time.saturating_sub(0x8000)));
    near + far_ms * far
}

fn handed(run: &Run, bot: BotRef) -> Vec<Handed> {
    let author = |id| run.net.bots().find(|bot| run.net.id(*bot) == id).expect("a bot of the network").place();
    let posts = run.net.events(bot).iter().filter_map(|(at, event)| match event {
        Event::Post { post, .. } => {
            Some(Handed { at: at.since(run.started), author: author(post.id().origin), body: post.body().to_vec() })
        }
        _ => None,
    });
    posts.collect()
}

fuzz_target!(|data: &[u8]| {
    let [seed_high, seed_low, shape, liar, steps @ ..] = data else { return };
    let mut scenario = Scenario::new(BOTS);
    scenario.posts = None;
    scenario.shape = [Shape::Star, Shape::Chain, Shape::Ring][usize::from(*shape) % 3];
    // Clocks that were set back by all steps together have caught up by then.
    (scenario.seconds, scenario.settle_seconds) = (60, 7_200);
    let mut far_ms = 50;
    let lies = [Lie::Equivocator, Lie::Replayer, Lie::Silent, Lie::ClockLiar];
    if let Some(lie) = lies.get(usize::from(liar / BOTS as u8) % 8) {
        scenario.liars.push(Liar { bot: usize::from(*liar) % BOTS, lie: *lie });
        // A liar that never rests makes each second of it dear.
        (scenario.settle_seconds, far_ms) = (300, 1);
    }
    let steps = steps.as_chunks::<STEP>().0.iter().take(MOST_STEPS).map(|bytes| step(*bytes, far_ms));
    let steps = steps.filter(|step| scenario.liars.is_empty() || !matches!(step.act, Act::JumpClock { .. }));
    let mut schedule = Schedule { steps: steps.collect() };
    schedule.sort();
    let seed = u64::from(u16::from_be_bytes([*seed_high, *seed_low]));
    let run = scenario.run_schedule(seed, &schedule, |_| {}).expect("a good schedule");
    assert!(run.failures.is_empty(), "{:?}\n{schedule:#?}", run.failures);
    let model = Model::new(&scenario, &schedule);
    for bot in run.net.bots().filter(|bot| run.net.lie(*bot).is_none()) {
        let complaints = model.complaints(bot.place(), &handed(&run, bot));
        assert!(complaints.is_empty(), "{complaints:#?}\n{schedule:#?}");
    }
});
