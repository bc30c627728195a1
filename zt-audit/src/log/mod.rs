//! The log: an append-only file with one writer.

mod error;
mod open;
mod options;
mod queue;
mod shared;
mod sink;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle, ThreadId},
};

use zt_core::state::{Durable, Event, Events, RecordError, Recorder};

pub use self::{error::OpenError, options::Options, sink::Sink};
use self::{
    open::Torn,
    shared::Shared,
    sink::commit,
    writer::{Writer, now, sealing},
};
use crate::record::{Chain, Recovered};

/// An append-only log of everything that was decided and done, hash-chained and durable.
///
/// [`record`](Recorder::record) hands an event to a thread of the log's own and comes back at
/// once. That thread takes what waits (at most 1,024 events or 1 MiB), writes it with one call,
/// flushes it with one `fdatasync`, and wakes whoever waits; the next batch gathers meanwhile.
///
/// # When it refuses
///
/// * **Full.** The queue is bounded by count and by bytes ([`Options`]). Permits have room of their
///   own, so that a flood of denials cannot take it. Denials and outcomes of requests whose
///   handler did not run, beyond their own room, are counted by code; the counts are exact and
///   stand in the next `rolled-up` record. An outcome of a request whose handler did run, and that
///   has no place, is a loss: it is counted too, and until that count is durable no further permit
///   is taken.
/// * **Unavailable.** A write or a flush that failed is never tried again on the same file: what
///   it left behind cannot be known. Everything that waits and everything that comes is refused
///   until the application opens another log. Open a new file then; the old one may show records
///   that the disk does not have.
/// * **Closed.** See [`close`](Self::close).
///
/// Clones share the log; when the last one is dropped, it is closed.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("zt-audit-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// use zt_audit::{AuditLog, Options};
///
/// let log = AuditLog::open(folder.join("audit.jsonl"), Options::default())?;
/// assert!(log.health().is_writable());
/// log.close()?;
///
/// let report = zt_audit::verify(std::fs::File::open(folder.join("audit.jsonl"))?)?;
/// assert_eq!((report.is_intact(), report.records), (true, 1));
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AuditLog(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    writer: ThreadId,
}

impl AuditLog {
    /// Creates the file at `path`, readable and writable for its owner alone, or continues it.
    ///
    /// A file that is there is read to its end and must be as it was written. Half a record at its
    /// end was never durable: it is moved to `<path>.torn`, and a `recovered` record says so. Each
    /// opening writes a `started` record.
    ///
    /// # Errors
    ///
    /// When the file is damaged ([`OpenError::Damaged`] names the first bad record), when somebody
    /// else has it open, when it cannot be read or written, or when `options` are out of bounds.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        options.bounds()?;
        let path = path.as_ref();
        let opened = open::open(path)?;
        let log = Self::start(Box::new(opened.sink), opened.chain, opened.torn, &options);
        log.map_err(|error| match error {
            OpenError::Sink(source) => OpenError::File {
                action: "write",
                path: path.to_owned(),
                source,
            },
            other => other,
        })
    }

    /// A new log into `sink`.
    ///
    /// # Errors
    ///
    /// When `sink` does not take the first record, or when `options` are out of bounds.
    pub fn with_sink(sink: impl Sink, options: Options) -> Result<Self, OpenError> {
        Self::start(
            Box::new(sink),
            Chain::new(
                "log".into(),
                0,
                crate::merkle::Hash::from_bytes([0; 32]),
                None,
            ),
            None,
            &options,
        )
    }

    fn start(
        mut sink: Box<dyn Sink>,
        mut chain: Chain,
        torn: Option<Torn>,
        options: &Options,
    ) -> Result<Self, OpenError> {
        let (records, bytes) = options.bounds()?;
        let clock = options.own_clock();
        let mut first = Vec::with_capacity(512);
        if let Some(torn) = torn {
            let file = torn.file.to_string_lossy();
            let at = now(&*clock);
            let found = Recovered {
                cause: "torn",
                file: &file,
                bytes: torn.bytes,
                records: 0,
                sha256: Some(&torn.sha256),
            };
            chain
                .append_recovered(&mut first, at, found)
                .map_err(sealing)
                .map_err(OpenError::Sink)?;
        }
        chain
            .append_started(&mut first, now(&*clock))
            .map_err(sealing)
            .map_err(OpenError::Sink)?;
        commit(&mut *sink, &first).map_err(OpenError::Sink)?;

        let shared = Arc::new(Shared::new(records, bytes));
        let writer = Writer::new(Arc::clone(&shared), sink, chain, clock);
        let thread = thread::Builder::new()
            .name("zt-audit".to_owned())
            .spawn(|| writer.run())
            .map_err(OpenError::Thread)?;
        Ok(Self(Arc::new(Handle {
            shared,
            writer: thread.thread().id(),
            thread: Mutex::new(Some(thread)),
        })))
    }

    /// How the log is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.0.shared;
        let failure = shared.failure();
        let queue = shared.queue();
        Health {
            refuses: failure
                .or_else(|| queue.end.clone())
                .or((queue.untold() > 0).then_some(RecordError::Full)),
            waiting: queue.waiting(shared.durable()),
            durable: shared.durable(),
            refused: queue.counts.refused,
            rolled_up: queue.counts.rolled_up,
            lost: queue.counts.lost,
        }
    }

    /// Takes no more events, makes durable what waits, and lets the file go. Blocks until then, as
    /// long as the disk takes; dropping the last handle does the same.
    ///
    /// # Errors
    ///
    /// When the log could not write: something that was handed to it may not be durable.
    pub fn close(&self) -> Result<(), RecordError> {
        self.0.close();
        self.0.shared.failure().map_or(Ok(()), Err)
    }
}

impl Recorder for AuditLog {
    fn record(&self, event: Event) -> Durable {
        self.0.shared.record(event)
    }

    fn subscribe(&self, capacity: usize) -> Events {
        self.0.shared.fanout.subscribe(capacity)
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AuditLog").field(&self.health()).finish()
    }
}

impl Handle {
    fn close(&self) {
        self.shared.close();
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // What the writer wakes or drops may hold the last handle; it cannot wait for itself.
        if let Some(thread) = thread.filter(|_| thread::current().id() != self.writer) {
            // A writer that panicked has said so in `failure`.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

/// How a log is doing; see [`AuditLog::health`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Why permits are refused right now, where they are: the log cannot write or was closed, or
    /// an outcome was lost and no durable record says so yet.
    pub refuses: Option<RecordError>,
    /// Events that were taken and are not durable.
    pub waiting: u64,
    /// Events that are durable since the log was opened.
    pub durable: u64,
    /// Permits and administrative events that were refused.
    pub refused: u64,
    /// Denials and outcomes of requests whose handler did not run that had no place. They are told
    /// as counts in `rolled-up` records, those excepted that came after the log refused for good.
    pub rolled_up: u64,
    /// Outcomes of requests whose handler ran that had no place: each is a hole in the evidence.
    pub lost: u64,
}

impl Health {
    /// Whether a permit would be taken.
    #[must_use]
    pub const fn is_writable(&self) -> bool {
        self.refuses.is_none()
    }
}
