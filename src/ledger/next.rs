//! The one place where outcomes are made: a pure, total function of what a round sealed.
//!
//! No clock, no chance, no network, no floating point; every input has a result, and the same input has the same result
//! on every machine and at every date.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cmp::Reverse;

use super::header::{Changes, Departure, Header, Outcome, Places};
use super::ids::{ContentsId, HeaderId, Height, StatementId};
use super::roster::{Roster, Standing};
use super::rules::{Numbers, Rules};
use super::statement::{Answer, Ask, Ballot, Proposal};
use crate::crypto::sha256;
use crate::identity::BotId;
use crate::time::UnixMillis;

/// Where a round stands: the last header, with what it stands for.
#[derive(Clone, Copy, Debug)]
pub struct Standpoint<'a> {
    /// The last header's height.
    pub height: Height,
    /// Its name.
    pub header: HeaderId,
    /// Its members.
    pub roster: &'a Roster,
    /// Its rules.
    pub rules: &'a Rules,
}

/// A proposal as it was sealed.
#[derive(Clone, Copy, Debug)]
pub struct Sealed<'a> {
    /// Its name.
    pub id: StatementId,
    /// Who asks.
    pub sponsor: BotId,
    /// Where the sponsor stood.
    pub height: Height,
    /// What is asked.
    pub proposal: &'a Proposal,
}

/// A ballot as it was sealed: at most one of each author.
#[derive(Clone, Copy, Debug)]
pub struct Cast<'a> {
    /// Whose it is.
    pub author: BotId,
    /// Where the author stood.
    pub height: Height,
    /// The answers.
    pub ballot: &'a Ballot,
}

/// What else was sealed; signatures, places and authors were checked before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Items {
    /// Members that signed what cannot both be honest.
    pub evidence: BTreeSet<BotId>,
    /// Members that leave.
    pub leaves: BTreeSet<BotId>,
    /// Dormant members that are here.
    pub wakes: BTreeSet<BotId>,
    /// Applications' proposals whose applicants are here.
    pub accepts: BTreeSet<StatementId>,
    /// Proposals that their sponsors took back.
    pub withdrawn: BTreeSet<StatementId>,
    /// Applications' proposals that enough owners endorse by hand.
    pub endorsed: BTreeSet<StatementId>,
    /// Keys whose guest's rights a quorum ended, and the greatest height of such a revocation.
    pub revoked: BTreeMap<BotId, Height>,
}

/// Everything that a round judges and counts.
#[derive(Clone, Debug)]
pub struct Contents<'a> {
    /// When the next round begins.
    pub opened_at: UnixMillis,
    /// Its hash.
    pub id: ContentsId,
    /// J, and the endorsed applications, in any order.
    pub proposals: Vec<Sealed<'a>>,
    /// J: which of the proposals are judged by votes.
    pub judged: BTreeSet<StatementId>,
    /// In any order.
    pub ballots: Vec<Cast<'a>>,
    /// The rest.
    pub items: Items,
}

/// What a round comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// The header to agree on.
    pub header: Header,
    /// Its members.
    pub roster: Roster,
    /// Its rules.
    pub rules: Rules,
}

/// The votes on one proposal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// For it.
    pub yes: u32,
    /// Against it.
    pub no: u32,
    /// Answered otherwise, or not this question: they count as answers (I-13).
    pub abstain: u32,
}

impl Tally {
    /// |R|, or |R′| for a removal.
    #[must_use]
    pub const fn respondents(&self) -> u32 {
        self.yes + self.no + self.abstain
    }

    /// More than half of those who answered (I-13); a tie and 0 of 0 are refused.
    #[must_use]
    pub const fn has_majority(&self) -> bool {
        2 * self.yes > self.respondents()
    }
}

