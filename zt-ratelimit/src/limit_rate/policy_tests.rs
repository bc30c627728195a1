//! Limits of a policy: rates and permits of several levels at once.

use std::{sync::Arc, time::Duration};

use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::tests::{Names, Resolves, denial, from, handler};
use super::*;

use http::Request;
use tower::Layer as _;
use zt_core::{
    clock::ManualClock,
    decision::Code,
    gate::{FnCheck, GateLayer, Link, Settings},
};

use crate::{
    Limit, Limits, Who,
    counter::{CounterStore as _, MemoryCounters, Moment},
    limit::Window,
    limits::{Level, LimitsError, Policy},
};

struct Stand {
    clock: ManualClock,
    counters: MemoryCounters,
    limits: Limits,
}

impl Stand {
    fn new() -> Self {
        let rate = |name: &str, count| Limit::rate(name, count, Duration::from_secs(10)).unwrap();
        let policy = Policy::new([
            Level::new("tenant", [rate("tenant", 5)]),
            Level::new(
                "caller",
                [
                    rate("caller", 3),
                    Limit::concurrency("parallel", 2).unwrap(),
                ],
            ),
        ]);
        let (clock, counters) = (ManualClock::default(), MemoryCounters::new());
        let limits = Limits::builder(counters.clone())
            .clock(clock.clone())
            .build(policy.unwrap())
            .unwrap();
        Self {
            clock,
            counters,
            limits,
        }
    }

    fn layer(&self) -> LimitRateByPolicyLayer {
        LimitRateLayer::by_limits(self.limits.clone(), Who::by_tenant_and_principal()).unwrap()
    }

