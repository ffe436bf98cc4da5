//! What follows every input: sending, slowing down, closing, and the clock.

use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;

use super::Node;
use super::links::{Entry, LinkId, Stage, WishState};
use super::outbox::{Action, Event};
use crate::link::{CloseReason, Code, Fault, Link};
use crate::time::Instant;

impl Node {
    /// Brings the outbox up to date with all links: what is sealed is marked for sending, what is too much is closed, and
    /// reading is paused or resumed.
    pub(super) fn settle(&mut self, now: Instant) {
        let (touched, congested) = self.links.take_touched();
        let (mut overfull, mut is_thirsty) = (Vec::new(), false);
        for &id in &touched {
            let Some(entry) = self.links.get_mut(id) else { continue };
            #[cfg(feature = "trace")]
            self.outbox.tracer.frames(id, entry);
            if entry.is_overfull(&self.limits) {
                overfull.push(id);
            }
            let held_up = congested > usize::from(entry.congested);
            let pause = entry.is_open() && (held_up || entry.over_budget_until.is_some());
            let unjudged = pause || entry.has_backlog();
            if let Some(link) = entry.link_mut() {
                link.set_paused(now, unjudged);
            }
            if pause != entry.paused {
                entry.paused = pause;
                let link = id;
                self.outbox.push(if pause { Action::PauseReading { link } } else { Action::ResumeReading { link } });
            }
            if !entry.send_waits && entry.link().is_some_and(|link| link.output_len() > 0) {
                entry.send_waits = true;
                self.outbox.send(id);
            }
            is_thirsty |= entry.ledger_waits && entry.queued_bytes < self.limits.queue_low_bytes;
            self.links.set_deadline(id);
        }
        if is_thirsty {
            touched.iter().for_each(|id| self.pump_if_thirsty(now, *id));
        }
        self.links.reuse(touched);
        if !overfull.is_empty() {
            for id in overfull {
                self.close_entry(now, id, Fault::Stalled.into(), true);
            }
            return self.settle(now);
        }
        if is_thirsty {
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
        entry.send_waits = false;
        let bytes = entry.link_mut().map(Link::take_output).filter(|bytes| !bytes.is_empty())?;
        entry.in_flight += bytes.len();
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
        let wish = peer.and_then(|peer| self.links.wishes.get_mut(&peer));
        let wish = wish.filter(|wish| matches!(wish.state, WishState::Linked(link) if link == id));
        let was_wished = wish.is_some();
        if let Some(wish) = wish {
            let open_for = entry.opened_at.map(|opened| now.since(opened));
            wish.retry(now, open_for, &reason, &self.limits, &mut self.random);
        }
        self.adjourn(now, id, &entry, &reason);
        let wish = peer.and_then(|peer| self.links.wishes.get(&peer)).filter(|_| was_wished);
        let retry_at = wish.and_then(|wish| if let WishState::Waiting(at) = wish.state { Some(at) } else { None });
        self.outbox.notify(Event::Closed { link: id, peer, reason, retry_at });
    }

    /// Acts on every deadline that has come.
    pub(super) fn run_timers(&mut self, now: Instant) {
        let due: Vec<LinkId> = self.links.deadlines().due(now).collect();
        for id in due {
            self.run_link_timer(now, id);
        }
        self.run_wishes(now);
    }

    /// Dials whoever is to be dialled by now.
    pub(super) fn run_wishes(&mut self, now: Instant) {
        while let Some((peer, address)) = self.links.wishes.iter().find_map(|(peer, wish)| match wish.state {
            WishState::Waiting(at) if at <= now => Some((*peer, wish.address.clone())),
            _ => None,
        }) {
            let stage = Stage::Dialling { until: now + self.limits.dial };
            let link = self.links.insert(Entry::new(stage, Some(peer), &self.limits, &mut self.random, now));
            if let Some(wish) = self.links.wishes.get_mut(&peer) {
                wish.state = WishState::Linked(link);
                trace!(self.outbox, Dial, Some(peer), Some(link); "failures": u64::from(wish.failures));
            }
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
        let wishes = self.links.wishes.values().filter_map(|wish| match wish.state {
            WishState::Waiting(at) => Some(at),
            WishState::Linked(_) => None,
        });
        let tick = self.council.as_ref().and_then(|council| council.wake_at());
        self.links.deadlines().earliest().into_iter().chain(wishes).chain(tick).min()
    }
}
