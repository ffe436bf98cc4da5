//! What a member promises while a round is sealed.

use alloc::vec::Vec;

use super::*;
use crate::crypto::{Crypto, Pure};
use crate::identity::CommunityId;

const A: HeaderId = HeaderId([1; 32]);
const B: HeaderId = HeaderId([2; 32]);

fn proof(view: View, header: HeaderId) -> AckProof {
    let town = Town::village(4);
    AckProof::new(view, header, &town.roster, 3, [1, 2, 3].map(|seed| (key(seed), [0; 64]))).expect("a quorum")
}

#[test]
fn a_member_acks_one_header_a_view_and_only_in_its_view() {
    let mut voter = Voter::new();
    assert_eq!(voter.ack(View(1), A, &Open::FIRST), None, "not its view");
    assert_eq!(voter.ack(View(0), A, &Open::FIRST), Some(Body::Ack { view: View(0), header: A }));
    assert!(voter.has_acked());
    assert_eq!((voter.ack(View(0), B, &Open::FIRST), voter.ack(View(0), A, &Open::FIRST)), (None, None));
    assert_eq!(voter.enter(View(2)), Some(Body::Status { view: View(2), locked: None }));
    assert_eq!((voter.enter(View(2)), voter.enter(View(1))), (None, None), "views only grow");
    assert_eq!(voter.ack(View(2), B, &Open::FIRST), None, "view 0 leaves nothing open in view 2");
    let open = Open::after(View(2), [None, None, None], 3).expect("a quorum");
    assert_eq!(voter.ack(View(2), B, &open), Some(Body::Ack { view: View(2), header: B }));
}

#[test]
fn a_commit_is_told_in_every_later_view() {
    let mut voter = Voter::new();
    assert_eq!(voter.commit(&proof(View(1), A)), None, "not its view");
    assert_eq!(voter.commit(&proof(View(0), A)), Some(Body::Commit { view: View(0), header: A }));
    assert_eq!(voter.commit(&proof(View(0), B)), None, "once a view");
    let locked = Some((View(0), A));
    assert_eq!(voter.enter(View(1)), Some(Body::Status { view: View(1), locked }));
    assert_eq!(voter.enter(View(5)), Some(Body::Status { view: View(5), locked }));
    assert_eq!(voter.commit(&proof(View(5), B)), Some(Body::Commit { view: View(5), header: B }));
    assert_eq!(voter.locked(), Some((View(5), B)));
}

#[test]
fn the_latest_lock_forces_what_may_be_offered() {
    let (early, late) = (Some((View(0), A)), Some((View(2), B)));
    let open = |locks: &[Option<(View, HeaderId)>]| Open::after(View(3), locks.iter().copied(), 3);
    assert_eq!(open(&[None, None]), None, "no quorum");
    assert_eq!(open(&[None, early, None]).and_then(|open| open.forced()), Some(A));
    assert_eq!(open(&[late, early, None]).and_then(|open| open.forced()), Some(B));
    assert_eq!(Open::after(View(0), [None; 3], 3), None, "view 0 needs no reason");
    let mut sealer = Voter::new();
    let _ = sealer.enter(View(3));
    let forced = open(&[late, early, None]).expect("a quorum");
    assert_eq!(sealer.seal(A, &forced), None);
    assert_eq!(sealer.seal(B, &forced), Some(Body::Seal { view: View(3), header: B }));
    assert_eq!(sealer.seal(B, &forced), None, "one offer a view");
}

#[test]
fn promises_are_kept_across_a_restart() {
    let mut voter = Voter::new();
    let mut all = [voter].to_vec();
    let _ = voter.seal(A, &Open::FIRST);
    all.push(voter);
    let _ = voter.ack(View(0), A, &Open::FIRST);
    all.push(voter);
    let _ = voter.commit(&proof(View(0), A));
    all.push(voter);
    let _ = voter.enter(View(7));
    all.push(voter);
    for voter in all {
        let bytes = voter.to_bytes();
        assert_eq!(Voter::from_bytes(&bytes), Some(voter));
        assert!((0..bytes.len()).all(|cut| Voter::from_bytes(&bytes[..cut]).is_none()));
        assert_eq!(Voter::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }
    let mut future = voter.to_bytes();
    future[..4].fill(0);
    future[8] = 1;
    assert_eq!(Voter::from_bytes(&future), None, "locked in a view that has not come");
    let mut flags = Voter::new().to_bytes();
    flags[4] = 8;
    assert_eq!(Voter::from_bytes(&flags), None);
}

#[test]
fn a_proof_of_acks_is_a_quorum_of_active_members_that_signed() {
    let community = CommunityId::from_name("proofs");
    let town = Town::village(5).with(5, |member| member.standing = Standing::Dormant);
    let place = Place { height: HERE, header: HeaderId([9; 32]) };
    let ack = |seed: u8, view| {
        let body = Body::Ack { view, header: A };
        let statement =
            Statement::new(&community, key(seed), place, body, &*Pure.signer(&[seed; 32])).expect("it fits");
        (key(seed), statement.signature())
    };
    let made = |acks: &[(BotId, [u8; 64])]| AckProof::new(View(1), A, &town.roster, 3, acks.iter().copied());
    let genuine = |proof: &AckProof| proof.is_genuine(&community, &place, &town.roster, 3, &Pure);
    let good: Vec<_> = [1, 2, 3].map(|seed| ack(seed, View(1))).into();
    assert!(made(&good).is_some_and(|proof| genuine(&proof)));
    assert_eq!(made(&good[..2]), None);
    assert_eq!(
        made(&[good[0], good[1], good[1], ack(5, View(1)), ack(60, View(1))]),
        None,
        "doubles, sleepers, strangers"
    );
    let of_another_view = [good[0], good[1], ack(3, View(2))];
    assert!(made(&of_another_view).is_some_and(|proof| !genuine(&proof)));
    let elsewhere = Place { height: Height(6), ..place };
    assert!(made(&good).is_some_and(|proof| !proof.is_genuine(&community, &elsewhere, &town.roster, 3, &Pure)));
    assert!(made(&good).is_some_and(|proof| !proof.is_genuine(&community, &place, &Town::village(4).roster, 3, &Pure)));
}

#[test]
fn sealers_are_drawn_among_the_unstruck_in_even_views_and_among_all_in_odd_ones() {
    let town = Town::village(8).with(3, |member| member.standing = Standing::Dormant);
    let struck =
        (1..=8).filter(|seed| *seed != 5).fold(town, |town, seed| town.with(seed, |member| member.strikes = 1));
    let sealers = |parity: u32| -> Vec<BotId> {
        (0..400).filter_map(|view| sealer(A, View(2 * view + parity), &struck.roster)).collect()
    };
    assert!(sealers(0).iter().all(|sealer| *sealer == key(5)));
    let odd = sealers(1);
    for seed in [1, 2, 4, 5, 6, 7, 8] {
        let times = odd.iter().filter(|sealer| **sealer == key(seed)).count();
        assert!((25..100).contains(&times), "member {seed} was drawn {times} times of 400");
    }
    assert!(!odd.contains(&key(3)), "who sleeps does not seal");
    assert_eq!(sealer(A, View(0), &Roster::default()), None);
}

#[test]
fn views_last_six_units_doubling_to_192() {
    let rules = Rules::preset(Preset::Village);
    let hours = |view| view_time_ms(&rules, View(view)) / 3_600_000;
    assert_eq!([0, 1, 2, 3, 4, 5, 6, 1000].map(hours), [6, 12, 24, 48, 96, 192, 192, 192]);
}
