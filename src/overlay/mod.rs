//! Live posts in hub mode (I-5): signed by their author, passed on to every link but the one they came from.
//!
//! [`Hub`] is the machine: it numbers and signs this bot's posts, checks those of others, sees to it that none is taken
//! twice, and says where each is to go. It knows neither links nor sockets; a link is whatever key the router uses.

mod message;
mod seen;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use core::fmt;

use bytes::BytesMut;

pub use message::{MAX_HOPS, MAX_POST_BODY, Message, Post, PostId, StreamId};
pub use seen::{SeenStream, SeenStreams};

use crate::crypto::{Crypto, Signer, sha256};
use crate::identity::{BotId, CommunityId, Identity};

/// What this bot must remember of its own posts, so that it never signs two with one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// The life of the counter.
    pub stream: StreamId,
    /// The number of the next post.
    pub next: u64,
}

/// What became of a message that arrived. Exhaustive on purpose: each is to be acted on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a new post is to be handed to the application and passed on"]
pub enum Received {
    /// A new post of a member: hand it over, and pass it on to every link but the one it came from.
    New {
        /// The post.
        post: Post,
        /// The hops to pass it on with; nothing when it has gone far enough.
        relay_hops: Option<u8>,
    },
    /// It was taken before, or is this bot's own.
    Duplicate,
    /// Its author is no member that this bot knows.
    Stranger,
    /// Its signature does not verify: no honest bot passes such a post on.
    Forged,
}

/// The posts of one bot and of those it hears from.
pub struct Hub {
    own: BotId,
    community: CommunityId,
    crypto: Arc<dyn Crypto>,
    signer: Box<dyn Signer>,
    roster: Arc<BTreeSet<BotId>>,
    counter: Counter,
    seen: SeenStreams,
    scratch: BytesMut,
}

impl Hub {
    /// Starts with a counter, new or kept, and the streams seen so far.
    #[must_use]
    pub fn new(
        crypto: Arc<dyn Crypto>,
        identity: &Identity,
        community: CommunityId,
        roster: Arc<BTreeSet<BotId>>,
        counter: Counter,
        seen: SeenStreams,
    ) -> Self {
        let signer = crypto.signer(identity.seed());
        let secret = sha256(&[b"interbot seen\0", identity.seed()]);
        let (words, _) = secret.as_chunks::<8>();
        let seen = seen.with_secret([words[0], words[1]].map(u64::from_le_bytes));
        Self { own: identity.id(), community, crypto, signer, roster, counter, seen, scratch: BytesMut::new() }
    }

    /// Takes posts of these authors from now on.
    pub fn set_roster(&mut self, roster: Arc<BTreeSet<BotId>>) {
        self.roster = roster;
    }

    /// Numbers and signs a post; it may leave once [`Hub::counter`] is durable.
    pub fn publish(&mut self, body: &[u8]) -> Post {
        let id = PostId { origin: self.own, stream: self.counter.stream, seq: self.counter.next };
        self.counter.next += 1;
        Post::new(id, body, &self.community, |signed| self.signer.sign(signed))
    }

    /// Checks a message, cheapest test first, and says what is to happen.
    pub fn receive(&mut self, message: Message) -> Received {
        let Message::Post { hops, post } = message;
        let id = post.id();
        if id.origin == self.own {
            return Received::Duplicate;
        }
        if !self.roster.contains(&id.origin) {
            return Received::Stranger;
        }
        if self.seen.is_seen(&id) {
            return Received::Duplicate;
        }
        if !post.is_genuine(&self.community, &*self.crypto, &mut self.scratch) {
            return Received::Forged;
        }
        self.seen.take(&id);
        Received::New { post, relay_hops: (hops < MAX_HOPS).then_some(hops + 1) }
    }

    /// What must be durable before the posts that were published leave.
    #[must_use]
    pub const fn counter(&self) -> Counter {
        self.counter
    }

    /// Which posts of others were taken.
    #[must_use]
    pub const fn seen(&self) -> &SeenStreams {
        &self.seen
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("own", &self.own).field("counter", &self.counter).finish_non_exhaustive()
    }
}
