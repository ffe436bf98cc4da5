//! What members sign: one layout for all kinds, bound to the community and to the place where the author stood.

use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::ids::{HeaderId, Height, Place, StatementId, View};
use super::rules::Rules;
use crate::crypto::{Crypto, Signer, sha256};
use crate::identity::{BotId, CommunityId};
use crate::wire::{FixedReader, LayoutError};

/// Most bytes of a statement with its signature.
pub const MAX_STATEMENT: usize = 8 * 1024;
/// Most bytes of an applicant's or a sponsor's words, in UTF-8.
pub const MAX_TEXT: usize = 2 * 1024;
/// Most proposals that one ballot answers: 33 bytes each fill a statement.
pub const MAX_ANSWERS: usize = 240;
/// Proposals of one sponsor at one height: slots 0 to 3.
pub const SLOTS: u8 = 4;

/// Most promises that one Recall names: of each of four kinds the newest, or the two that conflict.
const MAX_PROMISES: u8 = 8;

const SIGNATURE: usize = 64;
/// kind, author, height, header
const HEAD: usize = 1 + 32 + 8 + 32;

/// An applicant's own words under its key: proof that it holds the key and wants this sponsor to speak for it.
///
/// For a re-key it is the new key's proof, and names the old key in place of the sponsor.
#[derive(Clone, PartialEq, Eq)]
pub struct Application {
    /// The key that is to be taken in.
    pub key: BotId,
    /// Who proposes it; for a re-key the key that it replaces.
    pub by: BotId,
    /// So that two applications differ.
    pub nonce: [u8; 16],
    /// For the members' owners to read.
    pub text: Bytes,
    /// By `key`.
    pub signature: [u8; 64],
}

impl Application {
    /// Signs an application.
    #[must_use]
    pub fn new(
        community: &CommunityId,
        key: BotId,
        by: BotId,
        nonce: [u8; 16],
        text: Bytes,
        signer: &dyn Signer,
    ) -> Self {
        let unsigned = Self { key, by, nonce, text, signature: [0; 64] };
        let signature = signer.sign(&unsigned.signed(community));
        Self { signature, ..unsigned }
    }

    /// Whether the key signed it for this community.
    #[must_use]
    pub fn is_genuine(&self, community: &CommunityId, crypto: &dyn Crypto) -> bool {
        crypto.verify(self.key.as_bytes(), &self.signed(community), &self.signature)
    }

    fn signed(&self, community: &CommunityId) -> Vec<u8> {
        let mut out = b"interbot apply1\0".to_vec();
        out.extend(community.as_bytes());
        self.put_unsigned(&mut out);
        out
    }

    fn put_unsigned(&self, out: &mut Vec<u8>) {
        out.extend(self.key.as_bytes());
        out.extend(self.by.as_bytes());
        out.extend(self.nonce);
        put_text(out, &self.text);
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.put_unsigned(out);
        out.extend(self.signature);
    }

    /// The one encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads the one encoding; the signature is not checked yet, see [`Application::is_genuine`].
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes, and for a key that cannot be in a roster.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let application = Self::read(&mut r)?;
        r.end()?;
        Ok(application)
    }

    fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            key: read_key(r)?,
            by: read_known_key(r)?,
            nonce: *r.array()?,
            text: read_text(r)?,
            signature: *r.array()?,
        })
    }
}

impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = alloc::string::String::from_utf8_lossy(&self.text);
        f.debug_struct("Application")
            .field("key", &self.key)
            .field("by", &self.by)
            .field("text", &text)
            .finish_non_exhaustive()
    }
}

/// One observer's word that a member does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Who says so.
    pub observer: BotId,
    /// Where it stood.
    pub place: Place,
    /// By the observer.
    pub signature: [u8; 64],
}

impl Report {
    /// Signs a report that `subject` does not answer.
    #[must_use]
    pub fn new(community: &CommunityId, observer: BotId, place: Place, subject: &BotId, signer: &dyn Signer) -> Self {
        let signature = signer.sign(&Self::signed(community, &place, subject));
        Self { observer, place, signature }
    }

    /// Whether the observer said so of this member in this community.
    #[must_use]
    pub fn is_genuine(&self, community: &CommunityId, subject: &BotId, crypto: &dyn Crypto) -> bool {
        crypto.verify(self.observer.as_bytes(), &Self::signed(community, &self.place, subject), &self.signature)
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(self.observer.as_bytes());
        put_place(out, &self.place);
        out.extend(self.signature);
    }

