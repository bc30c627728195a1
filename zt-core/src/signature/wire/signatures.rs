//! Each signature of `signatures.json`.

use super::{
    responses::{Answered, ask},
    *,
};
use crate::signature::{
    response::{Invalid, NotVerified, ResponsePolicy, VerifiedResponse, VerifyResponseLayer},
    sign::TargetError,
};

#[tokio::test]
async fn signatures_hold_or_do_not_as_the_vectors_say_over_both_versions() {
    let (Some(vectors), Some(keys)) = (vectors("signatures.json"), vectors("keys.json")) else {
        return;
    };
    let cases = vectors["cases"].as_array().unwrap();
    for transport in Transport::BOTH {
        let (mut valid, mut invalid, mut bases) = (0, 0, 0);
        for case in cases {
            let id = text(case, "id");
            let based = match text(case, "target") {
                "response" => response(transport, case, &keys).await,
                _ => request(transport, case, &keys).await,
            };
            let (base, signature) = based;
            assert_eq!(base, text(case, "signatureBase"), "{id}");
            bases += 1;
            let Some(key) = key(&keys, text(case, "keyid")) else {
                continue;
            };
            let held = key.verify(base.as_bytes(), &signature).is_ok();
            assert_eq!(held, case["expect"] == "valid", "{id}");
            if held {
                valid += 1;
            } else {
                invalid += 1;
            }
        }
        println!(
            "{}: {bases} signatures: {valid} valid, {invalid} invalid",
            transport.name()
        );
        assert_eq!(bases, 20);
        let verified = if cfg!(feature = "asymmetric") {
            (17, 3)
        } else {
            (1, 0)
        };
        assert_eq!((valid, invalid), verified);
    }
}

/// `None` where the feature that the key needs is off.
fn key(keys: &Value, id: &str) -> Option<VerifyingKey> {
    let key = &keys["keys"][id];
    let algorithm = Algorithm::from_name(text(key, "alg")).unwrap();
    if algorithm == Algorithm::HmacSha256 {
        let secret = STANDARD.decode(text(key, "base64")).unwrap();
        return Some(VerifyingKey::hmac_sha256(&Secret::new(secret)).unwrap());
    }
    #[cfg(feature = "asymmetric")]
    return Some(VerifyingKey::from_pem(algorithm, text(key, "publicPem").as_bytes()).unwrap());
    #[cfg(not(feature = "asymmetric"))]
    None
}

/// All keys, each its own owner.
fn entries(keys: &Value) -> Vec<KeyEntry> {
    let ids = keys["keys"].as_object().unwrap().keys();
    ids.filter_map(|id| Some(KeyEntry::new(id, key(keys, id)?, id)))
        .collect()
}

fn created(case: &Value) -> u64 {
    let (_, rest) = text(case, "signatureParams")
        .split_once("created=")
        .unwrap();
    rest.split(';').next().unwrap().parse().unwrap()
}

fn components(case: &Value) -> Vec<Component> {
    let (list, _) = text(case, "signatureParams").split_once(')').unwrap();
    let names = list.trim_start_matches('(').split(' ');
    let names = names.filter(|name| !name.is_empty());
    names.map(|name| name.parse().unwrap()).collect()
}

/// What the policy asks for is what the vector covers.
fn policy(components: &[Component]) -> SignaturePolicy {
    let digest = "\"content-digest\"".parse().unwrap();
    let policy = SignaturePolicy::insecure_covering_only(components.iter().cloned());
    let policy = policy.unwrap().insecure_without_nonce();
    if components.contains(&digest) {
        policy
    } else {
        policy.insecure_unsigned_body()
    }
}

