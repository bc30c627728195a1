//! What flows beyond the head: it begins when the permit is durable, over real connections too.

use std::{future::poll_fn, net::SocketAddr, pin::Pin, sync::Mutex};

use http::{Version, header};
use hyper::{body::Incoming, ext::Protocol};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use zt_core::{
    authorize::{Access, AuthorizeLayer},
    stack::ZeroTrust,
    state::{Acknowledgement, Recorder as _},
};

use super::*;
use crate::testing::admin;

// By what the head says.

#[tokio::test]
async fn what_may_stream_waits_before_the_handler() {
    for (name, value, before) in [
        ("connection", "keep-alive, Upgrade", 0),
        ("connection", "keep-alive", 1),
        ("upgrade", "websocket", 0),
        ("accept", "text/event-stream", 0),
        ("accept", "text/html, Text/Event-Stream;q=0.5", 0),
        ("accept", "text/event-streams, text/plain", 1),
        ("accept", "*/*", 1),
        ("content-type", "application/grpc+proto", 0),
        ("content-type", "application/json", 1),
        ("transfer-encoding", "chunked", 0),
        ("content-length", "0", 1),
    ] {
        let mut request = get("/");
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
        let held = held(request, Authorize::default()).await;
        assert_eq!(held, (before, StatusCode::OK), "{name}: {value}");
    }
    // In the second of two fields.
    let mut request = get("/");
    for value in ["text/html", "text/event-stream"] {
        let value = HeaderValue::from_static(value);
        request.headers_mut().append(header::ACCEPT, value);
    }
    assert_eq!(held(request, Authorize::default()).await.0, 0);
}

// Over connections.

/// A service that records into a log, over both versions of HTTP.
struct Server {
    disk: Disk,
    seen: Arc<Mutex<Vec<usize>>>,
    /// How many records there are before the first request.
    first: usize,
    address: SocketAddr,
}

/// Notes how many records are durable whenever it is called. It answers a websocket, or a tunnel, by
/// sending back what it gets, and everything else by an event for each piece of body and one at the
/// end.
#[derive(Clone)]
struct Handler {
    disk: Disk,
    seen: Arc<Mutex<Vec<usize>>>,
}

impl<B> Service<Request<B>> for Handler
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<Events>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<Events>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.seen.lock().unwrap().push(self.disk.records().len());
        std::future::ready(Ok(respond(request)))
    }
}

