//! What members pass on to each other between two certificates: statements, and what is made of several.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use crate::crypto::{Crypto, sha256};
use crate::identity::{BotId, CommunityId};
use crate::ledger::certificate::Chain;
use crate::ledger::evidence::Evidence;
use crate::ledger::ids::{Height, Place, StatementId};
use crate::ledger::listing::Listing;
use crate::ledger::sealing::AckProof;
use crate::ledger::statement::{Body, MAX_STATEMENT, Report, Statement, put_place, read_place};
use crate::wire::{FixedReader, LayoutError};

/// Most bytes of a piece: the Seal of a round of 1,000 members with everything it lists, or what a quorum of them said.
pub const MAX_PIECE: usize = 1 << 20;

/// A piece's name: a statement's own name, or the hash of the piece's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PieceId(pub [u8; 32]);

impl fmt::Debug for PieceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PieceId({:02x}{:02x}{:02x}{:02x}…)", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl From<StatementId> for PieceId {
    fn from(id: StatementId) -> Self {
        Self(id.0)
    }
}

/// A Seal, and what it seals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// By the sealer of its view.
    pub seal: Statement,
    /// What the header that the Seal names comes from.
    pub listing: Listing,
}

/// A quorum of one roster that ends a guest's rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backing {
    /// The proposal that they speak about.
    pub proposal: StatementId,
    /// The height of the roster.
    pub height: Height,
    /// Ballots, sorted by name.
    pub statements: Vec<Statement>,
}

/// A member's word that another does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Who does not.
    pub subject: BotId,
    /// Who says so, and where it stood.
    pub report: Report,
}

/// What a member is locked on, and the quorum of Acks that made it: others count its Status by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// Where the signers stood.
    pub place: Place,
    /// Their Acks.
    pub proof: AckProof,
}

/// One thing that members pass on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Anything but a Seal.
    Statement(Arc<Statement>),
    /// A Seal with what it seals.
    Offer(Arc<Offer>),
    /// Two statements that convict their author.
    Evidence(Arc<Evidence>),
    /// A quorum that ends a guest's rights.
    Backing(Arc<Backing>),
    /// A report, before there are enough to ask for a removal.
    Silence(Arc<Silence>),
    /// What somebody is locked on in a later view.
    Lock(Arc<Lock>),
}

// Behind the numbers of statements.
const OFFER: u8 = 64;
const EVIDENCE: u8 = 65;
const BACKING: u8 = 66;
const SILENCE: u8 = 67;
const LOCK: u8 = 68;

impl Piece {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> PieceId {
        match self {
            Self::Statement(statement) => statement.id().into(),
            _ => PieceId(sha256(&[b"interbot piece\0\0", &self.to_bytes()])),
        }
    }

