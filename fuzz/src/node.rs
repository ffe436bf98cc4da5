//! A node under test: its host, its disk, and its peers, all driven by a list of operations.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arbitrary::Arbitrary;
use bytes::{Bytes, BytesMut};
use interbot::budget::Rate;
use interbot::crypto::Crypto;
use interbot::link::{Binding, CloseReason, Code, Expect, Kind, Link, Side, Strings, Times};
use interbot::node::{
    AcceptError, Action, Config, DialError, Event, Limits, LinkId, Node, Output, PersistId, PublishError, Record,
};
use interbot::overlay::{Counter, Hub, MAX_HOPS, MAX_POST_BODY, Message, Post, PostId, SeenStreams, StreamId};
use interbot::{BotId, Instant};

use crate::crypto::Cheap;
use crate::edit::{Edit, apply};
use crate::flow::Flow;
use crate::keys::{ABOVE, BELOW, COUNT, NODE, STRANGER, Variant, community, id, identity, members, setup};
use crate::watched::{Verdict, Watched};

/// A whole run.
#[derive(Arbitrary, Debug)]
pub struct Input {
    /// Whether there is room for two children, or for one.
    roomy: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    /// Somebody opens a stream.
    Accept {
        who: Who,
        bound: bool,
    },
    Dial {
        who: u8,
    },
    Forget {
        who: u8,
    },
    /// A stream that the node asked for is open, and leads to somebody.
    Dialled {
        at: u8,
        who: Who,
        refuse: Option<u8>,
    },
    /// Bytes of a peer reach the node.
    ToNode {
        at: u8,
        len: u16,
    },
    /// Bytes of a peer are changed on their way.
    Change {
        at: u8,
        edit: Edit,
    },
    Raw {
        at: u8,
        bytes: Vec<u8>,
    },
    /// Bytes of the node reach a peer.
    ToPeer {
        at: u8,
    },
    /// A peer says something; it reaches the node at once, or waits.
    Say {
        at: u8,
        what: Say,
        at_once: bool,
    },
    Written {
        at: u8,
        bytes: u32,
    },
    Ended {
        at: u8,
    },
    /// Something about a link that the node never made.
    Foreign {
        what: u8,
        bytes: Vec<u8>,
    },
    Later {
        millis: u32,
    },
    /// The host's clock goes back for one call.
    Back {
        millis: u32,
    },
    /// The host acts on the deadline that it was told.
    Wake,
    Persisted {
        at: u8,
    },
    Publish {
        len: u16,
    },
    Close {
        at: u8,
        code: u8,
    },
    ShutDown,
    Poll {
        times: u8,
    },
    /// Everything that waits happens, until nothing waits.
    Settle,
    Restart {
        crash: bool,
    },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Who {
    Below,
    Above,
    Stranger,
    Itself,
    /// A member, as a candidate.
    Candidate,
    /// Nobody: raw bytes.
    Nobody,
}

#[derive(Arbitrary, Debug)]
enum Say {
    Post {
        author: u8,
        stream: u8,
        seq: u8,
        far: bool,
        hops: u8,
        len: u16,
    },
    Altered {
        author: u8,
        stream: u8,
        seq: u8,
        at: u16,
        bit: u8,
    },
    Bytes(Vec<u8>),
    /// Twice as many pings, one after the other, of a peer that does not read what comes back.
    Pings(u8),
    Close(u8),
}

const WINDOW_BYTES: usize = 2048;

/// Limits that a short run meets.
fn limits(roomy: bool) -> Limits {
    Limits {
        half_open: 3,
        children: if roomy { 2 } else { 1 },
        dials: 2,
        handshakes: Rate { per_second: 5, burst: 8 },
        window_bytes: WINDOW_BYTES,
        queue_high_bytes: 2048,
        queue_low_bytes: 512,
        queue_max_bytes: 8192,
        posts: Rate { per_second: 10, burst: 5 },
        unpersisted_posts: 3,
        outbox: 24,
        ..Limits::default()
    }
}

/// What may wait beyond the window and one message, which is what a link says of itself: hundreds of pings unread are more
/// than any honest peer has.
const MAX_CONTROL_BYTES: usize = 9 * 1024;

/// Bytes of a handshake, as the client and as the server writes it.
const CLIENT_BYTES: usize = 91 + 159 + 54;
const SERVER_BYTES: usize = 225 + 280;

fn config(roomy: bool) -> Config {
    let members = members().iter().copied();
    Config { crypto: Arc::new(Cheap), limits: limits(roomy), ..Config::new(community(), members) }
}

/// Links that the node under test never made: their numbers are far above its own.
fn foreign() -> LinkId {
    static FOREIGN: OnceLock<LinkId> = OnceLock::new();
    *FOREIGN.get_or_init(|| {
        let mut node = Node::new(config(true), identity(NODE), [0; 32], Instant::ZERO);
        let mut last = None;
        for _ in 0..10_000 {
            last = node.handle_accepted(Instant::ZERO, Binding::None).ok();
            while let Output::Do(_) = node.poll() {}
        }
        last.expect("there is room for one more")
    })
}

/// A peer's end of a stream.
struct Peer {
    end: Watched,
    who: usize,
    member: bool,
    /// Messages that were looked at.
    heard: usize,
}

struct Stream {
    /// Whom the node dialled.
    dialled: Option<BotId>,
    /// Whether there is a stream, or was.
    up: bool,
    peer: Option<Peer>,
    /// What the peer says; how much of it reached the node is in the flow.
    flow: Flow,
    to_node: Vec<u8>,
    /// What the node says and the peer did not hear yet.
    to_peer: Vec<u8>,
    unwritten: usize,
    /// Most bytes that the node was given at once, all of which may be pings.
    gulp: usize,
    paused: bool,
    /// Whether the host said that it ended.
    ended: bool,
    close_seen: bool,
    link_up: bool,
    closed: Option<CloseReason>,
}

impl Stream {
    fn new(dialled: Option<BotId>) -> Self {
        Self {
            dialled,
            up: dialled.is_none(),
            peer: None,
            flow: Flow::default(),
            to_node: Vec::new(),
            to_peer: Vec::new(),
            unwritten: 0,
            gulp: 0,
            paused: false,
            ended: false,
            close_seen: false,
            link_up: false,
            closed: None,
        }
    }

