//! The exported suites, over a real server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use zt_core::{
    clock::{Clock, SystemClock, Timestamp},
    state::{
        FeedLimits,
        feed_conformance::{self, Subject, Time},
    },
    store::{
        BoxFuture, Store,
        conformance::{self, Harness},
        redis::{RedisClient, RedisFeed, RedisStore},
    },
    testing::RedisServer,
};

use super::client;

struct RealTime {
    client: RedisClient,
    count: AtomicU32,
}

impl Harness for RealTime {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn Store>> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let store = RedisStore::open(&self.client, &format!("t{count}")).await;
            Arc::new(store.unwrap()) as Arc<dyn Store>
        })
    }

    fn now(&self) -> Timestamp {
        SystemClock.now().unwrap()
    }

    fn pass(&self, span: Duration) -> BoxFuture<'_, ()> {
        SystemClock.sleep(span)
    }

    fn unit(&self) -> Duration {
        Duration::from_millis(400)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_store_keeps_the_contract() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let harness = RealTime {
        client: client(&server).await,
        count: AtomicU32::new(0),
    };
    conformance::run(&harness).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_feed_keeps_the_contract_and_knows_an_earlier_run() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let limits = FeedLimits {
        entries: 1000,
        bytes: 1 << 20,
    };
    let client = client(&server).await;
    for _ in 0..2 {
        feed_conformance::all(&Subject {
            feed: Arc::new(RedisFeed::with_limits(&client, "zt", limits).unwrap()),
            time: Time::Real,
            overflow: 1001,
        })
        .await;
    }
}
