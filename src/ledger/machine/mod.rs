//! The machine: one bot's part in the ledger of its community.
//!
//! Statements of all members are collected and passed on; when a window is over, the members seal what was voted, and everybody
//! goes one height on. The host stores records, tells the time, and carries messages.

mod admit;
mod clock;
mod decisions;
mod events;
mod exchange;
mod join;
mod lost;
mod message;
mod owner;
mod peers;
mod piece;
mod pool;
mod records;
mod round;
mod seal;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use bytes::Bytes;

pub use admit::Refusal;
use clock::{Clock, spans};
pub use decisions::ExplainError;
pub use events::{Fork, LedgerAction, LedgerEvent, Question};
use join::Scope;
pub use join::{Applied, witnesses};
pub use message::{LedgerMessage, MAX_FRAME, Whole};
pub use owner::WishError;
pub(crate) use peers::Assembly;
pub use peers::Channel;
use peers::{COMPARISONS, Peer, Peers};
pub use piece::{Backing, Lock, MAX_PIECE, Offer, Piece, PieceId, Silence};
use pool::Pool;
pub use records::LedgerRestoreError;
use round::Round;

use super::certificate::{Certificate, Chain, ChainError, Genesis};
use super::guest::Guests;
use super::header::Outcome;
use super::ids::{HeaderId, Height, Place, StatementId, View};
use super::roster::{MembershipPath, Roster};
use super::rules::{Numbers, Rules};
use super::sealing::Voter;
use super::statement::{Answer, Application, Body, Statement};
use crate::crypto::{Crypto, Signer};
use crate::identity::{BotId, CommunityId, Identity};
use crate::time::UnixMillis;

/// Whether this key may have signed anything in this community before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journal {
    /// It never did: a founder at the founding, an applicant.
    New,
    /// It may have, and the records of it are lost: it promises nothing until the others told it what it had promised.
    Lost,
}

/// Counters since the start; they only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerStats {
    /// Statements that this bot signed.
    pub signed: u64,
    /// Pieces of others that were new and counted.
    pub taken: u64,
    /// Pieces that came again.
    pub known: u64,
    /// Pieces that did not count.
    pub refused: u64,
}

