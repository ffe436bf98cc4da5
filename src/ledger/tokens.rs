//! The inviter's side of invitations: which are open, so that each is used once.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::invitation::Invitation;
use crate::crypto::sha256;
use crate::identity::BotId;
use crate::time::UnixMillis;
use crate::wire::{FixedReader, LayoutError};

/// What makes an invitation good for one newcomer: 16 bytes that the inviter draws at random for it.
///
/// Whoever shows it first is let in, so `Debug` hides it and it is wiped on drop.
#[derive(Clone, Eq)]
pub struct Token(Zeroizing<[u8; 16]>);

impl Token {
    /// Bytes of a token: nobody guesses 128 bits.
    pub const LEN: usize = 16;

    /// Takes 16 bytes; draw them from the system's generator, anew for each invitation.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The 16 bytes, for the credentials that the newcomer shows.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// What the inviter remembers, so that its records let nobody in.
    pub(crate) fn name(&self) -> TokenName {
        TokenName(sha256(&[b"interbot invitation token\0", &self.0[..]]))
    }
}

/// A token's hash: it tells which one is meant, and lets nobody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TokenName(pub(crate) [u8; 32]);

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0[..].ct_eq(&other.0[..]).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why an invitation is not issued; nothing is changed but that expired ones are forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// It would be of no use.
    #[error("the invitation has expired already: give it a later end")]
    Expired,
    /// Its token was issued before.
    #[error("the token was issued before: draw another for each invitation")]
    Reused,
    /// As many are open as are remembered.
    #[error("{} invitations are open: revoke one, or wait until one expires", Invitations::MAX)]
    Full,
}

/// Why a token lets nobody in; nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedeemError {
    /// It was never issued here, was revoked, or expired so long ago that it is forgotten.
    #[error("this bot knows no such invitation: ask the bot that it names, or ask for a new one")]
    Unknown,
    /// Somebody came with it before.
    #[error("the invitation was used already: each lets one bot in, ask for a new one")]
    Used,
    /// Its time is over.
    #[error("the invitation has expired: ask for a new one")]
    Expired,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Issued {
    expires_at: UnixMillis,
    use_: Use,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Open,
    Used,
    /// It is being used for this key, and what it is used for may not be durable yet.
    For([u8; 32]),
}

/// The invitations that a bot issued, until they expire; at most [`MAX`](Self::MAX) of them.
///
/// Tokens are remembered by their hash. A token is spent only once its record is durable: after [`redeem`](Self::redeem)
/// write [`to_bytes`](Self::to_bytes) down, and only then let the newcomer in.
///
/// ```
/// use interbot::ledger::{Invitation, Invitations, RedeemError, Token};
/// use interbot::{CommunityId, Identity, UnixMillis};
///
/// let (ann, now) = (Identity::from_seed([1; 32]), UnixMillis(1_700_000_000_000));
/// let tomorrow = UnixMillis(now.0 + 86_400_000);
/// let token = Token::from_bytes([7; 16]); // from the system's generator
/// let invitation = Invitation::new(CommunityId::from_name("example"), ann.id(), "192.0.2.7:7700", token, tomorrow)?;
/// let mut issued = Invitations::default();
/// issued.issue(now, &invitation)?;
/// let line = invitation.to_string();
///
/// let read: Invitation = line.parse()?;
/// read.check_expiry(now)?;
/// assert_eq!(issued.redeem(now, read.token()), Ok(()));
/// assert_eq!(issued.redeem(now, read.token()), Err(RedeemError::Used));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Invitations {
    issued: BTreeMap<TokenName, Issued>,
}

