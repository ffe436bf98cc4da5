//! Members that say what no honest one would, and strangers that say too much.

use std::sync::Arc;

use bytes::Bytes;
use interbot::UnixMillis;
use interbot::ledger::{
    Answer, Ask, Ballot, Body, Conflict, HeaderId, LedgerEvent, Listing, Offer, Outcome, Piece, Place, Preset,
    Proposal, Rules, StatementId, View, sealer,
};

use crate::village::{Village, id};

fn rules() -> Rules {
    Rules::preset(Preset::Village)
}

/// Members of whom the last one is a traitor, with a question that all others want.
fn with_traitor(members: usize) -> (Village, usize, StatementId) {
    let mut village = Village::found(rules(), members);
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    let traitor = members - 1;
    village.turn_traitor(traitor);
    let question = village.propose(0, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    (village, traitor, question)
}

fn place(village: &mut Village) -> Place {
    let at = village.up()[0];
    village.ledger(at).place()
}

fn ballot(number: u64, answers: &[(StatementId, Answer)]) -> Body {
    Body::Ballot(Ballot { number, answers: answers.to_vec() })
}

fn everybody_at(village: &Village, height: u64) -> bool {
    village.heights().iter().all(|at| *at == height)
}

/// The round ends, everybody tells one story, and nobody honest said anything against itself.
fn assert_round_ends(village: &mut Village, height: u64, within: u64) {
    let ends = village.pass_until(within, |v| everybody_at(v, height));
    assert!(ends, "{:?}, {:?}", village.heights(), village.refused);
    village.assert_one_story();
    village.up().into_iter().for_each(|at| village.assert_honest(at));
}

/// The same, and the traitor is out of it, convicted of this at every bot.
fn assert_convicted(village: &mut Village, traitor: usize, conflict: Conflict) {
    assert_round_ends(village, 1, 400);
    for at in village.up() {
        assert!(!village.members(at).contains(&id(traitor)), "{at} still has it");
        let convicts = |event: &LedgerEvent| matches!(event, LedgerEvent::Equivocator { member, conflict: found } if *member == id(traitor) && *found == conflict);
        assert!(village.bots[at].events.iter().any(convicts), "{at} does not know of {conflict:?}");
    }
}

#[test]
fn inv33_two_ballots_with_one_number_convict() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    for (at, answer) in [(0, Answer::Yes), (1, Answer::No), (2, Answer::Abstain)] {
        let said = village.said_by(traitor, here, ballot(7, &[(question, answer)]));
        assert_eq!(village.tell(traitor, at, &said), Ok(()));
    }
    assert_convicted(&mut village, traitor, Conflict::TwoBallots);
    assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
}

#[test]
fn inv33_a_higher_number_does_not_hide_two_ballots_with_one() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    for (at, number, answer) in
        [(0, 7, Answer::Yes), (1, 7, Answer::No), (0, 8, Answer::Yes), (1, 8, Answer::Yes), (2, 8, Answer::Yes)]
    {
        let said = village.said_by(traitor, here, ballot(number, &[(question, answer)]));
        assert_eq!(village.tell(traitor, at, &said), Ok(()));
    }
    assert_convicted(&mut village, traitor, Conflict::TwoBallots);
}

#[test]
fn inv33_two_proposals_in_a_slot_convict_and_are_void() {
    let (mut village, traitor, _) = with_traitor(4);
    let here = place(&mut village);
    let ask = |witnesses| {
        let ask = Ask::Amend(Rules { witnesses, ..rules() });
        Body::Proposal(Proposal { slot: 2, ask, text: Bytes::new() })
    };
    let said = [7, 8, 9].map(|witnesses| village.sign(traitor, here, ask(witnesses)));
    for (at, statement) in said.iter().enumerate() {
        let piece = Piece::Statement(Arc::new(statement.clone()));
        assert_eq!(village.tell(traitor, at, &piece), Ok(()));
    }
    assert_convicted(&mut village, traitor, Conflict::TwoProposals);
    for statement in &said {
        let outcome = village.outcome(0, statement.id());
        assert!([None, Some(Outcome::Conflicting)].contains(&outcome), "{outcome:?}");
    }
    assert_eq!(village.ledger(1).rules().witnesses, 5);
}

