//! Clients that others made: OpenSSL's `s_client` and curl, with good certificates and bad ones.
//!
//! Skipped, with a line that says so, where a program is not there; `ZT_REQUIRE_SERVERS=1` fails then.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use tokio::{io::AsyncWriteExt as _, process::Command};
use zt_core::clock::{Clock as _, SystemClock, Timestamp};
use zt_mtls::{
    credentials::{Credentials, Material},
    testing::{Params, TestCa, TestCert, ca_params, pem, svid_params, valid},
    verify::Trust,
};

use crate::client_server::{Served, thumbprint};

const ORDERS: &str = "spiffe://shop.example/orders";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// Whether a program can be run.
fn is_there(program: &str) -> bool {
    let there = std::process::Command::new(program)
        .arg(if program == "curl" {
            "--version"
        } else {
            "version"
        })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !there {
        assert!(
            std::env::var_os("ZT_REQUIRE_SERVERS").is_none_or(|value| value != "1"),
            "{program} is not there"
        );
        println!("skipped: {program} is not there");
    }
    there
}

/// A folder for certificates, until the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-mtls-outside-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A server of shop.example that also trusts partner.example, and has revoked a certificate.
struct Shop {
    ca: TestCa,
    partner: TestCa,
    revoked: Arc<TestCert>,
    server: Served,
    folder: Folder,
    root: PathBuf,
}

impl Shop {
    async fn open() -> Self {
        let ca = TestCa::new("shop.example");
        let partner = TestCa::new("partner.example");
        let revoked = Arc::new(ca.workload("/orders"));
        let now = SystemClock.now().unwrap();
        let day = Duration::from_secs(86_400);
        let trust = Trust::spiffe([ca.bundle(), partner.bundle()]).unwrap();
        let trust = trust
            .revocation_lists([
                ca.revocation_list(&[&revoked], now, day),
                partner.revocation_list(&[], now, day),
            ])
            .unwrap();
        let mut params = svid_params("spiffe://shop.example/payments");
        params
            .subject_alt_names
            .push(SanType::DnsName("localhost".try_into().unwrap()));
        let material = Material::new(ca.issue(params).identity(), trust);
        let server = Served::start(Credentials::new(material)).await;
        let folder = Folder::new();
        let root = folder.write("root.pem", &pem("CERTIFICATE", ca.root()));
        Self {
            ca,
            partner,
            revoked,
            server,
            folder,
            root,
        }
    }

    /// Files of a certificate and its key.
    fn files(&self, name: &str, cert: &TestCert) -> (PathBuf, PathBuf) {
        let name = name.replace(' ', "-");
        (
            self.folder.write(&format!("{name}.pem"), &cert.chain_pem()),
            self.folder.write(&format!("{name}.key"), cert.key_pem()),
        )
    }

    /// Certificates that nobody is let in with, and the alert for each (RFC 8446 section 6.2).
    fn bad(&self) -> Vec<(&'static str, Option<Arc<TestCert>>, Alert)> {
        let issue = |change: fn(&mut Params)| {
            let mut params = svid_params(ORDERS);
            change(&mut params);
            Some(Arc::new(self.ca.issue(params)))
        };
        let with_uris = |uris: &[&str]| {
            let mut params = svid_params(ORDERS);
            params.subject_alt_names = uris
                .iter()
                .map(|uri| SanType::URI((*uri).try_into().unwrap()))
                .collect();
            Some(Arc::new(self.ca.issue(params)))
        };
        let ca_as_leaf = {
            let mut params = ca_params("orders");
            params.subject_alt_names = svid_params(ORDERS).subject_alt_names;
            Some(Arc::new(self.ca.issue(params)))
        };
        let stranger = TestCa::new("stranger.example");
        vec![
            ("none", None, CERTIFICATE_REQUIRED),
            (
                "expired",
                issue(|params| {
                    let end = Timestamp::from_secs(1_000_000_000);
                    valid(params, Timestamp::from_secs(0), end);
                }),
                EXPIRED,
            ),
            (
                "not yet valid",
                issue(|params| {
                    let start = Timestamp::from_secs(4_000_000_000);
                    valid(params, start, Timestamp::from_secs(5_000_000_000));
                }),
                EXPIRED,
            ),
            ("revoked", Some(Arc::clone(&self.revoked)), REVOKED),
            (
                "unknown trust domain",
                Some(Arc::new(stranger.workload("/orders"))),
                UNKNOWN_CA,
            ),
            (
                "by the CA of another trust domain",
                Some(Arc::new(self.partner.issue(svid_params(ORDERS)))),
                UNKNOWN_CA,
            ),
            (
                "by a CA of the same name",
                Some(Arc::new(TestCa::new("shop.example").workload("/orders"))),
                BAD,
            ),
            (
                "for servers alone",
                issue(|params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
                }),
                UNSUPPORTED,
            ),
            (
                "for clients alone",
                issue(|params| {
                    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
                }),
                UNSUPPORTED,
            ),
            ("a CA", ca_as_leaf, UNKNOWN),
            (
                "may sign certificates",
                issue(|params| params.key_usages.push(KeyUsagePurpose::KeyCertSign)),
                UNKNOWN,
            ),
            (
                "not for signatures",
                issue(|params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
                UNKNOWN,
            ),
            ("no URI", with_uris(&[]), UNKNOWN),
            (
                "two URIs",
                with_uris(&[ORDERS, "spiffe://shop.example/ledger"]),
                UNKNOWN,
            ),
            (
                "the trust domain itself",
                with_uris(&["spiffe://shop.example"]),
                UNKNOWN,
            ),
            (
                "an ID in upper case",
                with_uris(&["SPIFFE://shop.example/orders"]),
                UNKNOWN,
            ),
            (
                "a chain that is too long",
                Some({
                    let mut cert = self.ca.workload("/orders");
                    cert.chain.extend(vec![self.ca.root().clone(); 10]);
                    Arc::new(cert)
                }),
                BAD,
            ),
        ]
    }
}

