//! What is known about one request, in the form in which rules read it.

use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use http::{HeaderMap, Method};
use serde_json::Value;

use super::model::{PathReading, Text};
use crate::{
    authorize::Access,
    decision::{Code, Denial},
    identity::{PeerIdentity, Principal, PrincipalKind},
    state::Route,
    validate::{PathAllowances, check_path, is_plain_path, stands_for_itself},
};

/// Borrowed from the request; nothing is copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts<'a> {
    pub method: &'a Method,
    /// The path that rules are compared with.
    pub path: &'a str,
    /// Its usual spelling, where it is known and another one.
    pub usual: Option<&'a str>,
    /// Without the port and the dot that may end it.
    pub host: Option<&'a str>,
    pub headers: &'a HeaderMap,
    pub principal: Option<&'a Principal>,
    pub peer: Option<&'a PeerIdentity>,
    pub client: Option<IpAddr>,
    pub connection: Option<IpAddr>,
    /// The principal's claims, where they were parsed already.
    pub claims: Option<&'a Value>,
}

/// The path that rules are compared with: the one that the client asked for. It has one reading only, or
/// the request is refused before any rule is looked at. A route that lets `%2F` or empty segments pass
/// ([`RouteRule`](crate::state::RouteRule)) lets them pass here too.
fn path<'a>(access: &Access<'a>, reading: PathReading) -> Result<Cow<'a, str>, Denial> {
    let path = access.original_uri().path();
    match reading {
        PathReading::Canonical => {
            let route = access.route();
            let allow = PathAllowances::NONE
                .encoded_slash(route.is_some_and(Route::allows_encoded_slash))
                .empty_segments(route.is_some_and(Route::allows_empty_segments));
            match check_path(path.as_bytes(), allow) {
                Ok(()) => Ok(Cow::Borrowed(path)),
                Err(error) => Err(malformed(error.to_string())),
            }
        }
        PathReading::Istio(reading) => reading
            .normalise(path)
            .ok_or_else(|| malformed("the path has no safe reading")),
    }
}

/// The path that rules are compared with, and its [usual spelling](usual_spelling) where it has another
/// one.
pub(crate) fn spellings<'a>(
    access: &Access<'a>,
    reading: PathReading,
) -> Result<(Cow<'a, str>, Option<String>), Denial> {
    let asked = access.original_uri().path();
    // Nearly all of them: nothing in it could be read or spelled in another way.
    if matches!(reading, PathReading::Canonical) && is_plain_path(asked.as_bytes()) {
        return Ok((Cow::Borrowed(asked), None));
    }
    let path = path(access, reading)?;
    let usual = usual_spelling(&path);
    Ok((path, usual))
}

/// Such a method is another one than the one in capitals (RFC 9110 section 9.1), and some readers take
/// `delete` for DELETE all the same.
pub(crate) fn has_small_letters(method: &str) -> bool {
    method.bytes().any(|letter| letter.is_ascii_lowercase())
}

/// `path` in its usual spelling, where it has another one: what stands for itself in a path (RFC 3986
/// section 3.3, `pchar`) does so, and everything else is encoded in upper case (section 2.1). A reader
/// that decodes takes both for the same, so denying rules are compared with both.
pub(crate) fn usual_spelling(path: &str) -> Option<String> {
    if path.bytes().all(stands_for_itself) {
        return None;
    }
    let mut usual = String::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let Some((first, rest)) = left.split_first() {
        let (byte, after) = match (first, rest) {
            (b'%', [high, low, after @ ..]) => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest),
            },
            _ => (*first, rest),
        };
        let is_encoded = after.len() < rest.len();
        if byte == b'/' && is_encoded {
            usual.push_str("%2F");
        } else if stands_for_itself(byte) || (byte == b'%' && !is_encoded) {
            usual.push(char::from(byte));
        } else {
            usual.push('%');
            for half in [byte >> 4, byte & 15] {
                let digit = char::from_digit(u32::from(half), 16);
                usual.extend(digit.map(|digit| digit.to_ascii_uppercase()));
            }
        }
        left = after;
    }
    (usual != path).then_some(usual)
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

/// The host that the request is for, for a policy with rules that ask for it: such rules must not be
/// slipped by with a host that nobody can read.
pub(crate) fn host<'a>(access: &Access<'a>) -> Result<&'a str, Denial> {
    let unknown = "the policy asks for the host, and the request does not say one";
    access.host().ok_or_else(|| malformed(unknown))
}

#[cold]
pub(crate) fn malformed(detail: impl Into<Cow<'static, str>>) -> Denial {
    Denial::new(Code::RequestMalformed).detail(detail)
}

impl<'a> Facts<'a> {
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub(crate) fn of(access: &Access<'a>) -> Self {
        Self {
            host: access.host(),
            ..Self::with_path(access, access.original_uri().path())
        }
    }

