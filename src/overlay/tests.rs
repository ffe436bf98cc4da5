//! The hub alone.

use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::crypto::Pure;
use crate::wire::CborError;

fn hub(seed: u8, members: &[u8]) -> Hub {
    let identity = |seed| Identity::from_seed([seed; 32]);
    let roster = Arc::new(members.iter().map(|seed| identity(*seed).id()).collect());
    let counter = Counter { stream: StreamId::from_u64(u64::from(seed)), next: 1 };
    let community = CommunityId::from_name("test");
    Hub::new(Arc::new(Pure), &identity(seed), community, roster, counter, SeenStreams::default())
}

fn wire(message: &Message) -> Bytes {
    let mut out = BytesMut::new();
    message.encode(&mut out);
    out.freeze()
}

fn received(hub: &mut Hub, message: Message) -> Option<Message> {
    match hub.receive(message) {
        Received::New { post, relay_hops } => relay_hops.map(|hops| Message::Post { hops, post }),
        other => panic!("{other:?}"),
    }
}

#[test]
fn i5_a_new_post_is_taken_once_and_relayed_with_one_hop_more() {
    let (mut ann, mut bob) = (hub(1, &[1, 2]), hub(2, &[1, 2]));
    let post = ann.publish(b"hello");
    let message = Message::Post { hops: 0, post: post.clone() };
    let decoded = Message::decode(&wire(&message));
    assert_eq!(decoded, Ok(message.clone()));
    let relay = Message::Post { hops: 1, post: post.clone() };
    assert_eq!(bob.receive(message.clone()), Received::New { post, relay_hops: Some(1) });
    assert_eq!(bob.receive(message.clone()), Received::Duplicate);
    assert_eq!(bob.receive(relay), Received::Duplicate);
    assert_eq!(ann.receive(message), Received::Duplicate);
}

#[test]
fn a_stranger_is_dropped_and_a_forgery_is_named() {
    let (mut ann, mut bob, mut eve) = (hub(1, &[1, 2]), hub(2, &[1, 2]), hub(3, &[1, 2]));
    let strange = Message::Post { hops: 0, post: eve.publish(b"let me in") };
    assert_eq!(bob.receive(strange), Received::Stranger);
    let good = wire(&Message::Post { hops: 0, post: ann.publish(b"hello") });
    for byte in 0..good.len() {
        let mut changed = good.to_vec();
        changed[byte] ^= 1;
        let taken = Message::decode(&changed.into()).map(|message| bob.receive(message));
        // The hop count is nobody's word; everything else is signed or has one encoding.
        let mine = matches!(taken, Ok(Received::New { .. }));
        assert_eq!(mine, byte == 2, "byte {byte}: {taken:?}");
        if mine {
            bob = hub(2, &[1, 2]);
        }
    }
}

#[test]
fn p6_what_fails_a_check_does_not_make_the_genuine_post_seen() {
    let (mut ann, mut bob) = (hub(1, &[1, 2]), hub(2, &[1, 2]));
    let genuine = Message::Post { hops: 0, post: ann.publish(b"hello") };
    let mut forged = wire(&genuine).to_vec();
    *forged.last_mut().expect("a signature") ^= 1;
    let forged = Message::decode(&forged.into()).expect("a good layout");
    assert_eq!(bob.receive(forged), Received::Forged);
    assert_eq!(bob.seen().iter().count(), 0);
    assert!(matches!(bob.receive(genuine), Received::New { .. }));
}

#[test]
fn a_post_of_another_community_is_a_forgery() {
    let mut ann = hub(1, &[1, 2]);
    ann.community = CommunityId::from_name("elsewhere");
    let post = ann.publish(b"hello");
    assert_eq!(hub(2, &[1, 2]).receive(Message::Post { hops: 0, post }), Received::Forged);
}

#[test]
fn the_last_hop_is_taken_and_not_relayed() {
    let post = hub(1, &[1, 2]).publish(b"far");
    let last = hub(2, &[1, 2]).receive(Message::Post { hops: MAX_HOPS, post: post.clone() });
    assert_eq!(last, Received::New { post: post.clone(), relay_hops: None });
    let over = wire(&Message::Post { hops: MAX_HOPS + 1, post });
    assert_eq!(Message::decode(&over), Err(CborError::Range));
}

