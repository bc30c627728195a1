//! A server and its handle.

use std::{
    fmt,
    future::{Future, IntoFuture, pending},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch::Sender},
};
use tower_service::Service;
use zt_core::{clock::Clock, problem::Render};

use super::{
    accept::{self, Newcomer},
    config::{Config, Limits},
    connection::{self, BoxError},
    pending::Pending,
    registry::{Ending, Registry},
    report::Report,
    tls::{Configs, ServerError},
    watch::watch,
};
use crate::{credentials::Credentials, forwarded::Forwarded};

/// Serves `app` to the workloads that connect to `listener`; see the [module](super).
///
/// Nothing happens until the answer is awaited.
///
/// ```no_run
/// # async fn serve(credentials: zt_mtls::credentials::Credentials, app: axum::Router)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use zt_mtls::serve::{Config, serve};
///
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8443").await?;
/// serve(listener, app, Config::new(credentials))
///     .with_graceful_shutdown(async { drop(tokio::signal::ctrl_c().await) })
///     .await?;
/// # Ok(())
/// # }
/// ```
pub fn serve<A>(listener: TcpListener, app: A, config: Config) -> Serve<A> {
    let address = listener.local_addr().ok();
    Serve {
        server: Arc::new(Server::new(config, address)),
        listener,
        app,
        signal: Box::pin(pending()),
    }
}

/// A server that is not yet started; see [`serve`].
///
/// It is done when it was shut down and each connection has ended. When its future is dropped, all
/// connections are shut.
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<A> {
    server: Arc<Server>,
    listener: TcpListener,
    app: A,
    signal: Signal,
}

pub(super) type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// TLS cannot be configured.
    #[error(transparent)]
    Tls(#[from] ServerError),
    /// The socket has no address.
    #[error("the socket has no address: {0}")]
    Socket(#[from] std::io::Error),
}

/// Asks a server how it does, and stops it. Clones share it.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Server>);

/// How a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Status {
    /// Connections that live, those that were upgraded among them.
    pub connections: usize,
    /// Handshakes under way.
    pub handshakes: usize,
    /// Handshakes that came to nothing, since the start: refused, too slow, dropped for others.
    pub failed: u64,
    /// Of these, those that were dropped for others.
    pub dropped: u64,
    /// Connections that were closed as they came, because there were too many.
    pub refused: u64,
}

/// What all parts of a server share.
pub(super) struct Server {
    pub(super) credentials: Credentials,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) render: Arc<dyn Render>,
    pub(super) limits: Limits,
    pub(super) any_host: bool,
    pub(super) forwarded: Forwarded,
    pub(super) configs: Configs,
    pub(super) pending: Arc<Pending>,
    pub(super) registry: Arc<Registry>,
    pub(super) counts: Counts,
    /// A connection came whose certificate ends before anybody looks.
    pub(super) ends_soon: Notify,
    phase: Sender<Phase>,
    config: Config,
    address: Option<SocketAddr>,
}

/// How far a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    Open,
    /// Connections come to their end.
    Closing,
    /// Nobody looks after connections any more: there must be none.
    Over,
}

impl Phase {
    /// Never back; whether it moved.
    fn advance(&mut self, to: Self) -> bool {
        let moves = *self < to;
        *self = (*self).max(to);
        moves
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    failed: AtomicU64,
    refused: AtomicU64,
}

impl<A> Serve<A> {
    /// Shuts down when `signal` is ready: nothing more is accepted, HTTP/2 is told (GOAWAY), HTTP/1
    /// is closed after the request that runs, and after [`Config::shutdown_deadline`] all that is
    /// left is shut.
    pub fn with_graceful_shutdown(
        mut self,
        signal: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    /// To ask how the server does, and to stop it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.server))
    }
}

impl<A, B> Serve<A>
where
    A: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    A::Future: Send + 'static,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    async fn run(self) -> Result<(), ServeError> {
        let Self {
            server,
            listener,
            app,
            signal,
        } = self;
        // Not every application can be shared between threads; each connection takes a copy.
        let app = Arc::new(Mutex::new(app));
        let serve = {
            let server = Arc::clone(&server);
            move |newcomer| {
                let (server, app) = (Arc::clone(&server), Arc::clone(&app));
                tokio::spawn(async move {
                    if let Some(admitted) = accept::admit(&server, newcomer).await {
                        let app = app.lock().unwrap_or_else(PoisonError::into_inner).clone();
                        Box::pin(connection::serve(server, admitted, app)).await;
                    }
                });
            }
        };
        server.start()?;
        server.run(listener, signal, serve).await;
        Ok(())
    }
}

