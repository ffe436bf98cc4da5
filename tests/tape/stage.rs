//! A recorded node among puppets: peers with real keys that speak the link's own words.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use interbot::crypto::Pure;
use interbot::link::{Binding, Code, Expect, Facts, Kind, Link, Setup, Step, Strings, Times};
use interbot::node::{Action, Config, LinkId, Node, Output};
use interbot::overlay::{Counter, Hub, Message, Post, SeenStreams, StreamId};
use interbot::tape::Recorder;
use interbot::{BotId, CommunityId, Identity, Instant};
use sha2::{Digest, Sha256};

pub(crate) const COMMUNITY: &str = "recorded";
/// Stands for 32 bytes that TLS exported.
pub(crate) const TLS: Binding = Binding::TlsExporter(*b"thirty-two bytes exported by TLS");

/// 32 bytes that are nowhere by accident.
pub(crate) fn seed(of: &str) -> [u8; 32] {
    Sha256::digest(of).into()
}

pub(crate) fn identity(bot: u8) -> Identity {
    Identity::from_seed(seed(&format!("bot {bot}")))
}

pub(crate) fn id(bot: u8) -> BotId {
    identity(bot).id()
}

/// A file in memory.
#[derive(Clone, Default)]
pub(crate) struct File(Arc<Mutex<Vec<u8>>>);

impl File {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic").clone()
    }
}

impl Write for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Members 1 to 4; number 1 is recorded.
pub(crate) fn config(redacted: bool) -> (Config, File) {
    let (mut config, file) = (Config::new(CommunityId::from_name(COMMUNITY), (1..=4).map(id)), File::default());
    let recorder = if redacted { Recorder::redacted(file.clone()) } else { Recorder::new(file.clone()) };
    config.recorder = Some(recorder);
    (config, file)
}

fn setup(bot: u8) -> Arc<Setup> {
    let community = CommunityId::from_name(COMMUNITY);
    Arc::new(Setup::new(Arc::new(Pure), &identity(bot), community, false, Facts::default()).expect("no credentials"))
}

pub(crate) struct Puppet {
    pub(crate) link: Link,
    pub(crate) at: LinkId,
}

/// The node, its puppets, and what the host does with every output.
pub(crate) struct Stage {
    pub(crate) node: Node,
    pub(crate) puppets: Vec<Puppet>,
    pub(crate) now: Instant,
    pub(crate) binding: Binding,
    /// Whether writes are reported.
    pub(crate) reports: bool,
    links: u64,
}

impl Stage {
    pub(crate) fn new(node: Node, now: Instant) -> Self {
        Self { node, puppets: Vec::new(), now, binding: Binding::None, reports: true, links: 0 }
    }

    fn link_seed(&mut self) -> [u8; 32] {
        self.links += 1;
        seed(&format!("puppet {}", self.links))
    }

    /// A puppet dials the node.
    pub(crate) fn visit(&mut self, bot: u8) {
        let seed = self.link_seed();
        let Ok(at) = self.node.handle_accepted(self.now, self.binding) else { return };
        let (expect, strings) = (Expect::Key(id(1)), &mut Strings::default());
        let link =
            Link::dial(setup(bot), self.now, seed, self.binding, Kind::Member, expect, strings, Times::default());
        self.puppets.push(Puppet { link, at });
    }

    /// Does what the node asks for; the number of outputs.
    pub(crate) fn drain(&mut self) -> usize {
        let mut outputs = 0;
        while let Output::Do(action) = self.node.poll() {
            outputs += 1;
            match action {
                Action::Send { link, bytes } => {
                    if self.reports {
                        self.node.handle_written(self.now, link, bytes.len());
                    }
                    if let Some(puppet) = self.puppets.iter_mut().find(|puppet| puppet.at == link) {
                        listen(puppet, self.now, &bytes);
                    }
                }
                Action::Dial { link, peer, .. } => match (1..=4).find(|bot| id(*bot) == peer) {
                    Some(bot) if bot != 4 => {
                        let seed = self.link_seed();
                        let link_there = Link::accept(setup(bot), self.now, seed, self.binding, Times::default());
                        self.puppets.push(Puppet { link: link_there, at: link });
                        self.node.handle_dialled(self.now, link, self.binding);
                    }
                    // Nobody is at number 4's address.
                    _ => self.node.handle_ended(self.now, link),
                },
                Action::CloseLink { link } => self.puppets.retain(|puppet| puppet.at != link),
                Action::Persist { id, .. } => self.node.persisted(self.now, id),
                Action::PauseReading { .. } | Action::ResumeReading { .. } | Action::Notify(_) => {}
            }
        }
        outputs
    }

    /// Passes bytes, in pieces of at most `piece`, until everybody is quiet.
    pub(crate) fn talk(&mut self, piece: usize) {
        loop {
            let mut quiet = self.drain() == 0;
            for at in 0..self.puppets.len() {
                let Some(puppet) = self.puppets.get_mut(at) else { continue };
                let (link, bytes) = (puppet.at, puppet.link.take_output());
                for piece in bytes.chunks(piece) {
                    quiet = false;
                    // A host that was refused drains and hands in the same bytes again.
                    while self.node.handle_bytes(self.now, link, piece).is_err() {
                        self.drain();
                    }
                }
            }
            if quiet {
                return;
            }
        }
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
        self.node.handle_timeout(self.now);
    }

    /// The first puppet sends a message.
    pub(crate) fn send(&mut self, message: &[u8]) {
        if let Some(puppet) = self.puppets.first_mut() {
            let _ = puppet.link.send(self.now, message);
        }
    }
}

fn listen(puppet: &mut Puppet, now: Instant, mut bytes: &[u8]) {
    loop {
        match puppet.link.step(now, &mut bytes) {
            Step::NeedMore => return,
            Step::Hello => drop(puppet.link.answer()),
            Step::Proved => puppet.link.admit(now),
            Step::Closed(_) => puppet.link.close(now, Code::GoingAway, Duration::ZERO),
            Step::Open | Step::Message(_) => {}
        }
    }
}

pub(crate) fn author(bot: u8, next: u64) -> Hub {
    let counter = Counter { stream: StreamId::from_u64(7), next };
    let (community, roster) = (CommunityId::from_name(COMMUNITY), Arc::default());
    Hub::new(Arc::new(Pure), &identity(bot), community, roster, counter, SeenStreams::default())
}

pub(crate) fn message(hops: u8, post: Post) -> Vec<u8> {
    let mut out = bytes::BytesMut::new();
    Message::Post { hops, post }.encode(&mut out);
    out.to_vec()
}
