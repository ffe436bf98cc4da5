//! What a ledger keeps across restarts. Every record says whose it is and ends with a hash of itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::Bytes;

use super::events::LedgerAction;
use super::piece::{Piece, PieceId};
use super::pool::Slot;
use super::round::Round;
use super::{Ledger, spans};
use crate::crypto::{Crypto, sha256};
use crate::identity::{BotId, Identity};
use crate::ledger::certificate::{Certificate, Genesis};
use crate::ledger::guest::Guests;
use crate::ledger::ids::{HeaderId, Height, Place};
use crate::ledger::sealing::{AckProof, Voter};
use crate::ledger::statement::{Ballot, Body, MAX_ANSWERS, Statement};
use crate::time::UnixMillis;
use crate::wire::FixedReader;

pub(super) const GENESIS: &[u8] = b"ledger/genesis";
const CLOCK: &[u8] = b"ledger/clock";
const ANSWERS: &[u8] = b"ledger/answers";
const LOCK: &[u8] = b"ledger/lock";
const GUESTS: &[u8] = b"ledger/guests";
const VOTER: &[u8] = b"ledger/voter";
pub(super) const APPLICATION: &[u8] = b"ledger/application";
pub(super) const FORK: &[u8] = b"ledger/fork";
const CERTIFICATE: &str = "ledger/height/";
const PROOF: &str = "ledger/proof/";
const PIECE: &str = "ledger/piece/";

const FORMAT: u8 = 1;
const HASH: usize = 8;

/// Why a ledger cannot go on from its records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerRestoreError {
    /// A record's value cannot be read.
    #[error(
        "the record `{0}` is damaged: start without records from the genesis, as one that lost its journal, and let the \
         other members tell what happened; with an older copy this bot would break its word"
    )]
    Damaged(String),
    /// A record that must be there is not.
    #[error(
        "the record `{0}` is missing: start without records from the genesis, as one that lost its journal, and let the \
         other members tell what happened; with an older copy this bot would break its word"
    )]
    Missing(String),
    /// The records were written by another bot.
    #[error("these records belong to {0}, not to this bot: give each bot a place of its own")]
    OtherBot(BotId),
}

pub(super) fn certificate_key(height: Height) -> Bytes {
    alloc::format!("{CERTIFICATE}{:016x}", height.0).into()
}

pub(super) fn proof_key(height: Height) -> Bytes {
    alloc::format!("{PROOF}{:016x}", height.0).into()
}

fn piece_key(id: &PieceId) -> Bytes {
    let mut key = String::from(PIECE);
    id.0[..24].iter().for_each(|byte| key.push_str(&alloc::format!("{byte:02x}")));
    key.into()
}

