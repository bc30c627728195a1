//! Money that is spent, and somebody who is busy already.

use std::sync::Arc;

use axum::{Router, routing::any};
use tokio::{io::AsyncWriteExt, sync::Notify};
use tower::Layer;
use zt_core::{
    clock::ManualClock,
    decision::Code,
    gate::{OpenContextLayer, Settings},
    headers::SetSecurityHeadersLayer,
};
use zt_examples::raw::{connect, send};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, LimitRateLayer, Limits, Who,
    counter::MemoryCounters,
    limit::Window,
    limits::{Level, Policy, Subjects},
};

use super::{App, bodies, head, refused, serve};

pub(super) async fn spent_and_busy() -> Vec<Code> {
    let clock = ManualClock::default();
    let limits = |limit: Limit| {
        let policy = Policy::new([Level::new("everybody", [limit])]).unwrap();
        let limits = Limits::builder(MemoryCounters::default());
        limits.clock(clock.clone()).build(policy).unwrap()
    };
    let everybody = || Who::of_request(|_, _| Some(Subjects::new(["everybody"])));
    let router = |slow: Arc<Notify>| {
        let slow = move || {
            slow.notify_one();
            std::future::pending::<()>()
        };
        Router::new()
            .route("/slow", any(slow))
            .fallback(any(|| async { "fine" }))
    };
    macro_rules! app {
        ($layer:expr, $router:expr) => {{
            let service = SetSecurityHeadersLayer::api().layer($layer.layer($router));
            let settings = Settings::default().with_clock(clock.clone());
            App::new(bodies(OpenContextLayer::new(settings).layer(service)))
        }};
    }

    let dollar: Cost = "1 USD".parse().unwrap();
    let day = limits(Limit::budget("day", dollar, Window::day()).unwrap());
    let charge = ChargeBudgetLayer::hard(day, everybody(), dollar).unwrap();
    let app = app!(charge, router(Arc::default()));
    let address = serve(app.clone()).await;
    let plain = [b"GET ".as_slice(), &head("/", &[]), b"\r\n"].concat();
    let answer = send([127, 0, 2, 60], address, &plain).await.unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    refused(app, Code::BudgetExhausted, 60, head("/", &[])).await;

    let one = limits(Limit::concurrency("at-once", 1).unwrap());
    let limit = LimitRateLayer::by_limits(one, everybody()).unwrap();
    let begun = Arc::new(Notify::new());
    let app = app!(limit, router(Arc::clone(&begun)));
    let address = serve(app.clone()).await;
    let mut busy = connect([127, 0, 2, 61], address).await.unwrap();
    let slow = [b"GET ".as_slice(), &head("/slow", &[]), b"\r\n"].concat();
    busy.write_all(&slow).await.unwrap();
    begun.notified().await;
    refused(app, Code::ConcurrencyLimited, 61, head("/", &[])).await;
    drop(busy);

    vec![Code::BudgetExhausted, Code::ConcurrencyLimited]
}
