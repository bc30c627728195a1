use std::collections::BTreeSet;

use http::Method;
use ipnet::IpNet;
use serde::Deserialize;

use super::{
    TokenError,
    format::is_environment,
    reach::{PathPattern, Reach},
};
use crate::clock::Timestamp;

/// What a new token shall be.
///
/// It can be read from the body of an administrative request; the author cannot, since nobody
/// says by themselves who they are.
///
/// ```
/// use zt_core::{clock::{Clock, SystemClock}, service_token::MintRequest};
/// use std::time::Duration;
///
/// let end = SystemClock.now().unwrap() + Duration::from_secs(90 * 86_400);
/// let request = MintRequest::new("billing", "nightly export")
///     .scopes(["orders.read"])
///     .methods(["GET"])
///     .paths(["/orders/**"])
///     .networks(["10.0.0.0/8".parse().unwrap()])
///     .expires(end)
///     .author("ada");
/// # let _ = request;
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    pub(super) subject: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) environment: Option<String>,
    #[serde(default)]
    pub(super) scopes: BTreeSet<String>,
    #[serde(default)]
    pub(super) roles: BTreeSet<String>,
    #[serde(default)]
    pub(super) tenant: Option<String>,
    #[serde(default)]
    pub(super) methods: Option<BTreeSet<String>>,
    #[serde(default)]
    pub(super) paths: Option<BTreeSet<String>>,
    #[serde(default)]
    pub(super) networks: Option<BTreeSet<IpNet>>,
    #[serde(default)]
    pub(super) expires: Option<Timestamp>,
    #[serde(default)]
    pub(super) insecure_never_expires: bool,
    #[serde(skip)]
    pub(super) author: Option<String>,
}

/// The longest subject, name, scope and so on, in bytes.
const MAX_TEXT: usize = 256;
/// The most scopes, roles, paths or networks of one token; its record stays below 64 KiB.
const MAX_LIST: usize = 64;

impl MintRequest {
    /// A token for `subject`; `name` is for people.
    pub fn new(subject: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            name: name.into(),
            environment: None,
            scopes: BTreeSet::new(),
            roles: BTreeSet::new(),
            tenant: None,
            methods: None,
            paths: None,
            networks: None,
            expires: None,
            insecure_never_expires: false,
            author: None,
        }
    }

    /// For another environment than the registry's own.
    #[must_use]
    pub fn environment(mut self, environment: impl Into<String>) -> Self {
        self.environment = Some(environment.into());
        self
    }

    /// Adds scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Adds roles.
    #[must_use]
    pub fn roles<S: Into<String>>(mut self, roles: impl IntoIterator<Item = S>) -> Self {
        self.roles.extend(roles.into_iter().map(Into::into));
        self
    }

    /// The organisation it acts for.
    #[must_use]
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        self.tenant = Some(tenant.into());
        self
    }

    /// Good for these methods alone, to the letter: `GET` does not bring `HEAD`. Without this
    /// call, good for every method.
    #[must_use]
    pub fn methods<S: Into<String>>(mut self, methods: impl IntoIterator<Item = S>) -> Self {
        let methods = methods.into_iter().map(Into::into);
        self.methods.get_or_insert_default().extend(methods);
        self
    }

    /// Good for these paths alone: `/orders` is that path, `/orders/*` has one segment more,
    /// `/orders/**` is `/orders` and everything beneath. Without this call, good for every path.
    #[must_use]
    pub fn paths<S: Into<String>>(mut self, paths: impl IntoIterator<Item = S>) -> Self {
        let paths = paths.into_iter().map(Into::into);
        self.paths.get_or_insert_default().extend(paths);
        self
    }

    /// Good from these networks alone. Without this call, good from everywhere.
    #[must_use]
    pub fn networks(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.networks.get_or_insert_default().extend(networks);
        self
    }

    /// When it ends.
    #[must_use]
    pub const fn expires(mut self, at: Timestamp) -> Self {
        self.expires = Some(at);
        self
    }

    /// It never ends by itself. One that leaks is good until somebody notices.
    #[must_use]
    pub const fn insecure_never_expires(mut self) -> Self {
        self.insecure_never_expires = true;
        self
    }

    /// Who asks for it, for the audit record.
    #[must_use]
    pub fn author(mut self, author: impl Into<String>) -> Self {
        self.author = Some(author.into());
        self
    }

    /// # Errors
    ///
    /// The first part that cannot be used.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        text("subject", &self.subject)?;
        text("name", &self.name)?;
        for (field, value) in [("tenant", &self.tenant), ("author", &self.author)] {
            value
                .as_deref()
                .map_or(Ok(()), |value| text(field, value))?;
        }
        if let Some(environment) = &self.environment
            && !is_environment(environment)
        {
            return invalid(
                "environment",
                "it is not 1 to 16 lower-case letters and digits",
            );
        }
        words("scopes", &self.scopes)?;
        words("roles", &self.roles)?;
        match (self.expires, self.insecure_never_expires) {
            (None, false) => return invalid("expires", "a token needs an end"),
            (Some(_), true) => return invalid("expires", "a token ends or it does not"),
            (Some(end), false) if end <= now => return invalid("expires", "it has passed"),
            _ => {}
        }
        reach(
            self.methods.as_ref(),
            self.paths.as_ref(),
            self.networks.as_ref(),
        )
        .map(drop)
    }
}

