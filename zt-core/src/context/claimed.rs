//! Identity headers as they came.
//!
//! A header such as `X-Forwarded-User` is somebody's word for who asks. Handlers that believe one
//! can be fooled, so `ValidateRequest` takes them off the request; what they said stays here, for
//! layers that can check it, such as those that verify forwarded certificates.

use std::collections::BTreeSet;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::detached;

/// The claimed-identity headers of one request, as they stood before anything was stripped.
///
/// A layer outside the stack that strips some leaves them in the request's extensions, where the
/// context finds them when it opens: signatures can still cover them.
#[derive(Clone, Default)]
pub struct Claimed(Vec<(HeaderName, HeaderValue)>);

impl Claimed {
    /// Whether the request claimed nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, and what a layer further out stripped before.
    #[must_use]
    pub fn and(mut self, earlier: &Self) -> Self {
        // Nobody sees both: what is there now came later.
        let earlier = earlier.0.iter();
        let gone: Vec<_> = earlier
            .filter(|(name, _)| self.names().all(|there| there != name))
            .cloned()
            .collect();
        self.0.extend(gone);
        self
    }

    /// Names and values, in the order of the header map.
    pub(crate) fn as_slice(&self) -> &[(HeaderName, HeaderValue)] {
        &self.0
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
    /// Bit `n` is set where a prefix that begins with the byte `n` is listed.
    prefix_firsts: u128,
    /// What was taken off the list.
    without: BTreeSet<String>,
}

const NAMES: &[&str] = &[
    "cf-access-authenticated-user-email",
    "cf-access-jwt-assertion",
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "client-cert",
    "client-cert-chain",
    "fastly-client-ip",
    "forwarded",
    "iv-creds",
    "iv-groups",
    "iv-user",
    "iv-user-l",
    "l5d-client-id",
    "ngrok-auth-user-email",
    "ngrok-auth-user-id",
    "ngrok-auth-user-name",
    "oam-remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    "remote-user",
    "sm-universalid",
    "sm-user",
    "sm-userdn",
    "ssl-client-cert",
    "ssl-client-dn",
    "ssl-client-issuer-dn",
    "ssl-client-s-dn",
    "ssl-client-subject-dn",
    "ssl-client-verify",
    "teleport-jwt-assertion",
    "true-client-ip",
    "x-anonymous-consumer",
    "x-appengine-user-email",
    "x-appengine-user-id",
    "x-appengine-user-ip",
    "x-appengine-user-nickname",
    "x-arr-clientcert",
    "x-auth-email",
    "x-auth-groups",
    "x-auth-roles",
    "x-auth-user",
    "x-auth-username",
    "x-authenticated-groups",
    "x-authenticated-scope",
    "x-authenticated-user",
    "x-authenticated-userid",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-consumer-custom-id",
    "x-consumer-groups",
    "x-consumer-id",
    "x-consumer-username",
    "x-credential-identifier",
    "x-email",
    "x-endpoint-api-userinfo",
    "x-envoy-external-address",
    "x-envoy-peer-metadata",
    "x-envoy-peer-metadata-id",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-forwarded-email",
    "x-forwarded-for",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-roles",
    "x-forwarded-tls-client-cert",
    "x-forwarded-tls-client-cert-info",
    "x-forwarded-user",
    "x-goog-authenticated-user-email",
    "x-goog-authenticated-user-id",
    "x-goog-iap-jwt-assertion",
    "x-group",
    "x-groups",
    "x-id-token",
    "x-jwt-assertion",
    "x-jwt-payload",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-client-principal-idp",
    "x-ms-client-principal-name",
    "x-original-forwarded-for",
    "x-peer-id",
    "x-pomerium-jwt-assertion",
    "x-real-ip",
    "x-remote-group",
    "x-remote-groups",
    "x-remote-user",
    "x-role",
    "x-roles",
    "x-scope-orgid",
    "x-scopes",
    "x-service-name",
    "x-spiffe-id",
    "x-tenant-id",
    "x-user",
    "x-user-email",
    "x-user-id",
    "x-user-roles",
    "x-userinfo",
    "x-username",
    "x-vouch-idp-accesstoken",
    "x-vouch-idp-idtoken",
    "x-vouch-user",
    "x-webauth-email",
    "x-webauth-groups",
    "x-webauth-name",
    "x-webauth-role",
    "x-webauth-user",
];
const PREFIXES: &[&str] = &[
    "impersonate-",
    "oidc-",
    "tailscale-user-",
    "x-amzn-mtls-clientcert",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authentik-",
    "x-client-cert-",
    "x-ms-token-",
    "x-pomerium-claim-",
    "x-remote-extra-",
    "x-ssl-client-",
    "x-vouch-idp-claims-",
];

impl Default for ClaimedNames {
    /// What proxies, meshes and identity-aware gateways are known to write.
    fn default() -> Self {
        let mut names = Self::none();
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
    /// None, for a layer that strips only a few.
    #[must_use]
    pub fn none() -> Self {
        Self {
            names: BTreeSet::new(),
            prefixes: Vec::new(),
            marks: Marks::default(),
            prefix_firsts: 0,
            without: BTreeSet::new(),
        }
    }

    /// Also `name`.
    #[must_use]
    pub fn with(mut self, name: &str) -> Self {
        let name = folded(name);
        self.marks.set(&name);
        self.without.remove(&name);
        self.names.insert(name);
        self
    }

    /// Also whatever begins with `prefix`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: &str) -> Self {
        let prefix = folded(prefix);
        // The empty one is a prefix of everything.
        self.prefix_firsts |= prefix.bytes().next().map_or(u128::MAX, first_bit);
        self.prefixes.push(prefix);
        self
    }

