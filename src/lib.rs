//! A community of chat bots that nobody owns: bots authenticate each other over encrypted links and carry each other's
//! signed posts to everybody, as pure state machines that any program can host.
//!
//! **Sans-IO**: events in, actions out. The crate opens no socket, reads no clock, draws no randomness, starts no thread. A
//! [`Node`](node::Node) is one bot with all its links; the host tells it what happened and does what it asks. The same inputs
//! give the same outputs, byte for byte, so a community can be simulated, replayed and fuzzed (feature `sim`: `lab`).
//!
//! # The contract
//! - Methods `handle_…` tell what happened, plain verbs are wishes, [`poll`](node::Node::poll) says what to do until it is idle and
//!   names one absolute deadline.
//! - Work happens on input. Polling is needed to get on, never for correctness.
//! - A promise leaves only after its record is durable ([`persisted`](node::Node::persisted)).
//! - Everything that a stranger can create has a cap, a deadline and an owner ([`Limits`](node::Limits)).
//! - The host's mistakes are `Err` and change nothing; a peer's faults close its link, with one
//!   [`Closed`](node::Event::Closed) each; neither panics.
//!
//! # Two bots in one loop
//! Without any stream at all: what one sends, the other is handed.
//!
//! ```
//! use interbot::link::Binding;
//! use interbot::node::{Action, Config, Event, Node, Output};
//! use interbot::{CommunityId, Identity, Instant};
//!
//! let (ann, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
//! let config = Config::new(CommunityId::from_name("example"), vec![ann.id(), bob.id()]);
//! let now = Instant::ZERO;
//! let mut nodes = [Node::new(config.clone(), &ann, [3; 32], now), Node::new(config, &bob, [4; 32], now)];
//! let mut links = [None, None];
//! let mut heard = Vec::new();
//!
//! nodes[0].dial(now, bob.id(), "bob's address")?;
//! nodes[0].publish(now, b"nobody is linked yet")?;
//! loop {
//!     let mut idle = true;
//!     for me in 0..2 {
//!         while let Output::Do(action) = nodes[me].poll() {
//!             idle = false;
//!             match action {
//!                 Action::Dial { link, .. } => {
//!                     links = [Some(link), Some(nodes[1].handle_accepted(now, Binding::None)?)];
//!                     nodes[0].handle_dialled(now, link, Binding::None);
//!                 }
//!                 Action::Send { link, bytes } => {
//!                     if let Some(theirs) = links[1 - me] {
//!                         nodes[1 - me].handle_bytes(now, theirs, &bytes)?;
//!                     }
//!                     nodes[me].handle_written(now, link, bytes.len());
//!                 }
//!                 Action::Persist { id, .. } => nodes[me].persisted(now, id),
//!                 Action::Notify(Event::LinkUp { peer, .. }) if me == 1 => {
//!                     assert_eq!(peer, ann.id());
//!                     nodes[1].publish(now, b"hello")?;
//!                 }
//!                 Action::Notify(Event::Post { post, .. }) => heard.push((me, post.body())),
//!                 Action::Notify(_) => {}
//!                 Action::CloseLink { .. } | Action::PauseReading { .. } | Action::ResumeReading { .. } => {}
//!             }
//!         }
//!     }
//!     if idle {
//!         break;
//!     }
//! }
//! assert_eq!(heard, [(0, "hello".into())]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A blocking host
//! One thread that owns the node, and a channel for what happened; `examples/two_bots_std.rs` is this with sockets.
//!
//! ```
//! use std::sync::mpsc::{Receiver, RecvTimeoutError};
//! use std::time::Duration;
//! use interbot::Instant;
//! use interbot::node::{Action, LinkId, Node, Output};
//!
//! enum Input {
//!     Bytes(LinkId, Vec<u8>),
//!     Ended(LinkId),
//! }
//!
//! fn run(mut node: Node, inputs: Receiver<Input>, mut act: impl FnMut(&mut Node, Action)) {
//!     let start = std::time::Instant::now();
//!     let now = || Instant::from_nanos(start.elapsed().as_nanos() as u64);
//!     loop {
//!         let wake_at = loop {
//!             match node.poll() {
//!                 Output::Do(action) => act(&mut node, action),
//!                 Output::Idle { wake_at } => break wake_at,
//!             }
//!         };
//!         let wait = wake_at.map_or(Duration::from_secs(3600), |at| at.since(now()));
//!         match inputs.recv_timeout(wait) {
//!             Ok(Input::Bytes(link, bytes)) => {
//!                 node.handle_bytes(now(), link, &bytes).expect("it was drained");
//!             }
//!             Ok(Input::Ended(link)) => node.handle_ended(now(), link),
//!             Err(RecvTimeoutError::Timeout) => node.handle_timeout(now()),
//!             Err(RecvTimeoutError::Disconnected) => return,
//!         }
//!     }
//! }
//! # let (to, inputs) = std::sync::mpsc::channel::<Input>();
//! # drop(to);
//! # let identity = interbot::Identity::from_seed([1; 32]);
//! # let config = interbot::node::Config::new(interbot::CommunityId::from_name("x"), vec![]);
//! # run(Node::new(config, &identity, [2; 32], Instant::ZERO), inputs, |_, _| {});
//! ```
//!
//! # A loop with a tick
//! A game, a firmware, a plugin: nothing is waited for; see `examples/own_event_loop.rs`.
//!
//! ```
//! use interbot::Instant;
//! use interbot::node::{Action, Node, Output};
//!
//! fn tick(node: &mut Node, now: Instant, mut act: impl FnMut(Action)) {
//!     node.handle_timeout(now);
//!     while let Output::Do(action) = node.poll() {
//!         act(action);
//!     }
//! }
//! # let identity = interbot::Identity::from_seed([1; 32]);
//! # let config = interbot::node::Config::new(interbot::CommunityId::from_name("x"), vec![]);
//! # let mut node = Node::new(config, &identity, [2; 32], Instant::ZERO);
//! # for frame in 0..3 { tick(&mut node, Instant::from_millis(frame * 16), |_| {}); }
//! ```
//!
//! # Where to read on
//! [`manual`]: the wire protocol and the ledger, byte for byte; for owners, what their community does with them, in plain words; what
//! is protected against whom; the host's duties.
//!
//! # Features
//! - `std` (default): standard errors and buffers; the core is `no_std` with `alloc`.
//! - `sim`: `lab`, whole networks in virtual time.
//! - `trace`: `trace`, what a node did as events for tools, and `tape`, a recorder whose recordings `lab::replay` runs again;
//!   without it nothing of them is compiled.
//! - `tracing`: those events for the crate of that name.
//! - `aws-lc`: a faster crypto provider that builds C and assembly.
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod budget;
pub mod crypto;
mod identity;
#[cfg(feature = "sim")]
#[cfg_attr(docsrs, doc(cfg(feature = "sim")))]
pub mod lab;
pub mod ledger;
pub mod link;
pub mod manual;
pub mod node;
pub mod overlay;
mod ring;
#[cfg(feature = "trace")]
#[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
pub mod tape;
mod time;
pub mod timers;
#[cfg(feature = "trace")]
#[cfg_attr(docsrs, doc(cfg(feature = "trace")))]
pub mod trace;
#[cfg(test)]
mod vectors;
pub mod window;
pub mod wire;

pub use identity::{BotId, CommunityId, IdError, Identity};
pub use time::{Instant, UnixMillis};

// Its examples need the laboratory.
#[cfg(all(doctest, feature = "sim"))]
#[doc = include_str!("../README.md")]
struct Readme;
