use std::{fmt, sync::Arc};

use sqlx::{AssertSqlSafe, Row, postgres::PgRow};
use zt_core::clock::Timestamp;

use super::{
    PostgresError,
    link::{Link, unanswered},
};
use crate::{
    merkle::{Frontier, Hash, leaf_hash},
    note::{SignedCheckpoint, VerifierKey},
};

/// All logs that are copied into a database; see the [module](super).
pub struct Fleet(Link);

/// A record of a copy. Its leaf is the hash of its bytes: that was checked when it was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Copied {
    /// The log.
    pub origin: String,
    /// Its place in that log.
    pub index: u64,
    /// When what it tells of happened.
    pub time: Timestamp,
    /// Its kind.
    pub kind: String,
    /// The hash of its leaf.
    pub leaf: Hash,
    /// Its bytes, as they are in the log; personal fields are sealed.
    pub record: Vec<u8>,
}

/// How far a copy of a log is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopiedLog {
    /// The log.
    pub origin: String,
    /// The first record that is there.
    pub first: u64,
    /// The index after the last one.
    pub next: u64,
    /// How many are there: as many as from `first` to `next`, or some are missing.
    pub records: u64,
    /// The latest time of a record.
    pub latest: Timestamp,
}

impl CopiedLog {
    /// How many records between the first and the last are missing.
    #[must_use]
    pub const fn holes(&self) -> u64 {
        (self.next - self.first).saturating_sub(self.records)
    }
}

/// What comparing a copy with a checkpoint found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CopyFinding {
    /// All records that the checkpoint covers are there, byte for byte.
    Sound,
    /// A record is not there.
    Missing {
        /// The first.
        index: u64,
    },
    /// A record's bytes are not those of its leaf.
    Altered {
        /// The first.
        index: u64,
    },
    /// Each record agrees with its leaf, and all of them with another root: a record and its leaf
    /// were exchanged, or the checkpoint is of another history.
    OtherHistory,
}

/// Which records to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Filter {
    origins: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

impl Filter {
    /// All of them.
    pub const fn all() -> Self {
        Self {
            origins: None,
            kinds: None,
            from: None,
            until: None,
        }
    }

    /// Of these logs only.
    pub fn origins(mut self, origins: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.origins = Some(origins.into_iter().map(Into::into).collect());
        self
    }

    /// Of these kinds only.
    pub fn kinds(mut self, kinds: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.kinds = Some(kinds.into_iter().map(Into::into).collect());
        self
    }

    /// From this moment on.
    pub const fn from(mut self, at: Timestamp) -> Self {
        self.from = Some(at);
        self
    }

    /// Before this moment.
    pub const fn until(mut self, at: Timestamp) -> Self {
        self.until = Some(at);
        self
    }
}

/// Records of many logs in one order; see [`Fleet::merged`].
pub struct Merged {
    link: Link,
    statement: Arc<str>,
    filter: Filter,
    after: (i64, String, i64),
}

const MERGED: &str = "SELECT origin, idx, ts, kind, leaf, record FROM {s}.zt_audit_records \
    WHERE (ts, origin, idx) > ($1, $2, $3) \
    AND ($4::text[] IS NULL OR origin = ANY ($4)) AND ($5::text[] IS NULL OR kind = ANY ($5)) \
    AND ($6::bigint IS NULL OR ts >= $6) AND ($7::bigint IS NULL OR ts < $7) \
    ORDER BY ts, origin, idx LIMIT $8";

const LOGS: &str = "SELECT origin, min(idx), max(idx) + 1, count(*), max(ts) \
    FROM {s}.zt_audit_records GROUP BY origin ORDER BY origin";

const IN_ORDER: &str = "SELECT origin, idx, ts, kind, leaf, record FROM {s}.zt_audit_records \
    WHERE origin = $1 AND idx >= $2 AND idx < $3 ORDER BY idx LIMIT 1000";

const LATEST: &str = "(SELECT DISTINCT ON (origin) origin, size, note \
    FROM {s}.zt_audit_checkpoints ORDER BY origin, at DESC, size DESC) UNION \
    (SELECT DISTINCT ON (origin) origin, size, note \
    FROM {s}.zt_audit_checkpoints ORDER BY origin, size DESC, at) ORDER BY origin, size";

impl Fleet {
    pub(super) const fn new(link: Link) -> Self {
        Self(link)
    }

    /// The records of all logs that `filter` lets through, in the order of (time, origin, index).
    /// Each reader has a connection of its own.
    #[must_use]
    pub fn merged(&self, filter: Filter) -> Merged {
        let link = self.0.another();
        Merged {
            statement: link.statement(MERGED),
            link,
            filter,
            after: (-1, String::new(), -1),
        }
    }

    /// Which logs there are, and how far each copy is.
    ///
    /// # Errors
    ///
    /// When the database cannot answer.
    pub async fn logs(&mut self) -> Result<Vec<CopiedLog>, PostgresError> {
        let statement = self.0.statement(LOGS);
        let rows = self.0.ask(sqlx::query(AssertSqlSafe(statement))).await?;
        let log = |row: &PgRow| {
            Ok(CopiedLog {
                origin: row.try_get(0)?,
                first: unsigned(row, 1)?,
                next: unsigned(row, 2)?,
                records: unsigned(row, 3)?,
                latest: Timestamp::from_micros(unsigned(row, 4)?),
            })
        };
        let logs: Result<_, sqlx::Error> = rows.iter().map(log).collect();
        logs.map_err(|error| unanswered(&error))
    }

