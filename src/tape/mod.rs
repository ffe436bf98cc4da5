//! A flight recorder: everything a node is told, and what it answered, in one file that can be replayed.
//!
//! One line of the host turns it on; the node does not notice, whatever happens to the file:
//!
//! ```
//! use interbot::node::{Config, Node};
//! use interbot::tape::Recorder;
//! use interbot::{CommunityId, Identity, Instant};
//!
//! let ann = Identity::from_seed([1; 32]);
//! let mut config = Config::new(CommunityId::from_name("example"), vec![ann.id()]);
//! # let file = Vec::new();
//! config.recorder = Some(Recorder::new(file));
//! let node = Node::new(config, &ann, [3; 32], Instant::ZERO);
//! ```
//!
//! # What is in the file
//! Every call that changes the node, with its time; what it returned; every output that was polled, as a line of text; and what
//! crypto and chance said: public keys, verdicts, opened plaintexts, draws that go out on a link. **Never a key**: no seed, no
//! secret, no shared secret, no channel binding, no community id (its fingerprint), and of records that arrive only the
//! headers. A [redacted](Recorder::redacted) recording has no bodies of posts either, and no signatures of posts, which would
//! prove a guess. Ids, addresses, sizes and times are in both.
//!
//! # What of a ledger
//! The recording of a node with a ledger has **all of the ledger, also when it is redacted**: the records it started from,
//! questions, ballots, applications with their words, and the signatures under them, its own ones too. All members hold them
//! anyway, they are what the node hashes, stores and sends, and without them nothing could be replayed. The signatures are those
//! of the ledger alone, never of links or posts.
//!
//! So **it has the community's id** too: every name in a ledger is a hash over it, and the genesis and the certificates, which
//! are in there, give it away. Whoever has such a recording can tell which bots are the community's and ask to be let in, as
//! with an invitation that was used; no more.
//!
//! **No token of an invitation** is in a recording, spent or not, at neither end. In an invitation's line, in the record of it,
//! and in what an applicant shows, the token is zeros; the hash of the record in a line is that of the record with zeros. The
//! inviter's tokens are named by the hash that its own records have, which lets nobody in. What is compared with a token, the
//! checkpoint of an invitation, is an answer.
//!
//! What the host reads between inputs, as an explanation of a decision, is no part of a recording, and can be read in a replay.
//!
//! # Replays
//! A replay (`lab::replay`, with the feature `sim`) gives a node the same inputs and lets the recording answer in place of
//! crypto and chance, so that it needs no key and finds the first output that differs.
//!
//! # The format, schema 2
//! `interbot tape` and a zero byte, u16 schema, u8 length and text of the crate's version; then entries: u32 length, u8 kind,
//! CBOR in its deterministic encoding, 8 bytes of a chained SHA-256. The length counts kind and CBOR. The chain begins with
//! the hash of what stands before the first entry; each link is the hash of the one before and the entry, and an entry ends
//! with its first 8 bytes. All numbers are big-endian. It finds damage, cuts and reordering; it is no signature.
//!
//! | kind | entry | what it says |
//! | --- | --- | --- |
//! | 1 | header, once, first | what the node was started with, and where its ledger began |
//! | 2 | input | one call, with its time and arguments |
//! | 3 | answer | what crypto or chance said while it was worked off |
//! | 4 | returned | a line, as a byte string, for calls that can be refused; before the first input, why the node did not start |
//! | 5 | output | a line for one polled output; the same `idle` twice in a row is one |
//! | 6 | end, once, last | an array of nothing; it is missing when the host crashed |
//!
//! A new limit, input or answer is a new schema. Schema 1 had no ledgers.

#![cfg_attr(not(feature = "sim"), allow(dead_code, unused_imports, reason = "only the laboratory plays"))]

mod entry;
mod file;
mod item;
mod limits;
mod origin;
mod provider;
mod shade;
mod text;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use entry::{Answer, Entry, Header, Input};
use file::Writer;
pub use file::{MAX_ENTRY, Recording, RecordingError};
pub(crate) use item::{Blob, Id};
pub(crate) use limits::LimitsEntry;
pub(crate) use origin::LedgerEntry;
pub(crate) use provider::{Blank, Taped};
pub(crate) use text::{output_line, result_line, seconds};

use crate::node::Output;

/// The format's version.
pub const SCHEMA: u16 = 2;

/// Why a recorder stopped; the node goes on without it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The writer failed.
    #[error("the recording stopped, because it could not be written: {text}")]
    Write {
        /// The writer's kind of error.
        kind: io::ErrorKind,
        /// The writer's words.
        text: String,
    },
    /// One input is longer than an entry may be.
    #[error("the recording stopped at an input of {0} bytes: hand in at most {MAX_ENTRY}")]
    TooLong(usize),
    /// Another node was started with the same recorder; the first one is still recorded.
    #[error("a recorder records one start of one node: make a new one for each")]
    Used,
}

