//! What a proposal would do, worked out before anybody is asked: [`next`](super::next()) itself, run on a vote that passes.

use alloc::vec::Vec;
use core::fmt;

use super::header::{Departure, Outcome};
use super::health::{Blocked, health_when};
use super::ids::{ContentsId, StatementId};
use super::next::{Cast, Contents, Items, Next, Sealed, Standpoint, next};
use super::roster::{Member, Roster};
use super::rules::{DecidedBy, Floor, Numbers, Rules, RulesError};
use super::statement::{Answer, Ask, Ballot, Proposal};
use crate::identity::BotId;
use crate::time::UnixMillis;

/// What changes when a proposal passes, or a member leaves, and everybody else stays as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a vote cannot be taken back once it is sealed"]
pub struct Effect {
    /// Now.
    pub before: Numbers,
    /// Then; who is admitted is counted as active, as it is when it shows up.
    pub after: Numbers,
    /// What becomes of the proposal when every active member says yes; for a Leave whether it is carried out.
    pub outcome: Outcome,
    /// Who would sleep in the same round, if those who were silent lately stay so.
    pub would_sleep: Vec<BotId>,
    /// Who would be removed for silence in the same round, if those who were silent lately stay so.
    pub would_be_evicted: Vec<BotId>,
    /// What its owner should know first, in a fixed order.
    pub warnings: Vec<Warning>,
}

impl Effect {
    /// How many active members may be absent before the next round is blocked: n − q, now and then.
    #[must_use]
    pub const fn may_be_absent(&self) -> (u32, u32) {
        (spare(&self.before), spare(&self.after))
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = (&self.before, &self.after);
        let (spare_before, spare_after) = self.may_be_absent();
        writeln!(f, "active members: {} -> {}", before.active, after.active)?;
        writeln!(f, "quorum: {} -> {}", before.quorum, after.quorum)?;
        writeln!(f, "traitors borne: {} -> {}", before.faults, after.faults)?;
        write!(f, "may be absent: {spare_before} -> {spare_after}")?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\n! {warning}"))
    }
}

