//! Two statements of one key that cannot both be honest: whoever sees the pair needs nobody's word.

use super::ids::StatementId;
use super::statement::{Body, Statement};
use crate::crypto::Crypto;
use crate::identity::{BotId, CommunityId};

/// What the two say against each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Conflict {
    /// Two offers in one view.
    TwoSeals,
    /// Two headers Acked in one view.
    TwoAcks,
    /// Two headers committed to in one view.
    TwoCommits,
    /// A Status that denies an earlier Commit.
    DeniedCommit,
    /// Two ballots with one number.
    TwoBallots,
    /// Two proposals in one slot of one height.
    TwoProposals,
    /// Two endorsements of one application with one number.
    TwoEndorsements,
}

/// A pair of statements that cannot both be honest; the one with the smaller name first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    conflict: Conflict,
    pair: [Statement; 2],
}

impl Evidence {
    /// Puts two statements together; nothing when they can both be honest. Signatures are not looked at.
    #[must_use]
    pub fn of(a: &Statement, b: &Statement) -> Option<Self> {
        let conflict = conflict(a, b).or_else(|| conflict(b, a))?;
        let mut pair = [a.clone(), b.clone()];
        pair.sort_by_key(Statement::id);
        Some(Self { conflict, pair })
    }

    /// Whose it is.
    #[must_use]
    pub const fn author(&self) -> BotId {
        self.pair[0].author()
    }

    /// What the two say against each other.
    #[must_use]
    pub const fn conflict(&self) -> Conflict {
        self.conflict
    }

    /// The two.
    #[must_use]
    pub const fn pair(&self) -> &[Statement; 2] {
        &self.pair
    }

    /// Whether the author signed both, in this community.
    #[must_use]
    pub fn is_genuine(&self, community: &CommunityId, crypto: &dyn Crypto) -> bool {
        self.pair.iter().all(|statement| statement.is_genuine(community, crypto))
    }

    /// Its name among all evidence: the smaller pair is kept of one author.
    #[must_use]
    pub const fn key(&self) -> (StatementId, StatementId) {
        (self.pair[0].id(), self.pair[1].id())
    }
}

fn conflict(a: &Statement, b: &Statement) -> Option<Conflict> {
    if a.author() != b.author() || a.id() == b.id() {
        return None;
    }
    let same_place = a.place() == b.place();
    match (a.body(), b.body()) {
        (Body::Seal { view, .. }, Body::Seal { view: other, .. }) if same_place && view == other => {
            Some(Conflict::TwoSeals)
        }
        (Body::Ack { view, .. }, Body::Ack { view: other, .. }) if same_place && view == other => {
            Some(Conflict::TwoAcks)
        }
        (Body::Commit { view, .. }, Body::Commit { view: other, .. }) if same_place && view == other => {
            Some(Conflict::TwoCommits)
        }
        (Body::Status { view, locked }, Body::Commit { view: committed, header }) if same_place => {
            // Said in a later view: the lock is that Commit, or a later one.
            let owned_up =
                locked.is_some_and(|(lock, locked)| lock > *committed || (lock, locked) == (*committed, *header));
            (view > committed && !owned_up).then_some(Conflict::DeniedCommit)
        }
        (Body::Ballot(one), Body::Ballot(other)) if one.number == other.number => Some(Conflict::TwoBallots),
        (Body::Proposal(one), Body::Proposal(other)) if one.slot == other.slot => {
            (a.place().height == b.place().height).then_some(Conflict::TwoProposals)
        }
        (Body::Endorse { proposal, number, .. }, Body::Endorse { proposal: other, number: same, .. })
            if (proposal, number) == (other, same) =>
        {
            Some(Conflict::TwoEndorsements)
        }
        _ => None,
    }
}
