//! The applicant's side of joining: the sponsor's story, read and checked; the application; the witnesses.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::Node;
use super::ledger::Candidate;
use super::links::{Entry, LinkId, Wish, WishState};
use super::outbox::Event;
use super::restore::{FORMAT, Record};
use crate::crypto::Crypto;
use crate::identity::{BotId, Identity};
use crate::ledger::{
    Applied, Assembly, Channel, Genesis, Invitation, JoinMessage, Journal, Ledger, LedgerMessage, Outcome, Receipt,
    StatementId, Whole, witnesses,
};
use crate::link::{CloseReason, Code, Facts, Fault, Kind, Setup};
use crate::time::Instant;
use crate::wire::{FixedReader, LayoutError};

/// How long an applicant stays linked without news.
const PATIENCE: Duration = Duration::from_secs(10);
/// It comes again this part of a unit later.
const POLLS_A_UNIT: u64 = 8;
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_secs(600);

pub(super) const JOINING: &[u8] = b"joining/invitation";

/// How far this bot has come on its way into the community.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinState {
    /// The inviter is dialled.
    Dialling,
    /// Its story is read and checked, from the genesis on.
    Reading {
        /// The newest height that was checked.
        height: u64,
    },
    /// Its owner has to decide whether it speaks for this bot, or it has to wait for the next height to ask.
    WaitsForSponsor,
    /// The members are asked.
    Asked {
        /// The question.
        question: StatementId,
        /// Witnesses that have not yet said that the story is theirs too.
        unheard: Vec<BotId>,
    },
    /// A guest: everything but a vote.
    Guest {
        /// The question that is still open.
        question: StatementId,
    },
    /// The inviter's owner does not speak for this bot.
    Declined,
    /// The members decided, and this bot is not in.
    Refused {
        /// What became of the question.
        outcome: Outcome,
    },
    /// This bot is in, as the inviter tells it; no witness that the inviter did not choose has said so. Compare the height's
    /// header with another member by other means, then call [`Node::trust_story`](super::Node::trust_story).
    Unverified {
        /// Whose word is missing.
        unheard: Vec<BotId>,
    },
    /// The inviter's story is not the one of the invitation: its genesis or its checkpoint differs. Ask somebody else.
    OtherStory,
    /// This bot is a member.
    Member,
}

impl JoinState {
    /// The state in a word.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::Reading { .. } => "reading",
            Self::WaitsForSponsor => "waits for sponsor",
            Self::Asked { .. } => "asked",
            Self::Guest { .. } => "guest",
            Self::Declined => "declined",
            Self::Refused { .. } => "refused",
            Self::Unverified { .. } => "unverified",
            Self::OtherStory => "other story",
            Self::Member => "member",
        }
    }
}

/// What an applicant knows and remembers.
pub(super) struct Joining {
    invitation: Invitation,
    words: Bytes,
    /// What the ledger is made from, once there is a genesis.
    identity: Identity,
    crypto: Arc<dyn Crypto>,
    /// Which of the addresses is tried now.
    address: usize,
    /// The invitation is not good any more: the inviter's owner is asked.
    is_uninvited: bool,
    genesis: Assembly,
    /// Whether all witnesses of one height told the same story, or the owner did.
    is_verified: bool,
    is_other_story: bool,
    receipt: Option<Receipt>,
    applied_on: Option<LinkId>,
    told: Option<JoinState>,
}

impl Joining {
    pub(super) fn new(invitation: Invitation, words: Bytes, identity: &Identity, crypto: Arc<dyn Crypto>) -> Self {
        Self {
            invitation,
            words,
            identity: identity.again(),
            crypto,
            address: 0,
            is_uninvited: false,
            genesis: Assembly::default(),
            is_verified: false,
            is_other_story: false,
            receipt: None,
            applied_on: None,
            told: None,
        }
    }

    pub(super) const fn sponsor(&self) -> BotId {
        self.invitation.inviter()
    }

    pub(super) const fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    fn address(&self) -> String {
        let addresses: Vec<&str> = self.invitation.addresses().collect();
        addresses.get(self.address % addresses.len().max(1)).map_or_else(String::new, ToString::to_string)
    }

    pub(super) fn takes_part(&self, ledger: &Ledger, is_in: bool) -> bool {
        self.is_verified && !self.is_other_story && (is_in || self.guest_by(ledger).is_some())
    }

