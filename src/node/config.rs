//! What the host decides: the community, the members, and every limit.

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::time::Duration;

use crate::budget::Rate;
use crate::crypto::{Crypto, Pure};
use crate::identity::{BotId, CommunityId};
use crate::link::{Capabilities, Times};

/// What a node is made from.
#[derive(Clone, Debug)]
pub struct Config {
    /// The community.
    pub community: CommunityId,
    /// Everybody who is let in; this bot's own id may be among them. Shared, so that many bots of one process keep one list.
    pub members: Arc<BTreeSet<BotId>>,
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
