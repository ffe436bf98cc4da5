//! The way in: an invitation, a story that is checked, a vote, a guest's rights, membership.

use interbot::ledger::Answer;
use interbot::node::JoinState;

use crate::town::Town;

#[test]
fn an_invited_bot_reads_the_story_is_asked_for_becomes_a_guest_and_a_member() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let newcomer = town.invited(&invitation);
    town.run(40);
    println!("{:#?}", town.states(newcomer));
    println!("{:?}", town.bots[newcomer].events);
    assert!(town.run_until(400, |town| (0..5).all(|at| town.is_member(at, 4))), "{:?}", town.states(newcomer));
    assert_eq!(town.states(newcomer).last(), Some(&JoinState::Member));
    town.run(5);
    println!("{:?}", town.node(newcomer).links().collect::<Vec<_>>());
}
