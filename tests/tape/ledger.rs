//! Recordings of nodes with a ledger: a whole story, and every bot of it replays to the same.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use interbot::crypto::Pure;
use interbot::lab::replay::{Divergence, Outcome, Replay};
use interbot::ledger::{Answer, Ask, Founding, Genesis, Invitation, Journal, Rules, StatementId};
use interbot::node::{Config, JoinState, LedgerStart, Node, Origin, Record, RestoreError};
use interbot::tape::{Recorder, Recording};
use interbot::{CommunityId, Instant};
use proptest::prelude::*;

use crate::damage::{chained, entries};
use crate::stage::File;
use crate::town::{Town, id, identity, rules};

/// What a bot posts in the story.
const POST: &[u8] = b"what members say to each other";

/// One life of a bot, from its start to its end.
struct Life {
    bot: usize,
    file: File,
    recorder: Recorder,
}

type Lives = Rc<RefCell<Vec<Life>>>;

fn recorded_town(founders: usize, redacted: bool) -> (Town, Lives) {
    let lives = Lives::default();
    let keep = lives.clone();
    let configure = move |bot, config: &mut Config| {
        let file = File::default();
        let recorder = if redacted { Recorder::redacted(file.clone()) } else { Recorder::new(file.clone()) };
        config.recorder = Some(recorder.clone());
        keep.borrow_mut().push(Life { bot, file, recorder });
    };
    (Town::found_configured(rules(), founders, Box::new(configure)), lives)
}

/// A bot and the recording of one of its lives.
type Tapes = Vec<(usize, Vec<u8>)>;

fn tapes(town: Town, lives: &Lives) -> Tapes {
    drop(town);
    let lives = lives.borrow();
    assert!(lives.iter().all(|life| life.recorder.error().is_none()));
    lives.iter().map(|life| (life.bot, life.file.bytes())).collect()
}

struct Story {
    tapes: Tapes,
    /// One that was used, and one that is still good.
    invitations: [Invitation; 2],
    question: StatementId,
}

/// Four founders; 4 is invited; 5 comes with the same line and is spoken for by an owner; 2 loses its power, and 3 its disk.
fn tell(redacted: bool) -> Story {
    let (mut town, lives) = recorded_town(4, redacted);
    town.everybody_says(Answer::Yes);
    let used = town.invite(0);
    let newcomer = town.invited(&used);
    assert!(town.run_until(400, |town| (0..5).all(|at| town.is_member(at, 4))), "{:?}", town.states(newcomer));
    town.do_at(0, |node, now| node.publish(now, POST).expect("not busy"));
    town.run(2);

    let unused = town.invite(1);
    let late = town.invited(&used);
    assert!(town.run_until(60, |town| town.states(late).contains(&JoinState::WaitsForSponsor)));
    let asked = town.do_at(0, |node, now| node.sponsor(now, id(5), &b"I know who that is"[..]));
    let question = asked.expect("there is a slot");
    town.crash(2);
    town.run(20);
    town.restart(2);
    town.dial(2, 0);
    town.crash(late);
    town.run(3);
    town.restart(late);
    assert!(town.run_until(400, |town| (0..6).all(|at| at == 3 || town.is_member(at, 5))), "{:?}", town.states(late));

    town.crash(3);
    town.bots[3].disk.clear();
    let config = Config::founded(town.genesis.clone(), Journal::Lost, town.wall());
    town.restart_with(3, config);
    town.dial(3, 0);
    town.run(30);
    assert!(town.is_member(3, 5));
    // Reading is no input, and leaves nothing in a recording.
    let explained = town.node(0).ledger().expect("a member").explain(&question);
    explained.expect("it was there");
    let amended = Rules { witnesses: 2, ..rules() };
    town.do_at(1, |node, now| node.propose(now, Ask::Amend(amended), &b"two will do"[..])).expect("a slot");
    town.do_at(4, |node, now| node.leave(now)).expect("a member");
    assert!(town.run_until(400, |town| (0..4).all(|at| !town.is_member(at, 4))));
    Story { tapes: tapes(town, &lives), invitations: [used, unused], question }
}

static STORY: LazyLock<Story> = LazyLock::new(|| tell(false));
static REDACTED: LazyLock<Story> = LazyLock::new(|| tell(true));

impl Story {
    /// The recording of a bot's first life.
    fn tape(&self, bot: usize) -> &[u8] {
        &self.tapes.iter().find(|(of, _)| *of == bot).expect("it was recorded").1
    }
}

