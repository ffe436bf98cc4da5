//! No recording holds a key, and a redacted one holds no post.

use std::sync::{Arc, Mutex};

use interbot::crypto::{Aead, Crypto, Ephemeral, Pure, Signer, Suite};
use interbot::link::Binding;
use interbot::node::Node;
use interbot::{CommunityId, Instant};
use zeroize::Zeroizing;

use crate::stage::{COMMUNITY, Stage, TLS, author, config, id, identity, message, seed};

const BODIES: [&str; 2] = ["what a child says to everybody", "what it says to everybody itself"];

/// Keeps every secret that it is given or makes.
#[derive(Clone, Debug, Default)]
struct Spy(Arc<Mutex<Vec<[u8; 32]>>>);

impl Spy {
    fn keep(&self, secret: &[u8; 32]) {
        self.0.lock().expect("no panic").push(*secret);
    }
}

impl Crypto for Spy {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        self.keep(&secret);
        Box::new(SpyEphemeral(Pure.ephemeral(secret), self.clone()))
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        self.keep(seed);
        Pure.signer(seed)
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        Pure.verify(key, message, signature)
    }

    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        self.keep(key);
        Pure.aead(suite, key)
    }
}

struct SpyEphemeral(Box<dyn Ephemeral>, Spy);

impl Ephemeral for SpyEphemeral {
    fn public(&self) -> [u8; 32] {
        self.0.public()
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.0.agree(peer)?;
        self.1.keep(&shared);
        Some(shared)
    }
}

/// A run with a link in each direction, and everything of it that is secret.
fn run(redacted: bool, binding: Binding) -> (Vec<u8>, Vec<[u8; 32]>) {
    let (spy, (mut config, file)) = (Spy::default(), config(redacted));
    config.crypto = Arc::new(spy.clone());
    let now = Instant::from_millis(1_000);
    let mut stage = Stage::new(Node::new(config, &identity(1), seed("node"), now), now);
    stage.binding = binding;
    stage.visit(2);
    stage.node.dial(now, id(3), "somewhere").expect("a member");
    stage.talk(4096);
    assert_eq!(stage.node.links().filter(|link| link.open_since.is_some()).count(), 2);
    stage.send(&message(0, author(2, 1).publish(BODIES[0].as_bytes())));
    stage.node.publish(now, BODIES[1].as_bytes()).expect("not busy");
    stage.talk(100);
    assert_eq!(stage.node.stats().posts, 1);
    // Keys are replaced after an hour.
    stage.wait(3_600_000);
    stage.node.publish(stage.now, BODIES[1].as_bytes()).expect("not busy");
    stage.talk(100);
    for link in stage.node.links().collect::<Vec<_>>() {
        let mut exported = [0; 32];
        if stage.node.export(link.link, "a use", b"", &mut exported).is_ok() {
            spy.keep(&exported);
        }
    }
    drop(stage);
    spy.keep(&seed("node"));
    spy.keep(CommunityId::from_name(COMMUNITY).as_bytes());
    if let Binding::TlsExporter(bytes) = binding {
        spy.keep(&bytes);
    }
    (file.bytes(), spy.0.lock().expect("no panic").clone())
}

fn holds(file: &[u8], part: &[u8]) -> bool {
    file.windows(part.len()).any(|window| window == part)
}

#[test]
fn no_recording_holds_a_key_a_seed_or_a_secret() {
    for redacted in [false, true] {
        for binding in [Binding::None, TLS] {
            let (file, secrets) = run(redacted, binding);
            assert!(secrets.len() > 15, "{}", secrets.len());
            for secret in &secrets {
                assert!(!holds(&file, &secret[..12]) && !holds(&file, &secret[20..]), "{secret:02x?}");
            }
        }
    }
}

#[test]
fn a_redacted_recording_holds_no_post_and_no_signature_of_one() {
    let signature = *author(2, 1).publish(BODIES[0].as_bytes()).signature();
    let (plain, _) = run(false, Binding::None);
    let (redacted, _) = run(true, Binding::None);
    for part in [BODIES[0].as_bytes(), BODIES[1].as_bytes(), &signature] {
        assert!(holds(&plain, part) && !holds(&redacted, part));
    }
}
