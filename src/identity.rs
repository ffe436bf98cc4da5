//! Who is who: a bot's key, its textual form, and the community's name.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use bech32::{Bech32m, Hrp};
use ed25519_dalek::{SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::crypto::{Crypto, Signer};

const ID_PREFIX: Hrp = Hrp::parse_unchecked("bot");
const SECRET_PREFIX: Hrp = Hrp::parse_unchecked("botsecret");

/// A bot's name: its Ed25519 public key.
///
/// Every value that was parsed or built from bytes is a canonical encoding of a point of prime order. Its text is Bech32m
/// with the prefix `bot` (BIP 350): 62 lower-case letters and digits, so no chat client changes it, and a checksum that
/// finds a mistyped or truncated one.
///
/// ```
/// let identity = interbot::Identity::from_seed([7; 32]);
/// let text = identity.id().to_string();
/// assert_eq!(text.len(), 62);
/// assert_eq!(text.parse::<interbot::BotId>(), Ok(identity.id()));
/// let cut = text[..50].parse::<interbot::BotId>().unwrap_err();
/// assert_eq!(cut.to_string(), "a bot id has 62 characters, this has 50: copy it again, whole");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BotId([u8; 32]);

/// Why bytes or a text are no bot id or secret; each message says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// The text has another length than an id or a secret.
    #[error("{what} has {expected} characters, this has {found}: copy it again, whole")]
    Length {
        /// What was being read.
        what: &'static str,
        /// Characters of the textual form.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// The text starts with another prefix.
    #[error("{what} starts with `{prefix}1`: this is something else")]
    Prefix {
        /// What was being read.
        what: &'static str,
        /// Prefix of the textual form.
        prefix: &'static str,
    },
    /// The checksum or an alphabet character is wrong.
    #[error("the checksum of {what} does not match: a character was mistyped, copy it again")]
    Checksum {
        /// What was being read.
        what: &'static str,
    },
    /// The bytes are another encoding of a key that has a canonical one.
    #[error("the key is not canonically encoded: ask its owner for the id that the bot prints")]
    NotCanonical,
    /// The bytes are no point of the curve.
    #[error("the bytes are no Ed25519 public key: ask the owner for the id that the bot prints")]
    NotAKey,
    /// The key is of small or mixed order, so that a signature does not tie it to one holder.
    #[error("the key is weak (small or mixed order): no honest bot has it, do not admit it")]
    Weak,
}

impl BotId {
    /// Characters of the textual form: `bot1`, 52 of data, 6 of checksum.
    pub const TEXT_LEN: usize = 62;

    /// Checks 32 bytes and makes an id of them.
    ///
    /// # Errors
    /// [`IdError`] for a non-canonical encoding, no point of the curve, and a key of small or mixed order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, IdError> {
        if !is_canonical(&bytes) {
            return Err(IdError::NotCanonical);
        }
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| IdError::NotAKey)?;
        if is_small_order(&bytes) || !key.to_edwards().is_torsion_free() {
            return Err(IdError::Weak);
        }
        Ok(Self(bytes))
    }

    /// An id that a strict signature check just proved to be a canonical key of no small order.
    ///
    /// The test for mixed order is left to the roster that the id is looked up in.
    pub(crate) const fn proved(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The public key's 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The id as logs show it: `bot1` and the first eight characters of data.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = encode(ID_PREFIX, &self.0);
        text.truncate(12);
        text
    }
}

/// y of the eight points of small order, sign bit cleared: 0, 1, −1, and the two of order 8.
const SMALL_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// Whether y < 2^255 − 19; with it, only the keys of small order have a second encoding, and those are refused as weak.
fn is_canonical(bytes: &[u8; 32]) -> bool {
    let top = bytes[31] & 0x7f;
    !(top == 0x7f && bytes[1..31].iter().all(|b| *b == 0xff) && bytes[0] >= 0xed)
}

