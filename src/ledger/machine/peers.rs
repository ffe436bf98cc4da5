//! What is said to each peer, and what it is known to have.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::join::Scope;
use super::message::{LedgerMessage, PAYLOAD, Whole};
use super::piece::{MAX_PIECE, PieceId};
use super::pool::Pool;
use crate::identity::BotId;
use crate::ledger::ids::{Height, Place};

/// A link to a peer, by the number that the router gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(pub u64);

/// Most certificates that one question brings; the next question follows when they are there.
pub(super) const CERTIFICATES_AT_ONCE: u64 = 64;

/// Most messages that wait for a peer that does not take them; what it asks beyond that it asks again.
const MAX_WAITING: usize = 128;

/// Comparisons with one peer in a u: what cannot be made equal is tried again later, not at once.
pub(super) const COMPARISONS: u8 = 3;

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) key: BotId,
    pub(super) scope: Scope,
    /// Where it stands, as far as it said.
    pub(super) place: Option<Place>,
    /// How often its pool may still be compared with ours before the next u.
    pub(super) comparisons: u8,
    /// After which height it was asked for certificates that are not there yet.
    pub(super) asked: Option<Height>,
    /// How often it was asked for certificates and brought none.
    pub(super) in_vain: u32,
    control: VecDeque<LedgerMessage>,
    /// Parts of something long, under way.
    parts: VecDeque<LedgerMessage>,
    certificates: Option<(Height, Height)>,
    /// What it is to get, the proposals first.
    queue: BTreeSet<(u8, PieceId)>,
    /// What it has, or will have.
    known: BTreeSet<PieceId>,
    arriving: Assembly,
}

/// Something long that arrives in parts.
#[derive(Debug, Default)]
pub(crate) struct Assembly(Option<Arriving>);

#[derive(Debug)]
struct Arriving {
    whole: Whole,
    next: u16,
    of: u16,
    bytes: BytesMut,
}

impl Peer {
    pub(super) fn new(key: BotId, scope: Scope) -> Self {
        Self {
            key,
            scope,
            place: None,
            comparisons: COMPARISONS,
            asked: None,
            in_vain: 0,
            control: VecDeque::new(),
            parts: VecDeque::new(),
            certificates: None,
            queue: BTreeSet::new(),
            known: BTreeSet::new(),
            arriving: Assembly::default(),
        }
    }

    /// Queues a message; a newer one takes an older one's place.
    pub(super) fn say(&mut self, message: LedgerMessage) {
        let kind = core::mem::discriminant(&message);
        if !matches!(message, LedgerMessage::Have { .. } | LedgerMessage::Want { .. }) {
            self.control.retain(|other| core::mem::discriminant(other) != kind);
        } else if self.control.len() >= MAX_WAITING {
            return;
        }
        self.control.push_back(message);
    }

    pub(super) fn knows(&mut self, id: PieceId, rank: u8) {
        self.known.insert(id);
        self.queue.remove(&(rank, id));
    }

    /// The piece is not held any more: it does not matter who has it.
    pub(super) fn forget(&mut self, id: &PieceId) {
        self.known.remove(id);
    }

    pub(super) fn known(&self) -> usize {
        self.known.len()
    }

    /// Queues a piece that it does not have.
    pub(super) fn offer(&mut self, id: PieceId, rank: u8) {
        if self.known.insert(id) {
            self.queue.insert((rank, id));
        }
    }

    /// Sends a piece again that it asks for.
    pub(super) fn repeat(&mut self, id: PieceId, rank: u8) {
        self.known.insert(id);
        self.queue.insert((rank, id));
    }

    /// At a new height: what was queued is looked at anew.
    pub(super) fn turn_over(&mut self, pool: &Pool) {
        self.queue.retain(|(_, id)| pool.get(id).is_some());
        self.known.retain(|id| pool.get(id).is_some());
        self.comparisons = COMPARISONS;
    }

