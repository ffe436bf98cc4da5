//! An open link: records, keepalive, and what the peer said about itself.

use alloc::boxed::Box;

use bytes::{Buf, Bytes, BytesMut};

use super::code::{CloseReason, Fault};
use super::handshake::{Authenticated, Records};
use super::keepalive::Keepalive;
use super::message::Inner;
use super::notes::Notes;
use super::retry_after;
use crate::crypto::Random;
use crate::time::Instant;
use crate::wire::HEADER_LEN;

pub(super) struct Open {
    /// Apart, because no record needs it.
    pub(super) authenticated: Box<Authenticated>,
    pub(super) records: Records,
    pub(super) keepalive: Keepalive,
}

impl Open {
    /// Opens a record and acts on it; a message is returned, sharing the reader's memory.
    pub(super) fn take_record(
        &mut self,
        now: Instant,
        header: [u8; HEADER_LEN],
        body: &mut BytesMut,
        out: &mut BytesMut,
        notes: &mut Notes,
    ) -> Result<Option<Bytes>, CloseReason> {
        let text = self.records.opener.open(&header, &mut body[..])?;
        notes.opened(text);
        let parsed = Inner::decode(text)?;
        self.keepalive.heard(now);
        match parsed {
            Inner::Message(message) => {
                let len = message.len();
                body.truncate(1 + len);
                body.advance(1);
                return Ok(Some(body.split().freeze()));
            }
            Inner::Ping(nonce) => {
                let nonce = *nonce;
                self.records.sealer.seal(now, out, Inner::Echo(&nonce));
                self.keepalive.sent(now);
            }
            Inner::Echo(nonce) => self.keepalive.echo(nonce)?,
            Inner::Rekey => self.records.opener.ratchet(),
            Inner::Close(code, after) => {
                return Err(CloseReason::Peer { code, retry_after: retry_after(after) });
            }
            Inner::Challenge(_) | Inner::Ok(_) | Inner::Ko(..) => return Err(Fault::BadFrame.into()),
        }
        Ok(None)
    }

    pub(super) fn ask(&mut self, now: Instant, random: &mut Random, out: &mut BytesMut) {
        let mut nonce = [0; 16];
        random.fill(&mut nonce);
        self.keepalive.asked(now, nonce);
        self.keepalive.sent(now);
        self.records.sealer.seal(now, out, Inner::Ping(&nonce));
    }
}
