//! What a network remembers of a run, when it is asked to: for pictures.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::node::LinkId;
use crate::time::Instant;
use crate::wire::FrameKind;

/// What became of bytes that left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    UnderWay,
    Arrived(Instant),
    Lost,
}

#[derive(Clone, Debug)]
pub(super) enum Logged {
    Frames { from: usize, to: usize, label: String, bytes: usize, fate: Fate },
    Note { bot: usize, text: String, good: Option<bool> },
    Down(usize),
    Up(usize),
}

/// A link's life, as one end saw it.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) bot: usize,
    pub(super) peer: usize,
    pub(super) from: Instant,
    pub(super) to: Option<(Instant, String)>,
}

/// Everything in the order of its time.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) entries: Vec<(Instant, Logged)>,
    pub(super) spans: Vec<Span>,
    open: BTreeMap<(usize, LinkId), usize>,
}

impl Log {
    pub(super) fn add(&mut self, at: Instant, entry: Logged) -> usize {
        self.entries.push((at, entry));
        self.entries.len() - 1
    }

    pub(super) fn set_fate(&mut self, place: Option<usize>, end: Fate) {
        if let Some((_, Logged::Frames { fate, .. })) = place.and_then(|place| self.entries.get_mut(place)) {
            *fate = end;
        }
    }

    pub(super) fn link_up(&mut self, at: Instant, bot: usize, link: LinkId, peer: usize) {
        self.open.insert((bot, link), self.spans.len());
        self.spans.push(Span { bot, peer, from: at, to: None });
    }

    pub(super) fn link_down(&mut self, at: Instant, bot: usize, link: LinkId, why: String) {
        if let Some(place) = self.open.remove(&(bot, link)) {
            self.spans[place].to = Some((at, why));
        }
    }

    /// All links of a bot that is gone.
    pub(super) fn all_down(&mut self, at: Instant, bot: usize) {
        let links: Vec<LinkId> = self.open.keys().filter(|(owner, _)| *owner == bot).map(|(_, link)| *link).collect();
        for link in links {
            self.link_down(at, bot, link, "crash".into());
        }
    }
}

/// Names the frames in bytes that begin with one: `ACK + RECORD`, `RECORD × 3`.
pub(super) fn label(mut bytes: &[u8]) -> String {
    let mut names: Vec<(&str, usize)> = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<5>() {
        let [a, b, c, d, kind] = *head;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        let name = match FrameKind::from_wire(kind) {
            Some(FrameKind::Connect) => "CONNECT",
            Some(FrameKind::ConnectAck) => "CONNECT+ACK",
            Some(FrameKind::Ack) => "ACK",
            Some(FrameKind::ClearKo) => "clear KO",
            Some(FrameKind::Record) => "RECORD",
            None => "?",
        };
        match names.last_mut() {
            Some((last, count)) if *last == name => *count += 1,
            _ => names.push((name, 1)),
        }
        bytes = rest.get(length.saturating_sub(1)..).unwrap_or_default();
    }
    if names.is_empty() {
        return "bytes".into();
    }
    let names: Vec<String> = names
        .into_iter()
        .map(|(name, count)| if count == 1 { name.into() } else { format!("{name} × {count}") })
        .collect();
    names.join(" + ")
}
