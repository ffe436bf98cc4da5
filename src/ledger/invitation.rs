//! An invitation: one line of text that tells a newcomer whom to dial, which key to expect, and which history is the true one.
//!
//! The line is `ibot1` and Base58, 199 characters at most. Letters and digits only: Base64url has some 5 bytes more, and its
//! `_` and `-` are eaten as italics or struck through by chat clients, wrapped at, and cut at by a double click. Base32 has
//! room for 121 bytes, and an invitation with a name, a second address and a checkpoint takes 139. Base58 lacks `0`, `O`, `I`
//! and `l`. It is done in blocks of 8 bytes and 11 characters, so that the length in the first byte is known when the end is
//! missing, and a cut line is told from a mistyped one.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{borrow::ToOwned, format};
use core::fmt;
use core::iter::Peekable;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use core::str::{Chars, FromStr};

use super::ids::{Height, Place};
use super::tokens::Token;
use crate::crypto::sha256;
use crate::identity::{BotId, CommunityId, IdError};
use crate::time::UnixMillis;
use crate::wire::{FixedReader, LayoutError};

/// What every line starts with, and the version's digit behind it.
const PREFIX: &str = "ibot";
const VERSION: char = '1';
const PREFIX_LEN: usize = PREFIX.len() + 1;
/// Bytes of the checksum: a mistyped line is taken once in 4 thousand million.
const CHECKSUM: usize = 4;
/// Bytes before the checkpoint: length, kinds, community, inviter, end, token.
const FIXED: usize = 2 + 32 + 32 + 4 + Token::LEN;
/// Least bytes: with an address of one character.
const MIN_BYTES: usize = FIXED + 2 + CHECKSUM;
/// Most bytes whose text is within [`Invitation::MAX_TEXT`].
const MAX_BYTES: usize = 141;
/// In the byte of kinds: there is a checkpoint.
const HAS_CHECKPOINT: u8 = 0x80;
const MINUTE_MS: u64 = 60_000;

/// One line of text that invites one newcomer, until it expires.
///
/// It carries the community's id (so no other genesis is taken), the inviter's key (so no other bot is trusted at the
/// address), one or two addresses that mean something to the host only, a [`Token`] that is good once, an end, and if wanted
/// a checkpoint. The founders can forge a second history from height 0 for a newcomer who has no checkpoint: give one
/// whenever it fits. Every value has fewer than 200 characters of text, and one text.
///
/// Reading forgives what chats do to a line: blanks, line breaks and invisible characters anywhere, IRC's formatting codes,
/// quotes, brackets, Markdown and punctuation around it, another case of `ibot1`. The text itself has no control character,
/// so a code can only have been put at its ends or between its pieces. A colour's digits are read as IRC clients do: up to
/// two behind 0x03, then a comma and up to two more.
///
/// ```
/// use interbot::ledger::{Height, HeaderId, Invitation, Place, Token};
/// use interbot::{CommunityId, Identity, UnixMillis};
///
/// let (ann, end) = (Identity::from_seed([1; 32]).id(), UnixMillis(1_800_000_000_000));
/// let newest = Place { height: Height(52), header: HeaderId([9; 32]) };
/// let token = Token::from_bytes([7; 16]); // from the system's generator
/// let invitation = Invitation::new(CommunityId::from_name("example"), ann, "bot.example.org:7700", token, end)?
///     .with_checkpoint(&newest)?
///     .with_second_address("192.0.2.7:7700")?;
/// let line = invitation.to_string();
/// assert!(line.len() < 200 && line.bytes().all(|b| b.is_ascii_alphanumeric()));
///
/// let read: Invitation = format!("<\x0304{line}\x03> ").parse()?;
/// assert_eq!(read, invitation);
/// assert!(read.is_checkpoint(&newest));
/// let cut = line[..100].parse::<Invitation>().unwrap_err();
/// assert!(cut.to_string().contains("cut off"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    community: CommunityId,
    inviter: BotId,
    token: Token,
    expires_minutes: u32,
    checkpoint: Option<Checkpoint>,
    address: String,
    second_address: Option<String>,
}

