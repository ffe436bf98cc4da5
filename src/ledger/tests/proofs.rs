//! Proofs: they show what was voted and why it came so, and nothing that was touched passes.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use proptest::prelude::*;

use super::hall::{Hall, Round, proof_bytes};
use super::*;
use crate::crypto::{Crypto, Pure};
use crate::wire::LayoutError;

/// The encoding by hand, with whatever is put in, by name.
fn encode<'a>(
    proposal: StatementId,
    certificate: &Certificate,
    listing: &Listing,
    statements: impl IntoIterator<Item = &'a Statement>,
) -> Bytes {
    let statements: BTreeMap<_, _> = statements.into_iter().map(|statement| (statement.id(), statement)).collect();
    let statements: Vec<_> = statements.into_values().collect();
    proof_bytes(proposal, certificate, listing, &statements).into()
}

fn names(seeds: impl IntoIterator<Item = u8>) -> String {
    let mut keys: Vec<_> = seeds.into_iter().map(key).collect();
    keys.sort();
    keys.iter().map(BotId::short).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_decision_is_told_in_lines_that_an_owner_understands() {
    let mut hall = Hall::new(6, 1);
    let proposal = hall.admit(1, 100);
    hall.item(100, Body::Accept(proposal));
    hall.votes(proposal, "yyyna-");
    let round = hall.seal();
    let told = hall.explain(&round, proposal);
    assert_eq!(told.decision, Decision { proposal, height: Height(1), outcome: Outcome::Passed });
    assert_eq!((told.tally, told.rule), (Tally { yes: 3, no: 1, abstain: 1 }, Rule::Majority));
    assert_eq!((told.signers.len(), told.before.quorum, told.after.active), (4, 4, 7));
    let signers = told.signers.iter().map(BotId::short).collect::<Vec<_>>().join(", ");
    let expected = [
        format!("admit {}, asked by {} at height 0", names([100]), names([1])),
        "height 1: passed, and is done".into(),
        "rule: more than half of those who answered must say yes".into(),
        "votes: 3 yes, 1 no, 1 abstained, of 5 who answered".into(),
        format!("  yes: {}", names([1, 2, 3])),
        format!("  no: {}", names([4])),
        format!("  abstained: {}", names([5])),
        format!("  no answer: {}", names([6])),
        format!("sealed by 4 of 6 active members: {signers}"),
        "active members 6 -> 7, quorum 4 -> 5".into(),
    ];
    assert_eq!(told.to_string().lines().map(String::from).collect::<Vec<_>>(), expected);
}

#[test]
fn every_way_a_proposal_ends_is_explained() {
    let told = |members, votes: &str, prepare: &dyn Fn(&mut Hall) -> StatementId| {
        let mut hall = Hall::new(members, 1);
        let proposal = prepare(&mut hall);
        hall.votes(proposal, votes);
        let round = hall.seal();
        hall.explain(&round, proposal)
    };
    let ends = |told: &Explanation, outcome, rule, line: &str| {
        assert_eq!((told.decision.outcome, told.rule), (outcome, rule));
        assert!(told.to_string().contains(line), "{told}");
    };
    let withdrawn = told(4, "yyyy", &|hall| {
        let proposal = hall.admit(1, 100);
        hall.item(1, Body::Withdraw(proposal));
        proposal
    });
    let line =
        "height 1: withdrawn: its sponsor took it back, and nothing was changed\nrule: closed whatever the votes say";
    ends(&withdrawn, Outcome::Withdrawn, Rule::NoVote, line);

    let floor = told(4, "yy", &|hall| hall.admit(1, 100));
    let line = "too few members answered; ask again\nrule: at least 3 must answer before anything is decided";
    ends(&floor, Outcome::Floor, Rule::Floor { need: 3 }, line);

    let removed = told(4, "yyny", &|hall| hall.ask(1, 0, Urn::remove(key(4))));
    ends(
        &removed,
        Outcome::Passed,
        Rule::MajorityOfOthers,
        &format!("  not counted, as it is about it: {}", names([4])),
    );
    assert_eq!((removed.tally.respondents(), removed.voted(Vote::Subject)), (3, vec![key(4)]));

    let himself = told(1, "y", &|hall| hall.ask(1, 0, Urn::remove(key(1))));
    ends(&himself, Outcome::Refused, Rule::MajorityOfOthers, "refused: it did not get the votes");
    assert_eq!(himself.tally, Tally::default());

    let rules = Rules { evict_after: None, ..Rules::preset(Preset::Village) };
    let amended = told(4, "yyyn", &|hall| hall.ask(1, 0, Ask::Amend(rules.clone())));
    ends(&amended, Outcome::Passed, Rule::Quorum { need: 3 }, "live by other rules, asked by");

    let endorsed = told(4, "nnn", &|hall| {
        let proposal = hall.admit(1, 100);
        (1..=4).for_each(|seed| hall.item(seed, Body::Endorse { proposal, number: 1, on: true }));
        hall.item(4, Body::Endorse { proposal, number: 2, on: false });
        proposal
    });
    let rule = Rule::Endorsement { percent: 51, members: 3 };
    ends(&endorsed, Outcome::Endorsed, rule, &format!("held by hand: {}\n", names(1..=3)));

    let convicted = told(5, "yyyyn", &|hall| {
        let pair = [1, 2].map(|n| hall.say(4, Body::Ack { view: View(0), header: HeaderId([n; 32]) }));
        let evidence = Evidence::of(&hall.held[&pair[0]], &hall.held[&pair[1]]).expect("two Acks");
        hall.listing.convict(&evidence);
        hall.admit(1, 100)
    });
    let line = format!("  abstained, for signing what cannot both be honest: {}", names([4]));
    ends(&convicted, Outcome::Passed, Rule::Majority, &line);
    assert_eq!(convicted.tally, Tally { yes: 3, no: 1, abstain: 1 });
}

/// Two members revoke a guest: the smallest proof with a vote in it.
fn small() -> (Hall, Round, StatementId) {
    let mut hall = Hall::new(2, 1);
    let proposal = hall.ask(1, 0, Ask::Revoke { subject: key(77) });
    hall.votes(proposal, "yy");
    let round = hall.seal();
    (hall, round, proposal)
}

#[test]
fn no_altered_proof_is_believed() {
    let (hall, round, proposal) = small();
    let bytes = hall.proof(&round, proposal).to_bytes();
    let believed = |bytes: Vec<u8>| {
        let read = Proof::from_bytes(hall.chain.community(), &bytes.into());
        read.is_ok_and(|proof| proof.verify(&round.before, &Pure).is_ok())
    };
    assert!(believed(bytes.clone()) && bytes.len() < 1500, "{}", bytes.len());
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut odd = bytes.clone();
            odd[at] ^= bit;
            assert!(!believed(odd), "byte {at} ^ {bit}");
        }
        assert!(!believed(bytes[..at].to_vec()), "cut at {at}");
    }
    assert!(!believed([&bytes[..], &[0]].concat()), "one more");
}

