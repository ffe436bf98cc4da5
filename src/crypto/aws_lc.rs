//! The second provider: aws-lc-rs.

use alloc::boxed::Box;

use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, UnparsedPublicKey as VerifyKey};
use zeroize::Zeroizing;

use super::{Aead, Crypto, Ephemeral, Signer, Suite, TAG_LEN, nonce};
use crate::identity::{is_small_order, may_be_key};

/// The provider on aws-lc-rs.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

impl Crypto for AwsLc {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        let secret = PrivateKey::from_private_key(&X25519, &secret[..]).expect("any 32 bytes are an X25519 key");
        let public = secret.compute_public_key().expect("an X25519 key has a public half");
        let public = public.as_ref().try_into().expect("an X25519 public key has 32 bytes");
        Box::new(KeyPair { secret, public })
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        Box::new(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are an Ed25519 seed"))
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        // The library takes weak keys and weak R; what it compares is R's encoding, so a non-canonical one never matches.
        let (Some(r), true) = (signature.first_chunk(), may_be_key(key)) else { return false };
        !is_small_order(r) && VerifyKey::new(&ED25519, key).verify(message, signature).is_ok()
    }

    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        let algorithm = match suite {
            Suite::Aes256Gcm => &AES_256_GCM,
            Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        Box::new(LessSafeKey::new(UnboundKey::new(algorithm, key).expect("both ciphers take keys of 32 bytes")))
    }
}

struct KeyPair {
    secret: PrivateKey,
    public: [u8; 32],
}

impl Ephemeral for KeyPair {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        agree(&self.secret, UnparsedPublicKey::new(&X25519, peer), (), |shared| {
            let shared = Zeroizing::new(<[u8; 32]>::try_from(shared).map_err(|_| ())?);
            (*shared != [0; 32]).then_some(shared).ok_or(())
        })
        .ok()
    }
}

impl Signer for Ed25519KeyPair {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.sign(message).as_ref().try_into().expect("an Ed25519 signature has 64 bytes")
    }
}

impl Aead for LessSafeKey {
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce(counter)), Aad::from(associated), text)
            .expect("a record is far shorter than the cipher's limit")
            .as_ref()
            .try_into()
            .expect("both ciphers have tags of 16 bytes")
    }

    fn open<'a>(&self, counter: u64, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.open_in_place(Nonce::assume_unique_for_key(nonce(counter)), Aad::from(associated), sealed).ok()
    }
}