/// Makes the next header of what a round sealed.
#[must_use]
pub fn next(at: &Standpoint<'_>, contents: &Contents<'_>) -> Next {
    let mut round = Round::new(at, contents);
    round.depart();
    round.judge();
    round.rekey();
    round.remove();
    round.admit();
    round.wake();
    round.count_silence();
    round.amend();
    round.finish()
}

pub(super) struct Round<'a> {
    at: &'a Standpoint<'a>,
    contents: &'a Contents<'a>,
    numbers: Numbers,
    /// By name, each once.
    proposals: BTreeMap<StatementId, Sealed<'a>>,
    pub(super) ballots: BTreeMap<BotId, Cast<'a>>,
    /// R: places in the roster before.
    pub(super) respondents: BTreeSet<BotId>,
    outcomes: BTreeMap<StatementId, Outcome>,
    /// Passed and not carried out yet.
    passed: Vec<(StatementId, Tally)>,
    changes: Changes,
    gone: BTreeMap<BotId, Departure>,
    rekeyed: BTreeMap<BotId, BotId>,
    woken: BTreeSet<BotId>,
    removed_or_evicted: u32,
}

impl<'a> Round<'a> {
    pub(super) fn new(at: &'a Standpoint<'a>, contents: &'a Contents<'a>) -> Self {
        let mut proposals = BTreeMap::new();
        for sealed in &contents.proposals {
            proposals.entry(sealed.id).or_insert(*sealed);
        }
        let mut ballots = BTreeMap::new();
        for cast in &contents.ballots {
            ballots.entry(cast.author).or_insert(*cast);
        }
        let mut round = Self {
            at,
            contents,
            numbers: at.rules.numbers(at.roster.active_len()),
            proposals,
            ballots,
            respondents: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            passed: Vec::new(),
            changes: Changes::default(),
            gone: BTreeMap::new(),
            rekeyed: BTreeMap::new(),
            woken: BTreeSet::new(),
            removed_or_evicted: 0,
        };
        round.respondents = round.find_respondents();
        round
    }