#[test]
fn statements_missing_too_many_forged_or_of_another_community_prove_nothing() {
    let (mut hall, round, proposal) = small();
    let community = *hall.chain.community();
    let needed = hall.proof(&round, proposal);
    let all: Vec<_> = hall.held.values().cloned().collect();
    let check = |statements: &[Statement]| {
        let bytes = encode(proposal, &round.certificate, &round.listing, statements);
        Proof::from_bytes(&community, &bytes).expect("well formed").verify(&round.before, &Pure).err()
    };
    assert_eq!(
        (encode(proposal, &round.certificate, &round.listing, &all).to_vec(), check(&all)),
        (needed.to_bytes(), None)
    );
    for at in 0..all.len() {
        let mut fewer = all.clone();
        let id = fewer.remove(at).id();
        assert_eq!(check(&fewer), Some(ProofError::Missing(id)));
        let lookup = |name: &StatementId| fewer.iter().find(|statement| statement.id() == *name);
        let made = Proof::new(proposal, round.certificate.clone(), round.listing.clone(), lookup);
        assert_eq!(made, Err(ProofError::Missing(id)));
        // The same words, signed by another key: the name is the same, the signature is not its author's.
        let mut forged = all.clone();
        let (body, place) = (all[at].body().clone(), all[at].place());
        let other =
            Statement::new(&community, all[at].author(), place, body, &*Pure.signer(&[9; 32])).expect("it fits");
        forged[at] = other;
        assert_eq!(check(&forged), Some(ProofError::Forged(id)));
    }
    let more = hall.say_at(round.before.place(), 1, Body::Leave);
    let surplus: Vec<_> = hall.held.values().cloned().collect();
    assert_eq!(check(&surplus), Some(ProofError::Surplus(more)));

    // The same members in another community, and what they said there.
    let mut there = Hall::new(2, 2);
    let same = there.ask(1, 0, Ask::Revoke { subject: key(77) });
    there.votes(same, "yy");
    let theirs = there.seal();
    let proof = there.proof(&theirs, same);
    assert!(proof.verify(&theirs.before, &Pure).is_ok());
    assert_eq!(proof.verify(&round.before, &Pure), Err(ProofError::Chain(ChainError::Previous)));
    let read = Proof::from_bytes(&community, &proof.to_bytes().into());
    assert!(read.is_err() || read.is_ok_and(|proof| proof.verify(&theirs.before, &Pure).is_err()));
    let mixed = encode(proposal, &round.certificate, &round.listing, there.held.values());
    let read = Proof::from_bytes(&community, &mixed);
    assert!(read.is_err() || read.is_ok_and(|proof| proof.verify(&round.before, &Pure).is_err()));
}