/// Number and name, as OpenSSL writes them.
type Alert = (u8, &'static str);

const BAD: Alert = (42, "alert bad certificate");
const UNSUPPORTED: Alert = (43, "alert unsupported certificate");
const REVOKED: Alert = (44, "alert certificate revoked");
const EXPIRED: Alert = (45, "alert certificate expired");
const UNKNOWN: Alert = (46, "alert certificate unknown");
const UNKNOWN_CA: Alert = (48, "alert unknown ca");
const PROTOCOL_VERSION: Alert = (70, "alert protocol version");
const CERTIFICATE_REQUIRED: Alert = (116, "alert certificate required");

/// What a program wrote, and whether it says that all went well.
struct Said {
    out: String,
    log: String,
    well: bool,
}

async fn run(mut command: Command, input: &[u8]) -> Said {
    let mut child = command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move {
        // It may have ended before it has read everything.
        let _ = stdin.write_all(input).await;
        stdin
    };
    let both = async { tokio::join!(feed, child.wait_with_output()) };
    let (_, output) = tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("a program that ends");
    let output = output.unwrap();
    Said {
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
        well: output.status.success(),
    }
}

/// `openssl s_client`, until the server closes.
fn s_client(shop: &Shop, shown: Option<(&Path, &Path)>, version: &str) -> Command {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-quiet", "-verify_return_error", version])
        .arg("-connect")
        .arg(shop.server.address.to_string())
        .arg("-CAfile")
        .arg(&shop.root);
    if let Some((cert, key)) = shown {
        command.arg("-cert").arg(cert).arg("-cert_chain").arg(cert);
        command.arg("-key").arg(key);
    }
    command
}

fn curl(shop: &Shop, shown: Option<(&Path, &Path)>, options: &[&str]) -> Command {
    let port = shop.server.address.port();
    let mut command = Command::new("curl");
    command
        .args(["-q", "--silent", "--show-error", "--noproxy", "*"])
        .args(["--max-time", "30", "--write-out", " HTTP/%{http_version}"])
        .args(options)
        .arg("--resolve")
        .arg(format!("localhost:{port}:127.0.0.1"))
        .arg("--cacert")
        .arg(&shop.root);
    if let Some((cert, key)) = shown {
        command.arg("--cert").arg(cert).arg("--key").arg(key);
    }
    command.arg(format!("https://localhost:{port}/"));
    command
}

fn paths((cert, key): &(PathBuf, PathBuf)) -> (&Path, &Path) {
    (cert, key)
}

#[tokio::test]
async fn openssl_is_let_in_with_a_good_certificate_and_with_no_other() {
    if !is_there("openssl") {
        return;
    }
    let shop = Shop::open().await;
    let good = shop.ca.workload("/orders");
    let files = shop.files("good", &good);
    let said = run(s_client(&shop, Some(paths(&files)), "-tls1_3"), REQUEST).await;
    assert!(
        said.out.starts_with("HTTP/1.1 200"),
        "{}\n{}",
        said.out,
        said.log
    );
    let thumbprint = thumbprint(&good.chain[0]);
    assert!(
        said.out.contains(&thumbprint),
        "the server sees it: {}",
        said.out
    );

    for (name, cert, (number, text)) in shop.bad() {
        let files = cert.map(|cert| shop.files(name, &cert));
        let said = run(
            s_client(&shop, files.as_ref().map(paths), "-tls1_3"),
            REQUEST,
        )
        .await;
        let number = format!("SSL alert number {number}\n");
        assert!(
            said.log.contains(text) && said.log.contains(&number),
            "{name}: {text}, not {}",
            said.log
        );
        assert!(!said.out.contains("HTTP/"), "{name}: {}", said.out);
    }
    assert_eq!(shop.server.requests(), 1);
}

#[tokio::test]
async fn curl_is_let_in_with_a_good_certificate_and_with_no_other() {
    if !is_there("curl") {
        return;
    }
    let shop = Shop::open().await;
    let files = shop.files("good", &shop.ca.workload("/orders"));
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let said = run(curl(&shop, Some(paths(&files)), &[option]), b"").await;
        assert!(said.well, "{}", said.log);
        assert_eq!(said.out, format!("hello HTTP/{version}"));
    }
    for (name, cert, (_, text)) in shop.bad() {
        let files = cert.map(|cert| shop.files(name, &cert));
        let said = run(curl(&shop, files.as_ref().map(paths), &[]), b"").await;
        assert!(
            !said.well && !said.out.contains("hello"),
            "{name}: {}",
            said.out
        );
        assert!(said.log.contains(text), "{name}: {text}, not {}", said.log);
    }
    assert_eq!(shop.server.requests(), 2);
}

