//! An issuer for tests: mints good tokens and bad ones, and serves its keys on loopback.
//!
//! **For tests.** Keys are made at start and live in memory only, secrets are easy to read out, and
//! everything here panics where a test could not go on. Behind the feature `testing`, which belongs
//! into `[dev-dependencies]`.
//!
//! - [`TestIssuer::offline`] has keys and no socket, [`TestIssuer::start`] is a whole little
//!   provider: metadata, keys and a token endpoint for client credentials, over plain HTTP on
//!   `127.0.0.1`. It ends when its last handle is dropped.
//! - [`TestIssuer::token`] mints tokens that are good unless told otherwise;
//!   [`TestIssuer::bad_token`] mints one of each [`BadToken`]: the attacks of RFC 8725 and of the
//!   incidents since, each bad in one way only, each with the [`Refusal`](crate::Refusal) it
//!   deserves.
//! - [`TestIssuer::behave`] makes the provider slow, silent, huge or wrong while it runs;
//!   [`TestIssuer::rotate`] and its parts change keys as providers do.
//!
//! A stack is tested by what must pass, and everything that must not:
//!
//! ```
//! use zt_jwt::testing::{BadToken, TestIssuer};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let issuer = TestIssuer::offline();
//! let verifier = issuer.verifier("orders");
//!
//! let good = issuer.token("ada").audience("orders").scope("orders:read").mint();
//! let ada = verifier.verify(&good, None).await.unwrap();
//! assert!(ada.has_scope("orders:read"));
//!
//! for kind in BadToken::ALL {
//!     let token = issuer.bad_token(*kind, "orders");
//!     let refused = verifier.verify(&token, None).await.unwrap_err();
//!     assert_eq!(refused.refusal(), kind.refusal(), "{}", kind.what());
//! }
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [`TestIssuer::layer`] is the same for a whole service. A started issuer shows what happens when
//! keys change, or cannot be had:
//!
//! ```
//! use zt_jwt::{Refusal, testing::{Behaviour, TestIssuer}};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let issuer = TestIssuer::start().await;
//! issuer.behave(Behaviour::Down);
//! let token = issuer.token("ada").audience("orders").mint();
//! let refused = issuer.verifier("orders").verify(&token, None).await.unwrap_err();
//! assert_eq!(refused.refusal(), Refusal::Keys);
//!
//! issuer.behave(Behaviour::Well);
//! assert!(issuer.verifier("orders").verify(&token, None).await.is_ok());
//! assert_eq!(issuer.jwks_requests(), 1);
//! # });
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Standards
//!
//! Compact serialization is RFC 7515 section 7.1, keys are RFC 7517 and 7518 section 6, RFC 8037
//! and RFC 9964, good tokens follow RFC 9068, metadata is OpenID Connect Discovery 1.0 section 3
//! and RFC 8414 section 2, the token endpoint RFC 6749 sections 2.3.1 and 4.4.
//!
//! # What it does not do
//!
//! No sign-in of users, no code flow, no refresh tokens, no introspection, no TLS.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test ends where its tools cannot go on"
)]

mod answer;
mod bad;
mod behaviour;
mod draft;
mod encode;
mod endpoint;
mod issuer;
mod keys;
mod ring;
mod server;
mod state;
mod steering;
mod token;
mod verifying;

#[cfg(test)]
mod tests;

pub use self::{
    bad::BadToken,
    behaviour::{Behaviour, Endpoint},
    issuer::TestIssuer,
    token::TestToken,
};
