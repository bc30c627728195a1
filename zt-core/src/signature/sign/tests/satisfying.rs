use super::*;
use crate::signature::base::{AcceptSignature, Component};

fn asked(components: &[&str]) -> AcceptSignature {
    let components = components.iter().map(|one| one.parse().unwrap());
    AcceptSignature::new("asked", components).unwrap()
}

#[test]
fn refuses_what_it_cannot_make() {
    let plain = || asked(&["\"@method\""]);
    for (asked, name) in [
        (plain().keyid("orders-2").unwrap(), "keyid"),
        (plain().alg("ed25519").unwrap(), "alg"),
    ] {
        let why = layer().satisfying(&asked).unwrap_err();
        assert_eq!(why, SignConfigError::Unsatisfiable(name.into()));
    }
    for text in ["\"@status\"", "\"@method\";req", "\"signature\""] {
        let why = layer().satisfying(&asked(&[text])).unwrap_err();
        assert_eq!(why, SignConfigError::Component(text.into()));
    }
    let without = SignRequestLayer::with_keys(RotatingSigner::default());
    let why = without
        .satisfying(&plain().keyid("a").unwrap())
        .unwrap_err();
    assert_eq!(why, SignConfigError::Unsatisfiable("keyid".into()));
}

#[tokio::test]
async fn makes_what_is_asked_for_and_no_less_than_before() {
    let asked = asked(&[
        "\"@path\"",
        "\"content-digest\"",
        "\"content-type\"",
        "\"@scheme\"",
    ])
    .created()
    .expires()
    .nonce("n-1")
    .unwrap()
    .keyid("orders-1")
    .unwrap()
    .alg("hmac-sha256")
    .unwrap()
    .tag("asked-for")
    .unwrap();
    let before = layer().also_if_present(http::header::CONTENT_TYPE).unwrap();
    let layer = before.satisfying(&asked).unwrap();
    // What was covered where it is there is now covered, or nothing is sent.
    let why = refusal(&layer, get("https://a.example/")).await;
    assert_eq!(
        why,
        CannotSign::Base(crate::signature::base::BaseError::FieldAbsent)
    );

    let mut request = get("https://a.example/");
    request
        .headers_mut()
        .insert("content-type", "text/plain".parse().unwrap());
    let sent = send(&layer, request).await.unwrap();
    assert!(sent_holds(&sent, "a.example", &key(1)));
    let all = [
        "\"@method\"",
        "\"@authority\"",
        "\"@path\"",
        "\"@query\"",
        "\"content-digest\"",
        "\"content-type\"",
        "\"@scheme\"",
    ];
    assert_eq!(covered(&sent.0.headers, "asked"), all);
    let input = text(&sent.0.headers, "signature-input");
    let parameters = ";created=1893456000;expires=1893456060;nonce=\"n-1\";keyid=\"orders-1\";\
                      alg=\"hmac-sha256\";tag=\"asked-for\"";
    assert!(input.ends_with(parameters), "{input}");
    assert!(covered(&sent.0.headers, "asked").contains(&Component::PATH.to_string()));
}
