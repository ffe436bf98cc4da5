//! The trace of a node: one fixed run, line by line, and what a host that never asks for it gets.

#[path = "town/town.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod town;

use std::sync::LazyLock;

use interbot::budget::Rate;
use interbot::ledger::{Answer, Ask, Rules};
use interbot::link::Binding;
use interbot::node::{Action, Config, Event, LinkId, Node, Output};
use interbot::trace::{self, Kind, UnixMillis};
use interbot::{CommunityId, Identity, Instant};

use crate::town::{Town, rules};

const SECRET: &[u8] = b"nobody but members reads this";

fn config() -> (Config, [Identity; 2]) {
    let identities = [1, 2].map(|seed| Identity::from_seed([seed; 32]));
    let members = identities.each_ref().map(Identity::id);
    let mut config = Config::new(CommunityId::from_name("example"), members);
    config.trace = true;
    (config, identities)
}

fn nodes_with(config: &Config, [ann, bob]: &[Identity; 2]) -> [Node; 2] {
    let now = Instant::ZERO;
    [Node::new(config.clone(), ann, [3; 32], now), Node::new(config.clone(), bob, [4; 32], now)]
}

fn nodes() -> [Node; 2] {
    let (config, identities) = config();
    nodes_with(&config, &identities)
}

/// Two bots in one loop, as in the crate's documentation; both traces in the order of what happened.
struct Pair {
    nodes: [Node; 2],
    links: [Option<LinkId>; 2],
    events: Vec<trace::Event>,
}

impl Pair {
    fn new(nodes: [Node; 2]) -> Self {
        Self { nodes, links: [None; 2], events: Vec::new() }
    }

    /// Works off what the two put out; each posts when its link is open.
    fn round(&mut self, millis: u64) {
        let (now, Self { nodes, links, events }) = (Instant::from_millis(millis), self);
        for me in 0..2 {
            while let Output::Do(action) = nodes[me].poll() {
                match action {
                    Action::Dial { link, .. } => {
                        *links = [Some(link), Some(nodes[1].handle_accepted(now, Binding::None).expect("a slot"))];
                        nodes[0].handle_dialled(now, link, Binding::None);
                    }
                    Action::Send { link, bytes } => {
                        if let Some(theirs) = links[1 - me] {
                            nodes[1 - me].handle_bytes(now, theirs, &bytes).expect("drained");
                        }
                        nodes[me].handle_written(now, link, bytes.len());
                    }
                    Action::Persist { id, .. } => nodes[me].persisted(now, id),
                    Action::Notify(Event::LinkUp { .. }) => drop(nodes[me].publish(now, SECRET)),
                    Action::CloseLink { link } if links[me] == Some(link) => links[me] = None,
                    Action::Notify(_) | Action::CloseLink { .. } => {}
                    Action::PauseReading { .. } | Action::ResumeReading { .. } => {}
                }
            }
            events.extend(std::iter::from_fn(|| nodes[me].poll_trace()));
        }
    }
}

/// A link from its dial to its orderly end, and a post in each direction.
fn run() -> Vec<trace::Event> {
    let mut pair = Pair::new(nodes());
    let ids = pair.nodes.each_ref().map(Node::id);
    pair.nodes[1].set_wall_clock(Instant::ZERO, UnixMillis(1_700_000_000_000));
    pair.nodes[0].dial(Instant::from_millis(1), ids[1], "bob's address").expect("a member");
    assert!(pair.nodes[0].dial(Instant::from_millis(1), ids[0], "myself").is_err());
    for millis in 2..40 {
        pair.round(millis);
        if millis == 30 {
            pair.nodes[0].shut_down(Instant::from_millis(millis));
        }
    }
    pair.nodes[0].handle_timeout(Instant::from_millis(20_000));
    pair.events.extend(std::iter::from_fn(|| pair.nodes[0].poll_trace()));
    pair.events
}

