//! What a host may do wrong, and clocks that it may have.

use super::*;

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

#[test]
fn a_host_clock_that_goes_back_is_one_that_stands_still() {
    // All that a node puts out while its host's clock says `then`, after it said ten seconds.
    let run = |then: Instant| {
        let mut node = node();
        let (mut friend, other) = (linked(&mut node, 2), linked(&mut node, 3));
        node.dial(T0, id(4), "nowhere").expect("a member");
        let dial = node.links().last().expect("a dial").link;
        drain(&mut node, T0);
        node.handle_timeout(at(10_000));
        let mut said = Vec::new();
        let mut note = |node: &mut Node| loop {
            let output = node.poll();
            match &output {
                Output::Do(Action::Send { link, bytes }) => node.handle_written(then, *link, bytes.len()),
                Output::Do(Action::Persist { id, .. }) => node.persisted(then, *id),
                _ => {}
            }
            let is_idle = matches!(output, Output::Idle { .. });
            said.push(output);
            if is_idle {
                break;
            }
        };
        note(&mut node);
        node.handle_timeout(then);
        note(&mut node);
        assert!(friend.link.send(at(10_000), &wire(0, author(2, 1).publish(b"hello"))));
        node.handle_bytes(then, friend.at, &friend.link.take_output()).expect("drained");
        note(&mut node);
        node.publish(then, b"mine").expect("nothing is busy");
        note(&mut node);
        node.handle_accepted(then, Binding::None).expect("a slot");
        note(&mut node);
        node.handle_ended(then, dial);
        note(&mut node);
        node.close(then, other.at, Code::GoingAway);
        note(&mut node);
        said
    };
    let still = run(at(10_000));
    let idle = |output: &&Output| matches!(output, Output::Idle { .. });
    assert_eq!(still.iter().filter(idle).count(), 7);
    let closings = still.iter().filter(|output| matches!(output, Output::Do(Action::CloseLink { .. }))).count();
    assert_eq!(closings, 1, "only what the host closed");
    for then in [Instant::ZERO, T0, at(9_999)] {
        assert_eq!(run(then), still, "{then:?}");
    }
}
