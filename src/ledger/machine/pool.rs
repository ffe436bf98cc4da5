//! Everything that is held between two certificates: bounded by what members may say, and the same wherever it arrived in
//! whatever order.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::piece::{Piece, PieceId};
use crate::crypto::sha256;
use crate::identity::BotId;
use crate::ledger::evidence::Evidence;
use crate::ledger::ids::{Height, StatementId, View};
use crate::ledger::statement::{Ask, Ballot, Body, Proposal, Statement};

/// Parts of the pool that are compared with a peer's one by one.
pub(super) const BUCKETS: usize = 64;

/// Replaced statements of one author that are kept for the offers that list them: more only a liar has.
const KEPT_OF_ONE: usize = 256;

/// What a bucket holds, as a hash.
pub(super) type Digest = [u8; 16];

/// A place for pieces of which one or two are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    Proposal(BotId, Height, u8),
    Ballot(BotId),
    Withdraw(StatementId),
    Accept(StatementId),
    Wake(BotId),
    Leave(BotId),
    Endorse(BotId, StatementId),
    Seal(View, BotId),
    Ack(View, BotId),
    Commit(View, BotId),
    Status(View, BotId),
    Evidence(BotId),
    Backing(StatementId),
    Silence(BotId, BotId),
    Lock(View),
    Witness(BotId, StatementId),
    Lost(BotId),
    Recall(BotId, BotId),
}

/// What decides between pieces of one slot, before their names do.
pub(super) fn number(piece: &Piece) -> u64 {
    match piece {
        Piece::Statement(statement) => match statement.body() {
            Body::Ballot(Ballot { number, .. })
            | Body::Endorse { number, .. }
            | Body::Lost { number }
            | Body::Recall { number, .. } => *number,
            _ => 0,
        },
        Piece::Silence(silence) => silence.report.place.height.0,
        Piece::Offer(_) | Piece::Evidence(_) | Piece::Backing(_) | Piece::Lock(_) => 0,
    }
}

pub(super) fn slot(piece: &Piece) -> Slot {
    match piece {
        Piece::Statement(statement) => of_statement(statement),
        Piece::Offer(offer) => of_statement(&offer.seal),
        Piece::Evidence(evidence) => Slot::Evidence(evidence.author()),
        Piece::Backing(backing) => Slot::Backing(backing.proposal),
        Piece::Silence(silence) => Slot::Silence(silence.report.observer, silence.subject),
        Piece::Lock(lock) => Slot::Lock(lock.proof.view()),
    }
}

fn of_statement(statement: &Statement) -> Slot {
    let author = statement.author();
    match statement.body() {
        Body::Proposal(Proposal { slot, .. }) => Slot::Proposal(author, statement.place().height, *slot),
        Body::Ballot(_) => Slot::Ballot(author),
        Body::Withdraw(proposal) => Slot::Withdraw(*proposal),
        Body::Accept(proposal) => Slot::Accept(*proposal),
        Body::Wake => Slot::Wake(author),
        Body::Leave => Slot::Leave(author),
        Body::Endorse { proposal, .. } => Slot::Endorse(author, *proposal),
        Body::Seal { view, .. } => Slot::Seal(*view, author),
        Body::Ack { view, .. } => Slot::Ack(*view, author),
        Body::Commit { view, .. } => Slot::Commit(*view, author),
        Body::Status { view, .. } => Slot::Status(*view, author),
        Body::Witness(proposal) => Slot::Witness(author, *proposal),
        Body::Lost { .. } => Slot::Lost(author),
        Body::Recall { subject, .. } => Slot::Recall(author, *subject),
    }
}

/// Of how many pieces a slot shows that they conflict: the second is kept beside the first.
const fn room(slot: &Slot) -> usize {
    match slot {
        Slot::Withdraw(_)
        | Slot::Accept(_)
        | Slot::Wake(_)
        | Slot::Leave(_)
        | Slot::Evidence(_)
        | Slot::Backing(_)
        | Slot::Silence(..)
        | Slot::Lock(_)
        | Slot::Witness(..)
        | Slot::Lost(_)
        | Slot::Recall(..) => 1,
        _ => 2,
    }
}

/// A piece that is held.
#[derive(Clone, Debug)]
pub(super) struct Held {
    pub(super) piece: Piece,
    /// When it came, on the ledger's own count of time.
    pub(super) since: u64,
}

