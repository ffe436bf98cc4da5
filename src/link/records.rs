//! Sealed records: one key for each direction, a counter, and a ratchet.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::time::Duration;

use bytes::{BufMut, BytesMut};
use zeroize::Zeroizing;

use super::code::Fault;
use super::keys::ratchet;
use super::message::{Inner, inner};
use crate::crypto::{Aead, Crypto, Suite, TAG_LEN};
use crate::time::Instant;
use crate::wire::{FrameKind, HEADER_LEN, MAX_PLAINTEXT, put_header};

/// Records that one key may seal, the REKEY that ends it included: far below the bounds of AES-GCM (RFC 9001, appendix B.1).
pub const RECORDS_PER_KEY: u64 = 1 << 20;

/// Age at which a key is replaced, so that a taken key tells at most an hour of the past.
pub const KEY_LIFETIME: Duration = Duration::from_secs(3600);

/// One direction's key and how often it was used.
pub(super) struct RecordKey {
    aead: Box<dyn Aead>,
    counter: u64,
    source: Box<Source>,
}

/// What the next key is made from; apart, because it is looked at once in an hour.
struct Source {
    crypto: Arc<dyn Crypto>,
    suite: Suite,
    key: Zeroizing<[u8; 32]>,
}

impl RecordKey {
    pub(super) fn new(crypto: Arc<dyn Crypto>, suite: Suite, key: Zeroizing<[u8; 32]>) -> Self {
        let aead = crypto.aead(suite, &key);
        Self { aead, counter: 0, source: Box::new(Source { crypto, suite, key }) }
    }

    fn ratchet(&mut self) {
        let Source { crypto, suite, key } = &mut *self.source;
        *key = ratchet(key, *suite);
        self.aead = crypto.aead(*suite, key);
        self.counter = 0;
    }
}

impl fmt::Debug for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suite = self.source.suite;
        f.debug_struct("RecordKey").field("suite", &suite).field("counter", &self.counter).finish_non_exhaustive()
    }
}

/// Seals one direction.
#[derive(Debug)]
pub(super) struct Sealer {
    key: RecordKey,
    since: Instant,
}

impl Sealer {
    pub(super) fn new(key: RecordKey, now: Instant) -> Self {
        Self { key, since: now }
    }

    /// Seals what the closure writes; the record is at the end of `out` when this returns.
    pub(super) fn seal_with(&mut self, now: Instant, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        if self.key.counter + 1 >= RECORDS_PER_KEY || now.since(self.since) >= KEY_LIFETIME {
            self.seal_one(out, |out| Inner::Rekey.encode(out));
            self.key.ratchet();
            self.since = now;
        }
        self.seal_one(out, write);
    }

    pub(super) fn seal(&mut self, now: Instant, out: &mut BytesMut, inner: Inner<'_>) {
        self.seal_with(now, out, |out| inner.encode(out));
    }

    /// Seals a message of this length.
    pub(super) fn seal_message(
        &mut self,
        now: Instant,
        out: &mut BytesMut,
        len: usize,
        write: impl FnOnce(&mut BytesMut),
    ) {
        out.reserve(HEADER_LEN + 1 + len + TAG_LEN);
        self.seal_with(now, out, |out| {
            out.put_u8(inner::MESSAGE);
            write(out);
        });
    }

    #[cfg(test)]
    pub(super) fn restart(&mut self) {
        self.key.counter = 0;
    }

    fn seal_one(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        let start = out.len();
        put_header(out, FrameKind::Record, 0);
        write(out);
        let len = out.len() - start - HEADER_LEN;
        assert!((1..=MAX_PLAINTEXT).contains(&len), "a record is written within its limit");
        let length = u32::try_from(1 + len + TAG_LEN).expect("a limit fits 32 bits");
        let (header, text) = out[start..].split_at_mut(HEADER_LEN);
        header[..4].copy_from_slice(&length.to_be_bytes());
        let tag = self.key.aead.seal(self.key.counter, header, text);
        out.put_slice(&tag);
        self.key.counter += 1;
    }
}

/// Opens the other direction.
#[derive(Debug)]
pub(super) struct Opener(RecordKey);

impl Opener {
    pub(super) const fn new(key: RecordKey) -> Self {
        Self(key)
    }

