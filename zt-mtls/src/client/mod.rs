//! Calling other workloads over mutual TLS.
//!
//! A [`Connector`] hands out a connection when
//!
//! 1. the URI is `https` and names a host: a plain one is an error, never a plain connection;
//! 2. TCP and then the handshake are done within their time-outs;
//! 3. the handshake is TLS 1.3 (RFC 8446) and whole: nothing is resumed, nothing is sent early;
//! 4. the server's certificate is good by what the credentials trust ([`verify`](crate::verify)):
//!    first its path, with the roots of its own trust domain, and then its name;
//! 5. with SPIFFE, its ID is on the list for the host that was dialled ([`Expect`]); the name that was
//!    dialled proves nothing, and an empty list has nobody. By plain PKI, the certificate is good for
//!    the name that was dialled (RFC 9525), and it is on the list, or the list says that the name is
//!    enough;
//! 6. where HTTP/2 alone is wanted, the server chose it (ALPN, RFC 7301).
//!
//! We show our certificate of that moment to every server that asks for it, and judge by the trust of
//! the same edition of the [`Credentials`](crate::credentials::Credentials). A server that does not
//! ask for it is judged all the same.
//!
//! The server's [`PeerIdentity`](zt_core::identity::PeerIdentity) is on every response, as an
//! extension of type `Arc<PeerIdentity>`.
//!
//! A connection that waits in a pool is judged again with each new edition, and it is cut when the
//! server's certificate ends, is revoked, or nobody vouches for it any more, and when that edition has
//! another SPIFFE ID of ours: a pool knows hosts and not who called them. So is a request that is
//! under way on it: its error has [`Ended`] among its sources (over HTTP/2, which keeps none, its text).
//!
//! ```no_run
//! # async fn run(credentials: zt_mtls::credentials::Credentials) -> Result<(), Box<dyn std::error::Error>> {
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use zt_mtls::{client::Connector, peer::Peers};
//!
//! let servers = Peers::parse(["spiffe://shop.example/payments"])?;
//! let connector = Connector::new(credentials, servers)?;
//! let client = Client::builder(TokioExecutor::new()).build::<_, axum::body::Body>(connector);
//! let response = client.get("https://payments.internal/rates".parse()?).await?;
//! # Ok(())
//! # }
//! ```
//!
//! [`client_config`] is for other clients that take rustls' configuration; see there for reqwest, and
//! for what such a client cannot do.
//!
//! With TLS 1.3 a client is done before the server has judged its certificate: a server that refuses
//! ours does so with an alert that the first request fails with.
//!
//! What this does not do: it does not fetch revocation lists or stapled answers (OCSP); it cannot tell
//! a pool to let a request that is under way come to its end on a connection that is cut; it does not
//! cut a connection because our own certificate ended, which the server does, or was renewed. By plain
//! PKI nobody has a SPIFFE ID: whoever is to call under another name there builds another client.

mod config;
mod connector;
mod error;
mod expect;
mod guard;
#[cfg(test)]
mod tests;

pub use self::{
    config::client_config,
    connector::{Connector, DEFAULT_CONNECT_TIMEOUT, DEFAULT_HANDSHAKE_TIMEOUT},
    error::{ClientError, ConnectError, Ended},
    expect::Expect,
    guard::PeerStream,
};
