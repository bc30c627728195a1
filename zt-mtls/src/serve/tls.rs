use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    server::NoServerSessionStorage,
    sign::SingleCertAndKey,
    version::{TLS12, TLS13},
};

use crate::{
    credentials::{Credentials, Material},
    verify::PeerClient,
};

/// HTTP/2 first.
pub(super) const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// What rustls says to a configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("TLS cannot be configured: {0}")]
pub struct ServerError(#[from] rustls::Error);

/// What rustls needs to serve with `material`: TLS 1.3 alone, a client's certificate required, no
/// session that is resumed, no early data.
///
/// # Errors
///
/// When the provider of cryptography does not know TLS 1.3.
pub fn server_config(
    credentials: &Credentials,
    material: &Material,
    alpn: &[&[u8]],
) -> Result<Arc<ServerConfig>, ServerError> {
    configure(credentials, material, alpn, versions(false))
}

fn configure(
    credentials: &Credentials,
    material: &Material,
    alpn: &[&[u8]],
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ServerConfig>, ServerError> {
    let provider = Arc::clone(credentials.provider());
    let verifier = PeerClient::new(
        material.trust().clone(),
        Arc::clone(&provider),
        Arc::clone(credentials.clock()),
    );
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(material.identity().key())));
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    // rustls gives a resumed session the certificates of its first handshake, unverified.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// The versions that are taken. Named, because cargo may have turned on TLS 1.2 for somebody else.
pub(super) const fn versions(tls12: bool) -> &'static [&'static SupportedProtocolVersion] {
    if tls12 { BOTH } else { NEW }
}

const NEW: &[&SupportedProtocolVersion] = &[&TLS13];
const BOTH: &[&SupportedProtocolVersion] = &[&TLS13, &TLS12];

/// The configuration of the material in force, made once for each.
#[derive(Debug)]
pub(super) struct Configs {
    tls12: bool,
    made: ArcSwapOption<Made>,
}

/// The configuration of one generation.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) generation: u64,
    pub(super) config: Arc<ServerConfig>,
}

impl Configs {
    pub(super) fn new(tls12: bool) -> Self {
        Self {
            tls12,
            made: ArcSwapOption::empty(),
        }
    }

    pub(super) fn in_force(&self, credentials: &Credentials) -> Result<Arc<Made>, ServerError> {
        let material = credentials.load();
        let generation = material.generation();
        if let Some(made) = self.made.load_full()
            && made.generation == generation
        {
            return Ok(made);
        }
        let config = configure(credentials, &material, ALPN, versions(self.tls12))?;
        let made = Arc::new(Made { generation, config });
        // Another may have made a newer one; whoever asks compares, so that costs a making.
        self.made.store(Some(Arc::clone(&made)));
        Ok(made)
    }
}
