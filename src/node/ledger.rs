//! The ledger in the node: its machine on this bot's links, disk and clocks, and the members that follow from it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::Node;
use super::config::{LedgerStart, Origin};
use super::door::Door;
use super::joining::Joining;
use super::links::{Entry, LinkId};
use super::outbox::{Action, Event};
use super::restore::{PersistId, Record, RestoreError, Restored};
use crate::crypto::Crypto;
use crate::identity::{BotId, Identity};
use crate::ledger::{Channel, Ledger, LedgerAction, LedgerEvent, LedgerMessage, Place, Refusal};
use crate::link::{CloseReason, Code, Facts, Fault, Kind, Link, Side};
use crate::time::{Instant, UnixMillis};

/// Closed links in a row after which a member may be reported as silent.
const CLOSED_LINKS: u32 = 3;
/// Units for which it must have been so.
const SILENT_UNITS: u64 = 24;
/// The ledger is not told the time more often: no wall clock ticks faster.
const LEAST_PAUSE: Duration = Duration::from_millis(5);
/// Bytes of a message about the ledger that cost as much as one post: a statement and its signature have some 200.
const BYTES_A_POST: usize = 200;
/// What a question costs that makes this bot look through all that it holds: few bytes, and seldom asked in good faith.
const POSTS_A_SEARCH: usize = 50;

/// The record without which there is no ledger.
const GENESIS: &[u8] = b"ledger/genesis";

/// What a node with a ledger has more than one without.
pub(super) struct Council {
    /// Nothing while the genesis is fetched.
    pub(super) ledger: Option<Ledger>,
    pub(super) wall: Wall,
    pub(super) door: Door,
    /// Nothing for a member.
    pub(super) joining: Option<Joining>,
    tick_at: Instant,
    /// The ledger's own numbers of writes that are not durable yet.
    writes: VecDeque<(PersistId, u64)>,
    /// Members whose links closed without an answer, since when, and how often.
    quiet: BTreeMap<BotId, (Instant, u32)>,
}

/// People's time, from what the host told last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wall {
    pub(super) told_at: Instant,
    pub(super) told: UnixMillis,
}

impl Wall {
    pub(super) fn at(self, now: Instant) -> UnixMillis {
        let since = u64::try_from(now.since(self.told_at).as_millis()).unwrap_or(u64::MAX);
        UnixMillis(self.told.0.saturating_add(since))
    }

    fn when(self, wall: UnixMillis) -> Instant {
        self.told_at + Duration::from_millis(wall.0.saturating_sub(self.told.0))
    }
}

impl Council {
    /// Goes on from the records, or begins where the host says. Whether an invitation is the one of the records goes through
    /// `noted`.
    pub(super) fn begin(
        start: LedgerStart,
        restored: &Restored,
        identity: &Identity,
        crypto: &Arc<dyn Crypto>,
        now: Instant,
        noted: impl FnOnce(bool) -> bool,
    ) -> Result<Self, RestoreError> {
        let LedgerStart { origin, wall } = start;
        let community = origin.community();
        let has_ledger = restored.ledger.iter().any(|record| record.key == GENESIS && !record.value.is_empty());
        let mut ledger = if has_ledger {
            let records = restored.ledger.iter().map(|record| (record.key.clone(), record.value.clone()));
            Some(Ledger::restore(crypto.clone(), identity, wall, records)?)
        } else {
            None
        };
        let remembered = restored.joining.as_ref().map(|value| Joining::read(value, identity, crypto.clone()));
        let damaged = |_| RestoreError::Damaged("joining/invitation".into());
        let mut joining = remembered.transpose().map_err(damaged)?;
        let other = ledger.as_ref().is_some_and(|ledger| *ledger.community() != community)
            || joining.as_ref().is_some_and(|joining| joining.invitation().community() != community);
        if other {
            return Err(RestoreError::OtherCommunity);
        }
        match origin {
            Origin::Records { .. } if ledger.is_none() && joining.is_none() => return Err(RestoreError::NoLedger),
            Origin::Genesis { genesis, journal } if ledger.is_none() => {
                ledger = Some(Ledger::new(crypto.clone(), identity, &genesis, journal, wall));
            }
            Origin::Invitation { invitation, words } => {
                let is_member = ledger.as_ref().is_some_and(|ledger| ledger.roster().get(&identity.id()).is_some());
                let is_same = joining.as_ref().is_some_and(|joining| noted(*joining.invitation() == *invitation));
                let is_done = is_member && joining.is_none();
                if !is_same && !is_done {
                    if let Some(ledger) = &mut ledger {
                        ledger.forget_application();
                    }
                    joining = Some(Joining::new(*invitation, words, identity, crypto.clone()));
                }
            }
            Origin::Records { .. } | Origin::Genesis { .. } => {}
        }
        let door = Door::restored(restored.invitations.clone());
        Ok(Self::new(ledger, joining, door, now, wall))
    }

