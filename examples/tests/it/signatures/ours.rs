//! We sign, they verify; they sign their answers, and we verify those.

use std::{
    convert::{Infallible, identity},
    net::SocketAddr,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, request, response};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower::{Layer as _, ServiceExt as _, service_fn};
use zt_core::{
    clock::{Clock as _, ManualClock, SystemClock},
    digest::{ContentDigest, DigestAlgorithm},
    signature::{
        Algorithm,
        base::Component,
        key::{KeyEntry, KeyRefusal, KeyRing, Purpose},
        response::{Invalid, NotVerified, ResponsePolicy, VerifyResponseLayer},
        sign::{SignRequestLayer, TargetError},
    },
};

use super::{
    ANSWERS, Keys, REQUESTS,
    peer::{Peer, PeerServer},
};

/// What they say.
#[derive(Clone, Copy)]
enum Said {
    Accepted,
    /// The signature is not that of the message.
    DoesNotHold,
    /// This, by the library for Python and by that for Node.
    Refused(&'static str, &'static str),
    /// This, by the library for Python; that for Node does not look.
    RefusedByPython(&'static str),
    /// By the library for Python; that for Node is not asked.
    AcceptedByPython,
    /// By the library for Python; to that for Node, the signature is not that of the message.
    DoesNotHoldForNode,
}
use Said::{Accepted, AcceptedByPython, DoesNotHold, DoesNotHoldForNode, Refused, RefusedByPython};

struct Case {
    name: &'static str,
    target: &'static str,
    body: &'static str,
    layer: fn(SignRequestLayer) -> SignRequestLayer,
    /// What happens to the request between us and them.
    change: fn(&mut Request<Full<Bytes>>),
    tag: Option<&'static str>,
    said: Said,
}

const TARGET: &str = "/charges?order=7&to=a%2Fb%20c";
const BODY: &str = "7 EUR";

const POST: Case = Case {
    name: "a body",
    target: TARGET,
    body: BODY,
    layer: identity,
    change: |_| (),
    tag: None,
    said: Accepted,
};

const fn get(name: &'static str, target: &'static str) -> Case {
    Case {
        name,
        target,
        body: "",
        ..POST
    }
}

const fn changed(name: &'static str, change: fn(&mut Request<Full<Bytes>>), said: Said) -> Case {
    Case {
        name,
        change,
        said,
        ..POST
    }
}

const fn signed(
    name: &'static str,
    layer: fn(SignRequestLayer) -> SignRequestLayer,
    said: Said,
) -> Case {
    Case {
        name,
        layer,
        said,
        ..POST
    }
}

const CASES: &[Case] = &[
    POST,
    get("no query", "/charges"),
    get("no path", "/"),
    get("a query of nothing", "/charges?"),
    get("octets in the path", "/a%20b/%C3%A9?x&x="),
    signed(
        "sha-512",
        |layer| layer.digest(DigestAlgorithm::Sha512),
        AcceptedByPython,
    ),
    Case {
        tag: Some("orders"),
        ..signed(
            "a tag and an end",
            |layer| ending(layer.tag("orders").unwrap(), 30),
            Accepted,
        )
    },
    // RFC 9421 section 2.2.8, see the other table.
    Case {
        layer: parameter,
        ..get("a parameter of the query", TARGET)
    },
    Case {
        layer: parameter,
        said: DoesNotHoldForNode,
        ..get("a parameter with a tilde", "/charges?order=7&to=a%21b~c")
    },
    changed(
        "another method",
        |request| *request.method_mut() = Method::PUT,
        DoesNotHold,
    ),
    changed(
        "another path",
        |request| redirect(request, "/charges", "/refunds"),
        DoesNotHold,
    ),
    changed(
        "another query",
        |request| redirect(request, "order=7", "order=8"),
        DoesNotHold,
    ),
    changed(
        "another host",
        |request| set(request, "host", "elsewhere.test"),
        DoesNotHold,
    ),
    changed(
        "another time",
        |request| replace(request, "signature-input", ";created=1", ";created=2"),
        // It looks at the time before the signature.
        Refused(
            "InvalidSignature: Signature \"created\" parameter",
            "ExpiredError",
        ),
    ),
    changed(
        "another nonce",
        |request| replace(request, "signature-input", ";nonce=\"", ";nonce=\"x"),
        DoesNotHold,
    ),
    changed(
        "another body",
        |request| *request.body_mut() = Full::from("9 EUR"),
        Refused(
            "InvalidSignature: Content-Digest does not match the message body",
            "Error: another digest",
        ),
    ),
    changed(
        "another body with its digest",
        |request| {
            let digest = ContentDigest::of(DigestAlgorithm::Sha256, b"9 EUR").header_value();
            request.headers_mut().insert("content-digest", digest);
            *request.body_mut() = Full::from("9 EUR");
        },
        DoesNotHold,
    ),
    Case {
        tag: Some("refunds"),
        ..signed(
            "for something else",
            |layer| layer.tag("orders").unwrap(),
            RefusedByPython("InvalidSignature: No signatures found matching the expected tag"),
        )
    },
    signed(
        "it has ended",
        |layer| ending(ago(layer, 40), 10),
        Refused(
            "InvalidSignature: Signature \"expires\" parameter is set to a time in the past",
            "ExpiredError: Signature has expired",
        ),
    ),
    signed(
        "two minutes old",
        |layer| ago(layer, 120),
        Refused(
            "InvalidSignature: Signature age exceeds maximum allowable age",
            "ExpiredError: Signature is too old",
        ),
    ),
];

pub(super) async fn sign(peer: &Peer, keys: &Keys) {
    let plan = json!({"keys": keys.told, "alg": keys.algorithm.as_str()});
    let server = peer.serve("verify", &plan).await;
    for case in CASES {
        let python = peer.is_python();
        let said = match case.said {
            RefusedByPython(_) | AcceptedByPython if !python => continue,
            DoesNotHoldForNode if !python => DoesNotHold,
            said => said,
        };
        let (status, answer, believed) = send(&server, keys, case).await;
        let refused = answer["refused"].as_str();
        println!(
            "signed by zt, verified by {}, {}, {}: {status} {}; the answer, by zt: {}",
            peer.name,
            keys.algorithm.as_str(),
            case.name,
            refused.unwrap_or("-"),
            if believed { "verified" } else { "not verified" },
        );
        let name = case.name;
        // An answer to another host than the one that was asked is not even looked at.
        assert_eq!(believed, name != "another host", "{name}: {answer}");
        match said {
            Accepted | AcceptedByPython | DoesNotHoldForNode => {
                assert_eq!(status, 200, "{name}: {answer}");
                covers(&answer, server.address, case, keys);
            }
            DoesNotHold => {
                assert_eq!(status, 401, "{name}: {answer}");
                let why = match (python, keys.algorithm) {
                    (true, Algorithm::HmacSha256) => {
                        "InvalidSignature: Signature did not match digest."
                    }
                    (true, _) => "InvalidSignature: ",
                    (false, _) => "Error: not verified: false",
                };
                assert_eq!(refused, Some(why), "{name}: {answer}");
            }
            Refused(by_python, by_node) => {
                assert_eq!(status, 401, "{name}: {answer}");
                let why = if python { by_python } else { by_node };
                assert!(refused.unwrap().starts_with(why), "{name}: {answer}");
            }
            RefusedByPython(why) => {
                assert_eq!(status, 401, "{name}: {answer}");
                assert!(refused.unwrap().starts_with(why), "{name}: {answer}");
            }
        }
    }
}

/// What they verified is what we meant.
fn covers(answer: &Value, server: SocketAddr, case: &Case, keys: &Keys) {
    let covered = &answer["covered"];
    let (path, query) = case.target.split_once('?').unwrap_or((case.target, ""));
    let method = if case.body.is_empty() { "GET" } else { "POST" };
    assert_eq!(covered["\"@method\""], method, "{answer}");
    assert_eq!(covered["\"@authority\""], server.to_string(), "{answer}");
    assert_eq!(covered["\"@path\""], path, "{answer}");
    assert_eq!(covered["\"@query\""], format!("?{query}"), "{answer}");
    let digest = &covered["\"content-digest\""];
    assert_eq!(digest.is_string(), !case.body.is_empty(), "{answer}");

    let parameters = &answer["parameters"];
    assert_eq!(parameters["keyid"], REQUESTS, "{answer}");
    assert_eq!(parameters["alg"], keys.algorithm.as_str(), "{answer}");
    assert_eq!(parameters["tag"].as_str(), case.tag, "{answer}");
    let created = parameters["created"].as_i64().unwrap();
    let end = parameters["expires"].as_i64();
    assert_eq!(end, case.tag.map(|_| created + 30), "{answer}");
    assert_eq!(parameters["nonce"].as_str().unwrap().len(), 24, "{answer}");
}

/// Status, what they say, and whether their answer is believed.
async fn send(server: &PeerServer, keys: &Keys, case: &Case) -> (u16, Value, bool) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let answers = VerifyResponseLayer::new(known_answers(keys), ResponsePolicy::strict());
    let change = case.change;
    let network = service_fn(move |mut request: Request<Full<Bytes>>| {
        change(&mut request);
        let (sent, body) = request.into_parts();
        let answer = client.request(Request::from_parts(sent.clone(), body));
        let answers = answers.clone();
        async move {
            let (parts, body) = answer.await.unwrap().into_parts();
            let text = body.collect().await.unwrap().to_bytes();
            let believed = is_believed(&answers, &sent, &parts, &text).await;
            let said: Value = serde_json::from_slice(&text).unwrap();
            Ok::<_, Infallible>(Response::from_parts(parts, (said, believed)))
        }
    });
    let layer = SignRequestLayer::new(keys.requests.clone(), REQUESTS).unwrap();
    let uri = format!("http://{}{}", server.address, case.target);
    let mut request = Request::post(uri).body(Full::from(case.body)).unwrap();
    if case.body.is_empty() {
        *request.method_mut() = Method::GET;
    }
    if let Some(tag) = case.tag {
        set(&mut request, "x-expect-tag", tag);
    }
    let exchange = (case.layer)(layer).layer(network).oneshot(request);
    let limit = Duration::from_secs(20);
    let response = tokio::time::timeout(limit, exchange).await.unwrap();
    let (parts, (said, believed)) = response.unwrap().into_parts();
    (parts.status.as_u16(), said, believed)
}

