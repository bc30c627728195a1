use std::sync::Arc;

use rustls::{
    ClientConfig, SignatureScheme,
    client::{ResolvesClientCert, Resumption},
    sign::{CertifiedKey, SingleCertAndKey},
    version::TLS13,
};

use super::{ClientError, Expect};
use crate::{credentials::Credentials, verify::PeerServer};

/// What rustls needs to call the servers that are expected: TLS 1.3 alone, our certificate of the
/// moment, what is trusted at the moment, no resumption, no early data. `alpn` are the protocols that
/// the client speaks, the best one first.
///
/// For clients that take rustls' configuration, as reqwest does:
///
/// ```
/// # fn run(credentials: &zt_mtls::credentials::Credentials) -> Result<(), Box<dyn std::error::Error>> {
/// use zt_mtls::{client::client_config, peer::Peers};
///
/// let servers = Peers::parse(["spiffe://shop.example/payments"])?;
/// let tls = client_config(credentials, servers, &[b"h2", b"http/1.1"])?;
/// let client = reqwest::Client::builder()
///     .tls_backend_preconfigured(tls) // reqwest 0.13; the same version of rustls
///     .https_only(true)
///     .no_proxy()
///     .timeout(std::time::Duration::from_secs(10))
///     .build()?;
/// # Ok(())
/// # }
/// ```
///
/// What such a client cannot do, and a [`Connector`](super::Connector) does:
///
/// - a connection in its pool lives on when the server's certificate ends or is revoked, and when
///   nobody vouches for it any more, until the client closes it (`pool_idle_timeout`); so does one that
///   was made under another SPIFFE ID of ours;
/// - responses do not carry the server's identity;
/// - when credentials are replaced in the middle of a handshake, the server is judged by one edition
///   and shown the certificate of the next;
/// - it dials `http` in plain text unless it is told not to, and its time-outs are its own.
///
/// # Errors
///
/// When the provider of cryptography does not know TLS 1.3.
pub fn client_config(
    credentials: &Credentials,
    servers: impl Into<Expect>,
    alpn: &[&[u8]],
) -> Result<ClientConfig, ClientError> {
    let verifier = PeerServer::new(credentials.clone(), Arc::new(servers.into()));
    let alpn = alpn.iter().map(|name| name.to_vec()).collect();
    with(
        credentials,
        verifier,
        Arc::new(Current(credentials.clone())),
        alpn,
    )
}

/// The same for one connection, by one edition of the credentials, which the verifier has.
pub(super) fn connection_config(
    credentials: &Credentials,
    verifier: &Arc<PeerServer>,
    alpn: Vec<Vec<u8>>,
) -> Result<ClientConfig, ClientError> {
    let shown = SingleCertAndKey::from(verifier.material().identity().key());
    with(credentials, Arc::clone(verifier), Arc::new(shown), alpn)
}

fn with(
    credentials: &Credentials,
    verifier: Arc<PeerServer>,
    shown: Arc<dyn ResolvesClientCert>,
    alpn: Vec<Vec<u8>>,
) -> Result<ClientConfig, ClientError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(credentials.provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_cert_resolver(shown);
    config.alpn_protocols = alpn;
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    Ok(config)
}

/// The certificate that is in force when it is asked for.
#[derive(Debug)]
struct Current(Credentials);

impl ResolvesClientCert for Current {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load().identity().key())
    }

    fn has_certs(&self) -> bool {
        true
    }
}
