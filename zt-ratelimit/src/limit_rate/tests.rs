use std::{convert::Infallible, future::Future, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tower::{Layer, Service, ServiceExt, service_fn};
use zt_core::{
    authenticate::InsecureAnonymous,
    body::ZtBody,
    clock::ManualClock,
    context::{ForwardedHeader, PeerAddr, SecurityContext, Stage, TrustedProxies},
    decision::{Code, Denial},
    gate::{Chain, Check, FnCheck, GateLayer, Link, OpenContextLayer, Settings, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
    stack::slots::{LimitsPeer, Spends},
    state::{RouteRule, Routes},
};

use super::{key::network, *};

type Body = ZtBody<Full<Bytes>>;

/// Names the caller as the request's `x-user` says, `issuer/subject/tenant` or only a subject.
#[derive(Clone)]
pub(super) struct Names;

impl Check for Names {
    type Guard = ();
    const NAME: &'static str = "names";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        let Some(user) = parts.headers.get("x-user") else {
            cx.set_principal(Arc::new(Principal::anonymous()));
            return Step::pass(());
        };
        let names: Vec<&str> = user.to_str().unwrap().split('/').collect();
        let made = |subject: &str| {
            Principal::assertion(PrincipalKind::User, subject.to_owned(), AuthMethod::Jwt)
        };
        let principal = match names[..] {
            [issuer, subject, tenant] => made(subject)
                .issuer(issuer.to_owned())
                .tenant(tenant.to_owned()),
            _ => made(names[0]),
        };
        cx.set_principal(Arc::new(principal.finish()));
        Step::pass(())
    }
}

/// Makes `/health` public.
#[derive(Clone)]
pub(super) struct Resolves;

impl Check for Resolves {
    type Guard = ();
    const NAME: &'static str = "resolves";
    const STAGE: Stage = Stage::Validate;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        let routes = Routes::builder()
            .route(RouteRule::new(Method::GET, "/health").public())
            .build()
            .unwrap();
        if let Some(route) = routes.resolve(&parts.method, parts.uri.path()) {
            cx.set_route(route);
        }
        Step::pass(())
    }
}

fn quota(name: &str, requests: u32, secs: u64) -> Quota {
    Quota::new(name, requests, Duration::from_secs(secs)).unwrap()
}

pub(super) fn handler()
-> impl Service<Request<()>, Response = Response<Full<Bytes>>, Error = Infallible, Future: Send> + Clone
{
    service_fn(|_: Request<()>| async { Ok(Response::new(Full::from("served"))) })
}

/// The chain behind a clock that stands where it is told to.
struct Stand<C> {
    clock: ManualClock,
    gate: C,
}

fn stand<C: Chain<()>>(
    settings: Settings,
    chain: C,
) -> Stand<impl Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone> {
    let clock = ManualClock::default();
    let settings = Arc::new(settings.with_clock(clock.clone()));
    let gate = GateLayer::new(chain, settings).layer(handler());
    Stand { clock, gate }
}

impl<C> Stand<C>
where
    C: Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone,
{
    fn ask(&self, request: http::request::Builder) -> impl Future<Output = Response<Body>> {
        let asked = self.gate.clone().oneshot(request.body(()).unwrap());
        async { asked.await.unwrap_or_else(|never| match never {}) }
    }

    async fn status(&self, request: http::request::Builder) -> u16 {
        self.ask(request).await.status().as_u16()
    }
}

pub(super) fn from(peer: &str) -> http::request::Builder {
    let peer: SocketAddr = if peer.contains("]:") || peer.matches(':').count() == 1 {
        peer.parse().unwrap()
    } else {
        SocketAddr::new(peer.parse().unwrap(), 4000)
    };
    Request::builder().extension(PeerAddr(peer))
}

pub(super) fn denial<B>(response: &Response<B>) -> &Denial {
    response.extensions().get().expect("a denial")
}

/// One member of a list: its name and its parameters.
type Item = (String, Vec<(String, u64)>);

