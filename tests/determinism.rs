//! The same seed and inputs give the same bytes: twice, in two processes, and with nothing in the core that could differ.

#[path = "town/town.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod town;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use interbot::lab::Network;
use interbot::ledger::Answer;
use sha2::{Digest, Sha256};

use crate::town::{Town, rules};

/// A busy run with faults, real crypto, and pieces cut at random; all that the bots put out, hashed.
fn transcript() -> String {
    let mut net = Network::new(77);
    let bots = net.add_members("determinism", 6);
    for at in 1..6 {
        net.dial(bots[at], bots[(at - 1) / 2]);
    }
    net.run_for(Duration::from_secs(3));
    for n in 0..40u8 {
        net.publish(bots[usize::from(n) % 6], &[n; 300]).expect("nothing is busy");
        net.run_for(Duration::from_millis(7));
    }
    net.partition(&[&bots[..2]]);
    net.run_for(Duration::from_secs(40));
    net.heal();
    net.crash(bots[3]);
    net.run_for(Duration::from_secs(10));
    net.restart(bots[3]);
    net.dial(bots[3], bots[1]);
    net.jump_clock(bots[4], 5_000);
    net.set_drift(bots[5], 40_000);
    net.run_for(Duration::from_secs(120));
    net.transcript().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The traces of a small run with posts, a fault, a restart and a link that stays down, as lines of JSON.
#[cfg(feature = "trace")]
fn traces() -> String {
    use interbot::CommunityId;
    use interbot::node::Config;

    let mut net = Network::new(78);
    let mut config = Config::new(CommunityId::from_name("traces"), (0..4).map(|at| Network::identity_of(at).id()));
    config.trace = true;
    let bots = [0; 4].map(|_| net.add(config.clone()));
    let mut lines = String::new();
    let poll = |net: &mut Network, lines: &mut String| {
        for bot in bots {
            net.with(bot, |node, _| {
                while let Some(event) = node.poll_trace() {
                    event.to_json_line(lines)
                }
            });
        }
    };
    for at in 1..4 {
        net.dial(bots[at], bots[0]);
    }
    net.run_for(Duration::from_secs(3));
    for n in 0..8u8 {
        net.publish(bots[usize::from(n) % 4], &[n; 300]).expect("nothing is busy");
        net.run_for(Duration::from_millis(7));
    }
    net.partition(&[&bots[..2]]);
    net.run_for(Duration::from_secs(60));
    poll(&mut net, &mut lines);
    net.crash(bots[3]);
    net.heal();
    net.restart(bots[3]);
    net.dial(bots[3], bots[1]);
    net.run_for(Duration::from_secs(60));
    poll(&mut net, &mut lines);
    lines
}

#[cfg(not(feature = "trace"))]
const fn traces() -> String {
    String::new()
}

/// Three founders and a fourth bot that they admit: what is on their disks, and all that happened to them, as their recorders
/// wrote it down.
fn council() -> String {
    #[cfg(feature = "trace")]
    let (tapes, configure) = {
        let tapes = recorded::Tapes::default();
        (tapes.clone(), Box::new(move |_, config: &mut _| tapes.record(config)))
    };
    #[cfg(not(feature = "trace"))]
    let configure = Box::new(|_, _: &mut _| {});
    let mut town = Town::found_configured(rules(), 3, configure);
    town.everybody_says(Answer::Yes);
    let line = town.invite(1);
    let newcomer = town.invited(&line);
    assert!(town.run_until(400, |town| (0..4).all(|at| town.is_member(at, newcomer))));
    let mut lines = String::new();
    for (at, bot) in town.bots.iter().enumerate() {
        for (key, value) in &bot.disk {
            lines += &format!("bot {at}, {}: {:x?}\n", String::from_utf8_lossy(key), Sha256::digest(value));
        }
        lines += &format!("bot {at} {:?}\n", bot.events);
    }
    drop(town);
    #[cfg(feature = "trace")]
    tapes.describe(&mut lines);
    lines
}

#[cfg(feature = "trace")]
mod recorded {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use interbot::node::Config;
    use interbot::tape::Recorder;
    use sha2::{Digest, Sha256};

    #[derive(Clone, Default)]
    struct File(Arc<Mutex<Vec<u8>>>);

    impl Write for File {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What the bots were told and what they answered, whole.
    #[derive(Clone, Default)]
    pub(crate) struct Tapes(Arc<Mutex<Vec<File>>>);

    impl Tapes {
        pub(crate) fn record(&self, config: &mut Config) {
            let file = File::default();
            config.recorder = Some(Recorder::new(file.clone()));
            self.0.lock().expect("no panic").push(file);
        }

        pub(crate) fn describe(&self, lines: &mut String) {
            for file in &*self.0.lock().expect("no panic") {
                let bytes = file.0.lock().expect("no panic");
                *lines += &format!("recording of {} bytes: {:x?}\n", bytes.len(), Sha256::digest(&**bytes));
            }
        }
    }
}

/// All that must be the same.
fn said() -> String {
    format!("transcript {}\n{}{}", transcript(), council(), traces())
}

fn assert_same(here: &str, there: &str) {
    for (at, (here, there)) in here.lines().zip(there.lines()).enumerate() {
        assert_eq!(here, there, "line {}", at + 1);
    }
    assert_eq!(here.len(), there.len());
}

#[test]
fn two_processes_give_the_same_bytes_and_traces() {
    const CHILD: &str = "INTERBOT_TEST_CHILD";
    const MARK: &str = "===\n";
    if std::env::var_os(CHILD).is_some() {
        print!("{MARK}{}{MARK}", said());
        return;
    }
    let here = said();
    assert!(here.contains("bot 3, ledger/voter: "), "the newcomer has a ledger");
    assert_eq!(here.lines().count() > 300, cfg!(feature = "trace"), "{} lines", here.lines().count());
    assert_same(&here, &said());
    // Each process draws hash seeds and addresses of its own.
    for _ in 0..2 {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "two_processes_give_the_same_bytes_and_traces", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("it runs again");
        let out = String::from_utf8(child.stdout).expect("a text");
        assert_same(&here, out.split(MARK).nth(1).expect("what it said"));
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What nothing may reach for.
const BANNED: [&str; 14] = [
    "SystemTime",
    "UNIX_EPOCH",
    "HashMap",
    "HashSet",
    "hashbrown",
    "RandomState",
    "getrandom",
    "libc",
    "thread_local",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dbg!",
];

/// The lines that may name the standard library. The core has none: it is `no_std`, and its tests do not count.
const STD: [(&str, &[&str]); 4] = [
    // The recorder writes to where the host says, and asks whether its host panics.
    (
        "src/tape/mod.rs",
        &[
            "use std::io::{self, Write};",
            "use std::sync::{Mutex, MutexGuard, PoisonError};",
            "shared.write(|writer| if std::thread::panicking() { writer.flush() } else { writer.end() });",
        ],
    ),
    ("src/tape/file.rs", &["use std::io::Write;", "fn write_error(error: &std::io::Error) -> RecorderError {"]),
    // A run that panics is a failure of its checks.
    ("src/lab/world.rs", &["use std::panic::{AssertUnwindSafe, catch_unwind};"]),
    // What the recorder writes to, in a simulated network.
    ("src/lab/recordings.rs", &["use std::io::{self, Write};", "use std::sync::{Mutex, PoisonError};"]),
];

/// Whether a name stands in a line by itself; in quotes it is a feature's.
fn names(line: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '"';
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + name.len()..].chars().next());
        !(before.is_some_and(is_part) || after.is_some_and(is_part) && name.ends_with(char::is_alphanumeric))
    })
}

