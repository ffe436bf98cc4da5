//! Certificates, listings and proofs that nobody may take, each with one thing wrong.

use super::super::tests::asks;
use super::super::tests::hall::{Hall, Round, proof_bytes};
use super::chain::{ASLEEP, Story, village};
use super::*;

/// The one encoding, with whatever is put in.
fn encoded(header: &Header, view: View, members: u32, signers: &[usize], signatures: &[[u8; 64]]) -> Vec<u8> {
    let mut places = vec![0_u8; members.div_ceil(8) as usize];
    signers.iter().for_each(|at| places[at / 8] |= 0x80 >> (at % 8));
    let parts = [&view.0.to_be_bytes()[..], &members.to_be_bytes(), &places, signatures.as_flattened()];
    [&header.to_bytes()[..], &parts.concat()].concat()
}

fn reason(error: ChainError) -> &'static str {
    match error {
        ChainError::Height { .. } => "height",
        ChainError::Previous => "previous",
        ChainError::TooSoon { .. } => "too soon",
        ChainError::Quorum { .. } => "quorum",
        ChainError::Signer => "signer",
        ChainError::Signature(_) => "signature",
        ChainError::Roster => "roster",
        ChainError::Rules => "rules",
        ChainError::NoRounds => "no rounds",
    }
}

/// The sixth height of the village: much is changed there, and one of the members before it sleeps.
fn sixth() -> (Hall, Round) {
    let mut story = village();
    let told = story.heights.remove(5);
    (told.before, told.round)
}

