//! Models of the link and of the seen-window, checked exhaustively by stateright over the real transition functions.
//!
//! The network of the link's model is its adversary: whatever was sent once may be delivered to anybody, any number of times,
//! in any order, or never; copies with one bit altered and garbage are there from the start, and so are the frames of an older
//! session. So a state is what each link has taken so far, and everything else follows from it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant as Clock};

use interbot::lab::ToyCrypto;
use interbot::link::{Binding, CloseReason, Code, Expect, Facts, Fault, Kind, Link, Setup, Step, Strings, Times};
use interbot::overlay::{PostId, SeenStreams, StreamId};
use interbot::window::SeenWindow;
use interbot::{BotId, CommunityId, Identity, Instant};
use stateright::{Checker, Model, Property};

const T0: Instant = Instant::ZERO;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Who {
    /// Ann's end of her dial to Bob.
    Ann,
    /// Two streams that Bob accepted.
    Bob,
    BobToo,
    /// Mallory dials Bob with a key of his own, and answers in Bob's place.
    MalloryDials,
    MalloryAnswers,
}

const ALL: [Who; 5] = [Who::Ann, Who::Bob, Who::BobToo, Who::MalloryDials, Who::MalloryAnswers];

fn identity(name: u8) -> Identity {
    Identity::from_seed([name; 32])
}

fn id(name: u8) -> BotId {
    identity(name).id()
}

const ANN: u8 = 1;
const BOB: u8 = 2;
const MALLORY: u8 = 3;

/// Frames by number; the same bytes have one.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<Vec<u8>>,
    numbers: BTreeMap<Vec<u8>, usize>,
}

impl Frames {
    fn number(&mut self, frame: &[u8]) -> usize {
        let next = self.bytes.len();
        *self.numbers.entry(frame.to_vec()).or_insert_with(|| {
            self.bytes.push(frame.to_vec());
            next
        })
    }
}

/// What a link has become by what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Became {
    open: Option<(BotId, [u8; 32])>,
    closed: Option<CloseReason>,
    /// Numbers of the frames that it sent.
    sent: Vec<usize>,
    heard: Vec<Vec<u8>>,
}

/// A link by the frames that it took; the last of a closed one is left out, because only the reason counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
struct Taken {
    frames: Vec<usize>,
    closed: Option<CloseReason>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World(Vec<Taken>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Deliver {
    frame: usize,
    to: Who,
}

/// A safeguard that is taken away, to see that its loss is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weakness {
    None,
    /// Ann takes whoever answers.
    AnybodyAnswers,
    /// Bob admits whoever proves a key.
    AnybodyIsAdmitted,
    /// Ann and Bob draw the same bytes for every link.
    NoFreshness,
}

struct LinkModel {
    weakness: Weakness,
    real_crypto: bool,
    /// Links that may have been closed; a closed one does nothing more, so each only multiplies the states.
    most_closed: usize,
    /// Frames that are there from the start.
    old: Vec<usize>,
    frames: Mutex<Frames>,
    known: Mutex<BTreeMap<(Who, Vec<usize>), Became>>,
}

impl LinkModel {
    fn new(weakness: Weakness, real_crypto: bool, most_closed: usize) -> Self {
        let mut model = Self {
            weakness,
            real_crypto,
            most_closed,
            old: Vec::new(),
            frames: Mutex::default(),
            known: Mutex::default(),
        };
        // An older session between the two, recorded by whoever is on the path.
        let (mut ann, mut bob) = (model.start(Who::Ann, 90), model.start(Who::Bob, 91));
        let mut old = vec![b"\0\0\0\x05\x10junk".to_vec()];
        for _ in 0..2 {
            let bytes = ann.take_output();
            old.extend(split(&bytes));
            drive(&mut bob, &bytes, true);
            let bytes = bob.take_output();
            old.extend(split(&bytes));
            drive(&mut ann, &bytes, true);
        }
        assert!(ann.is_open() && ann.send(T0, b"old news"));
        old.extend(split(&ann.take_output()));
        let altered = model.became(Who::Ann, &[]).sent[0];
        let mut frames = model.frames.lock().expect("alone");
        let mut bent = frames.bytes[altered].clone();
        bent[40] ^= 1;
        old.push(bent);
        model.old = old.iter().map(|frame| frames.number(frame)).collect();
        drop(frames);
        model
    }

