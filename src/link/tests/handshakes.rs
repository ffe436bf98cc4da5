//! The way to an open link: its bytes, its times, its strings.

use super::*;

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
    assert!(!a.is_bound() && !b.is_bound());
    let mut exported = [[0; 40]; 2];
    assert_eq!(a.export("test", b"context", &mut exported[0]), Ok(()));
    assert_eq!(b.export("test", b"context", &mut exported[1]), Ok(()));
    assert_eq!(exported[0], exported[1]);
    assert_eq!(a.export("", b"", &mut [0; 32]), Err(ExportError::Label));
    assert_eq!(a.export("a\0b", b"", &mut [0; 32]), Err(ExportError::Label));
    // HKDF gives 255 hashes and no more (RFC 5869, section 2.3).
    assert_eq!(a.export("test", b"", &mut [0; 8161]), Err(ExportError::TooLong(8161)));
    assert_eq!(a.export("test", b"", &mut [0; 8160]), Ok(()));
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
fn one_binding_at_both_ends_opens() {
    let binding = Binding::TlsExporter([9; 32]);
    let expect = Expect::AnyOf(Arc::new([setup(2).id()].into()));
    let mut strings = Strings::default();
    let mut client =
        Link::dial(setup(1), T0, [3; 32], binding, Kind::Candidate, expect, &mut strings, Times::default());
    let mut server = Link::accept(setup(2), T0, [4; 32], binding, Times::default());
    settle(&mut client, &mut server, T0);
    for seen in [client.peer(), server.peer()] {
        assert!(seen.is_some_and(|peer| peer.is_bound() && peer.kind() == Kind::Candidate), "{seen:?}");
    }
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
fn i25_drawn_bytes_that_would_favour_a_character_are_thrown_away() {
    let (mut random, mut drawn) = (Random::from_seed(&[1; 32]), Random::from_seed(&[1; 32]));
    let mut thrown = [0; 8];
    for _ in 0..300 {
        let string = draw_string(&mut random);
        let mut expected = string.chars();
        while !expected.as_str().is_empty() {
            let mut byte = [0];
            drawn.fill(&mut byte);
            // 248 is four times 62: what is above would make the first eight letters likelier.
            if let Some(times) = thrown.get_mut(usize::from(byte[0]).wrapping_sub(248)) {
                *times += 1;
                continue;
            }
            let character = match byte[0] % 62 {
                at @ 0..26 => b'A' + at,
                at @ 26..52 => b'a' + (at - 26),
                at => b'0' + (at - 52),
            };
            assert_eq!(expected.next(), Some(char::from(character)));
        }
    }
    assert!(thrown.iter().all(|times| *times > 0), "each was drawn: {thrown:?}");
}

#[test]
fn only_a_server_without_a_connect_waits_for_it() {
    let (mut client, mut server) = ends();
    assert!(server.waits_for_connect() && !client.waits_for_connect());
    let one = client.take_output();
    feed(&mut server, T0, &one[..one.len() - 1]);
    assert!(server.waits_for_connect());
    feed(&mut server, T0, &one[one.len() - 1..]);
    assert!(!server.waits_for_connect());
}

#[test]
fn a_peer_is_known_once_it_proved_its_key_and_not_before() {
    let (mut client, mut server) = ends();
    let three = third_flight(&mut client, &mut server);
    assert!(client.peer().is_none() && server.peer().is_none());
    assert_eq!(server.step(T0, &mut &three[..]), Step::Proved);
    assert_eq!(server.peer().map(Authenticated::peer), Some(setup(1).id()));
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
