//! Outputs as lines: what a replay compares, and people read.

use alloc::format;
use alloc::string::String;
use core::fmt::{Debug, Display, Write};

use crate::crypto::{Suite, sha256};
use crate::link::{Kind, Side};
use crate::node::{Action, Event, Output};
use crate::time::Instant;
use crate::wire::{FrameKind, HEADER_LEN};

/// An instant as text with every digit.
pub(crate) fn seconds(nanos: u64) -> String {
    format!("{}.{:09} s", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// One line for what an input that can be refused came to.
pub(crate) fn result_line<T: Debug, E: Display>(result: &Result<T, E>) -> String {
    match result {
        Ok(value) => format!("returned {value:?}"),
        Err(error) => format!("refused: {error}"),
    }
}

/// One line for one output. It has everything that a replay can know: no sealed bytes, and of posts' bodies a hash, which a
/// redacted recording has not.
pub(crate) fn output_line(output: &Output, redacted: bool) -> String {
    match output {
        Output::Idle { wake_at: None } => "idle".into(),
        Output::Idle { wake_at: Some(at) } => format!("idle until {}", time(*at)),
        Output::Do(action) => action_line(action, redacted),
    }
}

fn action_line(action: &Action, redacted: bool) -> String {
    match action {
        Action::Send { link, bytes } => {
            format!("send link {}, {} bytes: {}", link.as_u64(), bytes.len(), frames(bytes))
        }
        Action::CloseLink { link } => format!("close link {}", link.as_u64()),
        Action::Dial { link, peer, address } => format!("dial link {}, {peer:?} at {address:?}", link.as_u64()),
        Action::PauseReading { link } => format!("pause link {}", link.as_u64()),
        Action::ResumeReading { link } => format!("resume link {}", link.as_u64()),
        Action::Persist { id, record } => {
            let (key, bytes) = (String::from_utf8_lossy(&record.key), record.value.len());
            format!("persist write {}: {key}, {bytes} bytes, {}", id.as_u64(), hash(&record.without_token()))
        }
        Action::Notify(event) => event_line(event, redacted),
    }
}

fn event_line(event: &Event, redacted: bool) -> String {
    match event {
        Event::LinkUp { link, peer, kind, side, suite, bound, facts } => {
            let side = if *side == Side::Client { "client" } else { "server" };
            let suite = match suite {
                Suite::Aes256Gcm => "aes-256-gcm",
                Suite::ChaCha20Poly1305 => "chacha20-poly1305",
            };
            let kind = if *kind == Kind::Candidate { " (an application)" } else { "" };
            let bound = if *bound { ", bound to TLS" } else { "" };
            let capabilities = facts.capabilities.bits();
            format!(
                "event link up {}, {peer:?}{kind}, {side}, {suite}{bound}, capabilities {capabilities}, epoch {}",
                link.as_u64(),
                facts.epoch_height
            )
        }
        Event::Closed { link, peer, reason, retry_at } => {
            let mut line = format!("event closed link {}", link.as_u64());
            let mut add = |text: String| line.push_str(&text);
            if let Some(peer) = peer {
                add(format!(", {peer:?}"));
            }
            add(format!(": {reason}"));
            if let Some(at) = retry_at {
                add(format!(", dialled again at {}", time(*at)));
            }
            line
        }
        Event::Post { post, link } => {
            let mut line =
                format!("event post by link {}, {:?}, {} bytes", link.as_u64(), post.id(), post.body().len());
            if !redacted {
                write!(line, ", {}", hash(&post.body())).expect("a string takes every text");
            }
            line
        }
        Event::Published { id } => format!("event published {id:?}"),
        Event::Ready => "event ready".into(),
        Event::Ledger(event) => format!("event ledger {event:?}"),
        Event::Applied { applicant, words } => format!("event applied {applicant:?}, {} bytes of words", words.len()),
        Event::Joining(state) => format!("event joining {state:?}"),
    }
}

fn time(at: Instant) -> String {
    seconds(at.as_nanos())
}

fn hash(bytes: &[u8]) -> String {
    let [a, b, c, d, ..] = sha256(&[bytes]);
    format!("sha256 {a:02x}{b:02x}{c:02x}{d:02x}…")
}

/// The kinds of the frames, repeated ones counted.
fn frames(mut bytes: &[u8]) -> String {
    let mut runs: alloc::vec::Vec<(&str, usize)> = alloc::vec::Vec::new();
    while let Some([a, b, c, d, kind]) = bytes.first_chunk::<HEADER_LEN>().copied() {
        let name = match FrameKind::from_wire(kind) {
            Some(FrameKind::Connect) => "connect",
            Some(FrameKind::ConnectAck) => "connect_ack",
            Some(FrameKind::Ack) => "ack",
            Some(FrameKind::ClearKo) => "clear_ko",
            Some(FrameKind::Record) => "record",
            None => "unknown",
        };
        match runs.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => runs.push((name, 1)),
        }
        let whole = usize::try_from(u32::from_be_bytes([a, b, c, d])).map_or(usize::MAX, |n| n.saturating_add(4));
        bytes = bytes.get(whole.max(HEADER_LEN)..).unwrap_or_default();
    }
    let mut line = String::new();
    for (name, count) in runs {
        let comma = if line.is_empty() { "" } else { ", " };
        let times = if count > 1 { format!(" ×{count}") } else { String::new() };
        write!(line, "{comma}{name}{times}").expect("a string takes every text");
    }
    line
}