/// One bot's part in the ledger.
///
/// Every input takes the time of the wall clock; afterwards [`Ledger::poll`] says what to do. A community of one decides alone:
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::{sync::Arc, time::Duration};
/// use bytes::Bytes;
/// use interbot::crypto::{Crypto, Pure};
/// use interbot::ledger::*;
/// use interbot::{Identity, UnixMillis};
///
/// let me = Identity::from_seed([7; 32]);
/// let founding = Founding {
///     // A week takes 168 s, and every other span shrinks with it.
///     rules: Rules::preset(Preset::Village).with_vote_window(Duration::from_secs(168)),
///     founders: vec![me.id()],
///     opened_at: UnixMillis(0),
///     nonce: [1; 16],
///     text: Bytes::from_static(b"our village"),
/// };
/// let signature = founding.sign(&*Pure.signer(&[7; 32]));
/// let genesis = Genesis::new(founding, &[(me.id(), signature)], &Pure)?;
/// let mut ledger = Ledger::new(Arc::new(Pure), &me, &genesis, Journal::New, UnixMillis(0));
///
/// let rules = Rules { witnesses: 2, ..ledger.rules().clone() };
/// let question = ledger.propose(Ask::Amend(rules), Bytes::from_static(b"two will do"))?;
/// for second in 0..200 {
///     ledger.handle_tick(UnixMillis(second * 1000));
///     while let Some(action) = ledger.poll() {
///         match action {
///             LedgerAction::Persist { write, .. } => ledger.persisted(write), // once it is stored
///             LedgerAction::Notify(LedgerEvent::Proposed(asked)) => ledger.vote(asked.id, Some(Answer::Yes))?,
///             LedgerAction::Notify(_) => {}
///             LedgerAction::Send(channel) => while let Some(_message) = ledger.next_message(channel) {},
///         }
///     }
/// }
/// assert_eq!(ledger.outcome(&question), Some((Height(1), Outcome::Passed)));
/// assert_eq!(ledger.rules().witnesses, 2);
/// # Ok(())
/// # }
/// ```
pub struct Ledger {
    own: BotId,
    community: CommunityId,
    crypto: Arc<dyn Crypto>,
    signer: Box<dyn Signer>,
    genesis: Bytes,
    chain: Chain,
    /// What follows from the newest roster and rules.
    numbers: Numbers,
    /// The chain at earlier heights that statements may still stand on, the oldest first.
    past: VecDeque<Chain>,
    /// All headers' names, by height.
    headers: Vec<HeaderId>,
    /// All certificates, from height 1.
    certificates: Vec<Bytes>,
    clock: Clock,
    pool: Pool,
    round: Round,
    peers: Peers,
    guests: Guests,
    /// What was judged lately, and at which height it was.
    judged: BTreeMap<StatementId, Height>,
    /// How often a YES to a question was heard: as many as say it, or more.
    yes_heard: BTreeMap<StatementId, u32>,
    answers: BTreeMap<StatementId, Answer>,
    /// The number of the newest own ballot or endorsement.
    number: u64,
    /// The number of the newest own ballot.
    voted: u64,
    /// The height at which this bot last said that it is here.
    answered_at: Option<Height>,
    /// Whether the owner's answers changed since they were signed.
    unsaid: bool,
    /// When they were signed last.
    cast_at: Option<u64>,
    /// Own pieces that leave once they are durable.
    held: VecDeque<(u64, Piece)>,
    writes: u64,
    outbox: VecDeque<LedgerAction>,
    /// How much of a question's window was over when the owner was last reminded.
    reminded: BTreeMap<StatementId, u8>,
    /// When this bot last told a member what it had promised.
    recalled_at: BTreeMap<BotId, u64>,
    /// Members whose ballots wait, so that a replacement a second does not cost everybody one.
    held_back: BTreeMap<BotId, u64>,
    last_spread: BTreeMap<BotId, u64>,
    compared_at: u64,
    /// Whether what it promised is lost, and no height began before its eyes since.
    lost: bool,
    forked: Option<Box<Fork>>,
    /// This bot's own, until it is a member.
    application: Option<Application>,
    /// The question that it became.
    applied: Option<StatementId>,
    proofs: decisions::Proofs,
    stats: LedgerStats,
}

impl Ledger {
    /// Begins at the genesis, without records.
    #[must_use]
    pub fn new(
        crypto: Arc<dyn Crypto>,
        identity: &Identity,
        genesis: &Genesis,
        journal: Journal,
        now: UnixMillis,
    ) -> Self {
        let mut ledger = Self::start(crypto, identity, genesis, now);
        ledger.write_clock();
        ledger.write_guests();
        ledger.lost = journal == Journal::Lost;
        ledger.write_voter();
        // Last: with it there is a ledger, and nothing else may be missing then.
        ledger.persist(records::GENESIS.into(), ledger.genesis.clone());
        if ledger.lost {
            ledger.lose_promises();
        }
        ledger
    }

    fn start(crypto: Arc<dyn Crypto>, identity: &Identity, genesis: &Genesis, now: UnixMillis) -> Self {
        let chain = Chain::start(genesis);
        Self {
            own: identity.id(),
            community: genesis.community(),
            signer: crypto.signer(identity.seed()),
            crypto,
            genesis: genesis.to_bytes().into(),
            headers: alloc::vec![chain.place().header],
            numbers: chain.numbers(),
            chain,
            past: VecDeque::new(),
            certificates: Vec::new(),
            clock: Clock { wall: now, ..Clock::default() },
            pool: Pool::default(),
            round: Round::new(Voter::new()),
            peers: Peers::new(),
            guests: Guests::default(),
            judged: BTreeMap::new(),
            yes_heard: BTreeMap::new(),
            answers: BTreeMap::new(),
            number: 0,
            voted: 0,
            answered_at: None,
            unsaid: false,
            cast_at: None,
            held: VecDeque::new(),
            writes: 0,
            outbox: VecDeque::new(),
            reminded: BTreeMap::new(),
            recalled_at: BTreeMap::new(),
            held_back: BTreeMap::new(),
            last_spread: BTreeMap::new(),
            compared_at: 0,
            lost: false,
            forked: None,
            application: None,
            applied: None,
            proofs: VecDeque::new(),
            stats: LedgerStats::default(),
        }
    }

