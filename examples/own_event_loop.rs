//! A host in a game's loop: 60 ticks a second, non-blocking std sockets, no async, no threads, and two bots that make
//! moves. Nothing waits but the end of a tick. `cargo run --example own_event_loop`

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use interbot::link::Binding;
use interbot::node::{Action, Config, Event, LinkId, Node, Output};
use interbot::{CommunityId, Identity, Instant};

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);
/// Most bytes that a link reads or writes in a tick, so that the frame stays on time.
const BYTES_PER_TICK: usize = 4096;
const MOVES: usize = 5;

struct Wire {
    stream: TcpStream,
    /// What the node sent and the socket has not taken.
    pending: Vec<u8>,
    paused: bool,
    /// To be closed once all is written, or at this time: a peer that does not read is not waited for.
    closing: Option<Instant>,
}

impl Wire {
    /// Reads what is there and writes what fits; false when the stream is to go.
    fn step(&mut self, now: Instant, link: LinkId, node: &mut Node) -> bool {
        let waits = |error: std::io::Error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted);
        let mut buffer = [0; BYTES_PER_TICK];
        let may_read = !self.paused && self.closing.is_none();
        let reads = match may_read.then(|| self.stream.read(&mut buffer)) {
            None => true,
            Some(Ok(0)) => false,
            Some(Ok(len)) => node.handle_bytes(now, link, &buffer[..len]).is_ok(),
            Some(Err(error)) => waits(error),
        };
        let most = self.pending.len().min(BYTES_PER_TICK);
        let writes = match self.stream.write(&self.pending[..most]) {
            Ok(len) => {
                self.pending.drain(..len);
                node.handle_written(now, link, len);
                true
            }
            Err(error) => waits(error),
        };
        reads && writes && !self.closing.is_some_and(|until| self.pending.is_empty() || now >= until)
    }
}

struct Player {
    name: &'static str,
    node: Node,
    listener: TcpListener,
    wires: HashMap<LinkId, Wire>,
    seen: usize,
}

impl Player {
    fn tick(&mut self, now: Instant) {
        while let Ok((stream, _)) = self.listener.accept() {
            // Refused: the stream is closed by dropping it.
            if let Ok(link) = self.node.handle_accepted(now, Binding::None) {
                self.add_wire(link, stream);
            }
        }
        self.wires.retain(|link, wire| {
            wire.step(now, *link, &mut self.node) || {
                self.node.handle_ended(now, *link);
                false
            }
        });
        self.node.handle_timeout(now);
        while let Output::Do(action) = self.node.poll() {
            match action {
                Action::Send { link, bytes } => self.with(link, |wire| wire.pending.extend_from_slice(&bytes)),
                Action::CloseLink { link } => self.with(link, |wire| wire.closing = Some(now + 180 * TICK)),
                // std can only wait for a connection, on loopback not for long; elsewhere use a thread, or `socket2`.
                Action::Dial { link, address, .. } => match TcpStream::connect(address) {
                    Ok(stream) => {
                        self.add_wire(link, stream);
                        self.node.handle_dialled(now, link, Binding::None);
                    }
                    Err(_) => self.node.handle_ended(now, link),
                },
                Action::PauseReading { link } => self.with(link, |wire| wire.paused = true),
                Action::ResumeReading { link } => self.with(link, |wire| wire.paused = false),
                // These bots end with their process. One that comes back has the record on disk before it says so.
                Action::Persist { id, .. } => self.node.persisted(now, id),
                Action::Notify(Event::Post { post, .. }) => {
                    self.seen += 1;
                    println!("{:?} {} sees {} bytes of move {}", now, self.name, post.body().len(), post.id().seq);
                }
                Action::Notify(_) => {}
            }
        }
    }

    fn with(&mut self, link: LinkId, change: impl FnOnce(&mut Wire)) {
        self.wires.get_mut(&link).map(change);
    }

    fn add_wire(&mut self, link: LinkId, stream: TcpStream) {
        stream.set_nonblocking(true).expect("sockets can be non-blocking");
        self.wires.insert(link, Wire { stream, pending: Vec::new(), paused: false, closing: None });
    }
}

fn main() -> ExitCode {
    let mut secrets = [[0; 32]; 4];
    secrets.iter_mut().for_each(|secret| getrandom::fill(secret).expect("the system has a random generator"));
    let identities = [secrets[0], secrets[1]].map(Identity::from_seed);
    let config = Config::new(CommunityId::from_name("a game"), identities.iter().map(Identity::id));
    let mut players = [("ann", 0), ("bob", 1)].map(|(name, at)| {
        let node = Node::new(config.clone(), &identities[at], secrets[2 + at], Instant::ZERO);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        listener.set_nonblocking(true).expect("sockets can be non-blocking");
        Player { name, node, listener, wires: HashMap::new(), seen: 0 }
    });
    let address = players[0].listener.local_addr().expect("it is bound").to_string();
    players[1].node.dial(Instant::ZERO, identities[0].id(), address).expect("ann is a member");

    let mut moves = 0;
    // The game's time goes from tick to tick; the node takes any clock that does not go back.
    for tick in 0..600 {
        let (start, now) = (std::time::Instant::now(), Instant::ZERO + TICK * tick);
        for player in &mut players {
            player.tick(now);
        }
        if tick % 10 == 0 && moves < MOVES && players.iter().all(|player| player.node.stats().handshakes > 0) {
            moves += 1;
            for player in &mut players {
                player.node.publish(now, &[0; 10_000]).expect("a move at a time does not make a bot busy");
            }
        }
        if players.iter().all(|player| player.seen == MOVES) {
            for player in &mut players {
                player.node.shut_down(now);
            }
            if players.iter().all(|player| player.wires.is_empty()) {
                return ExitCode::SUCCESS;
            }
        }
        std::thread::sleep(TICK.saturating_sub(start.elapsed()));
    }
    ExitCode::FAILURE
}
