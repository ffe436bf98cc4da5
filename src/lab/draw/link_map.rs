//! Who was linked with whom, when.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;

use super::axis::Axis;
use super::plot::{open, time_scale};
use super::style::{Colour, SHARED};
use super::text::{Px, count, exact, one_line, shorten, span, title, width, xml};
use crate::time::Instant;

/// A link's life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkSpan {
    /// One end, as an index of a lane.
    pub a: usize,
    /// The other end.
    pub b: usize,
    /// When it was up.
    pub from: Instant,
    /// When it ended; none while it lasts.
    pub to: Option<Instant>,
    /// Why it ended; empty while it lasts.
    pub end: String,
}

/// A time in which a bot was down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Which bot, as an index of a lane.
    pub lane: usize,
    /// When it stopped.
    pub from: Instant,
    /// When it started again; none if it did not.
    pub to: Option<Instant>,
}

const TOP: f64 = 72.0;
const PLOT_WIDTH: f64 = 780.0;
const BAR: f64 = 8.0;
const TRACK: f64 = 14.0;
const FONT: f64 = 11.0;
const NAME_ROOM: f64 = 105.0;
/// Chosen because a picture of so many rows is already 18 screens long.
const MOST_ROWS: usize = 1_000;
/// From this height on the times stand above as well.
const TALL: f64 = 300.0;
const KEY: &str = "bar: linked · cross: ended, and why · wedge: still linked · shaded: one end was down";
/// Spans and outages that are drawn, each.
const MOST_BARS: usize = 5_000;

const COLOURS: [Colour; 4] = [
    (".bar", "fill", "#3f7fc1", "#4d94d8"),
    (".downbar", "fill", "#5c6570", "#a3adb8"),
    (".still", "fill", "#3f7fc1", "#4d94d8"),
    (".band", "fill", "#f6f7f9", "#1b1f24"),
];

/// Bars of one link that are one above the other where they overlap.
#[derive(Default)]
struct Row<'a> {
    tracks: Vec<Vec<&'a LinkSpan>>,
}

