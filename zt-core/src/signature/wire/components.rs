//! Each component of `components.json`, covered alone by a signature over the value of the vector.

use super::{
    requests::deliver_lines,
    responses::{Answered, ask},
    *,
};

/// Obsolete line folding (RFC 9112 section 5.2): refused, and delivered only where somebody on the
/// way has replaced it.
const FOLDED: [&str; 6] = ["2.1-0", "2.1-1", "2.1-2", "2.1-3", "2.1-4", "2.1-5"];

/// Messages that do not say which host they are for. No policy takes that from the request; where
/// it is configured, they are verified.
const HOSTLESS: [&str; 11] = [
    "2.1-6", "2.1.1-0", "2.1.1-1", "2.1.2-0", "2.1.2-1", "2.1.2-2", "2.1.2-3", "2.1.3-0",
    "2.1.3-1", "2.1.3-2", "2.1.3-3",
];

/// `;tr` is refused (RFC 9421 section 2.1.4): intermediaries may drop trailers.
const TRAILERS: [&str; 2] = ["2.1.4-2", "r-tr-on-header-only"];

/// Messages with `Transfer-Encoding`, of which HTTP/2 has none (RFC 9113 section 8.2.2).
const CODED: [&str; 3] = ["2.1.4-0", "2.1.4-1", "2.1.4-2"];

/// What of a vector is another value with HTTP/2.
fn translated(id: &str) -> Option<Result<String, BaseError>> {
    match id {
        // `Host` is `:authority` (RFC 9113 section 8.3.1).
        "2.1-0" => Some(Err(BaseError::FieldAbsent)),
        // There is no absolute form; the value is that of `:path` (RFC 9421 section 2.2.5).
        "2.2.5-1" => Some(Ok("/path?param=value".to_owned())),
        _ => None,
    }
}

/// What came of the vectors, by their ids.
#[derive(Debug, Default)]
struct Seen<'v> {
    values: usize,
    errors: usize,
    folded: Vec<&'v str>,
    hostless: Vec<&'v str>,
    several_hosts: Vec<&'v str>,
    trailers: Vec<&'v str>,
    coded: Vec<&'v str>,
    translated: Vec<&'v str>,
}

#[tokio::test]
async fn components_are_what_the_vectors_say_over_http_1() {
    let Some(vectors) = vectors("components.json") else {
        return;
    };
    let seen = components(Transport::Http1, &vectors).await;
    assert_eq!((seen.values, seen.errors), (62, 19));
    assert_eq!(seen.translated, [""; 0]);
    assert_eq!(seen.coded, [""; 0]);
    // RFC 9110 section 7.2: `Host` is what the target says, and the figure has another port.
    assert_eq!(seen.several_hosts, ["2.2.5-2"]);
}

#[tokio::test]
async fn components_are_what_the_vectors_say_over_http_2() {
    let Some(vectors) = vectors("components.json") else {
        return;
    };
    let seen = components(Transport::Http2, &vectors).await;
    assert_eq!((seen.values, seen.errors), (61, 20));
    assert_eq!(seen.translated, ["2.1-0", "2.2.5-1"]);
    assert_eq!(seen.coded, CODED);
    assert_eq!(seen.several_hosts, [""; 0]);
}

async fn components(transport: Transport, vectors: &Value) -> Seen<'_> {
    let mut seen = Seen::default();
    let vectors = vectors["components"].as_array().unwrap();
    for vector in vectors {
        let found = match vector["message"].get("status") {
            Some(_) => in_response(transport, vector, &mut seen).await,
            None => in_request(transport, vector, &mut seen).await,
        };
        let id = text(vector, "id");
        assert_eq!(found, expected(transport, vector), "{id}");
        match found {
            Ok(_) => seen.values += 1,
            Err(BaseError::Trailer) => {
                seen.trailers.push(id);
                seen.errors += 1;
            }
            Err(_) => seen.errors += 1,
        }
    }
    assert_eq!(vectors.len(), 81);
    assert_eq!(seen.folded, FOLDED);
    assert_eq!(seen.hostless, HOSTLESS);
    assert_eq!(seen.trailers, TRAILERS);
    println!("{}: {} components", transport.name(), vectors.len());
    println!(
        "  {} values, {} errors, of which:",
        seen.values, seen.errors
    );
    for (what, ids) in [
        ("`;tr`", &seen.trailers),
        ("has another value", &seen.translated),
        ("refused as it stands, delivered unfolded", &seen.folded),
        ("refused as it stands, delivered uncoded", &seen.coded),
        ("names no host, which is configured", &seen.hostless),
        ("names two hosts, one is configured", &seen.several_hosts),
    ] {
        println!("  {what}: {ids:?}");
    }
    seen
}

