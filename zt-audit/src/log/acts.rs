//! What administrators do to a log: another key, forgetting a person, dropping old segments.

use std::{
    io,
    sync::{Arc, PoisonError},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use zt_core::{clock::Timestamp, state::RecordError};

use super::{AuditLog, EraseError, PruneError, RotateError, hashes::pruned, order::Order};
use crate::{
    format::{self, name},
    merkle::{Frontier, Hash},
    note::{SignedCheckpoint, SigningKey},
    read::{LogReader, TreeFiles},
    record::{self, Chain, Key, Prune},
    seal::{DataSubject, Pseudonym, VaultError},
    storage::Storage,
    verify::endorsed_text,
};

/// That a person was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Erased {
    /// Under which pseudonyms they stand in records.
    pub pseudonyms: Vec<Pseudonym>,
    /// How many keys were destroyed.
    pub keys: u64,
}

/// What was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// The first record that is still there.
    pub before: u64,
    /// How many segments are gone.
    pub segments: usize,
}

impl AuditLog {
    /// Signs with `key` from now on; its name is the log's origin.
    ///
    /// The key in force endorses it in a `key` record, so that whoever trusts the one can go on to the
    /// other. Where the log keeps its keys the new one takes the old one's place; the application
    /// otherwise gives it to the next opening.
    ///
    /// # Errors
    ///
    /// When the key signs under another name, signs already, cannot be kept, or when its record is not
    /// durable: the old key is then still in force. [`RotateError::Sign`] comes after it.
    pub fn rotate_key(&self, key: SigningKey) -> Result<SignedCheckpoint, RotateError> {
        let _one = self.0.acts.lock().unwrap_or_else(PoisonError::into_inner);
        if key.name() != self.origin() {
            return Err(RotateError::Name {
                origin: self.origin().to_owned(),
                given: key.name().to_owned(),
            });
        }
        if key.verifier() == self.verifier_key() {
            return Err(RotateError::Same);
        }
        let keys = self.0.keys.as_ref();
        if let Some(keys) = keys {
            // It may be where the next one is to be announced, and nowhere else.
            keys.keep(&self.0.core.signer.key())?;
            keys.announce(&key).map_err(RotateError::Keep)?;
        }
        let key = Arc::new(key);
        let next = Arc::clone(&key);
        // Everything that the old key can sign for it has signed.
        let _ = self.0.core.signer.sign();
        let signed = self.0.core.signer.rotate(Arc::clone(&key), |old| {
            let (origin, old) = (Arc::clone(&self.0.core.origin), Arc::clone(old));
            self.order(move |chain, out, index, at| {
                let vkey = next.verifier().to_string();
                let text = endorsed_text(&origin, &vkey, index);
                let signature = BASE64_STANDARD.encode(old.sign(text.as_bytes()));
                let by = old.verifier().to_string();
                let key = Key {
                    vkey: &vkey,
                    endorsed: Some((&by, &signature)),
                };
                chain.append_key(out, at, key)
            })
            .map_err(RotateError::from)
        });
        let is_in_force = matches!(&signed, Ok(_) | Err(RotateError::Sign(_)));
        if let Some(keys) = keys.filter(|_| is_in_force) {
            // Where that fails the next rotation does it, or the next opening.
            if let Err(error) = keys.adopt(&key) {
                tracing::warn!(%error, "the new signing key is not in its place yet");
            }
        }
        signed
    }

    /// Forgets a person: destroys their keys, so that what is sealed in their records opens to nobody
    /// any more. The records stay as they are, and the log verifies as before.
    ///
    /// An `erased` record (`begun`) is durable before the first key is destroyed, and another (`done`)
    /// says how many there were. One that was begun and has no `done` was cut short by a crash: erase
    /// again, which does no harm. Records of the person that come later are sealed under another key.
    ///
    /// # Errors
    ///
    /// When the log has no vault, when a key may still be there, or when a record is not durable.
    pub fn erase(
        &self,
        subject: DataSubject<'_>,
        author: Option<&str>,
        reason: &str,
    ) -> Result<Erased, EraseError> {
        let vault = self.0.core.vault.as_ref().ok_or(EraseError::NoVault)?;
        let _one = self.0.acts.lock().unwrap_or_else(PoisonError::into_inner);
        let say = |action, pseudonyms: &[Pseudonym], keys| {
            let pseudonyms = pseudonyms.to_vec();
            let (author, reason) = (author.map(str::to_owned), reason.to_owned());
            self.order(move |chain, out, _, at| {
                let erased = record::Erased {
                    action,
                    pseudonyms: &pseudonyms,
                    keys,
                    author: author.as_deref(),
                    reason: &reason,
                };
                chain.append_erased(out, at, erased)
            })
        };
        say("begun", &vault.pseudonyms(subject), 0)?;
        let forgotten = vault.forget(subject)?;
        say("done", &forgotten.pseudonyms, forgotten.keys)?;
        Ok(Erased {
            pseudonyms: forgotten.pseudonyms,
            keys: forgotten.keys,
        })
    }

