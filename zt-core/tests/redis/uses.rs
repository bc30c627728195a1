//! What is written on top of a store, over this one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use zt_core::{
    clock::Timestamp,
    decision::{Code, Denial},
    service_token::{
        MintRequest, MintedToken, ServiceTokenConfig, ServiceTokenOptions, ServiceTokens,
        VerifyServiceTokenLayer,
    },
    signature::replay::{ReplayMemory, SharedReplays, conformance},
    store::{BoxFuture, redis::RedisFeed},
};

use super::*;

struct Replays {
    client: RedisClient,
    count: AtomicU32,
}

impl conformance::Harness for Replays {
    fn fresh(&self) -> BoxFuture<'_, Arc<dyn ReplayMemory>> {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            let store = RedisStore::open(&self.client, &format!("r{count}")).await;
            let replays = SharedReplays::new(Arc::new(store.unwrap()), SystemClock);
            Arc::new(replays) as Arc<dyn ReplayMemory>
        })
    }

    fn now(&self) -> Timestamp {
        SystemClock.now().unwrap()
    }

    fn pass(&self, _: Duration) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_seen_by_one_is_no_longer_fresh_to_any() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let harness = Replays {
        client: client(&server).await,
        count: AtomicU32::new(0),
    };
    conformance::run(&harness).await;
}

async fn registry(server: &RedisServer) -> ServiceTokens {
    let client = client(server).await;
    let store = Arc::new(RedisStore::open(&client, "zt").await.unwrap());
    let feed = Arc::new(RedisFeed::new(&client, "zt").unwrap());
    let options = ServiceTokenOptions::new(ServiceTokenConfig::new("test")).feed(feed);
    let tokens = ServiceTokens::open(store, SystemClock, options).await;
    let tokens = tokens.unwrap();
    tokio::spawn(tokens.clone().follow());
    tokens
}

/// The code of the refusal, or nothing.
async fn present(tokens: &ServiceTokens, token: &MintedToken) -> Option<Code> {
    let service = service_fn(|_: Request<Full<Bytes>>| async {
        Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let service = VerifyServiceTokenLayer::new(tokens.clone()).layer(service);
    let request = Request::get("/").header("x-service-token", token.clear.expose());
    let request = request.body(Full::<Bytes>::default());
    let answer = service.oneshot(request.unwrap()).await.unwrap();
    answer.extensions().get::<Denial>().map(Denial::code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_token_is_known_and_revoked_everywhere_within_a_second() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (one, two) = (registry(&server).await, registry(&server).await);
    let second = Duration::from_secs(1);
    for _ in 0..5 {
        let request = MintRequest::new("billing", "x").insecure_never_expires();
        let minted = one.mint(request).await.unwrap();
        let known = until(second, async || present(&two, &minted).await.is_none()).await;
        two.revoke(&minted.id, "ada", "lost").await.unwrap();
        let revoked = until(second, async || {
            present(&one, &minted).await == Some(Code::CredentialRevoked)
        })
        .await;
        println!("known after {known:?}, revoked after {revoked:?}");
    }
}