    async fn ask(
        &self,
        layer: LimitRateByPolicyLayer,
        user: &str,
    ) -> http::Response<zt_core::body::ZtBody<http_body_util::Full<bytes::Bytes>>> {
        let settings = Arc::new(Settings::default().with_clock(self.clock.clone()));
        let chain = Link::first(Resolves).then(Names).then(layer);
        let service = GateLayer::new(chain, settings).layer(handler());
        let request = from("192.0.2.7").header("x-user", format!("issuer/{user}"));
        service.oneshot(request.body(()).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn refuses_where_any_limit_has_no_room_and_spends_nothing_then() {
    let stand = Stand::new();
    for _ in 0..3 {
        let served = stand.ask(stand.layer(), "alice/acme").await;
        assert_eq!(served.status(), 200);
        served.into_body().collect().await.unwrap();
    }
    for _ in 0..5 {
        let refused = stand.ask(stand.layer(), "alice/acme").await;
        assert_eq!(denial(&refused).code(), Code::RateLimited);
        assert_eq!(
            denial(&refused).violated_policies(),
            [Arc::<str>::from("caller")]
        );
        assert_eq!(denial(&refused).retry_after_secs(), Some(4));
    }
    // Alice's refusals have cost her tenant nothing: there is room for two.
    for status in [200, 200, 429] {
        let answer = stand.ask(stand.layer(), "bob/acme").await;
        assert_eq!(answer.status(), status);
        if status == 429 {
            assert_eq!(
                denial(&answer).violated_policies(),
                [Arc::<str>::from("tenant")]
            );
        }
    }
    assert_eq!(stand.ask(stand.layer(), "alice/other").await.status(), 200);
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_has_ended() {
    let stand = Stand::new();
    let first = stand.ask(stand.layer(), "alice/acme").await;
    let second = stand.ask(stand.layer(), "alice/acme").await;
    let refused = stand.ask(stand.layer(), "alice/acme").await;
    assert_eq!(denial(&refused).code(), Code::ConcurrencyLimited);
    assert_eq!(
        denial(&refused).violated_policies(),
        [Arc::<str>::from("parallel")]
    );
    assert_eq!(denial(&refused).retry_after_secs(), Some(1));
    first.into_body().collect().await.unwrap();
    assert_eq!(stand.ask(stand.layer(), "alice/acme").await.status(), 200);
    drop(second);
    assert_eq!(stand.counters.live_holds(), 0);
}

#[tokio::test]
async fn answers_say_where_the_caller_stands_at_the_innermost_level() {
    let stand = Stand::new();
    let served = stand.ask(stand.layer(), "alice/acme").await;
    let all = |name: &str| -> Vec<String> {
        let values = served.headers().get_all(name).iter();
        values
            .map(|value| value.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        all("ratelimit-policy"),
        [
            r#""caller";q=3;w=10"#,
            r#""parallel";q=2;qu="concurrent-requests""#
        ]
    );
    assert!(all("ratelimit")[0].starts_with(r#""caller";r=2;t="#));
    let silent = stand
        .ask(stand.layer().without_headers(), "alice/acme")
        .await;
    assert!(!silent.headers().contains_key("ratelimit"));
}

#[tokio::test]
async fn a_request_that_weighs_more_than_the_burst_is_told_no_time() {
    let stand = Stand::new();
    let refused = stand
        .ask(stand.layer().weight(|_, _| 4), "alice/acme")
        .await;
    assert_eq!(denial(&refused).code(), Code::RateLimited);
    assert_eq!(denial(&refused).retry_after_secs(), None);
    let served = stand
        .ask(stand.layer().weight(|_, _| 3), "alice/acme")
        .await;
    assert_eq!(served.status(), 200);
}

#[tokio::test]
async fn a_permit_lives_as_long_as_pieces_go_out_and_comes_back_when_a_later_check_refuses() {
    use http_body::Body as _;

    let stand = Stand::new();
    let pieces = |_: Request<()>| async {
        let piece = || Ok::<_, std::convert::Infallible>(http_body::Frame::data("x".into()));
        let stream = futures_util::stream::repeat_with(piece);
        Ok::<_, std::convert::Infallible>(http::Response::new(http_body_util::StreamBody::new(
            stream,
        )))
    };
    let settings = Arc::new(Settings::default().with_clock(stand.clock.clone()));
    let chain = Link::first(Names).then(stand.layer());
    let service = GateLayer::new(chain, Arc::clone(&settings)).layer(tower::service_fn(pieces));
    let request = || {
        Request::builder()
            .header("x-user", "issuer/alice/acme")
            .body(())
            .unwrap()
    };
    let mut body = Box::pin(service.oneshot(request()).await.unwrap().into_body());
    for _ in 0..5 {
        let piece = std::future::poll_fn(|task| body.as_mut().poll_frame(task)).await;
        assert!(piece.unwrap().is_ok());
        stand.clock.advance(Duration::from_secs(36));
        let now = Moment::of(&stand.clock).unwrap();
        let expired = stand.counters.expire(100, now).wait().await.unwrap();
        assert!(expired.is_empty());
    }
    assert_eq!(stand.counters.live_holds(), 1);
    drop(body);
    assert_eq!(stand.counters.live_holds(), 0);

    let refuses = FnCheck::new(
        |_: &mut http::request::Parts, _: &mut zt_core::context::SecurityContext| {
            Err(Code::AuditUnavailable.into())
        },
    );
    let chain = Link::first(Names).then(stand.layer()).then(refuses);
    let service = GateLayer::new(chain, settings).layer(handler());
    let refused = service.oneshot(request()).await.unwrap();
    assert_eq!(denial(&refused).code(), Code::AuditUnavailable);
    assert_eq!(stand.counters.live_holds(), 0);
}

#[tokio::test]
async fn without_authentication_it_is_misordered_and_public_routes_pass() {
    let stand = Stand::new();
    let settings = Arc::new(Settings::default().with_clock(stand.clock.clone()));
    let service =
        GateLayer::new(Link::first(stand.layer()), Arc::clone(&settings)).layer(handler());
    let refused = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(denial(&refused).code(), Code::StackMisordered);
    let chain = Link::first(Resolves).then(Names).then(stand.layer());
    let service = GateLayer::new(chain, settings).layer(handler());
    for _ in 0..9 {
        let request = Request::get("/health").body(()).unwrap();
        assert_eq!(
            service.clone().oneshot(request).await.unwrap().status(),
            200
        );
    }
    let nobody = service.oneshot(Request::new(())).await.unwrap();
    assert_eq!(denial(&nobody).code(), Code::CredentialMissing);
}

#[test]
fn a_policy_with_budgets_is_not_taken() {
    let budget = Limit::budget("day", "1 USD".parse().unwrap(), Window::day()).unwrap();
    let policy = Policy::new([Level::new("key", [budget])]).unwrap();
    let limits = Limits::builder(MemoryCounters::new())
        .build(policy)
        .unwrap();
    let made = LimitRateLayer::by_limits(limits, Who::by_principal());
    assert_eq!(made.unwrap_err(), LimitsError::Budgets);
}
