//! Which pieces count here, and what follows from them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::events::{LedgerEvent, Question};
use super::peers::Channel;
use super::piece::{Backing, Piece, PieceId, Silence};
use super::pool::Slot;
use super::round::{Judged, State};
use super::{Ledger, spans};
use crate::identity::BotId;
use crate::ledger::certificate::Chain;
use crate::ledger::guest::{self, Grant, Support};
use crate::ledger::ids::{Height, Place, StatementId, View};
use crate::ledger::listing::{Misfit, fits};
use crate::ledger::roster::Standing;
use crate::ledger::sealing::sealer;
use crate::ledger::statement::{Answer, Ask, Ballot, Body, Proposal, Report, Statement};

/// Views beyond this one's own in which a member may already be.
const VIEWS_AHEAD: u32 = 64;
/// Members that one may report as silent.
const REPORTS_OF_ONE: usize = 16;
/// Applications that one member may endorse at a time.
const ENDORSEMENTS_OF_ONE: usize = 64;

/// Why a piece does not count here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Its bytes are no piece.
    #[error("the bytes are no piece in its one encoding")]
    Layout,
    /// Its author stood at a height that is not known here yet.
    #[error("it stands on height {}, which is not known here yet", .0.0)]
    Ahead(Height),
    /// Its author stood on another story.
    #[error("it stands on a header that is not this community's")]
    OtherStory,
    /// Its author is no member, or was none there.
    #[error("{0} is no member since the place where it stood")]
    NotAMember(BotId),
    /// Its author may not say this now.
    #[error("{0} may not say this here and now")]
    NotAllowed(BotId),
    /// What it speaks about is not here.
    #[error("the proposal that it speaks about is not here")]
    Unknown,
    /// It comes too late to count.
    #[error("it comes too late to count")]
    Late,
    /// It is one too many of its author's.
    #[error("{0} said too much already")]
    TooMany(BotId),
    /// A signature in it is wrong.
    #[error("a signature in it is wrong")]
    Forged,
}

