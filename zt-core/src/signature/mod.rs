//! Signed requests (RFC 9421): what is covered cannot be changed, and comes once.

mod algorithm;
pub mod base;
pub mod key;
pub mod replay;
pub mod webhook;

pub use self::algorithm::Algorithm;
