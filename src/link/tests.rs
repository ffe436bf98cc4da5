//! The link against itself and against altered bytes; the hostile peers that need keys of their own are here too.

use alloc::vec::Vec;

use super::*;
use crate::crypto::Pure;
use crate::identity::{BotId, CommunityId, Identity};

const T0: Instant = Instant::ZERO;

fn setup_in(seed: u8, community: &str, aes: bool) -> Arc<Setup> {
    let community = CommunityId::from_name(community);
    Arc::new(
        Setup::new(Arc::new(Pure), &Identity::from_seed([seed; 32]), community, aes, Facts::default())
            .expect("no credentials"),
    )
}

fn setup(seed: u8) -> Arc<Setup> {
    setup_in(seed, "test", true)
}

fn client_of(setup: Arc<Setup>, expect: Expect) -> Link {
    Link::dial(setup, T0, [3; 32], Binding::None, Kind::Member, expect, &mut Strings::default(), Times::default())
}

fn server_of(setup: Arc<Setup>) -> Link {
    Link::accept(setup, T0, [4; 32], Binding::None, Times::default())
}

fn ends() -> (Link, Link) {
    (client_of(setup(1), Expect::Key(setup(2).id())), server_of(setup(2)))
}

/// Steps until nothing more is to be told, saying yes to everything.
fn feed(link: &mut Link, now: Instant, bytes: &[u8]) -> Vec<Step> {
    let (mut input, mut steps) = (bytes, Vec::new());
    loop {
        let step = link.step(now, &mut input);
        match step {
            Step::NeedMore => return steps,
            Step::Hello => {
                if let Err(fault) = link.answer() {
                    steps.push(Step::Closed(fault.into()));
                    return steps;
                }
            }
            Step::Proved => link.admit(now),
            _ => {}
        }
        steps.push(step);
    }
}

/// Runs a handshake up to ACK and the string, which are not delivered yet.
fn third_flight(client: &mut Link, server: &mut Link) -> Bytes {
    let one = client.take_output();
    feed(server, T0, &one);
    let two = server.take_output();
    feed(client, T0, &two);
    client.take_output()
}

fn open_pair() -> (Link, Link) {
    let (mut client, mut server) = ends();
    for _ in 0..2 {
        let bytes = client.take_output();
        feed(&mut server, T0, &bytes);
        let bytes = server.take_output();
        feed(&mut client, T0, &bytes);
    }
    assert!(client.is_open() && server.is_open(), "{client:?} {server:?}");
    (client, server)
}

/// Delivers in both directions until both are quiet; what each was told.
fn settle(a: &mut Link, b: &mut Link, now: Instant) -> (Vec<Step>, Vec<Step>) {
    let (mut to_a, mut to_b) = (Vec::new(), Vec::new());
    while a.output_len() + b.output_len() > 0 {
        let bytes = a.take_output();
        to_b.extend(feed(b, now, &bytes));
        let bytes = b.take_output();
        to_a.extend(feed(a, now, &bytes));
    }
    (to_a, to_b)
}

#[test]
fn i21_the_four_messages_come_in_their_order_and_both_ends_open() {
    let (mut client, mut server) = ends();
    let one = client.take_output();
    assert_eq!((one[4], one.len()), (1, 5 + 86));
    assert_eq!(feed(&mut server, T0, &one), [Step::Hello]);
    let two = server.take_output();
    assert_eq!((two[4], two.len()), (2, 5 + 66 + 32 + 42 + 64 + 16));
    assert_eq!(feed(&mut client, T0, &two), []);
    let three = client.take_output();
    let ack_len = 5 + 32 + 42 + 64 + 16;
    assert_eq!((three[4], three[ack_len + 4], three.len()), (3, 16, ack_len + 5 + 33 + 16));
    assert_eq!(feed(&mut server, T0, &three), [Step::Proved]);
    let four = server.take_output();
    assert_eq!((four[4], four.len()), (16, 5 + 259 + 16));
    assert_eq!(feed(&mut client, T0, &four), [Step::Open]);
    let (a, b) = (client.peer().expect("open"), server.peer().expect("open"));
    assert_eq!((a.peer(), b.peer()), (setup(2).id(), setup(1).id()));
    assert_eq!((a.side(), b.side()), (Side::Client, Side::Server));
    assert_eq!((a.suite(), a.transcript()), (b.suite(), b.transcript()));
    let mut exported = [[0; 40]; 2];
    assert_eq!(a.export("test", b"context", &mut exported[0]), Ok(()));
    assert_eq!(b.export("test", b"context", &mut exported[1]), Ok(()));
    assert_eq!(exported[0], exported[1]);
    assert_eq!(a.export("", b"", &mut [0; 32]), Err(ExportError::Label));
    assert_eq!(a.export("a\0b", b"", &mut [0; 32]), Err(ExportError::Label));
    assert_eq!(a.export("test", b"", &mut [0; MAX_EXPORT + 1]), Err(ExportError::TooLong(MAX_EXPORT + 1)));
    assert_eq!(a.export("test", b"", &mut [0; MAX_EXPORT]), Ok(()));
}

