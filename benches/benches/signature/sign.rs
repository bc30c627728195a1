//! Signed requests, made by plain strings and aws-lc-rs: nothing of the project is asked how a
//! signature base looks.

use std::fmt::Write as _;

use aws_lc_rs::{
    digest, hmac,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use http::{HeaderName, HeaderValue, Method};
use zt_benches::Template;
use zt_core::{
    clock::{Clock, SystemClock},
    secret::Secret,
    signature::key::{KeyEntry, KeyRing, VerifyingKey},
};

pub(super) type Answered<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

pub(super) const SECRET: [u8; 32] = *b"only a benchmark's, and 32 bytes";
pub(super) const SHARED_ID: &str = "orders-1";
pub(super) const PUBLIC_ID: &str = "orders-2";

/// What is signed with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    Hmac,
    Ed25519,
}

/// A shared key and a key pair.
pub(super) struct Keys {
    shared: hmac::Key,
    pair: Ed25519KeyPair,
}

impl Keys {
    pub(super) fn new() -> Answered<Self> {
        Ok(Self {
            shared: hmac::Key::new(hmac::HMAC_SHA256, &SECRET),
            pair: Ed25519KeyPair::generate()?,
        })
    }

    pub(super) fn public(&self) -> Answered<[u8; 32]> {
        Ok(self.pair.public_key().as_ref().try_into()?)
    }

    /// Both, as the layer finds them.
    pub(super) fn ring(&self) -> Answered<KeyRing> {
        let shared = VerifyingKey::hmac_sha256(&Secret::new(SECRET.to_vec()))?;
        let public = VerifyingKey::ed25519(&self.public()?)?;
        Ok(KeyRing::new([
            KeyEntry::new(SHARED_ID, shared, "order-service"),
            KeyEntry::new(PUBLIC_ID, public, "order-service"),
        ])?)
    }

    fn sign(&self, algorithm: Algorithm, base: &str) -> String {
        match algorithm {
            Algorithm::Hmac => BASE64.encode(hmac::sign(&self.shared, base.as_bytes())),
            Algorithm::Ed25519 => BASE64.encode(self.pair.sign(base.as_bytes())),
        }
    }
}

/// What a signature covers and says: the identifiers of components and their values, then the
/// parameters, each as they stand in the base.
#[derive(Clone)]
pub(super) struct Sketch {
    pub(super) lines: Vec<(&'static str, String)>,
    pub(super) params: String,
}

impl Sketch {
    /// The list of components with the parameters: RFC 9421 section 2.3.
    pub(super) fn list(&self) -> String {
        let names: Vec<&str> = self.lines.iter().map(|(name, _)| *name).collect();
        format!("({}){}", names.join(" "), self.params)
    }

    /// RFC 9421 section 2.5.
    pub(super) fn base(&self) -> String {
        let mut base = String::new();
        for (name, value) in &self.lines {
            let _ = writeln!(base, "{name}: {value}");
        }
        base + "\"@signature-params\": " + self.list().as_str()
    }

    /// The two fields.
    pub(super) fn fields(&self, keys: &Keys, algorithm: Algorithm) -> [(HeaderName, String); 2] {
        let signature = keys.sign(algorithm, &self.base());
        [
            (
                HeaderName::from_static("signature-input"),
                format!("sig1={}", self.list()),
            ),
            (
                HeaderName::from_static("signature"),
                format!("sig1=:{signature}:"),
            ),
        ]
    }
}

/// As HTTP/2 delivers it, which is what all the peers can read.
const ABSOLUTE: &str = "https://shop.example/orders/7?expand=lines";
/// As HTTP/1.1 delivers it.
const ORIGIN: &str = "/orders/7?expand=lines";

/// A request that a strict policy takes.
pub(super) struct Order<'a> {
    pub(super) keys: &'a Keys,
    pub(super) algorithm: Algorithm,
    pub(super) length: usize,
}

impl Order<'_> {
    pub(super) fn sketch(&self) -> Answered<Sketch> {
        let keyid = match self.algorithm {
            Algorithm::Hmac => SHARED_ID,
            Algorithm::Ed25519 => PUBLIC_ID,
        };
        let created = now()?;
        let mut lines = vec![
            ("\"@method\"", "POST".to_owned()),
            ("\"@authority\"", "shop.example".to_owned()),
            ("\"@path\"", "/orders/7".to_owned()),
            ("\"@query\"", "?expand=lines".to_owned()),
        ];
        if self.length > 0 {
            lines.push(("\"content-digest\"", digest_of(&body(self.length))));
        }
        Ok(Sketch {
            lines,
            params: format!(
                ";created={created};nonce=\"k3r2pp5k7z50gnwpyemdA1Bq\";keyid=\"{keyid}\""
            ),
        })
    }

    pub(super) fn good(&self) -> Answered<Template> {
        self.signed(self.unsigned(ABSOLUTE))
    }

    /// With the target and `Host` instead of a URL.
    pub(super) fn origin_form(&self) -> Answered<Template> {
        self.signed(self.unsigned(ORIGIN))
    }

    /// What nobody may let in: a signature of something else, another query, another body of the
    /// same length, and no signature.
    pub(super) fn bad(&self) -> Answered<Vec<Template>> {
        let good = self.good()?;
        let other = self.unsigned("https://shop.example/orders/7?expand=none");
        let mut all = vec![self.forged()?, self.signed(other)?, self.bare()];
        if self.length > 0 {
            all.push(good.body(vec![b'y'; self.length]));
        }
        Ok(all)
    }

    /// A MAC or a signature over something else.
    pub(super) fn forged(&self) -> Answered<Template> {
        let mut sketch = self.sketch()?;
        let [(name, input), _] = sketch.fields(self.keys, self.algorithm);
        sketch.params.push_str(";tag=\"another\"");
        let [_, (other, signature)] = sketch.fields(self.keys, self.algorithm);
        let request = self.unsigned(ABSOLUTE);
        Ok(request
            .header(name, HeaderValue::from_str(&input)?)
            .header(other, HeaderValue::from_str(&signature)?))
    }

    /// Without a signature.
    pub(super) fn bare(&self) -> Template {
        self.unsigned(ABSOLUTE)
    }

    fn signed(&self, mut request: Template) -> Answered<Template> {
        for (name, value) in self.sketch()?.fields(self.keys, self.algorithm) {
            request = request.header(name, HeaderValue::from_str(&value)?);
        }
        Ok(request)
    }

    /// What a client has before it signs: no digest either.
    pub(super) fn plain(&self) -> Template {
        Template::get(ABSOLUTE)
            .method(Method::POST)
            .body(body(self.length))
    }

    fn unsigned(&self, target: &'static str) -> Template {
        let request = Template::get(target).method(Method::POST);
        if self.length == 0 {
            return request;
        }
        let digest = digest_of(&body(self.length));
        let digest = HeaderValue::from_str(&digest);
        let digest = digest.unwrap_or_else(|_| HeaderValue::from_static(""));
        request
            .header(HeaderName::from_static("content-digest"), digest)
            .body(body(self.length))
    }
}

/// A body of `length` bytes.
pub(super) fn body(length: usize) -> Vec<u8> {
    vec![b'x'; length]
}

/// RFC 9530 section 2.
pub(super) fn digest_of(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    format!("sha-256=:{}:", BASE64.encode(hash))
}

/// Seconds.
pub(super) fn now() -> Answered<u64> {
    Ok(SystemClock.now()?.as_secs())
}
