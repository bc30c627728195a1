//! zt-jwt from outside: only its public API, whole services, real sockets where keys are fetched.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it counted"
)]

mod attacks;
mod differential;
mod interoperability;
mod kid_spray;
mod outages;
mod peers;
mod races;
mod revocation;
mod rotation;
mod support;
