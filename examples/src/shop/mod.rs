//! A small shop: a gateway, an orders service behind it, a payments service behind that, each with
//! a whole stack of its own, talking over TCP.
//!
//! Customers come with a service token or with a token of the shop's issuer. The services believe
//! nobody but that issuer, and each only tokens that are meant for it. What the orders service asks of
//! payments it also signs, and the payment provider signs its webhooks.
//!
//! Keys and tokens are made at start, nothing is written outside the folder that is given, and
//! every stack is what one would run in production but for TLS and for the issuer, which is one
//! for tests.

mod budget;
mod gateway;
mod keys;
mod projected;
mod services;
mod signing;
mod trust;

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
    authenticate::{all_of, any_of},
    clock::{Clock, ManualClock, SystemClock},
    gate::Settings,
    secret::Secret,
    signature::key::SigningKey,
    state::Sanctions,
    validate::ValidateRequestLayer,
};
use zt_jwt::{
    Audience, Verifier,
    attach_token::Tokens,
    testing::TestIssuer,
    verify_jwt::{VerifyJwtConfig, VerifyJwtLayer},
};
use zt_ratelimit::{
    LimitRateLayer, Quota,
    limit_rate::{ByPeer, ByPrincipal},
};

pub(crate) use self::projected::write_private;
pub use self::{
    gateway::Omit,
    keys::Keys,
    signing::{ORDERS_KEY, sign_calls},
    trust::{GATEWAY, ORDERS, PAYMENTS},
};
use self::{projected::Projected, trust::Trust};
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
    /// What the orders service signs with; payments knows it as [`ORDERS_KEY`].
    pub orders_key: SigningKey,
    /// What the payment provider signs its webhooks with.
    pub webhook_secret: Secret,
    /// Issues tokens to customers and services.
    pub issuer: TestIssuer,
    /// Who may not go on.
    pub sanctions: Sanctions,
    /// The clock, where it can be moved.
    pub clock: Option<ManualClock>,
    /// Told when a request for `/slow` has reached its handler, which never answers.
    pub slow: Arc<Notify>,
    projected: Projected,
    verifiers: Vec<Verifier>,
    tokens: Vec<Tokens>,
    gateway_log: AuditLog,
    logs: Vec<(PathBuf, AuditLog)>,
    servers: Vec<JoinHandle<()>>,
}