    fn start(&self, who: Who, seed: u8) -> Link {
        let name = match who {
            Who::Ann => ANN,
            Who::Bob | Who::BobToo => BOB,
            Who::MalloryDials | Who::MalloryAnswers => MALLORY,
        };
        let crypto: Arc<dyn interbot::crypto::Crypto> =
            if self.real_crypto { Arc::new(interbot::crypto::Pure) } else { Arc::new(ToyCrypto) };
        let community = CommunityId::from_name("model");
        let setup = Setup::new(crypto, &identity(name), community, true, Facts::default()).expect("no credentials");
        let (setup, binding, times) = (Arc::new(setup), Binding::None, Times::default());
        let seed = [seed; 32];
        if matches!(who, Who::Bob | Who::BobToo | Who::MalloryAnswers) {
            return Link::accept(setup, T0, seed, binding, times);
        }
        let expect = match (who, self.weakness) {
            (Who::Ann, Weakness::AnybodyAnswers) => Expect::AnyOf(Arc::new([id(BOB), id(MALLORY)].into())),
            _ => Expect::Key(id(BOB)),
        };
        Link::dial(setup, T0, seed, binding, Kind::Member, expect, &mut Strings::default(), times)
    }

    /// What a link is after these frames, from the real machine; the same frames always make the same link.
    fn became(&self, who: Who, taken: &[usize]) -> Became {
        if let Some(known) = self.known.lock().expect("one at a time").get(&(who, taken.to_vec())) {
            return known.clone();
        }
        let seed = match (self.weakness, who) {
            (Weakness::NoFreshness, Who::Ann) => 90,
            (Weakness::NoFreshness, Who::Bob | Who::BobToo) => 91,
            _ => 10 + who as u8,
        };
        let mut link = self.start(who, seed);
        let (mut sent, mut heard, mut closed, mut greeted) = (Vec::new(), Vec::new(), None, false);
        sent.extend(split(&link.take_output()));
        // Mallory is a member for nobody but himself, unless Bob is too kind.
        let admits =
            |peer: BotId| self.weakness == Weakness::AnybodyIsAdmitted || who == Who::MalloryAnswers || peer == id(ANN);
        for frame in taken {
            let bytes = self.frames.lock().expect("one at a time").bytes[*frame].clone();
            let mut input = &bytes[..];
            loop {
                match link.step(T0, &mut input) {
                    Step::NeedMore => break,
                    Step::Hello => {
                        if let Err(fault) = link.answer() {
                            closed = Some(fault.into());
                            break;
                        }
                    }
                    Step::Proved if link.peer().is_some_and(|peer| admits(peer.peer())) => link.admit(T0),
                    Step::Proved => {
                        link.refuse(T0, Code::UnknownMember, Duration::ZERO);
                        closed = Some(CloseReason::Here(Code::UnknownMember));
                        break;
                    }
                    Step::Open => {}
                    Step::Message(message) => heard.push(message.to_vec()),
                    Step::Closed(reason) => closed = Some(reason),
                }
            }
            if link.is_open() && !greeted {
                greeted = true;
                assert!(link.send(T0, format!("{who:?} says one").as_bytes()));
                assert!(link.send(T0, format!("{who:?} says two").as_bytes()));
            }
            sent.extend(split(&link.take_output()));
        }
        let open = link.peer().filter(|_| link.is_open()).map(|peer| (peer.peer(), *peer.transcript()));
        let mut frames = self.frames.lock().expect("one at a time");
        let sent = sent.iter().map(|frame| frames.number(frame)).collect();
        drop(frames);
        let became = Became { open, closed, sent, heard };
        self.known.lock().expect("one at a time").insert((who, taken.to_vec()), became.clone());
        became
    }

