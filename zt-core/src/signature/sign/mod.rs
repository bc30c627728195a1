//! Requests that we send, signed (RFC 9421).
//!
//! # What it protects against
//!
//! Requests that something between us and the called service changes, or sends again: method, host,
//! path, query and body are covered, and each attempt has a nonce of its own. A body that is not
//! what its `Content-Digest` says. Requests that go out without the signature they should have.
//!
//! # A request is sent when
//!
//! 1. it says clearly where it goes: its URI has http or https and a host without user information,
//!    or `Host` has one; where both do, they are the same;
//! 2. its body ends within 30 s and 1 MiB, without trailers; a `Content-Digest` that it has already
//!    is that of the body;
//! 3. the signatures that it has already can be read, and none has our label;
//! 4. it has everything that is to be covered, in one reading;
//! 5. there are a key, the time, and randomness.
//!
//! The signature covers `@method`, `@authority`, `@path`, `@query`, `content-digest` where there is
//! a body, and what [`cover`](SignRequestLayer::cover) and
//! [`also_if_present`](SignRequestLayer::also_if_present) add, in this order. Its parameters are
//! `created`, `expires` (with [`expires_after`](SignRequestLayer::expires_after)), `nonce` (144 bits),
//! `keyid`, `alg` and `tag` (with [`tag`](SignRequestLayer::tag)), and no others. That is what strict
//! verifiers want. HTTP/1.1 and HTTP/2 carry the same signature.
//!
//! # What a refusal looks like
//!
//! [`SignError::CannotSign`], and nothing was sent.
//!
//! # Where it belongs
//!
//! Right above the client, or above [`VerifyResponseLayer`](crate::signature::response), beneath
//! everything that sends requests again or changes them: `Retry` above it gets a new nonce for each
//! attempt; compression, tokens and other fields that are covered are set above it. **Nothing below
//! it may follow redirects**: it would send the signature along. hyper's client follows none;
//! reqwest's needs `redirect(Policy::none())`.
//!
//! # What a proxy can break
//!
//! One that changes method, host, path, query or body, and the rewriting of a URL by a gateway: the
//! signature does not hold then, which is its purpose. The called service has to be told which host
//! we use. One that removes the fields `Signature`, `Signature-Input` and `Content-Digest`.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use zt_core::{
//!     secret::Secret,
//!     signature::{
//!         key::SigningKey,
//!         sign::{CannotSign, SignError, SignRequestLayer, TargetError},
//!     },
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Instead of this: a client of hyper's.
//! let client = service_fn(|request: Request<Full<Bytes>>| async move {
//!     let (parts, _) = request.into_parts();
//!     Ok::<_, std::convert::Infallible>(Response::new(parts.headers))
//! });
//! // At least 32 random bytes, which the other side has, too.
//! let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32]))?;
//! let client = SignRequestLayer::new(key, "orders-1")?.layer(client);
//!
//! let body = Full::new(Bytes::from("7 EUR"));
//! let request = Request::post("https://payments.internal/pay?order=7").body(body.clone())?;
//! let sent = client.clone().oneshot(request).await?.into_body();
//! let input = sent["signature-input"].to_str()?;
//! assert!(input.starts_with(
//!     r#"sig1=("@method" "@authority" "@path" "@query" "content-digest");created="#
//! ));
//!
//! let request = Request::post("/pay?order=7").body(body)?;
//! let error = client.oneshot(request).await.unwrap_err();
//! let unclear = CannotSign::Target(TargetError::Unclear);
//! assert!(matches!(error, SignError::CannotSign(why) if why == unclear));
//! # Ok(()) }
//! ```
//!
//! [`SignRequestLayer::sign`] does the same for clients that are no tower services; with the feature
//! `reqwest` the layer takes requests of `reqwest::Client` as well, and `sign_reqwest` signs one.
//!
//! # Standards
//!
//! - RFC 9421: sections 2.2 and 2.3 (components and parameters), 3.1 (signing), 4 (the fields; ours is
//!   added to those that are there).
//! - RFC 9530: section 2 (`Content-Digest`).
//! - RFC 9110: sections 4.2.3 (default ports), 4.2.4 (user information) and 7.2 (`Host`).
//!
//! # What it does not do
//!
//! It does not send requests again, sign streams (a body is kept whole, to its limit) or trailers,
//! invent `Content-Length`, or sign what the client below adds by itself, such as `Date` or `Accept`.

mod error;
mod future;
mod keys;
mod layer;
mod maker;
#[cfg(feature = "reqwest")]
mod reqwest;
mod satisfying;
mod settings;
mod target;
mod text;

#[cfg(test)]
mod tests;

#[cfg(feature = "reqwest")]
pub use self::reqwest::{SignReqwestFuture, sign_reqwest};
pub use self::{
    error::{BodyError, CannotSign, SignConfigError, SignError, TargetError},
    future::SignFuture,
    keys::{NamedKey, RotatingSigner, SigningKeys},
    layer::{SignRequest, SignRequestLayer},
};
pub(super) use self::{
    future::content,
    maker::{LIMITS, Maker},
    settings::signer_settings,
    target::{Target, is_authority},
};
