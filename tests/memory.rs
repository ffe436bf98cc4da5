//! How much a node can be made to remember: what is left of it in memory after each attack, against what its limits allow.

use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use bytes::BytesMut;
use interbot::crypto::Pure;
use interbot::link::{Binding, Expect, Facts, Kind, Link, Setup, Step, Strings, Times};
use interbot::node::{Action, Config, Limits, LinkId, Node, Output};
use interbot::overlay::{Counter, Hub, Message, SeenStreams, StreamId};
use interbot::{CommunityId, Identity, Instant};

const T0: Instant = Instant::from_millis(1_000);
const KIB: i64 = 1024;

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn community() -> CommunityId {
    CommunityId::from_name("test")
}

fn node() -> Node {
    let members = [1, 2, 3].map(|seed| identity(seed).id());
    Node::new(Config::new(community(), members), &identity(1), [9; 32], T0)
}

/// Bytes that the node holds once the attack is over; the attacker's own are gone by then.
fn held(attack: impl FnOnce(&mut Node)) -> i64 {
    let mut kept = None;
    let counted = measure(|| {
        let mut node = node();
        attack(&mut node);
        kept = Some(node);
    });
    drop(kept);
    counted.bytes_current
}

/// Polls until idle; what was sent on this link. Whatever is sent on others counts as written.
fn drain(node: &mut Node, now: Instant, link: LinkId, reads: bool) -> Vec<u8> {
    let mut sent = Vec::new();
    while let Output::Do(action) = node.poll() {
        match action {
            Action::Send { link: to, bytes } if to == link => {
                if reads {
                    node.handle_written(now, link, bytes.len());
                }
                sent.extend_from_slice(&bytes);
            }
            Action::Send { link, bytes } => node.handle_written(now, link, bytes.len()),
            Action::Persist { id, .. } => node.persisted(now, id),
            _ => {}
        }
    }
    sent
}

fn dial_as(seed: u8, link_seed: u64) -> Link {
    let setup = Setup::new(Arc::new(Pure), &identity(seed), community(), false, Facts::default());
    let mut full = [seed; 32];
    full[..8].copy_from_slice(&link_seed.to_be_bytes());
    let (expect, strings) = (Expect::Key(identity(1).id()), &mut Strings::default());
    let setup = Arc::new(setup.expect("no credentials"));
    Link::dial(setup, T0, full, Binding::None, Kind::Member, expect, strings, Times::default())
}

/// A link of this member that is open at both ends.
fn linked(node: &mut Node, now: Instant, seed: u8, link_seed: u64) -> (LinkId, Link) {
    let at = node.handle_accepted(now, Binding::None).expect("a slot");
    let mut link = dial_as(seed, link_seed);
    while !link.is_open() {
        let bytes = link.take_output();
        node.handle_bytes(now, at, &bytes).expect("drained");
        let back = drain(node, now, at, true);
        let step = link.step(now, &mut &back[..]);
        assert!(matches!(step, Step::NeedMore | Step::Open), "{step:?}");
    }
    (at, link)
}

fn hub(seed: u8, stream: u64) -> Hub {
    let counter = Counter { stream: StreamId::from_u64(stream), next: 1 };
    Hub::new(Arc::new(Pure), &identity(seed), community(), Arc::default(), counter, SeenStreams::default())
}

fn wire(hub: &mut Hub, body: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    Message::Post { hops: 0, post: hub.publish(body) }.encode(&mut out);
    out
}

/// Prints what was measured, and holds it to its bound from above and, so that the bound means something, from below.
fn within(name: &str, bytes: i64, bound: i64) {
    println!("{name}: {bytes} bytes, bound {bound}");
    assert!(bytes <= bound, "{name}: {bytes} bytes are held, {bound} are allowed");
    assert!(bytes * 16 > bound, "{name}: {bytes} bytes are held, the bound of {bound} says nothing");
}

#[test]
fn ten_thousand_half_open_links_hold_the_memory_of_256() {
    let hello = dial_as(2, 1).take_output();
    let bytes = held(|node| {
        for n in 0..10_000u64 {
            let now = T0 + Duration::from_micros(n * 100);
            let link = node.handle_accepted(now, Binding::None).expect("the oldest makes room");
            node.handle_bytes(now, link, &hello[..hello.len() - 1]).expect("drained");
            drain(node, now, link, true);
        }
    });
    // 256 slots of a link with what it was sent of a CONNECT.
    within("half-open links", bytes, 256 * 2 * KIB);
}

