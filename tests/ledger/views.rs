//! Rounds that take more than one view.

use interbot::ledger::{Answer, Ask, Body, Height, LedgerEvent, Rules, View, sealer};

use crate::village::{Village, id, rules};

/// A village just before its window ends, with one question that everybody likes; and its first sealer.
fn about_to_seal(members: usize) -> (Village, usize) {
    let mut village = Village::found(rules(), members);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    let chain = village.ledger(0).chain().clone();
    let first = sealer(chain.place().header, View(0), chain.roster()).expect("somebody seals");
    (village, (0..members).find(|at| id(*at) == first).expect("a member"))
}

#[test]
fn what_two_committed_to_before_they_broke_down_is_what_the_next_view_seals() {
    for members in [4, 7] {
        let (mut village, _) = about_to_seal(members);
        // One more than may be missing, so that the first view comes to nothing.
        village.silenced = members - 2 * (members - 1) / 3;
        assert!(village.pass_until(250, |v| v.silenced == 0), "they commit");
        let broken: Vec<usize> = (0..members).filter(|at| !village.is_up(*at)).collect();
        village.pass(10);
        assert!(village.heights().iter().all(|height| *height == 0), "{:?}", village.heights());
        broken.iter().for_each(|at| village.restart(*at));
        let up = broken[0];
        assert!(village.pass_until(200, |v| v.height(up) == Height(1)), "{:?}", village.heights());
        let is_locked = |body: &Body| matches!(body, Body::Status { locked: Some(_), .. });
        assert!(village.said.values().any(|said| is_locked(said.body())), "who is locked says so");
        village.pass(2);
        village.assert_one_story();
        (0..members).for_each(|at| village.assert_honest(at));
        let headers: std::collections::BTreeSet<_> = village
            .said
            .values()
            .filter_map(|said| match said.body() {
                Body::Commit { header, .. } => Some(*header),
                _ => None,
            })
            .collect();
        assert_eq!(headers.len(), 1, "nobody commits to anything else");
    }
}

#[test]
fn a_bot_that_dies_at_any_write_of_a_second_view_comes_back() {
    let mut deaths = 0;
    for write in 0..60 {
        let (mut village, _) = about_to_seal(4);
        village.silenced = 2;
        assert!(village.pass_until(250, |v| v.silenced == 0), "they commit");
        let broken: Vec<usize> = (0..4).filter(|at| !village.is_up(*at)).collect();
        let at = broken[0];
        village.pass(10);
        // As soon as they are back, all goes on.
        village.bots[at].disk_lasts = Some(write);
        broken.iter().for_each(|at| village.restart(*at));
        let is_over = |v: &Village| !v.is_up(at) || v.height(at) == Height(1);
        assert!(village.pass_until(200, is_over), "{:?}", village.heights());
        if !village.is_up(at) {
            deaths += 1;
            village.restart(at);
        }
        assert!(village.pass_until(200, |v| v.heights() == [1; 4]), "write {write}: {:?}", village.heights());
        village.assert_one_story();
        village.assert_honest(at);
    }
    assert!(deaths > 10, "{deaths} deaths");
}

#[test]
fn a_bot_that_slept_through_a_hundred_heights_asks_for_all_of_them() {
    let mut village = Village::found(rules(), 1);
    village.bots[0].habit = Some(Answer::Yes);
    for round in 0..100_u64 {
        village.propose(0, Ask::Amend(Rules { witnesses: 2 + (round % 200) as u8, ..rules() }));
        assert!(village.pass_until(250, |v| v.height(0) == Height(round + 1)), "round {round}");
    }
    let late = village.arrive(interbot::ledger::Journal::New);
    village.link(late, 0);
    assert_eq!(village.height(late), Height(100), "without waiting for anything");
}

#[test]
fn when_the_first_observer_goes_away_the_next_one_asks() {
    let (mut village, _) = about_to_seal(7);
    let subject = 6;
    let mut observers: Vec<usize> = (0..3).collect();
    observers.sort_by_key(|at| id(*at));
    let asked = |village: &Village, at: usize| {
        village.bots[at].events.iter().any(|event| match event {
            LedgerEvent::Proposed(question) => {
                matches!(&question.ask, Ask::Remove { subject: who, .. } if *who == id(subject))
            }
            _ => false,
        })
    };
    for at in &observers[..2] {
        village.ledger(*at).observe_silence(id(subject)).expect("it may");
        village.pump();
    }
    village.crash(observers[0]);
    village.ledger(observers[2]).observe_silence(id(subject)).expect("it may");
    village.pump();
    assert!(!asked(&village, 5), "it is another's turn");
    village.pass(7);
    assert!(asked(&village, 5));
    let reports = village.ledger(5).questions().iter().filter(|asked| matches!(asked.ask, Ask::Remove { .. })).count();
    assert_eq!(reports, 1, "one request");
}
