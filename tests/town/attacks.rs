//! Strangers, applicants, liars and bad luck against whole nodes with a ledger.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use interbot::UnixMillis;
use interbot::crypto::Pure;
use interbot::ledger::{
    Answer, Application, Ask, HeaderId, Height, Invitation, JoinMessage, Journal, LedgerMessage, Place, Receipt, Rules,
    StatementId, Token, Whole,
};
use interbot::link::{Binding, CloseReason, Code, Expect, Facts, Fault, Kind, Link, Setup, Step, Strings, Times};
use interbot::node::{Config, Event, JoinState, LinkId};

use crate::town::{DAWN, Town, address, id, identity, rules};

const ROUND: u64 = 400;

/// Somebody whom a test plays: a real key and the link's own words, and then whatever the test wants.
struct Played {
    link: Link,
    at: (usize, LinkId),
    heard: Vec<Bytes>,
    is_open: bool,
    closed: Option<CloseReason>,
}

fn setup(town: &Town, who: usize, facts: Facts) -> Arc<Setup> {
    Arc::new(Setup::new(Arc::new(Pure), &identity(who), town.community(), false, facts).expect("few credentials"))
}

impl Played {
    /// Dials a bot.
    fn knock(town: &mut Town, who: usize, at: usize, kind: Kind) -> Self {
        Self::knock_saying(town, who, at, kind, Facts::default())
    }

    fn knock_saying(town: &mut Town, who: usize, at: usize, kind: Kind, facts: Facts) -> Self {
        let mut played = Self::begin(town, who, at, kind, facts);
        played.talk(town);
        played
    }

    /// Dials and says nothing yet.
    fn begin(town: &mut Town, who: usize, at: usize, kind: Kind, facts: Facts) -> Self {
        let now = town.instant();
        let link_id = town.node(at).handle_accepted(now, Binding::None).expect("a slot");
        town.outside.insert((at, link_id), Default::default());
        let mut seed = [who as u8; 32];
        seed[..8].copy_from_slice(&link_id.as_u64().to_be_bytes());
        seed[8..16].copy_from_slice(&town.now.to_be_bytes());
        let (setup, strings) = (setup(town, who, facts), &mut Strings::default());
        let expect = Expect::Key(id(at));
        let link = Link::dial(setup, now, seed, Binding::None, kind, expect, strings, Times::default());
        Self { link, at: (at, link_id), heard: Vec::new(), is_open: false, closed: None }
    }

    /// Takes the stream that a bot just opened to it.
    fn answer(town: &mut Town, who: usize, facts: Facts) -> Self {
        let at = town.calls.pop_front().expect("a bot dialled");
        let now = town.instant();
        let mut seed = [who as u8; 32];
        seed[..8].copy_from_slice(&at.1.as_u64().to_be_bytes());
        seed[8..16].copy_from_slice(&town.now.to_be_bytes());
        let link = Link::accept(setup(town, who, facts), now, seed, Binding::None, Times::default());
        let mut played = Self { link, at, heard: Vec::new(), is_open: false, closed: None };
        played.talk(town);
        played
    }

    /// Passes bytes until both are quiet.
    fn talk(&mut self, town: &mut Town) {
        loop {
            let now = town.instant();
            let bytes = self.link.take_output();
            if !bytes.is_empty()
                && let Some(node) = &mut town.bots[self.at.0].node
            {
                node.handle_bytes(now, self.at.1, &bytes).expect("drained");
            }
            town.pump();
            let Some(outside) = town.outside.get_mut(&self.at) else { return };
            let back = std::mem::take(&mut outside.bytes);
            let is_closed = outside.is_closed;
            let mut input = &back[..];
            loop {
                match self.link.step(now, &mut input) {
                    Step::NeedMore => break,
                    Step::Hello => self.link.answer().expect("a good point"),
                    Step::Proved => {
                        self.link.admit(now);
                        self.is_open = true;
                    }
                    Step::Open => self.is_open = true,
                    Step::Message(message) => self.heard.push(message),
                    Step::Closed(reason) => {
                        self.closed.get_or_insert(reason);
                    }
                }
            }
            if is_closed {
                self.closed.get_or_insert(CloseReason::Ended);
            }
            if self.link.output_len() == 0 {
                return;
            }
        }
    }

    fn send(&mut self, town: &mut Town, message: &[u8]) {
        let now = town.instant();
        let _ = self.link.send(now, message);
        self.talk(town);
    }

    fn say(&mut self, town: &mut Town, message: &LedgerMessage) {
        let mut out = BytesMut::new();
        message.encode(&mut out);
        self.send(town, &out);
    }

