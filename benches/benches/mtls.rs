//! A full mutual handshake in memory: what the server's half costs with SPIFFE's rules, beside bare
//! rustls with the same key, groups and provider; and what a peer's identity adds to a request.

use std::{cell::Cell, hint::black_box, io::Write, rc::Rc, sync::Arc, time::Duration};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    },
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection,
    crypto::{CryptoProvider, aws_lc_rs as provider},
    pki_types::ServerName,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use zt_benches::{Bar, Group, Kind, Limit, Options, Outcome, Report, thread_time};
use zt_mtls::{
    client::client_config,
    credentials::{Credentials, Material},
    peer::Peers,
    serve::{probe::Probe, server_config},
    testing::{TestCa, TestCert},
    verify::Trust,
};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// How many the primitives go through.
const SIGNATURES: usize = 4096;

const BARE: &str = "rustls, `WebPkiClientVerifier`";
const OURS: &str = "zt-mtls";
const PRIMITIVES: &str = "the primitives";
const ADDRESSED: &str = "the address alone";
const IDENTIFIED: &str = "address and identity";

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("mtls")?;
    for between in [0, 1] {
        let ca = Ca::new(between);
        let title = format!(
            "the server's half of a mutual handshake, P-256, {}, certificates between leaf and root: {between}",
            ca.group()?,
        );
        let mut group = Group::new(title);
        let bare = Half::new(ca.bare()?, ca.client()?)?;
        group.part(Kind::Base, BARE, "no tickets", move || bare.server());
        let ours = Half::new(ca.ours()?, ca.client()?)?;
        group.part(Kind::Zt, OURS, "with SPIFFE's rules", move || ours.server());
        let primitives = primitives(2 + between)?;
        group.function(
            Kind::Floor,
            PRIMITIVES,
            "key exchange, one signature, one verification a certificate and one more",
            primitives,
        );
        let measured = group.measure(options)?;
        report.group(&measured)?;
        if options.only.is_none() {
            report.bar(Bar::new(
                format!("mtls: the server's handshake, {between} between, against bare rustls"),
                Limit::Times(1.03),
                measured.ratio(OURS, BARE)?,
            ));
            report.line(&format!(
                "The primitives are {:.2} of the server's half.",
                measured.ratio(PRIMITIVES, OURS)?
            ))?;
        }
    }
    requests(options, report)
}

/// What is said of a connection to each of its requests.
fn requests(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let probe = Rc::new(Probe::new(
        TestCa::new("shop.example").credentials("/orders"),
    )?);
    let request = || {
        let request = http::Request::get("/orders").header("host", "orders.internal");
        let request = request
            .header("user-agent", "bench")
            .header("accept", "*/*");
        request.body(()).map(|request| request.into_parts().0)
    };
    let bare = request()?;
    let mut group = Group::new("what a request is told of its connection");
    let (address, template) = (probe.address(), bare.clone());
    group.function(Kind::Base, ADDRESSED, "as any server does", move || {
        let mut parts = black_box(&template).clone();
        parts.extensions.insert(zt_core::context::PeerAddr(address));
        parts.extensions.insert(axum::extract::ConnectInfo(address));
        parts
    });
    let (theirs, template) = (Rc::clone(&probe), bare.clone());
    let admitted = Rc::new(Cell::new(true));
    let all = Rc::clone(&admitted);
    group.function(
        Kind::Zt,
        IDENTIFIED,
        "the certificate has not ended, headers that claim one are gone",
        move || {
            let mut parts = black_box(&template).clone();
            if !theirs.admits(&mut parts) {
                all.set(false);
            }
            parts
        },
    );
    let measured = group.measure(options)?;
    if !admitted.get() {
        return Err("a request of a good peer is refused".into());
    }
    report.group(&measured)?;
    if options.only.is_none() {
        report.bar(Bar::new(
            "mtls: what identity adds to a request",
            report.nanos(200.0),
            measured.over(IDENTIFIED, ADDRESSED)?,
        ));
    }
    Ok(())
}

/// Who vouches for both ends, and their certificates.
struct Ca {
    root: TestCa,
    server: TestCert,
    client: TestCert,
    provider: Arc<CryptoProvider>,
}

impl Ca {
    /// With so many certificates between a leaf and the root.
    fn new(between: usize) -> Self {
        let root = TestCa::new("shop.example");
        let mut issuer = None;
        for number in 0..between {
            let name = format!("between {number}");
            let above: &TestCa = issuer.as_ref().unwrap_or(&root);
            issuer = Some(above.intermediate(&name));
        }
        let issuer = issuer.as_ref().unwrap_or(&root);
        Self {
            server: issuer.workload("/orders"),
            client: issuer.workload("/web"),
            provider: Arc::new(provider::default_provider()),
            root,
        }
    }

