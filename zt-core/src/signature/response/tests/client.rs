use std::time::Duration;

use futures_util::stream;
use http::{HeaderMap, Method, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;

use super::*;
use crate::{
    body::{BoxError, CollectLimits},
    clock::ClockError,
    signature::{
        base::{BaseError, FieldError},
        key::{KeyQuestion, KeyResolver, KeysUnavailable, Resolving},
    },
};

#[tokio::test]
async fn refuses_a_response_without_a_signature() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let response = Response::new(Body::from("paid")).into_parts();
    let why = verdict(&verifying(&clock), &sent, response)
        .await
        .unwrap_err();
    assert!(matches!(why, NotVerified::Missing), "{why:?}");

    let mut response = good(&clock, &sent).await;
    response.0.headers.remove("signature-input");
    let why = verdict(&verifying(&clock), &sent, response)
        .await
        .unwrap_err();
    assert!(
        matches!(why, NotVerified::Malformed(FieldError::InputAbsent)),
        "{why:?}"
    );
}

#[tokio::test]
async fn refuses_the_response_to_another_request() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let (layer, holds_not) = (verifying(&clock), Invalid::Key(KeyRefusal::BadSignature));
    for another in [
        "https://payments.internal/orders?id=8",
        "https://payments.internal/order?id=7",
        "https://payments.example/orders?id=7",
        "https://payments.internal:8443/orders?id=7",
    ] {
        let response = good(&clock, &signed(&clock, another)).await;
        let why = invalid(&layer, &sent, response).await;
        assert_eq!(why, holds_not, "{another}");
    }
    // The same request once more has another nonce, and so another signature.
    let mut second = sent.clone();
    second.headers.remove("signature");
    second.headers.remove("signature-input");
    let signer = signing_requests(&clock).entropy(SeededEntropy::new(8));
    signer.sign(&mut second, None).unwrap();
    let response = good(&clock, &second).await;
    assert_eq!(invalid(&layer, &sent, response.clone()).await, holds_not);
    assert!(verdict(&layer, &second, response).await.is_ok());

    // Unsigned requests differ in what they ask for alone.
    let (unsigned, _) = get(URI).into_parts();
    let mut posted = unsigned.clone();
    posted.method = Method::POST;
    let response = good(&clock, &posted).await;
    assert_eq!(invalid(&layer, &unsigned, response).await, holds_not);
    // Nor is an answer to the unsigned one an answer to the signed one.
    let response = good(&clock, &unsigned).await;
    let why = Invalid::Uncovered("\"signature\";req;key=\"sig1\"".into());
    assert_eq!(invalid(&layer, &sent, response).await, why);
}

#[tokio::test]
async fn refuses_a_response_that_was_changed() {
    type Change = fn(&mut response::Parts);
    let changes: [(&str, Change); 6] = [
        ("status", |parts| parts.status = StatusCode::CREATED),
        ("content type", |parts| {
            parts
                .headers
                .insert("content-type", "text/html".parse().unwrap());
        }),
        ("digest", |parts| {
            let digest =
                crate::digest::ContentDigest::of(crate::digest::DigestAlgorithm::Sha256, b"lost");
            parts
                .headers
                .insert("content-digest", digest.header_value());
        }),
        ("created", |parts| {
            edit(parts, "created=1893456000", "created=1893456001")
        }),
        ("unknown parameter", |parts| {
            edit(parts, ";alg=", ";x=1;alg=")
        }),
        ("order", |parts| {
            edit(
                parts,
                "\"@method\";req \"@authority\";req",
                "\"@authority\";req \"@method\";req",
            )
        }),
    ];
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    for (name, change) in changes {
        let mut response = good(&clock, &sent).await;
        change(&mut response.0);
        let why = invalid(&verifying(&clock), &sent, response).await;
        assert_eq!(why, Invalid::Key(KeyRefusal::BadSignature), "{name}");
    }
    let (parts, _) = good(&clock, &sent).await;
    for body in ["paie", "pai", "paid ", ""] {
        let why = invalid(&verifying(&clock), &sent, (parts.clone(), body)).await;
        assert_eq!(why, Invalid::DigestMismatch, "{body}");
    }
}

fn edit(parts: &mut response::Parts, from: &str, to: &str) {
    let input = parts.headers["signature-input"].to_str().unwrap();
    assert!(input.contains(from), "{input}");
    let input = input.replace(from, to);
    parts
        .headers
        .insert("signature-input", input.parse().unwrap());
}

