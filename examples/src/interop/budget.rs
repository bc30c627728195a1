//! Money: each key has so much a day, and a request costs what it says.

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    routing::any,
};
use serde_json::{Value, json};
use tower::Layer;
use zt_audit::AuditLog;
use zt_core::{
    clock::{Clock, SystemClock},
    decision::{Code, Denial},
};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, Limits, Who,
    charge_budget::PriceBy,
    cost::Currency,
    limit::Window,
    limits::{Level, Policy, Subjects},
};

use crate::{Result, counters::counters};

const PATH: &str = "/budget";
const STATE_PATH: &str = "/budget/state";
const HEADER: &str = "X-Api-Key";
const LIMIT_MICROS: u64 = 5_000_000;
/// How long a request may take, in milliseconds.
const LONGEST: u64 = 60_000;

/// The routes, and what `interop.json` says of them. Counted in `redis`, where there is one.
pub(super) async fn budgets(log: &AuditLog, redis: Option<&str>) -> Result<(Router, Value)> {
    let amount = Cost::from_micros(LIMIT_MICROS, Currency::USD)?;
    let day = Limit::budget("key-day", amount, Window::day())?;
    let limits = Limits::builder(counters(redis).await?)
        .recorder(log.clone())
        // Longer than any request takes.
        .hold_time(Duration::from_millis(2 * LONGEST))
        .build(Policy::new([Level::new("key", [day])])?)?;
    // Nobody proves who they are here: whoever names a key spends its money.
    let who = Who::of_request(|parts, _| Some(Subjects::new([key(&parts.headers)?])));
    let price = PriceBy::new(|parts, _| {
        let query = parts.uri.query().unwrap_or_default();
        let cost = number(query, "cost").zip(duration(query));
        cost.zip(key(&parts.headers))
            .and_then(|((micros, _), _)| Cost::from_micros(micros, Currency::USD).ok())
            .ok_or_else(|| Denial::new(Code::RequestMalformed))
    });
    let charge = ChargeBudgetLayer::hard(limits.clone(), who, price)?.with_headers();
    let spend = charge.layer(Router::new().route(PATH, any(serve)));
    let routes = Router::new()
        .route(STATE_PATH, any(state))
        .with_state(limits)
        .route_service(PATH, spend);
    let about = json!({
        "path": PATH,
        "state_path": STATE_PATH,
        "header": HEADER,
        "limit_micros": LIMIT_MICROS,
        "currency": "USD",
    });
    Ok((routes, about))
}

/// Takes as long as it was told. Whoever goes away meanwhile has been served, and pays.
async fn serve(request: Request) -> &'static str {
    let query = request.uri().query().unwrap_or_default();
    SystemClock.sleep(duration(query).unwrap_or_default()).await;
    "ok\n"
}

/// How a key stands, in micro-dollars.
async fn state(
    State(limits): State<Limits>,
    request: Request,
) -> Result<Json<Value>, (StatusCode, String)> {
    let query = request.uri().query().unwrap_or_default();
    let key = field(query, "key").filter(|key| is_sane(key));
    let key = key.ok_or((StatusCode::BAD_REQUEST, "`key` names a key\n".to_owned()))?;
    let cells = limits.standing(&Subjects::new([key])).await;
    let unavailable = |why: String| (StatusCode::SERVICE_UNAVAILABLE, why);
    let cells = cells.map_err(|error| unavailable(error.to_string()))?;
    let cell = cells.first().ok_or_else(|| unavailable(String::new()))?;
    let micros = |nanos: u64| nanos.div_ceil(1000);
    Ok(Json(json!({
        "spent": micros(cell.state.spent),
        "held": micros(cell.state.held + cell.state.leased),
        "limit": micros(cell.state.limit),
    })))
}

/// The one key that the request names.
fn key(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(HEADER).iter();
    let key = values.next()?.to_str().ok()?;
    (values.next().is_none() && is_sane(key)).then_some(key)
}

fn is_sane(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&key.len()) && key.bytes().all(plain)
}

/// The one field of that name.
fn field<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let mut values = pairs.filter(|(found, _)| *found == name);
    let (_, value) = values.next()?;
    values.next().is_none().then_some(value)
}

fn number(query: &str, name: &str) -> Option<u64> {
    let digits = field(query, name)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn duration(query: &str) -> Option<Duration> {
    let named = query.split('&').any(|pair| pair.starts_with("ms"));
    let millis = if named { number(query, "ms")? } else { 0 };
    (millis <= LONGEST).then_some(Duration::from_millis(millis))
}