    /// Not `name`, because the application means to read it. It is then whatever the caller says.
    #[must_use]
    pub fn insecure_without(mut self, name: &str) -> Self {
        let name = folded(name);
        if self.names.remove(&name) {
            self.without.insert(name);
        }
        self
    }

    /// The names that would be stripped, had the application not asked to read them.
    pub(crate) fn without(&self) -> impl Iterator<Item = &str> {
        self.without.iter().map(String::as_str)
    }

    /// Whether `name` claims an identity.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        let name = name.as_str();
        let Some(first) = name.bytes().next() else {
            return false;
        };
        if self.marks.has(name) {
            if self.names.contains(name) {
                return true;
            }
            if name.contains('_') && self.names.contains(&folded(name)) {
                return true;
            }
        }
        self.prefix_firsts & first_bit(first) != 0
            && self
                .prefixes
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
                    .map(|value| (detached::name(name), detached::value(value))),
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

/// Names of headers are ASCII; `_` is folded, as names are.
fn first_bit(first: u8) -> u128 {
    1 << if first == b'_' { b'-' } else { first & 0x7f }
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
            set as usize > NAMES.len() * 3 / 4,
            "{set} bits for {} names",
            NAMES.len()
        );
    }

    #[test]
    fn what_gateways_are_known_to_write_is_found() {
        let names = ClaimedNames::default();
        for name in [
            // Authelia, Authentik, Grafana's and Vouch's proxies, oauth2-proxy
            "Remote-Groups",
            "Remote-Email",
            "X-authentik-username",
            "X-WEBAUTH-USER",
            "X-Vouch-User",
            "X-Vouch-IdP-Claims-Groups",
            // Traefik, HAProxy, nginx, AWS, Google and Azure on client certificates
            "X-Forwarded-Tls-Client-Cert",
            "X-Forwarded-Tls-Client-Cert-Info",
            "X-SSL-Client-CN",
            "X-SSL-Client-DN",
            "ssl-client-subject-dn",
            "ssl-client-issuer-dn",
            "X-Amzn-Mtls-Clientcert-Subject",
            "X-Client-Cert-Spiffe",
            "X-ARR-ClientCert",
            // meshes
            "l5d-client-id",
            "X-Envoy-External-Address",
            "X-Envoy-Peer-Metadata-Id",
            // identity-aware gateways
            "CF-Access-Jwt-Assertion",
            "CF-Connecting-IP",
            "Fastly-Client-IP",
            "X-Cluster-Client-Ip",
            "X-Original-Forwarded-For",
            "Tailscale-User-Login",
            "Ngrok-Auth-User-Email",
            "Teleport-Jwt-Assertion",
            "X-Pomerium-Claim-Email",
            "X-MS-CLIENT-PRINCIPAL-IDP",
            "X-MS-TOKEN-AAD-ID-TOKEN",
            "X-AppEngine-User-Email",
            // API gateways
            "X-Consumer-Custom-ID",
            "X-Consumer-Groups",
            "X-Anonymous-Consumer",
            "X-Authenticated-Groups",
            "X-Authenticated-Scope",
            "X-Userinfo",
            "X-ID-Token",
            "X-JWT-Assertion",
            "X-Scope-OrgID",
            // aggregated APIs, web access managers, mod_auth_openidc
            "Impersonate-User",
            "Impersonate-Extra-Scopes",
            "X-Remote-Group",
            "X-Remote-Extra-Scopes",
            "SM_USER",
            "iv-user",
            "iv_groups",
            "OIDC_CLAIM_email",
            "OIDC_access_token",
        ] {
            let header = HeaderName::from_bytes(name.as_bytes()).unwrap();
            assert!(names.contains(&header), "{name}");
        }
        for name in [
            "x-remote-ip-policy",
            "remote",
            "if-none-match",
            "x-service-token",
            "x-csrf-token",
            "x-ssl",
            "cf-ray",
        ] {
            assert!(
                !names.contains(&HeaderName::from_bytes(name.as_bytes()).unwrap()),
                "{name}"
            );
        }
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
