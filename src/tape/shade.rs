//! What is left out of a recording: sealed bytes and tokens always, bodies of posts in a redacted one.

use bytes::Bytes;

use crate::ledger::{JoinMessage, LedgerMessage, Token};
use crate::overlay::Message;
use crate::wire::{FrameKind, HEADER_LEN};

/// The first byte of a record that holds a message.
const MESSAGE: u8 = 16;

/// Zeroes the sealed bodies of one stream's records, however the stream is cut.
#[derive(Clone, Debug, Default)]
pub(super) struct Shade {
    header: [u8; HEADER_LEN],
    header_len: usize,
    body_left: usize,
    is_record: bool,
    /// After a header that no link takes; the link is closed by it.
    is_broken: bool,
}

impl Shade {
    /// Zeroes what is to be zeroed of the next bytes.
    pub(super) fn pass(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            if self.is_broken {
                return bytes.fill(0);
            }
            if self.body_left > 0 {
                let (body, rest) = bytes.split_at_mut(self.body_left.min(bytes.len()));
                if self.is_record {
                    body.fill(0);
                }
                self.body_left -= body.len();
                bytes = rest;
                continue;
            }
            let (head, rest) = bytes.split_at_mut((HEADER_LEN - self.header_len).min(bytes.len()));
            self.header[self.header_len..][..head.len()].copy_from_slice(head);
            self.header_len += head.len();
            bytes = rest;
            if self.header_len == HEADER_LEN {
                self.header_len = 0;
                self.begin_body();
            }
        }
    }

    fn begin_body(&mut self) {
        let [a, b, c, d, kind] = self.header;
        let (length, kind) = (u32::from_be_bytes([a, b, c, d]) as usize, FrameKind::from_wire(kind));
        match kind {
            Some(kind) if length > 0 && length - 1 <= kind.max_body() => {
                self.body_left = length - 1;
                self.is_record = kind == FrameKind::Record;
            }
            _ => self.is_broken = true,
        }
    }
}

/// The message in a record's plaintext.
fn message<'a>(associated: &[u8], text: &'a mut [u8]) -> Option<&'a mut [u8]> {
    let is_record = associated.get(HEADER_LEN - 1) == Some(&(FrameKind::Record as u8));
    match text.split_first_mut().filter(|_| is_record) {
        Some((&mut MESSAGE, message)) => Some(message),
        _ => None,
    }
}

/// Zeroes the token that an applicant shows: it may be good still. What only looks like an application is zeroed whole, and
/// stays something that does not decode.
pub(super) fn without_token(associated: &[u8], text: &mut [u8]) {
    let Some(message) = message(associated, text).filter(|message| JoinMessage::is_one(message)) else { return };
    match JoinMessage::decode(&Bytes::copy_from_slice(message)) {
        // It is the last item, and these its last bytes.
        Ok(JoinMessage::Apply { token: Some(_), .. }) => {
            let start = message.len() - Token::LEN;
            message[start..].fill(0);
        }
        Ok(_) => {}
        Err(_) => message.fill(0),
    }
}

/// Zeroes the body and the signature of a post in a record's plaintext, and all of a message that is none: it stays one that
/// does not decode. What the ledger is made of is public in the community, and stays.
pub(super) fn redact(associated: &[u8], text: &mut [u8]) {
    let Some(message) = message(associated, text) else { return };
    let bytes = Bytes::copy_from_slice(message);
    if LedgerMessage::decode(&bytes).is_ok() || JoinMessage::decode(&bytes).is_ok() {
        return;
    }
    match Message::decode(&bytes) {
        Ok(Message::Post { post, .. }) => {
            // The last items are the post, which ends with its body, and 64 bytes of signature with a head of two.
            let (rest, signature) = message.split_at_mut(message.len() - 64);
            signature.fill(0);
            let end = rest.len() - 2;
            rest[end - post.body().len()..end].fill(0);
        }
        Err(_) => message.fill(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len() + 1).expect("short");
        [&length.to_be_bytes()[..], &[kind], body].concat()
    }

    #[test]
    fn bodies_of_records_are_zeroed_however_the_stream_is_cut() {
        let wire = [frame(1, b"connect"), frame(16, b"sealed"), frame(16, b""), frame(3, b"ack")].concat();
        let shaded = [frame(1, b"connect"), frame(16, &[0; 6]), frame(16, b""), frame(3, b"ack")].concat();
        for cut in 1..=wire.len() {
            let (mut shade, mut out) = (Shade::default(), wire.clone());
            out.chunks_mut(cut).for_each(|piece| shade.pass(piece));
            assert_eq!(out, shaded, "pieces of {cut}");
        }
    }

    #[test]
    fn what_follows_a_bad_header_is_zeroed() {
        for bad in [frame(9, b"x"), [0, 0, 0, 0, 16].to_vec(), [0, 2, 0, 0, 16].to_vec()] {
            let mut out = [&bad[..5], b"never read"].concat();
            Shade::default().pass(&mut out);
            assert_eq!(out, [&bad[..5], &[0; 10]].concat());
        }
    }
}