fn read(bytes: &[u8]) -> Recording {
    Recording::read(bytes).expect("whole")
}

#[test]
fn every_bot_of_a_story_replays_to_the_same() {
    for story in [&*STORY, &*REDACTED] {
        assert_eq!(story.tapes.len(), 9, "six bots, of which three were started twice");
        for (bot, bytes) in &story.tapes {
            match Replay::new(read(bytes)).run() {
                Outcome::Same { inputs, outputs } => assert!(inputs > 100 && outputs > inputs, "bot {bot}"),
                diverged => panic!("bot {bot}: {diverged}"),
            }
        }
    }
}

#[test]
fn a_replayed_ledger_can_be_read_and_explains_what_was_decided() {
    let mut replay = Replay::new(read(STORY.tape(0)));
    let half = Instant::from_nanos(200 * 1_000_000_000);
    let _ = replay.until(half);
    let ledger = |replay: &Replay| replay.node().and_then(Node::ledger).map(|ledger| ledger.place().height.0);
    assert!(ledger(&replay).is_some_and(|height| height > 0));
    assert!(matches!(replay.run(), Outcome::Same { .. }));
    let node = replay.node().expect("it was started");
    let ledger = node.ledger().expect("a member");
    assert!(ledger.roster().get(&id(4)).is_none() && ledger.roster().get(&id(5)).is_some());
    let (_, explanation) = ledger.explain(&STORY.question).expect("it was there");
    assert!(explanation.to_string().contains("sealed by"), "{explanation}");
}

