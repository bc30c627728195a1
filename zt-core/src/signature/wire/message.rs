//! A message of the vectors, as it is to be sent.

use serde_json::Value;

use super::{UrlScheme, text};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Http1,
    Http2,
}

impl Transport {
    pub(super) const BOTH: [Self; 2] = [Self::Http1, Self::Http2];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "http/1.1",
            Self::Http2 => "http/2",
        }
    }
}

/// A request or a response, nothing of it parsed.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent {
    pub(super) status: Option<u16>,
    pub(super) method: String,
    pub(super) target: String,
    pub(super) scheme: String,
    pub(super) headers: Vec<(String, Vec<u8>)>,
    /// The body: one after the other with HTTP/1.1, or each a chunk; each a frame with HTTP/2.
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) chunked: bool,
    pub(super) trailers: Vec<(String, Vec<u8>)>,
}

impl Sent {
    pub(super) fn get(target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            scheme: "https".to_owned(),
            ..Self::default()
        }
        .with("Host", "www.example.com")
    }

    pub(super) fn from_vector(message: &Value) -> Self {
        let lines = |member: &str| {
            let lines = message[member].as_array().into_iter().flatten();
            lines
                .map(|line| {
                    let [name, value] = [&line[0], &line[1]].map(|part| part.as_str().unwrap());
                    (name.to_owned(), value.as_bytes().to_vec())
                })
                .collect::<Vec<_>>()
        };
        let body = message["body"].as_str().unwrap_or_default();
        let mut sent = Self {
            headers: lines("headers"),
            trailers: lines("trailers"),
            ..Self::default()
        };
        if !body.is_empty() {
            sent.pieces.push(body.as_bytes().to_vec());
        }
        sent.chunked = sent.has("transfer-encoding");
        match message["status"].as_u64() {
            Some(status) => sent.status = Some(status.try_into().unwrap()),
            None => {
                for (field, member) in [
                    (&mut sent.method, "method"),
                    (&mut sent.target, "target"),
                    (&mut sent.scheme, "scheme"),
                ] {
                    text(message, member).clone_into(field);
                }
            }
        }
        sent
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        let value = value.as_bytes().to_vec();
        self.headers.push((name.to_owned(), value));
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.line(name).is_some()
    }

    /// The first line of the field, trimmed.
    pub(super) fn line(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.iter();
        let line = lines.find(|(other, _)| other.eq_ignore_ascii_case(name));
        line.map(|(_, value)| std::str::from_utf8(value).unwrap().trim())
    }

    /// Whether a value is folded (RFC 9112 section 5.2).
    pub(super) fn is_folded(&self) -> bool {
        let mut values = self.headers.iter().map(|(_, value)| value);
        values.any(|value| value.contains(&b'\r'))
    }

    /// As a proxy hands it on: "replace each received obs-fold with one or more SP octets".
    pub(super) fn unfolded(mut self) -> Self {
        for (_, value) in &mut self.headers {
            let text = std::str::from_utf8(value).unwrap();
            if let Some((before, after)) = text.split_once("\r\n") {
                *value = format!("{before} {}", after.trim_start()).into_bytes();
            }
        }
        self
    }

    pub(super) fn body(&self) -> Vec<u8> {
        self.pieces.concat()
    }

    pub(super) fn url_scheme(&self) -> UrlScheme {
        match self.scheme.as_str() {
            "http" => UrlScheme::Http,
            _ => UrlScheme::Https,
        }
    }
}