/// RFC 9651 lists of strings with integer parameters, over all fields of a name.
fn items(headers: &HeaderMap, name: &str) -> Vec<Item> {
    let fields: Vec<&str> = headers
        .get_all(name)
        .iter()
        .map(|value| value.to_str().unwrap())
        .collect();
    let joined = fields.join(", ");
    let mut rest = joined.as_str();
    let mut items = Vec::new();
    while !rest.is_empty() {
        rest = rest.strip_prefix('"').expect("a string");
        let (name, tail) = rest.split_once('"').expect("the string's end");
        rest = tail;
        let mut parameters = Vec::new();
        while let Some(tail) = rest.strip_prefix(';') {
            let (key, tail) = tail.split_once('=').expect("a value");
            assert!(key.bytes().all(|byte| byte.is_ascii_lowercase()));
            let end = tail.find([';', ',']).unwrap_or(tail.len());
            let (value, tail) = tail.split_at(end);
            assert!(value.len() <= 15, "RFC 9651 section 3.3.1");
            assert!(value == "0" || !value.starts_with('0'));
            parameters.push((key.to_owned(), value.parse().unwrap()));
            rest = tail;
        }
        items.push((name.to_owned(), parameters));
        rest = rest.strip_prefix(", ").unwrap_or(rest);
    }
    items
}

fn item(name: &str, parameters: &[(&str, u64)]) -> Item {
    let owned = parameters
        .iter()
        .map(|(key, value)| ((*key).to_owned(), *value));
    (name.to_owned(), owned.collect())
}

fn fits_limits_peer<C: LimitsPeer>(_: &C) {}
fn fits_spends<C: Spends>(_: &C) {}

// Condition 1: it is known whose quota a request spends.

#[tokio::test]
async fn refuses_a_request_without_an_address_and_says_how_to_serve() {
    let layer = LimitRateLayer::by_peer(quota("burst", 9, 60));
    fits_limits_peer(&layer);
    let stand = stand(Settings::default(), Link::first(layer));
    let response = stand.ask(Request::builder()).await;
    assert_eq!(response.status(), 500);
    assert_eq!(denial(&response).code(), Code::StackMisordered);
    let detail = denial(&response).private_detail().unwrap();
    assert!(detail.contains("into_make_service_with_connect_info"));
}

#[tokio::test]
async fn refuses_an_anonymous_request_without_an_address() {
    let chain = Link::first(Names).then(LimitRateLayer::by_principal(quota("p", 9, 60)));
    let stand = stand(Settings::default(), chain);
    let response = stand.ask(Request::builder()).await;
    assert_eq!(denial(&response).code(), Code::StackMisordered);
    assert_eq!(
        stand.status(Request::builder().header("x-user", "a")).await,
        200
    );
}

#[tokio::test]
async fn refuses_a_request_whose_key_function_gives_nothing() {
    let key = |parts: &Parts, _: &SecurityContext| parts.headers.get("x-org").map(Key::of);
    let by_key = LimitRateLayer::by_key(quota("org", 9, 60), key);
    let by_request_key = LimitRateLayer::by_request_key(quota("org", 9, 60), key);
    fits_spends(&by_key);
    fits_limits_peer(&by_request_key);
    for response in [
        stand(Settings::default(), Link::first(Names).then(by_key))
            .ask(Request::builder())
            .await,
        stand(Settings::default(), Link::first(by_request_key))
            .ask(Request::builder())
            .await,
    ] {
        assert_eq!(response.status(), 400);
        assert_eq!(denial(&response).code(), Code::RequestMalformed);
    }
}

#[tokio::test]
async fn refuses_where_nobody_authenticates_outside_a_limit_by_principal_or_key() {
    let by_principal = LimitRateLayer::by_principal(quota("p", 9, 60));
    fits_spends(&by_principal);
    let response = stand(Settings::default(), Link::first(by_principal))
        .ask(from("192.0.2.1"))
        .await;
    assert_eq!(denial(&response).code(), Code::StackMisordered);
    let by_key = LimitRateLayer::by_key(quota("p", 9, 60), |_, _| Some(Key::of("all")));
    let response = stand(Settings::default(), Link::first(by_key))
        .ask(from("192.0.2.1"))
        .await;
    assert_eq!(denial(&response).code(), Code::StackMisordered);
}

#[tokio::test]
async fn refuses_a_limit_by_peer_that_stands_behind_authentication() {
    let chain = Link::first(Names).then(LimitRateLayer::by_peer(quota("burst", 9, 60)));
    let response = stand(Settings::default(), chain)
        .ask(from("192.0.2.1"))
        .await;
    assert_eq!(denial(&response).code(), Code::StackMisordered);
}

