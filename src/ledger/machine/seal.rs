//! How the machine takes part in sealing a round: when there is work, what is offered, what is agreed to.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::message::{LedgerMessage, MAX_NAMES};
use super::piece::{Lock, Offer, Piece, PieceId};
use super::pool::Slot;
use super::round::{Judged, State};
use super::{Ledger, spans};
use crate::identity::BotId;
use crate::ledger::certificate::Certificate;
use crate::ledger::guest::Support;
use crate::ledger::ids::{HeaderId, StatementId, View};
use crate::ledger::listing::{Listing, Misfit, ResolveError, fits};
use crate::ledger::next::{Next, next};
use crate::ledger::sealing::{Open, view_time_ms};
use crate::ledger::statement::{Answer, Ask, Ballot, Body, Statement};
use crate::time::UnixMillis;

const fn doubled(units: u64, view: View) -> u64 {
    let shift = if view.0 < 32 { view.0 } else { 32 };
    units.saturating_mul(1 << shift)
}

impl Ledger {
    fn unit(&self) -> u64 {
        self.chain.rules().unit_ms()
    }

    fn window(&self) -> u64 {
        self.chain.rules().vote_window_ms
    }

    pub(super) const fn quorum(&self) -> u32 {
        self.numbers.quorum
    }

    /// Whether the round has something to decide, and its window is over.
    pub(super) fn has_work(&self) -> bool {
        let unit = self.unit();
        if self.clock.wall.0 < self.chain.opened_at().0.saturating_add(self.window()) {
            return false;
        }
        let proposal_age = self.window().saturating_add(spans::GRACE * unit);
        let due = |since: u64, age: u64| self.clock.age(since) >= age;
        let item_age = spans::ITEM_IS_WORK * unit;
        let is_work = |body: &Body| matches!(body, Body::Leave | Body::Wake);
        self.pool.proposals().any(|(_, _, since)| due(since, proposal_age))
            || self.pool.items().any(|(item, since)| is_work(item.body()) && due(since, item_age))
            || self.pool.evidence().any(|(_, since)| due(since, item_age))
            || self.endorsed().values().any(|since| due(*since, item_age))
    }

    /// Applications that enough owners hold by hand, and since when their endorsements are complete here.
    fn endorsed(&self) -> BTreeMap<StatementId, u64> {
        let mut held: BTreeMap<StatementId, (Support, u64)> = BTreeMap::new();
        for (item, since) in self.pool.items() {
            if let Body::Endorse { proposal, .. } = item.body() {
                let (support, newest) = held.entry(*proposal).or_default();
                support.count(proposal, item);
                *newest = (*newest).max(since);
            }
        }
        let (roster, rules) = (self.chain.roster(), self.chain.rules());
        // A sponsor that fills a slot twice replaces what it asked: endorsements of that count for nothing.
        let is_here = |id: &StatementId| self.pool.statement(id).is_some();
        let complete = held.into_iter().filter(|(id, (support, _))| support.is_endorsed(roster, rules) && is_here(id));
        complete.map(|(id, (_, since))| (id, since)).collect()
    }

    /// Whether an item belongs into a list with these proposals.
    fn belongs(item: &Statement, listed: &BTreeSet<StatementId>) -> bool {
        match item.body() {
            Body::Leave | Body::Wake => true,
            Body::Withdraw(about) | Body::Accept(about) | Body::Endorse { proposal: about, .. } => {
                listed.contains(about)
            }
            _ => false,
        }
    }

    /// Revocations that a quorum of this roster signed, for keys that are asked about in a list.
    fn revocations(&self, listed: &BTreeSet<StatementId>) -> Vec<(StatementId, BTreeSet<StatementId>, u64)> {
        let keys: BTreeSet<BotId> = listed
            .iter()
            .filter_map(|id| match &self.pool.statement(id)?.proposal()?.ask {
                Ask::Admit(application) => Some(application.key),
                _ => None,
            })
            .collect();
        let mut found = Vec::new();
        for (_, held) in self.pool.iter() {
            let Piece::Backing(grant) = &held.piece else { continue };
            let ask = self.pool.statement(&grant.proposal).and_then(Statement::proposal).map(|proposal| &proposal.ask);
            let (Some(Ask::Remove { subject, .. }) | Some(Ask::Revoke { subject })) = ask else { continue };
            // Of a roster that is past some may have left, and a liar may have put in what counts for nothing.
            let at = self.chain.standpoint();
            let is_yes = |ballot: &Ballot| ballot.answer(&grant.proposal) == Some(Answer::Yes);
            let counts = |statement: &&Statement| {
                statement.ballot().is_some_and(is_yes)
                    && at.roster.get_active(&statement.author()).is_some()
                    && fits(&at, statement).is_ok()
            };
            let of_author: BTreeMap<BotId, StatementId> =
                grant.statements.iter().filter(counts).map(|statement| (statement.author(), statement.id())).collect();
            if keys.contains(subject) && of_author.len() >= self.quorum() as usize {
                found.push((grant.proposal, of_author.into_values().collect(), held.since));
            }
        }
        found.sort_unstable();
        found
    }