    fn new(ledger: Option<Ledger>, joining: Option<Joining>, door: Door, now: Instant, wall: UnixMillis) -> Self {
        Self {
            ledger,
            wall: Wall { told_at: now, told: wall },
            door,
            joining,
            tick_at: now,
            writes: VecDeque::new(),
            quiet: BTreeMap::new(),
        }
    }

    /// Whether this bot takes part, as a member or as a guest, and knows that its story is everybody's.
    pub(super) fn takes_part(&self, own: &BotId) -> bool {
        let Some(ledger) = &self.ledger else { return false };
        let is_in = ledger.roster().get(own).is_some();
        self.joining.as_ref().map_or(is_in, |joining| joining.takes_part(ledger, is_in))
    }

    /// Everybody whom this bot links with, and those of them whose posts it takes.
    fn everybody(&self, own: &BotId) -> (BTreeSet<BotId>, BTreeSet<BotId>) {
        let Some(ledger) = self.ledger.as_ref().filter(|_| self.takes_part(own)) else { return Default::default() };
        let members = ledger.roster().members().iter().map(|member| member.key);
        let linked: BTreeSet<BotId> = members.chain(ledger.guests()).collect();
        // A member whose rights ended stays in the roster until the next height, and its records are carried.
        let heard = linked.iter().filter(|key| !ledger.is_revoked(key)).copied().collect();
        (linked, heard)
    }

    /// What this bot says about its place, and the proof that it is a member there.
    fn facts(&self, own: &BotId, before: &Facts) -> Facts {
        let place = self.ledger.as_ref().map(Ledger::place);
        let path = self.ledger.as_ref().and_then(|ledger| ledger.roster().path(own));
        Facts {
            capabilities: before.capabilities,
            epoch_height: place.map_or(0, |place| u32::try_from(place.height.0).unwrap_or(u32::MAX)),
            epoch_id: place.map_or([0; 32], |place| place.header.0),
            credentials: path.map_or(Bytes::new(), |path| path.to_bytes().into()),
        }
    }

    /// Whether a peer's proof of membership is wrong; one of a place that is not known here cannot be judged.
    pub(super) fn is_impostor(&self, peer: &BotId, facts: &Facts) -> bool {
        let Some(ledger) = &self.ledger else { return false };
        let place = Place {
            height: crate::ledger::Height(facts.epoch_height.into()),
            header: crate::ledger::HeaderId(facts.epoch_id),
        };
        !ledger.is_guest(peer) && ledger.proves_membership(peer, place, &facts.credentials) == Some(false)
    }

    /// A link closed; whether the peer is silent for long.
    fn note_closed(&mut self, now: Instant, peer: BotId, reason: &CloseReason) -> bool {
        let Some(ledger) = self.ledger.as_ref().filter(|ledger| ledger.roster().get(&peer).is_some()) else {
            return false;
        };
        let is_silence = match reason {
            CloseReason::Unreachable => true,
            CloseReason::Fault(fault) => matches!(fault, Fault::Silence | Fault::HandshakeTimeout | Fault::Stalled),
            _ => false,
        };
        if !is_silence {
            return false;
        }
        let (since, count) = self.quiet.entry(peer).or_insert((now, 0));
        *count = count.saturating_add(1);
        let span = Duration::from_millis(ledger.rules().unit_ms().saturating_mul(SILENT_UNITS));
        *count >= CLOSED_LINKS && now.since(*since) >= span
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        self.ledger.as_ref().map(|_| self.tick_at)
    }
}

/// A link of somebody who applies, at either end.
pub(super) struct Candidate {
    /// Bytes from the applicant, once it said that it is one.
    pub(super) taken: usize,
    /// Bytes of messages to it.
    pub(super) given: usize,
    /// When the link ends whatever happens; at the applicant's end, unless there are news.
    pub(super) until: Instant,
    /// When it ends at the latest, whatever is told.
    pub(super) last: Instant,
    /// How its application stood when it was told last.
    pub(super) told: Option<crate::ledger::Receipt>,
    /// Whether its handshake showed an invitation that is open.
    pub(super) is_invited: bool,
}

impl Candidate {
    /// How long an applicant's link lasts at most.
    pub(super) const LASTS: Duration = Duration::from_secs(120);
    /// Most bytes from an applicant on one link.
    pub(super) const MAX_TAKEN: usize = 64 * 1024;
    /// Most bytes of messages to it on one link: four years of rounds of a hundred members.
    pub(super) const MAX_GIVEN: usize = 1024 * 1024;

    pub(super) fn until(until: Instant, last: Instant) -> Box<Self> {
        Box::new(Self { taken: 0, given: 0, until, last, told: None, is_invited: false })
    }
}

