//! Signs of life (I-28), with the times of the HEAD design: no rumour, only what this side heard itself.

use alloc::collections::VecDeque;
use core::time::Duration;

use super::code::Fault;
use super::handshake::Side;
use crate::ring::pop_front;
use crate::time::{Instant, Span};

/// When a quiet link is asked for a sign of life, and when it is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepaliveTimes {
    /// Quiet time, in either direction, after which the server asks: 10 s.
    pub idle: Duration,
    /// How long an answer may take: 5 s.
    pub answer: Duration,
    /// Unanswered questions in a row that end the link: 3.
    pub misses: u8,
    /// Quiet time after which the client gives up: 35 s.
    pub client_silence: Duration,
    /// How long an answer may take when the host or a second link asks: 10 s.
    pub probe: Duration,
}

impl Default for KeepaliveTimes {
    fn default() -> Self {
        Self {
            idle: Duration::from_secs(10),
            answer: Duration::from_secs(5),
            misses: 3,
            client_silence: Duration::from_secs(35),
            probe: Duration::from_secs(10),
        }
    }
}

impl KeepaliveTimes {
    /// Times for a link with a mobile bot at one end: three times as long between questions.
    pub(super) fn mobile(self) -> Self {
        let (idle, client_silence) = (self.idle.saturating_mul(3), self.client_silence.saturating_mul(3));
        Self { idle, client_silence, ..self }
    }
}

/// Questions that may be open at once; a peer that sends data but never answers reaches it. More than five minutes of them:
/// nobody honest is that far behind.
const MAX_OPEN: usize = 32;
/// Echoes nobody asked for, until the link is closed for them: harmless once, a fault if many.
const MAX_UNSOLICITED: u32 = 16;
/// A timer that fires later than this says that this side was away, and proves nothing about the peer; busy machines are late
/// by less.
const LATE: Duration = Duration::from_secs(1);

/// The times as one end needs them.
#[derive(Debug)]
struct Spans {
    /// Quiet time after which the server asks, and the client gives up.
    quiet: Span,
    answer: Span,
    probe: Span,
    misses: u8,
}

#[derive(Debug)]
pub(super) struct Keepalive {
    spans: Spans,
    side: Side,
    heard: Instant,
    /// When this side last sealed something: a client that only sends must hear something too.
    sent: Instant,
    asked: Option<Instant>,
    misses: u8,
    open: VecDeque<[u8; 16]>,
    probe_until: Option<Instant>,
    unsolicited: u32,
    /// While the host does not read, or much waits to be written, silence proves nothing.
    paused: bool,
    /// Whether a late timer was forgiven since the last sign of life: once is an accident, always is a host that ticks slowly.
    forgiven: bool,
}

/// What a timer asks for.
pub(super) enum Due {
    Nothing,
    Ask,
}

