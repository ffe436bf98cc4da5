//! The links of a node: one entry each, with all that belongs to it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::Bytes;

use super::config::Limits;
use super::ledger::Candidate;
use crate::budget::Budget;
use crate::crypto::Random;
use crate::identity::BotId;
use crate::link::{CloseReason, Link, Side};
use crate::time::Instant;
use crate::timers::Deadlines;

/// One stream between two bots, for as long as it lasts; never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u64);

impl LinkId {
    /// Its number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The link with this number, in a replay.
    #[cfg(all(feature = "trace", feature = "sim"))]
    pub(crate) const fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

impl fmt::Debug for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "link#{}", self.0)
    }
}

/// Where a link stands.
pub(super) enum Stage {
    /// The host opens the stream.
    Dialling { until: Instant },
    /// Bytes flow.
    Live(Box<Link>),
}

pub(super) struct Entry {
    pub(super) stage: Stage,
    /// Whom this bot dialled, if it did.
    pub(super) dialled: Option<BotId>,
    /// Who proved its key on it; stays known when the link is closed.
    pub(super) proved: Option<BotId>,
    pub(super) opened_at: Option<Instant>,
    /// Bytes polled by the host and not reported as written.
    pub(super) in_flight: usize,
    /// Messages that wait for the window; shared with other links' queues.
    pub(super) queue: VecDeque<Bytes>,
    pub(super) queued_bytes: usize,
    /// Whether the queue keeps others from being read.
    pub(super) congested: bool,
    /// The same, as it was counted last.
    counts_congested: bool,
    /// Since when anything is queued, or since the queue last showed that it moves.
    queued_since: Option<Instant>,
    /// Whether a late timer was forgiven since the queue last moved: once is an accident, always is a host that ticks slowly.
    forgiven: bool,
    /// Bytes written since then.
    written: usize,
    /// How often the queue must show that it moves.
    stall: Duration,
    pub(super) posts: Budget,
    /// Until when the link is not read because it sent too much.
    pub(super) over_budget_until: Option<Instant>,
    pub(super) paused: bool,
    /// Whether a send of this link is in the outbox.
    pub(super) send_waits: bool,
    /// Whether the ledger has more to say than the link has room for.
    pub(super) ledger_waits: bool,
    /// What is counted on the link of somebody who applies.
    pub(super) candidate: Option<Box<Candidate>>,
}

impl Entry {
    pub(super) fn new(
        stage: Stage,
        dialled: Option<BotId>,
        limits: &Limits,
        random: &mut Random,
        now: Instant,
    ) -> Self {
        let more = u64::try_from(limits.stall.as_nanos() / 2).unwrap_or(u64::MAX);
        Self {
            stage,
            dialled,
            proved: None,
            opened_at: None,
            in_flight: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            congested: false,
            counts_congested: false,
            queued_since: None,
            forgiven: false,
            written: 0,
            stall: limits.stall.saturating_add(Duration::from_nanos(random.below(more.max(1)))),
            posts: Budget::new(limits.posts, now),
            over_budget_until: None,
            paused: false,
            send_waits: false,
            ledger_waits: false,
            candidate: None,
        }
    }

    pub(super) fn link(&self) -> Option<&Link> {
        match &self.stage {
            Stage::Live(link) => Some(link),
            Stage::Dialling { .. } => None,
        }
    }

