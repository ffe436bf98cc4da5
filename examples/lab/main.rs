//! The laboratory at the command line: scenarios in virtual time, their failures made small, kept, played again and drawn.
//!
//! `cargo run --release --features sim,trace --example lab -- --help` tells how.

mod draw;
mod failure;
mod replay;
mod run;
mod speed;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// Simulates communities of bots.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a scenario for one seed or many; exit status 0 only if every check held.
    Run(RunArgs),
    /// Run random schedules of random communities until something fails or the time is over.
    Soak(SoakArgs),
    /// Play a failure or a recording again.
    Replay(ReplayArgs),
    /// Draw a failure or a recording: a page with its sequence diagram, or Mermaid when OUT ends with `.mmd`.
    Draw(DrawArgs),
    /// Measure what a thousand simulated bots cost.
    Speed {
        /// How many bots.
        #[arg(long, default_value_t = 1000)]
        bots: usize,
        /// How many posts, of random bots.
        #[arg(long, default_value_t = 100)]
        posts: u32,
    },
}

#[derive(Args)]
struct RunArgs {
    /// The scenario, such as `examples/lab/scenarios/crash_storm.json`.
    scenario: PathBuf,
    /// One seed.
    #[arg(long, default_value_t = 1, conflicts_with = "seeds")]
    seed: u64,
    /// Many seeds, such as `1..1000`, the last one included.
    #[arg(long, value_name = "A..B", value_parser = seeds)]
    seeds: Option<(u64, u64)>,
    /// Where to keep what failed: the scenario with its smallest schedule, and pictures.
    #[arg(long, value_name = "DIR")]
    record: Option<PathBuf>,
    /// Print one JSON object for each seed.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct ReplayArgs {
    /// `failure.json`, or the recording of one bot.
    file: PathBuf,
    /// Stop there, in seconds on the bot's clock; for recordings.
    #[arg(long, value_name = "SECONDS")]
    until: Option<f64>,
    /// Show each input of a recording and what came of it.
    #[arg(long)]
    steps: bool,
    /// Wait for a key after each; with `--steps`.
    #[arg(long, requires = "steps")]
    pause: bool,
}

#[derive(Args)]
struct DrawArgs {
    /// `failure.json`, or the recording of one bot.
    file: PathBuf,
    /// The page; a failure also gets a map of its links and a plot of how posts spread beside it.
    #[arg(short, long, value_name = "OUT.html")]
    out: PathBuf,
    /// Begin there, in seconds.
    #[arg(long, value_name = "SECONDS")]
    from: Option<f64>,
    /// End there, in seconds.
    #[arg(long, value_name = "SECONDS")]
    to: Option<f64>,
}

#[derive(Args)]
struct SoakArgs {
    /// How long.
    #[arg(long, default_value_t = 1.0)]
    minutes: f64,
    /// A scenario to vary in place of random ones.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// The first seed; by default drawn by the system.
    #[arg(long)]
    seed: Option<u64>,
    /// Where to keep what failed.
    #[arg(long, value_name = "DIR", default_value = "lab-failures")]
    record: PathBuf,
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let advice = || format!("`{text}` is no range of seeds: write `1..1000`");
    let (from, to) = text.split_once("..").ok_or_else(advice)?;
    let (from, to) = (from.parse().map_err(|_| advice())?, to.parse().map_err(|_| advice())?);
    if from > to { Err(advice()) } else { Ok((from, to)) }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Soak(args) => run::soak(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Draw(args) => draw::draw(&args),
        Command::Speed { bots, posts } => speed::speed(bots, posts),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

type Outcome = Result<bool, Box<dyn std::error::Error>>;
