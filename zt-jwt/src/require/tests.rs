//! Refusals first; the conditions are numbered as in the module's documentation.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, request::Parts};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use zt_core::{
    authorize::{Access, AuthorizeLayer, RequireScopes, all, any, deny_overrides},
    clock::{Clock, ManualClock, Timestamp},
    context::{SecurityContext, Stage},
    decision::{Code, Denial, Permit},
    gate::{Check, Gate, Link, OpenContextLayer, Root, Settings, Step},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Route, RouteRule, Routes},
};

use super::*;

/// Stands in for authentication.
#[derive(Clone)]
struct As(Option<Principal>);

impl Check for As {
    type Guard = ();
    const NAME: &'static str = "As";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Some(principal) = &self.0 {
            cx.set_principal(Arc::new(principal.clone()));
        }
        Step::pass(())
    }
}

/// Stands in for request validation.
#[derive(Clone)]
struct On(Route);

impl Check for On {
    type Guard = ();
    const NAME: &'static str = "On";
    const STAGE: Stage = Stage::Validate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        cx.set_route(self.0.clone());
        Step::pass(())
    }
}

fn route(public: bool) -> On {
    let rule = RouteRule::new(Method::GET, "/x");
    let rule = if public { rule.public() } else { rule };
    let routes = Routes::builder().route(rule).build().unwrap();
    On(routes.resolve(&Method::GET, "/x").unwrap())
}

/// Ten o'clock, more or less.
const NOW: u64 = 1_893_456_000;

