//! One authenticated, encrypted link over a reliable byte stream (I-20 … I-28).
//!
//! SIGMA-I in four messages: CONNECT, CONNECT+ACK, ACK with the challenge string, OK with the string reversed (or KO); then
//! sealed records with keepalive, rekeying and close codes. [The manual](crate::manual::protocol) has every byte.
//!
//! A [`Link`] owns no stream and no clock: bytes go in through [`Link::step`], bytes come out of [`Link::take_output`].
//!
//! ```
//! use std::sync::Arc;
//! use interbot::crypto::Pure;
//! use interbot::link::{Binding, Expect, Kind, Link, Setup, Step, Strings, Times};
//! use interbot::{CommunityId, Identity, Instant};
//!
//! let community = CommunityId::from_name("example");
//! let setup = |seed| Setup::new(Arc::new(Pure), &Identity::from_seed([seed; 32]), community, true, Default::default());
//! let (ann, bob) = (Arc::new(setup(1)?), Arc::new(setup(2)?));
//! let now = Instant::ZERO;
//! let mut strings = Strings::default();
//! let mut client = Link::dial(
//!     ann, now, [3; 32], Binding::None, Kind::Member, Expect::Key(bob.id()), &mut strings, Times::default());
//! let mut server = Link::accept(bob, now, [4; 32], Binding::None, Times::default());
//! for _ in 0..2 {
//!     let bytes = client.take_output();
//!     let mut input = &bytes[..];
//!     loop {
//!         match server.step(now, &mut input) {
//!             Step::NeedMore => break,
//!             Step::Hello => server.answer()?,
//!             Step::Proved => server.admit(now),
//!             other => panic!("{other:?}"),
//!         }
//!     }
//!     let bytes = server.take_output();
//!     client.step(now, &mut &bytes[..]);
//! }
//! assert!(client.is_open() && server.is_open());
//! assert_eq!(client.peer().map(|p| p.transcript()), server.peer().map(|p| p.transcript()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod code;
mod handshake;
mod keepalive;
mod keys;
mod message;
mod notes;
mod open;
mod records;
mod strings;
#[cfg(test)]
mod tests;
#[cfg(all(test, feature = "std"))]
mod vectors;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use bytes::{Bytes, BytesMut};
use zeroize::Zeroizing;

pub use code::{CloseReason, Code, Fault};
pub use handshake::{Authenticated, CredentialsTooLong, Expect, Setup, Side};
use handshake::{
    Hello, Proved, Records, WaitAccept, WaitAck, WaitChallenge, WaitOk, clear_ko, draw_string, read_clear_ko,
};
pub use keepalive::KeepaliveTimes;
use keepalive::{Due, Keepalive};
pub use keys::{Binding, ExportError, MAX_EXPORT};
pub use message::{Capabilities, Facts, Kind, MAX_CREDENTIALS, MAX_STRING, VERSION};
use message::{Inner, MAX_FIRST_RECORD, inner};
#[cfg(feature = "trace")]
pub(crate) use notes::FrameNote;
use notes::Notes;
use open::Open;
pub use records::{KEY_LIFETIME, RECORDS_PER_KEY};
pub use strings::Strings;

use crate::crypto::Random;
use crate::time::Instant;
use crate::wire::{FrameKind, FrameReader, MAX_PLAINTEXT};

/// Most bytes of a message: a record's plaintext less the byte that says what it is.
pub const MAX_MESSAGE: usize = MAX_PLAINTEXT - 1;

/// Longest time that a peer's retry-after is obeyed.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);

/// The same for one in clear, which anybody on the path can forge.
const MAX_CLEAR_RETRY_AFTER: Duration = Duration::from_secs(60);

fn retry_after(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds)).min(MAX_RETRY_AFTER)
}

/// How long a link waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From the stream's opening to a whole CONNECT, at the server: 5 s.
    pub connect: Duration,
    /// From the stream's opening to an open link, at both ends; never extended by bytes received: 15 s.
    pub handshake: Duration,
    /// On an open link.
    pub keepalive: KeepaliveTimes,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            handshake: Duration::from_secs(15),
            keepalive: KeepaliveTimes::default(),
        }
    }
}

/// What a link wants after it took some input. Exhaustive on purpose: each is to be acted on.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a link that waits for a verdict, or is closed, takes no more input"]
pub enum Step {
    /// All input was taken.
    NeedMore,
    /// Server: a bot that knows the community knocks. Call [`Link::answer`], which costs a signature, or [`Link::refuse`].
    Hello,
    /// Server: the peer proved its key and sent its string. Call [`Link::admit`] or [`Link::refuse`].
    Proved,
    /// The link is open, and [`Link::peer`] is known for good.
    Open,
    /// A message arrived.
    Message(Bytes),
    /// The link is closed; said once. Send what output there is, then close the stream.
    Closed(CloseReason),
}

