//! The single marks of a sequence picture: arrows, labels, notes, outages.

use alloc::format;
use alloc::string::String;
use core::fmt::Write as _;

use super::layout::{Arrow, Label, Note, Outage, Page};
use super::scene::{Fan, Item, Repeated, Scene};
use super::text::{Px, count, exact, one_line, shorten, span, title, xml};
use super::{Fate, Mood, Story};

pub(super) fn outage_bar(out: &mut String, story: &Story, page: &Page, outage: &Outage) {
    let name = story.lanes.get(outage.lane).map(String::as_str).unwrap_or_default();
    let from = outage.from.1.map_or("the beginning".into(), exact);
    let to = outage.to.1.map_or("the end".into(), exact);
    let wide = if page.slanted { 8.0 } else { 12.0 };
    let _ = writeln!(
        out,
        "<rect class=\"shade\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
        Px(page.x(outage.lane) - wide / 2.0),
        Px(outage.from.0),
        Px(wide),
        Px((outage.to.0 - outage.from.0).max(1.0)),
        title(&format!("{name} was down from {from} to {to}"))
    );
}

pub(super) fn class(mood: Mood) -> &'static str {
    match mood {
        Mood::Good => "good",
        Mood::Plain => "plain",
        Mood::Bad => "wrong",
    }
}

/// A tick, a dash, a cross: moods differ without colour as well.
pub(super) fn sign(mood: Mood, x: f64, y: f64) -> String {
    let (x, y, path) = match mood {
        Mood::Good => (x - 4.0, y, "l3 3.5l5.5 -7"),
        Mood::Plain => (x - 3.0, y, "h6"),
        Mood::Bad => (x - 3.5, y - 3.5, "l7 7m0 -7l-7 7"),
    };
    format!("<path class=\"sign\" d=\"M{} {}{path}\"/>", Px(x), Px(y))
}

pub(super) fn note_box(out: &mut String, scene: &Scene<'_>, note: &Note) {
    let Some(Item::Note { at, text, mood, .. }) = scene.items.get(note.item) else { return };
    let area = note.area;
    let _ = writeln!(
        out,
        "<g class=\"{}\"><title>{}</title><rect class=\"box\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"/></g>",
        class(*mood),
        title(&format!("{}: {text}", exact(*at))),
        Px(area.left),
        Px(area.top),
        Px(area.right - area.left),
        Px(area.bottom - area.top)
    );
}

pub(super) fn note_text(out: &mut String, scene: &Scene<'_>, page: &Page, note: &Note) {
    let Some(Item::Note { at, text, mood, .. }) = scene.items.get(note.item) else { return };
    let area = note.area;
    let _ = write!(
        out,
        "<g class=\"{}\"><title>{}</title>{}<text class=\"halo\" font-size=\"{}\">",
        class(*mood),
        title(&format!("{}: {text}", exact(*at))),
        sign(*mood, area.left + 12.0, area.top + 10.0),
        Px(page.font)
    );
    for (place, line) in note.lines.iter().enumerate() {
        let y = area.top + 14.0 + 14.0 * place as f64;
        let _ = write!(out, "<tspan x=\"{}\" y=\"{}\">{}</tspan>", Px(area.left + 23.0), Px(y), xml(line));
    }
    *out += "</text></g>\n";
}

#[derive(Clone, Copy, PartialEq)]
pub(super) enum End {
    Arrived,
    Lost,
    UnderWay,
}

pub(super) fn frame(out: &mut String, story: &Story, scene: &Scene<'_>, place: &Arrow) {
    let Some(item) = scene.items.get(place.item) else { return };
    let (end, again) = match item {
        Item::Fan(Fan { heads, retransmit, .. }) => match heads.get(place.head) {
            Some((_, Fate::Lost)) => (End::Lost, *retransmit),
            Some((_, Fate::UnderWay)) => (End::UnderWay, *retransmit),
            _ => (End::Arrived, *retransmit),
        },
        _ => (End::Arrived, false),
    };
    let drawn = arrow(place.from, place.to, end, again);
    let _ = writeln!(out, "<g><title>{}</title>{drawn}</g>", title(&told(story, item, Some(place.head))));
}