/// What became of a piece.
#[derive(Debug, Default)]
pub(super) struct Put {
    pub(super) is_new: bool,
    /// What it replaced.
    pub(super) dropped: Vec<PieceId>,
    /// What it shows together with others.
    pub(super) evidence: Option<Evidence>,
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    pieces: BTreeMap<PieceId, Held>,
    slots: BTreeMap<Slot, Vec<PieceId>>,
    /// Statements that are held inside other pieces, and in which.
    inner: BTreeSet<(StatementId, PieceId)>,
    /// What offers of this height list.
    listed: BTreeSet<StatementId>,
    /// What they list of that, and newer ones of its authors replaced here.
    kept: BTreeMap<StatementId, Arc<Statement>>,
    /// Ballots' numbers and since when they are held: the one before the newest that settled, and the newest.
    settling: BTreeMap<BotId, [(u64, u64); 2]>,
    /// Nothing for a bucket that changed since.
    digests: BTreeMap<usize, Digest>,
}

impl Pool {
    /// Puts a piece in that was checked; `settling` is how long a ballot takes to settle.
    pub(super) fn put(&mut self, id: PieceId, piece: Piece, since: u64, settling: u64) -> Put {
        let mut put = Put::default();
        if self.pieces.contains_key(&id) {
            return put;
        }
        let at = slot(&piece);
        let mut kept = self.slots.get(&at).cloned().unwrap_or_default();
        let newest = kept.first().map(|other| number(&self.pieces[other].piece));
        if newest.is_some_and(|newest| number(&piece) < newest) {
            self.keep(&piece);
            return put;
        }
        put.evidence = self.conflict(&piece, &kept);
        if newest.is_some_and(|newest| number(&piece) > newest) {
            put.dropped = core::mem::take(&mut kept);
        }
        let place = kept.binary_search(&id).unwrap_or_else(|place| place);
        kept.insert(place, id);
        put.dropped.extend(kept.split_off(kept.len().min(room(&at))));
        put.is_new = !put.dropped.contains(&id);
        for gone in put.dropped.clone() {
            self.take(&gone);
        }
        put.dropped.retain(|gone| *gone != id);
        if put.is_new {
            if let (Slot::Ballot(author), Piece::Statement(statement)) = (at, &piece) {
                self.settle(author, statement.ballot().map_or(0, |ballot| ballot.number), since, settling);
            }
            self.inner.extend(piece.inner().iter().map(|statement| (statement.id(), id)));
            self.touch(&id);
            self.pieces.insert(id, Held { piece, since });
        }
        if kept.is_empty() {
            self.slots.remove(&at);
        } else {
            self.slots.insert(at, kept);
        }
        put
    }

    /// What a piece and others of its author show.
    fn conflict(&self, piece: &Piece, same_slot: &[PieceId]) -> Option<Evidence> {
        let statement = convicting(piece)?;
        let author = statement.author();
        let first = View(0);
        let others: Vec<PieceId> = match statement.body() {
            // A Status speaks about all Commits before it.
            Body::Status { view, .. } => {
                let earlier = self.slots.range(Slot::Commit(first, author)..Slot::Commit(*view, author));
                earlier.filter(|(slot, _)| is_by(slot, &author)).flat_map(|(_, ids)| ids.iter().copied()).collect()
            }
            Body::Commit { view, .. } => {
                let later = self.slots.range(Slot::Status(*view, author)..Slot::Evidence(author));
                later.filter(|(slot, _)| is_by(slot, &author)).flat_map(|(_, ids)| ids.iter().copied()).collect()
            }
            _ => Vec::new(),
        };
        let all = same_slot.iter().chain(&others).filter_map(|id| convicting(&self.pieces.get(id)?.piece));
        all.into_iter().find_map(|other| Evidence::of(other, statement))
    }

    fn settle(&mut self, author: BotId, number: u64, since: u64, settling: u64) {
        let pairs = self.settling.entry(author).or_insert([(0, since), (number, since)]);
        let [_, newest] = *pairs;
        // One that is replaced before it settled is not asked for, and the one after it is, once it settles.
        if number > newest.0 && since.saturating_sub(newest.1) >= settling {
            *pairs = [newest, (number, since)];
        }
    }

    /// The least number that a complete list has of an author: the newest that is held for so long.
    pub(super) fn settled_number(&self, author: &BotId, now: u64, settling: u64) -> Option<u64> {
        let pairs = self.settling.get(author)?;
        pairs
            .iter()
            .rev()
            .find(|(number, since)| *number > 0 && now.saturating_sub(*since) >= settling)
            .map(|(n, _)| *n)
    }

    pub(super) fn forget(&mut self, id: &PieceId) {
        if let Some(at @ Slot::Ballot(author)) = self.take(id)
            && !self.slots.contains_key(&at)
        {
            self.settling.remove(&author);
        }
    }

