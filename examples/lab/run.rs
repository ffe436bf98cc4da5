//! `run` and `soak`: scenarios, many seeds, and what to do when one fails.

use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use interbot::lab::{Check, Faults, Latency, Liar, Lie, Line, Posts, Run, Scenario, Shape};
use serde_json::json;

use crate::failure::{self, Failed};
use crate::reading::parse;
use crate::{Outcome, RunArgs, SoakArgs};

/// Reads a scenario; what is wrong in it is said with its place.
pub(crate) fn read(file: &Path) -> Result<Scenario, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let scenario: Scenario = parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
    scenario.validate().map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(scenario)
}

fn progress(most: u64, style: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(most).with_style(ProgressStyle::with_template(style).expect("a good template"))
}

/// Runs seeds on all cores until one fails; the first failing seed, or the last run.
fn first_failure(
    scenario: &Scenario,
    (from, to): (u64, u64),
    tell: impl Fn(u64, &Run) + Sync,
) -> Result<Option<u64>, String> {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (found, failures) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let (found, tell, next, stop) = (found.clone(), &tell, &next, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > to || seed < from {
                        return;
                    }
                    match scenario.run(seed) {
                        Ok(run) => {
                            tell(seed, &run);
                            if !run.failures.is_empty() {
                                stop.store(true, Ordering::Relaxed);
                                let _ = found.send(Ok(seed));
                            }
                        }
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            let _ = found.send(Err(error.to_string()));
                        }
                    }
                }
            });
        }
    });
    drop(found);
    let mut least = None;
    for failure in failures {
        let seed = failure?;
        least = Some(least.map_or(seed, |least: u64| least.min(seed)));
    }
    Ok(least)
}

pub(crate) fn run(args: &RunArgs) -> Outcome {
    let scenario = read(&args.scenario)?;
    if let Some(place) = &args.record {
        failure::make_place(place)?;
    }
    // A panic in a machine is a finding, told with its seed like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let seeds = args.seeds.unwrap_or((args.seed, args.seed));
    let bar = progress(seeds.1 - seeds.0 + 1, "{bar:30} {pos}/{len} seeds, {eta} left");
    let one = seeds.0 == seeds.1;
    let failed = first_failure(&scenario, seeds, |seed, run| {
        bar.inc(1);
        let figures = run.figures;
        if args.json {
            let failures: Vec<String> = run.failures.iter().map(ToString::to_string).collect();
            say!(
                "{}",
                json!({ "seed": seed, "failures": failures, "published": figures.published,
                        "delivered": figures.delivered, "links": figures.links, "ends": figures.ends,
                        "from_nothing": figures.from_nothing })
            );
        } else if one {
            say!("seed {seed}: {} posts, {} copies delivered", figures.published, figures.delivered);
            say!("{} link ends opened, {} crashes and stops", figures.links, figures.ends);
        }
    })?;
    bar.finish_and_clear();
    match failed {
        None => {
            if !args.json {
                let checks: Vec<String> = scenario.checks.iter().map(|check| format!("{check:?}")).collect();
                say!("seeds {}..{}: every check held: {}", seeds.0, seeds.1, checks.join(", "));
            }
            Ok(true)
        }
        Some(seed) => {
            tell_failure(&scenario, seed, args.record.as_deref())?;
            Ok(false)
        }
    }
}

/// Makes a failure small, keeps it, and says how to go on.
fn tell_failure(scenario: &Scenario, seed: u64, record: Option<&Path>) -> Result<(), Box<dyn std::error::Error>> {
    let whole = scenario.draw(seed);
    let schedule = scenario.shrink(seed, &whole)?;
    let failed = Failed::new(scenario, seed, schedule)?;
    say!("seed {seed} failed: {}", failed.text);
    say!("the smallest schedule found, {} of {} steps:", failed.schedule.steps.len(), whole.steps.len());
    for step in &failed.schedule.steps {
        say!("  {}", serde_json::to_string(step)?);
    }
    if let Some(place) = record {
        failure::keep(&failed, place)?;
    }
    Ok(())
}

