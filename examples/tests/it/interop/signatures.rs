//! Signed requests of strangers' clients, which build the signature base by themselves from RFC 9421:
//! nothing of zt signs here.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;
use zt_core::clock::{Clock, SystemClock};

use super::openssl;

/// What a client knows of a key.
#[derive(Clone, Copy)]
enum Key<'a> {
    Hmac(&'a [u8]),
    Ed25519(&'a str),
}

/// A request as it is signed; what is sent may differ.
#[derive(Clone)]
struct Message {
    method: &'static str,
    host: String,
    path: String,
    query: String,
    body: Option<Vec<u8>>,
    created: u64,
}

/// The fields that make a request signed.
#[derive(Clone)]
struct Fields {
    digest: Option<String>,
    input: String,
    signature: String,
}

impl Message {
    fn signed(&self, key: Key<'_>, keyid: &str, folder: &Path) -> Fields {
        static NONCES: AtomicU32 = AtomicU32::new(0);
        let nonce = NONCES.fetch_add(1, Ordering::SeqCst);
        let digest = self
            .body
            .as_ref()
            .map(|body| format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body))));
        let mut lines = vec![
            ("@method", self.method.to_owned()),
            ("@authority", self.host.clone()),
            ("@path", self.path.clone()),
            ("@query", self.query.clone()),
        ];
        lines.extend(digest.clone().map(|digest| ("content-digest", digest)));
        let names: Vec<String> = lines
            .iter()
            .map(|(name, _)| format!("\"{name}\""))
            .collect();
        let params = format!(
            "({});created={};nonce=\"stranger-{nonce}\";keyid=\"{keyid}\"",
            names.join(" "),
            self.created
        );
        let mut base = String::new();
        for (name, value) in lines {
            base.push_str(&format!("\"{name}\": {value}\n"));
        }
        base.push_str(&format!("\"@signature-params\": {params}"));
        let signature = STANDARD.encode(sign(key, base.as_bytes(), folder));
        Fields {
            digest,
            input: format!("theirs={params}"),
            signature: format!("theirs=:{signature}:"),
        }
    }
}

fn sign(key: Key<'_>, base: &[u8], folder: &Path) -> Vec<u8> {
    match key {
        Key::Hmac(secret) => {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
            mac.update(base);
            mac.finalize().into_bytes().to_vec()
        }
        Key::Ed25519(pem) => {
            // It wants to know how long the message is.
            let file = folder.join("base");
            fs::write(&file, base).unwrap();
            let file = file.to_str().unwrap();
            let sign = ["pkeyutl", "-sign", "-inkey", pem, "-rawin", "-in", file];
            openssl(&sign, b"")
        }
    }
}

/// Status, head and body of what comes back.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn refused(&self, status: u16, code: &str, what: &str) {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "{what}: {body}");
        assert!(body.contains(&format!("\"{code}\"")), "{what}: {body}");
    }
}

/// A client of one version of HTTP.
struct Client<'a> {
    version: Version,
    runtime: &'a Runtime,
    base: &'a str,
    folder: &'a Path,
    path: &'a str,
    keyid: &'a str,
    key: Key<'a>,
}

const KIND: &str = "application/x-whatever; a=b";

