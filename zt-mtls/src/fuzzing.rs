//! What fuzz targets see of the parts that are not public. Not part of the API; behind `cfg(fuzzing)`.

use std::sync::LazyLock;

use rustls::crypto::aws_lc_rs::default_provider;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer};
use zt_core::clock::Timestamp;

use crate::{
    bundle::TrustBundle,
    id::TrustDomain,
    svid::{Authority, Leaf},
    verify::{End, PkiNames, Trust},
};

/// A certificate as it was read.
#[derive(Debug)]
pub struct Read {
    /// Its URIs.
    pub uris: Vec<String>,
    /// Its DNS names.
    pub dns_names: Vec<String>,
    /// When it ends, in seconds.
    pub not_after: u64,
    /// The workload that it names.
    pub workload: Option<String>,
    /// Whether it may vouch for others.
    pub authority: bool,
}

/// Reads a certificate.
#[must_use]
pub fn leaf(der: &[u8]) -> Option<Read> {
    let leaf = Leaf::read(der).ok()?;
    let text = |names: &[std::sync::Arc<str>]| names.iter().map(ToString::to_string).collect();
    Some(Read {
        uris: text(&leaf.uris),
        dns_names: text(&leaf.dns_names),
        not_after: leaf.not_after.as_secs(),
        workload: leaf.workload().ok().map(|id| id.to_string()),
        authority: Authority::read(der).is_ok(),
    })
}

/// Parts `bytes` into certificates, each behind its length in two bytes, and judges them at `seconds`:
/// who gets in, and whether webpki alone would let it in too.
#[must_use]
pub fn chain(seconds: u64, bytes: &[u8]) -> Option<(Option<String>, bool)> {
    let chain = parts(bytes);
    let (leaf, others) = chain.split_first()?;
    let algorithms = default_provider().signature_verification_algorithms;
    let now = Timestamp::from_secs(seconds);
    let mut in_by = None;
    for trust in &*TRUSTS {
        if let Ok(found) = trust.verify(End::Client, &algorithms, leaf, others, now) {
            let id = found.id.map(|id| id.to_string());
            in_by = Some((id, by_webpki_alone(leaf, others, seconds)));
        }
    }
    in_by
}

fn by_webpki_alone(leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>], at: u64) -> bool {
    let root = CertificateDer::from(ROOT);
    let anchors = [webpki::anchor_from_trusted_cert(&root).expect("a root")];
    let at = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(at));
    let all = default_provider().signature_verification_algorithms.all;
    let usage = webpki::KeyUsage::client_auth();
    webpki::EndEntityCert::try_from(leaf).is_ok_and(|cert| {
        cert.verify_for_usage(all, &anchors, others, at, usage, None, None)
            .is_ok()
    })
}

/// Reads revocation lists, and parts them among roots.
#[must_use]
pub fn revocation_lists(bytes: &[u8]) -> bool {
    let lists = parts(bytes);
    let lists = lists
        .iter()
        .map(|der| CertificateRevocationListDer::from(der.as_ref()));
    TRUSTS[0].clone().revocation_lists(lists).is_ok()
}

/// Whether a response of the Workload API gives credentials.
#[cfg(feature = "spire")]
#[must_use]
pub fn workload_response(bytes: &[u8]) -> bool {
    crate::spire::fuzzing::read(bytes)
}

/// The messages of a stream that comes in pieces of `size`, until one is refused.
#[cfg(feature = "spire")]
#[must_use]
pub fn workload_messages(stream: &[u8], size: usize) -> (Vec<Vec<u8>>, bool) {
    crate::spire::fuzzing::messages(stream, size)
}

fn parts(mut bytes: &[u8]) -> Vec<CertificateDer<'_>> {
    let mut all = Vec::new();
    while let Some(([high, low], rest)) = bytes.split_first_chunk::<2>().map(|(n, r)| (*n, r)) {
        let length = usize::from(u16::from_be_bytes([high, low])).min(rest.len());
        let (der, rest) = rest.split_at(length);
        all.push(der.into());
        bytes = rest;
    }
    all
}

static TRUSTS: LazyLock<[Trust; 2]> = LazyLock::new(|| {
    let domain = TrustDomain::parse("shop.example").expect("a name");
    let root = || CertificateDer::from(ROOT);
    let bundle = TrustBundle::new(domain, [root()]).expect("a bundle");
    let names = PkiNames::none().dns("orders.shop.example");
    [
        Trust::spiffe([bundle]).expect("trust"),
        Trust::pki([root()], names).expect("trust"),
    ]
});

/// Good from 1975 to 4096; its key is nowhere.
const ROOT: &[u8] = include_bytes!("../fuzz/seeds/root.der");
