//! They sign, we verify; our answers are signed, and they verify those.

use axum::{Json, Router, body::Body, response::Response};
use http::HeaderValue;
use serde_json::{Value, json};
use tower::{Layer as _, ServiceBuilder};
use zt_core::{
    body::CollectedBody,
    decision::Denial,
    identity::Principal,
    signature::{
        Algorithm,
        base::UrlScheme,
        key::{KeyEntry, KeyRing},
        replay::MemoryReplays,
        response::SignResponseLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
};

use super::{ANSWERS, Keys, REQUESTS, peer::Peer};
use crate::{App, serve};

/// A code, and the private detail.
type Refusal = (&'static str, &'static str);

struct Case {
    name: &'static str,
    method: &'static str,
    target: &'static str,
    body: Option<&'static str>,
    /// What is covered besides.
    also: Option<&'static str>,
    /// What the script does to it.
    change: Option<&'static str>,
    refused: Option<Refusal>,
    /// What comes of it when the library for Node signs, where that is something else.
    from_node: Option<Refusal>,
}

const TARGET: &str = "/charges?order=7&to=a%2Fb%20c";
const INVALID: &str = "signature-invalid";
const DOES_NOT_HOLD: Refusal = (INVALID, "signature: it does not hold");

const POST: Case = Case {
    name: "a body",
    method: "POST",
    target: TARGET,
    body: Some("7 EUR"),
    also: None,
    change: None,
    refused: None,
    from_node: None,
};

const fn get(name: &'static str, target: &'static str) -> Case {
    Case {
        name,
        method: "GET",
        target,
        body: None,
        ..POST
    }
}

const fn changed(name: &'static str, change: &'static str, refused: Refusal) -> Case {
    Case {
        name,
        change: Some(change),
        refused: Some(refused),
        ..POST
    }
}

const CASES: &[Case] = &[
    POST,
    Case {
        name: "an empty body",
        body: Some(""),
        ..POST
    },
    Case {
        name: "no body",
        body: None,
        ..POST
    },
    get("no query", "/charges"),
    get("no path", "/"),
    get("octets in the path", "/a%20b/%C3%A9?x&x="),
    Case {
        also: Some(r#""@query-param";name="to""#),
        ..get("a parameter of the query", TARGET)
    },
    // RFC 9421 section 2.2.8: values are written in the application/x-www-form-urlencoded
    // percent-encode set, which has `!'()~`. npm's takes `encodeURIComponent`, which leaves these.
    Case {
        also: Some(r#""@query-param";name="to""#),
        from_node: Some(DOES_NOT_HOLD),
        ..get("a parameter with a tilde", "/charges?order=7&to=a%21b~c")
    },
    // Changed after it was signed.
    changed("another method", "method", DOES_NOT_HOLD),
    changed("another path", "path", DOES_NOT_HOLD),
    changed("another query", "query", DOES_NOT_HOLD),
    changed("another host", "host", DOES_NOT_HOLD),
    changed("another time", "created", DOES_NOT_HOLD),
    changed("another nonce", "nonce", DOES_NOT_HOLD),
    changed("another bit", "signature", DOES_NOT_HOLD),
    changed("another body and digest", "body and digest", DOES_NOT_HOLD),
    changed(
        "another body",
        "body",
        (INVALID, "signature: the body has another digest"),
    ),
    changed("no signature", "no signature", ("signature-missing", "")),
    changed(
        "sent twice",
        "replay",
        ("replayed", "signature: it was seen before"),
    ),
    // Signed otherwise than we want it.
    changed(
        "two minutes old",
        "old",
        (INVALID, "signature: it is too old"),
    ),
    changed(
        "no nonce",
        "without nonce",
        (INVALID, "signature: it has no `nonce`"),
    ),
    changed(
        "method not covered",
        "method uncovered",
        (INVALID, "signature: it does not cover \"@method\""),
    ),
    changed(
        "body not covered",
        "body uncovered",
        (
            INVALID,
            "signature: there is a body, and it covers no digest",
        ),
    ),
];

/// The public key as a shared secret, under the key's id.
const CONFUSED: &str = "by what everybody knows of the key";

pub(super) async fn sign(peer: &Peer, keys: &Keys) {
    let address = serve(server(keys)).await;
    let confused = Case {
        refused: Some(match keys.algorithm {
            Algorithm::HmacSha256 => DOES_NOT_HOLD,
            _ => (
                INVALID,
                "signature: its algorithm is not the key's, or not accepted",
            ),
        }),
        ..get(CONFUSED, TARGET)
    };
    let cases: Vec<&Case> = CASES.iter().chain([&confused]).collect();
    let told = cases.iter().map(|case| {
        let key = if case.name == CONFUSED {
            "confused"
        } else {
            REQUESTS
        };
        json!({
            "name": case.name, "method": case.method, "target": case.target, "body": case.body,
            "also": case.also, "change": case.change, "keyid": REQUESTS, "key": key,
        })
    });
    let plan = json!({
        "url": format!("http://{address}"),
        "keys": keys.told,
        "alg": keys.algorithm.as_str(),
        "cases": told.collect::<Value>(),
    });
    let results = peer.run("sign", &plan).await;
    assert_eq!(results.len(), cases.len());
    for (case, result) in cases.into_iter().zip(&results) {
        println!(
            "signed by {}, verified by zt, {}, {}: {} {}; the answer, by {0}: {}",
            peer.name,
            keys.algorithm.as_str(),
            case.name,
            result["status"],
            result["code"].as_str().unwrap_or("-"),
            result["answer"].as_str().unwrap_or("-"),
        );
        assert_eq!(result["name"], case.name);
        let of_node = case.from_node.filter(|_| !peer.is_python());
        if let Some((code, why)) = of_node.or(case.refused) {
            assert_eq!(result["status"], 401, "{result}");
            assert_eq!(result["code"], code, "{result}");
            assert_eq!(result["why"].as_str().unwrap_or_default(), why, "{result}");
        } else {
            assert_eq!(result["status"], 200, "{result}");
            assert_eq!(result["said"], json!({"by": "order-service"}), "{result}");
        }
        // Our answer is to the host that we were told, and they asked another.
        let believed = result["answer"] == "verified";
        assert_eq!(believed, case.name != "another host", "{result}");
    }
}

/// Who signed is told who they are; what is refused says why, which only a test does.
fn server(keys: &Keys) -> App {
    let entry = KeyEntry::new(REQUESTS, keys.requests.verifying_key(), "order-service");
    let ring = KeyRing::new([entry]).unwrap();
    let policy = SignaturePolicy::strict().scheme(UrlScheme::Http);
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let verify = VerifySignatureLayer::new(policy, ring, replays).unwrap();

    let answers = SignResponseLayer::new(keys.answers.clone(), ANSWERS)
        .unwrap()
        .scheme(UrlScheme::Http);
    let whoami = |principal: Principal| async move { Json(json!({"by": principal.subject()})) };
    let routes = Router::new().fallback(whoami);
    let stack = ServiceBuilder::new()
        .map_response(|response: Response<CollectedBody>| response.map(Body::new))
        .layer(answers)
        .map_response(with_reason)
        .service(verify.layer(routes));
    App::new(stack)
}

fn with_reason<B>(mut response: Response<B>) -> Response<B> {
    let denial = response.extensions().get::<Denial>();
    let why = denial.and_then(|denial| HeaderValue::from_str(denial.private_detail()?).ok());
    if let Some(why) = why {
        response.headers_mut().insert("zt-why", why);
    }
    response
}
