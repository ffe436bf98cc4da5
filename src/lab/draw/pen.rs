//! The pass that lays a scene out.
//!
//! In the order of time: `y` never goes back. Each step first takes the distance that its time deserves, then moves down
//! until its text is free of all text above it; so labels cannot overlap, however dense the moment.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::layout::{Area, Arrow, Fold, Label, Layout, Note, Outage, Page, Tick};
use super::scene::{Fan, Item, Scene};
use super::{Fate, text};
use crate::time::Instant;

/// Distance on paper of the usual transit time.
const TRANSIT: f64 = 30.0;
/// A longer distance says no more.
const LONGEST: f64 = 84.0;
/// Two instants are never closer, else they look like one.
const SHORTEST: f64 = 4.0;
/// An arrow that takes time falls by so much at least, so that it points downwards.
const LEAST_FALL: f64 = 10.0;
/// An arrow that never arrives falls by so much.
const LOST_FALL: f64 = 16.0;
/// Height of the mark of a folded time.
const BREAK: f64 = 16.0;
const LINE: f64 = 14.0;
const NOTE_LINES: usize = 4;
const TICK_ROOM: f64 = 14.0;

/// A step of the pass: the key is time, then arrivals of earlier frames before what happens next, then the order given.
type Step = (Instant, bool, usize, Option<usize>);

fn steps(scene: &Scene<'_>) -> Vec<Step> {
    let mut steps = Vec::new();
    for (place, item) in scene.items.iter().enumerate() {
        steps.push((item.at(), true, place, None));
        let Item::Fan(fan) = item else { continue };
        for (head, (_, fate)) in fan.heads.iter().enumerate() {
            if let Fate::Arrived(at) = fate {
                steps.push(((*at).max(fan.at), *at <= fan.at, place, Some(head)));
            }
        }
    }
    steps.sort_unstable();
    steps
}

pub(super) fn lay_out(scene: &Scene<'_>, lanes: usize) -> Layout {
    let mut pen = Pen::new(Page::new(lanes), scene.items.len());
    for (at, _, place, head) in steps(scene) {
        pen.advance(at, scene);
        match (&scene.items[place], head) {
            (Item::Fan(fan), Some(head)) => pen.arrival(place, fan, head),
            (Item::Fan(fan), None) => pen.departure(place, fan),
            (Item::Run { from, to, frames }, _) => {
                let top = pen.open_fold();
                for (head, same) in frames.iter().enumerate() {
                    let text = format!("{} × {}", words(same.label, same.bytes, pen.out.page.slanted), same.count);
                    pen.repeated(place, head, (same.lane, same.to), &text);
                }
                pen.close_fold(top, to.since(*from));
                pen.clock = pen.clock.max(Some(*to));
                pen.ticks.push((pen.y, *to, true));
            }
            (Item::Note { lane, text, .. }, _) => pen.note(place, *lane, text),
            (Item::Down { at, lane }, _) => pen.turn(place, *lane, *at, false),
            (Item::Up { at, lane }, _) => pen.turn(place, *lane, *at, true),
        }
    }
    pen.finish()
}

struct Pen {
    out: Layout,
    y: f64,
    clock: Option<Instant>,
    /// Lowest point so far.
    bottom: f64,
    texts: Vec<Area>,
    heads: Vec<Area>,
    tails: Vec<f64>,
    /// With whether it is an event, which gets its time before an arrival does.
    ticks: Vec<(f64, Instant, bool)>,
}

impl Pen {
    fn new(page: Page, items: usize) -> Self {
        let out = Layout {
            page,
            height: 0.0,
            arrows: Vec::new(),
            labels: Vec::new(),
            notes: Vec::new(),
            ticks: Vec::new(),
            folds: Vec::new(),
            outages: Vec::new(),
        };
        let tails = (0..items).map(|_| 0.0).collect();
        let (texts, heads, ticks) = (Vec::new(), Vec::new(), Vec::new());
        Self { out, y: 34.0, clock: None, bottom: 10.0, texts, heads, tails, ticks }
    }

