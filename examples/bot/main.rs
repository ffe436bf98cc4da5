//! One bot as a process: a key file, records on disk, commands on stdin, events as JSON lines on stdout.
//!
//! It lives in a community that votes on its members, or with a fixed list of them. `cargo run --example bot -- --help` tells
//! how. The links run over TLS; [`run`] is what a bot of your own begins with.

#[allow(dead_code, reason = "another example uses the rest")]
#[path = "../common/mod.rs"]
mod common;
mod events;
mod files;
mod owner;
mod records;
mod rules;
mod run;
mod words;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use interbot::BotId;
use interbot::ledger::Invitation;

const COMMANDS: &str = "Commands on stdin, one a line: `help` lists them. The end of stdin stops nothing.";

/// A chat bot that links up with the others of its community.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new secret key, and print the bot's id.
    Keygen {
        /// Where to write the key; it must not be there yet.
        file: PathBuf,
    },
    /// Print the id of a key.
    Id {
        /// The key's file.
        file: PathBuf,
    },
    /// Found a community of one and run its first bot; it then invites others.
    #[command(after_help = COMMANDS)]
    Found(FoundArgs),
    /// Join a community with an invitation, and run the bot.
    #[command(after_help = COMMANDS)]
    Join(JoinArgs),
    /// Run the bot until `quit`, Ctrl-C or SIGTERM.
    #[command(after_help = COMMANDS)]
    Run(RunArgs),
    /// Check a decision that a bot wrote down with `explain QUESTION FILE`; takes no network and no clock.
    Verify {
        /// The file with the decision and everything that leads to it.
        file: PathBuf,
        /// The id that the community must have; without it, compare the one that is printed.
        #[arg(long, value_name = "ID")]
        community: Option<String>,
    },
}

#[derive(Args)]
struct FoundArgs {
    #[command(flatten)]
    bot: BotArgs,
    /// Where to take links, such as `0.0.0.0:7000`; port 0 is any that is free.
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// The rules to begin with; a vote changes them.
    #[arg(long, value_enum, default_value = "village")]
    preset: PresetName,
    /// How long a question stands before it is decided, such as `7d`, `10m` or `60s`; by default 7d.
    #[arg(long, value_name = "SPAN", value_parser = words::read_span)]
    window: Option<Duration>,
    /// What the community is for; everybody who joins can read it.
    #[arg(long, default_value = "")]
    text: String,
}

#[derive(Clone, Copy, ValueEnum)]
enum PresetName {
    /// Who is silent for two rounds sleeps, for four is removed; a quorum bears traitors.
    Village,
    /// Who does not answer once is out; no traitors are expected.
    Seed,
}

#[derive(Args)]
struct JoinArgs {
    /// The invitation: the line that a member's `invite` printed.
    line: Invitation,
    #[command(flatten)]
    bot: BotArgs,
    #[command(flatten)]
    listen: ListenArgs,
    /// What the members' owners read about this bot before they vote.
    #[arg(long, value_name = "TEXT", default_value = "")]
    words: String,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    bot: BotArgs,
    #[command(flatten)]
    listen: ListenArgs,
    /// A fixed list instead of a community that votes: the ids of all bots that are let in, one a line; `#` starts a comment.
    #[arg(long, value_name = "FILE", requires = "community")]
    members: Option<PathBuf>,
    /// With a fixed list, the community's name, the same for all its bots; who guesses it can recognise them.
    #[arg(long, value_name = "NAME", requires = "members", value_parser = NonEmptyStringValueParser::new())]
    community: Option<String>,
}

#[derive(Args)]
struct ListenArgs {
    /// Where to take links, such as `0.0.0.0:7000`; port 0 is any that is free.
    #[arg(long, value_name = "ADDR", required_unless_present = "no_listen")]
    listen: Option<SocketAddr>,
    /// Take no links, and tell the others so.
    #[arg(long, conflicts_with = "listen")]
    no_listen: bool,
}

#[derive(Args)]
struct BotArgs {
    /// The key's file; one key belongs to one running bot.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// A member to be linked with, such as `bot1…@example.org:7000`; again for more. A community that votes is remembered with
    /// all whom the bot dials.
    #[arg(long, value_name = "ID@ADDR")]
    dial: Vec<Peer>,
    /// Leave TLS away; all bots must agree on it. The links stay encrypted, but show that they are links of bots.
    #[arg(long)]
    plain: bool,
    /// Where the bot's records are kept; by default beside the key.
    #[arg(long, value_name = "FILE")]
    records: Option<PathBuf>,
}

/// Whom to dial, and where.
#[derive(Clone, Debug)]
struct Peer {
    id: BotId,
    address: String,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, address) = text.split_once('@').ok_or("there is no `@`: write the bot's id, `@`, and HOST:PORT")?;
        if !words::is_address(address) {
            return Err(format!("`{address}` is no address: write HOST:PORT behind the `@`"));
        }
        Ok(Self { id: id.parse().map_err(|error| format!("{error}"))?, address: address.to_string() })
    }
}

/// Why the bot does not start, and what to do.
#[derive(Debug)]
enum Refusal {
    /// What it was given is wrong: exit status 2, as for a wrong command line.
    Input(String),
    /// Something around it is in the way: exit status 1.
    System(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Input(text) | Self::System(text) => f.write_str(text),
        }
    }
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Keygen { file } => files::make_key(&file).map(|id| println!("{id}")),
        Command::Id { file } => files::read_key(&file).map(|identity| println!("{}", identity.id())),
        Command::Found(args) => run::found(args),
        Command::Join(args) => run::join(args),
        Command::Run(args) => run::run(args),
        Command::Verify { file, community } => {
            files::verify(&file, community.as_deref()).map(|told| println!("{told}"))
        }
    };
    let Err(refusal) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {refusal}");
    ExitCode::from(match refusal {
        Refusal::Input(_) => 2,
        Refusal::System(_) => 1,
    })
}
