//! What the owner wishes, and what the machine says by itself so that a busy owner's bot is not taken for a silent one.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::events::LedgerEvent;
use super::piece::{Piece, Silence};
use super::pool::{Slot, slot};
use super::{Ledger, StatementId};
use crate::identity::BotId;
use crate::ledger::rules::{DecidedBy, RulesError};
use crate::ledger::statement::{Answer, Ask, Ballot, Body, MAX_ANSWERS, MAX_TEXT, Proposal, Report, SLOTS, Statement};

/// How long a member waits for the one before it to ask for a removal, in u.
const TURN: u64 = 6;

/// Why a wish cannot be carried out; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WishError {
    /// This bot is no member.
    #[error("this bot is no member of the community: apply first")]
    NotAMember,
    /// It applies to a community in which it is.
    #[error("this bot is a member already: there is nothing to apply for")]
    AlreadyMember,
    /// There is no ledger.
    #[error("this bot has no ledger: it was started with a list of members, or waits for its sponsor's first answer")]
    NoLedger,
    /// This bot sleeps.
    #[error("this bot was silent for too long and does not count now: it wakes at the next height by itself")]
    Dormant,
    /// All slots of this height are used.
    #[error("this bot asked {SLOTS} times since the last height, or once for a new member: wait for the next height")]
    NoSlot,
    /// The words are too long.
    #[error("the text has {0} bytes, at most {MAX_TEXT} are read: shorten it")]
    TooLong(usize),
    /// The application was made for another member, or its signature is wrong.
    #[error("the application is not made for this bot: let the applicant name it as its sponsor")]
    NotOurs,
    /// The rules are out of range.
    #[error(transparent)]
    Rules(#[from] RulesError),
    /// Reports are the bots' own affair.
    #[error("reports are put together by the bots themselves: ask for the removal without any")]
    Reports,
    /// Whoever it is about is no member.
    #[error("{0} is no member")]
    NoSuchMember(BotId),
    /// Nobody with this key waits for this bot's word.
    #[error("{0} did not ask this bot to speak for it, or was asked for already")]
    NoSuchApplicant(BotId),
    /// There is no such question.
    #[error("there is no such question: it was judged, or became stale, or never was")]
    NoSuchQuestion,
    /// It is another member's question.
    #[error("only its sponsor takes a question back: vote no")]
    NotTheSponsor,
    /// Only an application can be endorsed.
    #[error("only an application can be endorsed: vote")]
    NotAnApplication,
    /// In this community each owner decides alone.
    #[error("in this community each owner decides alone: there is nothing to vote on")]
    NoRounds,
    /// The last one cannot leave.
    #[error(
        "the last active member cannot leave: the community would be nobody's; let somebody in first, or stop the bot"
    )]
    LastMember,
    /// The records were lost, and not all members told yet what this bot had said.
    #[error(
        "this bot lost its records and might contradict itself: wait until every other member told what it had said"
    )]
    Unsure,
    /// Two stories of one height are known.
    #[error("the community forked: more members cheated than it bears; found a new one")]
    Forked,
}

impl Ledger {
    fn check_member_wish(&self) -> Result<(), WishError> {
        if self.forked.is_some() {
            return Err(WishError::Forked);
        }
        if self.chain.rules().decided_by == DecidedBy::Owners {
            return Err(WishError::NoRounds);
        }
        match self.chain.roster().get(&self.own) {
            None => Err(WishError::NotAMember),
            Some(member) if !member.is_active() => Err(WishError::Dormant),
            Some(_) if self.round.unheard.is_some() => Err(WishError::Unsure),
            Some(_) => Ok(()),
        }
    }