fn certificates() -> Vec<Value> {
    let (hall, round) = sixth();
    let (good, roster, place) = (&round.certificate.header, hall.chain.roster(), hall.chain.place());
    let id = good.id(hall.chain.community());
    let members = u32::try_from(roster.members().len()).expect("few");
    let seed_of = |at: usize| (1..=25).find(|seed| key(*seed) == roster.members()[at].key).expect("one of ours");
    let active: Vec<usize> = (0..roster.members().len()).filter(|at| roster.members()[*at].is_active()).collect();
    let asleep = (0..roster.members().len()).find(|at| !active.contains(at)).expect("one sleeps");
    assert_eq!((active.len(), hall.chain.numbers().quorum), (4, 3));
    let three = &active[..3];
    let commit = |view, header| Body::Commit { view, header };
    let signatures = |signers: &[usize], place: Place, body: &Body| -> Vec<[u8; 64]> {
        signers.iter().map(|at| hall.signature(place, seed_of(*at), body.clone()).1).collect()
    };
    let by =
        |signers: &[usize]| encoded(good, View(0), members, signers, &signatures(signers, place, &commit(View(0), id)));
    let bytes = by(three);
    assert!(hall.chain.clone().follow(&Certificate::from_bytes(&bytes).expect("good"), &Pure).is_ok());
    // Another header, sealed by a quorum.
    let header = |change: &dyn Fn(&mut Header)| {
        let mut header = good.clone();
        change(&mut header);
        hall.certify(header).to_bytes()
    };
    let changes = |change: &dyn Fn(&mut Changes)| header(&|header| change(&mut header.changes));
    let signed = |place, body: &Body| encoded(good, View(0), members, three, &signatures(three, place, body));
    let elsewhere = CommunityId::from_name("elsewhere");
    let there = three.iter().map(|at| say(&elsewhere, place, seed_of(*at), commit(View(0), id)).signature());
    let mut swapped = signatures(three, place, &commit(View(0), id));
    swapped.swap(0, 1);
    let before = Place { height: Height(place.height.0 - 1), header: good.previous };
    let (stranger, member) = (key(22), roster.members()[active[0]].key);
    let signers_at = good.to_bytes().len() + 4 + 4;
    [
        ("the height before", header(&|header| header.height.0 -= 1)),
        ("the height after", header(&|header| header.height.0 += 1)),
        ("another previous header", header(&|header| header.previous.0[0] ^= 1)),
        ("opened a millisecond too early", header(&|header| header.opened_at.0 -= 1)),
        ("opened before the round began", header(&|header| header.opened_at.0 = 0)),
        ("rules out of range", changes(&|changes| changes.rules.as_mut().expect("new rules").witnesses = 0)),
        ("rules that decide in another way", {
            changes(&|changes| changes.rules.as_mut().expect("new rules").decided_by = DecidedBy::Owners)
        }),
        ("another root", header(&|header| header.roster.0[31] ^= 1)),
        ("one member more", header(&|header| header.members += 1)),
        ("one active member less", header(&|header| header.active -= 1)),
        ("respondents of one place more", {
            changes(&|changes| changes.respondents = Some(Places::none(roster.members().len() + 1)))
        }),
        ("nobody was evicted", changes(&|changes| changes.departed.clear())),
        ("a stranger departs", changes(&|changes| changes.departed = [(stranger, Departure::Silent)].into())),
        ("a stranger wakes", changes(&|changes| changes.woken = [stranger].into())),
        ("a stranger sleeps", changes(&|changes| changes.dormant = [stranger].into())),
        ("a stranger's key is replaced", changes(&|changes| changes.rekeyed = [(stranger, key(23))].into())),
        ("a new key that is a member's", {
            changes(&|changes| changes.rekeyed = [(member, roster.members()[active[1]].key)].into())
        }),
        ("a member is admitted", changes(&|changes| changes.admitted = [(member, Standing::Active)].into())),
        ("a quorum less one", by(&active[..2])),
        ("a quorum and one more", by(&active)),
        ("a dormant member among the signers", {
            let mut signers = [active[0], active[1], asleep];
            signers.sort_unstable();
            by(&signers)
        }),
        ("a signature of another view", signed(place, &commit(View(1), id))),
        ("Commits of another view than the certificate's", {
            encoded(good, View(1), members, three, &signatures(three, place, &commit(View(0), id)))
        }),
        ("signatures of another header", signed(place, &commit(View(0), good.previous))),
        ("signatures at another place", signed(before, &commit(View(0), id))),
        ("Acks in place of Commits", signed(place, &Body::Ack { view: View(0), header: id })),
        ("signatures of another community", { encoded(good, View(0), members, three, &there.collect::<Vec<_>>()) }),
        ("two signatures in each other's place", encoded(good, View(0), members, three, &swapped)),
        ("a bit of the last signature flipped", changed(&bytes, bytes.len() - 1, bytes[bytes.len() - 1] ^ 1)),
        ("signers by one place more", {
            encoded(good, View(0), members + 1, three, &signatures(three, place, &commit(View(0), id)))
        }),
        ("signers by one place less", {
            let three = &active[..3];
            assert!(three.iter().all(|at| *at < roster.members().len() - 1));
            encoded(good, View(0), members - 1, three, &signatures(three, place, &commit(View(0), id)))
        }),
        ("one byte short", shorter(&bytes)),
        ("trailing byte", longer(&bytes)),
        ("a signature short", bytes[..bytes.len() - 64].to_vec()),
        ("a bit behind the last signer", changed(&bytes, signers_at, bytes[signers_at] | 1)),
        ("outcomes out of order", header(&|header| header.outcomes.reverse())),
        ("outcome 14", changed(&bytes, 124 + 32, 14)),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Certificate::from_bytes(&bytes) {
            Err(_) => "layout",
            Ok(read) => reason(hall.chain.clone().follow(&read, &Pure).expect_err(name)),
        };
        json!({ "name": name, "after": place.height.0, "certificate": hex(&bytes), "reason": reason })
    })
    .collect()
}

/// A community whose owners decide by themselves, and a certificate that would follow if it had any.
fn owners() -> Value {
    let mut hall = Hall::found(founding(Rules::preset(Preset::Manual), 1..=4));
    let header = hall.header();
    let bytes = hall.certify(header).to_bytes();
    let read = Certificate::from_bytes(&bytes).expect("a good layout");
    let reason = reason(hall.chain.clone().follow(&read, &Pure).expect_err("there are none"));
    json!({ "genesis": hex(&hall.genesis.to_bytes()), "certificate": hex(&bytes), "reason": reason })
}

