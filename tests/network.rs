//! Whole nodes in virtual time: links, posts, and what goes wrong.
#![cfg(feature = "sim")]

use std::collections::BTreeSet;
use std::time::Duration;

use interbot::Instant;
use interbot::lab::{BotRef, Lie, Line, Network};
use interbot::link::{CloseReason, Code, Fault, Side};
use interbot::node::{Config, Event, PublishError};
use interbot::overlay::{Message, Post};
use interbot::{BotId, CommunityId};

const SECOND: Duration = Duration::from_secs(1);

/// A tree: everybody but the first dials the bot at half its place.
fn tree(seed: u64, count: usize) -> (Network, Vec<BotRef>) {
    let mut net = Network::new(seed);
    let bots = net.add_members("test", count);
    for at in 1..count {
        net.dial(bots[at], bots[(at - 1) / 2]);
    }
    net.run_for(5 * SECOND);
    (net, bots)
}

fn seqs(net: &Network, bot: BotRef, origin: BotId) -> Vec<u64> {
    net.posts(bot).iter().map(|post| post.id()).filter(|id| id.origin == origin).map(|id| id.seq).collect()
}

fn closings(net: &Network, bot: BotRef) -> Vec<CloseReason> {
    let reasons = net.events(bot).iter().filter_map(|(_, event)| match event {
        Event::Closed { reason, .. } => Some(*reason),
        _ => None,
    });
    reasons.collect()
}

#[test]
fn i5_every_bot_gets_every_post_once_and_in_its_authors_order() {
    let (mut net, bots) = tree(1, 15);
    for n in 0..30u32 {
        for author in [bots[0], bots[7], bots[14]] {
            net.publish(author, &n.to_be_bytes()).expect("nothing is busy");
        }
        net.run_for(Duration::from_millis(7));
    }
    net.run_for(2 * SECOND);
    let all: Vec<u64> = (1..=30).collect();
    for bot in &bots {
        for author in [bots[0], bots[7], bots[14]] {
            let expected = if *bot == author { &[][..] } else { &all };
            assert_eq!(seqs(&net, *bot, net.id(author)), expected);
        }
        assert_eq!(net.node(*bot).stats().duplicates, 0);
    }
}

#[test]
fn i5_a_cycle_of_three_terminates() {
    let mut net = Network::new(2);
    let bots = net.add_members("test", 3);
    for at in 0..3 {
        net.dial(bots[at], bots[(at + 1) % 3]);
    }
    net.run_for(5 * SECOND);
    let sent = |net: &Network| bots.iter().map(|bot| net.node(*bot).stats().sent_bytes).sum::<u64>();
    let before = sent(&net);
    net.publish(bots[0], b"round and round").expect("nothing is busy");
    net.run_for(SECOND);
    for bot in &bots[1..] {
        assert_eq!(net.posts(*bot).len(), 1);
    }
    // Four copies: two from the author, one each way between the others.
    assert!(sent(&net) - before < 4 * 220, "{}", sent(&net) - before);
    assert_eq!(bots.iter().map(|bot| net.node(*bot).stats().duplicates).sum::<u64>(), 2);
}

#[test]
fn the_same_run_gives_the_same_bytes_and_early_wake_ups_change_nothing() {
    let run = |seed, early: Option<u64>| {
        let mut net = Network::new(seed);
        if let Some(early) = early {
            net.wake_early(early);
        }
        let bots = net.add_members("test", 7);
        for at in 1..7 {
            net.dial(bots[at], bots[(at - 1) / 2]);
        }
        net.run_for(3 * SECOND);
        for n in 0..50u8 {
            net.publish(bots[3], &[n; 100]).expect("nothing is busy");
            net.run_for(Duration::from_millis(3));
        }
        net.run_for(SECOND);
        net.crash(bots[1]);
        net.run_for(40 * SECOND);
        net.restart(bots[1]);
        net.dial(bots[1], bots[0]);
        net.run_for(60 * SECOND);
        net.publish(bots[4], b"after").expect("nothing is busy");
        net.run_for(30 * SECOND);
        assert_eq!(net.posts(bots[6]).len(), 51);
        net.transcript()
    };
    let plain = run(5, None);
    assert_eq!(run(5, None), plain);
    for early in 0..5 {
        assert_eq!(run(5, Some(early)), plain, "early wake-ups of seed {early}");
    }
    assert_ne!(run(6, None), plain);
}

