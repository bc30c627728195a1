//! `cargo run --bin quickstart`, then one request that succeeds and one that fails (it prints both).
#![expect(clippy::print_stdout, reason = "it prints what to try")]

use std::{sync::Arc, time::Duration};

use axum::{Router, http::Method, routing::get};
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    clock::{Clock, SystemClock},
    decision::Permit,
    identity::Principal,
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    stack::ZeroTrust,
    store::MemoryStore,
};
use zt_examples::Result;
use zt_ratelimit::{LimitRateLayer, Quota};

async fn orders(caller: Principal, permit: Permit) -> String {
    let (who, rule) = (caller.subject(), permit.rule());
    format!("orders for {who}, permitted by {rule}\n")
}

#[tokio::main]
async fn main() -> Result<()> {
    let log = std::env::temp_dir().join(format!("zt-quickstart-{}", std::process::id()));
    let log = AuditLog::open(log, Options::default())?;
    let store = Arc::new(MemoryStore::new(SystemClock));
    let tokens = ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("prod")).await?;
    let tomorrow = SystemClock.now()? + Duration::from_secs(86_400);
    let request = MintRequest::new("orders-app", "quickstart").scopes(["orders:read"]);
    let token = tokens.mint(request.expires(tomorrow)).await?;

    let quota = Quota::new("peer", 100, Duration::from_secs(60))?;
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log))
        .limit_peer(LimitRateLayer::by_peer(quota))
        .authenticate(VerifyServiceTokenLayer::new(tokens))
        .authorize(AuthorizeLayer::new(RequireScopes::all_of(["orders:read"])?))
        .public(Method::GET, "/health")
        .build()?;
    println!("{zt}\n");

    let app = Router::new()
        .route("/orders", get(orders))
        .route("/health", get(|| async { "fine\n" }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let token = token.clear.expose();
    println!("curl -i http://{address}/orders -H 'X-Service-Token: {token}'");
    println!("curl -i http://{address}/orders");
    axum::serve(listener, zt.wrap(app).into_make_service_with_connect_info()).await?;
    Ok(())
}
