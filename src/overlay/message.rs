//! Posts as they travel.

use alloc::vec::Vec;
use core::fmt;

use bytes::{Bytes, BytesMut};

use crate::crypto::Crypto;
use crate::identity::{BotId, CommunityId};
use crate::wire::{CborError, CborReader, CborWriter};

/// Most bytes of a post's body: 63 KiB, so that a post with everything around it fits a record.
pub const MAX_POST_BODY: usize = 63 * 1024;

/// Most hops of a post: far above the depth of any sensible tree, and the end of every loop (I-5).
pub const MAX_HOPS: u8 = 64;

const POST: u64 = 1;
const HEAD_LEN: usize = 48;

/// One life of an author's counter, drawn at random when a bot starts without records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(u64);

impl StreamId {
    /// The stream with this number.
    #[must_use]
    pub const fn from_u64(number: u64) -> Self {
        Self(number)
    }

    /// The stream's number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Debug for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A post's name: unique as long as its author keeps its records.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId {
    /// Who wrote it.
    pub origin: BotId,
    /// In which life.
    pub stream: StreamId,
    /// Its place in that life's order, from 1.
    pub seq: u64,
}

impl fmt::Debug for PostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:?}/{}", self.origin, self.stream, self.seq)
    }
}

/// A signed post: what its author said, and the proof.
#[derive(Clone, PartialEq, Eq)]
pub struct Post {
    id: PostId,
    /// origin ‖ stream ‖ seq ‖ body: the bytes under the signature, behind the domain tag and the community.
    bytes: Bytes,
    signature: [u8; 64],
}

impl Post {
    pub(super) fn new(id: PostId, body: &[u8], community: &CommunityId, sign: impl FnOnce(&[u8]) -> [u8; 64]) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
        bytes.extend_from_slice(id.origin.as_bytes());
        bytes.extend_from_slice(&id.stream.0.to_be_bytes());
        bytes.extend_from_slice(&id.seq.to_be_bytes());
        bytes.extend_from_slice(body);
        let mut signed = BytesMut::new();
        signed_bytes(community, &bytes, &mut signed);
        Self { id, signature: sign(&signed), bytes: bytes.into() }
    }

    /// Its name.
    #[must_use]
    pub const fn id(&self) -> PostId {
        self.id
    }

    /// What the author said: at most [`MAX_POST_BODY`] bytes, opaque to the protocol.
    #[must_use]
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEAD_LEN..)
    }

    /// The author's Ed25519 signature.
    #[must_use]
    pub const fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    /// Whether the signature is the author's. The usual short post is put together on the stack: that memory is in the cache,
    /// `scratch`, used minutes ago, is not.
    pub(super) fn is_genuine(&self, community: &CommunityId, crypto: &dyn Crypto, scratch: &mut BytesMut) -> bool {
        let mut short = [0; 512];
        let mut rest = &mut short[..];
        let fits = signed_parts(community, &self.bytes).into_iter().all(|part| {
            let Some((place, after)) = core::mem::take(&mut rest).split_at_mut_checked(part.len()) else {
                return false;
            };
            place.copy_from_slice(part);
            rest = after;
            true
        });
        let free = rest.len();
        let signed = if fits {
            &short[..short.len() - free]
        } else {
            self.signed_bytes(community, scratch);
            scratch
        };
        crypto.verify(self.id.origin.as_bytes(), signed, &self.signature)
    }

    /// Writes the bytes that the author signed into `out`, for somebody who wants to check again.
    pub fn signed_bytes(&self, community: &CommunityId, out: &mut BytesMut) {
        signed_bytes(community, &self.bytes, out);
    }
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("id", &self.id).field("body_bytes", &self.body().len()).finish_non_exhaustive()
    }
}

fn signed_bytes(community: &CommunityId, post: &[u8], out: &mut BytesMut) {
    out.clear();
    for part in signed_parts(community, post) {
        out.extend_from_slice(part);
    }
}

fn signed_parts<'a>(community: &'a CommunityId, post: &'a [u8]) -> [&'a [u8]; 3] {
    [b"interbot post 1\0", community.as_bytes(), post]
}

/// What bots tell each other over an open link.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// A post, and how many bots passed it on.
    Post {
        /// 0 from the author.
        hops: u8,
        /// The post.
        post: Post,
    },
}

impl Message {
    /// Reads a message in its one encoding; byte strings share `bytes`' memory.
    ///
    /// # Errors
    /// [`CborError`], also for a message that this version does not have.
    pub fn decode(bytes: &Bytes) -> Result<Self, CborError> {
        let mut r = CborReader::new(bytes);
        let items = r.array()?;
        if (items, r.uint()?) != (4, POST) {
            return Err(CborError::Range);
        }
        let hops = r.u8()?;
        let post = r.bytes()?;
        let signature = *r.byte_array()?;
        r.end()?;
        let (Some((head, body)), true) = (post.split_first_chunk::<HEAD_LEN>(), hops <= MAX_HOPS) else {
            return Err(CborError::Range);
        };
        if body.len() > MAX_POST_BODY {
            return Err(CborError::Range);
        }
        let (origin, rest) = head.split_first_chunk::<32>().ok_or(CborError::Range)?;
        let (stream, seq) = rest.split_first_chunk::<8>().ok_or(CborError::Range)?;
        let seq = seq.first_chunk::<8>().ok_or(CborError::Range)?;
        let id = PostId {
            origin: BotId::proved(*origin),
            stream: StreamId(u64::from_be_bytes(*stream)),
            seq: u64::from_be_bytes(*seq),
        };
        Ok(Self::Post { hops, post: Post { id, bytes: bytes.slice_ref(post), signature } })
    }

    /// A bound on the bytes that [`Message::encode`] writes: some too many, never too few.
    #[must_use]
    pub(crate) fn max_encoded_len(&self) -> usize {
        match self {
            Self::Post { post, .. } => post.bytes.len() + 76,
        }
    }

    /// Writes the message at the end of `out`.
    pub fn encode(&self, out: &mut BytesMut) {
        out.reserve(self.max_encoded_len());
        match self {
            Self::Post { hops, post } => {
                let mut w = CborWriter(out);
                w.array(4).uint(POST).uint(u64::from(*hops)).bytes(&post.bytes).bytes(&post.signature);
            }
        }
    }
}
