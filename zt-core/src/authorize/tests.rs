mod bodies;
mod sockets;

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, header::WWW_AUTHENTICATE, request::Parts};
use http_body_util::Full;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use super::*;
use crate::{
    body::ZtBody,
    clock::{Clock, ManualClock, Timestamp},
    context::{SecurityContext, Stage, Trail},
    decision::{Code, Denial, Permit},
    gate::{Chain, Check, Gate, GateLayer, Link, OpenContextLayer, Root, Settings, Step},
    identity::{AuthMethod, PeerIdentity, PeerSource, Principal, PrincipalKind},
    state::{Route, RouteRule, Routes},
};

// What stands around the layers under test

/// Stands in for authentication.
#[derive(Clone)]
struct As(Option<Arc<Principal>>);

impl Check for As {
    type Guard = ();
    const NAME: &'static str = "As";
    const STAGE: Stage = Stage::Authenticate;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        if let Some(principal) = &self.0 {
            cx.set_principal(Arc::clone(principal));
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

fn route(rule: RouteRule) -> On {
    let routes = Routes::builder().route(rule).build().unwrap();
    On(routes.resolve(&Method::GET, "/x").unwrap())
}

fn ada() -> As {
    As(Some(Arc::new(ada_with(
        &["orders:read", "orders:write"],
        &["clerk"],
    ))))
}

fn ada_with(scopes: &[&str], roles: &[&str]) -> Principal {
    Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
        .scopes(scopes.iter().copied())
        .roles(roles.iter().copied())
        .finish()
}

fn anonymous() -> As {
    As(Some(Arc::new(Principal::anonymous())))
}

/// What came of one request.
struct Outcome {
    response: Response<()>,
    trail: Arc<Trail>,
    ran: bool,
}

impl Outcome {
    fn code(&self) -> Option<Code> {
        let code = self.response.extensions().get::<Denial>().map(Denial::code);
        assert_eq!(code.is_none(), self.ran);
        code
    }

    fn detail(&self) -> &str {
        let denial: &Denial = self.response.extensions().get().unwrap();
        denial.private_detail().unwrap()
    }

    fn permit(&self) -> &Permit {
        self.trail.permit().unwrap()
    }
}

type Answer = Response<Full<Bytes>>;

/// Says that it ran.
async fn handler(request: Request<()>) -> Result<Answer, Infallible> {
    let cx = request.extensions().get::<SecurityContext>().unwrap();
    let mut response = Answer::default();
    response.extensions_mut().insert(Arc::clone(cx.trail()));
    Ok(response)
}

/// Keeps the trail, which a refusal does not show.
#[derive(Clone, Default)]
struct Keep(Arc<Mutex<Option<Arc<Trail>>>>);

impl Check for Keep {
    type Guard = ();
    const NAME: &'static str = "Keep";
    const STAGE: Stage = Stage::Headers;

    fn check(&self, _: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
        *self.0.lock().unwrap() = Some(Arc::clone(cx.trail()));
        Step::pass(())
    }
}

async fn run_with<C>(
    settings: Settings,
    request: Request<()>,
    chain: impl FnOnce(Link<Root, Keep>) -> C,
) -> Outcome
where
    C: Chain<()>,
{
    let keep = Keep::default();
    let layer = GateLayer::new(chain(Link::first(keep.clone())), Arc::new(settings));
    let service: Gate<_, _> = layer.layer(service_fn(handler));
    let response: Response<ZtBody<Full<Bytes>>> = service.oneshot(request).await.unwrap();
    let ran = response.extensions().get::<Arc<Trail>>().is_some();
    let trail = keep.0.lock().unwrap().take().unwrap();
    Outcome {
        response: response.map(drop),
        trail,
        ran,
    }
}

async fn run<C: Chain<()>>(chain: impl FnOnce(Link<Root, Keep>) -> C) -> Outcome {
    run_with(
        Settings::default(),
        Request::get("/x").body(()).unwrap(),
        chain,
    )
    .await
}

/// The outcome of one policy for a caller that is somebody.
async fn under(policy: impl Policy) -> Outcome {
    run(|chain| chain.then(ada()).then(AuthorizeLayer::new(policy))).await
}

fn yes(_: &Access<'_>) -> bool {
    true
}

fn no(_: &Access<'_>) -> bool {
    false
}

// Authorize, refusals first

#[tokio::test]
async fn refuses_to_stand_before_authentication() {
    let outcome = run(|chain| chain.then(AuthorizeLayer::new(yes))).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    let outcome = run(|chain| chain.then(AuthorizeLayer::new(yes)).then(ada())).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    let outcome = run(|chain| chain.then(AnyAuthenticated)).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
}

#[tokio::test]
async fn refuses_to_authorize_twice() {
    let twice = |chain: Link<Root, Keep>| {
        chain
            .then(ada())
            .then(AuthorizeLayer::new(yes))
            .then(AuthorizeLayer::new(yes))
    };
    assert_eq!(run(twice).await.code(), Some(Code::StackMisordered));
    let scopes = RequireScopesLayer::new(RequireScopes::all_of(["orders:read"]).unwrap());
    let behind = run(|chain| chain.then(ada()).then(scopes).then(AnyAuthenticated)).await;
    assert_eq!(behind.code(), Some(Code::StackMisordered));
    // Public routes too.
    let public = route(RouteRule::any("/x").public());
    let twice = run(|chain| {
        chain
            .then(public)
            .then(AuthorizeLayer::new(no))
            .then(AuthorizeLayer::new(no))
    });
    assert_eq!(twice.await.code(), Some(Code::StackMisordered));
}

#[tokio::test]
async fn refuses_what_the_policy_denies() {
    let outcome = under(no).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    assert!(outcome.trail.permit().is_none());
    let quarantined = |_: &Access<'_>| Verdict::Deny(Code::Quarantined.into());
    assert_eq!(under(quarantined).await.code(), Some(Code::Quarantined));
}

#[tokio::test]
async fn refuses_what_no_rule_speaks_of() {
    let outcome = under(|_: &Access<'_>| Verdict::NotApplicable).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    assert_eq!(outcome.detail(), "no rule applies to the request");
}

#[tokio::test]
async fn refuses_where_the_policy_fails_and_says_why_to_the_audit_record_alone() {
    let outcome = under(|_: &Access<'_>| Err::<bool, _>("no entity `ada`")).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    assert_eq!(outcome.detail(), "the policy failed: no entity `ada`");
    let error = |_: &Access<'_>| "x".parse::<u8>().map(|_| true);
    assert_eq!(under(error).await.code(), Some(Code::PolicyDenied));
    // A denial stays what it is.
    let down = |_: &Access<'_>| Err::<Verdict, _>(Denial::new(Code::StoreUnavailable));
    assert_eq!(under(down).await.code(), Some(Code::StoreUnavailable));
    // And what panics is not a permit.
    let panics = |_: &Access<'_>| -> bool { panic!("on purpose") };
    assert_eq!(under(panics).await.code(), Some(Code::HandlerPanicked));
}

#[tokio::test]
async fn refuses_where_the_grounds_have_ended() {
    let clock = ManualClock::default();
    let now = clock.now().unwrap();
    let until = |end: Timestamp| {
        let settings = Settings::default().with_clock(clock.clone());
        let policy = move |_: &Access<'_>| Verdict::Permit(Grounds::new("grant").until(end));
        run_with(
            settings,
            Request::get("/x").body(()).unwrap(),
            move |chain| chain.then(ada()).then(AuthorizeLayer::new(policy)),
        )
    };
    assert_eq!(until(now).await.code(), Some(Code::PolicyDenied));
    let second = now + Duration::from_secs(1);
    let outcome = until(second).await;
    assert_eq!(outcome.code(), None);
    assert_eq!(outcome.permit().valid_until(), Some(second));
}

#[tokio::test]
async fn refuses_where_facts_fail_or_come_too_late() {
    let failed = |_: &Access<'_>| {
        later(
            async { Err::<u8, _>("no posture") },
            |posture, _: &Access<'_>| posture.map(|_| true),
        )
    };
    let outcome = under(failed).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    assert_eq!(outcome.detail(), "the policy failed: no posture");

    let clock = ManualClock::default();
    let never = |_: &Access<'_>| later(std::future::pending::<()>(), |(), _: &Access<'_>| true);
    let settings = Settings::default().with_clock(clock.clone());
    let waiting = tokio::spawn(run_with(
        settings,
        Request::get("/x").body(()).unwrap(),
        move |chain| {
            chain
                .then(ada())
                .then(AuthorizeLayer::new(never).deadline(Duration::from_secs(2)))
        },
    ));
    tokio::task::yield_now().await;
    clock.advance(Duration::from_millis(1999));
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    clock.advance(Duration::from_millis(1));
    assert_eq!(waiting.await.unwrap().code(), Some(Code::StoreUnavailable));
}

#[tokio::test]
async fn facts_that_arrive_decide_over_the_request_that_waited() {
    let policy = |access: &Access<'_>| {
        let subject = access.named().map(|who| who.subject().to_owned());
        let facts = async move {
            tokio::task::yield_now().await;
            subject
        };
        later(facts, |subject, access: &Access<'_>| {
            subject.as_deref() == Some("ada") && access.path() == "/x"
        })
    };
    assert_eq!(under(policy).await.code(), None);
    let outcome = run(|chain| chain.then(anonymous()).then(AuthorizeLayer::new(policy))).await;
    assert_eq!(outcome.code(), Some(Code::PolicyDenied));
}

