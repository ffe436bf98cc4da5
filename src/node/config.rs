//! What the host decides: the community, the members, and every limit.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::time::Duration;

use bytes::Bytes;

use crate::budget::Rate;
use crate::crypto::{Crypto, Pure};
use crate::identity::{BotId, CommunityId};
use crate::ledger::{Genesis, Invitation, Journal};
use crate::link::{Capabilities, Times};
use crate::time::UnixMillis;

/// What a node is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The community.
    pub community: CommunityId,
    /// Everybody who is let in; this bot's own id may be among them. Shared, so that many bots of one process keep one list.
    /// With a ledger it says who they are, and this is empty.
    pub members: Arc<BTreeSet<BotId>>,
    /// Where the ledger begins, by which members are admitted and removed; nothing when `members` stay who they are.
    pub ledger: Option<LedgerStart>,
    /// The crypto provider.
    pub crypto: Arc<dyn Crypto>,
    /// Whether this machine has AES instructions; it then prefers AES-256-GCM.
    pub aes: bool,
    /// What this bot says it can do.
    pub capabilities: Capabilities,
    /// Bounds on time and memory.
    pub limits: Limits,
    /// Whether the node keeps a trace for [`Node::poll_trace`](super::Node::poll_trace); it does not at first, so that a
    /// program that has the feature through another crate pays nothing.
    #[cfg(feature = "trace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
    pub trace: bool,
    /// Writes down everything that the node is told, for a replay; it records one start of one node.
    #[cfg(feature = "trace")]
    #[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
    pub recorder: Option<crate::tape::Recorder>,
}

impl Config {
    /// A server member with the pure provider, no AES instructions, and the default limits.
    #[must_use]
    pub fn new(community: CommunityId, members: impl IntoIterator<Item = BotId>) -> Self {
        Self {
            community,
            members: Arc::new(members.into_iter().collect()),
            ledger: None,
            crypto: Arc::new(Pure),
            aes: false,
            capabilities: Capabilities::NONE,
            limits: Limits::default(),
            #[cfg(feature = "trace")]
            trace: false,
            #[cfg(feature = "trace")]
            recorder: None,
        }
    }

    /// A founder, also one whose records are lost: begins at the genesis. `wall` is what people's clocks show at the start.
    ///
    /// Another member whose records are lost comes with an invitation instead: nobody is asked about it, it reads the story and
    /// finds itself among the members.
    #[must_use]
    pub fn founded(genesis: Genesis, journal: Journal, wall: UnixMillis) -> Self {
        let origin = Origin::Genesis { genesis: Box::new(genesis), journal };
        Self::with_ledger(LedgerStart { origin, wall })
    }

    /// An applicant: begins with an invitation, and asks the inviter to speak for it with these words.
    #[must_use]
    pub fn invited(invitation: Invitation, words: impl Into<Bytes>, wall: UnixMillis) -> Self {
        let origin = Origin::Invitation { invitation: Box::new(invitation), words: words.into() };
        Self::with_ledger(LedgerStart { origin, wall })
    }

    /// A bot of this community that starts again: goes on from its records.
    #[must_use]
    pub fn remembered(community: CommunityId, wall: UnixMillis) -> Self {
        Self::with_ledger(LedgerStart { origin: Origin::Records { community }, wall })
    }

    fn with_ledger(start: LedgerStart) -> Self {
        let mut config = Self::new(start.origin.community(), []);
        config.ledger = Some(start);
        config
    }
}

/// Where a bot's ledger begins.
#[derive(Clone, Debug)]
pub struct LedgerStart {
    /// From what. Records of the same community that the bot is started with go before it.
    pub origin: Origin,
    /// What people's clocks show at the start; windows of votes are measured by it. Tell it again with
    /// [`Node::set_wall_clock`](super::Node::set_wall_clock) when the clock is set, and from time to time.
    pub wall: UnixMillis,
}

/// What a bot knows of its community before it has records.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Origin {
    /// Nothing: it has records.
    Records {
        /// The community that they must be of.
        community: CommunityId,
    },
    /// How everything began.
    Genesis {
        /// Signed by all founders.
        genesis: Box<Genesis>,
        /// Whether this bot may have promised anything before.
        journal: Journal,
    },
    /// A line from a member.
    Invitation {
        /// Whom to dial and which story is the true one.
        invitation: Box<Invitation>,
        /// What the members' owners read about this bot, in UTF-8.
        words: Bytes,
    },
}

