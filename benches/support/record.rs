//! A record on an open link, and the AEAD alone.

use aes_gcm::aead::consts::{U12, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use interbot::crypto::Crypto;
use interbot::link::{Link, Step};
use std::hint::black_box;
use std::sync::Arc;

use crate::pair::{NOW, Pair};

/// An open link, seen from both its ends.
pub(crate) struct Wire {
    pub(crate) sender: Link,
    pub(crate) receiver: Link,
    message: Vec<u8>,
}

impl Wire {
    pub(crate) fn new(crypto: Arc<dyn Crypto>, aes: bool, message_bytes: usize) -> Self {
        let (sender, receiver) = Pair::new(crypto, aes).handshake();
        Self { sender, receiver, message: vec![5; message_bytes] }
    }

    /// Seals a message, hands its bytes over, opens it, and drops it.
    pub(crate) fn seal_and_open(&mut self) {
        assert!(self.sender.send(NOW, black_box(&self.message)));
        let bytes = self.sender.take_output();
        match self.receiver.step(NOW, &mut &bytes[..]) {
            Step::Message(message) => assert_eq!(message.len(), self.message.len()),
            other => panic!("{other:?}"),
        }
    }
}

/// The cipher's own crate, with neither frame, copy, nor provider.
pub(crate) struct BareAead<A> {
    cipher: A,
    counter: u64,
    text: Vec<u8>,
}

impl<A: AeadInOut<NonceSize = U12, TagSize = U16> + KeyInit<KeySize = aes_gcm::aead::consts::U32>> BareAead<A> {
    pub(crate) fn new(message_bytes: usize) -> Self {
        Self { cipher: A::new(&[9; 32].into()), counter: 0, text: vec![5; message_bytes] }
    }

    /// Seals and opens in place; the associated data is as long as a frame's header.
    pub(crate) fn seal_and_open(&mut self) {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.counter.to_be_bytes());
        let (nonce, associated) = (nonce.into(), black_box([3; 5]));
        let text = &mut self.text[..];
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &associated, black_box(&mut *text).into())
            .expect("a short text");
        self.cipher
            .decrypt_inout_detached(&nonce, &associated, black_box(text).into(), black_box(&tag))
            .expect("it was sealed with this key");
        self.counter += 1;
    }
}
