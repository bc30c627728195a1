//! What stands on a store and a feed, over the backends that are not in memory.

use std::{convert::Infallible, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::{Layer, ServiceExt, service_fn};

use super::Store;
use crate::{
    authorize::{ActiveGrants, AuthorizeLayer, RequireScopes},
    body::RequestBody,
    clock::{Clock, SystemClock, Timestamp},
    grant::{GrantConfig, GrantError, GrantOptions, GrantScope, Grants},
    identity::{AuthMethod, Principal, PrincipalKind},
    service_token::{
        MintRequest, ServiceTokenConfig, ServiceTokenOptions, ServiceTokens,
        VerifyServiceTokenLayer,
    },
    signature::replay::{ReplayKey, ReplayMemory, SharedReplays, Sighting, Verdict},
    stack::ZeroTrust,
    state::{Event, Feed, MemoryRecorder},
};

/// Of many copies on two replicas one is fresh, and none later.
pub(super) async fn replays_are_refused(store: Arc<dyn Store>) {
    let replicas = [
        SharedReplays::new(Arc::clone(&store), SystemClock),
        SharedReplays::new(store, SystemClock),
    ];
    let now = SystemClock.now().unwrap();
    let sighting = Sighting {
        key: ReplayKey::of_nonce("k1", &format!("{now:?} {}", std::process::id())),
        keyid: "k1",
        created: Timestamp::from_secs(now.as_secs()),
        until: now + Duration::from_secs(60),
        now,
    };
    let copies = (0..20).map(|copy| replicas[copy % 2].record(&sighting).verdict());
    let mut verdicts = futures_util::future::join_all(copies).await;
    verdicts.extend([replicas[1].record(&sighting).verdict().await]);
    let fresh = verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Fresh);
    assert_eq!(fresh.count(), 1, "{verdicts:?}");
    let replayed = verdicts
        .iter()
        .filter(|verdict| **verdict == Verdict::Replayed);
    assert_eq!(replayed.count(), 20, "{verdicts:?}");
}

/// A token that one instance has minted is good on another, until one of them revokes it.
pub(super) async fn service_tokens_are_shared(store: Arc<dyn Store>, feed: Arc<dyn Feed>) {
    let open = async || {
        let options = ServiceTokenOptions::new(ServiceTokenConfig::new("test"));
        let options = options.feed(Arc::clone(&feed));
        let tokens = ServiceTokens::open(Arc::clone(&store), SystemClock, options).await;
        let tokens = tokens.unwrap();
        tokio::spawn(tokens.clone().follow());
        tokens
    };
    let (one, two) = (open().await, open().await);
    let request = MintRequest::new("billing", "x").scopes(["orders:read"]);
    let minted = one.mint(request.insecure_never_expires()).await.unwrap();
    let token = minted.clear.expose();
    until(async || present(&two, token).await == 200).await;
    assert_eq!(present(&two, "ztk_nothing").await, 401);
    two.revoke(&minted.id, "ada", "lost").await.unwrap();
    assert_eq!(present(&two, token).await, 401);
    until(async || present(&one, token).await == 401).await;
    let third = open().await;
    until(async || present(&third, token).await == 401).await;
}

/// Of many who approve on several instances one does, and it is recorded once; what one of them
/// revokes holds nowhere.
pub(super) async fn grants_are_decided_once(store: Arc<dyn Store>, feed: Arc<dyn Feed>) {
    let log = Arc::new(MemoryRecorder::new(100));
    let open = async || {
        let scope = GrantScope::new(Duration::from_secs(3600));
        let options = GrantOptions::new(GrantConfig::new().scope("refunds.write", scope));
        let options = options.recorder(log.clone()).feed(Arc::clone(&feed));
        let grants = Grants::open(Arc::clone(&store), SystemClock, options)
            .await
            .unwrap();
        tokio::spawn(grants.clone().follow());
        grants
    };
    let instances = [open().await, open().await, open().await];
    let person = |name: &str| {
        Principal::assertion(PrincipalKind::User, name, AuthMethod::Jwt)
            .scopes(["grant.approve"])
            .finish()
    };
    let ada = person("ada");
    let hour = Duration::from_secs(3600);
    let asked = instances[0]
        .request(&ada, "refunds.write", "x", hour)
        .await
        .unwrap();
    let tries = (0..12).map(|number| {
        let (grants, id) = (instances[number % 3].clone(), Arc::clone(&asked.id));
        let who = person(&format!("approver {number}"));
        tokio::spawn(async move { grants.approve(&id, &who).await })
    });
    let mut won = 0;
    for answer in futures_util::future::join_all(tries).await {
        match answer.unwrap() {
            Ok(_) => won += 1,
            Err(GrantError::Decided { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    }
    let approved = log
        .events()
        .into_iter()
        .filter(|event| matches!(event, Event::Grant(event) if event.action == "approved"));
    assert_eq!((won, approved.count()), (1, 1));
    let hold = |grants: &Grants| {
        let now = SystemClock.now().unwrap();
        grants.active(&ada, "refunds.write", now).unwrap().is_some()
    };
    until(async || instances.iter().all(hold)).await;
    instances[1].revoke(&asked.id, &ada, "done").await.unwrap();
    assert!(!hold(&instances[1]));
    until(async || !instances.iter().any(hold)).await;
}

async fn present(tokens: &ServiceTokens, token: &str) -> u16 {
    let zt = ZeroTrust::builder()
        .without_audit()
        .authenticate(VerifyServiceTokenLayer::new(tokens.clone()))
        .authorize(AuthorizeLayer::new(
            RequireScopes::all_of(["orders:read"]).unwrap(),
        ))
        .build()
        .unwrap();
    let service = zt.layer(service_fn(|_: Request<RequestBody<Full<Bytes>>>| async {
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
    }));
    let request = Request::get("/orders")
        .header("host", "shop.example")
        .header("x-service-token", token)
        .body(Full::<Bytes>::default())
        .unwrap();
    service.oneshot(request).await.unwrap().status().as_u16()
}

/// Ends when `done` holds; fails where that takes longer than any news may.
async fn until(done: impl AsyncFn() -> bool) {
    let begun = SystemClock.monotonic();
    while !done().await {
        let waited = SystemClock.monotonic().saturating_sub(begun);
        assert!(waited < Duration::from_secs(5), "it never came to be so");
        SystemClock.sleep(Duration::from_millis(5)).await;
    }
}
