//! zt lets any axum, hyper or tonic application refuse by default.

#[cfg(test)]
#[expect(clippy::string_slice, reason = "cut where ASCII was found")]
mod architecture;
pub mod authenticate;
pub mod authorize;
pub mod body;
pub mod clock;
pub mod context;
pub mod decision;
#[cfg(feature = "axum")]
pub mod extract;
pub mod gate;
pub mod headers;
pub mod identity;
pub mod problem;
pub mod random;
pub mod sanction;
pub mod secret;
pub mod service_token;
pub mod stack;
pub mod state;
pub mod store;
pub mod validate;