enum State {
    WaitAccept(Box<WaitAccept>),
    WaitOk(Box<WaitOk>),
    WaitConnect(Binding),
    Hello(Box<Hello>),
    WaitAck(Box<WaitAck>),
    WaitChallenge(Box<WaitChallenge>),
    Proved(Box<Proved>),
    /// In place: it is what nearly all links are, and every record needs it.
    Open(Open),
    Closed,
}

/// One end of a link.
pub struct Link {
    reader: FrameReader,
    out: BytesMut,
    notes: Notes,
    state: State,
    setup: Arc<Setup>,
    rest: Box<Rest>,
}

/// What an open link seldom needs; apart, because thousands of links are to stay in the cache.
struct Rest {
    times: Times,
    opened_at: Instant,
    random: Random,
}

impl Link {
    /// Starts the client's end on a stream that just opened; CONNECT is in the output.
    ///
    /// `seed` is secret and used for one link only. `strings` remembers this bot's own challenge strings.
    #[expect(clippy::too_many_arguments, reason = "each is a fact of its own, and there is one caller in a program")]
    #[must_use]
    pub fn dial(
        setup: Arc<Setup>,
        now: Instant,
        seed: [u8; 32],
        binding: Binding,
        kind: Kind,
        expect: Expect,
        strings: &mut Strings,
        times: Times,
    ) -> Self {
        let mut link = Self::new(setup, now, seed, times);
        let string = loop {
            let string = draw_string(&mut link.rest.random);
            if strings.take(link.setup.id().as_bytes(), &string) {
                break string;
            }
        };
        let wait = WaitAccept::start(&link.setup, &binding, kind, expect, string, &mut link.rest.random, &mut link.out);
        link.state = State::WaitAccept(Box::new(wait));
        link
    }

    /// Starts the server's end on a stream that just opened.
    #[must_use]
    pub fn accept(setup: Arc<Setup>, now: Instant, seed: [u8; 32], binding: Binding, times: Times) -> Self {
        let mut link = Self::new(setup, now, seed, times);
        link.state = State::WaitConnect(binding);
        link
    }

    fn new(setup: Arc<Setup>, now: Instant, seed: [u8; 32], times: Times) -> Self {
        let random = Random::from_seed(&Zeroizing::new(seed));
        #[cfg(feature = "trace")]
        let random = random.taped(setup.tape.as_ref());
        Self {
            reader: FrameReader::default(),
            out: BytesMut::new(),
            notes: Notes::default(),
            state: State::Closed,
            setup,
            rest: Box::new(Rest { times, opened_at: now, random }),
        }
    }

    /// Takes input until something is to be told; call again with what is left of it.
    pub fn step(&mut self, now: Instant, input: &mut &[u8]) -> Step {
        match self.try_step(now, input) {
            Ok(step) => step,
            Err(reason) => {
                self.state = State::Closed;
                Step::Closed(reason)
            }
        }
    }

    fn try_step(&mut self, now: Instant, input: &mut &[u8]) -> Result<Step, CloseReason> {
        loop {
            match &self.state {
                State::Hello(_) => return Ok(Step::Hello),
                State::Proved(_) => return Ok(Step::Proved),
                State::Closed => {
                    *input = &[];
                    return Ok(Step::NeedMore);
                }
                _ => {}
            }
            let state = &self.state;
            let frame = self.reader.next(input, |kind| state.limit(kind)).map_err(|_| Fault::BadFrame)?;
            let Some(frame) = frame else { return Ok(Step::NeedMore) };
            self.notes.read(frame.header);
            if let State::Open(open) = &mut self.state {
                let message = open.take_record(now, frame.header, frame.body, &mut self.out, &mut self.notes);
                self.notes.written(&self.out, inner::ECHO);
                if let Some(message) = message? {
                    return Ok(Step::Message(message));
                }
                continue;
            }
            let setup = &*self.setup;
            let (header, body) = (frame.header, &mut frame.body[..]);
            // A step that fails leaves the link closed: its state was consumed.
            match core::mem::replace(&mut self.state, State::Closed) {
                State::WaitAccept(_) if frame.kind == FrameKind::ClearKo => {
                    let (code, after) = read_clear_ko(body)?;
                    return Err(CloseReason::ClearKo { code, retry_after: after });
                }
                State::WaitAccept(wait) => {
                    self.state = State::WaitOk(Box::new(wait.accept(setup, now, &header, body, &mut self.out)?));
                    self.notes.written(&self.out, inner::CHALLENGE);
                }
                State::WaitOk(wait) => {
                    let (authenticated, records) = wait.verdict(&header, body, &mut self.notes)?;
                    self.open(now, authenticated, records);
                    return Ok(Step::Open);
                }
                State::WaitConnect(binding) => match Hello::read(setup, &binding, body)? {
                    Ok(hello) => self.state = State::Hello(Box::new(hello)),
                    Err(code) => {
                        clear_ko(code, 0, &mut self.out);
                        self.notes.written(&self.out, 0);
                        return Err(CloseReason::Here(code));
                    }
                },
                State::WaitAck(wait) => {
                    self.state = State::WaitChallenge(Box::new(wait.ack(setup, now, &header, body)?));
                }
                State::WaitChallenge(wait) => {
                    self.state = State::Proved(Box::new(wait.challenge(&header, body, &mut self.notes)?));
                }
                State::Hello(_) | State::Proved(_) | State::Open(_) | State::Closed => {
                    return Err(Fault::BadFrame.into());
                }
            }
        }
    }

