//! Records as events of the Open Cybersecurity Schema Framework (OCSF 1.8.0), for what collects and
//! searches such events.
//!
//! | record | class | why |
//! |---|---|---|
//! | `decision`, `outcome` | 6003 API Activity, profile `security_control` | a call of an interface, and what a control did with it |
//! | `decision` that refused a credential | 3002 Authentication, same profile | a logon that failed: codes `credential-*`, `signature-*`, `binding-mismatch`, `replayed`, `step-up-required` |
//! | `grant` | 3003 Authorize Session | privileges were given to, or taken from, a session |
//! | `admin`, `sanction`, `budget`, `config` | 3004 Entity Management | somebody changed something that is managed: a token, a caller's standing, a limit, a policy. 5019 is about devices |
//! | `alert` | 2004 Detection Finding | a detector found something |
//! | the log's own | 1008 Event Log Activity | a log was started, lost its end, was pruned |
//!
//! `metadata.correlation_uid` is the request's id and joins a decision with its outcome, which has no
//! method and no caller of its own. `time` is whole milliseconds, the record's own microseconds stand
//! in `unmapped.ts`. What OCSF has no place for stands in `unmapped`, always with `origin`, `idx` and
//! `leaf`, by which the record is found in the log and proved. No query string is in a record, so
//! none is in an event.
//!
//! Of a sealed record the events have what is in the clear; where a person would be named stands
//! their pseudonym, as `uid`. Sealed bytes are not passed on.

mod fields;
mod request;
#[cfg(test)]
mod tests;

use serde_json::{Map, Value, json};

use self::fields::{Fields, object};
use crate::merkle::Hash;

/// The version of OCSF.
pub const VERSION: &str = "1.8.0";

/// The event of a record, of its fields (opened or as they are stored) and its leaf.
#[must_use]
pub fn event(fields: &Map<String, Value>, leaf: &Hash) -> Value {
    let mut fields = Fields::new(fields);
    let kind = fields.kind().to_owned();
    let event = match &*kind {
        "decision" => request::decision(&mut fields),
        "outcome" => request::outcome(&mut fields),
        "grant" => grant(&mut fields),
        "admin" => admin(&mut fields),
        "sanction" => sanction(&mut fields),
        "budget" => budget(&mut fields),
        "config" => config(&mut fields),
        "alert" => alert(&mut fields),
        _ => own(&mut fields, &kind),
    };
    event.finish(fields, leaf)
}

/// An event that is being made.
struct Event {
    class: Class,
    activity: u64,
    severity: u64,
    status: u64,
    rest: Map<String, Value>,
}

/// A class: its number, and whether the profile `security_control` is applied.
#[derive(Clone, Copy)]
struct Class(u64, bool);

const API_ACTIVITY: Class = Class(6003, true);
const AUTHENTICATION: Class = Class(3002, true);
const AUTHORIZE_SESSION: Class = Class(3003, false);
const ENTITY_MANAGEMENT: Class = Class(3004, false);
const DETECTION_FINDING: Class = Class(2004, false);
const EVENT_LOG_ACTIVITY: Class = Class(1008, false);

const OTHER: u64 = 99;
/// `severity_id`.
const INFORMATIONAL: u64 = 1;
const LOW: u64 = 2;
const MEDIUM: u64 = 3;
const HIGH: u64 = 4;
/// `status_id`.
const SUCCESS: u64 = 1;
const FAILURE: u64 = 2;

impl Event {
    fn new(class: Class, activity: u64, severity: u64, status: u64, rest: Value) -> Self {
        Self {
            class,
            activity,
            severity,
            status,
            rest: match rest {
                Value::Object(rest) => rest,
                _ => Map::new(),
            },
        }
    }

    /// Where OCSF has no number for what was done, its own word for it.
    fn named(mut self, word: Option<String>) -> Self {
        if self.activity == OTHER
            && let Some(word) = word
        {
            self.rest.insert("activity_name".to_owned(), word.into());
        }
        self
    }

