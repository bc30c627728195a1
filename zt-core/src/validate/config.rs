use http::Method;
use serde::Deserialize;

use super::{ValidateRequestError, authority::AllowedHost};
use crate::state::Routes;

/// What [`ValidateRequestLayer`](super::ValidateRequestLayer) lets pass. The defaults suit most
/// services.
///
/// ```
/// use zt_core::validate::{ValidateRequestConfig, ValidateRequestLayer};
///
/// let config: ValidateRequestConfig = serde_json::from_str(
///     r#"{"body_bytes": 65536, "hosts": ["api.example.com"], "methods": ["GET", "POST"]}"#,
/// )?;
/// let layer = ValidateRequestLayer::new(config)?;
/// # let _ = layer;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ValidateRequestConfig {
    uri_bytes: usize,
    header_count: usize,
    header_bytes: usize,
    header_value_bytes: usize,
    body_bytes: u64,
    methods: Option<Vec<String>>,
    hosts: Option<Vec<String>>,
    insecure_encoded_unreserved: bool,
    #[serde(skip)]
    routes: Routes,
}

impl Default for ValidateRequestConfig {
    fn default() -> Self {
        Self {
            uri_bytes: 8 * 1024,
            header_count: 100,
            header_bytes: 16 * 1024,
            header_value_bytes: 8 * 1024,
            body_bytes: 2 * 1024 * 1024,
            methods: None,
            hosts: None,
            insecure_encoded_unreserved: false,
            routes: Routes::default(),
        }
    }
}

impl ValidateRequestConfig {
    /// The longest request target, in bytes; 8 KiB. Past it: `uri-too-long`.
    #[must_use]
    pub const fn uri_bytes(mut self, bytes: usize) -> Self {
        self.uri_bytes = bytes;
        self
    }

    /// The most header fields, repeated ones counted each; 100. Past it: `headers-too-large`.
    #[must_use]
    pub const fn header_count(mut self, count: usize) -> Self {
        self.header_count = count;
        self
    }

    /// The longest header section, in bytes as HTTP/1 writes it; 16 KiB. Past it:
    /// `headers-too-large`.
    #[must_use]
    pub const fn header_bytes(mut self, bytes: usize) -> Self {
        self.header_bytes = bytes;
        self
    }

    /// The longest single header value, in bytes; 8 KiB. Past it: `headers-too-large`.
    #[must_use]
    pub const fn header_value_bytes(mut self, bytes: usize) -> Self {
        self.header_value_bytes = bytes;
        self
    }

    /// The longest body, in bytes, of a route that has no limit of its own; 2 MiB. Past it:
    /// `body-too-large`. Zero lets no body pass.
    #[must_use]
    pub const fn body_bytes(mut self, bytes: u64) -> Self {
        self.body_bytes = bytes;
        self
    }

    /// These methods and no others. Without a list every method passes but TRACE and CONNECT.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        let names = methods.into_iter().map(|method| method.as_str().to_owned());
        self.methods = Some(names.collect());
        self
    }

    /// The service answers for these hosts and no others (`misdirected` otherwise), against DNS
    /// rebinding and forged links. A host without a port stands for every port.
    #[must_use]
    pub fn hosts<S: Into<String>>(mut self, hosts: impl IntoIterator<Item = S>) -> Self {
        self.hosts = Some(hosts.into_iter().map(Into::into).collect());
        self
    }

    /// Lets clients encode what needs no encoding (`%7E`, `%61`). A service behind this one that
    /// matches decoded paths may then match another rule than this one did.
    #[must_use]
    pub const fn insecure_encoded_unreserved(mut self) -> Self {
        self.insecure_encoded_unreserved = true;
        self
    }

    /// The table that the request's route is looked up in, and that scopes, prices and policies
    /// further in share. Routes bring their own body limits and allowances.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes = routes;
        self
    }

    const fn limits(&self) -> Limits {
        Limits {
            uri_bytes: self.uri_bytes,
            header_count: self.header_count,
            header_bytes: self.header_bytes,
            header_value_bytes: self.header_value_bytes,
            body_bytes: self.body_bytes,
        }
    }

    pub(super) fn compile(self) -> Result<Rules, ValidateRequestError> {
        for (name, bound) in [
            ("uri_bytes", self.uri_bytes),
            ("header_count", self.header_count),
            ("header_bytes", self.header_bytes),
            ("header_value_bytes", self.header_value_bytes),
        ] {
            if bound == 0 {
                return Err(ValidateRequestError::ZeroLimit(name));
            }
        }
        let limits = self.limits();
        let methods = each("methods", self.methods, |name| {
            Method::from_bytes(name.as_bytes()).map_err(|_| ValidateRequestError::Method(name))
        })?;
        let hosts = each("hosts", self.hosts, |host| {
            AllowedHost::parse(&host).ok_or(ValidateRequestError::Host(host))
        })?;
        Ok(Rules {
            limits,
            methods,
            hosts,
            encoded_unreserved: self.insecure_encoded_unreserved,
            accept_anything: false,
            routes: self.routes,
        })
    }
}

fn each<T>(
    name: &'static str,
    list: Option<Vec<String>>,
    parse: impl Fn(String) -> Result<T, ValidateRequestError>,
) -> Result<Option<Vec<T>>, ValidateRequestError> {
    match list {
        None => Ok(None),
        Some(list) if list.is_empty() => Err(ValidateRequestError::EmptyList(name)),
        Some(list) => list
            .into_iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Some),
    }
}

/// The configuration as checks read it.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) limits: Limits,
    pub(super) methods: Option<Vec<Method>>,
    pub(super) hosts: Option<Vec<AllowedHost>>,
    pub(super) encoded_unreserved: bool,
    pub(super) accept_anything: bool,
    pub(super) routes: Routes,
}

impl Default for Rules {
    /// Those of the default configuration, which has no bound that could be wrong.
    fn default() -> Self {
        let config = ValidateRequestConfig::default();
        Self {
            limits: config.limits(),
            methods: None,
            hosts: None,
            encoded_unreserved: false,
            accept_anything: false,
            routes: Routes::default(),
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) uri_bytes: usize,
    pub(super) header_count: usize,
    pub(super) header_bytes: usize,
    pub(super) header_value_bytes: usize,
    pub(super) body_bytes: u64,
}
