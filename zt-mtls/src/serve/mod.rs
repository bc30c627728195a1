//! Serving HTTP over mutual TLS.
//!
//! [`serve`] takes connections from a socket, and gives each request the identity of the workload
//! at the other end.
//!
//! A request comes to the application when
//!
//! 1. its connection was made by a whole TLS 1.3 handshake: nothing is resumed, no tickets are given,
//!    no early data is taken, so that each connection has seen its client's certificate;
//! 2. that certificate was good by the [material](crate::credentials) in force when the client said
//!    hello ([`verify`](crate::verify)), and is so by each material that came since;
//! 3. the certificate has not ended;
//! 4. the host it asks for is the one that the client named in the handshake, where it named one
//!    (RFC 9110 section 7.4; RFC 6066 section 3).
//!
//! It carries [`PeerAddr`](zt_core::context::PeerAddr) and
//! `Arc<`[`PeerIdentity`](zt_core::identity::PeerIdentity)`>` as extensions, with feature `axum` also
//! `ConnectInfo<SocketAddr>`; what was there under these names is replaced. `X-Forwarded-Client-Cert`,
//! `Client-Cert` and `Client-Cert-Chain` are removed, whoever sent them.
//!
//! # What a client cannot do
//!
//! - **Keep others out by doing nothing.** Each handshake has a time-out, and there is a limit to how
//!   many are under way before the client's hello, and after it. Nobody waits for it: when it is reached,
//!   the oldest handshake from the source that has the most of them is dropped. A good handshake takes
//!   milliseconds, an idle one is the oldest soon. Until the first byte comes, a client costs a small
//!   task and nothing of TLS.
//! - **Stay for ever.** HTTP/1 heads have a time-out, which holds between requests too; HTTP/2 is asked
//!   for a sign of life; a connection without a request is closed after `idle_timeout`, also before
//!   its first. A connection that was upgraded is the application's.
//! - **Leave its answer where it is.** When the socket has taken nothing of what waits for
//!   `stall_timeout`, it is shut, upgraded or not. A stream of HTTP/2 whose window is closed for as long is
//!   reset, and others of its connection are not.
//! - **Take all connections.** A workload may have `max_connections_per_peer`, seven eighths of all.
//! - **Stay when its certificate is not good any more.** When it ends, is revoked, or loses its bundle,
//!   requests are refused at once, HTTP/2 is told (GOAWAY), and after `grace` the socket is shut,
//!   upgraded or not, whether anybody polls it or not. Expiry is looked at twice a second, because
//!   clocks step; a new material is looked at as it comes.
//! - **Reset streams for ever.** h2 answers with GOAWAY beyond its bounds (CVE-2023-44487 and kin).
//!
//! # Refusals
//!
//! A handshake is refused by a TLS alert. A request is answered `credential-expired` or
//! `credential-revoked` (401), `misdirected` (421), `clock-unavailable` (503), as any layer of zt does;
//! the challenge of a 401 is `ClientCertificate`, which tells that another connection is asked for.
//! A connection beyond `max_connections` is closed without an answer, for another instance to take it.
//!
//! # What it does not do
//!
//! - HTTP/2 is taken by ALPN alone, not by prior knowledge; there is no HTTP/3.
//! - The judgement of connections by a new material costs a verification each (about 0.3 ms): with
//!   several thousands of different certificates on one core, it takes longer than a second.
//! - A revocation list that goes out of date stops new connections. Those that live are judged again
//!   when the next material comes.
//! - A peer that takes some of its answer now and then is as slow as it likes, and so is one that sends the
//!   content of its request: how long that may take is for the application to say.
//! - A tunnel by HTTP/2 CONNECT has no request that runs: `idle_timeout` ends it.
//! - The time-outs inside HTTP (heads, signs of life) are counted by tokio, all others by the
//!   [`Clock`](zt_core::clock::Clock).

mod accept;
mod config;
mod connection;
mod handshake;
mod io;
#[cfg(feature = "axum")]
mod listener;
mod pending;
#[cfg(any(test, feature = "testing"))]
#[doc(hidden)]
pub mod probe;
mod registry;
mod report;
mod request;
mod server;
mod stall;
#[cfg(test)]
mod tests;
mod tls;
mod watch;

#[cfg(feature = "axum")]
pub use self::listener::{Connection, FromConnection, FromConnectionLayer, Listener};
pub use self::{
    config::{Config, Limits},
    io::PeerStream,
    report::Report,
    request::{Answer, AnswerBody},
    server::{Handle, Serve, ServeError, Status, serve},
    tls::{ServerError, server_config},
};
