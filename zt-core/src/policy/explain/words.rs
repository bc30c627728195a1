//! Clauses in words.

use std::net::IpAddr;

use crate::policy::{
    facts::Facts,
    model::{Atom, Clause, Effect, Networks, PathPattern, Text},
};

/// So many alternatives are written out.
const MOST: usize = 5;

pub(crate) const fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    }
}

/// On one line, whatever it was.
pub(crate) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}

/// Why a clause does not hold.
pub(super) fn miss(clause: &Clause, facts: &Facts<'_>) -> String {
    if clause.negated {
        let holding = clause.any.iter().find(|atom| atom.holds(facts));
        return match holding {
            Some(atom) => format!("{}, which the rule leaves out", said(atom, "is")),
            None => "it never holds".to_owned(),
        };
    }
    let Some(first) = clause.any.first() else {
        return "it never holds".to_owned();
    };
    if matches!(first, Atom::Always(_)) {
        return "it does not hold here, as was decided when the policy was loaded".to_owned();
    }
    let subject = subject(first);
    let same = clause.any.iter().all(|atom| self::subject(atom) == subject);
    if !same {
        let all = clause.any.iter().map(|atom| said(atom, "is"));
        return format!("none of these holds: {}", alternatives(all, "; "));
    }
    let wanted = alternatives(clause.any.iter().map(wanted), " or ");
    match found(first, facts) {
        Found::Is(value) => format!("{subject} is `{}`, not {wanted}", line(&value)),
        Found::Absent => format!("{subject} is not known, and has to be {wanted}"),
        Found::Untold => format!("{subject} is not {wanted}"),
        Found::HasNot => format!("the caller has not the {subject} {wanted}"),
    }
}

/// A clause as it stands in a review: what has to hold.
pub(crate) fn clause(clause: &Clause) -> String {
    let Some(first) = clause.any.first() else {
        return if clause.negated { "always" } else { "never" }.to_owned();
    };
    let subject = subject(first);
    let same = clause.any.iter().all(|atom| self::subject(atom) == subject);
    let not = if clause.negated { "not " } else { "" };
    if !same {
        let all = clause.any.iter().map(|atom| said(atom, "is"));
        return format!("{not}({})", alternatives(all, " or "));
    }
    let wanted = alternatives(clause.any.iter().map(wanted), " or ");
    match first {
        Atom::Always(_) => said(first, "is"),
        _ => format!("{subject} is {not}{wanted}"),
    }
}

fn said(atom: &Atom, is: &str) -> String {
    match atom {
        Atom::Always(true) => "always".to_owned(),
        Atom::Always(false) => "never".to_owned(),
        Atom::Istio(_) => wanted(atom),
        atom => format!("{} {is} {}", subject(atom), wanted(atom)),
    }
}

fn alternatives(all: impl ExactSizeIterator<Item = String>, between: &str) -> String {
    let more = all.len().saturating_sub(MOST);
    let mut shown: Vec<String> = all.take(MOST).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join(between)
}

/// What an atom speaks of, as the file calls it.
pub(crate) fn subject(atom: &Atom) -> String {
    match atom {
        Atom::Kind(_) => "caller.kind",
        Atom::Issuer(_) => "caller.issuer",
        Atom::Subject(_) => "caller.subject",
        Atom::Tenant(_) => "caller.tenant",
        Atom::Role(_) => "role",
        Atom::Scope(_) => "scope",
        Atom::Claim(path, _) => return format!("the claim `{}`", line(&path.join("."))),
        Atom::Workload(_) => "caller.workload",
        Atom::TrustDomain(_) => "caller.trust_domain",
        Atom::Client(_) | Atom::Nowhere => "the client's address",
        Atom::Connection(_) | Atom::Unconnected => "the connection's address",
        Atom::Method(_) => "the method",
        Atom::Host(_) => "the host",
        Atom::Path(_) => "the path",
        Atom::Istio(_) => "what Istio asks",
        Atom::Always(_) => "it",
    }
    .to_owned()
}

/// What an atom wants it to be.
pub(crate) fn wanted(atom: &Atom) -> String {
    match atom {
        Atom::Kind(kind) => format!("`{}`", kind.as_str()),
        Atom::Issuer(text)
        | Atom::Subject(text)
        | Atom::Tenant(text)
        | Atom::Role(text)
        | Atom::Scope(text)
        | Atom::Claim(_, text)
        | Atom::Workload(text)
        | Atom::TrustDomain(text)
        | Atom::Method(text)
        | Atom::Host(text) => quoted(text),
        Atom::Client(networks) | Atom::Connection(networks) => written(networks),
        Atom::Nowhere | Atom::Unconnected => "unknown".to_owned(),
        Atom::Path(PathPattern::Template(template)) => format!("`{template}`"),
        Atom::Path(PathPattern::Text(text)) => quoted(text),
        Atom::Path(PathPattern::Istio(template)) => format!("`{template}`"),
        Atom::Istio(atom) => atom.to_string(),
        Atom::Always(holds) => holds.to_string(),
    }
}

fn quoted(text: &Text) -> String {
    match text {
        Text::Present => "anything".to_owned(),
        text => format!("`{}`", line(&text.to_string())),
    }
}

fn written(networks: &Networks) -> String {
    let networks = networks
        .written
        .iter()
        .map(|network| format!("`{network}`"));
    alternatives(networks, " or ")
}

/// What is known.
enum Found {
    Is(String),
    Absent,
    /// It may be there, and is not told.
    Untold,
    /// Of several none is it.
    HasNot,
}

fn found(atom: &Atom, facts: &Facts<'_>) -> Found {
    let who = facts.named();
    let text = |text: Option<&str>| match text {
        Some(text) => Found::Is(text.to_owned()),
        None => Found::Absent,
    };
    let address = |address: Option<IpAddr>| match address {
        Some(address) => Found::Is(address.to_string()),
        None => Found::Absent,
    };
    match atom {
        Atom::Kind(_) => Found::Is(facts.kind().as_str().to_owned()),
        Atom::Issuer(_) => text(who.and_then(|who| who.issuer())),
        Atom::Subject(_) => text(who.map(|who| who.subject())),
        Atom::Tenant(_) => text(who.and_then(|who| who.tenant())),
        Atom::Role(_) | Atom::Scope(_) => Found::HasNot,
        Atom::Workload(_) => text(facts.workload()),
        Atom::TrustDomain(_) => text(facts.trust_domain()),
        Atom::Client(_) | Atom::Nowhere => address(facts.client),
        Atom::Connection(_) | Atom::Unconnected => address(facts.connection),
        Atom::Method(_) => Found::Is(facts.method.as_str().to_owned()),
        Atom::Host(_) => text(facts.host),
        Atom::Path(_) => Found::Is(facts.path.to_owned()),
        Atom::Claim(..) | Atom::Istio(_) | Atom::Always(_) => Found::Untold,
    }
}