fn known_answers(keys: &Keys) -> KeyRing {
    let entry = KeyEntry::new(ANSWERS, keys.answers.verifying_key(), "payments");
    KeyRing::new([entry.purposes([Purpose::Responses])]).unwrap()
}

/// Whether the answer is believed; another one never is.
async fn is_believed(
    answers: &VerifyResponseLayer,
    sent: &request::Parts,
    parts: &response::Parts,
    text: &Bytes,
) -> bool {
    let answer = |text: &Bytes| Response::from_parts(parts.clone(), Full::new(text.clone()));
    let another_body = Bytes::from([text, &b" "[..]].concat());
    let mut another_status = answer(text);
    *another_status.status_mut() = StatusCode::ACCEPTED;
    let good = answers.verify(sent, answer(text)).await;
    let another_body = answers.verify(sent, answer(&another_body)).await;
    let another_status = answers.verify(sent, another_status).await;
    if let Err(NotVerified::Target(TargetError::HostDisagrees)) = good {
        return false;
    }
    assert!(good.is_ok(), "{:?}", good.err());
    let Err(NotVerified::Invalid(Invalid::DigestMismatch)) = another_body else {
        panic!("{another_body:?}");
    };
    let Err(NotVerified::Invalid(Invalid::Key(KeyRefusal::BadSignature))) = another_status else {
        panic!("{another_status:?}");
    };
    true
}

