//! Recordings of simulated bots, kept in memory.

use alloc::sync::Arc;
use alloc::vec::Vec;
use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::tape::Recorder;

/// Where the recording of one life of a bot goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Reel(Arc<Mutex<Vec<u8>>>);

impl Reel {
    pub(super) fn recorder(&self) -> Recorder {
        Recorder::new(self.clone())
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Write for Reel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