/// What an owner should know before it asks or votes; each says in plain words what it means and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Each owner decides by itself here: nothing is voted on.
    NoRounds,
    /// Too few are there now: no vote can be sealed.
    Halted(Blocked),
    /// The vote would be the last one.
    WouldHalt(Blocked),
    /// No traitor is borne any more.
    NoTraitorBorne {
        /// f before.
        faults: u32,
        /// n then.
        active: u32,
    },
    /// Two are left, or two there are.
    Two,
    /// One is left.
    Alone,
    /// The last active member can neither leave nor be removed.
    LastMember(BotId),
    /// There are not two others who could vote for a removal.
    CannotBeRemoved {
        /// The member.
        subject: BotId,
        /// Other active members.
        others: u32,
    },
    /// A new key for a lost one would need the lost one's vote.
    CannotBeRekeyed {
        /// The old key.
        old: BotId,
        /// q.
        need: u32,
        /// Other active members.
        others: u32,
    },
    /// The key is a member already.
    MemberAlready(BotId),
    /// The key is no member.
    NoMember(BotId),
    /// The sponsor that the applicant named is no member.
    SponsorIsNoMember(BotId),
    /// A guest's rights end, and a member is no guest.
    RevokesMember(BotId),
    /// The rules are out of range.
    OutOfRange(RulesError),
    /// The rules decide in another way.
    OtherWay,
    /// Everybody must answer for any decision.
    FloorIsEverybody {
        /// Least respondents.
        floor: u32,
        /// n.
        active: u32,
    },
    /// One owner could let anybody in.
    OneOwnerAdmits,
    /// What is open already fills the round.
    Full,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let again = "the community must be founded again";
        match self {
            Self::NoRounds => f.write_str("nothing is voted on here: each owner changes its own list"),
            Self::Halted(blocked) => write!(f, "no vote can be sealed now; {blocked}"),
            Self::WouldHalt(blocked) => {
                write!(f, "nothing could be decided any more after this, as too many were silent lately; {blocked}; ")?;
                f.write_str("have those bots started again before you say yes")
            }
            Self::NoTraitorBorne { faults, active } => {
                write!(
                    f,
                    "f falls from {faults} to 0: one traitor can then fork the community, which is proved but not "
                )?;
                f.write_str("prevented; ")?;
                f.write_str(match active {
                    0..4 => "admit others first, so that at least 4 stay active",
                    _ => "say yes only if no member's machine can fall into wrong hands",
                })
            }
            Self::Two => {
                f.write_str(
                    "with two active members nobody can be removed, and one that is silent stops everything; ",
                )?;
                write!(f, "if a key of the two is lost, {again}: have three")
            }
            Self::Alone => {
                f.write_str(
                    "one active member is left and decides alone; it can neither leave nor be removed, and if ",
                )?;
                write!(f, "its key is lost, {again}: admit somebody first")
            }
            Self::LastMember(member) => {
                write!(f, "{} is the last active member, which can neither leave nor be removed: ", member.short())?;
                f.write_str("admit somebody first, or stop the bot and the community ends with it")
            }
            Self::CannotBeRemoved { subject, others } => {
                write!(
                    f,
                    "{} cannot be removed: that takes the yes of two other active members, and ",
                    subject.short()
                )?;
                write!(f, "there is {others}; admit somebody first, and if a key is lost, {again}")
            }
            Self::CannotBeRekeyed { old, need, others } => {
                write!(f, "a new key takes {need} yes, and without {} there are {others} to give them: ", old.short())?;
                write!(f, "if the old key is lost, {again}")
            }
            Self::MemberAlready(key) => write!(f, "{} is a member already: nothing would change", key.short()),
            Self::NoMember(key) => {
                write!(f, "{} is no member: nothing would change; look at the list of members", key.short())
            }
            Self::SponsorIsNoMember(key) => {
                write!(f, "{}, whom the applicant asked, is no member: it must apply to one", key.short())
            }
            Self::RevokesMember(key) => {
                write!(f, "{} is a member: it would lose a guest's rights and stay; ask to remove it", key.short())
            }
            Self::OutOfRange(error) => write!(f, "nobody can live by these rules: {error}"),
            Self::OtherWay => f.write_str("a vote cannot change who decides: for that, found another community"),
            Self::FloorIsEverybody { floor, active } => {
                write!(f, "{floor} must answer, and there are {active} active members: ")?;
                f.write_str("one silent member stops every decision")
            }
            Self::OneOwnerAdmits => {
                f.write_str("one owner alone could then admit anybody at once, without a vote: raise endorse_percent")
            }
            Self::Full => f.write_str("what is open already fills the round: this one would close undone, ask later"),
        }
    }
}

/// What changes if this proposal passes and everybody stays as they are. Nothing is sent, and nobody is asked.
///
/// "Silent lately" is who has strikes; the newcomer of an Admit is taken for present.
pub fn what_if(at: &Standpoint<'_>, ask: &Ask) -> Effect {
    what_if_after(at, &[], ask)
}

/// The same when other proposals of this round pass too, up to 250 of them; those go first.
pub fn what_if_after(at: &Standpoint<'_>, open: &[Ask], ask: &Ask) -> Effect {
    let open = &open[..open.len().min(250)];
    if at.rules.decided_by != DecidedBy::Rounds {
        return unchanged(at, Warning::NoRounds);
    }
    let vote = |is_here: &dyn Fn(&Member) -> bool| pass(at, open, ask, is_here);
    let happens = vote(&|_| true);
    let outcome =
        happens.header.outcomes.iter().find(|(id, _)| *id == ASKED).map_or(Outcome::Refused, |(_, what)| *what);
    let mut effect = compare(at, &happens, outcome, &vote(&|member| member.strikes == 0));
    effect.warnings.extend(of_outcome(at, ask, outcome));
    effect.warnings.extend(of_ask(at, ask, &effect));
    effect
}