fn holds(file: &[u8], part: &[u8]) -> bool {
    file.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_recording_of_a_story_holds_a_key_or_a_token() {
    for story in [&*STORY, &*REDACTED] {
        for (bot, bytes) in &story.tapes {
            for at in 0..6u8 {
                // Keys, and what the nodes' chance comes from.
                for seed in [at + 1, at ^ 0x5a, at ^ 0x5a ^ 1 << 4] {
                    assert!(!holds(bytes, &[seed; 16]), "bot {bot}: seed {seed}");
                }
            }
            for invitation in &story.invitations {
                let (token, line) = (invitation.token().as_bytes(), invitation.to_string());
                assert!(!holds(bytes, &token[..8]) && !holds(bytes, &token[8..]), "bot {bot}");
                // Of the line, the characters that stand for bytes 72 to 80: the token is 70 to 86.
                assert!(!holds(bytes, &line.as_bytes()[5 + 9 * 11..][..11]), "bot {bot}");
            }
        }
    }
    // The rest of the line is there.
    let line = STORY.invitations[0].to_string();
    assert!(holds(STORY.tape(4), &line.as_bytes()[10..5 + 8 * 11]));
}

#[test]
fn a_redacted_recording_holds_what_was_voted_and_no_post() {
    for (story, is_redacted) in [(&*STORY, false), (&*REDACTED, true)] {
        let [posting, hearing] = [0, 4].map(|bot| story.tape(bot));
        assert_eq!([posting, hearing].map(|bytes| holds(bytes, POST)), [!is_redacted; 2]);
        for words in [&b"let me in"[..], b"I know who that is", b"two will do"] {
            assert!(holds(posting, words) && holds(hearing, words));
        }
    }
}

#[test]
fn a_recording_of_a_ledger_that_is_cut_replays_up_to_there() {
    for (bot, bytes) in [(0, STORY.tape(0)), (4, REDACTED.tape(4))] {
        // Replays are dear: a sample of all places, more where the ledger begins.
        let cuts = (0..40_000).step_by(1_999).chain((0..bytes.len()).step_by(bytes.len() / 12 - 1));
        let mut replayed = 0;
        for cut in cuts.filter(|cut| *cut < bytes.len()) {
            let Ok((recording, Some(_))) = Recording::read_prefix(&bytes[..cut]) else { continue };
            let outcome = Replay::new(recording).run();
            assert!(matches!(outcome, Outcome::Same { .. }), "bot {bot}, cut {cut}: {outcome}");
            replayed += 1;
        }
        assert!(replayed > 20, "{replayed}");
    }
}

/// A bot that founds a community alone, and one that it invites; both from the start until both are members.
pub(crate) fn founder_and_applicant() -> [Vec<u8>; 2] {
    let (mut town, lives) = recorded_town(1, true);
    town.everybody_says(Answer::Yes);
    let line = town.invite(0);
    town.invited(&line);
    assert!(town.run_until(400, |town| (0..2).all(|at| town.is_member(at, 1))));
    let [founder, applicant] = tapes(town, &lives).try_into().expect("two bots");
    [founder.1, applicant.1]
}

fn diverges(bytes: &[u8], change: impl FnOnce(&mut Config)) -> Divergence {
    match Replay::changed(read(bytes), change).run() {
        Outcome::Diverged(divergence) => *divergence,
        same => panic!("no difference: {same}"),
    }
}

fn start(config: &mut Config) -> &mut LedgerStart {
    config.ledger.as_mut().expect("it has a ledger")
}

#[test]
fn with_other_rules_or_another_clock_it_diverges_where_that_is_written_down() {
    let other = diverges(STORY.tape(0), |config| {
        let start = start(config);
        let Origin::Genesis { genesis, .. } = &mut start.origin else { panic!("a founder") };
        let old = genesis.founding().clone();
        let founding = Founding { rules: Rules { witnesses: 1, ..old.rules.clone() }, ..old };
        let sign = |at| (id(at), founding.sign(&*identity(at).signer(&Pure)));
        let signatures: Vec<_> = (0..4).map(sign).collect();
        **genesis = Genesis::new(founding, &signatures, &Pure).expect("all founders signed");
    });
    assert_eq!(other.input, 2, "when two writes are durable: {other}");
    assert!(other.expected.starts_with("persist write 3: ledger/voter, "), "{other}");
    assert!(other.actual.starts_with("persist write 3: ledger/voter, "), "{other}");
    let later = diverges(STORY.tape(0), |config| start(config).wall.0 += 60_000);
    assert!(later.expected.starts_with("persist write 1: ledger/clock, "), "{later}");
}

#[test]
fn where_nobody_may_apply_it_diverges_at_the_applicants_link() {
    let divergence = diverges(STORY.tape(0), |config| config.limits.candidates = 0);
    assert!(divergence.expected.starts_with("event link up 4, bot1"), "{divergence}");
    assert!(divergence.expected.contains(" (an application)"), "{divergence}");
}

#[test]
fn a_founder_that_is_replayed_as_one_without_its_journal_diverges_in_what_it_writes_down() {
    let divergence = diverges(STORY.tape(1), |config| {
        let Origin::Genesis { journal, .. } = &mut start(config).origin else { panic!("a founder") };
        *journal = Journal::Lost;
    });
    assert!(divergence.expected.starts_with("persist write 3: ledger/voter, "), "{divergence}");
    assert!(divergence.actual.starts_with("persist write 3: ledger/voter, "), "{divergence}");
    assert!(divergence.to_string().starts_with("the node diverges from its recording at "), "{divergence}");
}

#[test]
fn a_signature_that_is_altered_shows_in_the_next_record_and_one_that_is_missing_at_once() {
    let bytes = STORY.tape(1);
    let (start, all) = entries(bytes);
    // Kind, an array of two, number 8.
    let at = all.iter().position(|entry| entry[4..7] == [3, 0x82, 8]).expect("it signed something");
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut all = all.clone();
        change(&mut all);
        diverges(&chained(&bytes[..start], &all), |_| {})
    };
    let altered = changed(&|all| *all[at].last_mut().expect("64 bytes") ^= 1);
    assert!(altered.expected.starts_with("persist write "), "{altered}");
    let missing = changed(&|all| drop(all.remove(at)));
    assert_eq!(missing.actual, "a signature", "{missing}");
}

#[test]
fn a_beginning_that_is_none_is_malformed() {
    let bytes = STORY.tape(0);
    let (start, mut all) = entries(bytes);
    let text = b"a town";
    let at = all[0].windows(text.len()).position(|window| window == text).expect("what the genesis says");
    // The text's length.
    all[0][at - 1] ^= 1;
    let error = Recording::read(&chained(&bytes[..start], &all)).expect_err("no genesis");
    assert_eq!(error.to_string(), format!("the entry at byte {start} is not understood: no ledger begins like this"));
}