#[test]
fn a_ballot_cannot_be_left_out_and_a_quorum_cannot_lie_about_the_count() {
    let mut hall = Hall::new(4, 1);
    let proposal = hall.admit(1, 100);
    hall.votes(proposal, "yynn");
    let honest = hall.clone().seal();
    let mut fewer = honest.listing.clone();
    let no = hall.held.values().find(|statement| statement.author() == key(4)).expect("it voted").id();
    fewer.ballots.remove(&no);
    let proof = Proof::new(proposal, honest.certificate.clone(), fewer, |id| hall.held.get(id)).expect("all is here");
    assert_eq!(proof.verify(&honest.before, &Pure), Err(ProofError::Listing));

    hall.listing = honest.listing.clone();
    let mut header = hall.next().header;
    assert_eq!(header.outcomes, [(proposal, Outcome::Refused)]);
    header.outcomes = [(proposal, Outcome::Passed)].into();
    let lie = Round { certificate: hall.certify(header), ..honest.clone() };
    assert!(hall.chain.clone().follow(&lie.certificate, &Pure).is_ok(), "the chain alone does not see it");
    assert_eq!(hall.proof(&lie, proposal).verify(&lie.before, &Pure), Err(ProofError::Outcome));

    let other = *honest.listing.ballots.first().expect("four");
    let undecided = Proof::new(other, honest.certificate.clone(), honest.listing.clone(), |id| hall.held.get(id));
    assert_eq!(undecided, Err(ProofError::NotDecided(other)));
    // Listed where it may not stand: a quorum sealed a stranger's ballot.
    let stranger = hall.say(50, Body::Ballot(Ballot { number: 1, answers: [(proposal, Answer::No)].into() }));
    let mut header = hall.next().header;
    hall.listing.ballots.insert(stranger);
    header.contents = hall.listing.id(hall.chain.community());
    let odd = Round { certificate: hall.certify(header), listing: hall.listing.clone(), ..honest };
    let error = ResolveError { statement: stranger, why: Misfit::Author };
    assert_eq!(hall.proof(&odd, proposal).verify(&odd.before, &Pure), Err(ProofError::Resolve(error)));
}

