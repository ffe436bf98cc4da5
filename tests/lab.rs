//! The laboratory itself: that faults strike where they are said to, that liars lie, and that checks can fail.

#[path = "../examples/lab/reading.rs"]
mod reading;

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::BytesMut;
use interbot::lab::{
    Act, BotRef, Check, FaultPoint, Faults, Latency, Liar, Lie, Line, Network, Posts, Restart, Scenario, Schedule,
    Shape, Step, ToyCrypto,
};
use interbot::link::{CloseReason, Code, Fault};
use interbot::node::{Config, Event, RestoreError};
use interbot::overlay::Message;
use interbot::{BotId, CommunityId, Instant};
use proptest::prelude::*;

const SECOND: Duration = Duration::from_secs(1);

fn config(count: usize) -> Config {
    Config::new(CommunityId::from_name("lab"), (0..count).map(|at| Network::identity_of(at).id()))
}

/// A star whose hub is the first bot; the last one lies.
fn star(seed: u64, count: usize, lie: Lie) -> (Network, Vec<BotRef>) {
    let mut net = Network::new(seed);
    let mut bots: Vec<BotRef> = (1..count).map(|_| net.add(config(count))).collect();
    bots.push(net.add_liar(config(count), lie));
    for bot in &bots[1..] {
        net.dial(*bot, bots[0]);
    }
    net.run_for(5 * SECOND);
    (net, bots)
}

fn closings(net: &Network, bot: BotRef) -> Vec<CloseReason> {
    let reason = |(_, event): &(Instant, Event)| match event {
        Event::Closed { reason, .. } => Some(*reason),
        _ => None,
    };
    net.events(bot).iter().filter_map(reason).collect()
}

fn pair(seed: u64) -> (Network, Vec<BotRef>) {
    let mut net = Network::new(seed);
    let bots = net.add_members("lab", 2);
    net.dial(bots[1], bots[0]);
    net.run_for(5 * SECOND);
    (net, bots)
}

#[test]
fn a_crash_strikes_at_its_fault_point() {
    for (point, next) in [
        (FaultPoint::Now, 2),
        // The first post never was durable, so its number is free again, and nobody else has it.
        (FaultPoint::BeforePersist, 2),
        (FaultPoint::AfterPersist, 3),
    ] {
        let (mut net, bots) = pair(1);
        net.publish(bots[1], b"first").expect("nothing is busy");
        net.run_for(SECOND);
        net.crash_at(bots[1], point);
        if point != FaultPoint::Now {
            let _ = net.publish(bots[1], b"lost");
            net.run_for(SECOND);
        }
        assert!(!net.is_up(bots[1]), "{point:?}");
        assert_eq!(net.restart(bots[1]), Restart::Restored);
        net.dial(bots[1], bots[0]);
        net.run_for(30 * SECOND);
        let id = net.publish(bots[1], b"after").expect("nothing is busy");
        net.run_for(SECOND);
        assert_eq!(id.seq, next, "{point:?}");
        let bodies: Vec<_> = net.posts(bots[0]).iter().map(|post| post.body()).collect();
        assert_eq!(bodies, [&b"first"[..], b"after"], "{point:?}");
    }
}

#[test]
fn a_torn_record_is_found_and_the_bot_becomes_a_new_stream() {
    let (mut net, bots) = pair(2);
    let before = net.publish(bots[1], b"first").expect("nothing is busy");
    net.run_for(SECOND);
    net.crash_at(bots[1], FaultPoint::TornRecord);
    net.publish(bots[1], b"lost").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(net.restart(bots[1]), Restart::FromNothing(RestoreError::Damaged("posts/counter".into())));
    net.dial(bots[1], bots[0]);
    net.run_for(30 * SECOND);
    let after = net.publish(bots[1], b"after").expect("nothing is busy");
    net.run_for(SECOND);
    assert!(after.stream != before.stream && after.seq == 1);
    assert_eq!(net.posts(bots[0]).len(), 2);
}