    /// The question by which this bot is a guest: the sponsor's word, about the own question only.
    fn guest_by(&self, ledger: &Ledger) -> Option<StatementId> {
        let Some(Receipt::Guest(question)) = self.receipt else { return None };
        let own = ledger.application().and_then(|application| ledger.question_of(application));
        own.filter(|own| *own == question)
    }

    /// The one encoding, for the bot's own records.
    pub(super) fn record(&self, own: &BotId) -> Record {
        let mut value = BytesMut::new();
        value.put_u8(FORMAT);
        value.put_slice(own.as_bytes());
        value.put_u8(u8::from(self.is_verified));
        value.put_u8(u8::from(self.is_uninvited));
        for text in [self.invitation.to_string().as_bytes(), &self.words] {
            value.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
            value.put_slice(text);
        }
        Record { key: Bytes::from_static(JOINING), value: value.freeze() }
    }

    /// What follows the owner in a record, with a token of zeros; nothing when it cannot be read.
    #[cfg(feature = "trace")]
    pub(super) fn without_token(value: &[u8]) -> Option<Bytes> {
        let mut r = FixedReader::new(value);
        let flags = r.bytes(2).ok()?;
        let len = usize::from(r.u16().ok()?);
        let line: Invitation = core::str::from_utf8(r.bytes(len).ok()?).ok()?.parse().ok()?;
        let line = line.without_token().to_string();
        let mut out = BytesMut::from(flags);
        out.put_u16(u16::try_from(line.len()).ok()?);
        out.put_slice(line.as_bytes());
        out.put_slice(r.rest());
        Some(out.freeze())
    }

    /// Reads what follows the owner in a record.
    pub(super) fn read(value: &[u8], identity: &Identity, crypto: Arc<dyn Crypto>) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(value);
        let (is_verified, is_uninvited) = (r.u8()? == 1, r.u8()? == 1);
        let len = usize::from(r.u16()?);
        let line = core::str::from_utf8(r.bytes(len)?).map_err(|_| LayoutError)?;
        let invitation = line.parse().map_err(|_| LayoutError)?;
        let len = usize::from(r.u16()?);
        let words = Bytes::copy_from_slice(r.bytes(len)?);
        r.end()?;
        Ok(Self { is_verified, is_uninvited, ..Self::new(invitation, words, identity, crypto) })
    }
}

impl Node {
    /// How far this bot has come on its way into the community; nothing when it never was on it.
    #[must_use]
    pub fn join_state(&self) -> Option<JoinState> {
        let council = self.council.as_ref()?;
        let joining = council.joining.as_ref()?;
        if joining.is_other_story {
            return Some(JoinState::OtherStory);
        }
        let Some(ledger) = &council.ledger else { return Some(JoinState::Dialling) };
        let own = self.id();
        if ledger.roster().get(&own).is_some() {
            return Some(if joining.is_verified {
                JoinState::Member
            } else {
                let (header, sponsor) = (ledger.place().header, joining.sponsor());
                let unheard = witnesses(header, &own, &sponsor, ledger.roster(), ledger.rules());
                JoinState::Unverified { unheard }
            });
        }
        if let Some(question) = joining.guest_by(ledger).filter(|_| joining.is_verified) {
            return Some(JoinState::Guest { question });
        }
        Some(match (ledger.applied(), joining.receipt) {
            (Some(Applied::Decided { outcome, .. }), _) => JoinState::Refused { outcome },
            (_, Some(Receipt::Declined)) => JoinState::Declined,
            (Some(Applied::Asked { question, unheard }), _) => JoinState::Asked { question, unheard },
            (_, Some(Receipt::Waiting | Receipt::Later)) => JoinState::WaitsForSponsor,
            _ => JoinState::Reading { height: ledger.place().height.0 },
        })
    }

    /// Whether the inviter did not take this bot's invitation: it was used, is over, or is none of the inviter's. Its owner is
    /// asked instead, see [`JoinState::WaitsForSponsor`].
    #[must_use]
    pub fn is_uninvited(&self) -> bool {
        let joining = self.council.as_ref().and_then(|council| council.joining.as_ref());
        joining.is_some_and(|joining| joining.is_uninvited)
    }

