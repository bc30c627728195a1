//! How a [`Denial`] is told: RFC 9457 `application/problem+json`, or a gRPC trailers-only
//! response where the request is `application/grpc*`.
//!
//! [`Render`] can be replaced. Whatever it makes, the gate leaves the [`Denial`] in the response's
//! extensions, for layers outside zt.

use std::fmt::{self, Write as _};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::{
    context::RequestId,
    decision::{Challenge, Code, Denial},
};

/// What a renderer may know about the request it answers.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Asked {
    /// The request's id, as it stands in the audit log.
    pub request_id: RequestId,
    /// Whether the request's content type is `application/grpc` or one of its kin.
    pub grpc: bool,
}

impl Asked {
    /// Facts for a renderer that is called outside a gate.
    #[must_use]
    pub const fn new(request_id: RequestId, grpc: bool) -> Self {
        Self { request_id, grpc }
    }
}

/// Makes the response of a denial.
pub trait Render: fmt::Debug + Send + Sync + 'static {
    /// The response to `denial`.
    fn render(&self, denial: &Denial, asked: Asked) -> Response<Full<Bytes>>;
}

/// The default renderer.
///
/// The body has `type`, `title`, `status`, `detail` (RFC 9457 section 3.1) and the extension
/// members `code` and `request_id`, where they apply `violated-policies` and `fields`.
/// gRPC answers carry `grpc-status`, `grpc-message` and `zt-code` in one header block.
///
/// ```
/// use zt_core::{context::RequestId, decision::{Code, Denial}, problem::{Asked, ProblemJson, Render}};
///
/// let asked = Asked::new(RequestId::from_u128(7), false);
/// let response = ProblemJson::default().render(&Denial::new(Code::CredentialMissing), asked);
/// assert_eq!(response.status(), 401);
/// assert_eq!(response.headers()["www-authenticate"], "Bearer");
/// assert_eq!(response.headers()["content-type"], "application/problem+json");
/// ```
#[derive(Debug, Clone, Default)]
pub struct ProblemJson {
    base: Option<String>,
}

impl ProblemJson {
    /// Problem types become `base` + code, where people can read about them; without one they
    /// are `about:blank`, or the registered type where there is one.
    #[must_use]
    pub fn with_type_base(base: impl Into<String>) -> Self {
        Self {
            base: Some(base.into()),
        }
    }

    fn body(&self, denial: &Denial, request: RequestId) -> Vec<u8> {
        let code = denial.code();
        let status = denial.status();
        let mut out = Vec::with_capacity(320);
        out.extend_from_slice(b"{\"type\":");
        match &self.base {
            Some(base) => string(&mut out, &[base, code.as_str()]),
            None => string(&mut out, &[registered_type(code)]),
        }
        out.extend_from_slice(b",\"title\":");
        string(&mut out, &[status.canonical_reason().unwrap_or("Refused")]);
        out.extend_from_slice(b",\"status\":");
        out.extend_from_slice(status.as_str().as_bytes());
        out.extend_from_slice(b",\"detail\":");
        string(&mut out, &[denial.public_sentence()]);
        out.extend_from_slice(b",\"code\":");
        string(&mut out, &[code.as_str()]);
        out.extend_from_slice(b",\"request_id\":\"");
        out.extend_from_slice(&request.hex());
        out.push(b'"');
        if !denial.violated_policies().is_empty() {
            out.extend_from_slice(b",\"violated-policies\":");
            list(&mut out, denial.violated_policies());
        }
        if !denial.fields().is_empty() {
            out.extend_from_slice(b",\"fields\":");
            list(&mut out, denial.fields());
        }
        out.push(b'}');
        out
    }
}

impl Render for ProblemJson {
    fn render(&self, denial: &Denial, asked: Asked) -> Response<Full<Bytes>> {
        if asked.grpc {
            return grpc(denial);
        }
        let mut response =
            Response::new(Full::new(Bytes::from(self.body(denial, asked.request_id))));
        *response.status_mut() = denial.status();
        common_headers(&mut response, denial);
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response
    }
}

/// A trailers-only response (gRPC over HTTP/2, "Responses"): status 200, everything in the head.
fn grpc(denial: &Denial) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    common_headers(&mut response, denial);
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert(
        "grpc-status",
        HeaderValue::from(u16::from(denial.code().grpc())),
    );
    headers.insert("grpc-message", grpc_message(denial.public_sentence()));
    headers.insert("zt-code", HeaderValue::from_static(denial.code().as_str()));
    response
}