    fn finish(mut self, mut fields: Fields, leaf: &Hash) -> Value {
        let Class(class, is_control) = self.class;
        let micros = fields.number("ts").unwrap_or_default();
        let index = fields.number("idx").unwrap_or_default();
        let origin = fields.origin();
        let metadata = object([
            ("version", Some(VERSION.into())),
            (
                "product",
                Some(json!({
                    "name": "zt-audit",
                    "vendor_name": "zt",
                    "version": env!("CARGO_PKG_VERSION"),
                })),
            ),
            ("profiles", is_control.then(|| json!(["security_control"]))),
            ("uid", Some(format!("{origin}/{index}").into())),
            ("sequence", Some(index.into())),
            ("log_name", Some(origin.clone().into())),
            ("event_code", Some(fields.kind().into())),
            (
                "correlation_uid",
                fields.text("request_id").map(Value::from),
            ),
            ("tenant_uid", fields.take("tenant")),
        ]);
        let mut event = std::mem::take(&mut self.rest);
        for (name, value) in [
            ("metadata", metadata),
            ("time", (micros / 1000).into()),
            ("category_uid", (class / 1000).into()),
            ("class_uid", class.into()),
            ("activity_id", self.activity.into()),
            ("type_uid", (class * 100 + self.activity).into()),
            ("severity_id", self.severity.into()),
            ("status_id", self.status.into()),
            ("unmapped", fields.unmapped(leaf)),
        ] {
            event.insert(name.to_owned(), value);
        }
        event.retain(|_, value| !value.is_null());
        Value::Object(event)
    }
}

fn grant(fields: &mut Fields) -> Event {
    let action = fields.text("action").unwrap_or_default();
    let (activity, severity) = match action.as_str() {
        "approved" => (1, MEDIUM),
        // Taken alone: somebody should look at it now.
        "break-glass" => (1, HIGH),
        // Asked for, taken away, looked at.
        _ => (OTHER, MEDIUM),
    };
    let privilege = fields.take("grant").unwrap_or_else(|| json!("sealed"));
    let rest = object([
        ("user", Some(fields.user("subject"))),
        ("actor", fields.author()),
        ("privileges", Some(json!([privilege]))),
        (
            "session",
            fields
                .take("expires")
                .and_then(|at| at.as_u64())
                .map(|micros| json!({"expiration_time": micros / 1000})),
        ),
    ]);
    Event::new(AUTHORIZE_SESSION, activity, severity, SUCCESS, rest).named(Some(action))
}

fn admin(fields: &mut Fields) -> Event {
    let action = fields.text("action").unwrap_or_default();
    let (area, verb) = action.rsplit_once('.').unwrap_or(("", &action));
    let activity = match verb {
        "mint" | "create" | "add" | "put" | "register" => 1,
        "look" | "read" | "list" | "get" => 2,
        "delete" | "remove" | "revoke" | "retire" => 4,
        "rotate" | "set" | "update" | "replace" | "renew" | "adjust" => 3,
        _ => OTHER,
    };
    let entity = object([
        (
            "name",
            fields.take("object").or_else(|| Some("sealed".into())),
        ),
        ("type", Some(area.into()).filter(|_| !area.is_empty())),
    ]);
    let rest = object([
        ("entity", Some(entity)),
        ("actor", fields.author()),
        ("comment", fields.take("detail")),
    ]);
    let word = Some(action.clone());
    Event::new(ENTITY_MANAGEMENT, activity, LOW, SUCCESS, rest).named(word)
}

fn sanction(fields: &mut Fields) -> Event {
    let action = fields.text("action").unwrap_or_default();
    let activity = match &*action {
        "imposed" => 12,
        "lifted" => 13,
        _ => OTHER,
    };
    let name = fields.take("name");
    let pseudonym = fields.pseudonym();
    let entity = object([
        ("uid", pseudonym.filter(|_| name.is_none()).map(Value::from)),
        ("name", name),
        ("type", fields.take("target")),
    ]);
    // Something names it, or the class is not met: a sanction of nobody is one of everybody.
    let entity = match entity.get("uid").or_else(|| entity.get("name")) {
        Some(_) => entity,
        None => json!({"name": "sealed", "type": entity.get("type")}),
    };
    let rest = object([
        ("entity", Some(entity)),
        ("actor", fields.author()),
        ("comment", fields.take("reason")),
    ]);
    Event::new(ENTITY_MANAGEMENT, activity, MEDIUM, SUCCESS, rest).named(Some(action))
}

