//! Members that say what no honest one would, and strangers that say too much.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use interbot::UnixMillis;
use interbot::ledger::{
    Answer, Ask, Ballot, Body, Certificate, Conflict, Evidence, HeaderId, Height, LedgerEvent, LedgerMessage, Listing,
    Offer, Outcome, Piece, PieceId, Place, Proposal, Refusal, Rules, StatementId, View, Whole, sealer,
};

use crate::village::{Dice, Village, id, rules};

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
    let ballots = village.said.values().filter_map(|said| Some(((said.author(), said.ballot()?.number), said.id())));
    let by_number: BTreeMap<_, _> = ballots.collect();
    let newest: BTreeMap<_, _> = by_number.into_iter().map(|((author, _), id)| (author, id)).collect();
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

/// Who agreed with an offer, of all that was ever said.
fn agreed(village: &Village, offer: &Piece) -> usize {
    let Piece::Offer(offer) = offer else { return 0 };
    let Body::Seal { view, header } = *offer.seal.body() else { return 0 };
    village.said.values().filter(|said| *said.body() == Body::Ack { view, header }).count()
}

#[test]
fn inv29_offers_that_leave_something_out_or_lie_about_time_find_no_agreement() {
    let day = 24 * 3_600_000;
    // Nothing is wrong; a ballot is missing; the date is too far ahead; a question is judged too early.
    for (case, found) in [(0, 3), (1, 0), (2, 0), (3, 0)] {
        let (mut village, traitor, question) = with_traitor_as_sealer();
        let honest = others(traitor);
        village.pass(100);
        let young = village.propose(honest[1], Ask::Amend(Rules { witnesses: 7, ..rules() }));
        village.pass(81);
        let judged = if case == 3 { vec![question, young] } else { vec![question] };
        let opened_at = village.now + if case == 2 { 7 * day } else { 0 };
        if case == 1 {
            let left_out = id(honest[2]);
            village.said.retain(|_, said| said.author() != left_out);
        }
        let offer = offer(&mut village, traitor, View(0), &judged, opened_at);
        for at in &honest {
            assert_eq!(village.whisper(traitor, *at, LedgerMessage::Pieces(vec![offer.to_bytes()])), Ok(()));
        }
        village.pass(2);
        assert_eq!(agreed(&village, &offer), found, "case {case}");
        assert_round_ends(&mut village, 1, 400);
        assert_eq!(village.outcome(honest[0], question), Some(Outcome::Passed));
        assert_eq!(village.outcome(honest[0], young), None, "it is judged in its time");
    }
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
    // One hears of the other offer first; the traitor agrees with both, everywhere.
    for (at, offer) in honest.iter().zip([0, 1, 0]) {
        let pieces = LedgerMessage::Pieces(vec![offers[offer].to_bytes()]);
        assert_eq!(village.whisper(traitor, *at, pieces), Ok(()));
    }
    for offer in &offers {
        let Piece::Offer(offer) = offer else { continue };
        let Body::Seal { view, header } = *offer.seal.body() else { continue };
        for body in [Body::Ack { view, header }, Body::Commit { view, header }] {
            let said = village.said_by(traitor, offer.seal.place(), body).to_bytes();
            for at in &honest {
                assert_eq!(village.whisper(traitor, *at, LedgerMessage::Pieces(vec![said.clone()])), Ok(()));
            }
        }
    }
    village.pump();
    assert_eq!((agreed(&village, &offers[0]), agreed(&village, &offers[1])), (3, 2), "with the traitor's own");
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

// ---- refused, with a reason, and bounded ----

#[test]
fn inv38_statements_of_strangers_are_refused_and_not_held() {
    let (mut village, _, question) = with_traitor(4);
    let here = place(&mut village);
    let before = village.ledger(0).pieces();
    let stranger = 40;
    let bodies = [
        ballot(7, &[(question, Answer::No)]),
        Body::Wake,
        Body::Leave,
        Body::Withdraw(question),
        Body::Endorse { proposal: question, number: 1, on: true },
        Body::Ack { view: View(0), header: HeaderId([1; 32]) },
        Body::Commit { view: View(0), header: HeaderId([1; 32]) },
        Body::Status { view: View(1), locked: None },
    ];
    for body in bodies {
        let said = village.said_by(stranger, here, body.clone());
        let refused = village.tell(3, 0, &said).expect_err("it is no member");
        assert_eq!(refused, Refusal::NotAMember(id(stranger)), "{body:?}");
    }
    for number in 0..10_000_u32 {
        let ask = Ask::Amend(Rules { endorse_members: number + 1, ..rules() });
        let body = Body::Proposal(Proposal { slot: 1, ask, text: Bytes::new() });
        let said = village.said_by(stranger, here, body);
        assert_eq!(village.tell(3, 0, &said), Err(Refusal::NotAMember(id(stranger))));
    }
    assert_eq!(village.ledger(0).pieces(), before);
    assert_round_ends(&mut village, 1, 400);
}

#[test]
fn inv36_statements_of_another_community_height_or_story_are_refused() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    let signer = village.crypto.signer(&crate::village::seed(traitor));
    let elsewhere = interbot::CommunityId::from_bytes([9; 32]);
    let body = ballot(7, &[(question, Answer::No)]);
    let foreign =
        interbot::ledger::Statement::new(&elsewhere, id(traitor), here, body.clone(), &*signer).expect("in order");
    assert_eq!(village.tell(traitor, 0, &Piece::Statement(Arc::new(foreign))), Err(Refusal::Forged));
    let ahead = Place { height: Height(1), ..here };
    let said = village.said_by(traitor, ahead, body.clone());
    assert_eq!(village.tell(traitor, 0, &said), Err(Refusal::Ahead(Height(1))));
    let story = Place { header: HeaderId([3; 32]), ..here };
    let said = village.said_by(traitor, story, body);
    assert_eq!(village.tell(traitor, 0, &said), Err(Refusal::OtherStory));
    // What counted at a height does not at the next.
    let early = [
        Body::Ack { view: View(0), header: HeaderId([1; 32]) },
        Body::Status { view: View(1), locked: None },
        Body::Commit { view: View(0), header: HeaderId([1; 32]) },
    ];
    assert_round_ends(&mut village, 1, 400);
    for body in early {
        let said = village.said_by(traitor, here, body);
        assert_eq!(village.tell(traitor, 0, &said), Err(Refusal::Late));
    }
}