impl Invitations {
    /// Most invitations remembered; chosen because people write them by hand, and so that the record stays below 11 kB.
    pub const MAX: usize = 256;

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let count = usize::from(r.u16()?);
        if count > Self::MAX {
            return Err(LayoutError);
        }
        let mut issued = BTreeMap::new();
        for _ in 0..count {
            let name = TokenName(*r.array()?);
            let expires_at = UnixMillis(r.u64()?);
            let use_ = match r.u8()? {
                0 => Use::Open,
                1 => Use::Used,
                2 => Use::For(*r.array()?),
                _ => return Err(LayoutError),
            };
            if issued.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(LayoutError);
            }
            issued.insert(name, Issued { expires_at, use_ });
        }
        r.end()?;
        Ok(Self { issued })
    }

    /// Remembers an invitation, before its line is shown to anybody; expired ones are forgotten.
    ///
    /// When there is no room, the used one that expires first makes room: it stays refused, as unknown.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue(&mut self, now: UnixMillis, invitation: &Invitation) -> Result<(), IssueError> {
        self.issue_named(now, invitation.token().name(), invitation.expires_at())
    }

    pub(crate) fn issue_named(
        &mut self,
        now: UnixMillis,
        name: TokenName,
        expires_at: UnixMillis,
    ) -> Result<(), IssueError> {
        self.issued.retain(|_, issued| issued.expires_at > now);
        if expires_at <= now {
            return Err(IssueError::Expired);
        }
        if self.issued.contains_key(&name) {
            return Err(IssueError::Reused);
        }
        if self.issued.len() >= Self::MAX {
            let used = self.issued.iter().filter(|(_, issued)| issued.use_ == Use::Used);
            let first = *used.min_by_key(|(_, issued)| issued.expires_at).ok_or(IssueError::Full)?.0;
            self.issued.remove(&first);
        }
        self.issued.insert(name, Issued { expires_at, use_: Use::Open });
        Ok(())
    }

    /// Whether a token would let somebody in.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn check(&self, now: UnixMillis, token: &Token) -> Result<(), RedeemError> {
        self.check_named(now, token.name())
    }

    pub(crate) fn check_named(&self, now: UnixMillis, name: TokenName) -> Result<(), RedeemError> {
        let issued = self.issued.get(&name).ok_or(RedeemError::Unknown)?;
        if issued.use_ != Use::Open {
            return Err(RedeemError::Used);
        }
        if issued.expires_at <= now {
            return Err(RedeemError::Expired);
        }
        Ok(())
    }

    /// Spends a token: it lets in whoever showed it, now and never again.
    ///
    /// # Errors
    /// [`RedeemError`].
    pub fn redeem(&mut self, now: UnixMillis, token: &Token) -> Result<(), RedeemError> {
        self.redeem_named(now, token.name())
    }

    fn redeem_named(&mut self, now: UnixMillis, name: TokenName) -> Result<(), RedeemError> {
        self.check_named(now, name)?;
        self.spend(name);
        Ok(())
    }

    /// Spends a token that was kept; whether it was not spent yet.
    pub(crate) fn spend(&mut self, name: TokenName) -> bool {
        let spent = self.issued.get_mut(&name).map(|issued| core::mem::replace(&mut issued.use_, Use::Used));
        spent.is_some_and(|before| before != Use::Used)
    }

    /// Keeps a token for the one key that came with it, until what it is used for is durable.
    pub(crate) fn keep_for(&mut self, name: TokenName, key: &BotId) {
        if let Some(issued) = self.issued.get_mut(&name) {
            issued.use_ = Use::For(*key.as_bytes());
        }
    }

    /// Whether a token is kept for this key.
    pub(crate) fn is_kept_for(&self, name: TokenName, key: &BotId) -> bool {
        self.issued.get(&name).is_some_and(|issued| issued.use_ == Use::For(*key.as_bytes()))
    }

    /// Takes an invitation back; whether there was one.
    pub fn revoke(&mut self, token: &Token) -> bool {
        self.issued.remove(&token.name()).is_some()
    }

    /// How many could still be used.
    #[must_use]
    pub fn open(&self, now: UnixMillis) -> usize {
        self.issued.values().filter(|issued| issued.use_ == Use::Open && issued.expires_at > now).count()
    }

    /// The one encoding, for the host's records: u16 count, then sorted by hash 32 bytes of hash, u64 end, u8 0 open, 1 used, or 2 being used
    /// and the 32 bytes of the key for which.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 + 41 * self.issued.len());
        out.extend(u16::try_from(self.issued.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (name, issued) in &self.issued {
            out.extend(name.0);
            out.extend(issued.expires_at.0.to_be_bytes());
            match &issued.use_ {
                Use::Open => out.push(0),
                Use::Used => out.push(1),
                Use::For(key) => {
                    out.push(2);
                    out.extend(key);
                }
            }
        }
        out
    }
}

impl fmt::Debug for Invitations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let used = self.issued.values().filter(|issued| issued.use_ != Use::Open).count();
        f.debug_struct("Invitations").field("remembered", &self.issued.len()).field("used", &used).finish()
    }
}
