//! What a node keeps across restarts: its post counter, always; the posts it saw, when it was stopped in order.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes};

use super::door::INVITATIONS;
use super::joining::JOINING;
use crate::identity::BotId;
use crate::ledger::{Invitations, LedgerRestoreError};
use crate::overlay::{Counter, SeenStream, SeenStreams, StreamId};
use crate::window::SeenWindow;
use crate::wire::{FixedReader, LayoutError};

/// Names one write; they grow, and [`Node::persisted`](super::Node::persisted) confirms all up to the one it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersistId(pub(super) u64);

impl PersistId {
    /// Its number, for a host that queues its writes.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The write with this number, in a replay.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// Something to store: the newest value of each key is what counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it replaces: at most 64 bytes of lower-case letters, digits and `/`.
    pub key: Bytes,
    /// The value; opaque to the host.
    pub value: Bytes,
}

impl Record {
    /// The value as a recording has it: in what an applicant remembers, the token is zeros.
    #[cfg(feature = "trace")]
    pub(crate) fn without_token(&self) -> Bytes {
        match self.value.split_at_checked(OWNER_END).filter(|_| self.key == JOINING) {
            Some((owner, rest)) => {
                [owner, &super::joining::Joining::without_token(rest).unwrap_or_default()].concat().into()
            }
            None => self.value.clone(),
        }
    }
}

/// Why a node cannot start from its records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RestoreError {
    /// A record's value cannot be read.
    #[error(
        "the record `{0}` is damaged: restore it from a copy, or start without records and be a new stream to others"
    )]
    Damaged(alloc::string::String),
    /// The records are of another community.
    #[error("these records are of another community: give each community a place of its own")]
    OtherCommunity,
    /// There is nothing to go on from.
    #[error("there are no records of the community: start with its genesis, or with an invitation")]
    NoLedger,
    /// The ledger cannot go on from them.
    #[error(transparent)]
    Ledger(#[from] LedgerRestoreError),
    /// The records were written by another bot.
    #[error("these records belong to {0}, not to this bot: give each bot a place of its own")]
    OtherBot(BotId),
}

const COUNTER: &[u8] = b"posts/counter";
/// How the keys of the ledger's records begin.
const LEDGER: &[u8] = b"ledger/";
const SEEN: &[u8] = b"posts/seen";
pub(super) const FORMAT: u8 = 1;
/// Bytes of the format and the owner, with which every record but the ledger's begins.
#[cfg(feature = "trace")]
const OWNER_END: usize = 33;

pub(super) fn counter_record(own: BotId, counter: Counter) -> Record {
    let mut value = Vec::with_capacity(49);
    value.put_u8(FORMAT);
    value.put_slice(own.as_bytes());
    value.put_u64(counter.stream.as_u64());
    value.put_u64(counter.next);
    Record { key: Bytes::from_static(COUNTER), value: value.into() }
}

pub(super) fn seen_record(own: BotId, seen: &SeenStreams) -> Record {
    let mut value = Vec::new();
    value.put_u8(FORMAT);
    value.put_slice(own.as_bytes());
    for stream in seen.iter() {
        let (highest, taken) = stream.window.parts();
        value.put_slice(stream.origin.as_bytes());
        value.put_u64(stream.stream.as_u64());
        value.put_u64(highest);
        value.put_u64(taken);
    }
    Record { key: Bytes::from_static(SEEN), value: value.into() }
}

/// What a set of records says; records with keys of later versions are ignored.
#[derive(Default)]
pub(super) struct Restored {
    pub(super) counter: Option<Counter>,
    pub(super) seen: SeenStreams,
    /// Those of the ledger, read later.
    pub(super) ledger: Vec<Record>,
    /// What follows the owner in them.
    pub(super) joining: Option<Bytes>,
    pub(super) invitations: Invitations,
}

impl Restored {
    /// Records that say the same, but for the token of an invitation.
    #[cfg(feature = "trace")]
    pub(super) fn records(&self, own: BotId) -> Vec<Record> {
        let owned = |key, rest: &[u8]| Record {
            key: Bytes::from_static(key),
            value: [&[FORMAT], &own.as_bytes()[..], rest].concat().into(),
        };
        let seen = self.seen.iter().next().map(|_| seen_record(own, &self.seen));
        let counter = self.counter.map(|counter| counter_record(own, counter));
        let joining = self.joining.as_ref().map(|rest| owned(JOINING, rest));
        let joining = joining.map(|record| Record { value: record.without_token(), ..record });
        let is_inviting = self.invitations != Invitations::default();
        let invitations = is_inviting.then(|| owned(INVITATIONS, &self.invitations.to_bytes()));
        let ours = counter.into_iter().chain(seen).chain(joining).chain(invitations);
        ours.chain(self.ledger.iter().cloned()).collect()
    }