/// A height, and half a hash of the token and the header's name.
///
/// Half is enough because the token comes first in it: it is drawn when the header is already sealed, so two headers with the
/// same half cannot be prepared, and finding a second one afterwards takes 2^128 hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Checkpoint {
    height: u32,
    half: [u8; 16],
}

impl Checkpoint {
    const LEN: usize = 4 + 16;

    fn new(height: u32, token: &Token, place: &Place) -> Self {
        let parts = [b"interbot checkpoint\0", &token.as_bytes()[..], &place.height.0.to_be_bytes(), &place.header.0];
        let hash = sha256(&parts);
        let (half, _) = hash.split_first_chunk().expect("a hash has 32 bytes");
        Self { height, half: *half }
    }
}

/// A part of an invitation that takes more room than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvitationPart {
    /// The first address.
    Address,
    /// The second address.
    SecondAddress,
    /// The checkpoint.
    Checkpoint,
}

impl fmt::Display for InvitationPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address",
            Self::SecondAddress => "the second address",
            Self::Checkpoint => "the checkpoint",
        })
    }
}

impl InvitationPart {
    const fn advice(self) -> &'static str {
        match self {
            Self::Address => "give an IP address or a shorter name",
            Self::SecondAddress => "leave it out, or give an IPv4 address",
            Self::Checkpoint => "leave the second address or, at a risk, the checkpoint out",
        }
    }
}

/// Why an invitation cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// The address is empty, or has a character that a chat could lose.
    #[error("an address is printable ASCII without blanks: write the name in its `xn--` form")]
    Address,
    /// A part makes the line too long.
    #[error("with {part} the invitation has {characters} characters, at most {} are allowed: {}",
        Invitation::MAX_TEXT, part.advice())]
    TooLong {
        /// The part that was to be added.
        part: InvitationPart,
        /// Characters of the text with it.
        characters: usize,
    },
    /// The checkpoint's height has more than 32 bits.
    #[error(
        "the checkpoint's height is above {}: no community is that old, look where the height comes from",
        u32::MAX
    )]
    Height,
}

/// Why a text is no invitation; each message says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// The text starts with something else.
    #[error("an invitation starts with `ibot1`: this is something else")]
    Foreign,
    /// The text is of a version that this program does not know.
    #[error("the invitation is of version {0}, this program knows version 1: update it (or copy the line again)")]
    Newer(char),
    /// The text is longer than any invitation, whatever was put around it.
    #[error(
        "an invitation has at most {} characters, this text has {bytes} bytes: paste nothing else",
        Invitation::MAX_TEXT
    )]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
    },
    /// The end, or a piece in between, is missing.
    #[error("the invitation was cut off: it has {found} characters of at least {least}, copy it again, whole")]
    Cut {
        /// Characters found.
        found: usize,
        /// Characters that it had: exactly, if its start says so, else as many as the shortest has.
        least: usize,
    },
    /// There is more text behind the invitation's end.
    #[error("the invitation has {expected} characters, here are {found}: paste nothing else")]
    Trailing {
        /// Characters found.
        found: usize,
        /// Characters of the invitation.
        expected: usize,
    },
    /// A character that no invitation has.
    #[error("an invitation has no {0:?}: a character was mistyped, copy it again")]
    Character(char),
    /// The checksum is wrong.
    #[error("the checksum of the invitation does not match: a character was mistyped, copy it again")]
    Checksum,
    /// The inviter's key is none that a bot may have.
    #[error("the invitation names a bad key: do not join, and ask somebody else ({0})")]
    Inviter(IdError),
    /// The checksum is right, the contents are not in their one encoding.
    #[error("the invitation was made by a faulty program: ask for another one")]
    Malformed,
}

impl From<LayoutError> for InvitationError {
    fn from(_: LayoutError) -> Self {
        Self::Malformed
    }
}

/// An invitation whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the invitation expired {} minutes ago: ask for a new one, or set this machine's clock", ago_ms / MINUTE_MS)]
pub struct InvitationExpired {
    /// Milliseconds since its end.
    pub ago_ms: u64,
}