    /// The group that both ends agree on.
    fn group(&self) -> Result<String, AnyError> {
        let first = self.provider.kx_groups.first().ok_or("no group")?;
        Ok(format!("{:?}", first.name()))
    }

    fn credentials(&self, leaf: &TestCert) -> Result<Credentials, AnyError> {
        let trust = Trust::spiffe([self.root.bundle()])?;
        Ok(Credentials::new(Material::new(leaf.identity(), trust)))
    }

    fn ours(&self) -> Result<Arc<ServerConfig>, AnyError> {
        let credentials = self.credentials(&self.server)?;
        Ok(server_config(&credentials, &credentials.load(), &[b"h2"])?)
    }

    fn bare(&self) -> Result<Arc<ServerConfig>, AnyError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.root.root().clone())?;
        let provider = Arc::clone(&self.provider);
        let verifier =
            WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider));
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(verifier.build()?)
            .with_single_cert(self.server.chain.clone(), self.server.key.clone_key())?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// The same for both servers.
    fn client(&self) -> Result<Arc<ClientConfig>, AnyError> {
        let servers = Peers::parse(["spiffe://shop.example/orders"])?;
        let credentials = self.credentials(&self.client)?;
        Ok(Arc::new(client_config(&credentials, servers, &[b"h2"])?))
    }
}

/// A server and the client that it shakes hands with.
struct Half {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Half {
    fn new(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> Result<Self, AnyError> {
        let half = Self {
            server,
            client,
            name: ServerName::try_from("orders.internal")?,
        };
        half.handshake()?;
        // A client without a certificate is not let in, or this is no mutual handshake.
        let mut client = ClientConfig::clone(&half.client);
        client.client_auth_cert_resolver = Arc::new(Nobody);
        let nobody = Self {
            client: Arc::new(client),
            server: Arc::clone(&half.server),
            name: half.name.clone(),
        };
        if nobody.handshake().is_ok() {
            return Err("a client without a certificate is let in".into());
        }
        Ok(half)
    }

    /// What the server took of the processor.
    fn server(&self) -> Duration {
        self.handshake().unwrap_or(Duration::MAX / (1 << 20))
    }

    fn handshake(&self) -> Result<Duration, AnyError> {
        let mut client = ClientConnection::new(Arc::clone(&self.client), self.name.clone())?;
        let mut took = Duration::ZERO;
        let (mut sent, mut answer) = (Vec::new(), Vec::new());
        let mut server = timed(&mut took, || {
            ServerConnection::new(Arc::clone(&self.server))
        })?;
        while client.is_handshaking() || server.is_handshaking() {
            sent.clear();
            while client.wants_write() {
                client.write_tls(&mut sent)?;
            }
            answer.clear();
            timed(&mut took, || {
                let mut unread = sent.as_slice();
                while !unread.is_empty() {
                    server.read_tls(&mut unread)?;
                    server.process_new_packets()?;
                }
                while server.wants_write() {
                    server.write_tls(&mut answer)?;
                }
                Ok::<_, AnyError>(())
            })?;
            if sent.is_empty() && answer.is_empty() {
                return Err("the handshake stalls".into());
            }
            let mut unread = answer.as_slice();
            while !unread.is_empty() {
                client.read_tls(&mut unread)?;
                client.process_new_packets()?;
            }
        }
        if server.peer_certificates().is_none_or(<[_]>::is_empty) {
            return Err("the client showed no certificate".into());
        }
        timed(&mut took, || drop(server));
        Ok(took)
    }
}

fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let before = thread_time();
    let done = work();
    *sum += thread_time().saturating_sub(before);
    done
}

/// Has no certificate.
#[derive(Debug)]
struct Nobody;

impl rustls::client::ResolvesClientCert for Nobody {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The key exchange as it is agreed on, one signature and so many verifications.
fn primitives(verifications: usize) -> Result<impl FnMut() -> bool + 'static, AnyError> {
    let provider = provider::default_provider();
    let group = *provider.kx_groups.first().ok_or("no group")?;
    let theirs = group.start()?.pub_key().to_vec();
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
    // As much as a CertificateVerify is over, with SHA-384 (RFC 8446 section 4.4.3).
    let message = [0x20; 64 + 33 + 1 + 48];
    // Another signature each time, as in handshakes: processors learn the course of one.
    let signatures: Result<Vec<_>, _> = (0..SIGNATURES)
        .map(|_| key.sign(&random, &message))
        .collect();
    let signatures = signatures?;
    let public = key.public_key().as_ref().to_vec();
    let mut next = 0;
    Ok(move || {
        let shared = group.start_and_complete(&theirs).is_ok();
        let signed = key.sign(&random, &message).is_ok();
        let verified = (0..verifications).all(|_| {
            next = (next + 1) % SIGNATURES;
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &public);
            signatures
                .get(next)
                .is_some_and(|signature| public.verify(&message, signature.as_ref()).is_ok())
        });
        shared && signed && verified
    })
}
