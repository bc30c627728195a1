//! What Istio asks of a caller or a request that no other language of policies does: each as the
//! matcher that Istio makes of it for Envoy.

use std::{fmt, sync::Arc};

use http::HeaderName;
use serde_json::Value;

use super::{
    facts::Facts,
    model::{Side, Text},
};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum IstioAtom {
    /// The SPIFFE ID without `spiffe://`.
    Workload(Text),
    /// `/ns/NAME/` somewhere in the SPIFFE ID, a trust domain `ns` included. A beginning, an end and `*` may reach over further
    /// segments, as Istio's regular expression does.
    Namespace(Text),
    /// `/ns/NAMESPACE/` and behind it `sa/ACCOUNT`, other segments between and after included.
    ServiceAccount {
        namespace: Arc<str>,
        account: Arc<str>,
    },
    /// The trust domain of a SPIFFE ID that has a path.
    TrustDomain(Text),
    /// Issuer and subject of a token.
    Token { issuer: Text, subject: Text },
    /// The claim at the path is such a text, or a list that has one; numbers are no texts. `scope`
    /// and `permission` are lists with spaces between.
    Claim(Vec<Arc<str>>, Text),
    /// All values of a header, with commas between; an empty one is present.
    Header(HeaderName, Text),
}

impl IstioAtom {
    pub(crate) const fn side(&self) -> Side {
        match self {
            Self::Workload(_)
            | Self::Namespace(_)
            | Self::ServiceAccount { .. }
            | Self::TrustDomain(_) => Side::Peer,
            Self::Token { .. } | Self::Claim(..) => Side::Principal,
            Self::Header(..) => Side::Request,
        }
    }

    pub(crate) fn holds(&self, facts: &Facts<'_>) -> bool {
        match self {
            Self::Workload(text) => identity(facts).is_some_and(|id| text.is(id)),
            Self::Namespace(text) => facts.workload().is_some_and(|id| is_in_namespace(id, text)),
            Self::ServiceAccount { namespace, account } => {
                identity(facts).is_some_and(|id| is_account(id, namespace, account))
            }
            Self::TrustDomain(text) => identity(facts)
                .and_then(|id| id.split_once('/'))
                .is_some_and(|(domain, _)| text.is(domain)),
            Self::Token { issuer, subject } => facts
                .named()
                // Only tokens have claims; other credentials are no request principals to Istio.
                .filter(|who| who.has_claims())
                .is_some_and(|who| {
                    who.issuer().is_some_and(|text| issuer.is(text)) && subject.is(who.subject())
                }),
            Self::Claim(path, text) => is_claim(facts, path, text),
            Self::Header(name, text) => is_header(facts, name, text),
        }
    }
}

/// As Istio's API calls it.
impl fmt::Display for IstioAtom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload(text) => write!(f, "principals `{text}`"),
            Self::Namespace(text) => write!(f, "namespaces `{text}`"),
            Self::ServiceAccount { namespace, account } => {
                write!(f, "serviceAccounts `{namespace}/{account}`")
            }
            Self::TrustDomain(text) => write!(f, "trustDomains `{text}`"),
            Self::Token { issuer, subject } => {
                write!(f, "requestPrincipals `{issuer}/{subject}`")
            }
            Self::Claim(path, text) => {
                f.write_str("request.auth.claims")?;
                for name in path {
                    write!(f, "[{name}]")?;
                }
                write!(f, " `{text}`")
            }
            Self::Header(name, text) => write!(f, "request.headers[{name}] `{text}`"),
        }
    }
}

fn identity<'a>(facts: &Facts<'a>) -> Option<&'a str> {
    facts.workload()?.strip_prefix("spiffe://")
}

/// What stands behind each slash of `text`, with what stands before it.
fn after_slashes(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices('/')
        .filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)))
}

/// `.*/ns/NAME/.*`
fn is_in_namespace(id: &str, name: &Text) -> bool {
    after_slashes(id)
        .filter_map(|(_, rest)| rest.strip_prefix("ns/"))
        .any(|rest| match name {
            Text::Present => rest.contains('/'),
            Text::Exact(name) => rest
                .strip_prefix(&**name)
                .is_some_and(|rest| rest.starts_with('/')),
            Text::Prefix(name) => rest
                .strip_prefix(&**name)
                .is_some_and(|rest| rest.contains('/')),
            Text::Suffix(name) => after_slashes(rest).any(|(before, _)| before.ends_with(&**name)),
        })
}

/// `.+/ns/NAMESPACE/(.+/|)sa/ACCOUNT(/.+)?`
fn is_account(id: &str, namespace: &str, account: &str) -> bool {
    let ends = |rest: &str| {
        rest.strip_prefix("sa/")
            .and_then(|rest| rest.strip_prefix(account))
            .is_some_and(|rest| rest.is_empty() || (rest.len() > 1 && rest.starts_with('/')))
    };
    after_slashes(id)
        .filter(|(before, _)| !before.is_empty())
        .filter_map(|(_, rest)| {
            rest.strip_prefix("ns/")?
                .strip_prefix(namespace)?
                .strip_prefix('/')
        })
        .any(|rest| {
            ends(rest) || after_slashes(rest).any(|(before, rest)| !before.is_empty() && ends(rest))
        })
}

fn is_claim(facts: &Facts<'_>, path: &[Arc<str>], text: &Text) -> bool {
    let Some(who) = facts.named().filter(|who| who.has_claims()) else {
        return false;
    };
    let Ok(claims) = who.claims::<Value>() else {
        return false;
    };
    let mut found = Some(&claims);
    for name in path {
        found = found.and_then(|value| value.get(&**name));
    }
    let spaced = matches!(path, [name] if matches!(&**name, "scope" | "permission"));
    match found {
        Some(Value::String(value)) if spaced => value
            .split(' ')
            .any(|part| !part.is_empty() && text.is(part)),
        Some(Value::String(value)) => text.is(value),
        Some(Value::Array(values)) => values
            .iter()
            .any(|value| value.as_str().is_some_and(|value| text.is(value))),
        _ => false,
    }
}

fn is_header(facts: &Facts<'_>, name: &HeaderName, text: &Text) -> bool {
    let is = |value: &[u8]| match text {
        Text::Present => true,
        Text::Exact(text) => value == text.as_bytes(),
        Text::Prefix(text) => value.starts_with(text.as_bytes()),
        Text::Suffix(text) => value.ends_with(text.as_bytes()),
    };
    let mut values = facts.headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return false;
    };
    let mut further = values.peekable();
    if further.peek().is_none() {
        return is(first.as_bytes());
    }
    let mut joined = first.as_bytes().to_vec();
    for value in further {
        joined.push(b',');
        joined.extend_from_slice(value.as_bytes());
    }
    is(&joined)
}
