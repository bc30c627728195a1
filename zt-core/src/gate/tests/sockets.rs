//! The same over real connections: hyper, axum and tonic, HTTP/1.1 and HTTP/2.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Body as AxumBody, routing::get};
use http_body::Body;
use http_body_util::{BodyExt, combinators::BoxBody};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, service_fn};

use super::*;
use crate::{
    body::BoxError,
    gate::{Gate, GateLayer, Keep, Link, Replace, Root, Settings},
};

/// Serves `service` on a free port of loopback, HTTP/1.1 and HTTP/2 with prior knowledge.
async fn serve<S, B>(service: S) -> SocketAddr
where
    S: Service<Request<hyper::body::Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
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

async fn fetch(address: SocketAddr, http2: bool, path: &str) -> (StatusCode, String) {
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(http2)
        .build_http();
    let response = client
        .get(format!("http://{address}{path}").parse().unwrap())
        .await
        .unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// Waits until the guard has settled, without guessing how long that takes.
async fn settled(spy: &Spy) -> Seen {
    for _ in 0..10_000 {
        if !spy.seen().is_empty() {
            return spy.once();
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    tokio::time::timeout(Duration::from_secs(20), async {
        while spy.seen().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the guard settles");
    spy.once()
}

#[tokio::test]
async fn hyper_with_full_and_boxed_bodies() {
    for http2 in [false, true] {
        let spy = Spy::default();
        let full = service_fn(|_: Request<hyper::body::Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("full"))))
        });
        let address = serve(Gate::new(full, Link::first(spy.clone()))).await;
        assert_eq!(
            fetch(address, http2, "/").await,
            (StatusCode::OK, "full".to_owned())
        );
        let seen = settled(&spy).await;
        assert_eq!((seen.end, seen.bytes), (End::Complete, 4));

        let boxed = service_fn(|request: Request<hyper::body::Incoming>| async {
            let body: BoxBody<Bytes, BoxError> = request.into_body().map_err(Into::into).boxed();
            let whole = body.collect().await?.to_bytes();
            Ok::<_, BoxError>(Response::new(Full::new(whole).map_err(Into::into).boxed()))
                as Result<Response<BoxBody<Bytes, BoxError>>, BoxError>
        });
        let address = serve(Gate::new(boxed, Link::first(Waits(None)))).await;
        assert_eq!(fetch(address, http2, "/").await.0, StatusCode::OK);
    }
}

#[tokio::test]
async fn a_head_that_is_refused_is_answered_without_a_body() {
    // RFC 9110 section 9.3.2. A server of HTTP/2 sends what it is given, and its client takes the
    // whole answer for an error.
    for http2 in [false, true] {
        let gate = Gate::new(
            service_fn(|_: Request<hyper::body::Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }),
            Link::first(refuses(Code::PolicyDenied)),
        );
        let address = serve(gate).await;
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new())
            .http2_only(http2)
            .build_http();
        let mut lengths = Vec::new();
        for method in [http::Method::GET, http::Method::HEAD] {
            let request = Request::builder()
                .method(method.clone())
                .uri(format!("http://{address}/"))
                .body(Full::default())
                .unwrap();
            let response = client.request(request).await.unwrap();
            assert_eq!(response.status(), 403);
            lengths.push(response.headers()["content-length"].clone());
            let body = response.into_body().collect().await;
            let body = body.unwrap_or_else(|error| panic!("{method} {http2}: {error}"));
            let is_head = method == http::Method::HEAD;
            assert_eq!(body.to_bytes().is_empty(), is_head, "{method} {http2}");
        }
        assert_eq!(lengths[0], lengths[1]);
    }
}

#[tokio::test]
async fn axum_with_a_gate_around_the_router_and_inside_it() {
    let spy = Spy::default();
    let router: Router = Router::new().route("/", get(|| async { "axum" }));
    let gate: Gate<_, _, Replace> = GateLayer::<_, Replace>::with_mode(
        Link::new(Root, spy.clone()),
        Settings::shared_default(),
    )
    .layer(router.clone());
    let address = serve(gate).await;
    assert_eq!(fetch(address, true, "/").await.1, "axum");
    assert_eq!(settled(&spy).await.end, End::Complete);

    let spy = Spy::default();
    let layer: GateLayer<_, Keep> =
        GateLayer::new(Link::first(spy.clone()), Settings::shared_default());
    let address = serve(router.layer(layer)).await;
    assert_eq!(fetch(address, false, "/").await.1, "axum");
    assert_eq!(settled(&spy).await.end, End::Complete);
}