    /// Compares the copy of a log, from its first record on, with a checkpoint that it signed: reads
    /// every record that the checkpoint covers and computes the root.
    ///
    /// # Errors
    ///
    /// When `key` did not sign the checkpoint, or the database cannot answer.
    pub async fn verify(
        &mut self,
        signed: &SignedCheckpoint,
        key: &VerifierKey,
    ) -> Result<CopyFinding, PostgresError> {
        signed.verify(key)?;
        let checkpoint = signed.checkpoint();
        let statement = self.0.statement(IN_ORDER);
        let mut tree = Frontier::new();
        while tree.size() < checkpoint.size {
            let page = sqlx::query(AssertSqlSafe(Arc::clone(&statement)))
                .bind(&checkpoint.origin)
                .bind(signed_of(tree.size()))
                .bind(signed_of(checkpoint.size));
            let rows = self.0.ask(page).await?;
            if rows.is_empty() {
                return Ok(CopyFinding::Missing { index: tree.size() });
            }
            for row in &rows {
                let copied = copied(row).map_err(|error| unanswered(&error))?;
                let index = tree.size();
                if copied.index != index {
                    return Ok(CopyFinding::Missing { index });
                }
                if !copied.is_whole() {
                    return Ok(CopyFinding::Altered { index });
                }
                tree.append(copied.leaf);
            }
        }
        Ok(if tree.root() == checkpoint.root {
            CopyFinding::Sound
        } else {
            CopyFinding::OtherHistory
        })
    }

    /// The checkpoints to judge a fleet by, as they were published: of each log the latest and the
    /// largest one. Their signatures are not verified; [`Roster::check`](crate::follow::registry::Roster::check)
    /// does that.
    ///
    /// # Errors
    ///
    /// When the database cannot answer, or has something else than checkpoints.
    pub async fn checkpoints(&mut self) -> Result<Vec<SignedCheckpoint>, PostgresError> {
        let statement = self.0.statement(LATEST);
        let rows = self.0.ask(sqlx::query(AssertSqlSafe(statement))).await?;
        rows.iter()
            .map(|row| {
                let note: String = row.try_get(2).map_err(|error| unanswered(&error))?;
                Ok(SignedCheckpoint::parse(note.as_bytes())?)
            })
            .collect()
    }
}

impl Merged {
    /// The next records, at most `most`; none where there are no more now. Asked again later, it
    /// goes on after the last one.
    ///
    /// # Errors
    ///
    /// When the database cannot answer, or a record's bytes are not those of its leaf. The same page
    /// is read again by the next call.
    pub async fn next_page(&mut self, most: u32) -> Result<Vec<Copied>, PostgresError> {
        let (ts, origin, index) = &self.after;
        let page = sqlx::query(AssertSqlSafe(Arc::clone(&self.statement)))
            .bind(ts)
            .bind(origin)
            .bind(index)
            .bind(&self.filter.origins)
            .bind(&self.filter.kinds)
            .bind(self.filter.from.map(|at| signed_of(at.as_micros())))
            .bind(self.filter.until.map(|at| signed_of(at.as_micros())))
            .bind(i64::from(most));
        let rows = self.link.ask(page).await?;
        let page: Result<Vec<Copied>, sqlx::Error> = rows.iter().map(copied).collect();
        let page = page.map_err(|error| unanswered(&error))?;
        if let Some(altered) = page.iter().find(|copied| !copied.is_whole()) {
            return Err(PostgresError::Altered {
                origin: altered.origin.clone(),
                index: altered.index,
            });
        }
        if let Some(last) = page.last() {
            self.after = (
                signed_of(last.time.as_micros()),
                last.origin.clone(),
                signed_of(last.index),
            );
        }
        Ok(page)
    }
}

impl Copied {
    fn is_whole(&self) -> bool {
        leaf_hash(&self.record) == self.leaf
    }
}

fn copied(row: &PgRow) -> Result<Copied, sqlx::Error> {
    let leaf: Vec<u8> = row.try_get(4)?;
    let leaf = leaf
        .try_into()
        .map_err(|_| sqlx::Error::Protocol("a leaf is no hash".into()))?;
    Ok(Copied {
        origin: row.try_get(0)?,
        index: unsigned(row, 1)?,
        time: Timestamp::from_micros(unsigned(row, 2)?),
        kind: row.try_get(3)?,
        leaf: Hash::from_bytes(leaf),
        record: row.try_get(5)?,
    })
}

fn unsigned(row: &PgRow, column: usize) -> Result<u64, sqlx::Error> {
    let number: i64 = row.try_get(column)?;
    u64::try_from(number).map_err(|_| sqlx::Error::Protocol("a number is negative".into()))
}

/// What is beyond the largest number has no row.
fn signed_of(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Which it is; what is in it may be personal.
impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied")
            .field("origin", &self.origin)
            .field("index", &self.index)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Fleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fleet").finish_non_exhaustive()
    }
}

impl fmt::Debug for Merged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Merged")
            .field("filter", &self.filter)
            .finish_non_exhaustive()
    }
}
