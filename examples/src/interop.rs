//! A server for other people's clients: one endpoint a layer, and a file that says how to use them.
//!
//! For testing only: it hands out its keys.

use std::{fs, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::Method,
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::json;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt as _};
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    clock::SystemClock,
    headers::SetSecurityHeadersLayer,
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    stack::ZeroTrust,
    store::MemoryStore,
};
use zt_ratelimit::{LimitRateLayer, Quota};

use crate::Result;

/// Serves until it is killed. Writes `interop.json`, and private keys as PEM files once a layer
/// has any, into `keys`.
///
/// # Errors
///
/// When the address, the folder or a configuration is not to be had.
pub async fn serve(listen: SocketAddr, keys: &Path) -> Result<()> {
    fs::create_dir_all(keys)?;
    let audit = keys.join("audit");
    fs::create_dir_all(&audit)?;
    let log = AuditLog::open(audit.join("interop.jsonl"), Options::default())?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;

    let store = Arc::new(MemoryStore::new(SystemClock));
    let tokens =
        ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("interop")).await?;
    let request = MintRequest::new("interop-client", "interop").paths(["/token/ok"]);
    let token = tokens.mint(request.insecure_never_expires()).await?;

    let burst = 5;
    let seconds = 60;
    let quota = Quota::new("limited", burst, Duration::from_secs(seconds))?;
    let about = json!({
        "base_url": format!("http://{address}"),
        "audit": {"dir": audit, "vkey": null},
        "open": {"path": "/open", "presets": PRESETS},
        "service_token": {
            "header": "X-Service-Token",
            "value": token.clear.expose(),
            "path": "/token/ok",
            "forbidden_path": "/token/no",
        },
        "limited": {"path": "/limited", "burst": burst, "seconds": seconds},
    });

    let guarded = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log))
        .authenticate(VerifyServiceTokenLayer::new(tokens))
        .any_authenticated()
        .build()?
        .wrap(Router::new().route("/token/{*rest}", any(|| async { "ok\n" })));
    let limited = LimitRateLayer::by_peer(quota)
        .layer(Router::new().route("/limited", any(|| async { "ok\n" })));
    let app = Router::new()
        .route("/open", any(open))
        .route_service("/limited", limited)
        .route_service("/token/{*rest}", guarded);

    // Written last: whoever waits for the file finds a server that answers.
    let unfinished = keys.join("interop.json.new");
    fs::write(&unfinished, serde_json::to_vec_pretty(&about)?)?;
    fs::rename(unfinished, keys.join("interop.json"))?;
    axum::serve(
        listener,
        app.into_make_service_with_connect_info::<SocketAddr>(),
    )
    .await?;
    Ok(())
}

const PRESETS: [&str; 4] = ["api", "helmet", "html_strict", "owasp"];

/// Security headers and nothing else; `?preset=` chooses which.
async fn open(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let preset = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("preset="))
        .unwrap_or("api");
    let layer = match preset {
        "api" => SetSecurityHeadersLayer::api(),
        "helmet" => SetSecurityHeadersLayer::helmet(),
        "owasp" => SetSecurityHeadersLayer::owasp(),
        "html_strict" => SetSecurityHeadersLayer::html_strict(),
        _ => return (axum::http::StatusCode::NOT_FOUND, "no such preset\n").into_response(),
    };
    let inner = tower::service_fn(|request: Request| async move {
        let body = if request.method() == Method::HEAD {
            ""
        } else {
            "ok\n"
        };
        Ok::<_, std::convert::Infallible>(body.into_response())
    });
    match layer.layer(inner).oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}
