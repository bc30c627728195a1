mod belief;
mod client_cert;
mod refusals;
mod signatures;
mod xfcc;

use std::{fmt::Write as _, sync::Arc};

use http::Request;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use zt_core::{
    clock::ManualClock,
    decision::{Code, Denial},
    identity::{PeerIdentity, PeerSource},
};

use super::*;
use crate::{
    credentials::{Credentials, Material},
    peer::Peers,
    testing::{TestCa, TestCert, pem},
    verify::{End, Trust},
};

const GATEWAY: &str = "spiffe://shop.example/gateway";

/// A proxy that is believed, and a client behind it.
struct Fixture {
    ca: TestCa,
    clock: ManualClock,
    credentials: Credentials,
    client: TestCert,
}

impl Fixture {
    fn new() -> Self {
        let ca = TestCa::new("shop.example");
        let clock = ManualClock::default();
        Self {
            credentials: credentials(ca.material("/orders"), &clock),
            client: ca.workload("/batch"),
            ca,
            clock,
        }
    }

    fn believes(&self, header: ForwardedHeader) -> Forwarded {
        Forwarded::by(Peers::parse([GATEWAY]).unwrap(), header, &self.credentials)
    }

    /// The same, and the proxy is somebody itself.
    fn believes_or_is(&self, header: ForwardedHeader) -> Forwarded {
        self.believes(header).insecure_proxy_for_itself()
    }

    /// As the server would have it from the handshake.
    fn over(&self, cert: &TestCert) -> Arc<PeerIdentity> {
        let edition = self.credentials.load();
        let algorithms = &self
            .credentials
            .provider()
            .signature_verification_algorithms;
        let now = zt_core::clock::Clock::now(&self.clock).unwrap();
        let (leaf, others) = cert.chain.split_first().unwrap();
        edition
            .trust()
            .verify(End::Client, algorithms, leaf, others, now)
            .unwrap()
            .identity(PeerSource::Tls)
    }

    fn gateway(&self) -> Arc<PeerIdentity> {
        self.over(&self.ca.workload("/gateway"))
    }

    fn xfcc(&self) -> Request<()> {
        self.by_gateway(&[("x-forwarded-client-cert", &xfcc(&self.client.chain))])
    }

    fn by_gateway(&self, headers: &[(&str, &str)]) -> Request<()> {
        request(Some(self.gateway()), headers)
    }
}

fn credentials(material: Material, clock: &ManualClock) -> Credentials {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Credentials::with(material, Arc::new(provider), clock.clone())
}

fn request(peer: Option<Arc<PeerIdentity>>, headers: &[(&str, &str)]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in headers {
        let name = http::HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    request
}

fn settle(forwarded: &Forwarded, request: &mut Request<()>) -> Result<(), Denial> {
    let (mut parts, ()) = std::mem::take(request).into_parts();
    let settled = forwarded.settle(&mut parts.headers, &mut parts.extensions);
    *request = Request::from_parts(parts, ());
    settled
}

/// Who is on a request after it was settled.
fn peer(
    forwarded: &Forwarded,
    mut request: Request<()>,
) -> Result<Option<Arc<PeerIdentity>>, Denial> {
    settle(forwarded, &mut request)?;
    assert!(request.headers().is_empty(), "{:?}", request.headers());
    Ok(request.extensions().get().cloned())
}

fn name(forwarded: &Forwarded, request: Request<()>) -> Result<String, Code> {
    match peer(forwarded, request) {
        Ok(peer) => Ok(peer.unwrap().spiffe_id().unwrap().to_owned()),
        Err(denial) => Err(denial.code()),
    }
}

/// An element as Envoy writes it.
fn xfcc(chain: &[CertificateDer<'_>]) -> String {
    let leaf = &chain[0];
    let all: String = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
    format!(
        "By={GATEWAY};Hash={};Cert=\"{}\";Chain=\"{}\";Subject=\"\";URI=spiffe://shop.example/batch",
        hex(&Sha256::digest(leaf)),
        percent(&pem("CERTIFICATE", leaf)),
        percent(&all),
    )
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}

fn percent(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// RFC 9651: a byte sequence.
fn bytes(der: &[u8]) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD};
    format!(":{}:", BASE64_STANDARD.encode(der))
}

/// `cargo test -p zt-mtls --lib forwarded::tests::costs -- --ignored --nocapture`, optimized.
#[test]
#[ignore = "measures"]
fn costs() {
    use zt_core::clock::Clock;

    let fixture = Fixture::new();
    let gateway = fixture.gateway();
    let header = xfcc(&fixture.client.chain);
    let usual = [
        ("host", "orders"),
        ("accept", "*/*"),
        ("user-agent", "a"),
        ("content-type", "application/json"),
        ("authorization", "b"),
        ("traceparent", "c"),
    ];
    let said: Vec<_> = usual
        .into_iter()
        .chain([("x-forwarded-client-cert", &*header)])
        .collect();
    let forwarded = fixture.believes(ForwardedHeader::Xfcc);
    for (what, headers) in [
        ("nothing is forwarded", &usual[..]),
        ("a known client", &said),
    ] {
        const ROUNDS: u32 = 10_000;
        let mut best = std::time::Duration::MAX;
        for _ in 0..7 {
            let mut requests: Vec<_> = (0..ROUNDS)
                .map(|_| request(Some(Arc::clone(&gateway)), headers))
                .collect();
            let start = zt_core::clock::SystemClock.monotonic();
            for request in &mut requests {
                settle(&forwarded, request).unwrap();
            }
            let took = zt_core::clock::SystemClock
                .monotonic()
                .saturating_sub(start);
            best = best.min(took / ROUNDS);
        }
        println!("{what}: {best:?}");
    }
}