    // ---- what happened ----

    /// Tells that a link to a peer is open.
    pub fn handle_link_up(&mut self, now: UnixMillis, channel: Channel, peer: BotId) {
        self.link_up(now, channel, peer, Scope::Member);
    }

    /// Tells that an applicant opened a link: it hears heights and what concerns its application, and says no more than that it
    /// is there.
    pub fn handle_applicant_up(&mut self, now: UnixMillis, channel: Channel, applicant: BotId) {
        self.link_up(now, channel, applicant, Scope::Applicant);
        let concerned: Vec<(PieceId, u8)> = self
            .pool
            .iter()
            .filter(|(_, held)| self.concerns(&held.piece, &applicant))
            .map(|(id, held)| (*id, held.piece.rank()))
            .collect();
        if let Some(peer) = self.peers.get_mut(&channel) {
            concerned.into_iter().for_each(|(id, rank)| peer.offer(id, rank));
        }
        self.settle();
    }

    /// Tells that a link to the member is open at which this bot applies.
    pub fn handle_sponsor_up(&mut self, now: UnixMillis, channel: Channel, sponsor: BotId) {
        self.link_up(now, channel, sponsor, Scope::Sponsor);
    }

    fn link_up(&mut self, now: UnixMillis, channel: Channel, peer: BotId, scope: Scope) {
        self.tell_time(now);
        self.peers.insert(channel, Peer::new(peer, scope));
        self.say_here(channel);
        self.settle();
    }

    /// Tells that a link is closed.
    pub fn handle_link_down(&mut self, channel: Channel) {
        self.peers.remove(&channel);
    }

    /// Takes a peer's message. Pieces that do not count here are left out, and the first reason is told.
    ///
    /// # Errors
    /// [`Refusal`]; everything else in the message was taken.
    pub fn handle_message(&mut self, now: UnixMillis, channel: Channel, message: LedgerMessage) -> Result<(), Refusal> {
        self.tell_time(now);
        let result = self.take_message(channel, message);
        self.settle();
        result
    }

    /// Tells the time. Early and repeated calls do no harm.
    pub fn handle_tick(&mut self, now: UnixMillis) {
        self.tell_time(now);
        let unit = self.chain.rules().unit_ms();
        if self.clock.age(self.clock.saved) >= unit {
            self.write_clock();
        }
        if self.clock.age(self.compared_at) >= 2 * unit {
            self.compared_at = self.clock.elapsed;
            self.peers.values_mut().for_each(|peer| {
                peer.comparisons = COMPARISONS;
                peer.in_vain = peer.in_vain.saturating_add(u32::from(peer.asked.take().is_some()));
            });
            self.say_here_to_all();
        }
        self.spread_held_back();
        self.look_for_silent_ones();
        self.ask_for_listed();
        if self.round.view_since.is_none() && self.has_work() {
            self.round.view_since = Some(self.clock.elapsed);
        }
        self.remind();
        self.settle();
    }

    /// Tells that this write, and all before it, are durable: what waited for it leaves.
    pub fn persisted(&mut self, write: u64) {
        while self.held.front().is_some_and(|(needed, _)| *needed <= write) {
            let Some((_, piece)) = self.held.pop_front() else { break };
            if let Piece::Statement(statement) = &piece
                && let Some(ballot) = statement.ballot()
            {
                self.notify(LedgerEvent::Voted { answers: ballot.answers.clone() });
            }
            // One of an older height has come too late by itself.
            let id = piece.id();
            if self.admit(piece, None).is_err() {
                self.forget_record(&id);
            }
        }
        self.settle();
    }

