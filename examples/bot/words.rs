//! Times, spans and names as people write and read them.

use std::time::Duration;

use interbot::ledger::StatementId;
use interbot::{BotId, CommunityId, UnixMillis};

const UNITS: [(char, u64, &str); 4] = [('d', 86_400, "d"), ('h', 3_600, "h"), ('m', 60, "min"), ('s', 1, "s")];

/// Reads `7d`, `12h`, `10m` or `60s`.
pub(crate) fn read_span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span: write a number and d, h, m or s, such as 7d or 10m");
    let unit = text.chars().last().and_then(|last| UNITS.into_iter().find(|(letter, ..)| *letter == last));
    let (_, seconds, _) = unit.ok_or_else(wrong)?;
    let number: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

/// The two largest units of a span, such as `6 d 23 h`.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis.div_ceil(1000);
    let Some(first) = UNITS.iter().position(|(_, unit, _)| seconds >= *unit) else { return "0 s".to_string() };
    let (_, unit, name) = UNITS[first];
    let mut text = format!("{} {name}", seconds / unit);
    if let Some((_, next, name)) = UNITS.get(first + 1)
        && seconds % unit >= *next
    {
        text.push_str(&format!(" {} {name}", seconds % unit / next));
    }
    text
}

/// How long it is until then, or how long ago it was.
pub(crate) fn until(now: UnixMillis, then: UnixMillis) -> String {
    match then.0.checked_sub(now.0) {
        Some(left) => format!("in {}", span(left)),
        None => format!("{} ago", span(now.0 - then.0)),
    }
}

/// A time in UTC, to the second, as in RFC 3339.
pub(crate) fn utc(time: UnixMillis) -> String {
    let seconds = time.0 / 1000;
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that the leap day is a year's last (Howard Hinnant, days_from_civil).
    let day_of_era = (days + 719_468) % 146_097;
    let era = (days + 719_468) / 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The beginning of a key, in groups: what two owners read to each other. 80 bits, so that nobody finds another key with it.
pub(crate) fn fingerprint(id: &BotId) -> String {
    let text = id.to_string();
    let data: Vec<char> = text.trim_start_matches("bot1").chars().take(16).collect();
    data.chunks(4).map(|group| group.iter().collect()).collect::<Vec<String>>().join(" ")
}

/// A question's name: as much of it as is ever needed.
pub(crate) fn question(id: &StatementId) -> String {
    hex(&id.0[..4])
}

pub(crate) fn community(id: &CommunityId) -> String {
    hex(id.as_bytes())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A variant's name as words: `LastMember` is `last member`.
pub(crate) fn spaced(variant: impl std::fmt::Debug) -> String {
    let mut words = String::new();
    for letter in format!("{variant:?}").chars() {
        if letter.is_uppercase() && !words.is_empty() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
    }
    words
}

/// A text whose characters all show: what steers a terminal or turns the direction of writing is spelled out. JSON escapes line
/// breaks by itself.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\n' | '\t' => shown.push(letter),
            '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                shown.extend(letter.escape_unicode());
            }
            _ if letter.is_control() => shown.extend(letter.escape_unicode()),
            _ => shown.push(letter),
        }
    }
    shown
}

/// Whether a text has the form HOST:PORT.
pub(crate) fn is_address(text: &str) -> bool {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse().ok());
    port.is_some_and(|port: u16| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_written() {
        assert_eq!(read_span("10m"), Ok(Duration::from_secs(600)));
        for wrong in ["", "7", "d", "-1d", "7w", "1.5h", "99999999999999999999d", "213503982334602d", "7ü"] {
            assert!(read_span(wrong).is_err(), "{wrong}");
        }
        for (millis, text) in [
            (0, "0 s"),
            (1, "1 s"),
            (60_000, "1 min"),
            (3_599_001, "1 h"),
            (604_740_000, "6 d 23 h"),
            (61_000, "1 min 1 s"),
        ] {
            assert_eq!(span(millis), text);
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_735_689_600, "2025-01-01T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(UnixMillis(seconds * 1000)), text);
        }
    }

    #[test]
    fn what_does_not_show_is_spelled_out() {
        assert_eq!(visible("süß\n \u{1b}[2J\u{9b}K \u{202e}tob"), "süß\n \\u{1b}[2J\\u{9b}K \\u{202e}tob");
    }

    #[test]
    fn hex_digits_are_read_in_pairs() {
        assert_eq!(unhex("00fF"), Some(vec![0, 255]));
        assert_eq!((unhex("0"), unhex("0g"), unhex("ü")), (None, None, None));
    }
}
