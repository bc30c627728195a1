//! Requests with a name, what conditions read of their bodies, and facts that are fetched.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use toml::de::DeValue;

use super::{
    hint,
    pattern::{is_identifier, is_name, shared},
    request::{hosts, method, methods, template},
    table::{Str, Table, Value},
};
use crate::policy::model::{
    AttributeField, AttributeGroup, BodyField, BodyFields, FieldKind, Operation, Segment,
};

/// A policy has no more operations.
const MOST_OPERATIONS: usize = 10_000;
/// Of one body no more fields are read.
const MOST_FIELDS: usize = 64;
/// Fields of a body lie no deeper.
const DEEPEST_FIELD: usize = 8;

/// `[operations.NAME]`
pub(super) fn operations(table: Option<Table<'_>>) -> Vec<Operation> {
    let one = |(name, value): (Str<'_>, Value<'_>)| {
        is_name(&name, "an operation");
        if name.text == "other" {
            name.refuse_with(
                "no operation is named `other`",
                "it is the action of every request that is no operation",
            );
        }
        let mut inner = value.table(name.text)?;
        let (single, several) = (inner.get("method"), inner.get("methods"));
        let methods = match (single, several) {
            (Some(single), None) => single
                .text("method")
                .and_then(|text| method(&text))
                .map(|method| vec![method]),
            (None, Some(several)) => methods(&several, "methods"),
            (None, None) => Some(Vec::new()),
            (Some(single), Some(_)) => {
                value.source.refuse_with(
                    &single.at,
                    "`method` and `methods` are both said",
                    "keep `methods`",
                );
                None
            }
        };
        let hosts = match inner.get("hosts") {
            Some(value) => hosts(&value),
            None => Some(Vec::new()),
        };
        let path = match inner.get("path") {
            Some(path) => path.text("path").and_then(|text| template(&text)),
            None => {
                let hint = "an operation has one path: say `path = \"/..\"`";
                let message = format!("the operation `{}` has no path", name.text);
                value.source.refuse_with(&value.at, message, hint);
                None
            }
        };
        let body = body(&mut inner);
        let groups = inner.get("groups").and_then(|value| value.texts("groups"));
        let groups = groups.unwrap_or_default();
        for group in &groups {
            is_name(group, "a group of operations");
        }
        inner.finish(&format!("the operation `{}`", name.text));
        Some(Operation {
            id: shared(&name),
            methods: methods?,
            hosts: hosts?,
            path: path?,
            body,
            groups: groups.iter().map(shared).collect(),
            origin: name.source.origin(name.at.start),
        })
    };
    let entries = table.map_or_else(Vec::new, |table| table.entries());
    if let Some((name, _)) = entries.get(MOST_OPERATIONS) {
        name.refuse(format!(
            "a policy has no more than {MOST_OPERATIONS} operations"
        ));
        return Vec::new();
    }
    let mut found: HashMap<_, Str<'_>> = HashMap::new();
    let mut operations = Vec::new();
    for (name, value) in entries {
        let Some(operation) = one((name.clone(), value)) else {
            continue;
        };
        let mut path = operation.path.clone();
        path.segments.iter_mut().for_each(forget_name);
        path.rest = path.rest.map(|_| Arc::from(""));
        let key = (operation.methods.clone(), operation.hosts.clone(), path);
        if let Some(before) = found.insert(key, name.clone()) {
            name.refuse_with(
                format!("`{}` is the same request as `{}`", name.text, before.text),
                "a request is one operation",
            );
        }
        operations.push(operation);
    }
    operations
}

fn forget_name(segment: &mut Segment) {
    if let Segment::Parameter(name) = segment {
        *name = Arc::from("");
    }
}

/// `body` and `max_body`.
pub(super) fn body(table: &mut Table<'_>) -> Arc<BodyFields> {
    let mut found = BodyFields::default();
    let max = table.number("max_body");
    if let Some(fields) = table.table("body") {
        if fields.is_empty() {
            fields.source.refuse_with(
                &fields.at,
                "`body` is empty",
                "leave it out, or name the fields that conditions read",
            );
        }
        read_fields(&fields, &[], &mut found.fields);
        check_fields(&fields, &found.fields);
    }
    if let Some((bytes, at)) = max {
        if found.fields.is_empty() && !table.has("body") {
            table.source.refuse_with(
                &at,
                "`max_body` without `body`",
                "it bounds the body that conditions read",
            );
        }
        found.max_bytes = Some(bytes);
    }
    Arc::new(found)
}

