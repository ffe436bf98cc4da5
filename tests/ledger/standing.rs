//! Who counts: silence, removals that nobody asked for by hand, new keys, and the smallest communities.

use bytes::Bytes;
use interbot::ledger::{
    Answer, Application, Ask, Height, Journal, LedgerEvent, Outcome, Preset, Question, Rules, WishError,
};

use crate::village::{Village, amend, id, seed};

fn agreeable(preset: Preset, members: usize) -> Village {
    let mut village = Village::found(Rules::preset(preset), members);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    village
}

/// A round goes by at those who are up.
fn round(village: &mut Village, witnesses: u8) {
    let at = village.up()[0];
    let height = village.height(at);
    amend(village, at, witnesses);
    assert!(village.pass_until(300, |v| v.height(at) > height), "{:?}", village.heights());
}

fn strikes(village: &mut Village, of: usize) -> Option<(u8, bool)> {
    village.ledger(0).roster().get(&id(of)).map(|member| (member.strikes, member.is_active()))
}

#[test]
fn i14_in_a_seed_one_silent_round_evicts() {
    let mut village = agreeable(Preset::Seed, 5);
    village.crash(3);
    village.crash(4);
    round(&mut village, 5);
    assert_eq!(village.members(0).len(), 3);
    village.restart(4);
    village.pass(4);
    assert_eq!(village.height(4), Height(1));
    assert_eq!(village.ledger(4).propose(Ask::Revoke { subject: id(9) }, Bytes::new()), Err(WishError::NotAMember));
    let back = village.sponsor(0, 4);
    assert!(village.pass_until(300, |v| v.height(4) == Height(2)));
    assert_eq!(village.outcome(0, back), Some(Outcome::Passed));
    assert!(village.ledger(0).roster().get_active(&id(4)).is_some());
}

#[test]
fn a_silent_member_sleeps_after_two_rounds_wakes_by_itself_and_votes_again() {
    let mut village = agreeable(Preset::Village, 6);
    village.crash(5);
    round(&mut village, 5);
    assert_eq!(strikes(&mut village, 5), Some((1, true)));
    round(&mut village, 6);
    assert_eq!(strikes(&mut village, 5), Some((2, false)));
    village.restart(5);
    village.pass(3);
    assert_eq!(village.ledger(5).propose(Ask::Revoke { subject: id(9) }, Bytes::new()), Err(WishError::Dormant));
    assert!(village.pass_until(200, |v| v.height(5) == Height(3)), "a Wake is work: {:?}", village.heights());
    assert_eq!(strikes(&mut village, 5), Some((0, true)));
    amend(&mut village, 5, 9);
    assert!(village.pass_until(300, |v| v.height(0) == Height(4)));
    assert_eq!(village.ledger(0).rules().witnesses, 9);
}

#[test]
fn silence_takes_nobody_of_four() {
    let mut village = agreeable(Preset::Village, 4);
    village.crash(3);
    (0..6).for_each(|week| round(&mut village, 3 + week));
    assert_eq!(strikes(&mut village, 3), Some((6, true)));
    village.restart(3);
    round(&mut village, 20);
    assert_eq!(strikes(&mut village, 3), Some((0, true)));
}

#[test]
fn of_two_one_that_is_away_stops_everything_until_it_is_back() {
    let mut village = agreeable(Preset::Village, 2);
    village.crash(1);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    let asked = village.sponsor(0, stranger);
    village.pass(168 * 3);
    assert_eq!(village.height(0), Height(0));
    village.restart(1);
    assert!(village.pass_until(800, |v| v.height(0) == Height(1)), "{:?}", village.heights());
    assert_eq!(village.outcome(0, asked), Some(Outcome::Passed));
}

