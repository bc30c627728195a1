//! Clients that ask, and do not take the answer; and one that asks for too much.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zt_core::clock::{Clock, ManualClock, SystemClock};
use zt_mtls::{serve::Config, testing::TestCa};

use super::support::*;

const HOUR: Duration = Duration::from_secs(3600);
const MIB: usize = 1 << 20;

/// So many bytes in one piece, then nothing and no end.
struct Piece {
    bytes: Option<Bytes>,
    dropped: Arc<AtomicBool>,
}

impl http_body::Body for Piece {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.bytes.take() {
            Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            None => Poll::Pending,
        }
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
    }
}

struct Fixture {
    ca: TestCa,
    clock: ManualClock,
    server: Server,
    /// Whether the application was rid of an answer that does not end.
    dropped: Arc<AtomicBool>,
}

/// With `/large`, 96 MiB in one piece; `/little` and `/endless`, of which no end is said.
async fn fixture() -> Fixture {
    let ca = TestCa::new("shop.example");
    let clock = ManualClock::at(SystemClock.now().unwrap());
    let credentials = with_clock(ca.material("/pay"), &clock);
    let large = Bytes::from(vec![b'x'; 96 * MIB]);
    let dropped = Arc::new(AtomicBool::new(false));
    let piece = |length: usize| {
        let (bytes, dropped) = (large.slice(..length), Arc::clone(&dropped));
        get(move || async move {
            Body::new(Piece {
                bytes: Some(bytes),
                dropped,
            })
        })
    };
    let app = Router::new()
        .route("/little", piece(1))
        .route("/endless", piece(8 * MIB))
        .merge(app())
        .route("/large", get(move || async move { large }));
    let config = Config::new(credentials)
        .idle_timeout(24 * HOUR)
        .keep_alive(HOUR);
    let server = start_with(config, app).await;
    Fixture {
        ca,
        clock,
        server,
        dropped,
    }
}

#[tokio::test]
async fn a_client_that_asks_over_http1_and_never_reads_is_cut_off() {
    let Fixture {
        ca, clock, server, ..
    } = fixture().await;
    let config = client(Some(&ca.workload("/orders")), H1);
    let mut quiet = connect(server.address, config.clone()).await.unwrap();
    upgrade(&mut quiet, "/echo").await;
    let mut tls = connect(server.address, config).await.unwrap();
    tls.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    until(|| server.handle.connections() == 2).await;
    until(|| {
        clock.advance(Duration::from_secs(5));
        server.handle.connections() == 1
    })
    .await;
    let mut heard = Vec::new();
    let _ = soon(tls.read_to_end(&mut heard)).await;
    assert!(heard.len() < 90 * MIB, "{}", heard.len());
    // Somebody for whom nothing waits is not one who does not read.
    echo(&mut quiet).await.unwrap();
}

