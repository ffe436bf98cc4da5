//! Pictures of a run: who sent what to whom, who was linked, when a post had reached everybody.
//!
//! Pure functions from plain data to text: the same data give the same bytes, and nothing is read or written. Every text
//! of the data is escaped. Whatever is too much for a picture is left out with a remark that says how much.
//!
//! ```
//! use std::time::Duration;
//! use interbot::Instant;
//! use interbot::lab::draw::{Fate, Happening, Mood, Story, What};
//!
//! let at = Instant::from_millis;
//! let connect = What::Frame {
//!     to: 1,
//!     label: "CONNECT".into(),
//!     bytes: 91,
//!     fate: Fate::Arrived(at(10)),
//!     retransmit: false,
//! };
//! let story = Story {
//!     title: "A dial".into(),
//!     lanes: vec!["ann".into(), "bob".into()],
//!     events: vec![
//!         Happening { at: at(0), lane: 0, what: connect },
//!         Happening { at: at(10), lane: 1, what: What::Note { text: "tag is good".into(), mood: Mood::Good } },
//!     ],
//! };
//! assert_eq!(
//!     story.mermaid(),
//!     "sequenceDiagram\n    title A dial\n    participant B0 as ann\n    participant B1 as bob\n    \
//!      B0->>B1: CONNECT, 91 B\n    Note over B1: ✓ tag is good\n"
//! );
//! assert!(story.html().starts_with("<!DOCTYPE html>"));
//! ```

mod axis;
mod layout;
mod link_map;
mod marks;
mod mermaid;
mod pen;
mod plot;
mod scene;
mod sequence;
mod style;
#[cfg(test)]
mod tests;
mod text;

use alloc::string::String;
use alloc::vec::Vec;

use crate::time::Instant;

pub use link_map::{LinkSpan, Outage, link_map};
pub use plot::{Series, convergence};

/// What happened in a run, for people to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Story {
    /// What it is about; may be empty.
    pub title: String,
    /// Names of the bots.
    pub lanes: Vec<String>,
    /// What happened, in the order of its time; events of one instant in the order of cause and effect.
    pub events: Vec<Happening>,
}

/// One event of a story.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    /// When it happened; for a frame, when it left.
    pub at: Instant,
    /// To which bot, as an index into [`Story::lanes`]. An event of a lane that does not exist is counted, not drawn.
    pub lane: usize,
    /// What.
    pub what: What,
}

/// What can happen to a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// Bytes left for another lane.
    Frame {
        /// Which lane they are for.
        to: usize,
        /// What they are, such as `CONNECT`.
        label: String,
        /// How many they are.
        bytes: usize,
        /// What became of them.
        fate: Fate,
        /// Whether the same was sent before.
        retransmit: bool,
    },
    /// Something that a reader should know, beside its lane.
    Note {
        /// In a few words; a long text is cut in the picture and whole in its hover title.
        text: String,
        /// Whether that is good or bad.
        mood: Mood,
    },
    /// The bot stopped.
    Down,
    /// The bot started again.
    Up,
}

/// What became of bytes that left.
///
/// Exhaustive: there is no fourth end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// They arrived; an arrival before the departure counts as one at once.
    Arrived(Instant),
    /// They were dropped, cut off or thrown away.
    Lost,
    /// They are still on their way at the end.
    UnderWay,
}

/// Whether a note tells something good.
///
/// Exhaustive: a picture has a sign and a colour for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mood {
    /// As it should be.
    Good,
    /// Neither.
    #[default]
    Plain,
    /// A fault, a failure, a loss.
    Bad,
}

impl Story {
    /// Draws the story as a Mermaid `sequenceDiagram`, for a README or a wiki.
    ///
    /// Lost frames end in a cross, retransmissions are dotted, frames still under way have an open head, long quiet times
    /// are a note. It stays below the 50,000 characters that Mermaid renders by default; what is left out is
    /// counted in a note at the end.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }

    /// Draws the story as one HTML page that needs nothing else: a lane for each bot, time downwards.
    ///
    /// Time is not linear on paper: dense moments are spread until no label covers another, long quiet ones are folded and say
    /// how long they were. Equal frames that repeat in a quiet time, such as keepalives, are folded into one arrow, `× 12`.
    /// Exact times and sizes are in the hover titles. At most 2,000 frames and 2,000 other events are drawn, and the page
    /// says how many are not: see [`between`](Self::between) and [`only`](Self::only).
    #[must_use]
    pub fn html(&self) -> String {
        sequence::draw(self)
    }

    /// The part of the story from one instant to another, both included.
    ///
    /// A frame belongs to the time when it left; one that arrives after `to` is under way. A bot that was down at `from`
    /// goes down at `from`.
    #[must_use]
    pub fn between(&self, from: Instant, to: Instant) -> Self {
        let mut down: Vec<bool> = self.lanes.iter().map(|_| false).collect();
        for event in self.events.iter().filter(|event| event.at < from) {
            if let (Some(down), What::Down | What::Up) = (down.get_mut(event.lane), &event.what) {
                *down = event.what == What::Down;
            }
        }
        let still_down = down.iter().enumerate().filter(|(_, down)| **down);
        let mut events: Vec<Happening> =
            still_down.map(|(lane, _)| Happening { at: from, lane, what: What::Down }).collect();
        for event in self.events.iter().filter(|event| event.at >= from && event.at <= to) {
            let mut event = event.clone();
            if let What::Frame { fate, .. } = &mut event.what
                && matches!(fate, Fate::Arrived(at) if *at > to)
            {
                *fate = Fate::UnderWay;
            }
            events.push(event);
        }
        Self { title: self.title.clone(), lanes: self.lanes.clone(), events }
    }

    /// The story of some lanes, in the order given: their notes and outages, and the frames among them.
    ///
    /// Lanes that do not exist, and a lane's second mention, are ignored.
    #[must_use]
    pub fn only(&self, lanes: &[usize]) -> Self {
        let mut places: Vec<Option<usize>> = self.lanes.iter().map(|_| None).collect();
        let mut names = Vec::new();
        for lane in lanes {
            if let (Some(place @ None), Some(name)) = (places.get_mut(*lane), self.lanes.get(*lane)) {
                *place = Some(names.len());
                names.push(name.clone());
            }
        }
        let place = |lane: usize| places.get(lane).copied().flatten();
        let events = self.events.iter().filter_map(|event| {
            let mut event = Happening { lane: place(event.lane)?, ..event.clone() };
            if let What::Frame { to, .. } = &mut event.what {
                *to = place(*to)?;
            }
            Some(event)
        });
        Self { title: self.title.clone(), lanes: names, events: events.collect() }
    }
}
