//! Theirs: the crates `plumtree` and `hyparview`, joined as their papers do, in the plainest simulator that will do.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hyparview::message::ProtocolMessage as ViewMessage;
use hyparview::{Action as ViewAction, Event as ViewEvent, Node as View, NodeOptions as ViewOptions};
use plumtree::message::{Message, ProtocolMessage as TreeMessage};
use plumtree::{Action as TreeAction, Node as Tree, NodeOptions as TreeOptions, System};
use rand06::SeedableRng;
use rand06::rngs::SmallRng;

use super::{NODES, Overlay, PAYLOAD_BYTES, WAIT_MS, latency_ms, splitmix};

const MS: u64 = 1_000;
const SECOND: u64 = 1_000_000;

struct Words;

impl System for Words {
    type NodeId = u32;
    type MessageId = u64;
    type MessagePayload = Arc<[u8]>;
}

enum Due {
    View(ViewMessage<u32>),
    Tree(TreeMessage<Words>),
    Timer(Timer),
}

#[derive(Clone, Copy)]
enum Timer {
    Shuffle,
    Fill,
    Sync,
    Expiry,
    Forget,
}

/// What is due; the earliest first, then the oldest.
struct Item {
    at: u64,
    number: u64,
    node: usize,
    due: Due,
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

struct Node {
    view: View<u32, SmallRng>,
    tree: Tree<Words>,
    /// Until when its clock was told.
    at: u64,
    armed: u64,
    seen: VecDeque<(u64, u64)>,
}

pub(super) struct Net {
    nodes: Vec<Node>,
    /// In microseconds.
    now: u64,
    queue: BinaryHeap<Item>,
    number: u64,
    current: u64,
    reached: usize,
}

impl Net {
    pub(super) fn new(seed: u64) -> Self {
        let node = |at: usize| {
            // What HyParView's paper takes for 10,000 nodes.
            let view = ViewOptions {
                max_active_view_size: 5,
                max_passive_view_size: 30,
                shuffle_active_view_size: 3,
                shuffle_passive_view_size: 4,
                active_random_walk_len: 6,
                passive_random_walk_len: 3,
            };
            let tree = TreeOptions { ihave_timeout: Duration::from_millis(800), optimization_threshold: 7 };
            let random = SmallRng::seed_from_u64(seed * 1_000_003 + at as u64);
            Node {
                view: View::with_options(at as u32, random, view),
                tree: Tree::with_options(at as u32, tree),
                at: 0,
                armed: u64::MAX,
                seen: VecDeque::new(),
            }
        };
        let mut net = Self {
            nodes: (0..NODES).map(node).collect(),
            now: 0,
            queue: BinaryHeap::new(),
            number: 0,
            current: 0,
            reached: 0,
        };
        for at in 0..NODES {
            let jitter = (at as u64 * 7919) % (30 * SECOND);
            net.schedule(15 * SECOND + jitter, at, Due::Timer(Timer::Fill));
            net.schedule(30 * SECOND + jitter, at, Due::Timer(Timer::Shuffle));
            net.schedule(45 * SECOND + jitter, at, Due::Timer(Timer::Sync));
            net.schedule(60 * SECOND + jitter, at, Due::Timer(Timer::Forget));
        }
        for at in 1..NODES {
            let contact = splitmix(seed << 40 | at as u64) % at as u64;
            net.nodes[at].view.join(contact as u32);
            net.pump(at);
            net.run(net.now + 5 * MS);
        }
        net.run(net.now + 180 * SECOND);
        net
    }

    fn schedule(&mut self, at: u64, node: usize, due: Due) {
        self.number += 1;
        self.queue.push(Item { at, number: self.number, node, due });
    }

    fn send(&mut self, from: usize, to: usize, due: Due) {
        self.schedule(self.now + latency_ms(from, to) * MS, to, due);
    }

    /// Carries out what a node asks for, until it is idle.
    fn pump(&mut self, at: usize) {
        let now = self.now;
        loop {
            let mut idle = true;
            while let Some(action) = self.nodes[at].view.poll_action() {
                idle = false;
                let tree = &mut self.nodes[at].tree;
                match action {
                    ViewAction::Send { destination, message } => {
                        self.send(at, destination as usize, Due::View(message))
                    }
                    ViewAction::Notify { event: ViewEvent::NeighborUp { node } } => tree.handle_neighbor_up(&node),
                    ViewAction::Notify { event: ViewEvent::NeighborDown { node } } => tree.handle_neighbor_down(&node),
                    ViewAction::Disconnect { .. } => {}
                }
            }
            let node = &mut self.nodes[at];
            if now > node.at {
                node.tree.clock_mut().tick(Duration::from_micros(now - node.at));
                node.at = now;
            }
            while let Some(action) = self.nodes[at].tree.poll_action() {
                idle = false;
                match action {
                    TreeAction::Send { destination, message } => {
                        self.send(at, destination as usize, Due::Tree(message))
                    }
                    TreeAction::Deliver { message } => {
                        self.nodes[at].seen.push_back((now, message.id));
                        self.reached += usize::from(message.id == self.current);
                    }
                }
            }
            if idle {
                break;
            }
        }
        let node = &mut self.nodes[at];
        if let Some(expiry) = node.tree.next_expiry_time() {
            let expiry = expiry.as_duration().as_micros() as u64 + 1;
            if expiry < node.armed || node.armed <= now {
                node.armed = expiry;
                self.schedule(expiry.max(now + 1), at, Due::Timer(Timer::Expiry));
            }
        }
    }

    fn run(&mut self, until: u64) {
        while self.queue.peek().is_some_and(|item| item.at <= until) {
            let Some(Item { at, node: place, due, .. }) = self.queue.pop() else { break };
            self.now = at;
            let node = &mut self.nodes[place];
            match due {
                Due::View(message) => node.view.handle_protocol_message(message),
                Due::Tree(message) => {
                    node.tree.handle_protocol_message(message);
                }
                Due::Timer(timer) => {
                    let again = match timer {
                        Timer::Shuffle => {
                            node.view.shuffle_passive_view();
                            60 * SECOND
                        }
                        Timer::Fill => {
                            node.view.fill_active_view();
                            30 * SECOND
                        }
                        Timer::Sync => {
                            node.view.sync_active_view();
                            60 * SECOND
                        }
                        Timer::Forget => {
                            while node.seen.front().is_some_and(|(at, _)| at + 30 * SECOND < self.now) {
                                let Some((_, id)) = node.seen.pop_front() else { break };
                                node.tree.forget_message(&id);
                            }
                            SECOND
                        }
                        Timer::Expiry => 0,
                    };
                    if again > 0 {
                        self.schedule(self.now + again, place, Due::Timer(timer));
                    }
                    if matches!(timer, Timer::Forget) {
                        continue;
                    }
                }
            }
            self.pump(place);
        }
        self.now = until;
    }
}

impl Overlay for Net {
    fn broadcast(&mut self, from: usize, id: u64) -> usize {
        (self.current, self.reached) = (id, 0);
        let payload: Arc<[u8]> = [0; PAYLOAD_BYTES].as_slice().into();
        self.nodes[from].tree.broadcast_message(Message::new(id, payload));
        self.pump(from);
        self.run(self.now + WAIT_MS * MS);
        // The author delivers to itself, too.
        self.reached - 1
    }
}
