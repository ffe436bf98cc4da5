//! Recordings that are cut, altered, of another version, or something else; writers that fail.

use std::io::{self, Write};

use ciborium::Value;
use interbot::Instant;
use interbot::lab::replay::{Outcome, Replay};
use interbot::node::{Config, Node, Output};
use interbot::tape::{Recorder, RecorderError, Recording, RecordingError};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

use crate::recordings::{handshake_and_posts, record};
use crate::stage::{config, identity, seed};

fn recorded() -> Vec<u8> {
    record(true, None, handshake_and_posts)
}

/// Where the entries begin, and the entries without their hashes.
pub(crate) fn entries(bytes: &[u8]) -> (usize, Vec<Vec<u8>>) {
    let start = 17 + usize::from(bytes[16]);
    let (mut at, mut all) = (start, Vec::new());
    while at < bytes.len() {
        let length = u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes")) as usize;
        all.push(bytes[at..at + 4 + length].to_vec());
        at += 4 + length + 8;
    }
    (start, all)
}

/// Puts a recording together again, as somebody would who wants to change it.
pub(crate) fn chained(preamble: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let (mut chain, mut out) = (Sha256::digest(preamble), preamble.to_vec());
    for entry in entries {
        chain = Sha256::new().chain_update(chain).chain_update(entry).finalize();
        out.extend_from_slice(entry);
        out.extend_from_slice(&chain[..8]);
    }
    out
}

fn entry(kind: u8, item: &Value) -> Vec<u8> {
    let mut body = vec![kind];
    ciborium::into_writer(item, &mut body).expect("memory");
    [&u32::try_from(body.len()).expect("short").to_be_bytes()[..], &body].concat()
}

fn numbers(numbers: &[u64]) -> Value {
    Value::Array(numbers.iter().map(|number| Value::from(*number)).collect())
}

#[test]
fn an_expected_line_that_was_changed_is_a_divergence_at_its_byte() {
    let bytes = recorded();
    let (start, mut all) = entries(&bytes);
    assert_eq!(chained(&bytes[..start], &all), bytes);
    let line = "event post by link 1, ";
    let from = |entry: &Vec<u8>| entry.windows(line.len()).position(|window| window == line.as_bytes());
    let (at, from) = all.iter().enumerate().find_map(|(at, entry)| Some((at, from(entry)?))).expect("a post came");
    let old = String::from_utf8(all[at][from..].to_vec()).expect("a text");
    let new = old.replace("12 bytes", "13 bytes");
    all[at] = entry(5, &Value::Bytes(new.clone().into()));
    let offset = start + all[..at].iter().map(|entry| entry.len() + 8).sum::<usize>();
    let changed = Recording::read(&chained(&bytes[..start], &all)).expect("chained anew");
    let Outcome::Diverged(divergence) = Replay::new(changed).run() else { panic!("no difference") };
    assert_eq!((&divergence.expected, &divergence.actual, divergence.offset), (&new, &old, offset as u64));
    assert_eq!((divergence.at, divergence.before.len()), (Instant::from_millis(1_000), 8));
    assert!(divergence.before[7].ends_with("16  1.000000000 s  bytes of link 1, 7 bytes"), "{divergence}");
}

#[test]
fn answers_that_are_missing_too_many_or_of_another_kind_are_divergences() {
    let bytes = recorded();
    let (start, all) = entries(&bytes);
    let answers: Vec<usize> = (0..all.len()).filter(|at| all[*at][4] == 3).collect();
    assert!(answers.len() > 8);
    for at in answers {
        // An exchange went well; where it did, a tag was good.
        let (agreed, tag) = (entry(3, &numbers(&[4, 1])), entry(3, &numbers(&[6, 1])));
        let other = if agreed == all[at] { tag } else { agreed };
        let (mut without, mut twice, mut instead) = (all.clone(), all.clone(), all.clone());
        without.remove(at);
        twice.insert(at, other.clone());
        instead[at] = other;
        for changed in [without, twice, instead] {
            let recording = Recording::read(&chained(&bytes[..start], &changed)).expect("chained anew");
            let outcome = Replay::new(recording).run();
            assert!(matches!(outcome, Outcome::Diverged(_)), "entry {at}");
        }
    }
}

#[test]
fn a_cut_recording_is_an_error_and_replays_up_to_there() {
    let bytes = recorded();
    for cut in 0..bytes.len() {
        let error = Recording::read(&bytes[..cut]).expect_err("cut");
        assert!(error.offset() <= cut as u64, "cut {cut}: {error}");
        match Recording::read_prefix(&bytes[..cut]) {
            Ok((recording, error)) => {
                assert!(matches!(error, Some(RecordingError::Cut { .. })), "cut {cut}");
                // Replays are dear: a sample of all places.
                if cut % 37 == 0 {
                    let outcome = Replay::new(recording).run();
                    assert!(matches!(outcome, Outcome::Same { .. }), "cut {cut}: {outcome}");
                }
            }
            Err(error) => assert!(cut < 1_000, "cut {cut}: {error}"),
        }
    }
}