/// What changes if a member leaves and everybody stays as they are; to ask before a Leave is signed.
pub fn what_if_it_leaves(at: &Standpoint<'_>, member: &BotId) -> Effect {
    if at.rules.decided_by != DecidedBy::Rounds {
        return unchanged(at, Warning::NoRounds);
    }
    if at.roster.get(member).is_none() {
        return unchanged(at, Warning::NoMember(*member));
    }
    let items = Items { leaves: [*member].into(), ..Items::default() };
    let leaves = next(at, &Contents { items, ..empty() });
    if leaves.roster.get(member).is_some() {
        return unchanged(at, Warning::LastMember(*member));
    }
    compare(at, &leaves, Outcome::Passed, &leaves)
}

/// The made-up proposal's name: the greatest, so that others with as many votes go first.
const ASKED: StatementId = StatementId([0xff; 32]);

const fn spare(numbers: &Numbers) -> u32 {
    numbers.active.saturating_sub(numbers.quorum)
}

fn unchanged(at: &Standpoint<'_>, warning: Warning) -> Effect {
    let numbers = at.rules.numbers(at.roster.active_len());
    Effect {
        before: numbers,
        after: numbers,
        outcome: Outcome::Refused,
        would_sleep: Vec::new(),
        would_be_evicted: Vec::new(),
        warnings: [warning].into(),
    }
}

fn empty() -> Contents<'static> {
    Contents {
        opened_at: UnixMillis(0),
        id: ContentsId([0; 32]),
        proposals: Vec::new(),
        judged: alloc::collections::BTreeSet::new(),
        ballots: Vec::new(),
        items: Items::default(),
    }
}

/// Who would ask: an applicant names its sponsor, else anybody but the subject.
fn sponsor(roster: &Roster, ask: &Ask) -> Option<BotId> {
    if let Ask::Admit(application) = ask {
        return Some(application.by);
    }
    let others = roster.active().filter(|member| Some(&member.key) != ask.subject());
    others.chain(roster.active()).map(|member| member.key).next()
}

/// A round in which all who are there say yes to everything, and every applicant shows up.
fn pass(at: &Standpoint<'_>, open: &[Ask], ask: &Ask, is_here: impl Fn(&Member) -> bool) -> Next {
    let names = (0..).map(|at| StatementId([at; 32])).take(open.len()).chain([ASKED]);
    // A slot of its own each: two of one sponsor in one slot would void each other.
    let proposals: Vec<_> = (0..)
        .zip(names)
        .zip(open.iter().chain([ask]))
        .filter_map(|((slot, id), ask)| {
            let proposal = Proposal { slot, ask: ask.clone(), text: bytes::Bytes::new() };
            Some((id, sponsor(at.roster, ask)?, proposal))
        })
        .collect();
    let yes = Ballot { number: 0, answers: proposals.iter().map(|(id, ..)| (*id, Answer::Yes)).collect() };
    // Who is asked about automatically is silent, or the question would close by itself.
    let reported = |member: &Member| matches!(ask, Ask::Remove { subject, reports } if *subject == member.key && !reports.is_empty());
    let here = at.roster.active().filter(|member| is_here(member) && !reported(member));
    let contents = Contents {
        proposals: proposals
            .iter()
            .map(|(id, sponsor, proposal)| Sealed { id: *id, sponsor: *sponsor, height: at.height, proposal })
            .collect(),
        judged: proposals.iter().map(|(id, ..)| *id).collect(),
        ballots: here.map(|member| Cast { author: member.key, height: at.height, ballot: &yes }).collect(),
        items: Items { accepts: proposals.iter().map(|(id, ..)| *id).collect(), ..Items::default() },
        ..empty()
    };
    next(at, &contents)
}

