//! Hostile members: a real key, and what no honest node would say.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use bytes::BytesMut;
use serde::{Deserialize, Serialize};

use crate::crypto::Random;
use crate::identity::{BotId, Identity};
use crate::link::{Binding, CloseReason, Code, Expect, Facts, Kind, Link, Setup, Step, Strings};
use crate::node::{Action, Config, Event, LinkId, Output};
use crate::overlay::{Counter, Hub, Message, Post, SeenStreams, StreamId};
use crate::time::Instant;

/// What a hostile member does. Unless said otherwise it links up, answers keepalives and passes posts on like an honest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Lie {
    /// Nothing by itself: a test says what it sends, by [`Network::with_puppet`](super::Network::with_puppet).
    Nothing,
    /// Signs two posts with each name, and sends one to every other link.
    Equivocator,
    /// Sends posts of its own all the time.
    Flooder {
        /// How many.
        posts_per_second: u32,
    },
    /// Links up and reads, but never says a word, not even an echo.
    Silent,
    /// Its clock runs a thousand times too fast: it asks for signs of life, gives up, and replaces its keys all the time.
    ClockLiar,
    /// Sends what it heard again and again, to everybody.
    Replayer,
    /// Sends one byte a second.
    SlowLoris,
    /// Passes on only some of the others' posts.
    SelectiveForwarder {
        /// Of so many authors, the posts of one are dropped; 1 drops all.
        drops_one_in: u32,
    },
}

