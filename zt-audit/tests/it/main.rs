//! The audit log from outside: the program `zt-audit`, and logs made by the public API.

#![expect(
    clippy::unwrap_used,
    clippy::string_slice,
    reason = "a test fails by panicking, and says what it measured or skipped"
)]

mod cli;
mod crash;
mod logs;
mod published;
mod tamper;
