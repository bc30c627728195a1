//! Signed checkpoints: over what is durable, one after the other.
//!
//! 1. One checkpoint is signed at a time, and never one that covers less than the one before.
//! 2. It is durable in the log's folder, and then as the mark beside the keys, where there is one, so
//!    that the mark never says more than the log's own checkpoint.
//! 3. Nobody who asks how things stand waits for the disk, or for an application's hook.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use zt_core::clock::Clock;

use super::{SignError, hook::Hook, keys::Mark, news::News};
use crate::{
    format::name,
    note::{Checkpoint, SignedCheckpoint, SigningKey, VerifierKey},
    storage::Storage,
};

pub(super) struct Signer {
    origin: Arc<str>,
    storage: Arc<dyn Storage>,
    /// Beside the keys.
    mark: Option<Mark>,
    clock: Arc<dyn Clock>,
    news: Arc<News>,
    hook: Option<Hook>,
    /// Whoever signs holds it, and takes the other lock only to read or to write.
    turn: Mutex<()>,
    state: Mutex<State>,
}

/// What signs, and into what.
pub(super) struct Means {
    pub(super) origin: Arc<str>,
    pub(super) storage: Arc<dyn Storage>,
    pub(super) mark: Option<Mark>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) news: Arc<News>,
    pub(super) hook: Option<Hook>,
}

struct State {
    key: Arc<SigningKey>,
    last: Option<SignedCheckpoint>,
    tried: Option<Duration>,
    failed: Option<SignError>,
}

impl Signer {
    pub(super) fn new(means: Means, key: Arc<SigningKey>, last: Option<SignedCheckpoint>) -> Self {
        Self {
            origin: means.origin,
            storage: means.storage,
            mark: means.mark,
            clock: means.clock,
            news: means.news,
            hook: means.hook,
            turn: Mutex::new(()),
            state: Mutex::new(State {
                key,
                last,
                tried: None,
                failed: None,
            }),
        }
    }

    /// Signs how far the log is durable, makes that durable, and hands it to the hook.
    pub(super) fn sign(&self) -> Result<SignedCheckpoint, SignError> {
        let turn = self.turn();
        self.sign_in(&turn)
    }

    fn sign_in(&self, _turn: &MutexGuard<'_, ()>) -> Result<SignedCheckpoint, SignError> {
        let now = self.clock.monotonic();
        let key = {
            let mut state = self.state();
            state.tried = Some(now);
            Arc::clone(&state.key)
        };
        let signed = self.try_to_sign(&key);
        let mut state = self.state();
        match &signed {
            Ok(signed) => {
                if state.failed.take().is_some() {
                    tracing::info!("checkpoints of the audit log are signed again");
                }
                state.last = Some(signed.clone());
                drop(state);
                if let Some(hook) = &self.hook {
                    hook.tell(signed.clone());
                }
            }
            Err(error) => {
                let first = state.failed.replace(error.clone()).is_none();
                drop(state);
                if first {
                    tracing::error!(%error, "a checkpoint of the audit log could not be signed");
                }
            }
        }
        signed
    }

    fn try_to_sign(&self, key: &SigningKey) -> Result<SignedCheckpoint, SignError> {
        let at = self.clock.now()?;
        let (size, root) = self.news.standing();
        let checkpoint = Checkpoint {
            origin: self.origin.to_string(),
            size,
            root,
        };
        let signed = SignedCheckpoint::sign(checkpoint, key, at);
        let note = signed.encode();
        self.storage
            .replace(name::CHECKPOINT, note.as_bytes())
            .map_err(|error| SignError::File(error.to_string()))?;
        if let Some(mark) = &self.mark {
            mark.set(&note)
                .map_err(|error| SignError::Mark(error.to_string()))?;
        }
        Ok(signed)
    }

    /// Has the next checkpoint signed by another key: `change` has the one in force, and nothing is
    /// signed before it has returned.
    pub(super) fn rotate<E: From<SignError>>(
        &self,
        next: Arc<SigningKey>,
        change: impl FnOnce(&Arc<SigningKey>) -> Result<(), E>,
    ) -> Result<SignedCheckpoint, E> {
        let turn = self.turn();
        let key = self.key();
        change(&key)?;
        self.state().key = next;
        Ok(self.sign_in(&turn)?)
    }

    pub(super) fn last(&self) -> Option<SignedCheckpoint> {
        self.state().last.clone()
    }

    pub(super) fn failed(&self) -> Option<SignError> {
        self.state().failed.clone()
    }

    /// The key in force.
    pub(super) fn key(&self) -> Arc<SigningKey> {
        Arc::clone(&self.state().key)
    }

    pub(super) fn verifier(&self) -> VerifierKey {
        self.state().key.verifier()
    }

    /// How many records the last checkpoint covers, and how long ago one was tried.
    pub(super) fn standing(&self) -> (u64, Option<Duration>) {
        let now = self.clock.monotonic();
        let state = self.state();
        let size = state.last.as_ref().map_or(0, |last| last.checkpoint().size);
        (size, state.tried.map(|tried| now.saturating_sub(tried)))
    }

    /// Lets the hook take the last checkpoint, for as long as it is given.
    pub(super) fn finish(&self) {
        if let Some(hook) = &self.hook {
            hook.finish();
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held for a moment: nothing is called, and no other lock taken, meanwhile.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
