//! Permissions policies, typed.

use http::HeaderValue;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Feature, PermissionsError, config::Pairs, error::shown};

/// Who may use a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowlist(Allowed);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Any,
    Listed { own: bool, origins: Vec<Box<str>> },
}

impl Allowlist {
    /// Nobody.
    pub const NONE: Self = Self(Allowed::Listed {
        own: false,
        origins: Vec::new(),
    });
    /// The page itself.
    pub const SELF: Self = Self(Allowed::Listed {
        own: true,
        origins: Vec::new(),
    });
    /// Everybody: every frame that is given the feature.
    pub const ANY: Self = Self(Allowed::Any);

    /// Also frames of `origin`, such as `https://maps.example.com` or `https://*.example.com`.
    ///
    /// # Errors
    ///
    /// When it is not an origin.
    pub fn and(mut self, origin: &str) -> Result<Self, PermissionsError> {
        if !is_origin(origin) {
            return Err(PermissionsError::Origin(shown(origin)));
        }
        match &mut self.0 {
            Allowed::Any => return Err(PermissionsError::NotAlone("*")),
            Allowed::Listed { origins, .. } => origins.push(origin.into()),
        }
        Ok(self)
    }

    /// RFC 9651 section 3.1: an inner list, or the token `*`.
    fn write(&self, out: &mut String) {
        let (own, origins) = match &self.0 {
            Allowed::Any => return out.push('*'),
            Allowed::Listed { own, origins } => (*own, origins),
        };
        out.push('(');
        out.push_str(if own { "self" } else { "" });
        for (index, origin) in origins.iter().enumerate() {
            out.push_str(if own || index > 0 { " \"" } else { "\"" });
            out.push_str(origin);
            out.push('"');
        }
        out.push(')');
    }
}

/// Scheme, host (which may begin with `*.`) and perhaps a port.
fn is_origin(text: &str) -> bool {
    let Some((scheme, host)) = text.split_once("://") else {
        return false;
    };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b':');
    matches!(scheme, "http" | "https")
        && bare.bytes().all(is_plain)
        && bare.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.parse::<http::Uri>().is_ok_and(|uri| {
            // `http` reads a port of any digits as one; an origin has one that exists.
            let port = uri
                .authority()
                .and_then(|authority| authority.as_str().split_once(':'));
            port.is_none_or(|(_, digits)| digits.parse::<u16>().is_ok())
        })
}

/// A permissions policy, checked and serialized.
///
/// ```
/// use zt_core::headers::{Allowlist, Feature, PermissionsPolicy};
///
/// let policy = PermissionsPolicy::builder()
///     .allow(Feature::Geolocation, Allowlist::SELF.and("https://maps.example.com")?)
///     .allow(Feature::Fullscreen, Allowlist::ANY)
///     .allow(Feature::Camera, Allowlist::NONE)
///     .build()?;
/// assert_eq!(
///     policy.header_value(),
///     "geolocation=(self \"https://maps.example.com\"), fullscreen=*, camera=()",
/// );
/// # Ok::<(), zt_core::headers::PermissionsError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PermissionsPolicy(HeaderValue);

impl PermissionsPolicy {
    /// Starts a policy: what it does not name has the browser's default.
    pub const fn builder() -> PermissionsPolicyBuilder {
        PermissionsPolicyBuilder {
            rules: Vec::new(),
            deny_others: false,
        }
    }

    /// The serialized policy.
    #[must_use]
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

/// Collects the features of a [`PermissionsPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct PermissionsPolicyBuilder {
    rules: Vec<(Feature, Allowlist)>,
    deny_others: bool,
}

impl PermissionsPolicyBuilder {
    /// Says who may use a feature.
    pub fn allow(mut self, feature: Feature, allowlist: Allowlist) -> Self {
        self.rules.push((feature, allowlist));
        self
    }

    /// Nobody may use what the policy does not name, of the features in [`Feature::ALL`].
    pub const fn deny_others(mut self) -> Self {
        self.deny_others = true;
        self
    }

    /// The policy.
    ///
    /// # Errors
    ///
    /// When no feature is named, or one is named twice.
    pub fn build(mut self) -> Result<PermissionsPolicy, PermissionsError> {
        for (index, (feature, _)) in self.rules.iter().enumerate() {
            if self
                .rules
                .iter()
                .skip(index + 1)
                .any(|(other, _)| other == feature)
            {
                return Err(PermissionsError::Duplicate(feature.to_string()));
            }
        }
        if self.deny_others {
            for feature in Feature::ALL {
                if self.rules.iter().all(|(named, _)| named != feature) {
                    self.rules.push((feature.clone(), Allowlist::NONE));
                }
            }
        }
        let mut out = String::new();
        for (feature, allowlist) in &self.rules {
            out.push_str(if out.is_empty() { "" } else { ", " });
            out.push_str(feature.as_str());
            out.push('=');
            allowlist.write(&mut out);
        }
        if out.is_empty() {
            return Err(PermissionsError::Empty);
        }
        // Names and origins were checked, so this does not fail.
        HeaderValue::try_from(out)
            .map(PermissionsPolicy)
            .map_err(|_| PermissionsError::Empty)
    }
}

/// In configuration: `none`, `self`, `*`, an origin, or a list of `self` and origins.
#[derive(Deserialize)]
#[serde(untagged)]
enum Who {
    One(String),
    List(Vec<String>),
}

impl Who {
    fn allowlist(&self) -> Result<Allowlist, PermissionsError> {
        let list = match self {
            Self::One(word) if word == "none" => return Ok(Allowlist::NONE),
            Self::One(word) if word == "*" => return Ok(Allowlist::ANY),
            Self::One(word) => std::slice::from_ref(word),
            Self::List(list) => list,
        };
        list.iter()
            .try_fold(Allowlist::NONE, |allowlist, word| match word.as_str() {
                "self" => {
                    let Allowed::Listed { origins, .. } = allowlist.0 else {
                        return Err(PermissionsError::NotAlone("*"));
                    };
                    Ok(Allowlist(Allowed::Listed { own: true, origins }))
                }
                "none" => Err(PermissionsError::NotAlone("none")),
                "*" => Err(PermissionsError::NotAlone("*")),
                origin => allowlist.and(origin),
            })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    features: Pairs<Who>,
    #[serde(default)]
    deny_others: bool,
}

impl<'de> Deserialize<'de> for PermissionsPolicy {
    /// From `features`, a map from feature to who may use it, and `deny_others`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Config::deserialize(deserializer)?;
        let mut builder = Self::builder();
        for (name, who) in &config.features.0 {
            let feature = name.parse().map_err(D::Error::custom)?;
            builder = builder.allow(feature, who.allowlist().map_err(D::Error::custom)?);
        }
        if config.deny_others {
            builder = builder.deny_others();
        }
        builder.build().map_err(D::Error::custom)
    }
}
