//! Which posts were taken, by author and stream.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::message::{PostId, StreamId};
use crate::identity::BotId;
use crate::window::SeenWindow;

/// One stream's window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenStream {
    /// The author.
    pub origin: BotId,
    /// The author's stream.
    pub stream: StreamId,
    /// What was taken of it.
    pub window: SeenWindow,
}

/// The windows of all authors: at most [`SeenStreams::PER_ORIGIN`] streams of each, so that an author who opens ever new
/// streams forgets only its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenStreams(BTreeMap<BotId, Vec<(StreamId, SeenWindow)>>);

impl SeenStreams {
    /// Streams remembered of each author; the least recently used is forgotten. An author has one at a time, and few restarts
    /// without records.
    pub const PER_ORIGIN: usize = 4;

    /// Whether the post was taken before.
    #[must_use]
    pub fn is_seen(&self, id: &PostId) -> bool {
        let streams = self.0.get(&id.origin).map_or(&[][..], Vec::as_slice);
        streams
            .iter()
            .find(|(stream, _)| *stream == id.stream)
            .map_or(id.seq == 0, |(_, window)| window.is_seen(id.seq))
    }

    /// Takes the post; false when it was taken before.
    pub fn take(&mut self, id: &PostId) -> bool {
        if id.seq == 0 {
            return false;
        }
        // Most recently used first.
        let streams = self.0.entry(id.origin).or_default();
        match streams.iter().position(|(stream, _)| *stream == id.stream) {
            Some(at) => {
                let taken = streams[at].1.take(id.seq);
                if taken {
                    streams[..=at].rotate_right(1);
                }
                taken
            }
            None => {
                streams.truncate(Self::PER_ORIGIN - 1);
                streams.insert(0, (id.stream, SeenWindow::default()));
                streams[0].1.take(id.seq)
            }
        }
    }

    /// All windows, by author, the most recently used first.
    pub fn iter(&self) -> impl Iterator<Item = SeenStream> {
        self.0.iter().flat_map(|(origin, streams)| {
            streams.iter().map(|(stream, window)| SeenStream { origin: *origin, stream: *stream, window: *window })
        })
    }
}

impl FromIterator<SeenStream> for SeenStreams {
    /// Takes windows in the order of [`SeenStreams::iter`]; what is beyond the bound of an author is dropped.
    fn from_iter<T: IntoIterator<Item = SeenStream>>(windows: T) -> Self {
        let mut all = Self::default();
        for seen in windows {
            let streams = all.0.entry(seen.origin).or_default();
            if streams.len() < Self::PER_ORIGIN && !streams.iter().any(|(stream, _)| *stream == seen.stream) {
                streams.push((seen.stream, seen.window));
            }
        }
        all
    }
}