    /// Whether the host still has it.
    fn is_alive(&self) -> bool {
        self.up && !self.ended && !self.close_seen
    }

    /// Notes what the peer said.
    fn collect(&mut self) {
        if let Some(peer) = &mut self.peer {
            let fresh = peer.end.take_fresh();
            self.flow.emitted.extend_from_slice(&fresh);
            self.to_node.extend_from_slice(&fresh);
        }
    }
}

struct Run {
    node: Node,
    roomy: bool,
    now: Instant,
    /// The deadline that the node last told.
    wake_at: Option<Instant>,
    streams: BTreeMap<LinkId, Stream>,
    /// In the order in which the host heard of them.
    ids: Vec<LinkId>,
    wishes: BTreeSet<BotId>,
    /// Writes that the node asked for and are not confirmed.
    writes: Vec<(PersistId, Record)>,
    disk: Option<Record>,
    last_write: u64,
    durable: u64,
    /// Every write that was asked for.
    issued: Vec<PersistId>,
    /// Own posts whose write was not asked for yet.
    unasked: VecDeque<PostId>,
    /// The writes of own posts.
    own: BTreeMap<PostId, u64>,
    published: BTreeSet<PostId>,
    /// Bytes of the longest body of a post.
    longest: usize,
    /// Own posts that anybody ever saw, in all lives.
    public: BTreeMap<PostId, Bytes>,
    /// Posts that the application was handed, and by which link.
    delivered: BTreeMap<PostId, Option<LinkId>>,
    /// Whether publishing was refused and `Ready` did not come since.
    refused: bool,
    refusals: usize,
    readies: usize,
    lives: u8,
    strings: Strings,
}

/// Runs a list of operations.
pub fn run(input: &Input) {
    let now = Instant::from_millis(1_000);
    let mut run = Run {
        node: Node::new(config(input.roomy), identity(NODE), [1; 32], now),
        roomy: input.roomy,
        now,
        wake_at: None,
        streams: BTreeMap::new(),
        ids: Vec::new(),
        wishes: BTreeSet::new(),
        writes: Vec::new(),
        disk: None,
        last_write: 0,
        durable: 0,
        issued: Vec::new(),
        unasked: VecDeque::new(),
        own: BTreeMap::new(),
        published: BTreeSet::new(),
        longest: 0,
        public: BTreeMap::new(),
        delivered: BTreeMap::new(),
        refused: false,
        refusals: 0,
        readies: 0,
        lives: 1,
        strings: Strings::default(),
    };
    for op in input.ops.iter().take(96) {
        run.step(op);
    }
    run.finish();
}

fn post(author: u8, stream: u8, seq: u64, len: u16) -> Post {
    let author = usize::from(author) % COUNT;
    // No more streams than a node remembers of each author.
    let stream = StreamId::from_u64(u64::from(stream) % SeenStreams::PER_ORIGIN as u64);
    let counter = Counter { stream, next: seq };
    let crypto: Arc<dyn Crypto> = Arc::new(Cheap);
    let mut hub = Hub::new(crypto, identity(author), community(), members().clone(), counter, SeenStreams::default());
    hub.publish(&vec![seq as u8; usize::from(len) % (MAX_POST_BODY + 1)])
}

impl Run {
    fn at(&self, n: u8) -> Option<LinkId> {
        self.ids.get(usize::from(n) % self.ids.len().max(1)).copied()
    }