    pub(super) fn send_certificates(&mut self, after: Option<Height>, newest: Height, genesis: &Bytes) {
        let is_under_way = |part: &LedgerMessage| matches!(part, LedgerMessage::Part { whole: Whole::Genesis, .. });
        if after.is_none() && !self.parts.iter().any(is_under_way) {
            self.parts.extend(parts(Whole::Genesis, genesis));
        }
        let first = after.map_or(Height(1), Height::next);
        let last = Height(newest.0.min(first.0.saturating_add(CERTIFICATES_AT_ONCE - 1)));
        self.certificates = (first <= last).then_some((first, last));
    }

    pub(super) fn has_something(&self, own: Place) -> bool {
        !self.control.is_empty()
            || !self.parts.is_empty()
            || self.certificates.is_some()
            || (!self.queue.is_empty() && self.place == Some(own))
    }

    /// The next message for it.
    pub(super) fn next(&mut self, own: Place, pool: &Pool, certificates: &[Bytes]) -> Option<LedgerMessage> {
        if let Some(message) = self.control.pop_front() {
            return Some(message);
        }
        if let Some(part) = self.parts.pop_front() {
            return Some(part);
        }
        if let Some((next, last)) = self.certificates {
            self.certificates = (next < last).then(|| (next.next(), last));
            let at = usize::try_from(next.0).ok()?.checked_sub(1)?;
            self.parts.extend(parts(Whole::Certificate, certificates.get(at)?));
            return self.parts.pop_front();
        }
        if self.place != Some(own) {
            return None;
        }
        let (mut batch, mut room) = (Vec::new(), PAYLOAD);
        while let Some((rank, id)) = self.queue.first().copied() {
            let Some((bytes, _)) = pool.bytes(&id) else {
                self.queue.remove(&(rank, id));
                continue;
            };
            if bytes.len() + 3 > room {
                if !batch.is_empty() {
                    break;
                }
                self.queue.remove(&(rank, id));
                self.parts.extend(parts(Whole::Piece, &bytes));
                return self.parts.pop_front();
            }
            room -= bytes.len() + 3;
            self.queue.remove(&(rank, id));
            batch.push(bytes);
        }
        (!batch.is_empty()).then_some(LedgerMessage::Pieces(batch))
    }

    pub(super) fn take_part(&mut self, whole: Whole, at: u16, of: u16, part: &[u8]) -> Option<Bytes> {
        self.arriving.take(whole, at, of, part)
    }
}

impl Assembly {
    /// Takes a part; the whole when it was the last one. Parts that do not follow each other are dropped.
    pub(crate) fn take(&mut self, whole: Whole, at: u16, of: u16, part: &[u8]) -> Option<Bytes> {
        if at == 0 {
            self.0 = Some(Arriving { whole, next: 0, of, bytes: BytesMut::new() });
        }
        let arriving = self.0.as_mut()?;
        let follows = (arriving.whole, arriving.next, arriving.of) == (whole, at, of);
        if !follows || arriving.bytes.len() + part.len() > MAX_PIECE {
            self.0 = None;
            return None;
        }
        arriving.bytes.extend_from_slice(part);
        arriving.next += 1;
        if arriving.next < of {
            return None;
        }
        self.0.take().map(|arriving| arriving.bytes.freeze())
    }
}

fn parts(whole: Whole, bytes: &Bytes) -> impl Iterator<Item = LedgerMessage> {
    let bytes = bytes.clone();
    let of = u16::try_from(bytes.len().div_ceil(PAYLOAD)).unwrap_or(u16::MAX);
    (0..of).map(move |at| {
        let start = usize::from(at) * PAYLOAD;
        let end = bytes.len().min(start + PAYLOAD);
        LedgerMessage::Part { whole, at, of, bytes: bytes.slice(start..end) }
    })
}

pub(super) type Peers = BTreeMap<Channel, Peer>;
