//! Responses that are signed, each for its request (RFC 9421 section 2.4).
//!
//! [`SignResponseLayer`] stands in the server, [`VerifyResponseLayer`] in the client.
//!
//! # What it protects against
//!
//! An answer that something between server and client made up, changed, or kept from another
//! request: where TLS ends early, in a proxy, a gateway or a cache. A status, a body or a content
//! type that was exchanged. A caller who is handed back what they signed themselves.
//!
//! # A response is believed when
//!
//! 1. it has a signature (with the wanted tag, where one is wanted) that covers `@status`;
//!    `content-type` where there is one; `@method`, `@authority`, `@path` and `@query` of the request
//!    (`;req`); the request's own signature (`"signature";req;key=".."`), where it has one;
//! 2. it was made at most 60 s ago, at most 5 s ahead, and has not expired;
//! 3. its key id is that of a key [for responses](crate::signature::key::Purpose::Responses), and the
//!    algorithm that it names, if any, is that key's;
//! 4. the signature holds over the response as it came and the request as it was sent;
//! 5. it covers `content-digest` and that is the digest of the body, or there is no body;
//! 6. it has no trailers.
//!
//! Of several signatures one has to be so. 1 to 4 are known before a byte of the body is read.
//!
//! # What a refusal looks like
//!
//! In the client a [`VerifyResponseError`]. Its [`NotSent`](VerifyResponseError::NotSent) says that
//! nothing was sent; [`NotVerified`](VerifyResponseError::NotVerified) says nothing about what the
//! server did: the request may have been carried out.
//!
//! In the server an answer that cannot be signed is replaced by a 500 without a signature and
//! without anything of the answer, with [`CannotSign`](crate::signature::sign::CannotSign) in its
//! extensions: its body is too large, too slow, breaks off or has trailers; it has another
//! `Content-Digest` than its body; there is no key, no time. A request that does not say where it
//! goes is answered with 400 before anything is done.
//!
//! # Where it belongs
//!
//! [`SignResponseLayer`] outside everything that changes status, body, or `Content-Type`:
//! compression, error pages, the gate. What the gate refuses is signed too. It is itself inside of
//! what changes the request's target.
//!
//! [`VerifyResponseLayer`] right above the client and beneath
//! [`SignRequestLayer`](crate::signature::sign::SignRequestLayer), so that it sees the request with
//! its signature; decompression stands above it. In the wrong order no response to a signed request
//! is believed. Nothing below it may follow redirects.
//!
//! # What a proxy can break
//!
//! One that changes host, path or query between the two: the server is told what callers see with
//! [`SignResponseLayer::authority`] and [`SignResponseLayer::scheme`]. One that compresses answers,
//! or makes answers of its own. One that adds a signature of its own to the request before the
//! caller's: name the caller's with `request_label` on both sides. A cache: signed answers are for
//! one request.
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
//!         key::{KeyEntry, KeyRing, Purpose, SigningKey},
//!         response::{
//!             NotVerified, ResponsePolicy, SignResponseLayer, VerifyResponseError,
//!             VerifyResponseLayer,
//!         },
//!     },
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32]))?;
//! let entry = KeyEntry::new("payments-answers", key.verifying_key(), "payments");
//! let ring = KeyRing::new([entry.purposes([Purpose::Responses])])?;
//!
//! let payments = service_fn(|_: Request<Full<Bytes>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("paid"))))
//! });
//! let signing = SignResponseLayer::new(key, "payments-answers")?.layer(payments);
//! let verify = VerifyResponseLayer::new(ring, ResponsePolicy::strict());
//!
//! let request = || Request::get("https://payments.internal/7").body(Full::default());
//! let response = verify.layer(signing).oneshot(request()?).await?;
//! assert_eq!(response.into_body().bytes(), "paid");
//!
//! let error = verify.layer(payments).oneshot(request()?).await.unwrap_err();
//! assert!(matches!(error, VerifyResponseError::NotVerified(NotVerified::Missing)));
//! # Ok(()) }
//! ```
//!
//! # Standards
//!
//! - RFC 9421: sections 2.2.9 (`@status`), 2.3 (parameters), 2.4 (`;req`), 3.1 and 3.2 (making and
//!   verifying), 4 (the fields), 7.2.5 (coverage of what is bound).
//! - RFC 9530: section 2 and appendix B.2. A digest is always there and covered: that of no content
//!   in the answer to `HEAD`, and with 204 and 304, whose bodies are left out.
//!
//! # What it does not do
//!
//! Streams: both sides keep the whole body, 1 MiB unless told. Server-sent events
//! (`text/event-stream`) are refused at once, endless answers at the limit, gRPC for its trailers;
//! 101 is signed, what follows it is not.
//!
//! Fields that the signature does not cover, such as `Location` or `Set-Cookie`, are handed on and
//! nobody vouches for them; [`SignResponseLayer::also_if_present`] and
//! [`ResponsePolicy::require_if_present`] cover more, [`VerifiedResponse::covers`] says what is.
//!
//! Where the request is not signed, an answer to an earlier request for the same thing is believed
//! until it is too old, and one to a request with another body, too: sign requests.

mod asked;
mod check;
mod error;
mod policy;
mod required;
mod sign;
mod sign_future;
mod verified;
mod verify;
mod verify_future;

#[cfg(test)]
mod tests;

pub use self::{
    error::{Invalid, NotVerified, VerifyResponseError},
    policy::ResponsePolicy,
    sign::{SignResponse, SignResponseLayer},
    sign_future::SignResponseFuture,
    verified::VerifiedResponse,
    verify::{VerifyResponse, VerifyResponseLayer},
    verify_future::VerifyResponseFuture,
};
