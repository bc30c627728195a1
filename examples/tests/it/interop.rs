//! The interop server as a stranger's client meets it: curl.

mod budget;
mod mtls;
mod policy;
mod signatures;

use std::{
    io::Write,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use serde_json::{Value, json};
use zt_core::{
    clock::{Clock, SystemClock},
    testing::RedisServer,
};

struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn curl(arguments: &[&str]) -> (u16, String) {
    let output = Command::new("curl")
        .args(["-sS", "-i", "--max-time", "20"])
        .args(arguments)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0);
    (status, text)
}

/// What `openssl` makes of `input`.
fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}

fn base64url(bytes: &[u8]) -> String {
    let text = String::from_utf8(openssl(&["base64", "-A"], bytes)).unwrap();
    let url = text.trim().replace('+', "-").replace('/', "_");
    url.trim_end_matches('=').to_owned()
}

/// r and s of an ECDSA signature in DER, 32 bytes each (RFC 7518 section 3.4).
fn r_and_s(der: &[u8]) -> Vec<u8> {
    let mut rest = &der[2..];
    let mut raw = Vec::new();
    for _ in 0..2 {
        let (number, tail) = rest[2..].split_at(rest[1].into());
        let digits = number.strip_prefix(&[0]).unwrap_or(number);
        raw.resize(raw.len() + 32 - digits.len(), 0);
        raw.extend_from_slice(digits);
        rest = tail;
    }
    raw
}

/// A token as a stranger's client makes it from what `interop.json` says of a key.
fn signed(key: &Value, header: &Value, claims: &Value, folder: &Path) -> String {
    let text = |value: &Value| base64url(value.to_string().as_bytes());
    let input = format!("{}.{}", text(header), text(claims));
    let pem = key["pem"].as_str().unwrap();
    let sha256 = ["dgst", "-sha256", "-sign", pem];
    let signature = match key["alg"].as_str().unwrap() {
        "ES256" => r_and_s(&openssl(&sha256, input.as_bytes())),
        "RS256" => openssl(&sha256, input.as_bytes()),
        // It wants to know how long the message is.
        "EdDSA" => {
            let file = folder.join("message");
            std::fs::write(&file, &input).unwrap();
            let file = file.to_str().unwrap();
            let sign = ["pkeyutl", "-sign", "-inkey", pem, "-rawin", "-in", file];
            openssl(&sign, b"")
        }
        other => panic!("{other}"),
    };
    format!("{input}.{}", base64url(&signature))
}

/// A stranger's client signs tokens by the PEM files.
fn meets_jwt(base: &str, jwt: &Value, folder: &Path) {
    let url = format!("{base}{}", jwt["path"].as_str().unwrap());
    let call = |token: &str| {
        let header = format!("Authorization: Bearer {token}");
        curl(&["-H", &header, &url])
    };
    let now = SystemClock.now().unwrap().as_secs();
    let claims = |audience: &str, expires: u64| {
        json!({
            "iss": jwt["issuer"], "aud": audience, "sub": "stranger", "client_id": "stranger",
            "iat": expires - 300, "exp": expires, "jti": format!("{audience}-{expires}"),
        })
    };
    let audience = jwt["audience"].as_str().unwrap();
    let keys = jwt["keys"].as_array().unwrap();
    let algorithms: Vec<_> = keys
        .iter()
        .map(|key| key["alg"].as_str().unwrap())
        .collect();
    assert_eq!(algorithms, ["ES256", "EdDSA", "RS256"]);
    for key in keys {
        let file = std::fs::metadata(key["pem"].as_str().unwrap()).unwrap();
        assert_eq!(file.permissions().mode() & 0o777, 0o600, "{key}");
        let header = json!({"alg": key["alg"], "kid": key["kid"], "typ": jwt["typ"]});
        let sign = |claims: &Value| signed(key, &header, claims, folder);
        let (status, text) = call(&sign(&claims(audience, now + 300)));
        assert_eq!(status, 200, "{key}: {text}");

        let none = json!({"alg": "none", "typ": jwt["typ"]});
        let unsigned = signed(key, &none, &claims(audience, now + 300), folder);
        let (head, _) = unsigned.rsplit_once('.').unwrap();
        for (what, token, status, code) in [
            (
                "another audience",
                sign(&claims("elsewhere", now + 300)),
                401,
                "credential-invalid",
            ),
            (
                "expired",
                sign(&claims(audience, now - 60)),
                401,
                "credential-expired",
            ),
            (
                "alg none, signed",
                unsigned.clone(),
                401,
                "credential-invalid",
            ),
            ("alg none", format!("{head}."), 400, "credential-malformed"),
        ] {
            let (answered, text) = call(&token);
            assert_eq!(answered, status, "{what}: {key}: {text}");
            assert!(text.contains(code), "{what}: {key}: {text}");
            let challenge = text.to_lowercase().contains("www-authenticate: bearer");
            assert!(challenge || status == 400, "{what}: {text}");
        }
    }
    let (status, text) = curl(&[&url]);
    assert_eq!(status, 401);
    assert!(text.contains("credential-missing"), "{text}");
}

fn described(folder: &Path, server: &mut Server) -> Value {
    let file = folder.join("interop.json");
    loop {
        if let Ok(text) = std::fs::read(&file) {
            return serde_json::from_slice(&text).unwrap();
        }
        assert!(server.0.try_wait().unwrap().is_none(), "the server runs");
        thread::yield_now();
    }
}

