//! The file: entries with a chained hash, written one by one and read back.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use std::io::Write;

use bytes::BytesMut;

use super::item::{Item, fields};
use super::shade::{Shade, redact, without_token};
use super::text::output_line;
use super::{Answer, Blob, Entry, Header, Input, RecorderError, SCHEMA};
use crate::crypto::sha256;
use crate::node::{Action, Event, Output};
use crate::wire::{CborReader, CborWriter};

const MAGIC: &[u8; 14] = b"interbot tape\0";
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Bytes of the chained hash that an entry ends with: enough against accidents, and it is no more than that.
const HASH_LEN: usize = 8;

/// Most bytes of an entry: 16 MiB, far above the 256 KiB that a node is handed at once.
pub const MAX_ENTRY: usize = 16 * 1024 * 1024;

/// Bytes collected between inputs and outputs before they are written anyway: 64 KiB.
const BUFFER_BYTES: usize = 64 * 1024;

mod kind {
    pub(super) const HEADER: u8 = 1;
    pub(super) const INPUT: u8 = 2;
    pub(super) const ANSWER: u8 = 3;
    pub(super) const RETURNED: u8 = 4;
    pub(super) const OUTPUT: u8 = 5;
    pub(super) const END: u8 = 6;
}

/// Says nothing; it is there or not.
struct End {}

fields! { End: }

/// Writes a recording.
pub(super) struct Writer {
    out: Box<dyn Write + Send>,
    chain: [u8; 32],
    buffer: BytesMut,
    pub(super) redacted: bool,
    streams: BTreeMap<u64, Shade>,
    /// The last entry, when it says that the node is idle: a host that asks again hears the same.
    idle: Option<String>,
}

impl Writer {
    pub(super) fn new(out: Box<dyn Write + Send>, redacted: bool) -> Self {
        let mut buffer = BytesMut::from(&MAGIC[..]);
        buffer.extend_from_slice(&SCHEMA.to_be_bytes());
        buffer.extend_from_slice(&[VERSION.len() as u8]);
        buffer.extend_from_slice(VERSION.as_bytes());
        Self { out, chain: sha256(&[&buffer]), buffer, redacted, streams: BTreeMap::new(), idle: None }
    }

    pub(super) fn header(&mut self, header: &Header) -> Result<(), RecorderError> {
        self.put(kind::HEADER, header)?;
        self.write()
    }

    /// An input stands in the file before it is worked off, so that one which brings the node down is there.
    pub(super) fn input(&mut self, input: &Input) -> Result<(), RecorderError> {
        self.put(kind::INPUT, input)?;
        self.write()
    }

    pub(super) fn bytes(&mut self, now: u64, link: u64, bytes: &[u8], live: bool) -> Result<(), RecorderError> {
        let mut shaded = bytes.to_vec();
        if live {
            self.streams.entry(link).or_default().pass(&mut shaded);
        } else {
            shaded.fill(0);
        }
        self.input(&Input::Bytes { now, link, bytes: Blob(shaded) })
    }

    pub(super) fn answer(&mut self, answer: &Answer) -> Result<(), RecorderError> {
        self.put(kind::ANSWER, answer)
    }

    pub(super) fn opened(&mut self, associated: &[u8], text: Option<&[u8]>) -> Result<(), RecorderError> {
        let mut text = text.map(<[u8]>::to_vec);
        if let Some(text) = &mut text {
            without_token(associated, text);
        }
        if let (true, Some(text)) = (self.redacted, &mut text) {
            redact(associated, text);
        }
        self.answer(&Answer::Opened { text: text.map(Blob) })
    }

    pub(super) fn returned(&mut self, line: String) -> Result<(), RecorderError> {
        self.put(kind::RETURNED, &line)
    }

    pub(super) fn output(&mut self, output: &Output) -> Result<(), RecorderError> {
        let line = output_line(output, self.redacted);
        if let Output::Do(Action::Notify(Event::Closed { link, .. })) = output {
            self.streams.remove(&link.as_u64());
        }
        if self.idle.as_ref() == Some(&line) {
            return Ok(());
        }
        self.put(kind::OUTPUT, &line)?;
        if matches!(output, Output::Idle { .. }) {
            self.idle = Some(line);
            return self.write();
        }
        Ok(())
    }

    pub(super) fn end(&mut self) -> Result<(), RecorderError> {
        self.put(kind::END, &End {})?;
        self.flush()
    }

