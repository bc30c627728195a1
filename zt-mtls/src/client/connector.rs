use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, Write};
use hyper_util::{
    client::legacy::connect::{Connection, HttpConnector},
    rt::TokioIo,
};
use rustls_pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;
use tower_service::Service;
use zt_core::{clock::Clock, identity::PeerSource};

use super::{
    ClientError, ConnectError, Expect, PeerStream,
    config::{client_config, connection_config},
    guard::Watched,
};
use crate::{credentials::Credentials, verify::PeerServer};

/// How long TCP may take.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the handshake may take after it.
pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// Connects to other workloads, for hyper-util's legacy client; see the [module](super).
///
/// Clones share their settings.
#[derive(Clone)]
pub struct Connector<C = HttpConnector> {
    inner: C,
    settings: Arc<Settings>,
}

#[derive(Clone)]
struct Settings {
    credentials: Credentials,
    expect: Arc<Expect>,
    protocols: Protocols,
    connect_timeout: Duration,
    handshake_timeout: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Protocols {
    Both,
    Http1,
    Http2,
}

impl Connector {
    /// Shows and trusts what `credentials` say, and connects to the servers that are expected, over
    /// TCP. HTTP/2 where the server speaks it, HTTP/1.1 otherwise.
    ///
    /// # Errors
    ///
    /// When the provider of cryptography does not know TLS 1.3.
    pub fn new(credentials: Credentials, servers: impl Into<Expect>) -> Result<Self, ClientError> {
        let expect = servers.into();
        // What would fail for every connection fails here.
        client_config(&credentials, expect.clone(), &[])?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        Ok(Self {
            inner: tcp,
            settings: Arc::new(Settings {
                credentials,
                expect: Arc::new(expect),
                protocols: Protocols::Both,
                connect_timeout: DEFAULT_CONNECT_TIMEOUT,
                handshake_timeout: DEFAULT_HANDSHAKE_TIMEOUT,
            }),
        })
    }
}

impl<C> Connector<C> {
    /// Over what `inner` connects, rather than over plain TCP. It is given the URI as it is, `https`
    /// included.
    #[must_use]
    pub fn over<D>(self, inner: D) -> Connector<D> {
        Connector {
            inner,
            settings: self.settings,
        }
    }

    /// How long what is below TLS may take; [`DEFAULT_CONNECT_TIMEOUT`].
    #[must_use]
    pub fn connect_timeout(mut self, span: Duration) -> Self {
        Arc::make_mut(&mut self.settings).connect_timeout = span;
        self
    }

    /// How long the handshake may take after that; [`DEFAULT_HANDSHAKE_TIMEOUT`].
    #[must_use]
    pub fn handshake_timeout(mut self, span: Duration) -> Self {
        Arc::make_mut(&mut self.settings).handshake_timeout = span;
        self
    }

    /// HTTP/1.1 alone.
    #[must_use]
    pub fn http1_only(mut self) -> Self {
        Arc::make_mut(&mut self.settings).protocols = Protocols::Http1;
        self
    }

    /// HTTP/2 alone: a server that does not choose it is refused.
    #[must_use]
    pub fn http2_only(mut self) -> Self {
        Arc::make_mut(&mut self.settings).protocols = Protocols::Http2;
        self
    }
}

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri>,
    C::Response: Connection + Read + Write + Send + Unpin + 'static,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    C::Future: Send + 'static,
{
    type Response = PeerStream<C::Response>;
    type Error = ConnectError;
    type Future =
        Pin<Box<dyn Future<Output = Result<PeerStream<C::Response>, ConnectError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        let failed = |error: C::Error| ConnectError::Tcp("any host".into(), error.into());
        self.inner.poll_ready(cx).map_err(failed)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialled = match dialled(&uri) {
            Ok(dialled) => dialled,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let tcp = self.inner.call(uri);
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            let host: Arc<str> = dialled.to_str().into();
            let limit = settings.connect_timeout;
            let tcp = match settings.within(limit, tcp).await {
                Some(tcp) => tcp.map_err(|why| ConnectError::Tcp(host.clone(), why.into()))?,
                None => return Err(ConnectError::TcpTimeout(host, limit)),
            };
            settings.handshake(tcp, dialled, host).await
        })
    }
}

impl Settings {
    async fn handshake<T>(
        &self,
        tcp: T,
        dialled: ServerName<'static>,
        host: Arc<str>,
    ) -> Result<PeerStream<T>, ConnectError>
    where
        T: Read + Write + Send + Unpin,
    {
        // Before the edition is loaded: one that comes between the two is seen.
        let changes = self.credentials.changes();
        let verifier = PeerServer::of_one(self.credentials.clone(), Arc::clone(&self.expect));
        let config = connection_config(&self.credentials, &verifier, self.protocols.alpn())?;
        let tls = TlsConnector::from(Arc::new(config));
        let handshake = tls.connect(dialled.clone(), TokioIo::new(tcp));
        let limit = self.handshake_timeout;
        let tls = match self.within(limit, handshake).await {
            Some(Ok(tls)) => tls,
            Some(Err(why)) => {
                return Err(match verifier.refusal() {
                    Some(refusal) => ConnectError::Refused(host, refusal),
                    None => ConnectError::Handshake(host, why),
                });
            }
            None => return Err(ConnectError::HandshakeTimeout(host, limit)),
        };
        let (_, state) = tls.get_ref();
        let http2 = state.alpn_protocol() == Some(H2);
        if self.protocols == Protocols::Http2 && !http2 {
            return Err(ConnectError::NotHttp2(host));
        }
        let chain = state.peer_certificates().unwrap_or_default();
        let chain = chain.iter().map(CertificateDer::clone).collect();
        let Some(found) = verifier.found() else {
            // A handshake cannot end without the verifier.
            let why = std::io::Error::other("the server was not verified");
            return Err(ConnectError::Handshake(host, why));
        };
        let (peer, not_after) = (found.identity(PeerSource::Tls), found.not_after);
        let watched = Watched {
            verifier,
            chain,
            dialled,
            not_after,
            changes,
        };
        Ok(PeerStream::new(tls, peer, http2, watched))
    }

    /// What `work` comes to, where it does so within `limit` of the credentials' clock.
    async fn within<F: Future>(&self, limit: Duration, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.credentials.clock().sleep(limit) => None,
        }
    }
}

/// The host that an `https` URI names.
fn dialled(uri: &Uri) -> Result<ServerName<'static>, ConnectError> {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => {}
        scheme => {
            let scheme = scheme.map_or("a URI without a scheme", Scheme::as_str);
            return Err(ConnectError::NotHttps(scheme.into()));
        }
    }
    let host = uri.host().unwrap_or_default();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let host = address.unwrap_or(host).to_owned();
    ServerName::try_from(host).map_err(|_| ConnectError::Host)
}

impl Protocols {
    fn alpn(self) -> Vec<Vec<u8>> {
        match self {
            Self::Both => vec![H2.to_vec(), HTTP11.to_vec()],
            Self::Http1 => vec![HTTP11.to_vec()],
            Self::Http2 => vec![H2.to_vec()],
        }
    }
}

impl<C> fmt::Debug for Connector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("expect", &self.settings.expect)
            .field("connect_timeout", &self.settings.connect_timeout)
            .field("handshake_timeout", &self.settings.handshake_timeout)
            .finish_non_exhaustive()
    }
}