#[test]
fn i5_a_cycle_of_three_terminates() {
    let mut hubs = [hub(1, &[1, 2, 3]), hub(2, &[1, 2, 3]), hub(3, &[1, 2, 3])];
    let post = hubs[0].publish(b"round");
    let (mut taken, mut sent) = ([1, 0, 0], 0);
    let mut travelling: Vec<_> = [1, 2].map(|to| (0, to, Message::Post { hops: 0, post: post.clone() })).into();
    while let Some((from, to, message)) = travelling.pop() {
        sent += 1;
        if let Received::New { post, relay_hops } = hubs[to].receive(message) {
            taken[to] += 1;
            let other = 3 - from - to;
            travelling.extend(relay_hops.map(|hops| (to, other, Message::Post { hops, post })));
        }
    }
    assert_eq!((taken, sent), ([1, 1, 1], 4));
}

#[test]
fn an_author_with_ever_new_streams_forgets_only_its_own() {
    let (mut ann, mut eve, mut bob) = (hub(1, &[1, 2, 3]), hub(3, &[1, 2, 3]), hub(2, &[1, 2, 3]));
    let first = Message::Post { hops: 0, post: ann.publish(b"first") };
    received(&mut bob, first.clone());
    for stream in 100..200 {
        eve.counter = Counter { stream: StreamId::from_u64(stream), next: 1 };
        let post = eve.publish(b"spam");
        received(&mut bob, Message::Post { hops: 0, post });
    }
    assert_eq!(bob.seen().iter().count(), 1 + SeenStreams::PER_ORIGIN);
    assert_eq!(bob.receive(first), Received::Duplicate);
}

#[test]
fn a_recently_used_stream_outlives_newer_ones_and_windows_survive_a_restart() {
    let mut seen = SeenStreams::default();
    let id = |stream, seq| PostId { origin: hub(1, &[]).own, stream: StreamId::from_u64(stream), seq };
    for stream in 1..=4 {
        assert!(seen.take(&id(stream, 5)));
    }
    assert!(seen.take(&id(1, 6)) && seen.take(&id(5, 1)));
    assert!(seen.is_seen(&id(1, 5)) && !seen.is_seen(&id(2, 5)));
    assert_eq!(seen.iter().collect::<SeenStreams>(), seen);
    assert!(seen.is_seen(&id(77, 0)));
}

#[test]
fn authors_who_want_the_same_place_are_told_apart() {
    // Nothing but the last byte differs in each half of them, and the place follows from the first sixteen.
    let author = |n: u8| BotId::proved(core::array::from_fn(|at| if at == 31 { n } else { n / 100 }));
    let id = |n, seq| PostId { origin: author(n), stream: StreamId::from_u64(1), seq };
    let mut seen = SeenStreams::default();
    for n in 0..200 {
        assert!(!seen.is_seen(&id(n, 1)) && seen.take(&id(n, 1)) && seen.is_seen(&id(n, 1)), "author {n}");
    }
    let keyed = seen.clone().with_secret([3, 4]);
    assert_eq!(keyed, seen);
    for n in 0..200 {
        assert!(!seen.take(&id(n, 1)) && !seen.is_seen(&id(n, 2)) && keyed.is_seen(&id(n, 1)), "author {n}");
    }
    let authors: Vec<BotId> = keyed.iter().map(|stream| stream.origin).collect();
    assert!(authors.len() == 200 && authors.is_sorted());
}

#[test]
fn messages_refuse_truncation_trailing_bytes_and_other_shapes() {
    let good = wire(&Message::Post { hops: 23, post: hub(1, &[1]).publish(&[7; 300]) });
    assert!(Message::decode(&good).is_ok());
    for cut in 0..good.len() {
        assert!(Message::decode(&good.slice(..cut)).is_err(), "cut {cut}");
    }
    let mut longer = good.to_vec();
    longer.push(0);
    assert_eq!(Message::decode(&longer.into()), Err(CborError::Trailing));
    for (at, value) in [(0, 0x83), (0, 0x85), (1, 0), (1, 2), (0, 0xa4)] {
        let mut changed = good.to_vec();
        changed[at] = value;
        assert!(Message::decode(&changed.into()).is_err(), "{at} {value:x}");
    }
    assert!(ciborium::from_reader::<ciborium::Value, _>(&good[..]).is_ok());
}

