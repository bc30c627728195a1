//! Service tokens: secrets that programs hold, made, rotated and revoked here.
//!
//! **What it protects against.** Callers without a credential, with a guessed, mistyped, stolen
//! and revoked, expired or rotated-out one, or with a good one outside its reach; and a stolen
//! store, in which only hashes rest.
//!
//! **A request passes when**
//!
//! 1. it presents one token: in `X-Service-Token`, or where it is configured in `Authorization`
//!    (several are `credential-ambiguous`, none is `credential-missing`);
//! 2. its value is visible ASCII (`credential-malformed` otherwise);
//! 3. the view of the tokens is fresh enough to decide by (`store-unavailable` otherwise; only a
//!    registry that shares a [`Feed`](crate::state::Feed) can fall behind);
//! 4. the value has the form of a token and its checksum holds, or could be a plain value that was
//!    imported (`credential-invalid` otherwise);
//! 5. there is a token with its id, and the hash of the value is that of one of its two secrets
//!    (`credential-invalid`; which of the two was wrong is not told, nor to be measured);
//! 6. the token was made for this environment (`credential-invalid`);
//! 7. it is not revoked (`credential-revoked`);
//! 8. neither the token nor this secret of it has ended (`credential-expired`);
//! 9. the request's method is one that the token is good for (`scope-insufficient`);
//! 10. its path is canonical and one that the token is good for (`scope-insufficient`);
//! 11. the client's address is in a network that the token is good from; nobody knows where an
//!     unknown address is (`scope-insufficient`).
//!
//! **A refusal** is a [`Denial`](crate::decision::Denial) with one of these codes. A 401 carries
//! `WWW-Authenticate: ServiceToken realm=".."`, or `Bearer`, as configured. The token's id and the
//! reason are in the private detail.
//!
//! **Where it belongs.** Stage [`Authenticate`](crate::context::Stage::Authenticate): behind
//! request validation and the peer's rate limit, before authorization. What the token may do
//! beyond methods, paths and networks is authorization's to say, by its scopes and roles.
//!
//! **What a proxy in front can break.** One that rewrites paths changes what path bounds are
//! compared with. One that is not among the
//! [trusted proxies](crate::context::TrustedProxies) makes every client's address its own. One
//! that drops unknown headers drops `X-Service-Token`; one that logs headers logs tokens.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use zt_core::{
//!     clock::{Clock, SystemClock},
//!     service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let store = Arc::new(MemoryStore::new(SystemClock));
//! let config = ServiceTokenConfig::new("production");
//! let tokens = ServiceTokens::open(store, SystemClock, config).await?;
//!
//! let end = SystemClock.now()? + Duration::from_secs(90 * 86_400);
//! let request = MintRequest::new("billing", "nightly export").paths(["/orders/**"]).expires(end);
//! let minted = tokens.mint(request).await?;
//! assert!(minted.clear.expose().starts_with("ztk_production_"));
//!
//! let handler = tower::service_fn(|_: Request<String>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new("hello".to_owned()))
//! });
//! let service = VerifyServiceTokenLayer::new(tokens.clone()).layer(handler);
//! let ask = |path: &str| {
//!     Request::get(path).header("x-service-token", minted.clear.expose()).body(String::new())
//! };
//! assert_eq!(service.clone().oneshot(ask("/orders/7")?).await?.status(), 200);
//! assert_eq!(service.clone().oneshot(ask("/refunds")?).await?.status(), 403);
//!
//! tokens.revoke(&minted.id, "ada", "laptop lost").await?;
//! assert_eq!(service.oneshot(ask("/orders/7")?).await?.status(), 401);
//! # Ok(()) }
//! ```
//!
//! **How a token looks.** `ztk_<environment>_<id>_<secret><checksum>`: an id of 12, a secret of 43
//! (256 random bits) and a CRC-32 of 6 characters, all base62. The checksum keeps typing errors
//! from the hash and lets secret scanners tell a token from an accident; it proves nothing. What
//! rests is SHA-256 of the whole text, or HMAC-SHA-256 of it under a versioned [pepper](Peppers).
//! Plain values that callers already hold can be [imported](ServiceTokens::import_opaque).
//!
//! **How it is looked up.** In this process's memory, which [`ServiceTokens::open`] loads. Own acts
//! change it at once. Others' acts are heard over a feed while [`ServiceTokens::follow`] runs, or
//! seen by [`ServiceTokens::refresh`]. No request waits for the store.
//!
//! **Standards.** RFC 9110 sections 11.4 and 11.6 (credentials and challenges), RFC 6750 sections
//! 2.1 and 3 (`Bearer`), RFC 3986 section 2.1 (percent-encoding in path bounds), RFC 2104 (HMAC).
//!
//! **What it does not do.** It does not bind a token to a key: whoever holds it is its owner, so
//! keep its end near and its reach small. It does not cut streams that are already open when a
//! token is revoked: [`Sanctions`](crate::state::Sanctions) by the token's id do. It does not move
//! resting secrets to a new pepper: rotating does. Other instances hear of a revocation only when
//! the feed can be told; [`TokenError::Unannounced`] says when it cannot.

mod acts;
mod change;
mod check;
mod config;
mod digest;
mod error;
mod follow;
mod format;
mod layer;
mod peppers;
mod reach;
mod record;
mod registry;
mod request;
mod usage;
mod view;

pub use self::{
    config::{ServiceTokenConfig, ServiceTokenOptions, TokenScheme, TokenSource},
    error::{ConfigError, TokenError},
    format::{PREFIX, ParseError, ParsedToken, parse},
    layer::{VerifyServiceToken, VerifyServiceTokenLayer},
    peppers::Peppers,
    record::{ClearToken, MintedToken, Revocation, TokenRecord},
    registry::ServiceTokens,
    request::MintRequest,
};

#[cfg(test)]
mod tests;