    /// Takes a piece out of its slot.
    fn take(&mut self, id: &PieceId) -> Option<Slot> {
        let held = self.pieces.remove(id)?;
        self.keep(&held.piece);
        self.touch(id);
        for statement in held.piece.inner() {
            self.inner.remove(&(statement.id(), *id));
        }
        let at = slot(&held.piece);
        if let Some(kept) = self.slots.get_mut(&at) {
            kept.retain(|other| other != id);
            if kept.is_empty() {
                self.slots.remove(&at);
            }
        }
        Some(at)
    }

    /// Keeps these statements, although newer ones of their authors may come: an offer lists them.
    pub(super) fn list(&mut self, names: impl IntoIterator<Item = StatementId>) {
        self.listed.extend(names);
    }

    /// At a new height nothing is listed.
    pub(super) fn unlist(&mut self) {
        self.listed.clear();
        self.kept.clear();
    }

    fn keep(&mut self, piece: &Piece) {
        let Piece::Statement(statement) = piece else { return };
        let of_author = self.kept.values().filter(|other| other.author() == statement.author()).count();
        if self.listed.contains(&statement.id()) && of_author < KEPT_OF_ONE {
            self.kept.insert(statement.id(), statement.clone());
        }
    }

    /// What a peer gets that asks for a piece, or for a statement that an offer lists, and its rank.
    pub(super) fn bytes(&self, id: &PieceId) -> Option<(Bytes, u8)> {
        if let Some(held) = self.pieces.get(id) {
            return Some((held.piece.to_bytes(), held.piece.rank()));
        }
        let kept = Piece::Statement(self.kept.get(&StatementId(id.0))?.clone());
        Some((kept.to_bytes(), kept.rank()))
    }

    pub(super) fn get(&self, id: &PieceId) -> Option<&Held> {
        self.pieces.get(id)
    }

    /// A statement, alone or inside another piece.
    pub(super) fn statement(&self, id: &StatementId) -> Option<&Statement> {
        if let Some(Held { piece: Piece::Statement(statement), .. }) = self.pieces.get(&PieceId::from(*id)) {
            return Some(statement);
        }
        if let Some(statement) = self.kept.get(id) {
            return Some(statement);
        }
        let (_, within) = self.inner.range((*id, PieceId([0; 32]))..).next().filter(|(inner, _)| inner == id)?;
        self.pieces.get(within)?.piece.inner().iter().find(|statement| statement.id() == *id)
    }

    pub(super) fn in_slot(&self, slot: &Slot) -> impl Iterator<Item = &Held> {
        self.slots.get(slot).into_iter().flatten().filter_map(|id| self.pieces.get(id))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&PieceId, &Held)> {
        self.pieces.iter()
    }

    /// Pieces by slot, from one slot on.
    fn from(&self, first: Slot) -> impl Iterator<Item = (&Slot, &Held)> {
        let slots = self.slots.range(first..);
        slots.flat_map(move |(slot, ids)| ids.iter().filter_map(move |id| Some((slot, self.pieces.get(id)?))))
    }

    /// All proposals, by sponsor, height and slot.
    pub(super) fn proposals(&self) -> impl Iterator<Item = (&Arc<Statement>, &Proposal, u64)> {
        let of_kind = self.slots.iter().take_while(|(slot, _)| matches!(slot, Slot::Proposal(..)));
        of_kind.flat_map(|(_, ids)| ids).filter_map(|id| {
            let held = self.pieces.get(id)?;
            let Piece::Statement(statement) = &held.piece else { return None };
            Some((statement, statement.proposal()?, held.since))
        })
    }

    /// Each author's newest ballot; the smaller one of a pair.
    pub(super) fn ballots(&self) -> impl Iterator<Item = &Arc<Statement>> {
        let of_kind = self.slots.iter().skip_while(|(slot, _)| matches!(slot, Slot::Proposal(..)));
        let of_kind = of_kind.take_while(|(slot, _)| matches!(slot, Slot::Ballot(_)));
        of_kind.filter_map(|(_, ids)| match &self.pieces.get(ids.first()?)?.piece {
            Piece::Statement(statement) => Some(statement),
            _ => None,
        })
    }

    pub(super) fn ballot(&self, author: &BotId) -> Option<&Arc<Statement>> {
        match &self.in_slot(&Slot::Ballot(*author)).next()?.piece {
            Piece::Statement(statement) => Some(statement),
            _ => None,
        }
    }

