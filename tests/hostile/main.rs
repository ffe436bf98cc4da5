//! Hostile peers against a whole node: each ends in a typed reason or a refused command, and nobody else notices.

mod dials;
mod hosts;
mod newcomers;
mod slow;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use interbot::budget::Rate;
use interbot::crypto::Pure;
use interbot::link::{
    Binding, Capabilities, CloseReason, Code, Expect, Facts, Fault, Kind, Link, Setup, Step, Strings, Times,
};
use interbot::node::{
    AcceptError, Action, Config, DialError, Event, LinkId, Node, Output, PublishError, Record, RestoreError, Undrained,
};
use interbot::overlay::{Counter, Hub, MAX_POST_BODY, Message, Post, SeenStreams, StreamId};
use interbot::{BotId, CommunityId, Identity, Instant};

const T0: Instant = Instant::from_millis(1_000);

fn at(millis: u64) -> Instant {
    Instant::from_millis(1_000 + millis)
}

fn identity(seed: u8) -> Identity {
    Identity::from_seed([seed; 32])
}

fn id(seed: u8) -> BotId {
    identity(seed).id()
}

fn config(members: &[u8]) -> Config {
    Config::new(CommunityId::from_name("test"), members.iter().map(|seed| id(*seed)))
}

fn node_with(change: impl FnOnce(&mut Config)) -> Node {
    let mut config = config(&[1, 2, 3, 4]);
    change(&mut config);
    Node::new(config, &identity(1), [9; 32], T0)
}

fn node() -> Node {
    node_with(|_| {})
}

/// What a node did since the last look.
#[derive(Debug, Default)]
struct Done {
    sent: BTreeMap<LinkId, Vec<u8>>,
    closed: Vec<LinkId>,
    events: Vec<Event>,
    paused: Vec<LinkId>,
    resumed: Vec<LinkId>,
}

impl Done {
    fn reasons(&self) -> Vec<CloseReason> {
        let reasons = self.events.iter().filter_map(|event| match event {
            Event::Closed { reason, .. } => Some(*reason),
            _ => None,
        });
        reasons.collect()
    }
}

fn drain(node: &mut Node, now: Instant) -> Done {
    let mut done = Done::default();
    while let Output::Do(action) = node.poll() {
        match action {
            Action::Send { link, bytes } => {
                assert!(!done.closed.contains(&link), "nothing follows a close");
                node.handle_written(now, link, bytes.len());
                done.sent.entry(link).or_default().extend_from_slice(&bytes);
            }
            Action::CloseLink { link } => done.closed.push(link),
            Action::PauseReading { link } => done.paused.push(link),
            Action::ResumeReading { link } => done.resumed.push(link),
            Action::Persist { id, .. } => node.persisted(now, id),
            Action::Notify(event) => done.events.push(event),
            Action::Dial { .. } => {}
        }
    }
    done
}

/// A peer with a real key that speaks the link's own words, and then whatever the test wants.
struct Puppet {
    link: Link,
    at: LinkId,
}

fn setup(seed: u8) -> Arc<Setup> {
    let community = CommunityId::from_name("test");
    Arc::new(Setup::new(Arc::new(Pure), &identity(seed), community, false, Facts::default()).expect("no credentials"))
}

fn dial_as(seed: u8, kind: Kind, link_seed: u8) -> Link {
    let (expect, strings) = (Expect::Key(id(1)), &mut Strings::default());
    Link::dial(setup(seed), T0, [link_seed; 32], Binding::None, kind, expect, strings, Times::default())
}

/// Passes bytes between a puppet and the node until both are quiet.
fn talk(node: &mut Node, puppet: &mut Puppet, now: Instant) -> (Done, Vec<Step>) {
    let (mut all, mut steps) = (Done::default(), Vec::new());
    loop {
        let bytes = puppet.link.take_output();
        node.handle_bytes(now, puppet.at, &bytes).expect("drained");
        let mut done = drain(node, now);
        let back = done.sent.remove(&puppet.at).unwrap_or_default();
        all.events.append(&mut done.events);
        all.closed.append(&mut done.closed);
        all.paused.append(&mut done.paused);
        for (link, bytes) in done.sent {
            all.sent.entry(link).or_default().extend(bytes);
        }
        let mut input = &back[..];
        loop {
            match puppet.link.step(now, &mut input) {
                Step::NeedMore => break,
                step => steps.push(step),
            }
        }
        if puppet.link.output_len() == 0 {
            return (all, steps);
        }
    }
}

fn linked_at(node: &mut Node, seed: u8, link_seed: u8, now: Instant) -> (Puppet, Done, Vec<Step>) {
    let at = node.handle_accepted(now, Binding::None).expect("a slot");
    let mut puppet = Puppet { link: dial_as(seed, Kind::Member, link_seed), at };
    let (done, steps) = talk(node, &mut puppet, now);
    (puppet, done, steps)
}

fn linked(node: &mut Node, seed: u8) -> Puppet {
    let (puppet, _, steps) = linked_at(node, seed, seed, T0);
    assert_eq!(steps, [Step::Open]);
    puppet
}

fn author(seed: u8, next: u64) -> Hub {
    let counter = Counter { stream: StreamId::from_u64(7), next };
    let (community, roster) = (CommunityId::from_name("test"), Arc::default());
    Hub::new(Arc::new(Pure), &identity(seed), community, roster, counter, SeenStreams::default())
}

fn wire(hops: u8, post: Post) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    Message::Post { hops, post }.encode(&mut out);
    out.to_vec()
}

/// A node that dialled bot 2, and the stream's other end; the node's CONNECT is answered.
fn dialled(node: &mut Node, now: Instant, link_seed: u8) -> Puppet {
    let Output::Do(Action::Dial { link: at, .. }) = node.poll() else { panic!("a dial") };
    node.handle_dialled(now, at, Binding::None);
    let mut link = Link::accept(setup(2), now, [link_seed; 32], Binding::None, Times::default());
    for _ in 0..2 {
        let sent = drain(node, now).sent.remove(&at).expect("the node's turn");
        match link.step(now, &mut &sent[..]) {
            Step::Hello => link.answer().expect("a good point"),
            step => assert_eq!(step, Step::Proved),
        }
        let bytes = link.take_output();
        node.handle_bytes(now, at, &bytes).expect("drained");
    }
    Puppet { link, at }
}
