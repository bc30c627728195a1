//! What is remembered, when, and for how long.

use super::*;

#[tokio::test]
async fn refuses_a_replay() {
    for (door, good) in all() {
        for waits in [false, true] {
            door.memory.waits.store(waits, Ordering::SeqCst);
            door.memory.seen.lock().unwrap().clear();
            assert_eq!(door.ask(good()).await.status, 200);
            let outcome = door.ask(good()).await;
            assert_eq!(outcome.code(), Some(Code::Replayed));
            assert_eq!(outcome.status, 401);
            assert!(outcome.challenge.is_some());
            assert!(outcome.handled.is_none());
        }
    }
}

#[tokio::test]
async fn refuses_where_the_memory_cannot_tell() {
    for (door, good) in all() {
        for waits in [false, true] {
            door.memory.waits.store(waits, Ordering::SeqCst);
            door.memory.is_down.store(true, Ordering::SeqCst);
            let outcome = door.ask(good()).await;
            assert_eq!(outcome.code(), Some(Code::ReplayUnavailable));
            assert_eq!(outcome.status, 503);
            assert!(outcome.detail().ends_with(": cut"), "{}", outcome.detail());
            assert!(outcome.handled.is_none());
            door.memory.is_down.store(false, Ordering::SeqCst);
        }
    }
}

/// None of these headers is signed.
#[tokio::test]
async fn a_replay_of_githubs_stays_one_under_another_delivery_id() {
    let door = Door::github();
    assert_eq!(door.ask(github(GITHUB, BODY)).await.status, 200);
    let mut again = github(GITHUB, BODY);
    let fresh = HeaderValue::from_static("00000000-0000-0000-0000-000000000000");
    again.headers_mut().insert("x-github-delivery", fresh);
    let event = HeaderValue::from_static("release");
    again.headers_mut().insert("x-github-event", event);
    assert_eq!(door.ask(again).await.code(), Some(Code::Replayed));
}

#[tokio::test]
async fn a_redelivery_of_githubs_is_refused_within_the_window_and_passes_after_it() {
    let door = Door::new(|memory| {
        VerifyWebhookLayer::github(&GITHUB.into(), "forge", memory)
            .replay_window(Duration::from_secs(60))
    });
    assert_eq!(door.ask(github(GITHUB, BODY)).await.status, 200);
    door.clock.advance(Duration::from_secs(60));
    assert_eq!(
        door.ask(github(GITHUB, BODY)).await.code(),
        Some(Code::Replayed)
    );
    door.clock.advance(Duration::from_secs(1));
    assert_eq!(door.ask(github(GITHUB, BODY)).await.status, 200);
}

#[tokio::test]
async fn another_attempt_of_the_sender_is_no_replay() {
    let door = Door::standard();
    assert_eq!(door.ask(standard(NOW, BODY)).await.status, 200);
    door.clock.advance(Duration::from_secs(5));
    // The id stays, the timestamp and with it the signature do not.
    assert_eq!(door.ask(standard(NOW + 5, BODY)).await.status, 200);
    let door = Door::stripe();
    assert_eq!(door.ask(stripe(NOW, BODY)).await.status, 200);
    door.clock.advance(Duration::from_secs(5));
    assert_eq!(door.ask(stripe(NOW + 5, BODY)).await.status, 200);
}

#[tokio::test]
async fn a_replay_stays_one_whichever_signatures_are_left_on_it() {
    let secrets = [WHSEC, OTHER_WHSEC];
    let door = Door::new(|memory| {
        VerifyWebhookLayer::standard(&WHSEC.into(), "shop", memory).also(&OTHER_WHSEC.into())
    });
    let [one, other] = secrets.map(|secret| standard_v1(secret, ID, NOW, BODY.as_bytes()));
    let both = format!("{one} {other}");
    assert_eq!(door.ask(standard_with(&both, NOW, BODY)).await.status, 200);
    for signature in [
        &one,
        &other,
        &format!("{other} {one}"),
        &format!("v2,x {one}"),
    ] {
        let outcome = door.ask(standard_with(signature, NOW, BODY)).await;
        assert_eq!(outcome.code(), Some(Code::Replayed), "{signature}");
    }
}

#[tokio::test]
async fn is_remembered_until_it_cannot_be_accepted_again() {
    let tolerance = Duration::from_secs(300);
    let deadline = Duration::from_secs(10);
    let door = Door::standard();
    for sent in [NOW - 300, NOW, NOW + 300] {
        assert_eq!(door.ask(standard(sent, BODY)).await.status, 200);
        let seen = door.memory.seen.lock().unwrap().last().cloned().unwrap();
        let sent = Timestamp::from_secs(sent);
        assert_eq!(seen.created, sent);
        // Its head could come again at the end of the tolerance, and its body a deadline later.
        assert_eq!(seen.until, sent + tolerance + deadline);
        assert_eq!(seen.keyid, "webhook/standard/shop");
    }
    let door = Door::github();
    assert_eq!(door.ask(github(GITHUB, BODY)).await.status, 200);
    let seen = door.memory.seen.lock().unwrap().last().cloned().unwrap();
    let now = Timestamp::from_secs(NOW);
    assert_eq!(seen.created, now);
    assert_eq!(seen.until, now + Duration::from_secs(600));
}

/// Two senders over one memory do not get in one another's way.
#[tokio::test]
async fn one_memory_serves_several_senders() {
    let memory = Arc::new(Memory::default());
    let door = |subject: &str| Door {
        layer: VerifyWebhookLayer::github(&GITHUB.into(), subject, Arc::clone(&memory) as _)
            .build()
            .unwrap(),
        clock: ManualClock::at(Timestamp::from_secs(NOW)),
        memory: Arc::clone(&memory),
    };
    for subject in ["one", "other"] {
        let outcome = door(subject).ask(github(GITHUB, BODY)).await;
        assert_eq!(outcome.handled.unwrap().1, subject);
    }
    let outcome = door("one").ask(github(GITHUB, BODY)).await;
    assert_eq!(outcome.code(), Some(Code::Replayed));
}
