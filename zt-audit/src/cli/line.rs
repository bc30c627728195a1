//! A record as one line for people: time, index, kind, verdict, what it is about, and the rest as
//! `name=value`.

use serde_json::{Map, Value};

use super::{
    escape,
    paint::{Paint, Tone},
    times,
};

/// Which field of a kind is its verdict, and which say what it is about.
struct Shape {
    kind: &'static str,
    verdict: &'static str,
    about: &'static [&'static str],
}

const SHAPES: [Shape; 12] = [
    Shape {
        kind: "decision",
        verdict: "decision",
        about: &["method", "path"],
    },
    Shape {
        kind: "outcome",
        verdict: "end",
        about: &["status", "handler"],
    },
    Shape {
        kind: "admin",
        verdict: "",
        about: &["action", "object"],
    },
    Shape {
        kind: "grant",
        verdict: "action",
        about: &["grant"],
    },
    Shape {
        kind: "budget",
        verdict: "action",
        about: &["root"],
    },
    Shape {
        kind: "sanction",
        verdict: "action",
        about: &["target", "name"],
    },
    Shape {
        kind: "config",
        verdict: "action",
        about: &["part", "version"],
    },
    Shape {
        kind: "alert",
        verdict: "detector",
        about: &["subject"],
    },
    Shape {
        kind: "key",
        verdict: "action",
        about: &["vkey"],
    },
    Shape {
        kind: "started",
        verdict: "",
        about: &["writer"],
    },
    Shape {
        kind: "recovered",
        verdict: "cause",
        about: &["file"],
    },
    Shape {
        kind: "erased",
        verdict: "action",
        about: &[],
    },
];

/// These stand elsewhere on the line, or say nothing to people.
const SKIPPED: [&str; 8] = [
    "v",
    "idx",
    "ts",
    "kind",
    "origin",
    "prev",
    "sealed",
    "request_id",
];

/// These come first, in this order; the rest as they come, the request's id last.
const FIRST: [&str; 13] = [
    "code",
    "status",
    "rule",
    "route",
    "author",
    "subject",
    "issuer",
    "principal",
    "workload",
    "client_addr",
    "peer_addr",
    "user_agent",
    "detail",
];

/// These are moments.
const MOMENTS: [&str; 7] = ["expires", "from", "to", "before", "start", "end", "until"];
/// These are spans in microseconds.
const SPANS: [&str; 1] = ["elapsed"];

const VERDICT: usize = 10;
const ABOUT: usize = 32;

/// The line of a record with these fields.
pub(super) fn of(fields: &Map<String, Value>, paint: Paint) -> String {
    let kind = string(fields, "kind").unwrap_or("?");
    let shape = SHAPES.iter().find(|shape| shape.kind == kind);
    let verdict = shape
        .and_then(|shape| string(fields, shape.verdict))
        .unwrap_or_default();
    let about = shape.map_or(&[][..], |shape| shape.about);
    let mut used = vec![shape.map_or("", |shape| shape.verdict)];
    let mut what: Vec<String> = Vec::new();
    for name in about {
        if let Some(value) = fields.get(*name) {
            what.push(value_of(name, value));
            used.push(name);
        } else if *name == "path" {
            what.push(instead_of_the_path(fields, &mut used));
        }
    }
    let time = match fields.get("ts").and_then(Value::as_u64) {
        Some(micros) => times::shown(micros),
        None => "?".to_owned(),
    };
    let index = fields.get("idx").map_or_else(String::new, compact);
    let mut line = format!(
        "{} {index:>8} {} {} {:<ABOUT$}",
        paint.tone(Tone::Faint, &time),
        padded(kind, 9, tone_of_kind(kind), paint),
        padded(verdict, VERDICT, tone_of_verdict(verdict), paint),
        what.join(" "),
    );
    for (name, value) in rest(fields, &used) {
        line.push(' ');
        line.push_str(&paint.tone(Tone::Faint, &format!("{}=", escape::word(name))));
        line.push_str(&value_of(name, value));
        if fields.contains_key(&format!("{name}_sha256")) {
            line.push_str("[cut]");
        }
    }
    let pseudonyms = sealed(fields).map(|who| ("sealed", who));
    for (state, who) in pseudonyms.chain(erased(fields).map(|who| ("erased", who))) {
        // Enough to see that two are the same; `--json` has all of it.
        let short: String = who.chars().take(8).collect();
        line.push_str(&format!(
            " {}{}",
            paint.tone(Tone::Faint, &format!("{state}=")),
            escape::word(&short)
        ));
    }
    if let Some(id) = fields.get("request_id") {
        line.push_str(&format!(
            " {}{}",
            paint.tone(Tone::Faint, "request="),
            value_of("request_id", id)
        ));
    }
    line.truncate(line.trim_end().len());
    line
}

