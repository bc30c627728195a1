use std::{fmt, ops::Bound, path::Path, sync::Arc};

use bytes::Bytes;
use redb::{
    ReadOnlyTable, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use super::{
    RedbError,
    file::{File, META, Writing},
};
use crate::{
    clock::{Clock, Timestamp},
    store::{
        BoxFuture, Expect, Store, StoreError, Swap, Version, Versioned, check_key, check_value,
    },
};

/// A store in a file; see the [module](super). Clones share it.
#[derive(Clone)]
pub struct RedbStore {
    file: File,
    clock: Arc<dyn Clock>,
    most: u64,
}

/// Version, expiry in microseconds, value.
type Row<'a> = (u64, Option<u64>, &'a [u8]);
const ENTRIES: TableDefinition<'_, &str, Row<'_>> = TableDefinition::new("zt.entries");
/// When entries expire, the next one first.
const EXPIRIES: TableDefinition<'_, (u64, &str), ()> = TableDefinition::new("zt.expiries");
/// The last version, in [`META`].
const LAST: &str = "version";
/// How many expired entries a write clears away besides its own work.
const PURGE: usize = 32;

impl RedbStore {
    /// The store in the file at `path`, which is created where there is none; entries expire by
    /// `clock`. It holds a million entries unless [told otherwise](Self::with_max_entries).
    ///
    /// # Errors
    ///
    /// Where the file is in use, damaged or something else, or cannot be created.
    pub async fn open(path: impl AsRef<Path>, clock: impl Clock) -> Result<Self, RedbError> {
        Ok(Self {
            file: File::open(path.as_ref(), super::prepare).await?,
            clock: Arc::new(clock),
            most: 1_000_000,
        })
    }

    /// At most `most` entries, by this handle and its clones; expired ones count until they are
    /// cleared away.
    #[must_use]
    pub fn with_max_entries(self, most: u64) -> Self {
        Self { most, ..self }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) const fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    async fn get_now(&self, key: &str) -> Result<Option<Versioned>, StoreError> {
        check_key(key)?;
        let (key, clock) = (key.to_owned(), Arc::clone(&self.clock));
        let read = self.file.read(move |read| {
            let entries: ReadOnlyTable<&str, Row<'_>> = read.open_table(ENTRIES)?;
            let now = match time(&*clock) {
                Ok(now) => now,
                Err(error) => return Ok(Err(error)),
            };
            let found = entries.get(&*key)?.map(|row| versioned(row.value()));
            Ok(Ok(found.filter(|found| lives(found.expires, now))))
        });
        read.await.map_err(StoreError::Unavailable)?
    }

    async fn put_now(&self, put: Put) -> Result<Swap, StoreError> {
        check_key(&put.key)?;
        check_value(&put.value)?;
        let (clock, most) = (Arc::clone(&self.clock), self.most);
        let written = self.file.write(move |writing| match time(&*clock) {
            Ok(now) => Tables::open(writing)?.put(&put, now, most),
            Err(error) => Ok(Err(error)),
        });
        written.await.map_err(StoreError::Unavailable)?
    }

    async fn remove_now(&self, key: &str, version: Version) -> Result<Swap, StoreError> {
        check_key(key)?;
        let (key, clock) = (key.to_owned(), Arc::clone(&self.clock));
        let written = self.file.write(move |writing| match time(&*clock) {
            Ok(now) => Tables::open(writing)?.remove(&key, version, now).map(Ok),
            Err(error) => Ok(Err(error)),
        });
        written.await.map_err(StoreError::Unavailable)?
    }

    async fn scan_now(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Versioned)>, StoreError> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after.to_owned()),
            _ => Bound::Included(prefix.to_owned()),
        };
        let (prefix, clock) = (prefix.to_owned(), Arc::clone(&self.clock));
        let read = self.file.read(move |read| {
            let entries: ReadOnlyTable<&str, Row<'_>> = read.open_table(ENTRIES)?;
            let now = match time(&*clock) {
                Ok(now) => now,
                Err(error) => return Ok(Err(error)),
            };
            let from = from.as_ref().map(String::as_str);
            let mut found = Vec::new();
            for row in entries.range::<&str>((from, Bound::Unbounded))? {
                let (key, row) = row?;
                if found.len() >= limit || !key.value().starts_with(&*prefix) {
                    break;
                }
                let entry = versioned(row.value());
                if lives(entry.expires, now) {
                    found.push((key.value().to_owned(), entry));
                }
            }
            Ok(Ok(found))
        });
        read.await.map_err(StoreError::Unavailable)?
    }
}

struct Put {
    key: String,
    value: Bytes,
    expires: Option<Timestamp>,
    expect: Expect,
}

struct Tables<'a> {
    entries: Table<'a, &'static str, Row<'static>>,
    expiries: Table<'a, (u64, &'static str), ()>,
    meta: Table<'a, &'static str, u64>,
    changed: &'a mut bool,
}

