//! Which posts were taken, by author and stream.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::{fmt, mem};

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
#[derive(Clone, Debug)]
struct Author {
    id: BotId,
    newest: (StreamId, SeenWindow),
    older: Box<[(StreamId, SeenWindow)]>,
}

impl Author {
    fn new(id: BotId, stream: StreamId, window: SeenWindow) -> Self {
        Self { id, newest: (stream, window), older: Box::default() }
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
            let mut older = mem::take(&mut self.older).into_vec();
            match known {
                Some(at) => {
                    older.remove(at);
                }
                None => older.truncate(SeenStreams::PER_ORIGIN - 2),
            }
            older.insert(0, mem::replace(&mut self.newest, (stream, window)));
            self.older = older.into();
        }
        taken
    }
}

/// The windows of all authors: at most [`SeenStreams::PER_ORIGIN`] streams of each, so that an author who opens ever new
/// streams forgets only its own.
///
/// A hash table, because every post that comes is looked up in it, and most come more than once. Its order shows nowhere.
#[derive(Clone, Default)]
pub struct SeenStreams {
    /// As many as a power of two, at most three quarters of them taken; an author is at the place that its hash says, or at
    /// the next free one.
    places: Vec<Option<Author>>,
    authors: usize,
    secret: [u64; 2],
}

impl SeenStreams {
    /// Streams remembered of each author; the least recently used is forgotten. An author has one at a time, and few restarts
    /// without records.
    pub const PER_ORIGIN: usize = 4;

    /// The same, with places that nobody who does not know the secret can foresee, so that authors cannot choose ids that
    /// all want the same.
    pub(super) fn with_secret(mut self, secret: [u64; 2]) -> Self {
        self.secret = secret;
        let places = self.places.len();
        self.spread_over(places);
        self
    }

    /// Whether the post was taken before.
    #[must_use]
    pub fn is_seen(&self, id: &PostId) -> bool {
        let author = self.places.get(self.place(&id.origin)).and_then(Option::as_ref);
        let window = author.and_then(|author| author.window(id.stream));
        window.map_or(id.seq == 0, |window| window.is_seen(id.seq))
    }

    /// Takes the post; false when it was taken before.
    pub fn take(&mut self, id: &PostId) -> bool {
        if id.seq == 0 {
            return false;
        }
        let new = || Author::new(id.origin, id.stream, SeenWindow::default());
        self.author(id.origin, new).0.take(id.stream, id.seq)
    }

    /// All windows, by author, the most recently used first.
    pub fn iter(&self) -> impl Iterator<Item = SeenStream> {
        let mut authors: Vec<&Author> = self.places.iter().flatten().collect();
        authors.sort_unstable_by_key(|author| author.id);
        authors.into_iter().flat_map(|author| {
            author.iter().map(|(stream, window)| SeenStream { origin: author.id, stream: *stream, window: *window })
        })
    }

    /// An author's entry, made by the closure if it is new, and whether it is.
    fn author(&mut self, id: BotId, new: impl FnOnce() -> Author) -> (&mut Author, bool) {
        let mut place = self.place(&id);
        let is_new = self.places.get(place).is_none_or(Option::is_none);
        if is_new {
            if (self.authors + 1) * 4 > self.places.len() * 3 {
                self.spread_over((self.places.len() * 2).max(8));
                place = self.place(&id);
            }
            self.authors += 1;
        }
        (self.places[place].get_or_insert_with(new), is_new)
    }

    /// Where an author is, or would be.
    fn place(&self, id: &BotId) -> usize {
        let (words, _) = id.as_bytes().as_chunks::<8>();
        let word = |at: usize| u64::from_le_bytes(words[at]) ^ self.secret[at];
        let product = u128::from(word(0)) * u128::from(word(1));
        let last = self.places.len().wrapping_sub(1);
        let mut place = (product as u64 ^ (product >> 64) as u64) as usize & last;
        while self.places.get(place).and_then(Option::as_ref).is_some_and(|author| author.id != *id) {
            place = (place + 1) & last;
        }
        place
    }

    fn spread_over(&mut self, places: usize) {
        let authors = mem::replace(&mut self.places, (0..places).map(|_| None).collect());
        for author in authors.into_iter().flatten() {
            let place = self.place(&author.id);
            self.places[place] = Some(author);
        }
    }
}

impl fmt::Debug for SeenStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl PartialEq for SeenStreams {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SeenStreams {}

impl FromIterator<SeenStream> for SeenStreams {
    /// Takes windows in the order of [`SeenStreams::iter`]; what is beyond the bound of an author is dropped.
    fn from_iter<T: IntoIterator<Item = SeenStream>>(windows: T) -> Self {
        let mut all = Self::default();
        for SeenStream { origin, stream, window } in windows {
            let (author, is_new) = all.author(origin, || Author::new(origin, stream, window));
            if !is_new && author.older.len() < Self::PER_ORIGIN - 1 && author.window(stream).is_none() {
                let mut older = mem::take(&mut author.older).into_vec();
                older.push((stream, window));
                author.older = older.into();
            }
        }
        all
    }
}
