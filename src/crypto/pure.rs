//! The default provider: RustCrypto and dalek, no C.

use alloc::boxed::Box;

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit};
use chacha20poly1305::ChaCha20Poly1305;
use ed25519_dalek::{Signature, Signer as _, SigningKey, Verifier as _, VerifyingKey};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

use super::{Aead, Crypto, Ephemeral, Signer, Suite, TAG_LEN, nonce};
use crate::identity::{is_small_order, may_be_key};

/// The provider in Rust alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pure;

impl Crypto for Pure {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        let secret = StaticSecret::from(*secret);
        let public = PublicKey::from(&secret).to_bytes();
        Box::new(KeyPair { secret, public })
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        Box::new(SigningKey::from_bytes(seed))
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        let (Some(r), true) = (signature.first_chunk(), may_be_key(key)) else { return false };
        // The rest of the strict rule, for less than decoding R costs: the equation compares encodings, so a non-canonical R
        // never matches, and a small-order one is one of eight.
        !is_small_order(r)
            && VerifyingKey::from_bytes(key)
                .is_ok_and(|key| key.verify(message, &Signature::from_bytes(signature)).is_ok())
    }

    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        match suite {
            Suite::Aes256Gcm => Box::new(Key(Aes256Gcm::new(key.into()))),
            Suite::ChaCha20Poly1305 => Box::new(Key(ChaCha20Poly1305::new(key.into()))),
        }
    }
}

struct KeyPair {
    secret: StaticSecret,
    public: [u8; 32],
}

impl Ephemeral for KeyPair {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(*peer));
        shared.was_contributory().then(|| Zeroizing::new(shared.to_bytes()))
    }
}

impl Signer for SigningKey {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.try_sign(message).expect("signing with a key in memory cannot fail").to_bytes()
    }
}

struct Key<A>(A);

impl<A> Aead for Key<A>
where
    A: AeadInOut<NonceSize = aes_gcm::aead::consts::U12, TagSize = aes_gcm::aead::consts::U16> + Send,
{
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.0
            .encrypt_inout_detached(&nonce(counter).into(), associated, text.into())
            .expect("a record is far shorter than the cipher's limit")
            .into()
    }

    fn open<'a>(&self, counter: u64, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_LEN>()?;
        let opened =
            self.0.decrypt_inout_detached(&nonce(counter).into(), associated, (&mut *text).into(), (&*tag).into());
        opened.is_ok().then_some(text)
    }
}