#[test]
fn a_blocked_direction_carries_nothing_and_what_waited_comes_at_last() {
    let (mut net, bots) = pair(3);
    net.set_blocked(bots[0], bots[1], true);
    net.publish(bots[0], b"waits").expect("nothing is busy");
    net.publish(bots[1], b"goes").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!((net.posts(bots[0]).len(), net.posts(bots[1]).len()), (1, 0));
    net.set_blocked(bots[0], bots[1], false);
    net.run_for(SECOND);
    assert_eq!(net.posts(bots[1]).len(), 1);
    assert_eq!(closings(&net, bots[1]), []);
}

#[test]
fn a_paused_machine_reads_first_what_arrived_and_keeps_its_links_if_it_was_short() {
    let (mut net, bots) = pair(4);
    net.pause(bots[1], 20 * SECOND);
    net.publish(bots[0], b"meanwhile").expect("nothing is busy");
    net.run_for(19 * SECOND);
    assert_eq!(net.posts(bots[1]), []);
    net.run_for(2 * SECOND);
    assert_eq!(net.posts(bots[1]).len(), 1);
    assert_eq!((closings(&net, bots[0]), closings(&net, bots[1])), (vec![], vec![]));
    net.pause(bots[1], 3600 * SECOND);
    net.run_for(3700 * SECOND);
    assert_eq!(closings(&net, bots[0]), [Fault::Silence.into()]);
    assert_eq!(net.peers(bots[0]), [net.id(bots[1])], "and it comes back");
}

#[test]
fn clocks_that_jump_and_drift_cut_no_link_for_long() {
    let (mut net, bots) = pair(5);
    for ms in [3_600_000, -3_600_000, 10_000, -1] {
        net.jump_clock(bots[0], ms);
        net.run_for(60 * SECOND);
        net.jump_clock(bots[1], ms);
        net.run_for(60 * SECOND);
    }
    net.set_drift(bots[0], 100_000);
    net.set_drift(bots[1], -100_000);
    net.run_for(3600 * SECOND);
    assert_eq!(net.peers(bots[0]), [net.id(bots[1])]);
    net.publish(bots[0], b"still here").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(bots[1]).len(), 1);
    // An hour back, and the deadlines lie an hour ahead: the link may go quiet for so long, but not for ever.
    assert!(closings(&net, bots[1]).len() <= 2, "{:?}", closings(&net, bots[1]));
}

#[test]
fn bandwidth_delays_what_follows() {
    let mut net = Network::new(6);
    net.set_line(Line { bytes_per_second: Some(1_000), ..Line::default() });
    let bots = net.add_members("lab", 2);
    net.dial(bots[1], bots[0]);
    net.run_for(10 * SECOND);
    net.publish(bots[1], &[7; 5_000]).expect("nothing is busy");
    net.run_for(4 * SECOND);
    assert_eq!(net.posts(bots[0]), []);
    net.run_for(2 * SECOND);
    assert_eq!(net.posts(bots[0]).len(), 1);
}

#[test]
fn an_equivocator_tells_two_stories_and_each_bot_takes_one() {
    let (mut net, bots) = star(7, 4, Lie::Equivocator);
    net.dial(bots[3], bots[1]);
    net.run_for(5 * SECOND);
    net.publish(bots[3], b"story").expect("a liar is never busy");
    net.run_for(SECOND);
    let stories: BTreeSet<_> = bots[..3].iter().flat_map(|bot| net.posts(*bot)).map(|post| post.body()).collect();
    assert_eq!(stories.len(), 2);
    for bot in &bots[..3] {
        assert_eq!(net.posts(*bot).len(), 1);
    }
}

#[test]
fn a_silent_member_is_given_up_after_25_seconds() {
    let (mut net, bots) = star(8, 3, Lie::Silent);
    assert!(net.peers(bots[0]).contains(&net.id(bots[2])));
    net.run_for(30 * SECOND);
    assert_eq!(closings(&net, bots[0]), [Fault::Silence.into()]);
}

