//! Hostile peers against a whole node: each ends in a typed reason or a refused command, and nobody else notices.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use interbot::budget::Rate;
use interbot::crypto::Pure;
use interbot::link::{
    Binding, Capabilities, CloseReason, Code, Expect, Facts, Fault, Kind, Link, Setup, Step, Strings, Times,
};
use interbot::node::{
    AcceptError, Action, Config, DialError, Event, LinkId, Node, Output, PublishError, Record, RestoreError, Undrained,
};
use interbot::overlay::{Counter, Hub, MAX_POST_BODY, Message, Post, SeenStreams, StreamId};
use interbot::{BotId, CommunityId, Identity, Instant};

const T0: Instant = Instant::from_millis(1_000);

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn id(seed: u8) -> BotId {
    identity(seed).id()
}

fn config(members: &[u8]) -> Config {
    Config::new(CommunityId::from_name("test"), members.iter().map(|seed| id(*seed)))
}

fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = config(&[1, 2, 3, 4]);
    change(&mut config);
    Node::new(config, &identity(1), [9; 32], T0)
}

fn node() -> Node {
    node_with(|_| {})
}

/// What a node did since the last look.
#[derive(Debug, Default)]
struct Done {
    sent: BTreeMap<LinkId, Vec<u8>>,
    closed: Vec<LinkId>,
    events: Vec<Event>,
    paused: Vec<LinkId>,
    resumed: Vec<LinkId>,
}

impl Done {
    fn reasons(&self) -> Vec<CloseReason> {
        let reasons = self.events.iter().filter_map(|event| match event {
            Event::Closed { reason, .. } => Some(*reason),
            _ => None,
        });
        reasons.collect()
    }
}

fn drain(node: &mut Node, now: Instant) -> Done {
    let mut done = Done::default();
    while let Output::Do(action) = node.poll() {
        match action {
            Action::Send { link, bytes } => {
                assert!(!done.closed.contains(&link), "nothing follows a close");
                node.handle_written(now, link, bytes.len());
                done.sent.entry(link).or_default().extend_from_slice(&bytes);
            }
            Action::CloseLink { link } => done.closed.push(link),
            Action::PauseReading { link } => done.paused.push(link),
            Action::ResumeReading { link } => done.resumed.push(link),
            Action::Persist { id, .. } => node.persisted(now, id),
            Action::Notify(event) => done.events.push(event),
            Action::Dial { .. } => {}
        }
    }
    done
}

/// A peer with a real key that speaks the link's own words, and then whatever the test wants.
struct Puppet {
    link: Link,
    at: LinkId,
}

fn setup(seed: u8) -> Arc<Setup> {
    let community = CommunityId::from_name("test");
    Arc::new(Setup::new(Arc::new(Pure), &identity(seed), community, false, Facts::default()).expect("no credentials"))
}

fn dial_as(seed: u8, kind: Kind, link_seed: u8) -> Link {
    let (expect, strings) = (Expect::Key(id(1)), &mut Strings::default());
    Link::dial(setup(seed), T0, [link_seed; 32], Binding::None, kind, expect, strings, Times::default())
}

/// Passes bytes between a puppet and the node until both are quiet.
fn talk(node: &mut Node, puppet: &mut Puppet, now: Instant) -> (Done, Vec<Step>) {
    let (mut all, mut steps) = (Done::default(), Vec::new());
    loop {
        let bytes = puppet.link.take_output();
        node.handle_bytes(now, puppet.at, &bytes).expect("drained");
        let mut done = drain(node, now);
        let back = done.sent.remove(&puppet.at).unwrap_or_default();
        all.events.append(&mut done.events);
        all.closed.append(&mut done.closed);
        all.paused.append(&mut done.paused);
        for (link, bytes) in done.sent {
            all.sent.entry(link).or_default().extend(bytes);
        }
        let mut input = &back[..];
        loop {
            match puppet.link.step(now, &mut input) {
                Step::NeedMore => break,
                step => steps.push(step),
            }
        }
        if puppet.link.output_len() == 0 {
            return (all, steps);
        }
    }
}

fn linked_at(node: &mut Node, seed: u8, link_seed: u8, now: Instant) -> (Puppet, Done, Vec<Step>) {
    let at = node.handle_accepted(now, Binding::None).expect("a slot");
    let mut puppet = Puppet { link: dial_as(seed, Kind::Member, link_seed), at };
    let (done, steps) = talk(node, &mut puppet, now);
    (puppet, done, steps)
}

fn linked(node: &mut Node, seed: u8) -> Puppet {
    let (puppet, _, steps) = linked_at(node, seed, seed, T0);
    assert_eq!(steps, [Step::Open]);
    puppet
}

fn author(seed: u8, next: u64) -> Hub {
    let counter = Counter { stream: StreamId::from_u64(7), next };
    let (community, roster) = (CommunityId::from_name("test"), Arc::default());
    Hub::new(Arc::new(Pure), &identity(seed), community, roster, counter, SeenStreams::default())
}

fn wire(hops: u8, post: Post) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    Message::Post { hops, post }.encode(&mut out);
    out.to_vec()
}

