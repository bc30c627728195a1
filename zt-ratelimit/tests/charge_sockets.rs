//! What requests over real connections are charged, HTTP/1.1 and HTTP/2: whole, cut off, reset, left
//! unread, upgraded, refused.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::{convert::Infallible, net::SocketAddr, task::Poll, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    response::{IntoResponse, Response},
    routing::get,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Method, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::client::conn::{http1, http2};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use tower::Layer;
use zt_core::clock::{Clock, SystemClock};
use zt_ratelimit::{
    ChargeBudgetLayer, Cost, Limit, Limits, Who,
    charge_budget::Tab,
    cost::Price,
    counter::{Claim, CounterStore, MemoryCounters, Moment},
    limit::Window,
    limits::{Hard, Level, Policy, Subjects},
};

/// Of one payer, who has so much for good.
struct Bank {
    store: MemoryCounters,
    limits: Limits,
}

impl Bank {
    fn of(amount: &str) -> Self {
        let all = Limit::budget("all", usd(amount), Window::total()).unwrap();
        let policy = Policy::new([Level::new("payer", [all])]).unwrap();
        let store = MemoryCounters::new();
        let limits = Limits::builder(store.clone()).build(policy).unwrap();
        Self { store, limits }
    }

    /// Each byte costs 0.1 USD.
    fn metered(&self, estimate: &str) -> ChargeBudgetLayer<Hard, Cost> {
        let byte = Price::per_million(usd("100000"));
        let charge = self.fixed(estimate);
        charge.metered(byte, |data| data.len() as u64).unwrap()
    }

    fn fixed(&self, cost: &str) -> ChargeBudgetLayer<Hard, Cost> {
        let who = Who::of_request(|_, _| Some(Subjects::new(["payer"])));
        ChargeBudgetLayer::hard(self.limits.clone(), who, usd(cost)).unwrap()
    }

    /// What is spent and held, in tenths.
    async fn cell(&self) -> (u64, u64) {
        let policy = self.limits.policy();
        let claim = Claim {
            limit: policy.limit("all").unwrap(),
            subject: "payer",
        };
        let now = Moment::of(&SystemClock).unwrap();
        let cells = self.store.read("payer", &[claim], now).wait().await;
        let cell = cells.unwrap().pop().unwrap();
        (cell.spent / TENTH, cell.held / TENTH)
    }