#[test]
fn i28_a_partition_closes_links_and_they_come_back() {
    let (mut net, bots) = tree(3, 7);
    net.partition(&[&[bots[1], bots[3], bots[4]]]);
    net.run_for(60 * SECOND);
    assert!(closings(&net, bots[0]).contains(&Fault::Silence.into()));
    assert!(closings(&net, bots[1]).contains(&Fault::Silence.into()));
    net.publish(bots[3], b"in here").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!((net.posts(bots[4]).len(), net.posts(bots[6]).len()), (1, 0));
    net.heal();
    net.run_for(120 * SECOND);
    assert!(net.peers(bots[0]).contains(&net.id(bots[1])));
    net.publish(bots[3], b"everywhere").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!((net.posts(bots[4]).len(), net.posts(bots[6]).len()), (2, 1));
}

#[test]
fn an_idle_network_stays_linked_for_a_day() {
    let (mut net, bots) = tree(4, 7);
    net.run_for(24 * 3600 * SECOND);
    for bot in &bots {
        assert_eq!(closings(&net, *bot), []);
    }
    net.publish(bots[5], b"still here").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(bots[3]).len(), 1);
}

#[test]
fn a_post_leaves_only_once_its_number_is_durable() {
    let (mut net, bots) = tree(5, 3);
    net.set_disk_latency(10 * SECOND);
    net.publish(bots[0], b"slow disk").expect("nothing is busy");
    net.run_for(9 * SECOND);
    assert_eq!(net.posts(bots[1]), []);
    net.run_for(2 * SECOND);
    assert_eq!(net.posts(bots[1]).len(), 1);
}

#[test]
fn a_crash_at_any_moment_never_lets_two_posts_have_one_name() {
    for crash_after in 0..12 {
        let (mut net, bots) = tree(6 + crash_after, 3);
        net.set_disk_latency(Duration::from_millis(4));
        let mut bodies = BTreeSet::new();
        for round in 0..4u8 {
            for n in 0..3u8 {
                net.publish(bots[1], &[round, n]).expect("nothing is busy");
                net.run_for(Duration::from_millis(2));
            }
            net.run_for(Duration::from_millis(crash_after));
            net.crash(bots[1]);
            net.run_for(SECOND);
            net.restart(bots[1]);
            net.dial(bots[1], bots[0]);
            net.run_for(30 * SECOND);
        }
        for post in net.posts(bots[0]).iter().chain(&net.posts(bots[2])) {
            bodies.insert((post.id(), post.body()));
        }
        let names: BTreeSet<_> = bodies.iter().map(|(id, _)| *id).collect();
        assert_eq!(names.len(), bodies.len(), "crash after {crash_after} ms");
        assert!(names.len() >= 4, "posts got through: {names:?}");
    }
}