/// Where there is no curl a test says that it is skipped.
#[expect(clippy::print_stdout, reason = "it says so")]
fn there_is_curl() -> bool {
    let there = Command::new("curl").arg("--version").output().is_ok();
    assert!(
        there || std::env::var_os("ZT_REQUIRE_SERVERS").is_none(),
        "curl is required"
    );
    if !there {
        println!("skipped: there is no curl");
    }
    there
}

/// A server, and what it says of itself in a folder of that name.
fn started(name: &str, more: &[&str]) -> (Server, Value, PathBuf) {
    let folder = std::env::temp_dir().join(format!("zt-interop-{}-{name}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let server = Command::new(env!("CARGO_BIN_EXE_interop"))
        .args([
            "--listen",
            "127.0.0.1:0",
            "--keys",
            folder.to_str().unwrap(),
        ])
        .args(more)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server(server);
    let about = described(&folder, &mut server);
    (server, about, folder)
}

#[tokio::test]
async fn a_thousand_strangers_at_once_spend_what_there_is() {
    if !there_is_curl() {
        return;
    }
    let (_server, about, folder) = started("race", &[]);
    budget::race(&[about["base_url"].as_str().unwrap()], &about["budget"]).await;
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test]
async fn a_thousand_strangers_at_two_servers_spend_one_budget() {
    let Some(redis) = there_is_curl().then(|| RedisServer::start(&[])).flatten() else {
        return;
    };
    let url = redis.url();
    let (_first, about, folder) = started("first", &["--redis", &url]);
    let (_second, other, second_folder) = started("second", &["--redis", &url]);
    let bases = [&about, &other].map(|about| about["base_url"].as_str().unwrap());
    budget::race(&bases, &about["budget"]).await;
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::remove_dir_all(&second_folder).unwrap();
}

#[test]
fn curl_meets_mutual_tls() {
    if !there_is_curl() {
        return;
    }
    let (_server, about, folder) = started("mtls", &["--mtls"]);
    mtls::meet(&about["mtls"]);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn curl_meets_one_endpoint_a_layer() {
    if !there_is_curl() {
        return;
    }
    let (_server, about, folder) = started("layers", &[]);
    let base = about["base_url"].as_str().unwrap();
    let url = |path: &str| format!("{base}{path}");

    for (preset, header) in [
        ("helmet", "x-frame-options: SAMEORIGIN"),
        ("api", "x-frame-options: DENY"),
        ("owasp", "permissions-policy: "),
        ("html_strict", "content-security-policy: "),
    ] {
        let (status, text) = curl(&[&url(&format!("/open?preset={preset}"))]);
        assert_eq!(status, 200, "{text}");
        assert!(
            text.to_lowercase().contains(&header.to_lowercase()),
            "{preset}: {text}"
        );
    }

    let token = &about["service_token"];
    let header = format!(
        "{}: {}",
        token["header"].as_str().unwrap(),
        token["value"].as_str().unwrap()
    );
    let (path, forbidden) = (
        token["path"].as_str().unwrap(),
        token["forbidden_path"].as_str().unwrap(),
    );
    assert_eq!(curl(&["-H", &header, &url(path)]).0, 200);
    assert_eq!(curl(&["-H", &header, &url(forbidden)]).0, 403);
    let (status, text) = curl(&[&url(path)]);
    assert_eq!(status, 401);
    assert!(text.contains("credential-missing"), "{text}");

    let with_openssl = Command::new("openssl").arg("version").output().is_ok();
    signatures::meet(base, &about["signatures"], &folder, with_openssl);
    if with_openssl {
        meets_jwt(base, &about["jwt"], &folder);
    } else {
        assert!(
            std::env::var_os("ZT_REQUIRE_SERVERS").is_none(),
            "openssl is required"
        );
        println!("skipped in part: there is no openssl");
    }

    let burst = about["limited"]["burst"].as_u64().unwrap();
    let path = about["limited"]["path"].as_str().unwrap();
    for _ in 0..burst {
        assert_eq!(curl(&[&url(path)]).0, 200);
    }
    let (status, text) = curl(&[&url(path)]);
    assert_eq!(status, 429);
    assert!(text.to_lowercase().contains("retry-after: "), "{text}");

    budget::meet(base, &about["budget"]);
    policy::meet(base, &about["policy"]);

    publish(&about["audit"], &folder);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The log of a server that runs, published and checked by a program that knows the specifications
/// alone.
#[expect(clippy::print_stdout, reason = "it says what it skips")]
fn publish(about: &serde_json::Value, folder: &Path) {
    let log = Path::new(about["dir"].as_str().unwrap());
    let out = folder.join("published");
    zt_audit::publish::publish(log, &out).unwrap();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../zt-audit/src/publish/tests/verifier.mjs");
    let ran = Command::new("node")
        .arg(script)
        .arg(&out)
        .arg(about["vkey"].as_str().unwrap())
        .output();
    match ran {
        Ok(ran) => assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        ),
        Err(error) => {
            assert!(
                std::env::var_os("ZT_REQUIRE_SERVERS").is_none(),
                "node is required: {error}"
            );
            println!("skipped: there is no `node`");
        }
    }
}