#[test]
fn the_longest_post_fits_a_record() {
    let post = hub(1, &[1]).publish(&[0; MAX_POST_BODY]);
    let message = Message::Post { hops: MAX_HOPS, post };
    assert!(wire(&message).len() < crate::wire::MAX_PLAINTEXT);
    assert_eq!(Message::decode(&wire(&message)), Ok(message));
    let post = hub(1, &[1]).publish(&[0; MAX_POST_BODY + 1]);
    assert_eq!(Message::decode(&wire(&Message::Post { hops: 0, post })), Err(CborError::Range));
}

/// The messages of `tests/vectors/posts.json`, made from fixed keys.
#[cfg(feature = "std")]
fn post_vectors() -> serde_json::Value {
    use serde_json::json;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| alloc::format!("{b:02x}")).collect::<alloc::string::String>();
    let community = CommunityId::from_name("test");
    let mut good = Vec::new();
    for (name, hops, body) in [("text", 0, &b"hello"[..]), ("empty body", 1, b""), ("last hop", 64, &[0xff; 300])] {
        let mut ann = hub(1, &[1, 2]);
        ann.counter = Counter { stream: StreamId::from_u64(0x0102_0304_0506_0708), next: 300 };
        let post = ann.publish(body);
        let mut signed = BytesMut::new();
        post.signed_bytes(&community, &mut signed);
        good.push(json!({
            "name": name, "seed": hex(&[1; 32]), "community": hex(community.as_bytes()), "hops": hops,
            "stream": "0102030405060708", "seq": 300, "body": hex(body), "signed": hex(&signed),
            "signature": hex(post.signature()), "message": hex(&wire(&Message::Post { hops, post })),
        }));
    }
    let good_wire = wire(&Message::Post { hops: 0, post: hub(1, &[1]).publish(b"hello") });
    let edit = |name: &str, reason: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good_wire.to_vec();
        change(&mut bytes);
        json!({ "name": name, "reason": reason, "message": hex(&bytes) })
    };
    let refused = [
        edit("three items", "bad message", &|b| b[0] = 0x83),
        edit("a map", "bad message", &|b| b[0] = 0xa4),
        edit("unknown number", "bad message", &|b| b[1] = 2),
        edit("65 hops", "bad message", &|b| drop(b.splice(2..3, [0x18, 65]))),
        edit("hops in a longer form", "bad message", &|b| drop(b.splice(2..3, [0x18, 0]))),
        edit("indefinite array", "bad message", &|b| {
            b[0] = 0x9f;
            b.push(0xff);
        }),
        edit("trailing byte", "bad message", &|b| b.push(0)),
        edit("cut", "bad message", &|b| b.truncate(b.len() - 1)),
        edit("post of 47 bytes", "bad message", &|b| {
            b[4] = 47;
            b.drain(5..5 + 6);
        }),
        edit("signature altered", "bad signature", &|b| b[70] ^= 1),
        edit("body altered", "bad signature", &|b| b[5 + 48] ^= 1),
        edit("seq 0", "dropped", &|b| b[5 + 47] = 0),
        edit("stranger", "dropped", &|b| b[5] ^= 1),
    ];
    json!({ "posts": good, "refused": refused })
}

#[test]
#[cfg(feature = "std")]
fn posts_match_their_vectors() {
    let made = post_vectors();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/posts.json");
    if std::env::var_os("INTERBOT_WRITE_VECTORS").is_some() {
        let text = alloc::format!("{}\n", serde_json::to_string_pretty(&made).expect("JSON"));
        std::fs::write(path, text).expect("the vectors can be written");
    }
    let kept: serde_json::Value = serde_json::from_slice(&std::fs::read(path).expect("vectors")).expect("JSON");
    assert_eq!(made, kept);
    let bytes = |value: &serde_json::Value| -> Bytes {
        let text = value.as_str().expect("hex");
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("hex")).collect()
    };
    for case in kept["posts"].as_array().expect("a list") {
        let message = Message::decode(&bytes(&case["message"])).expect("a good message");
        assert!(matches!(hub(2, &[1, 2]).receive(message), Received::New { .. }), "{case}");
    }
    for case in kept["refused"].as_array().expect("a list") {
        let got = Message::decode(&bytes(&case["message"])).map(|message| hub(2, &[1, 2]).receive(message));
        let reason = match got {
            Err(_) => "bad message",
            Ok(Received::Forged) => "bad signature",
            Ok(Received::Duplicate | Received::Stranger) => "dropped",
            Ok(Received::New { .. }) => "taken",
        };
        assert_eq!(case["reason"], reason, "{case}");
    }
}
