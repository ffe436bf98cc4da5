//! What a round judged and counted, by name: the list that a header's [`ContentsId`] is the hash of.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::evidence::Evidence;
use super::guest::Support;
use super::ids::{ContentsId, Height, StatementId};
use super::next::{Cast, Contents, Items, Sealed, Standpoint};
use super::roster::Standing;
use super::statement::{Answer, Ask, Ballot, Body, Proposal, Report, Statement};
use crate::crypto::sha256;
use crate::identity::{BotId, CommunityId};
use crate::time::UnixMillis;
use crate::wire::{FixedReader, LayoutError};

/// Most bytes of a listing: four times what [`MAX_HEADER`](super::MAX_HEADER) leaves for outcomes, so that a round of 1,000
/// members with all their slots full, a ballot each and 20 items each stays below.
pub const MAX_LISTING: usize = 1024 * 1024;

/// The names of everything that a round judged and counted; the sealer serves the bytes of all of it.
///
/// ```
/// use interbot::ledger::{Listing, StatementId};
/// use interbot::UnixMillis;
///
/// let mut listing = Listing::new(UnixMillis(7));
/// listing.judged.insert(StatementId([1; 32]));
/// assert_eq!(Listing::from_bytes(&listing.to_bytes()), Ok(listing));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// When the next round begins.
    pub opened_at: UnixMillis,
    /// J: proposals that are judged by votes.
    pub judged: BTreeSet<StatementId>,
    /// Applications that enough owners hold by hand, and that are not in J.
    pub endorsed: BTreeSet<StatementId>,
    /// The newest ballot of each author.
    pub ballots: BTreeSet<StatementId>,
    /// Withdrawals, wakes, accepts, leaves and endorsements.
    pub items: BTreeSet<StatementId>,
    /// Pairs that cannot both be honest, by the smaller name; see [`Listing::convict`].
    pub evidence: BTreeMap<StatementId, StatementId>,
    /// By a Remove's or a Revoke's proposal: a quorum of ballots that say YES to it.
    pub revocations: BTreeMap<StatementId, BTreeSet<StatementId>>,
}

impl Listing {
    /// Nothing yet.
    #[must_use]
    pub const fn new(opened_at: UnixMillis) -> Self {
        Self {
            opened_at,
            judged: BTreeSet::new(),
            endorsed: BTreeSet::new(),
            ballots: BTreeSet::new(),
            items: BTreeSet::new(),
            evidence: BTreeMap::new(),
            revocations: BTreeMap::new(),
        }
    }

    /// Lists a pair.
    pub fn convict(&mut self, evidence: &Evidence) {
        let (first, second) = evidence.key();
        self.evidence.insert(first, second);
    }

    /// Its name in a community, as the header has it.
    #[must_use]
    pub fn id(&self, community: &CommunityId) -> ContentsId {
        ContentsId(sha256(&[b"interbot sealed\0", community.as_bytes(), &self.to_bytes()]))
    }

    /// Every name in it, each once. Withdrawals and accepts name proposals besides, which need not be listed.
    #[must_use]
    pub fn names(&self) -> BTreeSet<StatementId> {
        let sets = [&self.judged, &self.endorsed, &self.ballots, &self.items].into_iter().flatten();
        let pairs = self.evidence.iter().flat_map(|(first, second)| [first, second]);
        let revocations = self.revocations.iter().flat_map(|(proposal, ballots)| ballots.iter().chain([proposal]));
        sets.chain(pairs).chain(revocations).copied().collect()
    }

