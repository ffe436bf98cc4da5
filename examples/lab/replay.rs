//! `replay`: a failure or a recording, played again.

use std::path::Path;

use interbot::Instant;
use interbot::lab::replay::{Outcome as Played, Replay};
use interbot::tape::Recording;

use crate::failure::Failed;
use crate::{Outcome, ReplayArgs};

pub(crate) fn replay(args: &ReplayArgs) -> Outcome {
    if args.file.extension().is_some_and(|extension| extension == "json") {
        return failure(&args.file);
    }
    recording(args)
}

/// Plays a failure again; good when it fails in the same way.
fn failure(file: &Path) -> Outcome {
    let failed = Failed::read(file)?;
    let run = failed.play()?;
    for failure in &run.failures {
        println!("{failure}");
    }
    let same = run.failures.first().is_some_and(|failure| failure.to_string() == failed.text);
    println!("{}", if same { "the same failure as before" } else { "not the failure of before" });
    Ok(same)
}

/// Reads a recording, as far as it goes.
pub(crate) fn read(file: &Path) -> Result<Recording, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let (recording, cut) = Recording::read_prefix(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    if let Some(cut) = cut {
        eprintln!("{}: {cut}", file.display());
    }
    Ok(recording)
}

/// Runs a recording against this code; good when nothing differs.
fn recording(args: &ReplayArgs) -> Outcome {
    let mut replay = Replay::new(read(&args.file)?);
    let until = args.until.map(|seconds| Instant::from_nanos((seconds * 1e9) as u64));
    if until.is_none() && !args.steps {
        let outcome = replay.run();
        println!("{outcome}");
        return Ok(matches!(outcome, Played::Same { .. }));
    }
    while replay.next_at().is_some_and(|at| until.is_none_or(|until| at <= until)) {
        let Some(step) = replay.step() else { break };
        if args.steps {
            println!("{step}");
        } else if let Some(divergence) = &step.divergence {
            println!("{divergence}");
        }
        if step.divergence.is_some() {
            return Ok(false);
        }
        if args.pause {
            let mut line = String::new();
            if std::io::stdin().read_line(&mut line)? == 0 {
                break;
            }
        }
    }
    println!("the same as far as it went");
    Ok(true)
}