fn parameter(layer: SignRequestLayer) -> SignRequestLayer {
    layer.cover(Component::query_param("to")).unwrap()
}

fn ago(layer: SignRequestLayer, seconds: u64) -> SignRequestLayer {
    let now = SystemClock.now().unwrap();
    layer.clock(ManualClock::at(
        now.saturating_sub(Duration::from_secs(seconds)),
    ))
}

fn ending(layer: SignRequestLayer, seconds: u64) -> SignRequestLayer {
    layer.expires_after(Duration::from_secs(seconds)).unwrap()
}

fn redirect(request: &mut Request<Full<Bytes>>, from: &str, to: &str) {
    let uri = request.uri().to_string();
    let other: Uri = uri.replace(from, to).parse().unwrap();
    assert_ne!(*request.uri(), other);
    *request.uri_mut() = other;
}

fn replace(request: &mut Request<Full<Bytes>>, name: &'static str, from: &str, to: &str) {
    let value = request.headers()[name].to_str().unwrap();
    let other = value.replacen(from, to, 1);
    assert_ne!(value, other);
    set(request, name, &other);
}

fn set(request: &mut Request<Full<Bytes>>, name: &'static str, value: &str) {
    let value = HeaderValue::from_str(value).unwrap();
    request.headers_mut().insert(name, value);
}