    /// Asks all members something. It leaves once it is durable.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn propose(&mut self, ask: Ask, text: Bytes) -> Result<StatementId, WishError> {
        self.check_member_wish()?;
        if text.len() > MAX_TEXT {
            return Err(WishError::TooLong(text.len()));
        }
        let is_member = |key: &BotId| self.chain.roster().get(key).is_some();
        match &ask {
            Ask::Admit(application) if application.by != self.own => return Err(WishError::NotOurs),
            Ask::Admit(application) | Ask::Rekey(application)
                if !application.is_genuine(&self.community, &*self.crypto) =>
            {
                return Err(WishError::NotOurs);
            }
            Ask::Rekey(application) if !is_member(&application.by) => {
                return Err(WishError::NoSuchMember(application.by));
            }
            Ask::Remove { subject, .. } if !is_member(subject) => return Err(WishError::NoSuchMember(*subject)),
            Ask::Remove { reports, .. } if !reports.is_empty() => return Err(WishError::Reports),
            Ask::Amend(rules) => rules.check()?,
            _ => {}
        }
        let slots = match &ask {
            Ask::Admit(_) if self.chain.roster().active_len() < 4 => 0..3,
            Ask::Admit(_) => 0..1,
            // The first is left for an application.
            _ => 1..SLOTS,
        };
        let height = self.chain.place().height;
        let free = |slot: &u8| !self.has_own(&Slot::Proposal(self.own, height, *slot));
        let slot = slots.into_iter().find(free).ok_or(WishError::NoSlot)?;
        let id = self.say(Body::Proposal(Proposal { slot, ask, text })).ok_or(WishError::TooLong(MAX_TEXT))?;
        self.settle();
        Ok(id)
    }

    /// Takes an own question back.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn withdraw(&mut self, question: StatementId) -> Result<(), WishError> {
        self.check_member_wish()?;
        let asked = self.pool.statement(&question).filter(|statement| statement.proposal().is_some());
        if asked.ok_or(WishError::NoSuchQuestion)?.author() != self.own {
            return Err(WishError::NotTheSponsor);
        }
        if !self.has_own(&Slot::Withdraw(question)) {
            self.say(Body::Withdraw(question));
            self.settle();
        }
        Ok(())
    }

    /// Answers a question, or with nothing takes an answer back; the newest answer before the sealing counts.
    ///
    /// The first answer is signed at once, what follows within a u together: [`LedgerEvent::Voted`] says when it is durable.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn vote(&mut self, question: StatementId, answer: Option<Answer>) -> Result<(), WishError> {
        self.check_member_wish()?;
        if self.pool.statement(&question).is_none_or(|statement| statement.proposal().is_none()) {
            return Err(WishError::NoSuchQuestion);
        }
        match answer {
            Some(answer) => self.answers.insert(question, answer),
            None => self.answers.remove(&question),
        };
        self.unsaid = true;
        if !self.may_cast() {
            self.write_answers();
        }
        self.settle();
        Ok(())
    }

    /// Says that this owner holds an application's key by hand, or no longer does (I-17).
    ///
    /// # Errors
    /// [`WishError`].
    pub fn endorse(&mut self, question: StatementId, on: bool) -> Result<(), WishError> {
        self.check_member_wish()?;
        let asked = self.pool.statement(&question).and_then(Statement::proposal);
        match asked.map(|proposal| &proposal.ask) {
            Some(Ask::Admit(_)) => {}
            Some(_) => return Err(WishError::NotAnApplication),
            None => return Err(WishError::NoSuchQuestion),
        }
        let number = self.next_number();
        self.say(Body::Endorse { proposal: question, number, on });
        self.settle();
        Ok(())
    }

    /// Leaves the community at the next height; until then this bot votes and signs as before.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn leave(&mut self) -> Result<(), WishError> {
        if self.chain.roster().get(&self.own).is_none() {
            return Err(WishError::NotAMember);
        }
        if self.forked.is_some() {
            return Err(WishError::Forked);
        }
        let is_active = self.chain.roster().get_active(&self.own).is_some();
        if is_active && self.chain.roster().active_len() == 1 {
            return Err(WishError::LastMember);
        }
        if !self.has_own(&Slot::Leave(self.own)) {
            self.say(Body::Leave);
            self.settle();
        }
        Ok(())
    }

    /// Tells that a member does not answer: its links closed in silence, again and again. When enough members say so, one of
    /// them asks for its removal.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn observe_silence(&mut self, subject: BotId) -> Result<(), WishError> {
        self.check_member_wish()?;
        if self.chain.roster().get(&subject).is_none() || subject == self.own {
            return Err(WishError::NoSuchMember(subject));
        }
        let place = self.chain.place();
        let here = |held: &super::pool::Held| match &held.piece {
            Piece::Silence(silence) => silence.report.place == place,
            _ => false,
        };
        if !self.pool.in_slot(&Slot::Silence(self.own, subject)).any(here) {
            let report = Report::new(&self.community, self.own, place, &subject, &*self.signer);
            self.hold(Piece::Silence(Arc::new(Silence { subject, report })));
            self.settle();
        }
        Ok(())
    }

    /// Enough reports make a request: of the members that reported, the one with the least name asks.
    pub(super) fn look_for_silent(&mut self, subject: &BotId) {
        let height = self.chain.place().height;
        let numbers = self.numbers;
        let mut reports: Vec<Report> = self
            .pool
            .iter()
            .filter_map(|(_, held)| match &held.piece {
                Piece::Silence(silence) if silence.subject == *subject => Some(silence.report),
                _ => None,
            })
            .collect();
        reports.sort_by_key(|report| report.observer);
        reports.dedup_by_key(|report| report.observer);
        let needed = numbers.observers as usize;
        let is_asked = self.pool.subjects_of_removals().contains(subject)
            || self.held.iter().any(|(_, piece)| matches!(slot(piece), Slot::Proposal(..)));
        // The one with the least name asks; the others wait for it, one after the other.
        let rank = reports.iter().position(|report| report.observer == self.own);
        let own = self.pool.in_slot(&Slot::Silence(self.own, *subject)).next().map(|held| self.clock.age(held.since));
        let wait = TURN * self.chain.rules().unit_ms();
        let is_our_turn = rank.zip(own).is_some_and(|(rank, age)| age >= wait.saturating_mul(rank as u64));
        if reports.len() < needed || numbers.active <= numbers.observers || is_asked || !is_our_turn {
            return;
        }
        reports.truncate(needed);
        let free = |slot: &u8| !self.has_own(&Slot::Proposal(self.own, height, *slot));
        if let Some(slot) = (1..SLOTS).find(free) {
            let ask = Ask::Remove { subject: *subject, reports };
            self.say(Body::Proposal(Proposal { slot, ask, text: Bytes::new() }));
        }
    }

    /// Looks again at those that this bot reported.
    pub(super) fn look_for_silent_ones(&mut self) {
        let by_us = |piece: &Piece| match piece {
            Piece::Silence(silence) if silence.report.observer == self.own => Some(silence.subject),
            _ => None,
        };
        let subjects: Vec<BotId> = self.pool.iter().filter_map(|(_, held)| by_us(&held.piece)).collect();
        subjects.iter().for_each(|subject| self.look_for_silent(subject));
    }

    pub(super) fn next_number(&mut self) -> u64 {
        self.number = self.number.saturating_add(1).max(self.clock.wall.0 / 1000);
        self.number
    }

    /// Signs this owner's whole current answer.
    fn cast(&mut self) {
        let is_open = |id: &StatementId| self.pool.statement(id).is_some_and(|asked| asked.proposal().is_some());
        let answers: Vec<_> =
            self.answers.iter().filter(|(id, _)| is_open(id)).take(MAX_ANSWERS).map(|(id, a)| (*id, *a)).collect();
        let number = self.next_number();
        self.voted = number;
        self.answered_at = Some(self.chain.place().height);
        if core::mem::take(&mut self.unsaid) {
            self.forget_answers();
        }
        self.say(Body::Ballot(Ballot { number, answers }));
    }

    /// An owner who answers many questions signs one ballot, not many.
    fn may_cast(&self) -> bool {
        let unit = self.chain.rules().unit_ms();
        self.cast_at.is_none_or(|at| self.clock.age(at) >= unit)
    }

    /// A bot that is up answers, also for an owner who did not vote yet; one that slept wakes; an applicant says that it is here.
    pub(super) fn answer_by_itself(&mut self) {
        self.ask_what_was_promised();
        // One that lost its records may have said another thing under the same number.
        if self.forked.is_some() || self.round.unheard.is_some() {
            return;
        }
        let height = self.chain.place().height;
        match self.chain.roster().get(&self.own).map(|member| member.is_active()) {
            Some(true) => {
                let is_asked = self.pool.proposals().next().is_some();
                let is_silent = is_asked && self.answered_at != Some(height) && !self.own_ballot_here();
                if self.unsaid && self.may_cast() {
                    self.cast_at = Some(self.clock.elapsed);
                    self.cast();
                } else if is_silent {
                    self.cast();
                }
                self.bear_witness();
                self.recall_promises();
            }
            Some(false) => {
                if self.answered_at != Some(height) && !self.has_own(&Slot::Wake(self.own)) {
                    self.answered_at = Some(height);
                    self.say(Body::Wake);
                }
            }
            None => {
                let own = self.own;
                let is_ours = |ask: &Ask| matches!(ask, Ask::Admit(application) if application.key == own);
                let ours: Vec<StatementId> = self
                    .pool
                    .proposals()
                    .filter(|(_, proposal, _)| is_ours(&proposal.ask))
                    .map(|(statement, _, _)| statement.id())
                    .filter(|id| !self.has_own(&Slot::Accept(*id)))
                    .collect();
                for id in ours {
                    self.say(Body::Accept(id));
                }
                self.follow_own_application();
            }
        }
    }

    /// Reminds an owner who has not voted, at half of the window and at nine tenths.
    pub(super) fn remind(&mut self) {
        if self.check_member_wish().is_err() {
            return;
        }
        let window = self.chain.rules().vote_window_ms.max(1);
        let due: Vec<(StatementId, u8, u64)> = self
            .pool
            .proposals()
            .filter(|(statement, _, _)| !self.answers.contains_key(&statement.id()))
            .filter_map(|(statement, _, since)| {
                let percent = [90, 50].into_iter().find(|percent| {
                    self.clock.age(since) >= window / 100 * u64::from(*percent) && self.clock.age(since) < window
                })?;
                let last = self.reminded.get(&statement.id()).copied().unwrap_or(0);
                (last < percent).then(|| (statement.id(), percent, since))
            })
            .collect();
        for (id, percent, since) in due {
            self.reminded.insert(id, percent);
            let Some(question) = self.pool.statement(&id).map(|statement| self.question(statement, since)) else {
                continue;
            };
            self.notify(LedgerEvent::Reminder { question: Box::new(question), percent });
        }
    }

    /// This owner's answer to a question, signed already or not yet.
    #[must_use]
    pub fn answer(&self, question: &StatementId) -> Option<Answer> {
        self.answers.get(question).copied()
    }
}
