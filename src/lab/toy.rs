//! Crypto that costs nothing and protects nothing, so that ten thousand bots are affordable.

use alloc::boxed::Box;

use zeroize::Zeroizing;

use crate::crypto::{Aead, Crypto, Ephemeral, Signer, Suite, TAG_LEN};
use crate::identity::Identity;

/// **No security at all**: anybody can sign for anybody, and nothing is encrypted. It exists only with the feature `sim`, for
/// simulations in which nobody forges anything, and notices bytes that were altered by accident.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToyCrypto;

impl Crypto for ToyCrypto {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        Box::new(ToyEphemeral(*secret))
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        Box::new(ToySigner(*Identity::from_seed(*seed).id().as_bytes()))
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        ToySigner(*key).sign(message) == *signature
    }

    fn aead(&self, _: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(ToyAead(mix(0, key)))
    }
}

struct ToyEphemeral([u8; 32]);

impl Ephemeral for ToyEphemeral {
    fn public(&self) -> [u8; 32] {
        self.0
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared: [u8; 32] = core::array::from_fn(|at| self.0[at] ^ peer[at]);
        (shared != [0; 32]).then(|| Zeroizing::new(shared))
    }
}

struct ToySigner([u8; 32]);

impl Signer for ToySigner {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let mut state = mix(mix(1, &self.0), message);
        let mut out = [0; 64];
        for part in out.chunks_exact_mut(8) {
            part.copy_from_slice(&state.to_be_bytes());
            state = step(state, 0x5163, 0);
        }
        out
    }
}

struct ToyAead(u64);

impl ToyAead {
    fn tag(&self, counter: u64, associated: &[u8], text: &[u8]) -> [u8; TAG_LEN] {
        let state = mix(mix(step(self.0, counter, 0), associated), text);
        let mut tag = [0; TAG_LEN];
        tag[..8].copy_from_slice(&state.to_be_bytes());
        tag[8..].copy_from_slice(&step(state, 0x7a67, 0).to_be_bytes());
        tag
    }
}

impl Aead for ToyAead {
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.tag(counter, associated, text)
    }

    fn open<'a>(&self, counter: u64, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
        (self.tag(counter, associated, text) == *tag).then_some(text)
    }
}

/// One round of the multiply-and-fold hash that hash maps use.
const fn step(state: u64, a: u64, b: u64) -> u64 {
    let product = (state ^ a ^ 0x9e37_79b9_7f4a_7c15) as u128 * (b ^ 0xa076_1d64_78bd_642f) as u128;
    (product as u64) ^ ((product >> 64) as u64)
}

fn mix(mut state: u64, bytes: &[u8]) -> u64 {
    let round = |state, pair: &[u8; 16]| {
        let pair = u128::from_le_bytes(*pair);
        step(state, pair as u64, (pair >> 64) as u64)
    };
    let (pairs, rest) = bytes.as_chunks::<16>();
    for pair in pairs {
        state = round(state, pair);
    }
    let mut last = [0; 16];
    last[..rest.len()].copy_from_slice(rest);
    step(round(state, &last), bytes.len() as u64, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn altered_bytes_are_noticed_and_good_ones_are_taken() {
        let (key, toy) = (Identity::from_seed([1; 32]), ToyCrypto);
        let signature = toy.signer(key.seed()).sign(b"hello");
        assert!(toy.verify(key.id().as_bytes(), b"hello", &signature));
        assert!(!toy.verify(key.id().as_bytes(), b"hellp", &signature));
        let aead = toy.aead(Suite::Aes256Gcm, &[2; 32]);
        let mut sealed = b"some text".to_vec();
        let tag = aead.seal(7, b"head", &mut sealed);
        sealed.extend_from_slice(&tag);
        assert!(aead.open(8, b"head", &mut sealed.clone()).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(aead.open(7, b"head", &mut altered).is_none(), "byte {at}");
        }
        assert_eq!(aead.open(7, b"head", &mut sealed).map(|text| text.to_vec()), Some(b"some text".to_vec()));
        let (a, b) = (toy.ephemeral(Zeroizing::new([1; 32])), toy.ephemeral(Zeroizing::new([2; 32])));
        let (pa, pb) = (a.public(), b.public());
        assert_eq!(a.agree(&pb).map(|s| *s), b.agree(&pa).map(|s| *s));
    }
}
