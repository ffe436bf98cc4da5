//! One stream between two bots, as two pipes that hold what is under way.

use alloc::collections::VecDeque;

use bytes::Bytes;

use super::line::Line;
use crate::crypto::Random;
use crate::node::LinkId;
use crate::ring::pop_front;
use crate::time::Instant;

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) arrives: Instant,
    pub(super) bytes: Bytes,
    /// Its place in the log, when one is kept.
    pub(super) logged: Option<usize>,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) line: Line,
    /// Handed over by the writer, not accepted yet.
    backlog: VecDeque<Bytes>,
    /// Under way; when each arrives.
    pub(super) under_way: VecDeque<Piece>,
    under_way_bytes: usize,
    /// When the line is free for more.
    free_at: Instant,
    /// The writer closed after what is in the pipe.
    pub(super) closing: bool,
    pub(super) last_arrival: Instant,
}

impl Pipe {
    pub(super) fn new(line: Line) -> Self {
        Self {
            line,
            backlog: VecDeque::new(),
            under_way: VecDeque::new(),
            under_way_bytes: 0,
            free_at: Instant::ZERO,
            closing: false,
            last_arrival: Instant::ZERO,
        }
    }

    pub(super) fn push(&mut self, bytes: Bytes) {
        self.backlog.push_back(bytes);
    }

    pub(super) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Accepts what fits; how many bytes were. The closure sees each piece and when it arrives, and may log it.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        random: &mut Random,
        mut log: impl FnMut(Instant, &Bytes) -> Option<usize>,
    ) -> usize {
        let mut accepted = 0;
        while self.under_way_bytes < self.line.capacity_bytes {
            let Some(bytes) = pop_front(&mut self.backlog) else { break };
            accepted += bytes.len();
            self.under_way_bytes += bytes.len();
            self.free_at = self.free_at.max(now) + self.line.busy(bytes.len());
            self.last_arrival = self.last_arrival.max(self.free_at + self.line.latency.draw(random));
            let logged = log(self.last_arrival, &bytes);
            self.under_way.push_back(Piece { arrives: self.last_arrival, bytes, logged });
        }
        accepted
    }

    /// What has arrived by now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Piece> {
        if self.under_way.front()?.arrives > now {
            return None;
        }
        let piece = pop_front(&mut self.under_way)?;
        self.under_way_bytes -= piece.bytes.len();
        Some(piece)
    }

    /// The writer is gone, with what the line had not taken yet.
    pub(super) fn break_off(&mut self) {
        self.backlog.clear();
        self.closing = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.under_way.is_empty()
    }

    /// Whether the reader has got everything that will ever come.
    pub(super) fn has_ended(&self, now: Instant) -> bool {
        self.closing && self.is_empty() && self.last_arrival <= now
    }
}

/// Where one end of a stream is.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub(super) bot: usize,
    pub(super) link: LinkId,
    /// Whether the bot still has it.
    pub(super) alive: bool,
    /// Whether the bot asked not to be given input.
    pub(super) paused: bool,
}

/// A stream: `pipes[0]` carries what `ends[0]` writes.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) ends: [End; 2],
    pub(super) pipes: [Pipe; 2],
}
