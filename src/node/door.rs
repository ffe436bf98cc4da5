//! The member's side of joining: invitations, applicants, and what they are told.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use super::Node;
use super::ledger::Candidate;
use super::links::{Entry, LinkId};
use super::outbox::Event;
use super::restore::Record;
use crate::identity::BotId;
use crate::ledger::{
    Application, Ask, DecidedBy, Invitation, Invitations, InviteError, IssueError, JoinMessage, Ledger, LedgerMessage,
    Receipt, StatementId, Token, TokenName, WishError,
};
use crate::link::{Code, Fault};
use crate::time::{Instant, UnixMillis};

/// Applications without an invitation that wait for this bot's owner: as many as may be linked at a time.
const MAX_WAITING: usize = 8;
/// Those whom the owner declined and who are not shown to it again: 64, some names a year.
const MAX_DECLINED: usize = 64;
/// How long an applicant for whom nobody speaks may be linked before it makes room for another.
const GRACE: Duration = Duration::from_secs(15);

pub(super) const INVITATIONS: &[u8] = b"door/invitations";

/// Why no invitation is made; nothing is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteWishError {
    /// There is no ledger, or this bot is no member.
    #[error("only a member invites: this bot is none")]
    NotAMember,
    /// In this community each owner keeps a list.
    #[error("in this community each owner decides alone: send the newcomer's id to the owners")]
    NoRounds,
    /// It takes no links.
    #[error("this bot takes no links: let another member invite")]
    ClientOnly,
    /// It cannot be written down.
    #[error(transparent)]
    Line(#[from] InviteError),
    /// It is not taken into the list of those that are open.
    #[error(transparent)]
    Issue(#[from] IssueError),
}

/// Somebody who asked this bot to speak for it.
struct Waiting {
    application: Application,
    /// By which it was invited; without one the owner decides.
    token: Option<TokenName>,
    /// What it is told while it waits.
    receipt: Receipt,
}

/// Who may come in, and who waits.
#[derive(Default)]
pub(super) struct Door {
    pub(super) invitations: Invitations,
    waiting: BTreeMap<BotId, Waiting>,
    /// Questions that this bot asked for applicants.
    asked: BTreeMap<BotId, StatementId>,
    /// Whom the owner does not speak for, the newest last.
    declined: VecDeque<BotId>,
}

impl Door {
    pub(super) fn restored(invitations: Invitations) -> Self {
        Self { invitations, ..Self::default() }
    }

    /// How many wait without an invitation. Each of the others has one, of which there are not many.
    fn strangers(&self) -> usize {
        self.waiting.values().filter(|it| it.token.is_none()).count()
    }

    /// Whether somebody else waits for a slot with this invitation.
    fn is_kept_for_another(&self, key: &BotId, token: &TokenName) -> bool {
        self.waiting.iter().any(|(other, it)| other != key && it.token == Some(*token))
    }

    /// How an applicant's affair stands; nothing when it did not apply here.
    fn receipt(&self, ledger: &Ledger, key: &BotId) -> Option<Receipt> {
        if let Some(question) = self.asked.get(key) {
            let receipt = if ledger.is_guest(key) { Receipt::Guest(*question) } else { Receipt::Asked(*question) };
            return Some(receipt);
        }
        let waiting = self.waiting.get(key).map(|waiting| waiting.receipt);
        waiting.or_else(|| self.declined.contains(key).then_some(Receipt::Declined))
    }
}

impl Node {
    /// Makes an invitation for one newcomer, who dials this bot at one of these addresses.
    ///
    /// It carries the newest height as a checkpoint, if it fits. The line may be shown once its record is durable, which is
    /// when [`Node::persisted`] was told the last write so far.
    ///
    /// # Errors
    /// [`InviteWishError`].
    pub fn invite(
        &mut self,
        now: Instant,
        address: &str,
        second_address: Option<&str>,
        lasts: Duration,
    ) -> Result<Invitation, InviteWishError> {
        record!(
            self,
            Invite {
                now: now.as_nanos(),
                address: address.into(),
                second: second_address.map(Into::into),
                millis: u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX)
            }
        );
        let now = self.clock(now);
        let made = self.make_invitation(now, address, second_address, lasts);
        // The line lets somebody in: a recording has its end only.
        #[cfg(feature = "trace")]
        self.note_result("invite", &made.as_ref().map(Invitation::expires_at));
        made
    }

    fn make_invitation(
        &mut self,
        now: Instant,
        address: &str,
        second_address: Option<&str>,
        lasts: Duration,
    ) -> Result<Invitation, InviteWishError> {
        let own = self.id();
        if self.setup.facts().capabilities.has(crate::link::Capabilities::CLIENT_ONLY) {
            return Err(InviteWishError::ClientOnly);
        }
        let token = Token::from_bytes(*self.random.secret().first_chunk().expect("16 of 32 bytes"));
        let name = self.token_name(&token);
        let council = self.council.as_mut().ok_or(InviteWishError::NotAMember)?;
        let ledger = council.ledger.as_ref().ok_or(InviteWishError::NotAMember)?;
        if ledger.roster().get(&own).is_none() {
            return Err(InviteWishError::NotAMember);
        }
        if ledger.rules().decided_by == DecidedBy::Owners {
            return Err(InviteWishError::NoRounds);
        }
        let wall = council.wall.at(now);
        let lasts = u64::try_from(lasts.as_millis()).unwrap_or(u64::MAX);
        let end = UnixMillis(wall.0.saturating_add(lasts));
        let place = ledger.place();
        let mut invitation = Invitation::new(*ledger.community(), own, address, token, end)?;
        if let Some(second) = second_address {
            invitation = invitation.with_second_address(second)?;
        }
        if let Ok(with) = invitation.clone().with_checkpoint(&place) {
            invitation = with;
        }
        council.door.invitations.issue_named(wall, name, invitation.expires_at())?;
        self.write_invitations();
        Ok(invitation)
    }

    /// What of a token is in a recording.
    fn token_name(&self, token: &Token) -> TokenName {
        let name = token.name();
        #[cfg(feature = "trace")]
        let name = self.tape.as_ref().map_or(name, |tape| TokenName(tape.tape().token(name.0)));
        name
    }

    fn write_invitations(&mut self) {
        let Some(council) = &self.council else { return };
        let mut value = BytesMut::new();
        value.put_u8(super::restore::FORMAT);
        value.put_slice(self.setup.id().as_bytes());
        value.put_slice(&council.door.invitations.to_bytes());
        self.persist(Record { key: Bytes::from_static(INVITATIONS), value: value.freeze() });
    }

    /// Who asked this bot to speak for it, came without an invitation, and waits for the owner.
    pub fn applicants(&self) -> impl Iterator<Item = &Application> {
        let waiting = self.council.as_ref().map(|council| &council.door.waiting);
        waiting.into_iter().flat_map(BTreeMap::values).filter(|it| it.token.is_none()).map(|it| &it.application)
    }

    /// Asks the members to admit somebody who waits.
    ///
    /// # Errors
    /// [`WishError`]; with [`WishError::NoSlot`] the applicant goes on waiting.
    pub fn sponsor(
        &mut self,
        now: Instant,
        applicant: BotId,
        words: impl Into<Bytes>,
    ) -> Result<StatementId, WishError> {
        let words = words.into();
        record!(
            self,
            Sponsor { now: now.as_nanos(), peer: crate::tape::Id(applicant), words: crate::tape::Blob(words.to_vec()) }
        );
        let now = self.clock(now);
        let asked = self.ask_for(now, applicant, words);
        let result = result!(self, "sponsor", asked);
        self.settle(now);
        result
    }

    /// Does not speak for somebody who waits, and tells it so.
    pub fn dismiss(&mut self, now: Instant, applicant: BotId) {
        record!(self, Dismiss { now: now.as_nanos(), peer: crate::tape::Id(applicant) });
        let now = self.clock(now);
        if let Some(door) = self.council.as_mut().map(|council| &mut council.door)
            && door.waiting.remove(&applicant).is_some()
        {
            door.declined.push_back(applicant);
            if door.declined.len() > MAX_DECLINED {
                door.declined.pop_front();
            }
        }
        self.answer_applicants(now);
        self.settle(now);
    }

    fn ask_for(&mut self, now: Instant, applicant: BotId, words: Bytes) -> Result<StatementId, WishError> {
        let council = self.council.as_mut().ok_or(WishError::NoLedger)?;
        let wall = council.wall.at(now);
        let ledger = council.ledger.as_mut().ok_or(WishError::NoLedger)?;
        let waiting = council.door.waiting.get(&applicant).ok_or(WishError::NoSuchApplicant(applicant))?;
        let (application, token) = (waiting.application.clone(), waiting.token);
        ledger.handle_tick(wall);
        let question = ledger.propose(Ask::Admit(application), words)?;
        if let Some(token) = token {
            // It was good when the applicant came. A crash comes before it is kept, or leaves it to this applicant alone, or
            // comes when the question is durable.
            council.door.invitations.keep_for(token, &applicant);
            self.write_invitations();
        }
        if let Some(council) = &mut self.council {
            council.door.waiting.remove(&applicant);
            council.door.asked.insert(applicant, question);
        }
        self.attend(now);
        if let Some(token) = token {
            self.spend_token(token);
        }
        Ok(question)
    }

    fn spend_token(&mut self, token: TokenName) {
        if self.council.as_mut().is_some_and(|council| council.door.invitations.spend(token)) {
            self.write_invitations();
        }
    }

    /// Counts what came on an applicant's link, signs of life included; whether it is too much.
    pub(super) fn count_applicants_bytes(&mut self, id: LinkId, bytes: usize) -> bool {
        let Some(entry) = self.links.get_mut(id).filter(|entry| entry.dialled.is_none()) else { return false };
        let Some(candidate) = &mut entry.candidate else { return false };
        candidate.taken = candidate.taken.saturating_add(bytes);
        candidate.taken > Candidate::MAX_TAKEN
    }

    /// An applicant says something.
    pub(super) fn hear_applicant(&mut self, now: Instant, id: LinkId, bytes: &Bytes) {
        let Some(entry) = self.links.touch(id) else { return };
        let Some(peer) = entry.peer() else { return };
        if LedgerMessage::is_one(bytes) {
            let Ok(message) = LedgerMessage::decode(bytes) else {
                return self.close_entry(now, id, Fault::BadMessage.into(), true);
            };
            return self.hand_over(now, id, message);
        }
        match JoinMessage::decode(bytes) {
            Ok(JoinMessage::Apply { application, token }) => self.take_application(now, id, peer, application, token),
            _ => self.close_entry(now, id, Fault::BadMessage.into(), true),
        }
    }

    fn take_application(
        &mut self,
        now: Instant,
        id: LinkId,
        peer: BotId,
        application: Application,
        token: Option<Token>,
    ) {
        let own = self.id();
        let token = token.map(|token| self.token_name(&token));
        if application.key != peer || application.by != own {
            return self.close_entry(now, id, Fault::BadMessage.into(), true);
        }
        let Some(council) = &mut self.council else { return };
        let Some(ledger) = &council.ledger else { return };
        if !application.is_genuine(ledger.community(), ledger.crypto()) {
            return self.close_entry(now, id, Fault::BadSignature.into(), true);
        }
        if let Some(candidate) = self.links.touch(id).and_then(|entry| entry.candidate.as_mut()) {
            // Each Apply is answered, also when nothing changed.
            candidate.told = None;
        }
        let wall = council.wall.at(now);
        if let Some(question) = ledger.question_of(&application) {
            council.door.asked.insert(peer, question);
            if let Some(token) = token.filter(|token| council.door.invitations.is_kept_for(*token, &peer)) {
                self.spend_token(token);
            }
            return self.answer_applicants(now);
        }
        council.door.asked.remove(&peer);
        let waits = |it: &Waiting| it.token.is_some() && it.token == token && it.application == application;
        if council.door.waiting.get(&peer).is_some_and(waits) {
            // The invitation was good when it came, and is kept for it.
            let _ = self.ask_for(now, peer, Bytes::new());
            return self.answer_applicants(now);
        }
        if token.is_some_and(|token| council.door.is_kept_for_another(&peer, &token)) {
            return self.tell_applicant(now, id, Receipt::NotInvited);
        }
        let invitations = &council.door.invitations;
        let is_good = |token| invitations.is_kept_for(token, &peer) || invitations.check_named(wall, token).is_ok();
        if token.is_some_and(|token| !is_good(token)) {
            return self.tell_applicant(now, id, Receipt::NotInvited);
        }
        if token.is_none() && council.door.declined.contains(&peer) {
            return self.tell_applicant(now, id, Receipt::Declined);
        }
        let is_invited = token.is_some();
        if !is_invited && council.door.strangers() >= MAX_WAITING && !council.door.waiting.contains_key(&peer) {
            return self.tell_applicant(now, id, Receipt::Later);
        }
        let receipt = if is_invited { Receipt::Later } else { Receipt::Waiting };
        let words = application.text.clone();
        let is_new = council.door.waiting.insert(peer, Waiting { application, token, receipt }).is_none();
        if is_invited {
            // Without a slot it waits for the next height.
            let _ = self.ask_for(now, peer, Bytes::new());
        } else if is_new {
            self.outbox.notify(Event::Applied { applicant: peer, words });
        }
        self.answer_applicants(now);
    }

    /// At a new height: whoever was invited and had no slot is asked for now.
    pub(super) fn ask_for_waiting(&mut self, now: Instant) {
        let Some(council) = &mut self.council else { return };
        let Some(ledger) = &council.ledger else { return };
        let is_open = |question: &StatementId| ledger.questions().iter().any(|open| open.id == *question);
        council.door.asked.retain(|_, question| is_open(question));
        let invited: Vec<BotId> =
            council.door.waiting.iter().filter(|(_, it)| it.token.is_some()).map(|(key, _)| *key).collect();
        for key in invited {
            if self.ask_for(now, key, Bytes::new()).is_err() {
                break;
            }
        }
    }

    /// Tells every linked applicant how its affair stands, where that changed.
    pub(super) fn answer_applicants(&mut self, now: Instant) {
        let Some(council) = &self.council else { return };
        let Some(ledger) = &council.ledger else { return };
        if council.door.asked.is_empty() && council.door.waiting.is_empty() && council.door.declined.is_empty() {
            return;
        }
        let news: Vec<(LinkId, Receipt)> = self
            .links
            .iter()
            .filter(|(_, entry)| entry.is_open() && entry.dialled.is_none())
            .filter_map(|(id, entry)| {
                let receipt = council.door.receipt(ledger, &entry.peer()?)?;
                let told = entry.candidate.as_ref()?.told;
                (told != Some(receipt)).then_some((id, receipt))
            })
            .collect();
        for (id, receipt) in news {
            self.tell_applicant(now, id, receipt);
        }
    }

    fn tell_applicant(&mut self, now: Instant, id: LinkId, receipt: Receipt) {
        let Some(entry) = self.links.touch(id) else { return };
        let mut bytes = BytesMut::new();
        JoinMessage::Receipt(receipt).encode(&mut bytes);
        if let Some(candidate) = &mut entry.candidate {
            candidate.told = Some(receipt);
            candidate.given += bytes.len();
        }
        entry.enqueue(now, bytes.freeze(), &self.limits);
    }

    /// Whether this bot is a member of a community that votes.
    pub(super) fn serves_applicants(&self) -> bool {
        let own = self.id();
        let ledger = self.council.as_ref().and_then(|council| council.ledger.as_ref());
        ledger.is_some_and(|ledger| {
            let votes = ledger.rules().decided_by == DecidedBy::Rounds;
            votes && ledger.fork().is_none() && ledger.roster().get(&own).is_some()
        })
    }

    /// Whether an applicant was invited, or the members are asked whether it may come in.
    fn is_spoken_for(&self, applicant: Option<BotId>) -> bool {
        let Some((key, council)) = applicant.zip(self.council.as_ref()) else { return false };
        let door = &council.door;
        door.asked.contains_key(&key) || door.waiting.get(&key).is_some_and(|it| it.token.is_some())
    }

    /// Whether an applicant's handshake shows an invitation that is open, or is kept for it.
    fn is_invited(&self, now: Instant, applicant: BotId, credentials: &[u8]) -> bool {
        let Some(council) = &self.council else { return false };
        let (wall, invitations) = (council.wall.at(now), &council.door.invitations);
        let is_good =
            |token| invitations.is_kept_for(token, &applicant) || invitations.check_named(wall, token).is_ok();
        let shown = credentials.try_into().map(TokenName);
        self.is_spoken_for(Some(applicant)) || shown.is_ok_and(is_good)
    }

    /// Whether an applicant may be linked now; one that is of no use makes room.
    pub(super) fn has_room_for_applicant(
        &mut self,
        now: Instant,
        newcomer: LinkId,
        peer: BotId,
        credentials: &[u8],
    ) -> bool {
        let open = |entry: &Entry| entry.candidate.is_some() && entry.dialled.is_none() && entry.is_open();
        let same: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(id, entry)| *id != newcomer && open(entry) && entry.peer() == Some(peer))
            .map(|(id, _)| id)
            .collect();
        for id in same {
            self.close_link(now, id, Code::Replaced);
        }
        let is_invited = self.is_invited(now, peer, credentials);
        if let Some(candidate) = self.links.get_mut(newcomer).and_then(|entry| entry.candidate.as_mut()) {
            candidate.is_invited = is_invited;
        }
        if self.links.iter().filter(|(_, entry)| open(entry)).count() < self.limits.candidates {
            return true;
        }
        let idle = |entry: &Entry| {
            let is_old = entry.opened_at.is_some_and(|opened| now.since(opened) >= GRACE);
            let is_strange = entry.candidate.as_ref().is_some_and(|candidate| !candidate.is_invited);
            // Who shows an invitation comes before who has none, at once.
            let yields = is_old || is_invited && is_strange;
            open(entry) && yields && !self.is_spoken_for(entry.peer())
        };
        let idlest = self.links.iter().find(|(_, entry)| idle(entry)).map(|(id, _)| id);
        if let Some(id) = idlest {
            self.close_link(now, id, Code::LowerPriority);
        }
        idlest.is_some()
    }
}
