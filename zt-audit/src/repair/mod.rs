//! Going on with a log that was damaged, once somebody has taken note of it.
//!
//! A log that is damaged is not opened: nothing is appended behind a hole that nobody knows of. Keep a
//! copy of the folder, find out what happened, and then have [`Repair`] make a log of it that can go
//! on. It does this where
//!
//! 1. nobody else has the log open;
//! 2. the log is damaged, or, where the folder of its keys is [given](Repair::keys_in), has less than
//!    its key has signed, as a backup does: one that can be opened as it is, is refused
//!    ([`RepairError::NotDamaged`]);
//! 3. something good is left: at least one batch from the log's beginning on
//!    ([`RepairError::NothingLeft`]; begin another log then);
//! 4. the key that it is given is the one that the good part names as the one in force
//!    ([`RepairError::Key`]): no other could sign for it;
//! 5. author and reason are given.
//!
//! Then, in this order, each step durable before the next:
//!
//! 1. What stands behind the last good commit line, every later segment, and the checkpoint are copied to
//!    `torn/`.
//! 2. A record of kind `recovered` takes the place behind the last good commit line: cause
//!    `acknowledged`, what was damaged, what was set aside, size and root of the checkpoint that was
//!    there, and, sealed, author and reason.
//! 3. The later segments are removed from `log/`.
//! 4. A new checkpoint is signed, and takes the place of the mark beside the keys.
//!
//! A crash between leaves a log that is damaged, and repairing it again goes on; or one that is whole,
//! with the record. Bytes of records are never lost: they are in `torn/`.
//!
//! # What others see
//!
//! The tree over what is left can be proved as before, and the repaired log verifies. Whoever holds a
//! checkpoint that covered what is gone sees that the log does not have it any more
//! ([`Trust::at_least`](crate::verify::Trust::at_least)), for ever: a repair acknowledges a loss, it
//! does not hide it. Copies of the lost records elsewhere have indices that the log now gives to
//! others; sinks that keep what they get will say so.
//!
//! What was good behind the damage is set aside as well: its place in the tree is gone.

mod error;
#[cfg(test)]
mod tests;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use zt_core::clock::{Clock, SystemClock};

pub use self::error::RepairError;
use crate::{
    format::{name, write_commit},
    log::Mark,
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    read::{last_set, small},
    record::{Acknowledged, Chain},
    recover::{copy, damage, write_all},
    seal::Vault,
    storage::{Folder, Storage},
    verify::{BadRecord, GoodPart, MAX_CHECKPOINT, Reason, good_part},
};

/// Repairs a log; see the [module](self).
pub struct Repair {
    key: Arc<SigningKey>,
    vault: Option<Arc<Vault>>,
    keys: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

/// What a repair did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repaired {
    /// What was damaged.
    pub damage: BadRecord,
    /// How many records of the log are left; the next one says that it was repaired.
    pub kept: u64,
    /// What was set aside, under which names in the log's folder.
    pub aside: Vec<String>,
    /// What the checkpoint said that was there.
    pub was: Option<Checkpoint>,
    /// The new one.
    pub checkpoint: SignedCheckpoint,
}

