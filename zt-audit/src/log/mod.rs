//! The log: a folder of append-only segments with one writer.
//!
//! # What a record can rely on
//!
//! 1. **Durable before acknowledged.** A batch is what waits, at most 1,024 records or 1 MiB, and one
//!    commit line with the root of the tree over everything so far. It is written by one positioned
//!    write and made durable by one `fdatasync`; only then whoever waits is woken. There is no
//!    timer: the next batch gathers while this one is flushed.
//!    Where more than one caller waits, a thread of its own flushes, and meanwhile the writer makes
//!    the records of the next batch in memory. Nothing of it is written before it is known how the
//!    one before ended; where that failed the next is made anew.
//! 2. **A flush changes no length.** Segments are zeroed ahead, first 256 KiB, then as much as the
//!    log has grown, at most 8 MiB. When a log is closed the zeros are cut off.
//! 3. **Segments** end at a multiple of 256 records once they have `segment_bytes`; the full one is cut
//!    and flushed before the next is begun.
//! 4. **Two threads**, and the one that flushes for the writer. The writer does what somebody waits
//!    for, and nothing else. The keeper zeroes ahead, writes the hashes of `tree/` and signs. The hook
//!    for checkpoints has another, outside of all locks.
//! 5. **Checkpoints** are signed only over what is durable: each second while there is news, each
//!    minute while there is none, when a segment is full, when the log is opened and closed, and by
//!    [`AuditLog::sign`].
//!
//! # Acknowledgement
//!
//! 6. `Sync` resolves when the record is durable. It wakes the writer at once.
//! 7. `Batched` resolves at once while the oldest record that is not durable is younger than
//!    `batch_delay`, and otherwise as `Sync`. `Async` resolves at once.
//! 8. What nobody waits for wakes nobody: the writer looks by itself four times a `batch_delay` while
//!    there was traffic in the last 64 of them, and then sleeps until somebody hands it something. So
//!    handing over costs no system call, at saturation and at a thousand records a second.
//!
//! # When something fails
//!
//! 9. **A write or flush that failed** is never tried again on the same file, not even to close it
//!    well: what it left behind cannot be known. The batch is still in memory. It is written into a
//!    new segment, which begins at the first record that is not durable and whose first record is
//!    `recovered`, with the file and the reason. Nobody who waits notices more than the delay. A
//!    file without any durable record is removed to make place for the new one of its name.
//! 10. **Where that fails too**, everything that waits and everything that comes is refused
//!     (`Unavailable`), counted by kind, and the disk is tried again after 50 ms, then less and less
//!     often, at least every five seconds. When it is well a `gap` record says how many events of which
//!     kind have no record; it is durable before anything else is taken.
//! 11. **A full disk** is noticed when zeros are to be written, by a handle of their own. 16 KiB of
//!     zeros are never used but for the `gap` record (`no-space`) that is written then. On file
//!     systems that copy on write that room is not certain. It is then as in 10.
//! 12. **A live file that is not the one of its name** (deleted, replaced, with a second link), or that
//!     somebody else cut or extended, ends the log until it is opened again: what was acknowledged may
//!     be gone, and going on would hide it. Three calls a batch look. What somebody writes over in
//!     place is found by [`verify`](crate::verify()), not here.
//! 13. **A personal field that cannot be sealed** refuses the batch, as in 10 (`sealing`): it is not
//!     written in clear instead.
//! 14. **A signature that cannot be made** (no time, no room for the file) refuses nothing. The log's
//!     health says so, and it is tried again each second.
//!
//! # Keys
//!
//! 15. The key that signs is given by the application or lies in `<keys>/signing.key`, which is made
//!     with the log. The keys' folder is never within the log's.
//! 16. Record 0 is `started`, record 1 is `key` (`first`). Another key comes into force by
//!     [`AuditLog::rotate_key`] only: a `key` record with an endorsement by the one before. A key that is
//!     not in force does not open the log.
//!
//! # What it does not do
//!
//! Nothing here defends against code in the process, which can write what it likes from now on; what
//! a checkpoint elsewhere covers it cannot change.

mod acts;
mod batch;
mod core;
mod error;
mod flood;
mod flusher;
mod ground;
mod hashes;
mod health;
mod hook;
mod keeper;
mod keys;
mod news;
mod options;
mod order;
mod outage;
mod queue;
mod segment;
mod shared;
mod signer;
mod start;
#[cfg(test)]
mod tests;
mod waiters;
mod writer;

use std::{
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle, ThreadId},
};

use zt_core::state::{Durable, Event, Events, RecordError, Recorder};

pub(crate) use self::keys::Mark;
pub use self::{
    acts::{Erased, Pruned},
    error::{EraseError, OpenError, PruneError, RotateError, SignError},
    health::Health,
    options::Options,
};
use self::{core::Core, keys::Keys, start::Secrets};
use crate::{
    note::{SignedCheckpoint, SigningKey, VerifierKey},
    seal::Vault,
    storage::Storage,
};

