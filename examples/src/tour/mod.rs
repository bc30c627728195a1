//! The tour: real requests over real sockets against the shop, good ones and attacks, each with
//! what is expected of it; then the audit logs that they left are verified.

mod budget;
mod charges;
mod jwt;
mod player;
mod report;
mod rotation;
mod script;
mod signed;
mod tamper;
mod webhooks;
mod workloads;

use std::{collections::BTreeMap, path::Path, time::Duration};

use serde_json::Value;
use zt_audit::AuditLog;
use zt_core::state::{Event, Events, Recorder};

pub use self::report::{Line, Report};
use crate::{
    Result, audit,
    shop::{Omit, Shop},
};

/// Plays the tour against a shop whose audit logs go into `folder`.
///
/// # Errors
///
/// When the shop cannot be started or stopped. Surprises are in the report, not errors.
pub async fn play(folder: &Path, omit: Option<Omit>) -> Result<Report> {
    let shop = Shop::start(folder, omit).await?;
    let mut events = shop.gateway_log().subscribe(100_000);
    let mut report = Report::default();
    script::play(&shop, &mut report).await?;
    let gateway_requests = report.requests_to_gateway();
    // A request is over when its last byte was handed on, or its client was missed: a moment after
    // the client saw the answer.
    let _ = tokio::time::timeout(
        Duration::from_secs(5),
        outcomes(&mut events, shop.gateway_log(), gateway_requests),
    )
    .await;
    let logs = shop.stop()?;
    // These are small applications of their own, with nothing to leave out.
    if omit.is_none() {
        budget::play(&mut report).await?;
        workloads::play(folder, &mut report).await?;
        charges::play(folder, &mut report).await?;
    }
    for log in &logs {
        report.check_log(log);
    }
    if let Some(payments) = logs.first() {
        reasons(payments, &mut report)?;
    }
    if let [other, .., gateway] = logs.as_slice() {
        account(gateway, gateway_requests, &mut report)?;
        tamper::play(gateway, other, &mut report)?;
    }
    Ok(report)
}

/// Waits for `count` outcomes, those included that are counted and have no record of their own.
async fn outcomes(events: &mut Events, log: &AuditLog, count: usize) {
    let mut seen = 0;
    // A refusal that is counted has two halves.
    while seen + log.health().rolled_up / 2 < count as u64 {
        match tokio::time::timeout(Duration::from_millis(20), events.next()).await {
            Ok(Some(Event::Outcome(_))) => seen += 1,
            Ok(None) => return,
            _ => {}
        }
    }
}

/// One decision and one outcome for each request that reached the gateway, and for each refusal a
/// decision with the code that the caller was told.
fn account(log: &Path, requests: usize, report: &mut Report) -> Result<()> {
    let mut decisions: BTreeMap<String, Value> = BTreeMap::new();
    let mut late: BTreeMap<String, Value> = BTreeMap::new();
    let mut outcomes = 0;
    let mut doubled = 0;
    let (mut counted, mut counted_outcomes) = (0, 0);
    for record in audit::records(log)? {
        let id = text(&record, "request_id").to_owned();
        match text(&record, "kind") {
            "decision" => {
                doubled += usize::from(decisions.insert(id, record).is_some());
            }
            "outcome" => {
                outcomes += 1;
                late.insert(id, record);
            }
            // Beyond the first of a kind in a while, refusals are counted.
            "rolled-up" => {
                let count = |value: &Value| value.as_u64().unwrap_or_default();
                let denied = record.get("denied").and_then(Value::as_object);
                counted += denied
                    .into_iter()
                    .flatten()
                    .map(|(_, n)| count(n))
                    .sum::<u64>();
                counted_outcomes += record.get("outcomes").map_or(0, count);
            }
            _ => {}
        }
    }
    let all = (
        decisions.len() as u64 + counted,
        outcomes + counted_outcomes,
    );
    report.fact(
        "one decision and one outcome a request, or counted",
        format!("{requests} requests"),
        format!(
            "{} decisions, {outcomes} outcomes, {doubled} twice; of {counted} more refusals, the numbers",
            decisions.len()
        ),
        all == (requests as u64, requests as u64) && doubled == 0 && counted_outcomes == counted,
    );
    // A denial that came after the permit (a panic, a body past its limit) is the outcome's.
    let told = |records: &BTreeMap<String, Value>, id: &String, code: &String| {
        records
            .get(id)
            .is_some_and(|record| text(record, "code") == code)
    };
    let unmatched = report
        .refusals()
        .filter(|(id, code)| !told(&decisions, id, code) && !told(&late, id, code))
        .count();
    report.fact(
        "each refusal is recorded with its code",
        "0 without".to_owned(),
        format!("{unmatched} without"),
        unmatched == 0,
    );
    Ok(())
}

/// Callers are told little about a signature that does not hold; the log says which reason it was.
fn reasons(log: &Path, report: &mut Report) -> Result<()> {
    let mut told: BTreeMap<String, String> = BTreeMap::new();
    for record in audit::records(log)? {
        let detail = told
            .entry(text(&record, "request_id").to_owned())
            .or_default();
        detail.push_str(text(&record, "detail"));
    }
    let expected = report.reasons().count();
    let found = report
        .reasons()
        .filter(|(id, why)| {
            let detail = id.and_then(|id| told.get(id));
            detail.is_some_and(|detail| detail.contains(why))
        })
        .count();
    report.fact(
        "each forged signature is refused for its own reason",
        format!("{expected} reasons"),
        format!("{found} as expected"),
        found == expected && found > 0,
    );
    Ok(())
}

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record
        .get(field)
        .and_then(Value::as_str)
        .unwrap_or_default()
}
