//! Signed requests (RFC 9421): what they carry is echoed.

use std::path::Path;

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::any,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use zt_audit::{AuditLog, RecordAuditLayer};
use zt_core::{
    random::{self, OsEntropy},
    secret::Secret,
    signature::{
        base::UrlScheme,
        key::{KeyEntry, KeyRing, SigningKey},
        replay::MemoryReplays,
        verify::{SignaturePolicy, VerifySignatureLayer},
    },
    stack::ZeroTrust,
    validate::ValidateRequestLayer,
};

use crate::{Result, shop::write_private};

const PATH: &str = "/signed/";
const STREAM_PATH: &str = "/signed-stream/";
const HMAC: &str = "interop-hmac";
const ED25519: &str = "interop-ed25519";
/// How much is echoed where bodies are read as they flow.
const ECHOED: usize = 16 * 1024 * 1024;

/// The routes, and what `interop.json` says of them. The private key is written into `folder`.
pub(super) fn signatures(log: &AuditLog, folder: &Path) -> Result<(Router, Value)> {
    let secret = Secret::new(random::bytes::<32>(&OsEntropy)?.to_vec());
    let hmac = SigningKey::hmac_sha256(&secret)?;
    let ed25519 = SigningKey::generate_ed25519()?;
    let pem = ed25519.to_pkcs8_pem()?;
    let file = folder.join(format!("{ED25519}.pem"));
    write_private(&file, std::str::from_utf8(pem.expose())?)?;

    let keys = KeyRing::new([
        KeyEntry::new(HMAC, hmac.verifying_key(), HMAC),
        KeyEntry::new(ED25519, ed25519.verifying_key(), ED25519),
    ])?;
    // It listens in the clear, so that is the scheme that its clients see.
    let policy = SignaturePolicy::strict().scheme(UrlScheme::Http);
    // The same keys, so one memory: what was accepted at one path is a replay at the other.
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    let buffered = VerifySignatureLayer::new(policy.clone(), keys.clone(), replays.clone())?;
    let streamed = VerifySignatureLayer::new(policy.stream(), keys, replays)?;
    let routes = echoing(PATH, buffered, log)?.merge(echoing(STREAM_PATH, streamed, log)?);
    let about = json!({
        "path": PATH,
        "stream_path": STREAM_PATH,
        "hmac": {"keyid": HMAC, "secret_base64": STANDARD.encode(secret.expose())},
        "ed25519": {"keyid": ED25519, "pem": file},
    });
    Ok((routes, about))
}

/// Everything below `path`. Why a signature does not hold is explained in the audit log.
fn echoing(path: &str, verify: VerifySignatureLayer, log: &AuditLog) -> Result<Router> {
    let below = format!("{path}{{*rest}}");
    let router = Router::new()
        .route(path, any(echo))
        .route(&below, any(echo));
    let guarded = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        // Whatever target a client can sign is for the signature alone to judge here.
        .validate(ValidateRequestLayer::insecure_accept_anything())
        .authenticate(verify.explaining())
        .any_authenticated()
        .build()?
        .wrap(router);
    Ok(Router::new()
        .route_service(path, guarded.clone())
        .route_service(&below, guarded))
}

/// The body as it came, once all of it is known to be what was signed.
async fn echo(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    // A body that is not what was signed ends in an error; the layer puts the reason in the place
    // of this answer.
    let Ok(body) = to_bytes(body, ECHOED).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let mut response = Response::new(Body::from(body));
    if let Some(kind) = parts.headers.get(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, kind.clone());
    }
    response
}