impl Ledger {
    /// Takes a piece that came from a peer, or is this bot's own.
    pub(super) fn admit(&mut self, piece: Piece, from: Option<Channel>) -> Result<(), Refusal> {
        let (id, rank) = (piece.id(), piece.rank());
        if self.pool.bytes(&id).is_none() {
            self.check(&piece)?;
            if from.is_some() && !piece.is_genuine(&self.community, &self.chain, &*self.crypto) {
                return Err(Refusal::Forged);
            }
            self.put(id, piece, from);
        }
        // What is not held is not remembered either: anybody can make as many as it likes.
        let is_held = self.pool.get(&id).is_some();
        if let Some(peer) = from.and_then(|from| self.peers.get_mut(&from)).filter(|_| is_held) {
            peer.knows(id, rank);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, id: PieceId, piece: Piece, from: Option<Channel>) {
        let unit = self.chain.rules().unit_ms();
        let put = self.pool.put(id, piece.clone(), self.clock.elapsed, spans::SETTLING * unit);
        for gone in &put.dropped {
            self.forget_record(gone);
            self.peers.values_mut().for_each(|peer| peer.forget(gone));
        }
        if put.is_new {
            self.write_piece(&id, &piece, self.clock.elapsed);
            self.spread(id, &piece, from);
            self.follow_up(id, &piece);
        }
        if let Some(evidence) = put.evidence {
            let piece = Piece::Evidence(Arc::new(evidence));
            if self.check(&piece).is_ok() {
                self.put(piece.id(), piece, None);
            }
        }
    }

    /// What follows from a new piece.
    pub(super) fn follow_up(&mut self, id: PieceId, piece: &Piece) {
        match piece {
            Piece::Statement(statement) => match statement.body() {
                Body::Proposal(_) => {
                    let question = self.question(statement, self.clock.elapsed);
                    self.notify(LedgerEvent::Proposed(Box::new(question)));
                    self.look_for_grants(&[statement.id()]);
                }
                Body::Ballot(ballot) => {
                    self.recall_own(statement);
                    self.hear_yes(ballot);
                }
                Body::Endorse { proposal, .. } => {
                    self.recall_own(statement);
                    self.look_for_grants(&[*proposal]);
                }
                _ => self.round.count(statement),
            },
            Piece::Offer(offer) => {
                let Body::Seal { view, header } = *offer.seal.body() else { return };
                let is_complete = self.is_complete(view, &offer.listing);
                let settled = self.settled_ballots(view);
                self.round.offers.insert(id, Judged { view, header, state: State::New, is_complete, settled });
                self.pool.list(offer.listing.names());
                self.judge(id);
                self.ask_for_listed();
            }
            Piece::Evidence(evidence) => {
                let (member, conflict) = (evidence.author(), evidence.conflict());
                self.notify(LedgerEvent::Equivocator { member, conflict });
            }
            Piece::Backing(backing) => self.take_backing(backing),
            Piece::Silence(silence) => self.look_for_silent(&silence.subject),
            Piece::Lock(lock) => self.round.count_proof(&lock.proof, self.chain.roster()),
        }
    }

    /// The chain as it was at a height that still matters.
    pub(super) fn chain_at(&self, height: Height) -> Option<&Chain> {
        if height == self.chain.place().height {
            return Some(&self.chain);
        }
        self.past.iter().find(|chain| chain.place().height == height)
    }

    fn check_place(&self, place: Place) -> Result<(), Refusal> {
        let own = self.chain.place().height;
        if place.height > own {
            return Err(Refusal::Ahead(place.height));
        }
        let at = usize::try_from(place.height.0).ok();
        let is_ours = at.and_then(|at| self.headers.get(at)) == Some(&place.header);
        if is_ours { Ok(()) } else { Err(Refusal::OtherStory) }
    }

    /// Whether a member stood there and is one still, under the same key.
    fn check_member(&self, author: &BotId, height: Height) -> Result<Standing, Refusal> {
        let member = self.chain.roster().get(author).filter(|member| member.joined_at <= height);
        member.map(|member| member.standing).ok_or(Refusal::NotAMember(*author))
    }

    fn check_active(&self, author: &BotId, height: Height) -> Result<(), Refusal> {
        match self.check_member(author, height)? {
            Standing::Active => Ok(()),
            Standing::Dormant => Err(Refusal::NotAllowed(*author)),
        }
    }

    /// The last one who can act stays, whatever it did: held, its leave would be work for ever.
    fn check_not_last(&self, author: &BotId) -> Result<(), Refusal> {
        let roster = self.chain.roster();
        let is_last = roster.active_len() == 1 && roster.get_active(author).is_some();
        if is_last { Err(Refusal::NotAllowed(*author)) } else { Ok(()) }
    }

    fn is_here(&self, place: Place) -> Result<(), Refusal> {
        if place == self.chain.place() { Ok(()) } else { Err(Refusal::Late) }
    }

    /// Whether a piece counts here and now; signatures are not looked at.
    pub(super) fn check(&self, piece: &Piece) -> Result<(), Refusal> {
        match piece {
            Piece::Statement(statement) => self.check_statement(statement),
            Piece::Offer(offer) => {
                self.check_place(offer.seal.place())?;
                self.is_here(offer.seal.place())?;
                let Body::Seal { view, .. } = *offer.seal.body() else { return Err(Refusal::Layout) };
                self.check_view(view)?;
                let author = offer.seal.author();
                let sealer = sealer(self.chain.place().header, view, self.chain.roster());
                if sealer == Some(author) { Ok(()) } else { Err(Refusal::NotAllowed(author)) }
            }
            Piece::Evidence(evidence) => {
                let author = evidence.author();
                let since = evidence.pair().iter().map(|statement| statement.place().height).min();
                self.check_member(&author, since.unwrap_or_default())?;
                self.check_not_last(&author)
            }
            Piece::Backing(backing) => self.check_backing(backing),
            Piece::Silence(silence) => self.check_silence(silence),
            Piece::Lock(lock) => {
                self.check_place(lock.place)?;
                self.is_here(lock.place)?;
                self.check_view(lock.proof.view())
            }
        }
    }

    fn check_view(&self, view: View) -> Result<(), Refusal> {
        let last = self.round.voter.view().0.saturating_add(VIEWS_AHEAD);
        if view.0 <= last { Ok(()) } else { Err(Refusal::Ahead(self.chain.place().height)) }
    }

    fn check_statement(&self, statement: &Statement) -> Result<(), Refusal> {
        let (author, place) = (statement.author(), statement.place());
        self.check_place(place)?;
        // What no round can seal is not held.
        fits(&self.chain.standpoint(), statement).map_err(|why| match why {
            Misfit::Place | Misfit::Stale => Refusal::Late,
            Misfit::Author => Refusal::NotAMember(author),
            _ => Refusal::NotAllowed(author),
        })?;
        let proposal_of = |id: &StatementId| {
            let held = self.pool.statement(id).ok_or(Refusal::Unknown)?;
            Ok((held.author(), held.proposal().ok_or(Refusal::Unknown)?))
        };
        match statement.body() {
            Body::Proposal(proposal) => {
                self.check_member(&author, place.height)?;
                self.check_proposal(statement, proposal)
            }
            Body::Ballot(_) => self.check_member(&author, place.height).map(drop),
            Body::Leave => {
                self.check_member(&author, place.height)?;
                self.check_not_last(&author)
            }
            Body::Withdraw(id) => {
                let (sponsor, _) = proposal_of(id)?;
                if sponsor == author { Ok(()) } else { Err(Refusal::NotAllowed(author)) }
            }
            Body::Wake => {
                self.is_here(place)?;
                match self.check_member(&author, place.height)? {
                    Standing::Dormant => Ok(()),
                    Standing::Active => Err(Refusal::NotAllowed(author)),
                }
            }
            Body::Accept(id) => {
                self.is_here(place)?;
                match proposal_of(id)?.1.ask {
                    Ask::Admit(ref application) if application.key == author => Ok(()),
                    _ => Err(Refusal::NotAllowed(author)),
                }
            }
            Body::Endorse { proposal, .. } => {
                self.check_active(&author, place.height)?;
                if !matches!(proposal_of(proposal)?.1.ask, Ask::Admit(_)) {
                    return Err(Refusal::NotAllowed(author));
                }
                let of_author = |other: &Arc<Statement>| {
                    let about = matches!(other.body(), Body::Endorse { proposal: about, .. } if about != proposal);
                    other.author() == author && about
                };
                let endorsed = self.pool.items().filter(|(other, _)| of_author(other)).count();
                if endorsed < ENDORSEMENTS_OF_ONE { Ok(()) } else { Err(Refusal::TooMany(author)) }
            }
            Body::Witness(id) => match proposal_of(id)? {
                (sponsor, Proposal { ask: Ask::Admit(application), .. })
                    if self.witnesses(&application.key, &sponsor).contains(&author) =>
                {
                    Ok(())
                }
                _ => Err(Refusal::NotAllowed(author)),
            },
            Body::Lost { .. } => self.check_active(&author, place.height),
            Body::Recall { subject, number, .. } => {
                self.check_active(&author, place.height)?;
                let lost = self.pool.in_slot(&Slot::Lost(*subject)).next().map(|held| super::pool::number(&held.piece));
                if lost == Some(*number) && *subject != author { Ok(()) } else { Err(Refusal::Unknown) }
            }
            Body::Ack { view, .. } | Body::Commit { view, .. } | Body::Status { view, .. } => {
                self.is_here(place)?;
                self.check_view(*view)?;
                self.check_active(&author, place.height)
            }
            Body::Seal { .. } => Err(Refusal::Layout),
        }
    }

    fn check_proposal(&self, statement: &Statement, proposal: &Proposal) -> Result<(), Refusal> {
        let (author, height) = (statement.author(), statement.place().height);
        if self.judged.contains_key(&statement.id()) {
            return Err(Refusal::Late);
        }
        let then = self.chain_at(height).ok_or(Refusal::Late)?;
        let numbers = then.numbers();
        let is_allowed = match &proposal.ask {
            Ask::Remove { reports, .. } if reports.is_empty() => true,
            Ask::Remove { subject, reports } => {
                let enough = reports.len() >= numbers.observers as usize && numbers.active > numbers.observers;
                enough && reports.iter().all(|report| self.is_report(report, subject, height))
            }
            Ask::Rekey(application) => then.roster().get(&application.by).is_some(),
            Ask::Admit(_) | Ask::Amend(_) | Ask::Revoke { .. } => true,
        };
        if is_allowed { Ok(()) } else { Err(Refusal::NotAllowed(author)) }
    }

    /// Whether a report speaks for an active member at a height, or the one before.
    fn is_report(&self, report: &Report, subject: &BotId, height: Height) -> bool {
        let at = report.place.height;
        let is_near = at == height || at.next() == height;
        let then = self.chain_at(at);
        is_near
            && self.check_place(report.place).is_ok()
            && report.observer != *subject
            && then.is_some_and(|chain| chain.roster().get_active(&report.observer).is_some())
    }

    fn check_silence(&self, silence: &Silence) -> Result<(), Refusal> {
        let (report, here) = (&silence.report, self.chain.place());
        self.check_place(report.place)?;
        if report.place.height.next() < here.height {
            return Err(Refusal::Late);
        }
        self.check_active(&report.observer, report.place.height)?;
        if self.chain.roster().get(&silence.subject).is_none() || report.observer == silence.subject {
            return Err(Refusal::NotAllowed(report.observer));
        }
        if self.reports_of(&report.observer, &silence.subject) < REPORTS_OF_ONE {
            Ok(())
        } else {
            Err(Refusal::TooMany(report.observer))
        }
    }

    /// How many others a member reports as silent.
    fn reports_of(&self, observer: &BotId, but: &BotId) -> usize {
        let of_one = self.pool.iter().filter(|(_, held)| match &held.piece {
            Piece::Silence(other) => other.report.observer == *observer && other.subject != *but,
            _ => false,
        });
        of_one.count()
    }

    fn check_backing(&self, backing: &Backing) -> Result<(), Refusal> {
        let proposal = self.pool.statement(&backing.proposal).and_then(Statement::proposal).ok_or(Refusal::Unknown)?;
        let then = self.chain_at(backing.height).ok_or(Refusal::Late)?;
        let mut support = Support::default();
        for statement in &backing.statements {
            self.check_place(statement.place())?;
            let is_active = then.roster().get_active(&statement.author());
            if is_active.is_none_or(|member| member.joined_at > statement.place().height) {
                return Err(Refusal::NotAMember(statement.author()));
            }
            support.count(&backing.proposal, statement);
        }
        let is_complete = support.has_quorum(then.roster(), then.rules());
        if is_complete && guest::grant(proposal) == Some(Grant::Revoked) { Ok(()) } else { Err(Refusal::Unknown) }
    }

    /// Whether what is held now completes a guest's rights, or ends them.
    ///
    /// Everybody finds out by itself. Only the end of rights that somebody has or asks for is passed on with what makes it
    /// complete: whoever seals next must list it.
    pub(super) fn look_for_grants(&mut self, proposals: &[StatementId]) {
        for id in proposals {
            let Some(asked) = self.pool.statement(id) else { continue };
            let Some(proposal) = asked.proposal() else { continue };
            let height = asked.place().height;
            match &proposal.ask {
                Ask::Admit(application) => {
                    let key = application.key;
                    if !self.guests.has_certificate(&key, id) && (self.has_quorum(id) || self.is_endorsed(id)) {
                        self.let_in(key, *id, height);
                    }
                    let ends: Vec<StatementId> = self.ends_of(&key);
                    ends.iter().for_each(|end| self.look_for_end(*end, key));
                }
                Ask::Remove { subject, .. } | Ask::Revoke { subject } => {
                    let subject = *subject;
                    self.look_for_end(*id, subject);
                }
                Ask::Rekey(_) | Ask::Amend(_) => {}
            }
        }
    }

    /// Counts the YES of a ballot, and looks closer at what may have a quorum.
    fn hear_yes(&mut self, ballot: &Ballot) {
        let quorum = self.quorum();
        let mut close = Vec::new();
        for (proposal, answer) in &ballot.answers {
            if *answer == Answer::Yes && self.pool.statement(proposal).is_some() {
                // Who says it twice is counted twice: then it is looked at for nothing.
                let heard = self.yes_heard.entry(*proposal).or_default();
                *heard += 1;
                if *heard >= quorum {
                    close.push(*proposal);
                }
            }
        }
        self.look_for_grants(&close);
    }

    /// Questions whether a key's rights are to end.
    fn ends_of(&self, key: &BotId) -> Vec<StatementId> {
        let about = |ask: &Ask| match ask {
            Ask::Remove { subject, .. } | Ask::Revoke { subject } => subject == key,
            _ => false,
        };
        let open = self.pool.proposals().filter(|(_, proposal, _)| about(&proposal.ask));
        open.map(|(statement, _, _)| statement.id()).collect()
    }

    fn let_in(&mut self, key: BotId, application: StatementId, height: Height) {
        self.guests.admit(key, application, height);
        self.write_guests();
        if self.guests.is_guest(&key) {
            self.notify(LedgerEvent::Guest { key });
        }
    }

    fn look_for_end(&mut self, id: StatementId, subject: BotId) {
        let Some(height) = self.pool.statement(&id).map(|asked| asked.place().height) else { return };
        if !self.has_quorum(&id) {
            return;
        }
        if self.guests.revoked(&subject).is_none_or(|at| at < height) {
            self.guests.revoke(subject, height);
            self.write_guests();
            self.notify(LedgerEvent::Revoked { key: subject });
        }
        let asks = |ask: &Ask| matches!(ask, Ask::Admit(application) if application.key == subject);
        let is_asked = self.pool.proposals().any(|(_, proposal, _)| asks(&proposal.ask));
        if !is_asked || self.pool.in_slot(&Slot::Backing(id)).next().is_some() {
            return;
        }
        let yes = |ballot: &&Arc<Statement>| ballot.ballot().and_then(|ballot| ballot.answer(&id)) == Some(Answer::Yes);
        let active = self.chain.roster().active();
        let ballots = active.filter_map(|member| self.pool.ballot(&member.key)).filter(yes);
        let mut statements: Vec<Statement> = ballots.map(|ballot| (**ballot).clone()).collect();
        statements.sort_by_key(Statement::id);
        let height = self.chain.place().height;
        let piece = Piece::Backing(Arc::new(Backing { proposal: id, height, statements }));
        self.put(piece.id(), piece, None);
    }

    /// Whether a quorum of this roster says yes.
    fn has_quorum(&self, id: &StatementId) -> bool {
        let mut support = Support::default();
        for member in self.chain.roster().active() {
            if let Some(ballot) = self.pool.ballot(&member.key) {
                support.count(id, ballot);
            }
        }
        support.has_quorum(self.chain.roster(), self.chain.rules())
    }

    /// Whether enough owners of this roster hold an application's key.
    fn is_endorsed(&self, id: &StatementId) -> bool {
        let mut support = Support::default();
        for member in self.chain.roster().active() {
            let held = self.pool.in_slot(&Slot::Endorse(member.key, *id)).next();
            if let Some(Piece::Statement(endorsement)) = held.map(|held| &held.piece) {
                support.count(id, endorsement);
            }
        }
        support.is_endorsed(self.chain.roster(), self.chain.rules())
    }

    /// Somebody shows that a key's rights ended.
    pub(super) fn take_backing(&mut self, backing: &Backing) {
        let Some(asked) = self.pool.statement(&backing.proposal) else { return };
        let height = asked.place().height;
        let Some(Ask::Remove { subject, .. } | Ask::Revoke { subject }) = asked.proposal().map(|asked| &asked.ask)
        else {
            return;
        };
        let key = *subject;
        if self.guests.revoked(&key).is_none_or(|at| at < height) {
            self.guests.revoke(key, height);
            self.write_guests();
            self.notify(LedgerEvent::Revoked { key });
        }
    }

    pub(super) fn question(&self, statement: &Statement, since: u64) -> Question {
        let proposal = statement.proposal().expect("a proposal asks");
        let left = self.chain.rules().vote_window_ms.saturating_sub(self.clock.age(since));
        Question {
            id: statement.id(),
            sponsor: statement.author(),
            ask: proposal.ask.clone(),
            text: proposal.text.clone(),
            deadline: crate::time::UnixMillis(self.clock.wall.0.saturating_add(left)),
            answer: self.answers.get(&statement.id()).copied(),
        }
    }
}