impl Server {
    /// A whole stack.
    async fn start() -> Self {
        Self::around(|log, handler| {
            ZeroTrust::builder()
                .record(RecordAuditLayer::new(log))
                .insecure_anonymous()
                .authorize(AuthorizeLayer::new(|_: &Access<'_>| true))
                .build()
                .unwrap()
                .layer(handler)
        })
        .await
    }

    async fn around<S, B>(service: impl FnOnce(AuditLog, Handler) -> S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send,
        S::Error: Into<BoxError>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (log, disk) = log();
        let seen = Arc::<Mutex<Vec<usize>>>::default();
        let handler = Handler {
            disk: disk.clone(),
            seen: Arc::clone(&seen),
        };
        let service = service(log.clone(), handler);
        // Whatever the stack has recorded of itself is durable too.
        log.record(admin("ready")).await.unwrap();
        let first = disk.records().len();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let service = TowerToHyperService::new(service.clone());
                tokio::spawn(async move {
                    let mut server = auto::Builder::new(TokioExecutor::new());
                    server.http2().enable_connect_protocol();
                    let _ = server
                        .serve_connection_with_upgrades(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self {
            disk,
            seen,
            first,
            address,
        }
    }

    /// Lets the disk work once it has been asked to, and the handler would have had its turn.
    async fn release_when_asked(&self) {
        let disk = self.disk.clone();
        tokio::task::spawn_blocking(move || disk.wait_until_stalled())
            .await
            .unwrap();
        for _ in 0..1000 {
            tokio::task::yield_now().await;
        }
        self.disk.release();
    }

    /// How many records of requests were durable when the handler was called.
    fn durable_at_the_call(&self) -> usize {
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.len(), 1, "the handler is called once");
        seen[0] - self.first
    }

    /// The decision, once the request is over.
    async fn decision(self) -> Value {
        while self.disk.records().len() < self.first + 2 {
            tokio::task::yield_now().await;
        }
        self.disk.records()[self.first].clone()
    }
}

type Events =
    StreamBody<Pin<Box<dyn futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

fn respond<B>(mut request: Request<B>) -> Response<Events>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    let event = |text: &'static [u8]| Ok(Frame::data(Bytes::from_static(text)));
    let tunnel = request.method() == Method::CONNECT;
    if tunnel || request.headers().contains_key(header::UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = [0; 5];
            io.read_exact(&mut bytes).await.unwrap();
            io.write_all(&bytes).await.unwrap();
        });
        let none = futures_util::stream::empty();
        let mut response = Response::new(StreamBody::new(Box::pin(none) as Pin<Box<_>>));
        if !tunnel {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        return response;
    }
    let mut body = Box::pin(request.into_body());
    let mut ended = false;
    let events = futures_util::stream::poll_fn(move |task| {
        if ended {
            return Poll::Ready(None);
        }
        Poll::Ready(match std::task::ready!(body.as_mut().poll_frame(task)) {
            Some(Ok(_)) => Some(event(b"data: got some\n\n")),
            _ => {
                ended = true;
                Some(event(b"data: end\n\n"))
            }
        })
    });
    Response::new(StreamBody::new(Box::pin(events) as Pin<Box<_>>))
}

/// Reads until the answer has `end` in it.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while !text.windows(end.len()).any(|part| part == end.as_bytes()) {
        let length = stream.read(&mut piece).await.unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&text));
        text.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_opens_when_its_permit_is_durable() {
    let server = Server::start().await;
    server.disk.hold();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(
            b"GET /socket HTTP/1.1\r\nhost: shop.example\r\nconnection: upgrade\r\n\
              upgrade: websocket\r\n\r\n",
        )
        .await
        .unwrap();
    server.release_when_asked().await;
    let head = read_until(&mut stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read_until(&mut stream, "hello").await, "hello");
    assert_eq!(server.durable_at_the_call(), 1);
    let decision = server.decision().await;
    assert_eq!(
        (&decision["path"], &decision["ack"]),
        (&"/socket".into(), &"sync".into())
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_begins_when_its_permit_is_durable() {
    let server = Server::start().await;
    server.disk.hold();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(
            b"GET /events HTTP/1.1\r\nhost: shop.example\r\naccept: text/event-stream\r\n\
              connection: close\r\n\r\n",
        )
        .await
        .unwrap();
    server.release_when_asked().await;
    let answer = read_until(&mut stream, "data: end\n\n").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.durable_at_the_call(), 1);
    assert_eq!(server.decision().await["path"], "/events");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chunked_body_of_a_get_is_answered_when_its_permit_is_durable() {
    let server = Server::start().await;
    server.disk.hold();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(
            b"GET /search HTTP/1.1\r\nhost: shop.example\r\ntransfer-encoding: chunked\r\n\
              connection: close\r\n\r\n3\r\nabc\r\n",
        )
        .await
        .unwrap();
    server.release_when_asked().await;
    // The answer goes on while the body does.
    read_until(&mut stream, "data: got some\n\n").await;
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    read_until(&mut stream, "data: end\n\n").await;
    assert_eq!(server.durable_at_the_call(), 1);
}

async fn http2(
    address: SocketAddr,
) -> hyper::client::conn::http2::SendRequest<StreamBody<futures_util::stream::Pending<Piece>>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    sender
}

type Piece = Result<Frame<Bytes>, Infallible>;

/// No field says that it has a body, or how long: only whoever sees the body knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_http_2_without_a_length_waits_in_a_stack_that_validates() {
    let server = Server::start().await;
    server.disk.hold();
    let mut sender = http2(server.address).await;
    let request = Request::get("http://shop.example/search")
        .body(StreamBody::new(futures_util::stream::pending()))
        .unwrap();
    assert!(request.headers().is_empty());
    let response = tokio::spawn(sender.send_request(request));
    server.release_when_asked().await;
    let response = response.await.unwrap().unwrap();
    assert_eq!(
        (response.version(), response.status()),
        (Version::HTTP_2, StatusCode::OK)
    );
    assert_eq!(server.durable_at_the_call(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_over_http_2_opens_when_its_permit_is_durable() {
    // Validation would refuse it.
    let server = Server::around(|log, handler| gate(&log, handler)).await;
    let mut sender = http2(server.address).await;
    // The server's settings, which permit it, have to arrive first.
    poll_fn(|task| sender.poll_ready(task)).await.unwrap();
    let request = Request::connect("http://shop.example/socket")
        .extension(Protocol::from_static("websocket"))
        .body(StreamBody::new(futures_util::stream::pending()))
        .unwrap();
    server.disk.hold();
    let response = tokio::spawn(sender.send_request(request));
    server.release_when_asked().await;
    let response = response.await.unwrap().unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
    tunnel.write_all(b"hello").await.unwrap();
    let mut bytes = [0; 5];
    tunnel.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"hello");
    assert_eq!(server.durable_at_the_call(), 1);
    let decision = server.decision().await;
    assert_eq!(
        (&decision["method"], &decision["path"]),
        (&"CONNECT".into(), &"/socket".into())
    );
}

// What "durable" was exchanged for.

/// The modes in which decisions were handed over, by request.
fn asked(recorder: &zt_core::state::MemoryRecorder) -> Vec<Option<Acknowledgement>> {
    let events = recorder.events();
    let decisions = events.iter().filter_map(|event| match event {
        zt_core::state::Event::Decision(event) => Some(event.acknowledge),
        _ => None,
    });
    decisions.collect()
}

#[tokio::test]
async fn the_layer_asks_for_its_mode_and_a_route_for_its_own() {
    use Acknowledgement::{Async, Batched, Sync};
    for (layer, route, expected) in [
        (None, None, Sync),
        (Some(Batched), None, Batched),
        (Some(Async), None, Async),
        (None, Some(Batched), Batched),
        (Some(Batched), Some(Sync), Sync),
        (Some(Batched), Some(Async), Async),
    ] {
        let recorder = Arc::new(zt_core::state::MemoryRecorder::new(9));
        let mut record = RecordAuditLayer::new(Arc::clone(&recorder));
        if let Some(layer) = layer {
            record = record.acknowledge(layer);
        }
        assert_eq!(record.acknowledges(), layer.unwrap_or_default());
        let mut rule = RouteRule::any("/orders");
        if let Some(route) = route {
            rule = rule.acknowledge(route);
        }
        let authorize = Authorize {
            routes: Routes::builder().route(rule).build().unwrap(),
            ..Authorize::default()
        };
        let (outer, commit) = record.split();
        let chain = Link::first(outer).then(authorize).then(commit);
        let service = Gate::new(Calls::default().handler(), chain);
        let post = |path| service.clone().oneshot(request(Method::POST, path));
        read(post("/orders").await.unwrap()).await.unwrap();
        read(post("/other").await.unwrap()).await.unwrap();
        // Nobody waits for a denial.
        read(post("/forbidden").await.unwrap()).await.unwrap();
        let other = Some(layer.unwrap_or_default());
        assert_eq!(asked(&recorder), [Some(expected), other, None]);
    }
}

#[tokio::test]
async fn a_log_that_was_closed_refuses_in_every_mode() {
    for mode in [
        Acknowledgement::Sync,
        Acknowledgement::Batched,
        Acknowledgement::Async,
    ] {
        let (log, _disk) = log();
        log.close().unwrap();
        let record = RecordAuditLayer::new(log).acknowledge(mode);
        let (outer, commit) = record.split();
        let chain = Link::first(outer).then(Authorize::default()).then(commit);
        let calls = Calls::default();
        let response = Gate::new(calls.handler(), chain)
            .oneshot(get("/"))
            .await
            .unwrap();
        assert_eq!(code(&response), Some(Code::AuditUnavailable));
        assert_eq!(calls.count(), 0);
    }
}

/// Polls a request with an effect over a log that is in a flush, which began so long ago.
async fn behind(mode: Acknowledgement, ago: Duration) -> (usize, Value) {
    let clock = ManualClock::default();
    let options = Options::default()
        .clock(clock.clone())
        .batch_delay(Duration::from_millis(20));
    let (log, disk) = log_with(options);
    let record = RecordAuditLayer::new(log.clone()).acknowledge(mode);
    let (outer, commit) = record.split();
    let chain = Link::first(outer).then(Authorize::default()).then(commit);
    let calls = Calls::default();
    let service = Gate::new(calls.handler(), chain);
    disk.hold();
    let first = log.record(admin("first"));
    disk.wait_until_stalled();
    clock.advance(ago);
    let mut future = Box::pin(service.oneshot(request(Method::POST, "/orders")));
    let answer = future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()));
    let before = calls.count();
    assert_eq!(answer.is_ready(), before == 1);
    disk.release();
    let response = match answer {
        Poll::Ready(response) => response,
        Poll::Pending => future.await,
    };
    read(response.unwrap()).await.unwrap();
    first.await.unwrap();
    assert_eq!(calls.count(), 1);
    let records = close(log, &disk);
    (before, one_each(&records[1..]).0)
}

#[tokio::test]
async fn a_handler_goes_on_at_once_only_where_the_mode_says_so_and_the_log_is_not_behind() {
    use Acknowledgement::{Async, Batched, Sync};
    let (now, late) = (Duration::ZERO, Duration::from_millis(21));
    for (mode, ago, before) in [
        (Sync, now, 0),
        (Sync, late, 0),
        (Batched, now, 1),
        (Batched, late, 0),
        (Async, now, 1),
        (Async, late, 1),
    ] {
        let (called, decision) = behind(mode, ago).await;
        assert_eq!(called, before, "{mode:?} {ago:?}");
        assert_eq!(decision["ack"], mode.as_str());
        assert_eq!(decision["decision"], "permit");
    }
}
