//! Logs of one test's thread.

use tracing::{Subscriber, subscriber::DefaultGuard};

/// Shows what this thread logs to `subscriber`, until the guard goes.
///
/// A line that another test's thread reaches for the first time at this moment may be taken for one
/// that nobody listens to, and stay so: the lines are asked again.
pub(crate) fn listen(subscriber: impl Subscriber + Send + Sync + 'static) -> DefaultGuard {
    let guard = tracing::subscriber::set_default(subscriber);
    tracing::callsite::rebuild_interest_cache();
    guard
}
