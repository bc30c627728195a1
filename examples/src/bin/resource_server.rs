//! `cargo run --bin resource_server`, then one request that succeeds and one that fails (it prints
//! both). The issuer is one for tests, on this machine; yours goes into `Issuer::oidc`.
#![expect(clippy::print_stdout, reason = "it prints what to try")]

use std::time::Duration;

use axum::{Router, routing::get};
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    authorize::{AuthorizeLayer, RequireScopes},
    identity::Principal,
    stack::ZeroTrust,
};
use zt_examples::Result;
use zt_jwt::{Issuer, Verifier, testing::TestIssuer, verify_jwt::VerifyJwtLayer};
use zt_ratelimit::{LimitRateLayer, Quota};

async fn orders(caller: Principal) -> String {
    format!("orders for {}\n", caller.subject())
}

#[tokio::main]
async fn main() -> Result<()> {
    let provider = TestIssuer::start().await;
    // In production: `HttpService::hyper()?`, which speaks TLS.
    let issuer = Issuer::oidc(provider.name(), "orders", provider.http())?;
    let verifier = Verifier::builder().issuer(issuer).build()?;
    tokio::spawn(verifier.keep_fresh());

    let log = std::env::temp_dir().join(format!("zt-resource-{}", std::process::id()));
    let quota = Quota::new("peer", 100, Duration::from_secs(60))?;
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(AuditLog::open(
            log,
            Options::default(),
        )?))
        .limit_peer(LimitRateLayer::by_peer(quota))
        .authenticate(VerifyJwtLayer::new(verifier))
        .authorize(AuthorizeLayer::new(RequireScopes::all_of(["orders:read"])?))
        .build()?;
    println!("{zt}\n");

    let app = Router::new().route("/orders", get(orders));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let ada = provider
        .token("ada")
        .scope("orders:read")
        .lives(Duration::from_secs(3_600));
    let good = ada.clone().audience("orders").mint();
    let bad = ada.audience("payments").mint();
    println!("curl -i http://{address}/orders -H 'Authorization: Bearer {good}'");
    println!("curl -i http://{address}/orders -H 'Authorization: Bearer {bad}'");
    axum::serve(listener, zt.wrap(app).into_make_service_with_connect_info()).await?;
    Ok(())
}