    pub(super) fn link_mut(&mut self) -> Option<&mut Link> {
        match &mut self.stage {
            Stage::Live(link) => Some(link),
            Stage::Dialling { .. } => None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.link().is_some_and(Link::is_open)
    }

    pub(super) fn peer(&self) -> Option<BotId> {
        self.proved.or(self.dialled)
    }

    /// Whether this is an accepted stream that is no open link yet.
    pub(super) fn is_half_open(&self) -> bool {
        self.dialled.is_none() && !self.is_open()
    }

    pub(super) fn side(&self) -> Side {
        if self.dialled.is_some() { Side::Client } else { Side::Server }
    }

    /// Sends now if the window allows, else queues; the message is copied only to be sealed.
    pub(super) fn enqueue(&mut self, now: Instant, message: &Bytes, limits: &Limits) {
        if !self.is_open() {
            return;
        }
        self.queued_bytes += message.len();
        self.queue.push_back(message.clone());
        self.fill_window(now, limits);
        self.congested |= self.queued_bytes > limits.queue_high_bytes;
        if !self.queue.is_empty() && self.queued_since.is_none() {
            self.queued_since = Some(now);
            self.written = 0;
        }
    }

    /// Takes the host's word that bytes were written; whether messages waited for it.
    pub(super) fn written(&mut self, now: Instant, bytes: usize, limits: &Limits) -> bool {
        self.in_flight = self.in_flight.saturating_sub(bytes);
        self.written = self.written.saturating_add(bytes);
        let waited = !self.queue.is_empty();
        self.fill_window(now, limits);
        waited
    }

    /// Whether the queue did not move for a whole span; one that moved gets another span.
    pub(super) fn is_stalled(&mut self, now: Instant, limits: &Limits) -> bool {
        if self.queued_since.is_none_or(|since| now < since + self.stall) {
            return false;
        }
        let moved = core::mem::take(&mut self.written) >= limits.stall_bytes;
        // A timer that fires late says that this bot was away, nothing about the peer.
        let late =
            self.queued_since.is_some_and(|since| now.since(since) > self.stall.saturating_add(Duration::from_secs(1)));
        self.queued_since = Some(now);
        let forgiven = core::mem::replace(&mut self.forgiven, !moved && late);
        !moved && (!late || forgiven)
    }

    /// While messages are queued, the stall rule judges the peer, and its silence proves nothing: an answer to a question
    /// would be behind all that is queued.
    pub(super) fn has_backlog(&self) -> bool {
        self.queued_since.is_some()
    }

    /// Seals waiting messages while the window allows.
    pub(super) fn fill_window(&mut self, now: Instant, limits: &Limits) {
        let Stage::Live(link) = &mut self.stage else { return };
        while self.in_flight + link.output_len() < limits.window_bytes {
            let Some(message) = self.queue.pop_front() else { break };
            self.queued_bytes -= message.len();
            let taken = link.send(now, &message);
            debug_assert!(taken, "only messages that fit are queued, on open links");
        }
        self.congested &= self.queued_bytes >= limits.queue_low_bytes;
        if self.queue.is_empty() {
            self.congested = false;
            self.queued_since = None;
            self.forgiven = false;
        }
    }

    /// Whether more waits than a link may hold: messages, and answers to keepalives that the peer does not read.
    pub(super) fn is_overfull(&self, limits: &Limits) -> bool {
        let sealed = self.in_flight + self.link().map_or(0, Link::output_len);
        self.queued_bytes + sealed > limits.window_bytes.saturating_add(limits.queue_max_bytes)
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        let stage = match &self.stage {
            Stage::Dialling { until } => Some(*until),
            Stage::Live(link) => link.wake_at(),
        };
        let stall = self.queued_since.map(|since| since + self.stall);
        let candidate = self.candidate.as_ref().map(|candidate| candidate.until);
        [stage, stall, self.over_budget_until, candidate].into_iter().flatten().min()
    }
}

/// A peer that this bot wants to be linked to.
pub(super) struct Wish {
    pub(super) address: String,
    pub(super) state: WishState,
    pub(super) failures: u32,
}

pub(super) enum WishState {
    /// Dial at this time.
    Waiting(Instant),
    /// This link is being dialled or open, in whichever direction.
    Linked(LinkId),
}

impl Wish {
    /// Sets the next dial after a link of this wish ended, and says when.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        open_for: Option<Duration>,
        reason: &CloseReason,
        limits: &Limits,
        random: &mut Random,
    ) -> Instant {
        if open_for.is_some_and(|open_for| open_for >= limits.retry_forget) {
            self.failures = 0;
        }
        let doubled = limits.retry_min.saturating_mul(1 << self.failures.min(16)).min(limits.retry_max);
        self.failures = self.failures.saturating_add(1);
        // ± 50 %, so that many bots that lost one peer do not come back together.
        let nanos = u64::try_from(doubled.as_nanos()).unwrap_or(u64::MAX);
        let wait = Duration::from_nanos((nanos / 2).saturating_add(random.below(nanos)));
        let asked = match reason {
            CloseReason::Peer { retry_after, .. } | CloseReason::ClearKo { retry_after, .. } => *retry_after,
            _ => Duration::ZERO,
        };
        let at = now + wait.max(asked);
        self.state = WishState::Waiting(at);
        at
    }
}

/// All links and wishes. A node looks after its links once an input is worked off, but only after those that it touched.
#[derive(Default)]
pub(super) struct Links {
    entries: BTreeMap<LinkId, Entry>,
    touched: Vec<LinkId>,
    deadlines: Deadlines<LinkId>,
    /// How many entries are congested, as far as they were settled.
    congested: usize,
    pub(super) wishes: BTreeMap<BotId, Wish>,
    next: u64,
}

impl Links {
    pub(super) fn insert(&mut self, entry: Entry) -> LinkId {
        self.next += 1;
        let id = LinkId(self.next);
        self.deadlines.set(id, entry.wake_at());
        self.entries.insert(id, entry);
        self.touched.push(id);
        id
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.deadlines.set(id, None);
        if entry.counts_congested {
            self.set_congested(self.congested - 1);
        }
        Some(entry)
    }

