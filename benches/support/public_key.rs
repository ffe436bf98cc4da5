//! The least that a mutually authenticated handshake with fresh keys can cost, by the libraries below this one.

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use std::hint::black_box;
use x25519_dalek::{PublicKey, StaticSecret};

/// Keys that live longer than a handshake.
pub(crate) struct PublicKeyOperations {
    identity: SigningKey,
    id: [u8; 32],
    peer: [u8; 32],
    done: u64,
}

impl PublicKeyOperations {
    pub(crate) fn new() -> Self {
        let identity = SigningKey::from_bytes(&[1; 32]);
        let peer = PublicKey::from(&StaticSecret::from([2; 32])).to_bytes();
        Self { id: identity.verifying_key().to_bytes(), peer, identity, done: 0 }
    }

    /// Both sides: twice a key pair, a DH, a signature, and a key decoded and used for one strict verification.
    ///
    /// Secrets and signatures are new each time: verification branches on the signature's bits, and a processor learns
    /// those of one that comes again.
    pub(crate) fn both_sides(&mut self) {
        for _ in 0..2 {
            self.done += 1;
            let (mut secret, mut message) = ([3; 32], [7; 55]);
            secret[..8].copy_from_slice(&self.done.to_be_bytes());
            message[..8].copy_from_slice(&self.done.to_be_bytes());
            let secret = StaticSecret::from(black_box(secret));
            black_box(PublicKey::from(&secret).to_bytes());
            let shared = secret.diffie_hellman(&PublicKey::from(black_box(self.peer)));
            assert!(shared.was_contributory());
            let signature = black_box(self.identity.sign(black_box(&message)).to_bytes());
            let key = VerifyingKey::from_bytes(black_box(&self.id)).expect("a good key");
            let signature = Signature::from_bytes(&signature);
            key.verify_strict(black_box(&message), &signature).expect("a good signature");
        }
    }
}