    /// Server, after [`Step::Hello`]: sends CONNECT+ACK.
    ///
    /// # Errors
    /// [`Fault::LowOrder`], and the link is closed.
    pub fn answer(&mut self) -> Result<(), Fault> {
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Hello(hello) => {
                let wait = hello.answer(&self.setup, &mut self.rest.random, &mut self.out)?;
                self.notes.written(&self.out, 0);
                self.state = State::WaitAck(Box::new(wait));
            }
            other => self.state = other,
        }
        Ok(())
    }

    /// Server, after [`Step::Proved`]: sends OK, and the link is open.
    pub fn admit(&mut self, now: Instant) {
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Proved(proved) => {
                let (authenticated, records) = proved.admit(now, &mut self.out);
                self.notes.written(&self.out, inner::OK);
                self.open(now, authenticated, records);
            }
            other => self.state = other,
        }
    }

    /// Server, after [`Step::Hello`] or [`Step::Proved`]: refuses, in clear or sealed, and the link is closed.
    pub fn refuse(&mut self, now: Instant, code: Code, retry_after: Duration) {
        let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
        match core::mem::replace(&mut self.state, State::Closed) {
            State::Hello(_) => clear_ko(code, seconds, &mut self.out),
            State::Proved(proved) => proved.refuse(now, code, seconds, &mut self.out),
            other => self.state = other,
        }
        self.notes.written(&self.out, inner::KO);
    }

    /// Closes the link from this side; an open one tells the peer why.
    pub fn close(&mut self, now: Instant, code: Code, retry_after: Duration) {
        if let State::Open(open) = &mut self.state {
            let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
            open.records.sealer.seal(now, &mut self.out, Inner::Close(code, seconds));
            self.notes.written(&self.out, inner::CLOSE);
        }
        self.state = State::Closed;
    }

    /// Seals a message into the output; false, and nothing happens, when the link is not open or the message is too long.
    #[must_use = "a message that was not taken is lost"]
    pub fn send(&mut self, now: Instant, message: &[u8]) -> bool {
        self.send_with(now, message.len(), |out| out.extend_from_slice(message))
    }

    /// The same with a message of this length that `write` puts at the end of the buffer, so that it need not be anywhere
    /// else before.
    #[must_use = "a message that was not taken is lost"]
    pub(crate) fn send_with(&mut self, now: Instant, len: usize, write: impl FnOnce(&mut BytesMut)) -> bool {
        match &mut self.state {
            State::Open(open) if len <= MAX_MESSAGE => {
                open.records.sealer.seal_message(now, &mut self.out, len, write);
                self.notes.written(&self.out, inner::MESSAGE);
                open.keepalive.sent(now);
                true
            }
            _ => false,
        }
    }

    /// Seals any plaintext, its inner kind first, as a hostile peer would; false when the link is not open or it does not fit.
    #[cfg(feature = "sim")]
    pub(crate) fn seal_raw(&mut self, now: Instant, plaintext: &[u8]) -> bool {
        match &mut self.state {
            State::Open(open) if (1..=MAX_PLAINTEXT).contains(&plaintext.len()) => {
                open.records.sealer.seal_with(now, &mut self.out, |out| out.extend_from_slice(plaintext));
                true
            }
            _ => false,
        }
    }

    /// Asks an open link for a sign of life; without one it closes after [`KeepaliveTimes::probe`].
    pub fn probe(&mut self, now: Instant) {
        if let State::Open(open) = &mut self.state
            && open.keepalive.probe(now)
        {
            open.ask(now, &mut self.rest.random, &mut self.out);
            self.notes.written(&self.out, inner::PING);
        }
    }

    /// Tells whether silence proves nothing now: the host does not read, or what was sent waits to be written.
    pub fn set_paused(&mut self, now: Instant, paused: bool) {
        if let State::Open(open) = &mut self.state {
            open.keepalive.set_paused(now, paused);
        }
    }

    /// Acts on the time; the reason, said once, when the link is closed by it.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<CloseReason> {
        if self.wake_at().is_none_or(|due| now < due) {
            return None;
        }
        let fault = match &mut self.state {
            State::Open(open) => match open.keepalive.timeout(now) {
                Ok(Due::Nothing) => return None,
                Ok(Due::Ask) => {
                    open.ask(now, &mut self.rest.random, &mut self.out);
                    self.notes.written(&self.out, inner::PING);
                    return None;
                }
                Err(fault) => fault,
            },
            _ => Fault::HandshakeTimeout,
        };
        self.state = State::Closed;
        Some(fault.into())
    }

    /// Takes the sealed bytes that are to be written to the stream; empty when there are none.
    ///
    /// The buffer is used again once the returned handle is dropped.
    #[must_use = "bytes that are not written break the link"]
    pub fn take_output(&mut self) -> Bytes {
        self.notes.taken();
        self.out.split().freeze()
    }

    /// Bytes of output that wait to be taken.
    #[must_use]
    pub fn output_len(&self) -> usize {
        self.out.len()
    }

    /// When [`Link::handle_timeout`] must be called at the latest.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        match &self.state {
            State::Closed => None,
            State::Open(open) => open.keepalive.wake_at(),
            State::WaitConnect(_) => Some(self.rest.opened_at + self.rest.times.connect),
            _ => Some(self.rest.opened_at + self.rest.times.handshake),
        }
    }

    /// The peer, once it proved its key: after [`Step::Proved`] or [`Step::Open`].
    #[must_use]
    pub fn peer(&self) -> Option<&Authenticated> {
        match &self.state {
            State::Proved(proved) => Some(&proved.authenticated),
            State::Open(open) => Some(&open.authenticated),
            _ => None,
        }
    }

    /// Whether the peer's string, at [`Step::Proved`], is new among `strings`; remembers it.
    #[must_use]
    pub fn take_string(&self, key: &[u8; 32], strings: &mut Strings) -> bool {
        match &self.state {
            State::Proved(proved) => strings.take(key, &proved.reversed),
            _ => true,
        }
    }

    /// As what the peer knocks, at [`Step::Hello`]; nothing is proved yet.
    #[must_use]
    pub fn knocks_as(&self) -> Option<Kind> {
        match &self.state {
            State::Hello(hello) => Some(hello.kind),
            _ => None,
        }
    }

    /// Whether messages can be sent.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether the link is closed.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Whether the server's end still waits for CONNECT.
    #[must_use]
    pub const fn waits_for_connect(&self) -> bool {
        matches!(self.state, State::WaitConnect(_))
    }

    /// Notes every frame from now on, and those of the output so far.
    #[cfg(feature = "trace")]
    pub(crate) fn noting_frames(mut self) -> Self {
        self.notes.start(&self.out);
        self
    }

    /// Frames since the last call.
    #[cfg(feature = "trace")]
    pub(crate) fn take_notes(&mut self) -> impl Iterator<Item = FrameNote> {
        self.notes.take()
    }

    fn open(&mut self, now: Instant, authenticated: Authenticated, records: Records) {
        let mobile = [authenticated.facts(), self.setup.facts()]
            .iter()
            .any(|facts| facts.capabilities.has(Capabilities::MOBILE));
        let times = if mobile { self.rest.times.keepalive.mobile() } else { self.rest.times.keepalive };
        let keepalive = Keepalive::new(times, authenticated.side(), now);
        self.state = State::Open(Open { authenticated: Box::new(authenticated), records, keepalive });
    }
}

