//! The thread beside the writer: what has to be done, and nobody waits for.

use std::{sync::Arc, time::Duration};

use super::{core::Core, hashes::TreeKeeper};

/// Zeroes ahead, writes the tree's hashes, signs; until the writer is gone.
pub(super) struct Keeper {
    core: Arc<Core>,
    tree: TreeKeeper,
    sign_every: Duration,
    sign_idle: Duration,
}

/// How often it looks whether what was counted is to be written.
const SWEEP: Duration = Duration::from_secs(1);

impl Keeper {
    pub(super) const fn new(
        core: Arc<Core>,
        tree: TreeKeeper,
        sign_every: Duration,
        sign_idle: Duration,
    ) -> Self {
        Self {
            core,
            tree,
            sign_every,
            sign_idle,
        }
    }

    pub(super) fn run(mut self) {
        // At first, so that the key is bound to the log from its first second on.
        self.sign();
        loop {
            // Where there is no room now it is tried again a little later.
            let more = self.core.ground.work().unwrap_or(false);
            if !more {
                self.wait();
            }
            let (rolled, ended) = self.core.news.take_tasks();
            if ended {
                break;
            }
            self.core.shared.sweep(self.core.clock.monotonic());
            if rolled || self.due().is_zero() {
                self.sign();
            }
        }
        self.sign();
        self.tree.finish(&self.core);
        self.core.signer.finish();
    }

    /// Until the next checkpoint is due, or something is wanted at once.
    fn wait(&self) {
        let due = self.due().min(SWEEP);
        let signed = self.core.signer.standing().0;
        let idle = self.core.news.size() == signed;
        self.core.news.wait(due, idle.then_some(signed));
    }

    /// After how long the next checkpoint is due.
    fn due(&self) -> Duration {
        let (signed, ago) = self.core.signer.standing();
        let size = self.core.news.size();
        let span = if size > signed {
            self.sign_every
        } else {
            self.sign_idle
        };
        ago.map_or(Duration::ZERO, |ago| span.saturating_sub(ago))
    }

    fn sign(&mut self) {
        self.tree.take(&self.core);
        // What went wrong stands in the log's health, and it is tried again.
        let _ = self.core.signer.sign();
    }
}