    /// What this bot would seal in a view; nothing when there is nothing to decide.
    fn list(&self, view: View) -> Option<Listing> {
        let (unit, window) = (self.unit(), self.window());
        let ages = || self.pool.proposals().map(|(statement, _, since)| (statement.id(), self.clock.age(since)));
        let oldest = ages().map(|(_, age)| age).max().unwrap_or_default();
        let loosened = spans::LOOSENING.saturating_mul(unit).saturating_mul(doubled(1, view).saturating_sub(1));
        let least = window.max(oldest.min(window.saturating_add(loosened)));
        let judged: BTreeSet<StatementId> = ages().filter(|(_, age)| *age >= least).map(|(id, _)| id).collect();
        let endorsed: BTreeSet<StatementId> = self.endorsed().into_keys().filter(|id| !judged.contains(id)).collect();
        let listed: BTreeSet<StatementId> = judged.union(&endorsed).copied().collect();
        let roster = self.chain.roster();
        let opened_at = UnixMillis(self.clock.wall.0.max(self.chain.opened_at().0.saturating_add(window)));
        let mut listing = Listing::new(opened_at);
        let votes = self.pool.ballots().filter(|ballot| roster.get_active(&ballot.author()).is_some());
        listing.ballots = votes.map(|ballot| ballot.id()).collect();
        listing.items =
            self.pool.items().filter(|(item, _)| Self::belongs(item, &listed)).map(|(item, _)| item.id()).collect();
        self.pool.evidence().for_each(|(evidence, _)| listing.convict(evidence));
        listing.revocations = self.revocations(&listed).into_iter().map(|(id, ballots, _)| (id, ballots)).collect();
        (listing.judged, listing.endorsed) = (judged, endorsed);
        self.makes_work(&listing).then_some(listing)
    }

    /// Whether a list decides anything.
    fn makes_work(&self, listing: &Listing) -> bool {
        let is_work = |id: &StatementId| {
            self.pool.statement(id).is_some_and(|item| matches!(item.body(), Body::Leave | Body::Wake))
        };
        let is_empty = listing.judged.is_empty() && listing.endorsed.is_empty() && listing.evidence.is_empty();
        !is_empty || listing.items.iter().any(is_work)
    }

    /// Whether nothing is missing from a list that everybody should have by now, as it arrives.
    pub(super) fn is_complete(&self, view: View, listing: &Listing) -> bool {
        let unit = self.unit();
        let overdue = self.window().saturating_add(doubled(spans::OVERDUE * unit, view));
        let settled = doubled(spans::SETTLING * unit, view);
        let all_judged = self
            .pool
            .proposals()
            .all(|(statement, _, since)| self.clock.age(since) < overdue || listing.judged.contains(&statement.id()));
        let listed: BTreeSet<StatementId> = listing.judged.iter().chain(&listing.endorsed).copied().collect();
        let endorsed = self.endorsed();
        let all_endorsed = endorsed.iter().all(|(id, since)| self.clock.age(*since) < settled || listed.contains(id));
        let all_items = self.pool.items().all(|(item, since)| {
            self.clock.age(since) < settled || !Self::belongs(item, &listed) || listing.items.contains(&item.id())
        });
        // Any pair of an author will do.
        let accused = |author: &BotId| {
            let mut listed = listing.evidence.keys();
            listed.any(|id| self.pool.statement(id).is_none_or(|statement| statement.author() == *author))
        };
        let all_evidence = self
            .pool
            .evidence()
            .all(|(evidence, since)| self.clock.age(since) < settled || accused(&evidence.author()));
        let all_revoked = self
            .revocations(&listed)
            .iter()
            .all(|(id, _, since)| self.clock.age(*since) < settled || listing.revocations.contains_key(id));
        all_judged && all_endorsed && all_items && all_evidence && all_revoked
    }

    /// The least numbers of ballots that an offer must list when it arrives now.
    pub(super) fn settled_ballots(&self, view: View) -> Vec<(BotId, u64)> {
        let settled = doubled(spans::SETTLING * self.unit(), view);
        let least = |key: &BotId| self.pool.settled_number(key, self.clock.elapsed, settled);
        self.chain.roster().active().filter_map(|member| Some((member.key, least(&member.key)?))).collect()
    }

