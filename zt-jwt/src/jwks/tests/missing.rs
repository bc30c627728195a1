//! Keys that are asked for and are not there.

use futures_util::{FutureExt, future::join_all};

use super::*;

fn setup(answer: Answer) -> (Scripted, ManualClock, RemoteKeys) {
    let source = Scripted::new(answer);
    let clock = ManualClock::default();
    let keys = remote(source.clone(), RefreshSettings::default(), &clock);
    (source, clock, keys)
}

fn one_key() -> Answer {
    Answer::Set(set([jwk("a")]), None)
}

#[tokio::test]
async fn a_spray_of_unknown_keys_causes_one_fetch_in_each_cooldown() {
    for (answer, verdict) in [(one_key(), "unknown"), (Answer::Error, "unavailable")] {
        let (source, clock, keys) = setup(answer);
        for round in 1..=3 {
            assert_eq!(miss(&keys, &clock).await, "fetched");
            // A token names whatever it likes; none of it gets as far as the question.
            for n in 0..100_000 {
                assert_eq!(miss(&keys, &clock).await, verdict, "{n}");
            }
            clock.advance(Duration::from_millis(9_999));
            assert_eq!(miss(&keys, &clock).await, verdict);
            assert_eq!(source.asked(), round);
            clock.advance(Duration::from_millis(1));
        }
    }
}

#[tokio::test]
async fn the_answer_says_when_to_come_again() {
    let (_, clock, keys) = setup(Answer::Error);
    miss(&keys, &clock).await;
    clock.advance(3 * SECOND);
    assert!(matches!(
        keys.missing(clock.monotonic()),
        Missing::Unavailable { retry_after } if retry_after == 7 * SECOND
    ));
    // A request that read its time before the fetch ended.
    assert!(matches!(
        keys.missing(clock.monotonic() - HOUR),
        Missing::Unavailable { retry_after } if retry_after == 10 * SECOND
    ));
}

#[tokio::test]
async fn ten_thousand_at_once_join_one_fetch_and_no_more_may() {
    let (source, clock, keys) = setup(Answer::Hang);
    let now = clock.monotonic();
    let mut waiting = Vec::new();
    for _ in 0..10_000 {
        match keys.missing(now) {
            Missing::Fetching(done) => waiting.push(tokio::spawn(done)),
            _ => panic!("not joined"),
        }
    }
    assert_eq!(keys.status().waiting, 10_000);
    for _ in 0..1_000 {
        assert!(matches!(keys.missing(now), Missing::Crowded));
    }
    assert_eq!(keys.status().waiting, 10_000);
    until(|| source.asked() == 1).await;

    clock.advance(5 * SECOND);
    join_all(waiting).await;
    assert_eq!((source.asked(), keys.status().waiting), (1, 0));
    assert_eq!(miss(&keys, &clock).await, "unavailable");
}

#[tokio::test]
async fn those_who_go_away_leave_nothing_and_take_nothing_along() {
    let (source, clock, keys) = setup(Answer::Hang);
    let now = clock.monotonic();
    for polled in [false, true] {
        for _ in 0..100 {
            let Missing::Fetching(mut done) = keys.missing(now) else {
                panic!("not joined")
            };
            if polled {
                assert!((&mut done).now_or_never().is_none());
            }
        }
        settle().await;
        assert_eq!((keys.status().waiting, source.asked()), (0, 1));
    }
    // The fetch that the first of them began goes on, and ends at its deadline.
    let Missing::Fetching(done) = keys.missing(now) else {
        panic!("not joined")
    };
    clock.advance(5 * SECOND);
    done.await;
    assert_eq!((source.asked(), keys.status().failures), (1, 1));
}

#[tokio::test]
async fn a_dropped_request_does_not_end_the_fetch_that_it_began() {
    let (source, clock, keys) = setup(one_key());
    drop(keys.missing(clock.monotonic()));
    until(|| has_keys(&keys, &clock)).await;
    assert_eq!(source.asked(), 1);
}

