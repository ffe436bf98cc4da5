//! The router: what a link says becomes another machine's input, and the other way round.

use core::time::Duration;

use bytes::{Bytes, BytesMut};

use super::Node;
use super::ledger::Candidate;
use super::links::{Entry, LinkId, WishState};
use super::outbox::Event;
use crate::identity::BotId;
use crate::ledger::LedgerMessage;
use crate::link::{Authenticated, CloseReason, Code, Fault, Kind, Link, Side, Step};
use crate::overlay::{Message, Received};
use crate::time::Instant;

/// Handshakes of applicants under way: 16, so that strangers who know the community leave the slots to members;
/// the oldest makes room.
const HALF_OPEN_APPLICANTS: usize = 16;

/// How a peer that proved its key is met.
enum Verdict {
    Admit { instead_of: Option<LinkId> },
    Refuse(Code, Duration),
    Drop(Fault),
}

impl Node {
    /// Works off all bytes of one link.
    pub(super) fn route(&mut self, now: Instant, id: LinkId, mut input: &[u8]) {
        while let Some(link) = self.links.touch(id).and_then(Entry::link_mut) {
            let step = link.step(now, &mut input);
            #[cfg(feature = "trace")]
            self.note_frames(id);
            match step {
                Step::NeedMore => return,
                Step::Hello => self.on_hello(now, id),
                Step::Proved => self.on_proved(now, id),
                Step::Open => self.announce(now, id),
                Step::Message(message) => self.on_message(now, id, &message),
                Step::Closed(reason) => self.close_entry(now, id, reason, true),
            }
        }
    }

    fn on_hello(&mut self, now: Instant, id: LinkId) {
        let is_applicant = self.links.get(id).and_then(Entry::link).and_then(Link::knocks_as) == Some(Kind::Candidate);
        let allowed = self.handshakes.try_take(now);
        if allowed && is_applicant && self.links.applicants_knocking().count() >= HALF_OPEN_APPLICANTS {
            let oldest = self.links.applicants_knocking().next();
            oldest.into_iter().for_each(|oldest| self.close_entry(now, oldest, CloseReason::Here(Code::Full), true));
        }
        if let Some(entry) = self.links.touch(id).filter(|_| is_applicant) {
            let last = now + Candidate::LASTS;
            entry.candidate = Some(Candidate::until(last, last));
        }
        let Some(link) = self.links.touch(id).and_then(Entry::link_mut) else { return };
        if !allowed {
            link.refuse(now, Code::Full, Duration::from_secs(1));
            self.close_entry(now, id, CloseReason::Here(Code::Full), true);
        } else if let Err(fault) = link.answer() {
            self.close_entry(now, id, fault.into(), true);
        }
    }

    fn on_proved(&mut self, now: Instant, id: LinkId) {
        if let Some(entry) = self.links.touch(id) {
            entry.proved = entry.link().and_then(Link::peer).map(Authenticated::peer);
        }
        match self.verdict(now, id) {
            Verdict::Admit { instead_of } => {
                self.fulfil_wish(id);
                if let Some(old) = instead_of {
                    self.close_link(now, old, Code::Replaced);
                }
                if let Some(link) = self.links.touch(id).and_then(Entry::link_mut) {
                    link.admit(now);
                    #[cfg(feature = "trace")]
                    self.note_frames(id);
                    self.announce(now, id);
                }
            }
            Verdict::Refuse(code, after) => {
                if code == Code::AlreadyConnected {
                    self.probe_rival(now, id);
                }
                if let Some(link) = self.links.touch(id).and_then(Entry::link_mut) {
                    link.refuse(now, code, after);
                }
                self.close_entry(now, id, CloseReason::Here(code), true);
            }
            Verdict::Drop(fault) => self.close_entry(now, id, fault.into(), true),
        }
    }

    /// Roster first, then the string, then duplicates, then room.
    fn verdict(&mut self, now: Instant, id: LinkId) -> Verdict {
        let Some(link) = self.links.get(id).and_then(Entry::link) else {
            return Verdict::Drop(Fault::BadFrame);
        };
        let Some(proof) = link.peer() else { return Verdict::Drop(Fault::BadFrame) };
        let peer = proof.peer();
        if proof.kind() != Kind::Member {
            let credentials = proof.facts().credentials.clone();
            return self.verdict_on_applicant(now, id, peer, &credentials);
        }
        let is_impostor = self.council.as_ref().is_some_and(|council| council.is_impostor(&peer, proof.facts()));
        if is_impostor || !self.roster.contains(&peer) {
            return Verdict::Refuse(Code::UnknownMember, Duration::ZERO);
        }
        if !link.take_string(&self.strings_key, self.peer_strings.entry(peer).or_default()) {
            return Verdict::Drop(Fault::BadChallenge);
        }
        match self.links.rival(id, peer) {
            // Opposite directions: the link that the lower id dialled stays.
            Some((old, Side::Client)) if peer < self.setup.id() => Verdict::Admit { instead_of: Some(old) },
            Some(_) => Verdict::Refuse(Code::AlreadyConnected, Duration::ZERO),
            None if self.links.children() >= self.limits.children => {
                Verdict::Refuse(Code::Full, Duration::from_secs(60))
            }
            None => Verdict::Admit { instead_of: None },
        }
    }

