//! A bot without its records: it promises nothing until the others told what it had promised.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::Ledger;
use super::events::LedgerEvent;
use super::piece::{Piece, PieceId};
use super::pool::{Slot, number};
use crate::identity::BotId;
use crate::ledger::ids::View;
use crate::ledger::sealing::Voter;
use crate::ledger::statement::Body;

impl Ledger {
    /// This bot lost what it promised: it waits for the word of every other active member.
    pub(super) fn lose_promises(&mut self) {
        if self.chain.roster().get_active(&self.own).is_none() {
            return;
        }
        let others: BTreeSet<BotId> =
            self.chain.roster().active().map(|member| member.key).filter(|key| *key != self.own).collect();
        if !others.is_empty() {
            self.notify(LedgerEvent::Unsure { unheard: others.iter().copied().collect() });
            self.round.unheard = Some(others);
        }
    }

    /// A member holds what this bot holds: nothing that it promised is unknown there.
    pub(super) fn hear(&mut self, member: &BotId) {
        let numbers = self.numbers;
        let Some(unheard) = &mut self.round.unheard else { return };
        unheard.remove(member);
        if !unheard.is_empty() {
            // A quorum that had committed before the records were lost would have an honest one among so many.
            let heard = numbers.active as usize - 1 - unheard.len();
            let enough = (numbers.active - numbers.quorum + numbers.faults + 1) as usize;
            self.round.is_next_new |= heard >= enough && !self.round.has_commits();
            return;
        }
        let (mut view, mut locked) = (View(0), None);
        let own = self.own;
        let votes: Vec<Body> = self
            .pool
            .iter()
            .filter_map(|(_, held)| match &held.piece {
                Piece::Statement(statement) if statement.author() == own => Some(statement.body().clone()),
                Piece::Offer(offer) if offer.seal.author() == own => Some(offer.seal.body().clone()),
                _ => None,
            })
            .collect();
        for vote in &votes {
            match vote {
                Body::Seal { view: in_view, .. }
                | Body::Ack { view: in_view, .. }
                | Body::Status { view: in_view, .. } => {
                    view = view.max(*in_view);
                }
                Body::Commit { view: in_view, header } => locked = locked.max(Some((*in_view, *header))),
                _ => {}
            }
        }
        view = locked.map_or(view, |(in_view, _)| view.max(in_view));
        let sealed = votes.iter().any(|vote| matches!(vote, Body::Seal { view: at, .. } if *at == view));
        let acked = votes.iter().any(|vote| matches!(vote, Body::Ack { view: at, .. } if *at == view));
        self.round.voter = Voter::recalled(view, sealed, acked, locked);
        self.round.unheard = None;
        self.lost = false;
        self.write_voter();
    }

    /// Asks everybody, once at a height, when this bot stands where the others do.
    pub(super) fn ask_what_was_promised(&mut self) {
        if self.forked.is_some() || self.round.unheard.is_none() {
            return;
        }
        let own = self.chain.place();
        // Who promises heights and brings none is not waited for.
        let places = || self.peers.values().filter(|peer| peer.in_vain == 0).filter_map(|peer| peer.place);
        let is_level = places().any(|place| place == own) && places().all(|place| place.height <= own.height);
        if is_level && self.round.lost_number.is_none() {
            let number = self.next_number();
            self.round.lost_number = Some(number);
            self.say(Body::Lost { number });
        }
        self.count_recalls();
    }

    /// Who told what it holds is heard, once all of that is here.
    fn count_recalls(&mut self) {
        let (Some(unheard), Some(asked)) = (&self.round.unheard, self.round.lost_number) else { return };
        let is_told = |member: &&BotId| {
            let recall = self.pool.in_slot(&Slot::Recall(**member, self.own)).next().map(|held| &held.piece);
            let Some(Piece::Statement(statement)) = recall else { return false };
            match statement.body() {
                Body::Recall { number, promises, .. } => {
                    *number == asked && promises.iter().all(|name| self.pool.get(&PieceId(*name)).is_some())
                }
                _ => false,
            }
        };
        let heard: Vec<BotId> = unheard.iter().filter(is_told).copied().collect();
        heard.iter().for_each(|member| self.hear(member));
    }

    /// Tells members that lost their records what is held here of their promises, each at most once in a u.
    pub(super) fn recall_promises(&mut self) {
        let asked: Vec<(BotId, u64)> = self
            .pool
            .lost()
            .filter(|(subject, _)| *subject != self.own)
            .filter(|(subject, asked)| {
                let slot = Slot::Recall(self.own, *subject);
                let said = self.pool.in_slot(&slot).next().map(|held| number(&held.piece));
                said.is_none_or(|said| said < *asked)
            })
            .filter(|(subject, asked)| !self.is_recalling(subject, *asked))
            .collect();
        let unit = self.chain.rules().unit_ms();
        for (subject, number) in asked {
            if self.recalled_at.get(&subject).is_some_and(|at| self.clock.age(*at) < unit) {
                continue;
            }
            self.recalled_at.insert(subject, self.clock.elapsed);
            let promises = self.promises_of(&subject);
            self.say(Body::Recall { subject, number, promises });
        }
    }

    /// Whether this bot's word on it waits for the disk.
    fn is_recalling(&self, subject: &BotId, asked: u64) -> bool {
        let slot = Slot::Recall(self.own, *subject);
        self.held.iter().any(|(_, piece)| super::pool::slot(piece) == slot && number(piece) == asked)
    }

    /// The newest Seal, Ack, Commit and Status of a member at this height.
    fn promises_of(&self, member: &BotId) -> Vec<[u8; 32]> {
        let mut newest: [(Option<View>, Vec<[u8; 32]>); 4] = Default::default();
        for (id, held) in self.pool.iter() {
            let statement = match &held.piece {
                Piece::Statement(statement) => &**statement,
                Piece::Offer(offer) => &offer.seal,
                _ => continue,
            };
            if statement.author() != *member {
                continue;
            }
            let (kind, view) = match statement.body() {
                Body::Seal { view, .. } => (0, *view),
                Body::Ack { view, .. } => (1, *view),
                Body::Commit { view, .. } => (2, *view),
                Body::Status { view, .. } => (3, *view),
                _ => continue,
            };
            let (last, names) = &mut newest[kind];
            if *last < Some(view) {
                (*last, *names) = (Some(view), Vec::new());
            }
            if *last == Some(view) {
                names.push(id.0);
            }
        }
        let mut promises: Vec<[u8; 32]> = newest.into_iter().flat_map(|(_, names)| names).collect();
        promises.sort_unstable();
        promises
    }
}
