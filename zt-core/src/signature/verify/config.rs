//! A policy as it stands in a configuration file.

use std::{sync::Arc, time::Duration};

use http::HeaderName;
use serde::{
    Deserialize,
    de::{Deserializer, Error as _},
};

use super::{AuthoritySource, SignaturePolicy};
use crate::{
    body::CollectLimits,
    signature::{
        Algorithm,
        base::{Component, UrlScheme},
    },
};

/// [`SignaturePolicy::strict`] with changes; what weakens it can be said in code only.
///
/// ```
/// use zt_core::signature::verify::SignaturePolicy;
///
/// let policy: SignaturePolicy = serde_json::from_str(r#"{
///     "covers": ["\"idempotency-key\""],
///     "covers_if_present": ["content-type"],
///     "tag": "orders",
///     "algorithms": ["ed25519"],
///     "max_age_seconds": 30,
///     "future_skew_seconds": 2,
///     "scheme": "https",
///     "authority": {"fixed": "payments.example.com"},
///     "body": {"buffer": {"bytes": 65536, "seconds": 5}}
/// }"#)?;
/// # let _ = policy;
/// # Ok::<_, serde_json::Error>(())
/// ```
impl<'de> Deserialize<'de> for SignaturePolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let config = Config::deserialize(deserializer)?;
        let mut policy = Self::strict();
        for component in &config.covers {
            let component: Component = component.parse().map_err(D::Error::custom)?;
            policy = policy.covering(component);
        }
        for name in &config.covers_if_present {
            let name = HeaderName::try_from(name).map_err(D::Error::custom)?;
            policy = policy.covering_if_present(name).map_err(D::Error::custom)?;
        }
        if let Some(tag) = &config.tag {
            policy = policy.tag(tag);
        }
        if let Some(algorithms) = config.algorithms {
            policy = policy.algorithms(algorithms);
        }
        if let Some(seconds) = config.max_age_seconds {
            policy = policy.max_age(Duration::from_secs(seconds));
        }
        if let Some(seconds) = config.future_skew_seconds {
            policy = policy.future_skew(Duration::from_secs(seconds));
        }
        if config.expiring {
            policy = policy.expiring();
        }
        policy = match config.scheme {
            Scheme::Http => policy.scheme(UrlScheme::Http),
            Scheme::Https => policy.scheme(UrlScheme::Https),
        };
        policy = policy.authority(match config.authority {
            Authority::Request => AuthoritySource::Request,
            Authority::Fixed(authority) => AuthoritySource::Fixed(authority),
            Authority::XForwardedHost => AuthoritySource::XForwardedHost,
            Authority::Forwarded => AuthoritySource::Forwarded,
        });
        Ok(match config.body {
            None => policy,
            Some(Body::Stream) => policy.stream(),
            Some(Body::Buffer { bytes, seconds }) => policy.buffer(CollectLimits {
                bytes,
                deadline: Duration::from_secs(seconds),
            }),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    #[serde(default)]
    covers: Vec<String>,
    #[serde(default)]
    covers_if_present: Vec<String>,
    tag: Option<String>,
    algorithms: Option<Vec<Algorithm>>,
    max_age_seconds: Option<u64>,
    future_skew_seconds: Option<u64>,
    #[serde(default)]
    expiring: bool,
    #[serde(default)]
    scheme: Scheme,
    #[serde(default)]
    authority: Authority,
    body: Option<Body>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Scheme {
    Http,
    #[default]
    Https,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
enum Authority {
    #[default]
    Request,
    Fixed(Arc<str>),
    XForwardedHost,
    Forwarded,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Body {
    Stream,
    Buffer { bytes: usize, seconds: u64 },
}
