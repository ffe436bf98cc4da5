//! Stories with real keys: what is followed, and everything that is not.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{Crypto, Pure, Signer};
use crate::identity::CommunityId;

fn signer(seed: u8) -> Box<dyn Signer> {
    Pure.signer(&[seed; 32])
}

/// A community whose members sign what the test says.
struct Village {
    genesis: Genesis,
    chain: Chain,
}

fn founding(founders: u8) -> Founding {
    Founding {
        rules: Rules::preset(Preset::Village),
        founders: (1..=founders).map(key).collect(),
        opened_at: UnixMillis(1_000_000),
        nonce: [7; 16],
        text: Bytes::from_static(b"a village by the sea"),
    }
}

fn found(founders: u8) -> Genesis {
    let founding = founding(founders);
    let signatures: Vec<_> = (1..=founders).map(|seed| (key(seed), founding.sign(&*signer(seed)))).collect();
    Genesis::new(founding, &signatures, &Pure).expect("all signed")
}

impl Village {
    fn new(founders: u8) -> Self {
        let genesis = found(founders);
        Self { chain: Chain::start(&genesis), genesis }
    }

    /// A next header with these changes.
    fn header(&self, changes: Changes) -> Header {
        let height = self.chain.place().height.next();
        let roster = changes.apply(self.chain.roster(), height).expect("they fit");
        Header {
            height,
            previous: self.chain.place().header,
            opened_at: UnixMillis(self.chain.opened_at().0 + self.chain.rules().vote_window_ms),
            contents: ContentsId([3; 32]),
            roster: roster.root(),
            members: u32::try_from(roster.members().len()).expect("few"),
            active: roster.active_len(),
            outcomes: Vec::new(),
            changes,
        }
    }

    fn commit(&self, seed: u8, view: View, header: HeaderId) -> (BotId, [u8; 64]) {
        let body = Body::Commit { view, header };
        (key(seed), say(self.chain.community(), self.chain.place(), seed, body).signature())
    }

    /// Signed by these members, however many they are.
    fn certify(&self, header: Header, seeds: &[u8]) -> Certificate {
        let id = header.id(self.chain.community());
        let commits: Vec<_> = seeds.iter().map(|seed| self.commit(*seed, View(0), id)).collect();
        Certificate::new(header, View(0), self.chain.roster(), u32::MAX, commits)
    }

    fn refused(&self, certificate: &Certificate) -> ChainError {
        let mut chain = self.chain.clone();
        let error = chain.follow(certificate, &Pure).expect_err("it is wrong");
        assert_eq!((chain.place(), chain.roster()), (self.chain.place(), self.chain.roster()), "nothing is changed");
        error
    }
}

fn admits(seed: u8) -> Changes {
    Changes { admitted: [(key(seed), Standing::Active)].into(), ..Changes::default() }
}

#[test]
fn a_genesis_is_signed_by_all_its_founders_and_its_hash_is_the_communitys_name() {
    let genesis = found(3);
    assert_eq!(Genesis::from_bytes(&genesis.to_bytes(), &Pure), Ok(genesis.clone()));
    let mut others = founding(3);
    others.founders.reverse();
    assert_eq!(others.community(), genesis.community(), "founders have one order");
    others.nonce = [8; 16];
    assert_ne!(others.community(), genesis.community());

    let two: Vec<_> = [1, 2].map(|seed| (key(seed), founding(3).sign(&*signer(seed)))).into();
    assert_eq!(Genesis::new(founding(3), &two, &Pure), Err(GenesisError::Signature(key(3))));
    let nobody = Founding { founders: Vec::new(), ..founding(1) };
    assert_eq!(Genesis::new(nobody, &[], &Pure), Err(GenesisError::Founders(0)));
    let bytes = genesis.to_bytes();
    for at in 0..bytes.len() {
        let mut odd = bytes.clone();
        odd[at] ^= 1;
        assert!(Genesis::from_bytes(&odd, &Pure).is_err(), "byte {at}");
        assert!(Genesis::from_bytes(&bytes[..at], &Pure).is_err(), "cut at {at}");
    }
}