#[test]
fn inv33_two_acks_two_commits_and_two_statuses_convict() {
    let header = |n| HeaderId([n; 32]);
    let ack = |n| Body::Ack { view: View(0), header: header(n) };
    let commit = |n| Body::Commit { view: View(1), header: header(n) };
    let denied = |locked| Body::Status { view: View(3), locked };
    for (one, other, conflict) in [
        (ack(1), ack(2), Conflict::TwoAcks),
        (commit(1), commit(2), Conflict::TwoCommits),
        (commit(1), denied(None), Conflict::DeniedCommit),
        (denied(Some((View(0), header(1)))), commit(1), Conflict::DeniedCommit),
    ] {
        let (mut village, traitor, question) = with_traitor(4);
        let here = place(&mut village);
        let (one, other) = (village.said_by(traitor, here, one), village.said_by(traitor, here, other));
        assert_eq!(village.tell(traitor, 0, &one), Ok(()));
        assert_eq!(village.tell(traitor, 1, &other), Ok(()));
        assert_convicted(&mut village, traitor, conflict);
        assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
    }
}

/// An offer that is right, with this date.
fn offer(village: &mut Village, sealer: usize, view: View, judged: &[StatementId], opened_at: u64) -> Piece {
    let mut listing = Listing::new(UnixMillis(opened_at));
    listing.judged = judged.iter().copied().collect();
    let community = village.genesis.community();
    let newest: std::collections::BTreeMap<_, _> = village
        .said
        .values()
        .filter_map(|said| Some(((said.author(), said.ballot()?.number), said.id())))
        .map(|((author, _), id)| (author, id))
        .collect();
    listing.ballots = newest.into_values().collect();
    let said = village.said.clone();
    let at = village.up()[0];
    let chain = village.ledger(at).chain().clone();
    let resolved = listing.resolve(&chain.standpoint(), &community, |id| said.get(id)).expect("all were said");
    let header = interbot::ledger::next(&chain.standpoint(), &resolved.contents).header.id(&community);
    let seal = village.sign(sealer, chain.place(), Body::Seal { view, header });
    Piece::Offer(Arc::new(Offer { seal, listing }))
}

/// A traitor among four that is the sealer of the first view.
fn with_traitor_as_sealer() -> (Village, usize, StatementId) {
    let mut village = Village::found(rules(), 4);
    let chain = village.bots[0].ledger.as_ref().expect("it is up").chain().clone();
    let first = sealer(chain.place().header, View(0), chain.roster()).expect("somebody seals");
    let traitor = (0..4).find(|at| id(*at) == first).expect("a member");
    village.bots.iter_mut().for_each(|bot| bot.habit = Some(Answer::Yes));
    village.turn_traitor(traitor);
    let asker = (traitor + 1) % 4;
    let question = village.propose(asker, Ask::Amend(Rules { witnesses: 5, ..rules() }));
    (village, traitor, question)
}

fn others(traitor: usize) -> Vec<usize> {
    (0..4).filter(|at| *at != traitor).collect()
}

#[test]
fn inv19_two_seals_in_a_view_make_no_two_certificates_and_convict() {
    let (mut village, traitor, question) = with_traitor_as_sealer();
    let honest = others(traitor);
    village.pass(181);
    let now = village.now;
    let offers = [now, now + 1].map(|at| offer(&mut village, traitor, View(0), &[question], at));
    assert_eq!(village.tell(traitor, honest[0], &offers[0]), Ok(()));
    assert_eq!(village.tell(traitor, honest[1], &offers[1]), Ok(()));
    assert_eq!(village.tell(traitor, honest[2], &offers[0]), Ok(()));
    // It agrees with both, everywhere.
    for offer in &offers {
        let Piece::Offer(offer) = offer else { continue };
        let Body::Seal { view, header } = *offer.seal.body() else { continue };
        for body in [Body::Ack { view, header }, Body::Commit { view, header }] {
            let said = village.said_by(traitor, offer.seal.place(), body);
            for at in &honest {
                let _ = village.tell(traitor, *at, &said);
            }
        }
    }
    assert_round_ends(&mut village, 1, 400);
    village.propose(honest[0], Ask::Amend(Rules { witnesses: 6, ..rules() }));
    assert_round_ends(&mut village, 2, 400);
    assert!(!village.members(honest[0]).contains(&id(traitor)), "evidence of one height convicts at the next");
}

#[test]
fn a_member_that_replaces_its_ballot_all_the_time_blocks_nothing() {
    let (mut village, traitor, question) = with_traitor(4);
    village.racer = Some((traitor, 1_000));
    let here = place(&mut village);
    for at in 0..3 {
        let said = village.said_by(traitor, here, ballot(10 + at as u64, &[]));
        assert_eq!(village.tell(traitor, at, &said), Ok(()));
    }
    assert_round_ends(&mut village, 1, 400);
    assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
    assert!(village.pieces < 3_000, "{} pieces", village.pieces);
}