    pub(super) fn flush(&mut self) -> Result<(), RecorderError> {
        self.write()?;
        self.out.flush().map_err(|error| write_error(&error))
    }

    fn put(&mut self, kind: u8, item: &impl Item) -> Result<(), RecorderError> {
        self.idle = None;
        put_entry(&mut self.buffer, &mut self.chain, kind, item)?;
        if self.buffer.len() > BUFFER_BYTES { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Result<(), RecorderError> {
        let result = self.out.write_all(&self.buffer);
        self.buffer.clear();
        result.map_err(|error| write_error(&error))
    }
}

fn write_error(error: &std::io::Error) -> RecorderError {
    RecorderError::Write { kind: error.kind(), text: error.to_string() }
}

fn put_entry(out: &mut BytesMut, chain: &mut [u8; 32], kind: u8, item: &impl Item) -> Result<(), RecorderError> {
    let start = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    item.put(&mut CborWriter(out));
    let length = out.len() - start - 4;
    if length > MAX_ENTRY {
        out.truncate(start);
        return Err(RecorderError::TooLong(length));
    }
    let length = u32::try_from(length).expect("an entry's limit fits 32 bits");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    *chain = sha256(&[chain, &out[start..]]);
    out.extend_from_slice(&chain[..HASH_LEN]);
    Ok(())
}

/// Why a recording cannot be read on; what stands before the offset is whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The first bytes are something else's.
    #[error("this is no recording of a node: its first bytes are something else's (byte {offset})")]
    NotARecording {
        /// Where.
        offset: u64,
    },
    /// It was written by a version with another format.
    #[error(
        "interbot {version} wrote this recording with schema {schema}, this is {VERSION} with schema {SCHEMA}: replay it with that version (byte {offset})"
    )]
    Schema {
        /// Where.
        offset: u64,
        /// Its schema.
        schema: u16,
        /// The version that wrote it.
        version: String,
    },
    /// It ends before its end: the host crashed or still runs, or it was copied in part.
    #[error("the recording is cut off at byte {offset}: copy it again, or replay what is there (`read_prefix`)")]
    Cut {
        /// Where the entry that is missing begins.
        offset: u64,
    },
    /// The hash of an entry does not match: it was altered, or entries before it were removed or moved.
    #[error("the recording was altered at byte {offset}: take it from where it was written, or replay what is before")]
    Altered {
        /// Where the entry begins.
        offset: u64,
    },
    /// An entry claims a length that none has.
    #[error("the entry at byte {offset} cannot be {length} bytes long: the recording was altered")]
    Length {
        /// Where the entry begins.
        offset: u64,
        /// Its length.
        length: u32,
    },
    /// An entry that is whole says nothing that this version knows.
    #[error("the entry at byte {offset} is not understood: {what}")]
    Malformed {
        /// Where the entry begins.
        offset: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Something stands behind the end.
    #[error("the recording ends at byte {offset}, and something stands behind it: cut it off")]
    Trailing {
        /// Where.
        offset: u64,
    },
}

impl RecordingError {
    /// The byte at which reading stopped.
    #[must_use]
    pub const fn offset(&self) -> u64 {
        match self {
            Self::NotARecording { offset }
            | Self::Schema { offset, .. }
            | Self::Cut { offset }
            | Self::Altered { offset }
            | Self::Length { offset, .. }
            | Self::Malformed { offset, .. }
            | Self::Trailing { offset } => *offset,
        }
    }
}

/// A recording that was read: some three times as large as its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    pub(crate) version: String,
    pub(crate) header: Header,
    /// Each with the byte where it begins.
    pub(crate) entries: Vec<(u64, Entry)>,
    /// Whether the node was dropped in order; else the last input may miss answers and outputs.
    pub(crate) is_whole: bool,
}