/// Records one node, from its start until it is dropped; a clone is the same recorder.
#[derive(Clone)]
pub struct Recorder(Tape);

impl Recorder {
    /// Records to `writer`, bodies of posts included.
    ///
    /// It is called inside the node's methods, with whole entries: before an input is worked off, and when the node is idle.
    /// A file needs no buffer of its own; a writer that is slow makes the node slow.
    #[must_use]
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self::make(Box::new(writer), false)
    }

    /// Records to `writer`, with zeros in place of the bodies and signatures of posts.
    #[must_use]
    pub fn redacted(writer: impl Write + Send + 'static) -> Self {
        Self::make(Box::new(writer), true)
    }

    /// Why the recording stopped or was not begun, if so.
    #[must_use]
    pub fn error(&self) -> Option<RecorderError> {
        self.0.lock().error.clone()
    }

    fn make(writer: Box<dyn Write + Send>, redacted: bool) -> Self {
        Self(Tape::new(Mode::Ready(Writer::new(writer, redacted))))
    }

    /// A recorder that answers from a recording instead.
    pub(crate) fn player() -> Self {
        Self(Tape::new(Mode::Playing(Player::default())))
    }

    pub(crate) const fn tape(&self) -> &Tape {
        &self.0
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("error", &self.error()).finish_non_exhaustive()
    }
}

/// What a node and its machines share: it is written while they run, or tells them what to answer.
#[derive(Clone)]
pub(crate) struct Tape(Arc<Mutex<Shared>>);

struct Shared {
    mode: Mode,
    error: Option<RecorderError>,
    /// Whether the host looks at something, which is no input: nothing is noted or answered then.
    is_looking: bool,
}

enum Mode {
    /// No node was started yet.
    Ready(Writer),
    Recording(Writer),
    Playing(Player),
    /// The node was dropped, or the writer failed.
    Done,
}

/// The answers to one input, in order.
#[derive(Default)]
pub(crate) struct Player {
    answers: alloc::collections::VecDeque<Answer>,
    wrong: Option<Wrong>,
}

/// A node that asked for something else than it did when it was recorded.
pub(crate) struct Wrong {
    /// Nothing when the answers were used up.
    pub(crate) recorded: Option<String>,
    pub(crate) asked: String,
    /// Whether all that was asked fitted, and answers are left.
    pub(crate) is_left: bool,
}

