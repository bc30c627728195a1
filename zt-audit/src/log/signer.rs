//! Signed checkpoints: over what is durable, one after the other.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use zt_core::clock::Clock;

use super::{SignError, hook::Hook, news::News};
use crate::{
    format::name,
    note::{Checkpoint, SignedCheckpoint, SigningKey, VerifierKey},
    storage::Storage,
};

pub(super) struct Signer {
    origin: Arc<str>,
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    news: Arc<News>,
    hook: Option<Hook>,
    state: Mutex<State>,
}

struct State {
    key: Arc<SigningKey>,
    last: Option<SignedCheckpoint>,
    tried: Option<Duration>,
    failed: Option<SignError>,
}

impl Signer {
    pub(super) const fn new(
        origin: Arc<str>,
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        news: Arc<News>,
        hook: Option<Hook>,
        key: Arc<SigningKey>,
        last: Option<SignedCheckpoint>,
    ) -> Self {
        Self {
            origin,
            storage,
            clock,
            news,
            hook,
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
        self.sign_with(&mut self.lock())
    }

    fn sign_with(&self, state: &mut State) -> Result<SignedCheckpoint, SignError> {
        state.tried = Some(self.clock.monotonic());
        let signed = self.try_to_sign(state);
        match &signed {
            Ok(signed) => {
                if state.failed.take().is_some() {
                    tracing::info!("checkpoints of the audit log are signed again");
                }
                state.last = Some(signed.clone());
                if let Some(hook) = &self.hook {
                    hook.tell(signed.clone());
                }
            }
            Err(error) => {
                if state.failed.is_none() {
                    tracing::error!(%error, "a checkpoint of the audit log could not be signed");
                }
                state.failed = Some(error.clone());
            }
        }
        signed
    }

    fn try_to_sign(&self, state: &State) -> Result<SignedCheckpoint, SignError> {
        let at = self.clock.now()?;
        let (size, root) = {
            let told = self.news.look();
            (told.tree.size(), told.root)
        };
        let checkpoint = Checkpoint {
            origin: self.origin.to_string(),
            size,
            root,
        };
        let signed = SignedCheckpoint::sign(checkpoint, &state.key, at);
        self.storage
            .replace(name::CHECKPOINT, signed.encode().as_bytes())
            .map_err(|error| SignError::File(error.to_string()))?;
        Ok(signed)
    }

    /// Has the next checkpoint signed by another key: `change` has the one in force, and nothing is
    /// signed before it has returned.
    pub(super) fn rotate<E: From<SignError>>(
        &self,
        next: Arc<SigningKey>,
        change: impl FnOnce(&Arc<SigningKey>) -> Result<(), E>,
    ) -> Result<SignedCheckpoint, E> {
        let mut state = self.lock();
        change(&state.key)?;
        state.key = next;
        Ok(self.sign_with(&mut state)?)
    }

    pub(super) fn last(&self) -> Option<SignedCheckpoint> {
        self.lock().last.clone()
    }

    pub(super) fn failed(&self) -> Option<SignError> {
        self.lock().failed.clone()
    }

    pub(super) fn verifier(&self) -> VerifierKey {
        self.lock().key.verifier()
    }

    /// How many records the last checkpoint covers, and how long ago one was tried.
    pub(super) fn standing(&self) -> (u64, Option<Duration>) {
        let state = self.lock();
        let size = state.last.as_ref().map_or(0, |last| last.checkpoint().size);
        let now = self.clock.monotonic();
        (size, state.tried.map(|tried| now.saturating_sub(tried)))
    }

    /// Lets the hook take the last checkpoint, for as long as it is given.
    pub(super) fn finish(&self) {
        if let Some(hook) = &self.hook {
            hook.finish();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
