//! The inputs that can be refused.

use alloc::string::String;

use super::links::{Entry, LinkId, Stage, Wish, WishState};
use super::outbox::Action;
use super::restore::{self, PersistId};
use super::{AcceptError, DialError, Node, PublishError, Undrained};
use crate::identity::BotId;
use crate::link::{Binding, CloseReason, Code, Fault, Link};
use crate::overlay::{MAX_POST_BODY, PostId};
use crate::time::Instant;

impl Node {
    pub(super) fn accept(&mut self, now: Instant, binding: Binding) -> Result<LinkId, AcceptError> {
        self.check_drained()?;
        if self.setup.facts().capabilities.has(crate::link::Capabilities::CLIENT_ONLY) {
            return Err(AcceptError::ClientOnly);
        }
        if self.links.half_open() >= self.limits.half_open {
            let oldest = self.links.oldest_half_open().ok_or(AcceptError::Full)?;
            self.close_entry(now, oldest, CloseReason::Here(Code::Full), true);
        }
        let seed = *self.random.secret();
        let link = Link::accept(self.setup.clone(), now, seed, binding, self.limits.times);
        #[cfg(feature = "trace")]
        let link = if self.outbox.tracer.on { link.noting_frames() } else { link };
        let entry = Entry::new(Stage::Live(link), None, &self.limits, &mut self.random, now);
        let id = self.links.insert(entry);
        trace!(self.outbox, Accepted, None, Some(id); "bound": binding != Binding::None);
        Ok(id)
    }

    pub(super) fn take_bytes(&mut self, now: Instant, id: LinkId, bytes: &[u8]) -> Result<(), Undrained> {
        self.check_drained()?;
        if self.count_applicants_bytes(id, bytes.len()) {
            self.close_entry(now, id, Fault::OverBudget.into(), true);
        } else {
            self.route(now, id, bytes);
        }
        self.settle(now);
        Ok(())
    }

    pub(super) fn take_post(&mut self, body: &[u8]) -> Result<PostId, PublishError> {
        if body.len() > MAX_POST_BODY {
            return Err(PublishError::TooLong(body.len()));
        }
        if self.is_busy() {
            self.publish_refused = true;
            return Err(PublishError::Busy);
        }
        let post = self.hub.publish(body);
        let id = post.id();
        self.last_persist += 1;
        let write = PersistId(self.last_persist);
        trace!(self.outbox, PostPublished, None, None;
            "stream": alloc::format!("{:?}", id.stream),
            "post_seq": id.seq,
            "bytes": body.len(),
            "write": write.as_u64());
        let record = restore::counter_record(self.setup.id(), self.hub.counter());
        self.outbox.push(Action::Persist { id: write, record });
        self.unpersisted_bytes += body.len();
        self.unpersisted.push_back((write, post));
        Ok(id)
    }

    pub(super) fn wish(&mut self, now: Instant, peer: BotId, address: String) -> Result<(), DialError> {
        if peer == self.id() {
            return Err(DialError::OurOwnKey);
        }
        if !self.roster.contains(&peer) {
            return Err(DialError::NotAMember(peer));
        }
        if self.links.wishes.contains(peer) {
            self.links.wishes.change(peer, |wish| wish.address = address);
            return Ok(());
        }
        self.check_drained()?;
        if self.links.wishes.len() >= self.limits.dials {
            return Err(DialError::TooMany(self.limits.dials));
        }
        let linked = self.links.iter().find(|(_, entry)| entry.is_open() && entry.peer() == Some(peer));
        let state = linked.map_or(WishState::Waiting(now), |(id, _)| WishState::Linked(id));
        self.links.wishes.insert(peer, Wish { address, state, failures: 0 });
        self.run_timers(now);
        self.settle(now);
        Ok(())
    }
}
