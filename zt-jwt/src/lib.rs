//! Is this token genuine, fresh, bound and strong enough.
//!
//! | module | |
//! |---|---|
//! | [`Verifier`], [`Issuer`] | decide, below axum and tower: whose tokens, for whom, under which keys |
//! | [`verify_jwt`] | the layer: where a request carries its token, and what a refusal says |
//! | [`require`] | guards behind it: claims, and how and when the caller was authenticated |
//! | [`key`], [`jwks`] | keys from configuration, and keys that others publish |
//! | [`attach_token`] | the other direction: tokens for the services that we call |
//! | `testing` | an issuer for tests (feature `testing`) |
//!
//! A token passes when
//!
//! 1. it is one JSON Web Signature in compact serialization (RFC 7515 section 7.1) of at most
//!    8 KiB: three segments of canonical base64url, a header that is a JSON object whose members
//!    are unique (`credential-malformed`);
//! 2. its header names an algorithm that is known and accepted, has neither `crit` nor `b64` nor
//!    what belongs to encrypted tokens (`enc`, `zip`), and a `typ` of the right kind; `jwk`, `jku`, `x5u` and `x5c` are never where a key comes from;
//! 3. a configured issuer has a key of that id which is for that algorithm, and the signature holds
//!    under it; no claim is looked at before (`credential-invalid`);
//! 4. the payload is a JSON object whose members are unique at any depth;
//! 5. `iss` is the issuer whose key signed, `aud` names this service;
//! 6. `exp` is there and has not passed (`credential-expired`), `nbf` and `iat` are not to come,
//!    30 seconds of leeway granted, and the token lives no longer than a day;
//! 7. the claims are those of an access token, not of an id, refresh or logout token;
//! 8. what it is bound to (`cnf`, RFC 7800) was proved on this very connection
//!    (`binding-mismatch`);
//! 9. neither the token, its session, its subject nor its key was revoked (`credential-revoked`).
//!
//! Where keys cannot be had nothing passes and nobody is blamed: `keys-unavailable`, 503.
//!
//! ```
//! use zt_jwt::{Issuer, KeySet, Refusal, Verifier};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let keys = KeySet::parse(br#"{"keys": [{
//!     "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": "2026-01",
//!     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
//! }]}"#)?;
//! let verifier = Verifier::builder()
//!     .issuer(Issuer::keys("https://login.example.com", "orders", keys))
//!     .build()?;
//!
//! // {"alg":"none"}, {"sub":"root"}, and no signature.
//! let refused = verifier.verify("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyb290In0.AA", None).await;
//! assert_eq!(refused.unwrap_err().refusal(), Refusal::Algorithm);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! # Ok::<_, std::io::Error>(())
//! ```
//!
//! # What it does not do
//!
//! - Decrypt: five segments are refused (RFC 7516).
//! - Proofs of possession (RFC 9449): a token that is bound to a key is refused, under `DPoP` and
//!   under `Bearer`.
//! - Ask an issuer about opaque tokens (RFC 7662), or read certificates in headers (`x5c`).
//! - Tell an id token from an access token where the issuer says it nowhere: neither in `typ` nor in
//!   `token_use`, and without `nonce` and `at_hash`. Give access tokens an audience of their own, or
//!   ask for `at+jwt` with [`Issuer::strict_rfc9068`].
//! - Look for RSA moduli whose primes are close to each other (CVE-2022-26320).
//!
//! # Standards
//!
//! RFC 7515, 7517, 7518, 7519 (JWS, JWK, algorithms, JWT), RFC 7638 (thumbprints), RFC 7797 (refused),
//! RFC 7800 and 8705 (binding to certificates), RFC 8037 and 9864 (Ed25519), RFC 8414 and OpenID
//! Connect Discovery 1.0 (metadata), RFC 8725 (best practice), RFC 9068 (access tokens), RFC 9470
//! (step-up), RFC 9728 (resource metadata in challenges), RFC 9964 (ML-DSA).

mod algorithm;
pub mod attach_token;
mod claims;
#[cfg(test)]
mod conformance;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
mod jose;
pub mod jwks;
pub mod key;
mod refusal;
pub mod require;
#[cfg(test)]
mod test_log;
#[cfg(feature = "testing")]
pub mod testing;
mod verifier;
pub mod verify_jwt;

pub use self::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    key::{KeySet, VerificationKey},
    refusal::{Refusal, Refused},
    verifier::{
        Audience, CacheBounds, ConfigError, Issuer, IssuerConfig, TokenCache, Verifier,
        VerifierBuilder,
    },
};
