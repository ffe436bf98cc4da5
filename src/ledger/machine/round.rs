//! The votes on the next header: who promised what in which view, and what that leaves open.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::piece::PieceId;
use crate::identity::BotId;
use crate::ledger::ids::{HeaderId, StatementId, View};
use crate::ledger::next::Next;
use crate::ledger::roster::Roster;
use crate::ledger::sealing::{AckProof, Open, Voter, sealer};
use crate::ledger::statement::{Body, Statement};

type Lock = Option<(View, HeaderId)>;
type Signed = BTreeMap<BotId, [u8; 64]>;

/// Where a member is in the sealing of one height.
#[derive(Debug)]
pub(super) struct Round {
    pub(super) voter: Voter,
    /// The Acks of what it is locked on.
    pub(super) proof: Option<AckProof>,
    /// When its view began, on the ledger's count of time; nothing before there is work.
    pub(super) view_since: Option<u64>,
    /// Active members whose word on what this one promised is still to come: it lost its records, and promises nothing.
    pub(super) unheard: Option<BTreeSet<BotId>>,
    /// Under which number they were asked.
    pub(super) lost_number: Option<u64>,
    /// Applications of which this bot has found out whether it is their witness, and said so.
    pub(super) witnessed: BTreeSet<StatementId>,
    /// Of one that lost its records: whether the next height cannot have begun before that.
    pub(super) is_next_new: bool,
    pub(super) offers: BTreeMap<PieceId, Judged>,
    /// Whose Seal counts in a view, as it was worked out last.
    sealer: Option<(View, Option<BotId>)>,
    acks: BTreeMap<(View, HeaderId), Signed>,
    commits: BTreeMap<(View, HeaderId), Signed>,
    /// In each view, who entered it, and with which lock; of a liar all that it said.
    statuses: BTreeMap<View, BTreeSet<(BotId, Lock)>>,
}

/// An offer, as far as it was looked at.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) view: View,
    pub(super) header: HeaderId,
    pub(super) state: State,
    /// Whether nothing but ballots was missing from it when it arrived.
    pub(super) is_complete: bool,
    /// The least numbers of ballots that it must list.
    pub(super) settled: Vec<(BotId, u64)>,
}

#[derive(Debug)]
pub(super) enum State {
    New,
    /// A statement that it lists is not here.
    Missing(StatementId),
    /// It does not come to the header that it names.
    Wrong,
    Right(Box<Next>),
}

impl Round {
    pub(super) fn new(voter: Voter) -> Self {
        Self {
            voter,
            proof: None,
            view_since: None,
            unheard: None,
            lost_number: None,
            witnessed: BTreeSet::new(),
            is_next_new: false,
            offers: BTreeMap::new(),
            sealer: None,
            acks: BTreeMap::new(),
            commits: BTreeMap::new(),
            statuses: BTreeMap::new(),
        }
    }

    /// Whose Seal counts in the current view.
    pub(super) fn sealer(&mut self, header: HeaderId, roster: &Roster) -> Option<BotId> {
        let view = self.voter.view();
        match self.sealer {
            Some((known, key)) if known == view => key,
            _ => {
                let key = sealer(header, view, roster);
                self.sealer = Some((view, key));
                key
            }
        }
    }

    /// Counts an Ack, a Commit or a Status.
    pub(super) fn count(&mut self, statement: &Statement) {
        let author = statement.author();
        match statement.body() {
            Body::Ack { view, header } => {
                self.acks.entry((*view, *header)).or_default().insert(author, statement.signature());
            }
            Body::Commit { view, header } => {
                self.commits.entry((*view, *header)).or_default().insert(author, statement.signature());
            }
            Body::Status { view, locked } => {
                self.statuses.entry(*view).or_default().insert((author, *locked));
            }
            _ => {}
        }
    }

    /// Whether anybody committed to anything.
    pub(super) fn has_commits(&self) -> bool {
        !self.commits.is_empty()
    }

    /// Counts the Acks of a proof that was checked.
    pub(super) fn count_proof(&mut self, proof: &AckProof, roster: &Roster) {
        self.acks.entry((proof.view(), proof.header())).or_default().extend(proof.signatures(roster));
    }