/// `"order.amount" = "integer"`, or a table in a table.
fn read_fields(table: &Table<'_>, outer: &[Arc<str>], fields: &mut Vec<BodyField>) {
    for (name, value) in table.entries() {
        let inner = name.text.split('.').map(Arc::from);
        let path: Vec<Arc<str>> = outer.iter().cloned().chain(inner).collect();
        if !path
            .iter()
            .all(|name_| is_identifier(&name, name_, "a field"))
        {
            continue;
        }
        if path.len() > DEEPEST_FIELD {
            name.refuse(format!(
                "a field lies no deeper than {DEEPEST_FIELD} members"
            ));
            continue;
        }
        if let DeValue::Table(_) = value.value {
            if let Some(table) = value.table(name.text) {
                read_fields(&table, &path, fields);
            }
        } else if let Some((kind, optional)) = kind(&name, &value) {
            fields.push(BodyField {
                path,
                kind,
                optional,
            });
        }
    }
}

/// None is another one, or lies in another one.
fn check_fields(table: &Table<'_>, fields: &[BodyField]) {
    if fields.len() > MOST_FIELDS {
        let message = format!("more than {MOST_FIELDS} fields of one body");
        table.source.refuse(&table.at, message);
        return;
    }
    let whole: HashSet<&[Arc<str>]> = fields.iter().map(|field| &*field.path).collect();
    let twice = whole.len() < fields.len();
    let inner = fields.iter().find(|field| {
        let shorter = 1..field.path.len();
        shorter
            .filter_map(|length| field.path.get(..length))
            .any(|outer| whole.contains(outer))
    });
    if let Some(field) = inner {
        table.source.refuse(
            &table.at,
            format!(
                "`{}` lies in a field that is no table",
                field.path.join(".")
            ),
        );
    } else if twice {
        table.source.refuse(&table.at, "a field is declared twice");
    }
}

/// `[attributes.NAME]`
pub(super) fn attributes(table: Option<Table<'_>>) -> Vec<AttributeGroup> {
    let one = |(name, value): (Str<'_>, Value<'_>)| {
        is_identifier(&name, name.text, "a group of attributes");
        if OWN_FACTS.contains(&name.text) {
            name.refuse_with(
                format!("`context.{}` is what the request itself says", name.text),
                "give the group another name",
            );
        }
        let inner = value.table(name.text)?;
        if inner.is_empty() {
            value.source.refuse_with(
                &value.at,
                format!("the group `{}` has no attributes", name.text),
                "say what each is: `managed = \"boolean\"`",
            );
        }
        let field = |(field, value): (Str<'_>, Value<'_>)| {
            is_identifier(&field, field.text, "an attribute");
            let (kind, optional) = kind(&field, &value)?;
            Some(AttributeField {
                name: shared(&field),
                kind,
                optional,
            })
        };
        Some(AttributeGroup {
            name: shared(&name),
            fields: inner.entries().into_iter().filter_map(field).collect(),
            origin: name.source.origin(name.at.start),
        })
    };
    let entries = table.map_or_else(Vec::new, |table| table.entries());
    entries.into_iter().filter_map(one).collect()
}

/// `integer`, and `integer?` where it may be absent.
fn kind(name: &Str<'_>, value: &Value<'_>) -> Option<(FieldKind, bool)> {
    let written = value.text(name.text)?;
    let (text, optional) = match written.text.strip_suffix('?') {
        Some(text) => (text, true),
        None => (written.text, false),
    };
    let found = KINDS.iter().find(|(known, _)| *known == text);
    if found.is_none() {
        written.refuse_with(
            format!("`{text}` is no type of a field"),
            hint::among(text, KINDS.iter().map(|(known, _)| *known)),
        );
    }
    found.map(|(_, kind)| (*kind, optional))
}

/// What conditions know without a source.
const OWN_FACTS: [&str; 7] = [
    "body", "client", "grants", "mfa_age", "peer", "request", "time",
];

const KINDS: [(&str, FieldKind); 6] = [
    ("integer", FieldKind::Integer),
    ("boolean", FieldKind::Boolean),
    ("text", FieldKind::Text),
    ("texts", FieldKind::Texts),
    ("time", FieldKind::Time),
    ("address", FieldKind::Address),
];