    fn step(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Accept { who, bound } => self.accept(*who, *bound),
            Op::Dial { who } => {
                let peer = id(usize::from(*who) % COUNT);
                match self.node.dial(now, peer, "address") {
                    Ok(()) => drop(self.wishes.insert(peer)),
                    Err(DialError::OurOwnKey) => assert_eq!(peer, id(NODE)),
                    Err(DialError::NotAMember(who)) => assert!(who == peer && peer == id(STRANGER)),
                    // The host polls too seldom; nothing changed.
                    Err(DialError::Undrained(_)) => {}
                    Err(error) => panic!("{error}"),
                }
            }
            Op::Forget { who } => {
                let peer = id(usize::from(*who) % COUNT);
                self.wishes.remove(&peer);
                self.node.forget(now, peer);
            }
            Op::Dialled { at, who, refuse } => {
                if let Some(link) = self.at(*at) {
                    self.dialled(link, *who, *refuse);
                }
            }
            Op::ToNode { at, len } => {
                if let Some(link) = self.at(*at) {
                    self.feed_node(link, usize::from(*len));
                }
            }
            Op::Change { at, edit } => {
                if let Some(stream) = self.at(*at).and_then(|link| self.streams.get_mut(&link)) {
                    apply(std::slice::from_ref(edit), &mut stream.to_node);
                    stream.to_node.truncate(1 << 20);
                }
            }
            Op::Raw { at, bytes } => {
                if let Some(link) = self.at(*at) {
                    if let Some(stream) = self.streams.get_mut(&link) {
                        stream.to_node.splice(0..0, bytes.iter().copied());
                    }
                    self.feed_node(link, bytes.len());
                }
            }
            Op::ToPeer { at } => {
                if let Some(link) = self.at(*at) {
                    self.feed_peer(link);
                }
            }
            Op::Say { at, what, at_once } => {
                self.say(*at, what);
                if let (Some(link), true) = (self.at(*at), *at_once) {
                    self.feed_node(link, usize::MAX);
                }
            }
            Op::Written { at, bytes } => {
                if let Some(link) = self.at(*at) {
                    if let Some(stream) = self.streams.get_mut(&link) {
                        stream.unwritten = stream.unwritten.saturating_sub(*bytes as usize);
                    }
                    self.node.handle_written(now, link, *bytes as usize);
                }
            }
            Op::Ended { at } => {
                if let Some(link) = self.at(*at) {
                    self.ended(link);
                }
            }
            Op::Foreign { what, bytes } => {
                let link = foreign();
                match what % 5 {
                    0 => self.node.handle_bytes(now, link, bytes).unwrap_or_default(),
                    1 => self.node.handle_written(now, link, bytes.len()),
                    2 => self.node.handle_ended(now, link),
                    3 => self.node.handle_dialled(now, link, Binding::None),
                    _ => self.node.close(now, link, Code::GoingAway),
                }
                assert!(self.node.export(link, "fuzz", b"", &mut [0; 32]).is_err());
            }
            Op::Later { millis } => {
                self.now = now + Duration::from_millis(u64::from(*millis));
                self.node.handle_timeout(self.now);
            }
            Op::Back { millis } => {
                let nanos = now.as_nanos().saturating_sub(u64::from(*millis) * 1_000_000);
                self.node.handle_timeout(Instant::from_nanos(nanos));
            }
            Op::Wake => {
                self.drain();
                self.wake();
            }
            Op::Persisted { at } => {
                if !self.issued.is_empty() {
                    self.persisted(self.issued[usize::from(*at) % self.issued.len()]);
                }
            }
            Op::Publish { len } => self.publish(*len),
            Op::Close { at, code } => {
                if let Some(link) = self.at(*at) {
                    self.node.close(now, link, Code::from_wire(*code));
                }
            }
            Op::ShutDown => {
                self.wishes.clear();
                self.node.shut_down(now);
            }
            Op::Poll { times } => {
                for _ in 0..*times {
                    if !self.poll() {
                        break;
                    }
                }
            }
            Op::Settle => self.settle(),
            Op::Restart { crash } => self.restart(*crash),
        }
    }

