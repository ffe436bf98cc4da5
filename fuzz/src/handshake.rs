//! One end of a handshake under test, several honest ends that could be its peer, and an attacker between them.

use std::time::Duration;

use arbitrary::Arbitrary;
use interbot::Instant;
use interbot::link::{Binding, Code, Expect, Kind, Link, Side, Strings, Times};

use crate::edit::{Edit, apply};
use crate::keys::{ABOVE, BELOW, NODE, STRANGER, Variant, id, members, setup};
use crate::watched::{Verdict, Watched};

/// A whole run.
#[derive(Arbitrary, Debug)]
pub struct Input {
    /// Whether the subject prefers AES, and whether the others do.
    aes: [bool; 2],
    /// Whether the subject's stream is bound to another session than the others'.
    bound: bool,
    /// Whether servers refuse, when, and with which code.
    refuse: Option<(bool, u8)>,
    ops: Vec<Op>,
}

/// What the attacker does.
#[derive(Arbitrary, Debug)]
enum Op {
    /// Passes on what one of the others said, perhaps changed, in pieces.
    Forward { from: u8, edits: Vec<Edit>, piece: u16 },
    /// Passes on what the subject said.
    Back { to: u8, edits: Vec<Edit>, piece: u16 },
    /// Everything goes both ways, unaltered, until nobody says anything.
    Honest { with: u8 },
    /// Something that was said before.
    Again { from: u8, start: u16, len: u16, edits: Vec<Edit> },
    /// What the subject said, sent back to it.
    Mirror { start: u16, len: u16 },
    /// Bytes out of the air.
    Garbage { bytes: Vec<u8> },
    /// A frame out of the air.
    Frame { kind: u8, bytes: Vec<u8> },
    /// Time passes.
    Later { millis: u16 },
    /// The subject's host closes.
    Close { silently: bool },
}

const OTHERS: usize = 5;

struct Run {
    side: Side,
    now: Instant,
    subject: Watched,
    others: [Option<Watched>; OTHERS],
    aes: bool,
    verdict: Verdict,
}

/// Who each of the others is. The first two may open a link with the subject; the third is or expects somebody else, the
/// fourth is of another community, the fifth has the subject's own key.
fn who(side: Side, at: usize) -> usize {
    match side {
        Side::Server => [BELOW, ABOVE, BELOW, BELOW, NODE][at],
        Side::Client => [NODE, NODE, STRANGER, NODE, BELOW][at],
    }
}

/// Runs a list of operations against a link of this side.
pub fn run(side: Side, input: &Input) {
    let verdict = match input.refuse {
        None => Verdict::Admit,
        Some((true, code)) => Verdict::RefuseHello(Code::from_wire(code)),
        Some((false, code)) => Verdict::RefuseProved(Code::from_wire(code)),
    };
    let binding = if input.bound { Binding::TlsExporter([7; 32]) } else { Binding::None };
    let variant = Variant { aes: input.aes[0], ..Variant::default() };
    let now = Instant::from_millis(1_000);
    let subject = match side {
        Side::Server => Link::accept(setup(NODE, variant), now, [100; 32], binding, Times::default()),
        Side::Client => {
            let (expect, mut strings) = (Expect::Key(id(NODE)), Strings::default());
            let setup = setup(BELOW, variant);
            Link::dial(setup, now, [100; 32], binding, Kind::Member, expect, &mut strings, Times::default())
        }
    };
    let subject = Watched::new(subject, side, verdict);
    let mut run = Run { side, now, subject, others: Default::default(), aes: input.aes[1], verdict };
    for op in input.ops.iter().take(24) {
        run.step(op);
        run.check(input.bound);
    }
}

impl Run {
    fn other(&mut self, at: u8) -> &mut Watched {
        let at = usize::from(at) % OTHERS;
        let (side, now, aes, verdict) = (self.side, self.now, self.aes, self.verdict);
        self.others[at].get_or_insert_with(|| {
            let variant = Variant { cheap: false, aes, elsewhere: at == 3 };
            let (setup, seed) = (setup(who(side, at), variant), [at as u8; 32]);
            match side {
                Side::Server => {
                    let (kind, expect) = match at {
                        1 => (Kind::Candidate, Expect::AnyOf(members().clone())),
                        2 => (Kind::Member, Expect::Key(id(STRANGER))),
                        _ => (Kind::Member, Expect::Key(id(NODE))),
                    };
                    let strings = &mut Strings::default();
                    let link = Link::dial(setup, now, seed, Binding::None, kind, expect, strings, Times::default());
                    Watched::new(link, Side::Client, verdict)
                }
                Side::Client => {
                    let link = Link::accept(setup, now, seed, Binding::None, Times::default());
                    Watched::new(link, Side::Server, verdict)
                }
            }
        })
    }

