//! Why a link ends: codes that travel, faults that do not.

use core::time::Duration;

/// A reason that one side tells the other, in a KO or a CLOSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Code {
    /// The peer was too slow.
    #[error("timeout")]
    Timeout,
    /// No slot is free, or the budget for handshakes is spent; retry later.
    #[error("full")]
    Full,
    /// Somebody with a higher priority waits for the slot.
    #[error("lower priority waiting")]
    LowerPriority,
    /// The peer belongs to another branch of the tree.
    #[error("other branch")]
    OtherBranch,
    /// The key is not in the roster.
    #[error("unknown member")]
    UnknownMember,
    /// The key is banned.
    #[error("banned")]
    Banned,
    /// A link with this key is open in the same direction.
    #[error("already connected")]
    AlreadyConnected,
    /// No common version.
    #[error("version")]
    Version,
    /// Another link with the same key takes this one's place.
    #[error("replaced")]
    Replaced,
    /// The bot shuts down or closes the link on its host's wish.
    #[error("going away")]
    GoingAway,
    /// A code of a later version, kept as its number.
    #[error("code {0}")]
    Other(u8),
}

impl Code {
    /// The code with this number.
    #[must_use]
    pub const fn from_wire(number: u8) -> Self {
        match number {
            1 => Self::Timeout,
            2 => Self::Full,
            3 => Self::LowerPriority,
            4 => Self::OtherBranch,
            5 => Self::UnknownMember,
            6 => Self::Banned,
            7 => Self::AlreadyConnected,
            8 => Self::Version,
            9 => Self::Replaced,
            10 => Self::GoingAway,
            other => Self::Other(other),
        }
    }

    /// The code's number on the wire.
    #[must_use]
    pub const fn to_wire(self) -> u8 {
        match self {
            Self::Timeout => 1,
            Self::Full => 2,
            Self::LowerPriority => 3,
            Self::OtherBranch => 4,
            Self::UnknownMember => 5,
            Self::Banned => 6,
            Self::AlreadyConnected => 7,
            Self::Version => 8,
            Self::Replaced => 9,
            Self::GoingAway => 10,
            Self::Other(number) => number,
        }
    }
}

/// What a peer did wrong; local, never told to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A frame or record that is malformed, too long, of an unknown kind, or not expected at this point.
    #[error("bad frame")]
    BadFrame,
    /// The CONNECT is not of this community, or the two hosts disagree about the channel binding.
    #[error("not of this community")]
    BadTag,
    /// Versions or suites that were not offered, or cannot be chosen.
    #[error("bad offer")]
    BadOffer,
    /// A sealed box or record does not open: altered, replayed, reordered, or of another community.
    #[error("bad box")]
    BadBox,
    /// A signature does not verify under the strict rule, or its key is weak.
    #[error("bad signature")]
    BadSignature,
    /// The X25519 exchange gave zero.
    #[error("low order")]
    LowOrder,
    /// Another key than the dialled one answered.
    #[error("wrong peer")]
    WrongPeer,
    /// The peer proved our own key.
    #[error("self")]
    OurOwnKey,
    /// The challenge string is empty, too long, no UTF-8, a palindrome, or was used before; or it came back wrong.
    #[error("bad challenge")]
    BadChallenge,
    /// A keepalive came back changed, or far too many came back unasked.
    #[error("bad echo")]
    BadEcho,
    /// Nothing valid was heard for too long.
    #[error("silence")]
    Silence,
    /// The handshake was not done in time.
    #[error("handshake timeout")]
    HandshakeTimeout,
    /// A key sealed more records than it may.
    #[error("key overused")]
    KeyOverused,
    /// A message inside a good record is malformed or breaks a rule of the protocol.
    #[error("bad message")]
    BadMessage,
    /// The peer reads too slowly: what waits for it stayed above the limit for too long.
    #[error("stalled")]
    Stalled,
    /// The peer sends more than it may, and its host-side stream was not paused.
    #[error("over budget")]
    OverBudget,
}

/// Why a link is closed; reported exactly once a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// This side closed, and told the peer this code where it could.
    #[error("closed here: {0}")]
    Here(Code),
    /// The peer closed or refused, under the link's keys.
    #[error("closed by the peer: {code}")]
    Peer {
        /// What it said.
        code: Code,
        /// How long it asks to be left alone; capped at an hour.
        retry_after: Duration,
    },
    /// A refusal in clear, which anybody on the path can forge: a hint to wait, nothing else.
    #[error("refused in clear: {code}")]
    ClearKo {
        /// What it said.
        code: Code,
        /// How long it asks to be left alone; capped at a minute.
        retry_after: Duration,
    },
    /// The peer broke a rule.
    #[error("the peer's fault: {0}")]
    Fault(Fault),
    /// The host reported the end of the stream.
    #[error("the stream ended")]
    Ended,
    /// The host could not open the stream.
    #[error("the address could not be reached")]
    Unreachable,
}

impl From<Fault> for CloseReason {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire_and_unknown_ones_stay_numbers() {
        for number in 0..=255 {
            let code = Code::from_wire(number);
            assert_eq!(code.to_wire(), number);
            assert_eq!(matches!(code, Code::Other(_)), !(1..=10).contains(&number));
        }
    }
}