    fn advance(&mut self, at: Instant, scene: &Scene<'_>) {
        let before = self.clock.unwrap_or(at);
        let passed = at.since(before);
        if passed > scene.quiet() {
            let top = self.bottom.max(self.y) + 9.0;
            self.out.folds.push(Fold { top, bottom: top + BREAK, length: passed, run: false });
            self.y = top + BREAK + 20.0;
        } else if !passed.is_zero() {
            let transits = passed.as_nanos() as f64 / scene.usual.as_nanos().max(1) as f64;
            self.y += (transits * TRANSIT).clamp(SHORTEST, LONGEST);
        }
        self.clock = Some(before.max(at));
        // What ended above everything that can still come is not looked at again.
        let horizon = self.y - 2.0 * LINE;
        self.texts.retain(|area| area.bottom > horizon);
        self.heads.retain(|area| area.bottom > horizon);
    }

    /// Moves down until none of the areas meets a text, nor, for a text, the head of an arrow; gives the distance.
    fn free(&self, areas: &[Area], text: bool) -> f64 {
        let mut by = 0.0;
        loop {
            let others = self.texts.iter().chain(self.heads.iter().take(if text { usize::MAX } else { 0 }));
            let mut clear: f64 = by;
            for other in others {
                for area in areas.iter().filter(|area| area.down(by).meets(other)) {
                    clear = clear.max(other.bottom - area.top + 1.0);
                }
            }
            if clear <= by {
                return by;
            }
            by = clear;
        }
    }

    /// The last piece of an arrow, or its first: no text stands there.
    fn tip(&self, x: f64, y: f64, towards: f64, fall: f64) -> Area {
        let reach = (self.out.page.column * 0.4).clamp(10.0, 40.0);
        let (left, right) = if towards < x { (x - reach, x) } else { (x, x + reach) };
        let slope = fall / (towards - x).abs().max(1.0);
        let rise = (reach * slope).clamp(-LINE, LINE);
        Area { left, right, top: y.min(y + rise) - 3.0, bottom: y.max(y + rise) + 3.0 }
    }

    /// Where a label stands: over the tail of its arrow, on the side to which that goes, and within the page.
    fn label_area(&self, lane: usize, to: usize, text: &str) -> (Area, bool) {
        let (x, page) = (self.out.page.x(lane), &self.out.page);
        let wide = text::width(text, page.font);
        let (left, ends) = if to < lane { (x - 7.0 - wide, true) } else { (x + 7.0, false) };
        let inside = left.min(page.width - 4.0 - wide).max(4.0);
        let area = Area { left: inside, right: inside + wide, top: self.y - page.font - 4.0, bottom: self.y - 1.0 };
        (area, ends && inside == left)
    }

    fn label_text(&self, lane: usize, to: usize, text: &str) -> String {
        let distance = (self.out.page.x(lane) - self.out.page.x(to)).abs();
        text::shorten(text, self.out.page.font, (distance - 20.0).clamp(130.0, 380.0))
    }