    fn link(&self, world: &World, who: Who) -> Became {
        self.became(who, &world.0[who as usize].frames)
    }

    /// All frames that somebody sent by now.
    fn on_the_wire(&self, world: &World) -> Vec<usize> {
        let mut frames = self.old.clone();
        frames.extend(ALL.iter().flat_map(|who| self.link(world, *who).sent));
        frames.sort_unstable();
        frames.dedup();
        frames
    }

    fn check(self) -> impl Checker<Self> {
        let start = Clock::now();
        let name =
            format!("link, {:?}, {}", self.weakness, if self.real_crypto { "real crypto" } else { "toy crypto" });
        let checker = self.checker().spawn_bfs().join();
        println!(
            "{name}: {} states, {} generated, depth {}, {:.1} s",
            checker.unique_state_count(),
            checker.state_count(),
            checker.max_depth(),
            start.elapsed().as_secs_f64()
        );
        checker
    }
}

fn drive(link: &mut Link, bytes: &[u8], admit: bool) {
    let mut input = bytes;
    loop {
        match link.step(T0, &mut input) {
            Step::NeedMore => return,
            Step::Hello => link.answer().expect("a good point"),
            Step::Proved if admit => link.admit(T0),
            _ => {}
        }
    }
}

/// Frames one by one.
fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some(length) = bytes.first_chunk::<4>() {
        let (frame, rest) = bytes.split_at(4 + u32::from_be_bytes(*length) as usize);
        frames.push(frame.to_vec());
        bytes = rest;
    }
    frames
}

impl Model for LinkModel {
    type State = World;
    type Action = Deliver;

    fn init_states(&self) -> Vec<World> {
        vec![World(vec![Taken::default(); ALL.len()])]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Deliver>) {
        let frames = self.on_the_wire(world);
        for to in ALL.into_iter().filter(|to| world.0[*to as usize].closed.is_none()) {
            actions.extend(frames.iter().map(|frame| Deliver { frame: *frame, to }));
        }
    }