/// The bounds of a token, ready to be asked.
///
/// # Errors
///
/// The first that cannot be used. An empty list is neither "all" nor "none" and therefore refused.
pub(super) fn reach(
    methods: Option<&BTreeSet<String>>,
    paths: Option<&BTreeSet<String>>,
    networks: Option<&BTreeSet<IpNet>>,
) -> Result<Reach, TokenError> {
    let methods = methods.map(|methods| {
        bounded("methods", methods.len())?;
        methods
            .iter()
            .map(|method| {
                // RFC 9110 section 9.1: methods have a case; `get` is not `GET`.
                if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
                    return invalid("methods", "a method is in lower case");
                }
                Method::from_bytes(method.as_bytes())
                    .or_else(|_| invalid("methods", "a method is no token"))
            })
            .collect()
    });
    let paths = paths.map(|paths| {
        bounded("paths", paths.len())?;
        paths
            .iter()
            .map(|path| {
                PathPattern::parse(path).map_err(|reason| TokenError::Invalid {
                    field: "paths",
                    reason,
                })
            })
            .collect()
    });
    let networks = networks.map(|networks| {
        bounded("networks", networks.len())?;
        networks
            .iter()
            .map(|network| match network {
                // Clients' addresses are compared in their IPv4 form.
                IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some() => {
                    invalid("networks", "write an IPv4 network as IPv4")
                }
                network => Ok(network.trunc()),
            })
            .collect()
    });
    Ok(Reach {
        methods: methods.transpose()?,
        paths: paths.transpose()?,
        networks: networks.transpose()?,
    })
}

pub(super) fn text(field: &'static str, value: &str) -> Result<(), TokenError> {
    if value.is_empty() || value.len() > MAX_TEXT {
        return invalid(field, "it is empty or longer than 256 bytes");
    }
    if value.chars().any(char::is_control) {
        return invalid(field, "it has control characters");
    }
    Ok(())
}

/// RFC 6749 section 3.3: visible ASCII without `"` and `\`.
fn words(field: &'static str, words: &BTreeSet<String>) -> Result<(), TokenError> {
    if words.len() > MAX_LIST {
        return invalid(field, "there are more than 64");
    }
    for word in words {
        text(field, word)?;
        let known = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        if !word.bytes().all(known) {
            return invalid(field, "one has a character that no scope has");
        }
    }
    Ok(())
}

fn bounded(field: &'static str, len: usize) -> Result<(), TokenError> {
    match len {
        0 => invalid(field, "an empty list permits nothing; leave it out for all"),
        1..=MAX_LIST => Ok(()),
        _ => invalid(field, "there are more than 64"),
    }
}

pub(super) fn invalid<T>(field: &'static str, reason: &'static str) -> Result<T, TokenError> {
    Err(TokenError::Invalid { field, reason })
}