    /// Whether a list, all of which is here, has ballots with these numbers, or newer ones.
    fn has_ballots(&self, listing: &Listing, settled: &[(BotId, u64)]) -> bool {
        let number = |id| {
            let statement = self.pool.statement(id)?;
            Some((statement.author(), statement.ballot()?.number))
        };
        let listed: BTreeMap<BotId, u64> = listing.ballots.iter().filter_map(number).collect();
        settled.iter().all(|(author, least)| listed.get(author).is_some_and(|number| number >= least))
    }

    /// Works out what a list comes to.
    fn work_out(&self, listing: &Listing) -> Result<Next, ResolveError> {
        let at = self.chain.standpoint();
        let resolved = listing.resolve(&at, &self.community, |id| self.pool.statement(id))?;
        Ok(next(&at, &resolved.contents))
    }

    /// Looks at an offer, as far as what it lists is here.
    pub(super) fn judge(&mut self, id: PieceId) {
        let Some(held) = self.pool.get(&id) else { return };
        let Piece::Offer(offer) = &held.piece else { return };
        let offer = offer.clone();
        let state = match self.work_out(&offer.listing) {
            Ok(next) => {
                let is_right = Some(next.header.id(&self.community)) == header_of(&offer.seal);
                if is_right && self.makes_work(&offer.listing) { State::Right(Box::new(next)) } else { State::Wrong }
            }
            Err(ResolveError { statement, why: Misfit::Missing }) => State::Missing(statement),
            Err(_) => State::Wrong,
        };
        if let Some(judged) = self.round.offers.get_mut(&id) {
            judged.state = state;
        }
    }

    /// Looks again at offers that waited for what is here now.
    fn judge_again(&mut self) {
        let is_due = |state: &State| match state {
            State::Missing(id) => self.pool.statement(id).is_some(),
            State::New | State::Wrong | State::Right(_) => false,
        };
        let due: Vec<PieceId> =
            self.round.offers.iter().filter(|(_, judged)| is_due(&judged.state)).map(|(id, _)| *id).collect();
        due.into_iter().for_each(|id| self.judge(id));
    }

    /// Asks for what offers list and is not here: whoever offered it keeps it, although its author may have replaced it.
    pub(super) fn ask_for_listed(&mut self) {
        let view = self.round.voter.view();
        let waits = |judged: &&Judged| judged.view >= view && matches!(judged.state, State::Missing(_));
        let mut missing: BTreeSet<PieceId> = BTreeSet::new();
        for (id, _) in self.round.offers.iter().filter(|(_, judged)| waits(judged)) {
            if let Some(Piece::Offer(offer)) = self.pool.get(id).map(|held| &held.piece) {
                let names = offer.listing.names().into_iter().filter(|name| self.pool.statement(name).is_none());
                missing.extend(names.map(PieceId::from));
            }
        }
        let names: Vec<PieceId> = missing.into_iter().collect();
        for some in names.chunks(MAX_NAMES) {
            self.peers.values_mut().for_each(|peer| peer.say(LedgerMessage::Want { names: some.to_vec() }));
        }
    }

    /// Whether this bot may make promises now.
    fn may_promise(&self) -> bool {
        self.round.unheard.is_none() && self.chain.roster().get_active(&self.own).is_some()
    }

    /// Does everything that has become possible.
    pub(super) fn advance(&mut self) {
        if self.forked.is_some() {
            return;
        }
        self.judge_again();
        while self.close_round() {}
        if !self.may_promise() {
            return;
        }
        self.enter_views();
        self.offer();
        self.ack();
        self.commit();
    }

    /// A quorum of Commits closes the round.
    fn close_round(&mut self) -> bool {
        let quorum = self.quorum();
        let Some((view, header, commits)) = self.round.committed(quorum as usize) else { return false };
        // What it comes to may still be on its way; so may the certificate.
        let Some((_, next)) = self.round.right(header) else { return false };
        let commits: Vec<_> = commits.iter().map(|(key, signature)| (*key, *signature)).collect();
        let certificate = Certificate::new(next.header.clone(), view, self.chain.roster(), quorum, commits);
        self.follow(&certificate).is_ok()
    }

    fn enter_views(&mut self) {
        let view = self.round.voter.view();
        let others = self.round.view_of_others(&self.own, self.numbers.faults as usize + 1);
        if let Some(theirs) = others.filter(|theirs| *theirs > view) {
            self.enter(theirs);
        }
        let Some(since) = self.round.view_since else { return };
        if self.clock.age(since) >= view_time_ms(self.chain.rules(), self.round.voter.view()) {
            let next = View(self.round.voter.view().0.saturating_add(1));
            self.enter(next);
        }
    }