fn user() -> zt_core::identity::Assertion {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .claims(r#"{"plan":"gold","ssn":"123-45"}"#)
        .context_class("phr")
        .authenticated_at(Timestamp::from_secs(NOW - 60))
        .scopes(["orders:read"])
}

fn ada() -> As {
    As(Some(user().finish()))
}

type Answer = Response<Full<Bytes>>;

struct Outcome {
    code: Option<Code>,
    why: String,
    challenges: Vec<String>,
    permit: Option<Permit>,
}

async fn run<L, B>(layer: L) -> Outcome
where
    L: Layer<Handler>,
    L::Service: tower::Service<Request<()>, Response = Response<B>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + 'static,
    B: 'static,
{
    let clock = ManualClock::default();
    assert_eq!(clock.now().unwrap(), Timestamp::from_secs(NOW));
    let inner = layer
        .layer(handler())
        .map_response(|response| response.map(|_| Full::<Bytes>::default()));
    let service = OpenContextLayer::new(Settings::default().with_clock(clock)).layer(inner);
    let response = service
        .oneshot(Request::get("/x").body(()).unwrap())
        .await
        .unwrap();
    let denial: Option<&Denial> = response.extensions().get();
    Outcome {
        code: denial.map(Denial::code),
        why: denial
            .and_then(Denial::private_detail)
            .unwrap_or_default()
            .to_owned(),
        challenges: response
            .headers()
            .get_all("www-authenticate")
            .iter()
            .map(|value| value.to_str().unwrap().to_owned())
            .collect(),
        permit: response.extensions().get().cloned(),
    }
}

type Handler = tower::util::BoxCloneService<Request<()>, Answer, Infallible>;

fn handler() -> Handler {
    Handler::new(service_fn(|request: Request<()>| {
        let cx = request.extensions().get::<SecurityContext>().unwrap();
        let mut response = Answer::default();
        if let Some(permit) = cx.permit() {
            response.extensions_mut().insert(permit.clone());
        }
        std::future::ready(Ok(response))
    }))
}

/// `who`, then `layer`.
fn behind<C: Check>(who: As, layer: C) -> impl Layer<Handler, Service = Behind<C>> {
    tower::layer::layer_fn(move |inner| {
        Gate::new(inner, Link::first(who.clone()).then(layer.clone()))
    })
}

type Behind<C> = Gate<Handler, Link<Link<Root, As>, C>>;

#[derive(serde::Deserialize)]
struct Claims {
    plan: String,
}

fn gold() -> RequireClaimsLayer<Claims> {
    RequireClaimsLayer::new(|claims: &Claims| claims.plan == "gold")
}

fn anonymous() -> As {
    As(Some(Principal::anonymous()))
}

// Claims

#[tokio::test]
async fn claims_1_refuses_where_nobody_was_authenticated() {
    let outcome = run(gold()).await;
    assert_eq!(outcome.code, Some(Code::StackMisordered));
}

#[tokio::test]
async fn claims_2_refuses_nobody_in_particular() {
    for who in [As(None), anonymous()] {
        let outcome = run(behind(who, gold())).await;
        assert_eq!(outcome.code, Some(Code::CredentialMissing));
        assert_eq!(outcome.challenges, ["Bearer"]);
    }
}

#[tokio::test]
async fn claims_3_refuses_claims_of_another_shape_and_quotes_nothing() {
    let other = user().claims(r#"{"plan":{"ssn":"123-45"}}"#).finish();
    let none = Principal::assertion(PrincipalKind::Service, "job", AuthMethod::ServiceToken);
    for who in [
        other,
        none.finish(),
        user().claims("[]").finish(),
        user().claims("{}").finish(),
    ] {
        let outcome = run(behind(As(Some(who)), gold())).await;
        assert_eq!(outcome.code, Some(Code::PolicyDenied));
        assert_eq!(
            outcome.why,
            "claims: the credential has no claims, or they are of another shape"
        );
    }
}

#[tokio::test]
async fn claims_3_refuses_a_credential_without_claims_whatever_they_are_read_as() {
    use serde_json::Value;
    let token = Principal::assertion(PrincipalKind::Service, "job", AuthMethod::ServiceToken);
    let who = || As(Some(token.clone().finish()));
    let any = RequireClaimsLayer::new(|claims: &Value| claims["plan"] != "free");
    let maybe = RequireClaimsLayer::new(|claims: &Option<Claims>| {
        claims.as_ref().is_none_or(|claims| claims.plan != "free")
    });
    let nothing = RequireClaimsLayer::new(|(): &()| true);
    assert_eq!(run(behind(who(), any)).await.code, Some(Code::PolicyDenied));
    assert_eq!(
        run(behind(who(), maybe)).await.code,
        Some(Code::PolicyDenied)
    );
    assert_eq!(
        run(behind(who(), nothing)).await.code,
        Some(Code::PolicyDenied)
    );
}

#[tokio::test]
async fn claims_4_refuses_where_the_function_says_no() {
    let who = As(Some(user().claims(r#"{"plan":"free"}"#).finish()));
    let outcome = run(behind(who, gold())).await;
    assert_eq!(outcome.code, Some(Code::PolicyDenied));
    assert_eq!(outcome.why, "claims: the claims do not suffice");
}

#[tokio::test]
async fn claims_that_suffice_pass_and_give_no_permit() {
    let outcome = run(behind(ada(), gold())).await;
    assert_eq!(outcome.code, None);
    assert!(outcome.permit.is_none());
    let layers = ServiceBuilder::new().layer(tower::layer::layer_fn(|inner| {
        Gate::new(
            inner,
            Link::first(ada()).then(AuthorizeLayer::new(|_: &Access<'_>| true)),
        )
    }));
    let outcome = run(layers.layer(gold()).into_inner()).await;
    assert_eq!(outcome.code, None);
    assert_eq!(outcome.permit.unwrap().rule(), "function");
}

#[tokio::test]
async fn claims_are_a_policy_among_others() {
    let plan = |plan: &'static str| {
        RequireClaims::new(move |claims: &Claims| claims.plan == plan).named(plan)
    };
    let scopes = |scope: &'static str| RequireScopes::all_of([scope]).unwrap();
    let outcome = run(behind(ada(), AuthorizeLayer::new(plan("gold")))).await;
    assert_eq!(outcome.permit.unwrap().rule(), "gold");
    let both = all((scopes("orders:read"), plan("gold")));
    assert_eq!(
        run(behind(ada(), AuthorizeLayer::new(both))).await.code,
        None
    );
    let both = all((scopes("orders:read"), plan("free")));
    let outcome = run(behind(ada(), AuthorizeLayer::new(both))).await;
    assert_eq!(outcome.code, Some(Code::PolicyDenied));
    assert_eq!(outcome.why, "free: the claims do not suffice");
    let either = any((plan("free"), plan("gold")));
    assert_eq!(
        run(behind(ada(), AuthorizeLayer::new(either))).await.code,
        None
    );
    let none = deny_overrides((scopes("orders:read"), plan("free")));
    let outcome = run(behind(ada(), AuthorizeLayer::new(none))).await;
    assert_eq!(outcome.code, Some(Code::PolicyDenied));
}

// Step-up

fn max_age(secs: u64) -> RequireStepUp {
    RequireStepUp::max_age(Duration::from_secs(secs)).unwrap()
}

fn acr(values: &[&str]) -> RequireStepUp {
    RequireStepUp::acr_values(values.iter().copied()).unwrap()
}

async fn step_up(who: Principal, required: RequireStepUp) -> Outcome {
    run(behind(As(Some(who)), RequireStepUpLayer::new(required))).await
}

#[tokio::test]
async fn step_up_1_refuses_where_nobody_was_authenticated() {
    let layer = RequireStepUpLayer::new(max_age(300));
    assert_eq!(run(layer.clone()).await.code, Some(Code::StackMisordered));
    let slot = tower::layer::layer_fn(|inner| Gate::new(inner, Link::first(layer.clone())));
    assert_eq!(run(slot).await.code, Some(Code::StackMisordered));
}

#[tokio::test]
async fn step_up_2_refuses_nobody_in_particular() {
    for who in [As(None), anonymous()] {
        let layer = RequireStepUpLayer::new(max_age(300));
        let outcome = run(behind(who, layer)).await;
        assert_eq!(outcome.code, Some(Code::CredentialMissing));
        assert_eq!(outcome.challenges, ["Bearer realm=\"api\""]);
    }
}

#[tokio::test]
async fn step_up_3_refuses_programs() {
    let job = Principal::assertion(PrincipalKind::Service, "job", AuthMethod::Jwt)
        .context_class("phr")
        .authenticated_at(Timestamp::from_secs(NOW));
    let outcome = step_up(job.finish(), acr(&["phr"])).await;
    assert_eq!(outcome.code, Some(Code::StepUpRequired));
    assert_eq!(outcome.why, "a program cannot step up");
}

#[tokio::test]
async fn step_up_4_and_5_ask_whoever_is_named_and_no_further_proof() {
    let weak = Principal::assertion(PrincipalKind::User, "eve", AuthMethod::Jwt).finish();
    let both = weak.strengthened_by(&user().finish());
    let outcome = step_up(both.clone(), acr(&["phr"])).await;
    assert_eq!(outcome.code, Some(Code::StepUpRequired));
    let outcome = step_up(both, max_age(300)).await;
    assert_eq!(outcome.code, Some(Code::StepUpRequired));
}

#[tokio::test]
async fn step_up_4_refuses_another_context_class() {
    let with = |class: &str| user().context_class(class).finish();
    let without = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish();
    for who in [
        with("pwd"),
        with("PHR"),
        with("phr "),
        with(""),
        with("phr phrh"),
        without,
    ] {
        let outcome = step_up(who, acr(&["phrh", "phr"])).await;
        assert_eq!(outcome.code, Some(Code::StepUpRequired));
        assert_eq!(
            outcome.challenges,
            [
                "Bearer realm=\"api\", error=\"insufficient_user_authentication\", \
              error_description=\"a different authentication level is required\", \
              acr_values=\"phrh phr\""
            ]
        );
    }
    for class in ["phr", "phrh"] {
        assert_eq!(step_up(with(class), acr(&["phrh", "phr"])).await.code, None);
    }
}

#[tokio::test]
async fn step_up_5_refuses_an_authentication_that_is_too_old_or_unknown() {
    let at = |secs: u64| user().authenticated_at(Timestamp::from_secs(secs)).finish();
    let never = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt).finish();
    for (who, why) in [
        (never, Some("`auth_time` is missing")),
        (at(0), Some("`auth_time` is too long ago")),
        (at(NOW - 301), Some("`auth_time` is too long ago")),
        (at(NOW - 300), None),
        (at(NOW), None),
        (at(NOW + 30), None),
        (at(NOW + 31), Some("`auth_time` is still to come")),
        (
            at(u64::MAX / 1_000_000),
            Some("`auth_time` is still to come"),
        ),
    ] {
        let outcome = step_up(who, max_age(300)).await;
        assert_eq!(outcome.why, why.unwrap_or_default());
        if why.is_none() {
            assert_eq!(outcome.code, None);
            continue;
        }
        assert_eq!(outcome.code, Some(Code::StepUpRequired));
        assert_eq!(
            outcome.challenges,
            [
                "Bearer realm=\"api\", error=\"insufficient_user_authentication\", \
              error_description=\"more recent authentication is required\", max_age=\"300\""
            ]
        );
    }
}

#[tokio::test]
async fn a_challenge_asks_for_everything_at_once() {
    let required = acr(&["phr"])
        .and_max_age(Duration::from_secs(60))
        .unwrap()
        .realm("bank")
        .unwrap()
        .resource_metadata("https://bank.example/meta")
        .unwrap();
    let old = user()
        .authenticated_at(Timestamp::from_secs(NOW - 61))
        .finish();
    let outcome = step_up(old, required).await;
    assert_eq!(
        outcome.challenges,
        [
            "Bearer realm=\"bank\", resource_metadata=\"https://bank.example/meta\", \
          error=\"insufficient_user_authentication\", \
          error_description=\"more recent authentication is required\", \
          acr_values=\"phr\", max_age=\"60\""
        ]
    );
}

#[tokio::test]
async fn in_its_slot_public_routes_pass_and_as_a_layer_they_do_not() {
    let layer = RequireStepUpLayer::new(max_age(300));
    for public in [true, false] {
        let slot = tower::layer::layer_fn(|inner| {
            let chain = Link::first(route(public))
                .then(As(None))
                .then(layer.clone());
            Gate::new(inner, chain)
        });
        let expected = (!public).then_some(Code::CredentialMissing);
        assert_eq!(run(slot).await.code, expected);
        let around = ServiceBuilder::new()
            .layer(tower::layer::layer_fn(|inner| {
                Gate::new(inner, Link::first(route(public)).then(As(None)))
            }))
            .layer(layer.clone());
        let outcome = run(around.into_inner()).await;
        assert_eq!(outcome.code, Some(Code::CredentialMissing));
    }
}

#[tokio::test]
async fn it_stands_before_authorization_in_a_stack_and_behind_it_on_a_route() {
    let layer = RequireStepUpLayer::new(max_age(300));
    let permit = || AuthorizeLayer::new(|_: &Access<'_>| true);
    let slot = tower::layer::layer_fn(|inner| {
        Gate::new(inner, Link::first(ada()).then(layer.clone()).then(permit()))
    });
    assert_eq!(run(slot).await.code, None);
    let late = tower::layer::layer_fn(|inner| {
        Gate::new(inner, Link::first(ada()).then(permit()).then(layer.clone()))
    });
    assert_eq!(run(late).await.code, Some(Code::StackMisordered));
    for (ago, expected) in [(60, None), (301, Some(Code::StepUpRequired))] {
        let who = As(Some(
            user()
                .authenticated_at(Timestamp::from_secs(NOW - ago))
                .finish(),
        ));
        let route = ServiceBuilder::new()
            .layer(tower::layer::layer_fn(move |inner| {
                Gate::new(inner, Link::first(who.clone()).then(permit()))
            }))
            .layer(layer.clone());
        assert_eq!(run(route.into_inner()).await.code, expected);
    }
}

#[test]
fn it_fits_the_slot_of_a_stack() {
    use zt_core::stack::ZeroTrust;

    let clock = ManualClock::default();
    let zt = ZeroTrust::builder()
        .without_audit()
        .insecure_anonymous()
        .step_up(RequireStepUpLayer::new(max_age(300)))
        .any_authenticated()
        .settings(Settings::default().with_clock(clock))
        .build()
        .unwrap();
    assert!(zt.to_string().contains("\n6 RequireStepUp\n"), "{zt}");
}

#[tokio::test]
async fn step_up_is_a_policy_among_others() {
    let small = |access: &Access<'_>| access.path() == "/small";
    let policy = || any((small, acr(&["phrh"])));
    let outcome = run(behind(
        ada(),
        AuthorizeLayer::new(all((acr(&["phr"]), policy()))),
    ))
    .await;
    assert_eq!(outcome.code, Some(Code::PolicyDenied));
    let outcome = run(behind(ada(), AuthorizeLayer::new(acr(&["phrh"])))).await;
    assert_eq!(outcome.code, Some(Code::StepUpRequired));
    let required = acr(&["phr"]).and_max_age(Duration::from_secs(90)).unwrap();
    let outcome = run(behind(ada(), AuthorizeLayer::new(required))).await;
    assert_eq!(outcome.permit.unwrap().rule(), "step-up acr=phr max_age=90");
}

#[test]
fn requirements_that_cannot_work_are_errors() {
    let none: [&str; 0] = [];
    assert_eq!(
        RequireStepUp::acr_values(none).unwrap_err(),
        RequireError::Nothing
    );
    for wrong in ["", "a b", "a\"b", "a\\b", "a\r\nb", "\u{e4}"] {
        let error = RequireStepUp::acr_values([wrong]).unwrap_err();
        assert_eq!(error, RequireError::Acr(wrong.to_owned()));
    }
    let error = RequireStepUp::max_age(Duration::from_millis(29_999)).unwrap_err();
    assert_eq!(error, RequireError::MaxAge(29));
    assert!(acr(&["a"]).and_max_age(Duration::ZERO).is_err());
    assert!(acr(&["a"]).realm("").is_err());
    assert!(acr(&["a"]).resource_metadata("http://a.example").is_err());
    let read = |json: &str| serde_json::from_str::<RequireStepUp>(json);
    assert!(read(r#"{"acr_values": ["phr"], "max_age_secs": 300, "realm": "a"}"#).is_ok());
    assert!(read("{}").is_err());
    assert!(read(r#"{"max_age": 300}"#).is_err());
    assert!(read(r#"{"max_age_secs": 5}"#).is_err());
    assert!(read(r#"{"max_age_secs": -300}"#).is_err());
}
