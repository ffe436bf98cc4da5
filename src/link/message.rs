//! What the two sides tell each other while a link opens, and inside its own records.

use alloc::vec::Vec;

use bytes::{BufMut, Bytes, BytesMut};

use super::code::{Code, Fault};
use crate::crypto::Suite;
use crate::wire::{FixedReader, LayoutError};

/// The protocol's version; it appears in offers and in every key.
pub const VERSION: u8 = 1;

/// Most bytes of credentials.
pub const MAX_CREDENTIALS: usize = 1024;

/// Most bytes of a challenge string.
pub const MAX_STRING: usize = 256;

pub(super) const TAG_LEN: usize = 16;
const HEAD2_LEN: usize = 66;

/// What the client asks to be on this link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Kind {
    /// A member of the community.
    Member = 0,
    /// Somebody who wants to become one (I-3).
    Candidate = 1,
}

/// What a bot can do, as bits of a u32; bits without a name here are kept and ignored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u32);

impl Capabilities {
    /// Nothing declared: a member that serves.
    pub const NONE: Self = Self(0);
    /// Takes no links (I-2).
    pub const CLIENT_ONLY: Self = Self(1);
    /// Offers to carry many children.
    pub const HUB: Self = Self(2);
    /// Runs where waking up is dear: keepalive times are three times as long on its links.
    pub const MOBILE: Self = Self(4);

    /// Bits that have a name.
    const NAMED: Self = Self::CLIENT_ONLY.with(Self::HUB).with(Self::MOBILE);

    /// Those that have a name: a node sends others as 0, and a test may send them all the same.
    pub(crate) const fn named(self) -> Self {
        Self(self.0 & Self::NAMED.0)
    }

    /// Keeps all bits.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits as they travel.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all bits of `other` are set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What each side says about itself, under its signature.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What the bot can do.
    pub capabilities: Capabilities,
    /// Height of the newest epoch the bot knows; 0 without a ledger.
    pub epoch_height: u32,
    /// Id of that epoch; zeros without a ledger.
    pub epoch_id: [u8; 32],
    /// Proof of membership or an invitation; at most [`MAX_CREDENTIALS`] bytes, empty without a ledger.
    pub credentials: Bytes,
}

impl Facts {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(42 + self.credentials.len());
        out.put_u32(self.capabilities.0);
        out.put_u32(self.epoch_height);
        out.put_slice(&self.epoch_id);
        out.put_u16(u16::try_from(self.credentials.len()).expect("credentials were checked against their limit"));
        out.put_slice(&self.credentials);
        out
    }

    fn decode(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        let (capabilities, epoch_height, epoch_id) = (Capabilities(r.u32()?), r.u32()?, *r.array()?);
        let len = usize::from(r.u16()?);
        if len > MAX_CREDENTIALS {
            return Err(LayoutError);
        }
        let credentials = Bytes::copy_from_slice(r.bytes(len)?);
        Ok(Self { capabilities, epoch_height, epoch_id, credentials })
    }
}

/// CONNECT without its tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head1 {
    pub(super) versions: (u8, u8),
    pub(super) kind: Kind,
    /// Numbers, because later versions may offer suites that this one does not know.
    pub(super) suites: Vec<u8>,
    pub(super) e: [u8; 32],
    pub(super) challenge: [u8; 32],
}

impl Head1 {
    pub(super) fn encode(&self, out: &mut BytesMut) {
        out.put_slice(&[self.versions.0, self.versions.1, self.kind as u8]);
        out.put_u8(u8::try_from(self.suites.len()).expect("at most four suites are offered"));
        out.put_slice(&self.suites);
        out.put_slice(&self.e);
        out.put_slice(&self.challenge);
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let parse = |mut r: FixedReader<'_>| {
            let versions = (r.u8()?, r.u8()?);
            let kind = match r.u8()? {
                0 => Kind::Member,
                1 => Kind::Candidate,
                _ => return Err(LayoutError),
            };
            let count = usize::from(r.u8()?);
            let suites = r.bytes(count)?.to_vec();
            let twice = (1..count).any(|at| suites[..at].contains(&suites[at]));
            if versions.0 > versions.1 || !(1..=4).contains(&count) || twice {
                return Err(LayoutError);
            }
            let head = Self { versions, kind, suites, e: *r.array()?, challenge: *r.array()? };
            r.end().map(|()| head)
        };
        parse(FixedReader::new(bytes)).map_err(|LayoutError| Fault::BadFrame)
    }
}

