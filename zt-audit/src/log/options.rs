use std::sync::Arc;

use serde::Deserialize;
use zt_core::clock::{Clock, SystemClock};

use super::OpenError;

/// Bounds of a log's queue, and its clock.
///
/// The bounds count what is not durable yet. They are divided, so that one kind of record cannot
/// take the place of another: three eighths for permits, three for outcomes and what else is told
/// of requests whose handler ran, one for denials and outcomes of requests whose handler did not,
/// one for everything else.
///
/// ```
/// let options: zt_audit::Options = serde_json::from_str(r#"{"max_records": 10000}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    max_records: usize,
    max_bytes: usize,
    #[serde(skip)]
    clock: Option<Arc<dyn Clock>>,
}

const LEAST_RECORDS: usize = 64;
const LEAST_BYTES: usize = 1 << 20;

impl Default for Options {
    /// 65,536 records and 64 MiB; the system's clock.
    fn default() -> Self {
        Self {
            max_records: 65_536,
            max_bytes: 64 << 20,
            clock: None,
        }
    }
}

impl Options {
    /// How many records may wait; at least 64.
    #[must_use]
    pub const fn max_records(mut self, records: usize) -> Self {
        self.max_records = records;
        self
    }

    /// How many bytes may wait, estimated from what the events keep in memory; at least 1 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// The clock for records of the log's own; events bring their time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    pub(super) fn bounds(&self) -> Result<(usize, usize), OpenError> {
        for (name, value, least) in [
            ("max_records", self.max_records, LEAST_RECORDS),
            ("max_bytes", self.max_bytes, LEAST_BYTES),
        ] {
            if value < least {
                return Err(OpenError::Bound { name, value, least });
            }
        }
        Ok((self.max_records, self.max_bytes))
    }

    pub(super) fn own_clock(&self) -> Arc<dyn Clock> {
        match &self.clock {
            Some(clock) => Arc::clone(clock),
            None => Arc::new(SystemClock),
        }
    }
}
