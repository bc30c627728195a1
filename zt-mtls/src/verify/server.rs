//! What a server asks of its clients' certificates.

use std::{cell::RefCell, fmt, sync::Arc};

use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, UnixTime};
use zt_core::clock::Clock;

use super::{End, Refusal, Trust, Verified};

tokio::task_local! {
    /// What the handshake of this task found about its client, so that nobody verifies it twice.
    /// rustls calls the verifier while the handshake is polled, so each handshake has its own.
    pub(crate) static FOUND: RefCell<Option<Verified>>;
}

/// A client's certificate is verified by `trust`, at the time of the application's clock.
pub(crate) struct PeerClient {
    trust: Trust,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
}

impl PeerClient {
    pub(crate) fn new(
        trust: Trust,
        provider: Arc<CryptoProvider>,
        clock: Arc<dyn Clock>,
    ) -> Arc<Self> {
        Arc::new(Self {
            trust,
            provider,
            clock,
        })
    }
}

impl ClientCertVerifier for PeerClient {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.trust.hints
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let now = self.clock.now().map_err(|_| Refusal::Clock)?;
        let algorithms = &self.provider.signature_verification_algorithms;
        let verified =
            self.trust
                .verify(End::Client, algorithms, end_entity, intermediates, now)?;
        // Outside of a task that asks, nobody wants to know.
        let _ = FOUND.try_with(|found| found.replace(Some(verified)));
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl fmt::Debug for PeerClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerClient")
            .field("trust", &self.trust)
            .finish_non_exhaustive()
    }
}