#[test]
fn a_slow_loris_never_gets_a_link() {
    let (mut net, bots) = star(9, 3, Lie::SlowLoris);
    net.run_for(60 * SECOND);
    assert!(!net.peers(bots[0]).contains(&net.id(bots[2])));
    let reasons = closings(&net, bots[0]);
    assert!(reasons.len() > 3 && reasons.iter().all(|reason| *reason == Fault::HandshakeTimeout.into()), "{reasons:?}");
}

#[test]
fn a_replayer_and_a_clock_liar_disturb_nobody() {
    for lie in [Lie::Replayer, Lie::ClockLiar] {
        let (mut net, bots) = star(10, 4, lie);
        for n in 0..10u8 {
            net.publish(bots[1], &[n]).expect("nothing is busy");
            net.run_for(SECOND);
        }
        net.run_for(20 * SECOND);
        assert_eq!((net.posts(bots[0]).len(), net.posts(bots[2]).len()), (10, 10), "{lie:?}");
        match lie {
            Lie::Replayer => assert!(net.node(bots[0]).stats().duplicates > 1_000, "it tried"),
            _ => assert!(closings(&net, bots[0]).len() > 2, "it gave up again and again"),
        }
        assert!(net.peers(bots[0]).contains(&net.id(bots[1])));
    }
}

