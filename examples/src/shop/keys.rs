//! The shop's service tokens: good ones, and every kind of bad one that a tour wants to try.

use std::{sync::Arc, time::Duration};

use zt_core::{
    clock::Clock,
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    store::MemoryStore,
};

use crate::Result;

/// Tokens as their holders would keep them. Made at start, good for this process only.
#[derive(Clone)]
pub struct Keys {
    registry: ServiceTokens,
    customer: String,
    reader: String,
    analyst: String,
    scopeless: String,
    spender: String,
    quarantined: String,
    short_lived: String,
    rotated_old: String,
    rotated_new: String,
    revoked: String,
    staging: String,
    unknown: String,
    wrong_secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub(super) async fn make(clock: impl Clock + Clone) -> Result<Self> {
        let open = async |environment: &str| {
            let store = Arc::new(MemoryStore::new(clock.clone()));
            let config = ServiceTokenConfig::new(environment);
            ServiceTokens::open(store, clock.clone(), config).await
        };
        let (registry, staging, elsewhere) = (
            open("prod").await?,
            open("staging").await?,
            open("prod").await?,
        );

        let now = clock.now()?;
        let request = |subject: &str| {
            MintRequest::new(subject, "shop").expires(now + Duration::from_secs(86_400))
        };
        let analyst = || {
            request("analyst")
                .scopes(["reports:read"])
                .methods(["GET"])
                .paths(["/reports"])
        };
        let mint = async |registry: &ServiceTokens, request: MintRequest| -> Result<String> {
            Ok(registry.mint(request).await?.clear.expose().to_owned())
        };
        let read = || ["orders:read"];
        let rotated = registry.mint(analyst()).await?;
        let rotated_new = registry
            .rotate(&rotated.id, "on-call", Duration::from_secs(600))
            .await?;
        let revoked = registry.mint(request("leaver").scopes(read())).await?;
        registry
            .revoke(&revoked.id, "on-call", "left the company")
            .await?;
        let short_lived = analyst().expires(now + Duration::from_secs(3_600));
        let customer = mint(
            &registry,
            request("customer").scopes(["orders:read", "orders:write"]),
        )
        .await?;
        let reader = mint(
            &registry,
            request("reader").scopes(read()).methods(["GET", "HEAD"]),
        )
        .await?;
        Ok(Self {
            wrong_secret: with_secret_of(&customer, &reader),
            reader,
            customer,
            analyst: mint(&registry, analyst()).await?,
            scopeless: mint(&registry, request("scopeless")).await?,
            spender: mint(&registry, request("spender").scopes(read())).await?,
            quarantined: mint(&registry, request("scraper").scopes(read())).await?,
            short_lived: mint(&registry, short_lived).await?,
            rotated_old: rotated.clear.expose().to_owned(),
            rotated_new: rotated_new.clear.expose().to_owned(),
            revoked: revoked.clear.expose().to_owned(),
            staging: mint(&staging, request("customer").scopes(read())).await?,
            unknown: mint(&elsewhere, request("customer").scopes(read())).await?,
            registry,
        })
    }

    pub(super) fn verify_layer(&self) -> VerifyServiceTokenLayer {
        VerifyServiceTokenLayer::new(self.registry.clone())
    }

    /// The customer's token with a letter changed: its checksum no longer fits.
    #[must_use]
    pub fn mistyped(&self) -> String {
        let mut text = self.customer.clone();
        let last = text.pop().unwrap_or('0');
        text.push(if last == '0' { '1' } else { '0' });
        text
    }

    /// Whom the tour puts under quarantine.
    #[must_use]
    pub fn quarantined_subject(&self) -> &'static str {
        "scraper"
    }
}

macro_rules! tokens {
    ($($(#[$doc:meta])* $name:ident = $field:ident;)*) => {
        impl Keys {
            $($(#[$doc])* #[must_use] pub fn $name(&self) -> &str { &self.$field })*
        }
    };
}

tokens! {
    /// May read and write orders.
    customer = customer;
    /// May only read, and only with GET and HEAD.
    reader = reader;
    /// May read reports, and reach nothing else.
    analyst = analyst;
    /// Has no scope at all.
    scopeless = scopeless;
    /// Good; its rate is used up by the tour.
    spender = spender;
    /// Good until its subject is quarantined.
    quarantined = quarantined;
    /// Good for an hour.
    short_lived = short_lived;
    /// Rotated; its secret lives on for ten minutes.
    rotated_old = rotated_old;
    /// The secret after the rotation.
    rotated_new = rotated_new;
    /// Revoked.
    revoked = revoked;
    /// Minted for another environment.
    staging = staging;
    /// Well formed, from a registry that nobody here knows.
    unknown = unknown;
    /// A known id with another token's secret, checksum made to fit.
    wrong_secret = wrong_secret;
}

/// `token` with the secret of `other` and a checksum that fits: what someone tries who knows an id.
/// A token is `ztk_<environment>_<id>_<43 characters of secret><6 of CRC-32>`.
fn with_secret_of(token: &str, other: &str) -> String {
    let known = token
        .rsplit_once('_')
        .map(|(known, _)| known)
        .unwrap_or_default();
    let secret = other
        .rsplit_once('_')
        .and_then(|(_, tail)| tail.get(..43))
        .unwrap_or_default();
    let body = format!("{known}_{secret}");
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut checksum = [b'0'; 6];
    for digit in checksum.iter_mut().rev() {
        let value = u8::try_from(rest % 62).unwrap_or_default();
        *digit = match value {
            0..=9 => b'0' + value,
            10..=35 => b'A' + value - 10,
            _ => b'a' + value - 36,
        };
        rest /= 62;
    }
    checksum.iter().fold(body, |mut text, digit| {
        text.push(char::from(*digit));
        text
    })
}