    fn departure(&mut self, item: usize, fan: &Fan<'_>) {
        let Some((to, _)) = fan.heads.first() else { return };
        let mut words = words(fan.label, fan.bytes, self.out.page.slanted);
        if fan.heads.len() > 1 {
            words += &format!(" → {}", fan.heads.len());
        }
        let text = self.label_text(fan.lane, *to, &words);
        let (area, ends) = self.label_area(fan.lane, *to, &text);
        let x = self.out.page.x(fan.lane);
        let mut areas = Vec::from([area, self.tip(x, self.y, self.out.page.x(*to), 0.0)]);
        let mut arrows: Vec<Arrow> = Vec::new();
        for (head, (to, fate)) in fan.heads.iter().enumerate() {
            let reach = match fate {
                Fate::Arrived(_) => continue,
                Fate::Lost => 0.6,
                Fate::UnderWay => 0.45,
            };
            let far = if *to == fan.lane { 40.0 } else { (self.out.page.x(*to) - x) * reach };
            let end = (x + far, self.y + LOST_FALL);
            arrows.push(Arrow { item, head, from: (x, self.y), to: end });
            areas.push(Area { left: end.0 - 8.0, right: end.0 + 8.0, top: end.1 - 8.0, bottom: end.1 + 8.0 });
        }
        let by = self.free(&areas, true);
        self.y += by;
        self.tails[item] = self.y;
        self.ticks.push((self.y, fan.at, true));
        self.texts.push(area.down(by));
        self.out.labels.push(Label { item, head: 0, text, area: area.down(by), ends });
        self.heads.extend(areas.iter().skip(2).map(|tip| tip.down(by)));
        self.bottom = areas.iter().map(|area| area.bottom + by).fold(self.bottom, f64::max);
        let fallen = |(x, y): (f64, f64)| (x, y + by);
        self.out.arrows.extend(arrows.into_iter().map(|a| Arrow { from: fallen(a.from), to: fallen(a.to), ..a }));
    }

    fn arrival(&mut self, item: usize, fan: &Fan<'_>, head: usize) {
        let Some((to, fate)) = fan.heads.get(head) else { return };
        let (x, from, start) = (self.out.page.x(*to), self.out.page.x(fan.lane), self.tails[item]);
        let Fate::Arrived(at) = *fate else { return };
        if *to == fan.lane {
            self.y = self.y.max(start + 12.0);
        } else if at > fan.at {
            self.y = self.y.max(start + LEAST_FALL);
        }
        let tip = self.tip(x, self.y, from, start - self.y);
        let by = self.free(&[tip], false);
        self.y += by;
        self.heads.push(tip.down(by));
        self.bottom = self.bottom.max(self.y);
        self.ticks.push((self.y, at.max(fan.at), false));
        self.out.arrows.push(Arrow { item, head, from: (from, start), to: (x, self.y) });
    }

    fn open_fold(&mut self) -> f64 {
        let top = self.bottom.max(self.y) + 8.0;
        self.ticks.push((top, self.clock.unwrap_or_default(), true));
        self.y = top + LINE + 10.0;
        top
    }

    fn repeated(&mut self, item: usize, head: usize, (lane, to): (usize, usize), words: &str) {
        let text = self.label_text(lane, to, words);
        let (area, ends) = self.label_area(lane, to, &text);
        let (from, x) = (self.out.page.x(lane), self.out.page.x(to));
        let row = Area { left: from.min(x), right: from.max(x) + 1.0, top: self.y - 3.0, bottom: self.y + 5.0 };
        let by = self.free(&[area, row], true);
        self.y += by;
        self.texts.extend([area.down(by), row.down(by)]);
        self.out.labels.push(Label { item, head, text, area: area.down(by), ends });
        self.out.arrows.push(Arrow { item, head, from: (from, self.y), to: (x, self.y) });
        self.bottom = self.bottom.max(self.y);
    }

    fn close_fold(&mut self, top: f64, length: Duration) {
        let bottom = self.bottom.max(self.y) + 12.0;
        self.out.folds.push(Fold { top, bottom, length, run: true });
        (self.y, self.bottom) = (bottom, bottom + 6.0);
    }

    fn note(&mut self, item: usize, lane: usize, words: &str) {
        let page = self.out.page;
        let room = (page.column - 60.0).clamp(140.0, 230.0);
        let lines = text::wrap(words, page.font, room, NOTE_LINES);
        let widest = lines.iter().map(|line| text::width(line, page.font)).fold(0.0, f64::max);
        // The sign of its mood stands before the text.
        let (wide, high) = (widest + 28.0, lines.len().max(1) as f64 * LINE + 6.0);
        let x = page.x(lane);
        let left = if x + 10.0 + wide <= page.width - 2.0 { x + 10.0 } else { (x - 10.0 - wide).max(2.0) };
        let area = Area { left, right: left + wide, top: self.y - 9.0, bottom: self.y - 9.0 + high };
        let by = self.free(&[area], true);
        self.y += by;
        let area = area.down(by);
        self.texts.push(area.down(2.0));
        self.bottom = self.bottom.max(area.bottom);
        self.ticks.push((self.y, self.clock.unwrap_or_default(), true));
        self.out.notes.push(Note { item, lines, area });
    }