#[test]
fn ten_thousand_half_open_links_take_256_slots_and_no_open_link_notices() {
    let mut node = node();
    let mut friend = linked(&mut node, 2);
    let mut closed = 0;
    for n in 0..10_000u64 {
        let now = at(n / 10);
        let link = node.handle_accepted(now, Binding::None).expect("the oldest makes room");
        node.handle_bytes(now, link, &[0, 0]).expect("drained");
        let done = drain(&mut node, now);
        assert!(done.reasons().iter().all(|reason| *reason == CloseReason::Here(Code::Full)));
        closed += done.closed.len();
    }
    assert_eq!((closed, node.links().count()), (10_000 - 256, 257));
    assert!(friend.link.send(at(1_000), &wire(0, author(2, 1).publish(b"still here"))));
    let (done, _) = talk(&mut node, &mut friend, at(1_000));
    assert!(matches!(&done.events[..], [Event::Post { .. }]), "{done:?}");
    node.handle_timeout(at(6_000));
    let done = drain(&mut node, at(6_000));
    assert_eq!(done.reasons(), vec![Fault::HandshakeTimeout.into(); 256]);
    assert_eq!(node.links().count(), 1);
}

#[test]
fn silent_streams_make_room_before_handshakes_under_way_and_the_oldest_first() {
    let mut node = node_with(|config| config.limits.half_open = 3);
    let under_way = |node: &mut Node, link_seed| {
        let link = node.handle_accepted(T0, Binding::None).expect("the oldest makes room");
        let hello = dial_as(2, Kind::Member, link_seed).take_output();
        node.handle_bytes(T0, link, &hello).expect("drained");
        (link, drain(node, T0).closed)
    };
    let (first, _) = under_way(&mut node, 0);
    let silent = node.handle_accepted(T0, Binding::None).expect("a slot");
    let (second, _) = under_way(&mut node, 1);
    let (third, closed) = under_way(&mut node, 2);
    assert_eq!(closed, [silent]);
    assert_eq!(under_way(&mut node, 3).1, [first]);
    assert_eq!(under_way(&mut node, 4).1, [second]);
    assert!(node.links().any(|info| info.link == third));
}

#[test]
fn one_recorded_connect_again_and_again_keeps_no_member_out() {
    let mut node = node();
    let recorded = dial_as(2, Kind::Member, 1).take_output();
    for ms in 0..60_000u64 {
        let now = at(ms);
        if ms % 6 == 0 {
            let link = node.handle_accepted(now, Binding::None).expect("the oldest makes room");
            node.handle_bytes(now, link, &recorded).expect("drained");
        }
        if ms % 10_000 == 5_000 {
            let seed = u8::try_from(ms / 10_000).expect("few");
            let (friend, _, steps) = linked_at(&mut node, 3, 100 + seed, now);
            assert_eq!(steps, [Step::Open], "at {ms} ms");
            node.close(now, friend.at, Code::GoingAway);
        }
        node.handle_timeout(now);
        drain(&mut node, now);
    }
}

#[test]
fn without_slots_for_handshakes_nobody_is_taken() {
    let mut node = node_with(|config| config.limits.half_open = 0);
    assert_eq!(node.handle_accepted(T0, Binding::None), Err(AcceptError::Full));
}

#[test]
fn a_stalled_reader_is_cut_off_by_a_host_that_ticks_slowly_too() {
    for seed in 0..20 {
        let mut node = Node::new(config(&[1, 2, 3, 4]), &identity(1), [seed; 32], T0);
        let deaf = linked(&mut node, 2);
        while node.publish(T0, &[7; 10_000]).is_ok() {
            while let Output::Do(action) = node.poll() {
                if let Action::Persist { id, .. } = action {
                    node.persisted(T0, id);
                }
            }
        }
        let closed = (1..30).find_map(|tick| {
            node.handle_timeout(at(tick * 4_000));
            drain(&mut node, at(tick * 4_000)).closed.contains(&deaf.at).then_some(tick * 4_000)
        });
        // A span, forgiven once because its timer came late, and another.
        assert!(closed.is_some_and(|ms| ms <= 40_000), "seed {seed}: {closed:?}");
    }
}

#[test]
fn to_forget_a_peer_closes_its_link_whoever_dialled() {
    let mut node = node();
    let friend = linked(&mut node, 2);
    node.forget(T0, id(2));
    assert_eq!(drain(&mut node, T0).closed, [friend.at]);
}

#[test]
fn a_host_that_never_polls_is_refused_wishes_too() {
    let mut node = node_with(|config| config.limits.outbox = 10);
    let refused = (0..100).find_map(|_| {
        let refused = node.dial(T0, id(2), "here").err();
        node.forget(T0, id(2));
        refused
    });
    assert_eq!(refused, Some(DialError::Undrained(Undrained)));
    drain(&mut node, T0);
    assert_eq!(node.dial(T0, id(2), "here"), Ok(()));
}

#[test]
fn a_counter_that_no_bot_can_have_reached_is_refused() {
    let mut record = node().snapshot().swap_remove(0);
    for (next, is_taken) in [(0, false), (1, true), ((1 << 63) - 1, true), (1 << 63, false), (u64::MAX - 1, false)] {
        let mut value = record.value.to_vec();
        let at = value.len() - 8;
        value[at..].copy_from_slice(&u64::to_be_bytes(next));
        record.value = value.into();
        let restored = Node::restore(config(&[1, 2]), &identity(1), [1; 32], T0, [record.clone()]);
        assert_eq!(restored.is_ok(), is_taken, "{next}");
    }
}

