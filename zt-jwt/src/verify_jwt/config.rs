use http::HeaderName;
use serde::Deserialize;

use super::{
    ConfigError,
    credential::Place,
    origin::{Origins, is_origin},
};
use crate::http::endpoint;

/// Where requests carry their token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TokenPlace {
    /// In `Authorization`, under `Bearer` (RFC 6750 section 2.1).
    Authorization,
    /// In the header of this name, whose value is the token and nothing else.
    Header(String),
    /// In the cookie of this name.
    Cookie(String),
}

/// The settings of a [`VerifyJwtLayer`](super::VerifyJwtLayer), as they stand in a configuration
/// file.
///
/// ```
/// # use zt_jwt::verify_jwt::VerifyJwtConfig;
/// let config: VerifyJwtConfig = serde_json::from_str(r#"{
///     "places": ["authorization", {"cookie": "__Host-session"}],
///     "realm": "orders",
///     "resource_metadata": "https://api.example.com/.well-known/oauth-protected-resource",
///     "scopes": ["orders.read"],
///     "origins": ["https://app.example.com"],
///     "strip_token": false
/// }"#).unwrap();
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyJwtConfig {
    places: Vec<TokenPlace>,
    realm: String,
    resource_metadata: Option<String>,
    scopes: Vec<String>,
    origins: Vec<String>,
    insecure_same_site: bool,
    strip_token: bool,
}

/// RFC 6750 section 3: a challenge has a parameter.
const REALM: &str = "api";

impl Default for VerifyJwtConfig {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            realm: REALM.to_owned(),
            resource_metadata: None,
            scopes: Vec::new(),
            origins: Vec::new(),
            insecure_same_site: false,
            strip_token: false,
        }
    }
}

impl VerifyJwtConfig {
    /// The defaults: tokens stand in `Authorization`, the realm is `api`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tokens may stand in `Authorization`. That is so unless a header or a cookie is named; then
    /// it has to be said as well.
    #[must_use]
    pub fn authorization(self) -> Self {
        self.place(TokenPlace::Authorization)
    }

    /// Tokens may stand in the header `name`, as identity-aware proxies send them
    /// (`X-Goog-Iap-Jwt-Assertion`). The value is the token and nothing else; `Bearer` in front of
    /// it is `credential-malformed`. Headers that `ValidateRequest` strips, because they claim an
    /// identity, are read as they came.
    #[must_use]
    pub fn header(self, name: impl Into<String>) -> Self {
        self.place(TokenPlace::Header(name.into()))
    }

    /// Tokens may stand in the cookie `name`, to the letter. Let it begin with `__Host-`: then
    /// browsers take it from this very host alone, over TLS, and no neighbouring domain can plant
    /// one. Requests that can change something must then come from a page of this site; see the
    /// [module](super).
    #[must_use]
    pub fn cookie(self, name: impl Into<String>) -> Self {
        self.place(TokenPlace::Cookie(name.into()))
    }

    /// Adds a place in which tokens may stand.
    #[must_use]
    pub fn place(mut self, place: TokenPlace) -> Self {
        self.places.push(place);
        self
    }

    /// The realm of the challenges (RFC 9110 section 11.5); `api` unless said otherwise.
    #[must_use]
    pub fn realm(mut self, realm: impl Into<String>) -> Self {
        self.realm = realm.into();
        self
    }

    /// Where clients read which authorization server to ask (RFC 9728 section 5.1); every
    /// challenge names it.
    #[must_use]
    pub fn resource_metadata(mut self, url: impl Into<String>) -> Self {
        self.resource_metadata = Some(url.into());
        self
    }

    /// Which scopes a client should ask for (RFC 6750 section 3): a hint in the challenges, asked
    /// of no token. [`RequireScopesLayer`](zt_core::authorize::RequireScopesLayer) asks.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// The origins whose pages may send unsafe requests under the cookie, as browsers write them:
    /// `https://app.example.com`, no default port, no slash. Without this call, the host that the
    /// request is for; with it that host is not compared, since `Host` is what a client says it
    /// is. Pages that the browser itself calls `same-origin` may in any case.
    #[must_use]
    pub fn origins<S: Into<String>>(mut self, origins: impl IntoIterator<Item = S>) -> Self {
        self.origins.extend(origins.into_iter().map(Into::into));
        self
    }

