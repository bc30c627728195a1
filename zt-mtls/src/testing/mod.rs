//! Certificates for tests: good ones, and bad ones in each way.

mod folder;

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use zt_core::clock::Timestamp;

pub use self::folder::TestFolder;
use crate::{
    bundle::TrustBundle,
    credentials::{Credentials, Identity, Material},
    id::TrustDomain,
    verify::Trust,
};

/// A certificate authority that signs what it is asked to.
///
/// Everything panics where it cannot be done.
pub struct TestCa {
    domain: TrustDomain,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// From the root, which is left out, down to what signs.
    above: Vec<CertificateDer<'static>>,
    root: CertificateDer<'static>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct TestCert {
    /// The leaf, then what stands above it, without the root.
    pub chain: Vec<CertificateDer<'static>>,
    /// In PKCS #8.
    pub key: PrivateKeyDer<'static>,
    /// Its serial number, for revocation lists.
    pub serial: Vec<u8>,
    key_pem: String,
}

/// A public key of PKCS #1.
struct RsaKey(Vec<u8>);

impl PublicKeyData for RsaKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

/// A certificate to be: change what should be wrong with it.
pub type Params = CertificateParams;

impl TestCa {
    /// The root of a trust domain, good from 1975 to 4096.
    #[must_use]
    pub fn new(trust_domain: &str) -> Self {
        let params = ca_params(&format!("root of {trust_domain}"));
        Self::with(trust_domain, params)
    }

    /// The same, otherwise made.
    #[must_use]
    pub fn with(trust_domain: &str, params: Params) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a root");
        Self {
            domain: TrustDomain::parse(trust_domain).expect("a trust domain"),
            root: issuer.der().clone(),
            above: Vec::new(),
            issuer,
        }
    }

    /// A CA below this one.
    #[must_use]
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(ca_params(name))
    }

    /// The same, otherwise made.
    #[must_use]
    pub fn intermediate_with(&self, params: Params) -> Self {
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::signed_by(params, key, &self.issuer).expect("a certificate");
        let mut above = vec![issuer.der().clone()];
        above.extend(self.above.iter().cloned());
        Self {
            domain: self.domain.clone(),
            root: self.root.clone(),
            above,
            issuer,
        }
    }

    /// This CA with another certificate for its key, of `above`.
    #[must_use]
    pub fn again_with(&self, above: &Self, params: Params) -> Self {
        let key = KeyPair::try_from(self.issuer.key().serialize_der()).expect("a key");
        let issuer = CertifiedIssuer::signed_by(params, key, &above.issuer).expect("a certificate");
        let mut chain = vec![issuer.der().clone()];
        chain.extend(above.above.iter().cloned());
        Self {
            domain: above.domain.clone(),
            root: above.root.clone(),
            above: chain,
            issuer,
        }
    }

    /// A good X.509-SVID for `path`, which begins with a slash; until 4096.
    #[must_use]
    pub fn workload(&self, path: &str) -> TestCert {
        self.issue(svid_params(&format!("{}{path}", self.domain.id())))
    }

    /// What `params` say, with a key of its own.
    #[must_use]
    pub fn issue(&self, mut params: Params) -> TestCert {
        let key = KeyPair::generate().expect("a key");
        let serial = params.serial_number.get_or_insert_with(|| {
            let mut serial = [0; 16];
            aws_lc_rs::rand::fill(&mut serial).expect("randomness");
            serial[0] &= 0x7f;
            serial[0] |= 1;
            SerialNumber::from_slice(&serial)
        });
        let serial = serial.to_bytes();
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let mut chain = vec![cert.der().clone()];
        chain.extend(self.above.iter().cloned());
        TestCert {
            chain,
            serial,
            key_pem: key.serialize_pem(),
            key: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    /// What `params` say about an RSA key that others have, in PEM (`RSA PUBLIC KEY`): the leaf, then
    /// what stands above it, in PEM.
    #[must_use]
    pub fn certify_rsa(&self, params: &Params, public_key: &str) -> String {
        use base64::{Engine, prelude::BASE64_STANDARD};
        let lines = public_key.lines().filter(|line| !line.contains('-'));
        let key = BASE64_STANDARD.decode(lines.collect::<String>());
        let key = RsaKey(key.expect("PEM"));
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let chain = std::iter::once(cert.der()).chain(&self.above);
        chain.map(|der| pem("CERTIFICATE", der)).collect()
    }

    /// A list of what this CA revoked, good from `at` for `span`.
    #[must_use]
    pub fn revocation_list(
        &self,
        revoked: &[&TestCert],
        at: Timestamp,
        span: Duration,
    ) -> CertificateRevocationListDer<'static> {
        self.revocation_list_numbered(revoked, at, span, 1)
    }

    /// The same with a number, which is 1 otherwise.
    #[must_use]
    pub fn revocation_list_numbered(
        &self,
        revoked: &[&TestCert],
        at: Timestamp,
        span: Duration,
        number: u64,
    ) -> CertificateRevocationListDer<'static> {
        let serials: Vec<_> = revoked.iter().map(|cert| cert.serial.clone()).collect();
        self.list(&serials, at, span, number)
    }

    /// The same by serial numbers.
    #[must_use]
    pub fn list_of_serials(
        &self,
        revoked: &[Vec<u8>],
        at: Timestamp,
        span: Duration,
    ) -> CertificateRevocationListDer<'static> {
        self.list(revoked, at, span, 1)
    }

    fn list(
        &self,
        revoked: &[Vec<u8>],
        at: Timestamp,
        span: Duration,
        number: u64,
    ) -> CertificateRevocationListDer<'static> {
        let params = CertificateRevocationListParams {
            this_update: date(at),
            next_update: date(at + span),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from_slice(serial),
                    revocation_time: date(at),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = params.signed_by(&self.issuer).expect("a list");
        list.der().clone()
    }

    /// The trust domain.
    #[must_use]
    pub const fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The root, in DER.
    #[must_use]
    pub const fn root(&self) -> &CertificateDer<'static> {
        &self.root
    }

    /// The bundle of the trust domain.
    #[must_use]
    pub fn bundle(&self) -> TrustBundle {
        TrustBundle::new(self.domain.clone(), [self.root.clone()]).expect("a bundle")
    }

    /// Credentials of the workload at `path` that trust this CA alone.
    #[must_use]
    pub fn credentials(&self, path: &str) -> Credentials {
        Credentials::new(self.material(path))
    }

    /// The same as a material.
    #[must_use]
    pub fn material(&self, path: &str) -> Material {
        let trust = Trust::spiffe([self.bundle()]).expect("trust");
        Material::new(self.workload(path).identity(), trust)
    }
}

