//! A crypto provider that is cheap and worthless: real sealing, but an exchange and signatures made of hashes.
//!
//! A fuzzer cannot guess a hash, so all rules hold as with real keys; and a handshake takes microseconds.

use interbot::Identity;
use interbot::crypto::{Aead, Crypto, Ephemeral, Pure, Signer, Suite};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::keys;

/// The provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cheap;

fn hash(label: &[u8], parts: [&[u8]; 2]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(label);
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn signature(id: &[u8; 32], message: &[u8]) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(&hash(b"R", [id, message]));
    out[32..].copy_from_slice(&hash(b"s", [id, message]));
    out
}

impl Crypto for Cheap {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        Box::new(Pair(hash(b"public", [&secret[..], &[]])))
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        let known = keys().iter().find(|key| key.seed == *seed).map(|key| key.identity.id());
        Box::new(Key(*known.unwrap_or_else(|| Identity::from_seed(*seed).id()).as_bytes()))
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signed: &[u8; 64]) -> bool {
        signature(key, message) == *signed
    }

    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        Pure.aead(suite, key)
    }
}

struct Pair([u8; 32]);

impl Ephemeral for Pair {
    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let (low, high) = if self.0 < *peer { (&self.0, peer) } else { (peer, &self.0) };
        (*peer != [0; 32]).then(|| Zeroizing::new(hash(b"shared", [low, high])))
    }
}

struct Key([u8; 32]);

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        signature(&self.0, message)
    }
}