    /// When to tell the time again.
    #[must_use]
    pub fn wake_at(&self) -> UnixMillis {
        /// No clock ticks faster.
        const LEAST: u64 = 5;
        let unit = self.chain.rules().unit_ms();
        let is_busy = self.pool.len() > 0 || self.round.view_since.is_some();
        let span = if is_busy { unit / 4 } else { unit };
        UnixMillis(self.clock.wall.0.saturating_add(span.max(LEAST)))
    }

    /// What to do next; nothing when all is done.
    pub fn poll(&mut self) -> Option<LedgerAction> {
        self.outbox.pop_front()
    }

    /// The next message for a peer whose link has room.
    pub fn next_message(&mut self, channel: Channel) -> Option<LedgerMessage> {
        let (own, pool) = (self.chain.place(), &self.pool);
        self.peers.get_mut(&channel)?.next(own, pool, &self.certificates)
    }

    // ---- what it knows ----

    pub(crate) fn crypto(&self) -> &dyn Crypto {
        &*self.crypto
    }

    /// The community.
    #[must_use]
    pub const fn community(&self) -> &CommunityId {
        &self.community
    }

    /// How everything began: the bytes of the [`Genesis`].
    #[must_use]
    pub const fn genesis(&self) -> &Bytes {
        &self.genesis
    }

