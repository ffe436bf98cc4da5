//! What of a story is drawn: in order, checked, equal things taken together, and not more than can be looked at.

use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use super::{Fate, Happening, Mood, Story, What};
use crate::time::Instant;

/// Chosen because a page of so many arrows still opens at once and is already dozens of screens long.
pub(super) const MOST_FRAMES: usize = 2_000;
/// The same for everything else.
pub(super) const MOST_OTHERS: usize = 2_000;
/// So many equal frames in quiet time are one arrow; fewer are no pattern yet.
const LEAST_RUN: usize = 4;

/// Frames of one sender, equal but for where they go, that left at once.
#[derive(Debug)]
pub(super) struct Fan<'a> {
    pub(super) at: Instant,
    pub(super) lane: usize,
    pub(super) label: &'a str,
    pub(super) bytes: usize,
    pub(super) retransmit: bool,
    pub(super) heads: Vec<(usize, Fate)>,
}

/// Equal frames of one direction within a quiet time.
#[derive(Debug)]
pub(super) struct Repeated<'a> {
    pub(super) lane: usize,
    pub(super) to: usize,
    pub(super) label: &'a str,
    pub(super) bytes: usize,
    pub(super) count: usize,
}

#[derive(Debug)]
pub(super) enum Item<'a> {
    Fan(Fan<'a>),
    Run { from: Instant, to: Instant, frames: Vec<Repeated<'a>> },
    Note { at: Instant, lane: usize, text: &'a str, mood: Mood },
    Down { at: Instant, lane: usize },
    Up { at: Instant, lane: usize },
}

impl Item<'_> {
    pub(super) fn at(&self) -> Instant {
        match self {
            Self::Fan(Fan { at, .. }) | Self::Run { from: at, .. } => *at,
            Self::Note { at, .. } | Self::Down { at, .. } | Self::Up { at, .. } => *at,
        }
    }
}

/// A story made ready for drawing.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub(super) items: Vec<Item<'a>>,
    /// How long frames usually are on their way: the measure of time on paper.
    pub(super) usual: Duration,
    pub(super) frames: usize,
    pub(super) bytes: u128,
    pub(super) lost: usize,
    pub(super) retransmitted: usize,
    /// Of the frames, how many are too many to be drawn.
    pub(super) frames_left_out: usize,
    /// When the first of these left.
    pub(super) frames_end: Option<Instant>,
    pub(super) others_left_out: usize,
    /// Events of lanes that do not exist.
    pub(super) nowhere: usize,
    /// First and last instant of the story.
    pub(super) range: Option<(Instant, Instant)>,
}

/// A time without events that is longer than this many usual transit times is folded.
const QUIET_TRANSITS: u32 = 6;

impl<'a> Scene<'a> {
    pub(super) fn new(story: &'a Story) -> Self {
        let lanes = story.lanes.len();
        let exists =
            |event: &&Happening| event.lane < lanes && !matches!(event.what, What::Frame { to, .. } if to >= lanes);
        let mut events: Vec<&Happening> = story.events.iter().filter(exists).collect();
        events.sort_by_key(|event| event.at);
        let mut scene = Scene {
            items: Vec::new(),
            usual: usual(&events),
            frames: 0,
            bytes: 0,
            lost: 0,
            retransmitted: 0,
            frames_left_out: 0,
            frames_end: None,
            others_left_out: 0,
            nowhere: story.events.len() - events.len(),
            range: None,
        };
        for event in &events {
            scene.count(event);
        }
        let runs = runs(&events, scene.quiet());
        scene.place(&events, &runs);
        scene
    }

    /// A time without events that is longer is folded.
    pub(super) fn quiet(&self) -> Duration {
        self.usual.saturating_mul(QUIET_TRANSITS)
    }

    fn count(&mut self, event: &Happening) {
        let mut last = event.at;
        if let What::Frame { bytes, fate, retransmit, .. } = &event.what {
            self.frames += 1;
            self.bytes += *bytes as u128;
            self.lost += usize::from(*fate == Fate::Lost);
            self.retransmitted += usize::from(*retransmit);
            if let Fate::Arrived(at) = fate {
                last = last.max(*at);
            }
        }
        let (from, to) = self.range.unwrap_or((event.at, last));
        self.range = Some((from, to.max(last)));
    }