impl Origin {
    /// The community.
    #[must_use]
    pub fn community(&self) -> CommunityId {
        match self {
            Self::Records { community } => *community,
            Self::Genesis { genesis, .. } => genesis.community(),
            Self::Invitation { invitation, .. } => invitation.community(),
        }
    }
}

/// Everything that a stranger or a peer could make grow, and how far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams that were accepted and are not links yet: 256. The oldest that has sent no CONNECT makes room; when there is
    /// none, the newcomer is closed. Each holds at most one handshake frame, 2 KiB.
    pub half_open: usize,
    /// Open links that others dialled, the children: 32, each up to 1 MiB of queue and a copy of every post. The next one is
    /// told `full`.
    pub children: usize,
    /// Links of applicants: 8, each for at most 120 s, 64 kB from it and 1 MiB to it. With 0 nobody can apply through this bot.
    pub candidates: usize,
    /// Peers that this bot wants to be linked to: 64, far more than a tree needs, and as dear as children.
    pub dials: usize,
    /// Handshakes answered as server, each an exchange and a signature: 200 a second, burst 400; above it `full`.
    pub handshakes: Rate,
    /// How long links wait for what.
    pub times: Times,
    /// How long the host may take to open a stream, TCP and TLS on a bad line: 30 s.
    pub dial: Duration,
    /// Wait after a failed link: 1 s, doubling to [`Limits::retry_max`], each ± 50 %, so that a peer that comes back is not met by
    /// all at once.
    pub retry_min: Duration,
    /// Longest wait after failed links: 10 min; a peer that is away for a day costs 144 dials.
    pub retry_max: Duration,
    /// How long a link must have been open for the wait to start at its shortest again: 60 s, so that one which opens and falls
    /// at once is no storm.
    pub retry_forget: Duration,
    /// Sealed bytes handed to the host and not reported as written, above which nothing more is sealed: 32 KiB, several writes
    /// for a fast line, and little to lose with a link.
    pub window_bytes: usize,
    /// Messages waiting for the window, above which other links are not read: 32 KiB, so that slowness is felt soon.
    pub queue_high_bytes: usize,
    /// Messages waiting, below which they are read again: 8 KiB, before the window runs dry.
    pub queue_low_bytes: usize,
    /// Messages waiting, above which the link is closed at once: 1 MiB; what was already read when reading paused fits.
    pub queue_max_bytes: usize,
    /// How often a link with messages waiting must show progress: 10 s, and up to half as much more, drawn for each link, so
    /// that a ring of bots that hold each other up is cut in one place and not in all.
    pub stall: Duration,
    /// Bytes that must be written in each of these spans: 16 KiB, so the slowest reader that is kept takes 1.6 kB a second.
    pub stall_bytes: usize,
    /// Posts taken from one link: 5,000 a second, burst 10,000, some 15 % of a core; above it the link is not read.
    pub posts: Rate,
    /// Own posts that wait for their counter to be durable: 1,024, a second of a slow disk; above it publishing is refused.
    pub unpersisted_posts: usize,
    /// Bytes of their bodies: 256 KiB; above it publishing is refused, so that what a slow disk held back fits the queues.
    pub unpersisted_bytes: usize,
    /// Outputs that wait to be polled, above which the host's input is refused: 65,536, more than any one input makes.
    pub outbox: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            half_open: 256,
            children: 32,
            candidates: 8,
            dials: 64,
            handshakes: Rate { per_second: 200, burst: 400 },
            times: Times::default(),
            dial: Duration::from_secs(30),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_secs(600),
            retry_forget: Duration::from_secs(60),
            window_bytes: 32 * 1024,
            queue_high_bytes: 32 * 1024,
            queue_low_bytes: 8 * 1024,
            queue_max_bytes: 1024 * 1024,
            stall: Duration::from_secs(10),
            stall_bytes: 16 * 1024,
            posts: Rate { per_second: 5_000, burst: 10_000 },
            unpersisted_posts: 1024,
            unpersisted_bytes: 256 * 1024,
            outbox: 65_536,
        }
    }
}