    pub(super) fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        Ok(Self { observer: read_known_key(r)?, place: read_place(r)?, signature: *r.array()? })
    }

    fn signed(community: &CommunityId, place: &Place, subject: &BotId) -> Vec<u8> {
        let mut out = b"interbot silent\0".to_vec();
        out.extend(community.as_bytes());
        put_place(&mut out, place);
        out.extend(subject.as_bytes());
        out
    }
}

/// What is asked of the members.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// Take this key in (I-10).
    Admit(Application),
    /// Remove this member (I-18); with reports it was asked automatically.
    Remove {
        /// The member.
        subject: BotId,
        /// Of distinct observers, sorted by key; none when an owner asks.
        reports: Vec<Report>,
    },
    /// Replace a key by another of the same owner; the application is the new key's.
    Rekey(Application),
    /// Live by other rules.
    Amend(Rules),
    /// End the guest's rights of a key outside the roster.
    Revoke {
        /// The key.
        subject: BotId,
    },
}

impl Ask {
    /// Whom it is about; nobody when it is about the rules.
    #[must_use]
    pub const fn subject(&self) -> Option<&BotId> {
        match self {
            Self::Admit(application) => Some(&application.key),
            Self::Rekey(application) => Some(&application.by),
            Self::Remove { subject, .. } | Self::Revoke { subject } => Some(subject),
            Self::Amend(_) => None,
        }
    }

    /// The encoding that it has in a proposal, for recordings.
    #[cfg(feature = "trace")]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        Body::Proposal(Proposal { slot: 0, ask: self.clone(), text: Bytes::new() }).put(&mut out);
        out
    }

    /// Reads what [`Ask::to_bytes`] wrote.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut r = FixedReader::new(bytes);
        let proposal = read_proposal(&mut r).ok()?;
        r.end().ok()?;
        Some(proposal.ask)
    }

    const fn number(&self) -> u8 {
        match self {
            Self::Admit(_) => 0,
            Self::Remove { .. } => 1,
            Self::Rekey(_) => 2,
            Self::Amend(_) => 3,
            Self::Revoke { .. } => 4,
        }
    }
}

/// A question to all members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Which of the sponsor's four at this height; an Admit stands in slot 0 (0 to 2 while n < 4).
    pub slot: u8,
    /// What is asked.
    pub ask: Ask,
    /// The sponsor's words.
    pub text: Bytes,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Answer {
    /// Against it.
    No,
    /// For it.
    Yes,
    /// Neither; it counts as an answer.
    Abstain,
}

impl Answer {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::No => 0,
            Self::Yes => 1,
            Self::Abstain => 2,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::No),
            1 => Some(Self::Yes),
            2 => Some(Self::Abstain),
            _ => None,
        }
    }
}

/// A member's whole current answer; to answer nothing is an answer too: the member is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ballot {
    /// Only grows; two different ballots with one number are evidence.
    pub number: u64,
    /// By proposal, sorted, each once.
    pub answers: Vec<(StatementId, Answer)>,
}

