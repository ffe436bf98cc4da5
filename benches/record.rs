//! A message sealed and opened on an open link, against the bare AEAD, and the memory that a frame costs.
//!
//! Prints `ratio NAME VALUE` and `figure NAME VALUE` (microseconds, bytes) from interleaved rounds, then criterion's report.

#[path = "support/cpu.rs"]
mod cpu;
#[path = "support/pair.rs"]
mod pair;
#[path = "support/record.rs"]
mod record;
#[path = "support/timing.rs"]
mod timing;

use aes_gcm::Aes256Gcm;
use chacha20poly1305::ChaCha20Poly1305;
use criterion::Throughput;
use interbot::crypto::Pure;
use interbot::link::Step;
use std::sync::Arc;

use pair::NOW;
use record::{BareAead, Wire};
use timing::{Case, take_turns};

/// Lengths of a record's plaintext (the message and the byte that says what it is), and what they are called in names.
const LENGTHS: [(usize, &str); 3] = [(64, "_64"), (1024, ""), (16 * 1024, "_16k")];

/// Frames before memory is counted, and frames over which it is counted.
const WARM_UP: usize = 1_000;
const COUNTED: usize = 10_000;

fn ratios() {
    for (len, name) in LENGTHS {
        let pure = || Arc::new(Pure);
        let (mut aes, mut chacha) = (Wire::new(pure(), true, len - 1), Wire::new(pure(), false, len - 1));
        let (mut bare_aes, mut bare_chacha) = (BareAead::<Aes256Gcm>::new(len), BareAead::<ChaCha20Poly1305>::new(len));
        // A message of that length makes a plaintext of one byte more, and so one more cipher block.
        let (mut longer_aes, mut longer_chacha) = (Wire::new(pure(), true, len), Wire::new(pure(), false, len));
        let rounds = take_turns(vec![
            Case::new("record", || aes.seal_and_open()),
            Case::new("aead", || bare_aes.seal_and_open()),
            Case::new("message", || longer_aes.seal_and_open()),
            Case::new("record_chacha", || chacha.seal_and_open()),
            Case::new("aead_chacha", || bare_chacha.seal_and_open()),
            Case::new("message_chacha", || longer_chacha.seal_and_open()),
        ]);
        for suite in ["", "_chacha"] {
            let (ours, theirs) = (format!("record{suite}"), format!("aead{suite}"));
            println!("ratio record{name}_vs_{theirs} {:.3}", rounds.ratio(&ours, &theirs));
            println!("ratio message{name}_vs_{theirs} {:.3}", rounds.ratio(&format!("message{suite}"), &theirs));
            println!("figure record{name}{suite}_us {:.3}", rounds.micros(&ours));
            println!("figure record{name}_aead{suite}_us {:.3}", rounds.micros(&format!("aead{suite}")));
        }
    }
}

/// Bytes allocated for each frame, on both paths, once buffers have grown.
fn memory() {
    let mut wire = Wire::new(Arc::new(Pure), true, 1024);
    let message = [5; 1024];
    let mut send = || {
        assert!(wire.sender.send(NOW, &message));
        wire.sender.take_output()
    };
    let mut frames: Vec<_> = (0..WARM_UP).map(|_| send().to_vec()).collect();
    let counted = allocation_counter::measure(|| (0..COUNTED).for_each(|_| drop(send())));
    println!("figure alloc_bytes_per_frame {}", per_frame(counted.bytes_total));

    // The receiver has to see every counter once, so the link is a new one and all its frames are kept.
    let mut wire = Wire::new(Arc::new(Pure), true, 1024);
    frames.clear();
    for _ in 0..WARM_UP + COUNTED {
        assert!(wire.sender.send(NOW, &message));
        frames.push(wire.sender.take_output().to_vec());
    }
    let mut open = |frame: &Vec<u8>| assert!(matches!(wire.receiver.step(NOW, &mut &frame[..]), Step::Message(_)));
    let (before, after) = frames.split_at(WARM_UP);
    before.iter().for_each(&mut open);
    let counted = allocation_counter::measure(|| after.iter().for_each(&mut open));
    println!("figure alloc_bytes_per_frame_open {}", per_frame(counted.bytes_total));
}

fn per_frame(bytes: u64) -> f64 {
    bytes as f64 / COUNTED as f64
}

fn main() {
    let mut criterion = cpu::criterion();
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|argument| argument == "--test") {
        ratios();
        memory();
    }
    let mut group = criterion.benchmark_group("record");
    for (len, name) in LENGTHS {
        group.throughput(Throughput::Bytes(len as u64));
        for (suite, aes) in [("aes", true), ("chacha", false)] {
            let mut wire = Wire::new(Arc::new(Pure), aes, len);
            group.bench_function(format!("{suite}{name}"), |bencher| bencher.iter(|| wire.seal_and_open()));
        }
    }
    group.finish();
    criterion.final_summary();
}