fn expected(transport: Transport, vector: &Value) -> Result<String, BaseError> {
    let id = text(vector, "id");
    if let (Transport::Http2, Some(other)) = (transport, translated(id)) {
        return other;
    }
    if TRAILERS.contains(&id) {
        return Err(BaseError::Trailer);
    }
    match vector["value"].as_str() {
        Some(value) => Ok(value.to_owned()),
        None => Err(reason(vector)),
    }
}

async fn in_request<'v>(
    transport: Transport,
    vector: &'v Value,
    seen: &mut Seen<'v>,
) -> Result<String, BaseError> {
    let (id, component) = (text(vector, "id"), text(vector, "component"));
    let mut sent = Sent::from_vector(&vector["message"]);
    let expected = expected(transport, vector);
    if transport == Transport::Http2 && translated(id).is_some() {
        seen.translated.push(id);
    }
    let policy = policy(vector, &sent);
    if sent.is_folded() {
        let refused = deliver(transport, &sent, layer(policy.clone(), vec![]), at(NOW)).await;
        let refused = refused.map(|arrived| arrived.outcome);
        assert_eq!(refused, Err(fold_refused(transport)), "{id}");
        seen.folded.push(id);
        sent = sent.unfolded();
    }

    // A component that is none has one that is one beside it, which the policy can ask for.
    let others = if component.parse::<Component>().is_ok() {
        ""
    } else {
        "\"@method\" "
    };
    let params = format!("({others}{component});created={NOW};keyid=\"wire\"");
    let line = |value: &str| format!("{component}: {value}\n");
    let value = expected.as_deref().unwrap_or_default();
    let signed = sign(sent.clone(), &line(value), &params);
    let serve = |signed, policy| async move {
        deliver(transport, &signed, layer(policy, vec![]), at(NOW)).await
    };
    let mut arrived = serve(signed.clone(), policy.clone()).await.unwrap();
    let mut policy = policy;
    for (refusal, ids) in [
        (
            "the request does not say which host it is for",
            &mut seen.hostless,
        ),
        ("the request names several hosts", &mut seen.several_hosts),
    ] {
        if matches!(&arrived.outcome, Outcome::Denied(_, detail) if detail.ends_with(refusal)) {
            ids.push(id);
            policy = policy.authority(AuthoritySource::Fixed("www.example.com".into()));
            arrived = serve(signed.clone(), policy.clone()).await.unwrap();
        }
    }
    match &expected {
        Ok(value) => {
            arrived.outcome.passed("wire", id);
            // Over another value it does not hold.
            let other = sign(sent.clone(), &line(&format!("{value}x")), &params);
            let refused = serve(other, policy).await.unwrap().outcome;
            refused.invalid("signature: it does not hold", id);
        }
        Err(error) => arrived.outcome.invalid(format!("signature: {error}"), id),
    }
    arrived.component(component, &types(vector), sent.url_scheme())
}

async fn in_response<'v>(
    transport: Transport,
    vector: &'v Value,
    seen: &mut Seen<'v>,
) -> Result<String, BaseError> {
    let (id, component) = (text(vector, "id"), text(vector, "component"));
    let request = vector.get("request").map(Sent::from_vector);
    let request = request.unwrap_or_else(|| Sent::get("/"));
    let params = format!("({component});created={NOW};keyid=\"wire\"");
    let value = expected(transport, vector).unwrap_or_default();
    let response = Sent::from_vector(&vector["message"]);
    let response = sign(response, &format!("{component}: {value}\n"), &params);
    if transport == Transport::Http2 && response.chunked {
        let mut lines = http2::translated(&response);
        lines.push(("transfer-encoding".into(), b"chunked".to_vec()));
        let refused = responses::ask_lines(&request, &lines, &response, responses::collected).await;
        let refused = format!("{:?}", refused.err());
        assert!(refused.contains("PROTOCOL_ERROR"), "{id}: {refused}");
        seen.coded.push(id);
    }
    let answered = ask(transport, &request, &response, responses::collected).await;
    let Answered { sent, parts, body } = answered.unwrap();
    assert_eq!(body.to_bytes(), response.body(), "{id}");
    let message = responses::message(&sent, &parts, &request);
    let found = component
        .parse()
        .and_then(|component| message.component(&component, &types(vector)));
    let based = requests::base(&parts.headers, "sig1", &message);
    match &found {
        Ok(_) => {
            let (base, signature) = based.unwrap();
            let held = own_key()
                .verifying_key()
                .verify(base.as_bytes(), &signature);
            assert!(held.is_ok(), "{id}");
        }
        Err(error) => assert_eq!(based, Err(*error), "{id}"),
    }
    found
}

