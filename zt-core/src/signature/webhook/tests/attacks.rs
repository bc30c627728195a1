//! Ways to have a webhook taken twice, or one that nobody sent, tried from outside.

use http_body_util::StreamBody;

use super::*;
use crate::signature::replay::MemoryReplays;

fn fresh() -> MemoryReplays {
    MemoryReplays::for_new_keys(Duration::from_secs(1200))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_copies_at_once_one_is_handled() {
    let memory = Arc::new(fresh());
    let layer = VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory);
    let layer = layer.build().unwrap();
    let clock = ManualClock::at(Timestamp::from_secs(NOW));
    let copies: Vec<_> = (0..32)
        .map(|_| {
            let (layer, clock) = (layer.clone(), clock.clone());
            tokio::spawn(async move { ask(&layer, &clock, stripe(NOW, BODY)).await })
        })
        .collect();
    let (mut handled, mut replayed) = (0, 0);
    for copy in copies {
        let outcome = copy.await.unwrap();
        handled += usize::from(outcome.handled.is_some());
        replayed += usize::from(outcome.code() == Some(Code::Replayed));
    }
    assert_eq!((handled, replayed), (1, 31));
}

#[tokio::test]
async fn refuses_every_split_of_id_timestamp_and_body_but_the_one_that_was_signed() {
    // `id.timestamp.body` as one text, cut at every pair of full stops and digits.
    let body = format!("{NOW}.{NOW}.x");
    let signature = standard_v1(WHSEC, "a", NOW, body.as_bytes());
    let seconds = NOW.to_string();
    let whole = format!("a.{seconds}.{body}");
    let stops: Vec<_> = whole.match_indices('.').map(|(at, _)| at).collect();
    let mut passed = 0;
    for (first, second) in stops
        .iter()
        .flat_map(|a| stops.iter().map(move |b| (*a, *b)))
    {
        if first >= second {
            continue;
        }
        let (id, time, body) = (
            whole.get(..first).unwrap(),
            whole.get(first + 1..second).unwrap(),
            whole.get(second + 1..).unwrap(),
        );
        let headers = [
            ("webhook-id", id),
            ("webhook-timestamp", time),
            ("webhook-signature", &*signature),
        ];
        let outcome = Door::standard()
            .ask(request(&headers, body.to_owned()))
            .await;
        passed += usize::from(outcome.handled.is_some());
        assert_eq!(outcome.handled.is_some(), id == "a" && time == seconds);
    }
    assert_eq!(passed, 1);
}

#[tokio::test]
async fn a_stripe_timestamp_moves_no_byte_of_the_body() {
    // `t.body`: what stands behind the full stop is the body, whatever it begins with.
    let body = format!("{NOW}.x");
    let v1 = stripe_v1(STRIPE, NOW, &body);
    for (header, body) in [
        (format!("t={NOW}.{NOW},v1={v1}"), "x"),
        (format!("t={NOW}.,v1={v1}"), &*format!("{NOW}.x")),
        (format!("t={NOW},v1={v1}"), "x"),
    ] {
        let outcome = Door::stripe().ask(stripe_with(&header, body)).await;
        assert!(outcome.handled.is_none(), "{header}");
    }
}

#[tokio::test]
async fn another_spelling_or_order_of_the_signatures_is_no_second_webhook() {
    let door = Door::new(|memory| {
        VerifyWebhookLayer::standard(&WHSEC.into(), "shop", memory).also(&OTHER_WHSEC.into())
    });
    let (one, other) = (
        standard_v1(WHSEC, ID, NOW, BODY.as_bytes()),
        standard_v1(OTHER_WHSEC, ID, NOW, BODY.as_bytes()),
    );
    let mut handled = 0;
    for signature in [
        format!("{one} {other}"),
        format!("{other} {one}"),
        one.clone(),
        other.clone(),
        format!("{one} {one}"),
        format!("v9,x {one}"),
        format!("{one} v1,{}", STANDARD.encode([0; 32])),
        one.trim_end_matches('=').to_owned(),
        one.replace("v1,", "V1,"),
        one.replace('+', "-").replace('/', "_"),
        format!("{one} "),
        format!(" {one}"),
        one.replace(',', ", "),
    ] {
        let outcome = door.ask(standard_with(&signature, NOW, BODY)).await;
        handled += usize::from(outcome.handled.is_some());
    }
    assert_eq!(handled, 1);
    for time in [
        format!("0{NOW}"),
        format!("+{NOW}"),
        format!("{NOW}.0"),
        format!(" {NOW}"),
    ] {
        let headers = [
            ("webhook-id", ID),
            ("webhook-timestamp", &*time),
            ("webhook-signature", &*one),
        ];
        assert!(door.ask(request(&headers, BODY)).await.handled.is_none());
    }
}