    pub(super) fn get(&self, id: LinkId) -> Option<&Entry> {
        self.entries.get(&id)
    }

    /// To be changed; settling looks at it.
    pub(super) fn touch(&mut self, id: LinkId) -> Option<&mut Entry> {
        let entry = self.entries.get_mut(&id)?;
        if self.touched.last() != Some(&id) {
            self.touched.push(id);
        }
        Some(entry)
    }

    /// All, to be changed; settling looks at them.
    pub(super) fn touch_all(&mut self) -> impl Iterator<Item = (LinkId, &mut Entry)> {
        self.touched.clear();
        self.touched.extend(self.entries.keys());
        self.entries.iter_mut().map(|(id, entry)| (*id, entry))
    }

    /// For changes that settling need not see.
    pub(super) fn get_mut(&mut self, id: LinkId) -> Option<&mut Entry> {
        self.entries.get_mut(&id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = LinkId> {
        self.entries.keys().copied()
    }

    /// What was touched since the last call, in the order of their ids, and how many links are congested. Whether any is
    /// decides what all may read: where that changed, all are named.
    pub(super) fn take_touched(&mut self) -> (Vec<LinkId>, usize) {
        let mut congested = self.congested;
        for id in &self.touched {
            let Some(entry) = self.entries.get_mut(id) else { continue };
            congested = congested + usize::from(entry.congested) - usize::from(entry.counts_congested);
            entry.counts_congested = entry.congested;
        }
        self.set_congested(congested);
        let mut touched = core::mem::take(&mut self.touched);
        touched.sort_unstable();
        touched.dedup();
        (touched, congested)
    }

    /// An entry that is settled: its deadline, and the list it stood in, to be used again.
    pub(super) fn set_deadline(&mut self, id: LinkId) {
        let at = self.entries.get(&id).and_then(Entry::wake_at);
        self.deadlines.set(id, at);
    }

    /// Gives the list back, so that it need not be made anew.
    pub(super) fn reuse(&mut self, mut touched: Vec<LinkId>) {
        if self.touched.is_empty() {
            touched.clear();
            self.touched = touched;
        }
    }

    pub(super) const fn deadlines(&self) -> &Deadlines<LinkId> {
        &self.deadlines
    }

    pub(super) const fn any_congested(&self) -> bool {
        self.congested > 0
    }

    fn set_congested(&mut self, congested: usize) {
        if core::mem::replace(&mut self.congested, congested) != congested {
            self.touched.clear();
            self.touched.extend(self.entries.keys());
        }
    }

    pub(super) fn half_open(&self) -> usize {
        self.entries.values().filter(|entry| entry.is_half_open()).count()
    }

    /// Applicants that were answered and have proved nothing yet.
    pub(super) fn applicants_knocking(&self) -> usize {
        self.entries.values().filter(|entry| entry.candidate.is_some() && entry.is_half_open()).count()
    }

    pub(super) fn children(&self) -> usize {
        let is_child = |entry: &Entry| entry.dialled.is_none() && entry.candidate.is_none() && entry.is_open();
        self.entries.values().filter(|entry| is_child(entry)).count()
    }

    /// The accepted stream that makes room for another: the oldest that has not sent its CONNECT, else the oldest that is no
    /// open link yet.
    pub(super) fn oldest_half_open(&self) -> Option<LinkId> {
        let waits = |entry: &Entry| entry.link().is_some_and(Link::waits_for_connect);
        let first = |is: &dyn Fn(&Entry) -> bool| self.entries.iter().find(|(_, entry)| is(entry)).map(|(id, _)| *id);
        first(&waits).or_else(|| first(&Entry::is_half_open))
    }

    /// Another link with this peer whose stream is up: an accepted one that is open before one that this bot dialled.
    pub(super) fn rival(&self, of: LinkId, peer: BotId) -> Option<(LinkId, Side)> {
        let is_rival = |entry: &Entry| entry.candidate.is_none() && entry.peer() == Some(peer);
        let others = || self.entries.iter().filter(|(id, entry)| **id != of && is_rival(entry));
        let accepted = others().find(|(_, entry)| entry.dialled.is_none() && entry.is_open());
        let dialled = || others().find(|(_, entry)| entry.dialled.is_some() && entry.link().is_some());
        accepted.or_else(dialled).map(|(id, entry)| (*id, entry.side()))
    }

    /// A dial to this peer whose stream is not up yet.
    pub(super) fn dialling(&self, peer: BotId) -> Option<LinkId> {
        let waits = |entry: &Entry| entry.dialled == Some(peer) && matches!(entry.stage, Stage::Dialling { .. });
        self.entries.iter().find(|(_, entry)| waits(entry)).map(|(id, _)| *id)
    }
}
