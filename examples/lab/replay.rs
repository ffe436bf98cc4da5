//! `replay`: a failure or a recording, played again.

use std::path::Path;

use interbot::Instant;
use interbot::lab::replay::{Outcome as Played, Replay};
use interbot::tape::Recording;

use crate::failure::Failed;
use crate::{Outcome, ReplayArgs};

pub(crate) fn replay(args: &ReplayArgs) -> Outcome {
    if args.file.extension().is_some_and(|extension| extension == "json") {
        if args.until.is_some() || args.steps {
            return Err("--until and --steps are for a bot's recording, `bot-….tape` beside the failure".into());
        }
        return failure(&args.file);
    }
    recording(args)
}

/// Plays a failure again; good when it fails in the same way.
fn failure(file: &Path) -> Outcome {
    let failed = Failed::read(file)?;
    let run = failed.play()?;
    for failure in &run.failures {
        say!("{failure}");
    }
    let same = run.failures.first().is_some_and(|failure| failure.to_string() == failed.text);
    say!("{}", if same { "the same failure as before" } else { "not the failure of before" });
    Ok(same)
}

/// Reads a recording, as far as it goes, and whether that is to its end.
pub(crate) fn read(file: &Path) -> Result<(Recording, bool), String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    let (recording, cut) = Recording::read_prefix(&bytes).map_err(|error| format!("{}: {error}", file.display()))?;
    if let Some(cut) = &cut {
        eprintln!("{}: {cut}", file.display());
    }
    Ok((recording, cut.is_none()))
}

/// Runs a recording against this code; good when nothing differs and it is whole.
fn recording(args: &ReplayArgs) -> Outcome {
    let (recording, is_whole) = read(&args.file)?;
    let mut replay = Replay::new(recording);
    let until = args.until.map(|seconds| Instant::from_nanos((seconds * 1e9) as u64));
    if until.is_none() && !args.steps {
        let outcome = replay.run();
        say!("{outcome}");
        return Ok(is_whole && matches!(outcome, Played::Same { .. }));
    }
    while replay.next_at().is_some_and(|at| until.is_none_or(|until| at <= until)) {
        let Some(step) = replay.step() else { break };
        if args.steps {
            say!("{step}");
        } else if let Some(divergence) = &step.divergence {
            say!("{divergence}");
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
    say!("the same as far as it went");
    Ok(is_whole)
}