#[test]
fn messages_travel_both_ways_in_order_and_the_longest_fits() {
    let (mut client, mut server) = open_pair();
    let long = alloc::vec![7; MAX_MESSAGE];
    assert!(client.send(T0, b"one") && client.send(T0, &long) && server.send(T0, b"two"));
    assert!(!client.send(T0, &alloc::vec![7; MAX_MESSAGE + 1]));
    let (to_client, to_server) = settle(&mut client, &mut server, T0);
    assert_eq!(to_server, [Step::Message(Bytes::from_static(b"one")), Step::Message(long.into())]);
    assert_eq!(to_client, [Step::Message(Bytes::from_static(b"two"))]);
}

#[test]
fn every_altered_bit_of_the_handshake_ends_it_with_a_reason() {
    /// Runs a handshake with one bit of one flight altered; how the end that met it ended.
    fn altered(which: usize, bit: usize) -> Option<CloseReason> {
        let (mut client, mut server) = ends();
        for flight in 0..=which {
            let (from, to) = if flight % 2 == 0 { (&mut client, &mut server) } else { (&mut server, &mut client) };
            let mut bytes = from.take_output().to_vec();
            if flight < which {
                feed(to, T0, &bytes);
                continue;
            }
            *bytes.get_mut(bit / 8)? ^= 1 << (bit % 8);
            let steps = feed(to, T0, &bytes);
            assert!(!to.is_open(), "flight {which} bit {bit}");
            return Some(match steps.last() {
                Some(Step::Closed(reason)) => *reason,
                // A length that became longer: the rest never comes.
                _ => to.handle_timeout(Instant::from_millis(15_000)).expect("a deadline"),
            });
        }
        None
    }
    for which in 0..4 {
        let mut reasons = Vec::new();
        for bit in 0.. {
            let Some(reason) = altered(which, bit) else { break };
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        let faults: &[Fault] = match which {
            0 => &[Fault::BadFrame, Fault::BadTag, Fault::HandshakeTimeout],
            1 => &[Fault::BadFrame, Fault::BadOffer, Fault::BadBox, Fault::HandshakeTimeout],
            2 => &[Fault::BadFrame, Fault::BadBox, Fault::HandshakeTimeout],
            // The verdict is as long as it may be, so a longer one is refused by its header.
            _ => &[Fault::BadFrame, Fault::BadBox],
        };
        assert_eq!(reasons.len(), faults.len(), "flight {which}: {reasons:?}");
        for fault in faults {
            assert!(reasons.contains(&(*fault).into()), "flight {which}: {reasons:?}");
        }
    }
}

#[test]
fn a_stream_cut_anywhere_opens_nothing_and_times_out() {
    let (mut client, _) = ends();
    let one = client.take_output();
    for cut in 0..one.len() {
        let mut server = server_of(setup(2));
        assert_eq!(feed(&mut server, T0, &one[..cut]), []);
        assert_eq!(server.wake_at(), Some(Instant::from_millis(5_000)));
        assert_eq!(server.handle_timeout(Instant::from_millis(4_999)), None);
        assert_eq!(server.handle_timeout(Instant::from_millis(5_000)), Some(Fault::HandshakeTimeout.into()));
        assert_eq!(server.output_len(), 0);
    }
}

#[test]
fn slow_loris_does_not_extend_its_deadline() {
    let (mut client, mut server) = ends();
    let one = client.take_output();
    for (second, byte) in one.iter().enumerate().take(5) {
        assert_eq!(feed(&mut server, Instant::from_millis(second as u64 * 1000), &[*byte]), []);
    }
    assert_eq!(server.handle_timeout(Instant::from_millis(5_000)), Some(Fault::HandshakeTimeout.into()));
    let (mut client, mut server) = ends();
    let one = client.take_output();
    assert_eq!(feed(&mut server, T0, &one), [Step::Hello]);
    assert_eq!(server.wake_at(), Some(Instant::from_millis(15_000)));
    let two = server.take_output();
    feed(&mut client, T0, &two[..100]);
    assert_eq!(client.handle_timeout(Instant::from_millis(15_000)), Some(Fault::HandshakeTimeout.into()));
}

#[test]
fn another_community_or_binding_is_met_with_silence() {
    for (mut client, binding) in [
        (client_of(setup_in(1, "other", true), Expect::Key(setup(2).id())), Binding::None),
        (ends().0, Binding::TlsExporter([0; 32])),
    ] {
        let mut server = Link::accept(setup(2), T0, [4; 32], binding, Times::default());
        let one = client.take_output();
        assert_eq!(feed(&mut server, T0, &one), [Step::Closed(Fault::BadTag.into())]);
        assert_eq!(server.output_len(), 0);
    }
}

#[test]
fn one_binding_at_both_ends_opens() {
    let binding = Binding::TlsExporter([9; 32]);
    let expect = Expect::AnyOf(Arc::new([setup(2).id()].into()));
    let mut strings = Strings::default();
    let mut client =
        Link::dial(setup(1), T0, [3; 32], binding, Kind::Candidate, expect, &mut strings, Times::default());
    let mut server = Link::accept(setup(2), T0, [4; 32], binding, Times::default());
    settle(&mut client, &mut server, T0);
    let seen = server.peer().expect("open");
    assert!(seen.is_bound() && seen.kind() == Kind::Candidate);
}

#[test]
fn i22_the_cipher_is_aes_only_when_both_have_it() {
    for (a, b, suite) in [(true, true, 1), (true, false, 2), (false, true, 2), (false, false, 2)] {
        let (ann, bob) = (setup_in(1, "test", a), setup_in(2, "test", b));
        let (mut client, mut server) = (client_of(ann, Expect::Key(bob.id())), server_of(bob));
        settle(&mut client, &mut server, T0);
        assert_eq!(client.peer().map(|p| p.suite().to_wire()), Some(suite));
        assert_eq!(server.peer().map(|p| p.suite().to_wire()), Some(suite));
    }
}

#[test]
fn another_key_than_the_dialled_one_learns_nothing_of_the_client() {
    for expect in [Expect::Key(setup(9).id()), Expect::AnyOf(Arc::new([setup(9).id()].into()))] {
        let (mut client, mut server) = (client_of(setup(1), expect), server_of(setup(2)));
        let one = client.take_output();
        feed(&mut server, T0, &one);
        let two = server.take_output();
        assert_eq!(feed(&mut client, T0, &two), [Step::Closed(Fault::WrongPeer.into())]);
        assert_eq!(client.output_len(), 0);
    }
}

#[test]
fn a_link_to_oneself_is_closed() {
    let (mut client, mut server) = (client_of(setup(2), Expect::Key(setup(2).id())), server_of(setup(2)));
    let (to_client, _) = settle(&mut client, &mut server, T0);
    assert_eq!(to_client, [Step::Closed(Fault::OurOwnKey.into())]);
}

#[test]
fn our_own_messages_sent_back_to_us_open_nothing() {
    let (mut client, _) = ends();
    let one = client.take_output();
    assert_eq!(feed(&mut client, T0, &one), [Step::Closed(Fault::BadFrame.into())]);
    let (mut client, mut server) = open_pair();
    assert!(client.send(T0, b"x") && server.send(T0, b"y"));
    for link in [&mut client, &mut server] {
        let own = link.take_output();
        assert_eq!(feed(link, T0, &own), [Step::Closed(Fault::BadBox.into())]);
    }
}

#[test]
fn low_order_points_are_refused_on_both_sides() {
    let near_p = |low: u8| {
        let mut point = [0xff; 32];
        (point[0], point[31]) = (low, 0x7f);
        point
    };
    let mut one = [0; 32];
    one[0] = 1;
    let order_8 = [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ];
    let other_8 = [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ];
    // p − 1, p and p + 1, with and without the bit that X25519 ignores.
    let mut points = alloc::vec![[0; 32], one, order_8, other_8, near_p(0xec), near_p(0xed), near_p(0xee)];
    for at in 0..points.len() {
        let mut ignored = points[at];
        ignored[31] |= 0x80;
        points.push(ignored);
    }
    for point in points {
        // The tag is anybody's who knows the community, so a hostile CONNECT can carry any point.
        let us = setup(2);
        let head1 = message::Head1 {
            versions: (1, 1),
            kind: Kind::Member,
            suites: [1, 2].into(),
            e: point,
            challenge: [0; 32],
        };
        let mut body = BytesMut::new();
        head1.encode(&mut body);
        let tag = keys::Prologue::new(&Binding::None, &CommunityId::from_name("test"))
            .tag(&keys::tag_key(&CommunityId::from_name("test")), &body);
        body.extend_from_slice(&tag);
        let mut wire = BytesMut::new();
        crate::wire::put_header(&mut wire, FrameKind::Connect, body.len());
        wire.extend_from_slice(&body);
        let mut server = server_of(us);
        assert_eq!(feed(&mut server, T0, &wire), [Step::Hello, Step::Closed(Fault::LowOrder.into())][1..]);
        assert_eq!(server.output_len(), 0);

        let (mut client, mut server) = ends();
        let one = client.take_output();
        feed(&mut server, T0, &one);
        let mut two = server.take_output().to_vec();
        two[7..39].copy_from_slice(&point);
        assert_eq!(feed(&mut client, T0, &two), [Step::Closed(Fault::LowOrder.into())]);
    }
}

#[test]
fn unknown_versions_and_suites_end_the_link() {
    for (versions, suites, expected) in [
        ((2, 3), [1, 2], CloseReason::Here(Code::Version)),
        ((1, 1), [8, 9], Fault::BadOffer.into()),
        ((1, 9), [9, 1], Fault::BadOffer.into()),
    ] {
        let head1 =
            message::Head1 { versions, kind: Kind::Member, suites: suites.into(), e: [9; 32], challenge: [0; 32] };
        let mut body = BytesMut::new();
        head1.encode(&mut body);
        let community = CommunityId::from_name("test");
        let tag = keys::Prologue::new(&Binding::None, &community).tag(&keys::tag_key(&community), &body);
        body.extend_from_slice(&tag);
        let mut wire = BytesMut::new();
        crate::wire::put_header(&mut wire, FrameKind::Connect, body.len());
        wire.extend_from_slice(&body);
        let mut server = server_of(setup(2));
        assert_eq!(feed(&mut server, T0, &wire), [Step::Closed(expected)]);
        let answer = server.take_output();
        assert_eq!(&answer[..], if versions.0 == 2 { &[0, 0, 0, 6, 4, 8, 0, 0, 0, 0][..] } else { &[] });
    }
    // A server that picks what was not offered, or a version that was not.
    for (at, value) in [(5, 2), (6, 9), (6, 0)] {
        let (mut client, mut server) = ends();
        let one = client.take_output();
        feed(&mut server, T0, &one);
        let mut two = server.take_output().to_vec();
        two[at] = value;
        assert_eq!(feed(&mut client, T0, &two), [Step::Closed(Fault::BadOffer.into())]);
    }
}

#[test]
fn a_clear_ko_is_a_hint_and_only_before_keys() {
    let ko = [0, 0, 0, 6, 4, 2, 0, 0, 0, 9];
    let (mut client, _) = ends();
    assert_eq!(
        feed(&mut client, T0, &ko),
        [Step::Closed(CloseReason::ClearKo { code: Code::Full, retry_after: Duration::from_secs(9) })]
    );
    let (mut client, mut server) = ends();
    let one = client.take_output();
    feed(&mut server, T0, &one);
    let two = server.take_output();
    feed(&mut client, T0, &two);
    assert_eq!(feed(&mut client, T0, &ko), [Step::Closed(Fault::BadFrame.into())]);
}

/// A server that ran the handshake, and what a client with any string at all gets from it.
fn server_after_string(text: &[u8]) -> Vec<Step> {
    let (mut client, mut server) = ends();
    let three = third_flight(&mut client, &mut server);
    let ack_len = 5 + 32 + 42 + 64 + 16;
    feed(&mut server, T0, &three[..ack_len]);
    let State::WaitOk(wait) = &mut client.state else { panic!("{client:?}") };
    let mut record = BytesMut::new();
    wait.reseal_first(T0, &mut record, |out| {
        out.extend_from_slice(&[message::inner::CHALLENGE]);
        out.extend_from_slice(text);
    });
    feed(&mut server, T0, &record)
}

#[test]
fn i24_i25_bad_strings_close_the_link_without_an_answer() {
    let long = [b'a'; 257];
    let mut longest = [b'a'; 256];
    longest[0] = b'b';
    for text in [&b""[..], b"a", b"radar", "été".as_bytes(), &[0xff, 0xfe], &[b'o', b'k', 0xc3], &long] {
        assert_eq!(server_after_string(text), [Step::Closed(Fault::BadChallenge.into())], "{text:?}");
    }
    for text in [&b"ab"[..], b"test123", "e\u{301}te".as_bytes(), &longest] {
        assert_eq!(server_after_string(text), [Step::Proved], "{text:?}");
    }
}

#[test]
fn i23_a_string_that_comes_back_wrong_closes_the_client() {
    let (mut client, mut server) = ends();
    let three = third_flight(&mut client, &mut server);
    let mut input = &three[..];
    assert_eq!(server.step(T0, &mut input), Step::Proved);
    let State::Proved(proved) = &mut server.state else { panic!("{server:?}") };
    proved.reversed = "not what was sent".into();
    server.admit(T0);
    let four = server.take_output();
    assert_eq!(feed(&mut client, T0, &four), [Step::Closed(Fault::BadChallenge.into())]);
}

#[test]
fn i26_a_string_is_known_again() {
    let mut strings = Strings::default();
    for expected in [true, false] {
        let (mut client, mut server) = ends();
        let three = third_flight(&mut client, &mut server);
        assert_eq!(server.step(T0, &mut &three[..]), Step::Proved);
        assert_eq!(server.take_string(&[1; 32], &mut strings), expected);
    }
}

#[test]
fn a_sealed_ko_reaches_the_client_and_looks_like_an_ok() {
    let (mut client, mut server) = ends();
    let three = third_flight(&mut client, &mut server);
    assert_eq!(server.step(T0, &mut &three[..]), Step::Proved);
    server.refuse(T0, Code::UnknownMember, Duration::from_secs(7200));
    let four = server.take_output();
    assert_eq!(four.len(), 280);
    let reason = CloseReason::Peer { code: Code::UnknownMember, retry_after: Duration::from_secs(3600) };
    assert_eq!(feed(&mut client, T0, &four), [Step::Closed(reason)]);
    assert!(server.is_closed());
}

#[test]
fn i28_the_server_asks_a_quiet_link_and_the_client_echoes() {
    let (mut client, mut server) = open_pair();
    let quiet = Instant::from_millis(10_000);
    assert_eq!((server.wake_at(), client.wake_at()), (Some(quiet), Some(Instant::from_millis(35_000))));
    assert_eq!(server.handle_timeout(quiet), None);
    assert_eq!(server.wake_at(), Some(Instant::from_millis(15_000)));
    assert_eq!(settle(&mut client, &mut server, quiet), ([].into(), [].into()));
    assert_eq!(server.wake_at(), Some(Instant::from_millis(20_000)));
    assert_eq!(client.wake_at(), Some(Instant::from_millis(45_000)));
}

#[test]
fn i28_a_client_that_only_sends_hears_from_its_server() {
    let (mut client, mut server) = open_pair();
    for second in 1..=60 {
        let now = Instant::from_millis(second * 1000);
        assert!(client.send(now, b"on and on"));
        assert_eq!((server.handle_timeout(now), client.handle_timeout(now)), (None, None));
        let bytes = server.take_output();
        assert_eq!(!bytes.is_empty(), second % 10 == 0, "second {second}");
        feed(&mut client, now, &bytes);
        let bytes = client.take_output();
        assert!(feed(&mut server, now, &bytes).iter().all(|step| matches!(step, Step::Message(_))));
    }
}

#[test]
fn i28_three_misses_close_the_server_and_silence_closes_the_client() {
    let (mut client, mut server) = open_pair();
    for second in [10, 15, 20] {
        assert_eq!(server.handle_timeout(Instant::from_millis(second * 1000)), None);
    }
    assert_eq!(server.handle_timeout(Instant::from_millis(25_000)), Some(Fault::Silence.into()));
    assert_eq!(client.handle_timeout(Instant::from_millis(35_000)), Some(Fault::Silence.into()));
    assert_eq!((client.wake_at(), server.wake_at()), (None, None));
}

#[test]
fn a_side_that_was_away_drains_its_input_before_it_judges() {
    let (mut client, _) = open_pair();
    let woke = Instant::from_millis(36_500);
    assert_eq!(client.handle_timeout(woke), None);
    assert_eq!(client.wake_at(), Some(woke + Duration::from_secs(35)));
    assert_eq!(client.handle_timeout(woke + Duration::from_secs(35)), Some(Fault::Silence.into()));
}

#[test]
fn i28_a_wrong_echo_closes_and_unsolicited_ones_are_bounded() {
    let (mut client, mut server) = open_pair();
    let echo = |client: &mut Link, nonce: &[u8; 16]| {
        let State::Open(open) = &mut client.state else { panic!("open") };
        open.records.sealer.seal(T0, &mut client.out, Inner::Echo(nonce));
        client.take_output()
    };
    for _ in 0..16 {
        let bytes = echo(&mut client, &[0; 16]);
        assert_eq!(feed(&mut server, T0, &bytes), []);
    }
    let bytes = echo(&mut client, &[0; 16]);
    assert_eq!(feed(&mut server, T0, &bytes), [Step::Closed(Fault::BadEcho.into())]);

    let (mut client, mut server) = open_pair();
    assert_eq!(server.handle_timeout(Instant::from_millis(10_000)), None);
    let bytes = echo(&mut client, &[0; 16]);
    assert_eq!(feed(&mut server, T0, &bytes), [Step::Closed(Fault::BadEcho.into())]);
}

#[test]
fn a_mobile_bot_is_asked_three_times_less_often() {
    let facts = Facts { capabilities: Capabilities::MOBILE, ..Facts::default() };
    let ann = Setup::new(Arc::new(Pure), &Identity::from_seed([1; 32]), CommunityId::from_name("test"), true, facts);
    let (mut client, mut server) = (client_of(Arc::new(ann.expect("short")), Expect::Key(setup(2).id())), ends().1);
    settle(&mut client, &mut server, T0);
    assert_eq!(server.wake_at(), Some(Instant::from_millis(30_000)));
    assert_eq!(client.wake_at(), Some(Instant::from_millis(105_000)));
}

#[test]
fn a_probe_that_is_not_answered_closes_either_side() {
    for which in 0..2 {
        let (mut client, mut server) = open_pair();
        let link = if which == 0 { &mut client } else { &mut server };
        link.probe(T0);
        link.handle_timeout(Instant::from_millis(5_000));
        assert_eq!(link.handle_timeout(Instant::from_millis(10_000)), Some(Fault::Silence.into()));
        let (mut client, mut server) = open_pair();
        if which == 0 {
            client.probe(T0)
        } else {
            server.probe(T0)
        };
        settle(&mut client, &mut server, T0);
        let link = if which == 0 { &mut client } else { &mut server };
        assert!(link.wake_at() >= Some(Instant::from_millis(10_000)));
        assert_eq!(link.handle_timeout(Instant::from_millis(10_000)), None);
        assert!(link.is_open());
    }
}

#[test]
fn l47_a_peer_that_sends_but_never_echoes_is_closed_once_32_pings_are_open() {
    let (mut client, mut server) = open_pair();
    for ping in 1..=33 {
        let now = Instant::from_millis(ping * 10_000);
        assert_eq!(server.handle_timeout(now), (ping == 33).then_some(Fault::Silence.into()), "timer {ping}");
        assert!(client.send(now, b"no echo"));
        let bytes = client.take_output();
        feed(&mut server, now, &bytes);
    }
}

#[test]
fn l56_a_second_probe_asks_nothing_and_does_not_restart_the_first() {
    for which in 0..2 {
        let (mut client, mut server) = open_pair();
        let link = if which == 0 { &mut client } else { &mut server };
        link.probe(T0);
        let _ = link.take_output();
        link.probe(Instant::from_millis(4_000));
        assert_eq!(link.output_len(), 0);
        assert_eq!(link.handle_timeout(Instant::from_millis(5_000)), None);
        assert_eq!(link.handle_timeout(Instant::from_millis(10_000)), Some(Fault::Silence.into()));
    }
}

#[test]
fn a_paused_link_is_not_judged_by_its_silence_and_goes_on_asking() {
    let (mut client, mut server) = open_pair();
    assert_eq!(server.handle_timeout(Instant::from_millis(10_000)), None);
    server.set_paused(Instant::from_millis(11_000), true);
    client.set_paused(Instant::from_millis(11_000), true);
    assert_eq!((server.wake_at(), client.wake_at()), (Some(Instant::from_millis(20_000)), None));
    let _ = server.take_output();
    for second in 1..=600 {
        let now = Instant::from_millis(11_000 + second * 1000);
        assert_eq!((server.handle_timeout(now), client.handle_timeout(now)), (None, None));
    }
    // The peer heard a question every ten seconds, until 32 were open.
    assert_eq!(server.take_output().len(), 31 * (5 + 17 + 16));
    assert_eq!(server.wake_at(), None);
    server.set_paused(Instant::from_millis(620_000), false);
    assert_eq!(server.wake_at(), Some(Instant::from_millis(625_000)));
}

#[test]
fn a_close_tells_its_code_and_takes_no_more_input() {
    let (mut client, mut server) = open_pair();
    server.close(T0, Code::Replaced, Duration::from_secs(5));
    assert!(!server.send(T0, b"late"));
    let bytes = server.take_output();
    let reason = CloseReason::Peer { code: Code::Replaced, retry_after: Duration::from_secs(5) };
    assert_eq!(feed(&mut client, T0, &bytes), [Step::Closed(reason)]);
    assert_eq!(feed(&mut client, T0, &bytes), []);
    assert_eq!(client.handle_timeout(Instant::from_millis(u64::MAX)), None);
}

#[test]
fn a_rekey_in_the_stream_is_followed() {
    let (mut client, mut server) = open_pair();
    let later = T0 + KEY_LIFETIME;
    assert!(client.send(later, b"after an hour") && client.send(later, b"and on"));
    let (_, to_server) = settle(&mut client, &mut server, later);
    assert_eq!(
        to_server,
        [Step::Message(Bytes::from_static(b"after an hour")), Step::Message(Bytes::from_static(b"and on"))]
    );
}

#[test]
fn handshake_frames_on_an_open_link_close_it() {
    for kind in [1, 2, 3, 4, 5, 0] {
        let (mut client, _) = open_pair();
        let steps = feed(&mut client, T0, &[0, 0, 0, 2, kind, 0]);
        assert_eq!(steps, [Step::Closed(Fault::BadFrame.into())]);
    }
}

#[test]
fn nothing_secret_is_shown_by_debug() {
    let (client, _) = open_pair();
    let shown = alloc::format!("{client:?} {:?} {:?}", setup(1), Binding::TlsExporter([0xab; 32]));
    assert!(!shown.contains("171") && !shown.contains("key:"), "{shown}");
}

/// s + the group's order: the same number, a second encoding.
fn add_order(signature: &mut [u8; 64]) {
    let order = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + add + carry;
        *byte = (sum & 0xff) as u8;
        carry = sum >> 8;
    }
}

