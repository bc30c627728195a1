//! Real sockets and real files, through the public API alone.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that fails panics, and says what it skips"
)]

mod calls;
mod client;
mod client_reload;
mod client_server;
mod files;
mod forwarded;
mod long_answers;
mod outside;
mod peer;
mod serve;
#[cfg(feature = "spire")]
mod spire;