#[tokio::test]
async fn refuses_whoever_is_not_named_where_anybody_authenticated_may() {
    for nobody in [As(None), anonymous()] {
        let outcome = run(|chain| chain.then(nobody.clone()).then(AnyAuthenticated)).await;
        assert_eq!(outcome.code(), Some(Code::CredentialMissing));
        let policy = AuthorizeLayer::new(AnyAuthenticated);
        let outcome = run(|chain| chain.then(nobody).then(policy)).await;
        assert_eq!(outcome.code(), Some(Code::CredentialMissing));
    }
    let outcome = run(|chain| chain.then(ada()).then(AnyAuthenticated)).await;
    assert_eq!(
        (outcome.code(), outcome.permit().rule()),
        (None, "any authenticated")
    );
}

#[tokio::test]
async fn the_permit_names_rule_policy_and_principal_and_ends_with_the_first_of_all() {
    let at = Timestamp::from_secs;
    let until = 2_000_000_000;
    for (credential, certificate, grounds) in [(1, 2, 3), (2, 1, 3), (3, 2, 1)] {
        let principal = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
            .expires_at(at(until + credential))
            .finish();
        let peer = PeerIdentity::assertion([0; 32], at(until + certificate), PeerSource::Tls);
        let request = Request::get("/x")
            .extension(Arc::new(peer.finish()))
            .body(())
            .unwrap();
        let policy = move |_: &Access<'_>| {
            Verdict::Permit(Grounds::new("clerks").until(at(until + grounds)))
        };
        let layer = AuthorizeLayer::new(policy).named("orders", "7");
        let who = As(Some(Arc::new(principal)));
        let outcome = run_with(Settings::default(), request, |chain| {
            chain.then(who).then(layer)
        })
        .await;
        let permit = outcome.permit();
        assert_eq!(permit.rule(), "clerks");
        assert_eq!(
            (permit.policy(), permit.version()),
            (Some("orders"), Some("7"))
        );
        assert_eq!(permit.principal().unwrap().subject(), "ada");
        assert_eq!(permit.valid_until(), Some(at(until + 1)));
        assert!(!permit.is_observed_only());
    }
    let own = |_: &Access<'_>| Verdict::Permit(Grounds::new("r").policy("reloaded", "9"));
    let outcome = run(|chain| {
        chain
            .then(ada())
            .then(AuthorizeLayer::new(own).named("orders", "7"))
    });
    let outcome = outcome.await;
    assert_eq!(
        (outcome.permit().policy(), outcome.permit().version()),
        (Some("reloaded"), Some("9"))
    );
}

