//! A failure as a folder: the scenario with its smallest schedule, to be played again and looked at.

use std::path::Path;

use interbot::lab::{Run, Scenario, Schedule};
use serde::{Deserialize, Serialize};

use crate::reading::parse;

/// What `failure.json` holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Failed {
    /// What this is, and the version of its form.
    interbot_failure: u32,
    pub(crate) seed: u64,
    /// What did not hold, as it was told.
    pub(crate) text: String,
    pub(crate) schedule: Schedule,
    pub(crate) scenario: Scenario,
}

const VERSION: u32 = 1;

impl Failed {
    pub(crate) fn new(scenario: &Scenario, seed: u64, schedule: Schedule) -> Result<Self, Box<dyn std::error::Error>> {
        let run = scenario.run_schedule(seed, &schedule, |_| {})?;
        let text = run.failures.first().map_or_else(|| "it held the second time".into(), ToString::to_string);
        Ok(Self { interbot_failure: VERSION, seed, text, schedule, scenario: scenario.clone() })
    }

    pub(crate) fn read(file: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
        let failed: Self = parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
        if failed.interbot_failure != VERSION {
            return Err(format!(
                "{}: `interbot_failure` is {}: this program reads version {VERSION}",
                file.display(),
                failed.interbot_failure
            ));
        }
        Ok(failed)
    }

    /// Plays it again, with a log and recordings.
    pub(crate) fn play(&self) -> Result<Run, Box<dyn std::error::Error>> {
        std::panic::set_hook(Box::new(|_| {}));
        Ok(self.scenario.run_schedule(self.seed, &self.schedule, |net| {
            net.keep_log();
            net.keep_recordings();
        })?)
    }
}

/// Makes the folder for failures, before anything is run for it.
pub(crate) fn make_place(place: &Path) -> Result<(), String> {
    std::fs::create_dir_all(place).map_err(|error| format!("{} cannot be made: {error}", place.display()))
}

pub(crate) fn keep(failed: &Failed, place: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let folder = place.join(format!("seed-{}", failed.seed));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("failure.json");
    std::fs::write(&file, serde_json::to_string_pretty(failed)? + "\n")?;
    let mut net = failed.play()?.net;
    for bot in net.bots() {
        // Only a life that is over has a whole recording.
        net.crash(bot);
        for (life, recording) in net.recordings(bot).into_iter().enumerate() {
            std::fs::write(folder.join(format!("bot-{}-life-{}.tape", bot.place(), life + 1)), recording)?;
        }
    }
    say!("kept in {}, with a recording of each life of each bot", folder.display());
    say!("play it again: lab replay {}", file.display());
    Ok(())
}