impl Client<'_> {
    fn message(&self, method: &'static str, body: Option<&[u8]>) -> Message {
        Message {
            method,
            host: self.base.trim_start_matches("http://").to_owned(),
            path: format!("{}a//%7Eb%2Fc", self.path),
            query: "?x=1&y=%20".to_owned(),
            body: body.map(<[u8]>::to_vec),
            created: SystemClock.now().unwrap().as_secs(),
        }
    }

    fn signed(&self, message: &Message) -> Fields {
        message.signed(self.key, self.keyid, self.folder)
    }

    fn send(&self, message: &Message, fields: &Fields) -> Answer {
        let mut headers = vec![
            format!("Content-Type: {KIND}"),
            format!("Signature-Input: {}", fields.input),
            format!("Signature: {}", fields.signature),
        ];
        let digest = fields.digest.as_ref();
        headers.extend(digest.map(|digest| format!("Content-Digest: {digest}")));
        self.exchange(message, &headers)
    }

    fn exchange(&self, message: &Message, headers: &[String]) -> Answer {
        if self.version == Version::HTTP_2 {
            self.by_hyper(message, headers)
        } else {
            self.by_curl(message, headers)
        }
    }

    /// HTTP/2 with prior knowledge. Not by curl: some of its versions take it for an error when they
    /// are answered while they still send.
    fn by_hyper(&self, message: &Message, headers: &[String]) -> Answer {
        let url = format!("{}{}{}", self.base, message.path, message.query);
        let mut request = Request::builder().method(message.method).uri(url);
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let body = message.body.clone().unwrap_or_default();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        self.runtime.block_on(async {
            let mut client = legacy::Client::builder(TokioExecutor::new());
            let client = client.http2_only(true).build_http::<Full<Bytes>>();
            let response = client.request(request).await.unwrap();
            let (parts, body) = response.into_parts();
            assert_eq!(parts.version, Version::HTTP_2);
            Answer {
                status: parts.status.as_u16(),
                head: parts
                    .headers
                    .iter()
                    .fold(String::new(), |head, (name, value)| {
                        head + &format!("{name}: {}\r\n", value.to_str().unwrap())
                    }),
                body: body.collect().await.unwrap().to_bytes().to_vec(),
            }
        })
    }

    fn by_curl(&self, message: &Message, headers: &[String]) -> Answer {
        let (out, head) = (self.file("out"), self.file("head"));
        let _ = fs::remove_file(&out);
        let mut curl = Command::new("curl");
        curl.args([
            "-sS",
            "--max-time",
            "20",
            "--http1.1",
            "-H",
            "Expect:",
            "-o",
        ])
        .args([&out, Path::new("-D"), &head]);
        match message.method {
            "HEAD" => curl.arg("--head"),
            method => curl.args(["-X", method]),
        };
        for header in headers {
            curl.args(["-H", header]);
        }
        if let Some(body) = &message.body {
            let file = self.file("in");
            fs::write(&file, body).unwrap();
            curl.arg("--data-binary")
                .arg(format!("@{}", file.display()));
        }
        curl.arg(format!("{}{}{}", self.base, message.path, message.query));
        let output = curl.output().unwrap();
        let head = fs::read_to_string(head).unwrap();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Answer {
            status: status.unwrap_or_else(|| panic!("{output:?}")),
            head,
            body: fs::read(out).unwrap_or_default(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Everything that one key, one path and one version of HTTP can be tried with.
    fn meets_the_endpoint(&self) {
        let body = b"not \0 text \xff\r\n".as_slice();
        self.is_echoed(body);
        self.answers_at_the_top();
        self.is_refused_when_changed(body);
        self.is_refused_when_made_wrong(body);
    }

    fn is_echoed(&self, body: &[u8]) {
        for (method, body) in [
            ("POST", Some(body)),
            ("PUT", Some(b"".as_slice())),
            ("REPORT", Some(body)),
            ("OPTIONS", Some(body)),
            ("OPTIONS", None),
            ("GET", None),
            ("DELETE", None),
            ("HEAD", None),
        ] {
            let message = self.message(method, body);
            let fields = self.signed(&message);
            let answer = self.send(&message, &fields);
            assert_eq!(
                answer.status,
                200,
                "{method}: {} {}",
                answer.head,
                String::from_utf8_lossy(&answer.body)
            );
            // Of HEAD, curl writes the head into the file.
            if method != "HEAD" {
                assert_eq!(answer.body, body.unwrap_or_default(), "{method}");
            }
            let kind = format!("content-type: {KIND}");
            assert!(answer.head.to_lowercase().contains(&kind), "{method}");
            let again = self.send(&message, &fields);
            assert_eq!(again.status, 401, "{method}: {}", again.head);
            if method != "HEAD" {
                again.refused(401, "replayed", method);
            }
        }
    }

    fn answers_at_the_top(&self) {
        let mut message = self.message("GET", None);
        message.path = self.path.to_owned();
        message.query = "?".to_owned();
        let answer = self.send(&message, &self.signed(&message));
        assert_eq!(answer.status, 200, "{}", answer.head);
    }

    fn is_refused_when_changed(&self, body: &[u8]) {
        let message = || self.message("POST", Some(body));
        type Change = fn(&mut Message, &mut Fields);
        let changes: [(&str, Change); 7] = [
            ("body", |sent, _| {
                sent.body = sent.body.take().map(|mut body| {
                    body[0] ^= 1;
                    body
                });
            }),
            ("query", |sent, _| sent.query = "?x=2&y=%20".to_owned()),
            ("query written otherwise", |sent, _| {
                sent.query = "?x=1&y=+".to_owned();
            }),
            ("path", |sent, _| sent.path.push('c')),
            ("path written otherwise", |sent, _| {
                sent.path = sent.path.replace("%7E", "~");
            }),
            ("method", |sent, _| sent.method = "PUT"),
            ("digest taken away", |_, fields| fields.digest = None),
        ];
        for (what, change) in changes {
            let mut sent = message();
            let mut fields = self.signed(&sent);
            change(&mut sent, &mut fields);
            let answer = self.send(&sent, &fields);
            answer.refused(401, "signature-invalid", what);
            assert!(
                answer.head.to_lowercase().contains("accept-signature: "),
                "{what}: {}",
                answer.head
            );
        }
    }

    fn is_refused_when_made_wrong(&self, body: &[u8]) {
        // A body whose digest was never covered.
        let bodiless = self.message("POST", None);
        let fields = self.signed(&bodiless);
        let mut sent = bodiless;
        sent.body = Some(body.to_vec());
        self.send(&sent, &fields)
            .refused(401, "signature-invalid", "no digest");

        for (what, moved) in [("late", -120), ("ahead", 60)] {
            let mut message = self.message("POST", Some(body));
            message.created = message.created.checked_add_signed(moved).unwrap();
            let fields = self.signed(&message);
            self.send(&message, &fields)
                .refused(401, "signature-invalid", what);
        }
        let message = self.message("POST", Some(body));
        let fields = message.signed(Key::Hmac(&[7; 32]), self.keyid, self.folder);
        self.send(&message, &fields)
            .refused(401, "signature-invalid", "another key");
        self.exchange(&message, &[])
            .refused(401, "signature-missing", "unsigned");
    }
}

/// What is signed for one path is no good at the other, and what was accepted there is no good here.
fn crosses_no_path(client: &Client<'_>, other: &str) {
    let message = client.message("POST", Some(b"x"));
    let fields = client.signed(&message);
    let mut elsewhere = message.clone();
    elsewhere.path = elsewhere.path.replace(client.path, other);
    client
        .send(&elsewhere, &fields)
        .refused(401, "signature-invalid", "another path");
    assert_eq!(client.send(&message, &fields).status, 200);
}

/// A body of two megabytes is more than is kept, and flows where it is not kept.
fn large_bodies(client: &Client<'_>, flows: bool) {
    let body = vec![b'a'; 2 * 1024 * 1024];
    let message = client.message("POST", Some(&body));
    let fields = client.signed(&message);
    let answer = client.send(&message, &fields);
    if flows {
        assert_eq!(answer.status, 200, "{}", answer.head);
        assert!(answer.body == body, "{} bytes", answer.body.len());
        let mut sent = client.message("POST", Some(&body));
        let fields = client.signed(&sent);
        sent.body.as_mut().unwrap()[body.len() - 1] = b'b';
        let answer = client.send(&sent, &fields);
        answer.refused(401, "signature-invalid", "the last byte");
    } else {
        answer.refused(413, "body-too-large", "two megabytes");
    }
}

pub(super) fn meet(base: &str, about: &Value, folder: &Path, with_openssl: bool) {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let secret = STANDARD
        .decode(text(&about["hmac"]["secret_base64"]))
        .unwrap();
    let pem = text(&about["ed25519"]["pem"]);
    let mode = fs::metadata(&pem).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let (hmac, ed25519) = (
        text(&about["hmac"]["keyid"]),
        text(&about["ed25519"]["keyid"]),
    );
    let (path, stream_path) = (text(&about["path"]), text(&about["stream_path"]));

    let runtime = Runtime::new().unwrap();
    let mut keys = vec![(hmac.as_str(), Key::Hmac(&secret))];
    if with_openssl {
        keys.push((ed25519.as_str(), Key::Ed25519(&pem)));
    }
    for version in [Version::HTTP_11, Version::HTTP_2] {
        for (path, other) in [(&path, &stream_path), (&stream_path, &path)] {
            for (keyid, key) in &keys {
                let client = Client {
                    version,
                    runtime: &runtime,
                    base,
                    folder,
                    path,
                    keyid,
                    key: *key,
                };
                client.meets_the_endpoint();
                crosses_no_path(&client, other);
                large_bodies(&client, path == &stream_path);
            }
        }
    }
}