    /// Without a ledger there is nothing to apply for.
    fn verdict_on_applicant(&mut self, now: Instant, id: LinkId, peer: BotId, credentials: &[u8]) -> Verdict {
        if self.limits.candidates == 0 || !self.serves_applicants() {
            Verdict::Refuse(Code::UnknownMember, Duration::ZERO)
        } else if self.has_room_for_applicant(now, id, peer, credentials) {
            Verdict::Admit { instead_of: None }
        } else {
            Verdict::Refuse(Code::Full, Duration::from_secs(60))
        }
    }

    /// The link that stood in the newcomer's way must show that it lives.
    fn probe_rival(&mut self, now: Instant, newcomer: LinkId) {
        let peer = self.links.get(newcomer).and_then(Entry::peer);
        let Some((old, _)) = peer.and_then(|peer| self.links.rival(newcomer, peer)) else { return };
        if let Some(link) = self.links.touch(old).and_then(Entry::link_mut) {
            link.probe(now);
        }
    }

    /// A wish for the peer of this link is fulfilled by it, whoever dialled; what it was tied to before may end without a
    /// retry.
    fn fulfil_wish(&mut self, id: LinkId) {
        // An applicant's link is none that anybody wished for, but the applicant itself.
        let entry = self.links.get(id).filter(|entry| entry.candidate.is_none() || entry.dialled.is_some());
        if let Some(peer) = entry.and_then(Entry::peer) {
            self.links.wishes.change(peer, |wish| wish.state = WishState::Linked(id));
        }
    }

    fn announce(&mut self, now: Instant, id: LinkId) {
        let Some(entry) = self.links.touch(id) else { return };
        entry.opened_at = Some(now);
        entry.proved = entry.link().and_then(Link::peer).map(Authenticated::peer);
        let (peer, is_applicants) = (entry.proved, entry.candidate.is_some());
        self.fulfil_wish(id);
        // An applicant's link is none in place of a member's, also when a member applies.
        if let Some(peer) = peer.filter(|_| !is_applicants) {
            // A dial that is still under way has become needless.
            if let Some(needless) = self.links.dialling(peer) {
                self.close_entry(now, needless, CloseReason::Here(Code::AlreadyConnected), true);
            }
            // The verdict saw to it at the server; the client's own dial is closed there when the peer's link opens.
            debug_assert!(self.links.rival(id, peer).is_none(), "one link with one key");
        }
        let Some(entry) = self.links.get(id) else { return };
        let Some(proof) = entry.link().and_then(Link::peer) else { return };
        self.stats.handshakes += 1;
        self.outbox.notify(Event::LinkUp {
            link: id,
            peer: proof.peer(),
            kind: proof.kind(),
            side: proof.side(),
            suite: proof.suite(),
            bound: proof.is_bound(),
            facts: proof.facts().clone(),
        });
        self.convene(now, id);
    }

    fn on_message(&mut self, now: Instant, id: LinkId, bytes: &Bytes) {
        let Some(entry) = self.links.touch(id) else { return };
        entry.over_budget_until = entry.posts.spend(now, 1);
        if entry.posts.debt() > 4 * u64::from(self.limits.posts.burst) {
            // The host was asked to stop reading and did not.
            return self.close_entry(now, id, Fault::OverBudget.into(), true);
        }
        match &entry.candidate {
            Some(_) if entry.dialled.is_none() => return self.hear_applicant(now, id, bytes),
            Some(_) => return self.hear_sponsor(now, id, bytes),
            None if self.council.is_some() && LedgerMessage::is_one(bytes) => return self.hear_ledger(now, id, bytes),
            None => {}
        }
        let Ok(message) = Message::decode(bytes) else {
            return self.close_entry(now, id, Fault::BadMessage.into(), true);
        };
        #[cfg(feature = "trace")]
        let (seen, peer) = (super::tracer::Seen::of(&message), self.links.get(id).and_then(Entry::peer));
        let received = self.hub.receive(message);
        #[cfg(feature = "trace")]
        self.outbox.tracer.post_in(peer, id, seen, &received);
        match received {
            Received::New { post, relay_hops } => {
                self.stats.posts += 1;
                self.outbox.notify(Event::Post { post: post.clone(), link: id });
                if let Some(hops) = relay_hops {
                    self.spread(now, Some(id), &Message::Post { hops, post });
                }
            }
            Received::Duplicate => self.stats.duplicates += 1,
            Received::Stranger => self.stats.strangers += 1,
            Received::Forged => self.close_entry(now, id, Fault::BadSignature.into(), true),
        }
    }

    /// Hands a message to every open link but one.
    pub(super) fn spread(&mut self, now: Instant, but: Option<LinkId>, message: &Message) {
        let mut bytes = None;
        let mut encode = || {
            let encode = || {
                let mut bytes = BytesMut::new();
                message.encode(&mut bytes);
                bytes.freeze()
            };
            bytes.get_or_insert_with(encode).clone()
        };
        for (id, entry) in self.links.touch_all() {
            if Some(id) != but && entry.candidate.is_none() {
                #[cfg(feature = "trace")]
                if entry.is_open() {
                    self.outbox.tracer.post_out(entry.peer(), id, super::tracer::Seen::of(message));
                }
                entry.send(now, message, &self.limits, &mut encode);
            }
        }
    }
}