impl Keepalive {
    pub(super) fn new(times: KeepaliveTimes, side: Side, now: Instant) -> Self {
        let quiet = if side == Side::Client { times.client_silence } else { times.idle };
        Self {
            spans: Spans {
                quiet: quiet.into(),
                answer: times.answer.into(),
                probe: times.probe.into(),
                misses: times.misses,
            },
            side,
            heard: now,
            sent: now,
            asked: None,
            misses: 0,
            open: VecDeque::new(),
            probe_until: None,
            unsolicited: 0,
            paused: false,
            forgiven: false,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
        self.misses = 0;
        self.forgiven = false;
        self.probe_until = None;
    }

    pub(super) const fn sent(&mut self, now: Instant) {
        self.sent = now;
    }

    pub(super) fn asked(&mut self, now: Instant, nonce: [u8; 16]) {
        self.asked = Some(now);
        self.open.push_back(nonce);
    }

    /// Begins a probe; false when one is under way.
    pub(super) fn probe(&mut self, now: Instant) -> bool {
        let idle = self.probe_until.is_none();
        self.probe_until.get_or_insert(now + self.spans.probe);
        idle
    }

    pub(super) fn echo(&mut self, nonce: &[u8; 16]) -> Result<(), Fault> {
        match pop_front(&mut self.open) {
            Some(expected) if expected == *nonce => Ok(()),
            Some(_) => Err(Fault::BadEcho),
            None => {
                self.unsolicited += 1;
                if self.unsolicited > MAX_UNSOLICITED { Err(Fault::BadEcho) } else { Ok(()) }
            }
        }
    }

    pub(super) fn set_paused(&mut self, now: Instant, paused: bool) {
        if self.paused && !paused {
            self.forgive(now);
        }
        self.paused = paused;
    }

    pub(super) fn wake_at(&self) -> Option<Instant> {
        if self.paused {
            // The other side is to hear something all the same.
            let asks = self.side == Side::Server && self.open.len() < MAX_OPEN;
            return asks.then(|| self.sent + self.spans.quiet);
        }
        let regular = match (self.side, self.asked) {
            (Side::Client, _) => self.heard + self.spans.quiet,
            (Side::Server, None) => self.heard.min(self.sent) + self.spans.quiet,
            (Side::Server, Some(asked)) => asked + self.spans.answer,
        };
        Some(self.probe_until.map_or(regular, |probe| probe.min(regular)))
    }

    pub(super) fn timeout(&mut self, now: Instant) -> Result<Due, Fault> {
        let Some(due) = self.wake_at().filter(|due| *due <= now) else { return Ok(Due::Nothing) };
        if self.paused {
            return Ok(Due::Ask);
        }
        if now.since(due) > LATE
            && !self.forgiven
            && (self.asked.is_some() || self.side == Side::Client || self.probe_until.is_some())
        {
            self.forgiven = true;
            self.forgive(now);
            return Ok(Due::Nothing);
        }
        if self.probe_until.is_some_and(|probe| probe <= now) || self.open.len() >= MAX_OPEN {
            return Err(Fault::Silence);
        }
        match (self.side, self.asked) {
            (Side::Client, _) => Err(Fault::Silence),
            (Side::Server, None) => Ok(Due::Ask),
            (Side::Server, Some(_)) => {
                self.misses += 1;
                if self.misses >= self.spans.misses { Err(Fault::Silence) } else { Ok(Due::Ask) }
            }
        }
    }

    /// Starts all waiting anew: this side was the one that was away.
    fn forgive(&mut self, now: Instant) {
        self.heard = now;
        self.sent = now;
        self.asked = self.asked.map(|_| now);
        self.probe_until = self.probe_until.map(|_| now + self.spans.probe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l49_a_probe_whose_timer_fires_late_is_forgiven_once() {
        let mut keepalive = Keepalive::new(KeepaliveTimes::default(), Side::Server, Instant::ZERO);
        assert!(keepalive.probe(Instant::ZERO));
        let late = Instant::from_millis(11_001);
        assert!(matches!(keepalive.timeout(late), Ok(Due::Nothing)));
        let again = late + Duration::from_secs(10);
        assert_eq!(keepalive.wake_at(), Some(again));
        assert!(matches!(keepalive.timeout(again + Duration::from_secs(2)), Err(Fault::Silence)));
    }

    #[test]
    fn a_timer_that_fires_a_second_late_still_judges_and_a_later_one_does_not() {
        let client = || Keepalive::new(KeepaliveTimes::default(), Side::Client, Instant::ZERO);
        assert!(matches!(client().timeout(Instant::from_millis(36_000)), Err(Fault::Silence)));
        assert!(matches!(client().timeout(Instant::from_millis(36_001)), Ok(Due::Nothing)));
    }

    #[test]
    fn only_the_end_of_a_pause_starts_the_waiting_anew() {
        let mut keepalive = Keepalive::new(KeepaliveTimes::default(), Side::Server, Instant::ZERO);
        for (second, paused, wake_at) in [(5, false, 10), (6, true, 10), (7, true, 10), (8, false, 18), (9, false, 18)]
        {
            keepalive.set_paused(Instant::from_millis(second * 1000), paused);
            assert_eq!(keepalive.wake_at(), Some(Instant::from_millis(wake_at * 1000)), "second {second}");
        }
    }
}
