//! The trace of one bot as a story: what came in and went out, whoever was at the other end.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::draw::{Fate, Happening, Mood, Story, What};
use crate::trace::{Event, Kind, Value};

impl Story {
    /// The story of one bot, from its trace: a lane for the bot and one for each of its links. A trace knows one end, so a
    /// frame arrives in it when it leaves.
    #[must_use]
    pub fn from_trace(title: &str, events: &[Event]) -> Self {
        let mut story = Self { title: title.to_string(), ..Self::default() };
        let Some(first) = events.first() else { return story };
        story.lanes.push(format!("{:?}", first.node));
        let mut lanes: BTreeMap<u64, usize> = BTreeMap::new();
        for event in events {
            let Some(span) = event.span.map(|span| span.as_u64()) else { continue };
            let next = story.lanes.len();
            let lane = *lanes.entry(span).or_insert(next);
            if lane == next {
                story.lanes.push(format!("link {span}"));
            }
            if let (Some(peer), Some(name)) = (event.peer, story.lanes.get_mut(lane)) {
                *name = format!("link {span}: {peer:?}");
            }
        }
        for event in events {
            let lane = event.span.and_then(|span| lanes.get(&span.as_u64()).copied());
            story.events.extend(happening(event, lane));
        }
        story
    }
}

fn happening(event: &Event, lane: Option<usize>) -> Option<Happening> {
    let happens = |lane, what| Some(Happening { at: event.t_mono, lane, what });
    let frame = |to| {
        let mut label = event.text("frame").unwrap_or("frame").to_uppercase().replace('_', "+");
        if let Some(inner) = event.text("inner") {
            label = inner.to_uppercase();
        }
        let bytes = usize::try_from(event.number("bytes").unwrap_or(0)).unwrap_or(usize::MAX);
        What::Frame { to, label, bytes, fate: Fate::Arrived(event.t_mono), retransmit: false }
    };
    match (event.kind, lane) {
        (Kind::FrameOut, Some(lane)) => happens(0, frame(lane)),
        (Kind::FrameIn, Some(lane)) => happens(lane, frame(0)),
        (Kind::FrameIn | Kind::FrameOut | Kind::PostOut | Kind::Timeout, _) => None,
        (Kind::Persist | Kind::Persisted | Kind::Accepted | Kind::Dialled, _) => None,
        (kind, lane) => {
            let mood = match kind {
                Kind::LinkUp => Mood::Good,
                Kind::Closed | Kind::Refused | Kind::Lost => Mood::Bad,
                _ => Mood::Plain,
            };
            let link = lane.map(|_| event.span.map_or(0, |span| span.as_u64()));
            happens(0, What::Note { text: note(event, link), mood })
        }
    }
}

fn note(event: &Event, link: Option<u64>) -> String {
    let mut words: Vec<String> = [event.kind.as_str().replace('_', " ")].into();
    words.extend(link.map(|link| format!("link {link}")));
    for name in ["reason", "verdict", "suite", "post_seq", "members", "what", "state", "height"] {
        words.extend(event.field(name).map(|value| match value {
            Value::Text(text) => text.to_string(),
            Value::Number(number) => format!("{} {number}", name.replace('_', " ")),
            Value::Flag(flag) => format!("{name} {flag}"),
        }));
    }
    words.join(", ")
}
