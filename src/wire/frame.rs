//! Frames: u32 length, u8 kind, body.

use bytes::{BufMut, BytesMut};

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 5;

/// Longest plaintext of a record: 64 KiB (design of the link, section 7).
pub const MAX_PLAINTEXT: usize = 64 * 1024;

/// What a frame is, by its number on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Client's first message.
    Connect = 1,
    /// Server's answer to it.
    ConnectAck = 2,
    /// Client's second message.
    Ack = 3,
    /// A refusal in clear, before keys exist.
    ClearKo = 4,
    /// Something sealed under the link's keys.
    Record = 16,
}

impl FrameKind {
    /// The kind with this number.
    #[must_use]
    pub const fn from_wire(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Connect,
            2 => Self::ConnectAck,
            3 => Self::Ack,
            4 => Self::ClearKo,
            16 => Self::Record,
            _ => return None,
        })
    }

    /// Most bytes that a body of this kind may have.
    #[must_use]
    pub const fn max_body(self) -> usize {
        match self {
            Self::Connect => 128,
            Self::ConnectAck | Self::Ack => 2048,
            Self::ClearKo => 5,
            Self::Record => MAX_PLAINTEXT + crate::crypto::TAG_LEN,
        }
    }
}

/// A frame that cannot be read; the stream is worthless after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is zero or above the limit of its kind; nothing was allocated for it.
    #[error("a frame of kind {kind} cannot be {length} bytes long")]
    Length {
        /// Kind as received.
        kind: u8,
        /// Length as received: kind and body.
        length: u32,
    },
    /// No such kind, or not at this point of the link.
    #[error("no frame of kind {0} is expected here")]
    Kind(u8),
}

/// One whole frame; the reader's own buffer, so that a record can be opened in place.
#[derive(Debug)]
pub struct Frame<'a> {
    /// What it is.
    pub kind: FrameKind,
    /// Length and kind as they stood on the wire; the associated data of sealed bodies.
    pub header: [u8; HEADER_LEN],
    /// What follows the header.
    pub body: &'a mut BytesMut,
}

/// Cuts a stream of bytes into frames, one at a time, and holds at most one.
#[derive(Debug, Default)]
pub struct FrameReader {
    header: [u8; HEADER_LEN],
    header_len: usize,
    body: BytesMut,
    /// Whether `body` was handed out and must be emptied before the next frame.
    done: bool,
}

impl FrameReader {
    /// Takes from the front of `input` what the next frame needs, and returns the frame once it is whole.
    ///
    /// `limit` says how long a body of this kind may be now, or that none is expected; it is asked as soon as the header is
    /// there, before memory is reserved, and never allows more than [`FrameKind::max_body`]. Bytes behind the frame stay in
    /// `input`. The body is the caller's to take; what it leaves is dropped by the next call.
    ///
    /// # Errors
    /// [`FrameError`]; the reader must not be used after it.
    pub fn next<'a>(
        &'a mut self,
        input: &mut &[u8],
        limit: impl FnOnce(FrameKind) -> Option<usize>,
    ) -> Result<Option<Frame<'a>>, FrameError> {
        if core::mem::take(&mut self.done) {
            self.header_len = 0;
            self.body.clear();
        }
        let header = if self.header_len == HEADER_LEN {
            self.header
        } else {
            let Some(header) = self.take_header(input) else { return Ok(None) };
            check(header, limit)?;
            header
        };
        let (kind, length) = split(header);
        let kind = FrameKind::from_wire(kind).ok_or(FrameError::Kind(kind))?;
        let body_len = length as usize - 1;
        let missing = body_len - self.body.len();
        if self.body.is_empty() {
            self.body.reserve(body_len);
        }
        let (now, rest) = input.split_at(missing.min(input.len()));
        self.body.extend_from_slice(now);
        *input = rest;
        if now.len() < missing {
            return Ok(None);
        }
        self.done = true;
        Ok(Some(Frame { kind, header, body: &mut self.body }))
    }

    /// Takes what is missing of the header; the whole of it in one move where the input has it.
    fn take_header(&mut self, input: &mut &[u8]) -> Option<[u8; HEADER_LEN]> {
        if let (0, Some((header, rest))) = (self.header_len, input.split_first_chunk()) {
            *input = rest;
            self.header_len = HEADER_LEN;
            self.header = *header;
            return Some(*header);
        }
        let n = input.len().min(HEADER_LEN - self.header_len);
        let (head, rest) = input.split_at(n);
        self.header[self.header_len..][..n].copy_from_slice(head);
        self.header_len += n;
        *input = rest;
        (self.header_len == HEADER_LEN).then_some(self.header)
    }

    /// Bytes of an unfinished frame that are held, and whether there is one.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        if self.done { 0 } else { self.header_len + self.body.len() }
    }
}

