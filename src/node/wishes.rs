//! What a bot's owner asks of the ledger.

use bytes::Bytes;

use super::Node;
use crate::identity::BotId;
use crate::ledger::{Answer, Ask, Ledger, StatementId, WishError};
use crate::time::Instant;

impl Node {
    /// The ledger, to be read: questions, members, rules, what would happen if, why something was decided. Nothing without one,
    /// and for an applicant whose inviter has not answered yet.
    #[must_use]
    pub fn ledger(&self) -> Option<&Ledger> {
        // What is read there, and what that takes of crypto, is no part of a recording.
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            tape.look();
        }
        self.council.as_ref()?.ledger.as_ref()
    }

    /// Asks all members something; it leaves once it is durable.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn propose(&mut self, now: Instant, ask: Ask, words: impl Into<Bytes>) -> Result<StatementId, WishError> {
        let words = words.into();
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            let asked = crate::tape::Blob(ask.to_bytes());
            tape.input(crate::tape::Input::Propose {
                now: now.as_nanos(),
                ask: asked,
                words: crate::tape::Blob(words.to_vec()),
            });
        }
        let now = self.clock(now);
        let asked = self.wish_of(now, |ledger| ledger.propose(ask, words));
        result!(self, "propose", asked)
    }

    /// Takes an own question back.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn withdraw(&mut self, now: Instant, question: StatementId) -> Result<(), WishError> {
        record!(self, Withdraw { now: now.as_nanos(), question: crate::tape::Blob(question.0.to_vec()) });
        let now = self.clock(now);
        let done = self.wish_of(now, |ledger| ledger.withdraw(question));
        result!(self, "withdraw", done)
    }

    /// Answers a question, or with nothing takes the answer back; see [`Ledger::vote`].
    ///
    /// # Errors
    /// [`WishError`].
    pub fn vote(&mut self, now: Instant, question: StatementId, answer: Option<Answer>) -> Result<(), WishError> {
        record!(
            self,
            Vote {
                now: now.as_nanos(),
                question: crate::tape::Blob(question.0.to_vec()),
                answer: answer.map_or(3, Answer::number)
            }
        );
        let now = self.clock(now);
        let done = self.wish_of(now, |ledger| ledger.vote(question, answer));
        result!(self, "vote", done)
    }

    /// Says that this bot's owner holds an application's key by hand, or no longer does (I-17).
    ///
    /// # Errors
    /// [`WishError`].
    pub fn endorse(&mut self, now: Instant, question: StatementId, on: bool) -> Result<(), WishError> {
        record!(self, Endorse { now: now.as_nanos(), question: crate::tape::Blob(question.0.to_vec()), on: on });
        let now = self.clock(now);
        let done = self.wish_of(now, |ledger| ledger.endorse(question, on));
        result!(self, "endorse", done)
    }

    /// Leaves the community at the next height; until then this bot votes and signs as before.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn leave(&mut self, now: Instant) -> Result<(), WishError> {
        record!(self, Leave { now: now.as_nanos() });
        let now = self.clock(now);
        let done = self.wish_of(now, Ledger::leave);
        result!(self, "leave", done)
    }

    /// Tells that a member does not answer; the node tells it by itself of those that it dials.
    ///
    /// # Errors
    /// [`WishError`].
    pub fn observe_silence(&mut self, now: Instant, subject: BotId) -> Result<(), WishError> {
        record!(self, ObserveSilence { now: now.as_nanos(), peer: crate::tape::Id(subject) });
        let now = self.clock(now);
        let done = self.wish_of(now, |ledger| ledger.observe_silence(subject));
        result!(self, "observe_silence", done)
    }

    fn wish_of<R>(
        &mut self,
        now: Instant,
        wish: impl FnOnce(&mut Ledger) -> Result<R, WishError>,
    ) -> Result<R, WishError> {
        // The time is told first: a wish has none of its own.
        let done = self.in_council(now, |ledger, wall| {
            ledger.handle_tick(wall);
            wish(ledger)
        });
        self.settle(now);
        done.unwrap_or(Err(WishError::NoLedger))
    }
}