    /// Pages of every host under the same registrable domain may use the cookie: who can put a
    /// page on one of them can act for whoever is signed in. Prefer [`origins`](Self::origins).
    #[must_use]
    pub const fn insecure_same_site(mut self) -> Self {
        self.insecure_same_site = true;
        self
    }

    /// Takes a token that was verified out of the request, so that no handler can log or forward
    /// it. Not for a gateway that passes it on, nor in front of a layer that verifies a signature
    /// over the header.
    #[must_use]
    pub const fn strip_token(mut self) -> Self {
        self.strip_token = true;
        self
    }

    pub(super) const fn strips_token(&self) -> bool {
        self.strip_token
    }

    pub(super) fn places(&self) -> Result<Box<[Place]>, ConfigError> {
        let mut places = Vec::new();
        for source in &self.places {
            let place = place(source)?;
            if places.contains(&place) {
                return Err(ConfigError::Twice(match source {
                    TokenPlace::Authorization => "authorization".to_owned(),
                    TokenPlace::Header(name) | TokenPlace::Cookie(name) => name.clone(),
                }));
            }
            places.push(place);
        }
        if places.is_empty() {
            places.push(Place::Authorization);
        }
        Ok(places.into())
    }

    pub(super) fn pages(&self) -> Result<Origins, ConfigError> {
        let is_cookie = |source: &TokenPlace| matches!(source, TokenPlace::Cookie(_));
        let asks = self.insecure_same_site || !self.origins.is_empty();
        if asks && !self.places.iter().any(is_cookie) {
            return Err(ConfigError::NoCookie);
        }
        if let Some(wrong) = self.origins.iter().find(|origin| !is_origin(origin)) {
            return Err(ConfigError::Origin(wrong.clone()));
        }
        Ok(Origins {
            listed: self.origins.iter().map(|own| own.as_str().into()).collect(),
            same_site: self.insecure_same_site,
        })
    }

    /// The parameters that a challenge begins with.
    pub(super) fn parameters(&self) -> Result<Parameters<'_>, ConfigError> {
        if let Some(wrong) = self.scopes.iter().find(|scope| !is_word(scope)) {
            return Err(ConfigError::Scope(wrong.clone()));
        }
        if self.realm.is_empty() || !self.realm.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Err(ConfigError::Realm(self.realm.clone()));
        }
        if let Some(url) = &self.resource_metadata {
            endpoint(url, false).map_err(|_| ConfigError::ResourceMetadata(url.clone()))?;
        }
        Ok(Parameters {
            realm: &self.realm,
            resource_metadata: self.resource_metadata.as_deref(),
            scope: self.scopes.join(" "),
        })
    }
}

/// What stands in challenges.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    pub(super) realm: &'a str,
    pub(super) resource_metadata: Option<&'a str>,
    /// Empty where there is no hint.
    pub(super) scope: String,
}

impl Default for Parameters<'_> {
    fn default() -> Self {
        Self {
            realm: REALM,
            resource_metadata: None,
            scope: String::new(),
        }
    }
}

fn place(source: &TokenPlace) -> Result<Place, ConfigError> {
    match source {
        TokenPlace::Authorization => Ok(Place::Authorization),
        TokenPlace::Header(name) => HeaderName::from_bytes(name.as_bytes())
            .ok()
            .filter(|name| !TAKEN.contains(&name.as_str()))
            .map(Place::Header)
            .ok_or_else(|| ConfigError::Header(name.clone())),
        TokenPlace::Cookie(name) => {
            // RFC 6265 section 4.1.1: a cookie's name is a token, as a header's is.
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err(ConfigError::Cookie(name.clone()));
            }
            Ok(Place::Cookie(name.as_str().into()))
        }
    }
}

/// Headers that mean something else.
const TAKEN: &[&str] = &[
    "authorization",
    "cookie",
    "dpop",
    "host",
    "origin",
    "proxy-authorization",
    "set-cookie",
    "x-service-token",
];

/// `1*( %x21 / %x23-5B / %x5D-7E )` (RFC 6749 section 3.3).
pub(crate) fn is_word(word: &str) -> bool {
    !word.is_empty()
        && word
            .bytes()
            .all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
}