    fn apply(&mut self, town: &mut Town, application: &Application, token: Option<&Token>) {
        let mut out = BytesMut::new();
        JoinMessage::Apply { application: application.clone(), token: token.cloned() }.encode(&mut out);
        self.send(town, &out);
    }

    fn receipts(&self) -> Vec<Receipt> {
        let receipts = self.heard.iter().filter_map(|bytes| match JoinMessage::decode(bytes) {
            Ok(JoinMessage::Receipt(receipt)) => Some(receipt),
            _ => None,
        });
        receipts.collect()
    }

    fn ledger_messages(&self) -> Vec<LedgerMessage> {
        self.heard.iter().filter_map(|bytes| LedgerMessage::decode(bytes).ok()).collect()
    }

    /// Why the bot's end closed.
    fn reason(&self, town: &Town) -> Option<CloseReason> {
        let reasons: Vec<CloseReason> = town.bots[self.at.0]
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Closed { link, reason, .. } if *link == self.at.1 => Some(*reason),
                _ => None,
            })
            .collect();
        assert!(reasons.len() <= 1, "a link closes once: {reasons:?}");
        reasons.first().copied()
    }
}

fn application(town: &Town, who: usize, by: usize) -> Application {
    let (nonce, words) = ([who as u8; 16], Bytes::from_static(b"let me in"));
    Application::new(&town.community(), id(who), id(by), nonce, words, &*identity(who).signer(&Pure))
}

#[test]
fn a_member_that_is_linked_may_dial_as_an_applicant_too() {
    let mut town = Town::found(4);
    let member = Played::knock(&mut town, 1, 0, Kind::Candidate);
    assert!(member.is_open && member.closed.is_none(), "{:?}", member.closed);
    town.run(1);
    let open = town.node(0).links().filter(|link| link.peer == Some(id(1)) && link.open_since.is_some()).count();
    assert_eq!(open, 2, "its own link as a member is not disturbed");
}

#[test]
fn i3_a_stranger_may_do_nothing_but_apply_and_follow() {
    let mut town = Town::found(4);
    town.amend(1, 2);
    town.run(5);
    let stranger = 100;
    let refused = Played::knock(&mut town, stranger, 0, Kind::Member);
    assert_eq!(refused.reason(&town), Some(CloseReason::Here(Code::UnknownMember)));
    let place = town.node(0).ledger().expect("a ledger").place();
    let piece = {
        let ledger = town.node(0).ledger().expect("a ledger");
        let question = ledger.questions()[0].id;
        question.0
    };
    let bad: Vec<(LedgerMessage, Fault)> = vec![
        (LedgerMessage::Digests { place, digests: vec![[0; 16]; 64] }, Fault::BadMessage),
        (LedgerMessage::Have { buckets: u64::MAX, names: Vec::new() }, Fault::BadMessage),
        (LedgerMessage::Want { names: vec![interbot::ledger::PieceId(piece)] }, Fault::BadMessage),
        (
            LedgerMessage::Part { whole: Whole::Certificate, at: 0, of: 2, bytes: Bytes::from_static(b"x") },
            Fault::BadMessage,
        ),
        (LedgerMessage::Pieces(vec![Bytes::from_static(b"garbage")]), Fault::BadMessage),
    ];
    for (message, fault) in bad {
        let mut played = Played::knock(&mut town, stranger, 0, Kind::Candidate);
        assert!(played.is_open);
        played.say(&mut town, &message);
        assert_eq!(played.reason(&town), Some(fault.into()), "{message:?}");
    }
    let mut played = Played::knock(&mut town, stranger, 0, Kind::Candidate);
    played.say(&mut town, &LedgerMessage::AskCertificates { after: None });
    played.say(&mut town, &LedgerMessage::Here { place, whole: [0; 16] });
    town.do_at(0, |node, now| node.publish(now, b"members only").expect("published"));
    town.run(5);
    played.talk(&mut town);
    // Where the community stands and how it began, and no question and no post.
    let is_allowed = |message: &LedgerMessage| {
        matches!(message, LedgerMessage::Here { .. } | LedgerMessage::Part { whole: Whole::Genesis, .. })
    };
    assert!(played.ledger_messages().iter().all(is_allowed), "{:?}", played.ledger_messages());
    assert_eq!(played.ledger_messages().len(), played.heard.len());
    assert_eq!(played.closed, None);
    // Its time is over whatever it does.
    for _ in 0..130 {
        played.say(&mut town, &LedgerMessage::AskCertificates { after: None });
        town.run(1);
    }
    assert_eq!(played.reason(&town), Some(CloseReason::Here(Code::Timeout)));
}

