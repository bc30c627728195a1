//! Keys that are kept fresh while nobody asks.

use tokio::task::JoinHandle;

use super::*;

async fn running(answer: Answer) -> (Scripted, ManualClock, RemoteKeys, JoinHandle<()>) {
    let source = Scripted::new(answer);
    let clock = ManualClock::default();
    let settings = RefreshSettings::default();
    let keys = remote(source.clone(), settings, &clock);
    let task = tokio::spawn(keys.keep_fresh());
    settle().await;
    assert_eq!(source.asked(), 1);
    (source, clock, keys, task)
}

/// When the next fetch comes, in whole seconds; the clock stands there then.
async fn next(source: &Scripted, clock: &ManualClock) -> u64 {
    let before = source.asked();
    for second in 1..=100_000 {
        clock.advance(SECOND);
        settle().await;
        if source.asked() > before {
            assert_eq!(source.asked(), before + 1);
            return second;
        }
    }
    panic!("there was none")
}

#[tokio::test]
async fn what_is_said_of_freshness_is_clamped_both_ways_and_jittered() {
    for (said, counts) in [
        (Some(0), 60),
        (Some(1), 60),
        (Some(600), 600),
        (Some(100_000), 3_600),
        (None, 600),
    ] {
        let answer = Answer::Set(set([jwk("a")]), said.map(Duration::from_secs));
        let (source, clock, _keys, _task) = running(answer).await;
        let mut after = Vec::new();
        for _ in 0..3 {
            after.push(next(&source, &clock).await);
        }
        let bounds = counts * 75 / 100..=counts * 95 / 100 + 1;
        assert!(
            after.iter().all(|at| bounds.contains(at)),
            "{said:?}: {after:?}"
        );
    }
}

#[tokio::test]
async fn failures_are_retried_later_and_later() {
    let (source, clock, keys, _task) = running(Answer::Error).await;
    for longest in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        let after = next(&source, &clock).await;
        assert!(
            (longest / 2..=longest).contains(&after),
            "{after} of {longest}"
        );
    }
    source.says(Answer::Set(set([jwk("a")]), None));
    next(&source, &clock).await;
    assert!(knows(&keys, &clock, "a"));
    source.says(Answer::Error);
    next(&source, &clock).await;
    assert_eq!(next(&source, &clock).await, 1);
}

#[tokio::test]
async fn a_long_sleep_is_followed_by_one_fetch() {
    let (source, clock, keys, _task) = running(Answer::Set(set([jwk("a")]), None)).await;
    clock.advance(48 * HOUR);
    assert!(!has_keys(&keys, &clock));
    settle().await;
    assert_eq!(source.asked(), 2);
    assert!(has_keys(&keys, &clock));
    assert!(next(&source, &clock).await >= 450);
}

#[tokio::test]
async fn a_fetch_that_a_request_caused_counts_for_the_background() {
    let (source, clock, keys, _task) = running(Answer::Set(set([jwk("a")]), None)).await;
    clock.advance(400 * SECOND);
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert_eq!(source.asked(), 2);
    assert!(next(&source, &clock).await >= 450);

    // One that failed does not bring the next one forward.
    source.says(Answer::Error);
    clock.advance(100 * SECOND);
    assert_eq!(miss(&keys, &clock).await, "fetched");
    assert!(next(&source, &clock).await >= 349);
}

#[tokio::test]
async fn a_fetch_in_the_background_counts_for_the_cooldown() {
    let (source, clock, keys, _task) = running(Answer::Error).await;
    assert_eq!(miss(&keys, &clock).await, "unavailable");
    source.says(Answer::Set(set([jwk("a")]), None));
    next(&source, &clock).await;
    assert_eq!(miss(&keys, &clock).await, "unknown");
    assert_eq!(source.asked(), 2);
}

#[tokio::test]
async fn the_task_ends_with_the_last_handle() {
    let (_, clock, keys, task) = running(Answer::Set(set([jwk("a")]), None)).await;
    let other = keys.clone();
    drop(keys);
    settle().await;
    assert!(!task.is_finished());
    assert!(has_keys(&other, &clock));
    drop(other);
    task.await.unwrap();

    // Also while it fetches: then with the fetch.
    let (_, clock, keys, task) = running(Answer::Hang).await;
    drop(keys);
    clock.advance(5 * SECOND);
    task.await.unwrap();

    // And one that was never polled.
    let keys = remote(Scripted::default(), RefreshSettings::default(), &clock);
    let task = keys.keep_fresh();
    drop(keys);
    task.await;
}

#[tokio::test]
async fn two_tasks_fetch_once() {
    let (source, clock, keys, _task) = running(Answer::Set(set([jwk("a")]), None)).await;
    let _second = tokio::spawn(keys.keep_fresh());
    settle().await;
    assert_eq!(source.asked(), 1);
    next(&source, &clock).await;
    next(&source, &clock).await;
    assert_eq!(source.asked(), 3);
}

#[tokio::test]
async fn a_source_hears_that_it_is_asked_again_after_a_failure() {
    let (source, clock, _keys, _task) = running(Answer::Error).await;
    let retrying = || source.0.last.lock().unwrap().as_ref().unwrap().retrying;
    assert!(!retrying());
    source.says(Answer::Set(set([jwk("a")]), None));
    next(&source, &clock).await;
    assert!(retrying());
    next(&source, &clock).await;
    assert!(!retrying());
}