/// CONNECT+ACK without its box.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head2 {
    pub(super) version: u8,
    pub(super) suite: u8,
    pub(super) e: [u8; 32],
    pub(super) challenge: [u8; 32],
}

impl Head2 {
    pub(super) fn encode(&self) -> [u8; HEAD2_LEN] {
        let mut out = [0; HEAD2_LEN];
        out[0] = self.version;
        out[1] = self.suite;
        out[2..34].copy_from_slice(&self.e);
        out[34..].copy_from_slice(&self.challenge);
        out
    }

    /// Splits a body into the head and the box behind it.
    pub(super) fn split(body: &mut [u8]) -> Result<(Self, [u8; HEAD2_LEN], &mut [u8]), Fault> {
        let (head, sealed) = body.split_first_chunk_mut::<HEAD2_LEN>().ok_or(Fault::BadFrame)?;
        let parse = |mut r: FixedReader<'_>| {
            Ok::<_, LayoutError>(Self { version: r.u8()?, suite: r.u8()?, e: *r.array()?, challenge: *r.array()? })
        };
        let parsed = parse(FixedReader::new(head)).map_err(|LayoutError| Fault::BadFrame)?;
        Ok((parsed, *head, sealed))
    }
}

/// The inside of both sides' boxes.
pub(super) struct Proof {
    pub(super) id: [u8; 32],
    pub(super) facts: Facts,
    pub(super) signature: [u8; 64],
}

impl Proof {
    /// Returns the proof and the bytes of its facts.
    pub(super) fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), Fault> {
        Self::parse(FixedReader::new(bytes)).map_err(|LayoutError| Fault::BadFrame)
    }

    fn parse(mut r: FixedReader<'_>) -> Result<(Self, &[u8]), LayoutError> {
        let id = *r.array()?;
        let before = r.rest();
        let facts = Facts::decode(&mut r)?;
        let facts_bytes = &before[..before.len() - r.rest().len()];
        let proof = Self { id, facts, signature: *r.array()? };
        r.end()?;
        Ok((proof, facts_bytes))
    }
}

/// Length of every verdict, so that an observer cannot tell an OK from a KO.
const VERDICT_LEN: usize = 2 + MAX_STRING;

/// Longest body of the first record in either direction: a verdict; a string is shorter.
pub(super) const MAX_FIRST_RECORD: usize = 1 + VERDICT_LEN + crate::crypto::TAG_LEN;