#[test]
fn a_selective_forwarder_drops_what_it_chooses() {
    let mut net = Network::new(11);
    let first = net.add(config(3));
    let middle = net.add_liar(config(3), Lie::SelectiveForwarder { drops_one_in: 1 });
    let last = net.add(config(3));
    net.dial(first, middle);
    net.dial(last, middle);
    net.run_for(5 * SECOND);
    net.publish(first, b"dropped").expect("nothing is busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(last), []);
    net.publish(middle, b"its own").expect("a liar is never busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(last).len(), 1);
}

#[test]
fn a_flooder_is_read_no_faster_than_its_budget() {
    let mut net = Network::new(12);
    net.set_crypto(ToyCrypto);
    net.run_fast();
    let mut hub = config(3);
    hub.limits.posts.per_second = 100;
    hub.limits.posts.burst = 100;
    let bots = [net.add(hub), net.add(config(3)), net.add_liar(config(3), Lie::Flooder { posts_per_second: 5_000 })];
    net.dial(bots[1], bots[0]);
    net.dial(bots[2], bots[0]);
    net.run_for(65 * SECOND);
    net.publish(bots[1], b"mine").expect("nothing is busy");
    net.run_for(SECOND);
    let posts = net.posts(bots[0]);
    assert!(posts.iter().any(|post| post.id().origin == net.id(bots[1])));
    assert!(posts.len() < 66 * 100 + 700, "{}", posts.len());
    assert!(posts.len() > 60 * 100, "{}", posts.len());
}

#[test]
fn a_puppet_says_what_a_test_wants() {
    let (mut net, bots) = star(13, 3, Lie::Nothing);
    let said = net.with_puppet(bots[2], |puppet, now| {
        let (link, _) = puppet.links().next().expect("a link");
        puppet.send_record(now, link, &[99, 1, 2, 3])
    });
    assert!(said);
    net.run_for(SECOND);
    assert_eq!(closings(&net, bots[0]), [Fault::BadFrame.into()]);
}

/// What a post looks like on a link, under another author's name.
fn forged(post: &interbot::overlay::Post, author: BotId) -> Vec<u8> {
    let (mut bytes, liar) = (BytesMut::new(), post.id().origin);
    Message::Post { hops: 0, post: post.clone() }.encode(&mut bytes);
    let at = bytes.windows(32).position(|part| part == liar.as_bytes()).expect("the name of its author");
    bytes[at..at + 32].copy_from_slice(author.as_bytes());
    bytes.to_vec()
}

#[test]
fn a_forger_loses_its_link_and_takes_no_name_away() {
    let (mut net, bots) = star(14, 4, Lie::Nothing);
    // In the name of each of the others that are linked there.
    for author in [bots[1], bots[2]] {
        let author = net.id(author);
        let sent = net.with_puppet(bots[3], |puppet, now| {
            let forged = forged(&puppet.sign(b"not mine", false), author);
            let (link, _) = puppet.links().next().expect("a link");
            puppet.send_raw(now, link, &forged)
        });
        assert!(sent);
        net.run_for(10 * SECOND);
        assert_eq!(net.peers(bots[3]), [net.id(bots[0])], "it comes back");
    }
    assert_eq!(closings(&net, bots[0]), [Fault::BadSignature.into(); 2]);
    // A real post, altered on its way, before the others have it.
    net.publish(bots[1], b"first").expect("nothing is busy");
    net.run_for(SECOND);
    let first = net.posts(bots[2])[0].id();
    net.set_deaf(bots[0], bots[1], true);
    net.publish(bots[1], b"a real post").expect("nothing is busy");
    net.run_for(SECOND);
    let mut bytes = BytesMut::new();
    let heard = net.posts(bots[3]).pop().expect("the first");
    assert_eq!(heard.id(), first);
    Message::Post { hops: 0, post: heard }.encode(&mut bytes);
    // Its number is the second now, and its text another.
    let head = bytes.windows(8).position(|part| part == first.seq.to_be_bytes()).expect("its number");
    bytes[head + 7] += 1;
    let sent = net.with_puppet(bots[3], |puppet, now| {
        let (link, _) = puppet.links().next().expect("a link");
        puppet.send_raw(now, link, &bytes)
    });
    assert!(sent);
    net.run_for(SECOND);
    assert_eq!(closings(&net, bots[0]), [Fault::BadSignature.into(); 3]);
    net.set_deaf(bots[0], bots[1], false);
    net.run_for(SECOND);
    for bot in [bots[0], bots[2]] {
        let bodies: Vec<_> = net.posts(bot).iter().map(|post| post.body()).collect();
        assert_eq!(bodies, [&b"first"[..], b"a real post"], "bot {}", bot.place());
    }
    assert_eq!(closings(&net, bots[2]), [], "nobody passes a forgery on");
}

#[test]
fn a_stranger_gets_no_link_and_its_posts_get_nowhere() {
    // Three members; the last of them, a liar, lets the stranger in.
    let mut net = Network::new(15);
    let honest = [net.add(config(3)), net.add(config(3))];
    let traitor = net.add_liar(config(4), Lie::Nothing);
    let stranger = net.add_liar(config(4), Lie::Nothing);
    net.dial(honest[1], honest[0]);
    net.dial(traitor, honest[0]);
    net.dial(stranger, honest[0]);
    net.dial(stranger, traitor);
    net.run_for(12 * SECOND);
    assert_eq!(closings(&net, honest[0]), [CloseReason::Here(Code::UnknownMember); 3], "it tries every 5 s");
    assert_eq!((net.peers(stranger), net.peers(honest[0]).len()), (vec![net.id(traitor)], 2));
    let told = CloseReason::Peer { code: Code::UnknownMember, retry_after: Duration::ZERO };
    assert_eq!(closings(&net, stranger), [told; 3]);
    net.publish(honest[1], b"for members").expect("nothing is busy");
    net.publish(stranger, b"let me in").expect("a liar is never busy");
    net.run_for(SECOND);
    assert_eq!(net.posts(traitor).len(), 2, "the traitor hears both, and passes both on");
    assert_eq!((net.posts(honest[0]).len(), net.posts(honest[1]).len()), (1, 0));
    assert_eq!(net.node(honest[0]).stats().strangers, 1);
    assert!(net.peers(honest[0]).contains(&net.id(traitor)), "to hear a stranger is no fault");
}

#[test]
fn bots_that_all_dial_each_other_have_one_link_with_each_whatever_falls() {
    let pairs = [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)];
    for seed in 0..10 {
        let mut net = Network::new(200 + seed);
        let bots = net.add_members("lab", 3);
        for (from, to) in pairs {
            net.dial(bots[from], bots[to]);
            net.run_for(Duration::from_millis(seed * 3));
        }
        // Dials that cross are decided at once: no first retry comes so soon.
        net.run_for(SECOND / 4);
        for bot in &bots {
            assert_eq!(net.peers(*bot).len(), 2, "seed {seed}, bot {}", bot.place());
        }
        net.run_for(30 * SECOND);
        let fallen = bots[usize::try_from(seed).expect("small") % 3];
        net.crash(fallen);
        net.run_for(Duration::from_millis(seed * 700));
        net.restart(fallen);
        for (from, to) in pairs.into_iter().filter(|(from, _)| bots[*from] == fallen) {
            net.dial(bots[from], bots[to]);
        }
        net.partition(&[&bots[..1]]);
        net.run_for(40 * SECOND);
        net.heal();
        net.run_for(300 * SECOND);
        for bot in &bots {
            let links: Vec<_> = net.node(*bot).links().collect();
            assert_eq!(links.len(), 2, "seed {seed}, bot {}: {links:?}", bot.place());
            assert_eq!(net.peers(*bot).into_iter().collect::<BTreeSet<_>>().len(), 2, "seed {seed}");
            net.publish(*bot, b"once").expect("nothing is busy");
        }
        net.run_for(SECOND);
        for bot in &bots {
            assert_eq!(net.posts(*bot).len(), 2, "seed {seed}");
        }
    }
}

#[test]
fn the_shipped_scenarios_hold_and_the_planted_defect_is_found_and_made_small() {
    let mut names = Vec::new();
    for file in std::fs::read_dir("examples/lab/scenarios").expect("the folder").flatten() {
        let text = std::fs::read_to_string(file.path()).expect("a file");
        let scenario: Scenario = serde_json::from_str(&text).expect("a scenario");
        let name = file.file_name().into_string().expect("a name");
        if name == "planted.json" {
            let seed = (1..100).find(|seed| !scenario.run(*seed).expect("good").failures.is_empty());
            let seed = seed.expect("found within a hundred seeds");
            let small = scenario.shrink(seed, &scenario.draw(seed)).expect("good");
            assert!(small.steps.len() <= 4, "{small:?}");
            let run = scenario.run_schedule(seed, &small, |_| {}).expect("good");
            assert_eq!(run.failures.first().map(|failure| failure.check), Some(Check::OneNameOnePost));
        } else {
            for seed in 1..=5 {
                let run = scenario.run(seed).expect("good");
                assert_eq!(run.failures, [], "{name}, seed {seed}");
                assert!(run.figures.delivered > 0, "{name}");
            }
            names.push(name);
        }
    }
    names.sort();
    let shipped = ["clock_jump", "cold_start", "crash_storm", "equivocation", "flood", "partition_and_heal"];
    assert_eq!(names, shipped.map(|name| format!("{name}.json")));
}

#[test]
fn checks_see_what_is_wrong() {
    // A liar in the middle keeps everything from the ends of the chain.
    let mut scenario = Scenario::new(3);
    scenario.shape = Shape::Chain;
    scenario.settle_seconds = 10;
    scenario.liars = vec![Liar { bot: 1, lie: Lie::SelectiveForwarder { drops_one_in: 1 } }];
    scenario.checks = vec![Check::Complete];
    let run = scenario.run(1).expect("good");
    assert!(run.failures.iter().all(|failure| failure.check == Check::Complete) && run.failures.len() == 2);
    // A crash of the root, and no time for its children to come back.
    let mut scenario = Scenario::new(4);
    (scenario.seconds, scenario.settle_seconds) = (30, 0);
    scenario.schedule.steps = vec![Step { at_ms: 29_900, act: Act::Crash { bot: 0, point: FaultPoint::Now } }];
    scenario.checks = vec![Check::Heals];
    let failures = scenario.run(1).expect("good").failures;
    assert!(!failures.is_empty() && failures.iter().all(|failure| failure.check == Check::Heals), "{failures:?}");
}

#[test]
fn a_scenario_that_makes_no_sense_is_refused_with_key_value_and_what_is_allowed() {
    let wrong = |change: fn(&mut Scenario)| {
        let mut scenario = Scenario::new(5);
        change(&mut scenario);
        scenario.run(1).expect_err("refused").to_string()
    };
    assert_eq!(wrong(|s| s.bots = 0), "`bots` is 0: allowed is 1 to 1000000");
    assert_eq!(wrong(|s| s.seconds = u64::MAX), "`seconds` is 18446744073709551615: allowed is 1 to 31622400");
    assert_eq!(wrong(|s| s.liars = vec![Liar { bot: 7, lie: Lie::Silent }]), "`liars[0].bot` is 7: allowed is 0 to 4");
    let twice = wrong(|s| s.liars = vec![Liar { bot: 1, lie: Lie::Silent }; 2]);
    assert_eq!(twice, "`liars[1].bot` is 1: a bot tells one lie");
    assert_eq!(
        wrong(|s| s.line.latency = Latency::Between { min_ms: 9, max_ms: 3 }),
        "`line.latency` is Between { min_ms: 9, max_ms: 3 }: min_ms is at most max_ms, and one_in at least 1"
    );
    assert_eq!(
        wrong(|s| s.schedule.steps.push(Step { at_ms: 0, act: Act::Restart { bot: 5 } })),
        "`schedule[0].do.bot` is 5: allowed is 0 to 4"
    );
    let unknown = serde_json::from_str::<Scenario>(r#"{"bots":3,"shape":"star","seconds":1,"checks":[],"botts":1}"#);
    assert!(unknown.expect_err("refused").to_string().starts_with("unknown field `botts`, expected one of `about`"));
}

#[test]
fn a_file_with_a_wrong_type_is_refused_with_its_key_and_what_it_takes() {
    let wrong = |key: &str, value: &str| {
        let mut json = serde_json::to_value(Scenario::new(3)).expect("plain data");
        json[key] = serde_json::from_str(value).expect("a value");
        let error = reading::parse::<Scenario>(&json.to_string()).expect_err("refused");
        error.rsplit_once(" at line 1 column ").expect("a place").0.to_string()
    };
    for (key, value, said) in [
        ("bots", "-1", "`bots`: invalid value: integer `-1`, expected a whole number, 0 or more"),
        ("bots", "null", "`bots`: invalid type: null, expected a whole number, 0 or more"),
        ("posts", "3", "`posts`: invalid type: integer `3`, expected an object in { }"),
        (
            "faults",
            r#"{"crashes":1e3}"#,
            "`faults.crashes`: invalid type: floating point `1000.0`, expected a whole number from 0 to 4294967295",
        ),
        ("shape", "7", "`shape`: expected a name in quotes, or an object in { }"),
        ("liars", "{}", "`liars`: invalid type: map, expected a list in [ ]"),
        ("real_crypto", "1", "`real_crypto`: invalid type: integer `1`, expected true or false"),
        (
            "schedule",
            r#"[{"at_ms":1,"do":{"jump_clock":{"bot":0,"ms":"x"}}}]"#,
            r#"`schedule[0].do.jump_clock.ms`: invalid type: string "x", expected a whole number"#,
        ),
        ("checks", r#"["often"]"#, "`checks[0]`: unknown variant `often`, expected one of `once`, `in_order`, "),
    ] {
        let message = wrong(key, value);
        assert!(message.starts_with(said), "{message}");
        assert!(
            !["usize", "u32", "u64", "i32", "i64", "struct"].iter().any(|word| message.contains(word)),
            "{message}"
        );
    }
    assert_eq!(reading::parse::<Scenario>("{").expect_err("refused"), "EOF while parsing an object at line 1 column 1");
}

#[test]
fn checks_that_could_not_fail_are_refused() {
    let wrong = |change: fn(&mut Scenario)| {
        let mut scenario = Scenario::new(3);
        change(&mut scenario);
        scenario.validate().expect_err("it makes no sense").to_string()
    };
    assert_eq!(wrong(|s| s.checks.clear()), "`checks` is empty: name at least one check, or nothing is looked at");
    let all_lie = |s: &mut Scenario| s.liars = (0..3).map(|bot| Liar { bot, lie: Lie::Silent }).collect();
    assert!(wrong(all_lie).starts_with("`liars` is 3: at least one bot is honest"));
}

#[test]
fn values_that_no_run_could_stand_are_refused() {
    let wrong = |act: Act| {
        let mut scenario = Scenario::new(3);
        scenario.schedule.steps.push(Step { at_ms: 1, act });
        scenario.validate().err().map(|error| error.to_string())
    };
    let year = 366 * 24 * 3_600_000;
    for (good, bad, said) in [
        (
            Act::JumpClock { bot: 1, ms: year },
            Act::JumpClock { bot: 1, ms: i64::MAX },
            "do.jump_clock.ms` is 9223372036854775807",
        ),
        (Act::JumpClock { bot: 1, ms: -year }, Act::JumpClock { bot: 1, ms: i64::MIN }, "allowed is -31622400000 to"),
        (Act::Drift { bot: 1, ppm: 900_000 }, Act::Drift { bot: 1, ppm: i32::MIN }, "do.drift.ppm` is -2147483648"),
        (Act::Pause { bot: 1, ms: 5 }, Act::Pause { bot: 1, ms: u64::MAX }, "do.pause.ms` is 9223372036854775807"),
        (Act::Disk { ms: 60_000 }, Act::Disk { ms: 60_001 }, "do.disk.ms` is 60001: allowed is 0 to 60000"),
        (Act::Block { from: 1, to: 2 }, Act::Block { from: 1, to: 1 }, "a bot has no line to itself"),
        (
            Act::Partition { islands: vec![vec![0], vec![1]] },
            Act::Partition { islands: vec![vec![0], vec![0, 1]] },
            "do.partition` is 0: a bot is on one island",
        ),
    ] {
        assert_eq!(wrong(good), None);
        let message = wrong(bad).expect("it is refused");
        assert!(message.contains(said), "{message}");
    }
    let mut flood = Scenario::new(3);
    flood.liars.push(Liar { bot: 2, lie: Lie::Flooder { posts_per_second: 0 } });
    let message = flood.validate().expect_err("no flood").to_string();
    assert_eq!(message, "`liars[0].lie.flooder.posts_per_second` is 0: allowed is 1 to 10000");
}

#[test]
fn a_panic_is_a_failure_with_its_schedule_and_its_recordings() {
    let mut json = serde_json::to_value(Scenario::new(3)).expect("plain data");
    json["planted"] = "panics".into();
    let scenario: Scenario = serde_json::from_value(json).expect("a scenario");
    let schedule = scenario.draw(1);
    let run = scenario.run_schedule(1, &schedule, |net| net.keep_log()).expect("a good scenario");
    let [failure] = &run.failures[..] else { panic!("{:?}", run.failures) };
    assert_eq!((failure.check, failure.text.as_str()), (Check::Survives, "a planted panic"));
    assert_eq!(scenario.shrink(1, &schedule).expect("a good scenario").steps.len(), 3);
}

#[test]
fn a_longer_pause_is_not_ended_by_a_shorter_one() {
    let (mut net, bots) = pair(3);
    net.pause(bots[1], 5 * SECOND);
    net.run_for(SECOND);
    net.pause(bots[1], 8 * SECOND);
    net.publish(bots[0], b"hello").expect("nothing is busy");
    net.run_for(6 * SECOND);
    assert_eq!(net.posts(bots[1]).len(), 0, "paused until the ninth second");
    net.run_for(4 * SECOND);
    assert_eq!(net.posts(bots[1]).len(), 1);
}

#[test]
fn fifty_bots_with_everything_that_goes_wrong_take_the_same_course_twice() {
    let mut scenario = Scenario::new(50);
    scenario.faults = Faults { crashes: 10, partitions: 2, blocks: 2, pauses: 3, clock_jumps: 3, drifts: 3 };
    scenario.liars = vec![
        Liar { bot: 49, lie: Lie::Replayer },
        Liar { bot: 48, lie: Lie::ClockLiar },
        Liar { bot: 47, lie: Lie::Equivocator },
    ];
    scenario.settle_seconds = 300;
    let run = |seed| {
        let run = scenario.run(seed).expect("good");
        let events: Vec<_> = run.net.bots().flat_map(|bot| run.net.events(bot).to_vec()).collect();
        (run.figures, format!("{events:?}"))
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1).1, run(2).1);
}

#[test]
fn the_handshake_in_the_manual_is_what_a_run_draws() {
    let mut net = Network::new(1);
    net.run_fast();
    net.keep_log();
    let bots = net.add_members("manual", 2);
    net.dial(bots[1], bots[0]);
    net.run_for(SECOND);
    let drawn = net.story("").mermaid();
    for flight in ["CONNECT, 91 B", "CONNECT+ACK, 225 B", "ACK + RECORD, 213 B", "RECORD, 280 B"] {
        assert!(drawn.contains(flight), "{drawn}");
    }
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/src/manual/protocol.md");
    let page = std::fs::read_to_string(file).expect("the manual");
    let (before, rest) = page.split_once("```mermaid\n").expect("its picture");
    let (there, after) = rest.split_once("```").expect("the end of its picture");
    if std::env::var_os("INTERBOT_WRITE_GOLDEN").is_some() {
        std::fs::write(file, format!("{before}```mermaid\n{drawn}```{after}")).expect("the manual can be written");
    } else {
        assert_eq!(there, drawn, "stale: run this test with INTERBOT_WRITE_GOLDEN=1");
    }
}

fn acts() -> impl Strategy<Value = Act> {
    let point = prop_oneof![
        Just(FaultPoint::Now),
        Just(FaultPoint::BeforePersist),
        Just(FaultPoint::AfterPersist),
        Just(FaultPoint::TornRecord)
    ];
    prop_oneof![
        4 => (0..6usize, 0..2_000usize).prop_map(|(bot, bytes)| Act::Publish { bot, bytes }),
        2 => (0..6usize, point).prop_map(|(bot, point)| Act::Crash { bot, point }),
        2 => (0..6usize).prop_map(|bot| Act::Restart { bot }),
        1 => (0..6usize).prop_map(|bot| Act::Stop { bot }),
        1 => proptest::sample::subsequence(vec![0, 1, 2, 3, 4, 5], 0..6)
            .prop_map(|island| Act::Partition { islands: vec![island] }),
        1 => (0..6usize, 1..6usize).prop_map(|(from, by)| Act::Block { from, to: (from + by) % 6 }),
        1 => Just(Act::Heal),
        1 => (0..6usize, 0..90_000u64).prop_map(|(bot, ms)| Act::Pause { bot, ms }),
        1 => (0..6usize, -300_000..3_600_000i64).prop_map(|(bot, ms)| Act::JumpClock { bot, ms }),
        1 => (0..6usize, -100_000..100_000i32).prop_map(|(bot, ppm)| Act::Drift { bot, ppm }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_goes_wrong_what_always_holds_holds(
        seed in 0..1_000u64,
        steps in proptest::collection::vec((0..120_000u64, acts()).prop_map(|(at_ms, act)| Step { at_ms, act }), 0..60),
        ring: bool,
    ) {
        let mut scenario = Scenario::new(6);
        if ring {
            scenario.shape = Shape::Ring;
        }
        // Clocks that jumped back must have time to catch up.
        (scenario.seconds, scenario.settle_seconds, scenario.posts) = (120, 4 * 3600, None::<Posts>);
        let mut schedule = Schedule { steps };
        schedule.sort();
        let run = scenario.run_schedule(seed, &schedule, |_| {}).expect("a good schedule");
        prop_assert_eq!(run.failures, []);
    }
}
