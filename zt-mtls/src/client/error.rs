use std::{sync::Arc, time::Duration};

use crate::verify::Refusal;

/// What rustls says to a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("TLS cannot be configured: {0}")]
pub struct ClientError(#[from] rustls::Error);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URI is not `https`, and nothing goes out in plain text.
    #[error("only `https` is dialled, not `{0}`")]
    NotHttps(Arc<str>),
    /// The URI has no host, or one that is neither a DNS name nor an IP address.
    #[error("the URI has no host that can be dialled")]
    Host,
    /// There is no TCP connection.
    #[error("no connection to `{0}`")]
    Tcp(Arc<str>, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// There was no TCP connection in time.
    #[error("no connection to `{0}` within {1:?}")]
    TcpTimeout(Arc<str>, Duration),
    /// The server's certificate is not good, or not the one that is expected.
    #[error("the certificate of `{0}` is refused")]
    Refused(Arc<str>, #[source] Refusal),
    /// The handshake failed otherwise.
    #[error("the TLS handshake with `{0}` failed")]
    Handshake(Arc<str>, #[source] std::io::Error),
    /// The handshake was not done in time.
    #[error("no TLS handshake with `{0}` within {1:?}")]
    HandshakeTimeout(Arc<str>, Duration),
    /// The server did not choose HTTP/2, and nothing else is wanted.
    #[error("`{0}` does not speak HTTP/2")]
    NotHttp2(Arc<str>),
    /// TLS cannot be configured.
    #[error(transparent)]
    Config(#[from] ClientError),
}

/// Why a connection was cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The server's certificate, or one above it, has ended.
    #[error("the server's certificate has ended")]
    Expired,
    /// By another edition of what is trusted it is not good any more.
    #[error("the server's certificate is not good any more")]
    Refused(#[source] Refusal),
    /// We are another workload now than the one that the server knows.
    #[error("we have another SPIFFE ID than when it was made")]
    OtherIdentity,
    /// The time cannot be trusted.
    #[error("the clock is unavailable")]
    Clock,
}