/// What lies inside a record: the first byte says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inner<'a> {
    /// Client's string, in the first record under its key.
    Challenge(&'a str),
    /// Server's verdict: the string reversed.
    Ok(&'a str),
    /// Server's verdict: refused.
    Ko(Code, u32),
    /// Keepalive, to be sent back.
    Ping(&'a [u8; 16]),
    /// Keepalive, sent back.
    Echo(&'a [u8; 16]),
    /// The last record of a key.
    Rekey,
    /// The sender closes the link.
    Close(Code, u32),
    /// A message of the machines above: one CBOR array.
    Message(&'a [u8]),
}

/// First bytes of a record's plaintext.
pub(super) mod inner {
    pub(in crate::link) const CHALLENGE: u8 = 1;
    pub(in crate::link) const OK: u8 = 2;
    pub(in crate::link) const KO: u8 = 3;
    pub(in crate::link) const PING: u8 = 4;
    pub(in crate::link) const ECHO: u8 = 5;
    pub(in crate::link) const REKEY: u8 = 6;
    pub(in crate::link) const CLOSE: u8 = 7;
    pub(in crate::link) const MESSAGE: u8 = 16;
}

impl<'a> Inner<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Fault> {
        let (&kind, body) = bytes.split_first().ok_or(Fault::BadFrame)?;
        let mut r = FixedReader::new(body);
        let parsed = match kind {
            inner::MESSAGE => return Ok(Self::Message(body)),
            inner::CHALLENGE => {
                if body.is_empty() || body.len() > MAX_STRING {
                    return Err(Fault::BadChallenge);
                }
                return core::str::from_utf8(body).map(Self::Challenge).map_err(|_| Fault::BadChallenge);
            }
            inner::OK => (|| {
                let len = usize::from(r.u16()?);
                let pad = MAX_STRING.checked_sub(len).ok_or(LayoutError)?;
                let text = core::str::from_utf8(r.bytes(len)?).map_err(|_| LayoutError)?;
                padding(r, pad)?;
                Ok(Self::Ok(text))
            })(),
            inner::KO => (|| {
                let (code, after) = (Code::from_wire(r.u8()?), r.u32()?);
                padding(r, VERDICT_LEN - 5)?;
                Ok(Self::Ko(code, after))
            })(),
            inner::PING => r.array().and_then(|nonce| r.end().map(|()| Self::Ping(nonce))),
            inner::ECHO => r.array().and_then(|nonce| r.end().map(|()| Self::Echo(nonce))),
            inner::REKEY => r.end().map(|()| Self::Rekey),
            inner::CLOSE => (|| {
                let (code, after) = (Code::from_wire(r.u8()?), r.u32()?);
                r.end().map(|()| Self::Close(code, after))
            })(),
            _ => Err(LayoutError),
        };
        parsed.map_err(|LayoutError| Fault::BadFrame)
    }

    pub(super) fn encode(&self, out: &mut BytesMut) {
        let start = out.len();
        match self {
            Self::Challenge(text) => {
                out.put_u8(inner::CHALLENGE);
                out.put_slice(text.as_bytes());
            }
            Self::Ok(text) => {
                out.put_u8(inner::OK);
                out.put_u16(u16::try_from(text.len()).expect("a string has at most 256 bytes"));
                out.put_slice(text.as_bytes());
                out.resize(start + 1 + VERDICT_LEN, 0);
            }
            Self::Ko(code, after) => {
                out.put_slice(&[inner::KO, code.to_wire()]);
                out.put_u32(*after);
                out.resize(start + 1 + VERDICT_LEN, 0);
            }
            Self::Ping(nonce) => {
                out.put_u8(inner::PING);
                out.put_slice(&nonce[..]);
            }
            Self::Echo(nonce) => {
                out.put_u8(inner::ECHO);
                out.put_slice(&nonce[..]);
            }
            Self::Rekey => out.put_u8(inner::REKEY),
            Self::Close(code, after) => {
                out.put_slice(&[inner::CLOSE, code.to_wire()]);
                out.put_u32(*after);
            }
            Self::Message(body) => {
                out.put_u8(inner::MESSAGE);
                out.put_slice(body);
            }
        }
    }
}

fn padding(r: FixedReader<'_>, len: usize) -> Result<(), LayoutError> {
    let rest = r.rest();
    if rest.len() == len && rest.iter().all(|b| *b == 0) { Ok(()) } else { Err(LayoutError) }
}

/// The suite that both preferences lead to: AES only where both put it first, else ChaCha20 where it is offered.
pub(super) fn choose_suite(ours: &[Suite], offered: &[u8]) -> Option<Suite> {
    let aes = Suite::Aes256Gcm;
    if ours.first() == Some(&aes) && offered.first() == Some(&aes.to_wire()) {
        return Some(aes);
    }
    let chacha = Suite::ChaCha20Poly1305;
    offered.contains(&chacha.to_wire()).then_some(chacha)
}

/// The string that comes back: its Unicode scalar values in reverse order (I-23, I-24).
pub(super) fn reverse(text: &str) -> alloc::string::String {
    text.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn i23_strings_are_reversed_by_scalar_value() {
        for (text, back) in
            [("test123", "321tset"), ("ab", "ba"), ("été", "été"), ("e\u{301}te", "et\u{301}e"), ("", "")]
        {
            assert_eq!(reverse(text), back);
        }
    }

    #[test]
    fn i22_aes_is_taken_only_when_both_put_it_first() {
        let (aes, chacha) = (Suite::Aes256Gcm, Suite::ChaCha20Poly1305);
        assert_eq!(choose_suite(&[aes, chacha], &[1, 2]), Some(aes));
        assert_eq!(choose_suite(&[aes, chacha], &[1]), Some(aes));
        assert_eq!(choose_suite(&[chacha, aes], &[1, 2]), Some(chacha));
        assert_eq!(choose_suite(&[aes, chacha], &[2, 1]), Some(chacha));
        assert_eq!(choose_suite(&[aes, chacha], &[9, 1, 2]), Some(chacha));
        assert_eq!(choose_suite(&[chacha, aes], &[1]), None);
        assert_eq!(choose_suite(&[aes, chacha], &[7]), None);
    }

    #[test]
    fn capabilities_are_bits_and_those_without_a_name_are_kept() {
        let (hub, both) = (Capabilities::HUB, Capabilities::HUB.with(Capabilities::MOBILE));
        assert_eq!((both.bits(), both.with(hub)), (6, both));
        assert!(both.has(hub) && both.has(both) && both.has(Capabilities::NONE));
        assert!(!hub.has(both) && !both.has(Capabilities::CLIENT_ONLY));
        let all = Capabilities::from_bits(u32::MAX);
        assert_eq!((all.bits(), all.named().bits()), (u32::MAX, 7));
    }

    #[test]
    fn both_verdicts_have_one_length_and_one_padding() {
        let mut ok = BytesMut::new();
        Inner::Ok("x").encode(&mut ok);
        let mut ko = BytesMut::new();
        Inner::Ko(Code::Banned, 7).encode(&mut ko);
        assert_eq!((ok.len(), ko.len()), (1 + VERDICT_LEN, 1 + VERDICT_LEN));
        let mut long = BytesMut::from(&[inner::OK, 1, 1][..]);
        long.resize(3 + 257, b'x');
        assert_eq!(Inner::decode(&long), Err(Fault::BadFrame));
        for mut bytes in [ok, ko] {
            assert!(Inner::decode(&bytes).is_ok());
            let last = bytes.len() - 1;
            assert_eq!(Inner::decode(&bytes[..last]), Err(Fault::BadFrame));
            bytes[last] = 1;
            assert_eq!(Inner::decode(&bytes), Err(Fault::BadFrame));
        }
    }

    #[test]
    fn heads_refuse_every_truncation_trailing_bytes_and_bad_offers() {
        let head =
            Head1 { versions: (1, 1), kind: Kind::Candidate, suites: [1, 2].into(), e: [3; 32], challenge: [4; 32] };
        let mut bytes = BytesMut::new();
        head.encode(&mut bytes);
        assert_eq!(Head1::decode(&bytes), Ok(head));
        for cut in 0..bytes.len() {
            assert_eq!(Head1::decode(&bytes[..cut]), Err(Fault::BadFrame));
        }
        let with = |at: usize, value: u8| {
            let mut changed = bytes.clone();
            changed[at] = value;
            Head1::decode(&changed)
        };
        for (at, value) in [(0, 2), (2, 2), (3, 0), (3, 5), (3, 1), (5, 1)] {
            assert_eq!(with(at, value), Err(Fault::BadFrame), "byte {at} = {value}");
        }
        bytes.put_u8(0);
        assert_eq!(Head1::decode(&bytes), Err(Fault::BadFrame));
    }

    proptest! {
        #[test]
        fn a_record_that_decodes_encodes_to_the_same_bytes(mut bytes in proptest::collection::vec(any::<u8>(), 0..40), kind in 0u8..20) {
            if let Some(first) = bytes.first_mut() { *first = kind; }
            if let Ok(inner) = Inner::decode(&bytes) {
                let mut again = BytesMut::new();
                inner.encode(&mut again);
                prop_assert_eq!(&again[..], &bytes[..]);
            }
        }
    }
}
