//! An open link: messages, keepalive, closing.

use alloc::format;

use super::*;

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
    let (us, peer) = (setup(1).id(), setup(2).id());
    let proved =
        format!("Authenticated {{ peer: {peer:?}, side: Client, kind: Member, suite: Aes256Gcm, bound: false, .. }}");
    assert_eq!(format!("{client:?}"), format!("Link {{ state: \"Open\", peer: Some({proved}), .. }}"));
    let suites = "[Aes256Gcm, ChaCha20Poly1305]";
    assert_eq!(format!("{:?}", setup(1)), format!("Setup {{ id: {us:?}, suites: {suites}, .. }}"));
    assert_eq!(format!("{:?}", Binding::TlsExporter([0xab; 32])), "TlsExporter(…)");
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