/// Rates that a tour can reach: requests a minute by peer and by principal.
pub const PEER_BURST: u32 = 60;
/// See [`PEER_BURST`].
pub const PRINCIPAL_BURST: u32 = 40;
/// Where browsers keep their token.
pub const SESSION_COOKIE: &str = "__Host-session";

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
        let mut shop = Self::start_with(folder, SystemClock, None).await?;
        let projected = shop.projected.clone();
        shop.servers.push(tokio::spawn(async move {
            loop {
                SystemClock.sleep(trust::ACCOUNT_TOKEN_LIFETIME / 2).await;
                // Where it cannot be written the old one is used until its end.
                let _ = projected.write();
            }
        }));
        Ok(shop)
    }

    async fn start_with(
        folder: &Path,
        clock: impl Clock + Clone,
        omit: Option<Omit>,
    ) -> Result<Self> {
        let keys = Keys::make(clock.clone()).await?;
        let mut trust = Trust::start(folder, clock.clone()).await?;
        let sanctions = Sanctions::local(clock.clone());
        let mut logs = Vec::new();
        let mut log = |name: &str| -> Result<AuditLog> {
            let path = folder.join(name);
            let log = AuditLog::open(&path, Options::default().clock(clock.clone()))?;
            logs.push((path, log.clone()));
            Ok(log)
        };

        let orders_key = SigningKey::generate_ed25519()?;
        let webhook_secret = signing::webhook_secret()?;
        let verifier = trust.verifier(PAYMENTS, Some(&sanctions)).await?;
        let jwt = VerifyJwtLayer::new(verifier);
        let webhook = signing::verify_provider(&webhook_secret)?;
        let records = log(PAYMENTS)?;
        let app = if omit == Some(Omit::Signatures) {
            let verify = any_of(jwt, webhook);
            services::payments(Part::new(records, verify, &sanctions, clock.clone())?)?
        } else {
            let signed = all_of(jwt, signing::verify_orders(&orders_key)?);
            let verify = any_of(signed, webhook);
            services::payments(Part::new(records, verify, &sanctions, clock.clone())?)?
        };
        let (payments, first) = listen(app).await?;

        let verifier = trust.verifier(ORDERS, Some(&sanctions)).await?;
        let verify = VerifyJwtLayer::new(verifier);
        let part = Part::new(log(ORDERS)?, verify, &sanctions, clock.clone())?;
        let sign = sign_calls(orders_key.clone(), ORDERS_KEY, clock.clone())?;
        let tokens = trust.orders_to_payments().await?;
        let to_payments = services::Upstream::signed(payments, tokens, &sign)?;
        let (orders, second) = listen(services::orders(part, to_payments)?).await?;

        let (audience, heeded) = match omit {
            Some(Omit::Audience) => (Audience::insecure_any(), Some(&sanctions)),
            Some(Omit::Sanctions) => (GATEWAY.into(), None),
            _ => (GATEWAY.into(), Some(&sanctions)),
        };
        let jwt = VerifyJwtLayer::with_config(
            trust.verifier(audience, heeded).await?,
            VerifyJwtConfig::new()
                .authorization()
                .cookie(SESSION_COOKIE)
                .realm("shop"),
        )?;
        let verify = any_of(jwt, keys.verify_layer());
        let gateway_log = log(GATEWAY)?;
        let part = Part::new(gateway_log.clone(), verify, &sanctions, clock.clone())?;
        let to_orders = services::Upstream::new(orders, trust.gateway_to_orders().await?)?;
        let by_day = budget::by_day(&gateway_log, clock.clone())?;
        let slow = Arc::new(Notify::new());
        let app = gateway::gateway(part, by_day, to_orders, Arc::clone(&slow), omit)?;
        let (gateway, third) = listen(app).await?;
        Ok(Self {
            gateway,
            orders,
            payments,
            keys,
            orders_key,
            webhook_secret,
            issuer: trust.issuer,
            sanctions,
            clock: None,
            slow,
            projected: trust.projected,
            verifiers: trust.verifiers,
            tokens: trust.tokens,
            gateway_log,
            logs,
            servers: vec![first, second, third],
        })
    }

    /// Gives the orders service a new token, as its cluster would before the old one ends.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn project_token(&self) -> Result<()> {
        Ok(self.projected.write()?)
    }

    /// The token that the orders service calls payments with, as somebody reads it who should not.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn stolen_token(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.projected.path())?)
    }

    /// What the services call each other with, the orders service first.
    #[must_use]
    pub fn tokens(&self) -> &[Tokens] {
        &self.tokens
    }

    /// Whether every service has heard of the issuer's keys in the last second.
    #[must_use]
    pub fn keys_are_fresh(&self) -> bool {
        self.verifiers
            .iter()
            .flat_map(Verifier::keys_status)
            .all(|(_, status)| status.age.is_some_and(|age| age < Duration::from_secs(1)))
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

/// What each service's stack is made of, around `A`, which says who asks.
struct Part<A> {
    settings: Settings,
    record: RecordAuditLayer,
    validate: ValidateRequestLayer,
    by_peer: LimitRateLayer<ByPeer>,
    by_principal: LimitRateLayer<ByPrincipal>,
    verify: A,
    sanctions: Sanctions,
}

impl<A> Part<A> {
    fn new(log: AuditLog, verify: A, sanctions: &Sanctions, clock: impl Clock) -> Result<Self> {
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
            verify,
            sanctions: sanctions.clone(),
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
