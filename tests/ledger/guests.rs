//! What needs no seal: guests, the end of their rights, and owners who hold a key by hand.

use interbot::ledger::{Answer, Ask, Height, Journal, LedgerEvent, Outcome, Standing, StatementId};

use crate::village::{Village, id, rules};

/// Members, and a stranger that is linked with the first and whom the first sponsors; nobody votes by habit.
fn with_stranger(members: usize) -> (Village, usize, StatementId) {
    let mut village = Village::found(rules(), members);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    let question = village.sponsor(0, stranger);
    (village, stranger, question)
}

fn guest_at(village: &mut Village, key: usize) -> Vec<bool> {
    let up = village.up();
    up.into_iter().map(|at| village.ledger(at).is_guest(&id(key))).collect()
}

#[test]
fn a_quorum_of_yes_lets_a_guest_in_at_once_at_every_member() {
    let (mut village, stranger, question) = with_stranger(4);
    village.vote(0, question, Answer::Yes);
    village.vote(1, question, Answer::Yes);
    village.vote(2, question, Answer::No);
    village.pass(1);
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
    village.vote(2, question, Answer::Yes);
    village.pass(1);
    assert_eq!(guest_at(&mut village, stranger), [true; 5]);
    // What was complete is not undone by another vote, only by the outcome.
    village.vote(2, question, Answer::No);
    village.vote(1, question, Answer::No);
    village.pass(2);
    assert_eq!(guest_at(&mut village, stranger), [true; 5]);
    assert!(village.pass_until(250, |v| v.heights() == [1; 5]));
    assert_eq!(village.outcome(3, question), Some(Outcome::Refused));
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
}

#[test]
fn a_revocation_wins_also_against_a_member_who_votes_no() {
    let (mut village, stranger, question) = with_stranger(4);
    (0..4).for_each(|at| village.vote(at, question, Answer::Yes));
    village.pass(1);
    assert_eq!(guest_at(&mut village, stranger), [true; 5]);
    let revoke = village.propose(1, Ask::Revoke { subject: id(stranger) });
    village.vote(3, revoke, Answer::No);
    (0..3).for_each(|at| village.vote(at, revoke, Answer::Yes));
    village.pass(1);
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
    assert!(village.pass_until(250, |v| v.heights() == [1; 5]), "{:?}", village.heights());
    assert_eq!(village.outcome(3, question), Some(Outcome::Revoked));
    assert_eq!(village.outcome(3, revoke), Some(Outcome::Passed));
    assert!(!village.members(2).contains(&id(stranger)));
    village.assert_one_story();
}

#[test]
fn inv37_the_end_of_rights_wins_in_any_order() {
    for revoked_first in [false, true] {
        let mut village = Village::found(rules(), 4);
        let stranger = village.arrive(Journal::New);
        village.link(0, stranger);
        let revoke = village.propose(1, Ask::Revoke { subject: id(stranger) });
        let question = village.sponsor(0, stranger);
        let order = if revoked_first { [revoke, question] } else { [question, revoke] };
        for asked in order {
            (0..3).for_each(|at| village.vote(at, asked, Answer::Yes));
            village.pass(1);
        }
        assert_eq!(guest_at(&mut village, stranger), [false; 5]);
        village.crash(2);
        village.restart(2);
        assert!(!village.ledger(2).is_guest(&id(stranger)), "nor after a restart");
        assert!(village.pass_until(250, |v| v.heights() == [1; 5]));
        assert_eq!(village.outcome(3, question), Some(Outcome::Revoked));
    }
}

#[test]
fn a_revocation_signed_by_one_who_left_meanwhile_stops_no_round() {
    let mut village = Village::found(rules(), 5);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    village.ledger(4).leave().expect("it may");
    village.pass(60);
    let question = village.sponsor(0, stranger);
    let revoke = village.propose(1, Ask::Revoke { subject: id(stranger) });
    [4, 1, 2, 3].into_iter().for_each(|at| village.vote(at, revoke, Answer::Yes));
    village.vote(0, question, Answer::Yes);
    assert!(village.pass_until(160, |v| v.heights() == [1; 6]), "{:?}", village.heights());
    assert_eq!(village.members(0).len(), 4, "only the leave was due");
    assert!(village.pass_until(300, |v| v.heights() == [2; 6]), "{:?}", village.heights());
    let outcome = village.outcome(3, question);
    assert!([Some(Outcome::Revoked), Some(Outcome::Refused)].contains(&outcome), "{outcome:?}");
    assert_eq!(guest_at(&mut village, stranger), [false; 6]);
}