    pub(super) fn read(own: BotId, records: impl IntoIterator<Item = Record>) -> Result<Self, RestoreError> {
        let mut restored = Self::default();
        for record in records {
            let damaged =
                |LayoutError| RestoreError::Damaged(alloc::string::String::from_utf8_lossy(&record.key).into_owned());
            let mut r = FixedReader::new(&record.value);
            if record.key.starts_with(LEDGER) {
                restored.ledger.push(record);
                continue;
            }
            // An empty one was taken away.
            let is_gone = record.key == JOINING && record.value.is_empty();
            if ![COUNTER, SEEN, JOINING, INVITATIONS].contains(&&record.key[..]) || is_gone {
                continue;
            }
            let format = r.u8().map_err(damaged)?;
            let owner = *r.array().map_err(damaged)?;
            if format != FORMAT {
                return Err(damaged(LayoutError));
            }
            if owner != *own.as_bytes() {
                return Err(BotId::from_bytes(owner).map_or_else(|_| damaged(LayoutError), RestoreError::OtherBot));
            }
            if record.key == COUNTER {
                restored.counter = Some(read_counter(r).map_err(damaged)?);
            } else if record.key == JOINING {
                restored.joining = Some(record.value.slice_ref(r.rest()));
            } else if record.key == INVITATIONS {
                restored.invitations = Invitations::from_bytes(r.rest()).map_err(damaged)?;
            } else {
                restored.seen = read_seen(r).map_err(damaged)?;
            }
        }
        Ok(restored)
    }
}

fn read_counter(mut r: FixedReader<'_>) -> Result<Counter, LayoutError> {
    let (stream, next) = (StreamId::from_u64(r.u64()?), r.u64()?);
    r.end()?;
    // Neither can have been written: numbers start at 1, and no bot writes 2^63 posts.
    if (1..1 << 63).contains(&next) { Ok(Counter { stream, next }) } else { Err(LayoutError) }
}

fn read_seen(mut r: FixedReader<'_>) -> Result<SeenStreams, LayoutError> {
    let mut windows = Vec::new();
    while !r.rest().is_empty() {
        let origin = BotId::from_bytes(*r.array()?).map_err(|_| LayoutError)?;
        let stream = StreamId::from_u64(r.u64()?);
        windows.push(SeenStream { origin, stream, window: SeenWindow::from_parts(r.u64()?, r.u64()?) });
    }
    Ok(windows.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;
    use crate::overlay::PostId;

    fn ids() -> [BotId; 2] {
        [1, 2].map(|seed| Identity::from_seed([seed; 32]).id())
    }

    #[test]
    fn records_say_after_a_restart_what_they_said_before() {
        let [own, other] = ids();
        let counter = Counter { stream: StreamId::from_u64(7), next: 9 };
        let mut seen = SeenStreams::default();
        assert!(seen.take(&PostId { origin: other, stream: StreamId::from_u64(3), seq: 70 }));
        let unknown = Record { key: Bytes::from_static(b"later/version"), value: Bytes::from_static(b"?") };
        let records = [counter_record(own, counter), unknown, seen_record(own, &seen)];
        let restored = Restored::read(own, records).expect("good records");
        assert_eq!((restored.counter, restored.seen), (Some(counter), seen));
    }

    #[test]
    fn damaged_and_foreign_records_are_refused_with_advice() {
        let [own, other] = ids();
        let counter = counter_record(own, Counter { stream: StreamId::from_u64(7), next: 9 });
        for cut in 0..counter.value.len() {
            let record = Record { key: counter.key.clone(), value: counter.value.slice(..cut) };
            let error = Restored::read(own, [record]).err();
            assert_eq!(error, Some(RestoreError::Damaged("posts/counter".into())), "cut {cut}");
        }
        assert_eq!(Restored::read(other, [counter]).err(), Some(RestoreError::OtherBot(own)));
    }
}
