//! Verification keys: parsed once, pinned to their algorithms.

mod error;
mod set;
mod verification_key;

pub(crate) use self::set::Found;
pub use self::{error::KeyError, set::KeySet, verification_key::VerificationKey};