impl State {
    /// The longest body of this kind that may come now.
    fn limit(&self, kind: FrameKind) -> Option<usize> {
        let (expected, limit) = match self {
            Self::WaitAccept(_) if kind == FrameKind::ClearKo => (FrameKind::ClearKo, kind.max_body()),
            Self::WaitAccept(_) => (FrameKind::ConnectAck, kind.max_body()),
            Self::WaitConnect(_) => (FrameKind::Connect, kind.max_body()),
            Self::WaitAck(_) => (FrameKind::Ack, kind.max_body()),
            Self::WaitOk(_) | Self::WaitChallenge(_) => (FrameKind::Record, MAX_FIRST_RECORD),
            Self::Open(_) => (FrameKind::Record, kind.max_body()),
            Self::Hello(_) | Self::Proved(_) | Self::Closed => return None,
        };
        (kind == expected).then_some(limit)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::WaitAccept(_) => "WaitAccept",
            State::WaitOk(_) => "WaitOk",
            State::WaitConnect(_) => "WaitConnect",
            State::Hello(_) => "Hello",
            State::WaitAck(_) => "WaitAck",
            State::WaitChallenge(_) => "WaitChallenge",
            State::Proved(_) => "Proved",
            State::Open(_) => "Open",
            State::Closed => "Closed",
        };
        f.debug_struct("Link").field("state", &state).field("peer", &self.peer()).finish_non_exhaustive()
    }
}
