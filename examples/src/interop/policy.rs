//! A policy in a file: what it lets through is answered with the rule that did.

use std::{fs, path::Path, time::Duration};

use axum::{Router, routing::any};
use serde_json::{Value, json};
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_core::{
    authorize::AuthorizeLayer,
    decision::Permit,
    policy::{LivePolicy, PolicyOptions},
    service_token::{MintRequest, ServiceTokens, VerifyServiceTokenLayer},
    stack::ZeroTrust,
};

use crate::Result;

const POLICY: &str = include_str!("policy.toml");

/// The routes, and what `interop.json` says of them. The policy is written into `folder`.
pub(super) async fn policy(
    log: &AuditLog,
    tokens: &ServiceTokens,
    folder: &Path,
) -> Result<(Router, Value)> {
    let file = folder.join("policy.toml");
    fs::write(&file, POLICY)?;
    let policy = LivePolicy::open(&file, PolicyOptions::new())?;
    tokio::spawn(policy.follow(Duration::from_secs(1)));

    let mut callers = json!({});
    for name in ["order-service", "admin-service"] {
        let request = MintRequest::new(name, "interop").paths(["/policy/**"]);
        let token = tokens.mint(request.insecure_never_expires()).await?;
        if let Some(callers) = callers.as_object_mut() {
            callers.insert(name.to_owned(), token.clear.expose().into());
        }
    }
    let about = json!({
        "file": file,
        "reload_seconds": 1,
        "header": "X-Service-Token",
        "callers": callers,
        "charge": {"method": "POST", "path": "/policy/charge", "caller": "order-service", "below": 10_000},
        "items": {"method": "GET", "path": "/policy/items/{id}", "denied": {"admin-service": "secret"}},
    });
    let routes = Router::new().route(
        "/policy/{*rest}",
        any(|permit: Permit| async move { format!("{}\n", permit.rule()) }),
    );
    let guarded = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .authenticate(VerifyServiceTokenLayer::new(tokens.clone()))
        .authorize(AuthorizeLayer::new(policy))
        .build()?
        .wrap(routes);
    Ok((
        Router::new().route_service("/policy/{*rest}", guarded),
        about,
    ))
}