    /// The bot stops or starts.
    fn turn(&mut self, item: usize, lane: usize, at: Instant, up: bool) {
        let x = self.out.page.x(lane);
        let open = self.out.outages.iter().rposition(|outage| outage.lane == lane && outage.to.1.is_none());
        let said_before = self.out.outages.iter().any(|outage| outage.lane == lane);
        if let (true, Some(open)) = (up, open) {
            self.y = self.y.max(self.out.outages[open].from.0 + LINE);
        }
        let text: String = if up { "up".into() } else { "down".into() };
        let left = x + 9.0;
        let wide = text::width(&text, self.out.page.font);
        let left = left.min(self.out.page.width - 4.0 - wide);
        let area = Area { left, right: left + wide, top: self.y - 7.0, bottom: self.y + 7.0 };
        let by = self.free(&[area], true);
        self.y += by;
        let area = area.down(by);
        self.texts.push(area);
        self.out.labels.push(Label { item, head: 0, text, area, ends: false });
        self.bottom = self.bottom.max(area.bottom);
        self.ticks.push((self.y, at, true));
        match (up, open) {
            (true, Some(open)) => self.out.outages[open].to = (self.y, Some(at)),
            // A bot that starts was down before, even if nobody said so.
            (true, None) if !said_before => {
                self.out.outages.push(Outage { lane, from: (0.0, None), to: (self.y, Some(at)) });
            }
            (false, None) => self.out.outages.push(Outage { lane, from: (self.y, Some(at)), to: (self.y, None) }),
            _ => {}
        }
    }

    fn finish(mut self) -> Layout {
        self.out.height = self.bottom.max(self.y) + 24.0;
        for outage in self.out.outages.iter_mut().filter(|outage| outage.to.1.is_none()) {
            outage.to.0 = self.out.height;
        }
        self.out.ticks = ticks(&self.ticks);
        self.out
    }
}

/// In narrow columns only the hover title tells the size.
fn words(label: &str, bytes: usize, narrow: bool) -> String {
    match (label.trim(), narrow) {
        ("", _) => text::size(bytes),
        (label, true) => label.into(),
        (label, false) => format!("{label}, {}", text::size(bytes)),
    }
}

/// The times that are written at the axis: as many as there is room for, events before arrivals.
fn ticks(wanted: &[(f64, Instant, bool)]) -> Vec<Tick> {
    let mut chosen: Vec<(f64, Instant)> = Vec::new();
    for (y, at, _) in wanted.iter().filter(|(_, _, event)| *event) {
        let free = chosen.last().is_none_or(|(last, before)| y - last >= TICK_ROOM && at > before);
        if free {
            chosen.push((*y, *at));
        }
    }
    let events = chosen.len();
    for (y, at, _) in wanted.iter().filter(|(_, _, event)| !*event) {
        let place = chosen[..events].partition_point(|(other, _)| other < y);
        let near = |tick: Option<&(f64, Instant)>| {
            tick.is_some_and(|(other, same)| (y - other).abs() < TICK_ROOM || same == at)
        };
        let last = chosen[events..].last();
        if !near(chosen[..events].get(place)) && !near(place.checked_sub(1).map(|place| &chosen[place])) && !near(last)
        {
            chosen.push((*y, *at));
        }
    }
    chosen.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let instants: Vec<Instant> = chosen.iter().map(|(_, at)| *at).collect();
    chosen.iter().zip(text::times(&instants)).map(|((y, at), text)| Tick { y: *y, at: *at, text }).collect()
}