#[test]
fn an_orderly_stop_keeps_what_was_seen_and_a_new_start_goes_on_counting() {
    let mut net = Network::new(20);
    let config = Config::new(CommunityId::from_name("test"), (0..4).map(|at| Network::identity_of(at).id()));
    let bots = [0; 3].map(|_| net.add(config.clone()));
    let puppet = net.add_liar(config, Lie::Nothing);
    net.dial(bots[1], bots[0]);
    net.dial(bots[2], bots[0]);
    net.dial(puppet, bots[1]);
    net.run_for(5 * SECOND);
    let say = |net: &mut Network, posts: &[Post]| {
        net.with_puppet(puppet, |puppet, now| {
            let (link, _) = puppet.links().next().expect("a link");
            let mut send = |post: &Post| puppet.send(now, link, &Message::Post { hops: 0, post: post.clone() });
            assert!(posts.iter().all(&mut send));
        });
        net.run_for(SECOND);
    };
    let theirs = net.with_puppet(puppet, |puppet, _| puppet.sign(b"theirs", false));
    say(&mut net, std::slice::from_ref(&theirs));
    net.publish(bots[0], b"one").expect("nothing is busy");
    net.publish(bots[1], b"own").expect("nothing is busy");
    net.run_for(SECOND);
    let old = [net.posts(puppet), vec![theirs]].concat();
    assert_eq!(old.iter().map(Post::body).collect::<Vec<_>>(), [&b"own"[..], b"one", b"theirs"]);
    assert_eq!(net.posts(bots[1]).len(), 2);
    net.stop(bots[1]);
    net.run_for(SECOND);
    let reason = CloseReason::Peer { code: Code::GoingAway, retry_after: Duration::ZERO };
    assert_eq!(closings(&net, bots[0]), [reason]);
    net.restart(bots[1]);
    net.dial(bots[1], bots[0]);
    net.run_for(10 * SECOND);
    say(&mut net, &old);
    assert_eq!(net.posts(bots[1]).len(), 2, "no old post is handed over again");
    assert_eq!(net.node(bots[1]).stats().duplicates, 3);
    let again = net.publish(bots[1], b"own again").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(again.seq, 2);
    assert_eq!(seqs(&net, bots[0], net.id(bots[1])), [1, 2]);
}

#[test]
fn an_unlisted_key_is_refused_and_told_so_under_the_links_keys() {
    let mut net = Network::new(7);
    let bots = net.add_members("test", 2);
    let ids = [net.id(bots[0]), net.id(bots[1])].to_vec();
    let stranger = net.add(Config::new(CommunityId::from_name("test"), ids));
    net.dial(stranger, bots[0]);
    net.run_for(SECOND / 4);
    let told = CloseReason::Peer { code: Code::UnknownMember, retry_after: Duration::ZERO };
    assert_eq!(closings(&net, stranger), [told]);
    assert_eq!(closings(&net, bots[0]), [CloseReason::Here(Code::UnknownMember)]);
    assert_eq!(net.peers(bots[0]), []);
}

#[test]
fn another_community_is_met_with_silence() {
    let mut net = Network::new(8);
    let bots = net.add_members("test", 2);
    let ids = vec![net.id(bots[0])];
    let other = net.add(Config::new(CommunityId::from_name("other"), ids));
    net.dial(other, bots[0]);
    net.run_for(SECOND / 4);
    assert_eq!(closings(&net, bots[0]), [Fault::BadTag.into()]);
    assert_eq!(closings(&net, other), [CloseReason::Ended]);
}

#[test]
fn two_bots_that_dial_each_other_keep_the_link_of_the_lower_id() {
    for seed in 0..20 {
        let mut net = Network::new(100 + seed);
        let bots = net.add_members("test", 2);
        net.dial(bots[0], bots[1]);
        net.run_for(Duration::from_millis(seed * 4));
        net.dial(bots[1], bots[0]);
        net.run_for(30 * SECOND);
        let (low, high) = if net.id(bots[0]) < net.id(bots[1]) { (0, 1) } else { (1, 0) };
        let links: Vec<_> = [low, high].map(|at| net.node(bots[at]).links().collect::<Vec<_>>()).into();
        assert_eq!((links[0].len(), links[1].len()), (1, 1), "seed {seed}: {links:?}");
        let sides = (links[0][0].side, links[1][0].side);
        assert!(matches!(sides, (Side::Client, Side::Server) | (Side::Server, Side::Client)), "seed {seed}");
        if seed == 0 {
            assert_eq!(sides, (Side::Client, Side::Server));
        }
        net.publish(bots[0], b"once").expect("nothing is busy");
        net.run_for(SECOND);
        assert_eq!(net.posts(bots[1]).len(), 1);
    }
}

