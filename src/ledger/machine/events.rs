//! What the ledger tells its host and its owner.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use super::peers::Channel;
use crate::identity::BotId;
use crate::ledger::certificate::Certificate;
use crate::ledger::evidence::Conflict;
use crate::ledger::header::Outcome;
use crate::ledger::ids::{Height, StatementId};
use crate::ledger::statement::{Answer, Ask};
use crate::time::UnixMillis;

/// What to do. Exhaustive on purpose: each is an obligation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerAction {
    /// Ask for this peer's messages with [`Ledger::next_message`](super::Ledger::next_message) as long as its link has room.
    Send(Channel),
    /// Store the record in place of an older one with its key, an empty value in place of any, then call
    /// [`Ledger::persisted`](super::Ledger::persisted).
    Persist {
        /// Names this write; they grow.
        write: u64,
        /// The key: at most 64 bytes of lower-case letters, digits and `/`.
        key: Bytes,
        /// The value; empty when the record is no longer needed.
        value: Bytes,
    },
    /// Tell the owner.
    Notify(LedgerEvent),
}

/// What the owner may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerEvent {
    /// Somebody asks the members something.
    Proposed(Box<Question>),
    /// Half of the window is over, or nine tenths, and the owner has not voted.
    Reminder {
        /// The question.
        question: Box<Question>,
        /// How much of the window is over.
        percent: u8,
    },
    /// This bot's answers are durable and on their way; without any it said that it is here.
    Voted {
        /// All of them, by question.
        answers: Vec<(StatementId, Answer)>,
    },
    /// A question has its answer, the same everywhere.
    Decided {
        /// The question.
        proposal: StatementId,
        /// What became of it.
        outcome: Outcome,
        /// The height that says so.
        height: Height,
    },
    /// A question can no longer be judged: nothing became of it.
    Stale {
        /// The question.
        proposal: StatementId,
    },
    /// The community is one height on.
    Height {
        /// The height.
        height: Height,
        /// Who is no longer a member.
        departed: Vec<BotId>,
        /// Who became one.
        admitted: Vec<BotId>,
        /// Who counts no longer, by silence.
        dormant: Vec<BotId>,
        /// Who counts again.
        woken: Vec<BotId>,
        /// Whether this bot is an active member now.
        is_active: bool,
    },
    /// A member signed two things that cannot both be honest: the next height is without it.
    Equivocator {
        /// The member.
        member: BotId,
        /// What it did.
        conflict: Conflict,
    },
    /// A key has a guest's rights from now on.
    Guest {
        /// The key.
        key: BotId,
    },
    /// A key's rights ended.
    Revoked {
        /// The key.
        key: BotId,
    },
    /// Two certificates for one height: more members cheated than the community bears. The ledger has stopped.
    Forked(Box<Fork>),
    /// The records were lost: this bot promises nothing until the other members told it what it had promised.
    Unsure {
        /// Whose word is to come.
        unheard: Vec<BotId>,
    },
}

impl LedgerEvent {
    /// What happened, in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Proposed(_) => "proposed",
            Self::Reminder { .. } => "reminder",
            Self::Voted { .. } => "voted",
            Self::Decided { .. } => "decided",
            Self::Stale { .. } => "stale",
            Self::Height { .. } => "height",
            Self::Equivocator { .. } => "equivocator",
            Self::Guest { .. } => "guest",
            Self::Revoked { .. } => "revoked",
            Self::Forked(_) => "forked",
            Self::Unsure { .. } => "unsure",
        }
    }

    /// The height that it is about, where it is about one.
    #[must_use]
    pub const fn height(&self) -> Option<Height> {
        match self {
            Self::Decided { height, .. } | Self::Height { height, .. } => Some(*height),
            _ => None,
        }
    }
}

/// Two stories of one height.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fork {
    /// The one that this bot follows.
    pub ours: Certificate,
    /// The other one.
    pub theirs: Certificate,
    /// Who signed both.
    pub signed_both: Vec<BotId>,
}

/// A question with what an owner needs to answer it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its name.
    pub id: StatementId,
    /// Who vouches for it.
    pub sponsor: BotId,
    /// What is asked.
    pub ask: Ask,
    /// The sponsor's words.
    pub text: Bytes,
    /// When the window ends, by this bot's clock.
    pub deadline: UnixMillis,
    /// This owner's answer, if there is one.
    pub answer: Option<Answer>,
}
