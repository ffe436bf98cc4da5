//! One bot as a process: a key file, a list of members, commands on stdin, events as JSON lines on stdout.
//!
//! `cargo run --example bot -- --help` tells how. The links run over TLS; [`run`] is what a bot of your own begins with.

#[allow(dead_code, reason = "another example uses the rest")]
#[path = "../common/mod.rs"]
mod common;
mod files;
mod records;
mod run;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand};
use interbot::BotId;

/// A chat bot that links up with the others of its community.
#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a new secret key, and print the bot's id for the others' lists of members.
    Keygen {
        /// Where to write the key; it must not be there yet.
        file: PathBuf,
    },
    /// Print the id of a key.
    Id {
        /// The key's file.
        file: PathBuf,
    },
    /// Run the bot until `quit`, Ctrl-C or SIGTERM.
    #[command(
        after_help = "Commands on stdin, one a line: `post TEXT`, `links`, `stats`, `quit`. The end of stdin stops nothing."
    )]
    Run(RunArgs),
}

#[derive(Args)]
struct RunArgs {
    /// The key's file; one key belongs to one running bot.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The ids of all bots that are let in, one a line; `#` starts a comment.
    #[arg(long, value_name = "FILE")]
    members: PathBuf,
    /// The community's name, the same for all its bots; who guesses it can recognise them.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    community: String,
    /// Where to take links, such as `0.0.0.0:7000`; port 0 is any that is free.
    #[arg(long, value_name = "ADDR", required_unless_present = "no_listen")]
    listen: Option<SocketAddr>,
    /// Take no links, and tell the others so.
    #[arg(long, conflicts_with = "listen", requires = "dial")]
    no_listen: bool,
    /// A bot to be linked with, such as `bot1…@example.org:7000`; again for more.
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
        let port =
            address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
        if port.is_none_or(|port: u16| port == 0) {
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
        Command::Run(args) => run::run(args),
    };
    let Err(refusal) = result else { return ExitCode::SUCCESS };
    eprintln!("error: {refusal}");
    ExitCode::from(match refusal {
        Refusal::Input(_) => 2,
        Refusal::System(_) => 1,
    })
}
