//! What somebody between client and server would try, and who has a key of their own.

use std::time::Duration;

use proptest::prelude::*;

mod messages;
mod signatures;
mod troubles;

use super::*;
use crate::{
    authenticate::{Authenticate, with_body},
    signature::{
        base::StructuredType,
        key::{KeyQuestion, KeyResolver, Purpose, Resolving},
    },
};

const PARAMS: &str = ";created=NOW;keyid=\"k1\";nonce=\"n1\"";

/// `request`, signed with the good key over whatever is claimed to be covered.
fn over(
    request: Request<Full<Bytes>>,
    lines: &[(&str, &str)],
    params: &str,
) -> Request<Full<Bytes>> {
    let all: Vec<_> = STRICT.iter().chain(lines).copied().collect();
    labelled(request, "sig1", &all, params)
}

fn labelled(
    mut request: Request<Full<Bytes>>,
    label: &str,
    lines: &[(&str, &str)],
    params: &str,
) -> Request<Full<Bytes>> {
    let params = params.replace("NOW", &now().to_string());
    let names: Vec<_> = lines.iter().map(|(name, _)| *name).collect();
    let params = format!("({}){params}", names.join(" "));
    let mut base = String::new();
    for (name, value) in lines {
        base += &format!("{name}: {value}\n");
    }
    base += &format!("\"@signature-params\": {params}");
    let mut mac = Hmac::<Sha256>::new_from_slice(&SECRET).unwrap();
    mac.update(base.as_bytes());
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let headers = request.headers_mut();
    let input = format!("{label}={params}").parse().unwrap();
    headers.append("signature-input", input);
    let signature = format!("{label}=:{signature}:").parse().unwrap();
    headers.append("signature", signature);
    request
}

/// What the strict policy asks of `Draft::default()`.
const STRICT: [(&str, &str); 4] = [
    ("\"@method\"", "GET"),
    ("\"@authority\"", "shop.example"),
    ("\"@path\"", "/orders/7"),
    ("\"@query\"", "?full=1"),
];

fn plain() -> Request<Full<Bytes>> {
    Draft::default().unsigned()
}

fn with_field(lines: &[&str]) -> Request<Full<Bytes>> {
    let mut request = plain();
    for line in lines {
        let value = HeaderValue::from_bytes(line.as_bytes()).unwrap();
        request.headers_mut().append("x-dict", value);
    }
    request
}

fn typed(kind: StructuredType) -> Server {
    let name = HeaderName::from_static("x-dict");
    server(SignaturePolicy::strict().structured(name, kind))
}
