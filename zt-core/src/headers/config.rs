use std::{fmt, marker::PhantomData};

use http::{HeaderName, HeaderValue};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::{
    HeadersError, PermissionsPolicy, SetSecurityHeadersLayer,
    csp::{Csp, CspOverride},
    error::shown,
};

/// The layer as it stands in a configuration file; unknown keys are refused. A
/// [`SetSecurityHeadersLayer`] can also be deserialized directly.
///
/// ```
/// let layer: zt_core::headers::SetSecurityHeadersLayer = serde_json::from_str(r#"{
///     "preset": "html-strict",
///     "set": {"Reporting-Endpoints": "csp=\"https://reports.example.com\""},
///     "force": ["Strict-Transport-Security"],
///     "remove": ["X-Runtime"],
///     "csp_override": {
///         "replace": {"report-to": "csp"},
///         "append": {"img-src": ["https://images.example.com"]}
///     },
///     "permissions_policy": {"deny_others": true, "features": {"fullscreen": "self"}}
/// }"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecurityHeadersConfig {
    preset: Preset,
    set: Pairs<String>,
    force: Vec<String>,
    remove: Vec<String>,
    without: Vec<String>,
    csp: Option<Csp>,
    csp_override: Option<CspOverride>,
    csp_report_only: Option<Csp>,
    permissions_policy: Option<PermissionsPolicy>,
    offer_nonce: bool,
}

/// What a configuration builds on.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    Helmet,
    Owasp,
    #[default]
    Api,
    HtmlStrict,
    Empty,
}

impl SecurityHeadersConfig {
    /// The layer.
    ///
    /// # Errors
    ///
    /// When a header cannot be written as configured, or is configured twice.
    pub fn build(self) -> Result<SetSecurityHeadersLayer, HeadersError> {
        let mut layer = match self.preset {
            Preset::Helmet => SetSecurityHeadersLayer::helmet(),
            Preset::Owasp => SetSecurityHeadersLayer::owasp(),
            Preset::Api => SetSecurityHeadersLayer::api(),
            Preset::HtmlStrict => SetSecurityHeadersLayer::html_strict(),
            Preset::Empty => SetSecurityHeadersLayer::empty(),
        };
        let mut named = Named::default();
        if let Some(csp) = self.csp {
            named.add(&http::header::CONTENT_SECURITY_POLICY)?;
            layer = layer.csp(csp);
        }
        if let Some(csp) = self.csp_report_only {
            named.add(&super::presets::CSP_REPORT_ONLY)?;
            layer = layer.csp_report_only(csp);
        }
        if let Some(policy) = &self.permissions_policy {
            named.add(&super::presets::PERMISSIONS_POLICY)?;
            layer = layer.permissions_policy(policy);
        }
        for (text, value) in &self.set.0 {
            let name = name(text)?;
            named.add(&name)?;
            let value =
                HeaderValue::from_str(value).map_err(|_| HeadersError::Value(name.clone()))?;
            layer = layer.with(name, value)?;
        }
        for text in &self.remove {
            let name = name(text)?;
            named.add(&name)?;
            layer = layer.remove(name)?;
        }
        for text in &self.without {
            let name = name(text)?;
            named.add(&name)?;
            layer = layer.without(&name);
        }
        if let Some(change) = &self.csp_override {
            layer = layer.override_csp(change)?;
        }
        for text in &self.force {
            layer = layer.force(name(text)?)?;
        }
        if self.offer_nonce {
            layer = layer.offer_nonce();
        }
        Ok(layer)
    }
}

impl<'de> Deserialize<'de> for SetSecurityHeadersLayer {
    /// From a [`SecurityHeadersConfig`].
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        SecurityHeadersConfig::deserialize(deserializer)?
            .build()
            .map_err(serde::de::Error::custom)
    }
}

fn name(text: &str) -> Result<HeaderName, HeadersError> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| HeadersError::Name(shown(text)))
}

/// Headers that the configuration has said something about.
#[derive(Default)]
struct Named(Vec<HeaderName>);

impl Named {
    fn add(&mut self, name: &HeaderName) -> Result<(), HeadersError> {
        if self.0.contains(name) {
            return Err(HeadersError::Conflict(name.clone()));
        }
        self.0.push(name.clone());
        Ok(())
    }
}

/// A map in its order, with the pairs that a map would drop.
#[derive(Debug, Clone)]
pub(super) struct Pairs<V>(pub(super) Vec<(String, V)>);

impl<V> Default for Pairs<V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Pairs<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<V> {
    type Value = Pairs<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<V>, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }
}
