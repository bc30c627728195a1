//! Whom a chain lets in, and whom not, with the alert that a peer gets.

mod alerts;
mod chains;
mod invariant;
mod limits;
mod pki;
mod revoked;
mod scenarios;
mod workloads;

use std::time::Duration;

use rustls::{
    AlertDescription::{self, *},
    Error,
    crypto::{WebPkiSupportedAlgorithms, aws_lc_rs::default_provider},
};
use rustls_pki_types::{CertificateDer, UnixTime};

use super::{
    trust::{Mode, PkiNames},
    *,
};
use crate::{
    bundle::TrustBundle,
    svid::SvidError,
    testing::{Params, TestCa, TestCert, ca_params, svid_params, valid},
};
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use zt_core::clock::Timestamp;

const ORDERS: &str = "spiffe://shop.example/orders";
const DAY: Duration = Duration::from_secs(86_400);

/// When all of this is: in May 2033.
fn now() -> Timestamp {
    Timestamp::from_secs(2_000_000_000)
}

fn ago(span: Duration) -> Timestamp {
    now().saturating_sub(span)
}

fn shop() -> TestCa {
    TestCa::new("shop.example")
}

fn bank() -> TestCa {
    TestCa::new("bank.example")
}

fn trust<'a>(all: impl IntoIterator<Item = &'a TestCa>) -> Trust {
    Trust::spiffe(all.into_iter().map(TestCa::bundle)).unwrap()
}

fn algorithms() -> WebPkiSupportedAlgorithms {
    default_provider().signature_verification_algorithms
}

/// Judges a client's chain; and whoever gets in here would get in by webpki alone.
fn judge(trust: &Trust, chain: &[CertificateDer<'_>]) -> Result<Verified, Refusal> {
    judge_at(trust, End::Client, chain, now())
}

fn judge_at(
    trust: &Trust,
    end: End,
    chain: &[CertificateDer<'_>],
    now: Timestamp,
) -> Result<Verified, Refusal> {
    let (leaf, others) = chain.split_first().unwrap();
    let verified = trust.verify(end, &algorithms(), leaf, others, now)?;
    let roots = match &trust.mode {
        Mode::Pki(roots, _) => roots,
        Mode::Spiffe(all) => {
            let domain = verified.id.as_ref().unwrap().trust_domain();
            &all.iter().find(|(name, _)| *name == domain).unwrap().1
        }
    };
    let anchors: Vec<_> = roots
        .layers
        .iter()
        .flat_map(|layer| &layer.anchors)
        .cloned()
        .collect();
    let usage = match end {
        End::Client => webpki::KeyUsage::client_auth(),
        End::Server => webpki::KeyUsage::server_auth(),
    };
    let at = UnixTime::since_unix_epoch(Duration::from_micros(now.as_micros()));
    let cert = webpki::EndEntityCert::try_from(leaf).unwrap();
    cert.verify_for_usage(algorithms().all, &anchors, others, at, usage, None, None)
        .expect("webpki lets in whom we let in");
    assert!(verified.not_after >= now);
    Ok(verified)
}

/// Why the chain is refused, with the alert that rustls sends.
#[track_caller]
fn refused(found: Result<Verified, Refusal>) -> (Refusal, AlertDescription) {
    let refusal = found.expect_err("it got in");
    let alert = alert(&refusal);
    (refusal, alert)
}

fn alert(refusal: &Refusal) -> AlertDescription {
    match Error::from(refusal.clone()) {
        Error::InvalidCertificate(error) => error.into(),
        other => panic!("{other} makes no alert of its own"),
    }
}

/// A certificate of `ca` that is good but for `change`.
fn with(ca: &TestCa, change: impl FnOnce(&mut Params)) -> TestCert {
    let mut params = svid_params(ORDERS);
    change(&mut params);
    ca.issue(params)
}

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn uris(all: &[&str]) -> Vec<SanType> {
    all.iter().map(|text| uri(text)).collect()
}

fn chain(error: webpki::Error) -> Refusal {
    Refusal::Chain(error)
}