    /// With the path in another spelling, where there is one.
    #[cfg_attr(
        not(feature = "cedar"),
        expect(dead_code, reason = "conditions read it")
    )]
    pub(crate) fn spelled<'b>(&self, path: Option<&'b str>) -> Facts<'b>
    where
        'a: 'b,
    {
        Facts {
            path: path.unwrap_or(self.path),
            ..*self
        }
    }

    /// Without the host.
    pub(crate) fn with_path(access: &Access<'a>, path: &'a str) -> Self {
        Self {
            method: access.method(),
            path,
            usual: None,
            host: None,
            headers: access.headers(),
            principal: access.principal().map(|principal| &**principal),
            peer: access.peer().map(|peer| &**peer),
            client: access.client().client(),
            connection: access.client().peer().map(|peer| peer.ip()),
            claims: None,
        }
    }

    /// Nothing is known, of nobody.
    pub(crate) fn of_nobody() -> Facts<'static> {
        static NONE: LazyLock<HeaderMap> = LazyLock::new(HeaderMap::new);
        Facts {
            method: &Method::GET,
            path: "/",
            usual: None,
            host: None,
            headers: &NONE,
            principal: None,
            peer: None,
            client: None,
            connection: None,
            claims: None,
        }
    }

    /// Who asks, unless nobody in particular does.
    pub(crate) fn named(&self) -> Option<&'a Principal> {
        self.principal.filter(|who| !who.is_anonymous())
    }

    pub(crate) fn kind(&self) -> PrincipalKind {
        self.principal
            .map_or(PrincipalKind::Anonymous, Principal::kind)
    }

    pub(crate) fn workload(&self) -> Option<&'a str> {
        self.peer.and_then(PeerIdentity::spiffe_id)
    }

    pub(crate) fn trust_domain(&self) -> Option<&'a str> {
        let rest = self.workload()?.strip_prefix("spiffe://")?;
        Some(rest.split_once('/').map_or(rest, |(domain, _)| domain))
    }

    /// Namespace and service account of an ID of the form `/ns/NAMESPACE/sa/ACCOUNT`.
    #[cfg_attr(
        not(any(feature = "cedar", test)),
        expect(dead_code, reason = "conditions read it")
    )]
    pub(crate) fn account(&self) -> Option<(&'a str, &'a str)> {
        let (_, path) = self
            .workload()?
            .strip_prefix("spiffe://")?
            .split_once('/')?;
        let (namespace, account) = path.strip_prefix("ns/")?.split_once("/sa/")?;
        let plain = |text: &str| !text.is_empty() && !text.contains('/');
        (plain(namespace) && plain(account)).then_some((namespace, account))
    }

    /// The claims of whoever asks.
    pub(crate) fn parsed_claims(&self) -> Option<Value> {
        self.named()
            .filter(|who| who.has_claims())
            .and_then(|who| who.claims().ok())
    }

    /// Whether the claim at `path` is such a text, or a list that has one.
    pub(crate) fn claim(&self, path: &[Arc<str>], text: &Text) -> bool {
        match self.claims {
            Some(claims) => claim(claims, path, text),
            None => self
                .parsed_claims()
                .is_some_and(|claims| claim(&claims, path, text)),
        }
    }
}

fn claim(claims: &Value, path: &[Arc<str>], text: &Text) -> bool {
    let mut value = claims;
    for name in path {
        match value.get(&**name) {
            Some(inner) => value = inner,
            None => return false,
        }
    }
    let one = |value: &Value| match value {
        Value::String(value) => text.is(value),
        Value::Number(number) => text.is(&number.to_string()),
        Value::Bool(flag) => text.is(if *flag { "true" } else { "false" }),
        // They are no texts, and are there: the `act` of somebody who acts for another one.
        Value::Object(members) => *text == Text::Present && !members.is_empty(),
        Value::Array(values) => *text == Text::Present && !values.is_empty(),
        Value::Null => false,
    };
    match value {
        Value::Array(values) => values.iter().any(one),
        value => one(value),
    }
}

#[cfg(test)]
mod tests {
    use super::usual_spelling;

    #[test]
    fn a_path_has_one_usual_spelling() {
        for (path, usual) in [
            ("/a/b;c=1/@me:x", None),
            ("/caf%C3%A9", None),
            ("/a%2Fb", None),
            ("/a%25%2540", None),
            ("/%", None),
            ("/%4", None),
            ("/%zz", None),
            ("/caf%c3%a9", Some("/caf%C3%A9")),
            ("/%40me", Some("/@me")),
            ("/a%2fb", Some("/a%2Fb")),
            ("/a|b", Some("/a%7Cb")),
            ("/a%3B%3d", Some("/a;=")),
            ("/%e2%82%ac/x", Some("/%E2%82%AC/x")),
        ] {
            assert_eq!(usual_spelling(path).as_deref(), usual, "{path}");
            let again = usual.and_then(usual_spelling);
            assert_eq!(again, None, "{path}");
        }
    }
}
