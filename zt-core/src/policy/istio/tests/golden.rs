//! What Istio's own output says: a tiny evaluator of Envoy's RBAC filter, as far as the vectors use
//! it. It shares nothing with the code under test but the reader of YAML.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value as Json;

use super::Ask;
use crate::policy::istio::yaml::{self, Node, Value};

/// Where the workload listens.
pub(super) const PORT: u16 = 80;
pub(super) const ADDRESS: [u8; 4] = [10, 10, 10, 10];

/// One filter.
#[derive(Debug, Clone)]
pub(super) struct Filter {
    pub action: String,
    pub policies: Vec<Rbac>,
}

#[derive(Debug, Clone)]
pub(super) struct Rbac {
    pub permissions: Vec<Json>,
    pub principals: Vec<Json>,
}

/// Texts for scalars, whatever they are.
pub(super) fn json(node: &Node) -> Json {
    match &node.value {
        Value::Scalar(text, _) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(entries) => {
            let members = entries.iter();
            Json::Object(
                members
                    .map(|entry| (entry.key.clone(), json(&entry.value)))
                    .collect(),
            )
        }
    }
}

/// `None` where it has shadow rules only.
pub(super) fn read(file: &str, text: &str) -> Option<Filter> {
    let [node] = &yaml::read(&file.into(), text).unwrap()[..] else {
        panic!("{file} is one filter");
    };
    let filter = json(node);
    let rules = filter["typedConfig"].get("rules")?;
    let list = |value: &Json| value.as_array().unwrap().clone();
    let policies = rules["policies"].as_object().unwrap().values();
    Some(Filter {
        action: rules
            .get("action")
            .map_or("ALLOW", |action| text_of(action))
            .into(),
        policies: policies
            .map(|policy| Rbac {
                permissions: list(&policy["permissions"]),
                principals: list(&policy["principals"]),
            })
            .collect(),
    })
}

/// What the filters decide in their order.
pub(super) fn allows(filters: &[Filter], ask: &Ask) -> bool {
    filters.iter().all(|filter| {
        let denies = filter.action == "DENY";
        let matches = filter
            .policies
            .iter()
            .any(|policy| policy.matches(ask, denies));
        match &*filter.action {
            "DENY" => !matches,
            "ALLOW" => matches,
            "LOG" => true,
            other => panic!("{other}"),
        }
    })
}

impl Rbac {
    fn matches(&self, ask: &Ask, denies: bool) -> bool {
        self.permissions.iter().any(|rule| holds(rule, ask, denies))
            && self.principals.iter().any(|id| holds(id, ask, denies))
    }
}

fn text_of(value: &Json) -> &str {
    value.as_str().unwrap()
}

/// A permission or a principal. `unknown` is what a matcher of addresses says of one that is not known:
/// Envoy knows them all, so that zt says what denies.
fn holds(rule: &Json, ask: &Ask, unknown: bool) -> bool {
    let rule = rule.as_object().unwrap();
    assert_eq!(rule.len(), 1);
    let (kind, value) = rule.iter().next().unwrap();
    let all = |list: &str| value[list].as_array().unwrap().iter();
    match &**kind {
        "any" => text_of(value) == "true",
        "andRules" => all("rules").all(|rule| holds(rule, ask, unknown)),
        "andIds" => all("ids").all(|rule| holds(rule, ask, unknown)),
        "orRules" => all("rules").any(|rule| holds(rule, ask, unknown)),
        "orIds" => all("ids").any(|rule| holds(rule, ask, unknown)),
        "notRule" | "notId" => !holds(value, ask, !unknown),
        "authenticated" => ask
            .peer
            .as_ref()
            .is_some_and(|id| is_text(&value["principalName"], id)),
        "header" => is_header(value, ask),
        "urlPath" => is_text(&value["path"], &ask.path),
        "uriTemplate" => {
            let template = text_of(&value["typedConfig"]["pathTemplate"]);
            Regex::of_template(template).matches(&ask.path)
        }
        "destinationPort" => text_of(value) == PORT.to_string(),
        "destinationIp" => is_address(value, Some(ADDRESS.into()), unknown),
        "remoteIp" => is_address(value, ask.direct.and(Some(ask.remote)), unknown),
        "directRemoteIp" => is_address(value, ask.direct, unknown),
        "metadata" => is_metadata(value, ask),
        other => panic!("{other}"),
    }
}