/// A start from records, a slow disk, a loud peer, and a host that comes back to the trace too late.
fn pressed() -> Vec<trace::Event> {
    let (mut config, identities) = config();
    config.limits.unpersisted_posts = 1;
    config.limits.posts = Rate { per_second: 10, burst: 3 };
    let mut pair = Pair::new(nodes_with(&config, &identities));
    let [ann, bob] = pair.nodes.each_ref().map(Node::id);
    let at = Instant::from_millis;
    pair.nodes[0].dial(at(1), bob, "bob's address").expect("a member");
    (2..8).for_each(|millis| pair.round(millis));
    pair.nodes[0].shut_down(at(8));
    pair.round(8);
    // What went before is in the other golden trace, all but the numbers.
    pair.events.clear();
    let records = pair.nodes[0].snapshot();
    pair.nodes[0] = Node::restore(config, &identities[0], [5; 32], at(9), records).expect("its own records");
    pair.nodes[0].dial(at(9), bob, "bob's address").expect("a member");
    (10..20).for_each(|millis| pair.round(millis));
    pair.nodes[0].publish(at(20), SECRET).expect("not busy");
    assert!(pair.nodes[0].publish(at(20), SECRET).is_err(), "the disk is slow");
    for millis in 20..24 {
        pair.round(millis);
        pair.nodes[0].publish(at(millis), SECRET).expect("not busy");
    }
    pair.round(24);
    for _ in 0..3 {
        if let Output::Idle { wake_at: Some(next) } = pair.nodes[1].poll() {
            pair.nodes[1].handle_timeout(next);
            pair.round(next.as_nanos() / 1_000_000);
        }
    }
    let link = pair.links[0].expect("it is open");
    pair.nodes[0].handle_ended(at(20_000), link);
    pair.round(20_000);
    for _ in 0..=trace::BUFFERED {
        assert!(pair.nodes[0].dial(at(20_000), ann, "myself").is_err());
    }
    pair.events.extend(pair.nodes[0].poll_trace());
    pair.events
}

/// A founder alone asks itself something and seals the height; then it invites somebody, who becomes a member. What it takes
/// of frames, writes and timers is in the other traces.
fn council() -> Vec<trace::Event> {
    static EVENTS: LazyLock<Vec<trace::Event>> = LazyLock::new(|| {
        let configure = |_, config: &mut Config| config.trace = true;
        let mut town = Town::found_configured(rules(), 1, Box::new(configure));
        town.everybody_says(Answer::Yes);
        let shown = [Kind::Started, Kind::Refused, Kind::LinkUp, Kind::Closed, Kind::Ledger, Kind::Lost];
        let mut events = Vec::new();
        let mut run = |town: &mut Town, seconds, stop: fn(&mut Town) -> bool| {
            for _ in 0..seconds {
                for bot in &mut town.bots {
                    let polled = std::iter::from_fn(|| bot.node.as_mut()?.poll_trace());
                    events.extend(polled.filter(|event| shown.contains(&event.kind)));
                }
                if stop(town) {
                    return;
                }
                town.run(1);
            }
            panic!("it never came to it");
        };
        let amended = Rules { witnesses: 2, ..rules() };
        town.do_at(0, |node, now| node.propose(now, Ask::Amend(amended), SECRET)).expect("a slot");
        let lasts = std::time::Duration::from_secs(60);
        assert!(town.do_at(0, |node, now| node.invite(now, "no address", None, lasts)).is_err());
        run(&mut town, 400, |town| town.height(0) == 1);
        let line = town.invite(0);
        town.invited(&line);
        run(&mut town, 400, |town| (0..2).all(|at| town.is_member(at, 1)));
        town.run(2);
        run(&mut town, 1, |_| true);
        events
    });
    EVENTS.clone()
}

fn lines(events: &[trace::Event]) -> String {
    let mut out = String::new();
    events.iter().for_each(|event| event.to_json_line(&mut out));
    out
}

fn golden(name: &str, got: &str) -> String {
    let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("INTERBOT_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, got).expect("the golden file is writable");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file; INTERBOT_WRITE_GOLDEN=1 writes it");
    for (at, (ours, theirs)) in got.lines().zip(golden.lines()).enumerate() {
        assert_eq!(ours, theirs, "line {} of {name}", at + 1);
    }
    assert_eq!(got.lines().count(), golden.lines().count(), "{name}");
    golden
}

#[test]
fn fixed_runs_have_exactly_the_golden_traces_and_these_have_every_kind() {
    let all = golden("trace.jsonl", &lines(&run()))
        + &golden("pressed.jsonl", &lines(&pressed()))
        + &golden("council.jsonl", &lines(&council()));
    for kind in Kind::ALL {
        assert!(all.contains(&format!("\"kind\":\"{kind}\"")), "no line of kind {kind}");
    }
}

#[test]
fn every_line_is_json_with_the_schema_and_none_has_a_body_or_an_address() {
    let text = lines(&run()) + &lines(&pressed()) + &lines(&council());
    let secret = std::str::from_utf8(SECRET).expect("a text");
    assert!(!text.contains(secret) && !text.contains("bob's address") && !text.contains("bot0.example"));
    for line in text.lines() {
        let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        assert_eq!(json["schema"], trace::SCHEMA);
        assert!(json["node"].as_str().is_some_and(|node| node.len() == 62 && node.starts_with("bot1")));
        assert!(json["seq"].is_u64() && json["t_mono"].is_u64() && json["fields"].is_object(), "{line}");
        assert!(Kind::ALL.iter().any(|kind| json["kind"] == kind.as_str()), "{line}");
    }
}

