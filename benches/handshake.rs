//! A whole handshake in memory, both sides on one thread, against the public-key operations it cannot do without.
//!
//! Prints `ratio NAME VALUE` and `figure NAME VALUE` (microseconds) from interleaved rounds, then criterion's report.

#[path = "support/cpu.rs"]
mod cpu;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/public_key.rs"]
mod public_key;
#[path = "support/timing.rs"]
mod timing;

use interbot::crypto::Pure;
use std::sync::Arc;

use pair::Pair;
use public_key::PublicKeyOperations;
use timing::{Case, take_turns};

fn ratios() {
    let mut operations = PublicKeyOperations::new();
    let (mut aes, mut chacha) = (Pair::new(Arc::new(Pure), true), Pair::new(Arc::new(Pure), false));
    #[cfg(feature = "aws-lc")]
    let mut aws_lc = Pair::new(Arc::new(interbot::crypto::AwsLc), true);
    let cases = [
        Case::new("primitives", || operations.both_sides()),
        Case::new("aes", || drop(aes.handshake())),
        Case::new("chacha", || drop(chacha.handshake())),
    ]
    .into_iter();
    #[cfg(feature = "aws-lc")]
    let cases = cases.chain([Case::new("aws-lc", || drop(aws_lc.handshake()))]);

    let rounds = take_turns(cases.collect());
    println!("ratio handshake_vs_primitives {:.3}", rounds.ratio("aes", "primitives"));
    println!("ratio handshake_chacha_vs_primitives {:.3}", rounds.ratio("chacha", "primitives"));
    println!("figure handshake_primitives_us {:.1}", rounds.micros("primitives"));
    println!("figure handshake_us {:.1}", rounds.micros("aes"));
    println!("figure handshake_chacha_us {:.1}", rounds.micros("chacha"));
    #[cfg(feature = "aws-lc")]
    {
        println!("ratio handshake_awslc_vs_pure {:.3}", rounds.ratio("aws-lc", "aes"));
        println!("figure handshake_awslc_us {:.1}", rounds.micros("aws-lc"));
    }
}

fn main() {
    let mut criterion = cpu::criterion();
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|argument| argument == "--test") {
        ratios();
    }
    let mut group = criterion.benchmark_group("handshake");
    for (name, aes) in [("aes", true), ("chacha", false)] {
        let mut pair = Pair::new(Arc::new(Pure), aes);
        group.bench_function(name, |bencher| bencher.iter(|| pair.handshake()));
    }
    let mut operations = PublicKeyOperations::new();
    group.bench_function("primitives", |bencher| bencher.iter(|| operations.both_sides()));
    group.finish();
    criterion.final_summary();
}