#[test]
fn a_statement_with_any_byte_altered_is_refused() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    let said = village.said_by(traitor, here, ballot(7, &[(question, Answer::No)])).to_bytes();
    for at in 0..said.len() {
        for bit in 0..8 {
            let mut odd = said.to_vec();
            odd[at] ^= 1 << bit;
            let result = village.speak(traitor, 0, LedgerMessage::Pieces(vec![odd.into()]));
            assert!(result.is_err(), "bit {bit} of byte {at}");
        }
        let cut = village.speak(traitor, 0, LedgerMessage::Pieces(vec![said.slice(..at)]));
        assert_eq!(cut, Err(Refusal::Layout), "cut at {at}");
    }
    assert_eq!(village.speak(traitor, 0, LedgerMessage::Pieces(vec![said])), Ok(()));
    assert_round_ends(&mut village, 1, 400);
}

#[test]
fn a_member_that_stuffs_everything_it_may_is_bounded() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    let mut dice = Dice::new(1);
    let mut most = 0;
    for number in 0..3_000_u64 {
        let header = HeaderId([dice.below(256) as u8; 32]);
        let view = View(dice.below(200) as u32);
        let ask = Ask::Amend(Rules { endorse_members: number as u32 + 1, ..rules() });
        let body = match number % 7 {
            0 => Body::Proposal(Proposal { slot: dice.below(4) as u8, ask, text: Bytes::new() }),
            1 => ballot(number, &[(StatementId([dice.below(256) as u8; 32]), Answer::Yes)]),
            2 => ballot(dice.below(number), &[(question, Answer::No)]),
            3 => Body::Ack { view, header },
            4 => Body::Commit { view, header },
            5 => Body::Status { view, locked: None },
            _ => Body::Endorse { proposal: StatementId([number as u8; 32]), number, on: true },
        };
        let said = village.said_by(traitor, here, body);
        let _ = village.tell(traitor, dice.at(3), &said);
        most = most.max((0..3).map(|at| village.ledger(at).pieces()).max().expect("three"));
    }
    // Two of each in 65 views, two proposals in four slots, its ballots, its evidence, and what the others said.
    assert!(most <= 3 * 2 * 65 + 8 + 2 + 1 + 16, "{most} pieces");
    let records = village.bots[1].disk.len();
    assert!(records <= most + 8, "{records} records for {most} pieces");
    assert_round_ends(&mut village, 1, 600);
    assert!(!village.members(0).contains(&id(traitor)));
    assert!(village.ledger(0).pieces() <= 8, "all of that is forgotten");
    // What it sent takes no room in what is known of it either.
    assert!(village.ledger(0).known_pieces() <= 4 * 8, "{}", village.ledger(0).known_pieces());
}