// ---- listings ----

fn misfit(why: Misfit) -> &'static str {
    match why {
        Misfit::Missing => "missing",
        Misfit::Kind => "kind",
        Misfit::Place => "place",
        Misfit::Author => "author",
        Misfit::Stale => "stale",
        Misfit::Slot => "slot",
        Misfit::Sponsor => "sponsor",
        Misfit::Report => "report",
        Misfit::Twice => "twice",
        Misfit::NotEndorsed => "not endorsed",
        Misfit::NoConflict => "no conflict",
        Misfit::NoQuorum => "no quorum",
    }
}

/// What is put into the empty sixth round, by name.
type Trick = (&'static str, fn(&mut Hall));

fn judge(hall: &mut Hall, place: Place, seed: u8, body: Body) {
    let id = hall.say_at(place, seed, body);
    hall.listing.judged.insert(id);
}

fn list(hall: &mut Hall, place: Place, seed: u8, body: Body) {
    let id = hall.say_at(place, seed, body);
    hall.listing.items.insert(id);
}

fn at(hall: &Hall, height: u64) -> Place {
    match usize::try_from(height).expect("few").checked_sub(1) {
        None => hall.genesis.header().place(&hall.genesis.community()),
        Some(before) => hall.story[before].header.place(hall.chain.community()),
    }
}

fn ballot(number: u64, proposal: StatementId, answer: Answer) -> Body {
    Body::Ballot(Ballot { number, answers: [(proposal, answer)].into() })
}

/// The proposal of a revocation, and ballots for it.
fn revoke(hall: &mut Hall, ask: Ask, ballots: &[(u8, u64, Answer)]) {
    let proposal = hall.say(1, asks(1, ask));
    let ballots = ballots.iter().map(|(seed, number, answer)| hall.say(*seed, ballot(*number, proposal, *answer)));
    let ballots = ballots.collect();
    hall.listing.revocations.insert(proposal, ballots);
}

fn reported(hall: &Hall, height: u64, by: u8, subject: u8) -> Ask {
    let report = Report::new(hall.chain.community(), key(by), at(hall, height), &key(subject), &*signer(by));
    Ask::Remove { subject: key(subject), reports: [report].into() }
}

const YES: [(u8, u64, Answer); 3] = [(1, 70, Answer::Yes), (2, 70, Answer::Yes), (10, 70, Answer::Yes)];

const TRICKS: [Trick; 32] = [
    ("a statement that is not there", |hall| {
        hall.listing.judged.insert(StatementId([1; 32]));
    }),
    ("a Leave among the judged", |hall| {
        let place = hall.chain.place();
        judge(hall, place, 1, Body::Leave);
    }),
    ("a ballot among the endorsed", |hall| {
        let id = hall.say(1, ballot(70, StatementId([1; 32]), Answer::Yes));
        hall.listing.endorsed.insert(id);
    }),
    ("an Ack among the ballots", |hall| {
        let id = hall.say(1, Body::Ack { view: View(0), header: HeaderId([1; 32]) });
        hall.listing.ballots.insert(id);
    }),
    ("a Status among the items", |hall| {
        let place = hall.chain.place();
        list(hall, place, 1, Body::Status { view: View(1), locked: None });
    }),
    ("a height that is not there yet", |hall| {
        let place = Place { height: hall.chain.place().height.next(), header: HeaderId([1; 32]) };
        list(hall, place, 1, Body::Leave);
    }),
    ("another header of the newest height", |hall| {
        let place = Place { header: HeaderId([1; 32]), ..hall.chain.place() };
        list(hall, place, 1, Body::Leave);
    }),
    ("a Wake of the height before", |hall| {
        let place = at(hall, 4);
        list(hall, place, ASLEEP, Body::Wake);
    }),
    ("a Wake of an active member", |hall| {
        let place = hall.chain.place();
        list(hall, place, 1, Body::Wake);
    }),
    ("an Accept of the height before", |hall| {
        let proposal = hall.admit(1, 15);
        let place = at(hall, 4);
        list(hall, place, 15, Body::Accept(proposal));
    }),
    ("an Accept of another key than the applicant's", |hall| {
        let proposal = hall.admit(1, 15);
        hall.item(16, Body::Accept(proposal));
    }),
    ("an Accept of a re-key", |hall| {
        let ask = Ask::Rekey(hall.application(2, 15));
        let proposal = hall.ask(1, 1, ask);
        hall.item(15, Body::Accept(proposal));
    }),
    ("a Withdraw by another member than the sponsor", |hall| {
        let proposal = hall.admit(1, 15);
        hall.item(2, Body::Withdraw(proposal));
    }),
    ("a Withdraw of a ballot", |hall| {
        let id = hall.say(1, ballot(70, StatementId([1; 32]), Answer::Yes));
        hall.item(1, Body::Withdraw(id));
    }),
    ("a stranger's ballot", |hall| {
        let id = hall.say(22, ballot(70, StatementId([1; 32]), Answer::Yes));
        hall.listing.ballots.insert(id);
    }),
    ("a removed member's proposal", |hall| {
        let place = at(hall, 4);
        judge(hall, place, 4, asks(1, Ask::Revoke { subject: key(25) }));
    }),
    ("a ballot from before its author joined", |hall| {
        let place = at(hall, 1);
        let id = hall.say_at(place, 11, ballot(70, StatementId([1; 32]), Answer::Yes));
        hall.listing.ballots.insert(id);
    }),
    ("a proposal five heights back where four are allowed", |hall| {
        let place = at(hall, 0);
        judge(hall, place, 1, asks(1, Ask::Revoke { subject: key(25) }));
    }),
    ("an Admit in slot 1 of four active members", |hall| {
        let ask = Ask::Admit(hall.application(1, 15));
        hall.ask(1, 1, ask);
    }),
    ("an application made for another sponsor", |hall| {
        let ask = Ask::Admit(hall.application(2, 15));
        hall.ask(1, 0, ask);
    }),
    ("a report of the subject itself", |hall| {
        let ask = reported(hall, 5, 3, 3);
        hall.ask(1, 1, ask);
    }),
    ("a report two heights before the proposal", |hall| {
        let ask = reported(hall, 3, 2, 3);
        hall.ask(1, 1, ask);
    }),
    ("two ballots of one author", |hall| {
        let ids = [70, 71].map(|number| hall.say(1, ballot(number, StatementId([1; 32]), Answer::Yes)));
        hall.listing.ballots.extend(ids);
    }),
    ("two pairs of one author", |hall| {
        for view in [View(1), View(2)] {
            let pair = [1, 2].map(|n| hall.say(3, Body::Ack { view, header: HeaderId([n; 32]) }));
            hall.listing.evidence.insert(pair[0].min(pair[1]), pair[0].max(pair[1]));
        }
    }),
    ("a pair that is no evidence", |hall| {
        let pair = [1, 2].map(|n| hall.say(3, Body::Ack { view: View(n), header: HeaderId([1; 32]) }));
        hall.listing.evidence.insert(pair[0].min(pair[1]), pair[0].max(pair[1]));
    }),
    ("a pair of a stranger", |hall| {
        let pair = [1, 2].map(|n| hall.say(22, Body::Ack { view: View(0), header: HeaderId([n; 32]) }));
        hall.listing.evidence.insert(pair[0].min(pair[1]), pair[0].max(pair[1]));
    }),
    ("endorsed by half, where it takes 51 %", |hall| {
        let ask = Ask::Admit(hall.application(1, 15));
        let proposal = hall.say(1, asks(0, ask));
        hall.listing.endorsed.insert(proposal);
        for seed in [1, 2, ASLEEP] {
            hall.item(seed, Body::Endorse { proposal, number: 1, on: true });
        }
    }),
    ("endorsed by three of four, one of whom took it back", |hall| {
        let ask = Ask::Admit(hall.application(1, 15));
        let proposal = hall.say(1, asks(0, ask));
        hall.listing.endorsed.insert(proposal);
        for seed in [1, 2] {
            hall.item(seed, Body::Endorse { proposal, number: 1, on: true });
        }
        // The later one has the lesser id: the number counts, not the order of the list.
        let of = |number, on| Body::Endorse { proposal, number, on };
        for number in 1.. {
            let pair = [of(number, true), of(number + 1, false)].map(|body| hall.say(10, body));
            if pair[1] < pair[0] {
                hall.listing.items.extend(pair);
                break;
            }
            pair.iter().for_each(|id| assert!(hall.held.remove(id).is_some()));
        }
    }),
    ("an endorsed Revoke", |hall| {
        let proposal = hall.say(1, asks(1, Ask::Revoke { subject: key(25) }));
        hall.listing.endorsed.insert(proposal);
        for seed in [1, 2, 10, 3] {
            hall.item(seed, Body::Endorse { proposal, number: 1, on: true });
        }
    }),
    ("a revocation by two and a sleeper", |hall| {
        let ballots = [YES[0], YES[1], (ASLEEP, 70, Answer::Yes)];
        revoke(hall, Ask::Revoke { subject: key(25) }, &ballots);
    }),
    ("a revocation with a no", |hall| {
        let ballots = [YES[0], YES[1], YES[2], (3, 70, Answer::No)];
        revoke(hall, Ask::Revoke { subject: key(25) }, &ballots);
    }),
    ("a revocation of new rules", |hall| revoke(hall, Ask::Amend(Rules::preset(Preset::Seed)), &YES)),
];

fn listings() -> Vec<Value> {
    let (start, _) = sixth();
    TRICKS
        .iter()
        .map(|(name, trick)| {
            let mut hall = start.clone();
            hall.held.clear();
            trick(&mut hall);
            let at = hall.chain.standpoint();
            let refused = hall.listing.resolve(&at, hall.chain.community(), |id| hall.held.get(id)).expect_err(name);
            json!({
                "name": name,
                "after": at.height.0,
                "listing": hex(&hall.listing.to_bytes()),
                "statements": hall.held.values().map(|statement| hex(statement.bytes())).collect::<Vec<_>>(),
                "reason": misfit(refused.why),
            })
        })
        .collect()
}

// ---- proofs ----

fn proof_reason(error: ProofError) -> &'static str {
    match error {
        ProofError::Chain(_) => "chain",
        ProofError::Story { .. } => "story",
        ProofError::Listing => "listing",
        ProofError::Missing(_) => "missing",
        ProofError::Surplus(_) => "surplus",
        ProofError::Forged(_) => "forged",
        ProofError::Elsewhere(_) => "elsewhere",
        ProofError::Resolve(_) => "misfit",
        ProofError::Outcome => "outcome",
        ProofError::NotDecided(_) => "not decided",
        other => panic!("{other}"),
    }
}