    /// A header that a quorum committed to in one view.
    pub(super) fn committed(&self, quorum: usize) -> Option<(View, HeaderId, &Signed)> {
        let found = self.commits.iter().find(|(_, signed)| signed.len() >= quorum);
        found.map(|((view, header), signed)| (*view, *header, signed))
    }

    /// A header that a quorum Acked in the current view.
    pub(super) fn acked(&self, roster: &Roster, quorum: u32) -> Option<AckProof> {
        let view = self.voter.view();
        if self.voter.locked().is_some_and(|(locked, _)| locked == view) {
            return None;
        }
        let in_view = self.acks.range((view, HeaderId([0; 32]))..=(view, HeaderId([255; 32])));
        let in_view = in_view.into_iter().filter(|(_, signed)| signed.len() >= quorum as usize);
        in_view.into_iter().find_map(|((view, header), signed)| {
            let acks = signed.iter().map(|(author, signature)| (*author, *signature));
            AckProof::new(*view, *header, roster, quorum, acks)
        })
    }

    /// Whether a quorum Acked what somebody says it is locked on.
    fn is_proved(&self, lock: &Lock, quorum: usize) -> bool {
        lock.is_none_or(|lock| self.acks.get(&lock).is_some_and(|signed| signed.len() >= quorum))
    }

    /// Locks in a view's Status messages, each proved, one of each author: of a liar the one that binds least.
    fn locks(&self, view: View, quorum: usize) -> Vec<Lock> {
        let mut of_author: BTreeMap<BotId, Lock> = BTreeMap::new();
        for (author, lock) in self.statuses.get(&view).into_iter().flatten() {
            if self.is_proved(lock, quorum) {
                let least = of_author.entry(*author).or_insert(*lock);
                *least = (*least).min(*lock);
            }
        }
        let mut locks: Vec<Lock> = of_author.into_values().collect();
        locks.sort_unstable();
        locks
    }

    /// What the sealer of the current view may offer; nothing before a quorum said where it stands.
    pub(super) fn open(&self, quorum: u32) -> Option<Open> {
        let view = self.voter.view();
        if view == View(0) {
            return Some(Open::FIRST);
        }
        let locks = self.locks(view, quorum as usize);
        // The first quorum has the fewest locks; any quorum will do.
        Open::after(view, locks.into_iter().take(quorum as usize), quorum)
    }

    /// Whether some quorum of the current view's Status messages leaves this header open.
    pub(super) fn open_for(&self, header: HeaderId, quorum: u32) -> Option<Open> {
        let view = self.voter.view();
        if view == View(0) {
            return Some(Open::FIRST);
        }
        let locks = self.locks(view, quorum as usize);
        let forced = locks.iter().rposition(|lock| lock.is_some_and(|(_, locked)| locked == header));
        let up_to = |last: usize| Open::after(view, locks.iter().copied().take(last + 1), quorum);
        let open = [self.open(quorum), forced.and_then(up_to)];
        open.into_iter().flatten().find(|open| open.allows(view, header))
    }

    /// The greatest view that so many others are in, or beyond.
    pub(super) fn view_of_others(&self, own: &BotId, others: usize) -> Option<View> {
        let mut newest: BTreeMap<&BotId, View> = BTreeMap::new();
        for (view, statuses) in &self.statuses {
            newest.extend(statuses.iter().map(|(author, _)| (author, *view)).filter(|(author, _)| *author != own));
        }
        let mut views: Vec<View> = newest.into_values().collect();
        views.sort_unstable_by_key(|view| core::cmp::Reverse(*view));
        views.get(others.checked_sub(1)?).copied()
    }

    /// An offer's header, worked out.
    pub(super) fn right(&self, header: HeaderId) -> Option<(&PieceId, &Next)> {
        self.offers.iter().find_map(|(id, judged)| match &judged.state {
            State::Right(next) if judged.header == header => Some((id, &**next)),
            _ => None,
        })
    }
}