#[test]
fn capabilities_without_a_name_are_sent_as_zero() {
    let mut node = node_with(|config| config.capabilities = Capabilities::from_bits(u32::MAX));
    node.dial(T0, id(2), "here").expect("a member");
    let Output::Do(Action::Dial { link, .. }) = node.poll() else { panic!("a dial") };
    node.handle_dialled(T0, link, Binding::None);
    let mut server = Link::accept(setup(2), T0, [1; 32], Binding::None, Times::default());
    let mut steps = Vec::new();
    for _ in 0..2 {
        let bytes = drain(&mut node, T0).sent.remove(&link).expect("the client speaks");
        let mut input = &bytes[..];
        loop {
            match server.step(T0, &mut input) {
                Step::NeedMore => break,
                Step::Hello => server.answer().expect("a good key"),
                step => {
                    steps.push(step);
                    break;
                }
            }
        }
        node.handle_bytes(T0, link, &server.take_output()).expect("drained");
    }
    assert_eq!(steps, [Step::Proved]);
    let facts = server.peer().expect("proved").facts();
    assert_eq!(facts.capabilities.bits(), 7);
}

#[test]
fn the_stream_that_has_waited_longest_without_a_word_makes_room() {
    let mut node = node_with(|config| config.limits.half_open = 3);
    let mut slots = [0, 1, 2].map(|_| node.handle_accepted(T0, Binding::None).expect("a slot")).to_vec();
    let hello = dial_as(2, Kind::Member, 1).take_output();
    node.handle_bytes(T0, slots[0], &hello).expect("drained");
    drain(&mut node, T0);
    for oldest in 1..=3 {
        slots.push(node.handle_accepted(T0, Binding::None).expect("the oldest makes room"));
        assert_eq!(drain(&mut node, T0).closed, [slots[oldest]]);
    }
}

#[test]
fn a_flood_of_handshakes_is_told_full_in_clear_and_costs_no_signature() {
    let mut node = node_with(|config| config.limits.handshakes = Rate { per_second: 1, burst: 3 });
    let mut refused = 0;
    for link_seed in 0..10 {
        let link = node.handle_accepted(T0, Binding::None).expect("a slot");
        let hello = dial_as(2, Kind::Member, link_seed).take_output();
        node.handle_bytes(T0, link, &hello).expect("drained");
        let done = drain(&mut node, T0);
        if done.sent[&link] == [0, 0, 0, 6, 4, 2, 0, 0, 0, 1] {
            assert_eq!(done.reasons(), [CloseReason::Here(Code::Full)]);
            refused += 1;
        }
    }
    assert_eq!(refused, 7);
}

#[test]
fn one_byte_a_second_ends_after_five_seconds() {
    let mut node = node();
    let link = node.handle_accepted(T0, Binding::None).expect("a slot");
    let hello = dial_as(2, Kind::Member, 1).take_output();
    for second in 0..5 {
        node.handle_bytes(at(second * 1000), link, &hello[second as usize..][..1]).expect("drained");
        node.handle_timeout(at(second * 1000));
        assert_eq!(drain(&mut node, T0).closed, []);
    }
    assert_eq!(node.poll(), Output::Idle { wake_at: Some(at(5_000)) });
    node.handle_timeout(at(5_000));
    assert_eq!(drain(&mut node, at(5_000)).reasons(), [Fault::HandshakeTimeout.into()]);
}

#[test]
fn unlisted_keys_and_candidates_are_told_unknown_member() {
    for (seed, kind) in [(8, Kind::Member), (8, Kind::Candidate), (2, Kind::Candidate)] {
        let mut node = node();
        let at = node.handle_accepted(T0, Binding::None).expect("a slot");
        let mut puppet = Puppet { link: dial_as(seed, kind, 1), at };
        let (done, steps) = talk(&mut node, &mut puppet, T0);
        let told = CloseReason::Peer { code: Code::UnknownMember, retry_after: Duration::ZERO };
        assert_eq!(steps, [Step::Closed(told)]);
        assert!(matches!(&done.events[..], [Event::Closed { peer: Some(peer), .. }] if *peer == id(seed)));
    }
}

#[test]
fn i26_a_string_that_a_member_used_before_closes_without_an_answer() {
    let mut node = node();
    let (first, ..) = linked_at(&mut node, 2, 77, T0);
    node.handle_ended(T0, first.at);
    drain(&mut node, T0);
    // The same seed draws the same string; the server's half differs, so this is no replay.
    let (_, done, steps) = linked_at(&mut node, 2, 77, T0);
    assert_eq!((done.reasons(), steps), (vec![Fault::BadChallenge.into()], vec![]));
}