impl Invitation {
    /// Most characters of the text: below 200, as chats and IRC's lines of 512 bytes bear.
    pub const MAX_TEXT: usize = 199;
    /// Most bytes that are read: what a line may become when a chat puts codes and blanks between its characters.
    pub const MAX_INPUT: usize = 1024;

    /// Makes an invitation with one address.
    ///
    /// The address is printable ASCII that means something to the host, as `bot.example.org:7700` or `[2001:db8::1]:7700`.
    /// Canonical socket addresses and lower-case host names with a port take least room. The end is rounded up to a minute.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn new(
        community: CommunityId,
        inviter: BotId,
        address: &str,
        token: Token,
        expires_at: UnixMillis,
    ) -> Result<Self, InviteError> {
        let expires_minutes = u32::try_from(expires_at.0.div_ceil(MINUTE_MS)).unwrap_or(u32::MAX);
        let address = checked_address(address)?.to_owned();
        let invitation =
            Self { community, inviter, token, expires_minutes, checkpoint: None, address, second_address: None };
        invitation.fitting(InvitationPart::Address)
    }

    /// Adds a second address, or replaces it.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn with_second_address(mut self, address: &str) -> Result<Self, InviteError> {
        self.second_address = Some(checked_address(address)?.to_owned());
        self.fitting(InvitationPart::SecondAddress)
    }

    /// Adds the newest height that the inviter knows, or replaces it.
    ///
    /// # Errors
    /// [`InviteError`].
    pub fn with_checkpoint(mut self, place: &Place) -> Result<Self, InviteError> {
        let height = u32::try_from(place.height.0).map_err(|_| InviteError::Height)?;
        self.checkpoint = Some(Checkpoint::new(height, &self.token, place));
        self.fitting(InvitationPart::Checkpoint)
    }

    /// The community: a genesis of another id is another community's.
    #[must_use]
    pub const fn community(&self) -> CommunityId {
        self.community
    }

    /// The key to expect at the addresses.
    #[must_use]
    pub const fn inviter(&self) -> BotId {
        self.inviter
    }

    /// The addresses to dial, one or two.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        core::iter::once(&self.address).chain(&self.second_address).map(String::as_str)
    }

    /// What to show to the inviter, once.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The same with a token of zeros, which lets nobody in; the checkpoint is the one of the token that was there.
    #[cfg(feature = "trace")]
    pub(crate) fn without_token(&self) -> Self {
        Self { token: Token::from_bytes([0; Token::LEN]), ..self.clone() }
    }

    /// When it ends, a whole minute.
    #[must_use]
    pub fn expires_at(&self) -> UnixMillis {
        UnixMillis(u64::from(self.expires_minutes) * MINUTE_MS)
    }

    /// Refuses an invitation whose time is over; look before dialling.
    ///
    /// # Errors
    /// [`InvitationExpired`].
    pub fn check_expiry(&self, now: UnixMillis) -> Result<(), InvitationExpired> {
        let end = self.expires_at();
        if now >= end { Err(InvitationExpired { ago_ms: now.0 - end.0 }) } else { Ok(()) }
    }

    /// The checkpoint's height; a history that is shorter is not to be trusted yet.
    #[must_use]
    pub fn checkpoint(&self) -> Option<Height> {
        self.checkpoint.map(|checkpoint| Height(checkpoint.height.into()))
    }

    /// Whether this place is the checkpoint.
    ///
    /// A chain whose place at the height of [`checkpoint`](Self::checkpoint) is not, is another history: leave it.
    #[must_use]
    pub fn is_checkpoint(&self, place: &Place) -> bool {
        self.checkpoint.is_some_and(|checkpoint| {
            Height(checkpoint.height.into()) == place.height
                && Checkpoint::new(checkpoint.height, &self.token, place) == checkpoint
        })
    }

    /// Itself, if its text is short enough with the part that was added last.
    fn fitting(self, part: InvitationPart) -> Result<Self, InviteError> {
        let characters = PREFIX_LEN + text_len(self.to_bytes().len());
        if characters > Self::MAX_TEXT { Err(InviteError::TooLong { part, characters }) } else { Ok(self) }
    }

    /// The bytes behind the prefix, with their checksum.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let (first, second) = (Address::of(&self.address), self.second_address.as_deref().map(Address::of));
        let kinds = first.kind() << 3 | second.as_ref().map_or(0, Address::kind);
        let mut out = Vec::with_capacity(MAX_BYTES);
        out.extend([0, kinds | if self.checkpoint.is_some() { HAS_CHECKPOINT } else { 0 }]);
        out.extend(self.community.as_bytes());
        out.extend(self.inviter.as_bytes());
        out.extend(self.expires_minutes.to_be_bytes());
        out.extend(self.token.as_bytes());
        debug_assert_eq!(out.len(), FIXED);
        if let Some(checkpoint) = &self.checkpoint {
            out.extend(checkpoint.height.to_be_bytes());
            out.extend(checkpoint.half);
            debug_assert_eq!(out.len(), FIXED + Checkpoint::LEN);
        }
        first.put(&mut out);
        if let Some(second) = second {
            second.put(&mut out);
        }
        // Too long a length is refused before anybody reads it.
        out[0] = u8::try_from(out.len() + CHECKSUM).unwrap_or(u8::MAX);
        let sum = checksum(&out);
        out.extend(sum);
        out
    }

    /// Reads the bytes behind the prefix.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, InvitationError> {
        let (body, sum) = bytes.split_last_chunk().ok_or(InvitationError::Malformed)?;
        if checksum(body) != *sum {
            return Err(InvitationError::Checksum);
        }
        let mut r = FixedReader::new(body);
        let _length = r.u8()?;
        let kinds = r.u8()?;
        let community = CommunityId::from_bytes(*r.array()?);
        let inviter = BotId::from_bytes(*r.array()?).map_err(InvitationError::Inviter)?;
        let expires_minutes = r.u32()?;
        let token = Token::from_bytes(*r.array()?);
        let checkpoint =
            if kinds & HAS_CHECKPOINT != 0 { Some(Checkpoint { height: r.u32()?, half: *r.array()? }) } else { None };
        let address = Address::read(kinds >> 3 & 7, &mut r)?;
        let second_address = match kinds & 7 {
            0 => None,
            kind => Some(Address::read(kind, &mut r)?),
        };
        r.end()?;
        let read = Self { community, inviter, token, expires_minutes, checkpoint, address, second_address };
        if read.to_bytes() == bytes { Ok(read) } else { Err(InvitationError::Malformed) }
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text_of(&self.to_bytes()))
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        if text.len() > Self::MAX_INPUT {
            return Err(InvitationError::TooLong { bytes: text.len() });
        }
        let line = cleaned(text);
        let found = line.chars().count();
        let cut = |bytes| InvitationError::Cut { found, least: PREFIX_LEN + text_len(bytes) };
        let same = line.chars().zip(PREFIX.chars()).take_while(|(a, b)| a.eq_ignore_ascii_case(b)).count();
        if found == 0 || same < PREFIX.len().min(found) {
            return Err(InvitationError::Foreign);
        }
        let mut rest = line.chars().skip(PREFIX.len());
        match rest.next() {
            None => return Err(cut(MIN_BYTES)),
            Some(VERSION) => {}
            Some(version @ '2'..='9') => return Err(InvitationError::Newer(version)),
            Some(_) => return Err(InvitationError::Foreign),
        }
        let digits = rest.map(|c| digit(c).ok_or(InvitationError::Character(c))).collect::<Result<Vec<_>, _>>()?;
        let Some((first, _)) = digits.split_at_checked(BLOCK_TEXT) else { return Err(cut(MIN_BYTES)) };
        let length = usize::from(block_of(first, BLOCK).ok_or(InvitationError::Checksum)?[0]);
        if !(MIN_BYTES..=MAX_BYTES).contains(&length) {
            return Err(InvitationError::Checksum);
        }
        let expected = text_len(length);
        if digits.len() < expected {
            return Err(cut(length));
        }
        if digits.len() > expected {
            return Err(InvitationError::Trailing { found, expected: PREFIX_LEN + expected });
        }
        let mut bytes = Vec::with_capacity(length);
        for block in digits.chunks(BLOCK_TEXT) {
            let len = BLOCK.min(length - bytes.len());
            bytes.extend(&block_of(block, len).ok_or(InvitationError::Checksum)?[..len]);
        }
        Self::from_bytes(&bytes)
    }
}

