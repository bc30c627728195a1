//! What conditions may read, once: the schema, the search for what an expression reads, and the
//! values of a request follow this table.

use serde_json::{Map, Value, json};

use crate::{
    identity::PrincipalKind,
    policy::model::{AttributeGroup, FieldKind},
};

/// One fact; its number is its bit in [`Reads`](super::reads::Reads).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Subject,
    Issuer,
    Tenant,
    Roles,
    Scopes,
    Methods,
    Session,
    Acr,
    SpiffeId,
    TrustDomain,
    Namespace,
    ServiceAccount,
    DnsNames,
    Forwarded,
    Method,
    Path,
    Host,
    Parameters,
    Address,
    Now,
    Hour,
    Minute,
    MinuteOfDay,
    Weekday,
    Date,
    MfaAge,
    Grants,
    Body,
}

impl Fact {
    pub(super) const fn bit(self) -> u64 {
        1 << self as u64
    }
}

/// A fact, where it stands, and what it is; those without a type are made elsewhere.
pub(super) struct Entry {
    pub(super) fact: Fact,
    pub(super) record: &'static str,
    pub(super) name: &'static str,
    kind: Option<FieldKind>,
    optional: bool,
}

const fn entry(
    fact: Fact,
    record: &'static str,
    name: &'static str,
    kind: FieldKind,
    optional: bool,
) -> Entry {
    Entry {
        fact,
        record,
        name,
        kind: Some(kind),
        optional,
    }
}

use FieldKind::{Address, Boolean, Integer, Text, Texts, Time};

/// `principal` stands here as a record: expressions are rewritten to read it in `context`.
pub(super) const VOCABULARY: &[Entry] = &[
    entry(Fact::Subject, "principal", "subject", Text, false),
    entry(Fact::Issuer, "principal", "issuer", Text, true),
    entry(Fact::Tenant, "principal", "tenant", Text, true),
    entry(Fact::Roles, "principal", "roles", Texts, false),
    entry(Fact::Scopes, "principal", "scopes", Texts, false),
    entry(Fact::Methods, "principal", "methods", Texts, false),
    entry(Fact::Session, "principal", "session", Text, true),
    entry(Fact::Acr, "principal", "acr", Text, true),
    entry(Fact::SpiffeId, "peer", "spiffe_id", Text, true),
    entry(Fact::TrustDomain, "peer", "trust_domain", Text, true),
    entry(Fact::Namespace, "peer", "namespace", Text, true),
    entry(Fact::ServiceAccount, "peer", "service_account", Text, true),
    entry(Fact::DnsNames, "peer", "dns_names", Texts, false),
    entry(Fact::Forwarded, "peer", "forwarded", Boolean, false),
    entry(Fact::Method, "request", "method", Text, false),
    entry(Fact::Path, "request", "path", Text, false),
    entry(Fact::Host, "request", "host", Text, true),
    Entry {
        fact: Fact::Parameters,
        record: "request",
        name: "params",
        kind: None,
        optional: false,
    },
    entry(Fact::Address, "client", "address", Address, true),
    entry(Fact::Now, "time", "now", Time, false),
    entry(Fact::Hour, "time", "hour", Integer, false),
    entry(Fact::Minute, "time", "minute", Integer, false),
    entry(Fact::MinuteOfDay, "time", "minute_of_day", Integer, false),
    entry(Fact::Weekday, "time", "weekday", Text, false),
    entry(Fact::Date, "time", "date", Text, false),
    entry(Fact::MfaAge, "", "mfa_age", Integer, true),
    entry(Fact::Grants, "", "grants", Texts, false),
    Entry {
        fact: Fact::Body,
        record: "",
        name: "body",
        kind: None,
        optional: false,
    },
];

pub(super) const KINDS: [PrincipalKind; 3] = [
    PrincipalKind::User,
    PrincipalKind::Service,
    PrincipalKind::Anonymous,
];

