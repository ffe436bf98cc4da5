//! The example `bot` as its users have it: real processes, real sockets, real kills.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed; its helpers are no tests to clippy")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything: many times what a slow, busy machine takes.
const DEADLINE: Duration = Duration::from_secs(15);

/// The binary that cargo built for this test run, beside the test's own.
fn bot() -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    path.push("examples/bot");
    assert!(
        path.exists(),
        "{} is missing: run `cargo build --example bot`, or `cargo test` without --test",
        path.display()
    );
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// A directory of its own for each test.
struct Place(PathBuf);

impl Place {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bot-{test}"));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn run(&self, args: &[&str]) -> Output {
        bot().current_dir(&self.0).args(args).output().unwrap()
    }

    /// Makes a key and returns its bot's id.
    fn keygen(&self, name: &str) -> String {
        let output = self.run(&["keygen", &format!("{name}.key")]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_string()
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.join(file), text).unwrap();
    }

    /// Makes keys, and a list of all of them.
    fn members<const N: usize>(&self, names: [&str; N]) -> [String; N] {
        let ids = names.map(|name| self.keygen(name));
        self.write("members.txt", &format!("\u{feff}# everybody\n\n{}  # and their names\n", ids.join("\n")));
        ids
    }

    fn start(&self, name: &'static str, args: &[&str]) -> Running {
        let key = format!("{name}.key");
        self.start_with(name, &[&["--key", &key, "--members", "members.txt"], args].concat())
    }

    fn start_with(&self, name: &'static str, args: &[&str]) -> Running {
        let mut child = bot()
            .current_dir(&self.0)
            .args(["run", "--community", "test"])
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (lines, events) = channel();
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Running { name, child, stdin, events, seen: Vec::new() }
    }

    /// What a bot says that does not start, with its exit status.
    fn refusal(&self, args: &[&str]) -> (Option<i32>, String) {
        let output = self.run(args);
        assert!(output.stdout.is_empty(), "{output:?}");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    }
}

/// A bot that runs; killed when the test is over.
struct Running {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    events: Receiver<String>,
    /// All events so far, and whether the test waited for them.
    seen: Vec<(Value, bool)>,
}

impl Running {
    /// The first event of this kind that the test wants and has not had yet.
    fn wait_for(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let until = Instant::now() + DEADLINE;
        loop {
            let found = self.seen.iter_mut().find(|(value, had)| !had && value["event"] == event && wanted(value));
            if let Some((value, had)) = found {
                *had = true;
                return value.clone();
            }
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.take(&line),
                Err(error) => panic!("{}: no `{event}` ({error}), but {:#?}", self.name, self.seen),
            }
        }
    }

    fn take(&mut self, line: &str) {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{}: {error}: {line}", self.name));
        self.seen.push((value, false));
    }

    fn address(&mut self) -> String {
        self.wait_for("listening", |_| true)["address"].as_str().unwrap().to_string()
    }

    fn link_up(&mut self, peer: &str) -> Value {
        self.wait_for("link_up", |event| event["peer"] == peer)
    }

    fn say(&mut self, command: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
    }

    /// Posts, and returns the post's stream and number.
    fn post(&mut self, text: &str) -> (String, u64) {
        self.say(&format!("post {text}"));
        let event = self.wait_for("published", |_| true);
        (event["stream"].as_str().unwrap().to_string(), event["seq"].as_u64().unwrap())
    }

    /// Waits for the end, and returns how often each post came.
    fn posts_until_end(mut self) -> BTreeMap<(String, String), u32> {
        let until = Instant::now() + DEADLINE;
        loop {
            match self.events.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => self.take(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("{} does not end", self.name),
            }
        }
        assert!(self.child.wait().unwrap().success(), "{}", self.name);
        let mut posts = BTreeMap::new();
        for event in self.seen.iter().map(|(event, _)| event).filter(|event| event["event"] == "post") {
            let [origin, text] = ["origin", "text"].map(|field| event[field].as_str().unwrap().to_string());
            *posts.entry((origin, text)).or_default() += 1;
        }
        posts
    }

    fn quit(mut self) -> BTreeMap<(String, String), u32> {
        self.say("quit");
        self.posts_until_end()
    }

    /// As `kill -9` does.
    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn posts(expected: &[(&String, &str)]) -> BTreeMap<(String, String), u32> {
    expected.iter().map(|(origin, text)| (((*origin).clone(), (*text).to_string()), 1)).collect()
}

