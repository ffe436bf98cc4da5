//! What heights decided, with everything that was counted: kept for who asks why.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::Bytes;

use super::{Ledger, records, spans};
use crate::identity::BotId;
use crate::ledger::certificate::{Certificate, Genesis};
use crate::ledger::effect::{Effect, what_if_after, what_if_it_leaves};
use crate::ledger::explain::Explanation;
use crate::ledger::health::{Health, health_when};
use crate::ledger::ids::{Height, StatementId};
use crate::ledger::proof::Proof;
use crate::ledger::roster::Member;
use crate::ledger::statement::Ask;

/// Most bytes of proofs that are kept: some twenty rounds of a hundred members, or one of a thousand with long words.
const MAX_KEPT: usize = 4 << 20;
/// Most heights of which proofs are kept.
const MAX_HEIGHTS: usize = 52;

/// Why a decision cannot be explained here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExplainError {
    /// It is open, or never was.
    #[error("no height that this bot remembers decided it: it is open still, or was decided long ago")]
    Undecided,
    /// It was decided, and what was counted is not here.
    #[error("height {} decided it, but this bot was not there and does not hold what was counted: ask a bot that was", .0.0)]
    NotHeld(Height),
}

impl Ledger {
    /// The proof of a decision, for anybody to verify offline, and what it says.
    ///
    /// Proofs of the last heights at which this bot took part are kept: 52 at most, 4 MiB together.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub fn explain(&self, question: &StatementId) -> Result<(Proof, Explanation), ExplainError> {
        let missing =
            || self.judged.get(question).map_or(ExplainError::Undecided, |height| ExplainError::NotHeld(*height));
        let read = |bytes| Proof::from_bytes(&self.community, bytes).ok();
        let proof =
            self.proofs.iter().rev().filter_map(|(_, bytes)| read(bytes)).find_map(|proof| proof.about(*question));
        let proof = proof.ok_or_else(missing)?;
        // Where the height before is at hand, the walk from the genesis is not needed.
        let explained = match proof.height().0.checked_sub(1).and_then(|before| self.chain_at(Height(before))) {
            Some(before) => proof.verify(before, &*self.crypto),
            None => {
                let certificates = self.certificates.iter().map_while(|bytes| Certificate::from_bytes(bytes).ok());
                let story: Vec<Certificate> = certificates.collect();
                let Ok(genesis) = Genesis::from_bytes(&self.genesis, &*self.crypto) else { return Err(missing()) };
                proof.verify_from_genesis(&genesis, &story, &*self.crypto)
            }
        };
        explained.map(|explanation| (proof, explanation)).map_err(|_| missing())
    }

    /// What would become of the community if this passed, after what else is asked already.
    pub fn what_if(&self, ask: &Ask) -> Effect {
        let others = self.pool.proposals().map(|(_, proposal, _)| &proposal.ask).filter(|open| *open != ask);
        let open: Vec<Ask> = others.cloned().collect();
        what_if_after(&self.chain.standpoint(), &open, ask)
    }

    /// What would become of it if this member left.
    pub fn what_if_it_leaves(&self, member: &BotId) -> Effect {
        what_if_it_leaves(&self.chain.standpoint(), member)
    }

    /// How the community is: those are there that answered in the last round and, once a question has waited for 12 u, have
    /// answered in this one.
    #[must_use]
    pub fn health(&self) -> Health {
        let patience = spans::GRACE * self.chain.rules().unit_ms();
        let waits = self.pool.proposals().any(|(_, _, since)| self.clock.age(since) >= patience);
        let answered = |key: &BotId| self.pool.ballot(key).is_some_and(|ballot| ballot.place() == self.chain.place());
        let is_there =
            |member: &Member| member.strikes == 0 && (!waits || member.key == self.own || answered(&member.key));
        health_when(self.chain.roster(), self.chain.rules(), is_there)
    }

    /// Keeps what this height was made of, as far as this bot holds it.
    pub(super) fn keep_proof(&mut self, certificate: &Certificate) {
        let header = &certificate.header;
        let Some((proposal, _)) = header.outcomes.first() else { return };
        let Some(listing) = self.listing_of(header.id(&self.community)) else { return };
        let statement = |id: &StatementId| self.pool.statement(id);
        let Ok(proof) = Proof::new(*proposal, certificate.clone(), listing, statement) else { return };
        let bytes = Bytes::from(proof.to_bytes());
        if bytes.len() > MAX_KEPT {
            return;
        }
        self.persist(records::proof_key(header.height), bytes.clone());
        self.proofs.push_back((header.height, bytes));
        while self.proofs.len() > MAX_HEIGHTS
            || self.proofs.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > MAX_KEPT
        {
            let Some((height, _)) = self.proofs.pop_front() else { break };
            self.persist(records::proof_key(height), Bytes::new());
        }
    }
}

/// The heights of which proofs are kept, the oldest first.
pub(super) type Proofs = VecDeque<(Height, Bytes)>;
