//! Villages that fall apart and grow together again.

use interbot::ledger::{Answer, Ask, Height, LedgerEvent, Outcome, Rules};

use crate::village::{Dice, Village, agreeable, amend, id, rules};

fn range(from: usize, to: usize) -> Vec<usize> {
    (from..to).collect()
}

/// Asks something every week on a side, for so many weeks.
fn weeks(village: &mut Village, weeks: u8, asker: usize) {
    for week in 0..weeks {
        if village
            .ledger(asker)
            .propose(Ask::Amend(Rules { witnesses: 3 + week, ..rules() }), bytes::Bytes::new())
            .is_ok()
        {
            village.pump();
        }
        village.pass(168);
    }
}

/// Members, active members and the strikes of each bot, as the first bot sees them.
fn roster(village: &mut Village) -> (usize, u32, Vec<Option<u8>>) {
    let bots = village.bots.len();
    let ledger = village.ledger(0);
    let strikes = (0..bots).map(|at| ledger.roster().get(&id(at)).map(|member| member.strikes)).collect();
    (ledger.roster().members().len(), ledger.roster().active_len(), strikes)
}

fn everybody_together(village: &Village) -> bool {
    let heights = village.heights();
    heights.iter().all(|height| *height == heights[0])
}

fn departures(village: &Village) -> usize {
    let departed = |event: &LedgerEvent| match event {
        LedgerEvent::Height { departed, .. } => departed.len(),
        _ => 0,
    };
    village.bots[0].events.iter().map(departed).sum()
}

#[test]
fn inv31_sixty_to_forty_freezes_the_membership_and_nobody_is_evicted() {
    for span in [1, 3] {
        let mut village = agreeable(10);
        village.part(&[&range(0, 6), &range(6, 10)]);
        weeks(&mut village, span, 0);
        village.pass(60);
        assert_eq!(village.heights(), [0; 10], "neither side has seven");
        village.mend();
        let asked = amend(&mut village, 7, 9);
        assert!(
            village.pass_until(600, |v| v.outcome(7, asked).is_some() && everybody_together(v)),
            "{:?}",
            village.heights()
        );
        village.assert_one_story();
        assert_eq!(roster(&mut village), (10, 10, vec![Some(0); 10]), "after {span} weeks: no strikes");
        assert_eq!(departures(&village), 0);
    }
}

#[test]
fn inv31_seventy_to_thirty_for_a_week_gives_the_minority_a_strike() {
    let mut village = agreeable(10);
    village.part(&[&range(0, 7), &range(7, 10)]);
    weeks(&mut village, 1, 0);
    assert!(village.pass_until(60, |v| v.height(0) == Height(1)));
    assert_eq!(village.height(9), Height(0));
    let (_, active, strikes) = roster(&mut village);
    assert_eq!((active, &strikes[5..]), (10, &[Some(0), Some(0), Some(1), Some(1), Some(1)][..]));
    village.mend();
    village.pass(4);
    assert_eq!(village.heights(), [1; 10], "it catches up");
    let asked = amend(&mut village, 9, 9);
    assert!(village.pass_until(400, |v| v.outcome(9, asked).is_some() && everybody_together(v)));
    assert_eq!(roster(&mut village), (10, 10, vec![Some(0); 10]));
    village.assert_one_story();
}

#[test]
fn seventy_to_thirty_for_three_weeks_puts_the_minority_to_sleep_and_it_wakes() {
    let mut village = agreeable(10);
    village.part(&[&range(0, 7), &range(7, 10)]);
    weeks(&mut village, 3, 0);
    assert!(village.pass_until(200, |v| v.height(0) >= Height(3)), "{:?}", village.heights());
    let (members, active, _) = roster(&mut village);
    assert_eq!(members, 10, "dormancy comes first: nobody is evicted yet");
    assert!((7..=8).contains(&active), "two rounds of silence, at most a quarter a round: {active}");
    village.mend();
    village.pass(4);
    assert!(everybody_together(&village));
    let height = village.height(0);
    assert!(village.pass_until(600, |v| v.height(0) > height && everybody_together(v)), "wakes are work");
    let (members, active, strikes) = roster(&mut village);
    assert_eq!((members, active), (10, 10));
    assert!(strikes.iter().all(|strikes| *strikes <= Some(1)), "{strikes:?}");
    village.assert_one_story();
}

