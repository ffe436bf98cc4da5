//! Peers, points, proofs and strings that open nothing.

use super::*;

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
fn i22_aes_is_refused_by_a_client_that_put_it_second() {
    let mut client = client_of(setup_in(1, "test", false), Expect::Key(setup(2).id()));
    let (one, mut server) = (client.take_output(), server_of(setup(2)));
    feed(&mut server, T0, &one);
    let mut two = server.take_output().to_vec();
    assert_eq!(core::mem::replace(&mut two[6], 1), 2);
    assert_eq!(feed(&mut client, T0, &two), [Step::Closed(Fault::BadOffer.into())]);
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
fn l29_a_clear_retry_after_is_capped() {
    let (mut client, _) = ends();
    let ko = [0, 0, 0, 6, 4, 2, 0xff, 0xff, 0xff, 0xff];
    let reason = CloseReason::ClearKo { code: Code::Full, retry_after: Duration::from_secs(60) };
    assert_eq!(feed(&mut client, T0, &ko), [Step::Closed(reason)]);
}