#[tokio::test]
async fn a_client_that_reads_slowly_is_served() {
    let Fixture {
        ca, clock, server, ..
    } = fixture().await;
    let config = client(Some(&ca.workload("/orders")), H1);
    let mut tls = connect(server.address, config).await.unwrap();
    tls.write_all(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    head(&mut tls).await.unwrap();
    // More than all buffers between hold.
    let mut some = vec![0; 16 * MIB];
    for _ in 0..6 {
        soon(tls.read_exact(&mut some)).await.unwrap();
        clock.advance(Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_client_that_keeps_a_window_of_http2_closed_loses_that_stream_alone() {
    let Fixture {
        ca,
        clock,
        server,
        dropped,
    } = fixture().await;
    let (mut send, _drive) = http2(server.address, &ca.workload("/orders")).await;
    let request = |path| {
        let request = Request::get(format!("https://a{path}"));
        request.body(Empty::<Bytes>::new()).unwrap()
    };
    // What waits for the application, and not for the peer, waits as long as it likes.
    let mut little = soon(send.send_request(request("/little"))).await.unwrap();
    assert!(soon(little.frame()).await.unwrap().is_ok());
    for _ in 0..10 {
        clock.advance(Duration::from_secs(20));
        assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
    }
    assert!(!dropped.load(Ordering::Acquire));

    let stalled = soon(send.send_request(request("/endless"))).await.unwrap();
    for _ in 0..5_000 {
        clock.advance(Duration::from_secs(5));
        assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
        if dropped.load(Ordering::Acquire) {
            break;
        }
    }
    assert!(dropped.load(Ordering::Acquire));
    let error = soon(stalled.into_body().collect()).await.unwrap_err();
    assert!(format!("{error:?}").contains("CANCEL"), "{error:?}");
    assert_eq!(ask(&mut send, "/").await.unwrap().0, 200);
    // The one before waits still.
    let more = tokio::time::timeout(Duration::from_millis(50), little.frame()).await;
    assert!(more.is_err(), "{more:?}");
}

/// On a runtime that has one thread for what blocks, and that is held by a request.
#[test]
fn requests_that_hold_all_blocking_threads_do_not_keep_a_revoked_peer() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let (go, held) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let ca = TestCa::new("shop.example");
        let credentials = ca.credentials("/pay");
        let server = start(Config::new(credentials.clone())).await;
        let config = client(Some(&ca.workload("/orders")), H1);
        let mut tls = connect(server.address, config).await.unwrap();
        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
        let (begins, begun) = tokio::sync::oneshot::channel();
        let blocked = tokio::task::spawn_blocking(move || {
            begins.send(()).unwrap();
            held.recv()
        });
        begun.await.unwrap();
        credentials.replace(TestCa::new("other.example").material("/pay"));
        end(&mut tls).await;
        until(|| server.handle.connections() == 0).await;
        go.send(()).unwrap();
        blocked.await.unwrap().unwrap();
    });
}

#[tokio::test]
async fn a_large_answer_over_http2_comes_whole() {
    let Fixture { ca, server, .. } = fixture().await;
    let (mut send, _drive) = http2(server.address, &ca.workload("/orders")).await;
    let request = Request::get("https://a/large");
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    let mut answer = soon(send.send_request(request)).await.unwrap();
    assert_eq!(answer.headers()["content-length"], (96 * MIB).to_string());
    let mut length = 0;
    while let Some(frame) = soon(answer.frame()).await {
        length += frame.unwrap().data_ref().map_or(0, Bytes::len);
    }
    assert_eq!(length, 96 * MIB);
}

#[tokio::test]
async fn a_refused_head_over_http2_has_no_content_and_leaves_the_connection() {
    let Fixture { ca, server, .. } = fixture().await;
    let config = client(Some(&ca.workload("/orders")), H2);
    let tls = connect_as(server.address, config, "pay.example")
        .await
        .unwrap();
    let (mut send, drive) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls))
            .await
            .unwrap();
    let drive = tokio::spawn(drive);
    let mut ask = |method: Method, host: &str| {
        let request = Request::builder()
            .method(method)
            .uri(format!("https://{host}/"))
            .body(Empty::<Bytes>::new())
            .unwrap();
        send.send_request(request)
    };
    for _ in 0..3 {
        let refused = soon(ask(Method::HEAD, "evil.example")).await.unwrap();
        assert_eq!(refused.status(), 421);
        let length = refused.headers()["content-length"].clone();
        let body = soon(refused.into_body().collect()).await.unwrap();
        assert!(body.to_bytes().is_empty());
        let whole = soon(ask(Method::GET, "evil.example")).await.unwrap();
        let body = soon(whole.into_body().collect()).await.unwrap().to_bytes();
        assert_eq!(length, body.len().to_string());
    }
    let good = soon(ask(Method::GET, "pay.example")).await.unwrap();
    assert_eq!(good.status(), 200);
    assert!(!drive.is_finished());
}

#[tokio::test]
async fn one_workload_that_takes_all_connections_it_can_leaves_some_for_others() {
    let ca = TestCa::new("shop.example");
    let server = start(Config::new(ca.credentials("/pay")).max_connections(8)).await;
    // Another certificate is not another workload.
    let greedy = || client(Some(&ca.workload("/orders")), H1);
    let mut held = Vec::new();
    for _ in 0..7 {
        let mut tls = connect(server.address, greedy()).await.unwrap();
        assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
        held.push(tls);
    }
    refusal(server.address, greedy()).await;
    assert_eq!(server.handle.status().refused, 1);
    let other = client(Some(&ca.workload("/billing")), H1);
    let mut tls = connect(server.address, other).await.unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
    drop((tls, held.pop()));
    until(|| server.handle.connections() == 6).await;
    let mut tls = connect(server.address, greedy()).await.unwrap();
    assert_eq!(get_on(&mut tls, "/").await.unwrap().0, 200);
}
