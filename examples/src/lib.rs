//! Whole applications that use zt. Each binary under `src/bin` runs with one command; the tests of
//! this package attack them.

pub mod interop;
pub mod raw;
pub mod shop;
pub mod tour;

/// What the examples' fallible functions give.
pub type Result<T, E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;