/// Whether canonical bytes encode a point of small order.
pub(crate) fn is_small_order(bytes: &[u8; 32]) -> bool {
    let mut y = *bytes;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

/// Whether a key read off the wire is canonical and not of small order.
pub(crate) fn may_be_key(bytes: &[u8; 32]) -> bool {
    is_canonical(bytes) && !is_small_order(bytes)
}

fn encode(prefix: Hrp, data: &[u8; 32]) -> String {
    bech32::encode::<Bech32m>(prefix, data).expect("32 bytes and a short prefix fit a Bech32m string")
}

fn decode(text: &str, what: &'static str, prefix: Hrp, shown: &'static str) -> Result<Zeroizing<[u8; 32]>, IdError> {
    let text = text.trim();
    let expected = shown.len() + 59;
    let starts = text
        .get(..shown.len() + 1)
        .is_some_and(|head| head.as_bytes()[shown.len()] == b'1' && head[..shown.len()].eq_ignore_ascii_case(shown));
    if !starts {
        return Err(IdError::Prefix { what, prefix: shown });
    }
    let found = text.chars().count();
    if found != expected {
        return Err(IdError::Length { what, expected, found });
    }
    let checked =
        bech32::primitives::decode::CheckedHrpstring::new::<Bech32m>(text).map_err(|_| IdError::Checksum { what })?;
    debug_assert_eq!(checked.hrp(), prefix, "the prefix was compared above");
    let mut out = Zeroizing::new([0; 32]);
    let mut filled = 0;
    for byte in checked.byte_iter() {
        *out.get_mut(filled).ok_or(IdError::Checksum { what })? = byte;
        filled += 1;
    }
    // One encoding per value: the four padding bits are zero.
    if filled != 32 || encode(prefix, &out).as_str() != text.to_ascii_lowercase() {
        return Err(IdError::Checksum { what });
    }
    Ok(out)
}

impl FromStr for BotId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::from_bytes(*decode(text, "a bot id", ID_PREFIX, "bot")?)
    }
}

impl fmt::Display for BotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&encode(ID_PREFIX, &self.0))
    }
}

impl fmt::Debug for BotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// A bot's secret key; whoever holds it *is* the bot.
///
/// One identity belongs to one running bot: two processes with the same key refuse each other's links.
pub struct Identity {
    seed: Zeroizing<[u8; 32]>,
    id: BotId,
}

impl Identity {
    /// Makes an identity from the 32 secret bytes of an Ed25519 key (RFC 8032); draw them from the system's generator.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        let id = BotId(SigningKey::from_bytes(&seed).verifying_key().to_bytes());
        Self { seed, id }
    }

    /// An identity for a replay, which has a name and cannot sign.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) fn without_secret(id: BotId) -> Self {
        Self { seed: Zeroizing::new([0; 32]), id }
    }

    /// The same once more, for a machine that is made later.
    pub(crate) fn again(&self) -> Self {
        Self { seed: self.seed.clone(), id: self.id }
    }

    /// Reads the textual form that [`Identity::secret_text`] wrote; surrounding blanks are ignored.
    ///
    /// # Errors
    /// [`IdError`] when the text is cut, mistyped, or something else.
    pub fn from_secret_text(text: &str) -> Result<Self, IdError> {
        Ok(Self::from_seed(*decode(text, "a bot's secret key", SECRET_PREFIX, "botsecret")?))
    }

    /// The secret as text (Bech32m with the prefix `botsecret`), for the host's key file.
    #[must_use]
    pub fn secret_text(&self) -> Zeroizing<String> {
        Zeroizing::new(encode(SECRET_PREFIX, &self.seed))
    }

    /// The public half.
    #[must_use]
    pub const fn id(&self) -> BotId {
        self.id
    }

    /// Signs with the secret half, through a provider: a founder's word in a genesis.
    #[must_use]
    pub fn signer(&self, crypto: &dyn Crypto) -> Box<dyn Signer> {
        crypto.signer(&self.seed)
    }

    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The 32 bytes that name a community; they never travel, they are inside every link's keys.
