//! Peers that do not read, or send more than they may.

use super::*;

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
