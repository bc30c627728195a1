//! The gateway: the shop's front door, and the stack that the tour attacks.

use std::{str::FromStr, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, Method, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::util::BoxCloneSyncService;
use zt_core::{
    authenticate::Authenticate,
    authorize::{Access, AuthorizeLayer, Policy, Verdict, deny_overrides},
    gate::Step,
    identity::Principal,
    stack::{ZeroTrust, slots::Nothing},
    validate::ValidateRequestLayer,
};
use zt_jwt::require::RequireStepUp;
use zt_ratelimit::{ChargeBudgetLayer, charge_budget::Prices, limits::Hard};

use super::{App, Part, services::Upstream};
use crate::Result;

/// A layer that the shop is built without, the gateway unless said otherwise, to show that the tour
/// notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Omit {
    /// No security headers.
    Headers,
    /// No audit record.
    Audit,
    /// No validation.
    Validation,
    /// No limit by peer.
    PeerLimit,
    /// Everybody is anonymous.
    Authentication,
    /// Tokens of the issuer are taken whomever they are for.
    Audience,
    /// Revocation and quarantine are ignored.
    Sanctions,
    /// Refunds without asking who signed in, and when.
    StepUp,
    /// Whoever is authenticated may do everything.
    Policy,
    /// No limit by principal.
    PrincipalLimit,
    /// Labels cost nothing.
    Budget,
    /// Payments takes tokens without signatures.
    Signatures,
}

impl Omit {
    /// Every layer that can be left out.
    pub const ALL: [Self; 12] = [
        Self::Headers,
        Self::Audit,
        Self::Validation,
        Self::PeerLimit,
        Self::Authentication,
        Self::Audience,
        Self::Sanctions,
        Self::StepUp,
        Self::Policy,
        Self::PrincipalLimit,
        Self::Budget,
        Self::Signatures,
    ];
}

impl FromStr for Omit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL
            .iter()
            .find(|omit| format!("{omit:?}").eq_ignore_ascii_case(text));
        known
            .copied()
            .ok_or_else(|| format!("`{text}` is none of {:?}", Self::ALL))
    }
}

/// What each route asks for. A route that is not named here is denied.
fn policy(step_up: Option<RequireStepUp>) -> impl Policy {
    let scopes = |access: &Access<'_>| {
        let needed = match (
            access.method().as_str(),
            access.route().map(|route| route.template()),
        ) {
            ("GET" | "HEAD", Some("/orders/{id}")) => "orders:read",
            ("POST", Some("/orders" | "/upload" | "/refunds")) => "orders:write",
            ("GET", Some("/reports")) => "reports:read",
            ("GET", Some("/whoami" | "/boom" | "/slow" | "/orders/{id}/label")) => "orders:read",
            _ => return Verdict::NotApplicable,
        };
        match access.principal().filter(|caller| caller.has_scope(needed)) {
            Some(_) => Verdict::permit("route-scope"),
            None => Verdict::NotApplicable,
        }
    };
    let night = |access: &Access<'_>| {
        let embargoed = access
            .route()
            .is_some_and(|route| route.template() == "/reports")
            && access.headers().contains_key("x-export");
        if embargoed {
            Verdict::deny("exports are embargoed")
        } else {
            Verdict::NotApplicable
        }
    };
    let refunds = move |access: &Access<'_>| {
        let refund = access
            .route()
            .is_some_and(|route| route.template() == "/refunds");
        match &step_up {
            Some(step_up) if refund => step_up.decide(access),
            _ => Step::pass(Verdict::NotApplicable),
        }
    };
    deny_overrides((scopes, night, refunds))
}