/// A small generator of its own, so that a seed says everything (splitmix64).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }

    fn count(&mut self, bound: u64) -> u32 {
        u32::try_from(self.below(bound)).unwrap_or(0)
    }
}

/// A random community, with random faults and liars.
fn random_scenario(seed: u64) -> Scenario {
    let mut draw = Draw(seed);
    let mut scenario = Scenario::new(2 + usize::try_from(draw.below(20)).unwrap_or(0));
    let bots = scenario.bots as u64;
    scenario.about = format!("drawn from seed {seed}");
    scenario.shape = match draw.below(5) {
        0 => Shape::Star,
        1 => Shape::Chain,
        2 => Shape::Ring,
        _ => Shape::Tree { children: 1 + usize::try_from(draw.below(4)).unwrap_or(0) },
    };
    let latency = match draw.below(3) {
        0 => Latency::Fixed { ms: 1 + draw.below(100) },
        1 => Latency::Between { min_ms: draw.below(50), max_ms: 50 + draw.below(400) },
        _ => Latency::LongTail { ms: 10, rare_ms: 3_000, one_in: 50 },
    };
    scenario.line = Line { latency, ..Line::default() };
    scenario.disk_ms = draw.below(200);
    scenario.posts = Some(Posts { count: draw.count(60), bytes: usize::try_from(draw.below(2_000)).unwrap_or(0) });
    scenario.faults = Faults {
        crashes: draw.count(8),
        partitions: draw.count(3),
        blocks: draw.count(3),
        pauses: draw.count(3),
        clock_jumps: draw.count(3),
        drifts: draw.count(3),
    };
    if draw.below(3) == 0 {
        let lies = [
            Lie::Equivocator,
            Lie::Flooder { posts_per_second: 20 },
            Lie::Silent,
            Lie::ClockLiar,
            Lie::Replayer,
            Lie::SlowLoris,
            Lie::SelectiveForwarder { drops_one_in: 2 },
        ];
        let lie = lies[usize::try_from(draw.below(lies.len() as u64)).unwrap_or(0)];
        scenario.liars.push(Liar { bot: usize::try_from(draw.below(bots)).unwrap_or(0), lie });
    }
    // Clocks that jumped back must have time to catch up.
    if scenario.faults.clock_jumps > 0 {
        scenario.settle_seconds = 3600;
    }
    // A replayer tells old news to bots that lost their records.
    if !matches!(scenario.shape, Shape::Ring) && scenario.liars.is_empty() {
        scenario.checks.push(Check::InOrder);
    }
    scenario
}

pub(crate) fn soak(args: &SoakArgs) -> Outcome {
    let given = args.scenario.as_deref().map(read).transpose()?;
    failure::make_place(&args.record)?;
    std::panic::set_hook(Box::new(|_| {}));
    let first = match args.seed {
        Some(seed) => seed,
        None => {
            let mut bytes = [0; 4];
            getrandom::fill(&mut bytes)?;
            u64::from(u32::from_be_bytes(bytes))
        }
    };
    say!("soak from seed {first} on, for {} min; the same with --seed {first}", args.minutes);
    let (start, span) = (Instant::now(), Duration::try_from_secs_f64(args.minutes * 60.0)?);
    let bar = progress(span.as_secs(), "{bar:30} {elapsed}/{len} s, {msg}");
    let (mut seed, mut copies) = (first, 0);
    while start.elapsed() < span {
        let scenario = given.clone().unwrap_or_else(|| random_scenario(seed));
        let run = scenario.run(seed)?;
        copies += run.figures.delivered;
        if !run.failures.is_empty() {
            bar.finish_and_clear();
            tell_failure(&scenario, seed, Some(&args.record))?;
            return Ok(false);
        }
        seed = seed.wrapping_add(1);
        bar.set_position(start.elapsed().as_secs());
        bar.set_message(format!("{} runs, {copies} copies delivered", seed.wrapping_sub(first)));
    }
    bar.finish_and_clear();
    say!("{} runs, seeds {first}..{}, {copies} copies delivered: every check held", seed - first, seed.wrapping_sub(1));
    Ok(true)
}