fn proofs() -> Vec<Value> {
    let Story { hall, mut heights, .. } = village();
    let told = heights.remove(3);
    let (round, before) = (&told.round, &told.before);
    let proposal = round.certificate.header.outcomes[0].0;
    let proof = hall.proof(round, proposal);
    let names = round.listing.names();
    let all = || names.iter().map(|id| &hall.held[id]);
    let bytes = proof.to_bytes();
    let plain = |statements: &[&Statement]| proof_bytes(proposal, &round.certificate, &round.listing, statements);
    let given: Vec<_> = all().collect();
    assert_eq!(plain(&given), bytes);
    let someone = given.iter().find(|statement| statement.author() == key(4)).expect("it voted");
    let surplus = say(hall.chain.community(), before.chain.place(), 4, Body::Leave);
    let forged = {
        let unsigned = &someone.bytes()[..someone.bytes().len() - 64];
        let signature = signer(9).sign(&signed_bytes(hall.chain.community(), unsigned));
        let bytes = [unsigned, &signature[..]].concat();
        Statement::read(hall.chain.community(), bytes.into()).expect("a good layout")
    };
    let sorted = |mut statements: Vec<&Statement>| {
        statements.sort_by_key(|statement| statement.id());
        plain(&statements)
    };
    // A round that a quorum sealed although it is not what follows from its listing.
    let sealed = |change: &dyn Fn(&mut Hall, &mut Header)| {
        let mut hall = Hall { held: hall.held.clone(), ..before.clone() };
        hall.listing = round.listing.clone();
        let mut header = round.certificate.header.clone();
        change(&mut hall, &mut header);
        header.contents = hall.listing.id(hall.chain.community());
        let certificate = hall.certify(header);
        assert!(hall.chain.clone().follow(&certificate, &Pure).is_ok(), "the chain alone does not see it");
        let mut names = hall.listing.names();
        names.retain(|id| hall.held.contains_key(id));
        let statements: Vec<_> = names.iter().map(|id| &hall.held[id]).collect();
        proof_bytes(proposal, &certificate, &hall.listing, &statements)
    };
    let beside = Place { height: Height(1), header: HeaderId([1; 32]) };
    let cases = [
        ("one byte short", shorter(&bytes)),
        ("trailing byte", longer(&bytes)),
        ("statements out of order", plain(&given.iter().rev().copied().collect::<Vec<_>>())),
        ("a statement twice", sorted(given.iter().chain([someone]).copied().collect())),
        ("a statement that is missing", {
            plain(&all().filter(|statement| statement.id() != someone.id()).collect::<Vec<_>>())
        }),
        ("a statement too many", sorted(given.iter().copied().chain([&surplus]).collect())),
        ("a statement that its author did not sign", {
            plain(&all().map(|other| if other.id() == someone.id() { &forged } else { other }).collect::<Vec<_>>())
        }),
        (
            "a proposal that was not judged",
            proof_bytes(StatementId([1; 32]), &round.certificate, &round.listing, &given),
        ),
        ("a listing with a ballot less", {
            let mut fewer = round.listing.clone();
            fewer.ballots.remove(&someone.id());
            let rest: Vec<_> = all().filter(|statement| statement.id() != someone.id()).collect();
            proof_bytes(proposal, &round.certificate, &fewer, &rest)
        }),
        ("the certificate of another height", { proof_bytes(proposal, &hall.story[4], &round.listing, &given) }),
        ("another outcome than the votes'", sealed(&|_, header| header.outcomes[0].1 = Outcome::Refused)),
        ("nobody struck", {
            sealed(&|hall, header| {
                header.changes.respondents = None;
                let after = header.changes.apply(hall.chain.roster(), header.height).expect("they fit");
                header.roster = after.root();
            })
        }),
        ("a listed stranger's ballot", {
            sealed(&|hall, _| {
                let id = hall.say(22, ballot(1, proposal, Answer::Yes));
                hall.listing.ballots.insert(id);
            })
        }),
        ("a Leave that was signed on a header beside the chain, to be walked from the genesis", {
            sealed(&|hall, header| {
                let id = hall.say_at(beside, 10, Body::Leave);
                hall.listing.items.insert(id);
                *header = hall.header();
            })
        }),
    ];
    let judge = |bytes: Vec<u8>| match Proof::from_bytes(hall.chain.community(), &bytes.into()) {
        Err(_) => "layout",
        Ok(proof) => match proof.verify_from_genesis(&hall.genesis, &hall.story[..3], &Pure) {
            Err(error) => proof_reason(error),
            Ok(_) => panic!("it is fine"),
        },
    };
    cases
        .into_iter()
        .map(|(name, bytes)| json!({ "name": name, "after": 3, "proof": hex(&bytes), "reason": judge(bytes) }))
        .collect()
}

#[test]
fn what_is_refused_is_refused() {
    check(
        "ledger-refused.json",
        &json!({
            "certificates": certificates(),
            "owners_decide": owners(),
            "listings": listings(),
            "proofs": proofs(),
        }),
    );
}
