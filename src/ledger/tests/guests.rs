//! Guests: in at once, out at once, and out wins.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::crypto::{Crypto, Pure};
use crate::identity::CommunityId;

const APPLICATION: StatementId = StatementId([1; 32]);

fn say(seed: u8, body: Body) -> Statement {
    let place = Place { height: HERE, header: HeaderId([9; 32]) };
    Statement::new(&CommunityId::from_name("guests"), key(seed), place, body, &*Pure.signer(&[seed; 32]))
        .expect("it fits")
}

fn votes(answer: Answer, seeds: core::ops::RangeInclusive<u8>) -> Vec<Statement> {
    let ballot = || Ballot { number: 1, answers: [(APPLICATION, answer)].into() };
    seeds.map(|seed| say(seed, Body::Ballot(ballot()))).collect()
}

fn support(statements: &[Statement]) -> Support {
    let mut support = Support::default();
    statements.iter().for_each(|statement| support.count(&APPLICATION, statement));
    support
}

#[test]
fn a_quorum_of_yes_lets_a_guest_in_and_a_replaced_ballot_does_not_undo_it() {
    let town = Town::village(4);
    let (two, three) = (support(&votes(Answer::Yes, 1..=2)), support(&votes(Answer::Yes, 1..=3)));
    assert!(!two.has_quorum(&town.roster, &town.rules) && three.has_quorum(&town.roster, &town.rules));
    let mut changed = votes(Answer::Yes, 1..=3);
    changed.extend(votes(Answer::No, 1..=3));
    assert!(support(&changed).has_quorum(&town.roster, &town.rules));
    assert!(!support(&votes(Answer::Yes, 50..=60)).has_quorum(&town.roster, &town.rules), "strangers");
    assert!(!support(&votes(Answer::Abstain, 1..=4)).has_quorum(&town.roster, &town.rules));
    // Of four active members with one asleep among the five, three are a quorum still, and the sleeper's YES is none.
    let asleep = Town::village(5).with(3, |member| member.standing = Standing::Dormant);
    assert!(!three.has_quorum(&asleep.roster, &asleep.rules));
}

#[test]
fn i17_x_percent_by_hand_and_n_members_without_strikes() {
    let endorse = |seed, number, on| say(seed, Body::Endorse { proposal: APPLICATION, number, on });
    let town = Town::village(4);
    let endorsed = |town: &Town, said: &[Statement]| support(said).is_endorsed(&town.roster, &town.rules);
    let two = [endorse(1, 1, true), endorse(2, 1, true)];
    let three = [two[0].clone(), two[1].clone(), endorse(3, 1, true)];
    // 51 % of four are three; two are 50 %.
    assert!(!endorsed(&town, &two) && endorsed(&town, &three));
    let mut taken_back = three.to_vec();
    taken_back.extend([endorse(3, 2, false), endorse(3, 1, true)]);
    assert!(!endorsed(&town, &taken_back), "an older word does not come back");
    assert_eq!(support(&taken_back).endorsers(), 2);
    let struck = Town::village(4).with(1, |member| member.strikes = 1).with(2, |member| member.strikes = 1);
    assert!(!endorsed(&struck, &three), "two without strikes, three are needed");
    assert!(!endorsed(&Town::village(2), &two), "n < N switches it off");
    let ballots = votes(Answer::Yes, 1..=4);
    assert!(!endorsed(&town, &ballots), "a vote is no endorsement");
}

#[derive(Clone, Copy, Debug)]
enum Came {
    Certificate(u8),
    Revocation(u64),
    Outcome(u8),
}

fn any_came() -> impl Strategy<Value = Came> {
    prop_oneof![
        (0_u8..3).prop_map(Came::Certificate),
        (1_u64..5).prop_map(Came::Revocation),
        (0_u8..3).prop_map(Came::Outcome),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inv37_the_end_of_a_guests_rights_wins_in_every_order(mut came in prop::collection::vec(any_came(), 0..8), turn in 0_usize..8) {
        let guests = |came: &[Came]| {
            let mut guests = Guests::default();
            for came in came {
                let name = |n: u8| StatementId([n; 32]);
                match came {
                    // One application has one height.
                    Came::Certificate(n) => guests.admit(key(9), name(*n), Height(u64::from(*n) + 2)),
                    Came::Revocation(height) => guests.revoke(key(9), Height(*height)),
                    Came::Outcome(n) => guests.close(name(*n)),
                }
            }
            guests
        };
        let before = guests(&came);
        let expected = came.iter().any(|one| match one {
            Came::Certificate(n) => {
                !came.iter().any(|other| matches!(other, Came::Outcome(m) if m == n))
                    && !came.iter().any(|other| matches!(other, Came::Revocation(at) if *at >= u64::from(*n) + 2))
            }
            _ => false,
        });
        prop_assert_eq!(before.is_guest(&key(9)), expected);
        prop_assert!(!before.is_guest(&key(8)));
        let by = turn % came.len().max(1);
        came.rotate_left(by);
        came.reverse();
        prop_assert_eq!(guests(&came), before);
    }
}

#[test]
fn what_is_stale_is_forgotten() {
    let mut guests = Guests::default();
    guests.admit(key(9), APPLICATION, Height(3));
    assert!(guests.is_guest(&key(9)));
    guests.forget_below(Height(4));
    assert_eq!(guests, Guests::default());
}
