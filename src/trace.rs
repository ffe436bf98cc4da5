//! What a node did, as small typed events for tools: one schema, no payloads.
//!
//! A node whose configuration [asks for it](crate::node::Config::trace) keeps its last [`BUFFERED`] events;
//! [`Node::poll_trace`](crate::node::Node::poll_trace) hands them out, oldest first, whenever the host likes. An event changes nothing and is never waited for. It has names, numbers, kinds and sizes, never the
//! body of a post, a key, or an address.
//!
//! ```
//! use interbot::node::{Config, Node};
//! use interbot::{CommunityId, Identity, Instant};
//!
//! let (ann, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
//! let mut config = Config::new(CommunityId::from_name("example"), vec![bob.id()]);
//! config.trace = true;
//! let mut node = Node::new(config, &ann, [3; 32], Instant::ZERO);
//! node.dial(Instant::from_millis(5), bob.id(), "bob's address")?;
//! let mut lines = String::new();
//! while let Some(event) = node.poll_trace() {
//!     event.to_json_line(&mut lines);
//! }
//! assert!(lines.starts_with(r#"{"schema":1,"node":"bot1"#) && lines.contains(r#""t_mono":5000000,"kind":"dial""#));
//! # Ok::<(), interbot::node::DialError>(())
//! ```
//!
//! # The schema, version 1
//! | member | type | meaning |
//! | --- | --- | --- |
//! | `schema` | number | [`SCHEMA`] |
//! | `node` | text | the bot's id, whole |
//! | `seq` | number | counts the node's events from 1; a gap is what [`Kind::Lost`] stands for |
//! | `t_mono` | number | nanoseconds on the host's clock, since its origin |
//! | `t_wall` | number, may be missing | milliseconds since the Unix epoch, when the host [told](crate::node::Node::set_wall_clock) |
//! | `kind` | text | see below |
//! | `peer` | text, may be missing | the id of the bot at the other end; before the link is up, the one that is expected there |
//! | `span` | number, may be missing | the link's number: all events of one link have it |
//! | `fields` | object | see below |
//!
//! In JSON a number above 2^53 − 1 is written as a string of its digits, because many readers keep numbers as doubles. For
//! `t_mono` this begins 104 days after the host's origin. Streams are 16 hex digits, as everywhere.
//!
//! | kind | when | fields |
//! | --- | --- | --- |
//! | `started` | the node was made | `members` |
//! | `restored` | from records | `stream`, `next` (number of the next own post), `streams` (of others that are known) |
//! | `dial` | the host is asked to open a stream | `failures` (attempts in a row that failed before) |
//! | `dialled` | it is open | `bound` (to a TLS session) |
//! | `accepted` | somebody opened a stream | `bound` |
//! | `refused` | an input was refused, and changed nothing | `input` (`accepted`, `bytes`, `publish`, `dial`, and what is asked of the ledger: `propose`, `withdraw`, `vote`, `endorse`, `leave`, `observe_silence`, `invite`, `sponsor`), `reason` |
//! | `frame_in`, `frame_out` | a whole frame arrived; was written for sending | `frame` (`connect`, `connect_ack`, `ack`, `clear_ko`, `record`), `bytes` (with its header), and for a record that opened `inner` (`challenge`, `ok`, `ko`, `ping`, `echo`, `rekey`, `close`, `message`, `unknown`) |
//! | `link_up` | a link is open | `side` (`client`, `server`), `suite`, `bound` |
//! | `closed` | a link, open or not yet, is closed | `reason`, `retry_at` (on the host's clock; missing when it is not dialled again) |
//! | `post_published` | an own post was numbered and signed | `stream`, `post_seq`, `bytes` (of the body), `write` (that it waits for) |
//! | `post_in` | a post came | `origin`, `stream`, `post_seq`, `hops`, `bytes`, `verdict` (`new`, `duplicate`, `stranger`, `forged`) |
//! | `post_out` | a post was queued for one link | `origin`, `stream`, `post_seq`, `hops`, `bytes` |
//! | `persist` | the host is asked to store a record | `write`, `key`, `bytes` |
//! | `persisted` | it is durable | `write`, `posts` (that leave now) |
//! | `pause`, `resume` | the host is asked to stop, to go on reading a link | |
//! | `timeout` | the host told the time, and something was due | `due` (links and dials) |
//! | `ready` | publishing was refused and is possible again | |
//! | `shut_down` | the host asked for it | `links` |
//! | `ledger` | something happened in the ledger, or on the way into it | `what` ([the event's name](crate::ledger::LedgerEvent::name); `applied`, when somebody asks this bot's owner to speak for it, who is the `peer`; `joining`), `height` (of `decided` and `height`), `state` (of `joining`: [the state's name](crate::node::JoinState::name)) |
//! | `lost` | nobody polled in time; stands where the last lost event stood | `events` |

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::{self, Write};

