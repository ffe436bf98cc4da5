//! Crashes at any write, and records that are lost, edited or another bot's.

use std::collections::BTreeMap;

use bytes::Bytes;
use interbot::ledger::{
    Answer, Ask, Body, Height, Journal, Ledger, LedgerEvent, LedgerRestoreError, Outcome, Rules, Statement, WishError,
};
use interbot::{Identity, UnixMillis};

use crate::village::{Village, agreeable, amend, id, rules, seed};

/// The whole round, with a bot that dies at a write and comes back a u later; whether it died at all.
fn round_with_a_death(at: usize, write: u64, slow: bool) -> bool {
    let mut village = agreeable(4);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    village.bots[at].slow_disk = slow;
    if !slow {
        village.dies_after(at, write);
    }
    let asked = village.is_up(0).then(|| village.sponsor(0, stranger));
    let mut died = false;
    let mut left = write;
    for _ in 0..4 * 240 {
        if slow {
            left -= village.sync_some(at, left);
            if left == 0 && !died {
                village.crash(at);
            }
        }
        if !village.is_up(at) {
            died = true;
            for _ in 0..4 {
                village.step();
            }
            village.bots[at].slow_disk = false;
            village.restart(at);
        }
        village.step();
        if village.heights().iter().all(|height| *height >= 1) {
            break;
        }
    }
    let context = format!("bot {at}, write {write}, slow {slow}, {:?}", village.heights());
    village.assert_one_story();
    (0..4).for_each(|bot| village.assert_honest(bot));
    assert!(village.heights().iter().all(|height| *height == 1), "{context}");
    if let Some(question) = asked {
        for bot in village.up() {
            assert!(village.ledger(bot).roster().get(&id(stranger)).is_some(), "{context}: {bot}");
        }
        assert_eq!(village.outcome(2, question), Some(Outcome::Passed), "{context}");
    }
    died
}

#[test]
fn inv30_a_bot_that_dies_at_any_write_never_contradicts_itself() {
    for at in [0, 3] {
        let mut write = 1;
        while round_with_a_death(at, write, false) {
            write += 1;
        }
        assert!(write > 20, "{write} writes");
    }
}

#[test]
fn inv30_a_bot_that_loses_the_tail_of_a_slow_disk_never_contradicts_itself() {
    let mut write = 1;
    while round_with_a_death(1, write, true) {
        write += 1;
    }
    assert!(write > 20, "{write} writes");
}

/// What a bot promised at a height, as far as anybody was told.
fn promises(village: &Village, at: usize, height: u64) -> usize {
    let is_promise = |statement: &&Statement| {
        matches!(statement.body(), Body::Ack { .. } | Body::Commit { .. } | Body::Status { .. } | Body::Seal { .. })
    };
    let author = id(at);
    let own = village.said.values().filter(|said| said.author() == author && said.place().height == Height(height));
    own.filter(is_promise).count()
}

#[test]
fn inv30_a_bot_without_records_promises_nothing_before_it_heard_everybody() {
    let mut village = agreeable(4);
    let question = village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    village.pass(160);
    village.crash(2);
    village.crash(3);
    village.pass(50);
    let before = promises(&village, 1, 0);
    assert!(before > 1, "it promised something that nobody can complete");
    village.crash(1);
    village.restart_empty(1);
    let unsure = |village: &Village| {
        village.bots[1].events.iter().filter(|event| matches!(event, LedgerEvent::Unsure { .. })).count()
    };
    assert_eq!(unsure(&village), 1);
    village.pass(50);
    village.restart(2);
    village.pass(50);
    assert_eq!(promises(&village, 1, 0), before, "3 may know more");
    village.crash(1);
    village.restart(1);
    assert_eq!(unsure(&village), 2, "it is as unsure after another restart");
    village.pass(50);
    assert_eq!(promises(&village, 1, 0), before, "3 may still know more");
    village.restart(3);
    assert!(village.pass_until(600, |v| v.heights() == [1; 4]), "{:?}", village.heights());
    assert!(promises(&village, 1, 0) > before, "it goes on");
    assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
    (0..4).for_each(|at| village.assert_honest(at));
    village.assert_one_story();
}

#[test]
fn a_bot_without_records_goes_on_at_the_next_height() {
    let mut village = agreeable(7);
    village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    village.pass(160);
    village.crash(6);
    village.crash(1);
    village.restart_empty(1);
    assert!(village.pass_until(100, |v| v.heights() == [1; 6]), "{:?}", village.heights());
    assert_eq!(promises(&village, 1, 0), 0, "6 is away and may know what it promised");
    village.propose(0, Ask::Amend(Rules { witnesses: 6, ..rules() }));
    assert!(village.pass_until(260, |v| v.heights() == [2; 6]), "{:?}", village.heights());
    assert!(promises(&village, 1, 1) > 0, "this height began before its eyes");
    village.assert_honest(1);
}