///
/// Whoever was invited knows them. They keep strangers from recognising or probing a community; they are no secret of its
/// members.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommunityId([u8; 32]);

impl CommunityId {
    /// Takes 32 bytes drawn at random, or the hash of a community's founding record.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Derives the id from a name: SHA-256 of `interbot community` ‖ 0x00 ‖ the name in UTF-8.
    ///
    /// Convenient, and as guessable as the name: a stranger who guesses it can recognise the community's bots.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"interbot community\0");
        hash.update(name.as_bytes());
        Self(hash.finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for CommunityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommunityId(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn id() -> BotId {
        Identity::from_seed([1; 32]).id()
    }

    #[test]
    fn an_id_survives_its_text_and_blanks_and_capitals() {
        let text = id().to_string();
        assert_eq!(text.len(), BotId::TEXT_LEN);
        assert!(text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_eq!(text.parse(), Ok(id()));
        assert_eq!(alloc::format!(" {} \r\n", text.to_ascii_uppercase()).parse(), Ok(id()));
        assert_eq!(alloc::format!("{:?}", id()), text[..12]);
    }

    #[test]
    fn every_single_mistyped_character_is_found() {
        let text = id().to_string();
        for at in 4..text.len() {
            for wrong in "qpzry9x8gf2tvdw0s3jn54khce6mua7lb!".chars() {
                let mut typed = text.clone();
                typed.replace_range(at..=at, &wrong.to_string());
                if typed != text {
                    assert_eq!(typed.parse::<BotId>(), Err(IdError::Checksum { what: "a bot id" }), "{typed}");
                }
            }
        }
    }

    #[test]
    fn a_truncated_or_foreign_text_says_what_it_is() {
        let text = id().to_string();
        for len in 4..text.len() {
            assert_eq!(
                text[..len].parse::<BotId>(),
                Err(IdError::Length { what: "a bot id", expected: 62, found: len })
            );
        }
        for foreign in ["", "bot", "bo", "hello world", "botsecret1qqqqqq", "ééé1ééé"] {
            assert_eq!(foreign.parse::<BotId>(), Err(IdError::Prefix { what: "a bot id", prefix: "bot" }), "{foreign}");
        }
    }

    #[test]
    fn a_secret_survives_its_text_and_never_shows_in_debug() {
        let identity = Identity::from_seed([9; 32]);
        let text = identity.secret_text();
        assert_eq!(Identity::from_secret_text(&text).map(|i| i.id()), Ok(identity.id()));
        assert_eq!(
            identity.id().to_string().parse::<BotId>().err().or(Identity::from_secret_text("bot1x").err()),
            Some(IdError::Prefix { what: "a bot's secret key", prefix: "botsecret" })
        );
        let shown = alloc::format!("{identity:?}");
        assert!(shown.contains(&identity.id().short()) && !shown.contains("seed"), "{shown}");
    }

    #[test]
    fn zero_small_mixed_and_non_canonical_keys_are_refused() {
        // y = 0 is a point of order 4; y = 1 the identity; 2^255 − 19 + 1 encodes it again.
        assert_eq!(BotId::from_bytes([0; 32]), Err(IdError::Weak));
        let mut one = [0; 32];
        one[0] = 1;
        assert_eq!(BotId::from_bytes(one), Err(IdError::Weak));
        let mut again = [0xff; 32];
        again[0] = 0xee;
        again[31] = 0x7f;
        assert_eq!(BotId::from_bytes(again), Err(IdError::NotCanonical));
        let mut off_curve = [0; 32];
        off_curve[0] = 2;
        assert_eq!(BotId::from_bytes(off_curve), Err(IdError::NotAKey));
        assert_eq!(BotId::from_bytes(crate::crypto::tests::mixed_order(&id())), Err(IdError::Weak));
    }
}