#[test]
fn pieces_that_are_refused_or_replaced_are_not_remembered() {
    let (mut village, traitor, _) = with_traitor(4);
    let here = place(&mut village);
    for number in 0..2_000 {
        let stranger = village.said_by(50, here, ballot(number, &[]));
        let _ = village.tell(traitor, 0, &stranger);
        let own = village.said_by(traitor, here, ballot(number, &[]));
        let _ = village.tell(traitor, 0, &own);
    }
    let ledger = village.ledger(0);
    assert!(ledger.known_pieces() <= 4 * ledger.pieces(), "{} known, {} held", ledger.known_pieces(), ledger.pieces());
}

#[test]
fn one_that_asks_and_never_takes_is_bounded() {
    let (mut village, traitor, _) = with_traitor(4);
    let name = |n: u64, m: u64| {
        let mut name = [0; 32];
        name[..8].copy_from_slice(&(n << 32 | m).to_be_bytes());
        PieceId(name)
    };
    let now = village.clock(0);
    let channel = interbot::ledger::Channel(traitor as u64);
    for n in 0..2_000 {
        let names: Vec<PieceId> = (0..400).map(|m| name(n, m)).collect();
        let place = village.ledger(0).place();
        for message in [
            LedgerMessage::Have { buckets: u64::MAX, names: names.clone() },
            LedgerMessage::Want { names },
            LedgerMessage::AskCertificates { after: None },
            LedgerMessage::Here { place, whole: [n as u8; 16] },
            LedgerMessage::Digests { place, digests: vec![[n as u8; 16]; 64] },
        ] {
            assert_eq!(village.ledger(0).handle_message(now, channel, message), Ok(()));
        }
    }
    let mut waiting = 0;
    while village.ledger(0).next_message(channel).is_some() {
        waiting += 1;
    }
    assert!(waiting < 200, "{waiting} messages wait for it");
    assert_round_ends(&mut village, 1, 400);
}

#[test]
fn garbage_and_endless_parts_do_no_harm() {
    let (mut village, traitor, _) = with_traitor(4);
    let mut dice = Dice::new(3);
    let part = |whole, at, of, bytes: Vec<u8>| LedgerMessage::Part { whole, at, of, bytes: bytes.into() };
    for at in 0..200 {
        let long = part(Whole::Piece, at, u16::MAX, vec![65; 16_000]);
        assert_eq!(village.speak(traitor, 0, long), Ok(()), "part {at}");
    }
    for _ in 0..500 {
        let whole = [Whole::Genesis, Whole::Certificate, Whole::Piece][dice.at(3)];
        let of = 1 + dice.below(4) as u16;
        let bytes: Vec<u8> = (0..1 + dice.below(300)).map(|_| 60 + dice.below(10) as u8).collect();
        let _ = village.speak(traitor, dice.at(3), part(whole, dice.below(of.into()) as u16, of, bytes.clone()));
        let _ = village.speak(traitor, dice.at(3), LedgerMessage::Pieces(vec![bytes.into()]));
    }
    assert_round_ends(&mut village, 1, 400);
}

