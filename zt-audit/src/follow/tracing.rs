use tracing::Level;

use super::{Record, Sink, SinkError};

/// Gives each record to `tracing`, as an event of target `zt_audit`: `ERROR` for alerts, gaps and
/// panics, `WARN` for refusals, sanctions and roll-ups, `INFO` for all else.
///
/// Values are printed as Rust prints strings for debugging: what a terminal would obey is escaped,
/// also by subscribers that do not (RUSTSEC-2025-0055). A subscriber may drop events, and says so to
/// nobody; this is a view of the log, and no copy of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct TracingSink;

impl Sink for TracingSink {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), SinkError> {
        for record in records {
            emit(record);
        }
        Ok(())
    }
}

macro_rules! event {
    ($level:expr, $record:expr, $fields:expr) => {{
        let field = |name: &str| $fields.get(name).and_then(serde_json::Value::as_str);
        let number = |name: &str| $fields.get(name).and_then(serde_json::Value::as_u64);
        tracing::event!(
            target: "zt_audit",
            $level,
            origin = ?$record.origin(),
            index = $record.index(),
            time = $record.time().as_micros(),
            kind = ?$record.kind(),
            decision = field("decision").map(tracing::field::debug),
            code = field("code").map(tracing::field::debug),
            status = number("status"),
            rule = field("rule").map(tracing::field::debug),
            action = field("action").map(tracing::field::debug),
            method = field("method").map(tracing::field::debug),
            route = field("route").map(tracing::field::debug),
            path = field("path").map(tracing::field::debug),
            subject = field("subject").map(tracing::field::debug),
            end = field("end").map(tracing::field::debug),
            elapsed = number("elapsed"),
            request_id = field("request_id").map(tracing::field::debug),
            leaf = %$record.leaf(),
        );
    }};
}

fn emit(record: &Record) {
    let Ok(fields) = record.fields() else {
        return;
    };
    match level(record.kind(), &fields) {
        Level::ERROR => event!(Level::ERROR, record, fields),
        Level::WARN => event!(Level::WARN, record, fields),
        _ => event!(Level::INFO, record, fields),
    }
}

fn level(kind: &str, fields: &serde_json::Map<String, serde_json::Value>) -> Level {
    let is = |name: &str, value: &str| fields.get(name).is_some_and(|found| found == value);
    match kind {
        "alert" | "gap" => Level::ERROR,
        "outcome" if is("handler", "panicked") => Level::ERROR,
        "decision" if is("decision", "permit") => Level::INFO,
        "outcome" if !fields.contains_key("code") => Level::INFO,
        "decision" | "outcome" | "sanction" | "rolled-up" | "recovered" | "erased" | "prune" => {
            Level::WARN
        }
        _ => Level::INFO,
    }
}
