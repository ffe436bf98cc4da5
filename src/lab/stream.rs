//! One stream between two bots, as two pipes that hold what is under way.

use alloc::boxed::Box;
use alloc::collections::VecDeque;

use bytes::Bytes;

use super::line::Line;
use crate::crypto::Random;
use crate::node::LinkId;
use crate::time::Instant;

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) arrives: Instant,
    pub(super) bytes: Bytes,
    /// Its place in the log, when one is kept.
    pub(super) logged: Option<usize>,
}

/// One direction. Mostly it is empty or holds one piece, so that has its place here and the queues are apart.
#[derive(Debug)]
pub(super) struct Pipe {
    pub(super) line: Line,
    first: Option<Piece>,
    queues: Option<Box<Queues>>,
    under_way_bytes: usize,
    /// When the line is free for more.
    free_at: Instant,
    /// The writer closed after what is in the pipe.
    pub(super) closing: bool,
    pub(super) last_arrival: Instant,
}

#[derive(Debug, Default)]
struct Queues {
    /// Under way behind the first piece.
    under_way: VecDeque<Piece>,
    /// Handed over by the writer, not accepted yet.
    backlog: VecDeque<Bytes>,
}

impl Pipe {
    pub(super) const fn new(line: Line) -> Self {
        Self {
            line,
            first: None,
            queues: None,
            under_way_bytes: 0,
            free_at: Instant::ZERO,
            closing: false,
            last_arrival: Instant::ZERO,
        }
    }

    pub(super) fn has_backlog(&self) -> bool {
        self.queues.as_ref().is_some_and(|queues| !queues.backlog.is_empty())
    }

    /// Accepts what fits of what waits and of what is written now; how many bytes were. The closure sees each piece and when
    /// it arrives, and may log it.
    pub(super) fn pump(
        &mut self,
        now: Instant,
        written: Option<Bytes>,
        random: &mut Random,
        mut log: impl FnMut(Instant, &Bytes) -> Option<usize>,
    ) -> usize {
        let before = self.under_way_bytes;
        if self.has_backlog() {
            self.queues.get_or_insert_default().backlog.extend(written);
            while self.has_room()
                && let Some(bytes) = self.queues.as_mut().and_then(|queues| queues.backlog.pop_front())
            {
                self.accept(now, bytes, random, &mut log);
            }
        } else if let Some(bytes) = written {
            if self.has_room() {
                self.accept(now, bytes, random, &mut log);
            } else {
                self.queues.get_or_insert_default().backlog.push_back(bytes);
            }
        }
        self.under_way_bytes - before
    }

    /// What has arrived by now.
    pub(super) fn take(&mut self, now: Instant) -> Option<Piece> {
        let piece = self.first.take_if(|piece| piece.arrives <= now)?;
        if let Some(queues) = &mut self.queues {
            self.first = queues.under_way.pop_front();
            if self.first.is_none() && queues.backlog.is_empty() {
                self.queues = None;
            }
        }
        self.under_way_bytes -= piece.bytes.len();
        Some(piece)
    }

    /// All that is under way.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Piece> {
        self.first.iter().chain(self.queues.iter().flat_map(|queues| &queues.under_way))
    }

    /// The writer is gone, with what the line had not taken yet.
    pub(super) fn break_off(&mut self) {
        if let Some(queues) = &mut self.queues {
            queues.backlog.clear();
        }
        self.closing = true;
    }

    fn is_empty(&self) -> bool {
        self.first.is_none() && !self.has_backlog()
    }

    const fn has_room(&self) -> bool {
        self.under_way_bytes < self.line.capacity_bytes
    }

    fn accept(
        &mut self,
        now: Instant,
        bytes: Bytes,
        random: &mut Random,
        log: &mut impl FnMut(Instant, &Bytes) -> Option<usize>,
    ) {
        self.under_way_bytes += bytes.len();
        self.free_at = self.free_at.max(now) + self.line.busy(bytes.len());
        self.last_arrival = self.last_arrival.max(self.free_at + self.line.latency.draw(random));
        let piece = Piece { arrives: self.last_arrival, logged: log(self.last_arrival, &bytes), bytes };
        if self.first.is_none() {
            self.first = Some(piece);
        } else {
            self.queues.get_or_insert_default().under_way.push_back(piece);
        }
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
