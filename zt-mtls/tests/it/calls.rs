//! A server of a stack, and clients that hold on to one connection.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tower::ServiceBuilder;
use zt_core::{body::RequestBody, gate::Chain, stack::ZeroTrust};
use zt_mtls::{
    client::client_config,
    credentials::Credentials,
    peer::Peers,
    serve::{Config, serve},
};

/// Serves `router` behind `zt`.
pub(crate) async fn start<C>(config: Config, zt: &ZeroTrust<C>, router: Router) -> SocketAddr
where
    C: Chain<RequestBody<Body>> + Send + Sync + 'static,
{
    let app = ServiceBuilder::new()
        .map_request(|request: Request<Incoming>| request.map(Body::new))
        .service(zt.wrap(router));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, app, config).into_future());
    address
}

/// One connection.
pub(crate) enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    pub(crate) async fn open(
        address: SocketAddr,
        credentials: &Credentials,
        http2: bool,
    ) -> Connection {
        let anybody = Peers::parse(["spiffe://shop.example/*"]).unwrap();
        let alpn: &[u8] = if http2 { b"h2" } else { b"http/1.1" };
        let config = Arc::new(client_config(credentials, anybody, &[alpn]).unwrap());
        let name = ServerName::try_from("orders").unwrap();
        let tcp = TcpStream::connect(address).await.unwrap();
        let tls = TlsConnector::from(config).connect(name, tcp).await.unwrap();
        let io = TokioIo::new(tls);
        if http2 {
            let (send, drive) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(drive);
            Self::Http2(send)
        } else {
            let (send, drive) = http1::handshake(io).await.unwrap();
            tokio::spawn(drive.with_upgrades());
            Self::Http1(send)
        }
    }

    pub(crate) async fn send(
        &mut self,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Incoming> {
        let uri = match self {
            Self::Http1(_) => path.to_owned(),
            Self::Http2(_) => format!("https://orders{path}"),
        };
        let mut request = Request::get(uri);
        if matches!(self, Self::Http1(_)) {
            request = request.header("host", "orders");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::default()).unwrap();
        soon(async {
            match self {
                Self::Http1(send) => send.send_request(request).await,
                Self::Http2(send) => send.send_request(request).await,
            }
        })
        .await
        .unwrap()
    }

    /// The status, and the body or the code of a refusal.
    pub(crate) async fn ask(&mut self, path: &str, headers: &[(&str, &str)]) -> (u16, String) {
        let response = self.send(path, headers).await;
        let status = response.status().as_u16();
        let body = soon(response.into_body().collect()).await.unwrap();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let problem: Option<serde_json::Value> = serde_json::from_str(&body).ok();
        let code = problem.and_then(|problem| Some(problem.get("code")?.as_str()?.to_owned()));
        (status, code.unwrap_or(body))
    }
}

/// What never comes fails the test, whatever its load.
pub(crate) async fn soon<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("it comes")
}