impl Ledger {
    /// Goes on from the records that the host stored, in any order; those of other keys are ignored.
    ///
    /// # Errors
    /// [`LedgerRestoreError`] names the record; nothing is changed.
    pub fn restore(
        crypto: Arc<dyn Crypto>,
        identity: &Identity,
        now: UnixMillis,
        records: impl IntoIterator<Item = (Bytes, Bytes)>,
    ) -> Result<Self, LedgerRestoreError> {
        let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let mut ours: BTreeMap<Bytes, Bytes> = BTreeMap::new();
        for (key, value) in records {
            if key.starts_with(b"ledger/") && !value.is_empty() {
                let body = open(&identity.id(), &key, &value)?;
                ours.insert(key, body);
            }
        }
        let find = |key: &'static [u8]| ours.get(key).cloned().ok_or_else(|| LedgerRestoreError::Missing(name(key)));
        let damaged = |key: &[u8]| LedgerRestoreError::Damaged(name(key));
        let genesis = Genesis::from_bytes(&find(GENESIS)?, &*crypto).map_err(|_| damaged(GENESIS))?;
        let mut ledger = Self::start(crypto, identity, &genesis, now);
        let last = ours.keys().rev().find_map(|key| core::str::from_utf8(key).ok()?.strip_prefix(CERTIFICATE));
        let last = last.map(|digits| u64::from_str_radix(digits, 16).map_err(|_| damaged(CERTIFICATE.as_bytes())));
        if let Some(body) = ours.get(APPLICATION) {
            ledger.restore_application(body).ok_or_else(|| damaged(APPLICATION))?;
        }
        for height in 1..=last.transpose()?.unwrap_or(0) {
            let key = certificate_key(Height(height));
            let bytes = ours.get(&key).ok_or_else(|| LedgerRestoreError::Missing(name(&key)))?;
            let certificate = Certificate::from_bytes(bytes).map_err(|_| damaged(&key))?;
            ledger.follow(&certificate).map_err(|_| damaged(&key))?;
        }
        for (key, body) in ours.range(Bytes::from_static(PROOF.as_bytes())..) {
            let Some(digits) = core::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(PROOF)) else { break };
            let height = u64::from_str_radix(digits, 16).map_err(|_| damaged(key))?;
            ledger.proofs.push_back((Height(height), body.clone()));
        }
        let clock = find(CLOCK)?;
        let mut r = FixedReader::new(&clock);
        let mut read = || r.u64().map_err(|_| damaged(CLOCK));
        (ledger.clock.wall, ledger.clock.elapsed) = (UnixMillis(read()?), read()?);
        let pieces = || ours.iter().filter(|(key, _)| key.starts_with(PIECE.as_bytes()));
        for (key, body) in pieces() {
            ledger.restore_piece(body).ok_or_else(|| damaged(key))?;
        }
        ledger.guests = Guests::from_bytes(&find(GUESTS)?).map_err(|_| damaged(GUESTS))?;
        let (height, is_here) = ledger.restore_voter(&find(VOTER)?).ok_or_else(|| damaged(VOTER))?;
        let newest = ledger.chain.place().height;
        if height > newest {
            // Without it what was promised at its height would be forgotten.
            return Err(LedgerRestoreError::Missing(name(&certificate_key(newest.next()))));
        }
        if height == newest && !is_here {
            return Err(damaged(VOTER));
        }
        if let Some(body) = ours.get(LOCK) {
            ledger.restore_lock(body).ok_or_else(|| damaged(LOCK))?;
        } else if ledger.round.voter.locked().is_some() {
            return Err(LedgerRestoreError::Missing(name(LOCK)));
        }
        ledger.count_all_again();
        if let Some(body) = ours.get(ANSWERS) {
            ledger.restore_answers(body).ok_or_else(|| damaged(ANSWERS))?;
        }
        if let Some(bytes) = ours.get(FORK) {
            let theirs = Certificate::from_bytes(bytes).map_err(|_| damaged(FORK))?;
            ledger.look_for_fork(theirs).map_err(|_| damaged(FORK))?;
        }
        // What followed from the records is known already.
        ledger.outbox.clear();
        ledger.writes = 0;
        ledger.tidy(pieces().map(|(key, _)| key));
        if ledger.lost {
            ledger.lose_promises();
        }
        ledger.clock.saved = ledger.clock.elapsed;
        ledger.tell_time(now);
        Ok(ledger)
    }

    fn restore_piece(&mut self, body: &Bytes) -> Option<()> {
        let mut r = FixedReader::new(body);
        let since = r.u64().ok()?;
        let piece = Piece::read(&self.community, &body.slice(8..)).ok()?;
        // It came before the clock was written.
        self.clock.elapsed = self.clock.elapsed.max(since);
        // A lock of a height that is over: the crash came before its record was taken away.
        if matches!(&piece, Piece::Lock(lock) if lock.place != self.chain.place()) {
            return Some(());
        }
        if !piece.is_genuine(&self.community, &self.chain, &*self.crypto) {
            return None;
        }
        let (id, unit) = (piece.id(), self.chain.rules().unit_ms());
        let put = self.pool.put(id, piece, since, spans::SETTLING * unit);
        if let Some(evidence) = put.evidence {
            // The record of it may have been cut off behind the pair.
            let piece = Piece::Evidence(Arc::new(evidence));
            self.pool.put(piece.id(), piece, since, spans::SETTLING * unit);
        }
        Some(())
    }

    /// The height of what was promised last, and whether this is where the chain stands.
    fn restore_voter(&mut self, body: &Bytes) -> Option<(Height, bool)> {
        let mut r = FixedReader::new(body);
        let (height, header) = (Height(r.u64().ok()?), HeaderId(*r.array().ok()?));
        let view_since = match r.u64().ok()? {
            0 => None,
            since => Some(since - 1),
        };
        self.lost = match r.u8().ok()? {
            0 => false,
            1 => true,
            _ => return None,
        };
        let voter = Voter::from_bytes(r.rest())?;
        let is_here = (Place { height, header }) == self.chain.place();
        if is_here {
            self.round = Round::new(voter);
            self.round.view_since = view_since;
        }
        Some((height, is_here))
    }

    /// Everything that was counted and looked at, from what is held.
    fn count_all_again(&mut self) {
        let pieces: Vec<(PieceId, Piece)> = self.pool.iter().map(|(id, held)| (*id, held.piece.clone())).collect();
        for (id, piece) in &pieces {
            self.count_again(*id, piece);
        }
        self.sweep();
    }

    /// Makes the records of pieces those of what is held: a crash came between them.
    fn tidy<'a>(&mut self, stored: impl Iterator<Item = &'a Bytes>) {
        let mut missing: BTreeMap<Bytes, PieceId> = self.pool.iter().map(|(id, _)| (piece_key(id), *id)).collect();
        let useless: Vec<Bytes> = stored.filter(|key| missing.remove(*key).is_none()).cloned().collect();
        useless.into_iter().for_each(|key| self.persist(key, Bytes::new()));
        for id in missing.into_values() {
            if let Some((piece, since)) = self.pool.get(&id).map(|held| (held.piece.clone(), held.since)) {
                self.write_piece(&id, &piece, since);
            }
        }
    }

    /// Counts a piece that was held before a restart.
    fn count_again(&mut self, id: PieceId, piece: &Piece) {
        match piece {
            Piece::Statement(statement) => {
                self.round.count(statement);
                self.recall_own(statement);
            }
            Piece::Offer(_) => self.follow_up(id, piece),
            Piece::Backing(backing) => self.take_backing(backing),
            Piece::Lock(lock) => self.round.count_proof(&lock.proof, self.chain.roster()),
            Piece::Evidence(_) | Piece::Silence(_) => {}
        }
    }

    /// An own statement that this bot does not remember, as after a restart: its next ones have higher numbers.
    pub(super) fn recall_own(&mut self, statement: &Statement) {
        if statement.author() != self.own {
            return;
        }
        match statement.body() {
            Body::Ballot(ballot) if ballot.number > self.voted => {
                self.voted = ballot.number;
                self.number = self.number.max(ballot.number);
                self.answers = ballot.answers.iter().copied().collect();
                self.answered_at = self.answered_at.max(Some(statement.place().height));
            }
            Body::Endorse { number, .. } => self.number = self.number.max(*number),
            _ => {}
        }
    }

    pub(super) fn persist(&mut self, key: Bytes, body: Bytes) {
        self.writes += 1;
        let value = if body.is_empty() { body } else { close(&self.own, &key, &body) };
        self.outbox.push_back(LedgerAction::Persist { write: self.writes, key, value });
    }

    pub(super) fn write_clock(&mut self) {
        self.clock.saved = self.clock.elapsed;
        let body = [self.clock.wall.0.to_be_bytes(), self.clock.elapsed.to_be_bytes()].concat();
        self.persist(CLOCK.into(), body.into());
    }

    /// Keeps the Acks of what this bot is locked on: they may be gone from the pool when it has to show them.
    pub(super) fn write_lock(&mut self, proof: &AckProof) {
        self.persist(LOCK.into(), proof.to_bytes().into());
    }

    pub(super) fn forget_lock(&mut self) {
        self.persist(LOCK.into(), Bytes::new());
    }

    fn restore_lock(&mut self, body: &Bytes) -> Option<()> {
        let mut r = FixedReader::new(body);
        let proof = AckProof::read(&mut r).ok()?;
        r.end().ok()?;
        // One of an earlier height, or of a Commit that was never signed, is of no use.
        if self.round.voter.locked() == Some((proof.view(), proof.header())) {
            self.round.count_proof(&proof, self.chain.roster());
            self.round.proof = Some(proof);
        }
        Some(())
    }

    /// Keeps answers that are not signed yet.
    pub(super) fn write_answers(&mut self) {
        let ballot = Ballot {
            number: 0,
            answers: self.answers.iter().take(MAX_ANSWERS).map(|(id, answer)| (*id, *answer)).collect(),
        };
        self.persist(ANSWERS.into(), ballot.to_bytes().into());
    }

    pub(super) fn forget_answers(&mut self) {
        self.persist(ANSWERS.into(), Bytes::new());
    }

    fn restore_answers(&mut self, body: &Bytes) -> Option<()> {
        let ballot = Ballot::from_bytes(body).ok()?;
        self.answers = ballot.answers.into_iter().filter(|(id, _)| self.pool.statement(id).is_some()).collect();
        self.unsaid = true;
        Some(())
    }

    pub(super) fn write_guests(&mut self) {
        self.persist(GUESTS.into(), self.guests.to_bytes().into());
    }

    pub(super) fn write_voter(&mut self) {
        let place = self.chain.place();
        let since = self.round.view_since.map_or(0, |since| since + 1);
        let mut body = place.height.0.to_be_bytes().to_vec();
        body.extend(place.header.0);
        body.extend(since.to_be_bytes());
        body.push(u8::from(self.lost));
        body.extend(self.round.voter.to_bytes());
        self.persist(VOTER.into(), body.into());
    }

    pub(super) fn write_piece(&mut self, id: &PieceId, piece: &Piece, since: u64) {
        let mut body = since.to_be_bytes().to_vec();
        body.extend_from_slice(&piece.to_bytes());
        self.persist(piece_key(id), body.into());
    }

    pub(super) fn forget_record(&mut self, id: &PieceId) {
        self.persist(piece_key(id), Bytes::new());
    }

    /// Whether this bot signed something in a slot that is not here any more.
    pub(super) fn has_own(&self, slot: &Slot) -> bool {
        self.pool.in_slot(slot).next().is_some() || self.held.iter().any(|(_, piece)| super::pool::slot(piece) == *slot)
    }
}

