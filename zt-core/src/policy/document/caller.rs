//! Who a rule speaks of.

use std::{net::IpAddr, sync::Arc};

use ipnet::{IpNet, Ipv4Net};
use toml::de::DeValue;

use super::{
    hint,
    pattern::{checked, is_trust_domain_pattern, is_workload, patterns},
    request::all,
    roles::Names,
    table::{Str, Table, Value},
};

use crate::{
    identity::PrincipalKind,
    policy::model::{Atom, Clause, Effect, Networks, Text},
};

/// What is said of a caller; its environment is for others to read.
pub(super) struct Caller<'t> {
    pub(super) clauses: Vec<Clause>,
    pub(super) environment: Option<Value<'t>>,
}

type MakeAtom = fn(Text) -> Atom;

pub(super) fn read<'t>(value: &Value<'t>, names: &Names<'_>, effect: Effect) -> Option<Caller<'t>> {
    let mut table = value.table("caller")?;
    if table.is_empty() {
        value.source.refuse_with(
            &value.at,
            "`caller` is empty",
            "leave it out for every caller",
        );
        return None;
    }
    let mut clauses = Vec::new();
    if let Some(value) = table.get("workload") {
        clauses.extend(one_of(
            checked(&value, "workload", is_workload),
            Atom::Workload,
        ));
    }
    if let Some(value) = table.get("trust_domain") {
        let found = checked(&value, "trust_domain", is_trust_domain_pattern);
        clauses.extend(one_of(found, Atom::TrustDomain));
    }
    let principal: [(_, MakeAtom); 3] = [
        ("issuer", Atom::Issuer),
        ("subject", Atom::Subject),
        ("tenant", Atom::Tenant),
    ];
    for (key, atom) in principal {
        if let Some(value) = table.get(key) {
            clauses.extend(one_of(patterns(&value, key), atom));
        }
    }
    if let Some(value) = table.get("kind") {
        clauses.extend(kinds(&value));
    }
    if let Some(value) = table.get("scopes") {
        clauses.extend(held(&value, "scopes", Atom::Scope, |_, _| true));
    }
    if let Some(value) = table.get("roles") {
        let known = |written: &Str<'_>, text: &Text| names.has_role(written, text);
        clauses.extend(held(&value, "roles", Atom::Role, known));
    }
    if let Some(claims) = table.table("claims") {
        clauses.extend(claim_clauses(&claims));
    }
    if let Some(value) = table.get("networks") {
        clauses.extend(networks(&value).map(|networks| {
            // A client of whom nobody knows where it is may be the one that is denied.
            let unknown = (effect == Effect::Deny).then_some(Atom::Nowhere);
            Clause::any([Atom::Client(networks)].into_iter().chain(unknown))
        }));
    }
    let environment = table.get("environment");
    table.finish("`caller`");
    Some(Caller {
        clauses,
        environment,
    })
}

fn one_of(texts: Option<Vec<Text>>, atom: impl Fn(Text) -> Atom) -> Option<Clause> {
    Some(Clause::any(texts?.into_iter().map(atom)))
}

fn kinds(value: &Value<'_>) -> Option<Clause> {
    const KINDS: [PrincipalKind; 3] = [
        PrincipalKind::User,
        PrincipalKind::Service,
        PrincipalKind::Anonymous,
    ];
    let kind = |text: &Str<'_>| {
        let found = KINDS.iter().find(|kind| kind.as_str() == text.text);
        if found.is_none() {
            text.refuse_with(
                format!("`{}` is no kind of caller", text.text),
                hint::among(text.text, KINDS.iter().map(|kind| kind.as_str())),
            );
        }
        found.map(|kind| Atom::Kind(*kind))
    };
    Some(Clause::any(all(value.texts("kind")?.iter().map(kind))?))
}