#[test]
fn a_start_that_was_refused_is_refused_again() {
    let (mut town, lives) = recorded_town(1, false);
    town.run(5);
    let records = |value: Option<&[u8]>| {
        let joining = value.map(|value| ("joining/invitation", [&[1], &id(0).as_bytes()[..], value].concat()));
        let joining = joining.map(|(key, value)| Record { key: key.into(), value: value.into() });
        joining.into_iter().collect::<Vec<_>>()
    };
    let disk: Vec<Record> =
        town.bots[0].disk.iter().map(|(key, value)| Record { key: key.clone(), value: value.clone() }).collect();
    let elsewhere = CommunityId::from_name("elsewhere");
    let damaged = RestoreError::Damaged("joining/invitation".into());
    for (community, records, expected) in [
        (elsewhere, disk, RestoreError::OtherCommunity),
        (elsewhere, records(None), RestoreError::NoLedger),
        (elsewhere, records(Some(b"this may be a line with a token")), damaged),
    ] {
        let (mut config, file) = (Config::remembered(community, town.wall()), File::default());
        config.recorder = Some(Recorder::new(file.clone()));
        let error = Node::restore(config, &identity(0), [9; 32], Instant::ZERO, records).err();
        assert_eq!(error, Some(expected));
        let bytes = file.bytes();
        assert!(!holds(&bytes, b"a line with a token"));
        assert_eq!(Replay::new(read(&bytes)).run(), Outcome::Same { inputs: 0, outputs: 1 });
        assert_eq!(diverges(&bytes, |config| config.ledger = None).input, 0);
    }
    drop((town, lives));
}

#[test]
fn an_applicant_that_is_started_with_another_line_forgets_the_first_one_in_its_replay_too() {
    for is_same in [true, false] {
        let (mut town, lives) = recorded_town(2, false);
        town.away.insert(2);
        // Two lines without a checkpoint differ in their tokens alone.
        let [first, second] = [0, 0].map(|at| {
            let line = town.invite(at);
            let end = line.expires_at();
            Invitation::new(line.community(), line.inviter(), "bot0.example:7000", line.token().clone(), end)
                .expect("it fits")
        });
        assert!(first != second);
        let newcomer = town.invited(&first);
        town.run(2);
        town.crash(newcomer);
        town.away.clear();
        let line = if is_same { first } else { second };
        let config = Config::invited(line, Bytes::from_static(b"it is me"), town.wall());
        town.restart_with(newcomer, config);
        town.run(30);
        let node = town.node(0);
        assert!(node.ledger().is_some_and(|ledger| !ledger.questions().is_empty()));
        for (bot, bytes) in tapes(town, &lives) {
            let outcome = Replay::new(read(&bytes)).run();
            assert!(matches!(outcome, Outcome::Same { .. }), "bot {bot}: {outcome}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_altered_byte_under_a_good_chain_is_malformed_or_replayed_without_a_panic(
        who in 0..2usize,
        is_start in any::<bool>(),
        at in any::<proptest::sample::Index>(),
        byte in any::<proptest::sample::Index>(),
        with in 1u8..,
    ) {
        static TAPES: LazyLock<[Vec<u8>; 2]> = LazyLock::new(founder_and_applicant);
        let bytes = &TAPES[who];
        let (start, mut all) = entries(bytes);
        let near = if is_start { all.len().min(40) } else { all.len() };
        let entry = at.get_mut(&mut all[..near]);
        let byte = 4 + byte.index(entry.len() - 4);
        entry[byte] ^= with;
        if let Ok(recording) = Recording::read(&chained(&bytes[..start], &all)) {
            let _ = Replay::new(recording).run();
        }
    }
}

#[test]
fn an_invitation_lasts_and_is_dismissed_as_it_was_recorded() {
    let (mut town, lives) = recorded_town(1, true);
    let line = town.do_at(0, |node, now| {
        assert!(node.invite(now, "no address", None, Duration::from_secs(60)).is_err());
        node.invite(now, "bot0.example:7000", Some("192.0.2.1:7"), Duration::from_secs(60)).expect("a member invites")
    });
    town.run(120);
    let newcomer = town.invited(&line);
    assert!(town.run_until(60, |town| town.states(newcomer).contains(&JoinState::WaitsForSponsor)));
    town.do_at(0, |node, now| node.dismiss(now, id(1)));
    assert!(town.run_until(60, |town| town.states(newcomer).contains(&JoinState::Declined)));
    for (bot, bytes) in tapes(town, &lives) {
        let outcome = Replay::new(read(&bytes)).run();
        assert!(matches!(outcome, Outcome::Same { .. }), "bot {bot}: {outcome}");
    }
}
