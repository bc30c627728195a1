use std::{fmt, sync::Arc};

use sqlx::{AssertSqlSafe, Row};

use super::{PostgresError, link::Link};
use crate::follow::{Record, Sink, SinkError};

/// Copies records into the table `zt_audit_records`; see the [module](super).
pub struct PostgresSink {
    link: Link,
    insert: Arc<str>,
    compare: Arc<str>,
}

const INSERT: &str = "INSERT INTO {s}.zt_audit_records (origin, idx, ts, kind, leaf, record) \
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], \
    $6::bytea[]) ON CONFLICT DO NOTHING";

/// The first record of a batch that is not there as it should be, and whether anything is there.
const COMPARE: &str = "SELECT g.origin, g.idx, r.idx IS NOT NULL \
    FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bytea[]) \
    AS g (origin, idx, ts, kind, leaf, record) \
    LEFT JOIN {s}.zt_audit_records AS r ON r.origin = g.origin AND r.idx = g.idx \
    WHERE (r.ts, r.kind, r.leaf, r.record) IS DISTINCT FROM (g.ts, g.kind, g.leaf, g.record) \
    ORDER BY 3 DESC, 2 LIMIT 1";

impl PostgresSink {
    pub(super) fn new(link: Link) -> Self {
        Self {
            insert: link.statement(INSERT),
            compare: link.statement(COMPARE),
            link,
        }
    }

    async fn copy(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let batch = Columns::of(records)?;
        let insert = batch.bind(&self.insert);
        let added = self.link.run(insert).await.map_err(unavailable)?;
        if added == records.len() as u64 {
            return Ok(());
        }
        // Some were there: delivered before an answer was lost, or by somebody else.
        let compare = batch.bind(&self.compare);
        let found = self.link.ask(compare).await.map_err(unavailable)?;
        let Some(row) = found.first() else {
            return Ok(());
        };
        let read = || {
            let (origin, index) = (row.try_get(0)?, row.try_get::<i64, _>(1)?);
            Ok((origin, index, row.try_get::<bool, _>(2)?))
        };
        let (origin, index, is_there): (String, _, _) =
            read().map_err(|error: sqlx::Error| unavailable(super::link::unanswered(&error)))?;
        if is_there {
            let index = u64::try_from(index).unwrap_or_default();
            return Err(SinkError::Conflict { origin, index });
        }
        Err(SinkError::Unavailable(format!(
            "record {index} of `{origin}` was removed from the copy as it was added"
        )))
    }
}

impl Sink for PostgresSink {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), SinkError> {
        self.copy(records).await
    }
}

impl fmt::Debug for PostgresSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresSink").finish_non_exhaustive()
    }
}

/// Records, as `unnest` takes them.
struct Columns<'a> {
    origins: Vec<&'a str>,
    indexes: Vec<i64>,
    times: Vec<i64>,
    kinds: Vec<&'a str>,
    leaves: Vec<&'a [u8]>,
    records: Vec<&'a [u8]>,
}

impl<'a> Columns<'a> {
    fn of(records: &'a [Record]) -> Result<Self, SinkError> {
        let number = |value: u64| {
            let large = |_| SinkError::Unavailable(format!("{value} has no place in a bigint"));
            i64::try_from(value).map_err(large)
        };
        let column = |of: fn(&Record) -> u64| -> Result<Vec<i64>, SinkError> {
            records.iter().map(of).map(number).collect()
        };
        Ok(Self {
            origins: records.iter().map(Record::origin).collect(),
            indexes: column(Record::index)?,
            times: column(|record| record.time().as_micros())?,
            kinds: records.iter().map(Record::kind).collect(),
            leaves: records
                .iter()
                .map(|record| &record.leaf().as_bytes()[..])
                .collect(),
            records: records.iter().map(Record::stored).collect(),
        })
    }

    fn bind<'q>(
        &'q self,
        statement: &Arc<str>,
    ) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
        sqlx::query(AssertSqlSafe(Arc::clone(statement)))
            .bind(&self.origins)
            .bind(&self.indexes)
            .bind(&self.times)
            .bind(&self.kinds)
            .bind(&self.leaves)
            .bind(&self.records)
    }
}

fn unavailable(error: PostgresError) -> SinkError {
    SinkError::Unavailable(error.to_string())
}
