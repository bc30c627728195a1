//! Where a request goes: one place, whichever version of HTTP carries it.

use http::{HeaderMap, Method, Uri, Version, header::HOST, uri::Authority};

use super::TargetError;
use crate::signature::base::{Fields, RequestMessage, UrlScheme};

/// Scheme and authority of a request.
#[derive(Debug, Clone, Copy)]
pub(in crate::signature) struct Target<'a> {
    pub(in crate::signature) scheme: UrlScheme,
    pub(in crate::signature) authority: &'a str,
}

impl<'a> Target<'a> {
    /// Where a client sends a request; `relative` is the scheme where the URI has none.
    pub(in crate::signature) fn of_client(
        uri: &'a Uri,
        headers: &'a HeaderMap,
        relative: UrlScheme,
    ) -> Result<Self, TargetError> {
        let scheme = match uri.scheme_str() {
            None => relative,
            Some("http") => UrlScheme::Http,
            Some("https") => UrlScheme::Https,
            Some(_) => return Err(TargetError::Unclear),
        };
        Self::with_scheme(uri, headers, scheme)
    }

    /// Where a request goes whose scheme is known.
    pub(in crate::signature) fn with_scheme(
        uri: &'a Uri,
        headers: &'a HeaderMap,
        scheme: UrlScheme,
    ) -> Result<Self, TargetError> {
        let mut hosts = headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => Some(host.to_str().map_err(|_| TargetError::Unclear)?),
            // RFC 9110 section 7.2 and RFC 9112 section 3.2: one `Host`.
            (Some(_), Some(_)) => return Err(TargetError::Unclear),
        };
        let authority = match (uri.authority(), host) {
            (Some(authority), None) => authority.as_str(),
            (None, Some(host)) => host,
            (None, None) => return Err(TargetError::Unclear),
            (Some(authority), Some(host)) => {
                let host = place(host, scheme)?;
                let authority = authority.as_str();
                let (name, port) = place(authority, scheme)?;
                if !(name.host().eq_ignore_ascii_case(host.0.host()) && port == host.1) {
                    return Err(TargetError::HostDisagrees);
                }
                authority
            }
        };
        place(authority, scheme)?;
        Ok(Self { scheme, authority })
    }

    /// The request, for a signature base.
    pub(in crate::signature) fn message(
        self,
        method: &'a Method,
        uri: &'a Uri,
        headers: &'a HeaderMap,
    ) -> RequestMessage<'a> {
        // A client's version is a wish, so it cannot say what is sent. What it can send is the path
        // and the query, with the host beside them, with either version.
        let version = if uri.authority().is_some() {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        RequestMessage {
            method,
            uri,
            version,
            scheme: self.scheme,
            authority: self.authority,
            fields: Fields::new(headers),
        }
    }
}

/// Host and port that `text` names, without user information (RFC 9110 section 4.2.4).
fn place(text: &str, scheme: UrlScheme) -> Result<(Authority, u16), TargetError> {
    let default = match scheme {
        UrlScheme::Http => 80,
        UrlScheme::Https => 443,
    };
    let authority: Authority = text.parse().map_err(|_| TargetError::Unclear)?;
    if text.contains('@') || authority.host().is_empty() {
        return Err(TargetError::Unclear);
    }
    // A port that is there and cannot be read is not the default one.
    let written = text.get(authority.host().len()..).unwrap_or("");
    let port = match written.strip_prefix(':') {
        None | Some("") => default,
        Some(port) => port.parse().map_err(|_| TargetError::Unclear)?,
    };
    Ok((authority, port))
}

/// Whether `text` is an authority that a message can be for.
pub(in crate::signature) fn is_authority(text: &str) -> bool {
    place(text, UrlScheme::Https).is_ok()
}