#[tokio::test]
async fn refuses_a_signature_that_does_not_cover_enough() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    for component in [
        "\"@status\"",
        "\"content-type\"",
        "\"@method\";req",
        "\"@authority\";req",
        "\"@path\";req",
        "\"@query\";req",
        "\"signature\";req;key=\"sig1\"",
    ] {
        let mut response = good(&clock, &sent).await;
        let input = response.0.headers["signature-input"].to_str().unwrap();
        let without = input.replace(&format!("{component} "), "");
        let without = without.replace(&format!(" {component}"), "");
        assert_ne!(without, input);
        response
            .0
            .headers
            .insert("signature-input", without.parse().unwrap());
        let why = invalid(&verifying(&clock), &sent, response).await;
        assert_eq!(why, Invalid::Uncovered(component.into()));
    }
    let location = ResponsePolicy::strict().require_if_present(http::header::LOCATION);
    let layer = VerifyResponseLayer::new(ring(), location.unwrap()).clock(clock.clone());
    let response = good(&clock, &sent).await;
    let why = invalid(&layer, &sent, response).await;
    assert_eq!(why, Invalid::Uncovered("\"location\"".into()));
    let policy = ResponsePolicy::strict().require(Component::field("x-more").unwrap());
    let layer = VerifyResponseLayer::new(ring(), policy).clock(clock.clone());
    let response = good(&clock, &sent).await;
    let why = invalid(&layer, &sent, response).await;
    assert_eq!(why, Invalid::Uncovered("\"x-more\"".into()));
}

/// `response` with a signature of `signer` over `components`, instead of its own.
fn resigned(
    signer: &SigningKey,
    keyid: &str,
    sent: &request::Parts,
    mut parts: response::Parts,
    components: &[&str],
) -> response::Parts {
    use crate::signature::base::{FieldTypes, InputBuilder, Message, ResponseMessage, UrlScheme};
    parts.headers.remove("signature");
    parts.headers.remove("signature-input");
    let asked = super::super::asked::Asked::sent(sent, UrlScheme::Https, None).unwrap();
    let components = components.iter().map(|one| one.parse().unwrap());
    let input = InputBuilder::new(components)
        .unwrap()
        .created(1_893_456_000);
    let input = input.keyid(keyid).unwrap().build();
    let mut base = Vec::new();
    let message = Message::Response(ResponseMessage {
        status: parts.status,
        fields: Fields::new(&parts.headers),
        request: Some(asked.message()),
    });
    input
        .write_base(&message, &FieldTypes::default(), &mut base)
        .unwrap();
    let signature = signer.sign(&base).unwrap();
    parts
        .headers
        .insert("signature-input", input.signature_input("a").unwrap());
    parts
        .headers
        .insert("signature", input.signature("a", &signature).unwrap());
    parts
}

const ALL: [&str; 7] = [
    "\"@status\"",
    "\"content-type\"",
    "\"@method\";req",
    "\"@authority\";req",
    "\"@path\";req",
    "\"@query\";req",
    "\"signature\";req;key=\"sig1\"",
];

#[tokio::test]
async fn refuses_a_body_that_no_signature_covers() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let (parts, body) = good(&clock, &sent).await;
    let parts = resigned(&key(2), "payments-1", &sent, parts, &ALL);
    let layer = verifying(&clock);
    let why = invalid(&layer, &sent, (parts.clone(), body)).await;
    assert_eq!(why, Invalid::BodyUncovered);
    let pieces = ["", "p"].map(|piece| Ok::<_, BoxError>(Frame::data(Bytes::from(piece))));
    let stream = Body::new(StreamBody::new(stream::iter(pieces)));
    let why = invalid(&layer, &sent, (parts.clone(), stream)).await;
    assert_eq!(why, Invalid::BodyUncovered);
    // Where there is nothing, nothing has to be covered.
    assert!(verdict(&layer, &sent, (parts, Body::empty())).await.is_ok());
}

#[tokio::test]
async fn refuses_a_key_that_is_not_for_responses() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let (parts, body) = good(&clock, &sent).await;
    let mut all = ALL.to_vec();
    all.push("\"content-digest\"");
    let layer = verifying(&clock);
    // Whoever has the key that signs requests is who sent this one.
    let ours = resigned(&key(1), "orders-1", &sent, parts.clone(), &all);
    let why = invalid(&layer, &sent, (ours, body.clone())).await;
    assert_eq!(why, Invalid::Key(KeyRefusal::Purpose));
    let unknown = resigned(&key(3), "nobody", &sent, parts.clone(), &all);
    let why = invalid(&layer, &sent, (unknown, body.clone())).await;
    assert_eq!(why, Invalid::KeyUnknown);
    let forged = resigned(&key(3), "payments-1", &sent, parts.clone(), &all);
    let why = invalid(&layer, &sent, (forged, body.clone())).await;
    assert_eq!(why, Invalid::Key(KeyRefusal::BadSignature));
    let theirs = resigned(&key(2), "payments-1", &sent, parts, &all);
    assert!(verdict(&layer, &sent, (theirs, body)).await.is_ok());
}