#[tokio::test]
async fn a_public_route_is_permitted_without_asking() {
    let public = || route(RouteRule::any("/{page}").public());
    let never = |_: &Access<'_>| -> bool { panic!("the policy was asked") };
    let outcome = run(|chain| chain.then(public()).then(AuthorizeLayer::new(never))).await;
    assert_eq!(outcome.code(), None);
    assert_eq!(outcome.permit().rule(), "public /{page}");
    assert!(outcome.permit().principal().is_none());
    let outcome = run(|chain| chain.then(public()).then(AnyAuthenticated)).await;
    assert_eq!(
        (outcome.code(), outcome.permit().rule()),
        (None, "public /{page}")
    );
    // A route that is not public is none of that.
    let private = route(RouteRule::any("/{page}"));
    let outcome = run(|chain| chain.then(private).then(AuthorizeLayer::new(yes))).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
}

#[tokio::test]
async fn observing_lets_denials_pass_with_a_permit_that_says_so() {
    let clock = ManualClock::default();
    let until = clock.now().unwrap() + Duration::from_secs(60);
    let settings = || {
        Settings::default()
            .with_clock(clock.clone())
            .insecure_observe_only(until)
    };
    let request = || Request::get("/x").body(()).unwrap();
    let late = |_: &Access<'_>| later(async {}, |(), _: &Access<'_>| false);
    let fails = |_: &Access<'_>| Err::<bool, _>("x");
    let policies: [Arc<dyn Policy>; 4] = [
        Arc::new(no),
        Arc::new(late),
        Arc::new(fails),
        Arc::new(|_: &Access<'_>| Verdict::NotApplicable),
    ];
    for policy in policies {
        let outcome = run_with(settings(), request(), |chain| {
            chain
                .then(ada())
                .then(AuthorizeLayer::new(policy).named("orders", "7"))
        });
        let outcome = outcome.await;
        assert_eq!(outcome.code(), None);
        assert!(outcome.permit().is_observed_only());
        assert_eq!(outcome.permit().policy(), Some("orders"));
        assert_eq!(
            outcome.trail.would_deny().unwrap().code(),
            Code::PolicyDenied
        );
    }
    // What is permitted is permitted.
    let outcome = run_with(settings(), request(), |chain| {
        chain.then(ada()).then(AuthorizeLayer::new(yes))
    });
    assert!(!outcome.await.permit().is_observed_only());
    // Requirements observe, too; the first permit stays.
    let lacking = RequireRolesLayer::new(RequireRoles::all_of(["owner"]).unwrap());
    let outcome = run_with(settings(), request(), |chain| {
        chain.then(ada()).then(lacking.clone())
    });
    assert!(outcome.await.permit().is_observed_only());
    let outcome = run_with(settings(), request(), |chain| {
        chain.then(ada()).then(AnyAuthenticated).then(lacking)
    });
    let outcome = outcome.await;
    assert!(!outcome.permit().is_observed_only());
    assert!(outcome.trail.would_deny().is_some());
    // What no stack waives leaves no permit.
    let clockless = |_: &Access<'_>| Err::<bool, _>(Denial::new(Code::ClockUnavailable));
    let outcome = run_with(settings(), request(), |chain| {
        chain.then(ada()).then(AuthorizeLayer::new(clockless))
    });
    let outcome = outcome.await;
    assert_eq!(outcome.code(), Some(Code::ClockUnavailable));
    assert!(outcome.trail.permit().is_none());
    // And it ends at its date.
    clock.advance(Duration::from_secs(60));
    let outcome = run_with(settings(), request(), |chain| {
        chain.then(ada()).then(AuthorizeLayer::new(no))
    });
    assert_eq!(outcome.await.code(), Some(Code::PolicyDenied));
}