/// Draws a row for each link, with bars from its beginning to its end, as a self-contained SVG.
///
/// A bar that ends in a cross has the reason beside it where there is room, and in its hover title; one that ends in a
/// wedge lasts. Outages have rows of their own at the top, and shade the rows of the links of their bot. The order of a
/// link's ends means nothing; spans of one link that overlap, such as the views of its two ends, stand one
/// above the other. `end` is the end of the run.
#[must_use]
pub fn link_map(heading: &str, lanes: &[String], spans: &[LinkSpan], outages: &[Outage], end: Instant) -> String {
    let rows = rows(lanes.len(), spans);
    let down: Vec<&Outage> = outages.iter().filter(|outage| outage.lane < lanes.len()).take(MOST_BARS).collect();
    let mut sick: Vec<usize> = down.iter().map(|outage| outage.lane).collect();
    sick.sort_unstable();
    sick.dedup();
    let instants = || {
        let spans = rows.values().flat_map(|row| row.tracks.iter().flatten());
        spans
            .flat_map(|link| [Some(link.from), link.to])
            .chain(down.iter().flat_map(|out| [Some(out.from), out.to]))
            .flatten()
    };
    let last = instants().fold(end, Ord::max);
    let names: Vec<String> = lanes.iter().map(|name| xml(&shorten(name, FONT, NAME_ROOM))).collect();
    let name = |lane: usize| names.get(lane).map(String::as_str).unwrap_or_default();
    let name_width = |lane: usize| lanes.get(lane).map_or(0.0, |name| width(&shorten(name, FONT, NAME_ROOM), FONT));
    let labels = rows.keys().map(|(a, b)| name_width(*a) + name_width(*b) + 24.0);
    let left = labels.chain(sick.iter().map(|lane| name_width(*lane) + 48.0)).fold(60.0, f64::max) + 20.0;
    // A run begins at the origin of its clock, unless it is far from there.
    let first = instants().fold(end, Ord::min);
    let begin = if first.since(Instant::ZERO) <= last.since(first) { Instant::ZERO } else { first };
    let axis = Axis::new(begin, last, left, PLOT_WIDTH);
    let tracks: usize = rows.values().map(|row| row.tracks.len()).sum();
    let gap = if sick.is_empty() || rows.is_empty() { 0.0 } else { 10.0 };
    let high =
        ((tracks + sick.len()) as f64 * TRACK + rows.len() as f64 * 4.0 + sick.len() as f64 * 4.0 + gap).max(40.0);
    let mut out = open("interbot-links", heading, (left + PLOT_WIDTH + 40.0, TOP + high + 40.0), &[&SHARED, &COLOURS]);
    let mut body = String::new();
    let mut y = TOP;
    for lane in &sick {
        row_name(&mut body, &format!("{} down", name(*lane)), left, y + TRACK - 1.0);
        for outage in down.iter().filter(|outage| outage.lane == *lane) {
            outage_rect(&mut body, lanes, outage, &axis, ("downbar", last), (y + 4.0, BAR));
        }
        y += TRACK + 4.0;
    }
    y += gap;
    for (place, ((a, b), row)) in rows.iter().enumerate() {
        let tall = row.tracks.len() as f64 * TRACK + 4.0;
        if place % 2 == 0 {
            let _ = writeln!(
                out,
                "<rect class=\"band\" x=\"0\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                Px(y),
                Px(left + PLOT_WIDTH + 40.0),
                Px(tall)
            );
        }
        row_name(&mut body, &format!("{} – {}", name(*a), name(*b)), left, y + tall / 2.0 + 4.0);
        for outage in down.iter().filter(|outage| outage.lane == *a || outage.lane == *b) {
            outage_rect(&mut body, lanes, outage, &axis, ("shade", last), (y + 0.5, tall - 1.0));
        }
        for (track, bars) in row.tracks.iter().enumerate() {
            draw_track(&mut body, lanes, bars, &axis, last, y + 4.0 + track as f64 * TRACK);
        }
        y += tall;
    }
    if rows.is_empty() && sick.is_empty() {
        let x = Px(left + PLOT_WIDTH / 2.0);
        let _ = writeln!(
            body,
            "<text class=\"dim\" font-size=\"14\" text-anchor=\"middle\" x=\"{x}\" y=\"{}\">no links</text>",
            Px(TOP + 24.0)
        );
    }
    time_scale(&mut out, &axis, TOP, TOP + high);
    for (at, name) in axis.ticks(8).into_iter().filter(|_| high > TALL) {
        let (x, y) = (Px(axis.x(at)), Px(TOP - 8.0));
        let _ = writeln!(
            out,
            "<text class=\"dim\" font-size=\"12\" text-anchor=\"middle\" x=\"{x}\" y=\"{y}\">{name}</text>"
        );
    }
    let _ = writeln!(out, "<text class=\"dim\" font-size=\"11\" x=\"16\" y=\"44\">{KEY}</text>");
    let drawn: usize = rows.values().flat_map(|row| &row.tracks).map(Vec::len).sum();
    out += &body;
    let left_out = (spans.len() - drawn, outages.len() - down.len());
    if left_out != (0, 0) {
        let words = format!("Not drawn: {}, {}", count(left_out.0, "link"), count(left_out.1, "outage"));
        let _ = writeln!(
            out,
            "<text class=\"badtext\" font-size=\"12\" text-anchor=\"end\" x=\"{}\" y=\"44\">{words}</text>",
            Px(left + PLOT_WIDTH + 24.0)
        );
    }
    out + "</svg>\n"
}