#[test]
fn forged_certificates_and_other_chains_are_not_followed() {
    let (mut village, traitor, _) = with_traitor(4);
    // The same key has another village, with another first round.
    let mut other = Village::found(rules(), 1);
    other.bots[0].habit = Some(Answer::Yes);
    other.propose(0, Ask::Amend(Rules { witnesses: 9, ..rules() }));
    assert!(other.pass_until(250, |v| v.height(0) == Height(1)));
    let theirs = other.ledger(0).certificate(Height(1)).expect("it has one").clone();
    let mut forged = Certificate::from_bytes(&theirs).expect("a certificate");
    forged.header.previous = place(&mut village).header;
    for bytes in [theirs, forged.to_bytes().into(), Bytes::from_static(b"nothing")] {
        let whole = LedgerMessage::Part { whole: Whole::Certificate, at: 0, of: 1, bytes };
        assert_eq!(village.speak(traitor, 0, whole), Ok(()));
    }
    assert_eq!(village.heights(), [0; 3]);
    // An older place, a place to come, and another story: all that it gets is a question.
    for place in [(0, 3), (7, 7), (u64::MAX, 1)] {
        let place = Place { height: Height(place.0), header: HeaderId([place.1; 32]) };
        let here = LedgerMessage::Here { place, whole: [0; 16] };
        assert_eq!(village.speak(traitor, 0, here), Ok(()));
    }
    assert_round_ends(&mut village, 1, 400);
}

#[test]
fn evidence_of_honest_members_cannot_be_made() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    let mine = village.sign(traitor, here, ballot(7, &[(question, Answer::No)]));
    // The traitor's words under an honest member's key.
    let mut bytes = mine.bytes().to_vec();
    bytes[1..33].copy_from_slice(id(1).as_bytes());
    let community = village.genesis.community();
    let stolen = interbot::ledger::Statement::read(&community, bytes.into()).expect("in order");
    let number = village.said.values().filter(|said| said.author() == id(1)).filter_map(|said| said.ballot()).next();
    assert!(number.is_some());
    let other = village.sign(1, here, ballot(7, &[]));
    let pair = Evidence::of(&stolen, &other).expect("they conflict");
    assert_eq!(village.tell(traitor, 0, &Piece::Evidence(Arc::new(pair))), Err(Refusal::Forged));
    assert_round_ends(&mut village, 1, 400);
    assert!(village.members(0).contains(&id(1)));
}

#[test]
fn an_endorsed_application_that_its_sponsor_replaces_stops_no_round() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    let apply = |village: &Village, who: usize| {
        let ask = Ask::Admit(village.application(who, traitor));
        village.sign(traitor, here, Body::Proposal(Proposal { slot: 0, ask, text: Bytes::new() }))
    };
    let mut applications: Vec<_> = (20..26).map(|who| apply(&village, who)).collect();
    applications.sort_by_key(|application| std::cmp::Reverse(application.id()));
    for application in applications {
        assert_eq!(village.tell(traitor, 0, &Piece::Statement(Arc::new(application.clone()))), Ok(()));
        village.pass(1);
        for at in 0..3 {
            let _ = village.ledger(at).endorse(application.id(), true);
        }
        village.pass(1);
    }
    assert_convicted(&mut village, traitor, Conflict::TwoProposals);
    assert_eq!(village.outcome(1, question), Some(Outcome::Passed));
    assert_eq!(village.members(0).len(), 3);
}

#[test]
fn a_stolen_key_and_its_owner_are_out_together() {
    let (mut village, traitor, question) = with_traitor(4);
    let here = place(&mut village);
    // The greatest number there is: the owner's next ballot cannot have a greater one.
    let said = village.said_by(1, here, ballot(u64::MAX, &[(question, Answer::No)]));
    assert_eq!(village.tell(traitor, 0, &said), Ok(()));
    village.pass(1);
    village.vote(1, question, Answer::Yes);
    village.pass(2);
    assert!(village.pass_until(400, |v| everybody_at(v, 1)), "{:?}", village.heights());
    village.assert_one_story();
    assert!(!village.members(0).contains(&id(1)));
}