    /// Takes the inviter's story for the true one, on the owner's word: the owner compared it with another member's.
    pub fn trust_story(&mut self, now: Instant) {
        record!(self, TrustStory { now: now.as_nanos() });
        let now = self.clock(now);
        self.verify_story(now);
        self.follow_application(now);
        self.settle(now);
    }

    fn verify_story(&mut self, now: Instant) {
        let own = self.id();
        let Some(joining) = self.council.as_mut().and_then(|council| council.joining.as_mut()) else { return };
        if joining.is_verified {
            return;
        }
        joining.is_verified = true;
        let record = joining.record(&own);
        self.persist(record);
        self.follow_roster(now);
    }

    /// Wishes for a link with the inviter.
    pub(super) fn seek_sponsor(&mut self, now: Instant) {
        let Some(joining) = self.council.as_ref().and_then(|council| council.joining.as_ref()) else { return };
        let (sponsor, address) = (joining.sponsor(), joining.address());
        if !self.links.wishes.contains(sponsor) {
            self.links.wishes.insert(sponsor, Wish { address, state: WishState::Waiting(now), failures: 0 });
        }
    }

    /// As what this bot dials a peer.
    pub(super) fn dialled_kind(&self, peer: &BotId) -> Kind {
        let own = self.id();
        let is_applying = self.council.as_ref().is_some_and(|council| {
            council.joining.as_ref().is_some_and(|joining| joining.sponsor() == *peer) && !council.takes_part(&own)
        });
        if is_applying { Kind::Candidate } else { Kind::Member }
    }

    /// A link with the inviter is open.
    pub(super) fn meet_sponsor(&mut self, now: Instant, id: LinkId) {
        let Some(council) = &self.council else { return };
        if council.ledger.is_none() {
            return self.say_to_sponsor(now, id, &LedgerMessage::AskCertificates { after: None });
        }
        let Some(peer) = self.links.get(id).and_then(Entry::peer) else { return };
        self.in_council(now, |ledger, wall| ledger.handle_sponsor_up(wall, Channel(id.0), peer));
    }

    fn say_to_sponsor(&mut self, now: Instant, id: LinkId, message: &LedgerMessage) {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.send_to_sponsor(now, id, bytes.freeze());
    }

    fn send_to_sponsor(&mut self, now: Instant, id: LinkId, bytes: Bytes) {
        if let Some(entry) = self.links.touch(id) {
            entry.enqueue(now, bytes, &self.limits);
        }
    }

    /// The inviter says something on an applicant's link.
    pub(super) fn hear_sponsor(&mut self, now: Instant, id: LinkId, bytes: &Bytes) {
        if let Some(candidate) = self.links.touch(id).and_then(|entry| entry.candidate.as_mut()) {
            candidate.given += bytes.len();
            candidate.until = (now + PATIENCE).min(candidate.last);
        }
        if JoinMessage::is_one(bytes) {
            return match JoinMessage::decode(bytes) {
                Ok(JoinMessage::Receipt(receipt)) => self.take_receipt(now, receipt),
                _ => self.close_entry(now, id, Fault::BadMessage.into(), true),
            };
        }
        let Ok(message) = LedgerMessage::decode(bytes) else {
            return self.close_entry(now, id, Fault::BadMessage.into(), true);
        };
        self.charge(now, id, bytes.len(), &message);
        let Some(council) = &self.council else { return };
        if council.ledger.is_none() {
            if let LedgerMessage::Part { whole: Whole::Genesis, at, of, bytes } = message {
                self.take_genesis(now, id, at, of, &bytes);
            }
            // Heights that came behind the genesis are asked for again.
            return;
        }
        self.hand_over(now, id, message);
    }

    fn take_genesis(&mut self, now: Instant, id: LinkId, at: u16, of: u16, part: &Bytes) {
        let Some(council) = &mut self.council else { return };
        let Some(joining) = &mut council.joining else { return };
        let Some(bytes) = joining.genesis.take(Whole::Genesis, at, of, part) else { return };
        let community = joining.invitation.community();
        let genesis = Genesis::from_bytes(&bytes, &*joining.crypto).ok();
        let Some(genesis) = genesis.filter(|genesis| genesis.community() == community) else {
            // The handshake proved that the inviter knows the community: this is its own story.
            joining.is_other_story = true;
            self.close_link(now, id, Code::GoingAway);
            return self.follow_application(now);
        };
        let wall = council.wall.at(now);
        // Whether this key was a member before is not known yet.
        let ledger = Ledger::new(joining.crypto.clone(), &joining.identity, &genesis, Journal::Lost, wall);
        council.ledger = Some(ledger);
        self.attend(now);
        self.meet_sponsor(now, id);
    }