fn rows(lanes: usize, spans: &[LinkSpan]) -> BTreeMap<(usize, usize), Row<'_>> {
    let mut sorted: Vec<&LinkSpan> = spans.iter().filter(|link| link.a < lanes && link.b < lanes).collect();
    sorted.sort_by_key(|link| (link.from, link.to.is_none(), link.to));
    let mut rows: BTreeMap<(usize, usize), Row<'_>> = BTreeMap::new();
    for link in sorted.into_iter().take(MOST_BARS) {
        let key = (link.a.min(link.b), link.a.max(link.b));
        if rows.len() == MOST_ROWS && !rows.contains_key(&key) {
            continue;
        }
        let row = rows.entry(key).or_default();
        let ended = |before: &&LinkSpan| before.to.is_some_and(|to| to.max(before.from) <= link.from);
        match row.tracks.iter_mut().find(|track| track.last().is_none_or(ended)) {
            Some(track) => track.push(link),
            None => row.tracks.push(Vec::from([link])),
        }
    }
    rows
}

fn row_name(out: &mut String, escaped: &str, left: f64, y: f64) {
    let _ = writeln!(
        out,
        "<text font-size=\"{}\" text-anchor=\"end\" x=\"{}\" y=\"{}\">{escaped}</text>",
        Px(FONT),
        Px(left - 10.0),
        Px(y)
    );
}

fn outage_rect(
    out: &mut String,
    lanes: &[String],
    outage: &Outage,
    axis: &Axis,
    (class, end): (&str, Instant),
    (y, tall): (f64, f64),
) {
    let (x, right) = (axis.x(outage.from), axis.x(outage.to.unwrap_or(end)));
    let name = lanes.get(outage.lane).map(|name| one_line(name)).unwrap_or_default();
    let until = outage.to.map_or("the end".into(), exact);
    let _ = writeln!(
        out,
        "<g><title>{}</title><rect class=\"{class}\" stroke-dasharray=\"3 2\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/></g>",
        title(&format!("{name} was down from {} to {until}", exact(outage.from))),
        Px(x),
        Px(y),
        Px((right - x).max(1.5)),
        Px(tall)
    );
}

/// Bars side by side, each with its end.
fn draw_track(out: &mut String, lanes: &[String], bars: &[&LinkSpan], axis: &Axis, end: Instant, y: f64) {
    for (place, link) in bars.iter().enumerate() {
        let to = link.to.unwrap_or(end).max(link.from);
        let (x, right) = (axis.x(link.from), axis.x(to));
        let wide = (right - x).max(2.0);
        let name = |lane: usize| lanes.get(lane).map(|name| one_line(name)).unwrap_or_default();
        let why = if link.end.trim().is_empty() { "no reason given".into() } else { one_line(&link.end) };
        let mut told = format!("{} – {}\nfrom {}", name(link.a), name(link.b), exact(link.from));
        match link.to {
            Some(_) => told += &format!(" to {} ({})\n{why}", exact(to), span(to.since(link.from))),
            None => told += ", still up at the end",
        }
        let middle = y + BAR / 2.0;
        let mark = if link.to.is_some() {
            let x = x + wide;
            format!(
                "<path class=\"bad\" stroke-width=\"1.8\" d=\"M{} {}l6 6m0 -6l-6 6\"/>",
                Px(x - 2.0),
                Px(middle - 3.0)
            )
        } else {
            format!("<path class=\"still\" d=\"M{} {}l8 {2}l-8 {2}z\"/>", Px(x + wide), Px(y), Px(BAR / 2.0))
        };
        let _ = write!(
            out,
            "<g><title>{}</title><rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>{mark}",
            title(&told),
            Px(x),
            Px(y),
            Px(wide),
            Px(BAR)
        );
        let begin = x + wide + 8.0;
        let next = bars.get(place + 1).map_or(axis.x(end), |next| axis.x(next.from)) - 4.0;
        let short = shorten(&why, 10.0, (next - begin).max(0.0));
        // A reason of two letters and dots is worse than none: it is in the title.
        if link.to.is_some() && (short == why || short.chars().count() >= 10) {
            let _ = write!(
                out,
                "<text class=\"badtext\" font-size=\"10\" x=\"{}\" y=\"{}\">{}</text>",
                Px(begin),
                Px(middle + 3.5),
                xml(&short)
            );
        }
        *out += "</g>\n";
    }
}
