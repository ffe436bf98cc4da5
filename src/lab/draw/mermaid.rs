//! A story as a Mermaid sequence diagram.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::time::Duration;

use super::scene::{Fan, Item, Scene};
use super::text::{about, count, one_line, shorten, size, wrap};
use super::{Fate, Mood, Story};

/// Mermaid refuses more than 50,000 characters unless it is configured; the rest is for the note at the end.
const MOST_CHARS: usize = 49_500;

/// A text in the diagram is cut after so many characters: nobody reads more in a box.
const TEXT_CHARS: usize = 200;

/// Mermaid does not break lines itself.
const NOTE_WIDTH: f64 = 220.0;
const NOTE_LINES: usize = 8;
const LABEL_WIDTH: f64 = 360.0;

pub(super) fn draw(story: &Story) -> String {
    let scene = Scene::new(story);
    let mut out = String::from("sequenceDiagram\n");
    if !story.title.trim().is_empty() {
        let _ = writeln!(out, "    title {}", escape(&story.title));
    }
    for (lane, name) in story.lanes.iter().enumerate() {
        let name = escape(&shorten(name, 12.0, NOTE_WIDTH));
        let name = if name.is_empty() { format!("{lane}") } else { name };
        let _ = writeln!(out, "    participant B{lane} as {name}");
    }
    let Some(last) = story.lanes.len().checked_sub(1) else {
        out += "    participant B0 as nobody\n    Note over B0: There are no bots.\n";
        return out;
    };
    let everybody = if last == 0 { "B0".into() } else { format!("B0,B{last}") };
    let mut left_out = scene.frames_left_out + scene.others_left_out + scene.nowhere;
    let mut used = utf16(&out);
    let mut clock = None;
    for item in &scene.items {
        let quiet = item.at().since(clock.unwrap_or(item.at()));
        clock = clock.max(Some(ended(item)));
        let mut lines = String::new();
        if quiet > scene.quiet() {
            let _ = writeln!(lines, "    Note over {everybody}: {} later", about(quiet));
        }
        write_item(&mut lines, item);
        used += utf16(&lines);
        if used > MOST_CHARS {
            left_out += held(item);
        } else {
            out += &lines;
        }
    }
    if left_out > 0 {
        let _ = writeln!(out, "    Note over {everybody}: {} not drawn", count(left_out, "event"));
    } else if story.events.is_empty() {
        let _ = writeln!(out, "    Note over {everybody}: Nothing happened.");
    }
    out
}

fn utf16(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// When the last of an item happened: a pause is counted from there.
fn ended(item: &Item<'_>) -> crate::time::Instant {
    match item {
        Item::Run { to, .. } => *to,
        Item::Fan(fan) => {
            let arrivals =
                fan.heads.iter().filter_map(|(_, fate)| if let Fate::Arrived(at) = fate { Some(*at) } else { None });
            arrivals.fold(fan.at, Ord::max)
        }
        _ => item.at(),
    }
}

/// How many events an item stands for.
fn held(item: &Item<'_>) -> usize {
    match item {
        Item::Fan(fan) => fan.heads.len(),
        Item::Run { frames, .. } => frames.iter().map(|same| same.count).sum(),
        _ => 1,
    }
}

fn write_item(out: &mut String, item: &Item<'_>) {
    let _ = match item {
        Item::Fan(fan) => {
            for (to, fate) in &fan.heads {
                let _ = writeln!(out, "    B{}{}B{to}: {}", fan.lane, line(fan, *fate), frame(fan.label, fan.bytes));
            }
            Ok(())
        }
        Item::Run { from, to, frames } => {
            for same in frames {
                let (words, times) = (frame(same.label, same.bytes), same.count);
                let _ = writeln!(out, "    B{}->>B{}: {words} × {times}", same.lane, same.to);
            }
            let first = frames.first().map_or(0, |same| same.lane);
            let length: Duration = to.since(*from);
            writeln!(out, "    Note over B{first}: … for {}", about(length))
        }
        Item::Note { lane, text, mood, .. } => {
            let sign = match mood {
                Mood::Good => "✓ ",
                Mood::Plain => "",
                Mood::Bad => "✗ ",
            };
            let lines: Vec<String> = wrap(text, 12.0, NOTE_WIDTH, NOTE_LINES).iter().map(|line| escape(line)).collect();
            let words = if lines.is_empty() { "–".into() } else { lines.join("<br/>") };
            writeln!(out, "    Note over B{lane}: {sign}{words}")
        }
        Item::Down { lane, .. } => writeln!(out, "    Note over B{lane}: ✗ down"),
        Item::Up { lane, .. } => writeln!(out, "    Note over B{lane}: ✓ up"),
    };
}

fn line(fan: &Fan<'_>, fate: Fate) -> &'static str {
    match (fate, fan.retransmit) {
        (Fate::Arrived(_), false) => "->>",
        (Fate::Arrived(_), true) => "-->>",
        (Fate::Lost, false) => "-x",
        (Fate::Lost, true) => "--x",
        (Fate::UnderWay, false) => "-)",
        (Fate::UnderWay, true) => "--)",
    }
}

fn frame(label: &str, bytes: usize) -> String {
    let label = escape(&shorten(label, 12.0, LABEL_WIDTH));
    if label.is_empty() { size(bytes) } else { format!("{label}, {}", size(bytes)) }
}

/// Text that means nothing to Mermaid: whatever is not a letter, a digit or harmless becomes an entity code.
///
/// A list of what is harmful would have to follow its grammar, which also looks for comments, directives and styles anywhere.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for (place, c) in one_line(text).chars().enumerate() {
        if place == TEXT_CHARS {
            out.push('…');
            break;
        }
        match c {
            c if c.is_control() => out.push(' '),
            // Entity codes become this pair while Mermaid works, and the first character would pass as a letter.
            '\u{fb02}' => out += "fl",
            c if c.is_alphanumeric() || " .,_+-/=×→↔…–✓✗".contains(c) => out.push(c),
            c => {
                let _ = write!(out, "#{};", u32::from(c));
            }
        }
    }
    out
}
