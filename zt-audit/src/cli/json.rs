//! JSON lines.

use serde_json::{Map, Value};

use super::escape;

/// One object on one line, escaped.
pub(super) fn line(value: &Value) -> String {
    escape::json(&value.to_string()).into_owned()
}

/// A record's fields with those of its head first, as the log writes them.
pub(super) fn record(fields: &Map<String, Value>) -> String {
    const HEAD: [&str; 6] = ["v", "idx", "ts", "kind", "origin", "prev"];
    let head = HEAD
        .iter()
        .filter_map(|name| fields.get(*name).map(|value| (*name, value)));
    let rest = fields
        .iter()
        .map(|(name, value)| (name.as_str(), value))
        .filter(|(name, _)| !HEAD.contains(name));
    let members: Vec<String> = head
        .chain(rest)
        .map(|(name, value)| format!("{}:{value}", Value::from(name)))
        .collect();
    escape::json(&format!("{{{}}}", members.join(","))).into_owned()
}
