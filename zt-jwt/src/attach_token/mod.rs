//! Tokens for the services that we call.
//!
//! # What it protects against
//!
//! Calls without a credential, or with one that has ended; a token that goes to a host it is not
//! for, in the clear, or over somebody else's credential; an issuer that is slow or down and takes
//! its clients with it; a thousand requests that ask for a token at once; tokens and client
//! secrets in logs.
//!
//! # A request is sent with a token when
//!
//! 1. its URI says clearly where it goes: scheme and host, without user information, or neither,
//!    where [`Destinations::relative_to`] says what that means;
//! 2. that origin, and every `Host` that the request carries, is among the [`Destinations`];
//! 3. it goes over https, or stays on this machine, or its origin was listed by
//!    [`Destinations::insecure_plain_http`];
//! 4. it does not carry the header already: whose credential that is nobody here knows, so it is
//!    neither replaced nor sent on;
//! 5. its method is not `TRACE`, whose answer shows the request to whoever asked;
//! 6. there is a token that is good for another five seconds, or one arrives within three.
//!
//! # What a refusal looks like
//!
//! An [`AttachError`]; with any but [`AttachError::Inner`] nothing was sent. 1 to 3 are
//! [`AttachError::Destination`], 4 is [`AttachError::AlreadyThere`], 5 is [`AttachError::Trace`], 6
//! is [`AttachError::Unavailable`]. With [`bare_elsewhere`](AttachTokenLayer::bare_elsewhere)
//! requests that fail 2 or 3 are sent as they are, without the token.
//!
//! # How tokens stay fresh
//!
//! [`Tokens`] renews at 70 to 80 % of a token's time, at random, so that a fleet does not march in
//! step; at most once in ten seconds, at least once a day. It asks in a task of its own, one
//! question at a time, which no dropped request cancels. While the issuer is down the old token is
//! used until its end, and the issuer is asked again after 1, 2, 4 .. 60 seconds, or less at
//! random. Renewal begins with a request; [`Tokens::keep_fresh`] does it without, and
//! [`Tokens::ready`] has a service say at its start that it has no token.
//!
//! A 401 with `error="invalid_token"` (or gRPC's `UNAUTHENTICATED` in place of an answer) makes the
//! next request send for a new token, half a minute after the last attempt or later. The refused
//! request is not sent again, since its body is gone, and the token stays in use meanwhile: one
//! service that refuses it must not keep it from the others.
//!
//! # Where it belongs
//!
//! Right above the client, beneath everything that sends requests again or elsewhere:
//! `Retry` above it gets a fresh token for each attempt, a layer that follows redirects above it
//! has each new destination examined. **Nothing below it may follow redirects**: it would carry the
//! token along, past the examination. hyper's client follows none; reqwest's needs
//! `redirect(Policy::none())`. It waits for the token with the client's readiness in its hand, so
//! put a concurrency limit above it rather than below.
//!
//! # What a proxy can break
//!
//! A forward proxy that terminates TLS reads the token. One that answers 401 itself makes tokens be
//! renewed; 407 does not.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use http::{Request, Response};
//! use tower::{Layer, ServiceExt};
//! use zt_core::clock::{Clock, SystemClock};
//! use zt_jwt::attach_token::{
//!     AttachError, AttachTokenLayer, AttachableToken, DestinationError, Destinations, from_fn,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // Instead of this: `ClientCredentials::new(config, HttpService::hyper()?)?`
//! // or `ProjectedFile::new("/var/run/secrets/tokens/orders")`.
//! let source = from_fn(|| async {
//!     let end = SystemClock.now()? + Duration::from_secs(600);
//!     Ok(AttachableToken::new("secret")?.expiring(end))
//! });
//! let orders = Destinations::only(["https://orders.internal"])?;
//!
//! let client = tower::service_fn(|request: Request<String>| async move {
//!     let sent = request.headers().get("authorization").cloned();
//!     Ok::<_, std::convert::Infallible>(Response::new(sent))
//! });
//! let client = AttachTokenLayer::new(source, orders)?.layer(client);
//!
//! let request = Request::get("https://orders.internal/7").body(String::new())?;
//! let response = client.clone().oneshot(request).await?;
//! assert_eq!(response.into_body().unwrap(), "Bearer secret");
//!
//! let request = Request::get("https://orders.example/7").body(String::new())?;
//! let error = client.oneshot(request).await.unwrap_err();
//! assert!(matches!(error, AttachError::Destination(DestinationError::Elsewhere)));
//! # Ok(()) }
//! ```
//!
//! zt's own service tokens go the same way, as `X-Service-Token`:
//! `AttachTokenLayer::new(FixedToken::new(&secret)?, destinations)?.as_service_token()`.
//!
//! # Standards
//!
//! - RFC 6749: sections 2.3.1 (client secrets), 3.3 (scope), 4.4 (client credentials), 5.1 and 5.2
//!   (answers).
//! - RFC 6750: sections 2.1 (the header) and 3.1 (`invalid_token`).
//! - RFC 7523: sections 2.2 and 3 (assertions of a client).
//! - RFC 8707: section 2 (`resource`, `invalid_target`).
//! - RFC 9110: sections 7.2 (`Host`) and 9.3.8 (`TRACE`).
//!
//! # What it does not do
//!
//! It does not verify tokens, compare the granted scope with the requested one, send requests
//! again, bind tokens to a key (DPoP) or to a certificate, or exchange a caller's token for another
//! (RFC 8693). It does not pass a caller's own token on: that is for that caller's handler to do
//! on purpose. A client secret is read once; a new one needs a new source.

mod builder;
mod client_credentials;
mod destination;
mod error;
mod fixed;
mod flight;
mod future;
mod layer;
mod projected_file;
mod schedule;
mod settings;
mod token;
mod tokens;

#[cfg(test)]
mod tests;

pub use self::{
    builder::TokensBuilder,
    client_credentials::{ClientAuthentication, ClientCredentials, ClientCredentialsConfig},
    destination::Destinations,
    error::{AttachError, ConfigError, DestinationError, SourceError, Unavailable},
    fixed::{FixedToken, FromFn, from_fn},
    future::AttachFuture,
    layer::{AttachToken, AttachTokenLayer},
    projected_file::ProjectedFile,
    settings::TokenSettings,
    token::{AttachableToken, TokenSource},
    tokens::{Tokens, TokensStatus},
};
