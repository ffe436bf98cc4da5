//! The ledger: a community admits and removes members by vote, and nobody owns it (I-10 … I-19).
//!
//! Ballots are a grow-only set. Once a window one certificate, signed by a quorum in two steps, seals what was voted; the
//! outcome is [`next`], a pure function of the sealed bytes. So every bot comes to the same members, and can prove it.

mod certificate;
mod effect;
mod evidence;
mod explain;
mod guest;
mod header;
mod health;
mod ids;
mod invitation;
mod join;
mod listing;
mod machine;
mod next;
mod proof;
mod roster;
mod rules;
mod sealing;
mod statement;
#[cfg(test)]
mod tests;
mod tokens;
#[cfg(test)]
mod vectors;

pub use certificate::{Certificate, Chain, ChainError, Founding, Genesis, GenesisError, MAX_CERTIFICATE, MAX_FOUNDERS};
pub use effect::{Effect, Warning, what_if, what_if_after, what_if_it_leaves};
pub use evidence::{Conflict, Evidence};
pub use explain::{Decision, Explanation, Rule, Vote};
pub use guest::{Grant, Guests, Support, grant};
pub use header::{Changes, Departure, Header, MAX_HEADER, Outcome, Places};
pub use health::{Blocked, Health, health, health_when};
pub use ids::{ContentsId, HeaderId, Height, Place, StatementId, View};
pub use invitation::{Invitation, InvitationError, InvitationExpired, InvitationPart, InviteError};
pub use join::{JoinMessage, Receipt};
pub use listing::{Listing, MAX_LISTING, Misfit, ResolveError, Resolved, fits};
pub(crate) use machine::Assembly;
pub use machine::{
    Applied, Backing, Channel, ExplainError, Fork, Journal, Ledger, LedgerAction, LedgerEvent, LedgerMessage,
    LedgerRestoreError, LedgerStats, Lock, MAX_FRAME, MAX_PIECE, Offer, Piece, PieceId, Question, Refusal, Silence,
    Whole, WishError, witnesses,
};
pub use next::{Cast, Contents, Items, Next, Sealed, Standpoint, Tally, next};
pub use proof::{MAX_PROOF, Proof, ProofError};
pub use roster::{Member, MembershipPath, Roster, RosterRoot, Standing};
pub use rules::{DecidedBy, EvictCap, Faults, Floor, Numbers, Preset, Rules, RulesError};
pub use sealing::{AckProof, Open, Voter, sealer, view_time_ms};
pub use statement::{
    Answer, Application, Ask, Ballot, Body, MAX_ANSWERS, MAX_STATEMENT, MAX_TEXT, Proposal, Report, SLOTS, Statement,
};
pub(crate) use tokens::TokenName;
pub use tokens::{Invitations, IssueError, RedeemError, Token};