impl<A, B> IntoFuture for Serve<A>
where
    A: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    A::Future: Send + 'static,
    A::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<(), ServeError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl Handle {
    /// How the server does.
    #[must_use]
    pub fn status(&self) -> Status {
        let server = &self.0;
        Status {
            connections: server.registry.count(),
            handshakes: server.pending.count(),
            failed: server.counts.failed.load(Ordering::Relaxed),
            dropped: server.pending.dropped(),
            refused: server.counts.refused.load(Ordering::Relaxed),
        }
    }

    /// How many connections live.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.0.registry.count()
    }

    /// What the server offers, shows and trusts now.
    #[must_use]
    pub fn report(&self) -> Report {
        Report::new(&self.0.config, self.0.address)
    }

    /// Shuts down as [`Serve::with_graceful_shutdown`] says.
    pub fn shutdown(&self) {
        self.0.close();
    }
}

impl Server {
    pub(super) fn new(config: Config, address: Option<SocketAddr>) -> Self {
        Self {
            credentials: config.credentials.clone(),
            clock: Arc::clone(&config.clock),
            render: Arc::clone(&config.render),
            limits: config.limits,
            any_host: config.any_host,
            forwarded: config.forwarded.clone(),
            configs: Configs::new(config.tls12),
            pending: Pending::new(config.limits.max_handshakes),
            registry: Registry::new(config.limits.max_connections, config.limits.of_one_peer()),
            counts: Counts::default(),
            ends_soon: Notify::new(),
            phase: Sender::new(Phase::Open),
            config,
            address,
        }
    }

    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Later materials are configured as they are needed; the first one fails early.
    pub(super) fn start(&self) -> Result<(), ServeError> {
        self.configs.in_force(&self.credentials)?;
        tracing::info!("{}", Report::new(&self.config, self.address));
        Ok(())
    }

    /// Takes connections until it is told to shut down, and looks after them until they have ended.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        mut signal: Signal,
        mut each: impl FnMut(Newcomer),
    ) {
        let _all = Ends(Arc::clone(&self));
        let mut watch = Box::pin(watch(Arc::clone(&self)));
        let mut phase = self.phase.subscribe();
        loop {
            tokio::select! {
                biased;
                () = &mut signal => break,
                _ = phase.wait_for(|phase| *phase != Phase::Open) => break,
                () = &mut watch => {}
                newcomer = accept::next(&self, &listener) => each(newcomer),
            }
        }
        drop(listener);
        tokio::select! {
            () = self.drain() => {}
            () = watch => {}
        }
    }

    pub(super) fn close(&self) {
        self.phase
            .send_if_modified(|phase| phase.advance(Phase::Closing));
    }

    /// Ends all connections, gracefully until the deadline.
    async fn drain(&self) {
        self.close();
        self.pending.clear();
        self.registry.for_each(|entry| entry.end(Ending::Shutdown));
        let mut deadline = self.clock.sleep(self.limits.shutdown_deadline);
        loop {
            let changed = self.registry.changed.notified();
            if self.registry.count() == 0 {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = &mut deadline => return,
            }
        }
    }
}

/// Shuts what is left when the server's future ends, or is dropped.
struct Ends(Arc<Server>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0
            .phase
            .send_if_modified(|phase| phase.advance(Phase::Over));
        self.0.pending.clear();
        self.0.registry.for_each(|entry| {
            entry.end(Ending::Shutdown);
            entry.throw();
        });
    }
}

impl Counts {
    pub(super) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

impl<A> fmt::Debug for Serve<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .field("connections", &self.registry.count())
            .finish_non_exhaustive()
    }
}