fn budget(fields: &mut Fields) -> Event {
    let action = fields.text("action").unwrap_or_default();
    let severity = match &*action {
        "overrun" => HIGH,
        "refused" | "exhausted" => MEDIUM,
        _ => INFORMATIONAL,
    };
    let root = fields.take("root");
    let pseudonym = fields.pseudonym().map(Value::from);
    let entity = object([
        ("name", root.or(pseudonym).or_else(|| Some("sealed".into()))),
        ("type", Some("budget".into())),
    ]);
    let rest = object([
        ("entity", Some(entity)),
        ("actor", fields.author()),
        ("comment", fields.take("detail")),
    ]);
    Event::new(ENTITY_MANAGEMENT, OTHER, severity, SUCCESS, rest).named(Some(action))
}

fn config(fields: &mut Fields) -> Event {
    let action = fields.text("action").unwrap_or_default();
    let (activity, severity, status) = match &*action {
        "loaded" => (3, INFORMATIONAL, SUCCESS),
        "refused" => (3, MEDIUM, FAILURE),
        _ => (OTHER, INFORMATIONAL, SUCCESS),
    };
    let entity = object([
        (
            "name",
            fields.take("part").or_else(|| Some("unknown".into())),
        ),
        ("version", fields.take("version")),
        ("type", Some("configuration".into())),
    ]);
    let rest = object([
        ("entity", Some(entity)),
        ("status_detail", fields.take("detail")),
    ]);
    Event::new(ENTITY_MANAGEMENT, activity, severity, status, rest).named(Some(action))
}

fn alert(fields: &mut Fields) -> Event {
    let score = fields.take("score").and_then(|score| score.as_u64());
    let severity = match score.unwrap_or_default() {
        900.. => HIGH,
        500.. => MEDIUM,
        _ => LOW,
    };
    let uid = format!(
        "{}/{}",
        fields.origin(),
        fields.number("idx").unwrap_or_default()
    );
    let detector = fields.take("detector");
    let finding = object([
        ("uid", Some(uid.into())),
        ("title", detector.clone()),
        ("types", detector.map(|detector| json!([detector]))),
        ("desc", fields.take("evidence")),
    ]);
    let rest = object([
        ("finding_info", Some(finding)),
        ("evidences", Some(json!([{"user": fields.user("subject")}]))),
        ("confidence_score", score.map(|score| (score / 10).into())),
        ("is_alert", Some(true.into())),
    ]);
    // `status_id` 1 is "New" here.
    Event::new(DETECTION_FINDING, 1, severity, 1, rest)
}

/// What the log says of itself; also a kind that is not known here.
fn own(fields: &mut Fields, kind: &str) -> Event {
    let (activity, severity, status) = match kind {
        "started" => (6, INFORMATIONAL, SUCCESS),
        "recovered" => (8, MEDIUM, SUCCESS),
        "prune" => (2, MEDIUM, SUCCESS),
        "gap" => (OTHER, HIGH, FAILURE),
        "erased" => (OTHER, MEDIUM, SUCCESS),
        "rolled-up" => (OTHER, LOW, SUCCESS),
        _ => (OTHER, INFORMATIONAL, SUCCESS),
    };
    let rest = object([
        ("log_name", Some(fields.origin().into())),
        ("log_type_id", Some(2.into())),
        ("log_provider", Some("zt-audit".into())),
        ("actor", fields.author()),
        ("status_detail", fields.take("reason")),
    ]);
    Event::new(EVENT_LOG_ACTIVITY, activity, severity, status, rest).named(Some(kind.to_owned()))
}
