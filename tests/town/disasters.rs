//! What goes wrong in small communities, and what the owner is told: one, two and three members first of all.

use interbot::ledger::{Answer, Application, Ask, LedgerEvent, Outcome, Rules, WishError};
use interbot::node::Event;

use crate::town::{Town, id, identity};

const ROUND: u64 = 400;

fn health(town: &mut Town, at: usize) -> String {
    town.node(at).ledger().expect("it has one").health().to_string()
}

/// What a question would do, in words.
fn what_if(town: &mut Town, at: usize, ask: &Ask) -> String {
    town.node(at).ledger().expect("it has one").what_if(ask).to_string()
}

fn remove(subject: usize) -> Ask {
    Ask::Remove { subject: id(subject), reports: Vec::new() }
}

/// A new key for a member's lost one.
fn rekey(town: &Town, old: usize, new: usize) -> Ask {
    let (key, community) = (identity(new), town.community());
    let signer = key.signer(&interbot::crypto::Pure);
    Ask::Rekey(Application::new(&community, key.id(), id(old), [9; 16], "lost my disk".into(), &*signer))
}

#[test]
fn of_two_one_away_blocks_everything_and_the_message_names_it() {
    let mut town = Town::found(2);
    town.everybody_says(Answer::Yes);
    town.crash(1);
    town.amend(0, 2);
    town.run(168 + 60);
    assert_eq!(town.height(0), 0);
    let words = health(&mut town, 0);
    let name = id(1).short();
    let expected = format!(
        "blocked: need 2, have 1, waiting for {name}; if that key is lost, the community must be founded again"
    );
    assert_eq!(words, expected);
    // It comes back, and everything goes on.
    town.restart(1);
    town.dial(1, 0);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    assert!(health(&mut town, 0).starts_with("2 of 2 active members are there"));
    // What can never pass is told before it is asked.
    assert!(what_if(&mut town, 0, &remove(1)).contains("cannot be removed"));
}

#[test]
fn a_lost_key_is_replaced_by_the_votes_of_the_others_where_there_are_enough() {
    let mut town = Town::found(3);
    town.everybody_says(Answer::Yes);
    town.crash(2);
    let ask = rekey(&town, 2, 5);
    town.do_at(0, |node, now| node.propose(now, ask, &b"its owner told me"[..])).expect("two can do it");
    assert!(town.run_until(ROUND, |town| town.is_member(0, 5) && town.is_member(1, 5)));
    assert!(!town.is_member(0, 2), "the old key is dead");
    // Of two nobody can: the message says so at once.
    let mut two = Town::found(2);
    let ask = rekey(&two, 1, 5);
    let words = what_if(&mut two, 0, &ask);
    assert!(words.contains("a new key takes 2 yes") && words.contains("founded again"), "{words}");
}

#[test]
fn a_vote_that_would_halt_the_community_is_told_before_it_is_cast() {
    let mut town = Town::found(6);
    town.everybody_says(Answer::Yes);
    // Two have been silent: three more may not go.
    town.crash(4);
    town.crash(5);
    town.amend(0, 2);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    let words = what_if(&mut town, 0, &remove(3));
    assert!(words.contains("nothing could be decided any more after this"), "{words}");
    assert!(words.contains(&id(4).short().to_string()), "{words}");
    // Rules by which everybody must answer.
    let rules = town.node(0).ledger().expect("it has one").rules().clone();
    let all = Ask::Amend(Rules { floor: interbot::ledger::Floor::Respondents(6), ..rules });
    assert!(what_if(&mut town, 0, &all).contains("one silent member stops every decision"));
}

#[test]
fn a_vote_that_is_taken_back_counts_as_an_abstention() {
    let mut town = Town::found(3);
    let question = town.amend(0, 2);
    for at in 0..3 {
        town.do_at(at, |node, now| node.vote(now, question, Some(Answer::Yes))).expect("a member votes");
    }
    town.run(5);
    town.do_at(2, |node, now| node.vote(now, question, None)).expect("it changes its mind");
    town.run(5);
    assert!(!town.voted(2, question, Answer::Yes));
    let taken_back = |event: &Event| match event {
        Event::Ledger(event) => matches!(&**event, LedgerEvent::Voted { answers } if answers.is_empty()),
        _ => false,
    };
    assert!(town.bots[2].events.iter().any(taken_back));
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    let (_, explanation) = town.node(0).ledger().expect("it has one").explain(&question).expect("it was there");
    assert_eq!(explanation.decision.outcome, Outcome::Passed, "two of three are a quorum");
    assert_eq!(explanation.voted(interbot::ledger::Vote::Abstain), [id(2)]);
}

#[test]
fn the_last_member_can_neither_leave_nor_be_removed() {
    let mut town = Town::found(1);
    let refused = town.do_at(0, |node, now| node.leave(now));
    assert_eq!(refused, Err(WishError::LastMember));
    let words = refused.expect_err("it stays").to_string();
    assert!(
        words.contains("the last active member cannot leave") && words.contains("let somebody in first"),
        "{words}"
    );
    assert!(what_if(&mut town, 0, &remove(0)).contains("can neither leave nor be removed"));
    town.everybody_says(Answer::Yes);
    let question = town.do_at(0, |node, now| node.propose(now, remove(0), &b""[..])).expect("it may ask");
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    assert!(town.is_member(0, 0));
    let outcome = town.node(0).ledger().expect("it has one").outcome(&question).map(|(_, outcome)| outcome);
    // Of one no two others can say yes.
    assert_eq!(outcome, Some(Outcome::Refused));
}

#[test]
fn one_decides_alone_two_decide_together_and_of_three_one_may_be_away() {
    let mut one = Town::found(1);
    one.everybody_says(Answer::Yes);
    one.amend(0, 2);
    assert!(one.run_until(ROUND, |town| town.height(0) == 1));

    let mut two = Town::found(2);
    two.bots[0].habit = Some(Answer::Yes);
    let question = two.amend(0, 2);
    assert!(two.run_until(ROUND, |town| town.height(0) == 1 && town.height(1) == 1));
    let outcome = |town: &mut Town| town.node(0).ledger().and_then(|ledger| ledger.outcome(&question));
    assert_eq!(outcome(&mut two).map(|(_, outcome)| outcome), Some(Outcome::Refused), "one of two is no quorum");

    let mut three = Town::found(3);
    three.everybody_says(Answer::Yes);
    three.crash(1);
    three.amend(0, 2);
    assert!(three.run_until(ROUND, |town| town.height(0) == 1 && town.height(2) == 1));
}