#[test]
fn applications_that_are_not_the_applicants_own_close_the_link() {
    let mut town = Town::found(4);
    let mut forged = application(&town, 100, 0);
    forged.text = Bytes::from_static(b"other words");
    let cases = [
        ("for another sponsor", application(&town, 100, 1), Fault::BadMessage),
        ("of somebody else", application(&town, 101, 0), Fault::BadMessage),
        ("with a wrong signature", forged, Fault::BadSignature),
    ];
    for (name, application, fault) in cases {
        let mut played = Played::knock(&mut town, 100, 0, Kind::Candidate);
        played.apply(&mut town, &application, None);
        assert_eq!(played.reason(&town), Some(fault.into()), "{name}");
    }
    assert_eq!(town.node(0).applicants().count(), 0);
}

#[test]
fn a_token_asks_for_one_newcomer_also_while_two_wait_for_a_slot() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let (first, shared) = (town.invite(0), town.invite(0));
    town.invited(&first);
    town.run(3);
    let one = town.invited(&shared);
    let other = town.invited(&shared);
    town.run(3);
    // The slot of this height is taken: the one waits for the next, the other has no good invitation.
    assert_eq!(town.node(0).applicants().map(|it| it.key).collect::<Vec<_>>(), [id(other)]);
    assert!(town.run_until(3 * ROUND, |town| town.is_member(0, one)));
    town.everybody_says(Answer::Yes);
    town.run(2 * ROUND);
    assert!(!town.is_member(0, other), "nobody let it in");
}

#[test]
fn who_waits_for_a_slot_keeps_its_place_when_its_invitation_ends_meanwhile() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let first = town.invite(0);
    town.invited(&first);
    town.run(3);
    let short = town.do_at(0, |node, now| node.invite(now, &address(0), None, Duration::from_secs(60)));
    let second = town.invited(&short.expect("a member invites"));
    town.run(3);
    assert_eq!(town.states(second).last(), Some(&JoinState::WaitsForSponsor));
    assert!(town.run_until(3 * ROUND, |town| town.is_member(0, second)), "{:?}", town.states(second));
}

#[test]
fn strangers_that_wait_keep_no_invited_newcomer_out() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let mut strangers = Vec::new();
    for who in 100..120 {
        let mut played = Played::knock(&mut town, who, 0, Kind::Candidate);
        let application = application(&town, who, 0);
        played.apply(&mut town, &application, None);
        strangers.push(played);
    }
    assert!(town.node(0).applicants().count() <= 8);
    let newcomer = town.invited(&invitation);
    assert!(
        town.run_until(90, |town| matches!(town.states(newcomer).last(), Some(JoinState::Guest { .. }))),
        "{:?}",
        town.states(newcomer)
    );
}

#[test]
fn handshakes_that_do_not_go_on_keep_no_newcomer_out() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    for who in 100..140 {
        // CONNECT, and silence.
        let mut played = Played::begin(&mut town, who, 0, Kind::Candidate, Facts::default());
        let (now, bytes) = (town.instant(), played.link.take_output());
        town.node(0).handle_bytes(now, played.at.1, &bytes).expect("drained");
        town.pump();
    }
    let newcomer = town.invited(&invitation);
    town.run(2);
    assert!(matches!(town.states(newcomer).last(), Some(JoinState::Guest { .. })), "{:?}", town.states(newcomer));
}

#[test]
fn an_applicant_that_reads_nothing_slows_nobody() {
    let mut town = Town::found(4);
    let invitation = town.invite(0);
    let mut played = Played::knock(&mut town, 100, 0, Kind::Candidate);
    let application = application(&town, 100, 0);
    // Its stream takes nothing from now on.
    town.stuck.insert(played.at);
    for _ in 0..300 {
        played.apply(&mut town, &application, Some(invitation.token()));
        played.say(&mut town, &LedgerMessage::AskCertificates { after: None });
    }
    let paused = town.bots[0].paused;
    assert_eq!(paused, 0, "no link is kept from being read");
    assert!(town.do_at(0, |node, now| node.publish(now, b"on we go")).is_ok());
}

#[test]
fn an_applicants_link_takes_64_kb_of_whatever_it_is() {
    let mut town = Town::found(4);
    let mut played = Played::knock(&mut town, 100, 0, Kind::Candidate);
    let mut sent = 0;
    while played.closed.is_none() && sent < 100_000 {
        let now = town.instant();
        played.link.probe(now);
        sent += played.link.output_len();
        played.talk(&mut town);
        town.now += 10_000_000;
    }
    assert!((30_000..70_000).contains(&sent), "{sent}");
    assert_eq!(played.reason(&town), Some(Fault::OverBudget.into()));
}