#[test]
fn a_second_link_with_one_key_is_told_already_connected_and_the_first_is_probed() {
    let mut node = node();
    let mut first = linked(&mut node, 2);
    let (_, done, steps) = linked_at(&mut node, 2, 99, T0);
    let told = CloseReason::Peer { code: Code::AlreadyConnected, retry_after: Duration::ZERO };
    assert_eq!((done.reasons(), steps), (vec![CloseReason::Here(Code::AlreadyConnected)], vec![Step::Closed(told)]));
    // The first one answers the probe and stays; when it does not, it goes within ten seconds.
    talk(&mut node, &mut first, T0);
    node.handle_timeout(at(9_000));
    assert_eq!(drain(&mut node, at(9_000)).closed, []);
    linked_at(&mut node, 2, 98, at(9_000));
    for second in 10..=19 {
        node.handle_timeout(at(second * 1000));
    }
    assert_eq!(drain(&mut node, at(19_000)).reasons(), [Fault::Silence.into()]);
    let (_, _, steps) = linked_at(&mut node, 2, 97, at(19_000));
    assert_eq!(steps, [Step::Open]);
}

#[test]
fn l23_a_second_link_with_one_key_is_told_so_even_when_no_slot_is_free() {
    let mut node = node_with(|config| config.limits.children = 1);
    linked(&mut node, 2);
    let (_, done, _) = linked_at(&mut node, 2, 99, T0);
    assert_eq!(done.reasons(), [CloseReason::Here(Code::AlreadyConnected)]);
}

#[test]
fn l54_a_link_that_gives_way_to_the_one_that_the_lower_id_dialled_is_told_replaced() {
    assert!(id(2) < id(1), "the peer's dial stays");
    let mut node = node();
    node.dial(T0, id(2), "somewhere").expect("a member");
    let mut ours = dialled(&mut node, T0, 5);
    ours.link.admit(T0);
    talk(&mut node, &mut ours, T0);
    let (_, done, steps) = linked_at(&mut node, 2, 6, T0);
    assert_eq!((steps, done.reasons()), (vec![Step::Open], vec![CloseReason::Here(Code::Replaced)]));
    let told = CloseReason::Peer { code: Code::Replaced, retry_after: Duration::ZERO };
    assert_eq!(ours.link.step(T0, &mut &done.sent[&ours.at][..]), Step::Closed(told));
}

#[test]
fn more_children_than_allowed_are_told_full() {
    let mut node = node_with(|config| config.limits.children = 1);
    linked(&mut node, 2);
    let (_, _, steps) = linked_at(&mut node, 3, 3, T0);
    let told = CloseReason::Peer { code: Code::Full, retry_after: Duration::from_secs(60) };
    assert_eq!(steps, [Step::Closed(told)]);
}

#[test]
fn a_bad_message_closes_its_link_and_no_other() {
    let good = wire(0, author(2, 1).publish(b"x"));
    let mut forged = good.clone();
    *forged.last_mut().expect("bytes") ^= 1;
    for (message, fault) in [
        (&b""[..], Fault::BadMessage),
        (b"\x80", Fault::BadMessage),
        (b"\x81\x18\x01", Fault::BadMessage),
        (&[&good[..], &[0]].concat(), Fault::BadMessage),
        (&wire(0, author(2, 1).publish(b"x"))[..20], Fault::BadMessage),
        (&forged, Fault::BadSignature),
    ] {
        let mut node = node();
        let (mut bad, mut good) = (linked(&mut node, 2), linked(&mut node, 3));
        assert!(bad.link.send(T0, message));
        let (done, _) = talk(&mut node, &mut bad, T0);
        assert_eq!(done.reasons(), [fault.into()]);
        assert!(good.link.send(T0, &wire(0, author(3, 1).publish(b"fine"))));
        let (done, _) = talk(&mut node, &mut good, T0);
        assert!(matches!(&done.events[..], [Event::Post { .. }]));
    }
}

#[test]
fn strangers_posts_and_own_posts_are_dropped_and_counted() {
    let mut node = node();
    let mut puppet = linked(&mut node, 2);
    for post in [author(8, 1).publish(b"from a stranger"), author(1, 1).publish(b"in my name")] {
        assert!(puppet.link.send(T0, &wire(3, post)));
    }
    let (done, _) = talk(&mut node, &mut puppet, T0);
    assert!(done.events.is_empty() && done.closed.is_empty());
    assert_eq!((node.stats().strangers, node.stats().duplicates), (1, 1));
}

#[test]
fn a_flood_of_posts_pauses_its_link_and_a_host_that_goes_on_reading_loses_it() {
    let mut node = node_with(|config| config.limits.posts = Rate { per_second: 10, burst: 10 });
    let (mut puppet, other) = (linked(&mut node, 2), linked(&mut node, 3));
    let mut hub = author(2, 1);
    let mut flood = |node: &mut Node, puppet: &mut Puppet, now, count| {
        for _ in 0..count {
            assert!(puppet.link.send(now, &wire(0, hub.publish(b"again"))));
        }
        talk(node, puppet, now).0
    };
    let done = flood(&mut node, &mut puppet, T0, 12);
    assert_eq!((done.events.len(), done.paused), (12, vec![puppet.at]));
    assert_eq!(node.poll(), Output::Idle { wake_at: Some(at(200)) });
    node.handle_timeout(at(200));
    assert_eq!(drain(&mut node, at(200)).resumed, [puppet.at]);
    let done = flood(&mut node, &mut puppet, at(200), 60);
    assert_eq!(done.reasons(), [Fault::OverBudget.into()]);
    assert!(node.links().any(|link| link.link == other.at));
}

