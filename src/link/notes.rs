//! What a link read and wrote, for its node's trace: kinds and sizes of frames, nothing else.
//!
//! Without the feature `trace` all of it is empty. With it, a link that nobody asked notes nothing either.

use bytes::BytesMut;

#[cfg(feature = "trace")]
pub(crate) use on::FrameNote;
#[cfg(feature = "trace")]
pub(super) use on::Notes;

#[cfg(not(feature = "trace"))]
#[derive(Default)]
pub(super) struct Notes(());

#[cfg(not(feature = "trace"))]
impl Notes {
    pub(super) const fn read(&mut self, _header: [u8; 5]) {}

    pub(super) const fn opened(&mut self, _text: &[u8]) {}

    pub(super) const fn written(&mut self, _out: &BytesMut, _inner: u8) {}

    pub(super) const fn taken(&mut self) {}
}

#[cfg(feature = "trace")]
mod on {
    use alloc::vec::Vec;

    use super::BytesMut;
    use crate::link::message::inner;
    use crate::wire::{FrameKind, HEADER_LEN};

    /// One frame.
    #[derive(Debug)]
    pub(crate) struct FrameNote {
        /// Whether this side wrote it.
        pub(crate) is_out: bool,
        pub(crate) frame: &'static str,
        /// What is in a record that opened.
        pub(crate) inner: Option<&'static str>,
        /// With its header.
        pub(crate) bytes: usize,
    }

    #[derive(Default)]
    pub(in crate::link) struct Notes {
        /// What was not taken yet; the node takes it after every step.
        frames: Option<Vec<FrameNote>>,
        /// Bytes of the output that are noted.
        noted: usize,
    }

    impl Notes {
        /// Notes frames from now on, and those of the output that were written without.
        pub(in crate::link) fn start(&mut self, out: &BytesMut) {
            self.frames = Some(Vec::new());
            self.written(out, 0);
        }

        pub(in crate::link) fn take(&mut self) -> impl Iterator<Item = FrameNote> {
            self.frames.iter_mut().flat_map(|frames| frames.drain(..))
        }

        /// A whole frame arrived.
        pub(in crate::link) fn read(&mut self, header: [u8; HEADER_LEN]) {
            if let (Some(frames), Some((frame, bytes))) = (&mut self.frames, split(&header)) {
                frames.push(FrameNote { is_out: false, frame: frame_name(frame), inner: None, bytes });
            }
        }

        /// The last one opened.
        pub(in crate::link) fn opened(&mut self, text: &[u8]) {
            if let (Some(frames), Some(kind)) = (&mut self.frames, text.first())
                && let Some(last) = frames.last_mut()
            {
                last.inner = Some(inner_name(*kind));
            }
        }

        /// Frames were added to the output: the last of their records has `inner`, those before it end a key.
        pub(in crate::link) fn written(&mut self, out: &BytesMut, inner: u8) {
            let Some(frames) = &mut self.frames else { return };
            while let Some((frame, bytes)) = out.get(self.noted..).and_then(split) {
                self.noted += bytes;
                let kind = if self.noted >= out.len() { inner } else { inner::REKEY };
                let inner = (frame == FrameKind::Record).then(|| inner_name(kind));
                frames.push(FrameNote { is_out: true, frame: frame_name(frame), inner, bytes });
            }
        }

        /// The output was taken.
        pub(in crate::link) const fn taken(&mut self) {
            self.noted = 0;
        }
    }

    fn split(bytes: &[u8]) -> Option<(FrameKind, usize)> {
        let [a, b, c, d, kind] = *bytes.first_chunk::<HEADER_LEN>()?;
        let length = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
        Some((FrameKind::from_wire(kind)?, HEADER_LEN - 1 + length))
    }

    fn frame_name(kind: FrameKind) -> &'static str {
        match kind {
            FrameKind::Connect => "connect",
            FrameKind::ConnectAck => "connect_ack",
            FrameKind::Ack => "ack",
            FrameKind::ClearKo => "clear_ko",
            FrameKind::Record => "record",
        }
    }

    fn inner_name(kind: u8) -> &'static str {
        match kind {
            inner::CHALLENGE => "challenge",
            inner::OK => "ok",
            inner::KO => "ko",
            inner::PING => "ping",
            inner::ECHO => "echo",
            inner::REKEY => "rekey",
            inner::CLOSE => "close",
            inner::MESSAGE => "message",
            _ => "unknown",
        }
    }
}
