//! Streams that somebody opens: floods, strangers, second links, and what members may not send.

use super::*;

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
