//! How a community begins, and how its story is checked: a genesis, then one certificate for each height.
//!
//! Checking needs no clock, no network and no memory of the past but the newest roster.

use alloc::vec::Vec;

use bytes::Bytes;

use super::header::{Header, Places};
use super::ids::{ContentsId, HeaderId, Height, Place, View};
use super::next::Standpoint;
use super::roster::{Member, Roster, Standing};
use super::rules::{DecidedBy, Numbers, Rules, RulesError};
use super::statement::{Body, put_text, read_key, read_text, statement_bytes};
use crate::crypto::{Crypto, Signer, sha256};
use crate::identity::{BotId, CommunityId};
use crate::time::UnixMillis;
use crate::wire::{FixedReader, LayoutError};

/// Most founders: more are admitted by the first votes.
pub const MAX_FOUNDERS: usize = 100;

/// Most bytes of a certificate: the longest header, and the signatures of a quorum of 6,000 members.
pub const MAX_CERTIFICATE: usize = 2 * super::header::MAX_HEADER;

/// What the founders agree on before anybody signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founding {
    /// The rules that only a vote changes.
    pub rules: Rules,
    /// The founders, in any order.
    pub founders: Vec<BotId>,
    /// When the first round begins.
    pub opened_at: UnixMillis,
    /// So that two communities of the same founders differ.
    pub nonce: [u8; 16],
    /// For people: a name, a purpose.
    pub text: Bytes,
}

impl Founding {
    /// The community's id: the hash of what is founded, without the signatures.
    #[must_use]
    pub fn community(&self) -> CommunityId {
        CommunityId::from_bytes(sha256(&[b"interbot genesis", &self.to_bytes()]))
    }

    /// A founder's signature under it.
    #[must_use]
    pub fn sign(&self, signer: &dyn Signer) -> [u8; 64] {
        signer.sign(&Self::signed(&self.community()))
    }

    fn signed(community: &CommunityId) -> Vec<u8> {
        [&b"interbot found 1"[..], community.as_bytes()].concat()
    }

    fn sorted(&self) -> Vec<BotId> {
        let mut founders = self.founders.clone();
        founders.sort_unstable();
        founders.dedup();
        founders
    }

    fn to_bytes(&self) -> Vec<u8> {
        let founders = self.sorted();
        let mut out = Vec::with_capacity(64 + 32 * founders.len());
        out.extend(self.rules.to_bytes());
        out.extend(self.opened_at.0.to_be_bytes());
        out.extend(self.nonce);
        put_text(&mut out, &self.text);
        out.push(u8::try_from(founders.len()).unwrap_or(u8::MAX));
        founders.iter().for_each(|founder| out.extend(founder.as_bytes()));
        out
    }
}

/// Why a community cannot begin like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GenesisError {
    /// The bytes are no genesis.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its rules are out of range.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// There are none, or too many.
    #[error("a community has 1 to {MAX_FOUNDERS} founders, this has {0}: let the others be admitted by vote")]
    Founders(usize),
    /// A founder did not sign it.
    #[error("the signature of {0} is missing or wrong: all founders sign the same genesis")]
    Signature(BotId),
}

/// A founded community: signed by all its founders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    founding: Founding,
    /// In the order of the founders' keys.
    signatures: Vec<[u8; 64]>,
}

