//! `VerifyJwt`: the token of a request.
//!
//! # What it protects against
//!
//! Callers without a token, with one that is forged, expired, revoked, meant for somebody else or
//! bound to another's key; requests with two credentials, of which two programs would each believe
//! another one; and pages of other sites that have a browser send its cookie.
//!
//! # A request passes when
//!
//! 1. it presents exactly one token, in one of the places that are configured (none is
//!    `credential-missing`, another kind of credential `credential-invalid`, several are
//!    `credential-ambiguous`):
//!    - in `Authorization`, which stands there once: the scheme `Bearer` in any case, one or more
//!      spaces, the token. Credentials that a proxy joined with a comma are several. Values that
//!      begin with `ztk_` are service tokens, and other schemes are other credentials: both are
//!      foreign here;
//!    - in a header of its own, whose value is the token and nothing else;
//!    - in a cookie of exactly the configured name, in whichever `Cookie` field, not in quotes;
//! 2. its characters are those of a token (`credential-malformed`);
//! 3. it does not come under the scheme `DPoP` (`credential-invalid`): whoever sends it expects
//!    that its proof is looked at, and that is not done here;
//! 4. where the token came in a cookie and the request can change something, it comes from a page
//!    of this site (`policy-denied`); see below;
//! 5. the [`Verifier`](crate::Verifier) finds it good, by the conditions on the
//!    [crate's page](crate).
//!
//! With [`optional`](zt_core::authenticate::Authenticate::optional) a request without any
//! credential passes as nobody in particular; one whose credential is refused does not.
//!
//! ## Cookies
//!
//! Any method but GET, HEAD and OPTIONS can change something, and so can a GET that upgrades its
//! connection: WebSockets know no same-origin policy. Such a request passes when
//!
//! 1. its `Origin` is one of [`origins`](VerifyJwtConfig::origins); or
//! 2. its `Sec-Fetch-Site` is `same-origin` or `none` (typed in by the user); or
//! 3. it has no `Sec-Fetch-Site`, no origins are configured, and the host of its `Origin` is the
//!    one that the request is for.
//!
//! One that has neither header is refused: browsers of the last years send one, and a program that
//! sends a cookie can send `Origin` too. Either header twice is refused.
//!
//! # A refusal
//!
//! | what | status | challenge |
//! |---|---|---|
//! | nothing, or nothing of ours | 401 | `Bearer` with realm, scope hint, `resource_metadata` |
//! | a token that is not good | 401 | the same with `error="invalid_token"` and one fixed description a code |
//! | malformed, ambiguous | 400 | `error="invalid_request"` |
//! | a page of another site | 403 | none |
//! | keys cannot be had | 503 | none; `Retry-After` |
//!
//! A value that is no token at all is answered 400, where RFC 6750 section 3.1 would allow 401: a
//! new token would not mend the client. Why a token is not good stands in the audit record alone.
//! `application/grpc` requests are answered with the same code as a gRPC status.
//!
//! # Where it belongs
//!
//! Stage [`Authenticate`](zt_core::context::Stage::Authenticate): behind request validation and the
//! peer's rate limit, since a signature costs a tenth of a millisecond; before sanctions and
//! authorization.
//!
//! Beside service tokens, `any_of(VerifyJwtLayer, VerifyServiceTokenLayer)` reads both under
//! `Bearer`: `ztk_` is what tells them apart. Any other `Bearer` value is taken for a JWT here, and
//! refused as malformed where it is none; it never falls through to the other. So a registry that
//! is told to take every `Bearer` value (`opaque_bearer`) cannot stand beside this layer: each
//! request would be ambiguous.
//!
//! # What a proxy in front can break
//!
//! One that verifies tokens itself and forwards them has to forward them unchanged. One that joins
//! header fields makes requests ambiguous. One that rewrites `Host` makes `Origin` another
//! site's, where no origins are configured; one that drops `Sec-Fetch-Site` and `Origin` makes
//! every unsafe request under a cookie one. One that logs headers logs tokens.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt, service_fn};
//! use zt_core::secret::Secret;
//! use zt_jwt::{Algorithm, Issuer, Verifier, verify_jwt::VerifyJwtLayer};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! # let secret = "a secret of thirty-two bytes, or more";
//! # let sign = |claims: serde_json::Value| jsonwebtoken::encode(
//! #     &jsonwebtoken::Header::default(), &claims,
//! #     &jsonwebtoken::EncodingKey::from_secret(secret.as_bytes()),
//! # );
//! # let end = zt_core::clock::Clock::now(&zt_core::clock::SystemClock)?.as_secs() + 600;
//! let issuer = Issuer::shared_secret(
//!     "https://login.example.com",
//!     "orders",
//!     Algorithm::Hs256,
//!     &Secret::from(secret),
//! )?;
//! let verifier = Verifier::builder().issuer(issuer).build()?;
//! let service = VerifyJwtLayer::new(verifier).layer(service_fn(
//!     |_: Request<String>| async { Ok::<_, Infallible>(Response::new(String::from("hello"))) },
//! ));
//! let present = |token: &str| {
//!     Request::get("/").header("authorization", format!("Bearer {token}")).body(String::new())
//! };
//!
//! let ours = sign(serde_json::json!({
//!     "iss": "https://login.example.com", "aud": "orders", "sub": "ada", "exp": end,
//! }))?;
//! assert_eq!(service.clone().oneshot(present(&ours)?).await?.status(), 200);
//!
//! let theirs = sign(serde_json::json!({
//!     "iss": "https://login.example.com", "aud": "payments", "sub": "ada", "exp": end,
//! }))?;
//! let response = service.oneshot(present(&theirs)?).await?;
//! assert_eq!(response.status(), 401);
//! assert_eq!(
//!     response.headers()["www-authenticate"],
//!     r#"Bearer realm="api", error="invalid_token", error_description="the token is not valid""#,
//! );
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A browser's session:
//!
//! ```
//! # use zt_jwt::{Verifier, verify_jwt::{ConfigError, VerifyJwtConfig, VerifyJwtLayer}};
//! # fn layer(verifier: Verifier) -> Result<VerifyJwtLayer, ConfigError> {
//! VerifyJwtLayer::with_config(
//!     verifier,
//!     VerifyJwtConfig::new()
//!         .authorization()
//!         .cookie("__Host-session")
//!         .origins(["https://app.example.com"])
//!         .realm("orders"),
//! )
//! # }
//! ```
//!
//! # Standards
//!
//! - RFC 6750 section 2.1 (`Bearer`), section 3 and 3.1 (challenges and error codes).
//! - RFC 9110 section 11.1 (schemes have no case), 11.6.1 and 11.6.2 (challenge, credentials).
//! - RFC 9728 section 5.1: `resource_metadata`.
//! - RFC 6265 sections 4.1.1, 4.2.1 and 8.6; RFC 9113 section 8.2.3: cookies.
//! - RFC 6454 sections 6.2 and 7, Fetch Metadata: where a request comes from.
//! - RFC 6455 sections 4.1 and 10.2: WebSockets from other origins.
//! - RFC 7541 section 7.1.3: credentials are never indexed.
//!
//! # What it does not do
//!
//! It takes no token from a query parameter: addresses stand in logs, histories and `Referer`
//! (RFC 6750 section 5.3). Nor from a form's body (section 2.2), which would have to be read before
//! anybody knows who sent it. It verifies no DPoP proofs (RFC 9449): a token that is bound to a key
//! is refused as `binding-mismatch`. It sets no cookie. It does not tell a page of this host under
//! `http` from one under `https`, where only `Origin` is there: send
//! `Strict-Transport-Security`, or configure origins. A method that a form field or a query
//! overrides is still the method that the request says.

mod answers;
mod config;
mod credential;
mod error;
mod layer;
mod origin;
mod strip;

pub(crate) use self::{answers::bearer, config::is_word};
pub use self::{
    config::{TokenPlace, VerifyJwtConfig},
    error::ConfigError,
    layer::{VerifyJwt, VerifyJwtLayer},
};

#[cfg(test)]
mod tests;
