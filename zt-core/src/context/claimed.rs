//! Identity headers as they came.
//!
//! A header such as `X-Forwarded-User` is somebody's word for who asks. Handlers that believe one
//! can be fooled, so `ValidateRequest` takes them off the request; what they said stays here, for
//! layers that can check it (forwarded certificates) and for the audit record.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The claimed-identity headers of one request, as they stood before anything was stripped.
#[derive(Clone, Default)]
pub struct Claimed(Vec<(HeaderName, HeaderValue)>);

impl Claimed {
    /// Whether the request claimed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All values of `name`, in the order they came.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a HeaderValue> {
        self.0
            .iter()
            .filter(move |(claimed, _)| claimed.as_str() == name)
            .map(|(_, value)| value)
    }

    /// Bytes of all names and values: what keeping them costs.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.as_str().len().saturating_add(value.len()))
            .fold(0, usize::saturating_add)
    }

    /// The names that were claimed.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter().map(|(name, _)| name)
    }
}

/// The names; values may be credentials.
impl std::fmt::Debug for Claimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Which headers claim an identity. `-` and `_` are alike, case does not matter.
#[derive(Debug, Clone)]
pub struct ClaimedNames {
    names: BTreeSet<String>,
    prefixes: Vec<String>,
    marks: Marks,
}

const NAMES: &[&str] = &[
    "client-cert",
    "client-cert-chain",
    "cf-access-authenticated-user-email",
    "forwarded",
    "oidc-claim-sub",
    "remote-user",
    "ssl-client-cert",
    "ssl-client-dn",
    "ssl-client-s-dn",
    "ssl-client-verify",
    "true-client-ip",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-credential-identifier",
    "x-consumer-id",
    "x-consumer-username",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-for",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-roles",
    "x-forwarded-user",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    "x-groups",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-client-principal-name",
    "x-peer-id",
    "x-pomerium-jwt-assertion",
    "x-real-ip",
    "x-remote-user",
    "x-roles",
    "x-scopes",
    "x-service-name",
    "x-spiffe-id",
    "x-ssl-client-cert",
    "x-ssl-client-s-dn",
    "x-ssl-client-verify",
    "x-tenant-id",
    "x-user",
    "x-user-email",
    "x-user-id",
    "x-username",
    "x-user-roles",
];
const PREFIXES: &[&str] = &["x-auth-request-"];

impl Default for ClaimedNames {
    /// What proxies, meshes and identity-aware gateways are known to write.
    fn default() -> Self {
        let mut names = Self {
            names: BTreeSet::new(),
            prefixes: Vec::new(),
            marks: Marks::default(),
        };
        for name in NAMES {
            names = names.with(name);
        }
        for prefix in PREFIXES {
            names = names.with_prefix(prefix);
        }
        names
    }
}

impl ClaimedNames {
    /// Also `name`.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        let name = folded(name);
        self.marks.set(&name);
        self.names.insert(name);
        self
    }

    /// Also whatever begins with `prefix`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(folded(prefix));
        self
    }

    /// Not `name`, because the application means to read it. It is then whatever the caller says.
    #[must_use]
    pub fn insecure_without(mut self, name: &str) -> Self {
        self.names.remove(&folded(name));
        self
    }

    /// Whether `name` claims an identity.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        if self.marks.has(name) {
            if self.names.contains(name) {
                return true;
            }
            if name.contains('_') && self.names.contains(&folded(name)) {
                return true;
            }
        }
        self.prefixes
            .iter()
            .any(|prefix| starts_with_folded(name, prefix))
    }

    /// The claims of `headers`; allocates only where there are any.
    #[must_use]
    pub fn capture(&self, headers: &HeaderMap) -> Claimed {
        let mut claimed = Vec::new();
        for name in headers.keys().filter(|name| self.contains(name)) {
            claimed.extend(
                headers
                    .get_all(name)
                    .iter()
                    .map(|value| (name.clone(), value.clone())),
            );
        }
        Claimed(claimed)
    }
}

fn folded(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

fn starts_with_folded(name: &str, prefix: &str) -> bool {
    name.len() >= prefix.len()
        && name
            .bytes()
            .zip(prefix.bytes())
            .all(|(a, b)| a == b || (a == b'_' && b == b'-'))
}

/// Which names may be listed: every request asks that of each of its headers, and nearly all are
/// not.
///
/// One bit for each listed name, found by its length and three of its bytes.
#[derive(Debug, Clone, Default)]
struct Marks([u64; 16]);

impl Marks {
    fn set(&mut self, name: &str) {
        let (word, bit) = mark(name);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    fn has(&self, name: &str) -> bool {
        let (word, bit) = mark(name);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

/// A word of [`Marks`] and a bit in it; alike for `-` and `_`.
fn mark(name: &str) -> (usize, u64) {
    let name = name.as_bytes();
    let at = |index: usize| match name.get(index) {
        Some(b'_') => usize::from(b'-'),
        Some(byte) => usize::from(*byte),
        None => 0,
    };
    let last = name.len().saturating_sub(1);
    let mixed = name.len() * 5 + at(last) * 31 + at(last / 2) * 7 + at(last / 4) * 13;
    (mixed / 64 % 16, 1 << (mixed % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_and_underscore_variant_is_found() {
        let names = ClaimedNames::default();
        for name in NAMES {
            for variant in [
                name.to_ascii_uppercase(),
                name.replace('-', "_"),
                (*name).to_owned(),
            ] {
                let header = HeaderName::from_bytes(variant.as_bytes()).unwrap();
                assert!(names.contains(&header), "{variant}");
            }
        }
        for name in [
            "x-auth-request-user",
            "x_auth_request_email",
            "X-Forwarded_User",
        ] {
            assert!(
                names.contains(&HeaderName::from_bytes(name.as_bytes()).unwrap()),
                "{name}"
            );
        }
        for name in [
            "accept",
            "authorization",
            "x-request-id",
            "x-forwarded-proto",
            "host",
        ] {
            assert!(
                !names.contains(&HeaderName::from_bytes(name.as_bytes()).unwrap()),
                "{name}"
            );
        }
    }

    #[test]
    fn few_other_names_are_looked_for() {
        let names = ClaimedNames::default();
        let set: u32 = names.marks.0.iter().map(|word| word.count_ones()).sum();
        assert!(
            (40..=60).contains(&set),
            "{set} bits for {} names",
            NAMES.len()
        );
    }

    #[test]
    fn added_names_count() {
        let names = ClaimedNames::default().with("Acting_As");
        assert!(names.contains(&HeaderName::from_static("acting-as")));
        assert!(names.contains(&HeaderName::from_static("acting_as")));
        let without = names.clone().insecure_without("x-user");
        assert!(without.contains(&HeaderName::from_static("acting-as")));
        assert!(!without.contains(&HeaderName::from_static("x-user")));
        assert!(
            !names
                .insecure_without("acting-as")
                .contains(&HeaderName::from_static("acting-as"))
        );
    }
}
