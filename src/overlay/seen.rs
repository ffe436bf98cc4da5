//! Which posts were taken, by author and stream.

use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
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

/// The streams of one author, the most recently used first: nearly always there is one, which needs no memory of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Streams {
    newest: (StreamId, SeenWindow),
    older: Vec<(StreamId, SeenWindow)>,
}

impl Streams {
    const fn new(stream: StreamId, window: SeenWindow) -> Self {
        Self { newest: (stream, window), older: Vec::new() }
    }

    fn iter(&self) -> impl Iterator<Item = &(StreamId, SeenWindow)> {
        core::iter::once(&self.newest).chain(&self.older)
    }

    fn window(&self, stream: StreamId) -> Option<&SeenWindow> {
        self.iter().find(|(other, _)| *other == stream).map(|(_, window)| window)
    }

    /// Takes a number of a stream, which comes first then.
    fn take(&mut self, stream: StreamId, seq: u64) -> bool {
        if self.newest.0 == stream {
            return self.newest.1.take(seq);
        }
        let known = self.older.iter().position(|(other, _)| *other == stream);
        let mut window = known.map_or_else(SeenWindow::default, |at| self.older[at].1);
        let taken = window.take(seq);
        if taken {
            match known {
                Some(at) => {
                    self.older.remove(at);
                }
                None => self.older.truncate(SeenStreams::PER_ORIGIN - 2),
            }
            self.older.insert(0, core::mem::replace(&mut self.newest, (stream, window)));
        }
        taken
    }
}

/// The windows of all authors: at most [`SeenStreams::PER_ORIGIN`] streams of each, so that an author who opens ever new
/// streams forgets only its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenStreams(BTreeMap<BotId, Streams>);

impl SeenStreams {
    /// Streams remembered of each author; the least recently used is forgotten. An author has one at a time, and few restarts
    /// without records.
    pub const PER_ORIGIN: usize = 4;

    /// Whether the post was taken before.
    #[must_use]
    pub fn is_seen(&self, id: &PostId) -> bool {
        let window = self.0.get(&id.origin).and_then(|streams| streams.window(id.stream));
        window.map_or(id.seq == 0, |window| window.is_seen(id.seq))
    }

    /// Takes the post; false when it was taken before.
    pub fn take(&mut self, id: &PostId) -> bool {
        if id.seq == 0 {
            return false;
        }
        match self.0.entry(id.origin) {
            Entry::Occupied(mut streams) => streams.get_mut().take(id.stream, id.seq),
            Entry::Vacant(place) => place.insert(Streams::new(id.stream, SeenWindow::default())).newest.1.take(id.seq),
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
        for SeenStream { origin, stream, window } in windows {
            match all.0.entry(origin) {
                Entry::Vacant(place) => {
                    place.insert(Streams::new(stream, window));
                }
                Entry::Occupied(mut streams) => {
                    let streams = streams.get_mut();
                    if streams.older.len() < Self::PER_ORIGIN - 1 && streams.window(stream).is_none() {
                        streams.older.push((stream, window));
                    }
                }
            }
        }
        all
    }
}
