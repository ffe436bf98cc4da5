//! Members of a town: votes, removals, leaving, silence, records.

use interbot::ledger::{Answer, Ask, Journal, LedgerEvent, Outcome};
use interbot::link::{CloseReason, Code};
use interbot::node::{Config, DialError, Event};

use crate::town::{Town, id};

const ROUND: u64 = 400;

#[test]
fn a_removed_member_loses_its_links_and_nobody_hears_it_any_more() {
    let mut town = Town::found(5);
    town.everybody_says(Answer::Yes);
    town.bots[4].habit = Some(Answer::No);
    town.do_at(1, |node, now| node.propose(now, Ask::Remove { subject: id(4), reports: Vec::new() }, &b"spam"[..]))
        .expect("a member asks");
    assert!(town.run_until(ROUND, |town| !town.is_member(0, 4)));
    town.run(5);
    assert!(town.node(0).links().all(|link| link.peer != Some(id(4))));
    assert_eq!(town.node(4).links().count(), 0);
    let reason = |event: &Event| {
        matches!(
            event,
            Event::Closed {
                reason: CloseReason::Here(Code::UnknownMember) | CloseReason::Peer { code: Code::UnknownMember, .. },
                ..
            }
        )
    };
    assert!(town.bots[4].events.iter().any(reason), "{:?}", town.bots[4].events.last());
    let refused = town.do_at(0, |node, now| node.dial(now, id(4), "bot4.example:7000"));
    assert_eq!(refused, Err(DialError::NotAMember(id(4))));
    // It sees that it is out: it followed the height that says so.
    let departed = |event: &Event| match event {
        Event::Ledger(event) => matches!(&**event, LedgerEvent::Height { departed, .. } if departed.contains(&id(4))),
        _ => false,
    };
    assert!(town.bots[4].events.iter().any(departed));
}

#[test]
fn a_removed_member_that_did_not_see_the_commits_is_told_before_its_links_close() {
    let mut town = Town::found(5);
    town.everybody_says(Answer::Yes);
    town.do_at(1, |node, now| node.propose(now, Ask::Remove { subject: id(4), reports: Vec::new() }, &b"spam"[..]))
        .expect("a member asks");
    town.run(100);
    // Without its own Commit, what it hears of the others' is one short.
    town.bots[4].slow_disk = true;
    assert!(town.run_until(ROUND, |town| !town.is_member(0, 4)));
    assert_eq!((town.height(0), town.height(4)), (1, 1));
    assert_eq!(town.node(4).links().count(), 0);
}

#[test]
fn a_member_leaves_when_the_next_height_says_so() {
    let mut town = Town::found(5);
    town.do_at(4, |node, now| node.leave(now)).expect("a member leaves");
    assert!(town.run_until(ROUND, |town| (0..5).all(|at| !town.is_member(at, 4))));
    assert_eq!(town.node(4).links().count(), 0);
}

#[test]
fn nothing_is_said_before_it_is_durable() {
    let mut town = Town::found(4);
    town.amend(0, 2);
    let question = town.questions(3)[0];
    town.bots[3].slow_disk = true;
    town.do_at(3, |node, now| node.vote(now, question, Some(Answer::Yes))).expect("a member votes");
    let is_counted = |town: &mut Town| town.voted(3, question, Answer::Yes);
    town.run(5);
    assert!(!is_counted(&mut town), "the disk has not said so");
    town.crash(3);
    town.bots[3].slow_disk = false;
    town.restart(3);
    town.dial(3, 0);
    town.run(5);
    // What was not durable was never said; the owner is asked again.
    assert_eq!(town.node(3).ledger().and_then(|ledger| ledger.answer(&question)), None);
    town.do_at(3, |node, now| node.vote(now, question, Some(Answer::Yes))).expect("a member votes");
    town.run(5);
    assert!(is_counted(&mut town));
    town.crash(3);
    town.restart(3);
    assert_eq!(town.node(3).ledger().and_then(|ledger| ledger.answer(&question)), Some(Answer::Yes));
}

