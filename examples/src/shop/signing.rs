//! Signed calls: a token says who asks, a signature that this very request is theirs.
//!
//! Payments believes no token alone. Whoever takes one from the network or from a log can do nothing
//! with it, since each call is signed as well, token included, and is good once.

use std::{sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::AUTHORIZATION;
use zt_core::{
    clock::Clock,
    random::{self, OsEntropy},
    secret::Secret,
    signature::{
        base::{Component, UrlScheme},
        key::{KeyEntry, KeyRing, SigningKey},
        replay::MemoryReplays,
        sign::SignRequestLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
        webhook::VerifyWebhookLayer,
    },
};

use super::trust::ORDERS_ACCOUNT;
use crate::Result;

/// The orders service's key, as payments knows it.
pub const ORDERS_KEY: &str = "orders-1";
/// Who tells payments what became of the money.
pub(super) const PROVIDER: &str = "payment-provider";

/// Signs with `key` as the orders service does: the token that is attached above it is covered.
///
/// # Errors
///
/// When no message can carry `keyid`.
pub fn sign_calls(key: SigningKey, keyid: &str, clock: impl Clock) -> Result<SignRequestLayer> {
    let layer = SignRequestLayer::new(key, keyid)?.also_if_present(AUTHORIZATION)?;
    Ok(layer.clock(clock))
}

/// What payments asks of the orders service's signatures. It has no more than the public key.
pub(super) fn verify_orders(key: &SigningKey) -> Result<VerifySignatureLayer> {
    let policy = SignaturePolicy::strict()
        .covering(Component::field(AUTHORIZATION.as_str())?)
        // The shop has no TLS.
        .scheme(UrlScheme::Http);
    // The subject of the token and of the key are one, and the policy asks for that.
    let entry = KeyEntry::new(ORDERS_KEY, key.verifying_key(), ORDERS_ACCOUNT);
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    Ok(VerifySignatureLayer::new(
        policy,
        KeyRing::new([entry])?,
        replays,
    )?)
}

/// A secret as a provider shows it to whoever registers a webhook.
pub(super) fn webhook_secret() -> Result<Secret> {
    let secret = random::bytes::<32>(&OsEntropy)?;
    let text = format!("whsec_{}", STANDARD.encode(secret));
    Ok(Secret::from(text.as_str()))
}

/// The provider's webhooks, after Standard Webhooks.
pub(super) fn verify_provider(secret: &Secret) -> Result<VerifyWebhookLayer> {
    // Five minutes either way, and the time that a body may take.
    let window = 2 * Duration::from_secs(300) + Duration::from_secs(10);
    let replays = Arc::new(MemoryReplays::for_new_keys(window));
    Ok(VerifyWebhookLayer::standard(secret, PROVIDER, replays).build()?)
}