impl Genesis {
    /// Puts the founders' signatures together.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn new(
        founding: Founding,
        signatures: &[(BotId, [u8; 64])],
        crypto: &dyn Crypto,
    ) -> Result<Self, GenesisError> {
        let founders = founding.sorted();
        let signature = |founder: &BotId| {
            let found = signatures.iter().find(|(by, _)| by == founder).map(|(_, signature)| *signature);
            found.ok_or(GenesisError::Signature(*founder))
        };
        let signatures = founders.iter().map(signature).collect::<Result<_, _>>()?;
        let genesis = Self { founding: Founding { founders, ..founding }, signatures };
        genesis.check(crypto)?;
        Ok(genesis)
    }

    fn check(&self, crypto: &dyn Crypto) -> Result<(), GenesisError> {
        self.founding.rules.check()?;
        let founders = &self.founding.founders;
        if founders.is_empty() || founders.len() > MAX_FOUNDERS {
            return Err(GenesisError::Founders(founders.len()));
        }
        let signed = Founding::signed(&self.community());
        for (founder, signature) in founders.iter().zip(&self.signatures) {
            if !crypto.verify(founder.as_bytes(), &signed, signature) {
                return Err(GenesisError::Signature(*founder));
            }
        }
        Ok(())
    }

    /// What was founded; the founders are sorted.
    #[must_use]
    pub const fn founding(&self) -> &Founding {
        &self.founding
    }

    /// The community's id.
    #[must_use]
    pub fn community(&self) -> CommunityId {
        self.founding.community()
    }

    /// The one encoding: rules, time, nonce, text, founders, signatures.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.founding.to_bytes();
        self.signatures.iter().for_each(|signature| out.extend(signature));
        out
    }

    /// Reads the one encoding and checks it.
    ///
    /// # Errors
    /// [`GenesisError`].
    pub fn from_bytes(bytes: &[u8], crypto: &dyn Crypto) -> Result<Self, GenesisError> {
        let mut r = FixedReader::new(bytes);
        let rules = Rules::from_bytes(r.bytes(Rules::LEN)?)?;
        let opened_at = UnixMillis(r.u64()?);
        let nonce = *r.array()?;
        let text = read_text(&mut r)?;
        let count = usize::from(r.u8()?);
        let founders = (0..count).map(|_| read_key(&mut r)).collect::<Result<Vec<_>, _>>()?;
        let signatures = (0..count).map(|_| r.array().copied()).collect::<Result<_, _>>()?;
        r.end()?;
        if !founders.is_sorted_by(|a, b| a < b) {
            return Err(LayoutError.into());
        }
        let genesis = Self { founding: Founding { rules, founders, opened_at, nonce, text }, signatures };
        genesis.check(crypto)?;
        Ok(genesis)
    }

    fn roster(&self) -> Roster {
        Roster::new(self.founding.founders.iter().map(|key| Member {
            key: *key,
            joined_at: Height(0),
            strikes: 0,
            standing: Standing::Active,
        }))
    }

    /// The header of height 0: it stands on nothing but the genesis.
    #[must_use]
    pub fn header(&self) -> Header {
        let roster = self.roster();
        Header {
            height: Height(0),
            previous: HeaderId(*self.community().as_bytes()),
            opened_at: self.founding.opened_at,
            contents: ContentsId([0; 32]),
            roster: roster.root(),
            members: u32::try_from(roster.members().len()).unwrap_or(u32::MAX),
            active: roster.active_len(),
            outcomes: Vec::new(),
            changes: super::header::Changes::default(),
        }
    }
}

/// A header, and a quorum of Commits of one view on it: it *is* the height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The header.
    pub header: Header,
    /// The view in which all its signers committed.
    pub view: View,
    /// Places in the roster before.
    signers: Places,
    /// In the order of the places.
    signatures: Vec<[u8; 64]>,
}

impl Certificate {
    /// Puts Commits together, as many as a quorum takes of those there are; those of keys that do not count are left out.
    #[must_use]
    pub fn new(
        header: Header,
        view: View,
        before: &Roster,
        quorum: u32,
        commits: impl IntoIterator<Item = (BotId, [u8; 64])>,
    ) -> Self {
        let active = |key: &BotId| before.get_active(key).and_then(|_| before.position(key));
        let mut found: Vec<_> =
            commits.into_iter().filter_map(|(key, signature)| Some((active(&key)?, signature))).collect();
        found.sort_unstable_by_key(|(at, _)| *at);
        found.dedup_by_key(|(at, _)| *at);
        found.truncate(quorum as usize);
        let mut signers = Places::none(before.members().len());
        found.iter().for_each(|(at, _)| signers.insert(*at));
        Self { header, view, signers, signatures: found.into_iter().map(|(_, signature)| signature).collect() }
    }

    /// Who signed it, by the roster before.
    pub fn signers<'a>(&'a self, before: &'a Roster) -> impl Iterator<Item = &'a Member> {
        self.signers.iter().filter_map(|at| before.members().get(at))
    }

    /// The one encoding: header, view, signers, signatures.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.header.to_bytes();
        out.extend(self.view.0.to_be_bytes());
        self.signers.put(&mut out);
        self.signatures.iter().for_each(|signature| out.extend(signature));
        out
    }

    /// Reads the one encoding; nothing is checked yet, see [`Chain::follow`].
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_CERTIFICATE {
            return Err(LayoutError);
        }
        let mut r = FixedReader::new(bytes);
        let header = Header::read(&mut r)?;
        if bytes.len() - r.rest().len() > super::header::MAX_HEADER {
            return Err(LayoutError);
        }
        let view = View(r.u32()?);
        let signers = Places::read(&mut r)?;
        let signatures = signers.iter().map(|_| r.array().copied()).collect::<Result<_, _>>()?;
        r.end()?;
        Ok(Self { header, view, signers, signatures })
    }
}