use crate::identity::BotId;
use crate::node::LinkId;
use crate::time::Instant;
pub use crate::time::UnixMillis;

/// The schema's version: it grows when a kind, a member or a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// Events that a node keeps for its host: 4,096, chosen because the largest input that a host should hand in makes about as
/// many, and a node whose host never asks holds 2 MB at most. The oldest make room.
pub const BUFFERED: usize = 4096;

/// The largest whole number up to which a double keeps every one.
const MAX_EXACT: u64 = (1 << 53) - 1;

macro_rules! kinds {
    ($($name:ident = $text:literal: $doc:literal,)+) => {
        /// What happened; the fields of each are in the [table](self).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Kind { $(#[doc = $doc] $name,)+ }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The kind as it is written.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    Started = "started": "The node was made.",
    Restored = "restored": "It was made from records.",
    Dial = "dial": "The host is asked to open a stream.",
    Dialled = "dialled": "That stream is open.",
    Accepted = "accepted": "Somebody opened a stream.",
    Refused = "refused": "An input was refused and changed nothing.",
    FrameIn = "frame_in": "A whole frame arrived.",
    FrameOut = "frame_out": "A frame was written for sending.",
    LinkUp = "link_up": "A link is open.",
    Closed = "closed": "A link, open or not yet, is closed.",
    PostPublished = "post_published": "An own post was numbered and signed.",
    PostIn = "post_in": "A post came.",
    PostOut = "post_out": "A post was queued for one link.",
    Persist = "persist": "The host is asked to store a record.",
    Persisted = "persisted": "That record is durable.",
    Pause = "pause": "The host is asked to stop reading a link.",
    Resume = "resume": "The host is asked to read it again.",
    Timeout = "timeout": "The host told the time, and something was due.",
    Ready = "ready": "Publishing is possible again.",
    ShutDown = "shut_down": "The host asked for an end of everything.",
    Ledger = "ledger": "Something happened in the ledger, or on the way into it.",
    Lost = "lost": "Events were not polled in time.",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The value of a field. Exhaustive: readers know numbers, texts and truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A text.
    Text(Cow<'static, str>),
    /// Yes or no.
    Flag(bool),
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&'static str> for Value {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

/// One thing that a node did or was told.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// Whose event it is.
    pub node: BotId,
    /// Its place among the node's events, from 1.
    pub seq: u64,
    /// When, on the host's clock.
    pub t_mono: Instant,
    /// When, for people; nothing unless the host told.
    pub t_wall: Option<UnixMillis>,
    /// What.
    pub kind: Kind,
    /// The bot at the other end.
    pub peer: Option<BotId>,
    /// The link.
    pub span: Option<LinkId>,
    /// What else is to be said, by name.
    pub fields: Vec<(&'static str, Value)>,
}

impl Event {
    /// The field with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The field with this name, when it is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name).and_then(|value| if let Value::Number(number) = value { Some(*number) } else { None })
    }

    /// The field with this name, when it is a text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.field(name).and_then(|value| if let Value::Text(text) = value { Some(&**text) } else { None })
    }

    /// The field with this name, when it is yes or no.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.field(name).and_then(|value| if let Value::Flag(flag) = value { Some(*flag) } else { None })
    }

    /// Writes the event as one line of JSON with its line feed at the end of `out`.
    pub fn to_json_line(&self, out: &mut String) {
        write!(out, "{{\"schema\":{SCHEMA},\"node\":\"{}\",\"seq\":", self.node).expect(NEVER);
        put_number(out, self.seq);
        out.push_str(",\"t_mono\":");
        put_number(out, self.t_mono.as_nanos());
        if let Some(UnixMillis(millis)) = self.t_wall {
            out.push_str(",\"t_wall\":");
            put_number(out, millis);
        }
        write!(out, ",\"kind\":\"{}\"", self.kind).expect(NEVER);
        if let Some(peer) = self.peer {
            write!(out, ",\"peer\":\"{peer}\"").expect(NEVER);
        }
        if let Some(span) = self.span {
            out.push_str(",\"span\":");
            put_number(out, span.as_u64());
        }
        out.push_str(",\"fields\":{");
        for (at, (name, value)) in self.fields.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            put_text(out, name);
            out.push(':');
            match value {
                Value::Number(number) => put_number(out, *number),
                Value::Text(text) => put_text(out, text),
                Value::Flag(flag) => out.push_str(if *flag { "true" } else { "false" }),
            }
        }
        out.push_str("}}\n");
    }
}

const NEVER: &str = "a string takes every text";

fn put_number(out: &mut String, number: u64) {
    if number > MAX_EXACT { put_text(out, &number.to_string()) } else { write!(out, "{number}").expect(NEVER) }
}

