//! Any bytes as a recording: read as far as they go, and replayed; a good one that was written again stays what it was.
#![no_main]

use interbot::lab::replay::Replay;
use interbot::tape::Recording;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let whole = Recording::read(bytes);
    match Recording::read_prefix(bytes) {
        Ok((recording, damage)) => {
            assert_eq!(whole.is_ok(), damage.is_none());
            let mut replay = Replay::new(recording);
            while let Some(step) = replay.step() {
                let _ = step.to_string();
            }
        }
        Err(error) => assert!(whole.is_err() && !error.to_string().is_empty()),
    }
});
