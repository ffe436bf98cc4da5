//! The bot's records in one redb file, which only one process can hold open.
//!
//! One table is the library's, key by key as it asks. The other is this program's own: which community the bot is in, and whom
//! it dials, because neither is the library's to remember.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, mpsc};

use interbot::node::Record;
use interbot::{BotId, CommunityId};
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::common::Store;
use crate::{Peer, Refusal};

/// A key and its value.
type Pair = (Vec<u8>, Vec<u8>);
type Bytes<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

const RECORDS: Bytes<'_> = TableDefinition::new("records");
const HOST: Bytes<'_> = TableDefinition::new("host");

const COMMUNITY: &[u8] = b"community";
/// How the keys of dialled bots begin; the bot's 32 bytes follow.
const DIAL: &[u8] = b"dial/";

type Failure = Box<dyn Error + Send + Sync>;

/// The open file.
#[derive(Clone)]
pub(crate) struct Records(Arc<Database>);

impl Records {
    /// Opens the file, or makes it.
    pub(crate) fn open(file: &Path) -> Result<Self, Refusal> {
        let shown = file.display();
        let opened = Database::create(file).map_err(|error| match error {
            DatabaseError::DatabaseAlreadyOpen => Refusal::System(format!(
                "{shown} is in use by another process: is this bot running already? One key belongs to one running bot"
            )),
            error => Refusal::Input(format!(
                "the records {shown} cannot be opened: {error}; name another file with --records, or remove this one \
                 and be a new stream to the others"
            )),
        });
        opened.map(|database| Self(Arc::new(database)))
    }

    /// Everything that the library stored.
    pub(crate) fn read(&self) -> Result<Vec<Record>, Failure> {
        let records = self.pairs(RECORDS)?;
        Ok(records.into_iter().map(|(key, value)| Record { key: key.into(), value: value.into() }).collect())
    }

    /// Stores these, and leaves all others.
    pub(crate) fn put(&self, records: &[Record]) -> Result<(), Failure> {
        let pairs: Vec<_> = records.iter().map(|record| (&record.key[..], &record.value[..])).collect();
        self.write(RECORDS, &pairs)
    }

    /// The community that this bot founded or was invited to.
    pub(crate) fn community(&self) -> Result<Option<CommunityId>, Failure> {
        let found = self.pairs(HOST)?.into_iter().find(|(key, _)| key == COMMUNITY);
        found.map(|(_, value)| Ok(CommunityId::from_bytes(value.as_slice().try_into()?))).transpose()
    }

    pub(crate) fn set_community(&self, community: &CommunityId) -> Result<(), Failure> {
        self.write(HOST, &[(COMMUNITY, community.as_bytes())])
    }

    /// Whom this bot dials, now and after every start.
    pub(crate) fn dials(&self) -> Result<Vec<Peer>, Failure> {
        let mut dials = Vec::new();
        for (key, value) in self.pairs(HOST)? {
            if let Some(id) = key.strip_prefix(DIAL) {
                dials.push(Peer { id: BotId::from_bytes(id.try_into()?)?, address: String::from_utf8(value)? });
            }
        }
        Ok(dials)
    }

    /// Remembers an address; without one the bot is forgotten.
    pub(crate) fn set_dial(&self, id: &BotId, address: &str) -> Result<(), Failure> {
        self.write(HOST, &[(&[DIAL, id.as_bytes()].concat(), address.as_bytes())])
    }

    /// What the host writes to. The receiver is disconnected once the host has written its last.
    pub(crate) fn store(&self) -> (impl Store, mpsc::Receiver<()>) {
        let (open, closed) = mpsc::channel();
        (Writer { records: self.clone(), _open: open }, closed)
    }

    fn pairs(&self, table: Bytes<'_>) -> Result<Vec<Pair>, Failure> {
        let transaction = self.0.begin_read()?;
        let table = match transaction.open_table(table) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut pairs = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            pairs.push((key.value().to_vec(), value.value().to_vec()));
        }
        Ok(pairs)
    }

    /// All or nothing; an empty value deletes. A commit returns once the disk has it.
    fn write(&self, table: Bytes<'_>, pairs: &[(&[u8], &[u8])]) -> Result<(), Failure> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(table)?;
            for (key, value) in pairs {
                if value.is_empty() {
                    table.remove(key)?;
                } else {
                    table.insert(key, value)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }
}

struct Writer {
    records: Records,
    _open: mpsc::Sender<()>,
}

impl Store for Writer {
    fn put(&mut self, records: &[Record]) -> Result<(), Failure> {
        self.records.put(records)
    }
}