/// What every change can do to a community.
fn compare(at: &Standpoint<'_>, happens: &Next, outcome: Outcome, with_silence: &Next) -> Effect {
    // Everybody answered in the made-up vote: who was silent lately is known from before.
    let answered = |key: &BotId| at.roster.get(key).is_none_or(|member| member.strikes == 0);
    let now = health_when(at.roster, at.rules, |member| answered(&member.key));
    let then = health_when(&happens.roster, &happens.rules, |member| answered(&member.key));
    let (before, after) = (now.numbers, then.numbers);
    let mut warnings = Vec::new();
    match (now.blocked, then.blocked) {
        (Some(blocked), _) => warnings.push(Warning::Halted(blocked)),
        (None, Some(blocked)) => warnings.push(Warning::WouldHalt(blocked)),
        (None, None) => {}
    }
    if before.faults > 0 && after.faults == 0 {
        warnings.push(Warning::NoTraitorBorne { faults: before.faults, active: after.active });
    }
    if before.active != after.active {
        match after.active {
            1 => warnings.push(Warning::Alone),
            2 => warnings.push(Warning::Two),
            _ => {}
        }
    }
    let changes = &with_silence.header.changes;
    let silent = changes.departed.iter().filter(|(_, cause)| *cause == Departure::Silent);
    Effect {
        before,
        after,
        outcome,
        would_sleep: changes.dormant.clone(),
        would_be_evicted: silent.map(|(key, _)| *key).collect(),
        warnings,
    }
}

/// Why nothing would happen.
fn of_outcome(at: &Standpoint<'_>, ask: &Ask, outcome: Outcome) -> Option<Warning> {
    let subject = ask.subject().copied();
    match (outcome, ask) {
        (Outcome::Duplicate, Ask::Admit(application) | Ask::Rekey(application)) => {
            Some(Warning::MemberAlready(application.key))
        }
        (Outcome::SubjectGone, _) => subject.map(Warning::NoMember),
        (Outcome::SponsorGone, Ask::Admit(application)) => Some(Warning::SponsorIsNoMember(application.by)),
        (Outcome::OutOfRange, Ask::Amend(rules)) => {
            Some(rules.check().err().map_or(Warning::OtherWay, Warning::OutOfRange))
        }
        (Outcome::Capped, _) => Some(Warning::Full),
        (Outcome::LastMember, _) => subject.map(Warning::LastMember),
        (Outcome::Refused | Outcome::Floor, Ask::Remove { subject, .. }) => {
            let others = others(at.roster, subject);
            match (at.roster.get(subject), others) {
                (None, _) => Some(Warning::NoMember(*subject)),
                (_, 0) => Some(Warning::LastMember(*subject)),
                (_, 1) => Some(Warning::CannotBeRemoved { subject: *subject, others }),
                _ => None,
            }
        }
        _ => None,
    }
}

/// What this kind of proposal can do besides.
fn of_ask(at: &Standpoint<'_>, ask: &Ask, effect: &Effect) -> Vec<Warning> {
    let (before, after, mut warnings) = (&effect.before, &effect.after, Vec::new());
    match ask {
        Ask::Rekey(application) if effect.outcome == Outcome::Passed => {
            let (old, need, others) = (application.by, before.quorum, others(at.roster, &application.by));
            if others < need {
                warnings.push(Warning::CannotBeRekeyed { old, need, others });
            }
        }
        Ask::Revoke { subject } if at.roster.get(subject).is_some() => warnings.push(Warning::RevokesMember(*subject)),
        Ask::Amend(rules) if effect.outcome == Outcome::Passed => {
            if let Floor::Respondents(floor) = rules.floor
                && floor >= after.active
                && after.active > after.quorum
            {
                warnings.push(Warning::FloorIsEverybody { floor, active: after.active });
            }
            if one_owner_admits(at.roster, rules) && !one_owner_admits(at.roster, at.rules) {
                warnings.push(Warning::OneOwnerAdmits);
            }
        }
        _ => {}
    }
    warnings
}

/// Active members but this one.
fn others(roster: &Roster, key: &BotId) -> u32 {
    roster.active_len() - u32::from(roster.get_active(key).is_some())
}

fn one_owner_admits(roster: &Roster, rules: &Rules) -> bool {
    let unstruck = roster.active().filter(|member| member.strikes == 0).count();
    u64::from(rules.endorse_percent) * u64::from(roster.active_len()) <= 100
        && unstruck >= rules.endorse_members as usize
}
