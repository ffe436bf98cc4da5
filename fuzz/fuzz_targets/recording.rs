//! Any bytes as a recording, as they are and under a good chain of hashes: read as far as they go, and replayed. What is read
//! has the one encoding, and what is wrong is within the file.
#![no_main]

use interbot::lab::replay::{Outcome, Replay};
use interbot::tape::{Recording, RecordingError};
use interbot_fuzz::tape::{chained, edited, is_deterministic, parts};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fn check(bytes: &[u8]) {
    let whole = Recording::read(bytes);
    let (recording, damage) = match Recording::read_prefix(bytes) {
        Ok(read) => read,
        Err(error) => {
            assert!(error.offset() <= bytes.len() as u64 && !error.to_string().is_empty());
            assert_eq!(whole, Err(error));
            return;
        }
    };
    let good = damage.as_ref().map_or(bytes.len(), |error| error.offset() as usize);
    assert!(good <= bytes.len());
    // What stands before the damage is whole.
    match (&damage, Recording::read_prefix(&bytes[..good])) {
        (None, _) => assert_eq!(whole, Ok(recording.clone())),
        (Some(RecordingError::Trailing { .. }), again) => assert!(matches!(again, Ok((_, None)))),
        (Some(error), again) => {
            assert_eq!(whole.as_ref(), Err(error));
            assert_eq!(again, Ok((recording.clone(), Some(RecordingError::Cut { offset: good as u64 }))));
        }
    }
    let (preamble, entries) = parts(&bytes[..good]).expect("it was read");
    assert_eq!(chained(preamble, &entries), bytes[..good]);
    assert!(entries.iter().all(|entry| is_deterministic(entry)));
    let mut replay = Replay::new(recording);
    while let Some(step) = replay.step() {
        let _ = step.to_string();
    }
    if let Outcome::Diverged(divergence) = replay.run() {
        assert!(divergence.offset <= good as u64);
    }
}

fuzz_target!(|bytes: &[u8]| {
    check(bytes);
    if let Some((preamble, entries)) = parts(bytes) {
        let again = chained(preamble, &entries);
        if again != bytes {
            check(&again);
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let change = |entry: &mut [u8], used: usize| {
        let room = entry.len();
        fuzzer_mutate(entry, used, room)
    };
    // Now and then the bytes themselves, hashes and all.
    let edited = if seed % 16 == 15 { None } else { edited(&data[..size], seed, change) };
    match edited.filter(|bytes| bytes.len() <= max_size) {
        Some(bytes) => {
            data[..bytes.len()].copy_from_slice(&bytes);
            bytes.len()
        }
        None => fuzzer_mutate(data, size, max_size),
    }
});