#[test]
fn l49_a_link_that_is_not_read_is_not_judged_by_its_silence() {
    let mut node = node_with(|config| config.limits.posts = Rate { per_second: 1, burst: 10 });
    let (mut puppet, mut hub) = (linked(&mut node, 2), author(2, 1));
    for _ in 0..50 {
        assert!(puppet.link.send(T0, &wire(0, hub.publish(b"again"))));
    }
    assert_eq!(talk(&mut node, &mut puppet, T0).0.paused, [puppet.at]);
    let mut tick = |second: u64| {
        node.handle_timeout(at(second * 1000));
        drain(&mut node, at(second * 1000))
    };
    for second in 1..40 {
        assert_eq!(tick(second).closed, [], "second {second}");
    }
    assert_eq!(tick(40).resumed, [puppet.at]);
    let reasons: Vec<_> = (41..=65).flat_map(|second| tick(second).reasons()).collect();
    assert_eq!(reasons, [Fault::Silence.into()], "judged again once it is read");
}

#[test]
fn i2_a_client_only_bot_refuses_streams() {
    let mut node = node_with(|config| config.capabilities = Capabilities::CLIENT_ONLY);
    assert_eq!(node.handle_accepted(T0, Binding::None), Err(AcceptError::ClientOnly));
    assert_eq!((node.links().count(), node.poll()), (0, Output::Idle { wake_at: None }));
}

