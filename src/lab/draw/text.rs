//! Text from data, made fit for a picture: escaped, measured, shortened, wrapped; times and sizes in readable units.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::time::Instant;

/// Widths of the characters from space to `~` in hundredths of the font size: for each the wider one of DejaVu Sans and
/// Liberation Sans (as wide as Arial and Helvetica), so text is never wider than it was measured.
const WIDTHS: [u8; 95] = [
    32, 41, 46, 84, 64, 96, 78, 28, 40, 40, 50, 84, 32, 37, 32, 34, 64, 64, 64, 64, 64, 64, 64, 64, 64, 64, 34, 34, 84,
    84, 84, 56, 102, 69, 69, 73, 77, 67, 62, 78, 76, 30, 50, 67, 56, 87, 75, 79, 67, 79, 73, 67, 62, 74, 69, 99, 69,
    67, 69, 40, 34, 40, 84, 56, 50, 62, 64, 55, 64, 62, 36, 64, 64, 28, 28, 58, 28, 98, 64, 62, 64, 64, 42, 53, 40, 64,
    60, 82, 60, 60, 53, 64, 34, 64, 84,
];

/// A hover title longer than this is cut: a post of 64 KiB as a label must not make the picture as large.
const TITLE_CHARS: usize = 600;

/// How wide a text is at most, in pixels, at a font size in pixels.
pub(super) fn width(text: &str, size: f64) -> f64 {
    let hundredths: u32 = text.chars().map(char_width).sum();
    f64::from(hundredths) * size / 100.0
}

fn char_width(c: char) -> u32 {
    let place = u32::from(c).checked_sub(32).and_then(|place| usize::try_from(place).ok());
    match place.and_then(|place| WIDTHS.get(place)) {
        Some(width) => u32::from(*width),
        // East Asian scripts and emoji fill a square and a bit; `…`, `→` and `×` are about as wide.
        None if u32::from(c) >= 0x1100 || "…→×".contains(c) => 110,
        None => 75,
    }
}

/// Escapes text for the inside of an element of HTML or XML.
///
/// Characters that XML forbids, and those that turn the direction of text around, become U+FFFD.
pub(super) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(visible(c)),
        }
    }
    out
}

fn visible(c: char) -> char {
    match c {
        '\n' | '\t' => c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
            '\u{fffd}'
        }
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// Escapes a hover title, and cuts it if it is very long.
pub(super) fn title(text: &str) -> String {
    match text.char_indices().nth(TITLE_CHARS) {
        Some((end, _)) => format!("{}…", xml(&text[..end])),
        None => xml(text),
    }
}

/// Text in one line: every white space is one space.
pub(super) fn one_line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ")
}

/// Takes characters out of the middle until the text fits, because names that belong together differ at their ends.
pub(super) fn shorten(text: &str, size: f64, room: f64) -> String {
    let text = one_line(text);
    if width(&text, size) <= room {
        return text;
    }
    let room = room - width("…", size);
    let chars: Vec<char> = text.chars().collect();
    let (mut head, mut tail, mut used) = (0, chars.len(), 0.0);
    while head < tail {
        // Two thirds of what stays stand before the gap: names are read from the left.
        let from_head = head <= 2 * (chars.len() - tail);
        let c = if from_head { chars[head] } else { chars[tail - 1] };
        used += f64::from(char_width(c)) * size / 100.0;
        if used > room {
            break;
        }
        if from_head {
            head += 1;
        } else {
            tail -= 1;
        }
    }
    chars[..head].iter().chain(&['…']).chain(&chars[tail..]).collect()
}