fn check(header: [u8; HEADER_LEN], limit: impl FnOnce(FrameKind) -> Option<usize>) -> Result<(), FrameError> {
    let (number, length) = split(header);
    let kind = FrameKind::from_wire(number).ok_or(FrameError::Kind(number))?;
    let limit = limit(kind).ok_or(FrameError::Kind(number))?.min(kind.max_body());
    if length == 0 || length as usize - 1 > limit {
        return Err(FrameError::Length { kind: number, length });
    }
    Ok(())
}

const fn split([a, b, c, d, kind]: [u8; HEADER_LEN]) -> (u8, u32) {
    (kind, u32::from_be_bytes([a, b, c, d]))
}

/// Writes a frame's header for a body of `body_len` bytes and returns it.
///
/// # Panics
/// When the body is longer than its kind allows; callers check their own input before.
pub fn put_header(out: &mut BytesMut, kind: FrameKind, body_len: usize) -> [u8; HEADER_LEN] {
    assert!(body_len <= kind.max_body(), "a frame is built within its limit");
    let length = u32::try_from(body_len + 1).expect("a limit fits 32 bits");
    let [a, b, c, d] = length.to_be_bytes();
    let header = [a, b, c, d, kind as u8];
    out.put_slice(&header);
    header
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn any(kind: FrameKind) -> Option<usize> {
        Some(kind.max_body())
    }

    fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
        let mut out = BytesMut::new();
        put_header(&mut out, kind, body.len());
        out.extend_from_slice(body);
        out.to_vec()
    }

    fn read_all(mut input: &[u8], step: usize) -> Result<Vec<(FrameKind, Vec<u8>)>, FrameError> {
        let (mut reader, mut out) = (FrameReader::default(), Vec::new());
        while !input.is_empty() {
            let (mut chunk, rest) = input.split_at(step.min(input.len()));
            input = rest;
            while !chunk.is_empty() {
                if let Some(frame) = reader.next(&mut chunk, any)? {
                    out.push((frame.kind, frame.body.to_vec()));
                }
            }
        }
        Ok(out)
    }

    #[test]
    fn frames_are_the_same_however_the_stream_is_cut() {
        let wire =
            [frame(FrameKind::Connect, b"abc"), frame(FrameKind::ClearKo, b""), frame(FrameKind::Record, &[7; 300])]
                .concat();
        let whole = read_all(&wire, wire.len()).expect("good frames");
        assert_eq!(whole.len(), 3);
        for step in 1..wire.len() {
            assert_eq!(read_all(&wire, step).as_ref(), Ok(&whole), "step {step}");
        }
    }

    #[test]
    fn a_truncated_frame_yields_nothing_at_every_offset() {
        let wire = frame(FrameKind::Ack, &[1; 40]);
        for cut in 0..wire.len() {
            let mut reader = FrameReader::default();
            assert!(matches!(reader.next(&mut &wire[..cut], any), Ok(None)), "cut {cut}");
            assert_eq!(reader.held_bytes(), cut);
        }
    }

    #[test]
    fn an_oversized_length_is_refused_before_anything_is_allocated() {
        for (kind, limit) in [(1u8, 128u32), (2, 2048), (3, 2048), (4, 5), (16, 65_552)] {
            for (length, good) in [(0, false), (limit + 1, true), (limit + 2, false), (u32::MAX, false)] {
                let mut header = length.to_be_bytes().to_vec();
                header.push(kind);
                let mut reader = FrameReader::default();
                let got = reader.next(&mut &header[..], any).map(|f| f.is_some());
                assert_eq!(got, if good { Ok(false) } else { Err(FrameError::Length { kind, length }) });
                assert!(good || reader.body.capacity() == 0);
            }
        }
    }

    #[test]
    fn a_limit_of_the_moment_is_checked_by_the_header_and_cannot_raise_the_kinds_own() {
        let next = |length: u32, limit| {
            let mut header = length.to_be_bytes().to_vec();
            header.push(16);
            FrameReader::default().next(&mut &header[..], |_| Some(limit)).map(|f| f.is_some())
        };
        assert_eq!((next(276, 275), next(277, 275)), (Ok(false), Err(FrameError::Length { kind: 16, length: 277 })));
        assert_eq!(next(65_554, usize::MAX), Err(FrameError::Length { kind: 16, length: 65_554 }));
    }

    #[test]
    fn an_unknown_or_unexpected_kind_is_refused() {
        for kind in [0u8, 5, 15, 17, 255] {
            let wire = [0, 0, 0, 2, kind, 0];
            assert_eq!(read_all(&wire, 6), Err(FrameError::Kind(kind)));
        }
        let wire = frame(FrameKind::Record, b"x");
        let got =
            FrameReader::default().next(&mut &wire[..], |kind| (kind != FrameKind::Record).then_some(9)).map(|_| ());
        assert_eq!(got, Err(FrameError::Kind(16)));
    }
}
