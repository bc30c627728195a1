//! What was counted, on disk and back.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    path::Path,
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use zt_core::clock::Timestamp;

use super::{
    cell::{Adjusted, At, Cell, Count, Grant, Meter},
    reserve::Around,
    shard::{RootKey, Shard},
    spending::{Kept, Spending},
};
use crate::{
    cost::{Cost, Currency},
    counter::{Claim, MAX_GRANTS, Moment, check_subject},
    limit::{Limit, LimitError, Span, Window},
};

/// What a [`MemoryCounters`](super::MemoryCounters) had counted at one moment.
///
/// Each root in it is consistent; roots are taken one after the other. Times are of the wall clock,
/// so it can be read by another process. Holds are in it as money only: what they held is charged
/// when it is restored, and their permits are free.
///
/// Money that was spent after it was taken is not in it. Whoever has a ledger charges what came
/// after [`taken`](Self::taken) with [`Adjust::Charge`](crate::counter::Adjust::Charge).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    version: u32,
    taken: Timestamp,
    cells: Vec<Record>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    root: String,
    subject: String,
    limit: String,
    count: Counted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    set: Option<(u64, Option<Timestamp>)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    grants: Vec<(Arc<str>, u64, Timestamp)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum Counted {
    Rate {
        /// When all of it is back.
        whole: Timestamp,
    },
    Budget {
        currency: String,
        start: Timestamp,
        end: Timestamp,
        spent: u64,
        held: u64,
        /// Of a rolling window, the current one first.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        slots: Vec<u64>,
        crossed: u8,
    },
    Permits,
}

/// A snapshot that cannot be written, read or restored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// There is none.
    #[error("there is no snapshot")]
    Absent,
    /// The file cannot be written or read.
    #[error("the snapshot cannot be written or read: {0}")]
    Io(Arc<str>),
    /// It is not what was written.
    #[error("the snapshot is damaged: {0}")]
    Damaged(&'static str),
    /// It was written by another edition of this library.
    #[error("the snapshot has version {0}, and only {VERSION} is known")]
    Version(u32),
    /// The bounds are smaller than what it holds.
    #[error("the snapshot does not fit into the bounds")]
    Full,
}

const VERSION: u32 = 1;

impl Snapshot {
    pub(super) const fn new(taken: Timestamp) -> Self {
        Self {
            version: VERSION,
            taken,
            cells: Vec::new(),
        }
    }

    /// When it was taken.
    #[must_use]
    pub const fn taken(&self) -> Timestamp {
        self.taken
    }

    /// Writes it to the file at `path`, whole or not at all: beside it first, and onto the disk.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// When the file system refuses; what was at `path` is then still there.
    pub fn write(&self, path: &Path) -> Result<(), SnapshotError> {
        let body = serde_json::to_vec(self).map_err(|error| io_error(&error.into()))?;
        let head = format!("{MAGIC} {:08x} {}\n", crc32fast::hash(&body), body.len());
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let write = || -> io::Result<()> {
            let mut file = File::create(&beside)?;
            file.write_all(head.as_bytes())?;
            file.write_all(&body)?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            let folder = path
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|error| io_error(&error))
    }

    /// Reads what [`write`](Self::write) has written. Blocks.
    ///
    /// # Errors
    ///
    /// When there is no file, it cannot be read, it is damaged or of another version.
    pub fn read(path: &Path) -> Result<Self, SnapshotError> {
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => SnapshotError::Absent,
            _ => io_error(&error),
        })?;
        Self::parse(&bytes)
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SnapshotError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (head, body) = end
            .and_then(|end| bytes.split_at_checked(end + 1))
            .ok_or(SnapshotError::Damaged("it has no first line"))?;
        let expected = format!("{MAGIC} {:08x} {}\n", crc32fast::hash(body), body.len());
        if head != expected.as_bytes() {
            return Err(SnapshotError::Damaged("its checksum is another"));
        }
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = serde_json::from_slice(body)
            .map_err(|_| SnapshotError::Damaged("it says no version"))?;
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        serde_json::from_slice(body).map_err(|_| SnapshotError::Damaged("it is not what it says"))
    }
}

const MAGIC: &str = "zt-counters";

fn io_error(error: &io::Error) -> SnapshotError {
    SnapshotError::Io(error.to_string().into())
}

impl Shard {
    pub(super) fn write_down(&mut self, around: &Around<'_>, now: Moment, into: &mut Snapshot) {
        let at = self.at(now);
        self.sweep(around, at, usize::MAX);
        for (_, cell) in self.cells.iter() {
            if cell.holds > 0 || !cell.is_fresh(at) {
                into.cells.push(self.record(cell, at));
            }
        }
    }