impl<'a> Tables<'a> {
    fn open(writing: &'a mut Writing<'_>) -> Result<Self, redb::Error> {
        Ok(Self {
            entries: writing.transaction.open_table(ENTRIES)?,
            expiries: writing.transaction.open_table(EXPIRIES)?,
            meta: writing.transaction.open_table(META)?,
            changed: &mut writing.changed,
        })
    }

    fn put(
        &mut self,
        put: &Put,
        now: Timestamp,
        most: u64,
    ) -> Result<Result<Swap, StoreError>, redb::Error> {
        if !holds(put.expect, self.live(&put.key, now)?) {
            return Ok(Ok(Swap::Conflict));
        }
        let mut purged = self.purge(now)?;
        while self.entries.get(&*put.key)?.is_none() && self.entries.len()? >= most {
            if purged == 0 {
                return Ok(Err(StoreError::Full));
            }
            purged = self.purge(now)?;
        }
        let last = self.meta.get(LAST)?.map_or(0, |last| last.value());
        let Some(version) = last.checked_add(1) else {
            return Ok(Err(StoreError::Unavailable("versions have run out".into())));
        };
        self.take(&put.key)?;
        self.meta.insert(LAST, version)?;
        *self.changed = true;
        if lives(put.expires, now) {
            let end = put.expires.map(Timestamp::as_micros);
            self.entries
                .insert(&*put.key, (version, end, put.value.as_ref()))?;
            if let Some(end) = end {
                self.expiries.insert((end, &*put.key), ())?;
            }
        }
        Ok(Ok(Swap::Done(Version(version))))
    }

    fn remove(&mut self, key: &str, version: Version, now: Timestamp) -> Result<Swap, redb::Error> {
        if !holds(Expect::Version(version), self.live(key, now)?) {
            return Ok(Swap::Conflict);
        }
        self.take(key)?;
        Ok(Swap::Done(version))
    }

    fn live(&self, key: &str, now: Timestamp) -> Result<Option<Version>, redb::Error> {
        let found = self.entries.get(key)?.map(|row| {
            let (version, end, _) = row.value();
            (Version(version), end.map(Timestamp::from_micros))
        });
        Ok(found.and_then(|(version, end)| lives(end, now).then_some(version)))
    }

    fn take(&mut self, key: &str) -> Result<(), redb::Error> {
        let end = match self.entries.remove(key)? {
            Some(row) => row.value().1,
            None => return Ok(()),
        };
        *self.changed = true;
        if let Some(end) = end {
            self.expiries.remove((end, key))?;
        }
        Ok(())
    }

    /// Clears away some expired entries and says how many it found.
    fn purge(&mut self, now: Timestamp) -> Result<usize, redb::Error> {
        for purged in 0..PURGE {
            let due = self.expiries.first()?.map(|(due, _)| {
                let (end, key) = due.value();
                (end, key.to_owned())
            });
            match due {
                Some((end, key)) if end <= now.as_micros() => self.take(&key)?,
                _ => return Ok(purged),
            }
        }
        Ok(PURGE)
    }
}

pub(super) fn prepare(transaction: &WriteTransaction) -> Result<(), redb::Error> {
    transaction.open_table(ENTRIES)?;
    transaction.open_table(EXPIRIES)?;
    Ok(())
}

fn versioned((version, end, value): Row<'_>) -> Versioned {
    Versioned {
        value: Bytes::copy_from_slice(value),
        version: Version(version),
        expires: end.map(Timestamp::from_micros),
    }
}

fn lives(end: Option<Timestamp>, now: Timestamp) -> bool {
    end.is_none_or(|end| now < end)
}

fn holds(expect: Expect, found: Option<Version>) -> bool {
    match expect {
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found == Some(version),
    }
}

fn time(clock: &dyn Clock) -> Result<Timestamp, StoreError> {
    let now = clock.now();
    now.map_err(|error| StoreError::Unavailable(error.to_string().into()))
}

impl Store for RedbStore {
    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<Versioned>, StoreError>> {
        Box::pin(self.get_now(key))
    }

    fn put_if<'a>(
        &'a self,
        key: &'a str,
        value: Bytes,
        expires: Option<Timestamp>,
        expect: Expect,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.put_now(Put {
            key: key.to_owned(),
            value,
            expires,
            expect,
        }))
    }

    fn remove<'a>(
        &'a self,
        key: &'a str,
        version: Version,
    ) -> BoxFuture<'a, Result<Swap, StoreError>> {
        Box::pin(self.remove_now(key, version))
    }

    fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<(String, Versioned)>, StoreError>> {
        Box::pin(self.scan_now(prefix, after, limit))
    }
}

/// Its bound; keys and values may be secret.
impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore")
            .field("most", &self.most)
            .finish_non_exhaustive()
    }
}
