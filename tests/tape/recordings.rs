//! The folder of recordings: each must replay to the same outputs. A host's recording of a bug belongs there.

use std::path::PathBuf;
use std::time::Duration;

use interbot::Instant;
use interbot::lab::replay::{Outcome, Replay};
use interbot::node::{Node, Record};
use interbot::tape::Recording;

use crate::ledger::founder_and_applicant;
use crate::stage::{Stage, TLS, author, config, id, identity, message, seed};

const T0: Instant = Instant::from_millis(1_000);

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "recordings"].iter().collect()
}

/// Runs a scene and returns its recording.
pub(crate) fn record(redacted: bool, records: Option<Vec<Record>>, scene: impl FnOnce(&mut Stage)) -> Vec<u8> {
    let (config, file) = config(redacted);
    let recorder = config.recorder.clone().expect("it records");
    let node = match records {
        Some(records) => Node::restore(config, &identity(1), seed("node"), T0, records).expect("good records"),
        None => Node::new(config, &identity(1), seed("node"), T0),
    };
    let mut stage = Stage::new(node, T0);
    scene(&mut stage);
    drop(stage);
    assert_eq!(recorder.error(), None);
    file.bytes()
}

/// A child, its posts and an own one, a keepalive, an orderly end.
pub(crate) fn handshake_and_posts(stage: &mut Stage) {
    stage.visit(2);
    stage.talk(64);
    let mut hub = author(2, 1);
    for body in [&b"a first post"[..], b"a second post"] {
        stage.send(&message(3, hub.publish(body)));
    }
    stage.talk(50);
    stage.node.publish(stage.now, b"a post of its own").expect("not busy");
    stage.talk(4096);
    stage.wait(10_000);
    stage.talk(4096);
    stage.node.shut_down(stage.now);
    stage.talk(4096);
}

fn refused_stranger(stage: &mut Stage) {
    stage.visit(8);
    stage.talk(4096);
}

fn bad_message(stage: &mut Stage) {
    stage.visit(2);
    stage.visit(3);
    stage.talk(4096);
    let good = message(0, author(2, 1).publish(b"what it says is nobody's business"));
    stage.send(&[&good[..], b"and more than that"].concat());
    stage.talk(4096);
}

/// Two dials, one to an address where nobody is, over TLS.
fn dials(stage: &mut Stage) {
    stage.binding = TLS;
    stage.node.dial(stage.now, id(3), "somewhere").expect("a member");
    stage.node.dial(stage.now, id(4), "nowhere").expect("a member");
    stage.talk(4096);
    stage.node.forget(stage.now, id(3));
    for _ in 0..5 {
        stage.wait(2_000);
        stage.talk(4096);
    }
}

fn after_a_restart(stage: &mut Stage) {
    stage.visit(2);
    stage.talk(4096);
    // The first was seen in the life before.
    let mut hub = author(2, 1);
    for body in [&b"again"[..], b"new"] {
        stage.send(&message(0, hub.publish(body)));
    }
    stage.node.publish(stage.now, b"the numbers go on").expect("not busy");
    stage.talk(4096);
}

fn records() -> Vec<Record> {
    let mut node = Node::new(config(false).0, &identity(1), seed("the life before"), T0);
    node.publish(T0, b"number one").expect("not busy");
    let mut stage = Stage::new(node, T0);
    stage.visit(2);
    stage.talk(4096);
    stage.send(&message(0, author(2, 1).publish(b"again")));
    stage.talk(4096);
    stage.node.snapshot()
}

#[test]
fn every_recording_in_the_folder_replays_to_the_same_outputs() {
    if std::env::var_os("INTERBOT_WRITE_GOLDEN").is_some() {
        let [founder, applicant] = founder_and_applicant();
        for (name, bytes) in [
            ("founder", founder),
            ("applicant", applicant),
            ("handshake_and_posts", record(false, None, handshake_and_posts)),
            ("refused_stranger", record(false, None, refused_stranger)),
            ("bad_message", record(true, None, bad_message)),
            ("dials", record(false, None, dials)),
            ("after_a_restart", record(true, Some(records()), after_a_restart)),
        ] {
            std::fs::write(folder().join(name).with_extension("tape"), bytes).expect("the folder is writable");
        }
    }
    let mut replayed = 0;
    for entry in std::fs::read_dir(folder()).expect("tests/recordings; INTERBOT_WRITE_GOLDEN=1 writes it") {
        let path = entry.expect("a name").path();
        if path.extension().is_none_or(|extension| extension != "tape") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("a file");
        let recording = Recording::read(&bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        match Replay::new(recording).run() {
            Outcome::Same { inputs, outputs } => assert!(inputs > 0 && outputs > inputs, "{}", path.display()),
            diverged => panic!("{}: {diverged}", path.display()),
        }
        replayed += 1;
    }
    assert!(replayed >= 7, "{replayed}");
}

#[test]
fn a_replay_goes_step_by_step_and_until_an_instant_and_shows_its_trace() {
    let bytes = record(false, None, handshake_and_posts);
    let all = Replay::new(Recording::read(&bytes).expect("whole")).run();
    let mut replay = Replay::new(Recording::read(&bytes).expect("whole"));
    let start = replay.step().expect("a start");
    assert_eq!((start.number, &*start.input, start.at, start.events.len()), (0, "start", T0, 1));
    let first = replay.step().expect("an input");
    let expected =
        "       1  1.000000000 s  accepted\n            returned link#1\n            idle until 6.000000000 s";
    assert_eq!((first.number, first.to_string(), first.divergence), (1, expected.to_string(), None));
    let before = replay.until(T0 + Duration::from_secs(5));
    let text = before.iter().map(|step| format!("{step}\n")).collect::<String>();
    assert!(text.contains("       2  1.000000000 s  bytes of link 1, 64 bytes\n            returned ()\n"), "{text}");
    assert!(text.contains("event link up 1, ") && text.contains("event post by link 1, "), "{text}");
    assert!(before.iter().flat_map(|step| &step.events).any(|event| event.kind.as_str() == "post_in"));
    assert_eq!(replay.next_at(), Some(T0 + Duration::from_secs(10)));
    assert_eq!((replay.run(), replay.step()), (all, None));
    assert_eq!(replay.node().map(|node| (node.links().count(), node.stats().posts)), Some((0, 2)));
}

#[test]
fn with_other_limits_it_diverges_where_they_bite() {
    let bytes = record(true, None, handshake_and_posts);
    let mut replay = Replay::changed(Recording::read(&bytes).expect("whole"), |config| config.limits.children = 0);
    let Outcome::Diverged(divergence) = replay.run() else { panic!("no difference") };
    assert!(divergence.expected.starts_with("event link up 1, bot1"), "{divergence}");
    assert_eq!(divergence.actual, "send link 1, 280 bytes: record");
    let shown = divergence.to_string();
    assert!(shown.starts_with("the node diverges from its recording at 1.000000000 s, input "), "{shown}");
    assert!(
        shown.ends_with("\n+ send link 1, 280 bytes: record") && shown.contains("\n- event link up 1, "),
        "{shown}"
    );
    // The byte is that of the line: it stands there, after its length, its kind and the head of its text.
    let line = &bytes[usize::try_from(divergence.offset).expect("small") + 5..];
    assert!(line[2..].starts_with(divergence.expected.as_bytes()), "{divergence}");
}
