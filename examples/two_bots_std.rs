//! The smallest host: two bots in two threads, blocking std sockets, no async. `cargo run --example two_bots_std`
//! `Bot` is yours to copy: one loop owns the node, and a thread for each stream reads into the loop's channel.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{self, Thread};
use std::time::Duration;

use interbot::link::Binding;
use interbot::node::{Action, Config, Event, LinkId, Node, Output};
use interbot::{CommunityId, Identity, Instant};

/// What other threads tell the loop.
enum Input {
    Accepted(TcpStream),
    Dialled(LinkId, TcpStream),
    Bytes(LinkId, Vec<u8>),
    Ended(LinkId),
}

struct Bot {
    name: &'static str,
    node: Node,
    start: std::time::Instant,
    /// Each link's stream, whether its reader is to wait, and that reader.
    wires: HashMap<LinkId, (Arc<(TcpStream, AtomicBool)>, Thread)>,
    inputs: SyncSender<Input>,
    heard: Sender<()>,
}

impl Bot {
    fn run(mut self, queue: &Receiver<Input>) {
        loop {
            let wake_at = loop {
                match self.node.poll() {
                    Output::Do(action) => self.carry_out(action),
                    Output::Idle { wake_at } => break wake_at,
                }
            };
            let wait = wake_at.map_or(Duration::MAX, |at| at.since(self.now()));
            let (input, now) = (queue.recv_timeout(wait), self.now());
            match input {
                Ok(Input::Accepted(stream)) => {
                    if let Ok(link) = self.node.handle_accepted(now, Binding::None) {
                        self.start_reading(link, stream);
                    }
                }
                Ok(Input::Dialled(link, _)) if !self.node.links().any(|info| info.link == link) => {} // given up meanwhile
                Ok(Input::Dialled(link, stream)) => {
                    self.start_reading(link, stream);
                    self.node.handle_dialled(now, link, Binding::None);
                }
                Ok(Input::Bytes(link, bytes)) => self.node.handle_bytes(now, link, &bytes).expect("polled until idle"),
                Ok(Input::Ended(link)) => self.end(link),
                Err(_timed_out) => self.node.handle_timeout(now),
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            // Blocks the bot, at most for the stream's time-out. With many links, give each a writer thread too.
            Action::Send { link, bytes } => match self.wires.get(&link).map(|(wire, _)| (&wire.0).write_all(&bytes)) {
                Some(Ok(())) => self.node.handle_written(self.now(), link, bytes.len()),
                _ => self.end(link),
            },
            Action::CloseLink { link } => self.end(link),
            Action::Dial { link, address, .. } => {
                let (inputs, dialled) = (self.inputs.clone(), move |stream| Input::Dialled(link, stream));
                thread::spawn(move || inputs.send(TcpStream::connect(address).map_or(Input::Ended(link), dialled)));
            }
            Action::PauseReading { link } => self.set_paused(link, true),
            Action::ResumeReading { link } => self.set_paused(link, false),
            // These bots end with their process. One that comes back has the record on disk before it says so.
            Action::Persist { id, .. } => self.node.persisted(self.now(), id),
            Action::Notify(Event::LinkUp { .. }) => {
                for text in ["hello", "how are you?", "bye"] {
                    self.node.publish(self.now(), text.as_bytes()).expect("three posts do not make a bot busy");
                }
            }
            Action::Notify(Event::Post { post, .. }) => {
                let (origin, body) = (post.id().origin.short(), post.body());
                println!("{} heard from {origin}…: {:?}", self.name, String::from_utf8_lossy(&body));
                self.heard.send(()).expect("the main thread waits for it");
            }
            Action::Notify(_) => {}
        }
    }

    fn start_reading(&mut self, link: LinkId, stream: TcpStream) {
        stream.set_write_timeout(Some(Duration::from_secs(5))).expect("the time-out is not zero");
        let (wire, inputs) = (Arc::new((stream, AtomicBool::new(false))), self.inputs.clone());
        let shared = wire.clone();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 8 * 1024];
            while let Ok(len @ 1..) = (&shared.0).read(&mut buffer) {
                let _ = inputs.send(Input::Bytes(link, buffer[..len].to_vec()));
                while shared.1.load(Ordering::Acquire) {
                    thread::park();
                }
            }
            let _ = inputs.send(Input::Ended(link));
        });
        self.wires.insert(link, (wire, reader.thread().clone()));
    }

    fn set_paused(&self, link: LinkId, pause: bool) {
        let Some((wire, reader)) = self.wires.get(&link) else { return };
        wire.1.store(pause, Ordering::Release);
        reader.unpark();
    }

    /// Closes the stream, if it still stands, and tells the node, which does not mind if it closed the link itself.
    fn end(&mut self, link: LinkId) {
        self.set_paused(link, false);
        self.wires.remove(&link).map(|(wire, _)| wire.0.shutdown(Shutdown::Both));
        self.node.handle_ended(self.now(), link);
    }

    fn now(&self) -> Instant {
        Instant::from_nanos(self.start.elapsed().as_nanos().try_into().unwrap_or(u64::MAX))
    }
}

fn main() {
    let mut secrets = [[0; 32]; 4];
    secrets.iter_mut().for_each(|secret| getrandom::fill(secret).expect("the system has a random generator"));
    let identities = [secrets[0], secrets[1]].map(Identity::from_seed);
    let config = Config::new(CommunityId::from_name("two bots"), identities.iter().map(Identity::id));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it is bound").to_string();
    let (heard, posts) = channel();
    let [to_ann, _] = [("ann", 0), ("bob", 1)].map(|(name, at)| {
        let (inputs, queue) = sync_channel(16);
        let mut node = Node::new(config.clone(), &identities[at], secrets[2 + at], Instant::ZERO);
        let _ann_is_refused = node.dial(Instant::ZERO, identities[0].id(), &address);
        let (start, wires) = (std::time::Instant::now(), HashMap::new());
        let bot = Bot { name, node, start, wires, inputs: inputs.clone(), heard: heard.clone() };
        thread::spawn(move || bot.run(&queue));
        inputs
    });
    thread::spawn(move || listener.incoming().flatten().try_for_each(|stream| to_ann.send(Input::Accepted(stream))));
    let all = (0..6).all(|_| posts.recv_timeout(Duration::from_secs(10)).is_ok());
    std::process::exit(i32::from(!all));
}
