//! Committed vectors: `tests/vectors/*.json`, computed by the code and compared value for value.
//!
//! `INTERBOT_WRITE_VECTORS=1 cargo test vectors` writes them anew.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Display;
use std::path::PathBuf;

use serde_json::Value;

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    unhex(text).try_into().expect("the right number of digits")
}

fn path(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "vectors", name].iter().collect()
}

pub(crate) fn committed(name: &str) -> Value {
    let text = std::fs::read_to_string(path(name)).expect("the vectors are committed");
    serde_json::from_str(&text).expect("the vectors are JSON")
}

/// Compares with the committed file, or writes it where the environment asks for that.
pub(crate) fn check(name: &str, value: &Value) {
    if std::env::var_os("INTERBOT_WRITE_VECTORS").is_some() {
        let text = serde_json::to_string_pretty(value).expect("JSON of strings and numbers") + "\n";
        std::fs::write(path(name), text).expect("the folder of vectors is writable");
    }
    if let Some(at) = difference(&committed(name), value) {
        panic!(
            "{name} and the code differ at {at}; INTERBOT_WRITE_VECTORS=1 cargo test vectors writes what the code says"
        );
    }
}

/// Where two values first differ: a whole file on the screen helps nobody.
fn difference(kept: &Value, made: &Value) -> Option<String> {
    let below = |key: &dyn Display, kept, made| difference(kept, made).map(|at| format!("/{key}{at}"));
    match (kept, made) {
        (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().zip(b.values()).find_map(|((key, kept), made)| below(key, kept, made))
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            (0..).zip(a.iter().zip(b)).find_map(|(at, (kept, made)): (usize, _)| below(&at, kept, made))
        }
        _ => (kept != made).then(String::new),
    }
}
