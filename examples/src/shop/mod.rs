//! A small shop: a gateway, an orders service behind it, a payments service behind that, each with
//! a whole stack of its own, talking over TCP with service tokens.
//!
//! Tokens are made at start, nothing is written outside the folder that is given, and every stack
//! is what one would run in production but for TLS.

mod gateway;
mod keys;
mod services;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{ServiceExt as _, body::Body, extract::Request, response::Response};
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle};
use tower::util::BoxCloneSyncService;
use zt_audit::{AuditLog, Options, RecordAuditLayer};
use zt_core::{
    clock::{Clock, ManualClock, SystemClock},
    gate::Settings,
    state::Sanctions,
    validate::ValidateRequestLayer,
};
use zt_ratelimit::{
    LimitRateLayer, Quota,
    limit_rate::{ByPeer, ByPrincipal},
};

pub use self::{gateway::Omit, keys::Keys};
use crate::Result;

/// An application behind its stack.
type App = BoxCloneSyncService<Request, Response<Body>, std::convert::Infallible>;

/// The running shop.
#[derive(Debug)]
pub struct Shop {
    /// Where customers come in.
    pub gateway: SocketAddr,
    /// Where the gateway goes.
    pub orders: SocketAddr,
    /// Where orders are paid.
    pub payments: SocketAddr,
    /// The tokens that were made, and the registry that made them.
    pub keys: Keys,
    /// Who may not go on.
    pub sanctions: Sanctions,
    /// The clock, where it can be moved.
    pub clock: Option<ManualClock>,
    /// Told when a request for `/slow` has reached its handler, which never answers.
    pub slow: Arc<Notify>,
    gateway_log: AuditLog,
    logs: Vec<(PathBuf, AuditLog)>,
    servers: Vec<JoinHandle<()>>,
}

/// Rates that a tour can reach: requests a minute by peer and by principal.
pub const PEER_BURST: u32 = 60;
/// See [`PEER_BURST`].
pub const PRINCIPAL_BURST: u32 = 40;

impl Shop {
    /// Starts the shop on free ports of loopback. Audit logs go into `folder`; time stands still
    /// unless it is moved.
    ///
    /// # Errors
    ///
    /// When a port, a file or a configuration is not to be had.
    pub async fn start(folder: &Path, omit: Option<Omit>) -> Result<Self> {
        let clock = ManualClock::default();
        let mut shop = Self::start_with(folder, clock.clone(), omit).await?;
        shop.clock = Some(clock);
        Ok(shop)
    }

    /// Starts the shop on the system's time.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn serve(folder: &Path) -> Result<Self> {
        Self::start_with(folder, SystemClock, None).await
    }

    async fn start_with(
        folder: &Path,
        clock: impl Clock + Clone,
        omit: Option<Omit>,
    ) -> Result<Self> {
        let keys = Keys::make(clock.clone()).await?;
        let mut logs = Vec::new();
        let mut part = |name: &str, sanctions: &Sanctions| -> Result<(Part, AuditLog)> {
            let path = folder.join(format!("{name}.jsonl"));
            let log = AuditLog::open(&path, Options::default().clock(clock.clone()))?;
            logs.push((path, log.clone()));
            let part = Part::new(log.clone(), &keys, sanctions.clone(), clock.clone())?;
            Ok((part, log))
        };
        let slow = Arc::new(Notify::new());
        let sanctions = Sanctions::local(clock.clone());
        let (payments_part, _) = part("payments", &sanctions)?;
        let (orders_part, _) = part("orders", &sanctions)?;
        let (gateway_part, gateway_log) = part("gateway", &sanctions)?;

        let (payments, first) = listen(services::payments(payments_part)?).await?;
        let orders_app = services::orders(orders_part, payments, keys.orders_to_payments())?;
        let (orders, second) = listen(orders_app).await?;
        let gateway_app = gateway::gateway(
            gateway_part,
            orders,
            keys.gateway_to_orders(),
            Arc::clone(&slow),
            omit,
        )?;
        let (gateway, third) = listen(gateway_app).await?;
        let servers = vec![first, second, third];
        Ok(Self {
            gateway,
            orders,
            payments,
            keys,
            sanctions,
            clock: None,
            slow,
            gateway_log,
            logs,
            servers,
        })
    }

    /// The gateway's audit log.
    #[must_use]
    pub const fn gateway_log(&self) -> &AuditLog {
        &self.gateway_log
    }

    /// Stops the servers, finishes the audit logs, and says where they are.
    ///
    /// # Errors
    ///
    /// When a log cannot be finished.
    pub fn stop(self) -> Result<Vec<PathBuf>> {
        self.servers.iter().for_each(JoinHandle::abort);
        let mut paths = Vec::new();
        for (path, log) in self.logs {
            log.close()?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Waits for ever; for a shop that is left running.
    pub async fn wait(self) {
        for server in self.servers {
            let _ = server.await;
        }
    }
}

/// What each service's stack is made of.
struct Part {
    settings: Settings,
    record: RecordAuditLayer,
    validate: ValidateRequestLayer,
    by_peer: LimitRateLayer<ByPeer>,
    by_principal: LimitRateLayer<ByPrincipal>,
    verify: zt_core::service_token::VerifyServiceTokenLayer,
    sanctions: Sanctions,
}

impl Part {
    fn new(log: AuditLog, keys: &Keys, sanctions: Sanctions, clock: impl Clock) -> Result<Self> {
        let minute = Duration::from_secs(60);
        Ok(Self {
            settings: Settings::default().with_clock(clock).measuring(),
            record: RecordAuditLayer::new(log),
            validate: ValidateRequestLayer::default(),
            by_peer: LimitRateLayer::by_peer(Quota::new("peer", PEER_BURST, minute)?),
            by_principal: LimitRateLayer::by_principal(Quota::new(
                "principal",
                PRINCIPAL_BURST,
                minute,
            )?),
            verify: keys.verify_layer(),
            sanctions,
        })
    }
}

async fn listen(app: App) -> Result<(SocketAddr, JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move {
        let _ = axum::serve(listener, service).await;
    });
    Ok((address, server))
}