/// Breaks text into at most so many lines that fit; what is left out is marked with `…`.
pub(super) fn wrap(text: &str, size: f64, room: f64, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    // More words than could stand there are not looked at.
    for word in text.split_whitespace().take(most * 200) {
        let joined = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
        if width(&joined, size) <= room {
            line = joined;
            continue;
        }
        if !line.is_empty() {
            lines.push(core::mem::take(&mut line));
        }
        for c in word.chars() {
            if lines.len() > most {
                break;
            }
            line.push(c);
            if width(&line, size) > room && line.chars().nth(1).is_some() {
                line.pop();
                lines.push(core::mem::replace(&mut line, c.to_string()));
            }
        }
        if lines.len() > most {
            break;
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    if lines.len() > most {
        lines.truncate(most);
        if let Some(last) = lines.last_mut() {
            while width(last, size) > room - width("…", size) && last.pop().is_some() {}
            last.push('…');
        }
    }
    lines
}

/// A span of time in readable units: `250 µs`, `12.5 ms`, `9 min 41.25 s`, `3 d 4 h`.
pub(super) fn span(span: Duration) -> String {
    let nanos = span.as_nanos();
    let [minute, hour, day] = [60, 3_600, 86_400].map(|seconds| seconds * 1_000_000_000_u128);
    match nanos {
        0 => "0".into(),
        1..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{} µs", thousandths(nanos)),
        1_000_000..1_000_000_000 => format!("{} ms", thousandths(nanos / 1_000)),
        _ if nanos < minute => format!("{} s", thousandths(nanos / 1_000_000)),
        _ if nanos < hour => {
            with_rest(format!("{} min", nanos / minute), nanos % minute / 1_000_000, |ms| thousandths(ms) + " s")
        }
        _ if nanos < day => {
            let minutes = with_rest(format!("{} h", nanos / hour), nanos % hour / minute, |rest| format!("{rest} min"));
            with_rest(minutes, nanos % minute / 1_000_000_000, |seconds| format!("{seconds} s"))
        }
        _ => with_rest(format!("{} d", grouped(nanos / day)), nanos % day / hour, |rest| format!("{rest} h")),
    }
}

fn with_rest(whole: String, rest: u128, name: impl Fn(u128) -> String) -> String {
    if rest == 0 { whole } else { format!("{whole} {}", name(rest)) }
}

/// Thousandths as a decimal number without zeros at its end.
fn thousandths(value: u128) -> String {
    let text = format!("{}.{:03}", value / 1_000, value % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// A span in about three digits: `19.9 s`, `9 min 41 s`.
pub(super) fn about(length: Duration) -> String {
    let nanos = length.as_nanos();
    let mut unit: u128 = 1;
    while nanos / unit >= 1_000 {
        unit *= 10;
    }
    // From a minute on, seconds are exact enough and more readable than three digits.
    if nanos >= 60_000_000_000 {
        unit = 1_000_000_000;
    }
    let rounded = (nanos + unit / 2) / unit * unit;
    span(Duration::from_nanos(u64::try_from(rounded).unwrap_or(u64::MAX)))
}

/// A point in time as on an axis: readable, not always exact.
pub(super) fn time(at: Instant) -> String {
    span(at.since(Instant::ZERO))
}

/// Names of points in time in their order; one that reads like the one before tells how much later it is.
pub(super) fn times(instants: &[Instant]) -> Vec<String> {
    let mut whole: Option<(String, Instant)> = None;
    let name = |at: &Instant| {
        let words = time(*at);
        match &whole {
            Some((before, from)) if *before == words && at > from => format!("+{}", span(at.since(*from))),
            _ => {
                whole = Some((words.clone(), *at));
                words
            }
        }
    };
    instants.iter().map(name).collect()
}

/// A point in time to the nanosecond, in seconds.
pub(super) fn exact(at: Instant) -> String {
    let nanos = at.as_nanos();
    let text = format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
    format!("{} s", text.trim_end_matches('0').trim_end_matches('.'))
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A size as on a label.
pub(super) fn size(bytes: usize) -> String {
    let bytes = bytes as u128;
    match bytes {
        0..10_000 => format!("{} B", grouped(bytes)),
        10_000..10_000_000 => format!("{} kB", thousandths(bytes / 100 * 100)),
        _ => format!("{} MB", grouped(bytes / 1_000_000)),
    }
}

/// `1 frame`, `2 frames`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{} {what}{}", grouped(number as u128), if number == 1 { "" } else { "s" })
}

/// A length on paper, with one decimal at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Px(pub(super) f64);

impl fmt::Display for Px {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.1}", self.0);
        let text = text.trim_end_matches('0').trim_end_matches('.');
        f.write_str(if text == "-0" { "0" } else { text })
    }
}
