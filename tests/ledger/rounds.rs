//! Rounds from the first question to the certificate.

use interbot::ledger::{Answer, Ask, Height, Journal, LedgerEvent, Outcome, Rules};

use crate::village::{Village, agreeable, id, rules};

#[test]
fn a_stranger_is_admitted_by_vote_after_a_week() {
    for members in [1, 2, 3, 4, 7] {
        let mut village = agreeable(members);
        let stranger = village.arrive(Journal::New);
        village.link(0, stranger);
        let question = village.sponsor(0, stranger);
        village.pass(168);
        assert_eq!(village.heights(), vec![0; members + 1], "the window is not over");
        assert!(village.pass_until(60, |v| v.heights().iter().all(|h| *h == 1)), "{members}: {:?}", village.heights());
        village.assert_one_story();
        for at in 0..=members {
            assert_eq!(village.outcome(at, question), Some(Outcome::Passed), "{members} members, bot {at}");
            assert!(village.members(at).contains(&id(stranger)));
        }
        let ledger = village.ledger(0);
        assert!(ledger.roster().get_active(&id(stranger)).is_some(), "it said that it is here");
        assert_eq!(village.refused, [].into(), "{members} members");
    }
}

#[test]
fn without_questions_there_are_no_rounds() {
    let mut village = agreeable(4);
    village.pass(168 * 3);
    assert_eq!(village.heights(), [0; 4]);
}

#[test]
fn owners_who_do_not_vote_still_answer() {
    let mut village = Village::found(rules(), 4);
    let stranger = village.arrive(Journal::New);
    let question = village.sponsor(0, stranger);
    village.vote(0, question, Answer::Yes);
    assert!(village.pass_until(260, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(1, question), Some(Outcome::Refused), "one yes of four answers");
    assert!(village.ledger(2).roster().members().iter().all(|member| member.strikes == 0));
    let reminders = |at: usize| {
        let is_reminder = |event: &&LedgerEvent| matches!(event, LedgerEvent::Reminder { .. });
        village.bots[at].events.iter().filter(is_reminder).count()
    };
    assert_eq!([reminders(0), reminders(1), reminders(2)], [0, 2, 2], "at half of the window and at nine tenths");
}

#[test]
fn a_question_taken_back_is_withdrawn() {
    let mut village = agreeable(4);
    let stranger = village.arrive(Journal::New);
    let question = village.sponsor(1, stranger);
    village.pass(20);
    village.ledger(1).withdraw(question).expect("its own");
    assert!(village.pass_until(260, |v| v.height(0) == Height(1)));
    assert_eq!(village.outcome(3, question), Some(Outcome::Withdrawn));
    assert!(!village.members(0).contains(&id(stranger)));
}

#[test]
fn a_removal_a_leave_and_new_rules_are_carried_out() {
    let mut village = agreeable(7);
    let remove = village.propose(0, Ask::Remove { subject: id(6), reports: Vec::new() });
    let amend = village.propose(1, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    village.ledger(5).leave().expect("it may");
    assert!(village.pass_until(260, |v| v.height(0) == Height(1)));
    assert_eq!((village.outcome(2, remove), village.outcome(2, amend)), (Some(Outcome::Passed), Some(Outcome::Passed)));
    let mut left: Vec<_> = (0..5).map(id).collect();
    left.sort();
    assert_eq!(village.members(3), left);
    assert_eq!(village.ledger(4).rules().witnesses, 5);
    assert_eq!(village.height(6), Height(1), "who is out sees it too");
}

#[test]
fn rounds_go_on_when_the_sealer_is_away() {
    let mut village = agreeable(4);
    let stranger = village.arrive(Journal::New);
    village.sponsor(0, stranger);
    village.pass(160);
    // Whoever seals first: one of four may always be away.
    for away in 0..4 {
        let mut village = agreeable(4);
        let stranger = village.arrive(Journal::New);
        village.sponsor(0, stranger);
        village.pass(160);
        village.crash(away);
        let up = if away == 0 { 1 } else { 0 };
        assert!(village.pass_until(120, |v| v.height(up) == Height(1)), "{away} is away: {:?}", village.heights());
        village.restart(away);
        village.pass(8);
        assert_eq!(village.height(away), Height(1), "it catches up");
        village.assert_one_story();
    }
}

#[test]
fn three_absent_of_seven_stop_the_round_and_their_return_lets_it_go_on() {
    let mut village = agreeable(7);
    let stranger = village.arrive(Journal::New);
    village.sponsor(0, stranger);
    village.pass(100);
    [4, 5, 6].into_iter().for_each(|at| village.crash(at));
    village.pass(400);
    assert_eq!(village.height(0), Height(0));
    village.restart(5);
    assert!(village.pass_until(600, |v| v.height(0) == Height(1)), "{:?}", village.ledger(0));
    village.assert_one_story();
}

#[test]
fn a_late_joiner_follows_every_height() {
    let mut village = agreeable(4);
    for week in 0..5 {
        let subject = Ask::Amend(Rules { witnesses: 2 + week, ..rules() });
        village.propose(usize::from(week) % 4, subject);
        assert!(village.pass_until(260, |v| v.height(0) == Height(u64::from(week) + 1)));
    }
    let late = village.arrive(Journal::New);
    village.link(late, 2);
    village.pass(1);
    assert_eq!(village.height(late), Height(5));
    assert_eq!(village.ledger(late).rules().witnesses, 6);
}