    /// The one encoding; see the manual.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64 + 32 * (self.judged.len() + self.ballots.len() + self.items.len()));
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        out.extend(self.opened_at.0.to_be_bytes());
        for names in [&self.judged, &self.endorsed, &self.ballots, &self.items] {
            out.extend(count(names.len()));
            names.iter().for_each(|name| out.extend(name.0));
        }
        out.extend(count(self.evidence.len()));
        for (first, second) in &self.evidence {
            out.extend(first.0);
            out.extend(second.0);
        }
        out.extend(count(self.revocations.len()));
        for (proposal, ballots) in &self.revocations {
            out.extend(proposal.0);
            out.extend(u16::try_from(ballots.len()).unwrap_or(u16::MAX).to_be_bytes());
            ballots.iter().for_each(|ballot| out.extend(ballot.0));
        }
        out
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes: a list that is not sorted or names something twice, a proposal that is judged and
    /// endorsed at once, a pair the wrong way round, and more than [`MAX_LISTING`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_LISTING {
            return Err(LayoutError);
        }
        let mut r = FixedReader::new(bytes);
        let opened_at = UnixMillis(r.u64()?);
        let mut names = || {
            let count = r.u32()?;
            read_names(&mut r, count)
        };
        let (judged, endorsed, ballots, items) = (names()?, names()?, names()?, names()?);
        if !judged.is_disjoint(&endorsed) {
            return Err(LayoutError);
        }
        let mut evidence = BTreeMap::new();
        for _ in 0..r.u32()? {
            let (first, second) = (read_name(&mut r)?, read_name(&mut r)?);
            if first >= second || evidence.last_key_value().is_some_and(|(last, _)| *last >= first) {
                return Err(LayoutError);
            }
            evidence.insert(first, second);
        }
        let mut revocations = BTreeMap::new();
        for _ in 0..r.u32()? {
            let proposal = read_name(&mut r)?;
            if revocations.last_key_value().is_some_and(|(last, _)| *last >= proposal) {
                return Err(LayoutError);
            }
            let count = r.u16()?;
            revocations.insert(proposal, read_names(&mut r, count.into())?);
        }
        r.end()?;
        Ok(Self { opened_at, judged, endorsed, ballots, items, evidence, revocations })
    }

    /// Puts the statements in place of their names, and checks that each may stand where it is listed.
    ///
    /// `statements` gives those that were found genuine and whose places lie on the chain: neither can be seen from here, but
    /// for the place of this very height. Everything else is checked.
    ///
    /// # Errors
    /// [`ResolveError`] names the first statement that does not fit.
    pub fn resolve<'a>(
        &self,
        at: &Standpoint<'_>,
        community: &CommunityId,
        statements: impl Fn(&StatementId) -> Option<&'a Statement>,
    ) -> Result<Resolved<'a>, ResolveError> {
        let resolver = Resolver { at, statements };
        let mut proposals = Vec::with_capacity(self.judged.len() + self.endorsed.len());
        for id in self.judged.iter().chain(&self.endorsed) {
            let (statement, proposal) = resolver.proposal(id)?;
            fits(at, statement).map_err(|why| why.of(id))?;
            let (sponsor, height) = (statement.author(), statement.place().height);
            proposals.push(Sealed { id: *id, sponsor, height, proposal });
        }
        let ballots = self.resolve_ballots(&resolver)?;
        let mut items = self.resolve_items(&resolver, &proposals)?;
        for id in &self.endorsed {
            if !items.endorsed.contains(id) {
                return Err(Misfit::NotEndorsed.of(id));
            }
        }
        let mut evidence = Vec::with_capacity(self.evidence.len());
        for (first, second) in &self.evidence {
            // Two stories convict as well as one: only who said it counts, not where.
            let found = Evidence::of(resolver.by_member(first)?, resolver.by_member(second)?);
            let found = found.ok_or(Misfit::NoConflict.of(first))?;
            if !items.evidence.insert(found.author()) {
                return Err(Misfit::Twice.of(first));
            }
            evidence.push(found);
        }
        for (proposal, ballots) in &self.revocations {
            let (subject, height) = resolver.revocation(proposal, ballots)?;
            let newest = items.revoked.entry(subject).or_insert(height);
            *newest = (*newest).max(height);
        }
        let contents = Contents {
            opened_at: self.opened_at,
            id: self.id(community),
            proposals,
            judged: self.judged.clone(),
            ballots,
            items,
        };
        Ok(Resolved { contents, evidence })
    }

    fn resolve_ballots<'a, F>(&self, resolver: &Resolver<'_, F>) -> Result<Vec<Cast<'a>>, ResolveError>
    where
        F: Fn(&StatementId) -> Option<&'a Statement>,
    {
        let (mut ballots, mut authors) = (Vec::with_capacity(self.ballots.len()), BTreeSet::new());
        for id in &self.ballots {
            let (statement, ballot) = resolver.ballot(id)?;
            let (author, height) = (statement.author(), statement.place().height);
            if !authors.insert(author) {
                return Err(Misfit::Twice.of(id));
            }
            ballots.push(Cast { author, height, ballot });
        }
        Ok(ballots)
    }

    fn resolve_items<'a, F>(&self, resolver: &Resolver<'_, F>, proposals: &[Sealed<'_>]) -> Result<Items, ResolveError>
    where
        F: Fn(&StatementId) -> Option<&'a Statement>,
    {
        let mut items = Items::default();
        let mut support: BTreeMap<StatementId, Support> = BTreeMap::new();
        for id in &self.items {
            let statement = resolver.fitting(id)?;
            let author = statement.author();
            match statement.body() {
                Body::Wake => {
                    items.wakes.insert(author);
                }
                Body::Leave => {
                    items.leaves.insert(author);
                }
                Body::Withdraw(about) => {
                    if resolver.proposal(about)?.0.author() != author {
                        return Err(Misfit::Author.of(id));
                    }
                    items.withdrawn.insert(*about);
                }
                Body::Accept(about) => {
                    let (_, proposal) = resolver.proposal(about)?;
                    let is_applicant = matches!(&proposal.ask, Ask::Admit(application) if application.key == author);
                    if !is_applicant {
                        return Err(Misfit::Author.of(id));
                    }
                    items.accepts.insert(*about);
                }
                Body::Endorse { proposal, .. } => support.entry(*proposal).or_default().count(proposal, statement),
                _ => return Err(Misfit::Kind.of(id)),
            }
        }
        let (roster, rules) = (resolver.at.roster, resolver.at.rules);
        let applications = proposals.iter().filter(|sealed| matches!(sealed.proposal.ask, Ask::Admit(_)));
        let complete = |id: &StatementId| support.get(id).is_some_and(|support| support.is_endorsed(roster, rules));
        items.endorsed = applications.map(|sealed| sealed.id).filter(complete).collect();
        Ok(items)
    }
}