#[test]
fn a_second_link_in_one_direction_is_refused_and_a_dead_first_one_gives_way() {
    let mut net = Network::new(9);
    let bots = net.add_members("test", 2);
    net.set_line_between(bots[1], bots[0], Line { bytes_per_second: Some(1_000), ..Line::default() });
    net.dial(bots[1], bots[0]);
    net.run_for(5 * SECOND);
    // The child restarts so fast that its parent has not noticed: its old stream is stuck behind a long post, not closed.
    net.publish(bots[1], &[7; 60_000]).expect("nothing is busy");
    net.run_for(SECOND);
    net.crash(bots[1]);
    net.restart(bots[1]);
    net.set_line_between(bots[1], bots[0], Line::default());
    net.dial(bots[1], bots[0]);
    // A probe takes 10 s; without it the first one would stay until 25 s of silence have passed.
    net.run_for(11 * SECOND);
    let refused = CloseReason::Here(Code::AlreadyConnected);
    let (refusals, others): (Vec<_>, Vec<_>) = closings(&net, bots[0]).into_iter().partition(|why| *why == refused);
    assert_eq!((refusals.is_empty(), others), (false, vec![Fault::Silence.into()]));
    net.run_for(20 * SECOND);
    assert_eq!(net.peers(bots[0]), [net.id(bots[1])]);
    net.publish(bots[1], b"back").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(bots[0]).len(), 1);
}

#[test]
fn i2_a_client_only_bot_takes_no_links() {
    let mut net = Network::new(10);
    let mut config = Config::new(CommunityId::from_name("test"), vec![]);
    config.members = std::sync::Arc::new((0..2).map(|at| Network::identity_of(at).id()).collect());
    let server = net.add(config.clone());
    config.capabilities = interbot::link::Capabilities::CLIENT_ONLY;
    let client = net.add(config);
    net.dial(server, client);
    net.run_for(2 * SECOND);
    assert_eq!(net.peers(server), []);
    assert!(closings(&net, server).iter().all(|reason| *reason == CloseReason::Unreachable));
    net.dial(client, server);
    net.run_for(5 * SECOND);
    assert_eq!(net.peers(server), [net.id(client)]);
}

#[test]
fn a_peer_that_stops_reading_is_cut_off_and_nobody_else_loses_anything() {
    let (mut net, bots) = tree(11, 7);
    net.set_deaf(bots[2], bots[0], true);
    let mut published = 0u64;
    for _ in 0..6000 {
        match net.publish(bots[3], &[7; 1000]) {
            Ok(_) => published += 1,
            Err(PublishError::Busy) => {}
            Err(other) => panic!("{other}"),
        }
        net.run_for(Duration::from_millis(5));
    }
    net.run_for(10 * SECOND);
    assert!(published > 1500, "{published}");
    assert!(closings(&net, bots[0]).contains(&Fault::Stalled.into()), "{:?}", closings(&net, bots[0]));
    let all: Vec<u64> = (1..=published).collect();
    for bot in [0, 1, 4] {
        assert_eq!(seqs(&net, bots[bot], net.id(bots[3])), all);
        let lost: Vec<_> = closings(&net, bots[bot]).into_iter().filter(|r| *r != Fault::Stalled.into()).collect();
        assert!(bot == 0 || lost.is_empty(), "bot {bot}: {lost:?}");
    }
}

#[test]
fn a_slow_link_that_moves_is_not_taken_for_silence() {
    let (mut net, bots) = tree(14, 3);
    let mut published = 0;
    // Bot 1 reads in gulps, with eight seconds between them: answers to keepalives come late, behind all that is queued.
    for tick in 0..6000 {
        let gulp = tick % 180 < 20;
        net.set_deaf(bots[1], bots[0], !gulp);
        published += u64::from(net.publish(bots[0], &[9; 3000]).is_ok());
        net.run_for(Duration::from_millis(50));
    }
    net.set_deaf(bots[1], bots[0], false);
    net.run_for(30 * SECOND);
    assert_eq!((closings(&net, bots[0]), closings(&net, bots[1])), (vec![], vec![]));
    let all: Vec<u64> = (1..=published).collect();
    assert!(published > 1000, "{published}");
    assert_eq!((seqs(&net, bots[1], net.id(bots[0])), seqs(&net, bots[2], net.id(bots[0]))), (all.clone(), all));
}

