//! For applications that stay with `axum::serve`.

use std::{
    fmt,
    future::pending,
    io,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::{ConnectInfo, connect_info::Connected},
    serve::IncomingStream,
};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::{net::TcpListener, sync::mpsc};
use tower_layer::Layer;
use tower_service::Service;
use zt_core::decision::Denial;

use super::{
    accept,
    config::Config,
    connection::supervise,
    io::PeerStream,
    registry::{Entry, Running},
    request::{Answer, AnswerBody, admit, refuse},
    server::{Handle, ServeError, Server},
};

/// Connections to workloads, for `axum::serve`.
///
/// Handshakes, their limits, the caps on connections, and what becomes of a connection whose certificate
/// is not good any more, or whose peer does not read, are as for [`serve`](super::serve). What happens on
/// a connection is axum's:
///
/// - no time-out for heads (axum 0.8 sets no timer), no idle timer, none of the limits for HTTP/2, none
///   for a stream whose window is closed;
/// - a certificate that is not good any more ends its connection without a GOAWAY, after
///   [`Config::grace`];
/// - when axum drops the listener, as for its graceful shutdown, what is left is shut after
///   [`Config::shutdown_deadline`];
/// - requests have no peer on them without [`FromConnectionLayer`].
///
/// ```no_run
/// # async fn serve(credentials: zt_mtls::credentials::Credentials, app: axum::Router)
/// # -> Result<(), Box<dyn std::error::Error>> {
/// use zt_mtls::serve::{Config, Connection, FromConnectionLayer, Listener};
///
/// let tcp = tokio::net::TcpListener::bind("0.0.0.0:8443").await?;
/// let listener = Listener::new(tcp, Config::new(credentials))?;
/// // The last layer: what is added after it has no peer.
/// let app = app.layer(FromConnectionLayer);
/// axum::serve(listener, app.into_make_service_with_connect_info::<Connection>()).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Listener {
    server: Arc<Server>,
    address: SocketAddr,
    ready: mpsc::Receiver<PeerStream>,
}

/// Which connection a request came over, for [`FromConnectionLayer`].
#[derive(Clone)]
pub struct Connection {
    server: Arc<Server>,
    entry: Arc<Entry>,
}

/// Puts the peer of the connection on each request, or refuses it, as [`serve`](super::serve) does.
///
/// It needs [`Connection`] as axum's `ConnectInfo`. A request without one is refused
/// (`stack-misordered`, 500).
#[derive(Debug, Clone, Copy, Default)]
pub struct FromConnectionLayer;

/// The service that [`FromConnectionLayer`] makes of `S`.
#[derive(Debug, Clone)]
pub struct FromConnection<S>(S);

impl Listener {
    /// Begins to take connections from `tcp`, on the runtime that this is called on.
    ///
    /// # Errors
    ///
    /// When TLS cannot be configured, or the socket has no address.
    pub fn new(tcp: TcpListener, config: Config) -> Result<Self, ServeError> {
        let address = tcp.local_addr()?;
        let server = Arc::new(Server::new(config, Some(address)));
        server.start()?;
        let (send, ready) = mpsc::channel(WAITING);
        let each = {
            let server = Arc::clone(&server);
            move |newcomer| {
                let (server, send) = (Arc::clone(&server), send.clone());
                tokio::spawn(async move {
                    let Some(admitted) = accept::admit(&server, newcomer).await else {
                        return;
                    };
                    // How many requests it has is not known here.
                    admitted.entry.activity.upgraded();
                    let entry = admitted.entry;
                    let hand = async {
                        // Fails when axum takes no more; the stream is dropped then.
                        let _ = send.send(admitted.stream).await;
                        pending::<()>().await;
                    };
                    tokio::select! {
                        () = supervise(&server, &entry, None) => {}
                        () = hand => {}
                    }
                });
            }
        };
        tokio::spawn(Arc::clone(&server).run(tcp, Box::pin(pending()), each));
        Ok(Self {
            server,
            address,
            ready,
        })
    }

    /// To ask how the listener does, and to stop it.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.server))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.server.close();
    }
}

impl axum::serve::Listener for Listener {
    type Io = PeerStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (PeerStream, SocketAddr) {
        match self.ready.recv().await {
            Some(stream) => {
                let address = stream.entry().address;
                (stream, address)
            }
            // It was shut down; axum asks no more when it is, too.
            None => pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

impl Connected<IncomingStream<'_, Listener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self {
            server: Arc::clone(stream.io().server()),
            entry: Arc::clone(stream.io().entry()),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("address", &self.entry.address)
            .field("peer", &self.entry.identity)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for FromConnectionLayer {
    type Service = FromConnection<S>;

    fn layer(&self, inner: S) -> FromConnection<S> {
        FromConnection(inner)
    }
}

impl<S, B, R> Service<Request<R>> for FromConnection<S>
where
    S: Service<Request<R>, Response = Response<B>>,
    B: Body<Data = Bytes>,
{
    type Response = Response<AnswerBody<B>>;
    type Error = S::Error;
    type Future = Answer<S, R>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<R>) -> Answer<S, R> {
        let (mut parts, body) = request.into_parts();
        let connection = parts.extensions.remove::<ConnectInfo<Connection>>();
        let Some(ConnectInfo(Connection { server, entry })) = connection else {
            let why =
                "FromConnectionLayer needs `into_make_service_with_connect_info::<Connection>()`";
            let render = zt_core::problem::ProblemJson::default();
            return Answer::refused(refuse(&render, &parts, Denial::misordered(why)));
        };
        match admit(&server, &entry, &mut parts) {
            Ok(()) => {
                let running = Running::new(&entry);
                Answer::runs(self.0.call(Request::from_parts(parts, body)), running)
            }
            Err(denial) => Answer::refused(refuse(&*server.render, &parts, denial)),
        }
    }
}

/// How many connections wait for axum to take them.
const WAITING: usize = 64;
