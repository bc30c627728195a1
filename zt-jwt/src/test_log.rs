//! Logs of one test's thread.

use tracing::{Event, Metadata, Subscriber, span, subscriber::DefaultGuard};

/// Shows `hear` what this thread logs about this crate, until the guard goes.
///
/// A line that another test's thread reaches for the first time at this moment may be taken for one
/// that nobody listens to, and stay so: the lines are asked again.
pub(crate) fn listen(hear: impl Fn(&Event<'_>) + Send + Sync + 'static) -> DefaultGuard {
    let guard = tracing::subscriber::set_default(Listener(hear));
    tracing::callsite::rebuild_interest_cache();
    guard
}

struct Listener<F>(F);

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Subscriber for Listener<F> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("zt_jwt")
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        (self.0)(event);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
