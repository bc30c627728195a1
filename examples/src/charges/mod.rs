//! Charges: a service whose policy is a file. Who may take money and how much, who may give it back
//! while a grant lasts, and who reads what.
//!
//! Callers have tokens of an issuer for tests: `order-service` and `admin-service` are programs, the
//! others are people.

use std::{
    fs,
    net::SocketAddr,
    path::{Path as Folder, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    authorize::AuthorizeLayer,
    clock::ManualClock,
    decision::Permit,
    gate::Settings,
    grant::{GrantConfig, GrantOptions, GrantScope, Grants, router},
    policy::{LivePolicy, PolicyOptions},
    stack::ZeroTrust,
    store::MemoryStore,
};
use zt_jwt::{testing::TestIssuer, verify_jwt::VerifyJwtLayer};

use crate::Result;

/// Whom tokens are for.
pub const AUDIENCE: &str = "charges";

/// The policy as it is at start.
pub const POLICY: &str = include_str!("policy.toml");

/// The running service.
#[derive(Debug)]
pub struct Charges {
    /// Where it listens.
    pub address: SocketAddr,
    /// Issues the callers' tokens.
    pub issuer: TestIssuer,
    /// Its time, which stands still unless it is moved.
    pub clock: ManualClock,
    /// The policy that is in force.
    pub policy: LivePolicy,
    /// The file that it is read from.
    pub file: PathBuf,
    log: (PathBuf, AuditLog),
    server: JoinHandle<()>,
}

impl Charges {
    /// Starts it on a free port of loopback; its policy and its audit log go into `folder`.
    ///
    /// # Errors
    ///
    /// When a port, a file or a configuration is not to be had.
    pub async fn start(folder: &Folder) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let clock = ManualClock::default();
        let path = folder.join("charges");
        let log = AuditLog::open(&path, Options::default().clock(clock.clone()))?;
        let recorder = Arc::new(log.clone());

        let refunds =
            GrantScope::new(Duration::from_secs(3_600)).break_glass(Duration::from_secs(300));
        let config = GrantConfig::new().scope("refunds.write", refunds);
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let options = GrantOptions::new(config).recorder(recorder.clone());
        let grants = Grants::open(store, clock.clone(), options).await?;

        let file = folder.join("policy.toml");
        fs::write(&file, POLICY)?;
        let options = PolicyOptions::new()
            .grants(Arc::new(grants.clone()))
            .clock(clock.clone())
            .recorder(recorder);
        let policy = LivePolicy::open(&file, options)?;

        let issuer = TestIssuer::offline().with_clock(clock.clone());
        let zt = ZeroTrust::builder()
            .settings(Settings::default().with_clock(clock.clone()))
            .record(RecordAuditLayer::new(log.clone()))
            .authenticate(VerifyJwtLayer::new(issuer.verifier(AUDIENCE)))
            .authorize(AuthorizeLayer::new(policy.clone()))
            .build()?;
        let app = Router::new()
            .route("/charge", post(charge))
            .route("/refunds/{id}", post(refund))
            .route("/reports", get(|| async { "all is well" }))
            .merge(router(grants));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let app = zt.wrap(app);
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app.into_make_service_with_connect_info()).await;
        });
        Ok(Self {
            address,
            issuer,
            clock,
            policy,
            file,
            log: (path, log),
            server,
        })
    }

    /// Stops it, finishes the audit log, and says where that is.
    ///
    /// # Errors
    ///
    /// When the log cannot be finished.
    pub fn stop(self) -> Result<PathBuf> {
        self.server.abort();
        let (path, log) = self.log;
        log.close()?;
        Ok(path)
    }
}

async fn charge(permit: Permit, Json(charge): Json<Value>) -> (StatusCode, Json<Value>) {
    let charged = json!({"charged": charge.get("amount"), "rule": permit.rule()});
    (StatusCode::CREATED, Json(charged))
}

async fn refund(permit: Permit, Path(id): Path<String>) -> Json<Value> {
    Json(json!({"refunded": id, "rule": permit.rule()}))
}
