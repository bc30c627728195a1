//! A service behind `VerifyJwt`, in process or behind a socket, and what it answers.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
};
use serde_json::Value;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt, service_fn, util::BoxCloneSyncService};
use zt_core::{
    clock::{Clock, SystemClock},
    decision::{Code, Denial},
    gate::{OpenContextLayer, Settings},
};
use zt_jwt::{Verifier, verify_jwt::VerifyJwtLayer};

pub(crate) const AUDIENCE: &str = "orders";
pub(crate) const COOLDOWN: Duration = Duration::from_secs(10);

/// A service that only good tokens reach.
#[derive(Clone)]
pub(crate) struct Door {
    service: BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>,
    reached: Arc<AtomicUsize>,
}

impl Door {
    /// Requests have the time of `clock`.
    pub(crate) fn new(verifier: &Verifier, clock: impl Clock) -> Self {
        let reached = Arc::new(AtomicUsize::new(0));
        let count = reached.clone();
        let handler = service_fn(move |_: Request<Full<Bytes>>| {
            count.fetch_add(1, Ordering::SeqCst);
            let answer = Response::new(Full::new(Bytes::from_static(b"hello")));
            std::future::ready(Ok::<_, Infallible>(answer))
        });
        let inner = VerifyJwtLayer::new(verifier.clone()).layer(handler);
        let settings = Settings::default().with_clock(clock);
        let service = OpenContextLayer::new(settings).layer(inner).and_then(
            |response: Response<_>| async move {
                let (head, body) = response.into_parts();
                let body = BodyExt::collect(body).await.unwrap().to_bytes();
                Ok(Response::from_parts(head, Full::new(body)))
            },
        );
        Self {
            service: BoxCloneSyncService::new(service),
            reached,
        }
    }

    /// How many requests have come through.
    pub(crate) fn reached(&self) -> usize {
        self.reached.load(Ordering::SeqCst)
    }

    /// Presents `token` under `Bearer`; `None` where it cannot stand in a header.
    pub(crate) async fn try_bearer(&self, token: &str) -> Option<Answer> {
        let value = HeaderValue::from_bytes(format!("Bearer {token}").as_bytes()).ok()?;
        let mut request = Request::new(Full::default());
        request.headers_mut().insert("authorization", value);
        let response = self.service.clone().oneshot(request).await.unwrap();
        let denial = response.extensions().get().cloned();
        Some(Answer::read(response, denial).await)
    }

    /// Presents `token` under `Bearer`.
    pub(crate) async fn bearer(&self, token: &str) -> Answer {
        let answer = self.try_bearer(token).await;
        answer.expect("a token that can stand in a header")
    }

    /// Serves on a free port of this machine, until the runtime ends.
    pub(crate) async fn listen(&self) -> Socket {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = self.service.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = service.clone();
                let each = hyper::service::service_fn(move |request: Request<_>| {
                    let _: &hyper::body::Incoming = request.body();
                    service.clone().oneshot(request.map(|_| Full::default()))
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), each);
                tokio::spawn(connection);
            }
        });
        Socket(address)
    }
}

/// Where a [`Door`] listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Socket(SocketAddr);

impl Socket {
    /// Presents `token` under `Bearer`, on a connection of its own.
    pub(crate) async fn bearer(&self, token: &str) -> Answer {
        let request = Request::get(format!("http://{}/orders/7", self.0))
            .header("authorization", format!("Bearer {token}"))
            .body(Full::<Bytes>::default())
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.unwrap();
        Answer::read(response, None).await
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the gate left in the response's extensions; nothing over a socket.
    pub(crate) denial: Option<Denial>,
}

impl Answer {
    async fn read<B>(response: Response<B>, denial: Option<Denial>) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: std::fmt::Debug>,
    {
        let (head, body) = response.into_parts();
        Self {
            status: head.status,
            headers: head.headers,
            body: body.collect().await.unwrap().to_bytes(),
            denial,
        }
    }

    pub(crate) fn is_good(&self) -> bool {
        self.status == StatusCode::OK && self.body == "hello"
    }

    /// The code in its body, which has to be a problem (RFC 9457) with the same status.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        let code = problem["code"].as_str().unwrap().to_owned();
        if let Some(denial) = &self.denial {
            assert_eq!(denial.code().as_str(), code);
        }
        code
    }

    /// That this is how `code` is answered: status, body, challenge or none.
    #[track_caller]
    pub(crate) fn assert_refused(&self, code: Code) {
        assert_eq!(self.code(), code.as_str(), "{self:?}");
        assert_eq!(self.status, code.status(), "{self:?}");
        let challenged = self.headers.contains_key("www-authenticate");
        match self.status.as_u16() {
            401 => assert!(challenged, "{self:?}"),
            503 => assert!(!challenged, "{self:?}"),
            _ => {}
        }
    }

    /// That something of ours is down, and when to come back.
    #[track_caller]
    pub(crate) fn assert_unavailable(&self, code: Code) -> u64 {
        self.assert_refused(code);
        assert_eq!(self.status, 503);
        let wait = self.headers["retry-after"].to_str().unwrap();
        let wait = wait.parse().unwrap();
        assert!((1..=600).contains(&wait), "{wait}");
        wait
    }
}

/// Lets other tasks go on until `done`. Nothing depends on how long that takes, except that it is
/// a failure when it never happens.
pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    for turn in 0..20_000 {
        if done() {
            return;
        }
        if turn < 100 {
            tokio::task::yield_now().await;
        } else {
            SystemClock.sleep(Duration::from_millis(1)).await;
        }
    }
    panic!("it never came to this: {what}");
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_base64url(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// A token that names the key `kid` and is signed by nobody.
pub(crate) fn unsigned(kid: &str) -> String {
    let header = base64url(format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#));
    format!("{header}.e30.{}", base64url([0x5a; 64]))
}
