//! What members say to each other about the ledger.

use alloc::vec::Vec;

use bytes::{Bytes, BytesMut};

use super::piece::PieceId;
use super::pool::{BUCKETS, Digest};
use crate::ledger::ids::{HeaderId, Height, Place};
use crate::wire::{CborError, CborReader, CborWriter};

/// Most bytes of a message.
pub const MAX_FRAME: usize = 16 * 1024;
/// Most bytes of what a message carries, so that its frame stays below.
pub(super) const PAYLOAD: usize = MAX_FRAME - 256;
/// Most names in a list.
pub(super) const MAX_NAMES: usize = 480;

/// What is too long for one message, in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Whole {
    /// The genesis.
    Genesis,
    /// A certificate.
    Certificate,
    /// A piece.
    Piece,
}

/// A message about the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LedgerMessage {
    /// Where the sender stands, and a hash of what it holds.
    Here {
        /// Its newest height.
        place: Place,
        /// The first 16 bytes of the hash of all that [`Digests`](Self::Digests) would say.
        whole: Digest,
    },
    /// Hashes of what the sender holds, for a peer that holds something else.
    Digests {
        /// The height that they are of.
        place: Place,
        /// Of each sixty-fourth of all names, the first 16 bytes of the hash of the sorted names.
        digests: Vec<Digest>,
    },
    /// Asks for the certificates after a height.
    AskCertificates {
        /// The newest height that the sender has; nothing when it has no genesis yet.
        after: Option<Height>,
    },
    /// All names that the sender holds in some buckets.
    Have {
        /// The buckets, bit 0 for the first.
        buckets: u64,
        /// The names, sorted.
        names: Vec<PieceId>,
    },
    /// Asks for pieces.
    Want {
        /// Their names, sorted.
        names: Vec<PieceId>,
    },
    /// Pieces, whole.
    Pieces(Vec<Bytes>),
    /// A part of something longer; all parts follow each other, from the first.
    Part {
        /// What it is a part of.
        whole: Whole,
        /// Its place, from 0.
        at: u16,
        /// How many there are.
        of: u16,
        /// The part.
        bytes: Bytes,
    },
}

const HERE: u64 = 16;
const ASK: u64 = 17;
const HAVE: u64 = 18;
const WANT: u64 = 19;
const PIECES: u64 = 20;
const PART: u64 = 21;
const DIGESTS: u64 = 22;

impl LedgerMessage {
    /// Whether a message is one of these, by its first bytes.
    #[must_use]
    pub fn is_one(bytes: &[u8]) -> bool {
        let mut r = CborReader::new(bytes);
        r.array().is_ok() && r.uint().is_ok_and(|kind| (HERE..=DIGESTS).contains(&kind))
    }

    /// Reads a message in its one encoding.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn decode(bytes: &Bytes) -> Result<Self, CborError> {
        if bytes.len() > MAX_FRAME {
            return Err(CborError::Range);
        }
        let mut r = CborReader::new(bytes);
        let (items, kind) = (r.array()?, r.uint()?);
        let expect = |n| if items == n { Ok(()) } else { Err(CborError::Range) };
        let message = match kind {
            HERE => {
                expect(4)?;
                Self::Here { place: place(&mut r)?, whole: *r.byte_array()? }
            }
            DIGESTS => {
                expect(4)?;
                let place = place(&mut r)?;
                let digests = split(r.bytes()?)?;
                if digests.len() != BUCKETS {
                    return Err(CborError::Range);
                }
                Self::Digests { place, digests }
            }
            ASK => {
                expect(2)?;
                // 0 asks for the genesis too.
                Self::AskCertificates { after: r.uint()?.checked_sub(1).map(Height) }
            }
            HAVE => {
                expect(3)?;
                Self::Have { buckets: r.uint()?, names: names(r.bytes()?, MAX_NAMES)? }
            }
            WANT => {
                expect(2)?;
                Self::Want { names: names(r.bytes()?, MAX_NAMES)? }
            }
            PIECES => {
                let mut pieces = Vec::new();
                for _ in 1..items {
                    pieces.push(bytes.slice_ref(r.bytes()?));
                }
                if pieces.is_empty() {
                    return Err(CborError::Range);
                }
                Self::Pieces(pieces)
            }
            PART => {
                expect(5)?;
                let whole = match r.uint()? {
                    0 => Whole::Genesis,
                    1 => Whole::Certificate,
                    2 => Whole::Piece,
                    _ => return Err(CborError::Range),
                };
                let mut short = || u16::try_from(r.uint()?).map_err(|_| CborError::Range);
                let (at, of) = (short()?, short()?);
                let part = bytes.slice_ref(r.bytes()?);
                if at >= of || part.is_empty() {
                    return Err(CborError::Range);
                }
                Self::Part { whole, at, of, bytes: part }
            }
            _ => return Err(CborError::Range),
        };
        r.end()?;
        Ok(message)
    }

    /// Writes the message at the end of `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        let mut w = CborWriter(out);
        match self {
            Self::Here { place, whole } => {
                w.array(4).uint(HERE).uint(place.height.0).bytes(&place.header.0).bytes(whole);
            }
            Self::Digests { place, digests } => {
                w.array(4).uint(DIGESTS).uint(place.height.0).bytes(&place.header.0).bytes(&digests.concat());
            }
            Self::AskCertificates { after } => {
                w.array(2).uint(ASK).uint(after.map_or(0, |height| height.0.saturating_add(1)));
            }
            Self::Have { buckets, names } => {
                w.array(3).uint(HAVE).uint(*buckets).bytes(&join(names));
            }
            Self::Want { names } => {
                w.array(2).uint(WANT).bytes(&join(names));
            }
            Self::Pieces(pieces) => {
                w.array(1 + pieces.len() as u64).uint(PIECES);
                for piece in pieces {
                    w.bytes(piece);
                }
            }
            Self::Part { whole, at, of, bytes } => {
                let whole = match whole {
                    Whole::Genesis => 0,
                    Whole::Certificate => 1,
                    Whole::Piece => 2,
                };
                w.array(5).uint(PART).uint(whole).uint((*at).into()).uint((*of).into()).bytes(bytes);
            }
        }
    }
}

