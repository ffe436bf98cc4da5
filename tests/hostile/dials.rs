//! Who is met at a dialled address, and when it is dialled again.

use super::*;

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