impl Ballot {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        out.extend(u16::try_from(self.answers.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (proposal, answer) in &self.answers {
            out.extend(proposal.0);
            out.push(answer.number());
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let ballot = read_ballot(&mut r)?;
        r.end()?;
        Ok(ballot)
    }

    /// The answer to a proposal.
    #[must_use]
    pub fn answer(&self, proposal: &StatementId) -> Option<Answer> {
        let at = self.answers.binary_search_by(|(id, _)| id.cmp(proposal)).ok()?;
        Some(self.answers[at].1)
    }
}

/// What a statement says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// A question to all members.
    Proposal(Proposal),
    /// The sponsor takes its proposal back.
    Withdraw(StatementId),
    /// A member's whole current answer.
    Ballot(Ballot),
    /// A dormant member is here again.
    Wake,
    /// An applicant is here, at this height; names its application's proposal.
    Accept(StatementId),
    /// A member goes.
    Leave,
    /// An owner holds, or no longer holds, an application's key by hand (I-17).
    Endorse {
        /// The application's proposal.
        proposal: StatementId,
        /// Only grows, for each author and proposal.
        number: u64,
        /// Whether it is held.
        on: bool,
    },
    /// A sealer's offer of the next header.
    Seal {
        /// The attempt.
        view: View,
        /// The offered header.
        header: HeaderId,
    },
    /// A member holds everything that the offer lists and agrees; at most one a view.
    Ack {
        /// The attempt.
        view: View,
        /// The offered header.
        header: HeaderId,
    },
    /// A member saw a quorum of Acks, and stays with this header in later views.
    Commit {
        /// The attempt.
        view: View,
        /// The header.
        header: HeaderId,
    },
    /// A member enters a view, with its last Commit at this height.
    Status {
        /// The attempt that begins.
        view: View,
        /// The last Commit's view and header.
        locked: Option<(View, HeaderId)>,
    },
    /// A member that an applicant did not choose tells it where the community stands; names its application's proposal.
    Witness(StatementId),
    /// A member lost its records: it promises nothing until the others told what it had promised here.
    Lost {
        /// Only grows.
        number: u64,
    },
    /// What the author holds of the promises of a member that lost its records.
    Recall {
        /// That member.
        subject: BotId,
        /// Of its Lost.
        number: u64,
        /// Names of its last Seal, Ack, Commit and Status, as pieces; sorted, each once.
        promises: Vec<[u8; 32]>,
    },
}

impl Body {
    const fn number(&self) -> u8 {
        match self {
            Self::Proposal(_) => 1,
            Self::Withdraw(_) => 2,
            Self::Ballot(_) => 3,
            Self::Wake => 4,
            Self::Accept(_) => 5,
            Self::Leave => 6,
            Self::Endorse { .. } => 7,
            Self::Seal { .. } => 8,
            Self::Ack { .. } => 9,
            Self::Commit { .. } => 10,
            Self::Status { .. } => 11,
            Self::Witness(_) => 12,
            Self::Lost { .. } => 13,
            Self::Recall { .. } => 14,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Proposal(proposal) => {
                out.extend([proposal.slot, proposal.ask.number()]);
                match &proposal.ask {
                    Ask::Admit(application) | Ask::Rekey(application) => application.put(out),
                    Ask::Remove { subject, reports } => {
                        out.extend(subject.as_bytes());
                        out.push(u8::try_from(reports.len()).unwrap_or(u8::MAX));
                        for report in reports {
                            out.extend(report.observer.as_bytes());
                            put_place(out, &report.place);
                            out.extend(report.signature);
                        }
                    }
                    Ask::Amend(rules) => out.extend(rules.to_bytes()),
                    Ask::Revoke { subject } => out.extend(subject.as_bytes()),
                }
                put_text(out, &proposal.text);
            }
            Self::Withdraw(proposal) | Self::Accept(proposal) | Self::Witness(proposal) => out.extend(proposal.0),
            Self::Ballot(ballot) => out.extend(ballot.to_bytes()),
            Self::Wake | Self::Leave => {}
            Self::Lost { number } => out.extend(number.to_be_bytes()),
            Self::Recall { subject, number, promises } => {
                out.extend(subject.as_bytes());
                out.extend(number.to_be_bytes());
                out.push(u8::try_from(promises.len()).unwrap_or(u8::MAX));
                promises.iter().for_each(|name| out.extend(name));
            }
            Self::Endorse { proposal, number, on } => {
                out.extend(proposal.0);
                out.extend(number.to_be_bytes());
                out.push(u8::from(*on));
            }
            Self::Seal { view, header } | Self::Ack { view, header } | Self::Commit { view, header } => {
                out.extend(view.0.to_be_bytes());
                out.extend(header.0);
            }
            Self::Status { view, locked } => {
                out.extend(view.0.to_be_bytes());
                match locked {
                    None => out.push(0),
                    Some((view, header)) => {
                        out.push(1);
                        out.extend(view.0.to_be_bytes());
                        out.extend(header.0);
                    }
                }
            }
        }
    }