    /// Opens a record in place and returns its plaintext.
    pub(super) fn open<'a>(&mut self, header: &[u8; HEADER_LEN], sealed: &'a mut [u8]) -> Result<&'a [u8], Fault> {
        if self.0.counter >= RECORDS_PER_KEY {
            return Err(Fault::KeyOverused);
        }
        let text = self.0.aead.open(self.0.counter, header, sealed).ok_or(Fault::BadBox)?;
        self.0.counter += 1;
        Ok(text)
    }

    /// Follows the sender's REKEY.
    pub(super) fn ratchet(&mut self) {
        self.0.ratchet();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::Pure;
    use alloc::vec::Vec;

    fn pair() -> (Sealer, Opener) {
        let key = || RecordKey::new(Arc::new(Pure), Suite::Aes256Gcm, Zeroizing::new([5; 32]));
        (Sealer::new(key(), Instant::ZERO), Opener::new(key()))
    }

    fn open(opener: &mut Opener, wire: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut body = wire[HEADER_LEN..].to_vec();
        opener.open(wire[..HEADER_LEN].try_into().expect("a header"), &mut body).map(<[u8]>::to_vec)
    }

    fn sealed(sealer: &mut Sealer, now: Instant) -> Vec<u8> {
        let mut out = BytesMut::new();
        sealer.seal_message(now, &mut out, 5, |out| out.put_slice(b"hello"));
        out.to_vec()
    }

    #[test]
    fn replayed_reordered_and_altered_records_do_not_open() {
        let (mut sealer, mut opener) = pair();
        let records: Vec<_> = (0..3).map(|_| sealed(&mut sealer, Instant::ZERO)).collect();
        assert_eq!(open(&mut opener, &records[1]), Err(Fault::BadBox));
        assert!(open(&mut opener, &records[0]).is_ok());
        assert_eq!(open(&mut opener, &records[0]), Err(Fault::BadBox));
        for bit in 0..records[1].len() * 8 {
            let mut changed = records[1].clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(open(&mut opener, &changed), Err(Fault::BadBox), "bit {bit}");
        }
        assert!(open(&mut opener, &records[1]).is_ok());
    }

    #[test]
    fn the_last_record_of_a_key_is_a_rekey_and_both_sides_go_on() {
        let (mut sealer, mut opener) = pair();
        sealer.key.counter = RECORDS_PER_KEY - 2;
        opener.0.counter = RECORDS_PER_KEY - 2;
        assert_eq!(open(&mut opener, &sealed(&mut sealer, Instant::ZERO)), Ok(b"\x10hello".to_vec()));
        let two = sealed(&mut sealer, Instant::ZERO);
        let rekey_len = HEADER_LEN + 1 + TAG_LEN;
        assert_eq!(open(&mut opener, &two[..rekey_len]), Ok([inner::REKEY].to_vec()));
        assert_eq!(opener.0.counter, RECORDS_PER_KEY);
        opener.ratchet();
        assert_eq!(open(&mut opener, &two[rekey_len..]), Ok(b"\x10hello".to_vec()));
        assert_eq!((sealer.key.counter, opener.0.counter), (1, 1));
    }

    #[test]
    fn a_record_beyond_the_last_of_a_key_is_refused() {
        let (mut sealer, mut opener) = pair();
        opener.0.counter = RECORDS_PER_KEY;
        assert_eq!(open(&mut opener, &sealed(&mut sealer, Instant::ZERO)), Err(Fault::KeyOverused));
    }

    #[test]
    fn no_key_is_shown_by_debug() {
        let key = pair().1.0;
        assert_eq!(alloc::format!("{key:?}"), "RecordKey { suite: Aes256Gcm, counter: 0, .. }");
    }

    #[test]
    fn a_key_is_replaced_after_an_hour() {
        let (mut sealer, _) = pair();
        let plain = sealed(&mut sealer, Instant::ZERO).len();
        let hour = Instant::ZERO + KEY_LIFETIME;
        assert_eq!(sealed(&mut sealer, hour).len(), plain + HEADER_LEN + 1 + TAG_LEN);
        assert_eq!(sealed(&mut sealer, hour).len(), plain);
    }
}