    /// The one encoding: a statement's own, or a number from 64 on and what follows from it; see the manual.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match self {
            Self::Statement(statement) => statement.bytes().clone(),
            Self::Offer(offer) => {
                let mut out = alloc::vec![OFFER];
                put_statement(&mut out, &offer.seal);
                out.extend(offer.listing.to_bytes());
                out.into()
            }
            Self::Evidence(evidence) => {
                let mut out = alloc::vec![EVIDENCE];
                evidence.pair().iter().for_each(|statement| put_statement(&mut out, statement));
                out.into()
            }
            Self::Backing(grant) => {
                let mut out = alloc::vec![BACKING];
                out.extend(grant.proposal.0);
                out.extend(grant.height.0.to_be_bytes());
                grant.statements.iter().for_each(|statement| put_statement(&mut out, statement));
                out.into()
            }
            Self::Silence(silence) => {
                let mut out = alloc::vec![SILENCE];
                out.extend(silence.subject.as_bytes());
                silence.report.put(&mut out);
                out.into()
            }
            Self::Lock(lock) => {
                let mut out = alloc::vec![LOCK];
                put_place(&mut out, &lock.place);
                out.extend(lock.proof.to_bytes());
                out.into()
            }
        }
    }

    /// Reads the one encoding; signatures are not checked yet, see [`Piece::is_genuine`].
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn read(community: &CommunityId, bytes: &Bytes) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_PIECE {
            return Err(LayoutError);
        }
        let kind = *bytes.first().ok_or(LayoutError)?;
        if kind < OFFER {
            let statement = Statement::read(community, bytes.clone())?;
            // A Seal says nothing without what it seals.
            let is_seal = matches!(statement.body(), Body::Seal { .. });
            return if is_seal { Err(LayoutError) } else { Ok(Self::Statement(Arc::new(statement))) };
        }
        let mut r = FixedReader::new(&bytes[1..]);
        match kind {
            OFFER => {
                let seal = read_statement(&mut r, community, bytes)?;
                let listing = Listing::from_bytes(r.rest())?;
                let is_seal = matches!(seal.body(), Body::Seal { .. });
                if is_seal { Ok(Self::Offer(Arc::new(Offer { seal, listing }))) } else { Err(LayoutError) }
            }
            EVIDENCE => {
                let [a, b] = [read_statement(&mut r, community, bytes)?, read_statement(&mut r, community, bytes)?];
                r.end()?;
                let evidence = Evidence::of(&a, &b).ok_or(LayoutError)?;
                if evidence.pair()[0] == a { Ok(Self::Evidence(Arc::new(evidence))) } else { Err(LayoutError) }
            }
            BACKING => {
                let (proposal, height) = (StatementId(*r.array()?), Height(r.u64()?));
                let mut statements: Vec<Statement> = Vec::new();
                while !r.rest().is_empty() {
                    let statement = read_statement(&mut r, community, bytes)?;
                    if statements.last().is_some_and(|last| last.id() >= statement.id()) {
                        return Err(LayoutError);
                    }
                    statements.push(statement);
                }
                Ok(Self::Backing(Arc::new(Backing { proposal, height, statements })))
            }
            SILENCE => {
                let subject = BotId::from_bytes(*r.array()?).map_err(|_| LayoutError)?;
                let report = Report::read(&mut r)?;
                r.end()?;
                Ok(Self::Silence(Arc::new(Silence { subject, report })))
            }
            LOCK => {
                let (place, proof) = (read_place(&mut r)?, AckProof::read(&mut r)?);
                r.end()?;
                Ok(Self::Lock(Arc::new(Lock { place, proof })))
            }
            _ => Err(LayoutError),
        }
    }

    /// Whether everybody who is said to have signed something in it did, for this community; `at` is where a lock must stand.
    #[must_use]
    pub fn is_genuine(&self, community: &CommunityId, at: &Chain, crypto: &dyn Crypto) -> bool {
        match self {
            Self::Statement(statement) => statement.is_genuine(community, crypto),
            Self::Offer(offer) => offer.seal.is_genuine(community, crypto),
            Self::Evidence(evidence) => evidence.is_genuine(community, crypto),
            Self::Backing(grant) => grant.statements.iter().all(|statement| statement.is_genuine(community, crypto)),
            Self::Silence(silence) => silence.report.is_genuine(community, &silence.subject, crypto),
            Self::Lock(lock) => {
                let quorum = at.numbers().quorum;
                lock.place == at.place() && lock.proof.is_genuine(community, &lock.place, at.roster(), quorum, crypto)
            }
        }
    }

    /// The statements that travel inside it, and only there.
    pub(super) fn inner(&self) -> &[Statement] {
        match self {
            Self::Statement(_) | Self::Silence(_) | Self::Lock(_) => &[],
            Self::Offer(offer) => core::slice::from_ref(&offer.seal),
            Self::Evidence(evidence) => evidence.pair(),
            Self::Backing(grant) => &grant.statements,
        }
    }

    /// What is sent first, so that whoever gets it has what it speaks about.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Statement(statement) => match statement.body() {
                Body::Proposal(_) => 0,
                Body::Ballot(_) => 2,
                Body::Ack { .. } | Body::Commit { .. } | Body::Status { .. } => 5,
                _ => 1,
            },
            Self::Evidence(_) | Self::Silence(_) => 1,
            Self::Backing(_) | Self::Lock(_) => 3,
            Self::Offer(_) => 4,
        }
    }
}

fn put_statement(out: &mut Vec<u8>, statement: &Statement) {
    let bytes = statement.bytes();
    out.extend(u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn read_statement(r: &mut FixedReader<'_>, community: &CommunityId, within: &Bytes) -> Result<Statement, LayoutError> {
    let len = usize::from(r.u16()?);
    if len > MAX_STATEMENT {
        return Err(LayoutError);
    }
    Statement::read(community, within.slice_ref(r.bytes(len)?))
}
