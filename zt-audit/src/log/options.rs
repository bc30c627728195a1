use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use zt_core::clock::{Clock, SystemClock};

use super::{OpenError, flood::Rules};

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
    denials_in_full: u32,
    denial_sources: usize,
    #[serde(skip)]
    denial_window: Duration,
    #[serde(skip)]
    clock: Option<Arc<dyn Clock>>,
}

const LEAST_RECORDS: usize = 64;
const LEAST_BYTES: usize = 1 << 20;
const LEAST_SOURCES: usize = 64;

impl Default for Options {
    /// 65,536 records and 64 MiB; the system's clock.
    fn default() -> Self {
        Self {
            max_records: 65_536,
            max_bytes: 64 << 20,
            denials_in_full: 20,
            denial_sources: 4096,
            denial_window: Duration::from_secs(10),
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

    /// How many denials in a [window](Self::denial_window) are recorded in full, by source and
    /// reason; further ones are counted. None for 0.
    #[must_use]
    pub const fn denials_in_full(mut self, denials: u32) -> Self {
        self.denials_in_full = denials;
        self
    }

    /// How long denials of one source and reason are counted until the count is written; at least a
    /// millisecond.
    #[must_use]
    pub const fn denial_window(mut self, window: Duration) -> Self {
        self.denial_window = window;
        self
    }

    /// How many pairs of source and reason are told apart in a window; at least 64. The rest is
    /// counted by reason alone.
    #[must_use]
    pub const fn denial_sources(mut self, sources: usize) -> Self {
        self.denial_sources = sources;
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
            ("denial_sources", self.denial_sources, LEAST_SOURCES),
        ] {
            if value < least {
                return Err(OpenError::Bound { name, value, least });
            }
        }
        Ok((self.max_records, self.max_bytes))
    }

    pub(super) const fn flood(&self) -> Rules {
        Rules {
            in_full: self.denials_in_full,
            window: self.denial_window,
            sources: self.denial_sources,
        }
    }

    pub(super) fn own_clock(&self) -> Arc<dyn Clock> {
        match &self.clock {
            Some(clock) => Arc::clone(clock),
            None => Arc::new(SystemClock),
        }
    }
}