    fn read(kind: u8, r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        Ok(match kind {
            1 => Self::Proposal(read_proposal(r)?),
            2 => Self::Withdraw(StatementId(*r.array()?)),
            3 => Self::Ballot(read_ballot(r)?),
            4 => Self::Wake,
            5 => Self::Accept(StatementId(*r.array()?)),
            6 => Self::Leave,
            7 => Self::Endorse { proposal: StatementId(*r.array()?), number: r.u64()?, on: read_bool(r)? },
            8 => Self::Seal { view: View(r.u32()?), header: HeaderId(*r.array()?) },
            9 => Self::Ack { view: View(r.u32()?), header: HeaderId(*r.array()?) },
            10 => Self::Commit { view: View(r.u32()?), header: HeaderId(*r.array()?) },
            11 => {
                let view = View(r.u32()?);
                let locked = read_bool(r)?.then(|| Ok((View(r.u32()?), HeaderId(*r.array()?)))).transpose()?;
                if locked.is_some_and(|(locked, _)| locked >= view) {
                    return Err(LayoutError);
                }
                Self::Status { view, locked }
            }
            12 => Self::Witness(StatementId(*r.array()?)),
            13 => Self::Lost { number: r.u64()? },
            14 => {
                let (subject, number, count) = (read_known_key(r)?, r.u64()?, r.u8()?);
                if count > MAX_PROMISES {
                    return Err(LayoutError);
                }
                let promises: Vec<[u8; 32]> = (0..count).map(|_| r.array().copied()).collect::<Result<_, _>>()?;
                if !promises.is_sorted_by(|a, b| a < b) {
                    return Err(LayoutError);
                }
                Self::Recall { subject, number, promises }
            }
            _ => return Err(LayoutError),
        })
    }
}

/// A signed statement of one author, at one place of one community.
#[derive(Clone, PartialEq, Eq)]
pub struct Statement {
    author: BotId,
    place: Place,
    body: Body,
    id: StatementId,
    /// kind ‖ author ‖ height ‖ header ‖ body ‖ signature
    bytes: Bytes,
}

impl Statement {
    /// Signs a statement.
    ///
    /// # Errors
    /// [`LayoutError`] when it would be longer than [`MAX_STATEMENT`], or its lists are not in their one order.
    pub fn new(
        community: &CommunityId,
        author: BotId,
        place: Place,
        body: Body,
        signer: &dyn Signer,
    ) -> Result<Self, LayoutError> {
        let mut bytes = Vec::with_capacity(256);
        bytes.push(body.number());
        bytes.extend(author.as_bytes());
        put_place(&mut bytes, &place);
        body.put(&mut bytes);
        let signature = signer.sign(&signed(community, &bytes));
        bytes.extend(signature);
        // What cannot be read back cannot be said: the lists are checked in one place.
        Self::read(community, bytes.into())
    }

    /// Reads a statement in its one encoding; the signature is not checked yet, see [`Statement::is_genuine`].
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn read(community: &CommunityId, bytes: Bytes) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_STATEMENT || bytes.len() < HEAD + SIGNATURE {
            return Err(LayoutError);
        }
        let unsigned = &bytes[..bytes.len() - SIGNATURE];
        let mut r = FixedReader::new(unsigned);
        let kind = r.u8()?;
        let author = read_known_key(&mut r)?;
        let place = read_place(&mut r)?;
        let body = Body::read(kind, &mut r)?;
        r.end()?;
        let id = StatementId(sha256(&[DOMAIN, community.as_bytes(), unsigned]));
        Ok(Self { author, place, body, id, bytes })
    }

    /// Whether its author signed it, for this community; an application in it and reports must be genuine too.
    #[must_use]
    pub fn is_genuine(&self, community: &CommunityId, crypto: &dyn Crypto) -> bool {
        let Some((unsigned, signature)) = self.bytes.split_last_chunk::<SIGNATURE>() else { return false };
        let inner = match &self.body {
            Body::Proposal(Proposal { ask: Ask::Admit(application) | Ask::Rekey(application), .. }) => {
                application.is_genuine(community, crypto)
            }
            Body::Proposal(Proposal { ask: Ask::Remove { subject, reports }, .. }) => {
                reports.iter().all(|report| report.is_genuine(community, subject, crypto))
            }
            _ => true,
        };
        inner && crypto.verify(self.author.as_bytes(), &signed(community, unsigned), signature)
    }

    /// Its name: the hash of what was signed.
    #[must_use]
    pub const fn id(&self) -> StatementId {
        self.id
    }

    /// Who signed it.
    #[must_use]
    pub const fn author(&self) -> BotId {
        self.author
    }

    /// Where the author stood.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// What it says.
    #[must_use]
    pub const fn body(&self) -> &Body {
        &self.body
    }

    /// Its one encoding, signature included.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The signature alone, for a certificate.
    #[must_use]
    pub fn signature(&self) -> [u8; 64] {
        *self.bytes.last_chunk().expect("a statement ends with a signature")
    }