    fn enter(&mut self, view: View) {
        if let Some(body) = self.round.voter.enter(view) {
            self.round.view_since = Some(self.clock.elapsed);
            if let Some(proof) = self.round.proof.clone() {
                let piece = Piece::Lock(Arc::new(Lock { place: self.chain.place(), proof }));
                self.put(piece.id(), piece, None);
            }
            self.promise(body);
        }
    }

    fn offer(&mut self) {
        let view = self.round.voter.view();
        let place = self.chain.place();
        if self.round.view_since.is_none() || self.round.voter.has_sealed() {
            return;
        }
        if self.round.sealer(place.header, self.chain.roster()) != Some(self.own) {
            return;
        }
        let Some(open) = self.round.open(self.quorum()) else { return };
        let listing = match open.forced() {
            Some(header) => self.listing_of(header),
            None => self.list(view),
        };
        let Some(listing) = listing else { return };
        let Ok(next) = self.work_out(&listing) else { return };
        let Some(body) = self.round.voter.seal(next.header.id(&self.community), &open) else { return };
        self.write_voter();
        let Ok(seal) = Statement::new(&self.community, self.own, place, body, &*self.signer) else { return };
        self.pool.list(listing.names());
        self.hold(Piece::Offer(Arc::new(Offer { seal, listing })));
    }

    pub(super) fn listing_of(&self, header: HeaderId) -> Option<Listing> {
        let (id, _) = self.round.right(header)?;
        match &self.pool.get(id)?.piece {
            Piece::Offer(offer) => Some(offer.listing.clone()),
            _ => None,
        }
    }

    fn ack(&mut self) {
        let (view, quorum) = (self.round.voter.view(), self.quorum());
        if self.round.voter.has_acked() {
            return;
        }
        let in_view = self.round.offers.iter().filter(|(_, judged)| judged.view == view);
        let right = in_view.filter(|(_, judged)| matches!(judged.state, State::Right(_)));
        let found = right.into_iter().find_map(|(id, judged)| {
            let open = self.round.open_for(judged.header, quorum)?;
            self.agrees(id, judged, &open).then_some((judged.header, open))
        });
        let Some((header, open)) = found else { return };
        if let Some(body) = self.round.voter.ack(view, header, &open) {
            self.promise(body);
        }
    }

    /// Whether an offer is what this bot would agree to; one that is forced always is.
    fn agrees(&self, id: &PieceId, judged: &Judged, open: &Open) -> bool {
        let Some(held) = self.pool.get(id) else { return false };
        let Piece::Offer(offer) = &held.piece else { return false };
        if open.forced().is_some() {
            return true;
        }
        let (unit, now) = (self.unit(), self.clock.wall.0);
        let ripe_age = self.window().saturating_sub(spans::RIPE_TOLERANCE * unit);
        let is_ripe = |id: &StatementId| {
            let held = self.pool.get(&PieceId::from(*id));
            held.is_some_and(|held| self.clock.age(held.since) >= ripe_age)
        };
        let opened_at = offer.listing.opened_at.0;
        let is_dated = opened_at.saturating_add(spans::DATE_BACK * unit) >= now
            && opened_at <= now.saturating_add(spans::DATE_AHEAD * unit)
            && opened_at >= self.chain.opened_at().0.saturating_add(self.window());
        judged.is_complete
            && is_dated
            && offer.listing.judged.iter().all(is_ripe)
            && self.has_ballots(&offer.listing, &judged.settled)
    }

    fn commit(&mut self) {
        let quorum = self.quorum();
        let Some(proof) = self.round.acked(self.chain.roster(), quorum) else { return };
        // Who is locked on a header can offer it again.
        if self.round.right(proof.header()).is_none() {
            return;
        }
        if let Some(body) = self.round.voter.commit(&proof) {
            self.write_lock(&proof);
            self.round.proof = Some(proof);
            self.promise(body);
        }
    }

    /// Whether this bot said at this height that it is here.
    pub(super) fn own_ballot_here(&self) -> bool {
        let place = self.chain.place();
        self.pool.in_slot(&Slot::Ballot(self.own)).any(|held| match &held.piece {
            Piece::Statement(ballot) => ballot.place() == place,
            _ => false,
        })
    }
}

fn header_of(seal: &Statement) -> Option<HeaderId> {
    match seal.body() {
        Body::Seal { header, .. } => Some(*header),
        _ => None,
    }
}
