//! The laboratory at the command line: scenarios in virtual time, their failures made small, kept, played again and drawn.
//!
//! `cargo run --release --features sim,trace --example lab -- --help` tells how.

macro_rules! say {
    ($($text:tt)*) => { $crate::say(format_args!($($text)*)) };
}

mod draw;
mod failure;
mod reading;
mod replay;
mod run;
mod speed;

use std::io::Write;
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
        #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
        bots: u32,
        /// How many posts, of random bots.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
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
    /// Where to keep what failed: the scenario with its smallest schedule, and a recording of each bot.
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
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
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
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    from: Option<f64>,
    /// End there, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    to: Option<f64>,
}

#[derive(Args)]
struct SoakArgs {
    /// How long.
    #[arg(long, default_value_t = 1.0, value_parser = minutes)]
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

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| seconds.is_finite() && (0.0..=1e10).contains(seconds));
    seconds.ok_or_else(|| format!("`{text}` is no time: write seconds, such as `12.5`"))
}

fn minutes(text: &str) -> Result<f64, String> {
    let minutes = text.parse().ok().filter(|minutes: &f64| minutes.is_finite() && *minutes > 0.0 && *minutes <= 1e6);
    minutes.ok_or_else(|| format!("`{text}` is no span: write minutes, such as `10` or `0.5`"))
}

/// A line on standard output; who reads it may stop at any time.
fn say(line: std::fmt::Arguments<'_>) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}") {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("error: standard output: {error}");
        }
        std::process::exit(2);
    }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Soak(args) => run::soak(&args),
        Command::Replay(args) => replay::replay(&args),
        Command::Draw(args) => draw::draw(&args),
        Command::Speed { bots, posts } => speed::speed(bots as usize, posts),
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