    fn record(&self, cell: &Cell, at: At) -> Record {
        let count = match &cell.meter.count {
            Count::Rate(tat) => {
                let left = Duration::from_nanos(tat.saturating_sub(at.nanos).saturating_add(999));
                Counted::Rate {
                    whole: at.wall + left,
                }
            }
            Count::Budget(spending) => {
                let kept = spending.keep();
                let currency = cell.limit.as_budget().map(|budget| budget.currency());
                Counted::Budget {
                    currency: currency.map_or_else(String::new, |code| code.to_string()),
                    start: kept.span.start,
                    end: kept.span.end,
                    spent: kept.spent,
                    held: kept.held,
                    slots: kept.slots,
                    crossed: kept.crossed,
                }
            }
            Count::Permits(_) => Counted::Permits,
        };
        let adjusted = cell.meter.adjusted.as_deref();
        let grants = adjusted.map_or(&[][..], |adjusted| &adjusted.grants);
        Record {
            root: self.root_name(cell).to_owned(),
            subject: self.subject(cell).to_owned(),
            limit: cell.limit.name().to_string(),
            count,
            set: adjusted.and_then(|adjusted| adjusted.set),
            grants: grants
                .iter()
                .map(|grant| (Arc::clone(&grant.name), grant.amount, grant.until))
                .collect(),
        }
    }

    fn restore(
        &mut self,
        around: &Around<'_>,
        key: RootKey<'_>,
        record: &Record,
        limit: &Arc<Limit>,
        meter: Meter,
        now: Moment,
    ) -> Result<(), SnapshotError> {
        let at = self.at(now);
        let claim = Claim {
            limit,
            subject: &record.subject,
        };
        let hash = RootKey::claim(key.subject(around.secret, claim.subject), limit);
        let known = self
            .root(key)
            .is_some_and(|root| self.find(root, key, claim, hash).is_some());
        if known {
            return Err(SnapshotError::Damaged("it counts something twice"));
        }
        self.place(around.room, key, claim.subject, hash, limit, meter, at, &())
            .map(|_| ())
            .map_err(|_| SnapshotError::Full)
    }
}

/// Limits by name, kind and currency that stand for those of a policy until the first claim comes.
#[derive(Default)]
pub(super) struct StandIns(BTreeMap<(String, u8, String), Arc<Limit>>);

impl StandIns {
    /// Puts everything in `snapshot` into shards, which `with` opens.
    pub(super) fn restore(
        &mut self,
        snapshot: &Snapshot,
        now: Moment,
        with: impl Fn(
            &str,
            &mut dyn FnMut(&mut Shard, &Around<'_>, RootKey<'_>) -> Result<(), SnapshotError>,
        ) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        if snapshot.version != VERSION {
            return Err(SnapshotError::Version(snapshot.version));
        }
        // Windows do not open again.
        let now = Moment {
            wall: now.wall.max(snapshot.taken),
            ..now
        };
        for record in &snapshot.cells {
            for name in [&record.root, &record.subject] {
                check_subject(name).map_err(|_| SnapshotError::Damaged("it has a bad name"))?;
            }
            let limit = self
                .limit(record)
                .map_err(|_| SnapshotError::Damaged("it has a bad limit"))?;
            let meter = meter(record, now)?;
            with(&record.root, &mut |shard, around, key| {
                shard.restore(around, key, record, &limit, meter.clone(), now)
            })?;
        }
        Ok(())
    }

    fn limit(&mut self, record: &Record) -> Result<Arc<Limit>, LimitError> {
        let (kind, code) = match &record.count {
            Counted::Rate { .. } => (0, ""),
            Counted::Budget { currency, .. } => (1, &**currency),
            Counted::Permits => (2, ""),
        };
        let key = (record.limit.clone(), kind, code.to_owned());
        if let Some(limit) = self.0.get(&key) {
            return Ok(Arc::clone(limit));
        }
        let name = &*record.limit;
        let limit = match kind {
            0 => Limit::rate(name, 1, Duration::from_secs(1))?,
            1 => {
                let currency: Currency = code.parse()?;
                Limit::budget(name, Cost::zero(currency), Window::total())?
            }
            _ => Limit::concurrency(name, 1)?,
        };
        let limit = Arc::new(limit);
        self.0.insert(key, Arc::clone(&limit));
        Ok(limit)
    }
}

fn meter(record: &Record, now: Moment) -> Result<Meter, SnapshotError> {
    let count = match &record.count {
        Counted::Rate { whole } => {
            let left = whole.since(now.wall);
            let tat = now.monotonic.saturating_add(left).as_nanos();
            Count::Rate(u64::try_from(tat).unwrap_or(u64::MAX))
        }
        Counted::Budget {
            start,
            end,
            spent,
            held,
            slots,
            crossed,
            ..
        } => {
            let kept = Kept {
                span: Span {
                    start: *start,
                    end: *end,
                },
                spent: *spent,
                held: *held,
                slots: slots.clone(),
                crossed: *crossed,
            };
            let spending = Spending::restore(&kept);
            Count::Budget(spending.ok_or(SnapshotError::Damaged("its sums do not add up"))?)
        }
        Counted::Permits => Count::Permits(0),
    };
    if record.grants.len() > MAX_GRANTS {
        return Err(SnapshotError::Damaged("it has too many grants"));
    }
    let grants = record.grants.iter().map(|(name, amount, until)| Grant {
        name: Arc::clone(name),
        amount: *amount,
        until: *until,
    });
    let adjusted = Adjusted {
        set: record.set,
        grants: grants.collect(),
    };
    let any = adjusted.set.is_some() || !adjusted.grants.is_empty();
    Ok(Meter {
        count,
        adjusted: any.then(|| Box::new(adjusted)),
    })
}
