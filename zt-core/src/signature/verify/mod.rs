//! Requests that are signed (RFC 9421), on the server's side.
//!
//! # What it protects against
//!
//! A request that was changed on its way, in its method, host, path, query, fields or body; one
//! that was made up; one that is sent twice, late, to another host or another path; a signature that
//! covers less than it seems to; a public key used as a shared secret; a body that nobody looked at.
//!
//! # A request passes when
//!
//! 1. it has `Signature-Input` and `Signature` (otherwise `signature-missing`), which can be read:
//!    dictionaries of the same labels, each once, within the [limits](FieldLimits)
//!    (`credential-malformed`);
//! 2. it has at most four signatures with the policy's `tag`, if that names one, and one of them
//!    meets 3 to 10 (otherwise `signature-invalid`, and the private detail has the reason of the one that came
//!    furthest);
//! 3. it has what the policy asks for: `keyid`, `created`, `nonce`, `expires`;
//! 4. it was made at most the maximum age ago and at most the future skew ahead, and has not expired;
//! 5. it covers each of the policy's components, and each field that it has and that the policy wants
//!    where it is there; at least one component;
//! 6. its key is known (where that cannot be said now: `keys-unavailable`), is for requests, and is
//!    good at this time;
//! 7. the key's algorithm is one that the policy accepts, and `alg`, where it is there, is that
//!    algorithm;
//! 8. the message has everything that is covered, each in one way only: no absent field, no
//!    component twice, no `@query-param` of a name that the query repeats, no trailer;
//! 9. the host is known and unambiguous, from where the [policy](AuthoritySource) takes it;
//! 10. the signature holds over the base that all of this gives;
//! 11. neither it nor another of the four that holds was seen before (`replayed`), which the memory
//!     can tell (`replay-unavailable`); all of them are remembered now, before a byte of the body
//!     is read;
//! 12. where there is a body, `content-digest` is covered, and where `content-digest` is covered,
//!     the body has each of its `sha-256` and `sha-512` digests (`signature-invalid`; also
//!     `body-too-large`, `request-timeout`).
//!
//! A signature that could become good, because it is dated ahead or does not cover a field that this
//! request need not have, refuses the request whatever the others are: it is not remembered, and would
//! pass alone later. One whose key is not known yet cannot be told from one that was made up.
//!
//! Whether there is a body is what the server says of its stream, whatever `Content-Length` claims.
//!
//! # What a refusal looks like
//!
//! A [`Denial`](crate::decision::Denial) with one of these codes. A 401 carries `WWW-Authenticate:
//! Signature` and `Accept-Signature` (RFC 9421 section 5.1) with what the policy asks for. Which
//! condition it was stands in the private detail, with
//! [`explaining`](VerifySignatureLayer::explaining) also what the signature base looked like.
//!
//! # Where it belongs
//!
//! Stage [`Authenticate`](crate::context::Stage::Authenticate): behind request validation and the
//! peer's rate limit, before authorization and budgets; outside whatever decompresses bodies, since
//! the digest is that of the coded bytes. Behind another authenticator, or beside it in
//! [`all_of`](crate::authenticate::all_of), it adds to the principal that is there; otherwise it
//! names it. It verifies the target and the fields as they first came to zt: what
//! [`ValidateRequest`](crate::validate) strips, and prefixes that axum's `nest` takes away, were
//! there when the client signed.
//!
//! # What a proxy in front can break
//!
//! One that rewrites `Host`, the path or a covered field makes every signature invalid. For `Host`
//! say [`AuthoritySource::Fixed`], or name the proxy and take [`AuthoritySource::Forwarded`]. One
//! that terminates TLS hides the scheme, so that is [said](SignaturePolicy::scheme) and not guessed.
//! One that compresses bodies, or unpacks them, changes what was digested.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, Service, ServiceExt};
//! use zt_core::{
//!     body::RequestBody,
//!     secret::Secret,
//!     signature::{
//!         key::{KeyEntry, KeyRing, SigningKey},
//!         replay::MemoryReplays,
//!         sign::SignRequestLayer,
//!         verify::{SignaturePolicy, VerifySignatureLayer},
//!     },
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32]))?; // `Secret::resolve("env:..")`
//! let keys = KeyRing::new([KeyEntry::new("orders-1", key.verifying_key(), "order-service")])?;
//! let policy = SignaturePolicy::strict();
//! let replays = MemoryReplays::for_new_keys(policy.replay_window());
//! let verify = VerifySignatureLayer::new(policy, keys, replays)?;
//!
//! let payments = verify.layer(tower::service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(Full::new(Bytes::from("paid"))))
//! }));
//! let mut client = SignRequestLayer::new(key, "orders-1")?.layer(payments.clone());
//! let charge = || {
//!     Request::post("https://payments.internal/charge").body(Full::new(Bytes::from("42")))
//! };
//! assert_eq!(client.ready().await?.call(charge()?).await?.status(), 200);
//! assert_eq!(payments.oneshot(charge()?).await?.status(), 401);
//! # Ok(()) }
//! ```
//!
//! # Standards
//!
//! - RFC 9421: sections 2 (components and the base), 3.2 (verifying), 4 (fields), 5.1
//!   (`Accept-Signature`), 7 (what to beware of).
//! - RFC 9530: sections 2 and 5 (`Content-Digest`). RFC 9651: structured fields.
//! - RFC 9110 section 11.6.1, 15.5.2 (challenges); RFC 9112 section 3.2 and RFC 9113 section 8.3.1
//!   (the host).
//!
//! # What it does not do
//!
//! It does not verify what no signature covers: further fields, `Content-Type` and
//! `Content-Encoding` among them unless the policy [wants](SignaturePolicy::covering_if_present) them,
//! and the order of fields of different names. Trailers are not handed on. Nor whether a covered field came as one line with commas or as several: where
//! a handler reads only the first line, cover it with `;bs`. It does not normalise paths. `@request-target` of the absolute form is what
//! [`http::Uri`] keeps of it, with the scheme in lower case. A memory in one process knows nothing
//! of what another process accepted: several instances need a
//! [shared one](crate::signature::replay::SharedReplays).

mod authority;
mod body;
mod check;
mod config;
mod error;
mod layer;
mod policy;
mod refusal;
mod refuse;

#[cfg(test)]
mod tests;

pub use self::{
    authority::AuthoritySource,
    error::ConfigError,
    layer::{VerifySignature, VerifySignatureLayer},
    policy::SignaturePolicy,
};
#[doc(no_inline)]
pub use super::base::FieldLimits;
