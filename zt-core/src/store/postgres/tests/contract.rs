use super::*;
use crate::{
    state::{
        FeedLimits,
        feed_conformance::{self, Subject, Time},
    },
    store::{
        BoxFuture,
        conformance::{self, Harness},
        in_use_tests,
    },
};

struct Server;

impl Harness for Server {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        Box::pin(async {
            let postgres = fresh().await.unwrap();
            Arc::new(PostgresStore::new(&postgres)) as Arc<dyn Store>
        })
    }

    fn now(&self) -> Timestamp {
        SystemClock.now().unwrap()
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(span)
    }

    fn unit(&self) -> Duration {
        Duration::from_millis(300)
    }
}

#[tokio::test]
async fn keeps_the_contract_on_one_thread() {
    if server().is_some() {
        conformance::run(&Server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn keeps_the_contract_on_many_threads() {
    if server().is_some() {
        conformance::run(&Server).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_conforms() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let limits = FeedLimits {
        entries: 200,
        bytes: 1 << 20,
    };
    let subject = Subject {
        feed: Arc::new(PostgresFeed::with_limits(&postgres, limits)),
        time: Time::Real,
        overflow: 201,
    };
    feed_conformance::all(&subject).await;
    // Once more, where there are entries from an earlier run.
    feed_conformance::all(&subject).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_on_a_store_and_a_feed_runs() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    let feed = PostgresFeed::new(&postgres);
    in_use_tests::replays_are_refused(Arc::new(store.clone())).await;
    let (store, feed) = (Arc::new(store), Arc::new(feed));
    in_use_tests::service_tokens_are_shared(store.clone(), feed.clone()).await;
    in_use_tests::grants_are_decided_once(store, feed).await;
}

#[tokio::test]
async fn the_last_time_there_is_comes_back_as_it_was() {
    let Some(postgres) = fresh().await else {
        return;
    };
    let store = PostgresStore::new(&postgres);
    for (key, end) in [
        ("never", Timestamp::MAX),
        ("late", Timestamp::from_micros(1 << 62)),
    ] {
        put(&store, key, Some(end)).await.unwrap();
        let found = store.get(key).await.unwrap().unwrap();
        assert_eq!(found.expires, Some(end));
    }
    put(&store, "long ago", Some(Timestamp::EPOCH))
        .await
        .unwrap();
    assert_eq!(store.get("long ago").await, Ok(None));
}
