use std::{fmt, io::Write};

use super::{Record, Sink, SinkError, lines::Lines, ocsf, record::escaped};

/// Writes each record as one line of JSON: the stored bytes (where the follower opens them, the
/// opened fields). A reader of a sealed copy can check each line against the log.
///
/// ```
/// use zt_audit::follow::JsonSink;
///
/// let sink = JsonSink::new(std::io::stdout());
/// # drop(sink);
/// ```
pub struct JsonSink(Lines);

impl JsonSink {
    /// Writes to `writer`, on a thread of its own.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Lines::new(writer))
    }
}

impl Sink for JsonSink {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let line = |record: &Record, out: &mut Vec<u8>| out.extend_from_slice(&record.line());
        self.0.write(records, line).await
    }
}

/// Writes each record as one line of OCSF ([`ocsf`]).
pub struct OcsfSink(Lines);

impl OcsfSink {
    /// Writes to `writer`, on a thread of its own.
    pub fn new(writer: impl Write + Send + 'static) -> Self {
        Self(Lines::new(writer))
    }
}

impl Sink for OcsfSink {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), SinkError> {
        let line = |record: &Record, out: &mut Vec<u8>| {
            // A record was read before it came here: its fields are JSON.
            if let Ok(fields) = record.fields() {
                out.extend_from_slice(escaped(&ocsf::event(&fields, record.leaf())).as_bytes());
            }
        };
        self.0.write(records, line).await
    }
}

impl fmt::Debug for JsonSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonSink").finish_non_exhaustive()
    }
}

impl fmt::Debug for OcsfSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OcsfSink").finish_non_exhaustive()
    }
}