#[test]
fn a_peer_that_does_not_read_holds_its_window_and_its_queue_and_no_more() {
    let limits = Limits::default();
    let bound = i64::try_from(limits.window_bytes + limits.queue_max_bytes).expect("small");
    let mut hub = hub(3, 1);
    let bytes = held(|node| {
        let (deaf, _link) = linked(node, T0, 2, 1);
        let (loud, mut link) = linked(node, T0, 3, 2);
        // A host that ignores the pause reads on, until the deaf link holds nearly what closes it.
        for _ in 0..105 {
            assert!(link.send(T0, &wire(&mut hub, &[7; 10_000])));
            let bytes = link.take_output();
            node.handle_bytes(T0, loud, &bytes).expect("drained");
            let _ = drain(node, T0, deaf, false);
        }
        assert_eq!(node.links().count(), 2, "not closed yet");
    });
    within("a full queue", bytes, bound + 300 * KIB);
    let after = held(|node| {
        let (deaf, _link) = linked(node, T0, 2, 1);
        let (loud, mut link) = linked(node, T0, 3, 2);
        for _ in 0..200 {
            assert!(link.send(T0, &wire(&mut hub, &[7; 10_000])));
            let bytes = link.take_output();
            node.handle_bytes(T0, loud, &bytes).expect("drained");
            let _ = drain(node, T0, deaf, false);
        }
        assert_eq!(node.links().count(), 1, "closed");
    });
    within("after it was closed", after, 64 * KIB);
}

#[test]
fn ever_new_streams_of_an_author_are_forgotten() {
    let mut bytes = [0; 2];
    for (at, streams) in [1_000, 20_000].into_iter().enumerate() {
        bytes[at] = held(|node| {
            let (id, mut link) = linked(node, T0, 2, 1);
            for stream in 0..streams {
                let now = T0 + Duration::from_millis(stream);
                assert!(link.send(now, &wire(&mut hub(2, stream), b"x")));
                let sealed = link.take_output();
                node.handle_bytes(now, id, &sealed).expect("drained");
                let _ = drain(node, now, id, true);
            }
        });
    }
    assert_eq!(bytes[0], bytes[1], "a thousand streams hold as much as twenty thousand");
    within("streams", bytes[1], 40 * KIB);
}

#[test]
fn ever_new_strings_of_a_member_are_forgotten() {
    // 1,024 hashes of 8 bytes, in a buffer that doubles.
    let bytes = held(|node| {
        for n in 0..3_000 {
            let now = T0 + Duration::from_millis(n * 10);
            let (id, _) = linked(node, now, 2, n);
            node.handle_ended(now, id);
            let _ = drain(node, now, id, true);
        }
    });
    within("strings", bytes, 2 * 8 * KIB + 32 * KIB);
}

#[test]
fn l24_strangers_that_prove_their_keys_leave_nothing_behind() {
    let bytes = [4..=13, 4..=253].map(|strangers| {
        held(|node| {
            for seed in strangers {
                let at = node.handle_accepted(T0, Binding::None).expect("a slot");
                let mut link = dial_as(seed, 1);
                for _ in 0..2 {
                    let bytes = link.take_output();
                    node.handle_bytes(T0, at, &bytes).expect("drained");
                    let back = drain(node, T0, at, true);
                    let step = link.step(T0, &mut &back[..]);
                    assert_eq!(matches!(step, Step::Closed(_)), link.is_closed(), "{step:?}");
                }
                assert!(link.is_closed(), "told that it is no member");
            }
        })
    });
    assert_eq!(bytes[0], bytes[1], "250 strangers leave as much as ten");
}

#[test]
fn signs_of_life_whose_answers_nobody_reads_end_the_link() {
    let limits = Limits::default();
    let most = i64::try_from(limits.window_bytes + limits.queue_max_bytes).expect("small");
    let mut peak = 0;
    let bytes = held(|node| {
        let (id, mut link) = linked(node, T0, 2, 1);
        let mut answers = 0i64;
        for n in 0..100_000u64 {
            let now = T0 + Duration::from_micros(n);
            // A probe that is answered by nobody is asked once; one of each instant needs the last to be over.
            link.probe(now);
            let sealed = link.take_output();
            if sealed.is_empty() {
                let echo = drain(node, now, id, false);
                answers += i64::try_from(echo.len()).expect("small");
                let _ = link.step(now, &mut &echo[..]);
            } else {
                node.handle_bytes(now, id, &sealed).expect("drained");
            }
            peak = peak.max(answers);
            if node.links().count() == 0 {
                return;
            }
        }
        panic!("the link was not closed after {answers} bytes of answers");
    });
    assert!(peak <= most + KIB, "{peak} bytes of answers");
    within("after the flood", bytes, 16 * KIB);
}