/// A bot with a secret of its own that claims an id and spoils what it signs.
fn forger(id: [u8; 32], spoil: fn(&mut [u8; 64])) -> Arc<Setup> {
    let community = CommunityId::from_name("test");
    let mut setup = Setup::new(Arc::new(Pure), &Identity::from_seed([1; 32]), community, true, Facts::default())
        .expect("no credentials");
    setup.forge(id, spoil);
    Arc::new(setup)
}

#[test]
fn a_proof_that_does_not_fit_its_key_is_refused_on_both_sides_without_a_word() {
    let own = *setup(1).id().as_bytes();
    let mut again = [0xff; 32];
    (again[0], again[31]) = (0xee, 0x7f);
    let mut identity_point = [0; 32];
    identity_point[0] = 1;
    let zero_r = |signature: &mut [u8; 64]| signature[..32].fill(0);
    type Spoil = fn(&mut [u8; 64]);
    let cases: [(&str, [u8; 32], Spoil, Fault); 9] = [
        ("another's id", *setup(3).id().as_bytes(), |_| {}, Fault::BadSignature),
        ("altered R", own, |signature| signature[0] ^= 1, Fault::BadSignature),
        ("altered s", own, |signature| signature[40] ^= 1, Fault::BadSignature),
        ("s + order", own, add_order, Fault::BadSignature),
        ("R of small order", own, zero_r, Fault::BadSignature),
        ("zero id", [0; 32], |_| {}, Fault::BadSignature),
        ("identity point", identity_point, |_| {}, Fault::BadSignature),
        ("non-canonical id", again, |_| {}, Fault::BadSignature),
        ("the receiver's own id", *setup(2).id().as_bytes(), |_| {}, Fault::OurOwnKey),
    ];
    for (name, id, spoil, fault) in cases {
        let any = Expect::AnyOf(Arc::new([BotId::proved(id)].into()));
        let (mut client, mut server) = (client_of(setup(2), any), server_of(forger(id, spoil)));
        let one = client.take_output();
        assert_eq!(feed(&mut server, T0, &one), [Step::Hello]);
        let two = server.take_output();
        assert_eq!(feed(&mut client, T0, &two), [Step::Closed(fault.into())], "server with {name}");
        assert_eq!(client.output_len(), 0, "nothing of the client is told to a server with {name}");

        let (mut client, mut server) = (client_of(forger(id, spoil), Expect::Key(setup(2).id())), server_of(setup(2)));
        let three = third_flight(&mut client, &mut server);
        assert_eq!(feed(&mut server, T0, &three), [Step::Closed(fault.into())], "client with {name}");
        assert_eq!(server.output_len(), 0, "no answer to a client with {name}");
    }
}