#[test]
fn numbers_count_up_without_gaps_and_the_wall_clock_follows_the_hosts() {
    let events = run();
    for node in nodes().map(|node| node.id()) {
        let numbers: Vec<_> = events.iter().filter(|event| event.node == node).map(|event| event.seq).collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    }
    let with_wall = events.iter().filter_map(|event| Some((event.t_mono, event.t_wall?)));
    for (mono, UnixMillis(wall)) in with_wall {
        assert_eq!(wall, 1_700_000_000_000 + mono.as_nanos() / 1_000_000);
    }
}

#[test]
fn a_host_that_never_asks_loses_the_oldest_and_is_told_how_many() {
    let [mut node, _] = nodes();
    let own = node.id();
    let refused = trace::BUFFERED as u64 + 9;
    for _ in 0..refused {
        assert!(node.dial(Instant::from_millis(7), own, "").is_err());
    }
    let events: Vec<_> = std::iter::from_fn(|| node.poll_trace()).collect();
    // `started` and nine refusals made room.
    assert_eq!((events[0].kind, events[0].seq, events[0].number("events")), (Kind::Lost, 10, Some(10)));
    assert_eq!(events.len(), 1 + trace::BUFFERED);
    assert!(events[1..].iter().zip(11..).all(|(event, seq)| event.kind == Kind::Refused && event.seq == seq));
    assert!(node.dial(Instant::from_millis(8), own, "").is_err());
    assert_eq!(node.poll_trace().map(|event| (event.kind, event.seq)), Some((Kind::Refused, refused + 2)));
}

#[test]
fn a_node_that_is_not_asked_keeps_no_events() {
    let ann = Identity::from_seed([1; 32]);
    let mut node = Node::new(Config::new(CommunityId::from_name("example"), []), &ann, [3; 32], Instant::ZERO);
    assert!(node.dial(Instant::ZERO, ann.id(), "").is_err());
    node.publish(Instant::ZERO, SECRET).expect("not busy");
    assert_eq!(node.poll_trace(), None);
}

#[cfg(feature = "tracing")]
mod bridge {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};
    use tracing::field::{Field, Visit};

    type Line = BTreeMap<&'static str, String>;

    #[derive(Clone, Default)]
    struct Keep(Arc<Mutex<Vec<(tracing::Level, Line)>>>);

    struct Into(Line);

    impl Visit for Into {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            self.0.insert(field.name(), format!("{value:?}"));
        }

        fn record_str(&mut self, field: &Field, value: &str) {
            self.0.insert(field.name(), value.into());
        }
    }

    impl tracing::Subscriber for Keep {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.target() == "interbot"
        }

        fn event(&self, event: &tracing::Event<'_>) {
            let mut line = Into(Line::new());
            event.record(&mut line);
            self.0.lock().expect("no panic").push((*event.metadata().level(), line.0));
        }

        fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    #[test]
    fn a_subscriber_gets_every_event_with_all_its_fields() {
        let (keep, events) = (Keep::default(), [run(), pressed(), council()].concat());
        tracing::subscriber::with_default(keep.clone(), || events.iter().for_each(trace::emit));
        let got = keep.0.lock().expect("no panic");
        assert_eq!(got.len(), events.len());
        for (event, (level, line)) in events.iter().zip(&*got) {
            assert_eq!((&line["kind"], &line["event"]), (&event.kind.to_string(), &event.seq.to_string()));
            assert_eq!(line["node"], event.node.to_string());
            assert_eq!(line.get("span").cloned(), event.span.map(|span| span.as_u64().to_string()));
            assert_eq!(line.get("peer").cloned(), event.peer.map(|peer| peer.to_string()));
            for (name, value) in &event.fields {
                let value = match value {
                    trace::Value::Number(number) => number.to_string(),
                    trace::Value::Text(text) => text.to_string(),
                    trace::Value::Flag(flag) => flag.to_string(),
                };
                assert_eq!(line.get(name), Some(&value), "{name} of {}", event.kind);
            }
            let is_frame = matches!(event.kind, Kind::FrameIn | Kind::FrameOut | Kind::Timeout);
            assert_eq!(*level == tracing::Level::TRACE, is_frame);
        }
    }
}
