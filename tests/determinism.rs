//! The same seed and inputs give the same bytes: twice, in two processes, and with nothing in the core that could differ.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use interbot::lab::Network;

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

#[test]
fn two_processes_give_the_same_bytes() {
    const CHILD: &str = "INTERBOT_TEST_CHILD";
    if std::env::var_os(CHILD).is_some() {
        println!("transcript {}", transcript());
        return;
    }
    let here = transcript();
    assert_eq!(transcript(), here, "twice in one process");
    // Each process draws hash seeds and addresses of its own.
    for _ in 0..2 {
        let child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "two_processes_give_the_same_bytes", "--nocapture"])
            .env(CHILD, "1")
            .output()
            .expect("it runs again");
        let out = String::from_utf8(child.stdout).expect("a text");
        assert!(out.contains(&format!("transcript {here}")), "another process says {out}");
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

/// What the core may not reach for, and where it may all the same.
const BANNED: [(&str, &[&str]); 12] = [
    ("std::time::", &[]),
    ("SystemTime", &[]),
    ("HashMap", &[]),
    ("HashSet", &[]),
    ("RandomState", &[]),
    ("getrandom", &[]),
    // A recorder asks whether its host panics.
    ("std::thread", &["src/tape/mod.rs"]),
    ("std::fs", &["src/link/vectors.rs"]),
    ("std::net", &[]),
    ("std::env", &["src/link/vectors.rs"]),
    // The recorder writes to where the host says.
    ("std::io", &["src/tape/mod.rs", "src/tape/file.rs", "src/lab/recordings.rs"]),
    ("println!", &[]),
];

/// Lines of code that use something banned: comments and test modules do not count.
fn reaches(path: &str, text: &str) -> Vec<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    let lines = code.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter(|(_, line)| BANNED.iter().any(|(word, allowed)| line.contains(word) && !allowed.contains(&path)))
        .map(|(number, line)| format!("{path}:{}: {}", number + 1, line.trim()))
        .collect()
}

#[test]
fn nothing_in_the_core_reaches_for_a_clock_chance_threads_or_files() {
    assert_eq!(reaches("src/x.rs", "// HashMap\nuse std::time::Instant;\n"), ["src/x.rs:2: use std::time::Instant;"]);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    assert!(files.len() > 40, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let path = file.strip_prefix(root).expect("below it").to_str().expect("a text").replace('\\', "/");
        let is_test = path.ends_with("/tests.rs");
        if !is_test {
            wrong.extend(reaches(&path, &std::fs::read_to_string(&file).expect("a source")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
