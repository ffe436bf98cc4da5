//! One stream between two bots, as two pipes that hold what is under way.

use alloc::collections::VecDeque;

use bytes::Bytes;

use crate::node::LinkId;
use crate::time::Instant;

/// Bytes that a pipe holds before its writer has to wait: what two sockets' buffers hold together.
pub(super) const CAPACITY_BYTES: usize = 128 * 1024;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    /// Handed over by the writer, not accepted yet.
    pub(super) backlog: VecDeque<Bytes>,
    /// Under way; when each arrives.
    pub(super) under_way: VecDeque<(Instant, Bytes)>,
    pub(super) under_way_bytes: usize,
    /// The writer closed after what is in the pipe.
    pub(super) closing: bool,
    pub(super) last_arrival: Instant,
}

impl Pipe {
    /// Accepts what fits; how many bytes were.
    pub(super) fn pump(&mut self, arrival: Instant) -> usize {
        let mut accepted = 0;
        while self.under_way_bytes < CAPACITY_BYTES {
            let Some(bytes) = self.backlog.pop_front() else { break };
            accepted += bytes.len();
            self.under_way_bytes += bytes.len();
            self.last_arrival = self.last_arrival.max(arrival);
            self.under_way.push_back((self.last_arrival, bytes));
        }
        accepted
    }

    pub(super) fn is_empty(&self) -> bool {
        self.backlog.is_empty() && self.under_way.is_empty()
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