#[tokio::test]
async fn refuses_the_requests_own_signature_sent_back() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let (mut parts, _) = Response::new(()).into_parts();
    parts.headers = sent.headers.clone();
    let why = invalid(&verifying(&clock), &sent, (parts, Body::empty())).await;
    assert_eq!(why, Invalid::Uncovered("\"@status\"".into()));
}

#[tokio::test]
async fn refuses_a_signature_out_of_its_time() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let response = good(&clock, &sent).await;
    let layer = verifying(&clock);
    clock.advance(Duration::from_secs(60));
    assert!(verdict(&layer, &sent, response.clone()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(invalid(&layer, &sent, response).await, Invalid::TooOld);

    let ahead = ManualClock::default();
    ahead.advance(Duration::from_secs(61 + 5));
    let response = good(&ahead, &sent).await;
    assert!(verdict(&layer, &sent, response).await.is_ok());
    ahead.advance(Duration::from_secs(1));
    let response = good(&ahead, &sent).await;
    assert_eq!(
        invalid(&layer, &sent, response).await,
        Invalid::FromTheFuture
    );

    let short = signing(&clock)
        .expires_after(Duration::from_secs(10))
        .unwrap();
    let response = answer(&short, again(&sent), Response::new(Body::empty())).await;
    let response = {
        let (parts, body) = response.into_parts();
        (parts, body.bytes().clone())
    };
    clock.advance(Duration::from_secs(9));
    assert!(verdict(&layer, &sent, response.clone()).await.is_ok());
    clock.advance(Duration::from_secs(1));
    assert_eq!(invalid(&layer, &sent, response).await, Invalid::Expired);

    clock.fail();
    let response = good(&ahead, &sent).await;
    let why = verdict(&layer, &sent, response).await.unwrap_err();
    assert!(
        matches!(why, NotVerified::Clock(ClockError::Unset)),
        "{why:?}"
    );
}

#[tokio::test]
async fn refuses_without_time_key_or_with_another_algorithm() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    for (from, to, why) in [
        (";created=1893456000", "", Invalid::NoCreated),
        (";keyid=\"payments-1\"", "", Invalid::NoKeyId),
        (
            "hmac-sha256",
            "ed25519",
            Invalid::Key(KeyRefusal::Algorithm),
        ),
    ] {
        let mut response = good(&clock, &sent).await;
        edit(&mut response.0, from, to);
        assert_eq!(invalid(&verifying(&clock), &sent, response).await, why);
    }
}

#[tokio::test]
async fn refuses_a_signature_over_what_the_request_has_not() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let layer = signing(&clock)
        .cover("\"x-hop\";req".parse().unwrap())
        .unwrap();
    let mut seen = sent.clone();
    seen.headers.insert("x-hop", "1".parse().unwrap());
    let response = answer(&layer, again(&seen), Response::new(Body::empty())).await;
    let (parts, _) = response.into_parts();
    let why = invalid(&verifying(&clock), &sent, (parts, Body::empty())).await;
    assert_eq!(why, Invalid::Base(BaseError::FieldAbsent));
}

#[tokio::test]
async fn counts_only_signatures_with_the_tag() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let policy = ResponsePolicy::strict().tag("answers");
    let layer = VerifyResponseLayer::new(ring(), policy).clock(clock.clone());
    let response = good(&clock, &sent).await;
    let why = verdict(&layer, &sent, response.clone()).await.unwrap_err();
    assert!(matches!(why, NotVerified::Missing), "{why:?}");
    let tagged = signing(&clock)
        .tag("answers")
        .unwrap()
        .label("two")
        .unwrap();
    let response = Response::from_parts(response.0, Body::from(response.1));
    let (parts, body) = answer(&tagged, again(&sent), response).await.into_parts();
    let response = (parts, body.bytes().clone());
    assert!(verdict(&layer, &sent, response).await.is_ok());
}

