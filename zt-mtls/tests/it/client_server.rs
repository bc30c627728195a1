//! A server for clients, good or bad, and certificates for it.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Extension, Router,
    body::{Body, Bytes},
    response::IntoResponse,
    routing::get,
};
use futures_util::StreamExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use rustls::{
    RootCertStore, ServerConfig,
    server::WebPkiClientVerifier,
    version::{TLS12, TLS13},
};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};
use tokio_rustls::TlsAcceptor;
use zt_core::identity::PeerIdentity;
use zt_mtls::{
    credentials::Credentials,
    serve,
    testing::{TestCa, TestCert},
};

pub(crate) const BOTH: &[&[u8]] = &[b"h2", b"http/1.1"];
pub(crate) const HTTP11: &[&[u8]] = &[b"http/1.1"];
pub(crate) const H2: &[&[u8]] = &[b"h2"];
pub(crate) const NONE: &[&[u8]] = &[];

/// Answers `GET /` with what it saw, and `GET /endless` without end.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    seen: Arc<Seen>,
    accepting: AbortHandle,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Connections that came to their end after a good handshake.
    closed: watch::Sender<usize>,
}

/// What the server knows of a connection.
#[derive(Clone)]
struct Connection {
    number: usize,
    /// SHA-256 of the client's certificate.
    client: Option<String>,
    seen: Arc<Seen>,
}

impl Server {
    pub(crate) async fn start(config: Arc<ServerConfig>) -> Self {
        Self::at("127.0.0.1:0", config).await
    }

    pub(crate) async fn at(address: &str, config: Arc<ServerConfig>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Arc::new(Mutex::new(config));
        let seen = Arc::new(Seen::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&config), Arc::clone(&seen)));
        Self {
            address,
            config,
            seen,
            accepting: accepting.abort_handle(),
        }
    }

    /// From now on, for new connections.
    pub(crate) fn replace(&self, config: Arc<ServerConfig>) {
        *self.config.lock().unwrap() = config;
    }

    /// `https://127.0.0.1:port`, and a path.
    pub(crate) fn uri(&self, path: &str) -> http::Uri {
        format!("https://{}{path}", self.address).parse().unwrap()
    }

    /// The same by another name of this machine.
    pub(crate) fn uri_at(&self, host: &str) -> http::Uri {
        format!("https://{host}:{}/", self.address.port())
            .parse()
            .unwrap()
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Waits until so many connections came to their end.
    pub(crate) async fn closed(&self, connections: usize) {
        let mut closed = self.seen.closed.subscribe();
        closed
            .wait_for(|closed| *closed >= connections)
            .await
            .unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// A server as applications have it: [`serve::serve`].
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
    serving: AbortHandle,
}

impl Served {
    pub(crate) async fn start(credentials: Credentials) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        let answer = async move |Extension(peer): Extension<Arc<PeerIdentity>>| {
            count.fetch_add(1, Ordering::SeqCst);
            ([("x-client", hex(peer.thumbprint()))], "hello")
        };
        let app = Router::new().route("/", get(answer));
        let serving = serve::serve(listener, app, serve::Config::new(credentials));
        let serving = tokio::spawn(serving.into_future());
        Self {
            address,
            requests,
            serving: serving.abort_handle(),
        }
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn accept(listener: TcpListener, config: Arc<Mutex<Arc<ServerConfig>>>, seen: Arc<Seen>) {
    loop {
        let (tcp, _) = listener.accept().await.unwrap();
        let number = seen.connections.fetch_add(1, Ordering::SeqCst) + 1;
        let config = Arc::clone(&config.lock().unwrap());
        tokio::spawn(connection(tcp, config, number, Arc::clone(&seen)));
    }
}

async fn connection(tcp: TcpStream, config: Arc<ServerConfig>, number: usize, seen: Arc<Seen>) {
    let accepted = TlsAcceptor::from(config).accept(tcp).into_fallible().await;
    let tls = match accepted {
        Ok(tls) => tls,
        Err((_, mut tcp)) => {
            // Closed with bytes unread, it is reset, and the alert may be lost on its way.
            let _ = tcp.shutdown().await;
            let _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
            return;
        }
    };
    let (_, state) = tls.get_ref();
    let client = state
        .peer_certificates()
        .and_then(<[_]>::first)
        .map(|leaf| thumbprint(leaf));
    let http2 = state.alpn_protocol() == Some(b"h2");
    let app = Router::new()
        .route("/", get(answer))
        .route("/endless", get(endless))
        .layer(Extension(Connection {
            number,
            client,
            seen: Arc::clone(&seen),
        }));
    let (tls, app) = (TokioIo::new(tls), TowerToHyperService::new(app));
    let _ = match http2 {
        true => {
            let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            builder.serve_connection(tls, app).await
        }
        false => {
            let builder = hyper::server::conn::http1::Builder::new();
            builder.serve_connection(tls, app).await
        }
    };
    seen.closed.send_modify(|closed| *closed += 1);
}

async fn answer(Extension(connection): Extension<Connection>) -> impl IntoResponse {
    connection.seen.requests.fetch_add(1, Ordering::SeqCst);
    let client = connection.client.unwrap_or_else(|| "nobody".to_owned());
    (
        [
            ("x-client", client),
            ("x-connection", connection.number.to_string()),
        ],
        "hello",
    )
}

async fn endless(Extension(connection): Extension<Connection>) -> Body {
    connection.seen.requests.fetch_add(1, Ordering::SeqCst);
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
    Body::from_stream(first.chain(futures_util::stream::pending()))
}

/// What comes, or a test that fails rather than hangs.
pub(crate) async fn soon<F: Future>(coming: F) -> F::Output {
    let limit = std::time::Duration::from_secs(60);
    tokio::time::timeout(limit, coming).await.expect("in time")
}

/// SHA-256 of a certificate, as the server writes it.
pub(crate) fn thumbprint(der: &[u8]) -> String {
    hex(&Sha256::digest(der))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A configuration as this crate makes it.
pub(crate) fn ours(credentials: &Credentials, alpn: &[&[u8]]) -> Arc<ServerConfig> {
    serve::server_config(credentials, &credentials.load(), alpn).unwrap()
}

/// A server by bare rustls, which shows what it is given to whoever is vouched for by `clients`.
pub(crate) fn shows(
    cert: &TestCert,
    clients: Option<&TestCa>,
    alpn: &[&[u8]],
) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13])
        .unwrap();
    let builder = match clients {
        Some(ca) => {
            let mut roots = RootCertStore::empty();
            roots.add(ca.root().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
        None => builder.with_no_client_auth(),
    };
    let mut config = builder
        .with_single_cert(cert.chain.clone(), cert.key.clone_key())
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Arc::new(config)
}

/// The same with TLS 1.2 and nothing newer.
pub(crate) fn shows_by_tls12(cert: &TestCert) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(cert.chain.clone(), cert.key.clone_key());
    Arc::new(config.unwrap())
}