impl Node {
    /// Lets the ledger work, and does then what it asks.
    pub(super) fn in_council<R>(&mut self, now: Instant, work: impl FnOnce(&mut Ledger, UnixMillis) -> R) -> Option<R> {
        let council = self.council.as_mut()?;
        let wall = council.wall.at(now);
        let result = work(council.ledger.as_mut()?, wall);
        self.attend(now);
        Some(result)
    }

    /// Does what the ledger asks until it asks nothing.
    pub(super) fn attend(&mut self, now: Instant) {
        let (mut sends, mut is_new) = (BTreeSet::new(), false);
        while let Some(council) = &mut self.council {
            let Some(action) = council.ledger.as_mut().and_then(Ledger::poll) else { break };
            match action {
                LedgerAction::Send(channel) => {
                    sends.insert(LinkId(channel.0));
                }
                LedgerAction::Persist { write, key, value } => {
                    let id = self.persist(Record { key, value });
                    if let Some(council) = &mut self.council {
                        council.writes.push_back((id, write));
                    }
                }
                LedgerAction::Notify(event) => {
                    is_new |= matches!(
                        event,
                        LedgerEvent::Height { .. } | LedgerEvent::Guest { .. } | LedgerEvent::Revoked { .. }
                    );
                    self.outbox.notify(Event::Ledger(Box::new(event)));
                }
            }
        }
        // First, as whoever is out at the new height hears it before its links close.
        for id in sends {
            self.pump(now, id);
        }
        if is_new {
            self.follow_roster(now);
            self.ask_for_waiting(now);
        }
        if let Some(council) = &mut self.council
            && let Some(ledger) = &council.ledger
        {
            // A wall clock at its end stands still.
            let soon = council.wall.when(ledger.wake_at()).max(now + LEAST_PAUSE);
            council.tick_at = if council.tick_at <= now { soon } else { council.tick_at.min(soon) };
        }
        self.answer_applicants(now);
        self.follow_application(now);
    }

    /// At the start: what was begun is written, and whoever is to be dialled is.
    pub(super) fn open_council(&mut self, now: Instant) {
        let own = self.id();
        let Some(council) = &self.council else { return };
        if let Some(joining) = &council.joining {
            let record = joining.record(&own);
            self.persist(record);
        }
        self.follow_roster(now);
        self.seek_sponsor(now);
        self.attend(now);
        self.run_timers(now);
        self.settle(now);
    }

    pub(super) fn set_ledger_clock(&mut self, now: Instant, wall: UnixMillis) {
        if let Some(council) = &mut self.council {
            council.wall = Wall { told_at: now, told: wall };
            council.tick_at = now;
        }
        self.tick_ledger(now);
    }

    /// Asks the host for a write.
    pub(super) fn persist(&mut self, record: Record) -> PersistId {
        self.last_persist += 1;
        let id = PersistId(self.last_persist);
        self.outbox.push(Action::Persist { id, record });
        id
    }

    /// The ledger hears which of its writes are durable.
    pub(super) fn ledger_persisted(&mut self, now: Instant, durable: PersistId) {
        let Some(council) = &mut self.council else { return };
        let mut last = None;
        while council.writes.front().is_some_and(|(id, _)| *id <= durable) {
            last = council.writes.pop_front().map(|(_, write)| write);
        }
        if let Some(write) = last {
            self.in_council(now, |ledger, _| ledger.persisted(write));
        }
    }

    pub(super) fn tick_ledger(&mut self, now: Instant) {
        if self.council.as_ref().is_some_and(|council| council.tick_at <= now) {
            self.in_council(now, Ledger::handle_tick);
            if let Some(council) = self.council.as_mut().filter(|council| council.ledger.is_none()) {
                council.tick_at = now;
            }
        }
    }

