//! Webhooks: requests that somebody else's service signs in its own way.
//!
//! **What it protects against.** Webhooks that somebody else made up, bodies that were changed on
//! their way, and webhooks that were seen before.
//!
//! **A request passes when**
//!
//! 1. it has the format's signature header (`credential-missing` otherwise; GitHub's SHA-1 in
//!    `X-Hub-Signature` alone is `credential-invalid`);
//! 2. each header that is read has one line (`credential-ambiguous`) and is written in the one way
//!    that senders write it: signatures in padded base64 or lower-case hexadecimal, the timestamp
//!    in digits, an id without full stop (`credential-malformed`);
//! 3. a signature is of a kind that there is a key for, and the timestamp is within the tolerance
//!    (`signature-invalid`); so far, not a byte of body has been read;
//! 4. the body arrives within the cap and the deadline (`body-too-large`, `request-timeout`);
//! 5. one of the signatures over the bytes as they came is of one of the secrets
//!    (`signature-invalid`; which were tried is not told, nor to be measured);
//! 6. the [memory](crate::signature::replay) has not seen it (`replayed`) and can tell
//!    (`replay-unavailable`). It is asked only now, so no forgery takes room in it.
//!
//! Nobody is named before all of that; then it is the service that the layer was given, with its
//! scopes and roles. The handler gets the body as it came.
//!
//! | format | headers | signed | default tolerance |
//! |---|---|---|---|
//! | [`standard`](VerifyWebhookLayer::standard) | `webhook-id`, `webhook-timestamp`, `webhook-signature: v1,<base64> v1a,<base64>` | `id.timestamp.body` | 5 minutes |
//! | [`github`](VerifyWebhookLayer::github) | `X-Hub-Signature-256: sha256=<hex>` | `body` | no timestamp |
//! | [`stripe`](VerifyWebhookLayer::stripe) | `Stripe-Signature: t=<seconds>,v1=<hex>` | `t.body` | 5 minutes |
//!
//! **A refusal** is a [`Denial`](crate::decision::Denial) with one of these codes. A 401 carries
//! `WWW-Authenticate: Signature realm="<format>"`, which senders do not read. The reason is in the
//! private detail.
//!
//! **Where it belongs.** Stage [`Authenticate`](crate::context::Stage::Authenticate), on the route
//! of one sender; outside of decompression, since the bytes are signed as they were sent.
//!
//! **What a proxy in front can break.** One that changes the body (decompresses it, writes its
//! JSON anew) breaks every signature. One that holds requests back longer than the tolerance makes
//! them too old.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use http::Request;
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt};
//! use zt_core::signature::{replay::MemoryReplays, webhook::VerifyWebhookLayer};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A secret that outlives the process takes `MemoryReplays::new`, or `SharedReplays`.
//! let memory = Arc::new(MemoryReplays::for_new_keys(Duration::from_secs(600)));
//! let secret = "It's a Secret to Everybody".into();
//! let webhooks = VerifyWebhookLayer::github(&secret, "forge", memory).build()?;
//!
//! let handler = tower::service_fn(|_: Request<_>| async {
//!     Ok::<_, std::convert::Infallible>(http::Response::new(Full::<bytes::Bytes>::default()))
//! });
//! let service = webhooks.layer(handler);
//! let send = |body: &'static str| {
//!     let mac = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
//!     Request::post("/hooks")
//!         .header("x-hub-signature-256", format!("sha256={mac}"))
//!         .body(Full::<bytes::Bytes>::from(body))
//! };
//! assert_eq!(service.clone().oneshot(send("Hello, World!")?).await?.status(), 200);
//! assert_eq!(service.clone().oneshot(send("Hello, World?")?).await?.status(), 401);
//! assert_eq!(service.oneshot(send("Hello, World!")?).await?.status(), 401); // seen before
//! # Ok(()) }
//! ```
//!
//! **Replays and redeliveries.** What is remembered is the hash of what is signed. A sender that
//! tries again after Standard Webhooks, or Stripe, signs again with a new timestamp, and passes;
//! only a second attempt within the same second is the same webhook. The id stays, so making the
//! handler idempotent by it is still the application's to do.
//!
//! GitHub signs no timestamp and no id: `X-GitHub-Delivery` and `X-GitHub-Event` are whatever the
//! caller says, so neither can tell a replay. The same body within the
//! [window](WebhookBuilder::replay_window), 10 minutes by default, is a replay: also a redelivery
//! that somebody asks for because the handler failed, and two events whose bodies are the same to
//! the byte. After the window, and after a restart of a memory of one process, nothing tells a
//! replay from a redelivery: it passes. A handler that must act once remembers what the *body* says
//! for as long as that matters, and takes the kind of event from the body's form, not from the
//! header.
//!
//! A memory of one process refuses what is dated before its start, and for the skew that it was
//! made with after it (`replay-unavailable`, 503). Its skew has to be at least the layer's
//! [`future_skew`](WebhookBuilder::future_skew), or the layer cannot be built; that is the tolerance
//! where nothing else is said: choose a few seconds, or a memory over a store.
//!
//! **Standards.** Standard Webhooks 1.0.0 (signature scheme, webhook headers, verifying); GitHub's
//! "Validating webhook deliveries"; Stripe's "Verify webhook signatures manually"; RFC 2104
//! (HMAC), RFC 8032 (Ed25519), RFC 4648 (base64).
//!
//! **What it does not do.** No format covers the method, the path or any other header: whoever
//! holds a webhook can send it to every endpoint with the same secret, so give each its own. It
//! reads no other names for the same headers (`svix-id`). It does not bound GitHub's webhooks in
//! time. It hashes the body once for the memory and once for each secret, in the reactor.

mod builder;
mod claim;
mod error;
mod format;
mod keys;
mod layer;
mod proof;

pub use self::{
    builder::WebhookBuilder,
    claim::{ClaimError, WebhookClaim},
    error::WebhookError,
    format::WebhookFormat,
    layer::{VerifyWebhook, VerifyWebhookLayer},
};

#[cfg(test)]
mod tests;