#[test]
fn the_silent_are_evicted_after_four_rounds_and_come_back_by_vote() {
    let mut village = agreeable(10);
    village.part(&[&range(0, 7), &range(7, 10)]);
    let mut rounds = 0;
    while roster(&mut village).0 > 7 && rounds < 12 {
        rounds += 1;
        amend(&mut village, rounds % 7, 3 + rounds as u8);
        let height = village.height(0);
        assert!(village.pass_until(300, |v| v.height(0) > height), "round {rounds}");
    }
    assert!((4..=8).contains(&rounds), "{rounds} rounds");
    assert_eq!(departures(&village), 3);
    village.mend();
    village.pass(8);
    assert!(everybody_together(&village), "who is out sees it too");
    let back = village.sponsor(1, 9);
    let height = village.height(0);
    assert!(village.pass_until(300, |v| v.height(0) > height && everybody_together(v)));
    assert_eq!(village.outcome(0, back), Some(Outcome::Passed));
    assert!(village.ledger(9).roster().get_active(&id(9)).is_some());
    let cause =
        |event: &LedgerEvent| matches!(event, LedgerEvent::Height { departed, .. } if departed.contains(&id(9)));
    assert!(village.bots[9].events.iter().any(cause));
    village.assert_one_story();
}

#[test]
fn inv31_two_and_two_of_four_decide_nothing_and_go_on_together() {
    for span in [1, 5] {
        let mut village = agreeable(4);
        village.part(&[&[0, 1], &[2, 3]]);
        let (left, right) = (amend(&mut village, 0, 5), amend(&mut village, 3, 6));
        village.pass(168 * span + 30);
        assert_eq!(village.heights(), [0; 4]);
        village.mend();
        let done = |v: &Village| v.outcome(1, left).is_some() && v.outcome(1, right).is_some() && everybody_together(v);
        assert!(village.pass_until(900, done), "{span} weeks apart: {:?}", village.heights());
        village.assert_one_story();
        (0..4).for_each(|at| village.assert_honest(at));
        assert_eq!(roster(&mut village), (4, 4, vec![Some(0); 4]));
    }
}

#[test]
fn a_chain_of_links_is_enough() {
    let mut village = Village::found_apart(rules(), 7);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    (1..7).for_each(|at| village.link(at - 1, at));
    let asked = amend(&mut village, 0, 5);
    assert!(village.pass_until(260, |v| v.heights() == [1; 7]), "{:?}", village.heights());
    assert_eq!(village.outcome(6, asked), Some(Outcome::Passed));
}

#[test]
fn links_that_come_and_go_do_not_stop_the_rounds() {
    for seed in 0..6 {
        let mut dice = Dice::new(seed);
        let mut village = agreeable(5);
        for round in 1..=3 {
            let asker = dice.at(5);
            amend(&mut village, asker, 3 + round);
            let mut left = 168 + 24 + 200;
            while left > 0 && !village.heights().iter().all(|height| *height == u64::from(round)) {
                let (a, b) = (dice.at(5), dice.at(5));
                if dice.percent(55) {
                    village.link(a, b)
                } else {
                    village.unlink(a, b)
                }
                let pause = 1 + dice.below(4);
                village.pass(pause);
                left -= left.min(pause);
            }
            village.mend();
            let done = village.pass_until(100, |v| v.heights().iter().all(|height| *height >= u64::from(round)));
            assert!(done, "seed {seed}: {:?}", village.heights());
            village.assert_one_story();
        }
        (0..5).for_each(|at| village.assert_honest(at));
        let (members, active, _) = roster(&mut village);
        assert_eq!((members, active), (5, 5), "seed {seed}");
    }
}

/// One of three is linked for a moment only, every so many u: it hears of everything so late. How long the slowest of some
/// rounds takes, in u.
fn rounds_with_one_that_hears_late(late: u64, every: u64, rounds: u64) -> u64 {
    let mut village = agreeable(4);
    // Three of four are needed, and these are the three.
    village.crash(3);
    let (mut slowest, mut begun, mut asked, mut height) = (0, 0, 0, 0);
    let mut hours = 0;
    while height < rounds {
        if hours % every == 0
            && village
                .ledger(asked % 2)
                .propose(Ask::Amend(Rules { witnesses: 3 + (asked % 200) as u8, ..rules() }), bytes::Bytes::new())
                .is_ok()
        {
            asked += 1;
            village.pump();
        }
        // Between sealings the third hears nothing; it is there when the others try to seal.
        let is_linked = hours % late == 0 || village.ledger(0).view().1;
        if is_linked {
            village.link(0, 2);
            village.link(1, 2);
        } else {
            village.unlink(0, 2);
            village.unlink(1, 2);
        }
        village.pass(1);
        hours += 1;
        let now = village.height(0).0;
        if now > height {
            slowest = slowest.max(hours - begun);
            (height, begun) = (now, hours);
        }
        assert!(hours - begun < 168 * 12, "no round in twelve weeks with {late} u: {:?}", village.ledger(0).view());
    }
    village.assert_one_story();
    (0..3).for_each(|at| village.assert_honest(at));
    slowest
}

#[test]
fn one_that_hears_everything_late_delays_and_does_not_stop() {
    for (late, most) in [(6, 300), (72, 500), (480, 1_300)] {
        let slowest = rounds_with_one_that_hears_late(late, 48, 3);
        assert!(slowest <= most, "{late} u late: {slowest} u");
    }
}
