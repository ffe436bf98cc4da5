//! The way in: an invitation, a story that is checked, a vote, a guest's rights, membership.

use std::time::Duration;

use interbot::ledger::{Answer, Ask, Invitation, Journal, Outcome, WishError};
use interbot::link::{CloseReason, Code};
use interbot::node::{Config, Event, InviteWishError, JoinState, RestoreError};

use crate::town::{Town, id};

/// Longer than a window and everything that follows it.
const ROUND: u64 = 400;

fn joins(town: &mut Town, at: usize) {
    let everybody: Vec<usize> = (0..town.bots.len()).collect();
    let is_in = |town: &mut Town| everybody.iter().all(|other| town.is_member(*other, at));
    assert!(town.run_until(ROUND, is_in), "{:?}", town.states(at));
    assert_eq!(town.states(at).last(), Some(&JoinState::Member));
}

#[test]
fn i3_an_invited_bot_reads_the_story_is_asked_for_becomes_a_guest_and_a_member() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let newcomer = town.invited(&invitation);
    town.run(5);
    let names: Vec<&str> = town.states(newcomer).iter().map(JoinState::name).collect();
    assert_eq!((names.first(), names.last()), (Some(&"dialling"), Some(&"guest")), "{names:?}");
    let JoinState::Asked { unheard, .. } = &town.states(newcomer)[2] else { panic!("{names:?}") };
    // All others but the sponsor.
    assert_eq!(unheard.len(), 3);
    // A guest is heard, and does not vote.
    town.do_at(newcomer, |node, now| node.publish(now, b"hello from a guest").expect("a guest posts"));
    assert!((0..4).all(|at| town.heard(at, b"hello from a guest")), "everybody takes a guest's post");
    let question = town.questions(newcomer)[0];
    let vote = town.do_at(newcomer, |node, now| node.vote(now, question, Some(Answer::Yes)));
    assert_eq!(vote, Err(WishError::NotAMember));
    joins(&mut town, newcomer);
    assert_eq!(town.node(newcomer).join_state(), None);
    // Active at once: it was there in its week.
    let ledger = town.node(0).ledger().expect("a member has one");
    assert!(ledger.roster().get_active(&id(newcomer)).is_some());
}

#[test]
fn one_founder_lets_three_in_at_once_and_they_let_in_one_each() {
    let mut town = Town::found(1);
    town.everybody_says(Answer::Yes);
    for _ in 0..3 {
        let invitation = town.invite(0);
        town.invited(&invitation);
    }
    town.everybody_says(Answer::Yes);
    assert!(town.run_until(ROUND, |town| (0..4).all(|at| (0..4).all(|who| town.is_member(at, who)))));
    assert_eq!(town.height(0), 1, "one round was enough");
    // Of two who come to one sponsor of four, the second waits for the next height.
    let (first, second) = (town.invite(0), town.invite(0));
    let first = town.invited(&first);
    let second = town.invited(&second);
    town.everybody_says(Answer::Yes);
    town.run(5);
    assert!(matches!(town.states(first).last(), Some(JoinState::Guest { .. })));
    assert_eq!(town.states(second).last(), Some(&JoinState::WaitsForSponsor));
    joins(&mut town, first);
    joins(&mut town, second);
}

#[test]
fn an_invitation_is_good_once_and_who_comes_second_is_shown_to_the_owner() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(1);
    let first = town.invited(&invitation);
    town.run(3);
    assert!(matches!(town.states(first).last(), Some(JoinState::Guest { .. })));
    let second = town.invited(&invitation);
    town.run(3);
    assert_eq!(town.states(second).last(), Some(&JoinState::WaitsForSponsor));
    let words = |event: &Event| matches!(event, Event::Applied { applicant, words } if *applicant == id(second) && **words == *b"let me in");
    assert_eq!(town.bots[1].events.iter().filter(|event| words(event)).count(), 1);
    // The slot of this height is taken; after the next one the owner speaks for it.
    let refused = town.do_at(1, |node, now| node.sponsor(now, id(second), &b"I know it"[..]));
    assert_eq!(refused, Err(WishError::NoSlot));
    joins(&mut town, first);
    assert_eq!(town.node(1).applicants().count(), 1);
    town.do_at(1, |node, now| node.sponsor(now, id(second), &b"I know it"[..])).expect("a free slot");
    joins(&mut town, second);
    // Nobody else waits.
    let nobody = town.do_at(1, |node, now| node.sponsor(now, id(second), &b""[..]));
    assert_eq!(nobody, Err(WishError::NoSuchApplicant(id(second))));
}

#[test]
fn whom_the_owner_declines_hears_it_and_is_not_shown_again() {
    let mut town = Town::found(4);
    let invitation = town.invite(1);
    town.invited(&invitation);
    let second = town.invited(&invitation);
    town.run(3);
    town.do_at(1, |node, now| node.dismiss(now, id(second)));
    town.run(30);
    assert_eq!(town.states(second).last(), Some(&JoinState::Declined));
    assert_eq!(town.node(second).links().count(), 0, "it gave up");
    let shown = |event: &Event| matches!(event, Event::Applied { applicant, .. } if *applicant == id(second));
    assert_eq!(town.bots[1].events.iter().filter(|event| shown(event)).count(), 1);
}

