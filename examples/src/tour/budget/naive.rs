//! A budget as it is often written: look whether there is money, serve, then write down what was
//! spent.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};
use zt_ratelimit::Cost;

/// The money, and what each request costs.
#[derive(Debug, Clone)]
pub(super) struct Naive {
    pub(super) limit: Cost,
    pub(super) price: Cost,
    pub(super) recorded: Arc<AtomicU64>,
}

/// Checks, then records.
pub(super) async fn check(State(naive): State<Naive>, request: Request, next: Next) -> Response {
    if naive.recorded.load(Ordering::SeqCst) + naive.price.nanos() > naive.limit.nanos() {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    }
    let response = next.run(request).await;
    // Those that were let in meanwhile have all seen the old sum, and a client that has gone away
    // is forgotten here.
    naive
        .recorded
        .fetch_add(naive.price.nanos(), Ordering::SeqCst);
    response
}
