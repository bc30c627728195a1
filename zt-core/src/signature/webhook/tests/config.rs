use super::*;

fn memory() -> Arc<Memory> {
    Arc::new(Memory::default())
}

fn standard_secret(text: &str) -> Result<VerifyWebhookLayer, WebhookError> {
    VerifyWebhookLayer::standard(&text.into(), "shop", memory()).build()
}

fn whsec(bytes: usize) -> String {
    format!("whsec_{}", STANDARD.encode(vec![7; bytes]))
}

#[test]
fn refuses_secrets_that_are_not_written_as_the_sender_shows_them() {
    for text in [
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_",
        "whsec_!!!!",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS_",
        "",
    ] {
        let error = standard_secret(text).unwrap_err();
        assert!(
            matches!(
                error,
                WebhookError::SecretForm(_) | WebhookError::SecretTooShort { bytes: 0, .. }
            ),
            "{text}: {error}"
        );
    }
    let api_key = "sk_live_0123456789abcdef0123456789abcdef".into();
    let error = VerifyWebhookLayer::stripe(&api_key, "payments", memory())
        .build()
        .unwrap_err();
    assert!(matches!(error, WebhookError::SecretForm(_)));
}

#[test]
fn refuses_the_senders_private_key() {
    let error = standard_secret("whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk=");
    assert_eq!(error.unwrap_err(), WebhookError::PrivateKey);
}

#[test]
fn refuses_public_keys_that_are_none() {
    for text in ["whpk_", "whpk_AAAA", "whpk_not base64"] {
        assert!(
            matches!(standard_secret(text), Err(WebhookError::PublicKey(_))),
            "{text}"
        );
    }
}

#[test]
fn bounds_the_length_of_secrets() {
    let short = |bytes, minimum| Err(WebhookError::SecretTooShort { bytes, minimum });
    let built = |builder: WebhookBuilder| builder.build().map(|_| ());
    let standard = |bytes| VerifyWebhookLayer::standard(&(&*whsec(bytes)).into(), "shop", memory());
    let github = |text: &str| VerifyWebhookLayer::github(&text.into(), "forge", memory());
    let stripe = |text: &str| VerifyWebhookLayer::stripe(&text.into(), "payments", memory());

    assert_eq!(built(standard(23)), short(23, 24));
    assert_eq!(built(standard(24)), Ok(()));
    assert_eq!(built(standard(64)), Ok(()));
    assert_eq!(built(standard(65)), Err(WebhookError::SecretTooLong));
    assert_eq!(built(github("fifteen letters")), short(15, 16));
    assert_eq!(built(github("sixteen letters.")), Ok(()));
    assert_eq!(built(stripe("whsec_test_secret")), short(17, 32));

    // The door opens for short ones, not for none at all.
    for builder in [standard(1), github("x"), stripe("whsec_x")] {
        assert_eq!(built(builder.insecure_short_secret()), Ok(()));
    }
    assert_eq!(built(github("").insecure_short_secret()), short(0, 1));
    assert_eq!(built(standard(0).insecure_short_secret()), short(0, 1));
}

#[test]
fn refuses_more_than_four_secrets() {
    let secret: Secret = GITHUB.into();
    let four = (0..3).fold(
        VerifyWebhookLayer::github(&secret, "forge", memory()),
        |builder, _| builder.also(&secret),
    );
    assert_eq!(
        four.also(&secret).build().unwrap_err(),
        WebhookError::TooManySecrets
    );
}

#[test]
fn refuses_bounds_that_leave_nothing_or_everything() {
    let stripe = || VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory());
    let github = || VerifyWebhookLayer::github(&GITHUB.into(), "forge", memory());
    for (builder, expected) in [
        (stripe().tolerance(Duration::ZERO), WebhookError::Tolerance),
        (
            stripe().tolerance(Duration::from_secs(3601)),
            WebhookError::Tolerance,
        ),
        (
            github().tolerance(Duration::from_secs(300)),
            WebhookError::NoTimestamp(WebhookFormat::GitHub),
        ),
        (
            stripe().replay_window(Duration::from_secs(60)),
            WebhookError::HasTimestamp(WebhookFormat::Stripe),
        ),
        (
            github().replay_window(Duration::ZERO),
            WebhookError::ReplayWindow,
        ),
        (github().max_body(0), WebhookError::Body),
        (github().read_deadline(Duration::ZERO), WebhookError::Body),
        (
            VerifyWebhookLayer::github(&GITHUB.into(), "", memory()),
            WebhookError::Subject,
        ),
        (
            VerifyWebhookLayer::github(&GITHUB.into(), "a\nb", memory()),
            WebhookError::Subject,
        ),
    ] {
        assert_eq!(builder.build().unwrap_err(), expected);
    }
}

#[test]
fn shows_no_secret() {
    let builder = VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory());
    let shown = format!("{builder:?}");
    let shown = format!("{shown} {:?}", builder.also(&STRIPE.into()).build());
    assert!(!shown.contains("0123456789"), "{shown}");
    assert!(shown.contains("webhook/stripe/payments"), "{shown}");
}