#[test]
fn the_last_member_cannot_leave_and_of_two_one_may() {
    let mut village = agreeable(Preset::Village, 2);
    village.ledger(1).leave().expect("another stays");
    village.pump();
    assert!(village.pass_until(300, |v| v.height(0) == Height(1)));
    assert_eq!(village.members(0), [id(0)]);
    assert_eq!(village.ledger(0).leave(), Err(WishError::LastMember));
    // Both at once: one has to stay.
    let mut village = agreeable(Preset::Village, 2);
    for at in 0..2 {
        village.ledger(at).leave().expect("another stays");
    }
    village.pump();
    assert!(village.pass_until(300, |v| v.height(0) == Height(1)), "{:?}", village.heights());
    assert_eq!(village.members(0).len(), 1);
    village.pass(168 * 3);
    assert_eq!(village.members(0), village.members(1));
    assert_eq!(village.heights(), [1; 2], "a leave that cannot be is no work for ever");
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_which_is_dead() {
    let mut village = agreeable(Preset::Village, 4);
    let new = village.arrive(Journal::New);
    village.link(0, new);
    let signer = village.crypto.signer(&seed(new));
    let community = village.genesis.community();
    let application = Application::new(&community, id(new), id(3), [1; 16], Bytes::from_static(b"new disk"), &*signer);
    village.crash(3);
    let asked = village.propose(0, Ask::Rekey(application));
    assert!(village.pass_until(300, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(1, asked), Some(Outcome::Passed));
    let members = village.members(0);
    assert!(members.contains(&id(new)) && !members.contains(&id(3)));
    village.restart(3);
    village.mend();
    village.pass(4);
    assert_eq!(village.ledger(3).propose(Ask::Revoke { subject: id(9) }, Bytes::new()), Err(WishError::NotAMember));
    let asked = amend(&mut village, new, 9);
    assert!(village.pass_until(300, |v| v.height(0) == Height(2)));
    assert_eq!(village.outcome(0, asked), Some(Outcome::Passed));
    assert_eq!(strikes(&mut village, new), Some((0, true)));
    village.up().into_iter().for_each(|at| village.assert_honest(at));
}

/// Questions about the removal of a bot, as the first bot knows them.
fn removals(village: &mut Village, of: usize) -> Vec<Question> {
    let is_about = |question: &Question| matches!(&question.ask, Ask::Remove { subject, .. } if *subject == id(of));
    village.ledger(0).questions().into_iter().filter(is_about).collect()
}

fn report(village: &mut Village, observers: &[usize], of: usize) {
    for at in observers {
        village.ledger(*at).observe_silence(id(of)).expect("a member");
    }
    village.pump();
    village.pass(1);
}

#[test]
fn i18_enough_observers_ask_for_one_removal_and_owners_decide() {
    let mut village = agreeable(Preset::Village, 6);
    village.crash(5);
    report(&mut village, &[0, 1], 5);
    assert_eq!(removals(&mut village, 5).len(), 0, "two are not enough");
    report(&mut village, &[2, 3, 4, 0], 5);
    let asked = removals(&mut village, 5);
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(village.pass_until(300, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(1, asked[0].id), Some(Outcome::Passed));
    assert!(!village.members(0).contains(&id(5)));
}

#[test]
fn i18_a_removal_is_closed_when_its_subject_answers() {
    let mut village = agreeable(Preset::Village, 6);
    village.crash(5);
    report(&mut village, &[0, 1, 2], 5);
    let asked = removals(&mut village, 5);
    assert_eq!(asked.len(), 1);
    village.restart(5);
    assert!(village.pass_until(300, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(1, asked[0].id), Some(Outcome::Reappeared));
    assert!(village.members(0).contains(&id(5)));
}

#[test]
fn i18_of_three_nobody_is_removed_by_observers() {
    let mut village = agreeable(Preset::Village, 3);
    village.crash(2);
    report(&mut village, &[0, 1], 2);
    assert_eq!(removals(&mut village, 2).len(), 0);
    assert_eq!(village.ledger(0).observe_silence(id(0)), Err(WishError::NoSuchMember(id(0))));
    assert_eq!(village.ledger(0).observe_silence(id(9)), Err(WishError::NoSuchMember(id(9))));
}

#[test]
fn a_member_that_was_removed_sees_it_and_can_come_back() {
    let mut village = agreeable(Preset::Village, 5);
    let asked = village.propose(0, Ask::Remove { subject: id(4), reports: Vec::new() });
    assert!(village.pass_until(300, |v| v.heights() == [1; 5]));
    assert_eq!(village.outcome(4, asked), Some(Outcome::Passed));
    let inactive = |event: &LedgerEvent| matches!(event, LedgerEvent::Height { is_active: false, .. });
    assert!(village.bots[4].events.iter().any(inactive));
    let back = village.sponsor(2, 4);
    assert!(village.pass_until(300, |v| v.heights() == [2; 5]), "{:?}", village.heights());
    assert_eq!(village.outcome(4, back), Some(Outcome::Passed));
    assert!(village.ledger(4).roster().get_active(&id(4)).is_some(), "it said that it is here");
    amend(&mut village, 4, 9);
    assert!(village.pass_until(300, |v| v.heights() == [3; 5]));
    village.up().into_iter().for_each(|at| village.assert_honest(at));
}
