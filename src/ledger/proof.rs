//! The proof of what became of one proposal: whoever trusts the members of the height before needs nothing else.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use bytes::Bytes;

use super::certificate::{Certificate, Chain, ChainError, Genesis};
use super::explain::Explanation;
use super::ids::{HeaderId, Height, StatementId};
use super::listing::{Listing, ResolveError};
use super::next::next;
use super::statement::{Body, Statement};
use crate::crypto::Crypto;
use crate::identity::CommunityId;
use crate::wire::{FixedReader, LayoutError};

/// Most bytes of a proof: a round of 1,000 members, with a ballot and a proposal of the greatest size each.
pub const MAX_PROOF: usize = 16 * 1024 * 1024;

/// A proposal, the certificate of the height that judged it, and everything that this height judged and counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    proposal: StatementId,
    certificate: Certificate,
    listing: Listing,
    /// Exactly those that it takes, by name.
    statements: BTreeMap<StatementId, Statement>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProofError {
    /// The certificate does not follow the height that is trusted.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The heights that were given do not reach the one before the proof's.
    #[error("the proof is of height {}, the certificates end at {}: give those between too", height.0, reached.0)]
    Story {
        /// The proof's height.
        height: Height,
        /// The last one reached.
        reached: Height,
    },
    /// The listing is not the one that the header was made of.
    #[error("what is listed is not what the header was made of")]
    Listing,
    /// A statement that it takes is not in it.
    #[error("{0:?} is missing: without it nothing is proved")]
    Missing(StatementId),
    /// A statement in it has nothing to do with it.
    #[error("{0:?} does not belong to the proof")]
    Surplus(StatementId),
    /// A signature in it is wrong, or made for another community.
    #[error("{0:?} was not signed by its author, for this community")]
    Forged(StatementId),
    /// A statement's author stood on a header that the chain does not have.
    #[error("the author of {0:?} stood on a header that this community never had")]
    Elsewhere(StatementId),
    /// A statement does not belong where it is listed.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// By the rules something else came of it.
    #[error("the rules do not lead from what was counted to this header: a quorum signed what is not true")]
    Outcome,
    /// The height did not decide this proposal.
    #[error("{0:?} was not decided at this height")]
    NotDecided(StatementId),
    /// It would be longer than [`MAX_PROOF`].
    #[error("the proof has {0} bytes, and may have {MAX_PROOF}")]
    TooLong(usize),
}

