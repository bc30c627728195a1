//! A client that shows any certificate it is given, or none, and sends exactly the bytes it is given:
//! one that knows nothing of SPIFFE and of zt.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::{
    AlertDescription, ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName},
    version::TLS13,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use zt_mtls::testing::TestCert;

use crate::{
    Result,
    raw::{Answer, parse},
    services::LOCALHOST,
};

/// Connects with one certificate, or with none.
#[derive(Debug, Clone)]
pub struct TlsClient(Arc<ClientConfig>);

/// One connection.
#[derive(Debug)]
pub struct Connection(TlsStream<TcpStream>);

/// What came back.
#[derive(Debug, Clone)]
pub enum Met {
    /// An answer.
    Answer(Answer),
    /// The server ended the handshake with this alert.
    Alert(AlertDescription),
    /// It closed without a word.
    Closed,
}

/// For one answer, or for a connection to end.
const PATIENCE: Duration = Duration::from_secs(20);

impl TlsClient {
    /// Believes servers whose certificate `root` signed; shows `cert`.
    ///
    /// # Errors
    ///
    /// When either cannot be used.
    pub fn new(root: &CertificateDer<'static>, cert: Option<&TestCert>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(root.clone())?;
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_root_certificates(roots);
        let config = match cert {
            Some(cert) => config.with_client_auth_cert(cert.chain.clone(), cert.key.clone_key())?,
            None => config.with_no_client_auth(),
        };
        Ok(Self(Arc::new(config)))
    }

    /// Connects to `to`, and calls it `localhost`.
    ///
    /// With TLS 1.3 the server judges our certificate after this.
    ///
    /// # Errors
    ///
    /// When there is no server, or one that is not believed.
    pub async fn connect(&self, to: SocketAddr) -> Result<Connection> {
        let tcp = TcpStream::connect(to).await?;
        let name = ServerName::try_from(LOCALHOST)?;
        let connecting = TlsConnector::from(Arc::clone(&self.0)).connect(name, tcp);
        Ok(Connection(timeout(PATIENCE, connecting).await??))
    }

    /// Sends one request on a connection of its own; it should ask the server to close.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect), or when nothing comes for twenty seconds.
    pub async fn send(&self, to: SocketAddr, bytes: &[u8]) -> Result<Met> {
        let mut connection = self.connect(to).await?;
        connection.write(bytes).await;
        connection.to_the_end().await
    }
}

impl Connection {
    /// Sends a request that does not ask the server to close, and reads its answer, which has a
    /// `Content-Length`.
    ///
    /// # Errors
    ///
    /// When nothing comes for twenty seconds.
    pub async fn ask(&mut self, bytes: &[u8]) -> Result<Met> {
        self.write(bytes).await;
        let mut received = Vec::new();
        loop {
            if let Some(met) = self.more(&mut received).await? {
                return Ok(met);
            }
            let answer = parse(&received);
            let length = answer.header("content-length").parse();
            if length.is_ok_and(|length: usize| answer.body.len() >= length) {
                return Ok(Met::Answer(answer));
            }
        }
    }

    /// What comes until the server closes.
    ///
    /// # Errors
    ///
    /// When it does not within twenty seconds.
    pub async fn to_the_end(&mut self) -> Result<Met> {
        let mut received = Vec::new();
        loop {
            if let Some(met) = self.more(&mut received).await? {
                return Ok(met);
            }
        }
    }

    /// A server may answer and close before it has read everything: that is an answer too.
    async fn write(&mut self, bytes: &[u8]) {
        let _ = self.0.write_all(bytes).await;
        let _ = self.0.flush().await;
    }

    /// Reads on; what was met where that was the end.
    async fn more(&mut self, received: &mut Vec<u8>) -> Result<Option<Met>> {
        let whole = |received: &[u8]| match parse(received) {
            answer if answer.status == 0 => Met::Closed,
            answer => Met::Answer(answer),
        };
        Ok(match timeout(PATIENCE, self.0.read_buf(received)).await? {
            Ok(0) => Some(whole(received)),
            Ok(_) => None,
            Err(error) => Some(alert(&error).map_or_else(|| whole(received), Met::Alert)),
        })
    }
}

fn alert(error: &io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}
