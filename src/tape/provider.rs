//! The crypto provider of a node with a tape.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;

use zeroize::Zeroizing;

use super::{Answer, Blob, Tape};
use crate::crypto::{Aead, Crypto, Ephemeral, Pure, Signer, Suite, TAG_LEN};

/// Notes what another provider says, or says what the tape has; what is secret passes by.
#[derive(Clone)]
pub(crate) struct Taped {
    pub(crate) inner: Arc<dyn Crypto>,
    pub(crate) tape: Tape,
    /// Whether signatures are on the tape: the ledger's are, for they are hashed, stored, and public in the community. Those of
    /// links and posts are not: nobody shall prove with a recording what it was that a post said.
    pub(crate) signs: bool,
}

impl fmt::Debug for Taped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taped").field(&self.inner).finish()
    }
}

impl Crypto for Taped {
    fn ephemeral(&self, secret: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        let inner = self.inner.ephemeral(secret);
        let fits = |answer| if let Answer::Public { key: Blob(key) } = answer { key.try_into().ok() } else { None };
        let public = self.tape.answer(inner.public(), |key| Answer::Public { key: Blob(key.to_vec()) }, fits);
        Box::new(TapedEphemeral { inner, public, tape: self.tape.clone() })
    }

    fn signer(&self, seed: &[u8; 32]) -> Box<dyn Signer> {
        let inner = self.inner.signer(seed);
        if self.signs { Box::new(TapedSigner { inner, tape: self.tape.clone() }) } else { inner }
    }

    fn verify(&self, key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
        if self.tape.is_looking() {
            // In a replay too: what is looked at is all there.
            let is_playing = self.tape.is_playing();
            let provider: &dyn Crypto = if is_playing { &Pure } else { &*self.inner };
            return provider.verify(key, message, signature);
        }
        let fits = |answer| if let Answer::Verified { good } = answer { Some(good) } else { None };
        self.tape.answer(self.inner.verify(key, message, signature), |good| Answer::Verified { good: *good }, fits)
    }

    fn aead(&self, suite: Suite, key: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(TapedAead { inner: self.inner.aead(suite, key), tape: self.tape.clone() })
    }
}

struct TapedSigner {
    inner: Box<dyn Signer>,
    tape: Tape,
}

impl Signer for TapedSigner {
    fn sign(&self, message: &[u8]) -> [u8; 64] {
        let note = |signature: &[u8; 64]| Answer::Signed { signature: Blob(signature.to_vec()) };
        let fits = |answer| match answer {
            Answer::Signed { signature: Blob(signature) } => signature.try_into().ok(),
            _ => None,
        };
        self.tape.answer(self.inner.sign(message), note, fits)
    }
}

struct TapedEphemeral {
    inner: Box<dyn Ephemeral>,
    public: [u8; 32],
    tape: Tape,
}

impl Ephemeral for TapedEphemeral {
    fn public(&self) -> [u8; 32] {
        self.public
    }

    fn agree(self: Box<Self>, peer: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = self.inner.agree(peer);
        let fits = |answer| if let Answer::Agreed { good } = answer { Some(good) } else { None };
        let good = self.tape.answer(shared.is_some(), |good| Answer::Agreed { good: *good }, fits);
        shared.filter(|_| good)
    }
}

struct TapedAead {
    inner: Box<dyn Aead>,
    tape: Tape,
}

impl Aead for TapedAead {
    fn seal(&self, counter: u64, associated: &[u8], text: &mut [u8]) -> [u8; TAG_LEN] {
        self.inner.seal(counter, associated, text)
    }

    fn open<'a>(&self, counter: u64, associated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        if self.tape.is_playing() {
            let len = sealed.len().saturating_sub(TAG_LEN);
            // A text of another length cannot have been under this seal: a node that asks so asks for something else.
            let fits = |answer| match answer {
                Answer::Opened { text } if text.as_ref().is_none_or(|Blob(text)| text.len() == len) => Some(text),
                _ => None,
            };
            let Blob(text) = self.tape.answer(None, |text| Answer::Opened { text: text.clone() }, fits)?;
            let out = sealed.get_mut(..len)?;
            out.copy_from_slice(&text);
            return Some(out);
        }
        let opened = self.inner.open(counter, associated, sealed);
        self.tape.write(|writer| writer.opened(associated, opened.as_deref()));
        opened
    }
}

/// A provider without any crypto, for replays: the tape answers, and these answers are harmless.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blank {
    /// What it says of every signature.
    pub(crate) trusts: bool,
}

impl Crypto for Blank {
    fn ephemeral(&self, _: Zeroizing<[u8; 32]>) -> Box<dyn Ephemeral> {
        Box::new(*self)
    }

    fn signer(&self, _: &[u8; 32]) -> Box<dyn Signer> {
        Box::new(*self)
    }

    fn verify(&self, _: &[u8; 32], _: &[u8], _: &[u8; 64]) -> bool {
        self.trusts
    }

    fn aead(&self, _: Suite, _: &[u8; 32]) -> Box<dyn Aead> {
        Box::new(*self)
    }
}

impl Ephemeral for Blank {
    fn public(&self) -> [u8; 32] {
        [9; 32]
    }

    fn agree(self: Box<Self>, _: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        Some(Zeroizing::new([9; 32]))
    }
}

impl Signer for Blank {
    fn sign(&self, _: &[u8]) -> [u8; 64] {
        [0; 64]
    }
}

impl Aead for Blank {
    fn seal(&self, _: u64, _: &[u8], _: &mut [u8]) -> [u8; TAG_LEN] {
        [0; TAG_LEN]
    }

    fn open<'a>(&self, _: u64, _: &[u8], _: &'a mut [u8]) -> Option<&'a mut [u8]> {
        None
    }
}
