//! What an attacker on the path does to bytes.

use std::ops::Range;

use arbitrary::Arbitrary;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use interbot::wire::HEADER_LEN;
use sha2::Sha256;

use crate::keys::community;

/// One change; places are taken modulo what is there.
#[derive(Arbitrary, Clone, Debug)]
pub enum Edit {
    /// Flips a bit.
    Flip { at: u16, bit: u8 },
    /// Overwrites a byte.
    Set { at: u16, byte: u8 },
    /// Drops everything from here on.
    Cut { at: u16 },
    /// Drops some bytes.
    Remove { at: u16, len: u8 },
    /// Puts bytes in.
    Insert { at: u16, bytes: Vec<u8> },
    /// Repeats some bytes.
    Double { at: u16, len: u8 },
    /// Gives a frame another length.
    Length { frame: u8, length: u32 },
    /// Gives a frame another kind.
    Kind { frame: u8, kind: u8 },
    /// Swaps two frames.
    SwapFrames { a: u8, b: u8 },
    /// Drops a frame.
    DropFrame { frame: u8 },
    /// Repeats a frame.
    DoubleFrame { frame: u8 },
    /// Puts a point of small order or a non-canonical one where an exchange's key stands in CONNECT and CONNECT+ACK.
    Point { which: u8 },
    /// Makes the bytes one CONNECT of the community: the tag is anybody's who knows the community.
    Retag,
}

/// Encodings of X25519 keys of small order, and of p.
const POINTS: [[u8; 32]; 5] = [
    [0; 32],
    {
        let mut one = [0; 32];
        one[0] = 1;
        one
    },
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    {
        let mut minus_one = [0xff; 32];
        minus_one[0] = 0xec;
        minus_one[31] = 0x7f;
        minus_one
    },
    {
        let mut p = [0xff; 32];
        p[0] = 0xed;
        p[31] = 0x7f;
        p
    },
];

impl Edit {
    /// Changes the bytes.
    pub fn apply(&self, bytes: &mut Vec<u8>) {
        let len = bytes.len();
        let place = |at: u16| usize::from(at) % len.max(1);
        let span = |at: u16, n: u8| place(at)..(place(at) + usize::from(n)).min(len);
        let frames = frames(bytes);
        let frame = |n: u8| frames.get(usize::from(n) % frames.len().max(1)).cloned();
        match self {
            Self::Insert { at, bytes: new } => {
                let at = usize::from(*at) % (len + 1);
                bytes.splice(at..at, new.iter().copied());
            }
            _ if len == 0 => {}
            Self::Flip { at, bit } => bytes[place(*at)] ^= 1 << (bit % 8),
            Self::Set { at, byte } => bytes[place(*at)] = *byte,
            Self::Cut { at } => bytes.truncate(place(*at)),
            Self::Remove { at, len } => drop(bytes.drain(span(*at, *len))),
            Self::Double { at, len } => {
                let part = bytes[span(*at, *len)].to_vec();
                let at = place(*at);
                bytes.splice(at..at, part);
            }
            Self::Length { frame: n, length } => {
                if let Some(head) = frame(*n).and_then(|frame| bytes.get_mut(frame.start..frame.start + 4)) {
                    head.copy_from_slice(&length.to_be_bytes());
                }
            }
            Self::Kind { frame: n, kind } => {
                if let Some(byte) = frame(*n).and_then(|frame| bytes.get_mut(frame.start + 4)) {
                    *byte = *kind;
                }
            }
            Self::SwapFrames { a, b } => {
                let mut parts: Vec<Vec<u8>> = frames.iter().map(|frame| bytes[frame.clone()].to_vec()).collect();
                let count = parts.len();
                parts.swap(usize::from(*a) % count, usize::from(*b) % count);
                *bytes = parts.concat();
            }
            Self::DropFrame { frame: n } => {
                if let Some(frame) = frame(*n) {
                    bytes.drain(frame);
                }
            }
            Self::DoubleFrame { frame: n } => {
                if let Some(frame) = frame(*n) {
                    let again = bytes[frame.clone()].to_vec();
                    bytes.splice(frame.start..frame.start, again);
                }
            }
            Self::Point { which } => {
                // CONNECT: header, two versions, kind, count, two suites. CONNECT+ACK: header, version, suite.
                let at = if bytes.get(4) == Some(&1) { HEADER_LEN + 6 } else { HEADER_LEN + 2 };
                if let Some(key) = bytes.get_mut(at..at + 32) {
                    key.copy_from_slice(&POINTS[usize::from(*which) % POINTS.len()]);
                }
            }
            Self::Retag => retag(bytes),
        }
    }
}

/// Applies all edits in order.
pub fn apply(edits: &[Edit], bytes: &mut Vec<u8>) {
    for edit in edits.iter().take(8) {
        edit.apply(bytes);
    }
}

/// Where frames lie, by the lengths they claim; the last may be cut.
#[must_use]
pub fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let (mut start, mut out) = (0, Vec::new());
    while start < bytes.len() {
        let claimed = bytes[start..].first_chunk().map_or(usize::MAX, |head| u32::from_be_bytes(*head) as usize);
        let end = start.saturating_add(4).saturating_add(claimed).clamp(start + 1, bytes.len());
        out.push(start..end);
        start = end;
    }
    out
}

fn retag(bytes: &mut [u8]) {
    const TAG_LEN: usize = 16;
    let Some((header, body)) = bytes.split_first_chunk_mut::<HEADER_LEN>() else { return };
    let len = u32::try_from(body.len() + 1).expect("an input is short");
    header[..4].copy_from_slice(&len.to_be_bytes());
    header[4] = 1;
    let Some((head, tag)) = body.split_last_chunk_mut::<TAG_LEN>() else { return };
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(Some(b"interbot link 1 tag"), community().as_bytes())
        .expand(&[], &mut key)
        .expect("32 bytes are one hash");
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key).expect("HMAC takes a key of any length");
    mac.update(b"interbot link 1\0");
    mac.update(&[0; 33]);
    mac.update(community().as_bytes());
    mac.update(&[1]);
    mac.update(head);
    tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_LEN]);
}
