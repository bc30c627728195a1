//! The overspend race: a thousand requests at once on money for fifty, and a third of the clients
//! goes away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, middleware, routing::post};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use zt_core::clock::{Clock, SystemClock};
use zt_ratelimit::{Cost, Limit, Limits, limit::Window};

use super::{super::Report, naive};
use crate::{
    Result,
    swarm::{Fate, Swarm},
};

const REQUESTS: usize = 1_000;
/// Longer than it takes until all thousand are there.
const SERVED_IN: Duration = Duration::from_millis(150);

/// What the service behind the budget has begun to do, and would bill for.
#[derive(Debug, Clone, Default)]
struct Upstream(Arc<AtomicU64>);

impl Upstream {
    async fn serve(self) -> &'static str {
        self.0.fetch_add(1, Ordering::SeqCst);
        SystemClock.sleep(SERVED_IN).await;
        "served"
    }

    fn billed(&self, price: Cost) -> Cost {
        let nanos = self.0.load(Ordering::SeqCst) * price.nanos();
        Cost::from_nanos(nanos, price.currency())
    }
}
