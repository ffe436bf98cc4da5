//! The transcript and the key schedule, byte for byte as in the manual.

use alloc::sync::Arc;
use core::fmt;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::message::{TAG_LEN, VERSION};
use super::records::RecordKey;
use crate::crypto::{Crypto, Suite, expand, extract, sha256};
use crate::identity::CommunityId;

/// What ties a link to the channel below it; both hosts must pass the same.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Binding {
    /// A bare stream.
    #[default]
    None,
    /// 32 bytes exported from TLS 1.3 with the label [`Binding::TLS_LABEL`] and an empty context.
    TlsExporter([u8; 32]),
}

impl Binding {
    /// The exporter's label.
    pub const TLS_LABEL: &'static [u8] = b"EXPORTER-interbot-link-1";

    fn encode(&self) -> [u8; 33] {
        let mut out = [0; 33];
        if let Self::TlsExporter(bytes) = self {
            out[0] = 1;
            out[1..].copy_from_slice(bytes);
        }
        out
    }
}

impl fmt::Debug for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::TlsExporter(_) => "TlsExporter(…)",
        })
    }
}

/// The key of CONNECT's tag.
pub(super) fn tag_key(community: &CommunityId) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    expand(&extract(b"interbot link 1 tag", community.as_bytes()), &[], &mut key[..]);
    key
}

/// T0: what both sides know before the first byte.
pub(super) struct Prologue([u8; 16 + 33 + 32]);

impl Prologue {
    pub(super) fn new(binding: &Binding, community: &CommunityId) -> Self {
        let mut out = [0; 81];
        out[..16].copy_from_slice(b"interbot link 1\0");
        out[16..49].copy_from_slice(&binding.encode());
        out[49..].copy_from_slice(community.as_bytes());
        Self(out)
    }

    pub(super) fn tag(&self, tag_key: &[u8; 32], head1: &[u8]) -> [u8; TAG_LEN] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(tag_key).expect("HMAC takes a key of any length");
        mac.update(&self.0);
        mac.update(&[1]);
        mac.update(head1);
        *mac.finalize().into_bytes().first_chunk().expect("a hash is longer than a tag")
    }

    /// th2, from CONNECT's whole body and CONNECT+ACK's head.
    pub(super) fn th2(&self, body1: &[u8], head2: &[u8]) -> [u8; 32] {
        sha256(&[&self.0, &[1], body1, &[2], head2])
    }
}

/// What the server signs.
pub(super) fn server_signs(th2: &[u8; 32], id: &[u8; 32], facts: &[u8]) -> [u8; 55] {
    signed(b"interbot link 1 server\0", &sha256(&[th2, id, facts]))
}

/// What the client signs.
pub(super) fn client_signs(th3: &[u8; 32], id: &[u8; 32], facts: &[u8]) -> [u8; 55] {
    signed(b"interbot link 1 client\0", &sha256(&[th3, id, facts]))
}

fn signed(label: &[u8; 23], hash: &[u8; 32]) -> [u8; 55] {
    let mut out = [0; 55];
    out[..23].copy_from_slice(label);
    out[23..].copy_from_slice(hash);
    out
}

/// th3 from th2, th4 from th3: one more side's proof.
pub(super) fn next_hash(before: &[u8; 32], id: &[u8; 32], facts: &[u8], signature: &[u8; 64]) -> [u8; 32] {
    sha256(&[before, id, facts, signature])
}

fn derive(prk: &Hkdf<Sha256>, label: &[u8], suite: Suite) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    prk.expand_multi_info(&[label, &[0, VERSION, suite.to_wire()]], &mut out[..]).expect("32 bytes are one hash");
    out
}

/// prk0 and the keys of the two boxes.
pub(super) struct HandshakeKeys {
    prk0: Hkdf<Sha256>,
    suite: Suite,
    pub(super) server: Zeroizing<[u8; 32]>,
    pub(super) client: Zeroizing<[u8; 32]>,
}

impl HandshakeKeys {
    pub(super) fn new(th2: &[u8; 32], ee: &[u8; 32], suite: Suite) -> Self {
        let prk0 = Hkdf::<Sha256>::new(Some(th2), ee);
        let (server, client) = (derive(&prk0, b"hs server", suite), derive(&prk0, b"hs client", suite));
        Self { prk0, suite, server, client }
    }

    /// The keys of the open link; the handshake's are wiped.
    pub(super) fn application(self, crypto: Arc<dyn Crypto>, th4: &[u8; 32]) -> ApplicationKeys {
        let chain = derive(&self.prk0, b"chain", self.suite);
        let master = Hkdf::<Sha256>::new(Some(th4), &chain[..]);
        let key = |label| RecordKey::new(crypto.clone(), self.suite, derive(&master, label, self.suite));
        ApplicationKeys {
            client: key(b"app client"),
            server: key(b"app server"),
            exporter: Exporter(derive(&master, b"exporter", self.suite)),
        }
    }
}

pub(super) struct ApplicationKeys {
    pub(super) client: RecordKey,
    pub(super) server: RecordKey,
    pub(super) exporter: Exporter,
}

/// The next key of a direction.
pub(super) fn ratchet(key: &[u8; 32], suite: Suite) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    expand(key, &[b"rekey", &[0, VERSION, suite.to_wire()]], &mut out[..]);
    out
}

/// Most bytes of one exported secret: 255 hashes.
pub const MAX_EXPORT: usize = 255 * 32;

/// Why nothing is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The link is not open.
    #[error("the link is not open: wait for its event")]
    NotOpen,
    /// The label is empty or has a zero byte.
    #[error("a label is not empty and has no zero byte: name the purpose in words")]
    Label,
    /// More is asked for than one secret can give.
    #[error("at most {MAX_EXPORT} bytes are exported at once, not {0}")]
    TooLong(usize),
}

/// Secrets for the host's own use, tied to one link.
#[derive(Clone)]
pub(super) struct Exporter(Zeroizing<[u8; 32]>);

impl Exporter {
    pub(super) fn export(&self, label: &str, context: &[u8], out: &mut [u8]) -> Result<(), ExportError> {
        if label.is_empty() || label.contains('\0') {
            return Err(ExportError::Label);
        }
        if out.len() > MAX_EXPORT {
            return Err(ExportError::TooLong(out.len()));
        }
        expand(&self.0, &[label.as_bytes(), &[0], &sha256(&[context])], out);
        Ok(())
    }
}

/// A keyed 8-byte hash, for remembering strings without keeping them.
pub(crate) fn short_hash(key: &[u8; 32], text: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(text.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    u64::from_be_bytes(*digest.first_chunk().expect("a hash is longer than eight bytes"))
}
