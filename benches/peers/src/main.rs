//! Measures interbot and the libraries it is compared with, side by side in one run. See README.md.

mod gossip;
mod link;
mod noise;
#[path = "../../support/pair.rs"]
mod pair;
#[path = "../../support/public_key.rs"]
mod public_key;
#[path = "../../support/record.rs"]
mod record;
mod report;
#[path = "../../support/timing.rs"]
mod timing;
mod tls;

use std::process::ExitCode;

const USAGE: &str = "usage: cargo run --release -- COMPARISON

comparisons:
  link    handshakes and records, against their primitives, snow, and rustls
  gossip  simulated communities of a thousand, against plumtree with hyparview";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let report = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["link"] => link::compare(),
        ["gossip"] => gossip::compare(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    report.print();
    ExitCode::SUCCESS
}