    fn next_state(&self, world: &World, Deliver { frame, to }: Deliver) -> Option<World> {
        let mut next = world.clone();
        let taken = &mut next.0[to as usize];
        taken.frames.push(frame);
        let became = self.became(to, &taken.frames);
        if let Some(reason) = became.closed {
            // A refused client was told so: that frame is on the wire, so what was taken stays.
            if !matches!(reason, CloseReason::Here(_)) {
                taken.frames.pop();
            }
            taken.closed = Some(reason);
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn bobs(model: &LinkModel, world: &World) -> [Became; 2] {
            [Who::Bob, Who::BobToo].map(|who| model.link(world, who))
        }
        vec![
            Property::always("Ann is open with Bob and nobody else", |model: &LinkModel, world| {
                model.link(world, Who::Ann).open.is_none_or(|(peer, _)| peer == id(BOB))
            }),
            Property::always(
                "Ann is open only with a Bob who has the same keys",
                |model: &LinkModel, world: &World| {
                    let Some((_, keys)) = model.link(world, Who::Ann).open else { return true };
                    model.weakness == Weakness::AnybodyAnswers
                        || bobs(model, world).iter().any(|bob| bob.open == Some((id(ANN), keys)))
                },
            ),
            Property::always("Bob is open with members only", |model: &LinkModel, world: &World| {
                bobs(model, world).iter().all(|bob| bob.open.is_none_or(|(peer, _)| peer == id(ANN)))
            }),
            Property::always(
                "Bob is open with Ann only if she sent what he took",
                |model: &LinkModel, world: &World| {
                    let sent = model.link(world, Who::Ann).sent;
                    [Who::Bob, Who::BobToo].into_iter().all(|who| {
                        let is_with_ann = model.link(world, who).open.is_some_and(|(peer, _)| peer == id(ANN));
                        let first = &world.0[who as usize].frames;
                        !is_with_ann || first.iter().take(3).all(|frame| sent.contains(frame))
                    })
                },
            ),
            Property::always(
                "at most one of Bob's links shares Ann's keys, and no two links of his share any",
                |model: &LinkModel, world: &World| {
                    let [one, two] = bobs(model, world);
                    one.open.is_none()
                        || two.open.is_none()
                        || one.open.map(|open| open.1) != two.open.map(|open| open.1)
                },
            ),
            Property::always(
                "what Ann hears is what Bob said, in order and once",
                |model: &LinkModel, world: &World| {
                    let heard = model.link(world, Who::Ann).heard;
                    let says =
                        |who: &str| [format!("{who} says one").into_bytes(), format!("{who} says two").into_bytes()];
                    [says("Bob"), says("BobToo")].iter().any(|said| said.starts_with(&heard))
                        || model.weakness == Weakness::AnybodyAnswers
                },
            ),
            Property::always(
                "what Bob hears is what Ann said, in order and once",
                |model: &LinkModel, world: &World| {
                    let said = [b"Ann says one".to_vec(), b"Ann says two".to_vec()];
                    let from_ann = |bob: &Became| bob.open.is_some_and(|(peer, _)| peer == id(ANN));
                    bobs(model, world).iter().filter(|bob| from_ann(bob)).all(|bob| said.starts_with(&bob.heard))
                },
            ),
            Property::sometimes(
                "Ann and Bob are linked and have heard everything",
                |model: &LinkModel, world: &World| {
                    let heard = |link: &Became| link.heard.len() == 2;
                    heard(&model.link(world, Who::Ann)) && bobs(model, world).iter().any(heard)
                },
            ),
            Property::sometimes("an impostor is found out", |_: &LinkModel, world: &World| {
                world.0[Who::Ann as usize].closed == Some(Fault::WrongPeer.into())
            }),
            Property::sometimes("a stranger is refused", |_: &LinkModel, world: &World| {
                world.0[Who::Bob as usize].closed == Some(CloseReason::Here(Code::UnknownMember))
            }),
            Property::sometimes("an old box does not open", |_: &LinkModel, world: &World| {
                world.0[Who::Bob as usize].closed == Some(Fault::BadBox.into())
            }),
            Property::sometimes("an altered CONNECT is met with silence", |_: &LinkModel, world: &World| {
                world.0[Who::Bob as usize].closed == Some(Fault::BadTag.into())
            }),
            Property::sometimes("a replayed record closes an open link", |model: &LinkModel, world: &World| {
                let bob = &world.0[Who::Bob as usize];
                bob.closed == Some(Fault::BadBox.into()) && !model.link(world, Who::Bob).heard.is_empty()
            }),
        ]
    }

    fn within_boundary(&self, world: &World) -> bool {
        let done = |who: Who| world.0[who as usize].closed.is_some();
        ALL.into_iter().filter(|who| done(*who)).count() <= self.most_closed
    }
}

#[test]
fn no_schedule_opens_a_link_with_somebody_else_or_with_two_keys() {
    let checker = LinkModel::new(Weakness::None, false, 3).check();
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000);
}

#[test]
fn the_real_ciphers_and_signatures_hold_as_well() {
    LinkModel::new(Weakness::None, true, 1).check().assert_properties();
}

#[test]
fn weakened_links_are_found_out() {
    for (weakness, falls) in [
        (Weakness::AnybodyAnswers, "Ann is open with Bob and nobody else"),
        (Weakness::AnybodyIsAdmitted, "Bob is open with members only"),
        (Weakness::NoFreshness, "Bob is open with Ann only if she sent what he took"),
    ] {
        let checker = LinkModel::new(weakness, false, 1).check();
        assert!(checker.discovery(falls).is_some(), "{weakness:?} must be found");
    }
}

/// Posts of two streams of one author come over several paths: any of them at any time, also again.
struct WindowModel;

/// Numbers around the window's ends.
const SEQS: [u64; 8] = [0, 1, 63, 64, 65, 127, 128, u64::MAX];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Seen {
    window: SeenWindow,
    /// What a set without a bound would remember.
    taken: Vec<u64>,
    is_wrong: bool,
}