/// An append-only log of everything that was decided and done: hashed into a tree, signed, durable.
///
/// [`record`](Recorder::record) hands an event to a thread of the log's own and comes back at
/// once. That thread takes what waits, writes it with one call, flushes it with one `fdatasync`, and
/// wakes whoever waits; the next batch gathers meanwhile.
///
/// # When it refuses
///
/// * **Full.** The queue is bounded by count and by bytes ([`Options`]). Permits have room of their
///   own, so that a flood of denials cannot take it. Denials and outcomes of requests whose
///   handler did not run, beyond the first of each source and reason in a while
///   ([`denials_in_full`](Options::denials_in_full)) and beyond their own room, are counted; the counts
///   are exact and stand in a `rolled-up` record when that while is over. An outcome of a request
///   whose handler did run, and that has no place, is a loss: it is counted too, and until that
///   count is durable no further permit is taken.
/// * **Unavailable.** The disk is full or fails, also with a new file; everything is refused until
///   it is well again, and a `gap` record then says how much. Where the live file was deleted,
///   exchanged, linked or cut, it stays so until the log is opened again.
/// * **Closed.** See [`close`](Self::close).
///
/// Clones share the log; when the last one is dropped, it is closed.
///
/// ```
/// # let folder = std::env::temp_dir().join(format!("zt-audit-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// use zt_audit::{AuditLog, Options};
///
/// let log = AuditLog::open(folder.join("audit"), Options::default())?;
/// assert!(log.health().is_writable());
/// let key = log.verifier_key();
/// let signed = log.sign()?;
/// assert!(signed.verify(&key)?.is_some());
/// log.close()?;
///
/// // The key that signs lies beside the log, and nothing goes on without it.
/// std::fs::remove_file(folder.join("audit.keys/signing.key"))?;
/// assert!(AuditLog::open(folder.join("audit"), Options::default()).is_err());
/// # std::fs::remove_dir_all(&folder)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct AuditLog(Arc<Handle>);

struct Handle {
    core: Arc<Core>,
    keys: Option<Keys>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    ids: [ThreadId; 2],
    /// One administrative act at a time.
    acts: Mutex<()>,
}

impl AuditLog {
    /// Begins the log in `folder`, readable and writable for its owner alone, or continues it.
    ///
    /// A log that is there must be as it was written. What was never acknowledged at its end is moved
    /// to `torn/`, and a `recovered` record says so. Each opening writes a `started` record.
    ///
    /// # Errors
    ///
    /// When the log is damaged ([`OpenError::Damaged`] names the first bad record), when somebody
    /// else has it open, when it cannot be read or written, when a key is missing or is not in
    /// force, or when `options` are out of bounds.
    pub fn open(folder: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        start::folder(folder.as_ref(), options)
    }

    /// The log in `storage`, signed by `key` and sealed in `vault`; without a vault personal fields
    /// stand in clear.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn with_storage(
        storage: Arc<dyn Storage>,
        key: SigningKey,
        vault: Option<Vault>,
        options: Options,
    ) -> Result<Self, OpenError> {
        let secrets = Secrets::Given(Arc::new(key), vault.map(Arc::new));
        start::start(storage, Path::new("storage"), secrets, options)
    }

    /// How the log is doing.
    #[must_use]
    pub fn health(&self) -> Health {
        Health::of(&self.0.core)
    }

    /// Its name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.0.core.origin
    }

    /// What verifies the signatures that it makes now.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        self.0.core.signer.verifier()
    }

    /// The last checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> Option<SignedCheckpoint> {
        self.0.core.signer.last()
    }

    /// Signs everything that is durable now.
    ///
    /// # Errors
    ///
    /// When the time cannot be trusted, or the checkpoint cannot be made durable.
    pub fn sign(&self) -> Result<SignedCheckpoint, SignError> {
        self.0.core.signer.sign()
    }

    /// Takes no more events, makes durable what waits, signs it, and lets the log go. Blocks until
    /// then, as long as the disk takes; dropping the last handle does the same.
    ///
    /// # Errors
    ///
    /// When the log could not write: something that was handed to it may not be durable.
    pub fn close(&self) -> Result<(), RecordError> {
        self.0.close();
        match self.0.core.shared.broken() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }
}

impl Recorder for AuditLog {
    fn record(&self, event: Event) -> Durable {
        self.0.core.shared.record(event)
    }

    fn subscribe(&self, capacity: usize) -> Events {
        self.0.core.shared.fanout.subscribe(capacity)
    }
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog")
            .field("origin", &self.origin())
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

impl Handle {
    fn new(
        core: Arc<Core>,
        keys: Option<Keys>,
        writer: JoinHandle<()>,
        keeper: JoinHandle<()>,
    ) -> Self {
        Self {
            core,
            keys,
            ids: [writer.thread().id(), keeper.thread().id()],
            threads: Mutex::new(vec![writer, keeper]),
            acts: Mutex::default(),
        }
    }

    fn close(&self) {
        self.core.shared.close();
        // What they wake or drop may hold the last handle; a thread cannot wait for itself, and the
        // writer not for the keeper, which waits for it.
        if self.ids.contains(&thread::current().id()) {
            return;
        }
        // Held until they have ended: who closes second waits for that as well.
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // One that panicked has said so in the log's health.
            let _ = thread.join();
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}
