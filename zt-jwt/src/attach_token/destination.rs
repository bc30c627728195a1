use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderMap, Uri, header::HOST};
use serde::Deserialize;

use super::{ConfigError, DestinationError};

/// Where a token may go: a list of origins (RFC 6454 section 4), compared whole, without patterns.
///
/// An origin is written `https://orders.internal`, with a port where it is not 443, or without its
/// scheme, which then is https.
///
/// ```
/// use zt_jwt::attach_token::Destinations;
///
/// Destinations::only(["https://orders.internal", "payments.internal:8443"])?;
/// Destinations::only(["http://127.0.0.1:3000"])?;
/// assert!(Destinations::only(["http://orders.internal"]).is_err());
/// assert!(Destinations::only(["https://*.internal"]).is_err());
///
/// let text = r#"{"only": ["orders.internal"], "insecure_plain_http": ["http://mesh.internal"]}"#;
/// serde_json::from_str::<Destinations>(text)?;
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Written")]
pub struct Destinations {
    any_https: bool,
    origins: Vec<Origin>,
    relative: Option<Origin>,
}

#[derive(Debug, Clone)]
struct Origin {
    https: bool,
    host: Box<str>,
    port: u16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    only: Vec<String>,
    #[serde(default)]
    insecure_plain_http: Vec<String>,
    #[serde(default)]
    relative_to: Option<String>,
}

impl Destinations {
    /// These origins. Plain http is for this machine: `localhost` and loopback addresses.
    ///
    /// # Errors
    ///
    /// Where one is no origin, or is plain http to another machine.
    pub fn only<I>(origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let mut all = Vec::new();
        for text in origins {
            let text = text.as_ref();
            let origin = Origin::parse(text)?;
            if !origin.https && !is_local(&origin.host) {
                return Err(ConfigError::PlainHttp(text.into()));
            }
            all.push(origin);
        }
        Ok(Self {
            any_https: false,
            origins: all,
            relative: None,
        })
    }

    /// Every host that a request names, over https, and this machine. Whoever chooses the URI of a
    /// request then receives the token.
    #[must_use]
    pub const fn insecure_any_host() -> Self {
        Self {
            any_https: true,
            origins: Vec::new(),
            relative: None,
        }
    }

    /// These too, over plain http: whoever is on the path reads the token. For networks that
    /// encrypt beneath HTTP, such as a service mesh.
    ///
    /// # Errors
    ///
    /// Where one is no origin of plain http.
    pub fn insecure_plain_http<I>(mut self, origins: I) -> Result<Self, ConfigError>
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        for text in origins {
            let text = text.as_ref();
            let origin = Origin::parse(text)?;
            if origin.https {
                return Err(ConfigError::Origin(text.into()));
            }
            self.origins.push(origin);
        }
        Ok(self)
    }

    /// Requests whose URI has neither scheme nor host go to `origin`, for the client below reaches
    /// nothing else: a connection of hyper's, or tonic's `Channel`.
    ///
    /// # Errors
    ///
    /// Where it is no origin, or is not among the destinations.
    pub fn relative_to(mut self, origin: impl AsRef<str>) -> Result<Self, ConfigError> {
        let text = origin.as_ref();
        let origin = Origin::parse(text)?;
        self.permits(origin.https, &origin.host, origin.port)
            .map_err(|_| ConfigError::NotADestination(text.into()))?;
        self.relative = Some(origin);
        Ok(self)
    }

    pub(super) fn is_nowhere(&self) -> bool {
        !self.any_https && self.origins.is_empty()
    }

    /// Whether a request may carry the token: every name that it goes by is a destination.
    pub(super) fn judge(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), DestinationError> {
        let https = match (uri.scheme_str(), uri.authority()) {
            (Some(scheme), Some(authority)) => {
                let https = match scheme {
                    "https" => true,
                    "http" => false,
                    _ => return Err(DestinationError::Elsewhere),
                };
                self.names(https, authority.as_str())?;
                https
            }
            (None, None) => {
                self.relative
                    .as_ref()
                    .ok_or(DestinationError::Unclear)?
                    .https
            }
            // An authority alone is what CONNECT asks a proxy for (RFC 9110 section 9.3.6).
            _ => return Err(DestinationError::Unclear),
        };
        // What is at the other end of the connection may choose by `Host` whom to give the request
        // to, so that is a destination as well (RFC 9110 section 7.2).
        for host in headers.get_all(HOST) {
            let host = host.to_str().map_err(|_| DestinationError::Unclear)?;
            self.names(https, host)?;
        }
        Ok(())
    }

    fn names(&self, https: bool, authority: &str) -> Result<(), DestinationError> {
        let (host, port) = split(authority).ok_or(DestinationError::Unclear)?;
        self.permits(https, host, port.unwrap_or(default_port(https)))
    }

    fn permits(&self, https: bool, host: &str, port: u16) -> Result<(), DestinationError> {
        let among = |https| {
            let mut origins = self.origins.iter();
            origins.any(|origin| origin.https == https && origin.is(host, port))
        };
        if among(https) || (self.any_https && (https || is_local(host))) {
            return Ok(());
        }
        if !https && (self.any_https || among(true)) {
            return Err(DestinationError::PlainHttp);
        }
        Err(DestinationError::Elsewhere)
    }
}

impl Origin {
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let error = || ConfigError::Origin(text.into());
        let (https, authority) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (true, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (false, rest),
            Some(_) => return Err(error()),
            None => (true, text),
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split(authority).ok_or_else(error)?;
        let name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        if !host.bytes().all(name) && host.parse::<IpAddr>().is_err() {
            return Err(error());
        }
        Ok(Self {
            https,
            host: host.into(),
            port: port.unwrap_or(default_port(https)),
        })
    }

    fn is(&self, host: &str, port: u16) -> bool {
        self.port == port && self.host.eq_ignore_ascii_case(host)
    }
}

impl TryFrom<Written> for Destinations {
    type Error = ConfigError;

    fn try_from(written: Written) -> Result<Self, ConfigError> {
        let all = Self::only(written.only)?.insecure_plain_http(written.insecure_plain_http)?;
        if all.is_nowhere() {
            return Err(ConfigError::NoDestination);
        }
        match written.relative_to {
            Some(origin) => all.relative_to(origin),
            None => Ok(all),
        }
    }
}

const fn default_port(https: bool) -> u16 {
    if https { 443 } else { 80 }
}

/// The host, an IPv6 address without its brackets, and the port, where one is said. `None` where
/// that is not one reading: user information, an empty or impossible port.
fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    if authority.contains('@') {
        return None;
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = match rest {
                "" => None,
                _ => Some(rest.strip_prefix(':')?),
            };
            (host, port)
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return None;
    }
    let port = match port {
        None => None,
        // `parse` alone would take `+443`.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse().ok()?)
        }
        Some(_) => return None,
    };
    Some((host, port))
}

/// RFC 6761 section 6.3 keeps `localhost` on this machine.
fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