    fn take_receipt(&mut self, now: Instant, receipt: Receipt) {
        let own = self.id();
        let Some(joining) = self.council.as_mut().and_then(|council| council.joining.as_mut()) else { return };
        if receipt == Receipt::NotInvited && !joining.is_uninvited {
            // The owner may let it in all the same.
            joining.is_uninvited = true;
            joining.applied_on = None;
            let record = joining.record(&own);
            self.persist(record);
        }
        let Some(joining) = self.council.as_mut().and_then(|council| council.joining.as_mut()) else { return };
        joining.receipt = Some(receipt);
        self.follow_application(now);
    }

    /// Does what is to be done next on the way in, and tells the application how far it is.
    pub(super) fn follow_application(&mut self, now: Instant) {
        let Some(council) = &mut self.council else { return };
        let Some(joining) = &mut council.joining else { return };
        if let Some(ledger) = &council.ledger {
            if let Some(height) = joining.invitation.checkpoint()
                && let Some(place) = ledger.place_at(height)
            {
                let is_checkpoint = joining.invitation.is_checkpoint(&place);
                #[cfg(feature = "trace")]
                let is_checkpoint =
                    self.tape.as_ref().map_or(is_checkpoint, |tape| tape.tape().invitation(is_checkpoint));
                joining.is_other_story |= !is_checkpoint;
            }
            if !joining.is_verified
                && !joining.is_other_story
                && matches!(ledger.applied(), Some(Applied::Asked { unheard, .. }) if unheard.is_empty())
            {
                self.verify_story(now);
            }
        }
        self.apply(now);
        let state = self.join_state();
        let Some(council) = &mut self.council else { return };
        let Some(joining) = &mut council.joining else { return };
        if joining.told != state {
            joining.told.clone_from(&state);
            if let Some(state) = state.clone() {
                self.outbox.notify(Event::Joining(state));
            }
        }
        match state {
            Some(JoinState::OtherStory | JoinState::Refused { .. } | JoinState::Declined) => self.give_up(now),
            Some(JoinState::Member) => {
                if let Some(council) = &mut self.council {
                    council.joining = None;
                }
                self.persist(Record { key: Bytes::from_static(JOINING), value: Bytes::new() });
                self.follow_roster(now);
                self.come_as_oneself(now);
            }
            Some(JoinState::Guest { .. }) => self.come_as_oneself(now),
            _ => {}
        }
    }

    /// Signs and sends the application, once on each link, as soon as the story is read.
    fn apply(&mut self, now: Instant) {
        let own = self.id();
        let Some(council) = &self.council else { return };
        let (Some(joining), Some(ledger)) = (&council.joining, &council.ledger) else { return };
        let sponsor = joining.sponsor();
        let open = self
            .links
            .iter()
            .find(|(_, entry)| entry.is_open() && entry.dialled == Some(sponsor) && entry.candidate.is_some());
        let Some((id, entry)) = open else { return };
        let height = entry.link().and_then(crate::link::Link::peer).map(|peer| peer.facts().epoch_height);
        let is_read = height.is_some_and(|height| ledger.place().height.0 >= u64::from(height));
        let is_done = matches!(ledger.applied(), Some(Applied::Decided { .. }));
        let is_member = ledger.roster().get(&own).is_some();
        if joining.applied_on == Some(id) || !is_read || is_done || is_member || joining.is_other_story {
            return;
        }
        let known = ledger.application().filter(|application| application.by == sponsor).cloned();
        let token = (!joining.is_uninvited).then(|| joining.invitation.token().clone());
        let words = joining.words.clone();
        let application = match known {
            Some(application) => application,
            None => {
                let mut nonce = [0; 16];
                self.random.fill(&mut nonce);
                let Some(ledger) = self.council.as_mut().and_then(|council| council.ledger.as_mut()) else { return };
                let Ok(application) = ledger.apply(sponsor, nonce, words) else { return };
                application
            }
        };
        if let Some(joining) = self.council.as_mut().and_then(|council| council.joining.as_mut()) {
            joining.applied_on = Some(id);
        }
        let mut bytes = BytesMut::new();
        JoinMessage::Apply { application, token }.encode(&mut bytes);
        self.send_to_sponsor(now, id, bytes.freeze());
        self.attend(now);
    }

