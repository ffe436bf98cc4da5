//! What stands in a recording.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::LimitsEntry;
use super::item::{Blob, Id, fields, variants};
use super::origin::LedgerEntry;
use super::text::seconds;
use crate::link::Code;

/// What a node was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) node: Id,
    /// First bytes of a hash of the community's id: enough to tell two apart.
    pub(crate) community: Blob,
    pub(crate) members: Vec<Id>,
    pub(crate) ledger: Option<LedgerEntry>,
    pub(crate) aes: bool,
    pub(crate) capabilities: u32,
    pub(crate) limits: LimitsEntry,
    /// Keys and values; nothing when it was not started from records.
    pub(crate) records: Option<Vec<(Blob, Blob)>>,
    pub(crate) now: u64,
    pub(crate) redacted: bool,
}

fields! { Header: node community members ledger aes capabilities limits records now redacted }

/// One call of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    Accepted {
        now: u64,
        bound: bool,
    },
    Dialled {
        now: u64,
        link: u64,
        bound: bool,
    },
    Bytes {
        now: u64,
        link: u64,
        bytes: Blob,
    },
    Written {
        now: u64,
        link: u64,
        bytes: u64,
    },
    Ended {
        now: u64,
        link: u64,
    },
    Timeout {
        now: u64,
    },
    Persisted {
        now: u64,
        write: u64,
    },
    Publish {
        now: u64,
        body: Blob,
    },
    Dial {
        now: u64,
        peer: Id,
        address: String,
    },
    Forget {
        now: u64,
        peer: Id,
    },
    /// `named`: the code is one that this version has a name for.
    Close {
        now: u64,
        link: u64,
        code: u8,
        named: bool,
    },
    ShutDown {
        now: u64,
    },
    WallClock {
        now: u64,
        millis: u64,
    },
    Propose {
        now: u64,
        ask: Blob,
        words: Blob,
    },
    Withdraw {
        now: u64,
        question: Blob,
    },
    /// `answer`: 0 no, 1 yes, 2 abstain, 3 none.
    Vote {
        now: u64,
        question: Blob,
        answer: u8,
    },
    Endorse {
        now: u64,
        question: Blob,
        on: bool,
    },
    Leave {
        now: u64,
    },
    ObserveSilence {
        now: u64,
        peer: Id,
    },
    Invite {
        now: u64,
        address: String,
        second: Option<String>,
        millis: u64,
    },
    Sponsor {
        now: u64,
        peer: Id,
        words: Blob,
    },
    Dismiss {
        now: u64,
        peer: Id,
    },
    TrustStory {
        now: u64,
    },
}

variants! { Input:
    1 Accepted { now bound }
    2 Dialled { now link bound }
    3 Bytes { now link bytes }
    4 Written { now link bytes }
    5 Ended { now link }
    6 Timeout { now }
    7 Persisted { now write }
    8 Publish { now body }
    9 Dial { now peer address }
    10 Forget { now peer }
    11 Close { now link code named }
    12 ShutDown { now }
    13 WallClock { now millis }
    14 Propose { now ask words }
    15 Withdraw { now question }
    16 Vote { now question answer }
    17 Endorse { now question on }
    18 Leave { now }
    19 ObserveSilence { now peer }
    20 Invite { now address second millis }
    21 Sponsor { now peer words }
    22 Dismiss { now peer }
    23 TrustStory { now }
}

impl Input {
    pub(crate) const fn now(&self) -> u64 {
        match self {
            Self::Accepted { now, .. }
            | Self::Dialled { now, .. }
            | Self::Bytes { now, .. }
            | Self::Written { now, .. }
            | Self::Ended { now, .. }
            | Self::Timeout { now }
            | Self::Persisted { now, .. }
            | Self::Publish { now, .. }
            | Self::Dial { now, .. }
            | Self::Forget { now, .. }
            | Self::Close { now, .. }
            | Self::ShutDown { now }
            | Self::WallClock { now, .. }
            | Self::Propose { now, .. }
            | Self::Withdraw { now, .. }
            | Self::Vote { now, .. }
            | Self::Endorse { now, .. }
            | Self::Leave { now }
            | Self::ObserveSilence { now, .. }
            | Self::Invite { now, .. }
            | Self::Sponsor { now, .. }
            | Self::Dismiss { now, .. }
            | Self::TrustStory { now } => *now,
        }
    }

    pub(crate) const fn close(now: u64, link: u64, code: Code) -> Self {
        Self::Close { now, link, code: code.to_wire(), named: !matches!(code, Code::Other(_)) }
    }
}