    /// Drops whole segments of records before `before`: as many as end there or earlier, at a multiple
    /// of 256, and never the live one. Their hashes stay, so that proofs about what is left, and about
    /// how the log grew, can still be made.
    ///
    /// A `prune` record with the root of the tree over what goes is durable and signed first; then
    /// where the log begins now; then the files go.
    ///
    /// # Errors
    ///
    /// When there is nothing to drop, or something of that could not be done. What was recorded as
    /// dropped may then still be there; asked again, it goes.
    pub fn prune(&self, before: u64, author: Option<&str>) -> Result<Pruned, PruneError> {
        let _one = self.0.acts.lock().unwrap_or_else(PoisonError::into_inner);
        let storage = &*self.0.core.storage;
        let fails = |action| move |source| PruneError::File { action, source };
        // The tree's hashes, and a checkpoint over all that goes.
        let signed = self.sign()?;
        let covered = signed.checkpoint().size.min(before);
        let firsts = segments(storage).map_err(fails("list the segments"))?;
        let cut = firsts
            .iter()
            .copied()
            .filter(|first| *first > 0 && *first <= covered && first.is_multiple_of(256))
            .max()
            .filter(|cut| firsts.iter().any(|first| first < cut))
            .ok_or(PruneError::Nothing(before))?;
        let tree = self
            .hashes_before(cut, &firsts)
            .map_err(PruneError::Hashes)?;
        let root = tree.root();
        let name = author.map(str::to_owned);
        self.order(move |chain, out, _, at| {
            let prune = Prune {
                before: cut,
                root: &root,
                author: name.as_deref(),
            };
            chain.append_prune(out, at, prune)
        })?;
        self.sign()?;
        let pruned = format::Pruned { tree };
        storage
            .replace(name::PRUNED, &pruned.encode())
            .map_err(fails("write where the log begins"))?;
        let mut segments = 0;
        for first in firsts.into_iter().filter(|first| *first < cut) {
            storage
                .remove(&name::segment(first))
                .map_err(fails("remove a segment"))?;
            segments += 1;
        }
        storage
            .sync_folder(name::LOG)
            .map_err(fails("remove a segment"))?;
        Ok(Pruned {
            before: cut,
            segments,
        })
    }

    /// The tree over the first `cut` records, compared with the commit line that ends them.
    fn hashes_before(&self, cut: u64, firsts: &[u64]) -> io::Result<Frontier> {
        let storage = &*self.0.core.storage;
        let tree = match TreeFiles::new(storage).frontier(cut)? {
            Some(tree) => tree,
            // `tree/` is late, or lost.
            None => self.tree_over(cut)?,
        };
        let last = firsts.iter().copied().filter(|first| *first < cut).max();
        let committed = match last {
            Some(first) => last_commit(storage, first, cut)?,
            None => None,
        };
        if committed == Some(tree.root()) {
            Ok(tree)
        } else {
            Err(io::Error::other(
                "those in `tree/` are not those of the last commit line before it",
            ))
        }
    }

    /// The tree over the first `cut` records, made from the records.
    fn tree_over(&self, cut: u64) -> io::Result<Frontier> {
        let storage = &self.0.core.storage;
        let mut tree = pruned(&**storage)?;
        let mut reader =
            LogReader::over(Arc::clone(storage), tree.size()).map_err(io::Error::other)?;
        while tree.size() < cut {
            let entry = reader.next().map_err(io::Error::other)?;
            tree.append(entry.ok_or(io::ErrorKind::UnexpectedEof)?.leaf);
        }
        Ok(tree)
    }

    /// Has the writer write a record, and waits until it is durable.
    fn order(
        &self,
        append: impl FnMut(&mut Chain, &mut Vec<u8>, u64, Timestamp) -> Result<Hash, VaultError>
        + Send
        + 'static,
    ) -> Result<(), RecordError> {
        let (order, placed) = Order::new(append);
        self.0.core.shared.order(order);
        placed.wait()
    }
}

/// The first indices of all segments, in order.
fn segments(storage: &dyn Storage) -> io::Result<Vec<u64>> {
    let files = storage.list(name::LOG)?;
    Ok(files
        .iter()
        .filter_map(|file| name::first_of(file))
        .collect())
}

/// The root in the commit line of size `size` near the end of the segment that begins at `first`.
fn last_commit(storage: &dyn Storage, first: u64, size: u64) -> io::Result<Option<Hash>> {
    let file = storage.open(&name::segment(first), false)?;
    let length = file.length()?;
    let mut tail = vec![0; 4096];
    let from = length.saturating_sub(tail.len() as u64);
    let read = file.read_at(&mut tail, from)?;
    tail.truncate(read);
    let wanted = format!("{{\"commit\":{size},\"root\":\"");
    for line in tail.split(|byte| *byte == b'\n').rev() {
        if line.starts_with(wanted.as_bytes())
            && let Ok(format::Line::Commit { root, .. }) = format::Line::read(line)
        {
            return Ok(Some(root));
        }
    }
    Ok(None)
}