#[test]
fn endorsed_by_hand_an_applicant_is_in_without_a_week() {
    let (mut village, stranger, question) = with_stranger(4);
    // A window has to be over since the last height all the same.
    village.pass(150);
    let other = village.arrive(Journal::New);
    village.link(1, other);
    let second = village.sponsor(1, other);
    for at in 0..2 {
        village.ledger(at).endorse(second, true).expect("an application");
    }
    village.pass(2);
    assert_eq!(guest_at(&mut village, other), [false; 6], "two of four are not 51 %");
    village.ledger(3).endorse(second, true).expect("an application");
    village.pass(2);
    assert_eq!(guest_at(&mut village, other), [true; 6]);
    assert!(village.pass_until(60, |v| v.heights() == [1; 6]), "{:?}", village.heights());
    assert_eq!(village.outcome(2, second), Some(Outcome::Endorsed));
    assert!(village.ledger(2).roster().get_active(&id(other)).is_some());
    assert_eq!(village.outcome(2, question), Some(Outcome::Refused), "nobody voted on the first");
    assert!(!village.members(0).contains(&id(stranger)));
}

#[test]
fn an_endorsement_taken_back_does_not_count() {
    let (mut village, stranger, question) = with_stranger(4);
    for at in 0..3 {
        village.ledger(at).endorse(question, true).expect("an application");
        if at < 2 {
            village.ledger(at).endorse(question, false).expect("an application");
        }
    }
    village.pass(2);
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
    assert!(village.pass_until(250, |v| v.heights() == [1; 5]));
    assert_eq!(village.outcome(2, question), Some(Outcome::Refused));
}

#[test]
fn with_fewer_than_three_members_nobody_is_endorsed() {
    let (mut village, stranger, question) = with_stranger(2);
    for at in 0..2 {
        village.ledger(at).endorse(question, true).expect("an application");
    }
    village.pass(40);
    assert_eq!(guest_at(&mut village, stranger), [false; 3]);
    assert!(village.pass_until(250, |v| v.heights() == [1; 3]));
    assert_eq!(village.outcome(0, question), Some(Outcome::Refused));
}

#[test]
fn an_absent_applicant_sleeps_until_it_comes() {
    let mut village = Village::found(rules(), 4);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    let stranger = village.arrive(Journal::New);
    village.sponsor(0, stranger);
    assert!(village.pass_until(250, |v| v.height(0) == Height(1)));
    let member = *village.ledger(0).roster().get(&id(stranger)).expect("a member");
    assert_eq!((member.standing, member.strikes), (Standing::Dormant, 2));
    assert_eq!(village.ledger(0).roster().active_len(), 4);
    village.link(0, stranger);
    assert!(village.pass_until(250, |v| v.heights() == [2; 5]), "{:?}", village.heights());
    assert!(village.ledger(3).roster().get_active(&id(stranger)).is_some(), "it woke");
    let woke =
        |event: &LedgerEvent| matches!(event, LedgerEvent::Height { woken, .. } if woken.contains(&id(stranger)));
    assert!(village.bots[2].events.iter().any(woke));
}

#[test]
fn inv37_the_end_of_rights_outlives_its_round_and_a_restart() {
    let mut village = Village::found(rules(), 4);
    let stranger = village.arrive(Journal::New);
    village.link(0, stranger);
    let revoke = village.propose(1, Ask::Revoke { subject: id(stranger) });
    (0..4).for_each(|at| village.vote(at, revoke, Answer::Yes));
    village.pass(100);
    // Of the same height, and judged at the next.
    let question = village.sponsor(0, stranger);
    (0..4).for_each(|at| village.vote(at, question, Answer::Yes));
    assert!(village.pass_until(100, |v| v.heights() == [1; 5]));
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
    village.crash(2);
    village.restart(2);
    assert_eq!(guest_at(&mut village, stranger), [false; 5]);
}
