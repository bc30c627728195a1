//! What the two services do, and whom they let.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    response::IntoResponse,
    routing::{get, post},
};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_core::{
    authenticate::all_of,
    authorize::{Access, AuthorizeLayer},
    decision::Permit,
    identity::Principal,
    policy::{CompiledPolicy, PolicyOptions},
    signature::{
        base::Component,
        key::{KeyEntry, KeyRing, SigningKey},
        replay::MemoryReplays,
        sign::SignRequestLayer,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
    stack::ZeroTrust,
};
use zt_jwt::{
    Verifier,
    attach_token::{AttachTokenLayer, Destinations, Tokens},
    verify_jwt::VerifyJwtLayer,
};
use zt_mtls::{
    client::Connector,
    peer::{Peers, RequirePeerLayer},
};

use super::{App, ORDERS, Workload, app};
use crate::Result;

const ORDERS_ID: &str = "spiffe://shop.example/orders";
const PAYMENTS_ID: &str = "spiffe://shop.example/payments";

/// Takes payments of the orders service alone: by its connection, its token and its signature, which
/// have to be of one workload.
pub(super) fn payments(log: &AuditLog, verifier: Verifier, key: &SigningKey) -> Result<App> {
    let policy = SignaturePolicy::strict().covering(Component::field("authorization")?);
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let keys = KeyRing::new([KeyEntry::new(ORDERS, key.verifying_key(), ORDERS)])?;
    let signature = VerifySignatureLayer::new(policy, keys, replays)?;
    let connection = RequirePeerLayer::new(Peers::parse([ORDERS_ID])?);
    let one_workload = AuthorizeLayer::new(|access: &Access<'_>| {
        access.principal().is_some_and(|caller| {
            caller.subject() == ORDERS_ID
                && caller
                    .further_proofs()
                    .all(|proof| proof.subject() == ORDERS)
        })
    });
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        // The cheapest first: who is not on the list costs nothing more.
        .authenticate(all_of(
            connection,
            all_of(VerifyJwtLayer::new(verifier), signature),
        ))
        .authorize(one_workload)
        .build()?;
    let router = Router::new().route(
        "/payments",
        post(|permit: Permit, Json(order): Json<Value>| async move {
            let paid = json!({"paid": order.get("amount"), "rule": permit.rule()});
            (StatusCode::CREATED, Json(paid))
        }),
    );
    Ok(app(zt.wrap(router)))
}

/// Takes orders as its policy says, and has them paid.
pub(super) fn orders(log: &AuditLog, payments: Payments) -> Result<App> {
    // Whoever is of this trust domain is known here; what it may do stands in the file.
    let known = RequirePeerLayer::new(Peers::parse(["spiffe://shop.example/*"])?);
    let policy = CompiledPolicy::from_toml(include_str!("orders.toml"), &PolicyOptions::new())?;
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .authenticate(known)
        .authorize(AuthorizeLayer::new(policy))
        .build()?;
    let router = Router::new()
        .route("/orders", post(create))
        .route(
            "/whoami",
            get(|caller: Principal| async move { caller.subject().to_owned() }),
        )
        .with_state(payments);
    Ok(app(zt.wrap(router)))
}

async fn create(State(payments): State<Payments>, Json(order): Json<Value>) -> impl IntoResponse {
    let (status, paid) = payments.pay(&order).await;
    (status, Json(json!({"order": 8, "payment": paid})))
}

/// Calls payments, and nobody else who may answer at its address.
#[derive(Clone)]
pub(super) struct Payments {
    client: BoxCloneSyncService<Request<Body>, Response<Incoming>, Unreachable>,
    to: SocketAddr,
}

/// Nothing was sent, or nothing came back.
struct Unreachable;

impl Payments {
    pub(super) fn new(
        us: &Workload,
        to: SocketAddr,
        tokens: &Tokens,
        key: &SigningKey,
    ) -> Result<Self> {
        let connector = Connector::new(us.credentials.clone(), Peers::parse([PAYMENTS_ID])?)?;
        let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
        // Right above the client, so that the token is covered.
        let sign =
            SignRequestLayer::new(key.clone(), ORDERS)?.also_if_present(header::AUTHORIZATION)?;
        let only_there = Destinations::only([format!("https://{to}")])?;
        let attach = AttachTokenLayer::new(tokens.clone(), only_there)?;
        let client = attach.layer(sign.layer(client));
        Ok(Self {
            client: BoxCloneSyncService::new(client.map_err(|_| Unreachable)),
            to,
        })
    }

    async fn pay(&self, order: &Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("https://{}/payments", self.to))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(order.to_string()));
        let Ok(request) = request else {
            return (StatusCode::BAD_REQUEST, Value::Null);
        };
        let mut client = self.client.clone();
        let answer = match client.ready().await {
            Ok(client) => client.call(request).await,
            Err(unreachable) => Err(unreachable),
        };
        let Ok(response) = answer else {
            return (StatusCode::BAD_GATEWAY, Value::Null);
        };
        // What was refused is ours to prove: that is nothing to ask the caller for.
        let status = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusCode::BAD_GATEWAY,
            status => status,
        };
        let body = response.into_body().collect().await;
        let body = body.map(http_body_util::Collected::to_bytes);
        let body = serde_json::from_slice(&body.unwrap_or_default());
        (status, body.unwrap_or_default())
    }
}