#[test]
fn a_bot_that_slept_through_heights_catches_up_from_its_records() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    town.crash(3);
    for (at, witnesses) in [(0, 1), (1, 2), (2, 3)] {
        town.amend(at, witnesses);
        let height = town.height(0) + 1;
        assert!(town.run_until(ROUND, |town| town.height(0) == height));
    }
    town.restart(3);
    town.dial(3, 0);
    town.run(2);
    assert_eq!((town.height(3), town.height(0)), (3, 3));
    let here = |town: &mut Town, at: usize| town.node(at).ledger().map(|ledger| ledger.place());
    assert_eq!(here(&mut town, 3), here(&mut town, 0));
}

#[test]
fn a_founder_that_lost_its_records_comes_back_with_the_genesis() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    town.amend(1, 2);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    town.crash(3);
    town.bots[3].disk.clear();
    let (genesis, wall) = (town.genesis.clone(), town.wall());
    town.restart_with(3, Config::founded(genesis, Journal::Lost, wall));
    town.dial(3, 0);
    town.run(5);
    assert_eq!(town.height(3), 1);
    town.amend(3, 1);
    assert!(town.run_until(ROUND, |town| (0..4).all(|at| town.height(at) == 2)));
}

#[test]
fn i18_members_that_dial_a_silent_one_in_vain_ask_for_its_removal() {
    let mut town = Town::found(5);
    // Everybody dials the one that will be silent.
    for at in 0..4 {
        town.dial(at, 4);
    }
    town.crash(4);
    let is_asked = |town: &mut Town| {
        let asks =
            |ask: &Ask| matches!(ask, Ask::Remove { subject, reports } if *subject == id(4) && reports.len() >= 3);
        town.node(0).ledger().expect("it has one").questions().iter().any(|question| asks(&question.ask))
    };
    assert!(town.run_until(3_000, is_asked));
    let count = town.questions(0).len();
    assert_eq!(count, 1, "one request, however many saw it");
}

#[test]
fn every_decision_explains_itself_and_its_proof_holds_offline() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    town.bots[3].habit = Some(Answer::No);
    let question = town.amend(0, 2);
    assert!(town.run_until(ROUND, |town| (0..4).all(|at| town.height(at) == 1)));
    let (proof, explanation) = town.node(2).ledger().expect("it has one").explain(&question).expect("it was there");
    assert_eq!(explanation.decision.outcome, Outcome::Passed);
    let words = explanation.to_string();
    for name in [id(0), id(3)].map(|id| id.short().to_string()) {
        assert!(words.contains(&name), "{words}");
    }
    let bytes = proof.to_bytes().into();
    let community = town.community();
    let read = interbot::ledger::Proof::from_bytes(&community, &bytes).expect("its own bytes");
    assert_eq!(read.verify_from_genesis(&town.genesis, &[], &interbot::crypto::Pure), Ok(explanation));
    // It is kept.
    town.crash(2);
    town.restart(2);
    assert!(town.node(2).ledger().expect("it has one").explain(&question).is_ok());
    // Who was not there says so.
    let invitation = town.invite(0);
    town.everybody_says(Answer::Yes);
    let late = town.invited(&invitation);
    assert!(town.run_until(ROUND, |town| town.is_member(late, late)));
    let error = town.node(late).ledger().expect("it has one").explain(&question).expect_err("it was not there");
    assert!(error.to_string().starts_with("height 1 decided it"), "{error}");
}

#[test]
fn a_guest_whose_rights_are_revoked_is_out_at_once() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let guest = town.invited(&invitation);
    town.run(10);
    assert!(town.node(0).links().any(|link| link.peer == Some(id(guest)) && link.open_since.is_some()));
    town.do_at(1, |node, now| node.propose(now, Ask::Revoke { subject: id(guest) }, &b"a mistake"[..])).expect("asked");
    town.run(10);
    town.do_at(guest, |node, now| node.publish(now, b"still here").expect("it does not know yet"));
    town.run(5);
    assert!((0..4).all(|at| !town.heard(at, b"still here")));
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    assert!(!town.is_member(0, guest));
}