impl Repair {
    /// With the key that signs the log. Author and reason stand in the log in the clear, unless it
    /// is [`sealing`](Self::sealing).
    #[must_use]
    pub fn new(key: SigningKey) -> Self {
        Self {
            key: Arc::new(key),
            vault: None,
            keys: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// Seals who acknowledged it, and why, as the log's other records are sealed.
    #[must_use]
    pub fn sealing(mut self, vault: Arc<Vault>) -> Self {
        self.vault = Some(vault);
        self
    }

    /// The folder of the log's keys: what it says was signed last counts, and is written anew. A
    /// log that keeps its keys in a folder is not opened again without.
    #[must_use]
    pub fn keys_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keys = Some(folder.into());
        self
    }

    /// Another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Repairs the log in `folder`: `author` has taken note of the damage, for this `reason`.
    ///
    /// # Errors
    ///
    /// When it cannot or need not be done.
    pub fn run(
        &self,
        folder: impl AsRef<Path>,
        author: &str,
        reason: &str,
    ) -> Result<Repaired, RepairError> {
        let fails = |source| RepairError::File {
            action: "open",
            file: folder.as_ref().display().to_string(),
            source,
        };
        // It makes no folder where there is none.
        Folder::read_only(&folder).map_err(fails)?;
        let storage = Folder::open(&folder).map_err(fails)?;
        self.run_in(&storage, author, reason)
    }

    pub(crate) fn run_in(
        &self,
        storage: &dyn Storage,
        author: &str,
        reason: &str,
    ) -> Result<Repaired, RepairError> {
        if author.trim().is_empty() || reason.trim().is_empty() {
            return Err(RepairError::Unexplained);
        }
        let _lock = storage
            .lock(name::LOCK)
            .map_err(|error| match error.kind() {
                io::ErrorKind::WouldBlock => RepairError::InUse,
                _ => RepairError::file("lock", name::LOCK)(error),
            })?;
        let read = RepairError::file("read", name::LOG);
        let verifier = self.key.verifier();
        let mark = self.mark()?;
        let marked = mark.as_ref().and_then(|(_, said)| said.clone());
        let damage = damage(storage, &verifier).map_err(&read)?;
        let good = good_part(storage).map_err(&read)?;
        let was = self.old_checkpoint(storage)?;
        let size = |said: &Option<Checkpoint>| said.as_ref().map_or(0, |said| said.size);
        let rolled_back = || (size(&marked) > size(&was)).then(|| cut(&good, size(&marked)));
        let damage = damage.or_else(rolled_back).ok_or(RepairError::NotDamaged)?;
        let was = if size(&marked) > size(&was) {
            marked
        } else {
            was
        };
        let Some(origin) = good
            .state
            .origin
            .clone()
            .filter(|_| good.state.tree.size() > good.begin)
        else {
            return Err(RepairError::NothingLeft { damage });
        };
        if good
            .key
            .as_ref()
            .is_some_and(|key| *key != verifier.to_string())
            || *origin != *verifier.name()
        {
            return Err(RepairError::Key {
                in_force: good.key,
                given: verifier.to_string(),
            });
        }
        let (aside, bytes) = set_aside(storage, &good)?;
        let kept = good.state.tree.size();
        let batch = Batch {
            origin,
            damage: damage.to_string(),
            aside: &aside,
            bytes,
            was: was.as_ref(),
            author,
            reason,
        };
        let checkpoint = self.go_on(storage, good, batch)?;
        if let Some((mark, _)) = &mark {
            let path = mark.path();
            mark.set(&checkpoint.encode())
                .map_err(RepairError::file("write", path.display()))?;
        }
        Ok(Repaired {
            damage,
            kept,
            aside,
            was,
            checkpoint,
        })
    }

    /// What was signed last, as the folder of keys says.
    fn mark(&self) -> Result<Option<(Mark, Option<Checkpoint>)>, RepairError> {
        let Some(keys) = &self.keys else {
            return Ok(None);
        };
        let mark = Mark::open(keys).map_err(RepairError::file("open", keys.display()))?;
        let path = mark.path();
        let fails = RepairError::file("read", path.display());
        let said = mark.get_of(self.key.name()).map_err(fails)?;
        Ok(Some((mark, said)))
    }

    /// What the checkpoint says, whoever signed it.
    fn old_checkpoint(&self, storage: &dyn Storage) -> Result<Option<Checkpoint>, RepairError> {
        let bytes = small(storage, name::CHECKPOINT, MAX_CHECKPOINT)
            .map_err(RepairError::file("read", name::CHECKPOINT))?;
        let signed = bytes.and_then(|bytes| SignedCheckpoint::parse(&bytes).ok());
        Ok(signed.map(|signed| signed.checkpoint().clone()))
    }

    /// Writes the record, drops what was set aside, and signs.
    fn go_on(
        &self,
        storage: &dyn Storage,
        good: GoodPart,
        batch: Batch<'_>,
    ) -> Result<SignedCheckpoint, RepairError> {
        let (first, end) = good.last;
        let segment = name::segment(first);
        let at = self.clock.now()?;
        let size = good.state.tree.size();
        let mut tree = good.state.tree;
        let prev = good.state.last.ok_or(RepairError::NothingLeft {
            damage: BadRecord {
                index: size,
                file: segment.clone(),
                offset: end,
                reason: Reason::Empty,
            },
        })?;
        let mut out = Vec::new();
        let mut chain = Chain::new(Arc::clone(&batch.origin), size, prev, self.vault.clone());
        let taken = Acknowledged {
            damage: &batch.damage,
            files: batch.aside,
            bytes: batch.bytes,
            signed: batch.was.map(|was| (was.size, &was.root)),
            author: batch.author,
            reason: batch.reason,
        };
        tree.append(chain.append_acknowledged(&mut out, at, taken)?);
        if let Some(vault) = &self.vault {
            vault
                .commit()
                .map_err(RepairError::file("write", "the keys of subjects"))?;
        }
        write_commit(&mut out, tree.size(), &tree.root());

        let write = RepairError::file("write", &segment);
        let mut file = storage.open(&segment, false).map_err(&write)?;
        write_all(&mut *file, &out, end).map_err(&write)?;
        file.set_length(end + out.len() as u64).map_err(&write)?;
        file.sync().map_err(&write)?;
        for later in good.segments.firsts.iter().filter(|later| **later > first) {
            let later = name::segment(*later);
            storage
                .remove(&later)
                .map_err(RepairError::file("remove", &later))?;
        }
        storage
            .sync_folder(name::LOG)
            .map_err(RepairError::file("write", name::LOG))?;
        let checkpoint = Checkpoint {
            origin: batch.origin.to_string(),
            size: tree.size(),
            root: tree.root(),
        };
        let signed = SignedCheckpoint::sign(checkpoint, &self.key, at);
        storage
            .replace(name::CHECKPOINT, signed.encode().as_bytes())
            .map_err(RepairError::file("write", name::CHECKPOINT))?;
        Ok(signed)
    }
}

impl fmt::Debug for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repair")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

/// A log that ends before what was signed.
fn cut(good: &GoodPart, signed: u64) -> BadRecord {
    let (first, end) = good.last;
    BadRecord {
        index: good.state.tree.size(),
        file: name::segment(first),
        offset: end,
        reason: Reason::Truncated { signed },
    }
}

/// What the record says.
struct Batch<'a> {
    origin: Arc<str>,
    damage: String,
    aside: &'a [String],
    bytes: u64,
    was: Option<&'a Checkpoint>,
    author: &'a str,
    reason: &'a str,
}

