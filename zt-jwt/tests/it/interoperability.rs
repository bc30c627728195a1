//! Tokens of other programs, and other programs with our tokens: OpenSSL's command line, and the
//! `crypto` module of Node.js without any package. Where one is missing its tests say so and pass,
//! unless it is OpenSSL and `ZT_REQUIRE_SERVERS=1`.

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{self, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use zt_core::clock::{Clock, SystemClock};
use zt_jwt::{
    Algorithm, HttpService, Issuer, KeySet, Refusal, VerificationKey, Verifier, testing::TestIssuer,
};

use crate::support::{AUDIENCE, base64url, from_base64url};

const NAME: &str = "https://issuer.example";

/// Whether `program` is there, or may be missing.
fn is_here(program: &str) -> bool {
    let found = Command::new(program)
        .arg("version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        let required =
            program == "openssl" && env::var("ZT_REQUIRE_SERVERS").is_ok_and(|value| value == "1");
        assert!(!required, "`{program}` is required and not there");
        println!("skipped: there is no `{program}`");
    }
    found
}

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!(
            "zt-jwt-{}-{}",
            process::id(),
            NEXT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.0.join(name), text).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.join(name)).unwrap()
    }

    /// Runs `openssl` in this folder, and says whether it was content.
    fn openssl(&self, arguments: &str) -> bool {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .output()
            .unwrap();
        output.status.success()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn claims() -> Value {
    let now = SystemClock.now().unwrap().as_secs();
    json!({ "iss": NAME, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + 300 })
}

fn verifier(key: VerificationKey) -> Verifier {
    let keys = KeySet::new([key]).unwrap();
    let builder = Verifier::builder().issuer(Issuer::keys(NAME, AUDIENCE, keys));
    builder.build().unwrap()
}

async fn refusal(verifier: &Verifier, token: &str) -> Option<Refusal> {
    let verified = verifier.verify(token, None).await;
    verified.err().map(|refused| refused.refusal())
}

/// ECDSA-Sig-Value (RFC 3279 section 2.2.3) as JOSE has it: two numbers of `size` bytes.
fn p1363(der: &[u8], size: usize) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut number = || {
        let length = usize::from(rest[1]);
        let digits = &rest[2..2 + length];
        rest = &rest[2 + length..];
        let digits = digits.strip_prefix(&[0]).unwrap_or(digits);
        [vec![0; size - digits.len()], digits.to_vec()].concat()
    };
    [number(), number()].concat()
}

/// The way back.
fn der(p1363: &[u8]) -> Vec<u8> {
    let number = |bytes: &[u8]| {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let mut digits = bytes[zeros..].to_vec();
        if digits.first().is_none_or(|byte| *byte >= 0x80) {
            digits.insert(0, 0);
        }
        [vec![2, u8::try_from(digits.len()).unwrap()], digits].concat()
    };
    let (r, s) = p1363.split_at(p1363.len() / 2);
    let body = [number(r), number(s)].concat();
    [vec![0x30, u8::try_from(body.len()).unwrap()], body].concat()
}

#[tokio::test]
async fn tokens_that_openssl_signs_pass_and_changed_ones_do_not() {
    if !is_here("openssl") {
        return;
    }
    for (algorithm, new_key) in [
        (Algorithm::Rs256, "RSA -pkeyopt rsa_keygen_bits:2048"),
        (Algorithm::Es256, "EC -pkeyopt ec_paramgen_curve:P-256"),
    ] {
        let folder = Folder::new();
        assert!(folder.openssl(&format!("genpkey -algorithm {new_key} -out key.pem")));
        assert!(folder.openssl("pkey -in key.pem -pubout -out public.pem"));
        let header = base64url(json!({ "alg": algorithm, "typ": "JWT" }).to_string());
        let signed = format!("{header}.{}", base64url(claims().to_string()));
        folder.write("signed", &signed);
        assert!(folder.openssl("dgst -sha256 -sign key.pem -out signature signed"));
        let mut signature = folder.read("signature");
        if algorithm == Algorithm::Es256 {
            signature = p1363(&signature, 32);
        }
        let key = VerificationKey::from_pem(&folder.read("public.pem"), algorithm).unwrap();
        let verifier = verifier(key);
        let good = format!("{signed}.{}", base64url(&signature));
        assert_eq!(refusal(&verifier, &good).await, None, "{algorithm}");
        if let Some(byte) = signature.last_mut() {
            *byte ^= 1;
        }
        let bad = format!("{signed}.{}", base64url(&signature));
        assert_eq!(refusal(&verifier, &bad).await, Some(Refusal::Signature));
    }
}

