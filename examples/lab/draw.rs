//! `draw`: a failure or a recording as pictures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use interbot::Instant;
use interbot::lab::draw::Story;
use interbot::lab::replay::Replay;

use crate::failure::Failed;
use crate::{DrawArgs, Outcome, replay};

pub(crate) fn draw(args: &DrawArgs) -> Outcome {
    let story = if args.file.extension().is_some_and(|extension| extension == "json") {
        failure(&args.file, &args.out)?
    } else {
        recording(&args.file)?
    };
    let at = |seconds: Option<f64>, or| seconds.map_or(or, |seconds| Instant::from_nanos((seconds * 1e9) as u64));
    let story = match (args.from, args.to) {
        (None, None) => story,
        (from, to) => story.between(at(from, Instant::ZERO), at(to, Instant::from_nanos(u64::MAX))),
    };
    let is_mermaid = args.out.extension().is_some_and(|extension| extension == "mmd");
    write(&args.out, &if is_mermaid { story.mermaid() } else { story.html() })?;
    Ok(true)
}

/// From a little before the first step to a little after what failed; the maps show everything.
fn failure(file: &Path, out: &Path) -> Result<Story, Box<dyn std::error::Error>> {
    let failed = Failed::read(file)?;
    let net = failed.play()?;
    let (failures, net) = (net.failures, net.net);
    if out.is_dir() {
        return Err(format!(
            "{} is a folder: name a file in it, such as {}",
            out.display(),
            out.join("failure.html").display()
        )
        .into());
    }
    write(&beside(out, "links.svg"), &net.link_map("Who was linked with whom"))?;
    write(&beside(out, "spread.svg"), &net.convergence("How fast posts spread"))?;
    let story = net.story(&failed.text);
    let Some(failure) = failures.first() else { return Ok(story) };
    // Times of a schedule begin when the bots had time to link up.
    let first = failed.schedule.steps.first().map_or(0, |step| step.at_ms);
    let from = Instant::from_millis(first + 15_000);
    Ok(story.between(from.min(failure.at), failure.at + Duration::from_secs(5)))
}

fn recording(file: &Path) -> Result<Story, Box<dyn std::error::Error>> {
    let mut replay = Replay::new(replay::read(file)?.0);
    let mut events = Vec::new();
    while let Some(step) = replay.step() {
        events.extend(step.events);
        if let Some(divergence) = step.divergence {
            eprintln!("{divergence}");
        }
    }
    Ok(Story::from_trace(&file.display().to_string(), &events))
}

/// `out.html` and `links.svg` make `out-links.svg`.
fn beside(out: &Path, name: &str) -> PathBuf {
    let mut stem = out.file_stem().unwrap_or_default().to_os_string();
    stem.push("-");
    stem.push(name);
    out.with_file_name(stem)
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    say!("{}", file.display());
    Ok(())
}
