//! Strangers, applicants, liars and bad luck against whole nodes with a ledger.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use interbot::UnixMillis;
use interbot::crypto::Pure;
use interbot::ledger::{
    Answer, Application, Ask, HeaderId, Height, Invitation, JoinMessage, Journal, LedgerMessage, Place, Receipt,
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
fn i3_inv32_a_stranger_may_do_nothing_but_apply_and_follow() {
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
fn each_application_is_answered_and_tokens_of_nobody_ask_nobody() {
    let mut town = Town::found(4);
    let mut stranger = Played::knock(&mut town, 100, 0, Kind::Candidate);
    let application = application(&town, 100, 0);
    let foreign = town.invite(1);
    stranger.apply(&mut town, &application, Some(&Token::from_bytes([1; 16])));
    stranger.apply(&mut town, &application, Some(foreign.token()));
    stranger.apply(&mut town, &application, None);
    stranger.apply(&mut town, &application, None);
    town.do_at(0, |node, now| node.dismiss(now, id(100)));
    stranger.talk(&mut town);
    stranger.apply(&mut town, &application, None);
    let (foreign, waits, declined) = (Receipt::NotInvited, Receipt::Waiting, Receipt::Declined);
    assert_eq!(stranger.receipts(), [foreign, foreign, waits, waits, declined, declined]);
    let shown = |event: &&Event| matches!(event, Event::Applied { .. });
    assert_eq!(town.bots[0].events.iter().filter(shown).count(), 1);
    assert!(town.questions(0).is_empty());
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

/// What a host starts a bot with, each time.
type Start = Box<dyn Fn(UnixMillis) -> Config>;

/// Starts again whoever lost its power, as its host does, and lets it dial.
fn revive(town: &mut Town, starts: &[Start]) {
    for (at, start) in starts.iter().enumerate() {
        if town.bots[at].node.is_some() {
            continue;
        }
        let wall = town.wall();
        town.try_restart(at, start(wall)).unwrap_or_else(|error| panic!("bot {at} does not start: {error}"));
        let now = town.instant();
        if at != 0 && town.bots[at].node.is_some() {
            let _ = town.node(at).dial(now, id(0), address(0));
            town.pump();
        }
        // Its owner looks at what is open.
        let questions = town.bots[at].node.as_ref().and_then(|node| node.ledger()).map(|ledger| ledger.questions());
        for question in questions.into_iter().flatten() {
            let habit = town.bots[at].habit;
            if let (Some(node), Some(answer)) = (&mut town.bots[at].node, habit) {
                let _ = node.vote(now, question.id, Some(answer));
            }
            town.pump();
        }
    }
}

fn no_liar_was_seen(town: &Town) {
    use interbot::ledger::LedgerEvent;
    for (at, bot) in town.bots.iter().enumerate() {
        let is_bad = |event: &&Event| match event {
            Event::Ledger(event) => matches!(**event, LedgerEvent::Equivocator { .. } | LedgerEvent::Forked(_)),
            _ => false,
        };
        assert_eq!(bot.events.iter().find(is_bad), None, "bot {at}");
    }
}

/// A newcomer comes in while one bot loses its power at one of its writes; whether it did.
fn comes_in_all_the_same(founders: usize, dies: usize, after: u64) -> bool {
    let mut town = Town::found(founders);
    town.everybody_says(Answer::Yes);
    let genesis = town.genesis.clone();
    let mut starts: Vec<Start> = Vec::new();
    for _ in 0..founders {
        let genesis = genesis.clone();
        starts.push(Box::new(move |wall| Config::founded(genesis.clone(), Journal::New, wall)));
    }
    let newcomer = founders;
    if dies == newcomer {
        town.first_writes = Some(after);
    } else {
        town.bots[dies].writes_left = Some(after);
    }
    let invitation = loop {
        let invitation = town.invite(0);
        if town.bots[0].node.is_some() {
            break invitation;
        }
        town.run(3);
        revive(&mut town, &starts);
    };
    let line = invitation.clone();
    starts.push(Box::new(move |wall| Config::invited(line.clone(), &b"let me in"[..], wall)));
    town.invited(&invitation);
    let is_in = |town: &mut Town| {
        (0..=newcomer).all(|at| town.bots[at].node.is_some() && town.is_member(at, newcomer))
            && town.node(newcomer).join_state().is_none()
    };
    for _ in 0..2 * ROUND {
        if is_in(&mut town) {
            break;
        }
        town.run(1);
        if town.bots.iter().any(|bot| bot.node.is_none()) {
            town.run(3);
            revive(&mut town, &starts);
        }
    }
    if !is_in(&mut town) {
        let state = (town.states(newcomer), town.node(newcomer).is_uninvited(), town.height(0));
        panic!("bot {dies} of {founders} and one died after {after} writes: {state:?}");
    }
    assert!(!town.node(newcomer).is_uninvited());
    no_liar_was_seen(&town);
    let mut places: Vec<Place> = (0..=newcomer).map(|at| town.node(at).ledger().expect("it has one").place()).collect();
    places.dedup();
    assert_eq!(places.len(), 1, "one story");
    town.bots[dies].writes_left.is_none()
}

/// A death at each of the first writes, and then at each so many-th, or with `TOWN_ALL` set at each, until none is left to die at.
fn dies_at_each_write(founders: usize, dies: usize, first: u64, step: usize) {
    let step = if std::env::var_os("TOWN_ALL").is_some() { 1 } else { step };
    let all = (0..first).chain((first..).step_by(step));
    let deaths = all.take_while(|after| comes_in_all_the_same(founders, dies, *after)).count();
    assert!(deaths >= 3, "{deaths}");
}

#[test]
fn a_lone_founder_that_dies_at_any_write_lets_the_newcomer_in_all_the_same() {
    dies_at_each_write(1, 0, 12, 4);
}

#[test]
fn an_applicant_that_dies_at_any_write_comes_in_all_the_same() {
    dies_at_each_write(1, 1, 12, 4);
}

#[test]
fn a_sponsor_that_dies_at_any_write_brings_its_newcomer_in_all_the_same() {
    dies_at_each_write(4, 0, 4, 10);
}

#[test]
fn a_voter_that_dies_at_any_write_contradicts_nobody() {
    dies_at_each_write(4, 2, 0, 10);
}

#[test]
fn an_applicant_of_four_that_dies_at_any_write_comes_in_all_the_same() {
    dies_at_each_write(4, 4, 0, 10);
}

#[test]
fn a_founder_that_dies_while_it_begins_begins_again() {
    for after in 0..8 {
        let mut town = Town::found(1);
        town.crash(0);
        town.bots[0].disk.clear();
        town.bots[0].writes_left = Some(after);
        for _ in 0..2 {
            let (genesis, wall) = (town.genesis.clone(), town.wall());
            let begun = town.try_restart(0, Config::founded(genesis, Journal::New, wall));
            assert_eq!(begun, Ok(()), "after {after} writes");
            if town.bots[0].node.is_some() {
                break;
            }
        }
        town.bots[0].writes_left = None;
        town.bots[0].habit = Some(Answer::Yes);
        town.amend(0, 2);
        assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    }
}

#[test]
fn no_clock_makes_a_node_spin_and_none_stops_it_for_good() {
    let year = Duration::from_millis(31_622_400_000);
    for window in [Duration::from_secs(1), Duration::from_secs(168), year] {
        let rules = rules().with_vote_window(window);
        let mut town = Town::found_with(rules.clone(), 4);
        town.everybody_says(Answer::Yes);
        town.amend(0, 2);
        for wall in [u64::MAX, 0, DAWN * 2, u64::MAX - 1, 1, DAWN] {
            for at in 0..4 {
                town.do_at(at, |node, now| node.set_wall_clock(now, UnixMillis(wall)));
            }
            let before = town.ticks;
            town.run(5);
            let ticks = town.ticks - before;
            assert!(ticks <= 5 * 1_000 * 4 / 5 + 200, "{window:?}, clock at {wall}: {ticks} in 5 s");
            let now = town.instant();
            for at in 0..4 {
                let interbot::node::Output::Idle { wake_at: Some(wake) } = town.node(at).poll() else { panic!("idle") };
                assert!(wake > now, "{window:?}, clock at {wall}: {wake:?} is over at {now:?}");
            }
        }
        if window > Duration::from_secs(1_000) {
            continue;
        }
        let wall = town.wall();
        for at in 0..4 {
            town.do_at(at, |node, now| node.set_wall_clock(now, wall));
        }
        if town.height(0) == 0 {
            assert!(town.run_until(ROUND, |town| town.height(0) >= 1), "{window:?}");
        }
        no_liar_was_seen(&town);
    }
}

#[test]
fn one_member_whose_clock_is_years_off_stops_nobody() {
    for wall in [DAWN * 2, 1] {
        let mut town = Town::found(4);
        town.everybody_says(Answer::Yes);
        town.do_at(2, |node, now| node.set_wall_clock(now, UnixMillis(wall)));
        let invitation = town.invite(0);
        let newcomer = town.invited(&invitation);
        assert!(town.run_until(ROUND, |town| (0..4).all(|at| town.is_member(at, newcomer))), "clock at {wall}");
        no_liar_was_seen(&town);
    }
}

#[test]
fn who_promises_heights_and_brings_none_keeps_nobody_behind() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    town.crash(3);
    town.amend(1, 2);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    town.run(20);
    town.crash(2);
    town.restart(3);
    let mut liar = Played::knock(&mut town, 2, 3, Kind::Member);
    assert!(liar.is_open);
    let lie = LedgerMessage::Here { place: Place { height: Height(1_000), header: HeaderId([9; 32]) }, whole: [0; 16] };
    liar.say(&mut town, &lie);
    town.dial(3, 0);
    for _ in 0..100 {
        liar.say(&mut town, &lie);
        town.run_millis(100);
    }
    assert_eq!(town.height(3), 1);
    assert_eq!(liar.closed, None);
}

#[test]
fn one_that_lost_its_records_is_not_kept_waiting_by_who_promises_heights() {
    let mut town = Town::found(5);
    town.everybody_says(Answer::Yes);
    town.crash(3);
    town.bots[3].disk.clear();
    let (genesis, wall) = (town.genesis.clone(), town.wall());
    town.restart_with(3, Config::founded(genesis, Journal::Lost, wall));
    town.crash(2);
    let mut liar = Played::knock(&mut town, 2, 3, Kind::Member);
    let lie = LedgerMessage::Here { place: Place { height: Height(1_000), header: HeaderId([9; 32]) }, whole: [0; 16] };
    liar.say(&mut town, &lie);
    town.dial(3, 0);
    for _ in 0..60 {
        liar.say(&mut town, &lie);
        town.run_millis(100);
    }
    town.node(3).close(interbot::Instant::ZERO, liar.at.1, Code::GoingAway);
    let asked = |event: &Event| match event {
        Event::Ledger(event) => matches!(**event, interbot::ledger::LedgerEvent::Unsure { .. }),
        _ => false,
    };
    assert!(town.bots[3].events.iter().any(asked));
    town.restart(2);
    town.dial(2, 0);
    town.run(10);
    let sure = town.do_at(3, |node, now| node.propose(now, Ask::Revoke { subject: id(9) }, &b""[..]));
    assert!(sure.is_ok(), "{sure:?}");
}

/// A newcomer whose invitation leads to somebody that a test plays, who has the sponsor's key.
fn led_astray(town: &mut Town, second: Option<&str>) -> (usize, Played) {
    let end = UnixMillis(DAWN + 1_000_000_000);
    let token = Token::from_bytes([3; 16]);
    let mut line = Invitation::new(town.community(), id(0), "played:1", token, end).expect("a line");
    if let Some(second) = second {
        line = line.with_second_address(second).expect("a line");
    }
    let newcomer = town.invited(&line);
    let sponsor = Played::answer(town, 0, Facts::default());
    assert!(sponsor.is_open);
    (newcomer, sponsor)
}

fn genesis_parts(bytes: &[u8]) -> Vec<LedgerMessage> {
    let parts: Vec<&[u8]> = bytes.chunks(8_000).collect();
    let of = parts.len() as u16;
    let part = |(at, bytes): (usize, &&[u8])| LedgerMessage::Part {
        whole: Whole::Genesis,
        at: at as u16,
        of,
        bytes: Bytes::copy_from_slice(bytes),
    };
    parts.iter().enumerate().map(part).collect()
}

#[test]
fn a_sponsor_with_another_genesis_is_not_believed() {
    let other = Town::found(2).genesis.to_bytes();
    for bytes in [b"no genesis at all".to_vec(), other] {
        let mut town = Town::found(4);
        let (newcomer, mut sponsor) = led_astray(&mut town, None);
        for part in genesis_parts(&bytes) {
            sponsor.say(&mut town, &part);
        }
        assert_eq!(town.states(newcomer).last(), Some(&JoinState::OtherStory));
        town.run(30);
        assert_eq!(town.node(newcomer).links().count(), 0);
    }
}

#[test]
fn a_sponsors_false_word_makes_no_guest_and_no_member() {
    let mut town = Town::found(4);
    let (newcomer, mut sponsor) = led_astray(&mut town, None);
    for part in genesis_parts(&town.genesis.to_bytes()) {
        sponsor.say(&mut town, &part);
    }
    let mut out = BytesMut::new();
    for receipt in [Receipt::Asked(StatementId([1; 32])), Receipt::Guest(StatementId([1; 32]))] {
        JoinMessage::Receipt(receipt).encode(&mut out);
        sponsor.send(&mut town, &out.split());
    }
    town.do_at(newcomer, |node, now| node.trust_story(now));
    town.run(1);
    let names: Vec<&str> = town.states(newcomer).iter().map(JoinState::name).collect();
    assert!(!names.contains(&"guest") && !names.contains(&"member"), "{names:?}");
    let refused = town.do_at(newcomer, |node, now| node.dial(now, id(1), address(1)));
    assert!(refused.is_err(), "it links with nobody");
}

/// What a sponsor does each time it is called.
type Plan<'a> = &'a dyn Fn(&mut Town, &mut Played);

#[test]
fn a_sponsor_that_tells_nothing_is_left_for_its_other_address() {
    let silent = |_: &mut Town, _: &mut Played| {};
    let slow = |town: &mut Town, sponsor: &mut Played| {
        let place = Place { height: Height(1_000), header: HeaderId([1; 32]) };
        sponsor.say(town, &LedgerMessage::Here { place, whole: [0; 16] });
    };
    let endless = |town: &mut Town, sponsor: &mut Played| {
        let part = |at| LedgerMessage::Part { whole: Whole::Genesis, at, of: 65_535, bytes: vec![7; 16_000].into() };
        (0..80).for_each(|at| sponsor.say(town, &part(at)));
    };
    let plans: [Plan<'_>; 3] = [&silent, &slow, &endless];
    for (number, plan) in plans.into_iter().enumerate() {
        let mut town = Town::found(4);
        town.everybody_says(Answer::Yes);
        let honest = town.invite(0);
        let end = UnixMillis(DAWN + 1_000_000_000);
        let line = Invitation::new(town.community(), id(0), "played:1", honest.token().clone(), end);
        let line = line.and_then(|line| line.with_second_address(&address(0))).expect("a line");
        let newcomer = town.invited(&line);
        let mut sponsor = Played::answer(&mut town, 0, Facts::default());
        let is_guest = |town: &Town| matches!(town.states(newcomer).last(), Some(JoinState::Guest { .. }));
        for _ in 0..60 {
            plan(&mut town, &mut sponsor);
            town.run(5);
            if !town.calls.is_empty() {
                sponsor = Played::answer(&mut town, 0, Facts::default());
            }
            if is_guest(&town) {
                break;
            }
        }
        assert!(is_guest(&town), "plan {number}: {:?}", town.states(newcomer));
    }
}

#[test]
fn a_member_proves_its_place_with_its_own_path_or_none_that_can_be_judged() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    // It is silent in this round, and its place in the roster another one.
    town.crash(3);
    town.amend(0, 2);
    assert!(town.run_until(ROUND, |town| town.height(0) == 1));
    let ledger = town.node(0).ledger().expect("a ledger");
    let (here, before) = (ledger.place(), ledger.place_at(Height(0)).expect("the genesis"));
    let path = |who: usize| ledger.roster().path(&id(who)).expect("a member").to_bytes();
    let (own, others) = (path(3), path(1));
    let garbage = vec![5; 100];
    let unknown = Place { height: Height(77), header: HeaderId([7; 32]) };
    let cases = [
        ("its own", here, own.clone(), true),
        ("none", here, Vec::new(), false),
        ("another's", here, others, false),
        ("garbage", here, garbage, false),
        ("of a later height", before, own, false),
        ("of a height that is not known here", unknown, Vec::new(), true),
    ];
    for (name, place, path, is_let_in) in cases {
        let facts = Facts {
            epoch_height: place.height.0 as u32,
            epoch_id: place.header.0,
            credentials: path.into(),
            ..Facts::default()
        };
        let played = Played::knock_saying(&mut town, 3, 0, Kind::Member, facts);
        assert_eq!(played.is_open, is_let_in, "{name}");
        let told = CloseReason::Here(Code::UnknownMember);
        assert_eq!(played.reason(&town), (!is_let_in).then_some(told), "{name}");
        town.do_at(0, |node, now| node.close(now, played.at.1, Code::GoingAway));
    }
}

/// Comes with an invitation, finds itself among the members, and has its owner compare the story.
fn comes_back(town: &mut Town, config: Config, at: Option<usize>) -> usize {
    let at = match at {
        Some(at) => {
            town.restart_with(at, config);
            at
        }
        None => town.start(config),
    };
    town.run(3);
    assert!(matches!(town.states(at).last(), Some(JoinState::Unverified { .. })), "{:?}", town.states(at));
    town.do_at(at, |node, now| node.trust_story(now));
    town.run(5);
    assert_eq!(town.states(at).last(), Some(&JoinState::Member));
    at
}

#[test]
fn a_new_key_takes_an_old_ones_place_and_the_old_one_is_refused() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let new = 4;
    let (nonce, words) = ([1; 16], Bytes::from_static(b"a new machine"));
    let application = Application::new(&town.community(), id(new), id(3), nonce, words, &*identity(new).signer(&Pure));
    town.do_at(3, |node, now| node.propose(now, Ask::Rekey(application), &b"my new key"[..])).expect("a member asks");
    assert!(town.run_until(ROUND, |town| (0..4).all(|at| town.is_member(at, new))));
    town.run(5);
    assert!(!town.is_member(0, 3));
    assert_eq!(town.node(3).links().count(), 0);
    assert!(town.node(0).links().all(|link| link.peer != Some(id(3))));
    let old = Played::knock(&mut town, 3, 0, Kind::Member);
    assert_eq!(old.reason(&town), Some(CloseReason::Here(Code::UnknownMember)));
    let invitation = town.invite(0);
    let wall = town.wall();
    let config = Config::invited(invitation, &b"it is me"[..], wall);
    let at = comes_back(&mut town, config, None);
    assert_eq!(at, new);
    assert_eq!(town.node(0).applicants().count(), 0);
    // It votes: without it there are three of four, and one more says no.
    town.bots[new].habit = Some(Answer::Yes);
    town.run(10);
    town.bots[1].habit = None;
    town.amend(new, 2);
    assert!(town.run_until(ROUND, |town| [0, 1, 2, new].iter().all(|at| town.height(*at) == 2)));
    no_liar_was_seen(&town);
}

#[test]
fn a_member_that_lost_its_records_comes_back_by_an_invitation() {
    let mut town = Town::found(3);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let member = town.invited(&invitation);
    assert!(town.run_until(ROUND, |town| (0..4).all(|at| town.is_member(at, member))));
    town.run(5);
    town.crash(member);
    town.bots[member].disk.clear();
    let invitation = town.invite(1);
    let wall = town.wall();
    comes_back(&mut town, Config::invited(invitation, &b"it is me"[..], wall), Some(member));
    assert_eq!(town.node(1).applicants().count(), 0, "nobody is asked about a member");
    town.run(10);
    let asked = town.do_at(member, |node, now| node.propose(now, Ask::Revoke { subject: id(9) }, &b""[..]));
    assert!(asked.is_ok(), "{asked:?}");
    no_liar_was_seen(&town);
}

#[test]
fn a_member_in_the_middle_that_goes_tells_everybody_before_its_links_close() {
    let mut town = Town::found(5);
    // Nobody else is linked with anybody.
    town.do_at(0, |node, now| node.leave(now)).expect("a member leaves");
    let is_gone = |town: &mut Town| (0..5).all(|at| !town.is_member(at, 0));
    assert!(town.run_until(ROUND, is_gone), "{:?}", [0, 1, 2, 3, 4].map(|at| town.height(at)));
    assert_eq!(town.node(0).links().count(), 0);
}

#[test]
fn thirty_strangers_that_come_again_and_again_keep_no_invited_newcomer_out() {
    let mut town = Town::found(4);
    town.everybody_says(Answer::Yes);
    let invitation = town.invite(0);
    let knock = |town: &mut Town, who| Played::knock(town, who, 0, Kind::Candidate);
    (100..130).for_each(|who| drop(knock(&mut town, who)));
    let newcomer = town.invited(&invitation);
    for at in 0..3_000 {
        knock(&mut town, 100 + at % 30);
        town.run_millis(100);
        if matches!(town.states(newcomer).last(), Some(JoinState::Guest { .. })) {
            return;
        }
    }
    panic!("{:?}", town.states(newcomer));
}

#[test]
fn a_member_that_makes_a_bot_search_again_and_again_is_not_read_for_a_while() {
    let mut town = Town::found(4);
    town.amend(0, 2);
    town.crash(3);
    let mut member = Played::knock(&mut town, 3, 0, Kind::Member);
    assert!(member.is_open);
    let searches =
        [LedgerMessage::Have { buckets: u64::MAX, names: Vec::new() }, LedgerMessage::AskCertificates { after: None }];
    for _ in 0..90 {
        searches.iter().for_each(|search| member.say(&mut town, search));
    }
    assert_eq!(town.bots[0].paused, 0, "nobody honest asks so often");
    for _ in 0..90 {
        searches.iter().for_each(|search| member.say(&mut town, search));
    }
    assert!(town.bots[0].paused > 0);
    assert_eq!(member.closed, None);
}
