//! What the host is to do, in order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;

use bytes::Bytes;

use super::joining::JoinState;
use super::links::LinkId;
use super::restore::{PersistId, Record};
use crate::crypto::Suite;
use crate::identity::BotId;
use crate::ledger::LedgerEvent;
use crate::link::{CloseReason, Facts, Kind, Side};
#[cfg(feature = "trace")]
use crate::overlay::{Counter, SeenStreams};
use crate::overlay::{Post, PostId};
use crate::time::Instant;

/// What [`Node::poll`](super::Node::poll) says.
///
/// Exhaustive on purpose: a new kind of output must break a host's build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an action that is not done breaks the node's promises"]
pub enum Output {
    /// Do this, then poll again.
    Do(Action),
    /// Nothing more now. Call [`Node::handle_timeout`](super::Node::handle_timeout) at this instant at the latest, or wait
    /// for input alone when there is none.
    Idle {
        /// The next deadline.
        wake_at: Option<Instant>,
    },
}

/// An obligation of the host.
///
/// Exhaustive on purpose: a new obligation must break a host's build.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an action that is not done breaks the node's promises"]
pub enum Action {
    /// Write these bytes to the link's stream, after those before, and report them with
    /// [`Node::handle_written`](super::Node::handle_written).
    Send {
        /// The link.
        link: LinkId,
        /// Sealed bytes.
        bytes: Bytes,
    },
    /// Write what was sent, then close the link's stream. The link's id is not used again.
    CloseLink {
        /// The link.
        link: LinkId,
    },
    /// Open a stream to this address, then call [`Node::handle_dialled`](super::Node::handle_dialled), or
    /// [`Node::handle_ended`](super::Node::handle_ended) when it cannot be opened.
    Dial {
        /// The link that the stream will carry.
        link: LinkId,
        /// Who is expected there.
        peer: BotId,
        /// As given to [`Node::dial`](super::Node::dial).
        address: String,
    },
    /// Stop reading the link's stream, so that its sender is slowed down.
    PauseReading {
        /// The link.
        link: LinkId,
    },
    /// Read the link's stream again.
    ResumeReading {
        /// The link.
        link: LinkId,
    },
    /// Store the record in place of an older one with its key, or delete that one when the value is empty; then call
    /// [`Node::persisted`](super::Node::persisted) once it is durable. Promises wait for it.
    Persist {
        /// Names this write.
        id: PersistId,
        /// What to store.
        record: Record,
    },
    /// Tell the application.
    Notify(Event),
}

/// What the application may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A link is open: the peer proved its key.
    LinkUp {
        /// The link.
        link: LinkId,
        /// Who is there.
        peer: BotId,
        /// Whether the peer is a member or, on an accepted link, somebody who applies; on a dialled one what this bot came as.
        kind: Kind,
        /// Whether this bot dialled: then the peer is its parent, else its child.
        side: Side,
        /// The cipher.
        suite: Suite,
        /// Whether the link is tied to a TLS session below it.
        bound: bool,
        /// What the peer says about itself.
        facts: Facts,
    },
    /// A link, open or not yet, is closed; exactly once for each.
    Closed {
        /// The link.
        link: LinkId,
        /// Who was there, as far as it was proved; on a dialled link who was expected.
        peer: Option<BotId>,
        /// Why.
        reason: CloseReason,
        /// When this bot dials again, if it does.
        retry_at: Option<Instant>,
    },
    /// A new post of another member; each exactly once.
    Post {
        /// The post.
        post: Post,
        /// The link it came by.
        link: LinkId,
    },
    /// An own post is durable and on its way.
    Published {
        /// Its name.
        id: PostId,
    },
    /// Publishing was refused because links are busy, and is possible again.
    Ready,
    /// Something happened in the ledger.
    Ledger(Box<LedgerEvent>),
    /// Somebody without an invitation asks this bot to speak for it: see [`Node::applicants`](super::Node::applicants), and
    /// answer with [`Node::sponsor`](super::Node::sponsor) or [`Node::dismiss`](super::Node::dismiss).
    Applied {
        /// Its key.
        applicant: BotId,
        /// Its words, in UTF-8 and unfiltered.
        words: Bytes,
    },
    /// This bot, an applicant, came further on its way in.
    Joining(JoinState),
}

/// One place in the queue; small, because most are sends.
pub(super) enum Item {
    /// Whatever the link has sealed by the time this is polled.
    Send(LinkId),
    Do(Box<Action>),
}

/// The queue of outputs; sends of one link that follow each other become one.
#[derive(Default)]
pub(super) struct Outbox {
    items: VecDeque<Item>,
    #[cfg(feature = "trace")]
    pub(super) tracer: super::tracer::Tracer,
}

impl Outbox {
    /// An empty one whose trace begins with the node's start; `restored` is what its records said.
    #[cfg(feature = "trace")]
    pub(super) fn traced(on: bool, now: Instant, members: usize, restored: Option<(Counter, &SeenStreams)>) -> Self {
        let mut outbox = Self::default();
        outbox.tracer.on = on;
        outbox.tracer.clock(now);
        trace!(outbox, Started, None, None; "members": members);
        if let Some((counter, seen)) = restored {
            trace!(outbox, Restored, None, None;
                "stream": alloc::format!("{:?}", counter.stream),
                "next": counter.next,
                "streams": seen.iter().count());
        }
        outbox
    }

    pub(super) fn push(&mut self, action: Action) {
        #[cfg(feature = "trace")]
        self.tracer.told(&action);
        self.items.push_back(Item::Do(Box::new(action)));
    }

    pub(super) fn notify(&mut self, event: Event) {
        self.push(Action::Notify(event));
    }

    /// Marks that a link has something to send.
    pub(super) fn send(&mut self, link: LinkId) {
        self.items.push_back(Item::Send(link));
    }

    pub(super) fn pop(&mut self) -> Option<Item> {
        crate::ring::pop_front(&mut self.items)
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}