/// A path that is sealed is told by its route, which names nobody.
fn instead_of_the_path(fields: &Map<String, Value>, used: &mut Vec<&str>) -> String {
    match fields.get("route") {
        Some(route) => {
            used.push("route");
            value_of("route", route)
        }
        None if sealed(fields).next().is_some() => "sealed".to_owned(),
        None if fields.contains_key("erased") => "erased".to_owned(),
        None => "-".to_owned(),
    }
}

/// The pseudonyms of parts that are still sealed.
pub(super) fn sealed(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    fields
        .get("sealed")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|part| part.get(0).and_then(Value::as_str))
}

/// The pseudonyms of parts whose key was destroyed, in a record that was opened.
pub(super) fn erased(fields: &Map<String, Value>) -> impl Iterator<Item = &str> {
    fields
        .get("erased")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
}

fn rest<'a>(
    fields: &'a Map<String, Value>,
    used: &[&str],
) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let listed = |name: &str| {
        !used.contains(&name) && !SKIPPED.contains(&name) && !name.ends_with("_sha256")
    };
    let first: Vec<(&str, &Value)> = FIRST
        .iter()
        .filter(|name| listed(name))
        .filter_map(|name| fields.get(*name).map(|value| (*name, value)))
        .collect();
    let others: Vec<(&str, &Value)> = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !FIRST.contains(name) && listed(name))
        .collect();
    first.into_iter().chain(others)
}

fn value_of(name: &str, value: &Value) -> String {
    match value {
        Value::Number(number) if MOMENTS.contains(&name) => match number.as_u64() {
            Some(micros) => times::shown(micros),
            None => number.to_string(),
        },
        Value::Number(number) if SPANS.contains(&name) => format!("{number}us"),
        other => compact(other),
    }
}

/// A value as one word.
fn compact(value: &Value) -> String {
    match value {
        Value::String(text) => escape::word(text).into_owned(),
        Value::Array(parts) if parts.iter().all(Value::is_string) => {
            let parts: Vec<&str> = parts.iter().filter_map(Value::as_str).collect();
            escape::word(&parts.join(",")).into_owned()
        }
        Value::Array(_) | Value::Object(_) => {
            // JSON's own quotes make it one value; spaces stand only within them.
            escape::json(&value.to_string()).into_owned()
        }
        scalar => scalar.to_string(),
    }
}

fn string<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str)
}

fn padded(text: &str, width: usize, tone: Tone, paint: Paint) -> String {
    let word = match text {
        "" => "".into(),
        text => escape::word(text),
    };
    // The colour's own bytes must not count for the width.
    let space = " ".repeat(width.saturating_sub(word.chars().count()));
    format!("{}{space}", paint.tone(tone, &word))
}

fn tone_of_kind(kind: &str) -> Tone {
    match kind {
        "alert" | "gap" => Tone::Bad,
        "recovered" | "rolled-up" | "erased" | "prune" | "key" | "sanction" => Tone::Warning,
        _ => Tone::Plain,
    }
}

fn tone_of_verdict(verdict: &str) -> Tone {
    match verdict {
        "permit" => Tone::Good,
        "deny" | "failed" => Tone::Bad,
        "undecided" | "abandoned" => Tone::Warning,
        _ => Tone::Plain,
    }
}