#[test]
fn inv35_a_story_of_twelve_heights_is_followed_and_ends_with_its_members() {
    let mut village = Village::new(4);
    let mut story = Vec::new();
    for round in 0..12_u8 {
        let changes = match round {
            0..8 => admits(10 + round),
            8 => Changes { departed: [(key(4), Departure::Left)].into(), ..Changes::default() },
            9 => Changes { rekeyed: [(key(10), key(30))].into(), ..Changes::default() },
            10 => Changes { dormant: [key(11)].into(), ..Changes::default() },
            _ => {
                let rules = Rules { evict_after: None, ..village.chain.rules().clone() };
                Changes { woken: [key(11)].into(), rules: Some(rules), ..Changes::default() }
            }
        };
        let (roster, rules) = (village.chain.roster(), village.chain.rules());
        let quorum = rules.numbers(roster.active_len()).quorum as usize;
        let all: Vec<u8> = (1..40).filter(|seed| roster.get_active(&key(*seed)).is_some()).take(quorum).collect();
        let certificate = village.certify(village.header(changes), &all);
        let bytes = certificate.to_bytes();
        assert_eq!(Certificate::from_bytes(&bytes), Ok(certificate.clone()));
        village.chain.follow(&certificate, &Pure).expect("a good certificate");
        story.push(bytes);
    }
    let mut late = Chain::start(&Genesis::from_bytes(&village.genesis.to_bytes(), &Pure).expect("good"));
    for bytes in &story {
        late.follow(&Certificate::from_bytes(bytes).expect("good"), &Pure).expect("followed");
    }
    assert_eq!(
        (late.roster(), late.rules(), late.place()),
        (village.chain.roster(), village.chain.rules(), village.chain.place())
    );
    assert_eq!((late.roster().members().len(), late.place().height), (11, Height(12)));
    assert_eq!((late.roster().get(&key(4)), late.rules().evict_after), (None, None));
}

#[test]
fn inv27_no_altered_certificate_is_followed() {
    let village = Village::new(4);
    let certificate = village.certify(village.header(admits(9)), &[1, 2, 3]);
    let bytes = certificate.to_bytes();
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut odd = bytes.clone();
            odd[at] ^= bit;
            let taken =
                Certificate::from_bytes(&odd).ok().and_then(|odd| village.chain.clone().follow(&odd, &Pure).ok());
            assert!(taken.is_none(), "byte {at} ^ {bit}");
        }
        assert!(Certificate::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
    assert!(village.chain.clone().follow(&certificate, &Pure).is_ok());
}

#[test]
fn certificates_that_do_not_follow_say_why() {
    let mut village = Village::new(4);
    let header = village.header(admits(9));
    let three = [1, 2, 3];
    let with = |change: &dyn Fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        village.refused(&village.certify(header, &three))
    };
    let height = |found| ChainError::Height { expected: Height(1), found: Height(found) };
    assert_eq!(with(&|header| header.height = Height(2)), height(2));
    assert_eq!(with(&|header| header.height = Height(0)), height(0));
    assert_eq!(with(&|header| header.previous = HeaderId([1; 32])), ChainError::Previous);
    let window_ms = village.chain.rules().vote_window_ms;
    let too_soon = ChainError::TooSoon { lasted_ms: window_ms - 1, window_ms };
    assert_eq!(with(&|header| header.opened_at.0 -= 1), too_soon);
    assert_eq!(with(&|header| header.active += 1), ChainError::Roster);
    assert_eq!(with(&|header| header.members += 1), ChainError::Roster);
    assert_eq!(with(&|header| header.changes = admits(10)), ChainError::Roster);
    assert_eq!(with(&|header| header.changes = admits(1)), ChainError::Roster, "a member cannot be admitted");
    assert_eq!(with(&|header| header.changes.dormant = [key(50)].into()), ChainError::Roster);
    let manual = Some(Rules::preset(Preset::Manual));
    assert_eq!(with(&|header| header.changes.rules = manual.clone()), ChainError::Rules);

    let quorum = |signed| ChainError::Quorum { signed, quorum: 3 };
    assert_eq!(village.refused(&village.certify(header.clone(), &[1, 2])), quorum(2));
    assert_eq!(village.refused(&village.certify(header.clone(), &[1, 2, 2, 60])), quorum(2), "doubles and strangers");
    assert_eq!(village.refused(&village.certify(header.clone(), &[1, 2, 3, 4])), quorum(4));
    let id = header.id(village.chain.community());
    let mut commits = [1, 2, 3].map(|seed| village.commit(seed, View(0), id));
    commits[2] = village.commit(3, View(1), id);
    let mixed = Certificate::new(header.clone(), View(0), village.chain.roster(), 3, commits);
    assert_eq!(village.refused(&mixed), ChainError::Signature(key(3)), "Commits of two views");
    commits[2].1 = village.commit(2, View(0), id).1;
    let borrowed = Certificate::new(header.clone(), View(0), village.chain.roster(), 3, commits);
    assert_eq!(village.refused(&borrowed), ChainError::Signature(key(3)));

    // A second time, and after the roster has changed.
    let good = village.certify(header, &three);
    village.chain.follow(&good, &Pure).expect("good");
    assert_eq!(village.refused(&good), ChainError::Height { expected: Height(2), found: Height(1) });
}