/// Why a certificate does not follow; the chain is left as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// It is of another height than the next one.
    #[error("the certificate is of height {}, the next one is {}", found.0, expected.0)]
    Height {
        /// The next one.
        expected: Height,
        /// Its own.
        found: Height,
    },
    /// It follows another header.
    #[error("the certificate follows another header of the same height: the two stories cannot both be true")]
    Previous,
    /// Its round ended before its window did.
    #[error("the round is said to have lasted {lasted_ms} ms, a window is {window_ms} ms")]
    TooSoon {
        /// By the two headers.
        lasted_ms: u64,
        /// By the rules.
        window_ms: u64,
    },
    /// More or fewer active members than a quorum signed it.
    #[error("{signed} active members signed, a certificate has the quorum of {quorum} exactly")]
    Quorum {
        /// Active members among the signers.
        signed: u32,
        /// How many it takes.
        quorum: u32,
    },
    /// Somebody is said to have signed who cannot: a dormant member, or a place that the roster does not have.
    #[error("a signer is no active member of the height before")]
    Signer,
    /// A signature does not verify.
    #[error("the signature of {0} is wrong")]
    Signature(BotId),
    /// Its changes do not lead from the roster before to the one that it names.
    #[error("the header's changes do not lead to its roster")]
    Roster,
    /// Its new rules are out of range, or decide in another way.
    #[error("the header's rules are not allowed")]
    Rules,
    /// This community's owners decide by themselves: it has no rounds.
    #[error("in this community each owner decides: there are no certificates")]
    NoRounds,
}

/// A community's story up to some height, checked.
#[derive(Clone, Debug)]
pub struct Chain {
    community: CommunityId,
    place: Place,
    opened_at: UnixMillis,
    roster: Roster,
    rules: Rules,
}

impl Chain {
    /// Begins with a genesis, which was checked when it was read.
    #[must_use]
    pub fn start(genesis: &Genesis) -> Self {
        let (community, header) = (genesis.community(), genesis.header());
        Self {
            community,
            place: header.place(&community),
            opened_at: header.opened_at,
            roster: genesis.roster(),
            rules: genesis.founding.rules.clone(),
        }
    }

    /// Checks the next certificate and goes one height on.
    ///
    /// # Errors
    /// [`ChainError`]; nothing is changed.
    pub fn follow(&mut self, certificate: &Certificate, crypto: &dyn Crypto) -> Result<(), ChainError> {
        let header = &certificate.header;
        if self.rules.decided_by == DecidedBy::Owners {
            return Err(ChainError::NoRounds);
        }
        let expected = self.place.height.next();
        if header.height != expected {
            return Err(ChainError::Height { expected, found: header.height });
        }
        if header.previous != self.place.header {
            return Err(ChainError::Previous);
        }
        let (lasted_ms, window_ms) = (header.opened_at.0.saturating_sub(self.opened_at.0), self.rules.vote_window_ms);
        if lasted_ms < window_ms {
            return Err(ChainError::TooSoon { lasted_ms, window_ms });
        }
        let new_rules = header.changes.rules.as_ref();
        if new_rules.is_some_and(|rules| rules.check().is_err() || rules.decided_by != self.rules.decided_by) {
            return Err(ChainError::Rules);
        }
        let roster = header.changes.apply(&self.roster, header.height).ok_or(ChainError::Roster)?;
        let members = u32::try_from(roster.members().len()).unwrap_or(u32::MAX);
        if (roster.root(), members, roster.active_len()) != (header.roster, header.members, header.active) {
            return Err(ChainError::Roster);
        }
        let id = header.id(&self.community);
        self.check_commits(certificate, id, crypto)?;
        self.place = Place { height: header.height, header: id };
        self.opened_at = header.opened_at;
        self.roster = roster;
        if let Some(rules) = new_rules {
            self.rules = rules.clone();
        }
        Ok(())
    }

    /// Exactly the signers that it names, all active, all genuine, and a quorum of them.
    fn check_commits(&self, certificate: &Certificate, id: HeaderId, crypto: &dyn Crypto) -> Result<(), ChainError> {
        if certificate.signers.len() != self.roster.members().len() {
            return Err(ChainError::Signer);
        }
        let signers: Vec<&Member> = certificate.signers(&self.roster).collect();
        if !signers.iter().all(|member| member.is_active()) {
            return Err(ChainError::Signer);
        }
        let (signed, quorum) =
            (u32::try_from(signers.len()).unwrap_or(u32::MAX), self.rules.numbers(self.roster.active_len()).quorum);
        if signed != quorum {
            return Err(ChainError::Quorum { signed, quorum });
        }
        let body = Body::Commit { view: certificate.view, header: id };
        for (member, signature) in signers.iter().zip(&certificate.signatures) {
            let bytes = statement_bytes(&self.community, &member.key, &self.place, &body);
            if !crypto.verify(member.key.as_bytes(), &bytes, signature) {
                return Err(ChainError::Signature(member.key));
            }
        }
        Ok(())
    }

    /// What follows from the rules for the members that there are.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        self.rules.numbers(self.roster.active_len())
    }

    /// What the next round is worked out from.
    #[must_use]
    pub const fn standpoint(&self) -> Standpoint<'_> {
        let Place { height, header } = self.place;
        Standpoint { height, header, roster: &self.roster, rules: &self.rules }
    }

    /// The community.
    #[must_use]
    pub const fn community(&self) -> &CommunityId {
        &self.community
    }

    /// The newest height and its header's name.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// When the round that is open now began.
    #[must_use]
    pub const fn opened_at(&self) -> UnixMillis {
        self.opened_at
    }

    /// The members.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        &self.roster
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }
}
