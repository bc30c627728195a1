//! The tour: real requests over real sockets against the shop, good ones and attacks, each with
//! what is expected of it; then the audit logs that they left are verified.

mod budget;
mod jwt;
mod player;
mod report;
mod rotation;
mod script;
mod signed;
mod webhooks;

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::Value;
use zt_audit::Finding;
use zt_core::state::{Event, Events, Recorder};

pub use self::report::{Line, Report};
use crate::{
    Result,
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
        outcomes(&mut events, gateway_requests),
    )
    .await;
    let logs = shop.stop()?;
    // These are small applications of their own, with nothing to leave out.
    if omit.is_none() {
        budget::play(&mut report).await?;
    }
    for log in &logs {
        report.check_log(log);
    }
    if let Some(payments) = logs.first() {
        reasons(payments, &mut report)?;
    }
    if let Some(gateway) = logs.last() {
        account(gateway, gateway_requests, &mut report)?;
        tamper(gateway, &mut report)?;
    }
    Ok(report)
}

/// Waits for `count` outcomes.
async fn outcomes(events: &mut Events, count: usize) {
    let mut seen = 0;
    while seen < count {
        match events.next().await {
            Some(Event::Outcome(_)) => seen += 1,
            Some(_) => {}
            None => return,
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
    for line in fs::read_to_string(log)?.lines() {
        let record: Value = serde_json::from_str(line)?;
        let id = text(&record, "request_id").to_owned();
        match text(&record, "kind") {
            "decision" => {
                doubled += usize::from(decisions.insert(id, record).is_some());
            }
            "outcome" => {
                outcomes += 1;
                late.insert(id, record);
            }
            _ => {}
        }
    }
    report.fact(
        "one decision and one outcome a request",
        format!("{requests} requests"),
        format!(
            "{} decisions, {outcomes} outcomes, {doubled} twice",
            decisions.len()
        ),
        decisions.len() == requests && outcomes == requests && doubled == 0,
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
    for line in fs::read_to_string(log)?.lines() {
        let record: Value = serde_json::from_str(line)?;
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

/// A copy of the log with one byte changed does not verify.
fn tamper(log: &Path, report: &mut Report) -> Result<()> {
    let mut bytes = fs::read(log)?;
    let text = String::from_utf8_lossy(&bytes);
    let Some(at) = text.find("\"deny\"") else {
        report.fact(
            "a changed log does not verify",
            "a denial".into(),
            "none recorded".into(),
            false,
        );
        return Ok(());
    };
    let line = text.get(..at).unwrap_or_default().matches('\n').count();
    if let Some(byte) = bytes.get_mut(at + 1) {
        *byte = b'D';
    }
    let found = zt_audit::verify(&bytes[..])?;
    report.fact(
        "a changed log does not verify",
        format!("record {line} or the one after it"),
        found.to_string(),
        matches!(&found.finding, Finding::Bad(bad) if bad.index == line as u64 || bad.index == line as u64 + 1),
    );
    Ok(())
}