#[tokio::test]
async fn a_webhook_held_back_while_its_body_drips_is_a_replay_when_the_first_came() {
    // The head is judged in time, and the body comes at the last moment of the deadline.
    let memory = Arc::new(fresh());
    let layer = VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", memory)
        .build()
        .unwrap();
    let clock = ManualClock::at(Timestamp::from_secs(NOW));
    assert!(
        ask(&layer, &clock, stripe(NOW, BODY))
            .await
            .handled
            .is_some()
    );
    clock.advance(Duration::from_secs(300));

    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let pieces = futures_util::stream::poll_fn(move |task| receiver.poll_recv(task));
    let (parts, _) = stripe(NOW, BODY).into_parts();
    let body = StreamBody::new(pieces);
    let handler = Handler::default();
    let settings = Settings::default().with_clock(clock.clone());
    let service = OpenContextLayer::new(settings).layer(layer.layer(handler.clone()));
    let copy = service.oneshot(Request::from_parts(parts, body));
    let (response, ()) = tokio::join!(copy, async {
        tokio::task::yield_now().await;
        clock.advance(Duration::from_micros(9_999_999));
        // Others come meanwhile and turn the memory over.
        for n in 0..3 {
            let other = stripe(NOW + 300, &format!("other {n}"));
            ask(&layer, &clock, other).await;
        }
        let piece = Ok::<_, BoxError>(Frame::data(Bytes::from(BODY)));
        sender.send(piece).unwrap();
        drop(sender);
    });
    let denial = response.unwrap().extensions().get::<Denial>().cloned();
    assert_eq!(denial.unwrap().code(), Code::Replayed);
    assert!(handler.0.lock().unwrap().is_none());
}

#[test]
fn refuses_a_memory_whose_restart_would_let_what_is_dated_ahead_pass_again() {
    let secs = Duration::from_secs;
    let build = |skew, ahead: Option<u64>| {
        let memory = MemoryReplays::new(secs(1200), secs(skew), Timestamp::from_secs(NOW));
        let builder = VerifyWebhookLayer::stripe(&STRIPE.into(), "payments", Arc::new(memory));
        match ahead {
            Some(ahead) => builder.future_skew(secs(ahead)).build().err(),
            None => builder.build().err(),
        }
    };
    assert_eq!(build(5, None), Some(WebhookError::MemorySkew(secs(300))));
    assert_eq!(build(5, Some(6)), Some(WebhookError::MemorySkew(secs(6))));
    assert_eq!(build(5, Some(5)), None);
    assert_eq!(build(300, None), None);
}

#[tokio::test]
async fn a_forger_neither_fills_the_memory_nor_keeps_the_original_out() {
    for (door, original) in all() {
        let name = door.layer.0.format.signature_header();
        for n in 0..64_u8 {
            let mut forged = original();
            let genuine = forged.headers()[name].to_str().unwrap().to_owned();
            let at = genuine.len() - 8 - usize::from(n % 16);
            let digit = if genuine.as_bytes()[at] == b'a' {
                "b"
            } else {
                "a"
            };
            let mut text = genuine;
            text.replace_range(at..=at, digit);
            forged.headers_mut().insert(name, text.parse().unwrap());
            assert!(door.ask(forged).await.handled.is_none());
        }
        assert_eq!(door.memory.len(), 0);
        assert!(door.ask(original()).await.handled.is_some());
    }
}

#[tokio::test]
async fn trailers_stand_in_for_no_header() {
    let door = Door::github();
    let (mut parts, body) = github(GITHUB, BODY).into_parts();
    let signature = parts.headers.remove("x-hub-signature-256").unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-hub-signature-256", signature);
    let pieces = [
        Ok::<_, BoxError>(Frame::data(body)),
        Ok(Frame::trailers(trailers)),
    ];
    let body = StreamBody::new(futures_util::stream::iter(pieces));
    let handler = Handler::default();
    let service = door.layer.layer(handler.clone());
    let response = service
        .oneshot(Request::from_parts(parts, body))
        .await
        .unwrap();
    assert_eq!(response.status(), 401);
    assert!(handler.0.lock().unwrap().is_none());
}