/// Percent-encoded where it has to be (gRPC over HTTP/2, "Responses": Status-Message).
fn grpc_message(sentence: &'static str) -> HeaderValue {
    let plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'%';
    if sentence.bytes().all(plain) {
        return HeaderValue::from_static(sentence);
    }
    let mut out = String::with_capacity(sentence.len().saturating_mul(3));
    for byte in sentence.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    HeaderValue::try_from(out).unwrap_or_else(|_| HeaderValue::from_static("refused"))
}

/// What both renderings carry, and what a renderer of your own should: the challenges of a 401,
/// `Retry-After`, the denial's own headers, `Cache-Control: no-store`.
pub fn common_headers<B>(response: &mut Response<B>, denial: &Denial) {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for challenge in denial.challenges() {
        headers.append(header::WWW_AUTHENTICATE, challenge.header_value().clone());
    }
    // RFC 9110 section 15.5.2: a 401 must carry at least one challenge.
    if denial.status() == StatusCode::UNAUTHORIZED && denial.challenges().is_empty() {
        headers.insert(
            header::WWW_AUTHENTICATE,
            Challenge::new("Bearer").header_value().clone(),
        );
    }
    if let Some(secs) = denial.retry_after_secs() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
    }
    for (name, value) in denial.headers() {
        headers.append(name.clone(), value.clone());
    }
}

/// The IANA-registered problem type where one fits (draft-ietf-httpapi-ratelimit-headers-10).
const fn registered_type(code: Code) -> &'static str {
    match code {
        Code::RateLimited | Code::ConcurrencyLimited | Code::BudgetExhausted => {
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        }
        _ => "about:blank",
    }
}

fn list<S: AsRef<str>>(out: &mut Vec<u8>, items: &[S]) {
    for (index, item) in items.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        string(out, &[item.as_ref()]);
    }
    out.push(b']');
}

/// A JSON string of `parts`, one after the other.
fn string(out: &mut Vec<u8>, parts: &[&str]) {
    out.push(b'"');
    for part in parts {
        let plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..=0x1f);
        if part.as_bytes().iter().all(plain) {
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        for byte in part.bytes() {
            match byte {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
                0..=0x1f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
                _ => out.push(byte),
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http_body_util::BodyExt;

    use super::*;

    fn render(denial: &Denial, grpc: bool) -> (Response<()>, String) {
        let asked = Asked::new(RequestId::from_u128(0xabc), grpc);
        let (parts, body) = ProblemJson::default().render(denial, asked).into_parts();
        let body = futures_util::FutureExt::now_or_never(body.collect())
            .unwrap()
            .unwrap();
        (
            Response::from_parts(parts, ()),
            String::from_utf8(body.to_bytes().to_vec()).unwrap(),
        )
    }

    #[test]
    fn every_code_renders_both_ways() {
        for &code in Code::ALL {
            let denial = Denial::new(code).detail("private");
            let (response, body) = render(&denial, false);
            let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(response.status(), code.status());
            assert_eq!(problem["code"], code.as_str());
            assert_eq!(problem["status"], code.status().as_u16());
            assert_eq!(problem["request_id"], "00000000000000000000000000000abc");
            assert!(!body.contains("private"));
            let headers = response.headers();
            assert_eq!(
                headers.contains_key("www-authenticate"),
                code.status() == 401,
                "{code}"
            );
            assert_eq!(
                headers.contains_key("retry-after"),
                code.status() == 503,
                "{code}"
            );
            assert_eq!(headers["cache-control"], "no-store");

            let (response, body) = render(&denial, true);
            assert_eq!(response.status(), 200);
            assert!(body.is_empty());
            assert_eq!(response.headers()["content-type"], "application/grpc");
            assert_eq!(
                response.headers()["grpc-status"],
                code.grpc().to_string().as_str()
            );
            assert_eq!(response.headers()["zt-code"], code.as_str());
        }
    }

    #[test]
    fn a_sentence_beyond_ascii_is_told_to_grpc_too() {
        // gRPC over HTTP/2, "Responses": Status-Message is percent-encoded.
        let denial = Denial::new(Code::PolicyDenied).sentence("nur für Käufer: 100%\n");
        let (response, _) = render(&denial, true);
        assert_eq!(
            response.headers()["grpc-message"],
            "nur f%C3%BCr K%C3%A4ufer: 100%25%0A"
        );
    }

    #[test]
    fn members_are_named_and_escaped() {
        let denial = Denial::new(Code::RateLimited)
            .violates("per \"minute\"")
            .field("amount")
            .retry_after(Duration::from_millis(1));
        let (response, body) = render(&denial, false);
        let problem: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["violated-policies"][0], "per \"minute\"");
        assert_eq!(problem["fields"][0], "amount");
        assert!(
            problem["type"]
                .as_str()
                .unwrap()
                .ends_with("#quota-exceeded")
        );
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