/// A listing with the statements in place of their names.
#[derive(Clone, Debug)]
pub struct Resolved<'a> {
    /// What [`next`](super::next()) takes.
    pub contents: Contents<'a>,
    /// The pairs, by the smaller name.
    pub evidence: Vec<Evidence>,
}

/// Why a statement may not stand where it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Misfit {
    /// It is not here.
    #[error("it is not here: ask the sealer for it")]
    Missing,
    /// It is of another kind than those of its list.
    #[error("it is of another kind than those of its list")]
    Kind,
    /// Its author stood elsewhere: at a height to come, beside the chain, or not at this height when it must.
    #[error("its author did not stand where it must for this round")]
    Place,
    /// Its author is no member since its height, no applicant, not asleep or not the sponsor, whichever it must be.
    #[error("its author may not say that in this round")]
    Author,
    /// It was proposed too many heights ago.
    #[error("it is stale: too many rounds have passed since it was proposed, propose it again")]
    Stale,
    /// An application in a slot that has none.
    #[error("an application stands in slot 0, or in 0 to 2 while there are fewer than 4 active members")]
    Slot,
    /// The applicant named another sponsor.
    #[error("the applicant wants another sponsor to speak for it")]
    Sponsor,
    /// A report by the subject itself, or of another time than the proposal's.
    #[error("a report in it is the subject's own or of another round")]
    Report,
    /// A second ballot or pair of one author.
    #[error("another one of its author is listed")]
    Twice,
    /// It is listed as endorsed, and too few endorsements are.
    #[error("it is listed as endorsed, and too few endorsements are listed")]
    NotEndorsed,
    /// The pair is no evidence.
    #[error("the two of the pair can both be honest")]
    NoConflict,
    /// A ballot of a revocation does not say YES, or they are no quorum.
    #[error("the ballots listed for its revocation are not a quorum of YES")]
    NoQuorum,
}

impl Misfit {
    const fn of(self, statement: &StatementId) -> ResolveError {
        ResolveError { statement: *statement, why: self }
    }
}

/// Which statement of a listing does not fit, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{statement:?}: {why}")]
pub struct ResolveError {
    /// Which.
    pub statement: StatementId,
    /// Why.
    pub why: Misfit,
}