/// The code without its test module; what follows that stays, at its place.
fn without_tests(text: &str) -> String {
    let Some((code, tests)) = text.split_once("#[cfg(test)]\nmod tests {\n") else { return text.into() };
    let (tests, rest) = tests.split_once("\n}\n").expect("the module ends");
    format!("{code}{}{rest}", "\n".repeat(tests.lines().count() + 3))
}

/// Lines of code that use something banned: comments and test modules do not count.
fn reaches(path: &str, text: &str) -> Vec<String> {
    let allowed = STD.iter().find(|(file, _)| *file == path).map_or(&[][..], |(_, lines)| lines);
    let is_wrong =
        |line: &str| (names(line, "std") && !allowed.contains(&line)) || BANNED.iter().any(|word| names(line, word));
    let code = without_tests(text);
    let lines = code.lines().map(str::trim).enumerate().filter(|(_, line)| !line.starts_with("//"));
    lines.filter(|(_, line)| is_wrong(line)).map(|(number, line)| format!("{path}:{}: {line}", number + 1)).collect()
}

#[test]
fn the_search_finds_every_way_out_of_the_core() {
    for line in [
        "use std::{env, fs, thread, time};",
        "use std::time::Instant;",
        "use std as s;",
        "use ::std::process;",
        "extern crate std;",
        "pub use std::*;",
        "let at = std :: time::Instant::now();",
        "let born = UNIX_EPOCH;",
        "use alloc::{vec::Vec}; use std::fs;",
        "map: HashMap<u8, u8>,",
        "print!(\"?\");",
        "println!();",
        "eprint!(\"?\");",
        "eprintln!(\"?\");",
        "dbg!(x);",
        "thread_local! {",
    ] {
        assert_eq!(reaches("src/x.rs", &format!("fn f() {{\n    {line}\n}}\n")), [format!("src/x.rs:2: {line}")]);
        let after = format!("#[cfg(test)]\nmod tests {{\n    use std::fs;\n}}\n{line}\n");
        assert_eq!(reaches("src/x.rs", &after), [format!("src/x.rs:5: {line}")], "after the tests");
    }
    for line in [
        "// use std::fs;",
        "//! HashMap",
        "#![cfg_attr(not(feature = \"std\"), no_std)]",
        "use core::time::Duration;",
        "let stdout = 1;",
        "my_print!(1);",
    ] {
        assert_eq!(reaches("src/x.rs", line), [""; 0]);
    }
    let allowed = "use std::io::{self, Write};";
    assert_eq!(reaches("src/tape/mod.rs", allowed), [""; 0]);
    assert_eq!(reaches("src/tape/shade.rs", allowed), [format!("src/tape/shade.rs:1: {allowed}")]);
    let more = "use std::io::{self, Read, Write};";
    assert_eq!(
        reaches("src/tape/mod.rs", more),
        [format!("src/tape/mod.rs:1: {more}")],
        "a line is allowed, not a file"
    );
}

/// Files that are only compiled for tests.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/") || ["src/vectors.rs", "src/link/vectors.rs"].contains(&path)
}

#[test]
fn nothing_in_the_core_reaches_for_a_clock_chance_threads_or_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 40, "{} files", files.len());
    let (mut wrong, mut unused) = (Vec::new(), STD.map(|(file, lines)| (file, lines.to_vec())));
    for file in files {
        let path = file.strip_prefix(root).expect("below it").to_str().expect("a text").replace('\\', "/");
        if is_test(&path) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a source");
        wrong.extend(reaches(&path, &text));
        for (_, lines) in unused.iter_mut().filter(|(file, _)| *file == path) {
            lines.retain(|line| !text.lines().any(|here| here.trim() == *line));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(unused.iter().all(|(_, lines)| lines.is_empty()), "allowed and not there: {unused:?}");
}
