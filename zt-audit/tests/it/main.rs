//! The audit log from outside: the program `zt-audit`, and logs made by the public API.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cli;
mod crash;
mod logs;
mod published;
mod tamper;
