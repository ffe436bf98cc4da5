//! A community of real keys: what its members sign, and the rounds that they seal.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::*;
use crate::crypto::{Crypto, Pure};

/// A community's story so far, and the round that is open in it.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Hall {
    pub(in crate::ledger) genesis: Genesis,
    pub(in crate::ledger) chain: Chain,
    pub(in crate::ledger) story: Vec<Certificate>,
    pub(in crate::ledger) held: BTreeMap<StatementId, Statement>,
    pub(in crate::ledger) listing: Listing,
    /// In which the open round is sealed.
    pub(in crate::ledger) view: View,
}

/// A round that was sealed.
#[derive(Clone, Debug)]
pub(in crate::ledger) struct Round {
    pub(in crate::ledger) before: Chain,
    pub(in crate::ledger) certificate: Certificate,
    pub(in crate::ledger) listing: Listing,
}

impl Hall {
    pub(in crate::ledger) fn new(members: u8, nonce: u8) -> Self {
        Self::found(Founding {
            rules: Rules::preset(Preset::Village),
            founders: (1..=members).map(key).collect(),
            opened_at: UnixMillis(1_000_000),
            nonce: [nonce; 16],
            text: Bytes::new(),
        })
    }

    pub(in crate::ledger) fn found(founding: Founding) -> Self {
        let signed = |seed: u8| (key(seed), founding.sign(&*Pure.signer(&[seed; 32])));
        let signatures: Vec<_> = (1..=Self::SEEDS).map(signed).collect();
        let genesis = Genesis::new(founding, &signatures, &Pure).expect("all signed");
        let chain = Chain::start(&genesis);
        let listing = Listing::new(UnixMillis(0));
        Self { genesis, chain, story: Vec::new(), held: BTreeMap::new(), listing, view: View(0) }
    }

    /// Nobody has a greater number.
    const SEEDS: u8 = 119;

    pub(in crate::ledger) fn say_at(&mut self, place: Place, seed: u8, body: Body) -> StatementId {
        let statement = say(self.chain.community(), place, seed, body);
        let id = statement.id();
        self.held.insert(id, statement);
        id
    }

    pub(in crate::ledger) fn say(&mut self, seed: u8, body: Body) -> StatementId {
        self.say_at(self.chain.place(), seed, body)
    }

    pub(in crate::ledger) fn ask(&mut self, seed: u8, slot: u8, ask: Ask) -> StatementId {
        let id = self.say(seed, asks(slot, ask));
        self.listing.judged.insert(id);
        id
    }

    pub(in crate::ledger) fn admit(&mut self, sponsor: u8, subject: u8) -> StatementId {
        self.ask(sponsor, 0, Ask::Admit(self.application(sponsor, subject)))
    }

    /// For a re-key the first is the old key.
    pub(in crate::ledger) fn application(&self, by: u8, subject: u8) -> Application {
        let signer = Pure.signer(&[subject; 32]);
        Application::new(self.chain.community(), key(subject), key(by), [0; 16], Bytes::new(), &*signer)
    }

    pub(in crate::ledger) fn item(&mut self, seed: u8, body: Body) {
        let id = self.say(seed, body);
        self.listing.items.insert(id);
    }

    /// The members' answers from the first on: y, n, a, or - for no ballot at all.
    pub(in crate::ledger) fn votes(&mut self, proposal: StatementId, votes: &str) {
        for (seed, vote) in (1..).zip(votes.bytes()) {
            if let Some(answer) = answer(vote) {
                let id = self.say(seed, Body::Ballot(Ballot { number: 1, answers: [(proposal, answer)].into() }));
                self.listing.ballots.insert(id);
            }
        }
    }

    /// A quorum commits to the header in the open round's view, whatever it says.
    pub(in crate::ledger) fn certify(&self, header: Header) -> Certificate {
        let quorum = self.chain.numbers().quorum;
        let body = Body::Commit { view: self.view, header: header.id(self.chain.community()) };
        let commits = (1..=Self::SEEDS).map(|seed| self.signature(self.chain.place(), seed, body.clone()));
        Certificate::new(header, self.view, self.chain.roster(), quorum, commits)
    }

    pub(in crate::ledger) fn signature(&self, place: Place, seed: u8, body: Body) -> (BotId, [u8; 64]) {
        (key(seed), say(self.chain.community(), place, seed, body).signature())
    }

    /// What the open round comes to.
    pub(in crate::ledger) fn next(&self) -> Next {
        let at = self.chain.standpoint();
        let resolved = self.listing.resolve(&at, self.chain.community(), |id| self.held.get(id));
        next(&at, &resolved.expect("everything fits").contents)
    }

    /// The same, a window after the round began.
    pub(in crate::ledger) fn header(&mut self) -> Header {
        self.listing.opened_at = UnixMillis(self.chain.opened_at().0 + self.chain.rules().vote_window_ms);
        self.next().header
    }

    /// Ends the round.
    pub(in crate::ledger) fn seal(&mut self) -> Round {
        let header = self.header();
        let certificate = self.certify(header);
        let before = self.chain.clone();
        self.chain.follow(&certificate, &Pure).expect("a good certificate");
        self.story.push(certificate.clone());
        let listing = core::mem::replace(&mut self.listing, Listing::new(UnixMillis(0)));
        Round { before, certificate, listing }
    }

    pub(in crate::ledger) fn proof(&self, round: &Round, proposal: StatementId) -> Proof {
        let (certificate, listing) = (round.certificate.clone(), round.listing.clone());
        Proof::new(proposal, certificate, listing, |id| self.held.get(id)).expect("all is here")
    }

    pub(in crate::ledger) fn explain(&self, round: &Round, proposal: StatementId) -> Explanation {
        let proof = self.proof(round, proposal);
        let bytes = Bytes::from(proof.to_bytes());
        let read = Proof::from_bytes(self.chain.community(), &bytes).expect("its own encoding");
        assert_eq!(read, proof);
        read.verify(&round.before, &Pure).expect("a good proof")
    }
}

/// A proof's encoding by hand, with whatever is put in, in this order.
pub(in crate::ledger) fn proof_bytes(
    proposal: StatementId,
    certificate: &Certificate,
    listing: &Listing,
    statements: &[&Statement],
) -> Vec<u8> {
    let mut out = proposal.0.to_vec();
    for part in [certificate.to_bytes(), listing.to_bytes()] {
        out.extend(u32::try_from(part.len()).expect("short").to_be_bytes());
        out.extend(part);
    }
    out.extend(u32::try_from(statements.len()).expect("few").to_be_bytes());
    for statement in statements {
        out.extend(u16::try_from(statement.bytes().len()).expect("short").to_be_bytes());
        out.extend(statement.bytes());
    }
    out
}
