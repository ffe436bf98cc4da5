//! A decision in words that an owner understands, with every number from the round itself.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

use super::guest::Support;
use super::header::Outcome;
use super::health::Names;
use super::ids::{Height, Place, StatementId};
use super::listing::Resolved;
use super::next::{Next, Round, Sealed, Standpoint, Tally};
use super::proof::Proof;
use super::rules::Numbers;
use super::statement::{Answer, Ask, Body, Statement};
use crate::identity::BotId;
use crate::time::UnixMillis;

/// What became of one proposal, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The proposal.
    pub proposal: StatementId,
    /// The height whose certificate decided it.
    pub height: Height,
    /// What became of it.
    pub outcome: Outcome,
}

/// What an active member's part in a vote was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Vote {
    /// For it.
    Yes,
    /// Against it.
    No,
    /// It was there, and answered otherwise or not this question.
    Abstain,
    /// It signed what cannot both be honest: whatever it answered counts as an abstention.
    Void,
    /// It is the member whose removal is asked for, and is not counted.
    Subject,
    /// No answer of it was counted.
    Silent,
}

/// By what rule a proposal was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// More than half of those who answered say yes (I-13).
    Majority,
    /// More than half of the others who answered say yes, two at least.
    MajorityOfOthers,
    /// A quorum says yes.
    Quorum {
        /// q.
        need: u32,
    },
    /// Enough owners hold the key by hand (I-17).
    Endorsement {
        /// X.
        percent: u8,
        /// N.
        members: u32,
    },
    /// Too few answered for anything to be decided.
    Floor {
        /// Least respondents.
        need: u32,
    },
    /// It was closed before votes were looked at.
    NoVote,
}

/// A decision that was verified, with everything that led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// What became of which proposal.
    pub decision: Decision,
    /// Who asked.
    pub sponsor: BotId,
    /// Where the sponsor stood.
    pub asked_at: Place,
    /// What was asked.
    pub ask: Ask,
    /// The sponsor's words, in UTF-8 and unfiltered.
    pub text: Bytes,
    /// Every member that was active, by key.
    pub votes: Vec<(BotId, Vote)>,
    /// What was counted.
    pub tally: Tally,
    /// How many members answered anything that was judged in this round.
    pub respondents: u32,
    /// By what rule.
    pub rule: Rule,
    /// Active members that held the key by hand, by key.
    pub endorsed_by: Vec<BotId>,
    /// Who committed to it: a quorum exactly, by key.
    pub signers: Vec<BotId>,
    /// Before the round.
    pub before: Numbers,
    /// After everything that the round decided.
    pub after: Numbers,
    /// When the next round began.
    pub opened_at: UnixMillis,
}

impl Explanation {
    pub(super) fn new(
        at: &Standpoint<'_>,
        resolved: &Resolved<'_>,
        statement: &Statement,
        outcome: Outcome,
        made: &Next,
        proof: &Proof,
    ) -> Option<Self> {
        let (id, place, proposal) = (statement.id(), statement.place(), statement.proposal()?);
        let sealed = Sealed { id, sponsor: statement.author(), height: place.height, proposal };
        let round = Round::new(at, &resolved.contents);
        let before = at.rules.numbers(at.roster.active_len());
        let votes = at.roster.active().map(|member| (member.key, vote(&round, resolved, &sealed, &member.key)));
        Some(Self {
            decision: Decision { proposal: id, height: proof.height(), outcome },
            sponsor: statement.author(),
            asked_at: place,
            ask: proposal.ask.clone(),
            text: proposal.text.clone(),
            votes: votes.collect(),
            tally: round.tally(&sealed),
            respondents: u32::try_from(round.respondents.len()).unwrap_or(u32::MAX),
            rule: rule(at, &sealed, resolved.contents.items.endorsed.contains(&id), outcome),
            endorsed_by: endorsers(at, proof, &id),
            signers: proof.certificate().signers(at.roster).map(|member| member.key).collect(),
            before,
            after: made.rules.numbers(made.roster.active_len()),
            opened_at: resolved.contents.opened_at,
        })
    }

    /// Members with this part in the vote, by key.
    #[must_use]
    pub fn voted(&self, vote: Vote) -> Vec<BotId> {
        self.votes.iter().filter(|(_, other)| *other == vote).map(|(key, _)| *key).collect()
    }
}

fn vote(round: &Round<'_>, resolved: &Resolved<'_>, sealed: &Sealed<'_>, member: &BotId) -> Vote {
    if matches!(&sealed.proposal.ask, Ask::Remove { subject, .. } if subject == member) {
        return Vote::Subject;
    }
    if !round.respondents.contains(member) {
        return Vote::Silent;
    }
    if resolved.contents.items.evidence.contains(member) {
        return Vote::Void;
    }
    match round.ballots.get(member).and_then(|cast| cast.ballot.answer(&sealed.id)) {
        Some(Answer::Yes) => Vote::Yes,
        Some(Answer::No) => Vote::No,
        Some(Answer::Abstain) | None => Vote::Abstain,
    }
}