/// A hub and two leaves: everybody gets each post of the others exactly once, also across a kill.
fn three_bots(test: &str, tls: bool) {
    let place = Place::new(test);
    let [hub_id, ann_id, bob_id] = place.members(["hub", "ann", "bob"]);
    let plain: &[&str] = if tls { &[] } else { &["--plain"] };
    let mut hub = place.start("hub", &[&["--listen", "127.0.0.1:0"], plain].concat());
    let dial = format!("{hub_id}@{}", hub.address());
    let leaf = [&["--no-listen", "--dial", &dial], plain].concat();
    let server = [&["--listen", "127.0.0.1:0", "--dial", &dial], plain].concat();
    let mut ann = place.start("ann", &leaf);
    let up = hub.link_up(&ann_id);
    assert_eq!((&up["side"], &up["tls"]), (&"server".into(), &tls.into()));
    let mut bob = place.start("bob", &server);
    hub.link_up(&bob_id);
    let up = bob.link_up(&hub_id);
    assert_eq!((&up["side"], &up["tls"]), (&"client".into(), &tls.into()));
    ann.link_up(&hub_id);

    let (_, first) = hub.post("from the hub");
    let (stream, second) = ann.post("from ann");
    assert_eq!((first, second), (1, 1));
    bob.post("from bob: ü \"\\ \u{7}");
    for (bot, text) in
        [(&mut hub, "from bob: ü \"\\ \u{7}"), (&mut ann, "from bob: ü \"\\ \u{7}"), (&mut bob, "from ann")]
    {
        bot.wait_for("post", |post| post["text"] == text);
    }
    hub.say("links");
    let links = hub.wait_for("links", |_| true);
    let peers: Vec<&Value> = links["links"].as_array().unwrap().iter().map(|link| &link["peer"]).collect();
    assert_eq!(peers, [&ann_id, &bob_id]);

    ann.kill();
    hub.wait_for("closed", |event| event["peer"] == ann_id.as_str());
    let mut ann = place.start("ann", &leaf);
    ann.link_up(&hub_id);
    hub.link_up(&ann_id);
    assert_eq!(ann.post("ann is back"), (stream, 2), "a killed bot goes on where it was");
    hub.wait_for("post", |post| post["text"] == "ann is back");
    bob.wait_for("post", |post| post["text"] == "ann is back");
    hub.post("welcome back");
    ann.wait_for("post", |post| post["text"] == "welcome back");
    bob.wait_for("post", |post| post["text"] == "welcome back");

    // An orderly stop is told to the others, by whichever way it is asked for.
    ann.say("post last words\nquit");
    bob.wait_for("post", |post| post["text"] == "last words");
    let closed = hub.wait_for("closed", |event| event["peer"] == ann_id.as_str());
    assert_eq!(closed["reason"], "closed by the peer: going away");
    assert_eq!(ann.posts_until_end(), posts(&[(&hub_id, "welcome back")]));
    let kill = format!("kill -TERM {}", bob.child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let from_others = [
        (&hub_id, "from the hub"),
        (&ann_id, "from ann"),
        (&ann_id, "ann is back"),
        (&hub_id, "welcome back"),
        (&ann_id, "last words"),
    ];
    assert_eq!(bob.posts_until_end(), posts(&from_others));
    let closed = hub.wait_for("closed", |event| event["peer"] == bob_id.as_str());
    assert_eq!(closed["reason"], "closed by the peer: going away");
    let bobs = (&bob_id, "from bob: ü \"\\ \u{7}");
    assert_eq!(hub.quit(), posts(&[(&ann_id, "from ann"), bobs, (&ann_id, "ann is back"), (&ann_id, "last words")]));

    // An orderly stop keeps the counter too.
    let mut ann = place.start("ann", &leaf);
    assert_eq!(ann.post("nobody hears this").1, 4);
    ann.quit();
}

#[test]
fn three_bots_over_tls_get_every_post_once_also_across_a_kill() {
    three_bots("tls", true);
}

#[test]
fn three_bots_over_bare_tcp_get_every_post_once_also_across_a_kill() {
    three_bots("plain", false);
}

#[test]
fn idle_connections_keep_no_member_out() {
    let place = Place::new("idle");
    let [hub_id, ann_id] = place.members(["hub", "ann"]);
    let mut hub = place.start("hub", &["--listen", "127.0.0.1:0"]);
    let address = hub.address();
    // More than the host lets wait for TLS; each stays open to the end.
    let idle: Vec<_> = (0..300).map(|_| std::net::TcpStream::connect(&address).unwrap()).collect();
    let mut ann = place.start("ann", &["--no-listen", "--dial", &format!("{hub_id}@{address}")]);
    ann.link_up(&hub_id);
    hub.link_up(&ann_id);
    drop(idle);
}

#[test]
fn a_stranger_and_a_second_bot_with_one_key_are_refused() {
    let place = Place::new("refused");
    let [hub_id, ann_id] = place.members(["hub", "ann"]);
    let mut hub = place.start("hub", &["--listen", "127.0.0.1:0"]);
    let dial = format!("{hub_id}@{}", hub.address());

    let stranger_id = place.keygen("stranger");
    let mut stranger = place.start("stranger", &["--no-listen", "--dial", &dial]);
    let closed = stranger.wait_for("closed", |_| true);
    assert_eq!(closed["reason"], "closed by the peer: unknown member");
    assert_eq!(closed["peer"], hub_id.as_str());
    assert!(closed["retry_in_ms"].as_u64().unwrap() > 0);
    let closed = hub.wait_for("closed", |_| true);
    assert_eq!((&closed["reason"], &closed["peer"]), (&"closed here: unknown member".into(), &stranger_id.into()));

    let leaf = ["--no-listen", "--dial", &dial];
    let mut ann = place.start("ann", &leaf);
    ann.link_up(&hub_id);
    let again = ["run", "--community", "test", "--key", "ann.key", "--members", "members.txt"];
    let (status, message) = place.refusal(&[&again[..], &leaf].concat());
    assert_eq!(status, Some(1), "{message}");
    assert!(message.contains("ann.key.records is in use by another process"), "{message}");
    let mut second = place.start("ann", &[&leaf[..], &["--records", "second.records"]].concat());
    let closed = second.wait_for("closed", |_| true);
    assert_eq!(closed["reason"], "closed by the peer: already connected");
    hub.post("to ann");
    ann.wait_for("post", |post| post["origin"] == hub_id.as_str());
    assert!(
        ann.seen.iter().all(|(event, _)| event["event"] != "closed"),
        "the first link of {ann_id} is not disturbed"
    );
    assert!(second.quit().is_empty());
}

#[test]
fn a_bot_goes_on_without_stdin_and_tells_what_it_does_not_understand() {
    let place = Place::new("commands");
    let [hub_id, ann_id] = place.members(["hub", "ann"]);
    let mut hub = place.start("hub", &["--listen", "127.0.0.1:0"]);
    let dial = format!("{hub_id}@{}", hub.address());
    let mut ann = place.start("ann", &["--no-listen", "--dial", &dial]);
    hub.link_up(&ann_id);
    for (command, message) in [
        ("\n\nfrob", "`frob` is no command; there are: post TEXT, links, stats, quit"),
        ("post ", "there is nothing to post: write `post TEXT`"),
    ] {
        hub.say(command);
        assert_eq!(hub.wait_for("error", |_| true)["message"], message);
    }
    let long = "x".repeat(64 * 1024);
    hub.say(&format!("post {long}"));
    let refused = hub.wait_for("error", |_| true);
    assert_eq!(refused["message"], "a post has at most 64512 bytes, this has 65536: split it");
    ann.stdin.as_mut().unwrap().write_all(b"post \xff\x00\n").unwrap();
    assert_eq!(hub.wait_for("post", |_| true)["hex"], "ff00");

    ann.say("stats");
    let stats = ann.wait_for("stats", |_| true);
    assert_eq!((&stats["handshakes"], &stats["posts"], &stats["strangers"]), (&1.into(), &0.into(), &0.into()));

    ann.stdin = None;
    for text in ["one", "two"] {
        hub.post(text);
        ann.wait_for("post", |post| post["text"] == text);
    }
}

#[test]
fn a_dial_that_fails_says_why_and_when_it_is_tried_again() {
    let place = Place::new("unreachable");
    let [nobody_id, _] = place.members(["nobody", "ann"]);
    let mut ann = place.start("ann", &["--no-listen", "--dial", &format!("{nobody_id}@127.0.0.1:1")]);
    let closed = ann.wait_for("closed", |closed| closed["peer"] == nobody_id);
    let reason = closed["reason"].as_str().expect("a text");
    assert!(reason.starts_with("the address could not be reached: Connection refused"), "{reason}");
    assert!(closed["retry_in_ms"].as_u64().is_some_and(|wait| wait <= 1_500), "{closed}");
}

#[test]
fn keys_are_made_once_and_for_their_owner_only() {
    let place = Place::new("keys");
    let id = place.keygen("ann");
    let file = place.0.join("ann.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("# SECRET") && lines[0].contains("never copy it to a second bot"), "{text}");
    assert_eq!((lines.len(), lines[1].starts_with("botsecret1")), (2, true));

    let (status, message) = place.refusal(&["keygen", "ann.key"]);
    assert_eq!(status, Some(2));
    assert!(message.contains("ann.key is there already"), "{message}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);

    let output = place.run(&["id", "ann.key"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), id);
    assert!(output.stderr.is_empty());
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    let output = place.run(&["id", "ann.key"]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), id);
    assert!(String::from_utf8(output.stderr).unwrap().contains("run `chmod 600 ann.key`"));
}

#[test]
fn a_bot_that_does_not_start_says_why_and_what_to_do() {
    let place = Place::new("refusals");
    let [ann_id, bob_id] = place.members(["ann", "bob"]);
    place.write("cut.txt", &format!("# everybody\n{ann_id}\n{}\n", &bob_id[..50]));
    place.write("empty.txt", "# nobody yet\n");
    place.write("only-ann.txt", &ann_id);
    place.write("none.key", "# SECRET\n");
    place.write("cut.key", "# SECRET\nbotsecret1qqqq\n");
    place.write("public.key", &format!("{ann_id}\n"));
    let (bob, cut) = (format!("{bob_id}@127.0.0.1:1"), format!("{}@127.0.0.1:1", &bob_id[..50]));
    let (no_port, itself) = (format!("{bob_id}@example.org"), format!("{ann_id}@127.0.0.1:1"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();

    let listen = ["--listen", "127.0.0.1:0"];
    let dial = |peer| ["--no-listen", "--dial", peer];
    let wrong: [(i32, &str, &str, &[&str], &str); 15] = [
        (2, "missing.key", "members.txt", &listen, "missing.key cannot be read"),
        (2, "none.key", "members.txt", &listen, "none.key holds no key: make one with `bot keygen FILE`"),
        (2, "cut.key", "members.txt", &listen, "cut.key:2: a bot's secret key has 68 characters, this has 14: copy it"),
        (2, "public.key", "members.txt", &listen, "public.key:1: a bot's secret key starts with `botsecret1`"),
        (2, "ann.key", "missing.txt", &listen, "missing.txt cannot be read"),
        (2, "ann.key", "empty.txt", &listen, "empty.txt names no bot: write one id a line"),
        (2, "ann.key", "cut.txt", &listen, "cut.txt:3: a bot id has 62 characters, this has 50: copy it again, whole"),
        (2, "ann.key", "members.txt", &[], "--listen <ADDR>"),
        (2, "ann.key", "members.txt", &["--no-listen"], "--dial <ID@ADDR>"),
        (2, "ann.key", "members.txt", &dial(&cut), "a bot id has 62 characters, this has 50: copy it again, whole"),
        (2, "ann.key", "members.txt", &dial(&bob_id), "there is no `@`"),
        (2, "ann.key", "members.txt", &dial(&no_port), "`example.org` is no address: write HOST:PORT behind the `@`"),
        (2, "ann.key", "members.txt", &dial(&itself), "this is the bot's own id: dial another bot"),
        (2, "ann.key", "only-ann.txt", &dial(&bob), "is to be dialled, but not in only-ann.txt: add it there first"),
        (1, "ann.key", "members.txt", &["--listen", &taken], "name another address with --listen"),
    ];
    for (status, key, members, more, expected) in wrong {
        let args = [&["run", "--community", "test", "--key", key, "--members", members], more].concat();
        let (found, message) = place.refusal(&args);
        assert!(message.contains(expected), "{args:?}: {message}");
        assert_eq!(found, Some(status), "{message}");
    }

    // Records of another bot, and a file that is none.
    let mut ann = place.start("ann", &listen);
    ann.address();
    ann.post("hello");
    ann.quit();
    place.write("text.records", "no database");
    for (records, expected) in [
        ("ann.key.records", format!("these records belong to {ann_id}, not to this bot")),
        ("text.records", "text.records cannot be opened".to_string()),
    ] {
        let args =
            [&["run", "--community", "test", "--key", "bob.key", "--members", "members.txt"], &listen[..]].concat();
        let (status, message) = place.refusal(&[&args[..], &["--records", records]].concat());
        assert!(message.contains(&expected), "{message}");
        assert_eq!(status, Some(2), "{message}");
    }
}