#[test]
fn a_host_that_never_polls_is_refused_and_loses_nothing() {
    let mut node = node_with(|config| config.limits.outbox = 4);
    let mut refused = 0;
    for _ in 0..20 {
        match node.handle_accepted(T0, Binding::None) {
            Ok(link) => {
                let hello = dial_as(2, Kind::Member, 1).take_output();
                refused += usize::from(node.handle_bytes(T0, link, &hello) == Err(Undrained));
            }
            Err(error) => {
                assert_eq!(error, AcceptError::Undrained(Undrained));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 16);
    let done = drain(&mut node, T0);
    assert_eq!(done.sent.len(), 4);
}

#[test]
fn the_hosts_mistakes_are_refused_with_advice_and_change_nothing() {
    let mut node = node();
    assert_eq!(node.dial(T0, id(1), "me"), Err(DialError::OurOwnKey));
    assert_eq!(node.dial(T0, id(8), "stranger"), Err(DialError::NotAMember(id(8))));
    let error = node.dial(T0, id(8), "stranger").expect_err("no member").to_string();
    assert!(error.ends_with("is not among the members: add it to the list of members first"), "{error}");
    assert_eq!(node.publish(T0, &vec![0; MAX_POST_BODY + 1]), Err(PublishError::TooLong(MAX_POST_BODY + 1)));
    assert_eq!(node.poll(), Output::Idle { wake_at: None });
    let mut full = node_with(|config| config.limits.dials = 1);
    assert_eq!(full.dial(T0, id(2), "a"), Ok(()));
    assert_eq!(full.dial(T0, id(3), "b"), Err(DialError::TooMany(1)));
    assert_eq!(full.dial(T0, id(2), "another address"), Ok(()));
    let record = Record { key: "posts/counter".into(), value: "?".into() };
    let damaged = Node::restore(config(&[1]), &identity(1), [1; 32], T0, [record]).err();
    assert_eq!(damaged, Some(RestoreError::Damaged("posts/counter".into())));
}

#[test]
fn another_key_than_the_dialled_one_closes_the_link_and_is_tried_again() {
    let mut node = node();
    node.dial(T0, id(2), "somewhere").expect("a member");
    let Output::Do(Action::Dial { link, .. }) = node.poll() else { panic!("a dial") };
    node.handle_dialled(T0, link, Binding::None);
    let mut impostor = Link::accept(setup(3), T0, [5; 32], Binding::None, Times::default());
    let sent = drain(&mut node, T0).sent.remove(&link).expect("CONNECT");
    assert_eq!(impostor.step(T0, &mut &sent[..]), Step::Hello);
    impostor.answer().expect("a good point");
    let bytes = impostor.take_output();
    node.handle_bytes(T0, link, &bytes).expect("drained");
    let done = drain(&mut node, T0);
    assert!(done.sent.is_empty(), "nothing about this bot is told");
    let [Event::Closed { reason, peer, retry_at: Some(retry), .. }] = &done.events[..] else { panic!("{done:?}") };
    assert_eq!((*reason, *peer), (Fault::WrongPeer.into(), Some(id(2))));
    assert!(*retry >= at(500) && *retry <= at(1_500));
}

#[test]
fn an_unlisted_key_or_our_own_at_a_dialled_address_learns_nothing() {
    for (answers, fault) in [(8, Fault::WrongPeer), (1, Fault::OurOwnKey)] {
        let mut node = node();
        node.dial(T0, id(2), "somewhere").expect("a member");
        let Output::Do(Action::Dial { link, .. }) = node.poll() else { panic!("a dial") };
        node.handle_dialled(T0, link, Binding::None);
        let mut other = Link::accept(setup(answers), T0, [5; 32], Binding::None, Times::default());
        let sent = drain(&mut node, T0).sent.remove(&link).expect("CONNECT");
        assert_eq!(other.step(T0, &mut &sent[..]), Step::Hello);
        other.answer().expect("a good point");
        let bytes = other.take_output();
        node.handle_bytes(T0, link, &bytes).expect("drained");
        let done = drain(&mut node, T0);
        assert!(done.sent.is_empty() && done.closed == [link]);
        assert_eq!(done.reasons(), [fault.into()]);
        retry_at(&done);
    }
}

#[test]
fn input_for_links_that_are_gone_is_ignored() {
    let mut node = node();
    let puppet = linked(&mut node, 2);
    node.close(T0, puppet.at, Code::GoingAway);
    assert_eq!(drain(&mut node, T0).reasons(), [CloseReason::Here(Code::GoingAway)]);
    node.handle_bytes(T0, puppet.at, b"late").expect("drained");
    node.handle_written(T0, puppet.at, 1_000_000);
    node.handle_ended(T0, puppet.at);
    node.handle_dialled(T0, puppet.at, Binding::None);
    node.close(T0, puppet.at, Code::GoingAway);
    assert_eq!(node.poll(), Output::Idle { wake_at: None });
}

#[test]
fn a_link_that_nobody_reads_is_closed_when_its_queue_is_full() {
    let mut node = node();
    let (mut deaf, mut loud) = (linked(&mut node, 2), linked(&mut node, 3));
    let _ = &mut deaf;
    let mut hub = author(3, 1);
    let (mut events, mut stalled) = (0, None);
    for n in 0..200u64 {
        assert!(loud.link.send(T0, &wire(0, hub.publish(&[7; 10_000]))));
        let bytes = loud.link.take_output();
        node.handle_bytes(T0, loud.at, &bytes).expect("drained");
        // A host that ignores the pause, and never reports anything as written on the deaf link.
        while let Output::Do(action) = node.poll() {
            match action {
                Action::Notify(Event::Post { .. }) => events += 1,
                Action::Notify(Event::Closed { link, reason, .. }) => stalled = Some((n, link, reason)),
                _ => {}
            }
        }
    }
    let (n, link, reason) = stalled.expect("closed");
    assert_eq!((link, reason, events), (deaf.at, Fault::Stalled.into(), 200));
    // 32 KiB on their way and 1 MiB waiting, in posts of some 10 kB.
    assert!((105..=115).contains(&n), "{n}");
}

#[test]
fn a_slow_reader_is_kept_as_long_as_it_moves_and_closed_when_it_stops() {
    let mut node = node();
    let (slow, mut loud) = (linked(&mut node, 2), linked(&mut node, 3));
    let mut hub = author(3, 1);
    let mut unwritten = 0;
    for _ in 0..20 {
        assert!(loud.link.send(T0, &wire(0, hub.publish(&[7; 10_000]))));
        let bytes = loud.link.take_output();
        node.handle_bytes(T0, loud.at, &bytes).expect("drained");
    }
    let mut collect = |node: &mut Node| {
        let mut closed = Vec::new();
        while let Output::Do(action) = node.poll() {
            match action {
                Action::Send { link, bytes } if link == slow.at => unwritten += bytes.len(),
                Action::Notify(Event::Closed { link, reason, .. }) => closed.push((link, reason)),
                _ => {}
            }
        }
        closed
    };
    assert_eq!(collect(&mut node), []);
    // 16 KiB in each ten seconds keep it; its keepalive is quiet meanwhile because the client side is the other's.
    for second in 1..=40 {
        if second % 10 == 9 {
            node.handle_written(at(second * 1000), slow.at, 16 * 1024);
            node.handle_bytes(at(second * 1000), loud.at, &[]).expect("drained");
        }
        node.handle_timeout(at(second * 1000));
        assert!(collect(&mut node).iter().all(|(link, _)| *link != slow.at), "second {second}");
    }
    // A byte less, in two spans of at most fifteen seconds each, is too little for one of them.
    node.handle_written(at(40_001), slow.at, 16 * 1024 - 1);
    let closed: Vec<_> = (41..=70)
        .flat_map(|second| {
            node.handle_timeout(at(second * 1000));
            collect(&mut node)
        })
        .collect();
    assert!(closed.contains(&(slow.at, Fault::Stalled.into())), "{closed:?}");
}

#[test]
fn p10_reading_resumes_when_the_queue_is_below_8_kib_and_not_before() {
    const POSTS: usize = 100;
    let mut node = node();
    let (slow, mut loud) = (linked(&mut node, 2), linked(&mut node, 3));
    let mut hub = author(3, 1);
    let mut message_len = 0;
    for _ in 0..POSTS {
        let message = wire(0, hub.publish(&[7; 1_000]));
        message_len = message.len();
        assert!(loud.link.send(T0, &message));
    }
    let bytes = loud.link.take_output();
    node.handle_bytes(T0, loud.at, &bytes).expect("drained");
    // A record is longer by a header, its inner kind and a tag.
    let record_len = 5 + 1 + message_len + 16;
    let (mut paused, mut resumed, mut sealed) = (Vec::new(), Vec::new(), 0);
    while resumed.is_empty() {
        while let Output::Do(action) = node.poll() {
            match action {
                Action::Send { link, bytes } if link == slow.at => sealed += bytes.len() / record_len,
                Action::PauseReading { link } => paused.push(link),
                Action::ResumeReading { link } => resumed.push(link),
                _ => {}
            }
        }
        node.handle_written(T0, slow.at, record_len);
    }
    let queued = (POSTS - sealed) * message_len;
    assert_eq!((paused, resumed), (vec![loud.at], vec![loud.at]));
    assert!(queued < 8 * 1024 && queued + message_len >= 8 * 1024, "{queued} bytes wait");
}

#[test]
fn a_host_that_was_refused_for_its_full_outbox_is_told_when_to_go_on() {
    let mut node = node_with(|config| config.limits.outbox = 1);
    node.publish(T0, b"one").expect("nothing is busy");
    assert_eq!(node.publish(T0, b"two"), Err(PublishError::Busy));
    let persist = |output| matches!(output, Output::Do(Action::Persist { .. }));
    assert!(persist(node.poll()));
    assert_eq!(node.poll(), Output::Do(Action::Notify(Event::Ready)));
    assert_eq!(node.publish(T0, b"two").map(|id| id.seq), Ok(2));
    assert!(persist(node.poll()));
    assert_eq!(node.poll(), Output::Idle { wake_at: None }, "nobody was refused since");
}

#[test]
fn posts_that_a_slow_disk_held_back_fit_the_queues() {
    for (bytes, most) in [(60_000, 30), (1_200, 1_024)] {
        let mut node = node();
        linked(&mut node, 2);
        let mut accepted = 0;
        while accepted < most && node.publish(T0, &vec![7; bytes]).is_ok() {
            accepted += 1;
        }
        let (mut last, mut ready) = (None, false);
        let mut poll_all = |node: &mut Node, last: &mut Option<_>| {
            while let Output::Do(action) = node.poll() {
                match action {
                    Action::Send { link, bytes } => node.handle_written(T0, link, bytes.len()),
                    Action::Persist { id, .. } => *last = Some(id),
                    Action::Notify(Event::Closed { reason, .. }) => panic!("{reason}"),
                    Action::Notify(Event::Ready) => ready = true,
                    _ => {}
                }
            }
        };
        poll_all(&mut node, &mut last);
        node.persisted(T0, last.expect("writes"));
        poll_all(&mut node, &mut last);
        assert!(accepted > 0 && (ready || accepted == most), "{accepted} posts of {bytes} bytes");
    }
}

#[test]
fn one_key_never_holds_two_links_however_dials_and_links_cross() {
    // Some peer with a lower id than ours, so that its own dial is the one that stays.
    let (ours, peer) = if id(1) > id(2) { (1, 2) } else { (2, 1) };
    let mut node = Node::new(config(&[1, 2]), &identity(ours), [9; 32], T0);
    node.dial(T0, id(peer), "somewhere").expect("a member");
    let Output::Do(Action::Dial { link: dialled, .. }) = node.poll() else { panic!("a dial") };
    let link_in = |node: &mut Node, link_seed| {
        let at = node.handle_accepted(T0, Binding::None).expect("a slot");
        let (expect, strings) = (Expect::Key(id(ours)), &mut Strings::default());
        let link = Link::dial(
            setup(peer),
            T0,
            [link_seed; 32],
            Binding::None,
            Kind::Member,
            expect,
            strings,
            Times::default(),
        );
        let mut puppet = Puppet { link, at };
        talk(node, &mut puppet, T0)
    };
    let (done, steps) = link_in(&mut node, 1);
    assert_eq!(steps, [Step::Open]);
    assert_eq!(done.closed, [dialled], "a dial under way has become needless");
    let needless = |event: &Event| matches!(event, Event::Closed { link, retry_at: None, .. } if *link == dialled);
    assert!(done.events.iter().any(needless), "and is not tried again: {:?}", done.events);
    node.handle_dialled(T0, dialled, Binding::None);
    let told = CloseReason::Peer { code: Code::AlreadyConnected, retry_after: Duration::ZERO };
    assert_eq!(link_in(&mut node, 2).1, [Step::Closed(told)]);
    assert_eq!(node.links().filter(|link| link.open_since.is_some()).count(), 1);
}

#[test]
fn a_sleep_of_an_hour_with_messages_queued_cuts_no_link() {
    let mut node = node();
    let slow = linked(&mut node, 2);
    for _ in 0..4 {
        node.publish(T0, &[7; 20_000]).expect("nothing is busy");
        while let Output::Do(action) = node.poll() {
            if let Action::Persist { id, .. } = action {
                node.persisted(T0, id);
            }
        }
    }
    node.handle_timeout(at(3_600_000));
    let done = drain(&mut node, at(3_600_000));
    assert_eq!(done.reasons(), []);
    assert!(node.links().any(|link| link.link == slow.at));
}

#[test]
fn extreme_times_are_no_panic() {
    let mut node = node_with(|config| {
        config.limits.retry_min = Duration::MAX;
        config.limits.retry_max = Duration::MAX;
        config.limits.queue_low_bytes = 0;
        config.limits.times.keepalive.client_silence = Duration::MAX;
        config.capabilities = Capabilities::MOBILE;
    });
    linked(&mut node, 2);
    node.dial(T0, id(3), "nowhere").expect("a member");
    let dialled = node.links().last().expect("a dial").link;
    node.handle_ended(T0, dialled);
    drain(&mut node, T0);
    assert!(node.publish(T0, b"still here").is_ok());
}

/// A node that dialled bot 2, and the stream's other end; the node's CONNECT is answered.
fn dialled(node: &mut Node, now: Instant, link_seed: u8) -> Puppet {
    let Output::Do(Action::Dial { link: at, .. }) = node.poll() else { panic!("a dial") };
    node.handle_dialled(now, at, Binding::None);
    let mut link = Link::accept(setup(2), now, [link_seed; 32], Binding::None, Times::default());
    for _ in 0..2 {
        let sent = drain(node, now).sent.remove(&at).expect("the node's turn");
        match link.step(now, &mut &sent[..]) {
            Step::Hello => link.answer().expect("a good point"),
            step => assert_eq!(step, Step::Proved),
        }
        let bytes = link.take_output();
        node.handle_bytes(now, at, &bytes).expect("drained");
    }
    Puppet { link, at }
}

fn retry_at(done: &Done) -> Instant {
    match &done.events[..] {
        [Event::Closed { retry_at: Some(at), .. }] => *at,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_sealed_retry_after_is_obeyed() {
    let mut node = node();
    node.dial(T0, id(2), "somewhere").expect("a member");
    let mut puppet = dialled(&mut node, T0, 5);
    puppet.link.refuse(T0, Code::Full, Duration::from_secs(120));
    let bytes = puppet.link.take_output();
    node.handle_bytes(T0, puppet.at, &bytes).expect("drained");
    assert_eq!(retry_at(&drain(&mut node, T0)), at(120_000));
}

#[test]
fn l29_l58_a_clear_retry_after_is_obeyed_up_to_a_minute() {
    for (seconds, obeyed) in [(45, 45_000), (3_600, 60_000)] {
        let mut node = node();
        node.dial(T0, id(2), "somewhere").expect("a member");
        let Output::Do(Action::Dial { link, .. }) = node.poll() else { panic!("a dial") };
        node.handle_dialled(T0, link, Binding::None);
        drain(&mut node, T0);
        let mut refusal = vec![0, 0, 0, 6, 4, 2];
        refusal.extend(u32::to_be_bytes(seconds));
        node.handle_bytes(T0, link, &refusal).expect("drained");
        assert_eq!(retry_at(&drain(&mut node, T0)), at(obeyed));
    }
}

#[test]
fn waits_double_and_start_anew_after_a_link_that_lasted() {
    let mut node = node();
    node.dial(T0, id(2), "somewhere").expect("a member");
    let mut now = T0;
    for failure in 0..6u32 {
        let Output::Do(Action::Dial { link, .. }) = node.poll() else { panic!("a dial") };
        node.handle_ended(now, link);
        let retry = retry_at(&drain(&mut node, now));
        let wait = retry.since(now);
        let doubled = Duration::from_secs(1 << failure);
        assert!(wait >= doubled / 2 && wait <= doubled * 3 / 2, "{wait:?} after {failure} failures");
        now = retry;
        node.handle_timeout(now);
    }
    for (open_for, most) in [(Duration::from_secs(59), 96_000), (Duration::from_secs(60), 1_500)] {
        let mut puppet = dialled(&mut node, now, 6);
        puppet.link.admit(now);
        let bytes = puppet.link.take_output();
        node.handle_bytes(now, puppet.at, &bytes).expect("drained");
        drain(&mut node, now);
        now = now + open_for;
        node.handle_ended(now, puppet.at);
        let retry = retry_at(&drain(&mut node, now));
        let wait = retry.since(now);
        assert!(wait <= Duration::from_millis(most) && (most < 2_000 || wait >= Duration::from_secs(32)), "{wait:?}");
        now = retry;
        node.handle_timeout(now);
    }
}

#[test]
fn a_wish_for_a_peer_that_is_linked_already_dials_nobody() {
    let mut node = node();
    let puppet = linked(&mut node, 2);
    node.dial(T0, id(2), "somewhere").expect("a member");
    assert!(!matches!(node.poll(), Output::Do(_)));
    node.handle_ended(at(1), puppet.at);
    let retry = retry_at(&drain(&mut node, at(1)));
    node.handle_timeout(retry);
    assert!(matches!(node.poll(), Output::Do(Action::Dial { .. })));
}

#[test]
fn a_clock_at_its_end_makes_deadlines_that_never_come_and_no_busy_loop() {
    let end = Instant::from_nanos(u64::MAX);
    let mut node = node();
    node.dial(end, id(2), "nowhere").expect("a member");
    for _ in 0..100 {
        let Output::Do(Action::Dial { link, .. }) = node.poll() else { break };
        node.handle_ended(end, link);
        node.handle_timeout(end);
        let Output::Do(Action::Notify(Event::Closed { .. })) = node.poll() else { panic!("one event") };
    }
    assert_eq!(node.poll(), Output::Idle { wake_at: Some(end) });
}
