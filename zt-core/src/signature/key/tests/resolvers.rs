use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::*;

async fn answer(resolver: &impl KeyResolver, keyid: &str, time: u64) -> Resolved {
    match resolver.resolve(&KeyQuestion::new(at(time)).keyid(keyid)) {
        Resolving::Now(answer) => answer,
        Resolving::Later(answer) => answer.await,
    }
}

/// A vault that counts how often it is asked: `down` fails, `key-..` is there.
fn vault() -> (Arc<AtomicUsize>, impl KeyResolver) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let vault = from_fn(move |id: String| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            match id.as_str() {
                "down" => Err(KeysUnavailable("no connection".into())),
                id if id.to_lowercase().starts_with("key") => {
                    Ok(Some(entry(&id.to_lowercase(), 1)))
                }
                _ => Ok(None),
            }
        }
    });
    (asked, vault)
}

#[tokio::test]
async fn unavailable_and_unknown_are_different_answers() {
    let (_, vault) = vault();
    let down = answer(&vault, "down", 0).await.unwrap_err();
    assert_eq!(down.to_string(), "keys are unavailable: no connection");
    assert!(answer(&vault, "who", 0).await.unwrap().is_none());
    assert_eq!(
        answer(&vault, "key-1", 0).await.unwrap().unwrap().id(),
        "key-1"
    );
}

#[tokio::test]
async fn a_key_with_another_id_than_was_asked_for_is_none() {
    let (_, vault) = vault();
    assert!(answer(&vault, "KEY-1", 0).await.unwrap().is_none());
}

#[tokio::test]
async fn an_id_that_cannot_be_one_is_not_asked_for() {
    let (asked, vault) = vault();
    assert!(answer(&vault, &"k".repeat(257), 0).await.unwrap().is_none());
    assert!(
        now(vault.resolve(&KeyQuestion::new(at(0))))
            .unwrap()
            .is_none()
    );
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn resolvers_can_be_shared_as_objects() {
    let ring: Arc<dyn KeyResolver> = Arc::new(KeyRing::new([entry("a", 1)]).unwrap());
    assert!(answer(&ring, "a", 0).await.unwrap().is_some());
    assert!(answer(&ring, "b", 0).await.unwrap().is_none());
}

#[tokio::test]
async fn answers_are_remembered_for_their_time_and_unavailability_is_not() {
    let (asked, vault) = vault();
    let cached = CachedKeys::new(vault)
        .known_for(Duration::from_secs(60))
        .unknown_for(Duration::from_secs(5));
    let count = || asked.swap(0, Ordering::SeqCst);
    for (time, questions) in [(0, 1), (59, 0), (60, 1)] {
        assert!(answer(&cached, "key-1", time).await.unwrap().is_some());
        assert_eq!(count(), questions, "{time}");
    }
    for (time, questions) in [(0, 1), (4, 0), (5, 1)] {
        assert!(answer(&cached, "who", time).await.unwrap().is_none());
        assert_eq!(count(), questions, "{time}");
    }
    for _ in 0..2 {
        assert!(answer(&cached, "down", 0).await.is_err());
        assert_eq!(count(), 1);
    }
    cached.forget("key-1");
    assert!(answer(&cached, "key-1", 61).await.unwrap().is_some());
    assert_eq!(count(), 1);
    cached.forget_all();
    assert!(answer(&cached, "key-1", 61).await.unwrap().is_some());
    assert_eq!(count(), 1);
}

#[tokio::test]
async fn a_flood_of_unknown_ids_is_bounded_and_takes_no_room_from_keys() {
    let (asked, vault) = vault();
    let cached = CachedKeys::new(vault).capacity(8);
    assert!(answer(&cached, "key-1", 0).await.unwrap().is_some());
    for id in 0..1000 {
        assert!(
            answer(&cached, &format!("who-{id}"), 0)
                .await
                .unwrap()
                .is_none()
        );
        assert!(cached.remembered_ids() <= 1 + 8);
    }
    asked.store(0, Ordering::SeqCst);
    assert!(answer(&cached, "key-1", 0).await.unwrap().is_some());
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    for id in 0..1000 {
        assert!(
            answer(&cached, &format!("key-{id}"), 0)
                .await
                .unwrap()
                .is_some()
        );
        assert!(cached.remembered_ids() <= 8 + 8);
    }
    let (_, vault) = self::vault();
    let forgetful = CachedKeys::new(vault).capacity(0);
    assert!(answer(&forgetful, "key-1", 0).await.unwrap().is_some());
    assert_eq!(forgetful.remembered_ids(), 0);
}