#[test]
fn other_files_and_other_schemas_are_named() {
    let mut bytes = recorded();
    let error = |bytes: &[u8]| Recording::read(bytes).expect_err("not whole").to_string();
    assert_eq!(error(b""), "this is no recording of a node: its first bytes are something else's (byte 0)");
    assert_eq!(error(b"interval\n"), "this is no recording of a node: its first bytes are something else's (byte 5)");
    let whole = bytes.len();
    bytes.push(0);
    assert_eq!(
        error(&bytes),
        format!("the recording ends at byte {whole}, and something stands behind it: cut it off")
    );
    bytes.pop();
    let version = env!("CARGO_PKG_VERSION");
    for schema in [1, 9] {
        bytes[15] = schema;
        let expected = format!(
            "interbot {version} wrote this recording with schema {schema}, this is {version} with schema 2: replay it with that version (byte 14)"
        );
        assert_eq!(error(&bytes), expected);
    }
}

#[test]
fn a_good_chain_of_nonsense_is_malformed() {
    let bytes = recorded();
    let (start, all) = entries(&bytes);
    let read = |entries: &[Vec<u8>]| Recording::read(&chained(&bytes[..start], entries));
    assert_eq!(read(&all[1..]).map(|_| ()).map_err(|error| error.offset()), Err(start as u64));
    let second = start + all[0].len() + 8;
    let mut longer = entry(6, &numbers(&[]));
    longer.push(0);
    longer[3] += 1;
    for nonsense in [
        longer,
        entry(2, &Value::Text("no input".into())),
        entry(9, &numbers(&[])),
        entry(1, &numbers(&[])),
        entry(2, &numbers(&[6])),
        entry(2, &numbers(&[6, 1, 1])),
        entry(2, &numbers(&[99, 1])),
        entry(3, &numbers(&[4, 2])),
        entry(5, &Value::Bytes([0xff].into())),
    ] {
        let error = read(&[all[0].clone(), nonsense]).expect_err("nonsense");
        assert!(matches!(error, RecordingError::Malformed { offset, .. } if offset == second as u64), "{error}");
    }
}

/// Fails after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn outputs(config: Config) -> Vec<Output> {
    let mut node = Node::new(config, &identity(1), seed("node"), Instant::ZERO);
    let mut outputs = Vec::new();
    for millis in 0..20 {
        node.publish(Instant::from_millis(millis), b"one of many").expect("not busy");
        outputs.push(node.poll());
    }
    outputs
}

#[test]
fn a_writer_that_fails_stops_the_recording_and_not_the_node() {
    let (mut config, _) = config(false);
    config.recorder = None;
    let undisturbed = outputs(config.clone());
    for room in [0, 10, 1_500] {
        let recorder = Recorder::new(Full(room));
        config.recorder = Some(recorder.clone());
        assert_eq!(outputs(config.clone()), undisturbed);
        let error = recorder.error();
        assert!(
            matches!(&error, Some(RecorderError::Write { kind: io::ErrorKind::StorageFull, .. })),
            "{room}: {error:?}"
        );
    }
}

#[test]
fn a_second_node_with_one_recorder_is_not_recorded() {
    let (config, file) = config(false);
    let recorder = config.recorder.clone().expect("it records");
    let first = Node::new(config.clone(), &identity(1), seed("node"), Instant::ZERO);
    let second = Node::new(config, &identity(1), seed("other"), Instant::ZERO);
    assert_eq!(recorder.error(), Some(RecorderError::Used));
    drop((second, first));
    let recording = Recording::read(&file.bytes()).expect("whole");
    assert_eq!(Replay::new(recording).run(), Outcome::Same { inputs: 0, outputs: 0 });
}

#[test]
fn a_host_that_dies_leaves_a_recording_that_is_cut() {
    let (config, file) = config(false);
    let node = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut node = Node::new(config, &identity(1), seed("node"), Instant::ZERO);
        node.publish(Instant::ZERO, b"the last words").expect("not busy");
        std::panic::resume_unwind(Box::new("the host's bug"));
    }));
    assert!(node.is_err());
    let bytes = file.bytes();
    let (recording, error) = Recording::read_prefix(&bytes).expect("a beginning");
    assert_eq!(error, Some(RecordingError::Cut { offset: bytes.len() as u64 }));
    assert_eq!(Replay::new(recording).run(), Outcome::Same { inputs: 1, outputs: 1 });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn any_altered_byte_is_found(at in any::<proptest::sample::Index>(), with in 1u8..) {
        let mut bytes = recorded();
        let at = at.index(bytes.len());
        bytes[at] ^= with;
        let error = Recording::read(&bytes).expect_err("altered");
        prop_assert!(error.offset() <= bytes.len() as u64);
        if let Ok((recording, error)) = Recording::read_prefix(&bytes) {
            prop_assert!(error.is_some_and(|error| error.offset() <= at as u64));
            let outcome = Replay::new(recording).run();
            prop_assert!(matches!(outcome, Outcome::Same { .. }), "{}", outcome);
        }
    }
    #[test]
    fn an_altered_byte_under_a_good_chain_is_malformed_or_replayed_without_a_panic(
        at in any::<proptest::sample::Index>(),
        byte in any::<proptest::sample::Index>(),
        with in 1u8..,
    ) {
        let bytes = recorded();
        let (start, mut all) = entries(&bytes);
        let entry = at.get_mut(&mut all);
        let byte = 4 + byte.index(entry.len() - 4);
        entry[byte] ^= with;
        if let Ok(recording) = Recording::read(&chained(&bytes[..start], &all)) {
            let _ = Replay::new(recording).run();
        }
    }
}
