//! Everything that can become of a signed request.

use std::time::Duration;

use axum::{Router, routing::any};
use bytes::Bytes;
use http::Request;
use zt_core::{
    body::CollectLimits,
    clock::{Clock, ManualClock, SystemClock},
    decision::Code,
    gate::Settings,
    secret::Secret,
    signature::{
        key::{KeyEntry, KeyRing, SigningKey},
        replay::{MemoryReplays, ReplayMemory},
        sign::SignRequestLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
    stack::ZeroTrust,
};
use zt_examples::raw::{Answer, send};

use super::{App, head, problem, refused, serve, trailers_only};

const SOURCE: [u8; 4] = [127, 0, 3, 120];

/// An application that asks for signatures, and a client that makes them.
fn lab(
    clock: impl Clock + Clone,
    policy: SignaturePolicy,
    replays: impl ReplayMemory,
) -> (App, SignRequestLayer) {
    let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32])).unwrap();
    let keys = KeyRing::new([KeyEntry::new("k", key.verifying_key(), "caller")]).unwrap();
    let zt = ZeroTrust::builder()
        .settings(Settings::default().with_clock(clock.clone()))
        .without_audit()
        .authenticate(VerifySignatureLayer::new(policy, keys, replays).unwrap())
        .any_authenticated()
        .build()
        .unwrap();
    let app = App::new(zt.wrap(Router::new().fallback(any(|| async { "fine" }))));
    (app, SignRequestLayer::new(key, "k").unwrap().clock(clock))
}

/// A signed request, as gRPC or not, whose body is announced and never sent.
fn signed(layer: &SignRequestLayer, grpc: bool, body: &'static str) -> Vec<u8> {
    let method = if grpc { "POST" } else { "GET" };
    let request = Request::builder()
        .method(method)
        .uri("https://lab.example/signed");
    let mut parts = request.body(()).unwrap().into_parts().0;
    let bytes = (!body.is_empty()).then(|| Bytes::from(body));
    layer.sign(&mut parts, bytes.as_ref()).unwrap();
    let mut headers: Vec<String> = parts
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    if grpc {
        headers.push("Content-Type: application/grpc+proto".to_owned());
    }
    if !body.is_empty() {
        headers.push(format!("Content-Length: {}", body.len()));
    }
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    let head = head("/signed", &headers);
    [method.as_bytes(), b" ", &head, b"\r\n"].concat()
}

/// Both renderings of the refusal of a signed request, which is sent `times` times; all but the last
/// pass.
async fn signed_and_refused(
    (app, layer): (App, SignRequestLayer),
    code: Code,
    body: &'static str,
    times: usize,
) {
    let address = serve(app).await;
    for grpc in [false, true] {
        let bytes = signed(&layer, grpc, body);
        let mut answer = Answer::default();
        for left in (0..times).rev() {
            answer = send(SOURCE, address, &bytes).await.unwrap();
            assert_eq!(left > 0, answer.code() == "-", "{code}: {answer:?}");
            assert!(left == 0 || answer.body == "fine", "{code}: {answer:?}");
        }
        if grpc {
            trailers_only(code, &answer);
        } else {
            problem(code, &answer);
        }
    }
}

pub(super) async fn signed_requests() -> Vec<Code> {
    let clock = ManualClock::default();
    let strict = SignaturePolicy::strict;
    let window = strict().replay_window();
    let memory = || MemoryReplays::for_new_keys(window);

    let (app, _) = lab(clock.clone(), strict(), memory());
    refused(app.clone(), Code::SignatureMissing, 121, head("/", &[])).await;
    let forged = [
        "Signature-Input: sig1=(\"@method\" \"@authority\" \"@path\" \"@query\");created=1893456000;nonce=\"n\";keyid=\"k\"",
        "Signature: sig1=:AAAA:",
    ];
    refused(app, Code::SignatureInvalid, 122, head("/", &forged)).await;

    let fresh = lab(clock.clone(), strict(), memory());
    signed_and_refused(fresh, Code::Replayed, "", 2).await;

    // The process has just begun; an earlier one may have seen the request.
    let begun = MemoryReplays::new(window, Duration::from_secs(5), clock.now().unwrap());
    let restarted = lab(clock, strict(), begun);
    signed_and_refused(restarted, Code::ReplayUnavailable, "", 1).await;

    // The body never comes.
    let hasty = strict().buffer(CollectLimits {
        bytes: 1000,
        deadline: Duration::from_millis(10),
    });
    let waiting = lab(SystemClock, hasty, memory());
    signed_and_refused(waiting, Code::RequestTimeout, "body", 1).await;

    vec![
        Code::SignatureMissing,
        Code::SignatureInvalid,
        Code::Replayed,
        Code::ReplayUnavailable,
        Code::RequestTimeout,
    ]
}
