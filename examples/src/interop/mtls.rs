//! Mutual TLS: whom a client's certificate names is answered, and certificates of each kind that must
//! not be believed are handed out too.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, routing::any};
use hyper::body::Incoming;
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::ServiceExt;
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_core::{
    clock::{Clock, SystemClock},
    identity::Principal,
    stack::ZeroTrust,
};
use zt_mtls::{
    credentials::{Credentials, Material},
    peer::{Peers, RequirePeerLayer},
    serve::{Config, serve},
    testing::{Params, TestCa, TestCert, pem, svid_params, valid},
    verify::Trust,
};

use crate::{Result, services::LOCALHOST, shop::write_private};

const DOMAIN: &str = "interop.test";
const GOOD: &str = "spiffe://interop.test/good";
const DAY: Duration = Duration::from_secs(86_400);

/// Serves on a port of its own, and says what `interop.json` has of it. Keys are written into `folder`.
pub(super) async fn mtls(log: &AuditLog, folder: &Path, address: IpAddr) -> Result<Value> {
    let ca = TestCa::new(DOMAIN);
    let mut ours = svid_params("spiffe://interop.test/server");
    ours.subject_alt_names
        .push(SanType::DnsName(LOCALHOST.try_into()?));
    ours.subject_alt_names.push(SanType::IpAddress(address));
    let good = ca.issue(svid_params(GOOD));
    let bad = bad(&ca)?;
    let revoked: Vec<&TestCert> = bad
        .iter()
        .filter(|(name, _)| *name == REVOKED)
        .map(|(_, cert)| cert)
        .collect();

    let list = ca.revocation_list(&revoked, SystemClock.now()?, 365 * DAY);
    let trust = Trust::spiffe([ca.bundle()])?.revocation_lists([list])?;
    let credentials = Credentials::new(Material::new(ca.issue(ours).identity(), trust));
    let everybody = Peers::none().trust_domain(ca.trust_domain().clone());
    let whoami = any(|caller: Principal| async move { caller.subject().to_owned() });
    let app = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .authenticate(RequirePeerLayer::new(everybody))
        .any_authenticated()
        .build()?
        .wrap(
            Router::new()
                .route("/", whoami.clone())
                .route("/whoami", whoami),
        )
        .map_request(|request: Request<Incoming>| request.map(Body::new));
    let listener = TcpListener::bind((address, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { serve(listener, app, Config::new(credentials)).await });

    let folder = folder.join("mtls");
    std::fs::create_dir_all(&folder)?;
    let root = folder.join("ca.pem");
    write_private(&root, &pem("CERTIFICATE", ca.root()))?;
    let files = |name: &str, cert: &TestCert| -> Result<(PathBuf, PathBuf)> {
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        let (chain, key) = (file("pem"), file("key"));
        write_private(&chain, &cert.chain_pem())?;
        write_private(&key, cert.key_pem())?;
        Ok((chain, key))
    };
    let (cert, key) = files("good", &good)?;
    let about_bad: Result<Vec<Value>> = bad
        .iter()
        .map(|(name, cert)| {
            let (cert, key) = files(name, cert)?;
            Ok(json!({"name": name, "cert": cert, "key": key}))
        })
        .collect();
    Ok(json!({
        "url": format!("https://{address}"),
        "ca": root,
        "good": {"cert": cert, "key": key, "spiffe_id": GOOD},
        "bad": about_bad?,
    }))
}

const REVOKED: &str = "revoked";

/// Certificates that are refused in the handshake, each for one reason.
fn bad(ca: &TestCa) -> Result<Vec<(&'static str, TestCert)>> {
    let now = SystemClock.now()?;
    let issued = |change: &dyn Fn(&mut Params)| {
        let mut params = svid_params(GOOD);
        change(&mut params);
        ca.issue(params)
    };
    let named = |uris: &[&str]| -> Result<TestCert> {
        let mut params = svid_params(GOOD);
        params.subject_alt_names = uris
            .iter()
            .map(|uri| Ok(SanType::URI((*uri).try_into()?)))
            .collect::<Result<_>>()?;
        Ok(ca.issue(params))
    };
    let dns = SanType::DnsName("good.interop.test".try_into()?);
    Ok(vec![
        (REVOKED, issued(&|_| ())),
        (
            "expired",
            issued(&|params| valid(params, now.saturating_sub(2 * DAY), now.saturating_sub(DAY))),
        ),
        (
            "not-yet-valid",
            issued(&|params| valid(params, now + DAY, now + 2 * DAY)),
        ),
        ("another-ca", TestCa::new(DOMAIN).workload("/good")),
        (
            "another-trust-domain",
            TestCa::new("other.test").workload("/good"),
        ),
        (
            "name-of-another-trust-domain",
            named(&["spiffe://other.test/good"])?,
        ),
        (
            "no-uri",
            issued(&|params| params.subject_alt_names = vec![dns.clone()]),
        ),
        ("two-uris", named(&[GOOD, "spiffe://interop.test/other"])?),
        ("no-path", named(&["spiffe://interop.test"])?),
        ("trailing-slash", named(&["spiffe://interop.test/good/"])?),
        ("dot-segments", named(&["spiffe://interop.test/a/../good"])?),
        ("percent-encoded", named(&["spiffe://interop.test/g%6Fod"])?),
        ("upper-case-domain", named(&["spiffe://Interop.test/good"])?),
        ("with-a-port", named(&["spiffe://interop.test:443/good"])?),
        ("no-spiffe-id", named(&["https://interop.test/good"])?),
        (
            "a-ca",
            issued(&|params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        ),
        (
            "may-sign-certificates",
            issued(&|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
        ),
        (
            "not-for-signatures",
            issued(&|params| params.key_usages = vec![KeyUsagePurpose::KeyEncipherment]),
        ),
        (
            "for-servers-alone",
            issued(&|params| {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }),
        ),
    ])
}