    fn step(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Forward { from, edits, piece } => {
                let mut bytes = self.other(*from).take_fresh();
                apply(edits, &mut bytes);
                for piece in pieces(&bytes, *piece) {
                    self.subject.feed(now, piece);
                }
            }
            Op::Back { to, edits, piece } => {
                let mut bytes = self.subject.take_fresh();
                apply(edits, &mut bytes);
                for piece in pieces(&bytes, *piece) {
                    self.other(*to).feed(now, piece);
                }
            }
            Op::Honest { with } => loop {
                let there = self.other(*with).take_fresh();
                self.subject.feed(now, &there);
                let back = self.subject.take_fresh();
                self.other(*with).feed(now, &back);
                if there.is_empty() && back.is_empty() {
                    break;
                }
            },
            Op::Again { from, start, len, edits } => {
                let said = &self.other(*from).emitted;
                let mut bytes = part(said, *start, *len).to_vec();
                apply(edits, &mut bytes);
                self.subject.feed(now, &bytes);
            }
            Op::Mirror { start, len } => {
                let bytes = part(&self.subject.emitted, *start, *len).to_vec();
                self.subject.feed(now, &bytes);
            }
            Op::Garbage { bytes } => self.subject.feed(now, bytes),
            Op::Frame { kind, bytes } => {
                let mut frame = u32::try_from(bytes.len() + 1).expect("an input is short").to_be_bytes().to_vec();
                frame.push(*kind);
                frame.extend_from_slice(bytes);
                self.subject.feed(now, &frame);
            }
            Op::Later { millis } => {
                self.now = now + Duration::from_millis(u64::from(*millis));
                self.subject.timeout(self.now);
                for other in self.others.iter_mut().flatten() {
                    other.timeout(self.now);
                }
            }
            Op::Close { silently } => self.subject.with(|link| {
                link.close(now, Code::GoingAway, Duration::ZERO);
                if *silently {
                    drop(link.take_output());
                }
            }),
        }
    }

    /// Whoever is open talks to an end that wrote every byte it took, and read every byte it wrote until then.
    fn check(&self, bound: bool) {
        let subject = &self.subject;
        if let (Some(taken), Some(transcript)) = (subject.open_after, subject.transcript) {
            assert!(!bound, "the two hosts disagree about the channel");
            let taken = &subject.taken[..taken];
            let found = self.others.iter().position(|o| o.as_ref().is_some_and(|o| o.emitted.starts_with(taken)));
            let at = found.expect("an open link took the flights of one honest peer, unaltered");
            assert!(at < 2, "neither the wrong key nor another community opens: {at}");
            let other = self.others[at].as_ref().expect("just found");
            if let Some(peer) = subject.link.peer() {
                assert_eq!(peer.peer(), id(who(self.side, at)));
            }
            match self.side {
                Side::Client => assert_eq!(other.transcript, Some(transcript), "the server opened before"),
                Side::Server => assert!(other.transcript.is_none_or(|theirs| theirs == transcript)),
            }
        }
        for (at, other) in self.others.iter().enumerate() {
            let Some(other) = other else { continue };
            let (Some(taken), Some(theirs)) = (other.open_after, other.transcript) else { continue };
            assert!(!bound && at < 2);
            assert!(subject.emitted.starts_with(&other.taken[..taken]));
            match self.side {
                Side::Server => assert_eq!(subject.transcript, Some(theirs)),
                Side::Client => assert!(subject.transcript.is_none_or(|ours| ours == theirs)),
            }
        }
    }
}

fn pieces(bytes: &[u8], piece: u16) -> impl Iterator<Item = &[u8]> {
    // At most some hundred pieces of each flight.
    let len = if piece == 0 { bytes.len() } else { usize::from(piece).max(bytes.len() / 128) };
    bytes.chunks(len.max(1))
}

fn part(bytes: &[u8], start: u16, len: u16) -> &[u8] {
    let start = usize::from(start) % (bytes.len() + 1);
    &bytes[start..(start + usize::from(len)).min(bytes.len())]
}