pub(super) fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    let hash = sha256(&[b"interbot invitation 1\0", body]);
    *hash.first_chunk().expect("a hash has 32 bytes")
}

/// Base58 without `0`, `O`, `I` and `l`.
const ALPHABET: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
/// Bytes of a block, and the characters that it takes.
const BLOCK: usize = 8;
const BLOCK_TEXT: usize = 11;
/// By its number of bytes, the characters of a block: the fewest that tell all values apart.
const TEXT_LEN: [usize; BLOCK + 1] = [0, 2, 3, 5, 6, 7, 9, 10, BLOCK_TEXT];

const fn text_len(bytes: usize) -> usize {
    bytes / BLOCK * BLOCK_TEXT + TEXT_LEN[bytes % BLOCK]
}

const _: () = assert!(PREFIX_LEN + text_len(MAX_BYTES) == Invitation::MAX_TEXT);

/// The line for bytes.
pub(super) fn text_of(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(Invitation::MAX_TEXT);
    text.push_str(PREFIX);
    text.push(VERSION);
    for block in bytes.chunks(BLOCK) {
        let mut value = block.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let mut digits = [0; BLOCK_TEXT];
        let digits = &mut digits[..TEXT_LEN[block.len()]];
        for digit in digits.iter_mut().rev() {
            *digit = ALPHABET[(value % 58) as usize];
            value /= 58;
        }
        text.extend(digits.iter().map(|digit| char::from(*digit)));
    }
    text
}