#[test]
fn openssl_verifies_our_tokens_and_not_changed_ones() {
    if !is_here("openssl") {
        return;
    }
    let issuer = TestIssuer::offline();
    for algorithm in [Algorithm::Rs256, Algorithm::Es256] {
        let folder = Folder::new();
        let token = issuer.token("ada").audience(AUDIENCE).algorithm(algorithm);
        let token = token.mint();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let mut signature = from_base64url(signature).unwrap();
        if algorithm == Algorithm::Es256 {
            signature = der(&signature);
        }
        folder.write("public.pem", issuer.public_key_pem(algorithm));
        folder.write("signature", signature);
        folder.write("signed", signed);
        let verify = "dgst -sha256 -verify public.pem -signature signature signed";
        assert!(folder.openssl(verify), "{algorithm}");
        folder.write("signed", format!("{signed}A"));
        assert!(!folder.openssl(verify), "{algorithm}");
    }
}

/// Signs, and verifies, with nothing but what Node.js brings along.
const NODE: &str = r#"
const crypto = require('node:crypto');
const ways = {
  ES256: ['sha256', { dsaEncoding: 'ieee-p1363' }, () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-256' })],
  ES384: ['sha384', { dsaEncoding: 'ieee-p1363' }, () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-384' })],
  ES512: ['sha512', { dsaEncoding: 'ieee-p1363' }, () => crypto.generateKeyPairSync('ec', { namedCurve: 'P-521' })],
  EdDSA: [null, {}, () => crypto.generateKeyPairSync('ed25519')],
  RS256: ['sha256', {}, () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })],
  PS256: ['sha256', { padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 },
    () => crypto.generateKeyPairSync('rsa', { modulusLength: 2048 })],
};
const { claims, tokens, jwks } = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
const keys = [], signed = {}, verified = {};
for (const [alg, [hash, options, generate]] of Object.entries(ways)) {
  const { publicKey, privateKey } = generate();
  keys.push({ ...publicKey.export({ format: 'jwk' }), kid: alg.toLowerCase(), alg, use: 'sig' });
  const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const input = encode({ alg, kid: alg.toLowerCase() }) + '.' + encode(claims);
  const signature = crypto.sign(hash, Buffer.from(input), { key: privateKey, ...options });
  signed[alg] = input + '.' + signature.toString('base64url');
}
for (const token of tokens) {
  const [header, payload, signature] = token.split('.');
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url'));
  const jwk = jwks.keys.find(key => key.kid === kid && key.alg === alg);
  const key = crypto.createPublicKey({ key: jwk, format: 'jwk' });
  const [hash, options] = ways[alg];
  const verify = text => crypto.verify(hash, Buffer.from(text), { key, ...options },
    Buffer.from(signature, 'base64url'));
  verified[alg] = verify(header + '.' + payload) && !verify(header + '.' + payload + 'A');
}
console.log(JSON.stringify({ jwks: { keys }, signed, verified }));
"#;