    fn place(&mut self, events: &[&'a Happening], runs: &[(usize, usize)]) {
        let (mut drawn, mut others, mut next) = (0, 0, 0);
        let mut runs = runs.iter().copied().peekable();
        while let Some(event) = events.get(next) {
            if let Some((from, to)) = runs.next_if(|(from, _)| *from == next) {
                let mut frames = repeated(&events[from..to]);
                next = to;
                let rest = frames.split_off(frames.len().min(MOST_FRAMES - drawn));
                if !rest.is_empty() {
                    self.leave_out(event.at, rest.iter().map(|same| same.count).sum());
                }
                if !frames.is_empty() {
                    drawn += frames.len();
                    self.items.push(Item::Run { from: event.at, to: events[to - 1].at, frames });
                }
                continue;
            }
            next += 1;
            let at = event.at;
            let lane = event.lane;
            if let What::Frame { to, label, bytes, fate, retransmit } = &event.what {
                if drawn >= MOST_FRAMES {
                    self.leave_out(at, 1);
                    continue;
                }
                drawn += 1;
                let fan = Fan { at, lane, label, bytes: *bytes, retransmit: *retransmit, heads: vec![(*to, *fate)] };
                match self.items.last_mut() {
                    Some(Item::Fan(last)) if last.takes(&fan) => last.heads.push((*to, *fate)),
                    _ => self.items.push(Item::Fan(fan)),
                }
            } else if others >= MOST_OTHERS {
                self.others_left_out += 1;
            } else {
                others += 1;
                self.items.push(match &event.what {
                    What::Note { text, mood } => Item::Note { at, lane, text, mood: *mood },
                    What::Down => Item::Down { at, lane },
                    What::Up | What::Frame { .. } => Item::Up { at, lane },
                });
            }
        }
    }

    fn leave_out(&mut self, at: Instant, frames: usize) {
        self.frames_end.get_or_insert(at);
        self.frames_left_out += frames;
    }
}

impl Fan<'_> {
    /// Whether another frame leaves together with these, for a lane that gets none of them yet.
    fn takes(&self, other: &Fan<'_>) -> bool {
        let to = other.heads.first().map(|(to, _)| *to);
        (self.at, self.lane, self.label, self.bytes, self.retransmit)
            == (other.at, other.lane, other.label, other.bytes, other.retransmit)
            && self.heads.iter().all(|(head, _)| Some(*head) != to)
            && to != Some(self.lane)
    }
}

/// The median transit time; without one, the median time from event to event; one nanosecond at least.
fn usual(events: &[&Happening]) -> Duration {
    let transit = |event: &&Happening| match event.what {
        What::Frame { fate: Fate::Arrived(at), .. } => Some(at.since(event.at)),
        _ => None,
    };
    let median = |spans: &mut dyn Iterator<Item = Duration>| {
        let mut spans: Vec<Duration> = spans.filter(|span| !span.is_zero()).collect();
        spans.sort_unstable();
        spans.get(spans.len() / 2).copied()
    };
    let gaps = &mut events.windows(2).map(|pair| pair[1].at.since(pair[0].at));
    median(&mut events.iter().filter_map(transit)).or_else(|| median(gaps)).unwrap_or(Duration::from_nanos(1))
}

type Sort<'a> = (usize, usize, &'a str, usize);

/// What a frame is, if it may be one of many: it came straight and at the first time.
fn sort<'a>(event: &&'a Happening) -> Option<Sort<'a>> {
    match &event.what {
        What::Frame { to, label, bytes, fate: Fate::Arrived(_), retransmit: false } => {
            Some((event.lane, *to, label, *bytes))
        }
        _ => None,
    }
}

fn repeated<'a>(events: &[&'a Happening]) -> Vec<Repeated<'a>> {
    let mut all: Vec<Repeated<'a>> = Vec::new();
    let mut places: BTreeMap<Sort<'_>, usize> = BTreeMap::new();
    for (lane, to, label, bytes) in events.iter().filter_map(sort) {
        let place = *places.entry((lane, to, label, bytes)).or_insert(all.len());
        match all.get_mut(place) {
            Some(same) => same.count += 1,
            None => all.push(Repeated { lane, to, label, bytes, count: 1 }),
        }
    }
    all
}

/// Stretches of events in which each frame is one of several equal ones that are far apart, as `from..to`.
///
/// Cuts the events at every frame that is not, and looks at the pieces again, since a cut makes frames rarer.
fn runs(events: &[&Happening], quiet: Duration) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut open = vec![(0, events.len())];
    while let Some((from, to)) = open.pop() {
        let piece = &events[from..to];
        let mut seen: BTreeMap<Sort<'_>, (usize, Instant, Instant)> = BTreeMap::new();
        for event in piece {
            if let Some(sort) = sort(event) {
                let (count, _, last) = seen.entry(sort).or_insert((0, event.at, event.at));
                (*count, *last) = (*count + 1, event.at);
            }
        }
        let repeats = |event: &&Happening| {
            sort(event).and_then(|sort| seen.get(&sort)).is_some_and(|(count, first, last)| {
                let times = u32::try_from(*count - 1).unwrap_or(u32::MAX);
                *count >= LEAST_RUN && last.since(*first) > quiet.saturating_mul(times)
            })
        };
        if !piece.is_empty() && piece.iter().all(repeats) {
            found.push((from, to));
            continue;
        }
        let mut start = None;
        for (place, event) in piece.iter().enumerate() {
            match (repeats(event), start) {
                (true, None) => start = Some(from + place),
                (false, Some(begin)) => {
                    open.push((begin, from + place));
                    start = None;
                }
                _ => {}
            }
        }
        if let Some(begin) = start {
            open.push((begin, to));
        }
    }
    found.sort_unstable();
    found
}