#[tokio::test]
async fn tls_1_2_is_refused_whatever_certificate_is_shown() {
    let shop = Shop::open().await;
    let files = shop.files("good", &shop.ca.workload("/orders"));
    let (number, text) = PROTOCOL_VERSION;
    if is_there("openssl") {
        let said = run(s_client(&shop, Some(paths(&files)), "-tls1_2"), REQUEST).await;
        let number = format!("SSL alert number {number}\n");
        assert!(said.log.contains(&number), "{}", said.log);
    }
    if is_there("curl") {
        let options = ["--tls-max", "1.2"];
        let said = run(curl(&shop, Some(paths(&files)), &options), b"").await;
        assert!(!said.well && said.log.contains(text), "{}", said.log);
    }
    assert_eq!(shop.server.requests(), 0);
}

#[tokio::test]
async fn there_is_no_renegotiation() {
    if !is_there("openssl") {
        return;
    }
    let shop = Shop::open().await;
    let (cert, key) = shop.files("good", &shop.ca.workload("/orders"));
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect"])
        .arg(shop.server.address.to_string())
        .arg("-CAfile")
        .arg(&shop.root)
        .arg("-cert")
        .arg(cert)
        .arg("-key")
        .arg(key);
    // A line with `R` alone asks `s_client` to negotiate again.
    let said = run(command, b"R\n").await;
    let all = format!("{}{}", said.out, said.log);
    assert!(all.contains("RENEGOTIATING"), "{all}");
    assert!(
        all.contains("Secure Renegotiation IS NOT supported"),
        "{all}"
    );
    assert!(all.contains("wrong ssl version"), "{all}");
    assert_eq!(shop.server.requests(), 0);
}

/// A certificate of the right CA for an RSA key of 1024 bits: its signature in the handshake is too weak.
#[tokio::test]
async fn openssl_is_refused_with_a_key_that_is_too_short() {
    if !is_there("openssl") {
        return;
    }
    let shop = Shop::open().await;
    for (bits, alert) in [("2048", None), ("1024", Some("alert decrypt error"))] {
        let key = shop.folder.0.join(format!("{bits}.key"));
        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            command.args(arguments);
            command
        };
        let mut generate = openssl(&["genrsa", "-out"]);
        generate.arg(&key).arg(bits);
        assert!(run(generate, b"").await.well);
        let mut public = openssl(&["rsa", "-RSAPublicKey_out", "-in"]);
        public.arg(&key);
        let public = run(public, b"").await;
        let mut params = svid_params(ORDERS);
        params.serial_number = Some(rcgen::SerialNumber::from(1024_u64));
        let chain = shop.ca.certify_rsa(&params, &public.out);
        let cert = shop.folder.write(&format!("{bits}.pem"), &chain);
        let mut command = s_client(&shop, Some((&cert, &key)), "-tls1_3");
        command.args(["-cipher", "DEFAULT@SECLEVEL=0"]);
        let said = run(command, REQUEST).await;
        match alert {
            Some(alert) => assert!(said.log.contains(alert), "{bits}: {}", said.log),
            None => assert!(said.out.starts_with("HTTP/1.1 200"), "{bits}: {}", said.log),
        }
    }
}
