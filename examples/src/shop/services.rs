//! The services behind the gateway. They trust nobody because of where a call comes from: each
//! asks for a token of its own and has a policy of its own. Payments, where the money is, asks for
//! signatures too.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::{Method, Request, Response, StatusCode, header},
    response::IntoResponse,
    routing::{get, post},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};
use zt_core::{
    authenticate::Authenticate,
    authorize::{Access, AuthorizeLayer, Policy},
    decision::Permit,
    identity::Principal,
    signature::sign::SignRequestLayer,
    stack::ZeroTrust,
};
use zt_jwt::{
    attach_token::{AttachTokenLayer, Destinations, Tokens},
    verify_jwt::VerifyJwtLayer,
};

use super::{
    App, Part,
    signing::PROVIDER,
    trust::{GATEWAY, ORDERS_ACCOUNT},
};
use crate::Result;

/// Calls another service, and no other than that one, with this one's token.
#[derive(Clone)]
pub(super) struct Upstream {
    client: BoxCloneSyncService<Request<Body>, Response<Incoming>, Unreachable>,
    to: SocketAddr,
}

/// Nothing was sent, or nothing came back.
struct Unreachable;

impl Upstream {
    pub(super) fn new(to: SocketAddr, tokens: Tokens) -> Result<Self> {
        Self::over(client(), to, tokens)
    }

    /// Signs its calls as well: right above the client, so that the token is covered.
    pub(super) fn signed(to: SocketAddr, tokens: Tokens, sign: &SignRequestLayer) -> Result<Self> {
        Self::over(sign.layer(client()), to, tokens)
    }

    fn over<S>(client: S, to: SocketAddr, tokens: Tokens) -> Result<Self>
    where
        S: Service<Request<Body>, Response = Response<Incoming>, Error: Send, Future: Send>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        let only_there = Destinations::only([format!("http://{to}")])?;
        let client = AttachTokenLayer::new(tokens, only_there)?.layer(client);
        Ok(Self {
            client: BoxCloneSyncService::new(client.map_err(|_| Unreachable)),
            to,
        })
    }

    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.to))
            .header(header::CONTENT_TYPE, "application/json")
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())));
        let Ok(request) = request else {
            return (StatusCode::BAD_REQUEST, Value::Null);
        };
        let Ok(response) = self.client.clone().oneshot(request).await else {
            return (StatusCode::BAD_GATEWAY, Value::Null);
        };
        // What was refused is our token: that is nothing to ask the caller for.
        let status = match response.status() {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => StatusCode::BAD_GATEWAY,
            status => status,
        };
        let body = response
            .into_body()
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        (
            status,
            serde_json::from_slice(&body.unwrap_or_default()).unwrap_or_default(),
        )
    }
}

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

/// `router` behind a whole stack.
fn behind<A: Authenticate>(
    part: Part<A>,
    policy: AuthorizeLayer<impl Policy>,
    router: Router,
) -> Result<App> {
    let zt = ZeroTrust::builder()
        .settings(part.settings)
        .record(part.record)
        .validate(part.validate)
        .limit_peer(part.by_peer)
        .authenticate(part.verify)
        .sanctions(part.sanctions)
        .authorize(policy)
        .limit(part.by_principal)
        .build()?;
    Ok(BoxCloneSyncService::new(zt.wrap(router)))
}

/// Takes payments; only the orders service may ask for one. The provider says what became of them.
pub(super) fn payments<A: Authenticate>(part: Part<A>) -> Result<App> {
    let router = Router::new()
        .route(
            "/payments",
            post(|permit: Permit, Json(order): Json<Value>| async move {
                (
                    StatusCode::CREATED,
                    Json(json!({"paid": order.get("amount"), "rule": permit.rule()})),
                )
            }),
        )
        .route(
            "/webhooks/payments",
            post(|| async { StatusCode::NO_CONTENT }),
        );
    let policy = AuthorizeLayer::new(|access: &Access<'_>| {
        let Some(caller) = access.principal() else {
            return false;
        };
        match access.path() {
            // By its webhook's signature, and not by a token that says so.
            "/webhooks/payments" => {
                caller.subject() == PROVIDER && caller.issuer() == Some("webhooks")
            }
            // A token of one and a key of another are nobody's call.
            _ => {
                caller.subject() == ORDERS_ACCOUNT
                    && caller
                        .further_proofs()
                        .all(|proof| proof.subject() == ORDERS_ACCOUNT)
            }
        }
    });
    behind(part, policy, router)
}

/// Keeps orders; only the gateway may ask, and paying is left to payments.
pub(super) fn orders(part: Part<VerifyJwtLayer>, payments: Upstream) -> Result<App> {
    let router = Router::new()
        .route("/orders/{id}", get(show))
        .route("/orders", post(create))
        .with_state(payments);
    let policy = AuthorizeLayer::new(|access: &Access<'_>| {
        access
            .principal()
            .is_some_and(|caller| caller.subject() == GATEWAY)
    });
    behind(part, policy, router)
}

async fn show(caller: Principal, Path(id): Path<u64>) -> Json<Value> {
    Json(json!({"order": id, "state": "shipped", "asked_by": caller.subject()}))
}

async fn create(State(payments): State<Upstream>, Json(order): Json<Value>) -> impl IntoResponse {
    let (status, paid) = payments.call(Method::POST, "/payments", Some(order)).await;
    (status, Json(json!({"order": 8, "payment": paid})))
}
