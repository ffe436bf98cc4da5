//! What follows every input: sending, slowing down, closing, and the clock.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Node;
use super::links::{Entry, LinkId, Stage, Wish, WishState};
use super::outbox::{Action, Event};
use crate::identity::BotId;
use crate::link::{CloseReason, Code, Fault, Link};
use crate::time::Instant;

impl Node {
    /// Brings the outbox up to date with all links: what is sealed is marked for sending, what is too much is closed, and
    /// reading is paused or resumed.
    pub(super) fn settle(&mut self, now: Instant) {
        let (touched, congested) = self.links.take_touched();
        let (mut overfull, mut thirsty) = (Vec::new(), Vec::new());
        for place in touched {
            let (id, entry) = self.links.at(place);
            #[cfg(feature = "trace")]
            self.outbox.tracer.frames(id, entry);
            if entry.is_overfull(&self.limits) {
                overfull.push(id);
            }
            let held_up = congested > usize::from(entry.flow.congested);
            let pause = entry.is_open() && (held_up || entry.over_budget_until.is_some());
            let unjudged = pause || entry.has_backlog();
            if let Some(link) = entry.link_mut() {
                link.set_paused(now, unjudged);
            }
            if pause != entry.flow.paused {
                entry.flow.paused = pause;
                let link = id;
                self.outbox.push(if pause { Action::PauseReading { link } } else { Action::ResumeReading { link } });
            }
            if !entry.flow.send_waits && entry.link().is_some_and(|link| link.output_len() > 0) {
                entry.flow.send_waits = true;
                self.outbox.send(id);
            }
            if entry.flow.ledger_waits && entry.flow.queued_bytes < self.limits.queue_low_bytes {
                thirsty.push(id);
            }
            self.links.set_deadline(place);
        }
        if !overfull.is_empty() {
            for id in overfull {
                self.close_entry(now, id, Fault::Stalled.into(), true);
            }
            return self.settle(now);
        }
        if !thirsty.is_empty() {
            thirsty.into_iter().for_each(|id| self.pump(now, id));
            return self.settle(now);
        }
        self.tell_ready();
    }

    /// Tells a host whose post was refused that it may try again.
    pub(super) fn tell_ready(&mut self) -> bool {
        let ready = self.publish_refused && !self.is_busy();
        if ready {
            self.publish_refused = false;
            self.outbox.notify(Event::Ready);
        }
        ready
    }

    pub(super) fn is_busy(&self) -> bool {
        self.unpersisted.len() >= self.limits.unpersisted_posts
            || self.unpersisted_bytes >= self.limits.unpersisted_bytes
            || self.outbox.len() >= self.limits.outbox
            || self.links.any_congested()
    }

    /// What the link has sealed by now.
    pub(super) fn take_output(&mut self, id: LinkId) -> Option<Bytes> {
        let entry = self.links.get_mut(id)?;
        entry.flow.send_waits = false;
        let bytes = entry.link_mut().map(Link::take_output).filter(|bytes| !bytes.is_empty())?;
        entry.flow.in_flight += bytes.len();
        self.stats.sent_bytes += bytes.len() as u64;
        Some(bytes)
    }

    /// Tells the peer and closes.
    pub(super) fn close_link(&mut self, now: Instant, id: LinkId, code: Code) {
        if let Some(link) = self.links.touch(id).and_then(Entry::link_mut) {
            link.close(now, code, Duration::ZERO);
        }
        self.close_entry(now, id, CloseReason::Here(code), true);
    }

    /// The one place where a link ends: its last bytes, its stream, its event, and the next attempt.
    pub(super) fn close_entry(&mut self, now: Instant, id: LinkId, reason: CloseReason, stream_is_up: bool) {
        #[cfg(feature = "trace")]
        self.note_frames(id);
        if stream_is_up && self.links.get(id).is_some() {
            if let Some(bytes) = self.take_output(id) {
                self.outbox.push(Action::Send { link: id, bytes });
            }
            self.outbox.push(Action::CloseLink { link: id });
        }
        let Some(entry) = self.links.remove(id) else { return };
        let peer = entry.peer();
        let mut was_wished = false;
        let retry = |wish: &mut Wish| {
            was_wished = matches!(wish.state, WishState::Linked(link) if link == id);
            if was_wished {
                let open_for = entry.opened_at.map(|opened| now.since(opened));
                wish.retry(now, open_for, &reason, &self.limits, &mut self.random);
            }
        };
        peer.and_then(|peer| self.links.wishes.change(peer, retry));
        self.adjourn(now, id, &entry, &reason);
        let wished = peer.filter(|_| was_wished);
        let retry_at = wished.and_then(|peer| self.links.wishes.change(peer, |wish| wish.dial_at())).flatten();
        self.outbox.notify(Event::Closed { link: id, peer, reason, retry_at });
    }

    /// Acts on every deadline that has come.
    pub(super) fn run_timers(&mut self, now: Instant) {
        let due: Vec<LinkId> = self.links.due(now).collect();
        for id in due {
            self.run_link_timer(now, id);
        }
        self.run_wishes(now);
    }

    /// Dials whoever is to be dialled by now.
    pub(super) fn run_wishes(&mut self, now: Instant) {
        let due: Vec<BotId> = self.links.wishes.due(now).collect();
        for peer in due {
            let stage = Stage::Dialling { until: now + self.limits.dial };
            let link = self.links.insert(Entry::new(stage, Some(peer), &self.limits, &mut self.random, now));
            let dial = |wish: &mut Wish| {
                wish.state = WishState::Linked(link);
                trace!(self.outbox, Dial, Some(peer), Some(link); "failures": u64::from(wish.failures));
                wish.address.clone()
            };
            let Some(address) = self.links.wishes.change(peer, dial) else { continue };
            self.outbox.push(Action::Dial { link, peer, address });
        }
    }

    fn run_link_timer(&mut self, now: Instant, id: LinkId) {
        let Some(entry) = self.links.touch(id) else { return };
        if entry.over_budget_until.is_some_and(|until| until <= now) {
            entry.over_budget_until = None;
        }
        let reason = match &mut entry.stage {
            Stage::Dialling { until } => (*until <= now).then_some(CloseReason::Unreachable),
            Stage::Live(link) => link.handle_timeout(now),
        };
        let is_over = entry.candidate.as_ref().is_some_and(|candidate| candidate.until <= now);
        let stalled = entry.is_stalled(now, &self.limits);
        if let Some(reason) = reason.or(stalled.then_some(Fault::Stalled.into())) {
            self.close_entry(now, id, reason, true);
        } else if is_over {
            // At the applicant's end there is no news, at the member's it has had its time.
            self.close_link(now, id, Code::Timeout);
        }
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let tick = self.council.as_ref().and_then(|council| council.wake_at());
        self.links.wake_at().into_iter().chain(tick).min()
    }
}