#[tokio::test]
async fn a_client_that_goes_away_abandons_the_request() {
    let spy = Spy::default();
    let arrived = Arc::new(tokio::sync::Notify::new());
    let here = Arc::clone(&arrived);
    let hangs = service_fn(move |_: Request<hyper::body::Incoming>| {
        here.notify_one();
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let address = serve(Gate::new(hangs, Link::first(spy.clone()))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        .await
        .unwrap();
    arrived.notified().await;
    drop(stream);
    let seen = settled(&spy).await;
    assert_eq!(
        (seen.end, seen.handler),
        (End::Abandoned, HandlerRun::Reached)
    );
}

#[tokio::test]
async fn an_http2_reset_abandons_the_request_or_its_body() {
    // Reset while the handler runs.
    let spy = Spy::default();
    let arrived = Arc::new(tokio::sync::Notify::new());
    let here = Arc::clone(&arrived);
    let hangs = service_fn(move |_: Request<hyper::body::Incoming>| {
        here.notify_one();
        std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
    });
    let address = serve(Gate::new(hangs, Link::first(spy.clone()))).await;
    let mut client = http2_client(address).await;
    let call = client.send_request(
        Request::get(format!("http://{address}/"))
            .body(Full::<Bytes>::default())
            .unwrap(),
    );
    let call = tokio::spawn(call);
    arrived.notified().await;
    // Dropping the response future sends RST_STREAM; the connection stays.
    call.abort();
    let seen = settled(&spy).await;
    assert_eq!(
        (seen.end, seen.handler),
        (End::Abandoned, HandlerRun::Reached)
    );

    // Reset while the body flows.
    let spy = Spy::default();
    let endless = service_fn(|_: Request<hyper::body::Incoming>| async {
        let chunks =
            futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from(vec![0; 1024])));
        Ok::<_, Infallible>(Response::new(AxumBody::from_stream(chunks)))
    });
    let address = serve(Gate::new(endless, Link::first(spy.clone()))).await;
    let mut client = http2_client(address).await;
    let request = Request::get(format!("http://{address}/"))
        .body(Full::<Bytes>::default())
        .unwrap();
    let mut response = client.send_request(request).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop(response);
    let seen = settled(&spy).await;
    assert_eq!(
        (seen.end, seen.status),
        (End::Abandoned, Some(StatusCode::OK))
    );
    assert!(seen.bytes >= 1024);
}

async fn http2_client(address: SocketAddr) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    tokio::spawn(connection);
    client
}

#[tokio::test]
async fn an_upgrade_goes_through_and_settles_at_its_head() {
    let spy = Spy::default();
    let service = service_fn(|mut request: Request<hyper::body::Incoming>| async move {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut io = TokioIo::new(upgrade.await.unwrap());
            let mut word = [0; 4];
            io.read_exact(&mut word).await.unwrap();
            io.write_all(&word).await.unwrap();
        });
        let head = Response::builder()
            .status(101)
            .header("upgrade", "echo")
            .header("connection", "upgrade");
        Ok::<_, Infallible>(head.body(Full::<Bytes>::default()).unwrap())
    });
    let address = serve(Gate::new(service, Link::first(spy.clone()))).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n")
        .await
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));
    assert_eq!(settled(&spy).await.end, End::Upgraded);
    stream.write_all(b"ping").await.unwrap();
    let mut word = [0; 4];
    stream.read_exact(&mut word).await.unwrap();
    assert_eq!(&word, b"ping");
}

mod grpc {
    use bytes::{Buf, BufMut};
    use tonic::{
        Code as GrpcCode, Status,
        codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
        server::{Grpc, NamedService, UnaryService},
    };

    use super::*;

    /// Messages are bytes; no generated code is needed to be tonic.
    #[derive(Debug, Clone, Copy, Default)]
    struct Raw;

    impl Codec for Raw {
        type Encode = Bytes;
        type Decode = Bytes;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            Self
        }