/// Newest endorsements that are on, of active members.
fn endorsers(at: &Standpoint<'_>, proof: &Proof, proposal: &StatementId) -> Vec<BotId> {
    let mut by_author: BTreeMap<BotId, Support> = BTreeMap::new();
    for statement in proof.listing().items.iter().filter_map(|id| proof.statements().get(id)) {
        if matches!(statement.body(), Body::Endorse { .. }) && at.roster.get_active(&statement.author()).is_some() {
            by_author.entry(statement.author()).or_default().count(proposal, statement);
        }
    }
    by_author.into_iter().filter(|(_, support)| support.endorsers() > 0).map(|(key, _)| key).collect()
}

fn rule(at: &Standpoint<'_>, sealed: &Sealed<'_>, is_endorsed: bool, outcome: Outcome) -> Rule {
    let numbers = at.rules.numbers(at.roster.active_len());
    match (outcome, &sealed.proposal.ask) {
        (Outcome::Floor, _) => Rule::Floor { need: numbers.floor },
        (
            Outcome::Withdrawn
            | Outcome::Revoked
            | Outcome::Reappeared
            | Outcome::SponsorGone
            | Outcome::OutOfRange
            | Outcome::Conflicting,
            _,
        ) => Rule::NoVote,
        (_, Ask::Admit(_)) if is_endorsed => {
            Rule::Endorsement { percent: at.rules.endorse_percent, members: at.rules.endorse_members }
        }
        (_, Ask::Admit(_)) => Rule::Majority,
        (_, Ask::Remove { .. } | Ask::Revoke { .. }) => Rule::MajorityOfOthers,
        (_, Ask::Rekey(_) | Ask::Amend(_)) => Rule::Quorum { need: numbers.quorum },
    }
}

fn asked(ask: &Ask) -> String {
    match ask {
        Ask::Admit(application) => format!("admit {}", application.key.short()),
        Ask::Remove { subject, reports } if reports.is_empty() => format!("remove {}", subject.short()),
        Ask::Remove { subject, reports } => {
            format!("remove {}, which {} members found silent", subject.short(), reports.len())
        }
        Ask::Rekey(application) => format!("replace the key {} by {}", application.by.short(), application.key.short()),
        Ask::Amend(_) => "live by other rules".to_string(),
        Ask::Revoke { subject } => format!("end the guest's rights of {}", subject.short()),
    }
}

const fn became(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed, and is done",
        Outcome::Refused => "refused: it did not get the votes",
        Outcome::Floor => "not decided: too few members answered; ask again",
        Outcome::Withdrawn => "withdrawn: its sponsor took it back, and nothing was changed",
        Outcome::Revoked => "closed: the key lost its guest's rights meanwhile",
        Outcome::Reappeared => "closed: the member that was thought silent answered",
        Outcome::Duplicate => "closed: the key is a member already",
        Outcome::Capped => "passed, but the round had no room for it: ask again",
        Outcome::LastMember => "passed, but not done: nobody would be left to act",
        Outcome::SponsorGone => "closed: its sponsor is no longer a member",
        Outcome::SubjectGone => "closed: the member that it is about is no longer there",
        Outcome::OutOfRange => "closed: nobody can live by these rules",
        Outcome::Conflicting => "void: its sponsor put two proposals into one slot",
        Outcome::Endorsed => "done: enough owners hold the key by hand",
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Majority => f.write_str("more than half of those who answered must say yes"),
            Self::MajorityOfOthers => {
                f.write_str("more than half of those who answered must say yes, two at least, the subject not counted")
            }
            Self::Quorum { need } => write!(f, "a quorum of {need} must say yes"),
            Self::Endorsement { percent, members } => {
                write!(f, "{percent} % of the active members' owners hold the key by hand, ")?;
                write!(f, "with at least {members} members that answered lately")
            }
            Self::Floor { need } => write!(f, "at least {need} must answer before anything is decided"),
            Self::NoVote => f.write_str("closed whatever the votes say"),
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Decision { height, outcome, .. } = &self.decision;
        writeln!(f, "{}, asked by {} at height {}", asked(&self.ask), self.sponsor.short(), self.asked_at.height.0)?;
        writeln!(f, "height {}: {}", height.0, became(*outcome))?;
        writeln!(f, "rule: {}", self.rule)?;
        let Tally { yes, no, abstain } = self.tally;
        writeln!(f, "votes: {yes} yes, {no} no, {abstain} abstained, of {} who answered", self.tally.respondents())?;
        for (vote, label) in [
            (Vote::Yes, "yes"),
            (Vote::No, "no"),
            (Vote::Abstain, "abstained"),
            (Vote::Void, "abstained, for signing what cannot both be honest"),
            (Vote::Subject, "not counted, as it is about it"),
            (Vote::Silent, "no answer"),
        ] {
            let names = self.voted(vote);
            if !names.is_empty() {
                writeln!(f, "  {label}: {}", Names(&names))?;
            }
        }
        if !self.endorsed_by.is_empty() {
            writeln!(f, "held by hand: {}", Names(&self.endorsed_by))?;
        }
        let (signed, active, before, after) = (self.signers.len(), self.before.active, &self.before, &self.after);
        writeln!(f, "sealed by {signed} of {active} active members: {}", Names(&self.signers))?;
        write!(f, "active members {} -> {}, quorum {} -> {}", before.active, after.active, before.quorum, after.quorum)
    }
}
