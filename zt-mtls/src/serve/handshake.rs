//! One handshake.

use std::{cell::RefCell, io, net::SocketAddr, sync::Arc};

use rustls::{HandshakeKind, server::Acceptor};
use tokio_rustls::{LazyConfigAcceptor, server::TlsStream};
use zt_core::identity::PeerSource;

use super::{
    io::{Line, Socket},
    pending::Ticket,
    registry::Peer,
    server::Server,
    tls::ServerError,
};
use crate::verify::FOUND;

/// A connection whose handshake is over.
pub(super) struct Shaken {
    pub(super) tls: TlsStream<Socket>,
    pub(super) peer: Peer,
    pub(super) http2: bool,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
    #[error(transparent)]
    Config(#[from] ServerError),
    #[error("a session was resumed")]
    Resumed,
    #[error("the client showed no certificate")]
    Nobody,
    #[error("the handshake took too long")]
    TooSlow,
    #[error("the oldest handshake made room for others")]
    Dropped,
}

/// Shakes hands with who comes over `line`, by the material in force when its hello is complete.
pub(super) async fn shake(
    server: &Server,
    line: Arc<Line>,
    address: SocketAddr,
    ticket: &Ticket,
) -> Result<Shaken, Failure> {
    // Until the hello is complete, this has its bytes and nothing else.
    let start = LazyConfigAcceptor::new(Acceptor::default(), Socket(line)).await?;
    ticket.hello();
    let made = server.configs.in_force(&server.credentials)?;
    let config = Arc::clone(&made.config);
    let shaken = async move {
        let tls = start.into_stream(config).await?;
        io::Result::Ok((tls, FOUND.with(RefCell::take)))
    };
    let (tls, found) = FOUND.scope(RefCell::default(), shaken).await?;
    let (_, session) = tls.get_ref();
    if session.handshake_kind() == Some(HandshakeKind::Resumed) {
        return Err(Failure::Resumed);
    }
    let chain = session.peer_certificates().ok_or(Failure::Nobody)?.to_vec();
    let identity = found.ok_or(Failure::Nobody)?.identity(PeerSource::Tls);
    let http2 = session.alpn_protocol() == Some(b"h2");
    let sni = session.server_name().map(Into::into);
    Ok(Shaken {
        tls,
        http2,
        peer: Peer {
            address,
            chain,
            identity,
            sni,
            generation: made.generation,
        },
    })
}
