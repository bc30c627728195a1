//! A server, attacked by clients over real sockets.

#![expect(
    clippy::disallowed_methods,
    reason = "clients over real sockets take real time"
)]

mod closing;
mod flood;
mod limits;
mod listener;
mod refusing;
mod serving;
mod stalling;
mod support;
mod unacceptable;
