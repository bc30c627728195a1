mod attacks;
mod called;
mod destinations;
mod file;
mod issuer;
mod malformed;
mod refresh;
mod schedule;

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::sync::Semaphore;
use zt_core::{
    clock::{Clock, ManualClock},
    random::{Entropy, EntropyError},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Bytes that are all the same: the ends of what chance can give.
#[derive(Debug)]
struct Same(u8);

impl Entropy for Same {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        out.fill(self.0);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Mode {
    /// Tokens that are good for this long.
    Good(Duration),
    Down,
    RetryAfter(Duration),
    Panics,
}

/// A source that does as it is told, and numbers its tokens: `t1`, `t2`, ..
#[derive(Debug, Clone)]
struct Issuer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    asked: AtomicUsize,
    mode: Mutex<Mode>,
    gate: Semaphore,
}

impl Issuer {
    fn new(mode: Mode) -> Self {
        let issuer = Self::shut(mode);
        issuer.open();
        issuer
    }

    /// Answers nobody until it is opened.
    fn shut(mode: Mode) -> Self {
        Self(Arc::new(Inner {
            asked: AtomicUsize::new(0),
            mode: Mutex::new(mode),
            gate: Semaphore::new(0),
        }))
    }

    fn open(&self) {
        self.0.gate.add_permits(1_000_000);
    }

    fn shut_again(&self) {
        self.0.gate.forget_permits(usize::MAX);
    }

    fn set(&self, mode: Mode) {
        *self.0.mode.lock().unwrap() = mode;
    }

    fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }
}

impl TokenSource for Issuer {
    fn fetch<'a>(
        &'a self,
        clock: &'a dyn Clock,
    ) -> BoxFuture<'a, Result<AttachableToken, SourceError>> {
        let number = self.0.asked.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            self.0.gate.acquire().await.unwrap().forget();
            let mode = *self.0.mode.lock().unwrap();
            match mode {
                Mode::Good(span) => {
                    let end = clock.now()? + span;
                    Ok(AttachableToken::new(format!("t{number}"))?.expiring(end))
                }
                Mode::Down => Err(SourceError::other("the issuer is down")),
                Mode::RetryAfter(span) => Err(SourceError::Refused {
                    status: http::StatusCode::SERVICE_UNAVAILABLE,
                    code: "temporarily_unavailable",
                    retry_after: Some(span),
                }),
                Mode::Panics => panic!("the source is broken"),
            }
        })
    }
}

fn tokens(source: impl TokenSource, clock: &ManualClock) -> Tokens {
    let builder = Tokens::builder(source).clock(clock.clone());
    builder.entropy(Same(0)).build().unwrap()
}

/// Lets every task run that can, on a runtime of one thread.
async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

async fn text(tokens: &Tokens) -> String {
    let token = tokens.token().await.unwrap();
    token.plain().to_str().unwrap().to_owned()
}

/// A server on loopback that answers as `answer` does.
async fn serve(
    answer: impl Fn(Request<Bytes>) -> Response<Full<Bytes>> + Send + Sync + 'static,
) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            let service = hyper::service::service_fn(move |request: Request<_>| {
                let answer = Arc::clone(&answer);
                async move {
                    let (head, body): (_, hyper::body::Incoming) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    Ok::<_, Infallible>(answer(Request::from_parts(head, body)))
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(socket), service);
            tokio::spawn(connection);
        }
    });
    address
}

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

fn json(text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder().header("content-type", "application/json");
    response.body(Full::new(text.into())).unwrap()
}
