//! Signatures that the formats' own documents and libraries give.

use super::*;

#[tokio::test]
async fn accepts_the_documented_example_of_standard_webhooks() {
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    let outcome = Door::standard()
        .ask(standard_with(signature, NOW, BODY))
        .await;
    assert_eq!(outcome.handled, Some((BODY.into(), "shop".to_owned())));
}

#[tokio::test]
async fn accepts_the_documented_example_of_github() {
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let request = request(&[("x-hub-signature-256", signature)], "Hello, World!");
    let outcome = Door::github().ask(request).await;
    assert_eq!(
        outcome.handled,
        Some(("Hello, World!".into(), "forge".to_owned()))
    );
}

/// As Stripe's Python library, 16.1.0, signs it.
#[tokio::test]
async fn accepts_what_stripes_own_library_signs() {
    let door = Door::stripe();
    let signed = "t=1614265330,v1=9dce2b6cbcb52dcc2107e062fe0b449d92e3ee28ff6becaa7ea003eefc242ce0";
    let outcome = door.ask(stripe_with(signed, BODY)).await;
    assert_eq!(outcome.handled, Some((BODY.into(), "payments".to_owned())));
}

/// The known answer of the Go library of Standard Webhooks, and the public half of its key.
#[cfg(feature = "asymmetric")]
mod asymmetric {
    use super::*;

    const WHPK: &str = "whpk_ZlN4eg7dSSqi0moX9hQUk3orrOouK3QVQSlJa248c/g=";
    const V1A: &str = "v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==";

    fn door() -> Door {
        Door::new(|memory| VerifyWebhookLayer::standard(&WHPK.into(), "shop", memory))
    }

    #[tokio::test]
    async fn accepts_the_known_answer_of_ed25519() {
        let outcome = door().ask(standard_with(V1A, NOW, BODY)).await;
        assert_eq!(outcome.handled, Some((BODY.into(), "shop".to_owned())));
    }

    #[tokio::test]
    async fn refuses_an_ed25519_signature_over_something_else() {
        for (seconds, body) in [(NOW + 1, BODY), (NOW, "{}")] {
            let outcome = door().ask(standard_with(V1A, seconds, body)).await;
            assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
            assert!(outcome.read && outcome.handled.is_none());
        }
    }

    /// What is signed with the one key is not to be had by the other kind.
    #[tokio::test]
    async fn refuses_an_hmac_under_the_public_key() {
        let public = STANDARD
            .decode(WHPK.strip_prefix("whpk_").unwrap())
            .unwrap();
        let head = format!("{ID}.{NOW}.");
        let forged = mac(&public, &[head.as_bytes(), BODY.as_bytes()]);
        let forged = format!("v1,{}", STANDARD.encode(forged));
        let outcome = door().ask(standard_with(&forged, NOW, BODY)).await;
        assert_eq!(outcome.code(), Some(Code::SignatureInvalid));
        assert!(!outcome.read);
    }

    #[tokio::test]
    async fn accepts_either_of_two_kinds_once() {
        let door = Door::new(|memory| {
            VerifyWebhookLayer::standard(&WHSEC.into(), "shop", memory).also(&WHPK.into())
        });
        let v1 = standard_v1(WHSEC, ID, NOW, BODY.as_bytes());
        let both = format!("{v1} {V1A}");
        assert_eq!(door.ask(standard_with(&both, NOW, BODY)).await.status, 200);
        // Any other choice of the same signatures is the same webhook.
        for signature in [&*v1, V1A] {
            let outcome = door.ask(standard_with(signature, NOW, BODY)).await;
            assert_eq!(outcome.code(), Some(Code::Replayed));
        }
    }
}