#[tokio::test]
async fn node_and_we_verify_each_others_tokens_by_each_others_key_sets() {
    if !is_here("node") {
        return;
    }
    let algorithms = [
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
        Algorithm::Rs256,
        Algorithm::Ps256,
    ];
    let issuer = TestIssuer::offline().with_algorithms(algorithms);
    let mint = |algorithm| {
        issuer
            .token("ada")
            .audience(AUDIENCE)
            .algorithm(algorithm)
            .mint()
    };
    let jwks: Value = serde_json::from_str(&issuer.jwks()).unwrap();
    let input = json!({ "claims": claims(), "tokens": algorithms.map(mint), "jwks": jwks });
    let mut child = Command::new("node")
        .args(["-e", NODE])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();

    let keys = KeySet::parse(said["jwks"].to_string().as_bytes()).unwrap();
    let builder = Verifier::builder().issuer(Issuer::keys(NAME, AUDIENCE, keys));
    let verifier = builder.build().unwrap();
    for algorithm in algorithms {
        let name = algorithm.as_str();
        let token = said["signed"][name].as_str().unwrap();
        assert_eq!(refusal(&verifier, token).await, None, "{name}");
        assert_eq!(said["verified"][name], true, "{name}");
    }
}

/// Keys over TLS from OpenSSL's server. Certificate authorities are read from the environment once
/// a process, so each half is a process of its own: this test again.
#[test]
fn keys_come_over_tls_from_a_server_whose_certificate_is_good_and_from_no_other() {
    const NAME: &str = concat!(
        "interoperability::",
        "keys_come_over_tls_from_a_server_whose_certificate_is_good_and_from_no_other"
    );
    if let Ok(url) = env::var("ZT_TEST_KEYS_URL") {
        let fetched = fetch(&url);
        let expected = env::var("ZT_TEST_KEYS_COME").is_ok();
        assert_eq!(fetched.is_ok(), expected, "{fetched:?}");
        return;
    }
    if !is_here("openssl") {
        return;
    }
    let folder = Folder::new();
    let request = "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
    for command in [
        &format!("{request} -x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"),
        &format!("{request} -x509 -days 2 -subj /CN=another -keyout other.key -out other.pem"),
        &format!("{request} -subj /CN=localhost -keyout server.key -out server.csr"),
    ] {
        assert!(folder.openssl(command), "{command}");
    }
    folder.write("names", "subjectAltName=DNS:localhost\n");
    assert!(folder.openssl(
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
         -extfile names -out server.pem"
    ));
    let keys = TestIssuer::offline().jwks();
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", keys.len());
    folder.write("keys.json", head + &keys);

    let mut server = Command::new("openssl")
        .args("s_server -accept 127.0.0.1:0 -cert server.pem -key server.key -HTTP".split(' '))
        .current_dir(&folder.0)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(server.stdout.as_mut().unwrap());
    let port = said
        .lines()
        .map_while(Result::ok)
        .find_map(|line| Some(line.strip_prefix("ACCEPT ")?.rsplit_once(':')?.1.to_owned()));
    let port = port.unwrap();
    let mut halves = Vec::new();
    for (host, authority, come) in [
        ("localhost", "ca.pem", true),
        // Another authority, and a name that is not in the certificate.
        ("localhost", "other.pem", false),
        ("127.0.0.1", "ca.pem", false),
    ] {
        let mut half = Command::new(env::current_exe().unwrap());
        half.args(["--exact", NAME, "--nocapture"])
            .env("SSL_CERT_FILE", folder.0.join(authority))
            .env_remove("SSL_CERT_DIR")
            .env(
                "ZT_TEST_KEYS_URL",
                format!("https://{host}:{port}/keys.json"),
            );
        if come {
            half.env("ZT_TEST_KEYS_COME", "1");
        }
        let output = half.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let ran = said.contains("1 passed");
        halves.push((host, authority, output.status.success() && ran, said));
    }
    let _ = server.kill();
    let _ = server.wait();
    for (host, authority, good, said) in halves {
        assert!(good, "{host} {authority}: {said}");
    }
}

fn fetch(url: &str) -> Result<(), Refusal> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let http = HttpService::hyper().unwrap();
        let issuer = Issuer::jwks(NAME, url, AUDIENCE, http).unwrap();
        let verifier = Verifier::builder().issuer(issuer).build().unwrap();
        let fetched = verifier.fetch_keys().await;
        fetched.map_err(|refused| refused.refusal())
    })
}
