//! Checkpoints on their way to a second place.
//!
//! The application's hook runs on a thread of its own and outside of every lock: while it hangs,
//! checkpoints are signed all the same, and it gets the latest when it comes back. Where it panics
//! it is called again with the next.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use super::options::OnCheckpoint;
use crate::note::SignedCheckpoint;

/// A log that is closed waits so long for the hook.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct Hook(Arc<Post>);

#[derive(Default)]
struct Post {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    latest: Option<SignedCheckpoint>,
    busy: bool,
    ended: bool,
}

impl Hook {
    pub(super) fn start(call: OnCheckpoint) -> io::Result<Self> {
        let post = Arc::new(Post::default());
        let worker = Arc::clone(&post);
        thread::Builder::new()
            .name("zt-audit-hook".to_owned())
            .spawn(move || worker.run(&call))?;
        Ok(Self(post))
    }

    pub(super) fn tell(&self, signed: SignedCheckpoint) {
        self.0.lock().latest = Some(signed);
        self.0.changed.notify_all();
    }

    /// Waits until the hook has the latest; not for ever.
    pub(super) fn finish(&self) {
        let state = self.0.lock();
        let busy = |state: &mut State| state.latest.is_some() || state.busy;
        let waited = self.0.changed.wait_timeout_while(state, PATIENCE, busy);
        drop(waited);
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.0.lock().ended = true;
        self.0.changed.notify_all();
    }
}

impl Post {
    fn run(&self, call: &OnCheckpoint) {
        while let Some(signed) = self.next() {
            if catch_unwind(AssertUnwindSafe(|| call(&signed))).is_err() {
                tracing::error!("the hook for checkpoints of the audit log panicked");
            }
        }
    }

    fn next(&self) -> Option<SignedCheckpoint> {
        let mut state = self.lock();
        state.busy = false;
        self.changed.notify_all();
        loop {
            if let Some(signed) = state.latest.take() {
                state.busy = true;
                return Some(signed);
            }
            if state.ended {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
