//! Work that blocks or takes long, on a thread of its own.
//!
//! Not on one of tokio's threads for what blocks: requests may hold all of them, and what revokes must
//! not wait for those who are to be revoked.

use std::{future::Future, thread};

use tokio::sync::oneshot;

/// What `work` gives; nothing where it panicked, or there was no thread for it. It has begun when this
/// returns, and goes on when the future is dropped.
pub(crate) fn apart<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> impl Future<Output = Option<T>> + Send {
    let (done, outcome) = oneshot::channel();
    let work = move || drop(done.send(work()));
    drop(
        thread::Builder::new()
            .name("zt-mtls".to_owned())
            .spawn(work),
    );
    async { outcome.await.ok() }
}