impl Tape {
    fn new(mode: Mode) -> Self {
        Self(Arc::new(Mutex::new(Shared { mode, error: None, is_looking: false })))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // Nothing is left half done by a panic: what is shared is a buffer and a queue.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a node's start; nothing when this recorder has had its node.
    pub(crate) fn start(&self, header: impl FnOnce(bool) -> Header) -> Option<Running> {
        let mut shared = self.lock();
        match core::mem::replace(&mut shared.mode, Mode::Done) {
            Mode::Ready(writer) => {
                let header = header(writer.redacted);
                shared.mode = Mode::Recording(writer);
                shared.write(|writer| writer.header(&header));
            }
            Mode::Playing(player) => shared.mode = Mode::Playing(player),
            other => {
                shared.mode = other;
                shared.error.get_or_insert(RecorderError::Used);
                return None;
            }
        }
        drop(shared);
        Some(Running(self.clone()))
    }

    fn write(&self, write: impl FnOnce(&mut Writer) -> Result<(), RecorderError>) {
        self.lock().write(write);
    }

    fn write_input(&self, write: impl FnOnce(&mut Writer) -> Result<(), RecorderError>) {
        let mut shared = self.lock();
        shared.is_looking = false;
        shared.write(write);
    }

    pub(crate) fn is_playing(&self) -> bool {
        matches!(self.lock().mode, Mode::Playing(_))
    }

    fn is_looking(&self) -> bool {
        self.lock().is_looking
    }

    /// Notes the answer that `real` is, or gives the one of the recording if `fits` takes it; `real` is the harmless one when
    /// there is none.
    pub(crate) fn answer<T>(
        &self,
        real: T,
        note: impl FnOnce(&T) -> Answer,
        fits: impl FnOnce(Answer) -> Option<T>,
    ) -> T {
        let mut shared = self.lock();
        if shared.is_looking {
            return real;
        }
        match &mut shared.mode {
            Mode::Recording(_) => {
                let answer = note(&real);
                shared.write(|writer| writer.answer(&answer));
                real
            }
            Mode::Playing(player) => player.next(&note(&real), fits).unwrap_or(real),
            Mode::Ready(_) | Mode::Done => real,
        }
    }

    /// Random bytes that go out on a link, already drawn.
    pub(crate) fn draw(&self, out: &mut [u8]) {
        let len = out.len();
        let fits = |answer| match answer {
            Answer::Draw { bytes } if bytes.0.len() == len => Some(bytes),
            _ => None,
        };
        let bytes = self.answer(Blob(out.to_vec()), |bytes| Answer::Draw { bytes: bytes.clone() }, fits);
        out.copy_from_slice(&bytes.0);
    }

    /// A random number that shows, already drawn.
    pub(crate) fn number(&self, number: u64) -> u64 {
        let fits = |answer| if let Answer::Number { number } = answer { Some(number) } else { None };
        self.answer(number, |number| Answer::Number { number: *number }, fits)
    }

    /// Whether a CONNECT's tag was good.
    pub(crate) fn tag(&self, good: bool) -> bool {
        let fits = |answer| if let Answer::Tag { good } = answer { Some(good) } else { None };
        self.answer(good, |good| Answer::Tag { good: *good }, fits)
    }

    /// The hash of a token that was drawn, or that somebody showed: the token itself is in no recording.
    pub(crate) fn token(&self, name: [u8; 32]) -> [u8; 32] {
        let fits = |answer| if let Answer::Token { name: Blob(name) } = answer { name.try_into().ok() } else { None };
        self.answer(name, |name| Answer::Token { name: Blob(name.to_vec()) }, fits)
    }

    /// What a comparison with an invitation came to, of which the token is a part.
    pub(crate) fn invitation(&self, same: bool) -> bool {
        let fits = |answer| if let Answer::Invitation { same } = answer { Some(same) } else { None };
        self.answer(same, |same| Answer::Invitation { same: *same }, fits)
    }

    /// Gives the answers to the next input.
    pub(crate) fn load(&self, answers: alloc::vec::Vec<Answer>) {
        let mut shared = self.lock();
        shared.is_looking = false;
        if let Mode::Playing(player) = &mut shared.mode {
            player.answers = answers.into();
            player.wrong = None;
        }
    }

    /// What did not fit since the last [`Tape::load`].
    pub(crate) fn wrong(&self) -> Option<Wrong> {
        let Mode::Playing(player) = &mut self.lock().mode else { return None };
        let left = |answer: &Answer| Wrong { recorded: Some(answer.to_string()), asked: String::new(), is_left: true };
        player.wrong.take().or_else(|| player.answers.front().map(left))
    }
}

impl Player {
    fn next<T>(&mut self, asked: &Answer, fits: impl FnOnce(Answer) -> Option<T>) -> Option<T> {
        if self.wrong.is_some() {
            return None;
        }
        let recorded = self.answers.pop_front();
        let text = recorded.as_ref().map(ToString::to_string);
        let taken = recorded.and_then(fits);
        if taken.is_none() {
            self.wrong = Some(Wrong { recorded: text, asked: asked.question(), is_left: false });
        }
        taken
    }
}

impl Shared {
    fn write(&mut self, write: impl FnOnce(&mut Writer) -> Result<(), RecorderError>) {
        if let Mode::Recording(writer) = &mut self.mode
            && let Err(error) = write(writer)
        {
            self.mode = Mode::Done;
            self.error = Some(error);
        }
    }
}

/// The node's hold on its tape; the recording ends when it is dropped.
pub(crate) struct Running(Tape);

impl Running {
    pub(crate) const fn tape(&self) -> &Tape {
        &self.0
    }

    pub(crate) fn input(&self, input: Input) {
        self.0.write_input(|writer| writer.input(&input));
    }

    /// The host looks at something until the next input.
    pub(crate) fn look(&self) {
        self.0.lock().is_looking = true;
    }

    /// Bytes for a link; `live` when the link takes them.
    pub(crate) fn bytes(&self, now: u64, link: u64, bytes: &[u8], live: bool) {
        self.0.write_input(|writer| writer.bytes(now, link, bytes, live));
    }

    pub(crate) fn publish(&self, now: u64, body: &[u8]) {
        self.0.write_input(|writer| {
            let body = if writer.redacted { alloc::vec![0; body.len()] } else { body.to_vec() };
            writer.input(&Input::Publish { now, body: Blob(body) })
        });
    }

    pub(crate) fn returned(&self, line: String) {
        self.0.write(|writer| writer.returned(line));
    }

    pub(crate) fn output(&self, output: &Output) {
        self.0.write(|writer| writer.output(output));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut shared = self.0.lock();
        shared.write(|writer| if std::thread::panicking() { writer.flush() } else { writer.end() });
        if matches!(shared.mode, Mode::Recording(_)) {
            shared.mode = Mode::Done;
        }
    }
}