fn place(r: &mut CborReader<'_>) -> Result<Place, CborError> {
    Ok(Place { height: Height(r.uint()?), header: HeaderId(*r.byte_array()?) })
}

fn split<const N: usize>(bytes: &[u8]) -> Result<Vec<[u8; N]>, CborError> {
    let (parts, rest) = bytes.as_chunks();
    if rest.is_empty() { Ok(parts.to_vec()) } else { Err(CborError::Range) }
}

fn names(bytes: &[u8], most: usize) -> Result<Vec<PieceId>, CborError> {
    let names: Vec<PieceId> = split(bytes)?.into_iter().map(PieceId).collect();
    if names.len() <= most && names.is_sorted_by(|a, b| a < b) { Ok(names) } else { Err(CborError::Range) }
}

fn join(names: &[PieceId]) -> Vec<u8> {
    names.iter().flat_map(|name| name.0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_one_encoding() {
        let name = |n: u8| PieceId([n; 32]);
        let place = Place { height: Height(300), header: HeaderId([7; 32]) };
        let messages = [
            LedgerMessage::Here { place, whole: [4; 16] },
            LedgerMessage::Digests { place, digests: alloc::vec![[3; 16]; BUCKETS] },
            LedgerMessage::AskCertificates { after: None },
            LedgerMessage::AskCertificates { after: Some(Height(0)) },
            LedgerMessage::Have { buckets: u64::MAX, names: alloc::vec![name(1), name(2)] },
            LedgerMessage::Have { buckets: 1, names: Vec::new() },
            LedgerMessage::Want { names: alloc::vec![name(1), name(9)] },
            LedgerMessage::Pieces(alloc::vec![Bytes::from_static(b"one"), Bytes::from_static(b"two")]),
            LedgerMessage::Part { whole: Whole::Certificate, at: 2, of: 3, bytes: Bytes::from_static(b"part") },
        ];
        for message in messages {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            let bytes = out.freeze();
            assert!(LedgerMessage::is_one(&bytes));
            assert_eq!(LedgerMessage::decode(&bytes), Ok(message.clone()));
            for cut in 0..bytes.len() {
                assert!(LedgerMessage::decode(&bytes.slice(..cut)).is_err(), "{message:?} cut at {cut}");
            }
            let longer = [&bytes[..], &[0]].concat().into();
            assert!(LedgerMessage::decode(&longer).is_err());
        }
    }

    #[test]
    fn lists_out_of_order_and_empty_messages_are_refused() {
        let refused = |message: LedgerMessage| {
            let mut out = BytesMut::new();
            message.encode(&mut out);
            assert_eq!(LedgerMessage::decode(&out.freeze()), Err(CborError::Range), "{message:?}");
        };
        let name = |n: u8| PieceId([n; 32]);
        refused(LedgerMessage::Want { names: alloc::vec![name(2), name(1)] });
        refused(LedgerMessage::Want { names: alloc::vec![name(2), name(2)] });
        refused(LedgerMessage::Want {
            names: (0..=MAX_NAMES)
                .map(|n| {
                    let mut name = name(0);
                    name.0[..8].copy_from_slice(&(n as u64).to_be_bytes());
                    name
                })
                .collect(),
        });
        refused(LedgerMessage::Pieces(Vec::new()));
        refused(LedgerMessage::Part { whole: Whole::Piece, at: 3, of: 3, bytes: Bytes::from_static(b"part") });
        refused(LedgerMessage::Part { whole: Whole::Piece, at: 0, of: 3, bytes: Bytes::new() });
        let place = Place { height: Height(1), header: HeaderId([7; 32]) };
        refused(LedgerMessage::Digests { place, digests: alloc::vec![[3; 16]; BUCKETS - 1] });
    }
}