impl fmt::Display for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bound = |bound: &bool| if *bound { ", bound to TLS" } else { "" };
        match self {
            Self::Accepted { bound: tls, .. } => write!(f, "accepted{}", bound(tls)),
            Self::Dialled { link, bound: tls, .. } => write!(f, "dialled link {link}{}", bound(tls)),
            Self::Bytes { link, bytes, .. } => write!(f, "bytes of link {link}, {} bytes", bytes.0.len()),
            Self::Written { link, bytes, .. } => write!(f, "written link {link}, {bytes} bytes"),
            Self::Ended { link, .. } => write!(f, "ended link {link}"),
            Self::Timeout { .. } => f.write_str("timeout"),
            Self::Persisted { write, .. } => write!(f, "persisted write {write}"),
            Self::Publish { body, .. } => write!(f, "publish {} bytes", body.0.len()),
            Self::Dial { peer, address, .. } => write!(f, "dial {} at {address:?}", peer.0.short()),
            Self::Forget { peer, .. } => write!(f, "forget {}", peer.0.short()),
            Self::Close { link, code, named, .. } => {
                let code = if *named { Code::from_wire(*code) } else { Code::Other(*code) };
                write!(f, "close link {link}: {code}")
            }
            Self::ShutDown { .. } => f.write_str("shut down"),
            Self::WallClock { now, millis } => write!(f, "wall clock {millis} ms at {}", seconds(*now)),
            Self::Propose { ask, words, .. } => {
                write!(f, "propose {} bytes, with {} bytes of words", ask.0.len(), words.0.len())
            }
            Self::Withdraw { question, .. } => write!(f, "withdraw {}", short(question)),
            Self::Vote { question, answer, .. } => {
                let answer = ["no", "yes", "abstain", "nothing"].get(usize::from(*answer)).unwrap_or(&"?");
                write!(f, "vote {answer} on {}", short(question))
            }
            Self::Endorse { question, on, .. } => {
                write!(f, "{} {}", if *on { "endorse" } else { "no longer endorse" }, short(question))
            }
            Self::Leave { .. } => f.write_str("leave"),
            Self::ObserveSilence { peer, .. } => write!(f, "observe the silence of {}", peer.0.short()),
            Self::Invite { address, millis, .. } => write!(f, "invite to {address:?} for {millis} ms"),
            Self::Sponsor { peer, words, .. } => {
                write!(f, "sponsor {}, {} bytes of words", peer.0.short(), words.0.len())
            }
            Self::Dismiss { peer, .. } => write!(f, "dismiss {}", peer.0.short()),
            Self::TrustStory { .. } => f.write_str("trust the story"),
        }
    }
}

/// The first bytes of a name.
fn short(Blob(name): &Blob) -> String {
    name.iter().take(4).map(|byte| alloc::format!("{byte:02x}")).collect()
}

/// What crypto or chance said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Random bytes.
    Draw { bytes: Blob },
    /// A random number.
    Number { number: u64 },
    /// An ephemeral public key.
    Public { key: Blob },
    /// Whether an exchange gave a secret.
    Agreed { good: bool },
    /// Whether a signature is good.
    Verified { good: bool },
    /// Whether a CONNECT's tag is good.
    Tag { good: bool },
    /// What was sealed, if it opened.
    Opened { text: Option<Blob> },
    /// A signature of the ledger's.
    Signed { signature: Blob },
    /// A token's hash.
    Token { name: Blob },
    /// Whether an invitation is the same as another, or its checkpoint the place that it is held against.
    Invitation { same: bool },
}

variants! { Answer:
    1 Draw { bytes }
    2 Number { number }
    3 Public { key }
    4 Agreed { good }
    5 Verified { good }
    6 Tag { good }
    7 Opened { text }
    8 Signed { signature }
    9 Token { name }
    10 Invitation { same }
}

impl Answer {
    /// What was asked, without the answer.
    pub(crate) fn question(&self) -> String {
        match self {
            Self::Draw { bytes } => alloc::format!("a draw of {} bytes", bytes.0.len()),
            Self::Number { .. } => "a draw of a number".into(),
            Self::Public { .. } => "an ephemeral key".into(),
            Self::Agreed { .. } => "an exchange".into(),
            Self::Verified { .. } => "a check of a signature".into(),
            Self::Tag { .. } => "a check of CONNECT's tag".into(),
            Self::Opened { .. } => "an opening of what is sealed".into(),
            Self::Signed { .. } => "a signature".into(),
            Self::Token { .. } => "a token's hash".into(),
            Self::Invitation { .. } => "a comparison with an invitation".into(),
        }
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.question())?;
        match self {
            Self::Draw { .. }
            | Self::Number { .. }
            | Self::Public { .. }
            | Self::Signed { .. }
            | Self::Token { .. } => Ok(()),
            Self::Invitation { same } => f.write_str(if *same { ": the same" } else { ": another" }),
            Self::Agreed { good } | Self::Verified { good } | Self::Tag { good } => {
                f.write_str(if *good { ": good" } else { ": bad" })
            }
            Self::Opened { text: Some(text) } => write!(f, ": {} bytes", text.0.len()),
            Self::Opened { text: None } => f.write_str(": it did not open"),
        }
    }
}

/// One entry after the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    Input(Input),
    Answer(Answer),
    /// What an input that can be refused came to.
    Returned(String),
    /// A polled output.
    Output(String),
}
