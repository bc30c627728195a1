//! A server for other people's clients: one endpoint a layer, and a file that says how to use them.
//!
//! For testing only: it hands out its keys. It speaks HTTP/1.1 and HTTP/2 in the clear (with prior
//! knowledge).

mod budget;
mod mtls;
mod policy;
mod signatures;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::Method,
    response::{IntoResponse, Response},
    routing::any,
};
use serde_json::{Value, json};
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
use zt_jwt::{Algorithm, testing::TestIssuer, verify_jwt::VerifyJwtLayer};
use zt_ratelimit::{LimitRateLayer, Quota};

use crate::{Result, shop::write_private};

/// Serves until it is killed. Writes `interop.json`, and the private keys that clients sign with
/// as PEM files, into `keys`. Budgets are counted in `redis`, where there is one, so that several of
/// these share them. With `mtls` there is one more port, for mutual TLS.
///
/// # Errors
///
/// When the address, the folder or a configuration is not to be had.
pub async fn serve(listen: SocketAddr, keys: &Path, redis: Option<&str>, mtls: bool) -> Result<()> {
    fs::create_dir_all(keys)?;
    let audit = keys.join("audit");
    let log = AuditLog::open(&audit, Options::default())?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;

    let store = Arc::new(MemoryStore::new(SystemClock));
    let tokens =
        ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("interop")).await?;
    let request = MintRequest::new("interop-client", "interop").paths(["/token/ok"]);
    let token = tokens.mint(request.insecure_never_expires()).await?;

    let issuer = TestIssuer::named(ISSUER).with_algorithms(ALGORITHMS);
    let verify = VerifyJwtLayer::new(issuer.verifier(AUDIENCE));

    let burst = 5;
    let seconds = 60;
    let quota = Quota::new("limited", burst, Duration::from_secs(seconds))?;
    let (signed, about_signed) = signatures::signatures(&log, keys)?;
    let (spending, about_budget) = budget::budgets(&log, redis).await?;
    let (by_policy, about_policy) = policy::policy(&log, &tokens, keys).await?;
    let mut about = json!({
        "base_url": format!("http://{address}"),
        "audit": {"dir": audit, "vkey": log.verifier_key().to_string()},
        "open": {"path": "/open", "presets": PRESETS},
        "service_token": {
            "header": "X-Service-Token",
            "value": token.clear.expose(),
            "path": "/token/ok",
            "forbidden_path": "/token/no",
        },
        "jwt": {
            "path": "/jwt",
            "issuer": ISSUER,
            "audience": AUDIENCE,
            "typ": "at+jwt",
            "keys": private_keys(&issuer, keys)?,
        },
        "signatures": about_signed,
        "limited": {"path": "/limited", "burst": burst, "seconds": seconds},
        "budget": about_budget,
        "policy": about_policy,
    });

    if let (true, Some(about)) = (mtls, about.as_object_mut()) {
        let port = mtls::mtls(&log, keys, address.ip()).await?;
        about.insert("mtls".to_owned(), port);
    }

    let for_tokens = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .authenticate(verify)
        .any_authenticated()
        .build()?
        .wrap(Router::new().route("/jwt", any(|| async { "ok\n" })));
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
        .route_service("/token/{*rest}", guarded)
        .route_service("/jwt", for_tokens)
        .merge(signed)
        .merge(spending)
        .merge(by_policy);

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

/// Writes each private key into `folder`, and says which is which.
fn private_keys(issuer: &TestIssuer, folder: &Path) -> Result<Vec<Value>> {
    let write = |algorithm: Algorithm| -> Result<Value> {
        let kid = issuer.kid(algorithm);
        let file: PathBuf = folder.join(format!("{kid}.pem"));
        write_private(&file, &issuer.private_key_pem(algorithm))?;
        Ok(json!({"kid": kid, "alg": algorithm.as_str(), "pem": file}))
    };
    ALGORITHMS.into_iter().map(write).collect()
}

const ISSUER: &str = "https://issuer.interop.test";
const AUDIENCE: &str = "interop";
const ALGORITHMS: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];
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