/// Whether a statement may be counted in the round that stands here, as far as it shows by itself.
///
/// The same test on arrival and in a listing keeps a node from holding what no round can seal. A proposal of a former member
/// does not fit: it is void. The number of reports in a Remove is not looked at, as the rules for it are those of its height.
///
/// # Errors
/// [`Misfit`].
pub fn fits(at: &Standpoint<'_>, statement: &Statement) -> Result<(), Misfit> {
    let (author, place) = (statement.author(), statement.place());
    let is_here = place.height == at.height && place.header == at.header;
    if !is_here && place.height >= at.height {
        return Err(Misfit::Place);
    }
    let member = at.roster.get(&author).filter(|member| member.joined_at <= place.height);
    match statement.body() {
        Body::Accept(_) => return if is_here { Ok(()) } else { Err(Misfit::Place) },
        Body::Wake | Body::Witness(_) | Body::Lost { .. } | Body::Recall { .. } if !is_here => {
            return Err(Misfit::Place);
        }
        Body::Wake if member.is_none_or(|member| member.standing != Standing::Dormant) => return Err(Misfit::Author),
        _ if member.is_none() => return Err(Misfit::Author),
        _ => {}
    }
    let Body::Proposal(proposal) = statement.body() else { return Ok(()) };
    if place.height.0.saturating_add(at.rules.stale_after.into()) < at.height.0 {
        return Err(Misfit::Stale);
    }
    match &proposal.ask {
        Ask::Admit(application) => {
            let last_slot = if at.roster.active_len() < 4 { 2 } else { 0 };
            if proposal.slot > last_slot {
                return Err(Misfit::Slot);
            }
            if application.by != author {
                return Err(Misfit::Sponsor);
            }
        }
        Ask::Remove { subject, reports } => {
            let of_its_time = |height: u64| height == place.height.0 || height.saturating_add(1) == place.height.0;
            let counts = |report: &Report| report.observer != *subject && of_its_time(report.place.height.0);
            if !reports.iter().all(counts) {
                return Err(Misfit::Report);
            }
        }
        Ask::Rekey(_) | Ask::Amend(_) | Ask::Revoke { .. } => {}
    }
    Ok(())
}

struct Resolver<'s, F> {
    at: &'s Standpoint<'s>,
    statements: F,
}

impl<'a, F: Fn(&StatementId) -> Option<&'a Statement>> Resolver<'_, F> {
    fn statement(&self, id: &StatementId) -> Result<&'a Statement, ResolveError> {
        (self.statements)(id).filter(|statement| statement.id() == *id).ok_or(Misfit::Missing.of(id))
    }

    fn fitting(&self, id: &StatementId) -> Result<&'a Statement, ResolveError> {
        let statement = self.statement(id)?;
        fits(self.at, statement).map_err(|why| why.of(id))?;
        Ok(statement)
    }

    fn by_member(&self, id: &StatementId) -> Result<&'a Statement, ResolveError> {
        let statement = self.statement(id)?;
        let member = self.at.roster.get(&statement.author());
        let is_member = member.is_some_and(|member| member.joined_at <= statement.place().height);
        if is_member { Ok(statement) } else { Err(Misfit::Author.of(id)) }
    }

    /// A proposal, which need not be one of this round.
    fn proposal(&self, id: &StatementId) -> Result<(&'a Statement, &'a Proposal), ResolveError> {
        let statement = self.statement(id)?;
        Ok((statement, statement.proposal().ok_or(Misfit::Kind.of(id))?))
    }

    fn ballot(&self, id: &StatementId) -> Result<(&'a Statement, &'a Ballot), ResolveError> {
        let statement = self.fitting(id)?;
        Ok((statement, statement.ballot().ok_or(Misfit::Kind.of(id))?))
    }

    /// Whose guest's rights a quorum of YES ends, and the height of it.
    fn revocation(&self, id: &StatementId, ballots: &BTreeSet<StatementId>) -> Result<(BotId, Height), ResolveError> {
        let statement = self.fitting(id)?;
        let Some(Proposal { ask: Ask::Remove { subject, .. } | Ask::Revoke { subject }, .. }) = statement.proposal()
        else {
            return Err(Misfit::Kind.of(id));
        };
        let (mut support, mut authors) = (Support::default(), BTreeSet::new());
        for name in ballots {
            let (ballot, answers) = self.ballot(name)?;
            if answers.answer(id) != Some(Answer::Yes) {
                return Err(Misfit::NoQuorum.of(name));
            }
            if !authors.insert(ballot.author()) {
                return Err(Misfit::Twice.of(name));
            }
            support.count(id, ballot);
        }
        if !support.has_quorum(self.at.roster, self.at.rules) {
            return Err(Misfit::NoQuorum.of(id));
        }
        Ok((*subject, statement.place().height))
    }
}

fn read_name(r: &mut FixedReader<'_>) -> Result<StatementId, LayoutError> {
    Ok(StatementId(*r.array()?))
}

/// Names in their one order. Memory grows with what is read, not with the count.
fn read_names(r: &mut FixedReader<'_>, count: u32) -> Result<BTreeSet<StatementId>, LayoutError> {
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let name = read_name(r)?;
        if names.last().is_some_and(|last| *last >= name) {
            return Err(LayoutError);
        }
        names.insert(name);
    }
    Ok(names)
}