fn put_text(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // The last two end a line in JavaScript.
            c if c < ' ' || matches!(c, '\u{7f}' | '\u{2028}' | '\u{2029}') => {
                write!(out, "\\u{:04x}", u32::from(c)).expect(NEVER);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Hands an event to the current [`tracing`] subscriber: target `interbot`, the members and fields as key/values, the event's
/// own `seq` as `event`; frames and timeouts at level `TRACE`, posts and writes at `DEBUG`, links and the ledger at `INFO`, what was refused
/// or lost at `WARN`.
#[cfg(feature = "tracing")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing")))]
pub fn emit(event: &Event) {
    macro_rules! at {
        ($level:ident; $($name:ident = $value:expr,)+) => {
            tracing::event!(
                target: "interbot",
                tracing::Level::$level,
                node = %event.node,
                event = event.seq,
                t_mono = event.t_mono.as_nanos(),
                t_wall = event.t_wall.map(|UnixMillis(millis)| millis),
                kind = event.kind.as_str(),
                peer = event.peer.map(|peer| tracing::field::display(peer)),
                span = event.span.map(LinkId::as_u64),
                $($name = $value),+
            )
        };
        // An event of `tracing` has 32 fields at most, so the ledger's are not here.
        ($level:ident) => {
            at!(
                $level;
                frame = event.text("frame"),
                inner = event.text("inner"),
                bytes = event.number("bytes"),
                bound = event.flag("bound"),
                side = event.text("side"),
                suite = event.text("suite"),
                input = event.text("input"),
                reason = event.text("reason"),
                retry_at = event.number("retry_at"),
                failures = event.number("failures"),
                origin = event.text("origin"),
                stream = event.text("stream"),
                post_seq = event.number("post_seq"),
                hops = event.number("hops"),
                verdict = event.text("verdict"),
                write = event.number("write"),
                key = event.text("key"),
                posts = event.number("posts"),
                members = event.number("members"),
                next = event.number("next"),
                streams = event.number("streams"),
                due = event.number("due"),
                links = event.number("links"),
                events = event.number("events"),
            )
        };
    }
    match event.kind {
        Kind::FrameIn | Kind::FrameOut | Kind::Timeout => at!(TRACE),
        Kind::PostPublished | Kind::PostIn | Kind::PostOut | Kind::Persist | Kind::Persisted => at!(DEBUG),
        Kind::Refused | Kind::Lost => at!(WARN),
        Kind::Ledger => at!(
            INFO;
            what = event.text("what"),
            height = event.number("height"),
            state = event.text("state"),
        ),
        _ => at!(INFO),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn event(fields: Vec<(&'static str, Value)>) -> Event {
        Event {
            node: Identity::from_seed([1; 32]).id(),
            seq: 7,
            t_mono: Instant::from_millis(2),
            t_wall: None,
            kind: Kind::Ready,
            peer: None,
            span: None,
            fields,
        }
    }

    fn line(event: &Event) -> serde_json::Value {
        let mut out = String::new();
        event.to_json_line(&mut out);
        assert!(out.ends_with("}\n") && out.lines().count() == 1);
        serde_json::from_str(&out).expect("a line of JSON")
    }

    #[test]
    fn every_kind_is_in_the_table_and_in_no_two_rows() {
        let source = include_str!("trace.rs");
        for kind in Kind::ALL {
            let rows = source.lines().filter(|line| line.starts_with("//! | `"));
            let name = alloc::format!("`{kind}`");
            let first = |row: &str| row.split(" | ").nth(1).is_some_and(|cell| cell.contains(&name));
            assert_eq!(rows.filter(|row| first(row)).count(), 1, "{kind}");
        }
    }

    #[test]
    fn texts_are_escaped_so_that_every_reader_gets_them_back() {
        let all: String = (0..0x300).filter_map(char::from_u32).chain("\u{2028}\u{2029}\u{fffd}🦀".chars()).collect();
        let json = line(&event([("text", all.clone().into()), ("flag", true.into())].into()));
        assert_eq!((json["fields"]["text"].as_str(), json["fields"]["flag"].as_bool()), (Some(&*all), Some(true)));
    }

    #[test]
    fn numbers_that_doubles_round_are_written_as_text() {
        let numbers = [("a", MAX_EXACT.into()), ("b", (MAX_EXACT + 1).into()), ("c", u64::MAX.into())];
        let json = line(&event(numbers.into()));
        assert_eq!(json["fields"]["a"].as_u64(), Some(9_007_199_254_740_991));
        assert_eq!(json["fields"]["b"].as_str(), Some("9007199254740992"));
        assert_eq!(json["fields"]["c"].as_str(), Some("18446744073709551615"));
        assert_eq!((json["t_mono"].as_u64(), json.get("t_wall")), (Some(2_000_000), None));
    }
}