#[tokio::test]
async fn a_source_that_panics_is_one_that_failed() {
    let (source, clock, keys) = setup(Answer::Panic);
    for round in 1..=3 {
        assert_eq!(miss(&keys, &clock).await, "fetched");
        assert_eq!(miss(&keys, &clock).await, "unavailable");
        assert_eq!(source.asked(), round);
        assert!(keys.status().last_error.unwrap().contains("panicked"));
        clock.advance(10 * SECOND);
    }
    source.says(one_key());
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert!(knows(&keys, &clock, "a"));
}

#[test]
fn outside_a_runtime_nothing_panics() {
    let (source, clock, keys) = setup(one_key());
    for _ in 0..3 {
        assert!(matches!(
            keys.missing(clock.monotonic()),
            Missing::Unavailable { retry_after } if retry_after == 10 * SECOND
        ));
        assert!(keys.fetch_now().now_or_never().unwrap().is_err());
    }
    assert_eq!((source.asked(), keys.status().waiting), (0, 0));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { assert_eq!(miss(&keys, &clock).await, "fetched") });
    assert!(knows(&keys, &clock, "a"));
    // The answer for a key that is not there needs no runtime.
    assert!(matches!(keys.missing(clock.monotonic()), Missing::Unknown));
}

#[test]
fn a_runtime_that_goes_away_ends_its_fetch() {
    let (source, clock, keys) = setup(Answer::Hang);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let Missing::Fetching(done) = runtime.block_on(async { keys.missing(clock.monotonic()) })
    else {
        panic!("nothing was fetched")
    };
    drop(runtime);
    done.now_or_never().unwrap();
    assert!(matches!(
        keys.missing(clock.monotonic()),
        Missing::Unavailable { .. }
    ));
    source.says(one_key());
    clock.advance(10 * SECOND);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { assert_eq!(miss(&keys, &clock).await, "fetched") });
    assert!(knows(&keys, &clock, "a"));
}

#[tokio::test]
async fn starting_joins_a_fetch_and_minds_the_cooldown_once_there_are_keys() {
    let (source, _, keys) = setup(Answer::Error);
    // Nothing yet: whoever starts decides how often.
    for round in 1..=3 {
        let error = keys.fetch_now().await.unwrap_err();
        assert_eq!((error.retry_after, source.asked()), (10 * SECOND, round));
    }
    source.says(one_key());
    let (one, other) = tokio::join!(keys.fetch_now(), keys.fetch_now());
    assert_eq!((one, other, source.asked()), (Ok(()), Ok(()), 4));
    assert_eq!((keys.fetch_now().await, source.asked()), (Ok(()), 4));
}

#[tokio::test]
async fn starting_fails_where_the_fetch_does_even_with_older_keys() {
    let (source, clock, keys) = setup(one_key());
    keys.fetch_now().await.unwrap();
    source.says(Answer::Error);
    clock.advance(10 * SECOND);
    keys.fetch_now().await.unwrap_err();
    clock.advance(SECOND);
    let error = keys.fetch_now().await.unwrap_err();
    assert_eq!((error.retry_after, source.asked()), (9 * SECOND, 2));
    assert!(knows(&keys, &clock, "a"));
}

#[tokio::test]
async fn many_threads_begin_one_fetch() {
    for _ in 0..50 {
        let (source, clock, keys) = setup(Answer::Hang);
        let now = clock.monotonic();
        let runtime = tokio::runtime::Handle::current();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let _in_runtime = runtime.enter();
                    assert!(matches!(keys.missing(now), Missing::Fetching(_)));
                });
            }
        });
        until(|| source.asked() > 0).await;
        settle().await;
        assert_eq!((source.asked(), keys.status().waiting), (1, 0));
        clock.advance(5 * SECOND);
        until(|| keys.status().failures == 1).await;
    }
}