#[test]
fn a_mixed_order_key_is_refused_when_it_enters_a_roster() {
    let mixed = crate::crypto::tests::mixed_order(&setup(1).id());
    assert_eq!(BotId::from_bytes(mixed), Err(crate::identity::IdError::Weak));
}

#[test]
fn i25_a_drawn_palindrome_is_drawn_again() {
    let mut draws = ["radar", "abba", "radars", "never drawn"].into_iter();
    assert_eq!(handshake::no_palindrome(|| draws.next().expect("a string").into()), "radars");
    let mut random = Random::from_seed(&[1; 32]);
    for _ in 0..100 {
        let string = draw_string(&mut random);
        assert!(string.len() == 32 && string.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
}

#[test]
fn l29_a_clear_retry_after_is_capped() {
    let (mut client, _) = ends();
    let ko = [0, 0, 0, 6, 4, 2, 0xff, 0xff, 0xff, 0xff];
    let reason = CloseReason::ClearKo { code: Code::Full, retry_after: Duration::from_secs(60) };
    assert_eq!(feed(&mut client, T0, &ko), [Step::Closed(reason)]);
}

#[test]
fn a_host_that_ticks_slowly_still_notices_a_dead_peer() {
    let (_, mut server) = open_pair();
    let mut closed = None;
    for tick in 1..60 {
        closed = closed.or(server.handle_timeout(Instant::from_millis(tick * 4_000)));
        let _ = server.take_output();
    }
    assert_eq!(closed, Some(Fault::Silence.into()));
}

#[test]
fn replayed_and_reordered_records_close_the_link() {
    for order in [[0, 0], [1, 0]] {
        let (mut client, mut server) = open_pair();
        let records = [b"one", b"two"].map(|text| {
            assert!(client.send(T0, text));
            client.take_output()
        });
        let steps: Vec<Step> = order.iter().flat_map(|at| feed(&mut server, T0, &records[*at])).collect();
        assert_eq!(steps.last(), Some(&Step::Closed(Fault::BadBox.into())), "{order:?}");
    }
}

#[test]
fn i26_a_client_never_sends_a_string_again_even_from_the_same_seed() {
    let (mut own, mut seen) = (Strings::default(), Strings::default());
    for _ in 0..3 {
        let expect = Expect::Key(setup(2).id());
        let (binding, times) = (Binding::None, Times::default());
        let mut client = Link::dial(setup(1), T0, [3; 32], binding, Kind::Member, expect, &mut own, times);
        let mut server = server_of(setup(2));
        let three = third_flight(&mut client, &mut server);
        assert_eq!(server.step(T0, &mut &three[..]), Step::Proved);
        assert!(server.take_string(&[1; 32], &mut seen));
    }
}

/// Both ends when flight `which` (0 CONNECT … 3 OK, 4 a message of the client's) is about to be delivered, and its bytes.
fn before_flight(which: usize) -> (Link, Link, Bytes) {
    let (mut client, mut server) = ends();
    let mut flight = client.take_output();
    for number in 0..which {
        let (to, from) = if number % 2 == 0 { (&mut server, &mut client) } else { (&mut client, &mut server) };
        feed(to, T0, &flight);
        if number == 3 {
            assert!(from.is_open() && to.is_open() && to.send(T0, b"a message"));
        }
        flight = to.take_output();
    }
    (client, server, flight)
}

#[test]
fn a_flight_cut_off_anywhere_waits_for_the_rest_and_opens_nothing() {
    for which in 0..5 {
        let whole = before_flight(which).2;
        for cut in 0..whole.len() {
            let (mut client, mut server, flight) = before_flight(which);
            let to = if which % 2 == 0 { &mut server } else { &mut client };
            let (open, steps) = (to.is_open(), feed(to, T0, &flight[..cut]));
            assert!(steps.iter().all(|step| *step == Step::NeedMore), "flight {which} cut at {cut}: {steps:?}");
            assert_eq!((to.is_open(), to.is_closed()), (open, false), "flight {which} cut at {cut}");
            if cut % 7 == 0 && which < 4 {
                let due = if which == 0 { 5_000 } else { 15_000 };
                assert_eq!(to.handle_timeout(Instant::from_millis(due - 1)), None);
                let end = to.handle_timeout(Instant::from_millis(due));
                assert_eq!(end, Some(Fault::HandshakeTimeout.into()), "flight {which} cut at {cut}");
            } else {
                let last = feed(to, T0, &flight[cut..]);
                assert!(!last.is_empty() || to.output_len() > 0, "flight {which} cut at {cut}");
                assert!(!to.is_closed());
            }
        }
    }
}

#[test]
fn a_header_alone_is_enough_to_refuse_what_is_too_long_or_out_of_place() {
    // What each state takes: its kind and the longest body.
    for (which, kind, limit) in
        [(0, 1, 128), (1, 2, 2048), (2, 3, 2048), (3, 16, MAX_FIRST_RECORD), (4, 16, MAX_PLAINTEXT + 16)]
    {
        let header = |kind: u8, body: usize| {
            let length = u32::try_from(body + 1).expect("short").to_be_bytes();
            [length[0], length[1], length[2], length[3], kind]
        };
        let refused = |header: [u8; 5]| {
            let (mut client, mut server, _) = before_flight(which);
            feed(if which % 2 == 0 { &mut server } else { &mut client }, T0, &header)
        };
        assert_eq!(refused(header(kind, limit)), [], "flight {which}");
        let bad = [Step::Closed(Fault::BadFrame.into())];
        assert_eq!(refused(header(kind, limit + 1)), bad, "flight {which}: too long");
        assert_eq!(refused([0, 0, 0, 0, kind]), bad, "flight {which}: no length");
        for other in [0, 1, 2, 3, 4, 5, 15, 16, 17, 255] {
            // A client that waits for CONNECT+ACK also takes a refusal in clear.
            if other != kind && (which, other) != (1, 4) {
                assert_eq!(refused(header(other, 5)), bad, "flight {which}: kind {other}");
            }
        }
    }
    // Between ACK and its verdict the server takes the string's record alone.
    let (mut client, mut server) = ends();
    let three = third_flight(&mut client, &mut server);
    feed(&mut server, T0, &three[..5 + 32 + 42 + 64 + 16]);
    let length = u32::try_from(MAX_FIRST_RECORD + 2).expect("short").to_be_bytes();
    let steps = feed(&mut server, T0, &[length[0], length[1], length[2], length[3], 16]);
    assert_eq!(steps, [Step::Closed(Fault::BadFrame.into())]);
}