/// Copies all that is not kept, and the checkpoint; the names of the copies, and how many bytes of
/// segments they have.
fn set_aside(storage: &dyn Storage, good: &GoodPart) -> Result<(Vec<String>, u64), RepairError> {
    let (first, end) = good.last;
    let later = good.segments.firsts.iter().filter(|later| **later > first);
    let parts = std::iter::once((first, end)).chain(later.map(|later| (*later, 0)));
    let mut aside = Vec::new();
    let mut bytes = 0;
    for (first, begin) in parts {
        let name = name::segment(first);
        let fails = RepairError::file("set aside", &name);
        let file = storage.open(&name, false).map_err(&fails)?;
        let length = last_set(&*file, begin).map_err(&fails)? - begin;
        if length > 0 {
            let to = format!("{first:020}-{begin}");
            let copied = copy(storage, &*file, begin, length, &to).map_err(&fails)?;
            aside.push(copied.file);
            bytes += length;
        }
    }
    let fails = RepairError::file("set aside", name::CHECKPOINT);
    match storage.open(name::CHECKPOINT, false) {
        Ok(file) => {
            let length = file.length().map_err(&fails)?;
            let copied = copy(storage, &*file, 0, length, name::CHECKPOINT).map_err(&fails)?;
            aside.push(copied.file);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(fails(error)),
    }
    Ok((aside, bytes))
}
