//! The shop's tokens: good ones, and every kind of bad one that a tour wants to try.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderValue, Method};
use zt_core::{
    clock::Clock,
    service_token::{MintRequest, ServiceTokens, VerifyServiceTokenLayer},
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
    gateway: String,
    orders: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(..)")
    }
}

impl Keys {
    pub(super) async fn make(clock: impl Clock + Clone) -> Result<Self> {
        let store = || Arc::new(MemoryStore::new(clock.clone()));
        let registry = ServiceTokens::builder("prod", store(), clock.clone()).open().await?;
        let staging = ServiceTokens::builder("staging", store(), clock.clone()).open().await?;
        let elsewhere = ServiceTokens::builder("prod", store(), clock.clone()).open().await?;

        let mint = async |request: MintRequest| -> Result<String> {
            Ok(registry.mint(request).await?.expose().to_owned())
        };
        let read = || ["orders:read"];
        let rotated = registry.mint(analyst()).await?;
        let rotated_new = registry.rotate(rotated.id(), Duration::from_secs(600)).await?;
        let revoked = registry.mint(MintRequest::new("leaver").scopes(read())).await?;
        registry.revoke(revoked.id(), "on-call", "left the company").await?;
        let short_lived = analyst().expires(clock.now()? + Duration::from_secs(3_600));
        let customer =
            mint(MintRequest::new("customer").scopes(["orders:read", "orders:write"])).await?;
        let reader = mint(MintRequest::new("reader").scopes(read()).methods([Method::GET, Method::HEAD])).await?;
        let wrong_secret = with_secret_of(&customer, &reader);
        Ok(Self {
            reader,
            wrong_secret,
            customer,
            analyst: mint(analyst()).await?,
            scopeless: mint(MintRequest::new("scopeless")).await?,
            spender: mint(MintRequest::new("spender").scopes(read())).await?,
            quarantined: mint(MintRequest::new("scraper").scopes(read())).await?,
            short_lived: mint(short_lived).await?,
            gateway: mint(MintRequest::new("gateway")).await?,
            orders: mint(MintRequest::new("orders").scopes(["pay"])).await?,
            rotated_old: rotated.expose().to_owned(),
            rotated_new: rotated_new.expose().to_owned(),
            revoked: revoked.expose().to_owned(),
            staging: staging.mint(MintRequest::new("customer").scopes(read())).await?.expose().to_owned(),
            unknown: elsewhere.mint(MintRequest::new("customer").scopes(read())).await?.expose().to_owned(),
            registry,
        })
    }

    pub(super) fn verify_layer(&self) -> VerifyServiceTokenLayer {
        VerifyServiceTokenLayer::new(self.registry.clone())
    }

    pub(super) fn gateway_to_orders(&self) -> HeaderValue {
        header(&self.gateway)
    }

    pub(super) fn orders_to_payments(&self) -> HeaderValue {
        header(&self.orders)
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
    /// What the gateway shows to orders.
    gateway_token = gateway;
}

fn analyst() -> MintRequest {
    MintRequest::new("analyst").scopes(["reports:read"]).methods([Method::GET]).paths(["/reports"])
}

fn header(token: &str) -> HeaderValue {
    HeaderValue::from_str(token).map_or_else(|_| HeaderValue::from_static(""), |mut value| {
        value.set_sensitive(true);
        value
    })
}

/// `token` with the secret of `other`: what someone tries who knows an id.
fn with_secret_of(token: &str, other: &str) -> String {
    zt_core::service_token::splice(token, other).unwrap_or_default()
}
