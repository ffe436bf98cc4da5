//! Clocks that are off, and clocks that are set.

use interbot::ledger::{Certificate, Height, View, sealer, view_time_ms};

use crate::village::{Dice, Village, agreeable, amend, id, rules};

fn opened_at(village: &mut Village, height: u64) -> u64 {
    let bytes = village.ledger(0).certificate(Height(height)).expect("it has one").clone();
    Certificate::from_bytes(&bytes).expect("a certificate").header.opened_at.0
}

fn everybody_at(village: &Village, height: u64) -> bool {
    village.heights().iter().all(|at| *at == height)
}

const HOUR: i64 = 3_600_000;

#[test]
fn inv34_a_round_is_over_within_its_window_the_grace_and_three_views() {
    for seed in 0..12 {
        let mut dice = Dice::new(seed);
        let members = 1 + dice.at(10);
        let mut village = agreeable(members);
        for at in 0..members {
            village.bots[at].skew = dice.below(HOUR as u64) as i64 - HOUR / 2;
        }
        // As many as the quorum bears are away.
        let faults = members.saturating_sub(1) / 3;
        (0..faults).for_each(|_| village.crash(1 + dice.at(members - 1)));
        let views: u64 = (0..3).map(|view| view_time_ms(&rules(), View(view)) / village.unit()).sum();
        for round in 1..=3 {
            let before = village.now;
            amend(&mut village, 0, 3 + round);
            let most = 168 + 12 + views + 3;
            assert!(
                village.pass_until(most, |v| everybody_at(v, round.into())),
                "seed {seed}, {members} members, round {round}: {:?}",
                village.heights()
            );
            assert!(village.now - before >= 168 * village.unit());
        }
        village.assert_one_story();
    }
}

#[test]
fn clocks_three_days_off_on_either_side_are_borne() {
    for seed in 0..10 {
        let mut dice = Dice::new(seed);
        let members = 4 + dice.at(4);
        let mut village = agreeable(members);
        for at in 0..members {
            village.bots[at].skew = dice.below(145) as i64 * HOUR - 72 * HOUR;
        }
        for round in 1..=3 {
            let asker = dice.at(members);
            amend(&mut village, asker, 3 + round);
            assert!(
                village.pass_until(168 + 500, |v| everybody_at(v, round.into())),
                "seed {seed}, {members} members, round {round}: {:?}",
                village.heights()
            );
        }
        village.assert_one_story();
        let ledger = village.ledger(0);
        assert!(ledger.roster().members().iter().all(|member| member.is_active()), "seed {seed}");
    }
}

#[test]
fn a_clock_set_back_or_ahead_by_weeks_in_mid_round_stops_nothing() {
    for (weeks, members) in [(-3, 4), (3, 4), (-3, 7), (3, 7)] {
        let mut village = agreeable(members);
        let asked = amend(&mut village, 0, 5);
        village.pass(100);
        village.bots[1].skew = weeks * 168 * HOUR;
        assert!(
            village.pass_until(200, |v| v.height(0) == Height(1)),
            "{weeks} weeks of {members}: {:?}",
            village.heights()
        );
        village.pass(4);
        assert!(everybody_at(&village, 1));
        assert!(village.outcome(1, asked).is_some());
        let age = (village.now - crate::village::DAWN) / village.unit();
        assert!(age >= 168, "no vote was cut short: {age}");
        // It is set right again; the next round is like any other.
        village.bots[1].skew = 0;
        let asked = amend(&mut village, 1, 6);
        assert!(village.pass_until(300, |v| everybody_at(v, 2)), "{:?}", village.heights());
        assert!(village.outcome(0, asked).is_some());
        (0..members).for_each(|at| village.assert_honest(at));
    }
}

#[test]
fn of_one_a_clock_set_ahead_costs_at_most_a_window() {
    let mut village = agreeable(1);
    amend(&mut village, 0, 5);
    village.bots[0].skew = 100 * 168 * HOUR;
    village.pass(1);
    assert_eq!(village.heights(), [0], "a week of it counts");
    assert!(village.pass_until(14, |v| everybody_at(v, 1)));
}

/// A village of four whose first sealer's clock is so many hours ahead, and that sealer.
fn sealer_ahead(hours: i64) -> (Village, usize) {
    let mut village = agreeable(4);
    let chain = village.ledger(0).chain().clone();
    let first = sealer(chain.place().header, View(0), chain.roster()).expect("somebody seals");
    let at = (0..4).find(|at| id(*at) == first).expect("a member");
    village.bots[at].skew = hours * HOUR;
    amend(&mut village, (at + 1) % 4, 5);
    (village, at)
}

#[test]
fn inv28_a_sealer_three_days_ahead_is_believed() {
    let (mut village, _) = sealer_ahead(72);
    assert!(village.pass_until(200, |v| everybody_at(v, 1)), "{:?}", village.heights());
    village.assert_one_story();
}

#[test]
fn inv28_a_sealer_a_week_ahead_is_passed_over() {
    let (mut village, ahead) = sealer_ahead(168);
    assert!(village.pass_until(250, |v| everybody_at(v, 1)), "{:?}", village.heights());
    let opened = opened_at(&mut village, 1);
    assert!(opened <= village.now + 145 * village.unit(), "the next round begins when most say so");
    assert!(opened >= crate::village::DAWN + 168 * village.unit());
    village.bots[ahead].skew = 0;
    amend(&mut village, 0, 6);
    assert!(village.pass_until(400, |v| everybody_at(v, 2)));
    assert!(opened_at(&mut village, 2) >= opened + 168 * village.unit());
}