fn is_address(value: &Json, address: Option<IpAddr>, unknown: bool) -> bool {
    let (prefix, len) = (
        text_of(&value["addressPrefix"]),
        text_of(&value["prefixLen"]),
    );
    let network: IpNet = format!("{prefix}/{len}").parse().unwrap();
    address.map_or(unknown, |address| network.contains(&address))
}

fn is_header(value: &Json, ask: &Ask) -> bool {
    let name = text_of(&value["name"]).to_ascii_lowercase();
    let found = match &*name {
        ":method" => Some(ask.method.clone()),
        ":authority" => ask.host.clone(),
        name => {
            let values: Vec<&str> = ask
                .headers
                .iter()
                .filter(|(header, _)| header.eq_ignore_ascii_case(name))
                .map(|(_, value)| &**value)
                .collect();
            (!values.is_empty()).then(|| values.join(","))
        }
    };
    match (found, value.get("stringMatch")) {
        (None, _) => false,
        (Some(_), None) => text_of(&value["presentMatch"]) == "true",
        (Some(found), Some(matcher)) => is_text(matcher, &found),
    }
}

fn is_text(matcher: &Json, value: &str) -> bool {
    let matcher = matcher.as_object().unwrap();
    let fold = |text: &str| match matcher.get("ignoreCase") {
        Some(flag) if text_of(flag) == "true" => text.to_ascii_lowercase(),
        _ => text.to_owned(),
    };
    let value = fold(value);
    let (kind, pattern) = matcher
        .iter()
        .find(|(kind, _)| *kind != "ignoreCase")
        .unwrap();
    match &**kind {
        "exact" => value == fold(text_of(pattern)),
        "prefix" => value.starts_with(&fold(text_of(pattern))),
        "suffix" => value.ends_with(&fold(text_of(pattern))),
        "safeRegex" => Regex::of(text_of(&pattern["regex"])).matches(&value),
        other => panic!("{other}"),
    }
}

fn is_metadata(value: &Json, ask: &Ask) -> bool {
    assert_eq!(value["filter"], "envoy.filters.http.jwt_authn");
    let mut keys = value["path"].as_array().unwrap().iter();
    assert_eq!(keys.next().unwrap()["key"], "payload");
    let mut found = ask.token.as_ref();
    for key in keys {
        found = found.and_then(|value| value.get(text_of(&key["key"])));
    }
    found.is_some_and(|found| is_value(&value["value"], found))
}

fn is_value(matcher: &Json, found: &Json) -> bool {
    let (kind, inner) = matcher.as_object().unwrap().iter().next().unwrap();
    match &**kind {
        "stringMatch" => found.as_str().is_some_and(|text| is_text(inner, text)),
        "orMatch" => {
            let mut matchers = inner["valueMatchers"].as_array().unwrap().iter();
            matchers.any(|matcher| is_value(matcher, found))
        }
        "listMatch" => found
            .as_array()
            .is_some_and(|list| list.iter().any(|one| is_value(&inner["oneOf"], one))),
        other => panic!("{other}"),
    }
}

/// The regular expressions that Istio writes: `.`, `[^/]`, groups, alternatives, `* + ?`, escapes.
/// They match the whole text.
struct Regex(Vec<Vec<Piece>>);

struct Piece {
    what: What,
    least: usize,
    most: usize,
}

enum What {
    Any,
    Char(char),
    NotSlash,
    /// What Envoy's URI templates take for a literal, and whether a slash is one.
    Literal(bool),
    Group(Vec<Vec<Piece>>),
}

impl Regex {
    fn of(text: &str) -> Self {
        let mut chars = text.chars().collect::<Vec<_>>().into_iter().peekable();
        let regex = alternatives(&mut chars);
        assert_eq!(chars.next(), None, "{text}");
        Self(regex)
    }

    fn of_template(template: &str) -> Self {
        let mut pieces = Vec::new();
        let mut left = template;
        while let Some(first) = left.chars().next() {
            let (piece, rest) = if let Some(rest) = left.strip_prefix("**") {
                (Piece::new(What::Literal(true), 0, usize::MAX), rest)
            } else if let Some(rest) = left.strip_prefix('*') {
                (Piece::new(What::Literal(false), 1, usize::MAX), rest)
            } else {
                (
                    Piece::new(What::Char(first), 1, 1),
                    left.strip_prefix(first).unwrap(),
                )
            };
            pieces.push(piece);
            left = rest;
        }
        Self(vec![pieces])
    }