impl Lie {
    /// How often it acts by itself.
    fn tick(self) -> Option<Duration> {
        match self {
            Self::Flooder { .. } | Self::Replayer => Some(Duration::from_millis(100)),
            Self::SlowLoris => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}

/// Posts that a replayer keeps, so that it costs no more than it hears in a while.
const KEPT: usize = 64;
/// How long a puppet waits before it dials again.
const RETRY: Duration = Duration::from_secs(5);

struct Held {
    link: Link,
    /// What a slow-loris has not sent yet.
    withheld: VecDeque<u8>,
    /// Whether a silent member has said its last word.
    quiet: bool,
}

impl Held {
    fn new(link: Link) -> Self {
        Self { link, withheld: VecDeque::new(), quiet: false }
    }
}

struct Wish {
    peer: BotId,
    address: String,
    link: Option<LinkId>,
    at: Instant,
}

/// A member that lies.
pub struct Puppet {
    lie: Lie,
    config: Config,
    setup: Arc<Setup>,
    /// Two counters for one key, which no honest bot has.
    hubs: [Hub; 2],
    seen: SeenStreams,
    heard: VecDeque<Post>,
    random: Random,
    strings: Strings,
    links: BTreeMap<LinkId, Option<Held>>,
    wishes: Vec<Wish>,
    made: u64,
    started: Instant,
    tick_at: Option<Instant>,
    out: VecDeque<Action>,
}

impl Puppet {
    pub(super) fn new(lie: Lie, config: Config, identity: &Identity, seed: &[u8; 32], now: Instant) -> Self {
        let facts = Facts { capabilities: config.capabilities, ..Facts::default() };
        let setup = Setup::new(config.crypto.clone(), identity, config.community, config.aes, facts);
        let roster = &config.members;
        let counter = Counter { stream: StreamId::from_u64(Random::child(seed, "puppet stream").u64()), next: 1 };
        let hub = || {
            let roster = Arc::clone(roster);
            Hub::new(config.crypto.clone(), identity, config.community, roster, counter, SeenStreams::default())
        };
        Self {
            lie,
            setup: Arc::new(setup.expect("there are no credentials")),
            hubs: [hub(), hub()],
            seen: SeenStreams::default(),
            heard: VecDeque::new(),
            random: Random::child(seed, "puppet"),
            strings: Strings::default(),
            links: BTreeMap::new(),
            wishes: Vec::new(),
            made: 0,
            started: now,
            tick_at: lie.tick().map(|tick| now + tick),
            out: VecDeque::new(),
            config,
        }
    }

    /// What it does.
    #[must_use]
    pub const fn lie(&self) -> Lie {
        self.lie
    }

    /// Its open links, with who is there.
    pub fn links(&self) -> impl Iterator<Item = (LinkId, BotId)> {
        let open = |(id, held): (&LinkId, &Option<Held>)| {
            let link = held.as_ref().map(|held| &held.link).filter(|link| link.is_open())?;
            Some((*id, link.peer()?.peer()))
        };
        self.links.iter().filter_map(open)
    }

    /// Signs its next post; the second story about the same name when `twin` is set.
    pub fn sign(&mut self, body: &[u8], twin: bool) -> Post {
        self.hubs[usize::from(twin)].publish(body)
    }

    /// Sends a message over one link, whatever it says; false when the link is not open.
    pub fn send(&mut self, now: Instant, link: LinkId, message: &Message) -> bool {
        let mut bytes = BytesMut::new();
        message.encode(&mut bytes);
        self.send_raw(now, link, &bytes)
    }

    /// Sends any bytes as a message; false when the link is not open.
    pub fn send_raw(&mut self, now: Instant, link: LinkId, bytes: &[u8]) -> bool {
        let clock = self.lied(now);
        let held = self.links.get_mut(&link).and_then(Option::as_mut);
        let sent = held.is_some_and(|held| held.link.send(clock, bytes));
        self.flush(link);
        sent
    }

    /// Seals any plaintext of a record, its inner kind first; false when the link is not open.
    pub fn send_record(&mut self, now: Instant, link: LinkId, plaintext: &[u8]) -> bool {
        let clock = self.lied(now);
        let held = self.links.get_mut(&link).and_then(Option::as_mut);
        let sent = held.is_some_and(|held| held.link.seal_raw(clock, plaintext));
        self.flush(link);
        sent
    }

    /// Sends any bytes on the stream, unsealed.
    pub fn send_bytes(&mut self, link: LinkId, bytes: &[u8]) {
        self.out.push_back(Action::Send { link, bytes: bytes.to_vec().into() });
    }

    pub(super) fn dial(&mut self, now: Instant, peer: BotId, address: String) {
        self.wishes.push(Wish { peer, address, link: None, at: now });
        self.dial_due(now);
    }

    pub(super) fn publish(&mut self, now: Instant, body: &[u8]) -> Post {
        let (post, mut twin) = (self.sign(body, false), body.to_vec());
        twin.extend_from_slice(b" (twin)");
        let twin = self.sign(&twin, true);
        let lies = self.lie == Lie::Equivocator;
        let links: Vec<LinkId> = self.links().map(|(link, _)| link).collect();
        for (at, link) in links.into_iter().enumerate() {
            let post = if lies && at % 2 == 1 { twin.clone() } else { post.clone() };
            self.send(now, link, &Message::Post { hops: 0, post });
        }
        post
    }

    pub(super) fn handle_accepted(&mut self, now: Instant, binding: Binding) -> LinkId {
        let (id, seed, clock) = (self.next_link(), *self.random.secret(), self.lied(now));
        let link = Link::accept(self.setup.clone(), clock, seed, binding, self.config.limits.times);
        self.links.insert(id, Some(Held::new(link)));
        id
    }

    pub(super) fn handle_dialled(&mut self, now: Instant, id: LinkId, binding: Binding) {
        let Some(peer) = self.wishes.iter().find(|wish| wish.link == Some(id)).map(|wish| wish.peer) else { return };
        let (setup, seed, clock) = (self.setup.clone(), *self.random.secret(), self.lied(now));
        let (expect, times) = (Expect::Key(peer), self.config.limits.times);
        let link = Link::dial(setup, clock, seed, binding, Kind::Member, expect, &mut self.strings, times);
        self.links.insert(id, Some(Held::new(link)));
        self.flush(id);
    }

    pub(super) fn handle_bytes(&mut self, now: Instant, id: LinkId, mut bytes: &[u8]) {
        let clock = self.lied(now);
        loop {
            let Some(held) = self.links.get_mut(&id).and_then(Option::as_mut) else { return };
            match held.link.step(clock, &mut bytes) {
                Step::NeedMore => break,
                Step::Hello => {
                    if held.link.answer().is_err() {
                        return self.end(now, id, CloseReason::Ended);
                    }
                }
                Step::Proved => held.link.admit(clock),
                Step::Open => held.quiet = true,
                Step::Message(message) => {
                    if let Ok(message) = Message::decode(&message) {
                        self.hear(now, id, message);
                    }
                }
                Step::Closed(reason) => return self.end(now, id, reason),
            }
        }
        self.flush(id);
    }

    pub(super) fn handle_ended(&mut self, now: Instant, id: LinkId) {
        self.end(now, id, CloseReason::Ended);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let clock = self.lied(now);
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            let Some(held) = self.links.get_mut(&id).and_then(Option::as_mut) else { continue };
            match held.link.handle_timeout(clock) {
                Some(reason) => self.end(now, id, reason),
                None => self.flush(id),
            }
        }
        self.dial_due(now);
        if self.tick_at.is_some_and(|at| at <= now) {
            self.tick_at = self.lie.tick().map(|tick| now + tick);
            self.act(now);
        }
    }

    pub(super) fn poll(&mut self) -> Output {
        if let Some(action) = self.out.pop_front() {
            return Output::Do(action);
        }
        let links = self.links.values().flatten().filter_map(|held| held.link.wake_at());
        let links = links.map(|at| self.truly(at));
        let wishes = self.wishes.iter().filter(|wish| wish.link.is_none()).map(|wish| wish.at);
        Output::Idle { wake_at: links.chain(wishes).chain(self.tick_at).min() }
    }

    /// What its own clock says.
    fn lied(&self, now: Instant) -> Instant {
        if self.lie != Lie::ClockLiar {
            return now;
        }
        self.started + now.since(self.started).saturating_mul(1000)
    }

    /// When its own clock will say so.
    fn truly(&self, lied: Instant) -> Instant {
        if self.lie != Lie::ClockLiar {
            return lied;
        }
        let nanos = lied.since(self.started).as_nanos().div_ceil(1000);
        self.started + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn next_link(&mut self) -> LinkId {
        self.made += 1;
        LinkId(self.made)
    }

    fn dial_due(&mut self, now: Instant) {
        for at in 0..self.wishes.len() {
            if self.wishes[at].link.is_none() && self.wishes[at].at <= now {
                let link = self.next_link();
                let Wish { peer, address, .. } = &self.wishes[at];
                self.out.push_back(Action::Dial { link, peer: *peer, address: address.clone() });
                self.links.insert(link, None);
                self.wishes[at].link = Some(link);
            }
        }
    }

    fn hear(&mut self, now: Instant, from: LinkId, message: Message) {
        let Message::Post { hops, post } = message;
        let id = post.id();
        if id.origin == self.setup.id() || !self.seen.take(&id) {
            return;
        }
        self.out.push_back(Action::Notify(Event::Post { post: post.clone(), link: from }));
        if self.heard.len() == KEPT {
            self.heard.pop_front();
        }
        self.heard.push_back(post.clone());
        let dropped = match self.lie {
            Lie::SelectiveForwarder { drops_one_in } => u32::from(id.origin.as_bytes()[0]) % drops_one_in.max(1) == 0,
            Lie::Silent | Lie::SlowLoris => true,
            _ => false,
        };
        if dropped {
            return;
        }
        let links: Vec<LinkId> = self.links().map(|(link, _)| link).filter(|link| *link != from).collect();
        for link in links {
            self.send(now, link, &Message::Post { hops: hops.saturating_add(1), post: post.clone() });
        }
    }

    fn act(&mut self, now: Instant) {
        let links: Vec<LinkId> = self.links().map(|(link, _)| link).collect();
        match self.lie {
            Lie::Flooder { posts_per_second } => {
                for _ in 0..posts_per_second.div_ceil(10) {
                    let post = self.sign(b"flood", false);
                    for link in &links {
                        self.send(now, *link, &Message::Post { hops: 0, post: post.clone() });
                    }
                }
            }
            Lie::Replayer => {
                for post in self.heard.clone() {
                    for link in &links {
                        self.send(now, *link, &Message::Post { hops: 0, post: post.clone() });
                    }
                }
            }
            Lie::SlowLoris => {
                for (id, held) in &mut self.links {
                    if let Some(byte) = held.as_mut().and_then(|held| held.withheld.pop_front()) {
                        self.out.push_back(Action::Send { link: *id, bytes: [byte].to_vec().into() });
                    }
                }
            }
            _ => {}
        }
    }

    /// Hands over what a link has sealed, as the lie allows.
    fn flush(&mut self, id: LinkId) {
        let Some(held) = self.links.get_mut(&id).and_then(Option::as_mut) else { return };
        let bytes = held.link.take_output();
        if bytes.is_empty() {
            return;
        }
        match self.lie {
            Lie::SlowLoris => held.withheld.extend(bytes),
            Lie::Silent if held.quiet => {}
            _ => {
                // As a server it says OK, which opens the link, and nothing after it.
                held.quiet = held.link.is_open();
                self.out.push_back(Action::Send { link: id, bytes });
            }
        }
    }

    fn end(&mut self, now: Instant, id: LinkId, reason: CloseReason) {
        let Some(held) = self.links.remove(&id) else { return };
        if reason != CloseReason::Ended {
            self.out.push_back(Action::CloseLink { link: id });
        }
        let peer = held.as_ref().and_then(|held| held.link.peer()).map(|peer| peer.peer());
        self.out.push_back(Action::Notify(Event::Closed { link: id, peer, reason, retry_at: None }));
        for wish in &mut self.wishes {
            if wish.link == Some(id) {
                (wish.link, wish.at) = (None, now + RETRY);
            }
        }
    }

    /// Says goodbye on all links.
    pub(super) fn shut_down(&mut self, now: Instant) {
        let clock = self.lied(now);
        self.wishes.clear();
        let ids: Vec<LinkId> = self.links.keys().copied().collect();
        for id in ids {
            if let Some(Some(held)) = self.links.get_mut(&id) {
                held.link.close(clock, Code::GoingAway, Duration::ZERO);
            }
            self.flush(id);
            self.end(now, id, CloseReason::Here(Code::GoingAway));
        }
    }
}

impl fmt::Debug for Puppet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Puppet").field("lie", &self.lie).field("links", &self.links.len()).finish_non_exhaustive()
    }
}

/// Who lives on a host.
pub(super) enum Actor {
    Node(Box<crate::node::Node>),
    Puppet(Box<Puppet>),
}