fn digit(c: char) -> Option<u8> {
    ALPHABET.iter().zip(0..).find(|(known, _)| char::from(**known) == c).map(|(_, digit)| digit)
}

/// The `len` bytes of a block, at the front; nothing when the digits are of a greater number.
fn block_of(digits: &[u8], len: usize) -> Option<[u8; BLOCK]> {
    let value = digits.iter().fold(0_u128, |value, digit| value * 58 + u128::from(*digit));
    (value >> (8 * len) == 0).then_some(())?;
    let value = u64::try_from(value).ok()?;
    let mut bytes = [0; BLOCK];
    bytes[..len].copy_from_slice(&value.to_be_bytes()[BLOCK - len..]);
    Some(bytes)
}

/// The text without what chats add: formatting codes, blanks and invisible characters anywhere, marks at the ends.
fn cleaned(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // Bold, reset, monospace, reverse, italics, strikethrough, underline.
            '\x02' | '\x0f' | '\x11' | '\x16' | '\x1d' | '\x1e' | '\x1f' => {}
            '\x03' => skip_colours(&mut chars, |chars| {
                let any = chars.next_if(char::is_ascii_digit).is_some();
                if any {
                    let _ = chars.next_if(char::is_ascii_digit);
                }
                any
            }),
            '\x04' => skip_colours(&mut chars, |chars| {
                let six = chars.clone().take(6).filter(char::is_ascii_hexdigit).count() == 6;
                six && chars.nth(5).is_some()
            }),
            // Soft hyphen, zero-width and direction marks, word joiner, variation selectors, byte order mark.
            '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}' => {}
            c if c.is_whitespace() => {}
            c => line.push(c),
        }
    }
    let marks = |c: char| "<>()[]{}\"'`“”„‘’«».,;:!?*_~|".contains(c);
    line.trim_matches(marks).to_owned()
}

/// Skips a colour, and behind it a comma and another, as IRC clients do.
fn skip_colours(chars: &mut Peekable<Chars<'_>>, skip: impl Fn(&mut Peekable<Chars<'_>>) -> bool) {
    if skip(chars) {
        let mut behind = chars.clone();
        if behind.next() == Some(',') && skip(&mut behind) {
            *chars = behind;
        }
    }
}

