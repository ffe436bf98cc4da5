//! A member that cheats: a real key, and no node behind it, only the link.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use interbot::BotId;
use interbot::ledger::{Ledger, LedgerMessage, MembershipPath};
use interbot::link::{Binding, CloseReason, Expect, Facts, Kind, Link, Setup, Step, Strings, Times};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::common::{self, Clock, Tls};

/// What a member shows of itself when it links up: where it stands, and that it is in the roster there.
pub(crate) fn facts(ledger: &Ledger, key: &BotId) -> Facts {
    let place = ledger.place();
    Facts {
        epoch_height: u32::try_from(place.height.0).unwrap_or(u32::MAX),
        epoch_id: place.header.0,
        credentials: ledger.roster().path(key).as_ref().map(MembershipPath::to_bytes).unwrap_or_default().into(),
        ..Facts::default()
    }
}

/// What a liar needs to speak to one member.
pub(crate) struct Call {
    pub(crate) setup: Arc<Setup>,
    pub(crate) to: BotId,
    pub(crate) address: String,
    pub(crate) clock: Clock,
    pub(crate) tls: Option<Tls>,
}

impl Call {
    /// Links up, says one thing, and listens until the other end has had enough.
    pub(crate) async fn say(self, piece: Bytes) -> std::io::Result<CloseReason> {
        let (mut stream, binding) = common::dial(&self.address, self.tls.clone()).await?;
        let mut link = self.link(binding);
        let mut message = BytesMut::new();
        LedgerMessage::Pieces(vec![piece]).encode(&mut message);
        let mut buffer = vec![0; 8 * 1024];
        loop {
            stream.write_all(&link.take_output()).await?;
            stream.flush().await?;
            let now = self.clock.now();
            let due = link.wake_at().map_or(Duration::MAX, |at| at.since(now));
            let Ok(read) = tokio::time::timeout(due, stream.read(&mut buffer)).await else {
                match link.handle_timeout(self.clock.now()) {
                    Some(reason) => return Ok(reason),
                    None => continue,
                }
            };
            let mut input = &buffer[..read?];
            if input.is_empty() {
                return Ok(CloseReason::Ended);
            }
            let now = self.clock.now();
            loop {
                match link.step(now, &mut input) {
                    Step::Open => {
                        let _ = link.send(now, &message);
                    }
                    Step::Closed(reason) => return Ok(reason),
                    Step::NeedMore => break,
                    // What the others say is of no interest to a liar.
                    Step::Message(_) | Step::Hello | Step::Proved => {}
                }
            }
        }
    }

    fn link(&self, binding: Binding) -> Link {
        let (setup, now, seed) = (self.setup.clone(), self.clock.now(), common::random_seed());
        let (expect, mut strings) = (Expect::Key(self.to), Strings::default());
        Link::dial(setup, now, seed, binding, Kind::Member, expect, &mut strings, Times::default())
    }
}
