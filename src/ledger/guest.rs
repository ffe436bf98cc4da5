//! Rights that need no seal: a quorum of YES lets a guest in at once, and a quorum ends it at once.
//!
//! Both are monotone: nothing that arrives later undoes a set that was complete, and the end wins in whatever order they come.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::ids::{Height, StatementId};
use super::roster::Roster;
use super::rules::Rules;
use super::statement::{Answer, Ask, Body, Proposal, Statement, read_key};
use crate::identity::BotId;
use crate::wire::{FixedReader, LayoutError};

/// What a complete set of statements gives or takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Grant {
    /// A guest may read, replicate and gossip; it has no vote and counts for no quorum.
    Guest,
    /// The key has no guest's rights, and a member none of those of a guest, from this height on.
    Revoked,
}

/// The statements that one roster made about one proposal: a quorum of YES, or enough endorsements by hand (I-17).
///
/// All are by active members of one roster, each counted once. It takes ballots and endorsements in any order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Support {
    yes: BTreeSet<BotId>,
    /// The newest endorsement of each member: its number, and whether it is on.
    endorsed: BTreeMap<BotId, (u64, bool)>,
}

impl Support {
    /// Counts a genuine statement by an active member, if it speaks about the proposal.
    pub fn count(&mut self, proposal: &StatementId, statement: &Statement) {
        match statement.body() {
            Body::Ballot(ballot) if ballot.answer(proposal) == Some(Answer::Yes) => {
                self.yes.insert(statement.author());
            }
            Body::Endorse { proposal: about, number, on } if about == proposal => {
                let newest = self.endorsed.entry(statement.author()).or_insert((*number, *on));
                *newest = (*newest).max((*number, *on));
            }
            _ => {}
        }
    }

    /// Members that hold the key by hand.
    #[must_use]
    pub fn endorsers(&self) -> usize {
        self.endorsed.values().filter(|(_, on)| *on).count()
    }

    /// Whether a quorum said YES.
    #[must_use]
    pub fn has_quorum(&self, roster: &Roster, rules: &Rules) -> bool {
        let yes = self.yes.iter().filter(|key| roster.get_active(key).is_some()).count();
        yes >= rules.numbers(roster.active_len()).quorum as usize
    }

    /// Whether enough owners hold the key: X percent of the active members, and at least N of those without strikes there are.
    #[must_use]
    pub fn is_endorsed(&self, roster: &Roster, rules: &Rules) -> bool {
        let holds = |key: &BotId| self.endorsed.get(key).is_some_and(|(_, on)| *on);
        let (active, holding) = (roster.active().count(), roster.active().filter(|member| holds(&member.key)).count());
        let unstruck = roster.active().filter(|member| member.strikes == 0).count();
        100 * holding >= usize::from(rules.endorse_percent) * active && unstruck >= rules.endorse_members as usize
    }
}

/// What a complete set about this proposal means.
#[must_use]
pub const fn grant(proposal: &Proposal) -> Option<Grant> {
    match proposal.ask {
        Ask::Admit(_) => Some(Grant::Guest),
        Ask::Remove { .. } | Ask::Revoke { .. } => Some(Grant::Revoked),
        Ask::Rekey(_) | Ask::Amend(_) => None,
    }
}

/// The guests of a community: who was let in without a seal, and for whom it ended. The same in whatever order things come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guests {
    /// By key and application: the height of its proposal.
    certificates: BTreeMap<(BotId, StatementId), Height>,
    /// Applications that were judged or became stale.
    closed: BTreeSet<StatementId>,
    /// By key: the greatest height of a revocation.
    revoked: BTreeMap<BotId, Height>,
}

impl Guests {
    /// A guest certificate is complete: for this key, on this application of that height.
    pub fn admit(&mut self, key: BotId, application: StatementId, height: Height) {
        self.certificates.insert((key, application), height);
    }

    /// Whether the certificate of an application is complete, whatever became of it since.
    #[must_use]
    pub fn has_certificate(&self, key: &BotId, application: &StatementId) -> bool {
        self.certificates.contains_key(&(*key, *application))
    }

    /// The one encoding, for a member's own records: certificates, closed applications, revocations.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        let mut out = count(self.certificates.len()).to_vec();
        for ((key, application), height) in &self.certificates {
            out.extend(key.as_bytes());
            out.extend(application.0);
            out.extend(height.0.to_be_bytes());
        }
        out.extend(count(self.closed.len()));
        self.closed.iter().for_each(|application| out.extend(application.0));
        out.extend(count(self.revoked.len()));
        for (key, height) in &self.revoked {
            out.extend(key.as_bytes());
            out.extend(height.0.to_be_bytes());
        }
        out
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let mut guests = Self::default();
        for _ in 0..r.u32()? {
            let (key, application) = (read_key(&mut r)?, StatementId(*r.array()?));
            guests.certificates.insert((key, application), Height(r.u64()?));
        }
        for _ in 0..r.u32()? {
            guests.closed.insert(StatementId(*r.array()?));
        }
        for _ in 0..r.u32()? {
            let key = read_key(&mut r)?;
            guests.revoked.insert(key, Height(r.u64()?));
        }
        r.end()?;
        // Sorted, each once.
        if guests.to_bytes() == bytes { Ok(guests) } else { Err(LayoutError) }
    }

    /// The application has its outcome, or is stale.
    pub fn close(&mut self, application: StatementId) {
        self.closed.insert(application);
    }

    /// A revocation of that height is complete.
    pub fn revoke(&mut self, key: BotId, height: Height) {
        let newest = self.revoked.entry(key).or_insert(height);
        *newest = (*newest).max(height);
    }

    /// Whether the key has a guest's rights now.
    #[must_use]
    pub fn is_guest(&self, key: &BotId) -> bool {
        let least = StatementId([0; 32]);
        let of_key = self.certificates.range((*key, least)..).take_while(|((other, _), _)| other == key);
        let revoked = self.revoked.get(key);
        of_key.into_iter().any(|((_, application), height)| {
            !self.closed.contains(application) && revoked.is_none_or(|revoked| revoked < height)
        })
    }

    /// Keys that had a guest's rights, or have them.
    pub fn keys(&self) -> impl Iterator<Item = BotId> {
        let mut last = None;
        self.certificates.keys().map(|(key, _)| *key).filter(move |key| last.replace(*key) != Some(*key))
    }

    /// The greatest height at which the key's rights were ended.
    #[must_use]
    pub fn revoked(&self, key: &BotId) -> Option<Height> {
        self.revoked.get(key).copied()
    }

    /// Forgets what belongs to proposals below a height: they are stale.
    pub fn forget_below(&mut self, height: Height) {
        let Self { certificates, closed, .. } = self;
        let stale: BTreeSet<_> =
            certificates.iter().filter(|(_, at)| **at < height).map(|((_, application), _)| *application).collect();
        certificates.retain(|_, at| *at >= height);
        closed.retain(|application| !stale.contains(application));
    }
}