#[tokio::test]
async fn layers_in_the_wrong_order_refuse_each_other() {
    let open = OpenContextLayer::new(Settings::default());
    let by_principal = LimitRateLayer::by_principal(quota("p", 9, 60));
    let by_peer = LimitRateLayer::by_peer(quota("burst", 9, 60));
    let service = open.layer(by_principal.layer(by_peer.layer(handler())));
    let response = service
        .oneshot(from("192.0.2.1").body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(denial(&response).code(), Code::StackMisordered);
}

#[tokio::test]
async fn peers_do_not_share() {
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60));
    let stand = stand(Settings::default(), Link::first(layer));
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.2")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1:1")).await, 429);
}

#[test]
fn addresses_are_one_peer_where_they_are_one_network() {
    for (bits, one, other, same) in [
        (64, "192.0.2.1", "192.0.2.1", true),
        (64, "192.0.2.1", "192.0.2.2", false),
        (64, "192.0.2.1", "::ffff:192.0.2.1", true),
        (64, "::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
        (64, "2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        (64, "2001:db8:0:1::1", "2001:db8:0:2::1", false),
        (56, "2001:db8:0:1::1", "2001:db8:0:2::1", true),
        (56, "2001:db8:0:100::1", "2001:db8:0:200::1", false),
        (128, "2001:db8::1", "2001:db8::2", false),
        (32, "2001:db8:1::1", "2001:db8:2::1", true),
        (32, "2001:db8::1", "2001:db9::1", false),
    ] {
        let [first, second] = [one, other].map(|text| network(text.parse().unwrap(), bits));
        assert_eq!(first == second, same, "{one} {other} /{bits}");
    }
}

#[tokio::test]
async fn ipv6_neighbours_and_mapped_addresses_share() {
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60));
    let stand = stand(Settings::default(), Link::first(layer));
    assert_eq!(stand.status(from("2001:db8::1")).await, 200);
    assert_eq!(stand.status(from("2001:db8::2")).await, 429);
    assert_eq!(stand.status(from("2001:db8:0:1::1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("::ffff:192.0.2.1")).await, 429);
}

#[tokio::test]
async fn forwarded_addresses_count_only_from_trusted_proxies() {
    let network = "10.0.0.0/8".parse::<ipnet::IpNet>().unwrap();
    let proxies = TrustedProxies::new([network], ForwardedHeader::XForwardedFor);
    let clock = ManualClock::default();
    let settings = Settings::default().with_proxies(proxies).with_clock(clock);
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60));
    let service = OpenContextLayer::new(settings).layer(layer.layer(handler()));
    let mut statuses = Vec::new();
    for (peer, forwarded) in [
        ("10.0.0.1", "198.51.100.1"),
        ("10.0.0.2", "203.0.113.9, 198.51.100.1"),
        ("10.0.0.1", "198.51.100.2"),
        ("192.0.2.1", "198.51.100.3"),
        ("192.0.2.1", "198.51.100.4"),
    ] {
        let request = from(peer).header("x-forwarded-for", forwarded).body(());
        let response = service.clone().oneshot(request.unwrap()).await.unwrap();
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [200, 429, 200, 200, 429]);
}

#[tokio::test]
async fn principals_are_told_apart_by_issuer_subject_and_tenant_not_by_address() {
    let chain = Link::first(Names).then(LimitRateLayer::by_principal(quota("p", 1, 60)));
    let stand = stand(Settings::default(), chain);
    let ask = |user: &str, peer: &str| stand.ask(from(peer).header("x-user", user));
    for user in ["i/s/t", "j/s/t", "i/r/t", "i/s/u", "is//t", "s"] {
        assert_eq!(ask(user, "192.0.2.1").await.status(), 200, "{user}");
        assert_eq!(ask(user, "192.0.2.2").await.status(), 429, "{user}");
    }
}

#[tokio::test]
async fn anonymous_callers_share_by_address_apart_from_named_ones() {
    let layer = LimitRateLayer::by_principal(quota("p", 1, 60));
    let before = layer.counter_bytes();
    let stand = stand(Settings::default(), Link::first(Names).then(layer.clone()));
    assert_eq!(
        stand.status(from("192.0.2.1").header("x-user", "a")).await,
        200
    );
    assert_eq!(layer.counter_bytes(), before);
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
    assert_eq!(stand.status(from("192.0.2.2")).await, 200);
    assert_eq!(
        stand.status(from("192.0.2.1").header("x-user", "b")).await,
        200
    );
    assert_eq!(layer.counter_bytes(), 2 * before);
}

#[tokio::test]
async fn a_stack_without_authentication_limits_everybody_by_address() {
    let chain =
        Link::first(InsecureAnonymous).then(LimitRateLayer::by_principal(quota("p", 1, 60)));
    let stand = stand(Settings::default(), chain);
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
}

#[tokio::test]
async fn public_routes_pass_limits_by_principal_and_not_limits_by_peer() {
    let by_peer = LimitRateLayer::by_peer(quota("peer", 3, 60));
    let by_principal = LimitRateLayer::by_principal(quota("p", 1, 60));
    let by_key = LimitRateLayer::by_key(quota("k", 1, 60), |_, _| None);
    let chain = Link::first(Resolves)
        .then(by_peer)
        .then(Names)
        .then(by_principal)
        .then(by_key);
    let stand = stand(Settings::default(), chain);
    let health = || from("192.0.2.1").uri("/health");
    let first = stand.ask(health()).await;
    assert_eq!(first.status(), 200);
    assert_eq!(
        items(first.headers(), "ratelimit"),
        [item("peer", &[("r", 2), ("t", 20)])]
    );
    assert_eq!(stand.status(health()).await, 200);
    assert_eq!(stand.status(health()).await, 200);
    let refused = stand.ask(health()).await;
    assert_eq!(denial(&refused).code(), Code::RateLimited);
    assert_eq!(&*denial(&refused).violated_policies()[0], "peer");
}

// Condition 2: it does not weigh more than the burst.

#[tokio::test]
async fn refuses_a_weight_above_the_burst_without_retry_after() {
    let weigh = |parts: &Parts, _: &SecurityContext| {
        let weight = parts.headers.get("x-weight").unwrap();
        weight.to_str().unwrap().parse().unwrap()
    };
    let layer = LimitRateLayer::by_peer(quota("burst", 10, 10)).weight(weigh);
    let stand = stand(Settings::default(), Link::first(layer));
    let ask = |weight: u32| stand.ask(from("192.0.2.1").header("x-weight", weight));

    let never = ask(11).await;
    assert_eq!(never.status(), 429);
    assert_eq!(denial(&never).code(), Code::RateLimited);
    assert!(!never.headers().contains_key("retry-after"));
    assert_eq!(
        items(never.headers(), "ratelimit"),
        [item("burst", &[("r", 10)])]
    );

    let whole = ask(6).await;
    assert_eq!(
        items(whole.headers(), "ratelimit"),
        [item("burst", &[("r", 4), ("t", 1)])]
    );
    // Six more need two that are not there yet; four are there.
    let wait = ask(6).await;
    assert_eq!(wait.headers()["retry-after"], "2");
    assert_eq!(
        items(wait.headers(), "ratelimit"),
        [item("burst", &[("r", 4), ("t", 1)])]
    );
    assert_eq!(ask(4).await.status(), 200);
    assert_eq!(ask(1).await.status(), 429);
    // Nothing weighs nothing.
    let free = ask(0).await;
    assert_eq!(free.status(), 200);
    assert!(!free.headers().contains_key("ratelimit"));
}

// Condition 3: enough is left.

#[tokio::test]
async fn refuses_beyond_the_burst_until_the_moment_one_comes_back() {
    let quota = quota("burst", 60, 60).burst(3).unwrap();
    let stand = stand(
        Settings::default(),
        Link::first(LimitRateLayer::by_peer(quota)),
    );
    for _ in 0..3 {
        assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    }
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
    stand.clock.advance(Duration::from_nanos(999_999_999));
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
    stand.clock.advance(Duration::from_nanos(1));
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
    stand.clock.advance(Duration::from_secs(3600));
    for _ in 0..3 {
        assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    }
    assert_eq!(stand.status(from("192.0.2.1")).await, 429);
}

#[tokio::test]
async fn a_refusal_says_when_and_which_and_spends_nothing() {
    let layer = LimitRateLayer::by_peer(quota("burst", 2, 5));
    let stand = stand(Settings::default(), Link::first(layer));
    stand.ask(from("192.0.2.1")).await;
    stand.ask(from("192.0.2.1")).await;
    for (advance_ms, retry_after) in [(0, "3"), (1, "3"), (499, "2"), (999, "2"), (1000, "1")] {
        stand.clock.advance(Duration::from_millis(advance_ms));
        let response = stand.ask(from("192.0.2.1")).await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], retry_after);
        let [(_, parameters)] = &items(response.headers(), "ratelimit")[..] else {
            panic!("one member");
        };
        let [(_, remaining), (_, reset)] = &parameters[..] else {
            panic!("two parameters");
        };
        assert_eq!(*remaining, 0);
        // Section 6: `Retry-After` is not before `t`.
        assert!(retry_after.parse::<u64>().unwrap() >= *reset);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "rate-limited");
        assert_eq!(problem["violated-policies"][0], "burst");
    }
    // 2.499 s have passed, and waiting as long as the last answer said is enough.
    stand.clock.advance(Duration::from_secs(1));
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
}