fn policy(vector: &Value, sent: &Sent) -> SignaturePolicy {
    let component = text(vector, "component").parse();
    let covered = [component.unwrap_or(Component::METHOD)];
    let policy = SignaturePolicy::insecure_covering_only(covered).unwrap();
    let policy = policy.insecure_without_nonce().scheme(sent.url_scheme());
    structured(vector).fold(policy, |policy, (name, kind)| {
        policy.structured(name.parse().unwrap(), kind)
    })
}

fn types(vector: &Value) -> FieldTypes {
    structured(vector).fold(FieldTypes::default(), |types, (name, kind)| {
        types.with(name.parse().unwrap(), kind)
    })
}

fn structured(vector: &Value) -> impl Iterator<Item = (&str, StructuredType)> {
    let types = vector["fieldTypes"].as_object().into_iter().flatten();
    types.map(|(name, kind)| match kind.as_str().unwrap() {
        "item" => (name.as_str(), StructuredType::Item),
        "list" => (name.as_str(), StructuredType::List),
        "dictionary" => (name.as_str(), StructuredType::Dictionary),
        other => panic!("{other}"),
    })
}

const fn fold_refused(transport: Transport) -> Refused {
    match transport {
        Transport::Http1 => Refused::Status(400),
        // RFC 9113 section 8.2.1: `PROTOCOL_ERROR`.
        Transport::Http2 => Refused::GoAway(1),
    }
}

#[tokio::test]
async fn a_fold_in_a_response_is_refused_or_becomes_one_space() {
    let Some(vectors) = vectors("components.json") else {
        return;
    };
    let mut vectors = vectors["components"].as_array().unwrap().iter();
    let vector = vectors.find(|vector| vector["id"] == "2.1-3").unwrap();
    let request = Sent::get("/");
    let response = Sent {
        status: Some(200),
        ..Sent::from_vector(&vector["message"])
    };
    assert!(response.is_folded());
    let mut client = hyper::client::conn::http1::Builder::new();
    let refused = responses::ask_with(&client, &request, &response, responses::collected).await;
    assert!(refused.err().unwrap().is_parse());

    client.allow_obsolete_multiline_headers_in_responses(true);
    let answered = responses::ask_with(&client, &request, &response, responses::collected).await;
    let Answered { sent, parts, .. } = answered.unwrap();
    let message = responses::message(&sent, &parts, &request);
    let component = text(vector, "component").parse().unwrap();
    let found = message.component(&component, &FieldTypes::default());
    assert_eq!(found.as_deref(), Ok(text(vector, "value")));
}

#[tokio::test]
async fn http_2_refuses_names_in_upper_case_and_paths_that_are_empty() {
    let policy = SignaturePolicy::insecure_covering_only([Component::METHOD]).unwrap();
    let refused = |lines: Vec<(String, Vec<u8>)>| {
        let layer = layer(policy.clone(), vec![]);
        async move {
            let arrived = deliver_lines(&lines, &[], layer, at(NOW)).await;
            arrived.map(|arrived| arrived.outcome)
        }
    };
    let sound = http2::translated(&Sent::get("/"));
    assert!(refused(sound.clone()).await.is_ok());
    let mut upper = sound.clone();
    upper.push(("X-A".into(), b"1".to_vec()));
    assert_eq!(refused(upper).await, Err(Refused::GoAway(1)));
    let mut pathless = sound;
    let path = pathless.iter_mut().find(|(name, _)| name == ":path");
    path.unwrap().1.clear();
    assert_eq!(refused(pathless).await, Err(Refused::Reset(1)));
}

#[tokio::test]
async fn http_2_delivers_a_host_beside_its_authority() {
    let params = format!("(\"host\");created={NOW};keyid=\"wire\"");
    let component = "\"host\"".parse().unwrap();
    let policy = SignaturePolicy::insecure_covering_only([component]).unwrap();
    let policy = policy.insecure_without_nonce();
    for (host, passes) in [("www.example.com", true), ("www.example.net", false)] {
        let sent = sign(Sent::get("/"), &format!("\"host\": {host}\n"), &params);
        let mut lines = http2::translated(&sent);
        lines.push(("host".into(), host.into()));
        let layer = layer(policy.clone(), vec![]);
        let arrived = deliver_lines(&lines, &[], layer, at(NOW)).await.unwrap();
        if passes {
            arrived.outcome.passed("wire", host);
        } else {
            let refusal = "the request names several hosts";
            arrived.outcome.invalid(refusal, host);
        }
    }
}