#[tokio::test]
async fn believes_one_good_signature_of_several() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let forger = SignResponseLayer::new(key(9), "payments-1").unwrap();
    let forger = forger.clock(clock.clone()).label("first").unwrap();
    let forged = answer(&forger, again(&sent), Response::new(Body::from("paid"))).await;
    let why = {
        let (parts, body) = forged.clone().into_parts();
        invalid(&verifying(&clock), &sent, (parts, body.bytes().clone())).await
    };
    assert_eq!(why, Invalid::Key(KeyRefusal::BadSignature));
    let both = answer(&signing(&clock), again(&sent), forged.map(Body::new)).await;
    let (parts, body) = both.into_parts();
    let verified = verdict(&verifying(&clock), &sent, (parts, body.bytes().clone())).await;
    assert!(verified.is_ok(), "{verified:?}");
}

#[tokio::test]
async fn refuses_bodies_that_are_too_large_too_slow_or_broken() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let (parts, body) = good(&clock, &sent).await;
    let limits = CollectLimits {
        bytes: 3,
        deadline: Duration::from_secs(1),
    };
    let layer = verifying(&clock).body_limits(limits);
    let why = verdict(&layer, &sent, (parts.clone(), body))
        .await
        .unwrap_err();
    assert!(
        matches!(why, NotVerified::Body(BodyError::TooLarge)),
        "{why:?}"
    );

    type Piece = Result<Frame<Bytes>, BoxError>;
    let layer = verifying(&clock);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-more", "1".parse().unwrap());
    let data = || Ok(Frame::data(Bytes::from("paid")));
    for (pieces, good) in [
        (vec![data(), Ok(Frame::trailers(trailers))], false),
        (vec![data(), Err("reset".into())], false),
        (vec![data()], true),
    ] {
        let pieces: Vec<Piece> = pieces;
        let body = Body::new(StreamBody::new(stream::iter(pieces)));
        let verdict = verdict(&layer, &sent, (parts.clone(), body)).await;
        match verdict {
            Ok(_) => assert!(good),
            Err(NotVerified::Body(BodyError::Trailers | BodyError::Broken(_))) => assert!(!good),
            Err(why) => panic!("{why:?}"),
        }
    }

    let body = Body::new(StreamBody::new(stream::pending::<Piece>()));
    let slow = tokio::spawn(async move { verdict(&layer, &sent, (parts, body)).await });
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(30));
    let why = slow.await.unwrap().unwrap_err();
    assert!(
        matches!(why, NotVerified::Body(BodyError::TooSlow)),
        "{why:?}"
    );
}

#[derive(Debug)]
struct Later(Option<KeyRing>);

impl KeyResolver for Later {
    fn resolve(&self, question: &KeyQuestion<'_>) -> Resolving {
        let answer = match &self.0 {
            None => Err(KeysUnavailable("down".into())),
            Some(ring) => match ring.resolve(question) {
                Resolving::Now(answer) => answer,
                Resolving::Later(_) => unreachable!(),
            },
        };
        Resolving::Later(Box::pin(async { answer }))
    }
}

#[tokio::test]
async fn waits_for_keys_and_says_when_they_cannot_be_had() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let response = good(&clock, &sent).await;
    for (keys, good) in [(None, false), (Some(ring()), true)] {
        let layer = VerifyResponseLayer::new(Later(keys), ResponsePolicy::strict());
        let layer = layer.clock(clock.clone());
        match verdict(&layer, &sent, response.clone()).await {
            Ok(_) => assert!(good),
            Err(NotVerified::KeysUnavailable(_)) => assert!(!good),
            Err(why) => panic!("{why:?}"),
        }
    }
}

#[tokio::test]
async fn sends_nothing_whose_answer_could_not_be_bound() {
    let clock = ManualClock::default();
    let client = service_fn(|_: Request<Body>| async {
        panic!("nothing may be sent");
        #[expect(unreachable_code, reason = "says the type")]
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let error = verifying(&clock)
        .layer(client)
        .oneshot(get("/orders"))
        .await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, VerifyResponseError::NotSent(TargetError::Unclear)),
        "{error:?}"
    );
}

#[tokio::test]
async fn says_who_vouches_for_what() {
    let clock = ManualClock::default();
    let sent = signed(&clock, URI);
    let response = good(&clock, &sent).await;
    let response = verdict(&verifying(&clock), &sent, response).await.unwrap();
    assert_eq!(response.body().bytes(), "paid");
    let verified = response.extensions().get::<VerifiedResponse>().unwrap();
    assert_eq!(verified.principal().subject(), "payments");
    assert_eq!(
        verified.created(),
        crate::clock::Timestamp::from_secs(1_893_456_000)
    );
    assert!(verified.covers(&Component::STATUS));
    assert!(!verified.covers(&Component::field("location").unwrap()));
}