    /// Those who may be here are: links of others close, and this bot says where it stands from now on.
    pub(super) fn follow_roster(&mut self, now: Instant) {
        let own = self.id();
        let Some(council) = &self.council else { return };
        let (linked, heard) = council.everybody(&own);
        let facts = council.facts(&own, self.setup.facts());
        if *self.setup.facts() != facts {
            // A path through four thousand million members has not so many bytes.
            self.setup = Arc::new(self.setup.saying(facts).expect("a path fits"));
        }
        if *self.roster != linked {
            self.roster = Arc::new(linked);
        }
        self.hub.set_roster(Arc::new(heard));
        let sponsor = self.council.as_ref().and_then(|council| council.joining.as_ref()).map(Joining::sponsor);
        let roster = self.roster.clone();
        let goes = |peer: &BotId| !roster.contains(peer);
        self.links.wishes.give_up(|peer| goes(peer) && Some(*peer) != sponsor);
        let gone: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, entry)| entry.candidate.is_none() && entry.link().is_some())
            .filter(|(_, entry)| entry.peer().as_ref().is_some_and(goes))
            .map(|(id, _)| id)
            .collect();
        for id in gone {
            self.close_link(now, id, Code::UnknownMember);
        }
        self.peer_strings.retain(|peer, _| roster.contains(peer));
    }

    /// A link is open: the ledger speaks on it.
    pub(super) fn convene(&mut self, now: Instant, id: LinkId) {
        if self.council.is_none() {
            return;
        }
        let Some(entry) = self.links.get(id) else { return };
        let Some(proof) = entry.link().and_then(Link::peer) else { return };
        let (peer, kind, side, channel) = (proof.peer(), proof.kind(), proof.side(), Channel(id.0));
        if let Some(council) = &mut self.council {
            council.quiet.remove(&peer);
        }
        match (kind, side) {
            (Kind::Candidate, Side::Server) => {
                self.in_council(now, |ledger, wall| ledger.handle_applicant_up(wall, channel, peer));
            }
            (Kind::Candidate, Side::Client) => self.meet_sponsor(now, id),
            (Kind::Member, _) => {
                self.in_council(now, |ledger, wall| ledger.handle_link_up(wall, channel, peer));
            }
        }
    }

    /// A link is closed.
    pub(super) fn adjourn(&mut self, now: Instant, id: LinkId, entry: &Entry, reason: &CloseReason) {
        let Some(council) = &mut self.council else { return };
        if let Some(ledger) = &mut council.ledger {
            ledger.handle_link_down(Channel(id.0));
        }
        let Some(peer) = entry.peer() else { return };
        self.lose_sponsor(now, id, peer, entry, reason);
        let is_silent = self.council.as_mut().is_some_and(|council| council.note_closed(now, peer, reason));
        if is_silent {
            // Not a member itself, or without its promises: then others tell.
            let _ = self.in_council(now, |ledger, _| ledger.observe_silence(peer));
        }
    }

    /// What a message about the ledger costs more than a post.
    pub(super) fn charge(&mut self, now: Instant, id: LinkId, bytes: usize, message: &LedgerMessage) {
        let makes_search = matches!(
            message,
            LedgerMessage::Have { .. } | LedgerMessage::Digests { .. } | LedgerMessage::AskCertificates { .. }
        );
        let more = bytes / BYTES_A_POST + if makes_search { POSTS_A_SEARCH } else { 0 };
        if let Some(entry) = self.links.touch(id) {
            entry.over_budget_until = entry.posts.spend(now, u32::try_from(more).unwrap_or(u32::MAX));
        }
    }

    /// A member's message about the ledger.
    pub(super) fn hear_ledger(&mut self, now: Instant, id: LinkId, bytes: &Bytes) {
        let Ok(message) = LedgerMessage::decode(bytes) else {
            return self.close_entry(now, id, Fault::BadMessage.into(), true);
        };
        self.charge(now, id, bytes.len(), &message);
        self.hand_over(now, id, message);
    }

    /// Hands a message to the ledger; what is the peer's fault closes its link.
    pub(super) fn hand_over(&mut self, now: Instant, id: LinkId, message: LedgerMessage) {
        let is_candidate = self.links.get(id).is_some_and(|entry| entry.candidate.is_some());
        let taken = self.in_council(now, |ledger, wall| ledger.handle_message(wall, Channel(id.0), message));
        let fault = match taken {
            Some(Err(Refusal::Forged)) => Fault::BadSignature,
            Some(Err(Refusal::Layout)) => Fault::BadMessage,
            // Between an applicant and its sponsor little may be said at all.
            Some(Err(Refusal::NotAllowed(_))) if is_candidate => Fault::BadMessage,
            // What counts for another place, or comes late, is nobody's fault.
            Some(Ok(()) | Err(_)) | None => return,
        };
        self.close_entry(now, id, fault.into(), true);
    }

    /// Hands the ledger's messages to a link as long as it has room.
    pub(super) fn pump(&mut self, now: Instant, id: LinkId) {
        let Some(ledger) = self.council.as_mut().and_then(|council| council.ledger.as_mut()) else { return };
        let Some(entry) = self.links.touch(id) else { return };
        let mut scratch = BytesMut::new();
        entry.flow.ledger_waits = false;
        while entry.is_open() {
            if entry.flow.queued_bytes >= self.limits.queue_low_bytes {
                entry.flow.ledger_waits = true;
                return;
            }
            let Some(message) = ledger.next_message(Channel(id.0)) else { return };
            message.encode(&mut scratch);
            let bytes = scratch.split().freeze();
            if let Some(candidate) = &mut entry.candidate {
                candidate.given += bytes.len();
                if candidate.given > Candidate::MAX_GIVEN {
                    // It comes again, and goes on where this ended.
                    return self.close_link(now, id, Code::Full);
                }
            }
            entry.enqueue(now, bytes, &self.limits);
        }
    }
}