#[test]
fn of_two_members_one_may_lose_its_records() {
    let mut village = agreeable(2);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    let question = village.sponsor(0, stranger);
    village.pass(170);
    village.crash(1);
    village.restart_empty(1);
    assert!(village.pass_until(360, |v| v.heights() == [1; 3]), "{:?}", village.heights());
    assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
    village.assert_honest(1);
}

#[test]
fn inv30_a_bot_without_records_votes_with_a_new_number_only() {
    let mut village = agreeable(4);
    let question = village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    village.pass(1);
    // Its clock gives the number once more that its vote has, right behind the one of its first word.
    village.bots[1].habit = None;
    village.bots[1].skew = 1_000 - village.unit().cast_signed();
    village.crash(1);
    village.restart_empty(1);
    village.pass(3);
    assert_eq!(village.ledger(1).answer(&question), Some(Answer::Yes), "the others gave its answer back");
    // Its clock is set back: the next ballot has a higher number all the same.
    village.bots[1].skew = -14 * 86_400_000;
    village.crash(1);
    village.restart_empty(1);
    village.pass(3);
    village.vote(1, question, Answer::No);
    village.vote(2, question, Answer::No);
    assert!(village.pass_until(250, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(0, question), Some(Outcome::Refused), "two of four are against it");
    (0..4).for_each(|at| village.assert_honest(at));
}

#[test]
fn inv30_a_bot_without_records_asks_nothing_before_it_heard_everybody() {
    let mut village = agreeable(4);
    village.propose(1, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    village.crash(1);
    village.crash(3);
    village.restart_empty(1);
    let again = Ask::Amend(Rules { witnesses: 6, ..rules() });
    assert_eq!(village.ledger(1).propose(again.clone(), Bytes::new()), Err(interbot::ledger::WishError::Unsure));
    village.restart(3);
    village.pass(3);
    village.propose(1, again);
    village.assert_honest(1);
}

#[test]
fn a_vote_before_the_first_promise_survives_a_restart() {
    let mut village = Village::found(rules(), 4);
    let first = village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    let second = village.propose(2, Ask::Amend(Rules { witnesses: 6, ..rules() }));
    village.vote(1, first, Answer::Yes);
    village.crash(1);
    village.restart(1);
    assert_eq!(village.ledger(1).answer(&first), Some(Answer::Yes));
    village.vote(1, second, Answer::Yes);
    [0, 2, 3].into_iter().for_each(|at| village.vote(at, first, Answer::Yes));
    assert!(village.pass_until(250, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(0, first), Some(Outcome::Passed));
    assert_eq!(village.ledger(0).rules().witnesses, 5);
}

// ---- records ----

type Disk = BTreeMap<Bytes, Bytes>;

fn restore(village: &Village, at: usize, disk: &Disk) -> Result<Ledger, LedgerRestoreError> {
    let records = disk.iter().map(|(key, value)| (key.clone(), value.clone()));
    Ledger::restore(village.crypto.clone(), &Identity::from_seed(seed(at)), UnixMillis(village.now), records)
}

/// A member's disk at height 2, in the middle of a round in which it promised something.
fn busy_disk() -> (Village, Disk) {
    let mut village = agreeable(4);
    for week in 0..2 {
        village.propose(0, Ask::Amend(Rules { witnesses: 5 + week, ..rules() }));
        assert!(village.pass_until(260, |v| v.height(0) == Height(u64::from(week) + 1)));
    }
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    village.sponsor(0, stranger);
    village.pass(160);
    village.crash(2);
    village.crash(3);
    village.pass(60);
    let disk = village.bots[1].disk.clone();
    (village, disk)
}

fn name(key: &Bytes) -> String {
    String::from_utf8(key.to_vec()).expect("letters")
}

#[test]
fn a_missing_record_is_named_or_does_no_harm() {
    let (village, disk) = busy_disk();
    let last = "ledger/height/0000000000000002";
    assert!(disk.contains_key(last.as_bytes()));
    for key in disk.keys() {
        let mut rest = disk.clone();
        rest.remove(key);
        let restored = restore(&village, 1, &rest);
        if key.starts_with(b"ledger/piece/") || key.starts_with(b"ledger/proof/") {
            // Others hold the pieces; a proof that is gone is one that cannot be shown any more.
            assert_eq!(restored.expect("it is not needed").place().height, Height(2));
        } else {
            assert_eq!(restored.err(), Some(LedgerRestoreError::Missing(name(key))));
        }
    }
}

#[test]
fn a_bot_whose_record_of_a_piece_is_missing_goes_on() {
    let (_, disk) = busy_disk();
    for key in disk.keys().filter(|key| key.starts_with(b"ledger/piece/")) {
        let (mut village, _) = busy_disk();
        village.crash(1);
        village.bots[1].disk.remove(key);
        village.restart(1);
        village.restart(2);
        assert!(village.pass_until(600, |v| v.height(1) == Height(3)), "without {key:?}: {:?}", village.heights());
        village.assert_honest(1);
        village.assert_one_story();
    }
}

#[test]
fn an_altered_record_is_named() {
    let (village, disk) = busy_disk();
    for (key, value) in &disk {
        let damaged = Some(LedgerRestoreError::Damaged(name(key)));
        let mut odd = disk.clone();
        for at in 0..value.len() {
            let mut bytes = value.to_vec();
            bytes[at] ^= 1 << (at % 8);
            odd.insert(key.clone(), bytes.into());
            assert_eq!(restore(&village, 1, &odd).err(), damaged, "byte {at}");
            if at > 0 {
                odd.insert(key.clone(), value.slice(..at));
                assert_eq!(restore(&village, 1, &odd).err(), damaged, "cut at {at}");
            }
        }
        odd.insert(key.clone(), [&value[..], &[0]].concat().into());
        assert_eq!(restore(&village, 1, &odd).err(), damaged, "longer");
    }
}

#[test]
fn records_in_each_others_places_and_other_bots_are_refused() {
    let (mut village, disk) = busy_disk();
    village.pass(1);
    let other = village.bots[0].disk.clone();
    for key in disk.keys() {
        let mut odd = disk.clone();
        let Some(theirs) = other.get(key) else { continue };
        odd.insert(key.clone(), theirs.clone());
        assert_eq!(restore(&village, 1, &odd).err(), Some(LedgerRestoreError::OtherBot(id(0))), "{key:?}");
    }
    let keys: Vec<&Bytes> = disk.keys().collect();
    for pair in keys.windows(2) {
        let mut odd = disk.clone();
        odd.insert(pair[0].clone(), disk[pair[1]].clone());
        assert_eq!(restore(&village, 1, &odd).err(), Some(LedgerRestoreError::Damaged(name(pair[0]))));
    }
    assert!(restore(&village, 0, &disk).is_err(), "all of them are another bot's");
}

#[test]
fn records_do_not_pile_up() {
    let mut village = agreeable(4);
    let mut most = 0;
    for week in 0..12 {
        village.propose(week % 4, Ask::Amend(Rules { witnesses: 2 + week as u8, ..rules() }));
        village.bots[1].slow_disk = true;
        for _ in 0..4 * 260 {
            village.step();
            village.sync(1);
            if village.heights() == [week as u64 + 1; 4] {
                break;
            }
        }
        assert_eq!(village.heights(), [week as u64 + 1; 4]);
        most = most.max(village.bots[1].disk.keys().filter(|key| key.starts_with(b"ledger/piece/")).count());
    }
    assert!(most <= 8, "{most} records of pieces between rounds");
}

#[test]
fn who_lost_its_journal_hears_everybody_through_the_only_member_that_it_is_linked_with() {
    let mut village = Village::found_apart(rules(), 7);
    (1..7).for_each(|at| village.link(0, at));
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    let question = amend(&mut village, 1, 2);
    // Without three of seven there is no quorum: the round is stuck when the last one has promised something.
    (3..6).for_each(|at| village.crash(at));
    assert!(village.pass_until(400, |village| village.bots[0].ledger.as_ref().is_some_and(|ledger| ledger.view().1)));
    village.crash(6);
    village.pass(40);
    village.restart_empty_beside(6, 0);
    village.pass(3);
    let lost = village.ledger(6).vote(question, Some(Answer::No));
    assert_eq!(lost, Err(WishError::Unsure), "three have not told what it had promised");
    for at in 3..6 {
        village.restart_beside(at, 0);
    }
    assert!(village.pass_until(400, |village| village.height(6).0 == 1));
    let second = amend(&mut village, 1, 1);
    village.pass(3);
    assert_eq!(village.ledger(6).vote(second, Some(Answer::No)), Ok(()), "it heard all six through one of them");
    village.assert_one_story();
    (0..7).for_each(|at| village.assert_honest(at));
}
