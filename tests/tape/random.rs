//! Random small runs: recorded and replayed, they are always the same.

use std::time::Duration;

use interbot::Instant;
use interbot::lab::replay::{Outcome, Replay};
use interbot::link::{Binding, Code};
use interbot::node::Node;
use interbot::tape::Recording;
use interbot::trace::UnixMillis;
use proptest::prelude::*;

use crate::stage::{Stage, TLS, author, config, id, identity, message, seed};

#[derive(Clone, Debug)]
enum Deed {
    Visit(u8),
    Talk(usize),
    Drain,
    Poll,
    Wait(u64),
    Post(u8, u64, usize),
    Say(Vec<u8>),
    Garbage(Vec<u8>),
    Publish(usize),
    Dial(u8),
    Forget(u8),
    Close(u8),
    End,
    Reports(bool),
    Bind(bool),
    WallClock(u64),
    Back(u64),
    ShutDown,
}

fn deed() -> impl Strategy<Value = Deed> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40);
    prop_oneof![
        4 => prop_oneof![4 => 2u8..5, 1 => Just(8), 1 => Just(1)].prop_map(Deed::Visit),
        6 => prop_oneof![Just(1usize), Just(7), Just(100), Just(100_000)].prop_map(Deed::Talk),
        2 => Just(Deed::Drain),
        1 => Just(Deed::Poll),
        3 => prop_oneof![0u64..50, 1_000u64..40_000].prop_map(Deed::Wait),
        5 => (prop_oneof![2u8..5, Just(8)], 1u64..6, prop_oneof![0usize..40, Just(30_000)])
            .prop_map(|(bot, seq, len)| Deed::Post(bot, seq, len)),
        1 => bytes().prop_map(Deed::Say),
        1 => bytes().prop_map(Deed::Garbage),
        3 => prop_oneof![0usize..40, Just(60_000), Just(70_000)].prop_map(Deed::Publish),
        3 => (1u8..9).prop_map(Deed::Dial),
        1 => (1u8..5).prop_map(Deed::Forget),
        1 => any::<u8>().prop_map(Deed::Close),
        1 => Just(Deed::End),
        1 => any::<bool>().prop_map(Deed::Reports),
        1 => any::<bool>().prop_map(Deed::Bind),
        1 => any::<u64>().prop_map(Deed::WallClock),
        1 => (0u64..5_000).prop_map(Deed::Back),
        1 => Just(Deed::ShutDown),
    ]
}

fn act(stage: &mut Stage, deed: Deed) {
    let now = stage.now;
    let first = stage.node.links().next().map(|info| info.link);
    match deed {
        Deed::Visit(bot) => stage.visit(bot),
        Deed::Talk(piece) => stage.talk(piece),
        Deed::Drain => drop(stage.drain()),
        Deed::Poll => drop(stage.node.poll()),
        Deed::Wait(millis) => stage.wait(millis),
        Deed::Post(bot, seq, len) => stage.send(&message(0, author(bot, seq).publish(&vec![b'p'; len]))),
        Deed::Say(bytes) => stage.send(&bytes),
        Deed::Garbage(bytes) => {
            if let Some(link) = first {
                let _ = stage.node.handle_bytes(now, link, &bytes);
            }
        }
        Deed::Publish(len) => drop(stage.node.publish(now, &vec![b'o'; len])),
        Deed::Dial(bot) => drop(stage.node.dial(now, id(bot), format!("address {bot}"))),
        Deed::Forget(bot) => stage.node.forget(now, id(bot)),
        Deed::Close(code) => {
            let code = if code % 2 == 0 { Code::from_wire(code) } else { Code::Other(code) };
            first.into_iter().for_each(|link| stage.node.close(now, link, code));
        }
        Deed::End => first.into_iter().for_each(|link| stage.node.handle_ended(now, link)),
        Deed::Reports(reports) => stage.reports = reports,
        Deed::Bind(tls) => stage.binding = if tls { TLS } else { Binding::None },
        Deed::WallClock(millis) => stage.node.set_wall_clock(now, UnixMillis(millis)),
        // A host's clock that goes back.
        Deed::Back(millis) => {
            stage.now = Instant::from_nanos(now.as_nanos().saturating_sub(millis * 1_000_000));
            stage.node.handle_timeout(stage.now);
        }
        Deed::ShutDown => stage.node.shut_down(now),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_recorded_run_replays_to_the_same_outputs(
        deeds in proptest::collection::vec(deed(), 0..40),
        redacted: bool,
        tight: bool,
    ) {
        let (mut config, file) = config(redacted);
        if tight {
            config.limits.outbox = 6;
            config.limits.children = 1;
            config.limits.half_open = 2;
            config.limits.posts.burst = 3;
            config.limits.posts.per_second = 2;
            config.limits.retry_min = Duration::from_millis(100);
        }
        let recorder = config.recorder.clone().expect("it records");
        let now = Instant::from_millis(1_000);
        let mut stage = Stage::new(Node::new(config, &identity(1), seed("node"), now), now);
        deeds.into_iter().for_each(|deed| act(&mut stage, deed));
        let (stats, links) = (stage.node.stats(), stage.node.links().count());
        drop(stage);
        prop_assert_eq!(recorder.error(), None);
        let mut replay = Replay::new(Recording::read(&file.bytes()).expect("whole"));
        let outcome = replay.run();
        prop_assert!(matches!(outcome, Outcome::Same { .. }), "{}", outcome);
        let replayed = replay.node().expect("started");
        prop_assert_eq!((replayed.stats(), replayed.links().count()), (stats, links));
    }
}