    /// The newest height.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.chain.place()
    }

    /// Where the community stood at a height.
    #[must_use]
    pub fn place_at(&self, height: Height) -> Option<Place> {
        let header = *self.headers.get(usize::try_from(height.0).ok()?)?;
        Some(Place { height, header })
    }

    /// Whether a key proves that it was a member at a place, as far as this bot can tell: nothing when it cannot.
    #[must_use]
    pub fn proves_membership(&self, key: &BotId, place: Place, path: &[u8]) -> Option<bool> {
        let then = self.chain_at(place.height).filter(|chain| chain.place() == place)?;
        let path = MembershipPath::from_bytes(path).ok();
        let len = u32::try_from(then.roster().members().len()).unwrap_or(u32::MAX);
        Some(path.is_some_and(|path| path.member.key == *key && path.leads_to(&then.roster().root(), len)))
    }

    /// Whether a member's guest rights ended by a vote, though it is in the roster until the next height.
    #[must_use]
    pub fn is_revoked(&self, key: &BotId) -> bool {
        let joined = self.chain.roster().get(key).map(|member| member.joined_at);
        joined.is_some_and(|joined| self.guests.revoked(key).is_some_and(|at| at >= joined))
    }

    /// All keys that have a guest's rights.
    pub fn guests(&self) -> impl Iterator<Item = BotId> {
        self.guests.keys().filter(|key| self.guests.is_guest(key))
    }

    /// All members.
    #[must_use]
    pub const fn roster(&self) -> &Roster {
        self.chain.roster()
    }

    /// The rules.
    #[must_use]
    pub const fn rules(&self) -> &Rules {
        self.chain.rules()
    }

    /// The chain.
    #[must_use]
    pub const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// A certificate, by its height from 1.
    #[must_use]
    pub fn certificate(&self, height: Height) -> Option<&Bytes> {
        self.certificates.get(usize::try_from(height.0).ok()?.checked_sub(1)?)
    }

    /// Questions that have no answer yet, the oldest first.
    #[must_use]
    pub fn questions(&self) -> Vec<Question> {
        let mut open: Vec<_> =
            self.pool.proposals().map(|(statement, _, since)| (since, self.question(statement, since))).collect();
        open.sort_by_key(|(since, question)| (*since, question.id));
        open.into_iter().map(|(_, question)| question).collect()
    }

    /// What members answered to a question so far, as far as this bot knows; until the sealing each may change its answer.
    pub fn votes(&self, question: &StatementId) -> impl Iterator<Item = (BotId, Answer)> {
        let answers =
            self.pool.ballots().filter_map(|ballot| Some((ballot.author(), ballot.ballot()?.answer(question)?)));
        answers.collect::<Vec<_>>().into_iter()
    }

    /// Whether a key has a guest's rights.
    #[must_use]
    pub fn is_guest(&self, key: &BotId) -> bool {
        self.guests.is_guest(key)
    }

    /// Two stories of one height, when somebody showed them; the ledger has stopped then.
    #[must_use]
    pub fn fork(&self) -> Option<&Fork> {
        self.forked.as_deref()
    }

    /// The view in which this bot is, and whether the round is being sealed.
    #[must_use]
    pub const fn view(&self) -> (View, bool) {
        (self.round.voter.view(), self.round.view_since.is_some())
    }

    /// Counters.
    #[must_use]
    pub const fn stats(&self) -> LedgerStats {
        self.stats
    }

    /// How many pieces are held.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pool.len()
    }

    /// How many pieces peers are known to have, each counted for each peer; with [`Ledger::pieces`] what is held.
    #[must_use]
    pub fn known_pieces(&self) -> usize {
        self.peers.values().map(Peer::known).sum()
    }

    // ---- inside ----

    fn tell_time(&mut self, now: UnixMillis) {
        self.clock.tick(now, self.chain.rules());
    }

    fn notify(&mut self, event: LedgerEvent) {
        self.outbox.push_back(LedgerAction::Notify(event));
    }

    /// After every input: what has become possible is done, and whoever is to be told is.
    fn settle(&mut self) {
        self.advance();
        self.answer_by_itself();
        let own = self.chain.place();
        for (channel, peer) in &self.peers {
            let already = self.outbox.iter().any(|action| *action == LedgerAction::Send(*channel));
            if peer.has_something(own) && !already {
                self.outbox.push_back(LedgerAction::Send(*channel));
            }
        }
    }

    /// Signs what was promised, makes both durable, and lets the statement go then.
    fn promise(&mut self, body: Body) {
        self.write_voter();
        self.say(body);
    }

    /// Signs something that leaves once it is durable.
    fn say(&mut self, body: Body) -> Option<StatementId> {
        let place = self.chain.place();
        let statement = Statement::new(&self.community, self.own, place, body, &*self.signer).ok()?;
        let id = statement.id();
        self.hold(Piece::Statement(Arc::new(statement)));
        Some(id)
    }

    fn hold(&mut self, piece: Piece) {
        self.stats.signed += 1;
        self.write_piece(&piece.id(), &piece, self.clock.elapsed);
        self.held.push_back((self.writes, piece));
    }

    /// Goes one height on.
    fn follow(&mut self, certificate: &Certificate) -> Result<(), ChainError> {
        if self.forked.is_some() {
            return Err(ChainError::Previous);
        }
        let before = self.chain.clone();
        self.chain.follow(certificate, &*self.crypto)?;
        self.numbers = self.chain.numbers();
        let place = self.chain.place();
        self.headers.push(place.header);
        let bytes = Bytes::from(certificate.to_bytes());
        self.persist(records::certificate_key(place.height), bytes.clone());
        self.certificates.push(bytes);
        self.keep_proof(certificate);
        let were_members: BTreeSet<BotId> = before.roster().members().iter().map(|member| member.key).collect();
        let is_member_before = |key: &BotId| were_members.contains(key);
        self.past.push_back(before);
        // Statements stand on this many heights before the newest, reports on one more.
        let kept = usize::from(self.chain.rules().stale_after) + 2;
        while self.past.len() > kept {
            self.past.pop_front();
        }
        // Where the next height is known to begin only now, nothing was promised yet.
        self.lost &= !self.round.is_next_new;
        if self.chain.roster().get(&self.own).is_some() && self.application.take().is_some() {
            self.persist(records::APPLICATION.into(), Bytes::new());
            // Nor by one that comes in by the application that it remembers.
            let is_ours = |id: StatementId| certificate.header.outcomes.iter().any(|(other, _)| *other == id);
            self.lost &= !self.applied.is_some_and(is_ours);
        }
        if self.round.proof.is_some() {
            self.forget_lock();
        }
        self.round = Round::new(Voter::new());
        self.pool.unlist();
        self.write_voter();
        if self.lost {
            self.lose_promises();
        }
        self.close_questions(certificate);
        self.sweep();
        // Another roster has another quorum.
        let open: Vec<StatementId> = self.pool.proposals().map(|(statement, _, _)| statement.id()).collect();
        self.look_for_grants(&open);
        let header = &certificate.header;
        let is_active = self.chain.roster().get_active(&self.own).is_some();
        self.notify(LedgerEvent::Height {
            height: header.height,
            departed: header.changes.departed.iter().map(|(key, _)| *key).collect(),
            admitted: header.changes.admitted.iter().map(|(key, _)| *key).collect(),
            dormant: header.changes.dormant.clone(),
            woken: header.changes.woken.clone(),
            is_active,
        });
        let pool = &self.pool;
        self.peers.values_mut().for_each(|peer| peer.turn_over(pool));
        self.say_here_to_all();
        // Whoever is out loses its links and can ask nobody: it is told without being asked. One that is out itself tells all:
        // they may have heard of the others' Commits through it alone.
        let roster = self.chain.roster();
        let goes = |key: &BotId| is_member_before(key) && roster.get(key).is_none();
        let tells_all = goes(&self.own);
        for peer in self.peers.values_mut().filter(|peer| tells_all || goes(&peer.key)) {
            let last = Height(header.height.0.saturating_sub(1));
            let after = peer.place.map_or(last, |place| place.height.min(last));
            peer.send_certificates(Some(after), header.height, &self.genesis);
        }
        Ok(())
    }

    fn close_questions(&mut self, certificate: &Certificate) {
        let header = &certificate.header;
        for (proposal, outcome) in &header.outcomes {
            self.judged.insert(*proposal, header.height);
            self.answers.remove(proposal);
            self.reminded.remove(proposal);
            self.guests.close(*proposal);
            self.notify(LedgerEvent::Decided { proposal: *proposal, outcome: *outcome, height: header.height });
        }
        let oldest = Height(header.height.0.saturating_sub(u64::from(self.chain.rules().stale_after)));
        // A proposal is judged at its own height at the earliest: later than this nobody can bring it back.
        self.judged.retain(|_, at| *at >= oldest);
        self.guests.forget_below(oldest);
        self.write_guests();
    }

    /// Forgets what does not count at the new height.
    fn sweep(&mut self) {
        // Once for the proposals, once for what speaks about them.
        for _ in 0..2 {
            let gone: Vec<(PieceId, bool)> = self
                .pool
                .iter()
                .filter(|(_, held)| self.check(&held.piece).is_err())
                .map(|(id, held)| (*id, matches!(pool::slot(&held.piece), pool::Slot::Proposal(..))))
                .collect();
            for (id, was_proposal) in gone {
                self.pool.forget(&id);
                self.forget_record(&id);
                let proposal = StatementId(id.0);
                if was_proposal && !self.judged.contains_key(&proposal) {
                    self.answers.remove(&proposal);
                    self.reminded.remove(&proposal);
                    self.guests.close(proposal);
                    self.notify(LedgerEvent::Stale { proposal });
                }
            }
        }
        let roster = self.chain.roster();
        self.yes_heard.retain(|id, _| self.pool.get(&PieceId::from(*id)).is_some());
        self.last_spread.retain(|author, _| roster.get(author).is_some());
        self.recalled_at.retain(|member, _| roster.get(member).is_some());
        self.held_back.retain(|author, _| roster.get(author).is_some());
    }

    /// What became of a question, for as long as anybody could ask again.
    #[must_use]
    pub fn outcome(&self, proposal: &StatementId) -> Option<(Height, Outcome)> {
        let height = *self.judged.get(proposal)?;
        let certificate = Certificate::from_bytes(self.certificate(height)?).ok()?;
        let at = certificate.header.outcomes.binary_search_by_key(proposal, |(id, _)| *id).ok()?;
        Some((height, certificate.header.outcomes[at].1))
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("own", &self.own)
            .field("place", &self.chain.place())
            .field("pieces", &self.pool.len())
            .field("voter", &self.round.voter)
            .finish_non_exhaustive()
    }
}
