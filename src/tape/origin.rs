//! Where a ledger began, as it stands in a recording.

use alloc::boxed::Box;
use alloc::string::{String, ToString};

use super::item::{Blob, fields, variants};
use super::provider::Blank;
use crate::identity::CommunityId;
use crate::ledger::{Genesis, Journal};
use crate::node::{LedgerStart, Origin};
use crate::time::UnixMillis;

/// From what a ledger was started, and what people's clocks showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LedgerEntry {
    pub(crate) origin: OriginEntry,
    pub(crate) wall: u64,
}

fields! { LedgerEntry: origin wall }

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum OriginEntry {
    Records {
        community: Blob,
    },
    /// `lost`: the bot may have promised something before.
    Genesis {
        genesis: Blob,
        lost: bool,
    },
    /// The line has a token of zeros.
    Invitation {
        line: String,
        words: Blob,
    },
}

variants! { OriginEntry:
    1 Records { community }
    2 Genesis { genesis lost }
    3 Invitation { line words }
}

impl From<&LedgerStart> for LedgerEntry {
    fn from(start: &LedgerStart) -> Self {
        let LedgerStart { origin, wall } = start;
        let origin = match origin {
            Origin::Records { community } => OriginEntry::Records { community: Blob(community.as_bytes().to_vec()) },
            Origin::Genesis { genesis, journal } => {
                OriginEntry::Genesis { genesis: Blob(genesis.to_bytes()), lost: *journal == Journal::Lost }
            }
            Origin::Invitation { invitation, words } => {
                OriginEntry::Invitation { line: invitation.without_token().to_string(), words: Blob(words.to_vec()) }
            }
        };
        Self { origin, wall: wall.0 }
    }
}

impl LedgerEntry {
    /// What a node is started with to do the same; nothing when the entry was not made from such a thing.
    pub(crate) fn start(&self) -> Option<LedgerStart> {
        let origin = match &self.origin {
            OriginEntry::Records { community: Blob(community) } => {
                Origin::Records { community: CommunityId::from_bytes(community[..].try_into().ok()?) }
            }
            OriginEntry::Genesis { genesis: Blob(genesis), lost } => {
                // The signatures were checked before it was recorded, by whatever provider there was.
                let genesis = Box::new(Genesis::from_bytes(genesis, &Blank { trusts: true }).ok()?);
                Origin::Genesis { genesis, journal: if *lost { Journal::Lost } else { Journal::New } }
            }
            OriginEntry::Invitation { line, words: Blob(words) } => {
                Origin::Invitation { invitation: Box::new(line.parse().ok()?), words: words.clone().into() }
            }
        };
        Some(LedgerStart { origin, wall: UnixMillis(self.wall) })
    }
}
