//! Stacks made by hand, in every order but the right one.
//!
//! The builder fixes the order at compile time. By hand it can be got wrong, and then the answer is
//! `stack-misordered`, whichever two layers changed places; a handler is never reached.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use tower::{Layer, ServiceExt as _, service_fn};
use zt_audit::RecordAuditLayer;
use zt_core::{
    authorize::{Access, AuthorizeLayer},
    body::{BoxError, RequestBody},
    clock::SystemClock,
    headers::SetSecurityHeadersLayer,
    sanction::EnforceSanctionsLayer,
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    state::{MemoryRecorder, Sanctions},
    store::MemoryStore,
    validate::ValidateRequestLayer,
};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, LimitRateLayer, Limits, Quota, Who,
    counter::MemoryCounters,
    limit::Window,
    limits::{Level, Policy},
};

use super::{App, ask, serve};

/// The layers in their right order, the outermost first.
const ORDER: [&str; 9] = [
    "headers",
    "record",
    "validate",
    "limit-peer",
    "authenticate",
    "sanctions",
    "authorize",
    "limit",
    "commit",
];

struct Kit {
    record: RecordAuditLayer,
    tokens: ServiceTokens,
    token: String,
    reached: Arc<AtomicUsize>,
}

impl Kit {
    async fn new() -> Self {
        let store = Arc::new(MemoryStore::new(SystemClock));
        let tokens = ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("test"))
            .await
            .unwrap();
        let token = tokens
            .mint(MintRequest::new("client", "test").insecure_never_expires())
            .await
            .unwrap();
        Self {
            record: RecordAuditLayer::new(MemoryRecorder::new(16)),
            token: token.clear.expose().to_owned(),
            tokens,
            reached: Arc::default(),
        }
    }

    fn handler(&self) -> App {
        let reached = Arc::clone(&self.reached);
        boxed(service_fn(move |_: Request| {
            reached.fetch_add(1, Ordering::SeqCst);
            async { Ok(Response::new(Body::from("reached"))) }
        }))
    }

    fn layer(&self, name: &str, inner: App) -> App {
        let quota = |name| Quota::new(name, 1_000_000, Duration::from_secs(1)).unwrap();
        match name {
            "headers" => boxed(SetSecurityHeadersLayer::api().layer(inner)),
            "record" => boxed(self.record.layer(inner)),
            "validate" => {
                // The one layer that hands on another body.
                let inner = service_fn(move |request: Request<RequestBody<Body>>| {
                    inner.clone().oneshot(request.map(Body::new))
                });
                boxed(ValidateRequestLayer::default().layer(inner))
            }
            "limit-peer" => boxed(LimitRateLayer::by_peer(quota("peer")).layer(inner)),
            "authenticate" => boxed(VerifyServiceTokenLayer::new(self.tokens.clone()).layer(inner)),
            "sanctions" => {
                boxed(EnforceSanctionsLayer::new(Sanctions::local(SystemClock)).layer(inner))
            }
            "authorize" => boxed(AuthorizeLayer::new(|_: &Access<'_>| true).layer(inner)),
            "limit" => boxed(LimitRateLayer::by_principal(quota("principal")).layer(inner)),
            "charge" => {
                let day = Limit::budget("day", money("1 USD"), Window::day()).unwrap();
                let policy = Policy::new([Level::new("caller", [day])]).unwrap();
                let limits = Limits::builder(MemoryCounters::default());
                let limits = limits.build(policy).unwrap();
                let cent = money("0.01 USD");
                let layer = ChargeBudgetLayer::hard(limits, Who::by_principal(), cent);
                boxed(layer.unwrap().layer(inner))
            }
            "commit" => boxed(self.record.commit().layer(inner)),
            _ => unreachable!("{name}"),
        }
    }

    fn stack(&self, order: &[&str]) -> App {
        order
            .iter()
            .rev()
            .fold(self.handler(), |inner, name| self.layer(name, inner))
    }

    async fn answer(&self, order: &[&str]) -> zt_examples::raw::Answer {
        let address = serve(self.stack(order)).await;
        ask(
            address,
            "GET /",
            &[&format!("X-Service-Token: {}", self.token)],
            "",
        )
        .await
    }
}

fn money(text: &str) -> Cost {
    text.parse().unwrap()
}

/// With a rate, and with money, which stand in one place.
fn orders() -> [[&'static str; 9]; 2] {
    let with_money = ORDER.map(|name| if name == "limit" { "charge" } else { name });
    [ORDER, with_money]
}

fn boxed<S, B>(service: S) -> App
where
    S: tower::Service<Request, Response = Response<B>, Error = std::convert::Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
    B: axum::body::HttpBody<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    App::new(service.map_response(|response: Response<B>| response.map(Body::new)))
}

#[tokio::test]
async fn the_right_order_passes() {
    let kit = Kit::new().await;
    for order in orders() {
        let answer = kit.answer(&order).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "reached"));
    }
}

#[tokio::test]
async fn any_two_layers_that_change_places_refuse() {
    let kit = Kit::new().await;
    let pairs = (0..ORDER.len()).flat_map(|second| (0..second).map(move |first| (first, second)));
    for (right, (first, second)) in orders()
        .into_iter()
        .flat_map(|right| pairs.clone().map(move |pair| (right, pair)))
    {
        let mut order = right;
        order.swap(first, second);
        let answer = kit.answer(&order).await;
        let what = format!("{} and {}: {answer:?}", right[first], right[second]);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "stack-misordered"),
            "{what}"
        );
    }
    assert_eq!(kit.reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn layers_that_need_another_refuse_where_it_is_missing() {
    let kit = Kit::new().await;
    for (missing, needed_by) in [
        ("record", "the commit needs the record"),
        (
            "authenticate",
            "sanctions, authorization and limits need an identity",
        ),
        ("authorize", "the commit needs a permit"),
    ] {
        let order: Vec<&str> = ORDER.into_iter().filter(|name| *name != missing).collect();
        let answer = kit.answer(&order).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (500, "stack-misordered"),
            "{needed_by}"
        );
    }
    assert_eq!(kit.reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn each_layer_works_alone() {
    let kit = Kit::new().await;
    // Those that need nothing before them.
    for name in [
        "headers",
        "record",
        "validate",
        "limit-peer",
        "authenticate",
    ] {
        let answer = kit.answer(&[name]).await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
    // Those that do say so.
    for name in ["sanctions", "authorize", "limit", "charge", "commit"] {
        assert_eq!(
            kit.answer(&[name]).await.code(),
            "stack-misordered",
            "{name}"
        );
    }
}
