use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{Extension, Router, extract::WebSocketUpgrade, routing::get};
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::CryptoProvider,
    sign::{CertifiedKey, SingleCertAndKey},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use zt_core::{clock::ManualClock, identity::PeerIdentity};
use zt_mtls::{
    credentials::{Credentials, Material},
    serve::{Config, Handle, ServeError, serve},
    testing::TestCert,
};

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) handle: Handle,
    pub(super) task: JoinHandle<Result<(), ServeError>>,
}

/// A server of an application that says who its caller is, has an echo, and never answers `/stuck`.
pub(super) async fn start(config: Config) -> Server {
    start_with(config, app()).await
}

pub(super) async fn start_with(config: Config, app: Router) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = serve(listener, app, config);
    let handle = server.handle();
    let task = tokio::spawn(server.into_future());
    Server {
        address,
        handle,
        task,
    }
}

pub(super) fn app() -> Router {
    async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
        upgrade.on_upgrade(|mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        })
    }
    async fn asleep(upgrade: WebSocketUpgrade) -> axum::response::Response {
        upgrade.on_upgrade(|socket| async move {
            let _held = socket;
            std::future::pending::<()>().await;
        })
    }
    Router::new()
        .route("/", get(whoami))
        .route("/stuck", get(std::future::pending::<StatusCode>))
        .route("/echo", get(echo))
        .route("/asleep", get(asleep))
}

async fn whoami(Extension(peer): Extension<Arc<PeerIdentity>>) -> String {
    peer.spiffe_id().unwrap_or("nobody").to_owned()
}

/// A server that does not answer fails the test, whatever its load.
pub(super) async fn soon<F: Future>(future: F) -> F::Output {
    timeout(Duration::from_secs(30), future)
        .await
        .expect("within half a minute")
}

/// Until `what` holds.
pub(super) async fn until(mut what: impl FnMut() -> bool) {
    soon(async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

pub(super) fn with_clock(material: Material, clock: &ManualClock) -> Credentials {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    Credentials::with(material, Arc::new(provider), clock.clone())
}

/// What a client shows, and what it speaks.
pub(super) fn client(cert: Option<&TestCert>, alpn: &[&[u8]]) -> ClientConfig {
    client_with(cert, alpn, &[&rustls::version::TLS13])
}

pub(super) fn client_with(
    cert: Option<&TestCert>,
    alpn: &[&[u8]],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer(Arc::clone(&provider))));
    let mut config = match cert {
        // Whether they belong together is not looked at here.
        Some(cert) => {
            let key = provider.key_provider.load_private_key(cert.key.clone_key());
            let shown = CertifiedKey::new(cert.chain.clone(), key.unwrap());
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(shown)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

pub(super) const H1: &[&[u8]] = &[b"http/1.1"];
pub(super) const H2: &[&[u8]] = &[b"h2"];

pub(super) async fn connect(
    address: SocketAddr,
    config: ClientConfig,
) -> io::Result<TlsStream<TcpStream>> {
    connect_as(address, config, "127.0.0.1").await
}

pub(super) async fn connect_as(
    address: SocketAddr,
    config: ClientConfig,
    name: &str,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, tcp)).await
}

/// What a client hears that shows this: in TLS 1.3 it learns only after its handshake that the server
/// does not want it.
pub(super) async fn refusal(address: SocketAddr, config: ClientConfig) -> String {
    let outcome = async {
        let mut tls = connect(address, config).await?;
        tls.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await?;
        tls.read_u8().await
    };
    soon(outcome).await.expect_err("a refusal").to_string()
}

/// The status and the body of a request over HTTP/1.
pub(super) async fn get_on(
    tls: &mut TlsStream<TcpStream>,
    path: &str,
) -> io::Result<(u16, String)> {
    get_from(tls, path, "a").await
}

pub(super) async fn get_from(
    tls: &mut TlsStream<TcpStream>,
    path: &str,
    host: &str,
) -> io::Result<(u16, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n");
    tls.write_all(request.as_bytes()).await?;
    answer(tls).await
}

/// Reads one answer with `content-length`.
pub(super) async fn answer(tls: &mut TlsStream<TcpStream>) -> io::Result<(u16, String)> {
    let head = head(tls).await?;
    let field = |name: &str| {
        head.lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|value| value.trim().parse().ok())
    };
    let mut body = vec![0; field("content-length:").unwrap_or(0)];
    soon(tls.read_exact(&mut body)).await?;
    let status = head.get(9..12).and_then(|status| status.parse().ok());
    Ok((
        status.ok_or(io::ErrorKind::InvalidData)?,
        String::from_utf8_lossy(&body).into_owned(),
    ))
}

pub(super) async fn head(tls: &mut TlsStream<TcpStream>) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(tls.read_u8()).await?);
    }
    Ok(String::from_utf8_lossy(&head).to_lowercase())
}

/// Makes a connection a websocket.
pub(super) async fn upgrade(tls: &mut TlsStream<TcpStream>, path: &str) {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    tls.write_all(request.as_bytes()).await.unwrap();
    let head = head(tls).await.unwrap();
    assert!(head.starts_with("http/1.1 101"), "{head}");
}

/// Sends a message over a websocket and hears it again (RFC 6455 section 5.7; the mask is zero).
pub(super) async fn echo(tls: &mut TlsStream<TcpStream>) -> io::Result<()> {
    tls.write_all(&[0x82, 0x82, 0, 0, 0, 0, b'h', b'i']).await?;
    let mut heard = [0; 4];
    soon(tls.read_exact(&mut heard)).await?;
    assert_eq!(heard, [0x82, 2, b'h', b'i']);
    Ok(())
}

/// Reads until the connection is over.
pub(super) async fn end(tls: &mut TlsStream<TcpStream>) {
    let mut waste = Vec::new();
    let _ = soon(tls.read_to_end(&mut waste)).await;
}

pub(super) type Http2 = SendRequest<Empty<Bytes>>;

/// An HTTP/2 connection, and the task that drives it, which ends with it.
pub(super) async fn http2(
    address: SocketAddr,
    cert: &TestCert,
) -> (Http2, JoinHandle<hyper::Result<()>>) {
    let tls = connect(address, client(Some(cert), H2)).await.unwrap();
    let (send, drive) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .unwrap();
    (send, tokio::spawn(drive))
}

pub(super) async fn ask(send: &mut Http2, path: &str) -> Result<(u16, String), hyper::Error> {
    let request = Request::get(format!("https://a{path}"));
    let response = soon(send.send_request(request.body(Empty::new()).unwrap())).await?;
    let status = response.status().as_u16();
    let body = soon(response.into_body().collect()).await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// Takes any server: these tests are about clients.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