pub(super) fn gateway<A: Authenticate>(
    part: Part<A>,
    by_day: ChargeBudgetLayer<Hard, Prices>,
    orders: Upstream,
    slow: Arc<Notify>,
    omit: Option<Omit>,
) -> Result<App> {
    let router = Router::new()
        .route("/health", get(|| async { "fine" }))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/label", get(|| async { "label" }))
        .route("/orders", post(create))
        .route(
            "/upload",
            post(|body: Bytes| async move { body.len().to_string() }),
        )
        .route("/reports", get(|| async { "all is well" }))
        .route("/whoami", get(whoami))
        .route("/boom", get(boom))
        .route(
            "/slow",
            get(move || {
                slow.notify_one();
                std::future::pending::<()>()
            }),
        )
        .route("/refunds", post(|| async { "refunded" }))
        .with_state(orders);

    // The routes of the policy, with their bounds; the same table serves validation and audit.
    let base = ZeroTrust::builder()
        .settings(part.settings)
        .public(Method::GET, "/health")
        .route(route("/orders/{id}"))
        .route(route("/orders/{id}/label"))
        .route(route("/orders"))
        .route(route("/upload").body_limit(64 * 1024))
        .route(route("/reports"))
        .route(route("/refunds"))
        .route(route("/whoami"))
        .route(route("/boom"))
        .route(route("/slow"));
    let validate = part.validate;
    let step_up = match omit {
        Some(Omit::StepUp) => None,
        _ => Some(
            RequireStepUp::acr_values(["phr"])?
                .and_max_age(Duration::from_secs(300))?
                .realm("shop")?,
        ),
    };
    let policy = AuthorizeLayer::new(policy(step_up));
    let (record, by_peer, verify) = (part.record, part.by_peer, part.verify);
    let (sanctions, by_principal) = (part.sanctions, part.by_principal);

    macro_rules! app {
        ($($step:ident($($argument:expr)?))*) => {
            BoxCloneSyncService::new(base$(.$step($($argument)?))*.build()?.wrap(router))
        };
    }
    Ok(match omit {
        None | Some(Omit::Audience | Omit::StepUp | Omit::Signatures) => {
            app! { record(record) validate(validate) limit_peer(by_peer) authenticate(verify)
            sanctions(sanctions) authorize(policy) limit(by_principal) charge(by_day) }
        }
        Some(Omit::Headers) => app! { headers(Nothing) record(record) validate(validate)
        limit_peer(by_peer) authenticate(verify) sanctions(sanctions) authorize(policy)
        limit(by_principal) charge(by_day) },
        Some(Omit::Audit) => app! { without_audit() validate(validate) limit_peer(by_peer)
        authenticate(verify) sanctions(sanctions) authorize(policy) limit(by_principal) charge(by_day) },
        Some(Omit::Validation) => app! { record(record)
        validate(ValidateRequestLayer::insecure_accept_anything()) limit_peer(by_peer)
        authenticate(verify) sanctions(sanctions) authorize(policy) limit(by_principal) charge(by_day) },
        Some(Omit::PeerLimit) => app! { record(record) validate(validate) authenticate(verify)
        sanctions(sanctions) authorize(policy) limit(by_principal) charge(by_day) },
        Some(Omit::Authentication) => app! { record(record) validate(validate) limit_peer(by_peer)
        insecure_anonymous() sanctions(sanctions) authorize(policy) limit(by_principal) charge(by_day) },
        Some(Omit::Sanctions) => app! { record(record) validate(validate) limit_peer(by_peer)
        authenticate(verify) authorize(policy) limit(by_principal) charge(by_day) },
        Some(Omit::Policy) => app! { record(record) validate(validate) limit_peer(by_peer)
        authenticate(verify) sanctions(sanctions) any_authenticated() limit(by_principal) charge(by_day) },
        Some(Omit::PrincipalLimit) => app! { record(record) validate(validate) limit_peer(by_peer)
        authenticate(verify) sanctions(sanctions) authorize(policy) charge(by_day) },
        Some(Omit::Budget) => app! { record(record) validate(validate) limit_peer(by_peer)
        authenticate(verify) sanctions(sanctions) authorize(policy) limit(by_principal) },
    })
}

fn route(template: &str) -> zt_core::state::RouteRule {
    zt_core::state::RouteRule::any(template)
}

async fn show(State(orders): State<Upstream>, Path(id): Path<u64>) -> (StatusCode, Json<Value>) {
    let (status, order) = orders
        .call(Method::GET, &format!("/orders/{id}"), None)
        .await;
    (status, Json(order))
}

async fn create(
    State(orders): State<Upstream>,
    Json(order): Json<Value>,
) -> (StatusCode, Json<Value>) {
    let (status, order) = orders.call(Method::POST, "/orders", Some(order)).await;
    (status, Json(order))
}

/// What a handler that believed identity headers would be told.
async fn whoami(caller: Principal, headers: HeaderMap) -> Json<Value> {
    let claimed = headers
        .keys()
        .filter(|name| name.as_str().contains("user"))
        .count();
    Json(json!({"subject": caller.subject(), "claimed_headers": claimed}))
}

#[expect(clippy::panic, reason = "the tour shows what becomes of it")]
async fn boom() -> &'static str {
    panic!("the handler has a bug")
}