async fn request(transport: Transport, case: &Value, keys: &Value) -> requests::Based {
    let (id, keyid) = (text(case, "id"), text(case, "keyid"));
    let sent = Sent::from_vector(&case["message"]);
    let mut covered = components(case);
    let is_empty = covered.is_empty();
    if is_empty {
        covered.push(Component::METHOD);
    }
    let serve = |sent: Sent, policy: SignaturePolicy| async move {
        let layer = layer(policy, entries(keys));
        let arrived = deliver(transport, &sent, layer, at(created(case))).await;
        arrived.unwrap()
    };
    let policy = policy(&covered);
    let arrived = serve(sent.clone(), policy.clone()).await;
    let other = serve(
        sent.clone().without("host").with("Host", "example.net"),
        policy.clone(),
    );
    let other = other.await.outcome;
    if is_empty {
        // No policy takes a signature that covers nothing; that it holds is seen below.
        assert_eq!(id, "B.2.1");
        arrived.outcome.invalid("signature: it covers nothing", id);
    } else if key(keys, keyid).is_none() {
        // Of two signatures, what is wrong with the one that came further.
        let refusal = match id {
            "4.3-proxy" => "signature: it does not cover \"forwarded\"",
            _ => "signature: its key is not known",
        };
        arrived.outcome.invalid(refusal, id);
    } else if case["expect"] == "valid" {
        let passed = Outcome::Passed(keyid.to_owned(), sent.body());
        assert_eq!(arrived.outcome, passed, "{id}");
        other.invalid("signature: it does not hold", id);
    } else {
        let refusal = "signature: it does not hold";
        arrived.outcome.invalid(refusal, id);
        // What the proxy has changed is what the refusal is about.
        if id == "4.3-client-after-proxy" {
            let told = policy.authority(AuthoritySource::Fixed("example.com".into()));
            serve(sent.clone(), told).await.outcome.passed(keyid, id);
        }
    }
    arrived
        .base(text(case, "label"), sent.url_scheme())
        .unwrap()
}

async fn response(transport: Transport, case: &Value, keys: &Value) -> requests::Based {
    let id = text(case, "id");
    let request = case.get("request").map(Sent::from_vector);
    let request = request.unwrap_or_else(|| Sent::get("/"));
    let response = Sent::from_vector(&case["message"]);

    let entries = entries(keys);
    let entries = entries.into_iter();
    let ring = KeyRing::new(entries.map(|entry| entry.purposes([Purpose::Responses]))).unwrap();
    let verify = |policy: ResponsePolicy| {
        let layer = VerifyResponseLayer::new(ring.clone(), policy).clock(at(created(case)));
        let answered = ask(
            transport,
            &request,
            &response,
            |sent, response| async move { layer.verify(&sent, response).await },
        );
        async move { answered.await.unwrap() }
    };
    // None of them is bound to its request as a client has to ask for.
    let uncovered = match id {
        "2.4-response-a" => "\"@query\";req",
        "2.4-response-b" => "\"signature\";req;key=\"sig1\"",
        "B.2.4" => "\"@method\";req",
        other => panic!("{other}"),
    };
    match verify(ResponsePolicy::strict()).await.unwrap_err() {
        NotVerified::Invalid(why) => assert_eq!(why, Invalid::Uncovered(uncovered.into()), "{id}"),
        other => panic!("{id}: {other:?}"),
    }
    match verify(ResponsePolicy::strict().request_label("none")).await {
        Err(NotVerified::Target(TargetError::RequestLabel)) => {}
        other => panic!("{id}: {other:?}"),
    }
    // But for the signature of the request, one is bound to enough.
    if id == "2.4-response-b" && cfg!(feature = "asymmetric") {
        let response = verify(ResponsePolicy::strict().insecure_unbound_to_signature()).await;
        let verified = response.unwrap();
        assert_eq!(verified.body().bytes(), text(&case["message"], "body"));
        let verified: &VerifiedResponse = verified.extensions().get().unwrap();
        assert_eq!(verified.principal().subject(), text(case, "keyid"));
    }

    let answered = ask(transport, &request, &response, responses::collected).await;
    let Answered { sent, parts, body } = answered.unwrap();
    assert_eq!(body.to_bytes(), response.body(), "{id}");
    let message = responses::message(&sent, &parts, &request);
    requests::base(&parts.headers, text(case, "label"), &message).unwrap()
}
