//! The bot's records in one redb file, which only one process can hold open.

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, mpsc};

use interbot::node::Record;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::Refusal;
use crate::common::Store;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("records");

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

    /// Everything that is stored.
    pub(crate) fn read(&self) -> Result<Vec<Record>, Failure> {
        let transaction = self.0.begin_read()?;
        let table = match transaction.open_table(RECORDS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
            table => table?,
        };
        let mut records = Vec::new();
        for entry in table.iter()? {
            let (key, value) = entry?;
            records.push(Record { key: key.value().to_vec().into(), value: value.value().to_vec().into() });
        }
        Ok(records)
    }

    /// Stores these in place of all others.
    pub(crate) fn replace_all(&self, records: &[Record]) -> Result<(), Failure> {
        self.write(records, true)
    }

    /// What the host writes to. The receiver is disconnected once the host has written its last.
    pub(crate) fn store(&self) -> (impl Store, mpsc::Receiver<()>) {
        let (open, closed) = mpsc::channel();
        (Writer { records: self.clone(), _open: open }, closed)
    }

    /// A commit returns once the disk has it.
    fn write(&self, records: &[Record], clear: bool) -> Result<(), Failure> {
        let transaction = self.0.begin_write()?;
        {
            let mut table = transaction.open_table(RECORDS)?;
            if clear {
                table.retain(|_, _| false)?;
            }
            for record in records {
                table.insert(&record.key[..], &record.value[..])?;
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
        self.records.write(records, false)
    }
}
