//! For people: a page that shows how budgets stand, and what an administrator may do about them.

use std::{collections::BTreeSet, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use zt_core::{
    authorize::{Access, Policy, Verdict},
    context::SecurityContext,
    decision::Permit,
    headers::CspNonce,
    identity::Principal,
};
use zt_ratelimit::{
    Cost, Limits,
    limits::{
        Subjects,
        admin::{Admin, AdminError, Cell},
    },
};

use super::keys::{GRANT, KEYS, READ, path};

/// The page is public and has nothing in it; what it shows asks for a permit.
pub(super) fn routes(limits: Limits) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/budgets.json", get(budgets))
        .route("/budgets/grant", post(grant))
        .route("/budgets/reset", post(reset))
        .with_state(limits)
}

/// Looking asks for one scope, changing for another.
pub(super) fn policy() -> impl Policy {
    |access: &Access<'_>| {
        let (needed, rule) = match (access.method(), access.path()) {
            (&Method::GET, "/budgets.json") => (READ, "may see budgets"),
            (&Method::POST, "/budgets/grant" | "/budgets/reset") => (GRANT, "may change budgets"),
            _ => return Verdict::NotApplicable,
        };
        match access.principal() {
            Some(caller) if caller.has_scope(needed) => Verdict::permit(rule),
            _ => Verdict::NotApplicable,
        }
    }
}

async fn page(nonce: CspNonce) -> Result<Html<String>, StatusCode> {
    let nonce = nonce.value().map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Html(include_str!("page.html").replace("{nonce}", nonce)))
}

/// How every limit of every key stands, the outermost first. Who asked is in the record of the
/// request.
async fn budgets(
    _: Permit,
    cx: SecurityContext,
    State(limits): State<Limits>,
) -> Result<Json<Value>, NotDone> {
    let mut seen = BTreeSet::new();
    let mut nodes = Vec::new();
    for (name, tier) in KEYS {
        for cell in limits.standing(&whose(name, tier)?).await? {
            if seen.insert((cell.subject.clone(), cell.limit.name().clone())) {
                nodes.extend(node(&cell));
            }
        }
    }
    Ok(Json(json!({"at": cx.now().as_secs(), "nodes": nodes})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Grant {
    whose: String,
    limit: String,
    name: String,
    amount: Cost,
    minutes: u32,
}

async fn grant(
    _: Permit,
    caller: Principal,
    cx: SecurityContext,
    State(limits): State<Limits>,
    Json(asked): Json<Grant>,
) -> Result<Json<Value>, NotDone> {
    let until = cx.now() + Duration::from_secs(u64::from(asked.minutes) * 60);
    let cell = by(&limits, &caller)
        .grant(
            &known(&asked.whose)?,
            &asked.limit,
            &asked.name,
            asked.amount,
            until,
        )
        .await?;
    Ok(Json(json!(node(&cell))))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reset {
    whose: String,
    limit: String,
}

async fn reset(
    _: Permit,
    caller: Principal,
    State(limits): State<Limits>,
    Json(asked): Json<Reset>,
) -> Result<Json<Value>, NotDone> {
    let cell = by(&limits, &caller)
        .reset(&known(&asked.whose)?, &asked.limit)
        .await?;
    Ok(Json(json!(node(&cell))))
}

fn by(limits: &Limits, caller: &Principal) -> Admin {
    limits.admin(caller.subject()).because("asked for by hand")
}

/// The path to a key that there is, or to somebody above one.
fn known(name: &str) -> Result<Subjects<'_>, NotDone> {
    let key = KEYS.iter().find(|(key, _)| {
        key.strip_prefix(name)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    let Some((key, tier)) = key else {
        return Err(NotDone::Nobody);
    };
    whose(name, tier.filter(|_| *key == name))
}

fn whose<'a>(name: &'a str, tier: Option<&'a str>) -> Result<Subjects<'a>, NotDone> {
    let path = path(name).ok_or(NotDone::Nobody)?;
    Ok(match tier {
        Some(tier) => path.tier(tier),
        None => path,
    })
}

/// A budget as the page shows it; rates and permits are not money.
fn node(cell: &Cell) -> Option<Value> {
    let currency = cell.limit.as_budget()?.currency();
    let money = |nanos| Cost::from_nanos(nanos, currency);
    let state = &cell.state;
    let used = state.spent + state.held + state.leased;
    let permille = (u128::from(used) * 1000).div_ceil(u128::from(state.limit.max(1)));
    Some(json!({
        "level": cell.level,
        "subject": cell.subject,
        "name": cell.limit.name(),
        "limit": money(state.limit),
        "spent": money(state.spent),
        "held": money(state.held + state.leased),
        "remaining": money(state.limit.saturating_sub(used)),
        "permille": u64::try_from(permille.min(1000)).unwrap_or(1000),
    }))
}

/// An act that was not done.
enum NotDone {
    Nobody,
    Act(AdminError),
}

impl From<AdminError> for NotDone {
    fn from(error: AdminError) -> Self {
        Self::Act(error)
    }
}

impl IntoResponse for NotDone {
    fn into_response(self) -> Response {
        let (status, why) = match self {
            Self::Nobody => (
                StatusCode::NOT_FOUND,
                "there is nobody of that name".to_owned(),
            ),
            // What the store or the audit log could not do is nobody's mistake.
            Self::Act(
                error @ (AdminError::Clock(_) | AdminError::Record(_) | AdminError::Counter(_)),
            ) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            Self::Act(error) => (StatusCode::BAD_REQUEST, error.to_string()),
        };
        (status, Json(json!({"error": why}))).into_response()
    }
}