    /// The proposal in it.
    #[must_use]
    pub const fn proposal(&self) -> Option<&Proposal> {
        match &self.body {
            Body::Proposal(proposal) => Some(proposal),
            _ => None,
        }
    }

    /// The ballot in it.
    #[must_use]
    pub const fn ballot(&self) -> Option<&Ballot> {
        match &self.body {
            Body::Ballot(ballot) => Some(ballot),
            _ => None,
        }
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("author", &self.author)
            .field("height", &self.place.height.0)
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}

const DOMAIN: &[u8; 16] = b"interbot ledger\0";

fn signed(community: &CommunityId, unsigned: &[u8]) -> Vec<u8> {
    [DOMAIN, &community.as_bytes()[..], unsigned].concat()
}

/// What an author signs, for a verifier that has the signature without the statement.
pub(super) fn statement_bytes(community: &CommunityId, author: &BotId, place: &Place, body: &Body) -> Vec<u8> {
    let mut out = Vec::with_capacity(DOMAIN.len() + 32 + HEAD + 64);
    out.extend(DOMAIN);
    out.extend(community.as_bytes());
    out.push(body.number());
    out.extend(author.as_bytes());
    put_place(&mut out, place);
    body.put(&mut out);
    out
}

pub(super) fn put_place(out: &mut Vec<u8>, place: &Place) {
    out.extend(place.height.0.to_be_bytes());
    out.extend(place.header.0);
}

pub(super) fn read_place(r: &mut FixedReader<'_>) -> Result<Place, LayoutError> {
    Ok(Place { height: Height(r.u64()?), header: HeaderId(*r.array()?) })
}

pub(super) fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(text);
}

pub(super) fn read_text(r: &mut FixedReader<'_>) -> Result<Bytes, LayoutError> {
    let len = usize::from(r.u16()?);
    let text = r.bytes(len)?;
    if len > MAX_TEXT || core::str::from_utf8(text).is_err() {
        return Err(LayoutError);
    }
    Ok(Bytes::copy_from_slice(text))
}

pub(super) fn read_key(r: &mut FixedReader<'_>) -> Result<BotId, LayoutError> {
    BotId::from_bytes(*r.array()?).map_err(|_| LayoutError)
}

/// A key that is looked up in a roster before it counts, which has none that is no key: what it costs to see that is saved.
pub(super) fn read_known_key(r: &mut FixedReader<'_>) -> Result<BotId, LayoutError> {
    Ok(BotId::proved(*r.array()?))
}

pub(super) fn read_bool(r: &mut FixedReader<'_>) -> Result<bool, LayoutError> {
    match r.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(LayoutError),
    }
}

fn read_proposal(r: &mut FixedReader<'_>) -> Result<Proposal, LayoutError> {
    let (slot, kind) = (r.u8()?, r.u8()?);
    if slot >= SLOTS {
        return Err(LayoutError);
    }
    let ask = match kind {
        0 => Ask::Admit(Application::read(r)?),
        1 => {
            let subject = read_known_key(r)?;
            let count = r.u8()?;
            let reports = (0..count).map(|_| Report::read(r)).collect::<Result<Vec<_>, _>>()?;
            if !reports.is_sorted_by(|a, b| a.observer < b.observer) {
                return Err(LayoutError);
            }
            Ask::Remove { subject, reports }
        }
        2 => Ask::Rekey(Application::read(r)?),
        3 => Ask::Amend(Rules::from_bytes(r.bytes(Rules::LEN)?)?),
        4 => Ask::Revoke { subject: read_known_key(r)? },
        _ => return Err(LayoutError),
    };
    Ok(Proposal { slot, ask, text: read_text(r)? })
}

fn read_ballot(r: &mut FixedReader<'_>) -> Result<Ballot, LayoutError> {
    let (number, count) = (r.u64()?, usize::from(r.u16()?));
    if count > MAX_ANSWERS {
        return Err(LayoutError);
    }
    let answers = (0..count)
        .map(|_| Ok((StatementId(*r.array()?), Answer::from_number(r.u8()?).ok_or(LayoutError)?)))
        .collect::<Result<Vec<_>, _>>()?;
    if !answers.is_sorted_by(|(a, _), (b, _)| a < b) {
        return Err(LayoutError);
    }
    Ok(Ballot { number, answers })
}
