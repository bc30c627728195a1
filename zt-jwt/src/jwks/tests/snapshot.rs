//! What becomes of keys that were there.

use zt_core::state::Probe;

use super::*;

async fn given(text: String) -> (Scripted, ManualClock, RemoteKeys) {
    let source = Scripted::new(Answer::Set(text, None));
    let clock = ManualClock::default();
    let keys = remote(source.clone(), RefreshSettings::default(), &clock);
    assert_eq!(miss(&keys, &clock).await, "fetched");
    (source, clock, keys)
}

async fn then(source: &Scripted, clock: &ManualClock, keys: &RemoteKeys, answer: Answer) {
    source.says(answer);
    clock.advance(10 * SECOND);
    assert_eq!(miss(keys, clock).await, "fetched");
}

#[tokio::test]
async fn the_epoch_grows_when_a_key_goes_or_changes_and_only_then() {
    let (a, b) = (jwk("a"), jwk("b"));
    let (source, clock, keys) = given(set([&a])).await;
    let narrowed = b.replace(r#""alg":"ES256","#, r#""alg":"ES256","use":"sig","#);
    for (name, text, epoch, known) in [
        ("added", set([&a, &b]), 0, ["a", "b"]),
        ("the same", set([&a, &b]), 0, ["a", "b"]),
        ("in another order", set([&b, &a]), 0, ["a", "b"]),
        ("written otherwise", set([&narrowed, &a]), 0, ["a", "b"]),
        ("removed", set([&b]), 1, ["b", "b"]),
        ("swapped under the same id", set([jwk("b")]), 2, ["b", "b"]),
        ("under another id", set([jwk("c")]), 3, ["c", "c"]),
    ] {
        then(&source, &clock, &keys, Answer::Set(text, None)).await;
        assert_eq!(keys.epoch(), epoch, "{name}");
        assert!(known.iter().all(|kid| knows(&keys, &clock, kid)), "{name}");
    }
    assert!(!knows(&keys, &clock, "a") && !knows(&keys, &clock, "b"));
}

#[tokio::test]
async fn an_equal_set_disturbs_nothing() {
    let (a, b) = (jwk("a"), jwk("b"));
    let (source, clock, keys) = given(set([&a, &b])).await;
    let Current::Keys(before) = keys.current(clock.monotonic()) else {
        panic!("no keys")
    };
    then(&source, &clock, &keys, Answer::Set(set([&b, &a]), None)).await;
    let Current::Keys(after) = keys.current(clock.monotonic()) else {
        panic!("no keys")
    };
    assert!(std::ptr::eq::<KeySet>(&*before, &*after));
    assert_eq!(keys.status().age, Some(Duration::ZERO));
}

#[tokio::test]
async fn one_bad_key_among_good_ones_is_left_out() {
    let bad = r#"{"kty":"EC","crv":"P-256","kid":"bad","x":"AA","y":"AA"}"#.to_owned();
    let shared =
        r#"{"kty":"oct","kid":"shared","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#;
    let text = set([jwk("a"), bad, shared.to_owned(), jwk("b")]);
    let (source, clock, keys) = given(text.clone()).await;
    assert!(knows(&keys, &clock, "a") && knows(&keys, &clock, "b"));
    let status = keys.status();
    assert_eq!((status.keys, status.left_out.len()), (2, 2), "{status:?}");
    assert_eq!(status.last_error, None);

    let told = Arc::clone(&status.left_out);
    then(&source, &clock, &keys, Answer::Set(text, None)).await;
    assert!(Arc::ptr_eq(&told, &keys.status().left_out));
    then(&source, &clock, &keys, Answer::Set(set([jwk("a")]), None)).await;
    assert!(keys.status().left_out.is_empty());
}

#[tokio::test]
async fn a_set_without_a_key_of_use_takes_all_away() {
    let other = r#"{"kty":"oct","kid":"shared","k":"AAAA"}"#;
    for text in [set::<&str>([]), set([other])] {
        let a = jwk("a");
        let (source, clock, keys) = given(set([&a])).await;
        then(&source, &clock, &keys, Answer::Set(text, None)).await;
        assert!(!has_keys(&keys, &clock));
        assert_eq!((keys.epoch(), keys.status().failures), (1, 1));
        assert_eq!(miss(&keys, &clock).await, "unavailable");
        let request = source.0.last.lock().unwrap().clone();
        then(&source, &clock, &keys, Answer::Unchanged).await;
        assert!(!has_keys(&keys, &clock), "{request:?}");
        then(&source, &clock, &keys, Answer::Set(set([&a]), None)).await;
        assert!(knows(&keys, &clock, "a"));
        assert_eq!(keys.epoch(), 1);
    }
}

#[tokio::test]
async fn keys_for_other_algorithms_are_not_there() {
    let source = Scripted::new(Answer::Set(set([jwk("a")]), None));
    let clock = ManualClock::default();
    let keys = RemoteKeys::new(
        Arc::new(source),
        Algorithm::EdDsa.into(),
        RefreshSettings::default(),
        Arc::new(clock.clone()),
    );
    miss(&keys, &clock).await;
    assert!(!has_keys(&keys, &clock));
    assert_eq!(miss(&keys, &clock).await, "unavailable");
}

#[tokio::test]
async fn keys_past_the_stale_limit_are_not_used() {
    let (source, clock, keys) = given(set([jwk("a")])).await;
    source.says(Answer::Error);
    clock.advance(24 * HOUR);
    miss(&keys, &clock).await;
    assert!(knows(&keys, &clock, "a"));
    clock.advance(SECOND);
    assert!(!has_keys(&keys, &clock));
    assert_eq!(miss(&keys, &clock).await, "unavailable");
    clock.advance(24 * HOUR);
    assert!(!has_keys(&keys, &clock));
    assert_eq!(keys.epoch(), 0);

    then(&source, &clock, &keys, Answer::Unchanged).await;
    assert!(knows(&keys, &clock, "a"));
}

#[tokio::test]
async fn unchanged_from_nothing_is_a_failure() {
    let source = Scripted::new(Answer::Unchanged);
    let clock = ManualClock::default();
    let keys = remote(source, RefreshSettings::default(), &clock);
    miss(&keys, &clock).await;
    assert!(!has_keys(&keys, &clock));
    assert_eq!(keys.status().failures, 1);
}

#[tokio::test]
async fn an_own_source_has_the_same_bounds() {
    let settings = RefreshSettings::default().max_bytes(1_024).max_keys(2);
    for (text, why) in [
        (set([jwk("a"), jwk("b"), jwk("c")]), "more than 2 keys"),
        (
            format!("{}{}", set([jwk("a")]), " ".repeat(1_024)),
            "more than 1024 bytes",
        ),
    ] {
        let clock = ManualClock::default();
        let keys = remote(
            Scripted::new(Answer::Set(text, None)),
            settings.clone(),
            &clock,
        );
        miss(&keys, &clock).await;
        let error = keys.status().last_error.unwrap();
        assert!(!has_keys(&keys, &clock) && error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn readiness_follows_the_keys() {
    let source = Scripted::default();
    let clock = ManualClock::default();
    let keys = remote(source.clone(), RefreshSettings::default(), &clock);
    assert_eq!(keys.probe(), Probe::NotReady("there are no keys"));
    miss(&keys, &clock).await;
    assert_eq!(keys.probe(), Probe::NotReady("there are no keys"));
    then(&source, &clock, &keys, Answer::Set(set([jwk("a")]), None)).await;
    assert_eq!(keys.probe(), Probe::Ready);
    clock.advance(24 * HOUR);
    assert_eq!(keys.probe(), Probe::Ready);
    clock.advance(SECOND);
    assert_eq!(keys.probe(), Probe::NotReady("the keys are too old"));
}

/// Whoever reads the epoch first and then the keys never takes old keys for those of a new epoch.
#[test]
fn the_epoch_never_runs_ahead_of_the_keys() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let key = jwk("n");
    let named = |n: u64| key.replace(r#""kid":"n""#, &format!(r#""kid":"{n}""#));
    let texts: Vec<_> = (0..2_000).map(|n| set([named(n)])).collect();
    let source = Scripted::new(Answer::Set(texts[0].clone(), None));
    let clock = ManualClock::default();
    let keys = remote(source.clone(), RefreshSettings::default(), &clock);
    runtime.block_on(async { miss(&keys, &clock).await });
    let writer = runtime.spawn({
        let (keys, clock) = (keys.clone(), clock.clone());
        async move {
            for text in texts.into_iter().skip(1) {
                source.says(Answer::Set(text, None));
                clock.advance(10 * SECOND);
                miss(&keys, &clock).await;
            }
        }
    });
    let now = clock.monotonic();
    while !writer.is_finished() {
        let epoch = keys.epoch();
        let Current::Keys(set) = keys.current(now) else {
            panic!("no keys")
        };
        // In epoch n the key is n, or already a later one.
        let key: u64 = set.iter().next().unwrap().kid().unwrap().parse().unwrap();
        assert!(key >= epoch, "key {key} in epoch {epoch}");
    }
    runtime.block_on(writer).unwrap();
    assert_eq!(keys.epoch(), 1_999);
}
