//! Any single change of what is signed, or of the signature, is refused.

use proptest::prelude::*;

use super::*;

fn outcome(door: &Door, request: Request<Bytes>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.unwrap().block_on(door.ask(request))
}

/// The headers that matter, by format.
fn covered(format: WebhookFormat) -> &'static [&'static str] {
    match format {
        WebhookFormat::Standard => &["webhook-id", "webhook-timestamp", "webhook-signature"],
        WebhookFormat::GitHub => &["x-hub-signature-256"],
        WebhookFormat::Stripe => &["stripe-signature"],
    }
}

fn is_refusal(outcome: &Outcome) -> bool {
    outcome.handled.is_none()
        && matches!(
            outcome.code(),
            Some(Code::SignatureInvalid | Code::CredentialMalformed)
        )
}

#[test]
fn refuses_every_bit_that_is_flipped_in_a_header() {
    for (door, good) in all() {
        for name in covered(door.layer.0.format) {
            let value = good().headers()[*name].as_bytes().to_vec();
            for at in 0..value.len() * 8 {
                let mut flipped = value.clone();
                flipped[at / 8] ^= 1 << (at % 8);
                // Some bytes cannot stand in a header at all.
                let Ok(flipped) = HeaderValue::from_bytes(&flipped) else {
                    continue;
                };
                let mut request = good();
                request.headers_mut().insert(*name, flipped.clone());
                let outcome = outcome(&door, request);
                assert!(is_refusal(&outcome), "{name}: {flipped:?}");
            }
        }
        assert_eq!(door.memory.len(), 0);
        assert_eq!(outcome(&door, good()).status, 200);
    }
}

#[test]
fn refuses_every_bit_that_is_flipped_in_the_body() {
    for (door, good) in all() {
        for at in 0..BODY.len() * 8 {
            let mut body = BODY.as_bytes().to_vec();
            body[at / 8] ^= 1 << (at % 8);
            let outcome = outcome(&door, good().map(|_| body.into()));
            assert_eq!(outcome.code(), Some(Code::SignatureInvalid), "{at}");
        }
        assert_eq!(door.memory.len(), 0);
        assert_eq!(outcome(&door, good()).status, 200);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn refuses_any_one_change_and_accepts_what_was_signed(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        id in "[A-Za-z0-9_-]{1,40}",
        sent in NOW - 300..=NOW + 300,
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        add in any::<bool>(),
    ) {
        let seconds = sent.to_string();
        let v1 = standard_v1(WHSEC, &id, sent, &body);
        let stripe = hex(&mac(STRIPE.as_bytes(), &[format!("{sent}.").as_bytes(), &body]));
        let hub = hex(&mac(GITHUB.as_bytes(), &[&body]));
        let headers = [
            ("webhook-id", &*id),
            ("webhook-timestamp", &seconds),
            ("webhook-signature", &v1),
            ("stripe-signature", &format!("t={sent},v1={stripe}")),
            ("x-hub-signature-256", &format!("sha256={hub}")),
        ];
        let mut changed = body.clone();
        if add || body.is_empty() {
            changed.insert(at.index(body.len() + 1), byte);
        } else {
            let place = at.index(body.len());
            changed[place] = if byte == changed[place] { !byte } else { byte };
        }
        for (door, _) in all() {
            let refused = outcome(&door, request(&headers, changed.clone()));
            prop_assert_eq!(refused.code(), Some(Code::SignatureInvalid));
            let accepted = outcome(&door, request(&headers, body.clone()));
            // The handler has the body as it came.
            prop_assert_eq!(&accepted.handled.unwrap().0, &body);
        }
    }
}