    /// Waits until so much is spent and nothing is held any more.
    #[track_caller]
    fn settles_at(&self, tenths: u64) -> impl Future<Output = ()> {
        let place = std::panic::Location::caller();
        async move {
            for _ in 0..1000 {
                if self.cell().await == (tenths, 0) {
                    return;
                }
                SystemClock.sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(self.cell().await, (tenths, 0), "{place}");
        }
    }
}

const TENTH: u64 = 100_000_000;

fn usd(amount: &str) -> Cost {
    format!("{amount} USD").parse().unwrap()
}

type Piece = Result<Frame<Bytes>, std::io::Error>;

fn data(text: &'static str) -> Piece {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

fn streamed(pieces: Vec<Piece>) -> Body {
    Body::new(StreamBody::new(futures_util::stream::iter(pieces)))
}

/// A body that says `first` and then nothing, for good.
fn endless(first: Vec<Piece>) -> Body {
    let pieces = futures_util::stream::iter(first).chain(futures_util::stream::pending());
    Body::new(StreamBody::new(pieces))
}

fn router() -> Router {
    let trailers = || async {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        streamed(vec![data("ab"), data(""), Ok(Frame::trailers(trailers))])
    };
    Router::new()
        .route("/whole", get(|| async { "abc" }))
        .route(
            "/stream",
            get(|| async { streamed(vec![data("ab"), data(""), data("cd")]) }),
        )
        .route(
            "/long",
            get(|| async { streamed(vec![data("abcdef"), data("ghij"), data("k")]) }),
        )
        .route("/nothing", get(|| async { StatusCode::NO_CONTENT }))
        .route(
            "/same",
            get(|| async { (StatusCode::NOT_MODIFIED, "stray") }),
        )
        .route("/trailers", get(trailers))
        .route("/endless", get(|| async { endless(vec![data("ab")]) }))
        .route("/silent", get(|| async { endless(vec![]) }))
        .route(
            "/never",
            get(|| async { std::future::pending::<()>().await }),
        )
        .route(
            "/liar",
            get(|| async {
                (
                    [("content-length", "1")],
                    streamed(vec![data("a"), data("bcdefg")]),
                )
            }),
        )
        .route("/flood", get(flood))
        .route(
            "/upgrade",
            get(|| async {
                (
                    StatusCode::SWITCHING_PROTOCOLS,
                    [("upgrade", "echo"), ("connection", "upgrade")],
                )
            }),
        )
        .route("/spawned", get(spawned))
}

/// A megabyte after the other, without end.
async fn flood() -> Body {
    let piece = Bytes::from(vec![b'0'; 1 << 20]);
    Body::from_stream(futures_util::stream::repeat_with(move || {
        Ok::<_, Infallible>(piece.clone())
    }))
}

/// Answers at once; a task goes on and pays for each piece before it makes it.
async fn spawned(request: Request) -> Response {
    let tab: Tab = request.extensions().get::<Tab>().expect("a tab").clone();
    let (sender, pieces) = mpsc::channel::<Piece>(1);
    tokio::spawn(async move {
        while tab.charge(usd("0.3")).await.is_ok() {
            if sender.send(data("a")).await.is_err() {
                return;
            }
        }
    });
    let pieces = futures_util::stream::unfold(pieces, |mut pieces| async {
        Some((pieces.recv().await?, pieces))
    });
    Body::new(StreamBody::new(pieces)).into_response()
}

async fn serve(charge: ChargeBudgetLayer<Hard, Cost>) -> SocketAddr {
    let service = charge.layer(router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            tokio::spawn(async move {
                let _ = auto::Builder::new(TokioExecutor::new())
                    .serve_connection_with_upgrades(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    address
}

fn asks(address: SocketAddr, method: Method, path: &str) -> http::Request<Empty<Bytes>> {
    let uri = format!("http://{address}{path}");
    let request = http::Request::builder().method(method).uri(uri);
    request.body(Empty::new()).unwrap()
}

/// The status, what came of the body, and whether it came to its end. What breaks off at once takes
/// its head along in HTTP/1.1.
async fn fetch(
    address: SocketAddr,
    version: Version,
    method: Method,
    path: &str,
) -> (StatusCode, Bytes, bool) {
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(version == Version::HTTP_2)
        .build_http();
    let Ok(response) = client.request(asks(address, method, path)).await else {
        return (StatusCode::OK, Bytes::new(), false);
    };
    let (status, mut body) = (response.status(), response.into_body());
    let mut out = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => out.extend_from_slice(&data),
            Ok(Err(_)) => {}
            Err(_) => return (status, out.into(), false),
        }
    }
    (status, out.into(), true)
}

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

#[tokio::test]
async fn whatever_kind_of_answer_it_is_what_went_out_is_charged_and_nothing_stays_held() {
    for version in VERSIONS {
        for (method, path, status, body, tenths) in [
            ("GET", "/whole", 200, "abc", 3),
            ("GET", "/stream", 200, "abcd", 4),
            ("GET", "/trailers", 200, "ab", 2),
            ("GET", "/nothing", 204, "", 0),
            // Callers can ask for these, and the handler runs: what was held.
            ("GET", "/same", 304, "", 5),
            ("HEAD", "/whole", 200, "", 5),
            ("HEAD", "/stream", 200, "", 5),
            ("HEAD", "/endless", 200, "", 5),
            ("GET", "/absent", 404, "", 0),
        ] {
            let bank = Bank::of("10");
            let address = serve(bank.metered("0.5")).await;
            let method: Method = method.parse().unwrap();
            let (found, out, whole) = fetch(address, version, method, path).await;
            assert_eq!(
                (found.as_u16(), &out[..]),
                (status, body.as_bytes()),
                "{path}"
            );
            assert!(whole, "{version:?} {path}");
            bank.settles_at(tenths).await;
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_is_seen_to_be_broken() {
    for version in VERSIONS {
        for (budget, seen) in [("1", "abcdefghij"), ("0.9", "abcdef"), ("0.5", "")] {
            let bank = Bank::of(budget);
            let address = serve(bank.metered("0")).await;
            let (status, out, whole) = fetch(address, version, Method::GET, "/long").await;
            assert_eq!(
                (status.as_u16(), whole),
                (200, false),
                "{version:?} {budget}"
            );
            // What was paid for may be lost on the way, and what was not has not gone out.
            assert!(seen.as_bytes().starts_with(&out), "{out:?}");
            bank.settles_at(seen.len() as u64).await;
        }
    }
}

#[tokio::test]
async fn a_length_that_is_a_lie_gives_nothing_that_is_not_charged() {
    for version in VERSIONS {
        let bank = Bank::of("10");
        let address = serve(bank.metered("5")).await;
        let (_, out, _) = fetch(address, version, Method::GET, "/liar").await;
        assert!(out.len() <= 1, "{out:?}");
        bank.settles_at(1).await;
    }
}

#[tokio::test]
async fn a_metered_answer_does_not_become_a_connection_that_nobody_meters() {
    for (metered, status) in [(true, &b"HTTP/1.1 500"[..]), (false, b"HTTP/1.1 101")] {
        let bank = Bank::of("1");
        let charge = match metered {
            true => bank.metered("0.5"),
            false => bank.fixed("0.5"),
        };
        let address = serve(charge).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head =
            b"GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";
        stream.write_all(head).await.unwrap();
        let mut found = [0; 12];
        stream.read_exact(&mut found).await.unwrap();
        assert_eq!(found, status);
        bank.settles_at(5).await;
    }
}

#[tokio::test]
async fn a_reset_at_each_moment_settles_and_what_went_out_is_charged() {
    for (path, tenths) in [("/never", 5), ("/silent", 0), ("/endless", 2)] {
        let bank = Bank::of("1");
        let address = serve(bank.metered("0.5")).await;
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), stream)
            .await
            .unwrap();
        tokio::spawn(connection);
        let mut answer = Box::pin(client.send_request(asks(address, Method::GET, path)));
        if path == "/never" {
            // Until the handler runs.
            while bank.cell().await.1 == 0 {
                let polled = std::future::poll_fn(|task| Poll::Ready(answer.as_mut().poll(task)));
                assert!(polled.await.is_pending());
                tokio::task::yield_now().await;
            }
            drop(answer);
        } else {
            let mut body = answer.await.unwrap().into_body();
            if path == "/endless" {
                assert!(body.frame().await.unwrap().is_ok());
            }
            assert_eq!(bank.cell().await, (0, 5));
            drop(body);
        }
        bank.settles_at(tenths).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_makes_nothing_go_out_and_is_charged_when_it_leaves() {
    let bank = Bank::of("1000");
    // A piece costs 0.1.
    let piece = Price::per_million(usd("100000"));
    let charge = bank.fixed("0").metered(piece, |_| 1).unwrap();
    let address = serve(charge).await;
    let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut client, connection) = http1::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = asks(address, Method::GET, "/flood");
    let answer = client.send_request(request).await.unwrap();
    // Nobody reads. What the server has made so far, and no more, is held.
    let mut held = (u64::MAX, 0);
    let mut quiet = 0;
    while quiet < 20 {
        SystemClock.sleep(Duration::from_millis(5)).await;
        let now = bank.cell().await.1;
        quiet = if now == held.0 { quiet + 1 } else { 0 };
        held = (now, held.0);
    }
    assert!(held.0 < 1000, "the socket's buffers are full long before");
    drop((answer, client));
    connection.abort();
    bank.settles_at(held.0).await;
}

#[tokio::test]
async fn a_task_that_goes_on_after_the_handler_pays_for_each_piece() {
    for version in VERSIONS {
        let bank = Bank::of("1");
        let address = serve(bank.fixed("0.3").with_tab()).await;
        let (status, out, whole) = fetch(address, version, Method::GET, "/spawned").await;
        assert_eq!((status.as_u16(), &out[..], whole), (200, &b"aaa"[..], true));
        bank.settles_at(9).await;
    }
}

#[tokio::test]
async fn refusals_are_whole_answers_in_the_caller_s_own_language() {
    for version in VERSIONS {
        let bank = Bank::of("0.4");
        let address = serve(bank.metered("0.5")).await;
        let (status, out, whole) = fetch(address, version, Method::GET, "/whole").await;
        assert_eq!((status.as_u16(), whole), (402, true));
        assert!(out.starts_with(b"{\"type\""));
        let (status, out, whole) = fetch(address, version, Method::HEAD, "/whole").await;
        assert_eq!((status.as_u16(), out.len(), whole), (402, 0, true));
        bank.settles_at(0).await;
    }
    let bank = Bank::of("0.4");
    let address = serve(bank.metered("0.5")).await;
    let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let mut request = asks(address, Method::POST, "/whole");
    let grpc = "application/grpc".parse().unwrap();
    request.headers_mut().insert("content-type", grpc);
    let refused = client.request(request).await.unwrap();
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["grpc-status"]),
        (200, &"8".parse().unwrap())
    );
    assert!(refused.into_body().frame().await.is_none());
    bank.settles_at(0).await;
}