/// Of what a caller has many: one text, or `{ all = [..], any = [..] }`.
fn held(
    value: &Value<'_>,
    what: &'static str,
    atom: MakeAtom,
    check: impl Fn(&Str<'_>, &Text) -> bool,
) -> Vec<Clause> {
    match value.value {
        DeValue::Array(list) if list.len() > 1 => {
            value.source.refuse_with(
                &value.at,
                format!("a list of {what} does not say whether a caller has all of them or any"),
                "write `{ all = [..] }` or `{ any = [..] }`",
            );
            checked(value, what, check);
            Vec::new()
        }
        DeValue::Table(inner) if !inner.contains_key("exact") => {
            let Some(mut table) = value.table(what) else {
                return Vec::new();
            };
            let mut clauses = Vec::new();
            if let Some(value) = table.get("all") {
                let all = checked(&value, "all", &check).unwrap_or_default();
                clauses.extend(all.into_iter().map(|text| Clause::any([atom(text)])));
            }
            if let Some(value) = table.get("any") {
                clauses.extend(one_of(checked(&value, "any", &check), atom));
            }
            if table.is_empty() {
                value.is_no::<()>(what, "a text, `{ all = [..] }` or `{ any = [..] }`");
            }
            table.finish(&format!("`{what}`"));
            clauses
        }
        _ => one_of(checked(value, what, check), atom)
            .into_iter()
            .collect(),
    }
}

fn claim_clauses(claims: &Table<'_>) -> Vec<Clause> {
    if claims.is_empty() {
        claims.source.refuse_with(
            &claims.at,
            "`claims` is empty",
            "leave it out, or say which claim is meant",
        );
    }
    let one = |(name, value): (Str<'_>, Value<'_>)| {
        if let DeValue::Table(inner) = value.value
            && !inner.contains_key("exact")
        {
            let member = inner.keys().next().map_or("b", |key| key.get_ref());
            value.source.refuse_with(
                &value.at,
                format!("the claim `{}` is described by a table", name.text),
                format!(
                    "a member of a member is one name between quotes: `\"{}.{member}\"`",
                    name.text
                ),
            );
            return None;
        }
        let path = claim_path(&name)?;
        one_of(patterns(&value, name.text), |text| {
            Atom::Claim(path.clone(), text)
        })
    };
    claims.entries().into_iter().filter_map(one).collect()
}

/// `a.b` is a member of a member; `\.` is a dot in a name.
fn claim_path(name: &Str<'_>) -> Option<Vec<Arc<str>>> {
    let (mut path, mut member) = (Vec::new(), String::new());
    let mut letters = name.text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '.' => path.push(std::mem::take(&mut member)),
            '\\' => match letters.next() {
                Some(escaped @ ('.' | '\\')) => member.push(escaped),
                _ => {
                    name.refuse_with(
                        format!("`{}` is no name of a claim", name.text),
                        "behind a backslash stands a point or a backslash",
                    );
                    return None;
                }
            },
            letter => member.push(letter),
        }
    }
    path.push(member);
    if path.iter().any(String::is_empty) {
        name.refuse_with(
            format!("`{}` has a member without a name", name.text),
            "a point stands between two names; a point in a name is written `\\.`",
        );
        return None;
    }
    Some(path.into_iter().map(Arc::from).collect())
}

fn networks(value: &Value<'_>) -> Option<Networks> {
    let found = all(value.texts("networks")?.iter().map(network))?;
    Some(Networks::new(found))
}

/// `203.0.113.0/24`, `2001:db8::/32`, or one address.
fn network(written: &Str<'_>) -> Option<IpNet> {
    let text = written.text;
    let Ok(network) = text
        .parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
    else {
        let hint = match text.split_once('/') {
            Some((address, _)) if address.parse::<IpAddr>().is_ok() => {
                "the number behind the slash is a length in bits: 0 to 32, or 0 to 128 for IPv6"
            }
            _ => "write `203.0.113.0/24`, `2001:db8::/32`, or one address",
        };
        written.refuse_with(format!("`{text}` is not a network"), hint);
        return None;
    };
    if network.trunc() != network {
        written.refuse_with(
            format!("`{text}` is an address in a network, not the network"),
            format!(
                "write `{}` for all of it, `{}` for this one",
                network.trunc(),
                network.addr()
            ),
        );
        return None;
    }
    // Addresses are compared in their canonical form, in which none is an IPv4 address in IPv6.
    let IpNet::V6(inner) = network else {
        return Some(network);
    };
    match (
        inner.addr().to_ipv4_mapped(),
        inner.prefix_len().checked_sub(96),
    ) {
        (Some(address), Some(length)) => Ipv4Net::new(address, length).ok().map(IpNet::V4),
        _ => Some(network),
    }
}