fn checked_address(address: &str) -> Result<&str, InviteError> {
    let good = !address.is_empty() && address.bytes().all(|byte| byte.is_ascii_graphic());
    if good { Ok(address) } else { Err(InviteError::Address) }
}

/// An address in its shortest form, which its text alone decides.
#[derive(Clone, Copy, Debug)]
enum Address<'a> {
    V4(SocketAddrV4),
    V6(SocketAddrV6),
    Name { host: &'a str, port: u16 },
    Text(&'a str),
}

/// Characters of a packed name, numbered from 1; 0 fills up the last three.
const NAME_CHARS: &[u8; 39] = b"abcdefghijklmnopqrstuvwxyz0123456789-._";

fn name_code(byte: u8) -> Option<u16> {
    NAME_CHARS.iter().zip(1..).find(|(known, _)| **known == byte).map(|(_, code)| code)
}

impl<'a> Address<'a> {
    fn of(text: &'a str) -> Self {
        if let Some(v4) = text.parse::<SocketAddrV4>().ok().filter(|v4| v4.to_string() == text) {
            return Self::V4(v4);
        }
        let v6 = text.parse::<SocketAddrV6>().ok();
        if let Some(v6) = v6.filter(|v6| v6.scope_id() == 0 && v6.to_string() == text) {
            return Self::V6(v6);
        }
        let name = text.rsplit_once(':').and_then(|(host, digits)| {
            let port = digits.parse::<u16>().ok().filter(|port| port.to_string() == digits)?;
            let packs = !host.is_empty() && host.bytes().all(|byte| name_code(byte).is_some());
            packs.then_some(Self::Name { host, port })
        });
        name.unwrap_or(Self::Text(text))
    }

    const fn kind(&self) -> u8 {
        match self {
            Self::V4(_) => 1,
            Self::V6(_) => 2,
            Self::Name { .. } => 3,
            Self::Text(_) => 4,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::V4(v4) => {
                out.extend(v4.ip().octets());
                out.extend(v4.port().to_be_bytes());
            }
            Self::V6(v6) => {
                out.extend(v6.ip().octets());
                out.extend(v6.port().to_be_bytes());
            }
            Self::Name { host, port } => {
                out.push(u8::try_from(host.len()).unwrap_or(u8::MAX));
                out.extend(port.to_be_bytes());
                for three in host.as_bytes().chunks(3) {
                    let code = |at| three.get(at).and_then(|byte| name_code(*byte)).unwrap_or(0);
                    out.extend(((code(0) * 40 + code(1)) * 40 + code(2)).to_be_bytes());
                }
            }
            Self::Text(text) => {
                out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
                out.extend(text.as_bytes());
            }
        }
    }

    /// Reads an address of a kind as text; that it is the shortest form is left to be checked.
    fn read(kind: u8, r: &mut FixedReader<'_>) -> Result<String, LayoutError> {
        match kind {
            1 => {
                let ip = Ipv4Addr::from(*r.array::<4>()?);
                Ok(SocketAddrV4::new(ip, r.u16()?).to_string())
            }
            2 => {
                let ip = Ipv6Addr::from(*r.array::<16>()?);
                Ok(SocketAddrV6::new(ip, r.u16()?, 0, 0).to_string())
            }
            3 => {
                let (len, port) = (usize::from(r.u8()?), r.u16()?);
                let mut host = String::with_capacity(len);
                for _ in 0..len.div_ceil(3) {
                    let three = r.u16()?;
                    for code in [three / 1600, three / 40 % 40, three % 40] {
                        let byte = usize::from(code).checked_sub(1).and_then(|at| NAME_CHARS.get(at));
                        match byte {
                            Some(byte) => host.push(char::from(*byte)),
                            None if code == 0 && host.len() == len => {}
                            None => return Err(LayoutError),
                        }
                    }
                }
                Ok(format!("{host}:{port}"))
            }
            4 => {
                let len = usize::from(r.u8()?);
                let text = core::str::from_utf8(r.bytes(len)?).map_err(|_| LayoutError)?;
                checked_address(text).map(ToOwned::to_owned).map_err(|_| LayoutError)
            }
            _ => Err(LayoutError),
        }
    }
}
