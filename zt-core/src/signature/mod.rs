//! Signed messages (RFC 9421): what is covered cannot be changed on its way, and comes once.
//!
//! | where | what |
//! |---|---|
//! | [`verify`] | [`VerifySignatureLayer`](verify::VerifySignatureLayer): requests that are signed, on the server |
//! | [`sign`] | [`SignRequestLayer`](sign::SignRequestLayer): signs what a client sends |
//! | [`response`] | answers that are signed and bound to their request: made on the server, verified by the client |
//! | [`webhook`] | Standard Webhooks, GitHub and Stripe: signed in ways of their own, verified by the same machinery |
//! | [`key`] | keys, whose they are, what for, and where they are found |
//! | [`replay`] | what was seen before |
//! | [`base`] | the signature base: from a message to the bytes that are signed |
//!
//! `hmac-sha256` is always there; the asymmetric algorithms come with the feature `asymmetric`.

mod algorithm;
pub mod base;
mod explain;
pub mod key;
pub mod replay;
pub mod response;
pub mod sign;
pub mod verify;
pub mod webhook;
#[cfg(test)]
mod wire;

pub use self::{algorithm::Algorithm, explain::explain};
