//! The example `bot` as its users have it: real processes, real sockets, real kills.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed; its helpers are no tests to clippy")]

#[allow(dead_code, reason = "for its own tests, which nobody runs in an example")]
#[path = "../examples/bot/words.rs"]
mod words;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything: many times what a slow, busy machine takes.
const DEADLINE: Duration = Duration::from_secs(60);

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
        self.spawn(name, &[&["run", "--community", "test"], args].concat())
    }

    /// A bot in a community that votes.
    fn settle(&self, name: &'static str, how: &[&str]) -> Running {
        let key = format!("{name}.key");
        self.spawn(name, &[how, &["--key", &key, "--listen", "127.0.0.1:0"]].concat())
    }

    fn spawn(&self, name: &'static str, args: &[&str]) -> Running {
        let mut child =
            bot().current_dir(&self.0).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
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

    /// Takes what was said meanwhile; whether there is such an event among all.
    fn has_said(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> bool {
        while let Ok(line) = self.events.try_recv() {
            self.take(&line);
        }
        self.seen.iter().any(|(value, _)| value["event"] == event && wanted(value))
    }

    /// Says how to vote on what it was asked and has not answered yet.
    fn vote(&mut self, answer: &str) {
        self.has_said("proposed", |_| true);
        let asked = self.seen.iter_mut().filter(|(value, had)| !had && value["event"] == "proposed");
        let asked = asked.filter(|(value, _)| value["answer_with"].is_string());
        let questions: Vec<String> = asked
            .map(|(value, had)| {
                *had = true;
                value["question"].as_str().unwrap().to_string()
            })
            .collect();
        for question in questions {
            self.say(&format!("vote {answer} {question}"));
        }
    }

    fn invite(&mut self) -> String {
        self.say("invite");
        self.wait_for("invitation", |_| true)["line"].as_str().unwrap().to_string()
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

/// Lets all members say yes to everything until something holds.
fn agree(bots: &mut [Running], mut holds: impl FnMut(&mut [Running]) -> bool) {
    let until = Instant::now() + 3 * DEADLINE;
    while !holds(bots) {
        bots.iter_mut().for_each(|bot| bot.vote("yes"));
        if Instant::now() > until {
            for bot in bots {
                eprintln!("{}: {:#?}", bot.name, bot.seen);
            }
            panic!("what was to happen does not");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn states(bot: &Running) -> Vec<&str> {
    let joining = bot.seen.iter().map(|(event, _)| event).filter(|event| event["event"] == "joining");
    joining.map(|event| event["state"].as_str().unwrap()).collect()
}

fn lines(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
}

const SEVEN: [&str; 7] = ["b1", "b2", "b3", "b4", "b5", "b6", "b7"];

#[test]
fn seven_bots_found_a_community_join_it_and_remove_one() {
    let place = Place::new("seven");
    let ids = SEVEN.map(|name| place.keygen(name));
    let short = |at: usize| &ids[at][..12];
    let mut bots = vec![place.settle("b1", &["found", "--window", "8s", "--text", "seven"])];
    let address = bots[0].address();
    let community = bots[0].wait_for("community", |_| true)["community"].as_str().unwrap().to_string();
    // Three at once while there are fewer than four, then each height the one that its sponsor may ask for. A machine that is
    // so slow that it starts the three at different times takes some heights more.
    for (names, active) in [(1..4, 4), (4..7, 7)] {
        for name in &SEVEN[names] {
            let line = bots[0].invite();
            bots.push(place.settle(name, &["join", &line, "--words", &format!("I am {name}")]));
        }
        agree(&mut bots, |bots| {
            let is_in = |it: &Value| it["active"] == active && it["this_bot_counts"] == true;
            bots.iter_mut().all(|bot| bot.has_said("height", is_in))
        });
    }
    let heights = bots[0].seen.iter().map(|(event, _)| event).filter(|event| event["event"] == "height");
    let admitted: Vec<usize> = heights.map(|event| event["admitted"].as_array().unwrap().len()).collect();
    assert!(admitted.iter().sum::<usize>() == 6 && admitted.ends_with(&[1, 1, 1]), "{admitted:?}");
    let before = admitted.len();
    for bot in &mut bots[1..] {
        bot.wait_for("joining", |it| it["state"] == "member");
        let states = states(bot);
        assert_eq!(states.first(), Some(&"dialling"));
        assert!(states.contains(&"asked") && states.ends_with(&["guest", "member"]), "{}: {states:?}", bot.name);
    }
    let asked = bots[0].seen.iter().find(|(event, _)| event["event"] == "proposed" && event["who"] == ids[1]).unwrap();
    assert_eq!((&asked.0["words"], &asked.0["vouched_by"]), (&"I am b2".into(), &ids[0].clone().into()));
    assert!(asked.0["if_passed"].as_str().unwrap().starts_with("active members: 1 -> 2"), "{}", asked.0);

    bots[1].say("post hello");
    for bot in [0, 2, 3, 4, 5, 6] {
        bots[bot].wait_for("post", |post| post["text"] == "hello");
    }

    bots[1].say(&format!("propose remove {} too loud", short(6)));
    for (bot, answer) in [(0, "yes"), (1, "yes"), (2, "yes"), (3, "yes"), (4, "no")] {
        let asked = bots[bot].wait_for("proposed", |it| it["asks"] == "remove a member");
        assert_eq!((&asked["who"], &asked["sponsors_words"]), (&ids[6].clone().into(), &"too loud".into()));
        let question = asked["question"].as_str().unwrap();
        bots[bot].say(&format!("vote {answer} {}", &question[..6]));
        bots[bot].wait_for("voted", |it| it["answers"][0] == format!("{answer} {question}"));
    }
    let decided = bots[2].wait_for("decided", |it| it["who"] == ids[6] && it["asks"] == "remove a member");
    assert_eq!((&decided["outcome"], &decided["votes"]), (&"passed".into(), &"4 yes, 1 no, 1 abstained".into()));
    let height = bots[2].wait_for("height", |it| it["height"] == before + 1);
    assert_eq!((&height["active"], &height["departed"][0]["cause"]), (&6.into(), &"removed".into()));

    let question = decided["question"].as_str().unwrap();
    bots[2].say(&format!("explain {question} proof.json"));
    let explained = bots[2].wait_for("explanation", |_| true);
    let says = lines(&explained["says"]);
    assert_eq!(says[0], format!("remove {}, asked by {} at height {before}", short(6), short(1)));
    let line = |label: &str| says.iter().find_map(|line| line.trim().strip_prefix(label)).unwrap().to_string();
    let mut said_yes: Vec<String> = line("yes: ").split(", ").map(str::to_string).collect();
    let mut expected = [0, 1, 2, 3].map(|at| short(at).to_string());
    said_yes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(said_yes, expected);
    assert_eq!((line("no: "), line("abstained: ")), (short(4).to_string(), short(5).to_string()));

    let verified = place.run(&["verify", "proof.json", "--community", &community]);
    assert!(verified.status.success(), "{verified:?}");
    assert_eq!(String::from_utf8(verified.stdout).unwrap().lines().skip(1).collect::<Vec<_>>(), says);
    let (status, message) = place.refusal(&["verify", "proof.json", "--community", "c0ffee"]);
    assert_eq!(status, Some(2));
    assert!(message.contains(&format!("proof.json proves nothing: it is of the community {community}")), "{message}");
    let cut = std::fs::read_to_string(place.0.join("proof.json")).unwrap();
    place.write("cut.json", &cut[..cut.len() / 2]);
    assert!(place.refusal(&["verify", "cut.json"]).1.contains("it was cut off or changed"));

    // An orderly stop loses nothing: neither the ledger nor whom the bot dials.
    let third = bots.remove(2);
    third.quit();
    let mut third = place.settle("b3", &["run"]);
    assert_eq!(third.wait_for("community", |_| true)["height"], before + 1);
    third.link_up(&ids[0]);
    third.say("members");
    assert_eq!(third.wait_for("members", |_| true)["members"], 6);
    third.say(&format!("dial {}@{address}\nexplain {question}", ids[6]));
    let refused = third.wait_for("error", |_| true);
    assert!(refused["message"].as_str().unwrap().contains("is not among the members"), "{refused}");
    assert_eq!(lines(&third.wait_for("explanation", |_| true)["says"]), says);
}

#[test]
fn a_member_killed_in_the_middle_of_a_vote_keeps_its_word() {
    let place = Place::new("killed");
    let [hub_id, ann_id, _] = ["hub", "ann", "bob"].map(|name| place.keygen(name));
    let mut hub = place.settle("hub", &["found", "--window", "10s"]);
    let (used, other) = (hub.invite(), hub.invite());
    let mut bots = vec![hub, place.settle("ann", &["join", &used]), place.settle("bob", &["join", &other])];
    agree(&mut bots, |bots| {
        bots.iter_mut().all(|bot| bot.has_said("height", |it| it["active"] == 3 && it["this_bot_counts"] == true))
    });
    let [mut hub, mut ann, mut bob] = <[Running; 3]>::try_from(bots).ok().unwrap();

    hub.say("propose amend witnesses=2 observers=4 two will do");
    let wanted = |it: &Value| it["asks"] == "live by other rules";
    let asked = ann.wait_for("proposed", wanted);
    assert_eq!(lines(&asked["changes"]), ["observers 3 -> 4", "witnesses 3 -> 2"]);
    assert_eq!(asked["sponsors_words"], "two will do");
    let question = asked["question"].as_str().unwrap();
    ann.say(&format!("vote no {question}"));
    ann.wait_for("voted", |it| it["answers"][0] == format!("no {question}"));
    ann.kill();
    let mut ann = place.settle("ann", &["run"]);
    assert_ne!(ann.wait_for("community", |_| true)["height"], 0);
    ann.say("proposals");
    assert_eq!(ann.wait_for("proposal", |_| true)["your_answer"], "no");
    ann.link_up(&hub_id);
    for bot in [&mut hub, &mut bob] {
        bot.wait_for("proposed", wanted);
        bot.say(&format!("vote yes {question}"));
    }
    let decided = ann.wait_for("decided", |it| it["question"] == question);
    assert_eq!((&decided["outcome"], &decided["votes"]), (&"passed".into(), &"2 yes, 1 no, 0 abstained".into()));
    ann.say("rules\nexplain");
    assert_eq!(ann.wait_for("rules", |_| true)["witnesses"], "2");
    assert_eq!(ann.wait_for("decisions", |_| true)["decided"], 3);

    // A line lets one in; whoever comes with it later needs the owner.
    let late_id = place.keygen("late");
    let mut late = place.settle("late", &["join", &used, "--words", "am I late?"]);
    let told = late.wait_for("joining", |it| it["state"] == "waits for sponsor");
    assert!(told["says"].as_str().unwrap().starts_with("the invitation is used, over or not the inviter's"), "{told}");
    assert_eq!(hub.wait_for("applied", |it| it["who"] == late_id.as_str())["words"], "am I late?");
    hub.say("applicants");
    assert_eq!(hub.wait_for("applicants", |_| true)["waiting"], 1);
    hub.say(&format!("dismiss {}", &late_id[4..10]));
    late.wait_for("joining", |it| it["state"] == "declined");
    for (command, message) in [
        ("vote maybe 12", "write `vote yes|no|abstain QUESTION`"),
        ("vote yes zz", "no question's name begins with `zz`: see `proposals` and `explain`"),
        ("propose remove bot1zz", "no member, guest or applicant is named `bot1zz`: see `members` and `applicants`"),
        ("propose amend colour=red", "there is no rule `colour`; there are: window, faults, floor, "),
        ("propose amend witnesses=many", "witnesses cannot be `many`: write 1 to 255"),
        ("propose admit x", "a newcomer applies by itself: `invite` it, or `sponsor` one of the `applicants`"),
        ("invite nowhere", "write `invite [HOST:PORT [HOST:PORT]] [for 1d]`"),
        ("invite for ever", "`ever` is no span: write a number and d, h, m or s, such as 7d or 10m"),
        ("frob", "`frob` is no command; there are: post, links, dial, invite, "),
    ] {
        hub.say(command);
        let told = hub.wait_for("error", |_| true);
        assert!(told["message"].as_str().unwrap().starts_with(message), "{command}: {told}");
    }
    hub.say("health\nwhat-if leave");
    assert_eq!(hub.wait_for("health", |_| true)["there"], 3);
    let effect = hub.wait_for("what_if", |_| true);
    assert!(effect["if_passed"].as_str().unwrap().starts_with("active members: 3 -> 2"), "{effect}");
    assert!(effect["warnings"][0].as_str().unwrap().starts_with("with two active members"), "{effect}");
    assert_ne!(ann_id, late_id);
}

#[test]
fn a_bot_whose_community_cannot_be_says_why_and_what_to_do() {
    let place = Place::new("no-community");
    let [ann_id, bob_id] = place.members(["ann", "bob"]);
    let mut ann = place.settle("ann", &["found", "--records", "one.records"]);
    ann.say("invite 192.0.2.7:7000 for 1h");
    let line = ann.wait_for("invitation", |_| true)["line"].as_str().unwrap().to_string();
    ann.quit();
    place.settle("ann", &["found", "--records", "two.records"]).invite();
    let stale = {
        let (token, end) = (interbot::ledger::Token::from_bytes([7; 16]), interbot::UnixMillis(60_000));
        let (community, ann) = (interbot::CommunityId::from_name("test"), ann_id.parse().unwrap());
        interbot::ledger::Invitation::new(community, ann, "192.0.2.7:7000", token, end).unwrap().to_string()
    };

    std::fs::copy(place.0.join("one.records"), place.0.join("damaged.records")).unwrap();
    let database = redb::Database::create(place.0.join("damaged.records")).unwrap();
    let transaction = database.begin_write().unwrap();
    {
        let table = redb::TableDefinition::<&[u8], &[u8]>::new("records");
        transaction.open_table(table).unwrap().insert(&b"ledger/genesis"[..], &b"?"[..]).unwrap();
    }
    transaction.commit().unwrap();
    drop(database);

    let (ann, bob) = (["--key", "ann.key", "--listen", "127.0.0.1:0"], ["--key", "bob.key", "--listen", "127.0.0.1:0"]);
    let (one, two) = (["--records", "one.records"], ["--records", "two.records"]);
    let list = ["--members", "members.txt", "--community", "test"];
    type Refused<'a> = (&'a [&'a str], &'a [&'a [&'a str]], &'a str);
    let refused: [Refused<'_>; 11] = [
        (&["join", &stale], &[&ann], "the invitation expired"),
        (&["join", &line[..120]], &[&ann], "the invitation was cut off"),
        (&["join", &line], &[&ann, &two], "two.records: these records are of another community"),
        (
            &["found"],
            &[&ann, &one],
            "one.records holds a community that votes on its members: go on in it with `bot run",
        ),
        (&["run"], &[&list, &ann, &one], "one.records holds a community that votes on its members"),
        (&["run"], &[&ann], "ann.key.records holds no community: found one with `bot found`, join one with"),
        (&["run"], &[&bob, &one], &format!("these records belong to {ann_id}, not to this bot")),
        (&["run"], &[&ann, &["--records", "damaged.records"]], "the record `ledger/genesis` is damaged: start without"),
        (&["found", "--window", "10ms"], &[&ann], "`10ms` is no span: write a number and d, h, m or s"),
        (&["found", "--window", "0s"], &[&ann], "the vote window in ms is 0, and must be 1,000 to 31,622,400,000"),
        (&["run"], &[&ann, &one, &["--dial", &format!("{ann_id}@127.0.0.1:1")]], "this is the bot's own id"),
    ];
    for (command, args, expected) in refused {
        let (status, message) = place.refusal(&[command, &args.concat()].concat());
        assert!(message.contains(expected), "{command:?} {args:?}: {message}");
        assert_eq!(status, Some(2), "{message}");
    }
    assert_ne!(ann_id, bob_id);
}
