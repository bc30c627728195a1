//! Runtimes that stand still, answers from long ago, logs that fail.

use tokio::{runtime::Runtime, sync::Semaphore};
use zt_core::state::Probe;

use super::*;

fn setup(source: impl KeySource) -> (ManualClock, RemoteKeys) {
    let clock = ManualClock::default();
    let keys = remote(source, RefreshSettings::default(), &clock);
    (clock, keys)
}

fn one_key() -> Answer {
    Answer::Set(set([jwk("a")]), None)
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_log_that_fails_does_not_keep_the_issuer_from_being_asked_again() {
    let _here = crate::test_log::listen(|_| panic!("a log that fails"));
    let source = Scripted::new(Answer::Error);
    let (clock, keys) = setup(source.clone());
    for round in 1..=3 {
        assert_eq!(miss(&keys, &clock).await, "fetched");
        assert_eq!(miss(&keys, &clock).await, "unavailable");
        assert_eq!(source.asked(), round);
        clock.advance(10 * SECOND);
    }
}

#[test]
fn a_runtime_that_stands_still_does_not_hold_the_requests_of_another() {
    let source = Scripted::new(one_key());
    let (clock, keys) = setup(source.clone());
    // The older keys are no answer to whoever starts.
    runtime().block_on(keys.fetch_now()).unwrap();
    clock.advance(10 * SECOND);
    source.says(Answer::Hang);
    let still = runtime();
    still.block_on(async { drop(keys.missing(clock.monotonic())) });
    runtime().block_on(async {
        let missed = tokio::spawn({
            let (keys, clock) = (keys.clone(), clock.clone());
            async move { miss(&keys, &clock).await }
        });
        let started = tokio::spawn({
            let keys = keys.clone();
            async move { keys.fetch_now().await }
        });
        settle().await;
        assert!(!missed.is_finished() && !started.is_finished());
        clock.advance(6 * SECOND);
        settle().await;
        assert!(missed.is_finished() && started.is_finished());
        assert!(started.await.unwrap().is_err());
        // Whoever comes next waits for the same fetch, and not for ever.
        assert_eq!(keys.status().waiting, 0);
    });
    // When it goes on, so does the fetch, up to its deadline.
    still.block_on(async {
        settle().await;
        clock.advance(5 * SECOND);
        settle().await;
    });
    assert_eq!((source.asked(), keys.status().failures), (2, 1));
}

/// Answers with a set once it is let.
#[derive(Debug, Clone)]
struct Late(Arc<Semaphore>, String);

impl KeySource for Late {
    fn fetch(&self, _: FetchRequest) -> BoxFuture<'_, Result<Fetched, FetchError>> {
        Box::pin(async move {
            self.0.acquire().await.unwrap().forget();
            Ok(Fetched::New {
                body: self.1.clone().into(),
                validator: None,
                fresh_for: None,
            })
        })
    }
}

#[test]
fn an_answer_that_lay_there_for_two_days_is_not_taken_for_new() {
    let source = Late(Arc::new(Semaphore::new(0)), set([jwk("withdrawn")]));
    let (clock, keys) = setup(source.clone());
    let still = runtime();
    still.block_on(async {
        drop(keys.missing(clock.monotonic()));
        settle().await;
    });
    source.0.add_permits(1);
    clock.advance(48 * HOUR);
    still.block_on(settle());
    assert!(!has_keys(&keys, &clock));
    let error = keys.status().last_error.unwrap();
    assert!(error.contains("within 5000 ms"), "{error}");
}

#[tokio::test]
async fn a_process_that_gets_requests_only_when_it_is_ready_becomes_ready() {
    let source = Scripted::new(Answer::Error);
    let (clock, keys) = setup(source.clone());
    for _ in 0..1_000 {
        assert_ne!(keys.probe(), Probe::Ready);
        settle().await;
    }
    assert_eq!(source.asked(), 1, "within the cooldown");
    source.says(one_key());
    clock.advance(10 * SECOND);
    assert_ne!(keys.probe(), Probe::Ready);
    settle().await;
    assert_eq!((keys.probe(), source.asked()), (Probe::Ready, 2));

    // Nobody came for two days.
    clock.advance(48 * HOUR);
    assert_ne!(keys.probe(), Probe::Ready);
    settle().await;
    assert_eq!((keys.probe(), source.asked()), (Probe::Ready, 3));
    assert_eq!(keys.status().waiting, 0);
}