/// The entity type of such a principal.
pub(super) const fn type_of(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "User",
        PrincipalKind::Service => "Service",
        PrincipalKind::Anonymous => "Anonymous",
    }
}

/// The facts of a record, as bits.
pub(super) const fn facts_of(record: &str) -> u64 {
    let (mut facts, mut entries) = (0, VOCABULARY);
    while let [entry, rest @ ..] = entries {
        if is_same(entry.record.as_bytes(), record.as_bytes()) {
            facts |= entry.fact.bit();
        }
        entries = rest;
    }
    facts
}

const fn is_same(mut left: &[u8], mut right: &[u8]) -> bool {
    while let ([first, others @ ..], [second, rest @ ..]) = (left, right) {
        if *first != *second {
            return false;
        }
        (left, right) = (others, rest);
    }
    left.is_empty() && right.is_empty()
}

/// Whether a group of attributes may not have this name.
pub(super) fn is_taken(name: &str) -> bool {
    VOCABULARY.iter().any(|entry| {
        name == if entry.record.is_empty() {
            entry.name
        } else {
            entry.record
        }
    })
}

/// What only a named principal has.
const NAMED: &[&str] = &["subject", "issuer", "tenant", "session", "acr"];

/// The attributes of a principal.
pub(super) fn principal(named: bool) -> Value {
    let entries = VOCABULARY
        .iter()
        .filter(|entry| entry.record == "principal" && (named || !NAMED.contains(&entry.name)));
    record(entries.filter_map(Entry::attribute))
}

/// What every context has; `parameters` are those of the path, with whether they are optional.
pub(super) fn context<'a>(
    groups: &[AttributeGroup],
    parameters: impl IntoIterator<Item = (&'a str, bool)>,
    body: Option<Value>,
) -> Value {
    let parameters = parameters
        .into_iter()
        .map(|(name, optional)| (name.to_owned(), attribute(kind(Text), optional)));
    let parameters = ("params".to_owned(), attribute(record(parameters), false));
    let of = |record: &'static str| {
        VOCABULARY
            .iter()
            .filter(move |entry| entry.record == record)
            .filter_map(Entry::attribute)
    };
    let mut members = vec![
        ("peer".to_owned(), attribute(record(of("peer")), true)),
        (
            "request".to_owned(),
            attribute(record(of("request").chain([parameters])), false),
        ),
        ("client".to_owned(), attribute(record(of("client")), false)),
        ("time".to_owned(), attribute(record(of("time")), false)),
    ];
    members.extend(of(""));
    members.extend(body.map(|body| ("body".to_owned(), attribute(body, false))));
    for group in groups {
        let fields = group.fields.iter().map(|field| {
            (
                field.name.to_string(),
                attribute(kind(field.kind), field.optional),
            )
        });
        members.push((group.name.to_string(), attribute(record(fields), false)));
    }
    record(members)
}

impl Entry {
    fn attribute(&self) -> Option<(String, Value)> {
        Some((
            self.name.to_owned(),
            attribute(kind(self.kind?), self.optional),
        ))
    }
}

/// A type of Cedar's JSON schema.
pub(super) fn kind(kind: FieldKind) -> Value {
    match kind {
        Integer => json!({"type": "Long"}),
        Boolean => json!({"type": "Boolean"}),
        Text => json!({"type": "String"}),
        Texts => json!({"type": "Set", "element": {"type": "String"}}),
        Time => json!({"type": "Extension", "name": "datetime"}),
        Address => json!({"type": "Extension", "name": "ipaddr"}),
    }
}

/// The same as an attribute.
pub(super) fn attribute(mut kind: Value, optional: bool) -> Value {
    if let Value::Object(members) = &mut kind {
        members.insert("required".to_owned(), Value::Bool(!optional));
    }
    kind
}

pub(super) fn record(members: impl IntoIterator<Item = (String, Value)>) -> Value {
    json!({"type": "Record", "attributes": members.into_iter().collect::<Map<_, _>>()})
}
