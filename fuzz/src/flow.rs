//! One direction of a stream: what was written, and how far what was read is the same.

use interbot::wire::{HEADER_LEN, MAX_PLAINTEXT};

use crate::edit::frames;

/// The record of one direction.
#[derive(Debug, Default)]
pub struct Flow {
    /// Everything that the writer wrote.
    pub emitted: Vec<u8>,
    /// How many bytes the reader was given that are what was written.
    pub clean: usize,
    /// What the reader was given from the first byte that was not.
    altered: Vec<u8>,
}

impl Flow {
    /// Notes bytes that the reader is given.
    pub fn fed(&mut self, bytes: &[u8]) {
        let mut same = 0;
        if self.altered.is_empty() {
            same = self.emitted[self.clean..].iter().zip(bytes).take_while(|(a, b)| a == b).count();
        }
        self.clean += same;
        self.altered.extend_from_slice(&bytes[same..]);
    }

    /// Whether the reader was given anything else than what was written.
    #[must_use]
    pub fn is_altered(&self) -> bool {
        !self.altered.is_empty()
    }

    /// Whether an altered record reached the reader to its end, or its header cannot be a record's.
    #[must_use]
    pub fn altered_record_is_whole(&self) -> bool {
        let ends = frames(&self.emitted).into_iter().map(|record| record.end);
        let start = ends.take_while(|end| *end <= self.clean).last().unwrap_or(0);
        let record = [&self.emitted[start..self.clean], &self.altered[..]].concat();
        let Some(([a, b, c, d, kind], body)) = record.split_first_chunk::<HEADER_LEN>() else { return false };
        let len = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
        self.is_altered() && (*kind != 16 || len == 0 || len > 1 + MAX_PLAINTEXT + 16 || body.len() >= len - 1)
    }
}
