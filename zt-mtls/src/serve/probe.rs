//! What a server does with each request, for benchmarks: no connection is served.

use std::{net::SocketAddr, sync::Arc};

use http::request::Parts;
use zt_core::identity::{PeerIdentity, PeerSource};

use super::{
    config::Config,
    io::Line,
    registry::{Live, Peer, Running},
    request::admit,
    server::Server,
};
use crate::{credentials::Credentials, verify::End};

/// A server with one connection, of a peer that has the server's own certificate.
pub struct Probe {
    server: Arc<Server>,
    live: Live,
    _runtime: tokio::runtime::Runtime,
}

impl Probe {
    /// A server with these credentials.
    ///
    /// # Errors
    ///
    /// When there is no socket, or the certificate is not good by its own trust.
    pub fn new(credentials: Credentials) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (tcp, address) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            let tcp = tokio::net::TcpStream::connect(address).await?;
            std::io::Result::Ok((tcp, address))
        })?;
        let material = credentials.load();
        let chain = material.identity().key().cert.clone();
        let identity = Self::identity(&credentials, &chain)?;
        let server = Arc::new(Server::new(Config::new(credentials), Some(address)));
        let peer = Peer {
            address,
            chain,
            identity,
            sni: Some("orders.internal".into()),
            generation: material.generation(),
        };
        let monotonic = server.clock.monotonic();
        let live = server.registry.enter(peer, Line::new(tcp), monotonic);
        Ok(Self {
            live: live.ok_or_else(|| std::io::Error::other("the registry is full"))?,
            server,
            _runtime: runtime,
        })
    }

    fn identity(
        credentials: &Credentials,
        chain: &[rustls_pki_types::CertificateDer<'_>],
    ) -> std::io::Result<Arc<PeerIdentity>> {
        let algorithms = &credentials.provider().signature_verification_algorithms;
        let now = credentials.clock().now().map_err(std::io::Error::other)?;
        let (leaf, others) = chain.split_first().ok_or(std::io::ErrorKind::NotFound)?;
        let material = credentials.load();
        let found = material
            .trust()
            .verify(End::Client, algorithms, leaf, others, now);
        Ok(found
            .map_err(std::io::Error::other)?
            .identity(PeerSource::Tls))
    }

    /// The peer's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.live.entry().address
    }

    /// Does to a request what is done to each; whether it goes on to the application.
    pub fn admits(&self, parts: &mut Parts) -> bool {
        let _running = Running::new(self.live.entry());
        admit(&self.server, self.live.entry(), parts).is_ok()
    }
}

impl std::fmt::Debug for Probe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Probe").finish_non_exhaustive()
    }
}
