//! Values of rules: what Istio's generator makes of a text, as atoms.

use std::{net::IpAddr, sync::Arc};

use http::HeaderName;
use ipnet::IpNet;

use super::IstioOptions;
use crate::{
    policy::{
        IstioPaths,
        facts::usual_spelling,
        model::{Atom, IstioAtom, IstioTemplate, PathPattern, PathTemplate, Segment, Text},
    },
    validate::{PathAllowances, check_path},
};

/// `text`, `text*`, `*text`, `*`. Elsewhere a star would be a star to Istio, which nobody means.
pub(super) fn wildcard(text: &str) -> Result<Text, String> {
    let inner = text
        .strip_prefix('*')
        .or_else(|| text.strip_suffix('*'))
        .unwrap_or(text);
    if inner.contains('*') {
        return Err(format!(
            "`{text}`: a `*` stands alone, or once at the beginning or at the end"
        ));
    }
    Ok(if text == "*" {
        Text::Present
    } else if text.starts_with('*') {
        Text::Suffix(inner.into())
    } else if text.ends_with('*') {
        Text::Prefix(inner.into())
    } else {
        Text::exact(inner)
    })
}

/// A principal as policies write it: a SPIFFE ID without its scheme.
pub(super) fn principal(text: &str, options: &IstioOptions) -> Result<Vec<Atom>, String> {
    if text.starts_with("spiffe://") {
        return Err(format!("`{text}`: principals have no `spiffe://`"));
    }
    with_aliases(text, &options.trust_domains)
        .into_iter()
        .map(|text| {
            let with_scheme = |text: &str| Arc::from(["spiffe://", text].concat());
            Ok(match wildcard(&text)? {
                Text::Present => Atom::Workload(Text::Present),
                Text::Exact(text) => Atom::Workload(Text::Exact(with_scheme(&text))),
                Text::Prefix(text) => Atom::Workload(Text::Prefix(with_scheme(&text))),
                // The scheme is not part of what ends so.
                suffix @ Text::Suffix(_) => Atom::Istio(IstioAtom::Workload(suffix)),
            })
        })
        .collect()
}

/// A principal of one of the mesh's trust domains is one of each of them; `cluster.local` is always
/// the mesh's.
fn with_aliases(principal: &str, domains: &[Arc<str>]) -> Vec<String> {
    let own = vec![principal.to_owned()];
    let Some((domain, path)) = principal.split_once('/') else {
        return own;
    };
    if path.matches('/').count() != 3 || domain == "*" {
        return own;
    }
    let ends = |name: &str| {
        domain
            .strip_prefix('*')
            .is_some_and(|end| name.ends_with(end))
    };
    let begins = |name: &str| {
        let beginning = domain.strip_suffix('*');
        beginning.is_some_and(|beginning| name.starts_with(beginning))
    };
    let is_own = |name: &Arc<str>| **name == *domain || begins(name) || ends(name);
    if domain != "cluster.local" && !domains.iter().any(is_own) {
        return own;
    }
    let mut all: Vec<String> = Vec::new();
    for name in domains {
        let text = if ends(name) {
            principal.to_owned()
        } else {
            format!("{name}/{path}")
        };
        if !all.contains(&text) {
            all.push(text);
        }
    }
    all
}

/// A trust domain; one of the mesh's is all of them.
pub(super) fn trust_domain(text: &str, options: &IstioOptions) -> Result<Vec<Atom>, String> {
    if text.contains('/') {
        return Err(format!("`{text}` is no trust domain"));
    }
    let own = [Arc::from(text)];
    let names = if options.trust_domains.iter().any(|name| **name == *text) {
        &options.trust_domains[..]
    } else {
        &own[..]
    };
    names
        .iter()
        .map(|name| Ok(Atom::Istio(IstioAtom::TrustDomain(wildcard(name)?))))
        .collect()
}

pub(super) fn namespace(text: &str) -> Result<Atom, String> {
    Ok(Atom::Istio(IstioAtom::Namespace(wildcard(text)?)))
}

/// `ACCOUNT`, or `NAMESPACE/ACCOUNT`.
pub(super) fn service_account(text: &str, own_namespace: &str) -> Result<Atom, String> {
    let (namespace, account) = text.split_once('/').unwrap_or((own_namespace, text));
    let plain = |part: &str| !part.is_empty() && !part.contains(['/', '*']);
    if !plain(namespace) || !plain(account) {
        return Err(format!(
            "`{text}`: a service account is `ACCOUNT` or `NAMESPACE/ACCOUNT`, without `*`"
        ));
    }
    Ok(Atom::Istio(IstioAtom::ServiceAccount {
        namespace: namespace.into(),
        account: account.into(),
    }))
}

/// `ISSUER/SUBJECT`; the subject stands behind the last slash.
pub(super) fn request_principal(text: &str) -> Result<Atom, String> {
    let whole = wildcard(text)?;
    let parts = text.rsplit_once('/');
    let (issuer, subject) = match (whole, parts) {
        (Text::Present, _) => (Text::Present, Text::Present),
        (Text::Exact(_), Some((issuer, subject))) => (Text::exact(issuer), Text::exact(subject)),
        (Text::Exact(issuer), None) => (Text::Exact(issuer), Text::exact("")),
        (Text::Suffix(_), Some((issuer, subject))) => (wildcard(issuer)?, Text::exact(subject)),
        (Text::Suffix(subject), None) => (Text::Present, Text::Suffix(subject)),
        (Text::Prefix(_), Some((issuer, subject))) => (Text::exact(issuer), wildcard(subject)?),
        (Text::Prefix(issuer), None) => (Text::Prefix(issuer), Text::Present),
    };
    Ok(Atom::Istio(IstioAtom::Token { issuer, subject }))
}

