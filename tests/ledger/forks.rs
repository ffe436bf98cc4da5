//! Two stories of one height: more members cheated than the community bears.

use interbot::ledger::{Answer, Ask, Height, LedgerEvent, LedgerMessage, Preset, Rules, Whole, WishError};

use crate::village::{Village, id};

/// A village of four at a height.
fn world(witnesses: u8, heights: u8) -> Village {
    let mut village = Village::found(Rules::preset(Preset::Village), 4);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    for height in 1..=heights {
        village.propose(0, Ask::Amend(Rules { witnesses: witnesses + height, ..Rules::preset(Preset::Village) }));
        assert!(village.pass_until(300, |v| v.heights() == [u64::from(height); 4]));
    }
    village
}

/// A messenger between the worlds answers what the bots of one ask, as the other knows it.
fn meet(village: &mut Village, other: &mut Village, messenger: usize) {
    village.turn_traitor(messenger);
    let place = other.ledger(0).place();
    for at in village.up() {
        let here = LedgerMessage::Here { place, whole: [0; 16] };
        let _ = village.speak(messenger, at, here);
    }
    for _ in 0..8 {
        for (at, after) in std::mem::take(&mut village.asked) {
            let first = after.map_or(1, |height| height.0 + 1);
            for height in first..=place.height.0 {
                let bytes = other.ledger(0).certificate(Height(height)).expect("it has one").clone();
                let part = LedgerMessage::Part { whole: Whole::Certificate, at: 0, of: 1, bytes };
                let _ = village.speak(messenger, at, part);
            }
        }
    }
}

#[test]
fn a_bot_that_sees_two_stories_stops_and_shows_both() {
    // The other world is as far, behind, and ahead.
    for (ours, theirs) in [(1, 1), (1, 2), (2, 3), (3, 2)] {
        let (mut village, mut other) = (world(10, ours), world(100, theirs));
        meet(&mut village, &mut other, 3);
        let ledger = village.ledger(0);
        let fork = ledger.fork().unwrap_or_else(|| panic!("{ours} here and {theirs} there")).clone();
        assert_eq!((fork.ours.header.height, fork.theirs.header.height), (Height(1), Height(1)), "{ours} and {theirs}");
        assert!(fork.signed_both.len() >= 2, "{:?}", fork.signed_both);
        assert_eq!(ledger.leave(), Err(WishError::Forked));
        let events = village.bots[0].events.iter().filter(|event| matches!(event, LedgerEvent::Forked(_))).count();
        assert_eq!(events, 1);
        village.crash(0);
        village.restart(0);
        assert!(village.ledger(0).fork().is_some(), "a restart does not make it forget");
        assert!(village.ledger(0).roster().get(&id(0)).is_some());
    }
}
