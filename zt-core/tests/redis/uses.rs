//! What is written on top of a store, over this one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};
use zt_core::{
    authorize::ActiveGrants,
    clock::Timestamp,
    decision::{Code, Denial},
    grant::{GrantConfig, GrantError, GrantOptions, GrantScope, Grants},
    identity::{AuthMethod, Principal, PrincipalKind},
    service_token::{
        MintRequest, MintedToken, ServiceTokenConfig, ServiceTokenOptions, ServiceTokens,
        VerifyServiceTokenLayer,
    },
    signature::replay::{ReplayMemory, SharedReplays, conformance},
    state::{Event, MemoryRecorder},
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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_grant_is_decided_once_and_revoked_everywhere_within_a_second() {
    let Some(server) = RedisServer::start(&[]) else {
        return;
    };
    let (log, hour) = (
        Arc::new(MemoryRecorder::new(1000)),
        Duration::from_secs(3600),
    );
    let mut instances = Vec::new();
    for _ in 0..3 {
        let client = client(&server).await;
        let store = Arc::new(RedisStore::open(&client, "zt").await.unwrap());
        let scope = GrantScope::new(hour);
        let options = GrantOptions::new(GrantConfig::new().scope("refunds.write", scope))
            .recorder(log.clone())
            .feed(Arc::new(RedisFeed::new(&client, "zt").unwrap()));
        let grants = Grants::open(store, SystemClock, options).await.unwrap();
        tokio::spawn(grants.clone().follow());
        instances.push(grants);
    }
    let person = |name: &str| {
        Principal::assertion(PrincipalKind::User, name, AuthMethod::Jwt)
            .scopes(["grant.approve"])
            .finish()
    };
    let ada = person("ada");
    for round in 1..=3 {
        let asked = instances[0]
            .request(&ada, "refunds.write", "x", hour)
            .await
            .unwrap();
        let tries = (0..12).map(|number| {
            let (grants, id) = (instances[number % 3].clone(), Arc::clone(&asked.id));
            let who = person(&format!("approver {number}"));
            tokio::spawn(async move { grants.approve(&id, &who).await })
        });
        let tries: Vec<_> = tries.collect();
        let mut won = 0;
        for answer in tries {
            match answer.await.unwrap() {
                Ok(_) => won += 1,
                Err(GrantError::Decided { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let events = log.events();
        let approved = events
            .iter()
            .filter(|event| matches!(event, Event::Grant(event) if event.action == "approved"));
        assert_eq!((won, approved.count()), (1, round));
        let hold = |grants: &Grants| {
            let now = SystemClock.now().unwrap();
            grants.active(&ada, "refunds.write", now).unwrap().is_some()
        };
        let second = Duration::from_secs(1);
        let known = until(second, async || instances.iter().all(hold)).await;
        instances[1].revoke(&asked.id, &ada, "done").await.unwrap();
        let revoked = until(second, async || !instances.iter().any(hold)).await;
        println!("known after {known:?}, revoked after {revoked:?}");
    }
}