    fn accept(&mut self, who: Who, bound: bool) {
        let binding = if bound { Binding::TlsExporter([9; 32]) } else { Binding::None };
        let link = match self.node.handle_accepted(self.now, Binding::None) {
            Ok(link) => link,
            Err(AcceptError::Undrained(_) | AcceptError::Full) => return,
            Err(error) => panic!("{error}"),
        };
        let (at, kind) = match who {
            Who::Below => (Some(BELOW), Kind::Member),
            Who::Above => (Some(ABOVE), Kind::Member),
            Who::Stranger => (Some(STRANGER), Kind::Member),
            Who::Itself => (Some(NODE), Kind::Member),
            Who::Candidate => (Some(BELOW), Kind::Candidate),
            Who::Nobody => (None, Kind::Member),
        };
        let mut stream = Stream::new(None);
        stream.peer = at.map(|at| {
            let setup = setup(at, Variant { cheap: true, ..Variant::default() });
            let (expect, seed) = (Expect::Key(id(NODE)), self.seed());
            let end = Link::dial(setup, self.now, seed, binding, kind, expect, &mut self.strings, Times::default());
            let end = Watched::new(end, Side::Client, Verdict::Admit);
            Peer { end, who: at, member: matches!(who, Who::Below | Who::Above) && !bound, heard: 0 }
        });
        stream.collect();
        self.made(link, stream);
    }

    fn made(&mut self, link: LinkId, stream: Stream) {
        assert!(self.streams.insert(link, stream).is_none(), "an id is used once");
        self.ids.push(link);
    }

    /// Secret bytes that no other link has.
    fn seed(&self) -> [u8; 32] {
        let mut seed = [self.lives; 32];
        seed[..8].copy_from_slice(&(self.ids.len() as u64).to_be_bytes());
        seed
    }

