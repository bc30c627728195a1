//! Services that know each other by certificate: a gateway calls orders, orders calls payments, and
//! nobody else calls either of them.
//!
//! Every connection is mutual TLS between workloads of one trust domain. Each has its certificate, key,
//! bundle and revocation list in a folder of its own, where whatever renews them puts them, and notices
//! when they change. For payments, where the money is, a connection is not enough: orders attaches a
//! token of its own, and signs each request, token included.
//!
//! The certificates come from an authority that is made at start, as the tokens' issuer is; both are
//! ones for tests.

mod apps;
mod workload;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::body::Body;
use http::Request;
use hyper::body::Incoming;
use tokio::{net::TcpListener, task::JoinHandle};
use tower::{ServiceExt, util::BoxCloneSyncService};
use zt_audit::{AuditLog, Options};
use zt_core::{
    random::{self, OsEntropy},
    secret::Secret,
    signature::key::SigningKey,
};
use zt_jwt::{
    Issuer, Verifier,
    attach_token::{ClientAuthentication, ClientCredentials, ClientCredentialsConfig, Tokens},
    testing::TestIssuer,
};
use zt_mtls::{
    serve::{Config, Handle, serve},
    testing::{TestCa, TestCert},
};

pub(crate) use self::workload::LOCALHOST;
pub use self::workload::{Authority, Workload};
use crate::Result;

/// The trust domain of them all.
pub const DOMAIN: &str = "shop.example";
/// The token's subject and the key's name of the orders service, and its name in the audit log.
pub const ORDERS: &str = "orders";
/// The payments service, as tokens and logs call it.
pub const PAYMENTS: &str = "payments";

/// An application behind its stack.
type App =
    BoxCloneSyncService<Request<Incoming>, axum::response::Response, std::convert::Infallible>;

/// The running services.
#[derive(Debug)]
pub struct Services {
    /// Where the gateway calls orders.
    pub orders: SocketAddr,
    /// Where orders calls payments.
    pub payments: SocketAddr,
    /// Who vouches for the workloads.
    pub authority: Authority,
    /// Calls orders.
    pub gateway: Workload,
    /// A workload of the same trust domain that has no business here.
    pub reports: Workload,
    /// What orders calls payments with.
    pub tokens: Tokens,
    /// Issues the tokens.
    pub issuer: TestIssuer,
    /// What orders signs with.
    pub orders_key: SigningKey,
    /// The two services themselves.
    workloads: [Workload; 2],
    servers: [Server; 2],
    logs: [(PathBuf, AuditLog); 2],
}

#[derive(Debug)]
struct Server {
    address: SocketAddr,
    handle: Handle,
    task: JoinHandle<()>,
}

impl Services {
    /// Starts them on free ports of loopback; their files and audit logs go into `folder`.
    ///
    /// # Errors
    ///
    /// When a port, a file or a configuration is not to be had.
    pub async fn start(folder: &Path) -> Result<Self> {
        let mut authority = Authority::new(TestCa::new(DOMAIN), folder)?;
        let gateway = authority.workload("/gateway").await?;
        let reports = authority.workload("/reports").await?;
        let orders = authority.workload("/orders").await?;
        let payments = authority.workload("/payments").await?;
        let open = |name: &str| -> Result<(PathBuf, AuditLog)> {
            let path = folder.join(name);
            let log = AuditLog::open(&path, Options::default())?;
            Ok((path, log))
        };
        let logs = [open("orders-mtls")?, open("payments-mtls")?];

        let secret: String = random::bytes::<16>(&OsEntropy)?
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let issuer = TestIssuer::start().await.with_client(ORDERS, &secret);
        let verifier = Verifier::builder()
            .issuer(Issuer::oidc(issuer.name(), PAYMENTS, issuer.http())?)
            .build()?;
        verifier
            .fetch_keys()
            .await
            .map_err(|refused| refused.refusal().why())?;
        tokio::spawn(verifier.keep_fresh());
        let client = ClientCredentialsConfig::new(
            issuer.token_url(),
            ORDERS,
            ClientAuthentication::SecretBasic {
                secret: Secret::from(secret.as_str()),
            },
        );
        let source = ClientCredentials::new(client.audience(PAYMENTS), issuer.http())?;
        let tokens = Tokens::builder(source).build()?;
        tokens.ready().await?;
        tokio::spawn(tokens.keep_fresh());

        let orders_key = SigningKey::generate_ed25519()?;
        let [(_, orders_log), (_, payments_log)] = &logs;
        let app = apps::payments(payments_log, verifier, &orders_key)?;
        let paying = Server::start(app, &payments).await?;
        let upstream = apps::Payments::new(&orders, paying.address, &tokens, &orders_key)?;
        let ordering = Server::start(apps::orders(orders_log, upstream)?, &orders).await?;
        Ok(Self {
            orders: ordering.address,
            payments: paying.address,
            authority,
            gateway,
            reports,
            tokens,
            issuer,
            orders_key,
            workloads: [orders, payments],
            servers: [ordering, paying],
            logs,
        })
    }

    /// The orders service as a workload: what it shows to payments.
    #[must_use]
    pub const fn orders_workload(&self) -> &Workload {
        let [orders, _] = &self.workloads;
        orders
    }

    /// Revokes a certificate, and returns when both services have the new list.
    ///
    /// # Errors
    ///
    /// When a file cannot be written or read.
    pub async fn revoke(&mut self, cert: &TestCert) -> Result<()> {
        self.authority.revoke(cert)?;
        for workload in &self.workloads {
            workload.look().await?;
        }
        Ok(())
    }

    /// How many connections live, to orders and to payments.
    #[must_use]
    pub fn connections(&self) -> [usize; 2] {
        self.servers
            .each_ref()
            .map(|server| server.handle.connections())
    }

    /// Gives every workload a new certificate and key, and returns when each has noticed.
    ///
    /// # Errors
    ///
    /// When a file cannot be written or read.
    pub async fn renew(&mut self) -> Result<()> {
        let [orders, payments] = &mut self.workloads;
        for workload in [&mut self.gateway, &mut self.reports, orders, payments] {
            workload.cert = self.authority.renew(&workload.folder)?;
            workload.look().await?;
        }
        Ok(())
    }

    /// Stops the servers, finishes the audit logs, and says where they are.
    ///
    /// # Errors
    ///
    /// When a log cannot be finished.
    pub async fn stop(self) -> Result<Vec<PathBuf>> {
        for server in self.servers {
            server.handle.shutdown();
            server.task.await?;
        }
        let mut paths = Vec::new();
        for (path, log) in self.logs {
            log.close()?;
            paths.push(path);
        }
        Ok(paths)
    }

    /// Waits for ever; for services that are left running.
    pub async fn wait(self) {
        for server in self.servers {
            let _ = server.task.await;
        }
    }
}

impl Server {
    async fn start(app: App, workload: &Workload) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let config =
            Config::new(workload.credentials.clone()).shutdown_deadline(Duration::from_secs(5));
        let server = serve(listener, app, config);
        let handle = server.handle();
        let task = tokio::spawn(async move {
            let _ = server.await;
        });
        Ok(Self {
            address,
            handle,
            task,
        })
    }
}

/// A finished router behind its stack, for zt's own server.
fn app<S>(stack: S) -> App
where
    S: tower::Service<
            Request<Body>,
            Response = axum::response::Response,
            Error = std::convert::Infallible,
            Future: Send,
        > + Clone
        + Send
        + Sync
        + 'static,
{
    BoxCloneSyncService::new(stack.map_request(|request: Request<Incoming>| request.map(Body::new)))
}