#[tokio::test]
async fn layers_compose_in_a_service_builder() {
    #[derive(Clone)]
    struct Layered(As);
    crate::impl_layer!(Layered);
    impl Check for Layered {
        type Guard = ();
        const NAME: &'static str = As::NAME;
        const STAGE: Stage = As::STAGE;
        fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
            self.0.check(parts, cx)
        }
    }
    let reading = |access: &Access<'_>| access.method() == Method::GET;
    let service = ServiceBuilder::new()
        .layer(OpenContextLayer::new(Settings::default()))
        .layer(Layered(ada()))
        .layer(AuthorizeLayer::new(reading))
        .layer(RequireScopesLayer::new(
            RequireScopes::all_of(["orders:read"]).unwrap(),
        ))
        .service(service_fn(handler));
    let get = service
        .clone()
        .oneshot(Request::get("/x").body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(get.status(), 200);
    let post = service
        .oneshot(Request::post("/x").body(()).unwrap())
        .await
        .unwrap();
    assert_eq!(post.status(), 403);
}

// Requirements

fn scopes_all(scopes: &[&'static str]) -> RequireScopesLayer {
    RequireScopesLayer::new(RequireScopes::all_of(scopes.iter().copied()).unwrap())
}

fn scopes_any(scopes: &[&'static str]) -> RequireScopesLayer {
    RequireScopesLayer::new(RequireScopes::any_of(scopes.iter().copied()).unwrap())
}

#[tokio::test]
async fn requirements_refuse_to_stand_before_authentication() {
    let roles = RequireRolesLayer::new(RequireRoles::all_of(["clerk"]).unwrap());
    let outcome = run(|chain| chain.then(scopes_all(&["a"]))).await;
    assert_eq!(outcome.code(), Some(Code::StackMisordered));
    assert_eq!(
        run(|chain| chain.then(roles)).await.code(),
        Some(Code::StackMisordered)
    );
    // Not even on a public route, where authentication stands but names nobody.
    let public = route(RouteRule::any("/x").public());
    let outcome = run(|chain| {
        chain
            .then(public)
            .then(As(None))
            .then(AuthorizeLayer::new(no))
            .then(scopes_all(&["a"]))
    });
    assert_eq!(outcome.await.code(), Some(Code::CredentialMissing));
}

#[tokio::test]
async fn requirements_refuse_whoever_is_not_named() {
    for nobody in [As(None), anonymous()] {
        let outcome = run(|chain| chain.then(nobody.clone()).then(scopes_all(&["a", "b"]))).await;
        assert_eq!(outcome.code(), Some(Code::CredentialMissing));
        let challenge = &outcome.response.headers()[WWW_AUTHENTICATE];
        assert_eq!(challenge, r#"Bearer scope="a b""#);
        let roles = RequireRolesLayer::new(RequireRoles::any_of(["clerk"]).unwrap());
        let outcome = run(|chain| chain.then(nobody).then(roles)).await;
        assert_eq!(outcome.code(), Some(Code::CredentialMissing));
    }
}

// RFC 6750 section 3.1
#[tokio::test]
async fn refuses_a_credential_without_the_scopes_and_says_which_would_do() {
    for (layer, challenge) in [
        (
            scopes_all(&["orders:read", "orders:delete"]),
            r#"Bearer error="insufficient_scope", scope="orders:read orders:delete""#,
        ),
        (
            scopes_any(&["orders:delete", "admin"]),
            r#"Bearer error="insufficient_scope", scope="orders:delete""#,
        ),
        // To the letter.
        (
            scopes_all(&["orders"]),
            r#"Bearer error="insufficient_scope", scope="orders""#,
        ),
        (
            scopes_all(&["Orders:Read"]),
            r#"Bearer error="insufficient_scope", scope="Orders:Read""#,
        ),
    ] {
        let outcome = run(|chain| chain.then(ada()).then(layer)).await;
        assert_eq!(outcome.code(), Some(Code::ScopeInsufficient));
        assert_eq!(outcome.response.status(), 403);
        assert_eq!(outcome.response.headers()[WWW_AUTHENTICATE], challenge);
    }
}

#[tokio::test]
async fn refuses_a_caller_without_the_roles() {
    let clerk_and_owner = RequireRoles::all_of(["clerk", "owner"]).unwrap();
    let owner = RequireRoles::any_of(["owner", "auditor"]).unwrap();
    for roles in [clerk_and_owner, owner] {
        let layer = RequireRolesLayer::new(roles);
        let outcome = run(|chain| chain.then(ada()).then(layer)).await;
        assert_eq!(outcome.code(), Some(Code::PolicyDenied));
    }
}

#[tokio::test]
async fn a_requirement_alone_permits_and_behind_a_policy_only_narrows() {
    let outcome = run(|chain| chain.then(ada()).then(scopes_any(&["x", "orders:read"]))).await;
    assert_eq!(outcome.code(), None);
    assert_eq!(outcome.permit().rule(), "scopes: any of x orders:read");
    assert_eq!(outcome.permit().principal().unwrap().subject(), "ada");

    let roles = RequireRolesLayer::new(RequireRoles::all_of(["clerk"]).unwrap());
    let both = run(|chain| {
        let chain = chain.then(ada()).then(AnyAuthenticated);
        chain
            .then(scopes_all(&["orders:read", "orders:write"]))
            .then(roles)
    });
    let both = both.await;
    assert_eq!(
        (both.code(), both.permit().rule()),
        (None, "any authenticated")
    );

    let narrowed = run(|chain| {
        chain
            .then(ada())
            .then(AuthorizeLayer::new(yes))
            .then(scopes_all(&["orders:delete"]))
    });
    assert_eq!(narrowed.await.code(), Some(Code::ScopeInsufficient));
}

#[tokio::test]
async fn requirements_are_policies_too() {
    let scopes = || RequireScopes::all_of(["orders:read"]).unwrap();
    let owner = || RequireRoles::all_of(["owner"]).unwrap();
    assert_eq!(under(scopes()).await.code(), None);
    assert_eq!(under(owner()).await.code(), Some(Code::PolicyDenied));
    assert_eq!(under(any((owner(), scopes()))).await.code(), None);
    assert_eq!(
        under(all((owner(), scopes()))).await.code(),
        Some(Code::PolicyDenied)
    );
    let missing = RequireScopes::all_of(["orders:delete"]).unwrap();
    assert_eq!(
        under(all((scopes(), missing))).await.code(),
        Some(Code::ScopeInsufficient)
    );
}

#[test]
fn requirements_that_require_nothing_or_nonsense_are_errors() {
    let none = RequireScopes::all_of::<&str>([]).unwrap_err();
    assert_eq!(none, AuthorizeError::Empty("scopes"));
    assert_eq!(
        RequireRoles::any_of::<&str>([]).unwrap_err(),
        AuthorizeError::Empty("roles")
    );
    for wrong in ["", "a b", "a\"b", "a\\b", "a\r\nb", "é"] {
        let error = RequireScopes::any_of(["ok", wrong]).unwrap_err();
        assert_eq!(error, AuthorizeError::Scope(wrong.to_owned()));
    }
    assert!(RequireRoles::all_of([""]).is_err());
    assert!(RequireRoles::all_of(["a\n"]).is_err());
    let read = |json: &str| serde_json::from_str::<RequireScopes>(json).is_ok();
    assert!(read(r#"{"all_of": ["a"]}"#) && read(r#"{"any_of": ["a", "b"]}"#));
    assert!(
        !read(r#"{"all_of": []}"#)
            && !read(r#"{"one_of": ["a"]}"#)
            && !read(r#"{"all_of": ["a b"]}"#)
    );
    assert!(!read(r#"{"all_of": ["a"], "any_of": ["b"]}"#));
    assert!(serde_json::from_str::<RequireRoles>(r#"{"any_of": ["clerk"]}"#).is_ok());
}

// Combining

/// What a policy can say: permit, deny, not applicable, fail.
const SAYINGS: [char; 4] = ['P', 'D', 'N', 'E'];

fn say(saying: char) -> Result<Verdict, Denial> {
    match saying {
        'P' => Ok(Verdict::permit("p")),
        'D' => Ok(Verdict::deny("d")),
        'N' => Ok(Verdict::NotApplicable),
        _ => Err(Code::StoreUnavailable.into()),
    }
}

/// A policy that says one thing, at once or after a while.
fn fixed(saying: char, waits: bool) -> Arc<dyn Policy> {
    if waits {
        Arc::new(move |_: &Access<'_>| {
            later(tokio::task::yield_now(), move |(), _: &Access<'_>| {
                say(saying)
            })
        })
    } else {
        Arc::new(move |_: &Access<'_>| say(saying))
    }
}

fn heard(policy: &impl Policy) -> char {
    let (mut parts, ()) = Request::new(()).into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    let result = match policy.decide(&Access::new(&parts, &cx)) {
        Step::Now(result) => result,
        Step::Later(mut later) => loop {
            let mut task = Context::from_waker(Waker::noop());
            if let Poll::Ready(result) = later.poll(&mut task, &mut parts, &mut cx) {
                break result;
            }
        },
    };
    match result {
        Ok(Verdict::Permit(_)) => 'P',
        Ok(Verdict::Deny(_)) => 'D',
        Ok(Verdict::NotApplicable) => 'N',
        Err(_) => 'E',
    }
}

/// The tables of the module's documentation: what ends the round, then what is left.
fn expected(name: &str, sayings: &[char]) -> char {
    let first_of = |ends: &[char]| sayings.iter().copied().find(|saying| ends.contains(saying));
    let has = |saying: char| sayings.contains(&saying);
    match name {
        "all" => first_of(&['D', 'E']).unwrap_or(if has('N') || sayings.is_empty() {
            'N'
        } else {
            'P'
        }),
        "any" => first_of(&['P', 'E']).unwrap_or(if has('D') { 'D' } else { 'N' }),
        _ => first_of(&['D', 'E']).unwrap_or(if has('P') { 'P' } else { 'N' }),
    }
}

#[tokio::test]
async fn combinators_follow_their_tables_whoever_waits() {
    let mut lists: Vec<Vec<(char, bool)>> = vec![vec![]];
    for _ in 0..3 {
        let longer: Vec<_> = lists
            .iter()
            .flat_map(|list| {
                SAYINGS.iter().flat_map(move |saying| {
                    [false, true].map(|waits| [list.as_slice(), &[(*saying, waits)]].concat())
                })
            })
            .collect();
        lists.extend(longer);
    }
    let mut seen = std::collections::BTreeSet::new();
    for list in lists {
        let policies = || -> Vec<Arc<dyn Policy>> {
            list.iter()
                .map(|(saying, waits)| fixed(*saying, *waits))
                .collect()
        };
        let sayings: Vec<char> = list.iter().map(|(saying, _)| *saying).collect();
        for (name, found) in [
            ("all", heard(&all(policies()))),
            ("any", heard(&any(policies()))),
            ("deny_overrides", heard(&deny_overrides(policies()))),
        ] {
            assert_eq!(found, expected(name, &sayings), "{name} {list:?}");
            seen.insert((name, found));
        }
    }
    assert_eq!(seen.len(), 12);
}

#[tokio::test]
async fn combinators_nest_and_a_failure_inside_is_never_passed_over() {
    let [p, d, n, e] = SAYINGS.map(|saying| move || fixed(saying, saying == 'D'));
    assert_eq!(heard(&any((all((p(), e())), p()))), 'E');
    assert_eq!(heard(&any((all((p(), d())), p()))), 'P');
    assert_eq!(heard(&deny_overrides((p(), any((n(), d()))))), 'D');
    assert_eq!(
        heard(&all((p(), any((d(), p())), deny_overrides((n(), p()))))),
        'P'
    );
    assert_eq!(heard(&all((any((d(), n())), p()))), 'D');
    assert_eq!(heard(&any((n(), deny_overrides((n(),))))), 'N');
    let outcome = under(any((fixed('E', true), fixed('P', false)))).await;
    assert_eq!(outcome.code(), Some(Code::StoreUnavailable));
}

#[tokio::test]
async fn who_is_not_asked_cannot_fail() {
    let never = || |_: &Access<'_>| -> bool { panic!("was asked") };
    assert_eq!(heard(&any((fixed('P', true), never()))), 'P');
    assert_eq!(heard(&all((fixed('D', false), never()))), 'D');
    assert_eq!(heard(&deny_overrides((fixed('D', true), never()))), 'D');
}

#[tokio::test]
async fn combined_grounds_name_a_rule_and_end_with_the_first() {
    let at = |secs: u64| Timestamp::from_secs(2_000_000_000 + secs);
    let grounds = |rule: &'static str, end: u64| {
        move |_: &Access<'_>| Verdict::Permit(Grounds::new(rule).until(at(end)))
    };
    let outcome = under(all((grounds("a", 5), grounds("b", 9)))).await;
    assert_eq!(
        (outcome.permit().rule(), outcome.permit().valid_until()),
        ("b", Some(at(5)))
    );
    let outcome = under(deny_overrides((grounds("a", 5), grounds("b", 9)))).await;
    assert_eq!(
        (outcome.permit().rule(), outcome.permit().valid_until()),
        ("a", Some(at(5)))
    );
}
