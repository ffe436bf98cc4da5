//! How somebody becomes a member: what an applicant signs and follows, and what members show it.

use alloc::vec::Vec;

use bytes::Bytes;

use super::piece::Piece;
use super::pool::Slot;
use super::{Ledger, WishError, records};
use crate::crypto::sha256;
use crate::identity::BotId;
use crate::ledger::ids::StatementId;
use crate::ledger::roster::Roster;
use crate::ledger::rules::Rules;
use crate::ledger::statement::{Application, Ask, Body, MAX_TEXT};
use crate::ledger::{HeaderId, Height, Outcome};
use crate::wire::FixedReader;

/// What a peer may say and gets to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything.
    Member,
    /// It is an applicant: what concerns its own application.
    Applicant,
    /// This bot is its applicant.
    Sponsor,
}

/// Members that an applicant hears before it trusts anything: by lot of the newest header, so that its sponsor cannot choose
/// them; as many as the rules say, or all others.
#[must_use]
pub fn witnesses(newest: HeaderId, applicant: &BotId, sponsor: &BotId, roster: &Roster, rules: &Rules) -> Vec<BotId> {
    let mut others: Vec<_> = roster
        .active()
        .map(|member| member.key)
        .filter(|key| key != sponsor && key != applicant)
        .map(|key| (sha256(&[&newest.0, applicant.as_bytes(), key.as_bytes()]), key))
        .collect();
    others.sort_unstable();
    others.truncate(rules.witnesses.into());
    others.into_iter().map(|(_, key)| key).collect()
}

/// What became of this bot's own application, as far as it is known here.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Applied {
    /// The sponsor has not asked the members yet.
    Signed,
    /// The members are asked.
    Asked {
        /// The question.
        question: StatementId,
        /// Witnesses that did not say yet where the community stands; when there is none, it stands where this bot thinks.
        unheard: Vec<BotId>,
    },
    /// A height decided it.
    Decided {
        /// The question.
        question: StatementId,
        /// What became of it.
        outcome: Outcome,
        /// The height.
        height: Height,
    },
}

impl Ledger {
    /// Signs this bot's application, for a member to ask the others; a new one replaces an older one.
    ///
    /// # Errors
    /// [`WishError`] when this bot is a member, or the words are too long.
    pub fn apply(&mut self, sponsor: BotId, nonce: [u8; 16], text: Bytes) -> Result<Application, WishError> {
        if self.chain.roster().get(&self.own).is_some() {
            return Err(WishError::AlreadyMember);
        }
        if self.chain.roster().get(&sponsor).is_none() {
            return Err(WishError::NoSuchMember(sponsor));
        }
        if text.len() > MAX_TEXT {
            return Err(WishError::TooLong(text.len()));
        }
        let application = Application::new(&self.community, self.own, sponsor, nonce, text, &*self.signer);
        self.application = Some(application.clone());
        self.applied = None;
        self.write_application();
        Ok(application)
    }

    /// Forgets this bot's own application, before it applies elsewhere.
    pub fn forget_application(&mut self) {
        self.applied = None;
        if self.application.take().is_some() {
            self.write_application();
        }
    }

    /// Remembers the question that this bot's application became.
    pub(super) fn follow_own_application(&mut self) {
        let question = self.application.as_ref().and_then(|application| self.question_of(application));
        if question.is_some() && self.applied != question {
            self.applied = question;
            self.write_application();
        }
    }

    fn write_application(&mut self) {
        let body = self.application.as_ref().map(|application| {
            let mut body = alloc::vec![u8::from(self.applied.is_some())];
            body.extend(self.applied.iter().flat_map(|question| question.0));
            body.extend(application.to_bytes());
            body
        });
        self.persist(records::APPLICATION.into(), body.unwrap_or_default().into());
    }

    pub(super) fn restore_application(&mut self, body: &[u8]) -> Option<()> {
        let mut r = FixedReader::new(body);
        self.applied = match r.u8().ok()? {
            0 => None,
            1 => Some(StatementId(*r.array().ok()?)),
            _ => return None,
        };
        self.application = Some(Application::from_bytes(r.rest()).ok()?);
        Some(())
    }

    /// This bot's own application, until it is a member.
    #[must_use]
    pub const fn application(&self) -> Option<&Application> {
        self.application.as_ref()
    }

    /// What became of it.
    #[must_use]
    pub fn applied(&self) -> Option<Applied> {
        let application = self.application.as_ref()?;
        let Some(question) = self.question_of(application) else {
            return Some(match self.applied {
                Some(question) => match self.outcome(&question) {
                    Some((height, outcome)) => Applied::Decided { question, outcome, height },
                    None => Applied::Signed,
                },
                None => Applied::Signed,
            });
        };
        let sponsor = application.by;
        let heard = |key: &BotId| self.pool.in_slot(&Slot::Witness(*key, question)).next().is_some();
        let unheard = self.witnesses(&self.own, &sponsor).into_iter().filter(|key| !heard(key)).collect();
        Some(Applied::Asked { question, unheard })
    }

    /// The question that an application became, while it is open.
    #[must_use]
    pub fn question_of(&self, application: &Application) -> Option<StatementId> {
        let asks = |ask: &Ask| matches!(ask, Ask::Admit(other) if other == application);
        let mut open = self.pool.proposals().filter(|(_, proposal, _)| asks(&proposal.ask));
        open.next().map(|(statement, _, _)| statement.id())
    }

    pub(super) fn witnesses(&self, applicant: &BotId, sponsor: &BotId) -> Vec<BotId> {
        witnesses(self.chain.place().header, applicant, sponsor, self.chain.roster(), self.chain.rules())
    }

    /// Tells every applicant whose witness this bot is where the community stands.
    pub(super) fn bear_witness(&mut self) {
        let is_new = |id: &StatementId| !self.round.witnessed.contains(id);
        let applicants: Vec<(StatementId, bool)> = self
            .pool
            .proposals()
            .filter_map(|(statement, proposal, _)| match &proposal.ask {
                Ask::Admit(application) => Some((statement, application)).filter(|_| is_new(&statement.id())),
                _ => None,
            })
            .map(|(statement, application)| {
                (statement.id(), self.witnesses(&application.key, &statement.author()).contains(&self.own))
            })
            .collect();
        for (id, is_witness) in applicants {
            self.round.witnessed.insert(id);
            if is_witness && !self.has_own(&Slot::Witness(self.own, id)) {
                self.say(Body::Witness(id));
            }
        }
    }

    /// Whether a piece is about an applicant's own application.
    pub(super) fn concerns(&self, piece: &Piece, applicant: &BotId) -> bool {
        let Piece::Statement(statement) = piece else { return false };
        let is_its = |ask: &Ask| matches!(ask, Ask::Admit(application) if application.key == *applicant);
        match statement.body() {
            Body::Proposal(proposal) => is_its(&proposal.ask),
            Body::Accept(about) | Body::Witness(about) => {
                self.pool.statement(about).and_then(|asked| asked.proposal()).is_some_and(|asked| is_its(&asked.ask))
            }
            _ => false,
        }
    }

    /// Whether a peer of this scope gets a piece, or may send it.
    pub(super) fn is_for(&self, scope: Scope, peer: &BotId, piece: &Piece) -> bool {
        match scope {
            Scope::Member => true,
            Scope::Applicant => self.concerns(piece, peer),
            Scope::Sponsor => self.concerns(piece, &self.own),
        }
    }
}