        fn decoder(&mut self) -> Self {
            Self
        }
    }

    impl Encoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn encode(&mut self, item: Bytes, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
            buf.put(item);
            Ok(())
        }
    }

    impl Decoder for Raw {
        type Item = Bytes;
        type Error = Status;

        fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
            Ok(Some(buf.copy_to_bytes(buf.remaining())))
        }
    }

    #[derive(Clone)]
    struct Echo;

    impl NamedService for Echo {
        const NAME: &'static str = "zt.Echo";
    }

    impl UnaryService<Bytes> for Echo {
        type Response = Bytes;
        type Future = std::future::Ready<Result<tonic::Response<Bytes>, Status>>;

        fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
            let message = request.into_inner();
            std::future::ready(if message == "fail" {
                Err(Status::not_found("no such echo"))
            } else {
                Ok(tonic::Response::new(message))
            })
        }
    }

    impl Service<Request<tonic::body::Body>> for Echo {
        type Response = Response<tonic::body::Body>;
        type Error = Infallible;
        type Future =
            std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<tonic::body::Body>) -> Self::Future {
            Box::pin(async move { Ok(Grpc::new(Raw).unary(Echo, request).await) })
        }
    }

    async fn call(address: SocketAddr, message: &'static str) -> Result<Bytes, Status> {
        let channel = tonic::transport::Channel::from_shared(format!("http://{address}"))
            .unwrap()
            .connect()
            .await
            .unwrap();
        let mut client = tonic::client::Grpc::new(channel);
        client.ready().await.unwrap();
        let path = http::uri::PathAndQuery::from_static("/zt.Echo/Echo");
        let request = tonic::Request::new(Bytes::from_static(message.as_bytes()));
        client
            .unary(request, path, Raw)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn tonic_server<L>(layer: L) -> SocketAddr
    where
        L: Layer<tonic::service::Routes> + Clone + Send + Sync + 'static,
        L::Service:
            Service<Request<tonic::body::Body>, Error = Infallible> + Clone + Send + 'static,
        <L::Service as Service<Request<tonic::body::Body>>>::Future: Send,
        <L::Service as Service<Request<tonic::body::Body>>>::Response: IntoResponse,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = layer.layer(tonic::service::Routes::new(Echo));
        let mapped = service_fn(move |request: Request<hyper::body::Incoming>| {
            let mut service = service.clone();
            async move {
                let request = request.map(tonic::body::Body::new);
                std::future::poll_fn(|task| service.poll_ready(task)).await?;
                service.call(request).await.map(IntoResponse::into)
            }
        });
        drop(listener);
        let _ = address;
        serve(mapped).await
    }

    trait IntoResponse {
        fn into(self) -> Response<tonic::body::Body>;
    }

    impl<B> IntoResponse for Response<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        fn into(self) -> Response<tonic::body::Body> {
            self.map(|body| {
                tonic::body::Body::new(body.map_err(|error| Status::from_error(error.into())))
            })
        }
    }

    #[tokio::test]
    async fn tonic_behind_a_gate_answers_and_its_trailers_are_seen() {
        let spy = Spy::default();
        let layer: GateLayer<_> =
            GateLayer::new(Link::first(spy.clone()), Settings::shared_default());
        let address = tonic_server(layer).await;
        assert_eq!(call(address, "hello").await.unwrap(), "hello");
        let seen = settled(&spy).await;
        assert_eq!((seen.end, seen.trailers), (End::Complete, true));
        assert_eq!(
            call(address, "fail").await.unwrap_err().code(),
            GrpcCode::NotFound
        );
    }

    #[tokio::test]
    async fn tonic_clients_understand_refusals() {
        for (code, grpc) in [
            (Code::CredentialMissing, GrpcCode::Unauthenticated),
            (Code::PolicyDenied, GrpcCode::PermissionDenied),
            (Code::RateLimited, GrpcCode::ResourceExhausted),
            (Code::AuditUnavailable, GrpcCode::Unavailable),
        ] {
            let layer: GateLayer<_> =
                GateLayer::new(Link::first(refuses(code)), Settings::shared_default());
            let address = tonic_server(layer).await;
            let status = call(address, "hello").await.unwrap_err();
            assert_eq!(status.code(), grpc);
            assert_eq!(status.message(), code.sentence());
        }
    }

    #[tokio::test]
    async fn tonic_s_own_server_takes_a_gate_as_its_layer() {
        let spy = Spy::default();
        let layer: GateLayer<_> =
            GateLayer::new(Link::first(spy.clone()), Settings::shared_default());
        let probe = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let server = tonic::transport::Server::builder()
            .layer(layer)
            .add_service(Echo);
        let server = tokio::spawn(server.serve(address));
        let mut answer = None;
        while answer.is_none() {
            if TcpStream::connect(address).await.is_ok() {
                answer = Some(call(address, "hello").await.unwrap());
            }
            tokio::task::yield_now().await;
        }
        assert_eq!(answer.unwrap(), "hello");
        assert_eq!(settled(&spy).await.end, End::Complete);
        server.abort();
    }
}
