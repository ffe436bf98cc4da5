//! The crypto provider: one small trait, passed as a value.
//!
//! [`Pure`] is the default, in Rust alone. `AwsLc` (feature `aws-lc`) is faster and builds C and assembly. Both write the same
//! bytes and give the same verdicts; `tests/providers.rs` holds them to it. Hashes and key derivation are not part of it:
//! SHA-256 and HKDF-SHA-256 are the protocol's, never negotiated.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod pure;

use alloc::boxed::Box;
use core::fmt;

use chacha20::ChaCha20Rng;
use chacha20::rand_core::{Rng as _, SeedableRng as _};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
pub use pure::Pure;

/// Bytes of an AEAD tag, in both suites.
pub const TAG_LEN: usize = 16;

/// The two ciphers of a link, by their number on the wire.
///
/// Exhaustive on purpose: a third suite is a new protocol version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Suite {
    /// AES-256-GCM; the first choice where both sides have AES instructions.
    Aes256Gcm = 1,
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 = 2,
}

impl Suite {
    /// The suite with this number.
    #[must_use]
    pub const fn from_wire(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Aes256Gcm),
            2 => Some(Self::ChaCha20Poly1305),
            _ => None,
        }
    }

    /// The suite's number.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        self as u8
    }
}

/// What a link needs of a crypto library.
///
/// Implementations must agree on every byte and every verdict; see the rules for signatures in
/// [the manual](crate::manual::protocol).
pub trait Crypto: fmt::Debug + Send + Sync {
    /// Makes the key pair of one X25519 exchange from 32 secret bytes.
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral>;
    /// Prepares an Ed25519 key for signing.
    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer>;
    /// Checks an Ed25519 signature by the one strict rule: key canonical and not of small order, R canonical and not of small
    /// order, s < ℓ, and the equation without cofactor.
    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool;
    /// Prepares a key for sealing and opening.
    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead>;
}

/// An X25519 key pair for one exchange; wiped on drop.
pub trait Ephemeral: Send {
    /// The public half.
    fn public(&self) -> [u8; 32];
    /// The shared secret, or nothing when it is all zero (a peer's key of small order).
    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>>;
}

/// An Ed25519 key that signs.
pub trait Signer: Send + Sync {
    /// Signs a message (RFC 8032, deterministic).
    fn sign(&self, message: &[u8]) -> [u8; 64];
}

/// An AEAD key; the nonce is four zero bytes and the counter in big-endian.
pub trait Aead: Send {
    /// Encrypts `text` in place and returns its tag.
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN];
    /// Decrypts a text with its tag at the end, in place, and returns the text; nothing when the tag does not match.
    fn open<'a>(&self, counter: u64, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]>;
}

fn nonce(counter: u64) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    nonce
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HKDF-SHA-256, extract.
pub(crate) fn extract(salt: &[u8], ikm: &[u8]) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(Hkdf::<Sha256>::extract(Some(salt), ikm).0.into())
}

/// HKDF-SHA-256, expand to at most 8,160 bytes.
pub(crate) fn expand(prk: &[u8; 32], info: &[&[u8]], out: &mut [u8]) {
    Hkdf::<Sha256>::from_prk(prk)
        .expect("a PRK of 32 bytes is long enough for SHA-256")
        .expand_multi_info(info, out)
        .expect("callers ask for less than 255 hashes");
}

/// A generator with a purpose: each machine draws from a child stream of the host's seed, so that one machine's draws never
/// shift another's.
pub(crate) struct Random {
    stream: ChaCha20Rng,
    /// Notes, or answers, what is drawn and is no secret.
    #[cfg(feature = "trace")]
    tape: Option<crate::tape::Tape>,
}

impl Random {
    pub(crate) fn child(seed: &[u8; 32], purpose: &str) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        expand(&extract(b"interbot random", seed), &[purpose.as_bytes()], &mut key[..]);
        Self::from_seed(&key)
    }

    pub(crate) fn from_seed(seed: &[u8; 32]) -> Self {
        Self {
            stream: ChaCha20Rng::from_seed(*seed),
            #[cfg(feature = "trace")]
            tape: None,
        }
    }

    /// The same, with a tape.
    #[cfg(feature = "trace")]
    pub(crate) fn taped(self, tape: Option<&crate::tape::Tape>) -> Self {
        Self { tape: tape.cloned(), ..self }
    }

    /// Bytes that may be seen: whoever draws a secret says so.
    pub(crate) fn fill(&mut self, out: &mut [u8]) {
        self.stream.fill_bytes(out);
        #[cfg(feature = "trace")]
        if let Some(tape) = &self.tape {
            tape.draw(out);
        }
    }

    pub(crate) fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        let mut secret = Zeroizing::new([0; 32]);
        self.stream.fill_bytes(&mut secret[..]);
        secret
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let number = self.stream.next_u64();
        #[cfg(feature = "trace")]
        let number = self.tape.as_ref().map_or(number, |tape| tape.number(number));
        number
    }

    /// Uniform below `bound`; 0 when the bound is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // Widening multiplication; its bias of bound / 2^64 is far below anything a host could see.
        u64::try_from((u128::from(self.u64()) * u128::from(bound)) >> 64).expect("the upper half of a product fits")
    }
}

impl fmt::Debug for Random {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Random(…)")
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::identity::BotId;

    /// A key of mixed order: a good one plus the point of order two, (x, y) → (−x, −y).
    pub(crate) fn mixed_order(id: &BotId) -> [u8; 32] {
        let mut out = [0; 32];
        // p − y, with the sign of x flipped.
        let (mut borrow, mut y) = (0i16, *id.as_bytes());
        let sign = y[31] & 0x80;
        y[31] &= 0x7f;
        for (at, byte) in out.iter_mut().enumerate() {
            let p = if at == 0 {
                0xed
            } else if at == 31 {
                0x7f
            } else {
                0xff
            };
            let difference = i16::from(p as u8) - i16::from(y[at]) - borrow;
            borrow = i16::from(difference < 0);
            *byte = u8::try_from(difference.rem_euclid(256)).expect("below 256");
        }
        out[31] |= sign ^ 0x80;
        out
    }

    #[test]
    fn child_streams_differ_by_purpose_and_repeat_by_seed() {
        let draw = |seed, purpose| Random::child(&[seed; 32], purpose).u64();
        assert_eq!(draw(1, "link"), draw(1, "link"));
        assert_ne!(draw(1, "link"), draw(1, "overlay"));
        assert_ne!(draw(1, "link"), draw(2, "link"));
        let mut random = Random::child(&[1; 32], "below");
        assert!((0..1000).map(|_| random.below(10)).all(|n| n < 10));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn hkdf_matches_rfc_5869_case_1() {
        let prk = extract(&core::array::from_fn::<u8, 13, _>(|i| i as u8), &[0x0b; 22]);
        let mut okm = [0; 42];
        expand(&prk, &[&core::array::from_fn::<u8, 10, _>(|i| 0xf0 + i as u8)], &mut okm);
        assert_eq!(prk[..4], [0x07, 0x77, 0x09, 0x36]);
        assert_eq!(okm[..4], [0x3c, 0xb2, 0x5f, 0x25]);
        assert_eq!(okm[38..], [0x87, 0x18, 0x58, 0x65]);
    }
}