    fn dialled(&mut self, link: LinkId, who: Who, refuse: Option<u8>) {
        let seed = self.seed();
        let Some(stream) = self.streams.get_mut(&link) else { return };
        if stream.dialled.is_some() && !stream.up && !stream.ended && !stream.close_seen {
            stream.up = true;
            let at = match who {
                Who::Below | Who::Candidate => Some(BELOW),
                Who::Above => Some(ABOVE),
                Who::Stranger => Some(STRANGER),
                Who::Itself => Some(NODE),
                Who::Nobody => None,
            };
            let verdict = match refuse {
                None => Verdict::Admit,
                Some(code) if code % 2 == 0 => Verdict::RefuseHello(Code::from_wire(code / 2)),
                Some(code) => Verdict::RefuseProved(Code::from_wire(code / 2)),
            };
            stream.peer = at.map(|at| {
                let setup = setup(at, Variant { cheap: true, ..Variant::default() });
                let end = Link::accept(setup, self.now, seed, Binding::None, Times::default());
                let member = stream.dialled == Some(id(at));
                Peer { end: Watched::new(end, Side::Server, verdict), who: at, member, heard: 0 }
            });
        }
        self.node.handle_dialled(self.now, link, Binding::None);
    }

    fn feed_node(&mut self, link: LinkId, len: usize) {
        let Some(stream) = self.streams.get_mut(&link) else { return };
        let len = len.min(stream.to_node.len());
        stream.gulp = stream.gulp.max(len);
        if !stream.is_alive() {
            // A host that reads on: whatever comes is ignored.
            let bytes: Vec<u8> = stream.to_node.drain(..len).collect();
            return self.node.handle_bytes(self.now, link, &bytes).unwrap_or_default();
        }
        if self.node.handle_bytes(self.now, link, &stream.to_node[..len]).is_ok() {
            let bytes: Vec<u8> = stream.to_node.drain(..len).collect();
            stream.flow.fed(&bytes);
        }
    }

    fn feed_peer(&mut self, link: LinkId) {
        let now = self.now;
        let Some(stream) = self.streams.get_mut(&link) else { return };
        let bytes = core::mem::take(&mut stream.to_peer);
        let Some(peer) = &mut stream.peer else { return };
        peer.end.feed(now, &bytes);
        let honest = peer.member && !stream.flow.is_altered();
        if let Some(Some(CloseReason::Fault(fault))) = peer.end.closed {
            assert!(!honest, "{fault:?} of the node against an honest peer");
        }
        let heard = peer.end.messages[peer.heard..].to_vec();
        peer.heard = peer.end.messages.len();
        let opened = peer.end.open_after.is_some();
        assert!(!opened || peer.member, "the node let in {}", peer.who);
        stream.collect();
        for message in heard {
            self.heard(link, &message);
        }
    }

    /// A peer heard this from the node.
    fn heard(&mut self, link: LinkId, message: &Bytes) {
        let message = Message::decode(message).expect("a node says what is in order");
        let Message::Post { hops, post } = message else { panic!("posts are all there is") };
        let name = post.id();
        if name.origin == id(NODE) {
            assert_eq!(hops, 0);
            let write = self.own.get(&name).expect("a post that was published");
            assert!(*write <= self.durable, "an own post left before its number was durable");
            let body = self.public.entry(name).or_insert_with(|| post.body());
            assert_eq!(*body, post.body(), "one name, one post");
        } else {
            assert!((1..=MAX_HOPS).contains(&hops) && members().contains(&name.origin));
            if let Some(Some(from)) = self.delivered.get(&name) {
                assert_ne!(*from, link, "nothing goes back where it came from");
            }
        }
    }

    fn say(&mut self, at: u8, what: &Say) {
        let now = self.now;
        let Some(link) = self.at(at) else { return };
        let Some(stream) = self.streams.get_mut(&link) else { return };
        let Some(peer) = &mut stream.peer else { return };
        let mut out = BytesMut::new();
        match what {
            Say::Post { author, stream, seq, far, hops, len } => {
                let seq = if *far { u64::MAX - u64::from(*seq) } else { u64::from(*seq) };
                // The author's own counter goes no further.
                let post = post(*author, *stream, seq.min(u64::MAX - 1), *len);
                self.longest = self.longest.max(post.body().len());
                Message::Post { hops: *hops, post }.encode(&mut out);
            }
            Say::Altered { author, stream, seq, at, bit } => {
                let post = post(*author, *stream, u64::from(*seq), 20);
                self.longest = self.longest.max(post.body().len());
                Message::Post { hops: 0, post }.encode(&mut out);
                let at = usize::from(*at) % out.len();
                out[at] ^= 1 << (bit % 8);
            }
            Say::Bytes(bytes) => out.extend_from_slice(bytes),
            Say::Pings(times) => return self.pings(link, 2 * usize::from(*times)),
            Say::Close(code) => {
                peer.end.with(|link| link.close(now, Code::from_wire(*code), Duration::from_secs(7)));
                return stream.collect();
            }
        }
        // A message that is too long, or a link that is not open, is refused.
        let _ = peer.end.with(|link| link.send(now, &out));
        stream.collect();
    }