impl Recording {
    /// Reads a whole recording.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(bytes: &[u8]) -> Result<Self, RecordingError> {
        match Self::read_prefix(bytes)? {
            (recording, None) => Ok(recording),
            (_, Some(error)) => Err(error),
        }
    }

    /// Reads what there is of a recording that a crash or a copy cut off, or that was damaged: all before the damage, and
    /// what the damage is.
    ///
    /// # Errors
    /// [`RecordingError`] when not even its beginning can be read.
    pub fn read_prefix(bytes: &[u8]) -> Result<(Self, Option<RecordingError>), RecordingError> {
        let (version, mut reader) = Reader::begin(bytes)?;
        let start = reader.offset();
        let header: Header = match reader.next()? {
            (kind::HEADER, body) => decode(start, body)?,
            (kind, _) => return Err(unknown(start, kind)),
        };
        if header.ledger.as_ref().is_some_and(|ledger| ledger.start().is_none()) {
            return Err(RecordingError::Malformed { offset: start, what: "no ledger begins like this".into() });
        }
        let mut recording = Self { version, header, entries: Vec::new(), is_whole: false };
        let error = recording.read_entries(&mut reader).err();
        Ok((recording, error))
    }

    /// The bot that was recorded.
    #[must_use]
    pub const fn node(&self) -> crate::identity::BotId {
        self.header.node.0
    }

    /// Whether bodies of posts were left out.
    #[must_use]
    pub const fn is_redacted(&self) -> bool {
        self.header.redacted
    }

    /// The version of this crate that recorded it.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    fn read_entries(&mut self, reader: &mut Reader<'_>) -> Result<(), RecordingError> {
        loop {
            let offset = reader.offset();
            let (kind, body) = reader.next()?;
            let entry = match kind {
                kind::INPUT => Entry::Input(decode(offset, body)?),
                kind::ANSWER => Entry::Answer(decode(offset, body)?),
                kind::RETURNED => Entry::Returned(decode(offset, body)?),
                kind::OUTPUT => Entry::Output(decode(offset, body)?),
                kind::END => break decode::<End>(offset, body).map(drop)?,
                kind => return Err(unknown(offset, kind)),
            };
            self.entries.push((offset, entry));
        }
        if !reader.rest.is_empty() {
            return Err(RecordingError::Trailing { offset: reader.offset() });
        }
        self.is_whole = true;
        Ok(())
    }
}

struct Reader<'a> {
    whole: usize,
    rest: &'a [u8],
    chain: [u8; 32],
}

impl<'a> Reader<'a> {
    fn begin(bytes: &'a [u8]) -> Result<(String, Self), RecordingError> {
        let cut = RecordingError::Cut { offset: bytes.len() as u64 };
        let same = bytes.iter().zip(MAGIC).take_while(|(a, b)| a == b).count();
        if same < MAGIC.len() {
            let offset = same as u64;
            return Err(if same == bytes.len() && same > 0 { cut } else { RecordingError::NotARecording { offset } });
        }
        let Some((schema, rest)) = bytes[MAGIC.len()..].split_first_chunk() else { return Err(cut) };
        let schema = u16::from_be_bytes(*schema);
        let Some((version, rest)) = rest.split_first().and_then(|(len, rest)| rest.split_at_checked(usize::from(*len)))
        else {
            return Err(cut);
        };
        let version = String::from_utf8_lossy(version).into_owned();
        if schema != SCHEMA {
            return Err(RecordingError::Schema { offset: MAGIC.len() as u64, schema, version });
        }
        let chain = sha256(&[&bytes[..bytes.len() - rest.len()]]);
        Ok((version, Self { whole: bytes.len(), rest, chain }))
    }

    const fn offset(&self) -> u64 {
        (self.whole - self.rest.len()) as u64
    }

    /// The next entry's kind and item.
    fn next(&mut self) -> Result<(u8, &'a [u8]), RecordingError> {
        let offset = self.offset();
        let cut = RecordingError::Cut { offset };
        let Some(length) = self.rest.first_chunk().map(|length| u32::from_be_bytes(*length)) else { return Err(cut) };
        let len = usize::try_from(length).unwrap_or(usize::MAX);
        if !(2..=MAX_ENTRY).contains(&len) {
            return Err(RecordingError::Length { offset, length });
        }
        let Some((entry, rest)) = self.rest.split_at_checked(4 + len) else { return Err(cut) };
        let Some((hash, rest)) = rest.split_first_chunk::<HASH_LEN>() else { return Err(cut) };
        let chain = sha256(&[&self.chain, entry]);
        if chain[..HASH_LEN] != hash[..] {
            return Err(RecordingError::Altered { offset });
        }
        (self.chain, self.rest) = (chain, rest);
        Ok((entry[4], &entry[5..]))
    }
}

fn decode<T: Item>(offset: u64, body: &[u8]) -> Result<T, RecordingError> {
    let mut r = CborReader::new(body);
    let item = T::take(&mut r).and_then(|item| r.end().map(|()| item));
    item.map_err(|error| RecordingError::Malformed { offset, what: error.to_string() })
}

fn unknown(offset: u64, kind: u8) -> RecordingError {
    RecordingError::Malformed { offset, what: format!("kind {kind} is none here") }
}