fn hash(key: &[u8], before: &[u8]) -> [u8; 32] {
    sha256(&[b"interbot record\0", key, &[0], before])
}

fn close(own: &BotId, key: &[u8], body: &[u8]) -> Bytes {
    let mut value = alloc::vec![FORMAT];
    value.extend(own.as_bytes());
    value.extend(body);
    let hash = hash(key, &value);
    value.extend(&hash[..HASH]);
    value.into()
}

fn open(own: &BotId, key: &Bytes, value: &Bytes) -> Result<Bytes, LedgerRestoreError> {
    let damaged = || LedgerRestoreError::Damaged(String::from_utf8_lossy(key).into_owned());
    let body_end = value.len().checked_sub(HASH).ok_or_else(damaged)?;
    let (before, found) = value.split_at(body_end);
    let Some((&FORMAT, rest)) = before.split_first() else { return Err(damaged()) };
    let owner: &[u8; 32] = rest.first_chunk().ok_or_else(damaged)?;
    if found != &hash(key, before)[..HASH] {
        return Err(damaged());
    }
    if owner != own.as_bytes() {
        return Err(BotId::from_bytes(*owner).map_or_else(|_| damaged(), LedgerRestoreError::OtherBot));
    }
    Ok(value.slice(33..body_end))
}