    /// There is nothing more to be had from the inviter.
    fn give_up(&mut self, now: Instant) {
        let Some(sponsor) = self.council.as_ref().and_then(|council| council.joining.as_ref()).map(Joining::sponsor)
        else {
            return;
        };
        self.links.wishes.remove(sponsor);
        self.leave_candidacy(now, sponsor);
    }

    /// Dials the inviter as what this bot has become.
    fn come_as_oneself(&mut self, now: Instant) {
        let candidates: Vec<BotId> = self
            .links
            .iter()
            .filter(|(_, entry)| entry.candidate.is_some() && entry.dialled.is_some())
            .filter_map(|(_, entry)| entry.dialled)
            .collect();
        for sponsor in candidates {
            self.leave_candidacy(now, sponsor);
            self.links.wishes.change(sponsor, |wish| {
                wish.state = WishState::Waiting(now);
                wish.failures = 0;
            });
        }
        self.run_wishes(now);
    }

    fn leave_candidacy(&mut self, now: Instant, sponsor: BotId) {
        let open: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, entry)| entry.candidate.is_some() && entry.dialled == Some(sponsor))
            .map(|(id, _)| id)
            .collect();
        for id in open {
            self.close_link(now, id, Code::GoingAway);
        }
    }

    /// A link with the inviter ended: the next attempt goes to its other address, or waits for news.
    pub(super) fn lose_sponsor(&mut self, now: Instant, id: LinkId, peer: BotId, entry: &Entry, reason: &CloseReason) {
        let Some(council) = &mut self.council else { return };
        let Some(joining) = council.joining.as_mut().filter(|joining| joining.sponsor() == peer) else { return };
        let was_of_use = joining.applied_on == Some(id) || entry.candidate.is_none();
        if joining.applied_on == Some(id) {
            joining.applied_on = None;
        }
        joining.genesis = Assembly::default();
        let was_open = entry.opened_at.is_some();
        // Whoever holds the inviter's key and tells no story may not be where the other address leads.
        if !was_open || !was_of_use {
            joining.address = joining.address.wrapping_add(1);
            if !was_open && matches!(reason, CloseReason::Peer { code: Code::UnknownMember, .. }) {
                // Not a guest any more: it comes as an applicant again.
                joining.receipt = None;
            }
        }
        let address = joining.address();
        let unit = council.ledger.as_ref().map(|ledger| ledger.rules().unit_ms());
        let pause = Duration::from_millis(unit.unwrap_or(0) / POLLS_A_UNIT).clamp(SOONEST, LATEST);
        self.links.wishes.change(peer, |wish| {
            wish.address = address;
            if was_open && entry.candidate.is_some() {
                // All went well: there was no more to say.
                wish.failures = 0;
                wish.state = WishState::Waiting(now + pause);
            }
        });
    }

    /// What this bot says about itself on a link that it dials: an applicant shows its invitation, by the token's hash.
    pub(super) fn setup_for(&self, kind: Kind) -> Arc<Setup> {
        let joining = self.council.as_ref().and_then(|council| council.joining.as_ref());
        match joining.filter(|joining| kind == Kind::Candidate && !joining.is_uninvited) {
            Some(joining) => {
                let shown = Bytes::copy_from_slice(&joining.invitation.token().name().0);
                let facts = Facts { credentials: shown, ..self.setup.facts().clone() };
                Arc::new(self.setup.saying(facts).expect("a hash fits"))
            }
            None => self.setup.clone(),
        }
    }

    pub(super) fn candidate_of(&self, kind: Kind, now: Instant) -> Option<alloc::boxed::Box<Candidate>> {
        let first = now + PATIENCE.max(self.limits.times.handshake);
        (kind == Kind::Candidate).then(|| Candidate::until(first, now + Candidate::LASTS + PATIENCE))
    }
}
