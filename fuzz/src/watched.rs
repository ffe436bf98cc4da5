//! A link that is watched: everything it took and gave, and that it keeps its promises.

use std::time::Duration;

use bytes::Bytes;
use interbot::Instant;
use interbot::link::{CloseReason, Code, Link, Side, Step};

/// What a server says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    #[default]
    Admit,
    /// No, before it signed anything.
    RefuseHello(Code),
    /// No, when the peer proved itself.
    RefuseProved(Code),
}

/// The link and its story.
#[derive(Debug)]
pub struct Watched {
    /// The link.
    pub link: Link,
    side: Side,
    verdict: Verdict,
    /// Bytes that it took, until it was closed.
    pub taken: Vec<u8>,
    /// Bytes that it gave.
    pub emitted: Vec<u8>,
    /// How many of those were passed on.
    pub forwarded: usize,
    /// Messages that it was told.
    pub messages: Vec<Bytes>,
    /// How many bytes it had taken when it opened.
    pub open_after: Option<usize>,
    /// Its transcript, once open.
    pub transcript: Option<[u8; 32]>,
    /// Whether a CONNECT was good.
    knocked: bool,
    /// Whether it is closed, and what it said.
    pub closed: Option<Option<CloseReason>>,
}

/// No flight of a handshake is longer.
const MAX_FLIGHTS_BYTES: usize = 2 * (5 + 2048 + 5 + 275);

impl Watched {
    /// Starts with a link that just began.
    #[must_use]
    pub fn new(link: Link, side: Side, verdict: Verdict) -> Self {
        let mut watched = Self {
            link,
            side,
            verdict,
            taken: Vec::new(),
            emitted: Vec::new(),
            forwarded: 0,
            messages: Vec::new(),
            open_after: None,
            transcript: None,
            knocked: false,
            closed: None,
        };
        watched.collect(false);
        watched
    }

    /// Gives it bytes, at once.
    pub fn feed(&mut self, now: Instant, bytes: &[u8]) {
        let was_closed = self.closed.is_some();
        let mut input = bytes;
        loop {
            let before = input;
            let step = self.link.step(now, &mut input);
            let took = &before[..before.len() - input.len()];
            if self.closed.is_none() {
                self.taken.extend_from_slice(took);
            }
            match step {
                Step::NeedMore => {
                    assert!(input.is_empty(), "a link that needs more took all there was");
                    break;
                }
                Step::Hello => {
                    assert!(!self.knocked && self.side == Side::Server);
                    self.knocked = true;
                    if let Verdict::RefuseHello(code) = self.verdict {
                        self.link.refuse(now, code, Duration::from_secs(1));
                        self.close(None);
                    } else if let Err(fault) = self.link.answer() {
                        self.close(Some(fault.into()));
                    }
                }
                Step::Proved => {
                    assert!(self.knocked && self.link.peer().is_some());
                    if let Verdict::RefuseProved(code) = self.verdict {
                        self.link.refuse(now, code, Duration::from_secs(1));
                        self.close(None);
                    } else {
                        self.link.admit(now);
                        self.opened();
                    }
                }
                Step::Open => {
                    assert_eq!(self.side, Side::Client);
                    self.opened();
                }
                Step::Message(message) => self.messages.push(message),
                Step::Closed(reason) => self.close(Some(reason)),
            }
        }
        self.collect(was_closed);
    }

    /// Tells it the time.
    pub fn timeout(&mut self, now: Instant) {
        let was_closed = self.closed.is_some();
        if let Some(reason) = self.link.handle_timeout(now) {
            self.close(Some(reason));
        }
        self.collect(was_closed);
    }

    /// Does something to the link itself.
    pub fn with<T>(&mut self, act: impl FnOnce(&mut Link) -> T) -> T {
        let was_closed = self.closed.is_some();
        let done = act(&mut self.link);
        if self.link.is_closed() && !was_closed {
            self.close(None);
        }
        self.collect(was_closed);
        done
    }

    /// What it gave and nobody passed on yet.
    pub fn take_fresh(&mut self) -> Vec<u8> {
        let fresh = self.emitted[self.forwarded..].to_vec();
        self.forwarded = self.emitted.len();
        fresh
    }

    fn opened(&mut self) {
        assert!(self.link.is_open() && self.open_after.is_none(), "a link opens once");
        let peer = self.link.peer().expect("an open link has a peer");
        assert_eq!(peer.side(), self.side);
        self.transcript = Some(*peer.transcript());
        self.open_after = Some(self.taken.len());
    }

    fn close(&mut self, reason: Option<CloseReason>) {
        assert!(self.closed.is_none(), "a link is closed once: {:?}, then {reason:?}", self.closed);
        assert!(self.link.is_closed());
        self.closed = Some(reason);
    }

    fn collect(&mut self, was_closed: bool) {
        let out = self.link.take_output();
        assert!(!was_closed || out.is_empty(), "a closed link says nothing");
        self.emitted.extend_from_slice(&out);
        assert_eq!(self.link.is_closed(), self.closed.is_some(), "a closed link says so");
        assert_eq!(
            self.link.wake_at().is_none(),
            self.closed.is_some(),
            "a closed link has no deadline, any other has"
        );
        assert_eq!(self.link.output_len(), 0);
        let refused = matches!(self.closed, Some(Some(CloseReason::Here(Code::Version))));
        assert!(
            self.side == Side::Client || self.knocked || refused || self.emitted.is_empty(),
            "a server is silent before a good CONNECT"
        );
        assert!(self.open_after.is_some() || self.emitted.len() <= MAX_FLIGHTS_BYTES, "a handshake is short");
    }
}