impl Proof {
    /// Puts a proof together from what a member holds; it is not verified.
    ///
    /// # Errors
    /// [`ProofError::Missing`], [`ProofError::NotDecided`] or [`ProofError::TooLong`].
    pub fn new<'a>(
        proposal: StatementId,
        certificate: Certificate,
        listing: Listing,
        statements: impl Fn(&StatementId) -> Option<&'a Statement>,
    ) -> Result<Self, ProofError> {
        let take = |id: &StatementId| {
            let found = statements(id).filter(|statement| statement.id() == *id);
            found.map(|statement| (*id, statement.clone())).ok_or(ProofError::Missing(*id))
        };
        let mut held: BTreeMap<_, _> = listing.names().iter().map(take).collect::<Result<_, _>>()?;
        for id in named_besides(&held) {
            held.extend([take(&id)?]);
        }
        let proof = Self { proposal, certificate, listing, statements: held };
        proof.decided().ok_or(ProofError::NotDecided(proposal))?;
        match proof.to_bytes().len() {
            ..=MAX_PROOF => Ok(proof),
            len => Err(ProofError::TooLong(len)),
        }
    }

    /// Checks everything, and says who voted what and why it came as it did. No clock and no network are needed.
    ///
    /// `trusted` stands at the height before. Of a statement that was signed at an earlier height it is not known here whether
    /// its author stood on this chain: for that a quorum is believed, or see [`Proof::verify_from_genesis`].
    ///
    /// # Errors
    /// [`ProofError`] for the first thing that is wrong.
    pub fn verify(&self, trusted: &Chain, crypto: &dyn Crypto) -> Result<Explanation, ProofError> {
        let community = trusted.community();
        trusted.clone().follow(&self.certificate, crypto)?;
        let header = &self.certificate.header;
        if self.listing.id(community) != header.contents {
            return Err(ProofError::Listing);
        }
        self.check_statements(community, crypto)?;
        let at = trusted.standpoint();
        let resolved = self.listing.resolve(&at, community, |id| self.statements.get(id))?;
        let made = next(&at, &resolved.contents);
        if made.header != *header {
            return Err(ProofError::Outcome);
        }
        let (statement, outcome) = self.decided().ok_or(ProofError::NotDecided(self.proposal))?;
        Explanation::new(&at, &resolved, statement, outcome, &made, self).ok_or(ProofError::NotDecided(self.proposal))
    }

    /// The same for who trusts nothing but the genesis: walks the heights before, and holds every statement's place against
    /// them. What `certificates` has beyond is not looked at.
    ///
    /// # Errors
    /// [`ProofError`] for the first thing that is wrong.
    pub fn verify_from_genesis<'a>(
        &self,
        genesis: &Genesis,
        certificates: impl IntoIterator<Item = &'a Certificate>,
        crypto: &dyn Crypto,
    ) -> Result<Explanation, ProofError> {
        let mut chain = Chain::start(genesis);
        let mut story: Vec<HeaderId> = [chain.place().header].into();
        let mut certificates = certificates.into_iter();
        while chain.place().height.next() < self.height() {
            let (height, reached) = (self.height(), chain.place().height);
            let certificate = certificates.next().ok_or(ProofError::Story { height, reached })?;
            chain.follow(certificate, crypto)?;
            story.push(chain.place().header);
        }
        let explanation = self.verify(&chain, crypto)?;
        // A pair convicts wherever its author stood; everything else counts on this chain alone.
        let mut counted = Listing { evidence: BTreeMap::new(), ..self.listing.clone() }.names();
        counted.extend(named_besides(&self.statements));
        for id in counted {
            let place = self.statements.get(&id).ok_or(ProofError::Missing(id))?.place();
            let header = usize::try_from(place.height.0).ok().and_then(|height| story.get(height));
            if header != Some(&place.header) {
                return Err(ProofError::Elsewhere(id));
            }
        }
        Ok(explanation)
    }

    /// The same proof, about another proposal that its height decided; nothing when it did not.
    #[must_use]
    pub fn about(self, proposal: StatementId) -> Option<Self> {
        let proof = Self { proposal, ..self };
        proof.decided().is_some().then_some(proof)
    }

    /// The proposal that it is about.
    #[must_use]
    pub const fn proposal(&self) -> StatementId {
        self.proposal
    }

    /// The height that decided it.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.certificate.header.height
    }

    /// The certificate of this height.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) const fn listing(&self) -> &Listing {
        &self.listing
    }

    pub(super) const fn statements(&self) -> &BTreeMap<StatementId, Statement> {
        &self.statements
    }

    /// The one encoding: the proposal's name, the certificate and the listing with their lengths, and the statements by name.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        let mut out = self.proposal.0.to_vec();
        for part in [self.certificate.to_bytes(), self.listing.to_bytes()] {
            out.extend(count(part.len()));
            out.extend(part);
        }
        out.extend(count(self.statements.len()));
        for statement in self.statements.values() {
            // A statement has at most 8 kB.
            out.extend(u16::try_from(statement.bytes().len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend(statement.bytes());
        }
        out
    }

    /// Reads the one encoding; nothing is verified yet.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes, for those of another community as a rule, and for more than [`MAX_PROOF`].
    pub fn from_bytes(community: &CommunityId, bytes: &Bytes) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_PROOF {
            return Err(LayoutError);
        }
        let mut r = FixedReader::new(bytes);
        let proposal = StatementId(*r.array()?);
        let len = r.u32()? as usize;
        let certificate = Certificate::from_bytes(r.bytes(len)?)?;
        let len = r.u32()? as usize;
        let listing = Listing::from_bytes(r.bytes(len)?)?;
        let mut statements: BTreeMap<StatementId, Statement> = BTreeMap::new();
        for _ in 0..r.u32()? {
            let len = usize::from(r.u16()?);
            let statement = Statement::read(community, bytes.slice_ref(r.bytes(len)?))?;
            if statements.last_key_value().is_some_and(|(last, _)| *last >= statement.id()) {
                return Err(LayoutError);
            }
            statements.insert(statement.id(), statement);
        }
        r.end()?;
        Ok(Self { proposal, certificate, listing, statements })
    }

    /// The proposal's statement, and what the header says became of it.
    fn decided(&self) -> Option<(&Statement, super::Outcome)> {
        let outcomes = &self.certificate.header.outcomes;
        let at = outcomes.binary_search_by_key(&self.proposal, |(id, _)| *id).ok()?;
        Some((self.statements.get(&self.proposal)?, outcomes[at].1))
    }

    /// Exactly those that it takes, all genuine.
    fn check_statements(&self, community: &CommunityId, crypto: &dyn Crypto) -> Result<(), ProofError> {
        let mut needed = self.listing.names();
        needed.extend(named_besides(&self.statements));
        if let Some(id) = needed.iter().find(|id| !self.statements.contains_key(id)) {
            return Err(ProofError::Missing(*id));
        }
        if let Some(id) = self.statements.keys().find(|id| !needed.contains(id)) {
            return Err(ProofError::Surplus(*id));
        }
        let forged = self.statements.values().find(|statement| !statement.is_genuine(community, crypto));
        forged.map_or(Ok(()), |statement| Err(ProofError::Forged(statement.id())))
    }
}

/// Proposals that withdrawals and accepts are about: they show who may say so.
fn named_besides(statements: &BTreeMap<StatementId, Statement>) -> BTreeSet<StatementId> {
    let about = statements.values().filter_map(|statement| match statement.body() {
        Body::Withdraw(proposal) | Body::Accept(proposal) => Some(*proposal),
        _ => None,
    });
    about.collect()
}