    /// A peer may ask and ask. An honest end asks again only when it was answered, so it is handed the answers; the host is
    /// not told that any of them was written.
    fn pings(&mut self, link: LinkId, times: usize) {
        for _ in 0..times {
            let Some(stream) = self.streams.get_mut(&link) else { return };
            let Some(peer) = stream.peer.as_mut().filter(|peer| peer.end.link.is_open()) else { return };
            if !stream.to_node.is_empty() || stream.paused || stream.close_seen {
                return;
            }
            peer.end.with(|end| end.probe(self.now));
            stream.collect();
            self.feed_node(link, usize::MAX);
            self.drain();
            self.feed_peer(link);
        }
    }

    fn ended(&mut self, link: LinkId) {
        if let Some(stream) = self.streams.get_mut(&link) {
            stream.ended = true;
        }
        self.node.handle_ended(self.now, link);
    }

    fn publish(&mut self, len: u16) {
        let body = vec![self.lives; usize::from(len)];
        self.longest = self.longest.max(body.len());
        match self.node.publish(self.now, &body) {
            Ok(name) => {
                assert!(body.len() <= MAX_POST_BODY && name.origin == id(NODE));
                assert!(self.own.insert(name, u64::MAX).is_none(), "a name is given once");
                assert!(!self.public.contains_key(&name), "a name is given once, in all lives");
                self.unasked.push_back(name);
                assert!(self.own.len() - self.published.len() <= 32, "few posts wait");
            }
            Err(PublishError::TooLong(found)) => assert!(found == body.len() && found > MAX_POST_BODY),
            Err(PublishError::Busy) => {
                self.refused = true;
                self.refusals += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn persisted(&mut self, write: PersistId) {
        // This one, and all before it.
        for (_, record) in self.writes.extract_if(.., |(id, _)| *id <= write) {
            self.disk = Some(record);
        }
        self.durable = self.durable.max(write.as_u64());
        self.node.persisted(self.now, write);
    }

    /// Does one thing that the node asks for; false when it is idle.
    fn poll(&mut self) -> bool {
        match self.node.poll() {
            Output::Idle { wake_at } => {
                self.wake_at = wake_at;
                false
            }
            Output::Do(action) => {
                self.act(action);
                true
            }
        }
    }

    fn act(&mut self, action: Action) {
        let link = match &action {
            Action::Send { link, .. }
            | Action::CloseLink { link }
            | Action::PauseReading { link }
            | Action::ResumeReading { link } => Some(*link),
            _ => None,
        };
        if let Some(link) = link {
            let stream = self.streams.get_mut(&link).expect("a link that the host knows");
            assert!(!stream.close_seen, "after CloseLink comes {action:?}");
        }
        let most = WINDOW_BYTES + self.longest + MAX_CONTROL_BYTES;
        let mut stream = link.and_then(|link| self.streams.get_mut(&link));
        match (action, &mut stream) {
            (Action::Send { bytes, .. }, Some(stream)) => {
                assert!(stream.up && !bytes.is_empty());
                if !stream.ended {
                    stream.unwritten += bytes.len();
                    assert!(stream.unwritten <= most + stream.gulp, "{} bytes wait at the host", stream.unwritten);
                    stream.to_peer.extend_from_slice(&bytes);
                }
            }
            (Action::CloseLink { .. }, Some(stream)) => stream.close_seen = true,
            (Action::PauseReading { .. }, Some(stream)) => {
                assert!(stream.ended || !core::mem::replace(&mut stream.paused, true));
            }
            (Action::ResumeReading { .. }, Some(stream)) => {
                assert!(stream.ended || core::mem::replace(&mut stream.paused, false));
            }
            (Action::Dial { link, peer, address }, _) => {
                assert!(address == "address" && members().contains(&peer) && peer != id(NODE));
                self.made(link, Stream::new(Some(peer)));
            }
            (Action::Persist { id, record }, _) => {
                assert!(id.as_u64() > self.last_write, "writes grow");
                self.last_write = id.as_u64();
                let name = self.unasked.pop_front().expect("one write for each post");
                self.own.insert(name, id.as_u64());
                self.issued.push(id);
                self.writes.push((id, record));
            }
            (Action::Notify(event), _) => self.event(event),
            (action, None) => panic!("{action:?}"),
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::LinkUp { link, peer, side, .. } => {
                let stream = self.streams.get_mut(&link).expect("a link that the host knows");
                assert!(!stream.link_up && stream.closed.is_none(), "once, and before it closes");
                stream.link_up = true;
                let known = stream.peer.as_ref().expect("raw bytes open no link");
                assert!(known.member && id(known.who) == peer, "{peer:?} is {}", known.who);
                let (expected, least) =
                    if stream.dialled.is_some() { (Side::Client, SERVER_BYTES) } else { (Side::Server, CLIENT_BYTES) };
                assert!(side == expected && stream.dialled.is_none_or(|dialled| dialled == peer));
                assert!(stream.flow.clean >= least, "a handshake that was altered opens no link");
            }
            Event::Closed { link, reason, .. } => {
                let stream = self.streams.get_mut(&link).expect("a link that the host knows");
                assert!(stream.closed.is_none(), "{link:?} is closed once: {:?}, {reason:?}", stream.closed);
                stream.closed = Some(reason);
            }
            Event::Post { post, link } => {
                let name = post.id();
                assert!(members().contains(&name.origin) && name.origin != id(NODE));
                let mut signed = BytesMut::new();
                post.signed_bytes(&community(), &mut signed);
                assert!(Cheap.verify(name.origin.as_bytes(), &signed, post.signature()));
                assert!(self.delivered.insert(name, Some(link)).is_none(), "{name:?} is handed over once");
            }
            Event::Published { id } => {
                assert!(self.own.get(&id).is_some_and(|write| *write <= self.durable), "durable before it is said");
                assert!(self.published.insert(id), "said once");
            }
            Event::Ready => {
                self.refused = false;
                self.readies += 1;
                assert!(self.readies <= self.refusals, "said after a refusal");
            }
            other => panic!("{other:?}"),
        }
    }

    fn drain(&mut self) {
        let mut polls = 0;
        while self.poll() {
            polls += 1;
            assert!(polls < 20_000, "a node that gets no input is idle at last");
        }
        // What the node says about its links is what it told.
        let links: BTreeMap<_, _> = self.node.links().map(|info| (info.link, info.open_since.is_some())).collect();
        for (link, stream) in &self.streams {
            let known = links.get(link).copied();
            assert_eq!(known, stream.closed.is_none().then_some(stream.link_up), "{link:?}");
        }
        assert!(links.keys().all(|link| self.streams.contains_key(link)));
        let behind = self.own.len() - self.published.len();
        let quiet = links.is_empty() && behind < limits(self.roomy).unpersisted_posts;
        assert!(!(self.refused && quiet), "a host that was refused is told when it may go on");
    }

    /// Acts on the deadline, when all else is done.
    fn wake(&mut self) {
        if let Some(at) = self.wake_at {
            self.now = self.now.max(at);
        }
        self.node.handle_timeout(self.now);
        self.drain();
        assert!(self.wake_at.is_none_or(|at| at > self.now), "{:?} at {:?} spins", self.wake_at, self.now);
    }

    fn settle(&mut self) {
        for _ in 0..256 {
            let mut busy = self.poll();
            self.drain();
            for write in self.writes.last().map(|(write, _)| *write).into_iter().collect::<Vec<_>>() {
                self.persisted(write);
                busy = true;
            }
            for link in self.ids.clone() {
                self.drain();
                let stream = &self.streams[&link];
                if let Some(peer) = stream.dialled.filter(|_| !stream.up && stream.closed.is_none()) {
                    busy = true;
                    let who = if peer == id(BELOW) { Who::Below } else { Who::Above };
                    self.dialled(link, who, None);
                    self.drain();
                }
                let Some(stream) = self.streams.get_mut(&link) else { continue };
                let (written, heard) = (core::mem::take(&mut stream.unwritten), !stream.to_peer.is_empty());
                self.node.handle_written(self.now, link, written);
                self.drain();
                self.feed_peer(link);
                let stream = &self.streams[&link];
                let said = stream.is_alive() && !stream.to_node.is_empty() && !stream.paused;
                if said {
                    self.feed_node(link, usize::MAX);
                    self.drain();
                }
                let stream = &self.streams[&link];
                let gone = stream.peer.as_ref().is_some_and(|peer| peer.end.closed.is_some());
                if gone && stream.is_alive() && !stream.paused && stream.to_node.is_empty() {
                    self.ended(link);
                    busy = true;
                }
                busy |= written > 0 || heard || said;
            }
            if !busy {
                return;
            }
        }
        panic!("a network without news settles");
    }

    /// Everything that was promised for the end of a life.
    fn check_end(&mut self) {
        self.wishes.clear();
        self.node.shut_down(self.now);
        self.drain();
        for (link, stream) in &self.streams {
            let reason = stream.closed.expect("each link is closed once");
            match reason {
                CloseReason::Ended => assert!(!stream.close_seen, "{link:?} had ended"),
                CloseReason::Unreachable => {}
                _ => assert!(stream.close_seen, "{link:?}: {reason:?} without CloseLink"),
            }
        }
        assert!(self.wake_at.is_none(), "nothing is left to wait for");
    }

    fn restart(&mut self, crash: bool) {
        if self.lives == u8::MAX {
            return;
        }
        self.drain();
        let records: Vec<Record> = if crash {
            // Posts that were taken are forgotten, and may be taken again.
            self.delivered.clear();
            self.disk.iter().cloned().collect()
        } else {
            self.check_end();
            let snapshot = self.node.snapshot();
            self.disk = snapshot.first().cloned();
            self.delivered.values_mut().for_each(|link| *link = None);
            snapshot
        };
        self.lives += 1;
        let restored = Node::restore(config(self.roomy), identity(NODE), [self.lives; 32], self.now, records.clone());
        self.node = restored.expect("a node reads its own records");
        if !crash {
            assert_eq!(self.node.snapshot(), records, "nothing is lost on the way");
        }
        for gone in [&mut self.last_write, &mut self.durable] {
            *gone = 0;
        }
        self.streams.clear();
        self.ids.clear();
        self.wishes.clear();
        self.writes.clear();
        self.issued.clear();
        self.unasked.clear();
        self.own.clear();
        self.published.clear();
        (self.refused, self.refusals, self.readies) = (false, 0, 0);
        self.drain();
    }

    fn finish(&mut self) {
        self.drain();
        self.wake();
        // A wish is never lost: whoever is wished for and not linked is dialled again, after an hour at the latest.
        let (start, mut lacking) = (self.now, self.wishes.clone());
        for _ in 0..256 {
            let linked: BTreeSet<BotId> = self.node.links().filter_map(|info| info.peer).collect();
            lacking.retain(|peer| !linked.contains(peer));
            if lacking.is_empty() {
                break;
            }
            assert!(self.wake_at.is_some(), "nobody dials {lacking:?}");
            assert!(self.now.since(start) < Duration::from_secs(2 * 3600), "nobody dials {lacking:?} for hours");
            self.wake();
        }
        assert!(lacking.is_empty(), "nobody dials {lacking:?}");
        self.check_end();
        let snapshot = self.node.snapshot();
        let restored = Node::restore(config(self.roomy), identity(NODE), [0; 32], self.now, snapshot.clone());
        assert_eq!(restored.expect("a node reads its own records").snapshot(), snapshot);
    }
}