    /// Active members whose ballot was signed at this height, or answers a proposal that is judged in this round.
    fn find_respondents(&self) -> BTreeSet<BotId> {
        let answers = |cast: &Cast<'_>| {
            cast.height == self.at.height
                || cast.ballot.answers.iter().any(|(proposal, _)| self.contents.judged.contains(proposal))
        };
        let active = self.ballots.values().filter(|cast| self.at.roster.get_active(&cast.author).is_some());
        active.filter(|cast| answers(cast)).map(|cast| cast.author).collect()
    }

    fn decides(&self) -> bool {
        !self.contents.judged.is_empty() && to_u32(self.respondents.len()) >= self.numbers.floor
    }

    /// Active members after what was done so far.
    fn active_left(&self) -> u32 {
        let left = |key: &BotId| !self.gone.contains_key(key);
        let stay = self.at.roster.active().filter(|member| left(&member.key)).count();
        let wake = self.woken.iter().filter(|key| left(key)).count();
        let sleep = self.changes.dormant.len();
        let new = self.changes.admitted.iter().filter(|(_, standing)| *standing == Standing::Active).count();
        to_u32((stay + wake + new).saturating_sub(sleep))
    }

    /// Takes a member out, unless nobody would be left who can act.
    fn take_out(&mut self, key: &BotId, cause: Departure) -> bool {
        let Some(member) = self.at.roster.get(key) else { return false };
        if self.gone.contains_key(key) || (member.is_active() && self.active_left() <= 1) {
            return false;
        }
        self.gone.insert(*key, cause);
        true
    }

    // 1. Evidence, then Leave.
    fn depart(&mut self) {
        let items = &self.contents.items;
        for key in &items.evidence {
            self.take_out(key, Departure::Evidence);
        }
        for key in &items.leaves {
            self.take_out(key, Departure::Left);
        }
    }

    // 2. Each proposal in J gets an outcome, or has passed.
    fn judge(&mut self) {
        let judged: Vec<Sealed<'a>> =
            self.proposals.values().filter(|sealed| self.contents.judged.contains(&sealed.id)).copied().collect();
        let decides = self.decides();
        for sealed in judged {
            let tally = self.tally(&sealed);
            let outcome = match self.obstacle(&sealed) {
                Some(outcome) => outcome,
                None if self.is_endorsed(&sealed) => continue,
                None if !decides => Outcome::Floor,
                None if self.passes(&sealed, &tally) => {
                    self.passed.push((sealed.id, tally));
                    continue;
                }
                None => Outcome::Refused,
            };
            self.outcomes.insert(sealed.id, outcome);
        }
        // Endorsed applications need no week and no tally; the votes they got say who comes first.
        let endorsed: Vec<Sealed<'a>> =
            self.proposals.values().filter(|sealed| self.is_endorsed(sealed)).copied().collect();
        for sealed in endorsed {
            match self.obstacle(&sealed) {
                Some(outcome) => {
                    self.outcomes.insert(sealed.id, outcome);
                }
                None => self.passed.push((sealed.id, self.tally(&sealed))),
            }
        }
    }

    fn is_endorsed(&self, sealed: &Sealed<'_>) -> bool {
        matches!(sealed.proposal.ask, Ask::Admit(_)) && self.contents.items.endorsed.contains(&sealed.id)
    }

    /// Why a proposal is closed whatever the votes say.
    fn obstacle(&self, sealed: &Sealed<'_>) -> Option<Outcome> {
        let items = &self.contents.items;
        if self.is_conflicting(sealed) {
            return Some(Outcome::Conflicting);
        }
        if items.withdrawn.contains(&sealed.id) {
            return Some(Outcome::Withdrawn);
        }
        if self.at.roster.get(&sealed.sponsor).is_none() || self.gone.contains_key(&sealed.sponsor) {
            return Some(Outcome::SponsorGone);
        }
        match &sealed.proposal.ask {
            Ask::Admit(application) => {
                items.revoked.get(&application.key).is_some_and(|at| *at >= sealed.height).then_some(Outcome::Revoked)
            }
            Ask::Remove { subject, reports } => {
                let is_back = self.respondents.contains(subject) || items.wakes.contains(subject);
                (!reports.is_empty() && is_back).then_some(Outcome::Reappeared)
            }
            Ask::Amend(rules) => {
                let same_way = rules.decided_by == self.at.rules.decided_by;
                (rules.check().is_err() || !same_way).then_some(Outcome::OutOfRange)
            }
            Ask::Rekey(_) | Ask::Revoke { .. } => None,
        }
    }

    /// Two different proposals of one sponsor in one slot of one height.
    fn is_conflicting(&self, sealed: &Sealed<'_>) -> bool {
        let same_slot = |other: &Sealed<'_>| {
            (other.sponsor, other.height, other.proposal.slot) == (sealed.sponsor, sealed.height, sealed.proposal.slot)
        };
        self.proposals.values().any(|other| other.id != sealed.id && same_slot(other))
    }

    pub(super) fn tally(&self, sealed: &Sealed<'_>) -> Tally {
        let excluded = match &sealed.proposal.ask {
            Ask::Remove { subject, .. } => Some(subject),
            _ => None,
        };
        let mut tally = Tally::default();
        for member in self.respondents.iter().filter(|member| Some(*member) != excluded) {
            let honest = !self.contents.items.evidence.contains(member);
            let answer = self.ballots.get(member).filter(|_| honest).and_then(|cast| cast.ballot.answer(&sealed.id));
            match answer {
                Some(Answer::Yes) => tally.yes += 1,
                Some(Answer::No) => tally.no += 1,
                Some(Answer::Abstain) | None => tally.abstain += 1,
            }
        }
        tally
    }

    const fn passes(&self, sealed: &Sealed<'_>, tally: &Tally) -> bool {
        match sealed.proposal.ask {
            Ask::Admit(_) => tally.has_majority(),
            Ask::Remove { .. } | Ask::Revoke { .. } => tally.has_majority() && tally.yes >= 2,
            Ask::Rekey(_) | Ask::Amend(_) => tally.yes >= self.numbers.quorum,
        }
    }

    /// What passed of a kind: most votes first, then the least name.
    fn passed_in_order(&self, is_kind: impl Fn(&Ask) -> bool) -> Vec<Sealed<'a>> {
        let mut passed: Vec<_> =
            self.passed.iter().filter(|(id, _)| is_kind(&self.proposals[id].proposal.ask)).collect();
        passed.sort_by_key(|(id, tally)| (Reverse(tally.yes), *id));
        passed.into_iter().map(|(id, _)| self.proposals[id]).collect()
    }

    fn is_member(&self, key: &BotId) -> bool {
        let stays =
            self.at.roster.get(key).is_some() && !self.gone.contains_key(key) && !self.rekeyed.contains_key(key);
        stays || self.rekeyed.values().any(|new| new == key) || self.changes.admitted.iter().any(|(new, _)| new == key)
    }

    // 3. The old key dies; what it did stays.
    fn rekey(&mut self) {
        for sealed in self.passed_in_order(|ask| matches!(ask, Ask::Rekey(_))) {
            let Ask::Rekey(application) = &sealed.proposal.ask else { continue };
            let (old, new) = (application.by, application.key);
            let outcome = if self.is_member(&new) || self.at.roster.get(&new).is_some() {
                Outcome::Duplicate
            } else if self.at.roster.get(&old).is_none()
                || self.gone.contains_key(&old)
                || self.rekeyed.contains_key(&old)
            {
                Outcome::SubjectGone
            } else {
                self.rekeyed.insert(old, new);
                Outcome::Passed
            };
            self.outcomes.insert(sealed.id, outcome);
        }
    }

    // 4. Most votes first, at most a quarter.
    fn remove(&mut self) {
        for sealed in self.passed_in_order(|ask| matches!(ask, Ask::Remove { .. } | Ask::Revoke { .. })) {
            let Ask::Remove { subject, .. } = &sealed.proposal.ask else {
                // A guest's rights end by the votes themselves; the roster is not touched.
                self.outcomes.insert(sealed.id, Outcome::Passed);
                continue;
            };
            let is_new = self.at.roster.get(subject).is_none();
            let outcome = if is_new || !self.is_member(subject) {
                Outcome::SubjectGone
            } else if self.removed_or_evicted >= self.numbers.cap.min(self.numbers.evict_cap) {
                Outcome::Capped
            } else if self.take_out(subject, Departure::Removed) {
                self.removed_or_evicted += 1;
                Outcome::Passed
            } else {
                Outcome::LastMember
            };
            self.outcomes.insert(sealed.id, outcome);
        }
    }

    // 5. Most votes first, one of each sponsor, at most a quarter; who did not show up sleeps.
    fn admit(&mut self) {
        let mut of_sponsor: BTreeMap<BotId, u32> = BTreeMap::new();
        for sealed in self.passed_in_order(|ask| matches!(ask, Ask::Admit(_))) {
            let Ask::Admit(application) = &sealed.proposal.ask else { continue };
            let admitted = of_sponsor.entry(sealed.sponsor).or_default();
            let outcome = if self.is_member(&application.key) || self.at.roster.get(&application.key).is_some() {
                Outcome::Duplicate
            } else if *admitted >= self.numbers.admits_per_sponsor
                || to_u32(self.changes.admitted.len()) >= self.numbers.admit_cap
            {
                Outcome::Capped
            } else {
                *admitted += 1;
                let is_here = self.contents.items.accepts.contains(&sealed.id);
                let standing = if is_here { Standing::Active } else { Standing::Dormant };
                self.changes.admitted.push((application.key, standing));
                let endorsed = self.contents.items.endorsed.contains(&sealed.id);
                if endorsed { Outcome::Endorsed } else { Outcome::Passed }
            };
            self.outcomes.insert(sealed.id, outcome);
        }
    }

    // 6. Counted from the next height on.
    fn wake(&mut self) {
        for key in &self.contents.items.wakes {
            let sleeps = self.at.roster.get(key).is_some_and(|member| member.standing == Standing::Dormant);
            if sleeps && !self.gone.contains_key(key) {
                self.woken.insert(*key);
            }
        }
    }

    // 7. Silence: strikes, then evictions, then dormancy, of the old members only.
    fn count_silence(&mut self) {
        if !self.decides() {
            return;
        }
        let members = self.at.roster.members();
        let mut places = Places::none(members.len());
        let mut silent = Vec::new();
        for (at, member) in members.iter().enumerate() {
            if self.respondents.contains(&member.key) {
                places.insert(at);
            } else if !self.woken.contains(&member.key) && !self.gone.contains_key(&member.key) {
                let tie = sha256(&[&self.at.header.0, member.key.as_bytes()]);
                silent.push((Reverse(member.strikes.saturating_add(1)), tie, member.key, member.is_active()));
            }
        }
        self.changes.respondents = Some(places);
        silent.sort_unstable();
        let mut evicted = BTreeSet::new();
        for (Reverse(strikes), _, key, is_active) in &silent {
            let due = self.at.rules.evict_after.is_some_and(|after| *strikes >= after);
            if due
                && self.removed_or_evicted < self.numbers.evict_cap
                && self.may_lose(*is_active)
                && self.take_out(key, Departure::Silent)
            {
                self.removed_or_evicted += 1;
                evicted.insert(*key);
            }
        }
        let mut asleep = 0;
        for (Reverse(strikes), _, key, is_active) in &silent {
            let due = self.at.rules.dormant_after.is_some_and(|after| *strikes >= after);
            if due
                && *is_active
                && !evicted.contains(key)
                && asleep < self.numbers.evict_cap
                && self.may_lose(true)
                && self.active_left() > 1
            {
                asleep += 1;
                self.changes.dormant.push(*key);
            }
        }
    }

    /// Silence takes no active member when fewer than `min_active` would be left.
    fn may_lose(&self, is_active: bool) -> bool {
        !is_active || self.active_left() > self.at.rules.min_active
    }

    fn amend(&mut self) {
        // The most votes first; a second change in one round would not be the one that was voted on.
        for sealed in self.passed_in_order(|ask| matches!(ask, Ask::Amend(_))) {
            let Ask::Amend(rules) = &sealed.proposal.ask else { continue };
            let outcome = if self.changes.rules.is_some() { Outcome::Capped } else { Outcome::Passed };
            if outcome == Outcome::Passed {
                self.changes.rules = Some(rules.clone());
            }
            self.outcomes.insert(sealed.id, outcome);
        }
    }

    fn finish(self) -> Next {
        let mut changes = self.changes;
        changes.departed = self.gone.into_iter().collect();
        changes.rekeyed = self.rekeyed.into_iter().collect();
        changes.woken = self.woken.into_iter().collect();
        changes.dormant.sort_unstable();
        changes.admitted.sort_unstable_by_key(|(key, _)| *key);
        let height = self.at.height.next();
        // Every change was made for a member that is there, or a key that is not.
        let roster = changes.apply(self.at.roster, height).unwrap_or_else(|| self.at.roster.clone());
        let rules = changes.rules.clone().unwrap_or_else(|| self.at.rules.clone());
        let header = Header {
            height,
            previous: self.at.header,
            opened_at: self.contents.opened_at,
            contents: self.contents.id,
            roster: roster.root(),
            members: to_u32(roster.members().len()),
            active: roster.active_len(),
            outcomes: self.outcomes.into_iter().collect(),
            changes,
        };
        Next { header, roster, rules }
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
