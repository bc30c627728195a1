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
//! A stack is tested in two lines: what must pass, and everything that must not.
//!
//! ```
//! use zt_jwt::testing::{BadToken, TestIssuer};
//!
//! let issuer = TestIssuer::offline();
//! let good = issuer.token("ada").audience("orders").scope("orders:read").mint();
//! # let call = |token: &str| if token == good { 200 } else { 401 };
//! assert_eq!(call(&good), 200);
//! for kind in BadToken::ALL {
//!     let token = issuer.bad_token(*kind, "orders");
//!     assert_ne!(call(&token), 200, "{kind:?}: {}", kind.what());
//! }
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
mod token;

#[cfg(test)]
mod tests;

pub use self::{
    bad::BadToken,
    behaviour::{Behaviour, Endpoint},
    issuer::TestIssuer,
    token::TestToken,
};
