//! The node's side of a recording: what it was started with, and what it answers.

use alloc::format;
use alloc::sync::Arc;
use core::fmt;

use super::Node;
use super::config::Config;
use super::restore::{RestoreError, Restored};
use crate::crypto::{Crypto, sha256};
use crate::identity::BotId;
use crate::tape::{Blob, Header, Id, Running, Taped};
use crate::time::Instant;

/// Begins a recording where the host asked for one; all crypto goes through it then, and the ledger's signatures too. Gives
/// the ledger's provider besides.
pub(super) fn begin(
    mut config: Config,
    id: BotId,
    now: Instant,
    restored: Option<&Restored>,
) -> (Config, Arc<dyn Crypto>, Option<Running>) {
    let header = |redacted| Header {
        node: Id(id),
        community: Blob(sha256(&[b"interbot tape community\0", config.community.as_bytes()])[..8].to_vec()),
        members: config.members.iter().copied().map(Id).collect(),
        ledger: config.ledger.as_ref().map(Into::into),
        aes: config.aes,
        capabilities: config.capabilities.bits(),
        limits: (&config.limits).into(),
        records: restored.map(|restored| {
            let records = restored.records(id).into_iter();
            records.map(|record| (Blob(record.key.to_vec()), Blob(record.value.to_vec()))).collect()
        }),
        now: now.as_nanos(),
        redacted,
    };
    let running = config.recorder.as_ref().and_then(|recorder| recorder.tape().start(header));
    let mut for_ledger = config.crypto.clone();
    if let Some(running) = &running {
        let taped = Taped { inner: config.crypto, tape: running.tape().clone(), signs: false };
        for_ledger = Arc::new(Taped { signs: true, ..taped.clone() });
        config.crypto = Arc::new(taped);
    }
    (config, for_ledger, running)
}

/// The node does not start.
pub(super) fn refused(tape: Option<&Running>, error: &RestoreError) {
    if let Some(tape) = tape {
        tape.returned(crate::tape::result_line(&Err::<(), _>(error)));
    }
}

impl Node {
    /// What an input that can be refused came to.
    pub(super) fn note_result<T: fmt::Debug, E: fmt::Display>(&mut self, input: &'static str, result: &Result<T, E>) {
        if let Err(error) = result {
            trace!(self.outbox, Refused, None, None; "input": input, "reason": format!("{error}"));
        }
        if let Some(tape) = &self.tape {
            tape.returned(crate::tape::result_line(result));
        }
    }
}