    /// Withdraw, Accept, Wake, Leave and Endorse.
    pub(super) fn items(&self) -> impl Iterator<Item = (&Arc<Statement>, u64)> {
        let is_item = |slot: &Slot| {
            matches!(slot, Slot::Withdraw(_) | Slot::Accept(_) | Slot::Wake(_) | Slot::Leave(_) | Slot::Endorse(..))
        };
        let first = Slot::Withdraw(StatementId([0; 32]));
        self.from(first).take_while(move |(slot, _)| is_item(slot)).filter_map(|(_, held)| match &held.piece {
            Piece::Statement(statement) => Some((statement, held.since)),
            _ => None,
        })
    }

    /// Members that lost their records, and the numbers under which they said so.
    pub(super) fn lost(&self) -> impl Iterator<Item = (BotId, u64)> {
        let first = Slot::Lost(BotId::proved([0; 32]));
        self.slots.range(first..).map_while(|(slot, ids)| match slot {
            Slot::Lost(member) => Some((*member, number(&self.pieces.get(ids.first()?)?.piece))),
            _ => None,
        })
    }

    pub(super) fn evidence(&self) -> impl Iterator<Item = (&Arc<Evidence>, u64)> {
        self.pieces.values().filter_map(|held| match &held.piece {
            Piece::Evidence(evidence) => Some((evidence, held.since)),
            _ => None,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }

    fn touch(&mut self, id: &PieceId) {
        self.digests.remove(&bucket(id));
    }

    /// The names in a bucket, sorted.
    pub(super) fn bucket(&self, at: usize) -> impl Iterator<Item = &PieceId> {
        let mut first = [0; 32];
        first[0] = u8::try_from(at << 2).unwrap_or(u8::MAX);
        self.pieces.range(PieceId(first)..).map(|(id, _)| id).take_while(move |id| bucket(id) == at)
    }

    /// What the pool holds; two with the same answer hold the same.
    pub(super) fn digest(&mut self) -> Digest {
        shorten(&sha256(&self.digests().each_ref().map(|digest| &digest[..])))
    }

    /// What each bucket holds.
    pub(super) fn digests(&mut self) -> [Digest; BUCKETS] {
        core::array::from_fn(|at| {
            if let Some(digest) = self.digests.get(&at) {
                return *digest;
            }
            let names: Vec<&[u8]> = self.bucket(at).map(|id| &id.0[..]).collect();
            let digest = shorten(&sha256(&names));
            self.digests.insert(at, digest);
            digest
        })
    }

    /// Members whose removal is asked for.
    pub(super) fn subjects_of_removals(&self) -> BTreeSet<BotId> {
        self.proposals()
            .filter_map(|(_, proposal, _)| match &proposal.ask {
                Ask::Remove { subject, .. } => Some(*subject),
                _ => None,
            })
            .collect()
    }
}

fn shorten(hash: &[u8; 32]) -> Digest {
    *hash.first_chunk().expect("a hash is longer")
}

pub(super) fn bucket(id: &PieceId) -> usize {
    usize::from(id.0[0] >> 2)
}

fn is_by(slot: &Slot, author: &BotId) -> bool {
    match slot {
        Slot::Commit(_, by) | Slot::Status(_, by) => by == author,
        _ => false,
    }
}

/// The statement in a piece that can convict its author together with another.
fn convicting(piece: &Piece) -> Option<&Statement> {
    match piece {
        Piece::Statement(statement) => Some(statement),
        Piece::Offer(offer) => Some(&offer.seal),
        Piece::Evidence(_) | Piece::Backing(_) | Piece::Silence(_) | Piece::Lock(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::{Crypto, Pure};
    use crate::identity::CommunityId;
    use crate::ledger::ids::{HeaderId, Place};
    use crate::ledger::machine::piece::Backing;
    use crate::ledger::statement::Answer;

    const HERE: Place = Place { height: Height(3), header: HeaderId([1; 32]) };
    /// What a ballot takes to settle.
    const U: u64 = 100;

    fn key(seed: u8) -> BotId {
        crate::identity::Identity::from_seed([seed; 32]).id()
    }

    fn statement(seed: u8, body: Body) -> Statement {
        let community = CommunityId::from_bytes([7; 32]);
        Statement::new(&community, key(seed), HERE, body, &*Pure.signer(&[seed; 32])).expect("in order")
    }

    fn ballot(seed: u8, number: u64) -> Statement {
        statement(seed, Body::Ballot(Ballot { number, answers: Vec::new() }))
    }

    fn put(pool: &mut Pool, piece: Piece, since: u64) -> Put {
        pool.put(piece.id(), piece, since, U)
    }

    #[test]
    fn a_ballot_that_settled_is_asked_for_until_its_replacement_did() {
        let mut pool = Pool::default();
        let cast = |pool: &mut Pool, number, since| {
            assert!(put(pool, Piece::Statement(Arc::new(ballot(1, number))), since).is_new);
        };
        cast(&mut pool, 5, 1_000);
        assert_eq!(pool.settled_number(&key(1), 1_000 + U - 1, U), None);
        assert_eq!(pool.settled_number(&key(1), 1_000 + U, U), Some(5));
        cast(&mut pool, 6, 2_000);
        assert_eq!(pool.settled_number(&key(1), 2_000 + U - 1, U), Some(5));
        // Replaced before it settled: the one before is asked for all the same, and then this number or more.
        cast(&mut pool, 7, 2_010);
        assert_eq!(pool.settled_number(&key(1), 2_011, U), Some(5));
        assert_eq!(pool.settled_number(&key(1), 2_010 + U, U), Some(6));
        let held = pool.ballot(&key(1)).expect("the newest").id();
        pool.forget(&held.into());
        assert_eq!(pool.settled_number(&key(1), 9_000, U), None);
    }

    /// Ballots of two authors, as the pool ends up with them.
    fn pooled(ballots: &[Statement]) -> Pool {
        let mut pool = Pool::default();
        for ballot in ballots {
            put(&mut pool, Piece::Statement(Arc::new(ballot.clone())), 0);
        }
        pool
    }

    fn names(pool: &Pool) -> Vec<PieceId> {
        pool.iter().map(|(id, _)| *id).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn inv18_ballots_are_a_join(picks in prop::collection::vec((1_u8..3, 1_u64..4, 0_u8..4), 0..12), cut in 0_usize..12) {
            let vote = |answer: u8| [(StatementId([answer; 32]), Answer::Yes)].into();
            let cast = |(seed, number, answer)| statement(seed, Body::Ballot(Ballot { number, answers: vote(answer) }));
            let all: Vec<Statement> = picks.into_iter().map(cast).collect();
            let (left, right) = all.split_at(cut.min(all.len()));
            let both = names(&pooled(&all));
            prop_assert_eq!(&names(&pooled(&[right, left].concat())), &both, "commutative");
            prop_assert_eq!(&names(&pooled(&[&all[..], &all].concat())), &both, "idempotent");
            // What one pool kept of them and another one joins to the same.
            let kept = |ballots: &[Statement]| -> Vec<Statement> {
                pooled(ballots).iter().map(|(_, held)| match &held.piece {
                    Piece::Statement(statement) => (**statement).clone(),
                    other => panic!("{other:?}"),
                }).collect()
            };
            prop_assert_eq!(&names(&pooled(&[kept(left), kept(right)].concat())), &both, "associative");
            for seed in 1..3 {
                let of_author = kept(&all).iter().filter(|ballot| ballot.author() == key(seed)).count();
                prop_assert!(of_author <= 2);
            }
        }

        #[test]
        fn inv33_two_ballots_with_one_number_are_evidence_when_the_second_comes(numbers in prop::collection::vec(1_u64..4, 2..6)) {
            let mut pool = Pool::default();
            let mut newest = Vec::new();
            for (at, number) in numbers.into_iter().enumerate() {
                let answers = [(StatementId([at as u8; 32]), Answer::Yes)].into();
                let ballot = statement(1, Body::Ballot(Ballot { number, answers }));
                let evidence = put(&mut pool, Piece::Statement(Arc::new(ballot)), 0).evidence;
                prop_assert_eq!(evidence.is_some(), newest.last() == Some(&number), "{:?} and {}", newest, number);
                if newest.last().is_none_or(|last| *last <= number) {
                    newest.push(number);
                }
            }
        }
    }

    #[test]
    fn a_statement_inside_two_pieces_is_found_until_both_are_gone() {
        let backing = |proposal: u8, authors: &[u8]| {
            let mut statements: Vec<_> = authors.iter().map(|seed| ballot(*seed, 5)).collect();
            statements.sort_by_key(Statement::id);
            Piece::Backing(Arc::new(Backing { proposal: StatementId([proposal; 32]), height: HERE.height, statements }))
        };
        let mut pool = Pool::default();
        let (one, other) = (backing(1, &[1, 2]), backing(2, &[2, 3]));
        put(&mut pool, one.clone(), 0);
        put(&mut pool, other.clone(), 0);
        let shared = ballot(2, 5).id();
        for gone in [&other, &one] {
            assert!(pool.statement(&shared).is_some());
            pool.forget(&gone.id());
        }
        assert!(pool.statement(&shared).is_none() && pool.statement(&ballot(1, 5).id()).is_none());
    }
}
