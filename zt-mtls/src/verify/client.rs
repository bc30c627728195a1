//! What a client asks of the server's certificate.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use rustls::{
    DigitallySignedStruct, Error, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use zt_core::{clock::Clock, state::Snapshot};

use super::{End, Refusal, Verified};
use crate::{
    client::Expect,
    credentials::{Credentials, Material},
    svid::SvidError,
};

/// A server's certificate is verified by what the credentials trust.
///
/// With SPIFFE the server has to be one of the expected workloads, whatever name was dialled: first
/// its chain is verified, then its ID compared. By plain PKI its certificate has to be good for the
/// name that was dialled, and be expected.
pub(crate) struct PeerServer {
    credentials: Credentials,
    expect: Arc<Expect>,
    /// Of one connection alone: what its server was found to be.
    one: Option<One>,
}

/// One connection's edition of the credentials, and what came of it.
struct One {
    edition: Arc<Snapshot<Material>>,
    found: OnceLock<Result<Verified, Refusal>>,
}

impl PeerServer {
    /// By the edition of the moment, for any number of connections.
    pub(crate) fn new(credentials: Credentials, expect: Arc<Expect>) -> Arc<Self> {
        Arc::new(Self {
            credentials,
            expect,
            one: None,
        })
    }

    /// For one connection, by the edition that is in force now; says afterwards what was found.
    pub(crate) fn of_one(credentials: Credentials, expect: Arc<Expect>) -> Arc<Self> {
        let one = One {
            edition: credentials.load(),
            found: OnceLock::new(),
        };
        Arc::new(Self {
            credentials,
            expect,
            one: Some(one),
        })
    }

    /// What is shown and trusted: the connection's edition, or the one of the moment.
    pub(crate) fn material(&self) -> Arc<Snapshot<Material>> {
        match &self.one {
            Some(one) => Arc::clone(&one.edition),
            None => self.credentials.load(),
        }
    }

    /// Whether the edition of the moment shows the SPIFFE ID that the connection's showed.
    pub(crate) fn are_we_who_we_were(&self) -> bool {
        let now = self.credentials.load();
        self.material().identity().spiffe_id() == now.identity().spiffe_id()
    }

    /// The server that was found good.
    pub(crate) fn found(&self) -> Option<&Verified> {
        self.one.as_ref()?.found.get()?.as_ref().ok()
    }

    /// Why the server was refused.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.one.as_ref()?.found.get()?.as_ref().err().cloned()
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        self.credentials.clock()
    }

    /// Judges a chain again, leaf first, by the edition of the moment.
    pub(crate) fn judge_now(
        &self,
        chain: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
    ) -> Result<Verified, Refusal> {
        let (leaf, others) = chain.split_first().ok_or(SvidError::Malformed)?;
        self.judge(&self.credentials.load(), leaf, others, dialled)
    }

    /// Judges a server's certificate and what came beside it.
    fn judge(
        &self,
        material: &Material,
        leaf: &CertificateDer<'_>,
        others: &[CertificateDer<'_>],
        dialled: &ServerName<'_>,
    ) -> Result<Verified, Refusal> {
        let now = self.clock().now().map_err(|_| Refusal::Clock)?;
        let algorithms = &self.provider().signature_verification_algorithms;
        let trust = material.trust();
        let verified = trust.verify(End::Server, algorithms, leaf, others, now)?;
        if verified.id.is_none() {
            let cert = webpki::EndEntityCert::try_from(leaf).map_err(Refusal::Chain)?;
            cert.verify_is_valid_for_subject_name(dialled)
                .map_err(Refusal::Chain)?;
        }
        self.expect.judge(&verified, dialled)?;
        Ok(verified)
    }

    fn provider(&self) -> &CryptoProvider {
        self.credentials.provider()
    }
}

impl ServerCertVerifier for PeerServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let found = self.judge(&self.material(), end_entity, intermediates, server_name);
        let refused = found.as_ref().err().cloned();
        if let Some(one) = &self.one {
            let _ = one.found.set(found);
        }
        match refused {
            Some(refusal) => Err(refusal.into()),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider().signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider().signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

impl fmt::Debug for PeerServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerServer")
            .field("expect", &self.expect)
            .finish_non_exhaustive()
    }
}
