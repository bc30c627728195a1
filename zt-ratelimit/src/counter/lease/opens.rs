//! How many leases are out, so that whoever shuts down can wait until none is.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

#[derive(Debug, Clone, Default)]
pub(super) struct Opens(Arc<Count>);

#[derive(Debug, Default)]
struct Count {
    open: AtomicUsize,
    none: Notify,
}

/// One that is out, until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Opens);

impl Opens {
    pub(super) fn open(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Open(self.clone())
    }

    pub(super) fn count(&self) -> usize {
        self.0.open.load(Ordering::Acquire)
    }

    /// Waits until none is out.
    pub(super) async fn none(&self) {
        loop {
            let none = self.0.none.notified();
            let mut none = std::pin::pin!(none);
            // From here on no notice is missed.
            none.as_mut().enable();
            if self.count() == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if self.0.0.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.0.none.notify_waiters();
        }
    }
}

/// Settlements of leases that are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Returns(Arc<Attempts>);

#[derive(Debug, Default)]
struct Attempts {
    open: AtomicUsize,
    ended: Arc<Notify>,
}

/// One attempt, until it is dropped.
#[derive(Debug)]
pub(super) struct Attempt(Returns);

impl Returns {
    pub(super) fn begin(&self) -> Attempt {
        self.0.open.fetch_add(1, Ordering::AcqRel);
        Attempt(self.clone())
    }

    /// Ready when one of those that are under way has ended; `None` where there is none.
    pub(super) fn under_way(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        let mut ended = Box::pin(Arc::clone(&self.0.ended).notified_owned());
        // From here on no notice is missed.
        ended.as_mut().enable();
        (self.0.open.load(Ordering::Acquire) > 0).then_some(ended)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.0.ended.notify_waiters();
    }
}