pub(super) fn claim(path: &[Arc<str>], text: &str) -> Result<Atom, String> {
    Ok(Atom::Istio(IstioAtom::Claim(
        path.to_vec(),
        wildcard(text)?,
    )))
}

pub(super) fn header(name: &HeaderName, text: &str) -> Result<Atom, String> {
    Ok(Atom::Istio(IstioAtom::Header(
        name.clone(),
        wildcard(text)?,
    )))
}

/// An address or a network.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let network = match text.parse::<IpAddr>() {
        Ok(address) => Ok(IpNet::from(address)),
        Err(_) => text.parse::<IpNet>().map_err(|_| {
            format!("`{text}` is no address and no network (`192.0.2.7`, `192.0.2.0/24`)")
        }),
    }?;
    match network {
        IpNet::V6(v6) if v6.network().to_ipv4_mapped().is_some() => {
            Err(format!("`{text}`: write the IPv4 address itself"))
        }
        network => Ok(network),
    }
}

/// A method. Where a match denies, GET is HEAD as well, which routers answer with the handlers of
/// GET (RFC 9110 section 9.3.2).
pub(super) fn methods(text: &str, denies: bool) -> Result<Vec<Atom>, String> {
    let method = wildcard(text)?;
    let head_too = denies && method.is("GET") && !method.is("HEAD");
    let mut atoms = vec![Atom::Method(method)];
    if head_too {
        atoms.push(Atom::Method(Text::exact("HEAD")));
    }
    Ok(atoms)
}

/// A host without its port; `HOST:*` is one with any. Hosts are read without a dot at their end, so
/// where a match denies `HOST.*` is also `HOST.` itself.
pub(super) fn hosts(text: &str, denies: bool) -> Result<Vec<Atom>, String> {
    let name = text.strip_suffix(":*").unwrap_or(text);
    let rest = name.rsplit_once(']').map_or(name, |(_, rest)| rest);
    if rest.contains(':') {
        return Err(format!(
            "`{text}`: ports of hosts are not compared; write the host alone"
        ));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut atoms = vec![Atom::Host(wildcard(name)?)];
    if let (true, Some(bare)) = (denies, name.strip_suffix(".*")) {
        atoms.push(Atom::Host(wildcard(bare)?));
    }
    Ok(atoms)
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let port = text.parse().ok().filter(|_| digits);
    port.ok_or_else(|| format!("`{text}` is no port"))
}

/// A path, its beginning or its end, or a template. `narrow` is for templates where matching less
/// is the safe side.
pub(super) fn path(text: &str, paths: IstioPaths, narrow: bool) -> Result<Atom, String> {
    if IstioTemplate::is_template(text) {
        let template = IstioTemplate::parse(text, narrow);
        let template = template.map_err(|problem| format!("`{text}`: {problem}"))?;
        check_spelling(text, &text.replace("{**}", "x").replace("{*}", "x"))?;
        return Ok(Atom::Path(PathPattern::Istio(template)));
    }
    if text.contains(['{', '}', '?', '#']) {
        return Err(format!(
            "`{text}`: a path has no `{{`, `}}`, `?` or `#`; templates have `{{*}}` and `{{**}}` only"
        ));
    }
    let pattern = wildcard(text).map_err(|problem| format!("{problem}; `{{*}}` is one segment"))?;
    let absolute = |text: &str| match text.starts_with('/') {
        true => Ok(()),
        false => Err(format!("`{text}` begins no path: paths begin with a slash")),
    };
    let (Text::Exact(part) | Text::Prefix(part) | Text::Suffix(part)) = &pattern else {
        return Ok(Atom::Path(PathPattern::Text(pattern)));
    };
    check_spelling(text, part)?;
    match &pattern {
        Text::Exact(text) => {
            absolute(text)?;
            if paths.normalise(text).as_deref() != Some(text) {
                return Err(format!(
                    "`{text}` is no path that rules are ever compared with: it is not canonical"
                ));
            }
        }
        Text::Prefix(text) => absolute(text)?,
        Text::Suffix(_) | Text::Present => {}
    }
    Ok(Atom::Path(indexed(&pattern).map_or_else(
        || PathPattern::Text(pattern),
        PathPattern::Template,
    )))
}

/// A DENY rule is compared with the usual spelling of a path, so it has to be in that.
fn check_spelling(text: &str, part: &str) -> Result<(), String> {
    match usual_spelling(part) {
        None => Ok(()),
        Some(usual) => Err(format!(
            "`{text}` is not in its usual spelling, which is `{usual}`"
        )),
    }
}

/// The same as a template of segments, where it is one: those are found without comparing one by one.
fn indexed(pattern: &Text) -> Option<PathTemplate> {
    let (text, rest) = match pattern {
        Text::Exact(text) => (&**text, false),
        Text::Prefix(text) => (text.strip_suffix('/')?, true),
        Text::Suffix(_) | Text::Present => return None,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if !text.bytes().all(plain) {
        return None;
    }
    let rest = rest.then(|| Arc::from("rest"));
    if text.is_empty() {
        // `/*`
        return rest.map(|rest| PathTemplate {
            segments: Vec::new(),
            rest: Some(rest),
        });
    }
    check_path(text.as_bytes(), PathAllowances::NONE).ok()?;
    Some(PathTemplate {
        segments: text
            .strip_prefix('/')?
            .split('/')
            .map(|segment| Segment::Literal(segment.into()))
            .collect(),
        rest,
    })
}
