//! Two bots of one community, and links between them in memory.

use interbot::crypto::Crypto;
use interbot::link::{Binding, Expect, Kind, Link, Setup, Step, Strings, Times};
use interbot::{CommunityId, Identity, Instant};
use std::sync::Arc;

/// The time of everything here: no deadline is ever due.
pub(crate) const NOW: Instant = Instant::ZERO;

/// What two bots keep from one link to the next.
pub(crate) struct Pair {
    client: Arc<Setup>,
    server: Arc<Setup>,
    drawn: Strings,
    seen: Strings,
    links: u64,
}

impl Pair {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, aes: bool) -> Self {
        let setup = |seed| {
            let identity = Identity::from_seed([seed; 32]);
            let community = CommunityId::from_name("benches");
            let setup = Setup::new(crypto.clone(), &identity, community, aes, Default::default());
            Arc::new(setup.expect("there are no credentials"))
        };
        Self { client: setup(1), server: setup(2), drawn: Strings::default(), seen: Strings::default(), links: 0 }
    }

    /// One handshake, from the first byte of CONNECT to both ends open, with all that a server has to check.
    pub(crate) fn handshake(&mut self) -> (Link, Link) {
        let [seed, other] = self.seeds();
        let mut client = Link::dial(
            self.client.clone(),
            NOW,
            seed,
            Binding::None,
            Kind::Member,
            Expect::Key(self.server.id()),
            &mut self.drawn,
            Times::default(),
        );
        let mut server = Link::accept(self.server.clone(), NOW, other, Binding::None, Times::default());

        let connect = client.take_output();
        assert_eq!(server.step(NOW, &mut &connect[..]), Step::Hello);
        server.answer().expect("the client's key is good");
        let accept = server.take_output();
        assert_eq!(client.step(NOW, &mut &accept[..]), Step::NeedMore);
        let ack = client.take_output();
        assert_eq!(server.step(NOW, &mut &ack[..]), Step::Proved);
        assert!(server.take_string(self.client.id().as_bytes(), &mut self.seen), "a string was drawn twice");
        server.admit(NOW);
        let ok = server.take_output();
        assert_eq!(client.step(NOW, &mut &ok[..]), Step::Open);
        assert!(server.is_open());
        (client, server)
    }

    /// Seeds that no link of this pair had before.
    fn seeds(&mut self) -> [[u8; 32]; 2] {
        self.links += 1;
        [1, 2].map(|side| {
            let mut seed = [side; 32];
            seed[..8].copy_from_slice(&self.links.to_be_bytes());
            seed
        })
    }
}