    fn matches(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        self.0
            .iter()
            .any(|pieces| run(pieces, &text, &mut |left| left.is_empty()))
    }
}

impl Piece {
    fn new(what: What, least: usize, most: usize) -> Self {
        Self { what, least, most }
    }
}

fn alternatives(chars: &mut std::iter::Peekable<std::vec::IntoIter<char>>) -> Vec<Vec<Piece>> {
    let mut all = vec![Vec::new()];
    while let Some(next) = chars.peek().copied() {
        let what = match next {
            ')' => break,
            '|' => {
                chars.next();
                all.push(Vec::new());
                continue;
            }
            '(' => {
                chars.next();
                let group = alternatives(chars);
                assert_eq!(chars.peek(), Some(&')'));
                What::Group(group)
            }
            '[' => {
                assert!("[^/]".chars().take(3).eq(chars.by_ref().take(3)));
                What::NotSlash
            }
            '.' => What::Any,
            '\\' => {
                chars.next();
                What::Char(*chars.peek().unwrap())
            }
            other => What::Char(other),
        };
        chars.next();
        let (least, most) = match chars.peek() {
            Some('*') => (0, usize::MAX),
            Some('+') => (1, usize::MAX),
            Some('?') => (0, 1),
            _ => (1, 1),
        };
        if (least, most) != (1, 1) {
            chars.next();
        }
        all.last_mut().unwrap().push(Piece::new(what, least, most));
    }
    all
}

/// Calls `then` with what is left behind each way in which `pieces` match a beginning of `text`,
/// until it is content.
fn run(pieces: &[Piece], text: &[char], then: &mut dyn FnMut(&[char]) -> bool) -> bool {
    let Some((piece, rest)) = pieces.split_first() else {
        return then(text);
    };
    repeat(piece, 0, text, &mut |left| run(rest, left, then))
}

fn repeat(
    piece: &Piece,
    times: usize,
    text: &[char],
    then: &mut dyn FnMut(&[char]) -> bool,
) -> bool {
    if times >= piece.least && then(text) {
        return true;
    }
    if times >= piece.most {
        return false;
    }
    let is = |char: char| match &piece.what {
        What::Any => char != '\n',
        What::Char(own) => char == *own,
        What::NotSlash => char != '/',
        What::Literal(slash) => {
            char.is_ascii_alphanumeric()
                || "-._~%!$&'()+,;:@".contains(char)
                || (*slash && char == '/')
        }
        What::Group(_) => false,
    };
    if let What::Group(group) = &piece.what {
        return group.iter().any(|pieces| {
            run(pieces, text, &mut |left| {
                repeat(piece, times + 1, left, then)
            })
        });
    }
    match text.split_first() {
        Some((first, left)) if is(*first) => repeat(piece, times + 1, left, then),
        _ => false,
    }
}

#[test]
fn the_evaluator_reads_the_expressions_that_it_is_given() {
    for (regex, text, matches) in [
        (".+", "a", true),
        (".+", "", false),
        (".*/ns/x/.*", "spiffe://td/ns/x/sa/y", true),
        (".*/ns/x/.*", "spiffe://td/ns/xy/sa/y", false),
        (r"a\[0\]", "a[0]", true),
        ("spiffe://bad[^/]*/.*", "spiffe://badder/x", true),
        ("spiffe://bad[^/]*/.*", "spiffe://x/bad/x", false),
        (
            "spiffe://.+/ns/n/(.+/|)sa/s(/.+)?",
            "spiffe://td/ns/n/sa/s",
            true,
        ),
        (
            "spiffe://.+/ns/n/(.+/|)sa/s(/.+)?",
            "spiffe://td/ns/n/x/sa/s/y",
            true,
        ),
        (
            "spiffe://.+/ns/n/(.+/|)sa/s(/.+)?",
            "spiffe://td/ns/n/sa/st",
            false,
        ),
        (
            "spiffe://.+/ns/n/(.+/|)sa/s(/.+)?",
            "spiffe://td/ns/n/sa/s/",
            false,
        ),
    ] {
        assert_eq!(Regex::of(regex).matches(text), matches, "{regex} {text}");
    }
}