#[test]
fn a_line_of_8_kb_a_second_with_full_buffers_is_not_taken_for_silence() {
    for capacity_bytes in [16 * 1024, 128 * 1024] {
        let mut net = Network::new(5);
        let bots = net.add_members("slow line", 2);
        let slow = Line { bytes_per_second: Some(8_000), capacity_bytes, ..Line::default() };
        net.set_line_between(bots[0], bots[1], slow);
        net.dial(bots[1], bots[0]);
        net.run_for(5 * SECOND);
        let mut published = 0;
        for _ in 0..100 {
            while net.publish(bots[0], &[7; 2000]).is_ok() {
                published += 1;
            }
            net.run_for(Duration::from_millis(100));
        }
        net.run_for(600 * SECOND);
        assert_eq!(closings(&net, bots[0]), [], "{capacity_bytes} bytes");
        assert_eq!(net.posts(bots[1]).len(), published);
    }
}

#[test]
fn backpressure_reaches_the_author_and_nothing_is_lost() {
    let (mut net, bots) = tree(12, 7);
    net.set_latency(Duration::from_millis(200));
    let (mut published, mut busy) = (0u64, 0);
    for _ in 0..4000 {
        match net.publish(bots[6], &[1; 4000]) {
            Ok(_) => published += 1,
            Err(PublishError::Busy) => {
                busy += 1;
                net.run_for(Duration::from_millis(20));
            }
            Err(other) => panic!("{other}"),
        }
        if published % 50 == 0 {
            net.run_for(Duration::from_millis(1));
        }
    }
    net.run_for(60 * SECOND);
    assert!(busy > 0 && published > 500, "{busy} {published}");
    assert!(net.events(bots[6]).iter().any(|(_, event)| *event == Event::Ready));
    let all: Vec<u64> = (1..=published).collect();
    for bot in &bots[..6] {
        assert_eq!(seqs(&net, *bot, net.id(bots[6])), all);
    }
    assert!(bots.iter().all(|bot| closings(&net, *bot).is_empty()));
}

#[test]
fn a_lost_peer_is_dialled_again_ever_more_rarely() {
    let (mut net, bots) = tree(13, 2);
    net.crash(bots[0]);
    net.run_for(3600 * SECOND);
    let times: Vec<Instant> = net
        .events(bots[1])
        .iter()
        .filter(|(_, event)| matches!(event, Event::Closed { reason: CloseReason::Unreachable, .. }))
        .map(|(at, _)| *at)
        .collect();
    assert!((8..20).contains(&times.len()), "{} attempts in an hour", times.len());
    for pair in times.windows(2) {
        let wait = pair[1].since(pair[0]);
        assert!(wait >= Duration::from_millis(500) && wait <= Duration::from_secs(901), "{wait:?}");
    }
    net.restart(bots[0]);
    net.run_for(901 * SECOND);
    assert_eq!(net.peers(bots[1]), [net.id(bots[0])]);
}

#[test]
fn a_ring_that_holds_itself_up_is_cut_in_one_place_and_goes_on() {
    for seed in 0..10 {
        let mut net = Network::new(200 + seed);
        let bots = net.add_members("test", 6);
        for at in 0..6 {
            net.dial(bots[at], bots[(at + 1) % 6]);
        }
        net.run_for(5 * SECOND);
        // Everybody's queues fill while nothing flows; then nobody reads because everybody's queues are full.
        let alone: Vec<[BotRef; 1]> = bots.iter().map(|bot| [*bot]).collect();
        net.partition(&alone.iter().map(|bot| &bot[..]).collect::<Vec<_>>());
        let mut published = 0;
        for bot in &bots {
            while net.publish(*bot, &[3; 4000]).is_ok() {
                published += 1;
                net.run_for(Duration::from_millis(2));
            }
        }
        net.heal();
        net.run_for(30 * SECOND);
        let stalled: CloseReason = Fault::Stalled.into();
        let cut = bots.iter().flat_map(|bot| closings(&net, *bot)).filter(|reason| *reason == stalled).count();
        assert_eq!(cut, 1, "seed {seed}");
        let delivered: usize = bots.iter().map(|bot| net.posts(*bot).len()).sum();
        assert_eq!(delivered, published * 5, "seed {seed}");
    }
}