impl TestCert {
    /// As what is shown.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity::from_der(self.chain.clone(), self.key.clone_key()).expect("an identity")
    }

    /// The chain in PEM.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        self.chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect()
    }

    /// The key in PEM (PKCS #8).
    #[must_use]
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }
}

/// A CA's certificate, good from 1975 to 4096.
#[must_use]
pub fn ca_params(name: &str) -> Params {
    let mut params = Params::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// A good X.509-SVID with this URI, good from 1975 to 4096.
#[must_use]
pub fn svid_params(uri: &str) -> Params {
    let mut params = Params::default();
    params.subject_alt_names = vec![SanType::URI(uri.try_into().expect("ASCII"))];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ClientAuth,
        ExtendedKeyUsagePurpose::ServerAuth,
    ];
    params
}

/// Sets when a certificate begins and ends.
pub fn valid(params: &mut Params, from: Timestamp, to: Timestamp) {
    params.not_before = date(from);
    params.not_after = date(to);
}

/// DER in PEM.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let text = BASE64_STANDARD.encode(der);
    let lines: String = text
        .as_bytes()
        .chunks(64)
        .map(|line| format!("{}\n", String::from_utf8_lossy(line)))
        .collect();
    format!("-----BEGIN {label}-----\n{lines}-----END {label}-----\n")
}

fn date(at: Timestamp) -> time::OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).expect("a time");
    time::OffsetDateTime::from_unix_timestamp(seconds).expect("a date")
}

impl std::fmt::Debug for TestCa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TestCa").field(&self.domain).finish()
    }
}