#[tokio::test]
async fn fields_say_the_policy_and_where_the_caller_stands() {
    let quota = quota("burst", 100, 60);
    let stand = stand(
        Settings::default(),
        Link::first(LimitRateLayer::by_peer(quota)),
    );
    let response = stand.ask(from("192.0.2.1")).await;
    let headers = response.headers();
    assert_eq!(headers["ratelimit-policy"], r#""burst";q=100;w=60"#);
    assert_eq!(headers["ratelimit"], r#""burst";r=99;t=1"#);
    stand.clock.advance(Duration::from_millis(300));
    let response = stand.ask(from("192.0.2.1")).await;
    // Half of the first has come back, which is not a whole one.
    assert_eq!(response.headers()["ratelimit"], r#""burst";r=98;t=1"#);
}

#[tokio::test]
async fn windows_are_whole_seconds_and_never_promise_more() {
    for (requests, millis, burst, policy) in [
        (10, 100, 10, r#""x";q=10;w=1"#),
        (30, 60_000, 100, r#""x";q=100;w=200"#),
        (7, 60_000, 50, r#""x";q=50;w=429"#),
        (3, 1000, 3, r#""x";q=3;w=2"#),
    ] {
        let quota = Quota::new("x", requests, Duration::from_millis(millis)).unwrap();
        let layer = LimitRateLayer::by_peer(quota.burst(burst).unwrap());
        let stand = stand(Settings::default(), Link::first(layer));
        let response = stand.ask(from("192.0.2.1")).await;
        assert_eq!(response.headers()["ratelimit-policy"], policy);
    }
}

#[tokio::test]
async fn several_limits_are_members_of_one_list_on_permits_and_refusals() {
    let chain = Link::first(LimitRateLayer::by_peer(quota("peer", 9, 9)))
        .then(Names)
        .then(LimitRateLayer::by_principal(quota("principal", 1, 7)));
    let stand = stand(Settings::default(), chain);
    for (status, remaining) in [(200, 8), (429, 7)] {
        let response = stand.ask(from("192.0.2.1").header("x-user", "a")).await;
        assert_eq!(response.status(), status);
        let mut limits = items(response.headers(), "ratelimit");
        limits.sort();
        assert_eq!(
            limits,
            [
                item("peer", &[("r", remaining), ("t", 1)]),
                item("principal", &[("r", 0), ("t", 7)])
            ]
        );
        let mut policies = items(response.headers(), "ratelimit-policy");
        policies.sort();
        assert_eq!(
            policies,
            [
                item("peer", &[("q", 9), ("w", 9)]),
                item("principal", &[("q", 1), ("w", 7)])
            ]
        );
    }
}

#[tokio::test]
async fn fields_are_on_answers_that_another_check_refuses() {
    let refuses = FnCheck::new(|_: &mut Parts, _: &mut SecurityContext| {
        Err::<(), _>(Code::PolicyDenied.into())
    });
    let chain = Link::first(LimitRateLayer::by_peer(quota("peer", 9, 9))).then(refuses);
    let response = stand(Settings::default(), chain)
        .ask(from("192.0.2.1"))
        .await;
    assert_eq!(response.status(), 403);
    assert_eq!(response.headers()["ratelimit"], r#""peer";r=8;t=1"#);
}

#[tokio::test]
async fn without_headers_only_retry_after_is_said() {
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60)).without_headers();
    let stand = stand(Settings::default(), Link::first(layer));
    for status in [200, 429] {
        let response = stand.ask(from("192.0.2.1")).await;
        assert_eq!(response.status(), status);
        assert!(!response.headers().contains_key("ratelimit"));
        assert!(!response.headers().contains_key("ratelimit-policy"));
        assert_eq!(
            response.headers().contains_key("retry-after"),
            status == 429
        );
    }
}

#[tokio::test]
async fn an_observed_stack_lets_pass_what_it_would_refuse() {
    let until = zt_core::clock::Timestamp::MAX;
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60));
    let settings = Settings::default().insecure_observe_only(until);
    let stand = stand(settings, Link::first(layer));
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
    assert_eq!(stand.status(from("192.0.2.1")).await, 200);
}

#[tokio::test]
async fn clones_of_a_layer_count_together() {
    let layer = LimitRateLayer::by_peer(quota("burst", 1, 60));
    let request = || from("192.0.2.1").body(()).unwrap();
    let first = layer.clone().layer(handler()).oneshot(request()).await;
    assert_eq!(first.unwrap().status(), 200);
    let second = layer.layer(handler()).oneshot(request()).await;
    assert_eq!(second.unwrap().status(), 429);
}

#[test]
fn quotas_that_cannot_be_are_refused() {
    type Error = QuotaError;
    let minute = Duration::from_secs(60);
    let days = |days: u64| Duration::from_secs(days * 86_400);
    for name in ["", "a\"b", "a\\b", "ä", "a\n", &"n".repeat(65)] {
        assert!(matches!(Quota::new(name, 1, minute), Err(Error::Name(_))));
    }
    assert!(Quota::new("n".repeat(64), 1, minute).is_ok());
    let new = |requests, period| Quota::new("q", requests, period);
    assert!(matches!(new(0, minute), Err(Error::NoRequests(_))));
    assert!(matches!(new(1, Duration::ZERO), Err(Error::Period(..))));
    assert!(matches!(new(1, days(367)), Err(Error::Period(..))));
    assert!(matches!(new(1, Duration::MAX), Err(Error::Period(..))));
    let daily = new(1, days(1)).unwrap();
    assert!(matches!(daily.clone().burst(0), Err(Error::NoBurst(_))));
    assert!(matches!(daily.clone().burst(367), Err(Error::Window(_))));
    assert!(daily.clone().burst(366).is_ok());
    assert!(matches!(daily.clone().keys(0), Err(Error::Keys(..))));
    assert!(matches!(daily.clone().keys(1 << 40), Err(Error::Keys(..))));
    for bits in [0, 31, 129] {
        assert!(matches!(
            daily.clone().ipv6_prefix(bits),
            Err(Error::Ipv6Prefix(..))
        ));
    }
}

#[test]
fn quotas_are_read_from_configuration_to_the_letter() {
    let read = |text: &str| serde_json::from_str::<Quota>(text);
    let quota =
        read(r#"{"name":"q","requests":5,"period_ms":100,"burst":2,"keys":10,"ipv6_prefix":56}"#);
    let expected = Quota::new("q", 5, Duration::from_millis(100))
        .and_then(|quota| quota.burst(2)?.keys(10)?.ipv6_prefix(56));
    assert_eq!(quota.unwrap(), expected.unwrap());
    for wrong in [
        r#"{"name":"q","requests":5}"#,
        r#"{"name":"q","requests":5,"period_ms":1,"period_secs":1}"#,
        r#"{"name":"q","requests":5,"period_secs":1,"bursts":1}"#,
        r#"{"name":"q","requests":0,"period_secs":1}"#,
        r#"{"name":"q","requests":5,"period_secs":-1}"#,
        r#"{"name":"q","requests":5,"period_secs":1,"burst":0}"#,
        r#"{"name":"q","requests":5,"period_secs":18446744073709551615}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn debug_shows_the_policy_and_no_key() {
    let layer = LimitRateLayer::by_key(quota("org", 1, 60), |_, _| Some(Key::of("secret")));
    let shown = format!("{layer:?} {:?}", Key::of("secret"));
    assert!(
        shown.contains("org") && shown.contains("Key(..)"),
        "{shown}"
    );
}

async fn get(address: SocketAddr) -> String {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: shop\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn one_layer_alone_limits_an_axum_server_on_a_socket() {
    use axum::{Router, routing::get as route};

    let layer = LimitRateLayer::by_peer(quota("burst", 2, 3600));
    let app = Router::new()
        .route("/", route(|| async { "served" }))
        .layer(layer);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, service).await });

    for remaining in [1, 0] {
        let answer = get(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains(&format!("ratelimit: \"burst\";r={remaining};t=1800")));
    }
    let refused = get(address).await;
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert!(refused.contains("retry-after: 1800"), "{refused}");
    assert!(refused.contains("\"code\":\"rate-limited\""), "{refused}");
    server.abort();
}

#[tokio::test]
async fn an_axum_server_without_connect_info_refuses() {
    use axum::{Router, routing::get as route};

    let layer = LimitRateLayer::by_peer(quota("burst", 2, 60));
    let app = Router::new()
        .route("/", route(|| async { "served" }))
        .layer(layer);
    let request = Request::builder().uri("/").body(axum::body::Body::empty());
    let response = app.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(denial(&response).code(), Code::StackMisordered);
}