#[test]
fn who_trusts_the_genesis_alone_walks_there_and_sees_every_place() {
    let mut hall = Hall::new(4, 1);
    let first = hall.admit(1, 100);
    hall.item(100, Body::Accept(first));
    hall.votes(first, "yyyy");
    // Asked and answered by one at height 0, judged a round later.
    let later = hall.ask(2, 1, Urn::remove(key(4)));
    hall.listing.judged.remove(&later);
    let early = hall.say(3, Body::Ballot(Ballot { number: 2, answers: [(later, Answer::Yes)].into() }));
    let one = hall.seal();
    hall.listing.judged.insert(later);
    hall.votes(later, "yy-y");
    hall.listing.ballots.insert(early);
    let two = hall.seal();
    hall.admit(1, 101);
    hall.seal();

    let proof = hall.proof(&two, later);
    let told = proof.verify_from_genesis(&hall.genesis, &hall.story, &Pure).expect("a good proof");
    assert_eq!(told, hall.explain(&two, later));
    assert_eq!(
        (told.voted(Vote::Yes).len(), told.voted(Vote::Silent), told.asked_at.height),
        (3, vec![key(100)], Height(0))
    );
    let first_told = hall.proof(&one, first).verify_from_genesis(&hall.genesis, [], &Pure).expect("height 1");
    assert_eq!(first_told.decision.outcome, Outcome::Passed);
    let short = proof.verify_from_genesis(&hall.genesis, [], &Pure);
    assert_eq!(short, Err(ProofError::Story { height: Height(2), reached: Height(0) }));
    let twisted = proof.verify_from_genesis(&hall.genesis, &hall.story[1..], &Pure);
    let height = ChainError::Height { expected: Height(1), found: Height(2) };
    assert_eq!(twisted, Err(ProofError::Chain(height)));
    assert_eq!(proof.verify(&one.before, &Pure), Err(ProofError::Chain(height)));

    // A ballot that stood beside the chain: a quorum let it pass, and whoever walks the whole way sees it.
    let mut hall = Hall::new(4, 1);
    hall.admit(1, 100);
    hall.seal();
    let asked = hall.admit(1, 101);
    hall.votes(asked, "yy");
    let beside = Place { height: Height(0), header: HeaderId([1; 32]) };
    // A pair convicts wherever its author stood.
    let pair = [1, 2].map(|n| hall.say_at(beside, 4, Body::Ack { view: View(0), header: HeaderId([n; 32]) }));
    let evidence = Evidence::of(&hall.held[&pair[0]], &hall.held[&pair[1]]).expect("two Acks");
    hall.listing.convict(&evidence);
    let mut honest = hall.clone();
    let on_chain = honest.say(3, Body::Ballot(Ballot { number: 1, answers: [(asked, Answer::Yes)].into() }));
    honest.listing.ballots.insert(on_chain);
    let round = honest.seal();
    let told = honest.proof(&round, asked).verify_from_genesis(&honest.genesis, &honest.story, &Pure);
    assert_eq!(told.expect("a good proof").decision.outcome, Outcome::Passed);
    let odd = hall.say_at(beside, 3, Body::Ballot(Ballot { number: 1, answers: [(asked, Answer::Yes)].into() }));
    hall.listing.ballots.insert(odd);
    let round = hall.seal();
    let proof = hall.proof(&round, asked);
    assert!(proof.verify(&round.before, &Pure).is_ok());
    let found = proof.verify_from_genesis(&hall.genesis, &hall.story, &Pure);
    assert_eq!(found, Err(ProofError::Elsewhere(odd)));
}

#[test]
fn a_proof_is_bounded_whatever_it_counts() {
    let (hall, round, proposal) = small();
    let community = hall.chain.community();
    let too_long = Bytes::from(vec![0; MAX_PROOF + 1]);
    assert_eq!(Proof::from_bytes(community, &too_long), Err(LayoutError));
    let bytes = hall.proof(&round, proposal).to_bytes();
    // Counts of four billion: of the certificate, and of the statements.
    let statements = bytes.len() - hall.held.values().map(|statement| 2 + statement.bytes().len()).sum::<usize>() - 4;
    for at in [32, statements] {
        let mut greedy = bytes.clone();
        greedy[at..at + 4].fill(0xff);
        assert_eq!(Proof::from_bytes(community, &greedy.into()), Err(LayoutError), "at {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_tally_that_is_shown_is_what_was_voted(votes in "[yna-]{7}", removes in any::<bool>()) {
        let mut hall = Hall::new(7, 1);
        let proposal = if removes { hall.ask(1, 0, Urn::remove(key(7))) } else { hall.admit(1, 100) };
        hall.votes(proposal, &votes);
        let round = hall.seal();
        let told = hall.explain(&round, proposal);
        let counted = if removes { &votes[..6] } else { &votes[..] };
        let cast = |vote: char| counted.chars().filter(|other| *other == vote).count();
        let shown = [Vote::Yes, Vote::No, Vote::Abstain, Vote::Silent].map(|vote| told.voted(vote).len());
        prop_assert_eq!(shown, ['y', 'n', 'a', '-'].map(cast));
        let tally = [told.tally.yes, told.tally.no, told.tally.abstain].map(|n| usize::try_from(n).expect("few"));
        prop_assert_eq!(tally, [shown[0], shown[1], shown[2]]);
        prop_assert_eq!(told.respondents as usize, votes.chars().filter(|vote| *vote != '-').count());
        let all: BTreeSet<_> = told.votes.iter().map(|(key, _)| *key).collect();
        prop_assert_eq!(all.len(), 7);
        let passed = told.decision.outcome == Outcome::Passed;
        let expected = told.respondents >= 5 && told.tally.has_majority() && (!removes || told.tally.yes >= 2);
        prop_assert_eq!(passed, expected);
    }
}
