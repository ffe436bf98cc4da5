//! What a network remembers, as pictures.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::draw::{self, Fate, Happening, LinkSpan, Mood, Outage, Series, Story, What};
use super::log::{self, Logged};
use super::network::Network;
use crate::node::Event;
use crate::overlay::PostId;
use crate::time::Instant;

impl Network {
    /// The run so far as a story; empty unless a [log is kept](Network::keep_log).
    #[must_use]
    pub fn story(&self, title: &str) -> Story {
        let entries = self.log.iter().flat_map(|log| &log.entries);
        let events = entries.map(|(at, entry)| Happening { at: *at, lane: lane(entry), what: what(entry) });
        Story { title: title.to_string(), lanes: self.lanes(), events: events.collect() }
    }

    /// Who was linked with whom, and when, as an SVG; empty unless a [log is kept](Network::keep_log).
    #[must_use]
    pub fn link_map(&self, title: &str) -> String {
        let Some(log) = &self.log else { return draw::link_map(title, &self.lanes(), &[], &[], self.now) };
        // Both ends tell of a link: one story is enough, that of the end which saw it longer.
        let mut spans: BTreeMap<(usize, usize, u64), LinkSpan> = BTreeMap::new();
        for span in &log.spans {
            let (a, b) = (span.bot.min(span.peer), span.bot.max(span.peer));
            let second = span.from.as_nanos() / 1_000_000_000;
            let (to, end) = match &span.to {
                Some((to, why)) => (Some(*to), why.clone()),
                None => (None, String::new()),
            };
            let key = (0..=1).map(|early| (a, b, second.saturating_sub(early))).find(|key| spans.contains_key(key));
            let known = spans.entry(key.unwrap_or((a, b, second))).or_insert(LinkSpan {
                a,
                b,
                from: span.from,
                to,
                end: end.clone(),
            });
            if known.to.is_some_and(|known| to.is_none_or(|to| to > known)) {
                (known.to, known.end) = (to, end);
            }
        }
        let spans: Vec<LinkSpan> = spans.into_values().collect();
        draw::link_map(title, &self.lanes(), &spans, &outages(log), self.now)
    }

    /// How fast posts spread, as an SVG: for each share of the time since its publishing, how much of the copies of all
    /// posts had been handed over.
    #[must_use]
    pub fn convergence(&self, title: &str) -> String {
        let mut published: BTreeMap<PostId, Instant> = BTreeMap::new();
        let mut copies: Vec<(PostId, Instant)> = Vec::new();
        for bot in self.bots() {
            for (at, event) in self.events(bot) {
                match event {
                    Event::Published { id } => drop(published.entry(*id).or_insert(*at)),
                    Event::Post { post, .. } => copies.push((post.id(), *at)),
                    _ => {}
                }
            }
        }
        let mut delays: Vec<u64> = copies
            .iter()
            .filter_map(|(id, at)| Some(at.as_nanos().saturating_sub(published.get(id)?.as_nanos())))
            .collect();
        delays.sort_unstable();
        let all = delays.len().max(1);
        let mut points: Vec<(Instant, f64)> = [(Instant::ZERO, 0.0)].into();
        for (number, delay) in delays.iter().enumerate() {
            // A thousand steps are more than a picture has pixels.
            if number % all.div_ceil(1000) == 0 || number + 1 == delays.len() {
                points.push((Instant::from_nanos(*delay), (number + 1) as f64 / all as f64));
            }
        }
        let name = format!("{} copies of {} posts", delays.len(), published.len());
        draw::convergence(title, &[Series { name, points }])
    }

    fn lanes(&self) -> Vec<String> {
        let name = |host: &super::host::Host, at: usize| match host.rest.lie {
            Some(lie) => format!("bot {at}, {}", format!("{lie:?}").split(' ').next().unwrap_or("liar").to_lowercase()),
            None => format!("bot {at}"),
        };
        self.hosts.iter().enumerate().map(|(at, host)| name(host, at)).collect()
    }
}

fn lane(entry: &Logged) -> usize {
    match entry {
        Logged::Frames { from, .. } => *from,
        Logged::Note { bot, .. } | Logged::Down(bot) | Logged::Up(bot) => *bot,
    }
}

fn what(entry: &Logged) -> What {
    match entry {
        Logged::Frames { to, label, bytes, fate, .. } => What::Frame {
            to: *to,
            label: label.clone(),
            bytes: *bytes,
            fate: match fate {
                log::Fate::UnderWay => Fate::UnderWay,
                log::Fate::Arrived(at) => Fate::Arrived(*at),
                log::Fate::Lost => Fate::Lost,
            },
            retransmit: false,
        },
        Logged::Note { text, good, .. } => {
            let mood = match good {
                Some(true) => Mood::Good,
                Some(false) => Mood::Bad,
                None => Mood::Plain,
            };
            What::Note { text: text.clone(), mood }
        }
        Logged::Down(_) => What::Down,
        Logged::Up(_) => What::Up,
    }
}

fn outages(log: &log::Log) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for (at, entry) in &log.entries {
        match entry {
            Logged::Down(lane) => outages.push(Outage { lane: *lane, from: *at, to: None }),
            Logged::Up(lane) => {
                if let Some(outage) = outages.iter_mut().rev().find(|outage| outage.lane == *lane) {
                    outage.to.get_or_insert(*at);
                }
            }
            Logged::Frames { .. } | Logged::Note { .. } => {}
        }
    }
    outages
}
