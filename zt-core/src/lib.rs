//! zt lets any axum, hyper or tonic application refuse by default.

pub mod authenticate;
pub mod body;
pub mod clock;
pub mod context;
pub mod decision;
pub mod gate;
pub mod identity;
pub mod problem;
pub mod random;
pub mod sanction;
pub mod secret;
pub mod stack;
pub mod state;
pub mod store;