impl Model for WindowModel {
    type State = Seen;
    type Action = u64;

    fn init_states(&self) -> Vec<Seen> {
        vec![Seen { window: SeenWindow::default(), taken: Vec::new(), is_wrong: false }]
    }

    fn actions(&self, _: &Seen, actions: &mut Vec<u64>) {
        actions.extend(SEQS);
    }

    fn next_state(&self, seen: &Seen, seq: u64) -> Option<Seen> {
        let mut next = seen.clone();
        let highest = seen.taken.iter().copied().max().unwrap_or(0);
        let is_new = seq > 0 && !seen.taken.contains(&seq) && (seq > highest || highest - seq < SeenWindow::WIDTH);
        let foretold = !next.window.is_seen(seq);
        let taken = next.window.take(seq);
        next.is_wrong |= taken != is_new || foretold != taken;
        if taken {
            next.taken.push(seq);
            next.taken.sort_unstable();
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("each number is taken once, and every new one within the width", |_, seen: &Seen| {
                !seen.is_wrong
            }),
            Property::sometimes("numbers are taken out of order", |_, seen: &Seen| {
                seen.taken.len() > 2 && seen.window.parts().0 == 128
            }),
            Property::sometimes("a number is too old to tell", |_, seen: &Seen| {
                seen.window.parts().0 == u64::MAX && seen.window.is_seen(1) && !seen.taken.contains(&1)
            }),
        ]
    }
}

#[test]
fn the_window_takes_each_number_once_in_every_order() {
    let start = Clock::now();
    let checker = WindowModel.checker().spawn_bfs().join();
    println!(
        "window: {} states, {} generated, {:.1} s",
        checker.unique_state_count(),
        checker.state_count(),
        start.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

#[test]
fn the_windows_of_an_author_take_each_post_once_as_long_as_they_are_remembered() {
    struct Streams;
    type State = (Vec<(u64, u64)>, bool);
    fn replayed(history: &[(u64, u64)]) -> SeenStreams {
        let mut streams = SeenStreams::default();
        for (stream, seq) in history {
            let _ = streams.take(&post(*stream, *seq));
        }
        streams
    }
    fn post(stream: u64, seq: u64) -> PostId {
        PostId { origin: id(ANN), stream: StreamId::from_u64(stream), seq }
    }
    impl Model for Streams {
        type State = State;
        type Action = (u64, u64);

        fn init_states(&self) -> Vec<State> {
            vec![(Vec::new(), false)]
        }

        fn actions(&self, state: &State, actions: &mut Vec<(u64, u64)>) {
            if state.0.len() < 5 {
                actions.extend((0..5).flat_map(|stream| [1, 65].map(|seq| (stream, seq))));
            }
        }

        fn next_state(&self, (history, is_wrong): &State, action: (u64, u64)) -> Option<State> {
            let mut streams = replayed(history);
            // A fifth stream makes the author's oldest one forgotten.
            let distinct: std::collections::BTreeSet<u64> = history.iter().map(|(stream, _)| *stream).collect();
            let again = history.contains(&action) && distinct.len() <= SeenStreams::PER_ORIGIN;
            let taken = streams.take(&post(action.0, action.1));
            let mut next = history.clone();
            next.push(action);
            let bounded = streams.iter().count() <= SeenStreams::PER_ORIGIN;
            Some((next, *is_wrong || (again && taken) || !bounded))
        }

        fn properties(&self) -> Vec<Property<Self>> {
            vec![Property::always("no post is taken twice, and memory is bounded", |_, state: &State| !state.1)]
        }
    }
    let start = Clock::now();
    let checker = Streams.checker().spawn_bfs().join();
    let (states, generated) = (checker.unique_state_count(), checker.state_count());
    println!("streams: {states} states, {generated} generated, {:.1} s", start.elapsed().as_secs_f64());
    checker.assert_properties();
}
