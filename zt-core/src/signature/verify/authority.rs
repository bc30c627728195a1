//! The host that a request was for, as its client knew it.

use std::{borrow::Cow, sync::Arc};

use http::{
    HeaderName, Uri,
    header::{self, AsHeaderName},
};

use super::{ConfigError, refusal::Refusal};
use crate::{context::SecurityContext, signature::base::Fields};

/// Where `@authority` and the authority of `@target-uri` come from. Nothing is tried in turn: what
/// is configured is there, or the request is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthoritySource {
    /// The request's target, `:authority` or `Host`, which have to agree where there are several.
    #[default]
    Request,
    /// Always this, for services behind a proxy that rewrites `Host`. A host, and a port unless it
    /// is the scheme's own.
    Fixed(Arc<str>),
    /// `X-Forwarded-Host`, one value, from a [trusted proxy](crate::context::TrustedProxies) only.
    XForwardedHost,
    /// `host` of the last element of `Forwarded` (RFC 7239 section 5.3), from a
    /// [trusted proxy](crate::context::TrustedProxies) only.
    Forwarded,
}

impl AuthoritySource {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::Fixed(authority) if authority.contains('@') || !is_authority(authority) => {
                Err(ConfigError::Authority(Arc::clone(authority)))
            }
            _ => Ok(()),
        }
    }

    /// The authority, as written.
    pub(super) fn find<'a>(
        &'a self,
        uri: &'a Uri,
        fields: Fields<'a>,
        cx: &SecurityContext,
    ) -> Result<Cow<'a, str>, Refusal> {
        match self {
            Self::Request => of_request(uri, fields),
            Self::Fixed(authority) => Ok(Cow::Borrowed(authority)),
            Self::XForwardedHost => {
                from_proxy(cx)?;
                let value = one(fields, "x-forwarded-host")?.ok_or(Refusal::NoAuthority)?;
                // What a proxy adds stands behind what a client sent.
                if value.contains(',') {
                    return Err(Refusal::SeveralAuthorities);
                }
                Ok(Cow::Borrowed(value))
            }
            Self::Forwarded => {
                from_proxy(cx)?;
                let last = fields
                    .lines(&header::FORWARDED)
                    .last()
                    .ok_or(Refusal::NoAuthority)?;
                forwarded_host(text(last)?).map(Cow::Borrowed)
            }
        }
    }
}

fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>()
        .is_ok_and(|authority| !authority.host().is_empty())
}

fn from_proxy(cx: &SecurityContext) -> Result<(), Refusal> {
    let peer = cx.client().peer().map(|peer| peer.ip().to_canonical());
    if peer.is_some_and(|peer| cx.settings().proxies().trusts(peer)) {
        Ok(())
    } else {
        Err(Refusal::NotFromAProxy)
    }
}

fn one<'a, N>(fields: Fields<'a>, name: N) -> Result<Option<&'a str>, Refusal>
where
    N: AsHeaderName + Copy,
    HeaderName: PartialEq<N>,
{
    if let Some(line) = fields.only(name) {
        return text(line).map(Some);
    }
    let mut lines = fields.lines(name);
    match (lines.next(), lines.next()) {
        (None, _) => Ok(None),
        (Some(line), None) => text(line).map(Some),
        (Some(_), Some(_)) => Err(Refusal::SeveralAuthorities),
    }
}

fn text(line: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(line)
        .map(trim)
        .map_err(|_| Refusal::NoAuthority)
}

/// Without optional whitespace (RFC 9110 section 5.6.3), which is of ASCII.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 9112 section 3.2, RFC 9113 section 8.3.1: one host, however often it is said.
fn of_request<'a>(uri: &'a Uri, fields: Fields<'a>) -> Result<Cow<'a, str>, Refusal> {
    let target = uri.authority().map(http::uri::Authority::as_str);
    // What nearly everyone says, where both are there.
    if let Some(target) = target
        && fields.only(&header::HOST) == Some(target.as_bytes())
    {
        return Ok(Cow::Borrowed(target));
    }
    let host = one(fields, &header::HOST)?;
    match (target, host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => {
            Err(Refusal::SeveralAuthorities)
        }
        (Some(authority), _) | (None, Some(authority)) => Ok(Cow::Borrowed(authority)),
        (None, None) => Err(Refusal::NoAuthority),
    }
}

/// The `host` of the last forwarded-element, which the proxy in front of us wrote.
fn forwarded_host(value: &str) -> Result<&str, Refusal> {
    let element = value.rsplit(',').next().unwrap_or(value);
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = trim(pair).split_once('=').ok_or(Refusal::NoAuthority)?;
        if !name.eq_ignore_ascii_case("host") {
            continue;
        }
        if found.is_some() {
            return Err(Refusal::SeveralAuthorities);
        }
        let value = trim(value);
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'));
        found = Some(bare.unwrap_or(value));
    }
    // A backslash or a quote left over: the comma was inside a quoted string.
    found
        .filter(|host| !host.is_empty() && !host.contains(['"', '\\']))
        .ok_or(Refusal::NoAuthority)
}