#[test]
fn dormant_members_sign_no_certificates() {
    let mut village = Village::new(5);
    let asleep = Changes { dormant: [key(5)].into(), ..Changes::default() };
    village.chain.follow(&village.certify(village.header(asleep), &[1, 2, 3, 4]), &Pure).expect("good");
    let header = village.header(Changes::default());
    let mut commits: Vec<_> =
        (1..=5).map(|seed| village.commit(seed, View(0), header.id(village.chain.community()))).collect();
    let good = Certificate::new(header.clone(), View(0), village.chain.roster(), 3, commits.clone());
    assert!(village.chain.clone().follow(&good, &Pure).is_ok());
    // A certificate by hand that names the dormant one.
    let mut bytes = header.to_bytes();
    bytes.extend([0; 4]);
    let mut signers = Places::none(5);
    commits.retain(|(by, _)| [key(1), key(2), key(5)].contains(by));
    commits.sort();
    commits.iter().for_each(|(by, _)| signers.insert(village.chain.roster().position(by).expect("a member")));
    bytes.extend(5_u32.to_be_bytes());
    bytes.push((0..5).filter(|at| signers.contains(*at)).map(|at| 0x80_u8 >> at).sum());
    commits.iter().for_each(|(_, signature)| bytes.extend(signature));
    let forged = Certificate::from_bytes(&bytes).expect("well formed");
    assert_eq!(village.refused(&forged), ChainError::Signer);
}

#[test]
fn inv36_a_statement_counts_in_its_community_place_and_kind_only() {
    let (here, elsewhere) = (CommunityId::from_name("here"), CommunityId::from_name("elsewhere"));
    let place = Place { height: Height(3), header: HeaderId([4; 32]) };
    let mut names = alloc::collections::BTreeSet::new();
    for (kind, body) in bodies(&here, place) {
        let statement = say(&here, place, 1, body.clone());
        assert!(statement.is_genuine(&here, &Pure), "{kind}");
        assert!(names.insert(statement.id()));
        let read = Statement::read(&here, statement.bytes().clone()).expect("its own encoding");
        assert_eq!((&read, read.body()), (&statement, &body));
        let there = Statement::read(&elsewhere, statement.bytes().clone()).expect("the same layout");
        assert!(!there.is_genuine(&elsewhere, &Pure) && there.id() != statement.id());
        let bytes = statement.bytes();
        for at in 0..bytes.len() {
            let mut odd = bytes.to_vec();
            odd[at] ^= 1;
            let genuine = Statement::read(&here, odd.into()).is_ok_and(|odd| odd.is_genuine(&here, &Pure));
            assert!(!genuine, "{kind}, byte {at}");
            let cut = Statement::read(&here, bytes.slice(..at));
            assert!(!cut.is_ok_and(|cut| cut.is_genuine(&here, &Pure)), "{kind}, cut at {at}");
        }
    }
}

#[test]
fn statements_beyond_their_size_or_out_of_order_are_not_made() {
    let here = CommunityId::from_name("here");
    let place = Place { height: Height(3), header: HeaderId([4; 32]) };
    let make = |body| Statement::new(&here, key(1), place, body, &*signer(1)).is_ok();
    let answers = |n: u16| {
        (0..n)
            .map(|n| {
                let mut id = [0; 32];
                id[..2].copy_from_slice(&n.to_be_bytes());
                (StatementId(id), Answer::No)
            })
            .collect::<Vec<_>>()
    };
    let ballot = |answers| Body::Ballot(Ballot { number: 1, answers });
    assert!(make(ballot(answers(240))) && !make(ballot(answers(241))));
    let (mut reversed, mut doubled) = (answers(2), answers(1));
    reversed.reverse();
    doubled.extend(answers(1));
    assert!(!make(ballot(reversed)) && !make(ballot(doubled)));
    let text = |len| {
        Body::Proposal(Proposal {
            slot: 0,
            ask: Ask::Revoke { subject: key(9) },
            text: Bytes::from(alloc::vec![b'x'; len]),
        })
    };
    assert!(make(text(MAX_TEXT)) && !make(text(MAX_TEXT + 1)));
    let slot = Body::Proposal(Proposal { slot: SLOTS, ask: Ask::Revoke { subject: key(9) }, text: Bytes::new() });
    assert!(!make(slot));
    assert!(!make(Body::Status { view: View(2), locked: Some((View(2), place.header)) }), "locked in a later view");
}

#[test]
fn inv22_whoever_verifies_needs_no_clock_and_no_chance() {
    // What a verifier is given is all that it can use: the core names no clock and no generator (`tests/determinism.rs`).
    let _: fn(&mut Chain, &Certificate, &dyn Crypto) -> Result<(), ChainError> = Chain::follow;
    let _: for<'a> fn(&Standpoint<'a>, &Contents<'a>) -> Next = next;
    let _: fn(&Proof, &Chain, &dyn Crypto) -> Result<Explanation, ProofError> = Proof::verify;
    // The same story gives the same answer, however often it is walked.
    let village = Village::new(4);
    let certificate = village.certify(village.header(admits(9)), &[1, 2, 3]);
    let walk = || {
        let mut chain = Chain::start(&village.genesis);
        chain.follow(&certificate, &Pure).map(|()| chain.place())
    };
    assert_eq!(walk(), walk());
    assert!(walk().is_ok());
}