#[test]
fn a_bot_that_the_members_refuse_is_told_the_outcome_and_may_be_invited_again() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::No);
    let invitation = town.invite(2);
    let newcomer = town.invited(&invitation);
    let is_over = |town: &mut Town| matches!(town.states(newcomer).last(), Some(JoinState::Refused { .. }));
    assert!(town.run_until(ROUND, is_over), "{:?}", town.states(newcomer));
    assert_eq!(town.states(newcomer).last(), Some(&JoinState::Refused { outcome: Outcome::Refused }));
    town.run(30);
    assert_eq!(town.node(newcomer).links().count(), 0, "it does not come again by itself");
    let again = town.invite(2);
    let wall = town.wall();
    town.crash(newcomer);
    town.everybody_says(Answer::Yes);
    town.restart_with(newcomer, Config::invited(again, &b"I am nicer now"[..], wall));
    joins(&mut town, newcomer);
}

#[test]
fn an_applicant_and_its_sponsor_may_die_at_any_time() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let newcomer = town.invited(&invitation);
    for step in 0..6 {
        town.run(step);
        let dies = if step % 2 == 0 { newcomer } else { 0 };
        town.crash(dies);
        town.run(20);
        town.restart(dies);
        for at in 1..4 {
            if town.node(at).links().all(|link| link.peer != Some(id(0))) {
                town.dial(at, 0);
            }
        }
    }
    joins(&mut town, newcomer);
}

#[test]
fn a_story_without_the_checkpoint_is_not_believed() {
    let mut town = Town::found(4);
    let other = {
        let mut other = Town::found(4);
        other.everybody_says(Answer::Yes);
        other.amend(1, 2);
        assert!(other.run_until(ROUND, |town| town.height(0) == 1));
        other.invite(0)
    };
    // The same founding, so that only the checkpoint tells the two apart.
    town.everybody_says(Answer::Yes);
    town.amend(1, 1);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    let newcomer = town.invited(&other);
    town.run(5);
    assert_eq!(town.states(newcomer).last(), Some(&JoinState::OtherStory));
    assert_eq!(town.node(newcomer).links().count(), 0);
}

#[test]
fn who_hears_no_witness_is_no_guest_and_no_member_until_its_owner_compares() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    // One of the three witnesses is away all the time; three of four are enough for everything else.
    town.crash(3);
    let newcomer = town.invited(&invitation);
    town.run(60);
    let Some(JoinState::Asked { unheard, .. }) = town.states(newcomer).last().cloned() else {
        panic!("{:?}", town.states(newcomer))
    };
    assert_eq!(unheard, [id(3)]);
    assert!(town.run_until(ROUND, |town| town.is_member(0, newcomer)));
    assert!(town.run_until(60, |town| matches!(town.states(newcomer).last(), Some(JoinState::Unverified { .. }))));
    let is_member_link =
        |town: &mut Town| town.node(0).links().any(|link| link.peer == Some(id(newcomer)) && link.open_since.is_some());
    town.run(60);
    town.do_at(newcomer, |node, now| node.trust_story(now));
    assert_eq!(town.states(newcomer).last(), Some(&JoinState::Member));
    assert!(town.run_until(60, is_member_link));
}

#[test]
fn invitations_are_made_by_members_only_and_end() {
    let mut town = Town::found(4);
    let invitation = town.invite(0);
    let newcomer = town.invited(&invitation);
    town.run(2);
    let refused = town.do_at(newcomer, |node, now| node.invite(now, "x:1", None, Duration::from_secs(60)).map(|_| ()));
    assert_eq!(refused, Err(InviteWishError::NotAMember));
    let short = town.do_at(1, |node, now| node.invite(now, "bot1.example:7000", None, Duration::from_secs(60)));
    let short: Invitation = short.expect("a member invites");
    town.run(150);
    let late = town.invited(&short);
    town.run(3);
    assert_eq!(town.states(late).last(), Some(&JoinState::WaitsForSponsor), "it is over: the owner is asked");
}

#[test]
fn a_bot_without_a_ledger_takes_no_applicant() {
    let mut town = Town::found(4);
    let invitation = town.invite(0);
    town.crash(0);
    // The same key, with a fixed list in place of its ledger.
    town.bots[0].disk.clear();
    let list = Config::new(town.community(), (0..4).map(id));
    town.restart_with(0, list);
    let newcomer = town.invited(&invitation);
    town.run(3);
    let refused = |event: &Event| {
        matches!(event, Event::Closed { reason: CloseReason::Peer { code: Code::UnknownMember, .. }, .. })
    };
    assert!(town.bots[newcomer].events.iter().any(refused));
    assert_eq!(town.states(newcomer), [JoinState::Dialling]);
}

#[test]
fn records_of_another_community_and_none_at_all_are_refused() {
    let mut town = Town::found(1);
    town.crash(0);
    let wall = town.wall();
    let other = interbot::CommunityId::from_name("another");
    assert_eq!(town.try_restart(0, Config::remembered(other, wall)), Err(RestoreError::OtherCommunity));
    town.bots[0].disk.clear();
    let community = town.community();
    assert_eq!(town.try_restart(0, Config::remembered(community, wall)), Err(RestoreError::NoLedger));
    // Who starts it as one that never had records gets a bot without anybody.
    let nobody = town.start(Config::remembered(community, wall));
    assert!(town.node(nobody).ledger().is_none());
    let genesis = town.genesis.clone();
    assert_eq!(town.try_restart(0, Config::founded(genesis, Journal::Lost, wall)), Ok(()));
    assert_eq!(town.height(0), 0);
    // A founder without records cannot know what it promised; alone it has nobody to ask, and goes on.
    let asked = town.do_at(0, |node, now| node.propose(now, Ask::Revoke { subject: id(5) }, &b""[..]));
    assert!(asked.is_ok());
}