/// A slanted line with its end: a head, a cross, or a ring.
pub(super) fn arrow(from: (f64, f64), to: (f64, f64), end: End, again: bool) -> String {
    let hook = from.0 == to.0;
    // To itself: out and back.
    let path = if hook {
        format!("M{} {}h26V{}h-26", Px(from.0), Px(from.1), Px(to.1))
    } else {
        format!("M{} {}L{} {}", Px(from.0), Px(from.1), Px(to.0), Px(to.1))
    };
    let (across, fall) = if hook { (-1.0, 0.0) } else { (to.0 - from.0, to.1 - from.1) };
    let length = (across * across + fall * fall).sqrt().max(0.1);
    let (ux, uy) = (across / length, fall / length);
    let end_path = match end {
        End::Arrived => {
            let (back, half) = (8.0, 3.2);
            format!(
                "<path class=\"head\" d=\"M{} {}L{} {}L{} {}z\"/>",
                Px(to.0),
                Px(to.1),
                Px(to.0 - ux * back - uy * half),
                Px(to.1 - uy * back + ux * half),
                Px(to.0 - ux * back + uy * half),
                Px(to.1 - uy * back - ux * half)
            )
        }
        End::Lost => {
            format!("<path class=\"cross bad\" d=\"M{} {}l10 10m0 -10l-10 10\"/>", Px(to.0 - 5.0), Px(to.1 - 5.0))
        }
        End::UnderWay => {
            format!("<circle class=\"dot paper\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>", Px(to.0), Px(to.1))
        }
    };
    let class = match (end, again) {
        (End::Lost, false) => "bad",
        (End::Lost, true) => "bad again",
        (End::UnderWay, false) => "open",
        (End::UnderWay, true) => "open again",
        (End::Arrived, false) => "line",
        (End::Arrived, true) => "line again",
    };
    format!("<g class=\"arrow {class}\"><path class=\"hit\" d=\"{path}\"/><path d=\"{path}\"/>{end_path}</g>")
}

pub(super) fn frame_label(out: &mut String, story: &Story, scene: &Scene<'_>, page: &Page, label: &Label) {
    let Some(item) = scene.items.get(label.item) else { return };
    let head = if matches!(item, Item::Fan(fan) if fan.heads.len() > 1) { None } else { Some(label.head) };
    let (x, anchor) = if label.ends { (label.area.right, " text-anchor=\"end\"") } else { (label.area.left, "") };
    let (class, baseline) = match item {
        Item::Down { .. } => ("halo badtext", 3.0),
        _ => ("halo", 3.0),
    };
    let _ = writeln!(
        out,
        "<g><title>{}</title><text class=\"{class}\" font-size=\"{}\"{anchor} x=\"{}\" y=\"{}\">{}</text></g>",
        title(&told(story, item, head)),
        Px(page.font),
        Px(x),
        Px(label.area.bottom - baseline),
        xml(&label.text)
    );
}

/// Everything about an item, for its hover title.
fn told(story: &Story, item: &Item<'_>, head: Option<usize>) -> String {
    let name = |lane: usize| story.lanes.get(lane).map(|name| shorten(name, 12.0, 300.0)).unwrap_or_default();
    match item {
        Item::Fan(Fan { at, lane, label, bytes, retransmit, heads }) => {
            let again = if *retransmit { ", sent again" } else { "" };
            let (label, bytes, from) = (one_line(label), count(*bytes, "byte"), name(*lane));
            match head.and_then(|head| heads.get(head)) {
                None => format!("{label}, {bytes}{again}\n{from} → {} at {}", count(heads.len(), "bot"), exact(*at)),
                Some((to, fate)) => {
                    let end = match fate {
                        Fate::Arrived(end) => {
                            format!("arrived at {} ({} later)", exact(*end), span(end.since(*at)))
                        }
                        Fate::Lost => "lost".into(),
                        Fate::UnderWay => "under way at the end".into(),
                    };
                    format!("{label}, {bytes}{again}\n{from} → {}\nleft at {}, {end}", name(*to), exact(*at))
                }
            }
        }
        Item::Run { from, to, frames } => match head.and_then(|head| frames.get(head)) {
            Some(Repeated { lane, to: other, label, bytes, count: times }) => format!(
                "{times} times {}, {} each\n{} → {}\nbetween {} and {}",
                one_line(label),
                count(*bytes, "byte"),
                name(*lane),
                name(*other),
                exact(*from),
                exact(*to)
            ),
            None => String::new(),
        },
        Item::Note { at, text, .. } => format!("{}: {text}", exact(*at)),
        Item::Down { at, lane } => format!("{} went down at {}", name(*lane), exact(*at)),
        Item::Up { at, lane } => format!("{} came up at {}", name(*lane), exact(*at)),
    }
}
