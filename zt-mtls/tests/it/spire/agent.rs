//! A small agent: the Workload API on a socket file, by tonic's gRPC and messages of its own. As SPIRE's
//! does, it answers a call at once with how things stand, and again whenever that changes.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::{Buf, BufMut};
use futures_util::{Stream, StreamExt, stream};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::{
    net::{TcpListener, UnixListener},
    sync::watch,
    task::{AbortHandle, JoinSet},
};
use tonic::{
    Code, Request, Response, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
};
use zt_mtls::testing::{TestCa, TestCert};

/// `X509SVIDResponse` of the specification.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509SvidResponse {
    #[prost(message, repeated, tag = "1")]
    pub(crate) svids: Vec<X509Svid>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(crate) crl: Vec<Vec<u8>>,
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub(crate) federated_bundles: BTreeMap<String, Vec<u8>>,
}

/// `X509SVID` of the specification.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct X509Svid {
    #[prost(string, tag = "1")]
    pub(crate) spiffe_id: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) x509_svid: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(crate) x509_svid_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(crate) hint: String,
}

/// How things stand.
#[derive(Debug, Clone)]
pub(crate) enum Stand {
    Message(Vec<u8>),
    /// The call ends, with this status where it is an error.
    End(Code),
    /// Nothing is said.
    Silence,
}

/// A good identity of `path`.
pub(crate) fn svid(ca: &TestCa, path: &str) -> X509Svid {
    svid_of(ca, path, &ca.workload(path))
}

pub(crate) fn svid_of(ca: &TestCa, path: &str, cert: &TestCert) -> X509Svid {
    X509Svid {
        spiffe_id: format!("{}{path}", ca.trust_domain().id()),
        x509_svid: cert.chain.iter().flat_map(|der| der.to_vec()).collect(),
        x509_svid_key: cert.key.secret_der().to_vec(),
        bundle: ca.root().to_vec(),
        hint: String::new(),
    }
}

impl From<X509Svid> for Stand {
    fn from(svid: X509Svid) -> Self {
        let response = X509SvidResponse {
            svids: vec![svid],
            ..X509SvidResponse::default()
        };
        response.into()
    }
}

impl From<X509SvidResponse> for Stand {
    fn from(response: X509SvidResponse) -> Self {
        Self::Message(response.encode_to_vec())
    }
}

pub(crate) struct Agent {
    dir: Arc<Dir>,
    state: Arc<State>,
    task: AbortHandle,
    tcp: Option<u16>,
}

struct State {
    stand: watch::Sender<Stand>,
    /// How often it was called, with the header and without.
    calls: watch::Sender<usize>,
    connections: watch::Sender<usize>,
}

/// Where the socket file is; gone with it.
#[derive(Debug)]
struct Dir(PathBuf);

impl Agent {
    /// Listens at a new socket file.
    pub(crate) fn start(stand: impl Into<Stand>) -> Self {
        let dir = std::env::temp_dir().join(format!("zt-spire-{:032x}", random()));
        fs::create_dir(&dir).unwrap();
        Self::on(Arc::new(Dir(dir)), stand.into())
    }

    fn on(dir: Arc<Dir>, stand: Stand) -> Self {
        let state = State::new(stand);
        let listener = UnixListener::bind(dir.socket()).unwrap();
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (io, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(io, Arc::clone(&state)));
                }
            }
        });
        Self {
            dir,
            state,
            task: task.abort_handle(),
            tcp: None,
        }
    }

    /// Listens on loopback.
    pub(crate) async fn start_tcp(stand: impl Into<Stand>) -> Self {
        let state = State::new(stand.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let task = tokio::spawn({
            let state = Arc::clone(&state);
            async move {
                let mut connections = JoinSet::new();
                loop {
                    let (io, _) = listener.accept().await.unwrap();
                    connections.spawn(serve(io, Arc::clone(&state)));
                }
            }
        });
        Self {
            dir: Arc::new(Dir(PathBuf::new())),
            state,
            task: task.abort_handle(),
            tcp: Some(port),
        }
    }

    pub(crate) fn address(&self) -> String {
        match self.tcp {
            Some(port) => format!("tcp://127.0.0.1:{port}"),
            None => format!("unix://{}", self.dir.socket().display()),
        }
    }

    /// Says this from now on, to whoever calls and whoever listens.
    pub(crate) fn say(&self, stand: impl Into<Stand>) {
        self.state.stand.send_replace(stand.into());
    }

    /// Ends, with all connections, and leaves no socket file.
    pub(crate) fn stop(self) -> Stopped {
        self.task.abort();
        fs::remove_file(self.dir.socket()).unwrap();
        Stopped(Arc::clone(&self.dir))
    }

    pub(crate) fn calls(&self) -> usize {
        *self.state.calls.borrow()
    }

    /// Until it was called so often.
    pub(crate) async fn called(&self, times: usize) {
        let mut calls = self.state.calls.subscribe();
        calls.wait_for(|calls| *calls >= times).await.unwrap();
    }

    pub(crate) fn connections(&self) -> usize {
        *self.state.connections.borrow()
    }

    /// Until so many connections are open.
    pub(crate) async fn connected(&self, number: usize) {
        let mut connections = self.state.connections.subscribe();
        connections.wait_for(|open| *open == number).await.unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An agent that is not there, and may come back to where it was.
pub(crate) struct Stopped(Arc<Dir>);

impl Stopped {
    pub(crate) fn start(self, stand: impl Into<Stand>) -> Agent {
        Agent::on(self.0, stand.into())
    }
}

impl State {
    fn new(stand: Stand) -> Arc<Self> {
        Arc::new(Self {
            stand: watch::Sender::new(stand),
            calls: watch::Sender::new(0),
            connections: watch::Sender::new(0),
        })
    }
}

impl Dir {
    fn socket(&self) -> PathBuf {
        self.0.join("agent.sock")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if self.0 != Path::new("") {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// Counts a connection for as long as it is.
struct Open(Arc<State>);

impl Open {
    fn new(state: &Arc<State>) -> Self {
        state.connections.send_modify(|open| *open += 1);
        Self(Arc::clone(state))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.send_modify(|open| *open -= 1);
    }
}

async fn serve(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    state: Arc<State>,
) {
    let _open = Open::new(&state);
    let service = hyper::service::service_fn(move |request: http::Request<_>| {
        let state = Arc::clone(&state);
        async move {
            assert_eq!(request.method(), http::Method::POST);
            assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchX509SVID");
            assert_eq!(request.headers()["te"], "trailers");
            assert_eq!(request.headers()["content-type"], "application/grpc");
            let call = Call(state);
            let response = tonic::server::Grpc::new(Raw)
                .server_streaming(call, request)
                .await;
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(io), service)
        .await;
}

struct Call(Arc<State>);

type Answers = Pin<Box<dyn Stream<Item = Result<Vec<u8>, Status>> + Send>>;
type Answer = Pin<Box<dyn Future<Output = Result<Response<Answers>, Status>> + Send>>;

impl tower::Service<Request<Vec<u8>>> for Call {
    type Response = Response<Answers>;
    type Error = Status;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Vec<u8>>) -> Answer {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            state.calls.send_modify(|calls| *calls += 1);
            assert!(request.get_ref().is_empty());
            // SPIFFE_Workload_Endpoint section 6.
            let header = request.metadata().get_all("workload.spiffe.io");
            if !header.iter().eq(["true"]) {
                return Err(Status::invalid_argument("security header missing"));
            }
            if let Stand::End(code) = &*state.stand.borrow()
                && *code != Code::Ok
            {
                return Err(Status::new(*code, "no identity issued"));
            }
            Ok(Response::new(answers(state.stand.subscribe())))
        })
    }
}

/// How things stand, and then each change.
fn answers(mut stand: watch::Receiver<Stand>) -> Answers {
    stand.mark_changed();
    let answers = stream::unfold(Some(stand), |stand| async {
        let mut stand = stand?;
        loop {
            stand.changed().await.ok()?;
            let now = stand.borrow_and_update().clone();
            return match now {
                Stand::Message(bytes) => Some((Ok(bytes), Some(stand))),
                Stand::End(Code::Ok) => None,
                Stand::End(code) => Some((Err(Status::new(code, "no identity issued")), None)),
                Stand::Silence => continue,
            };
        }
    });
    answers.boxed()
}

/// Messages as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
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
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; from.remaining()];
        from.copy_to_slice(&mut item);
        Ok(Some(item))
    }
}

fn random() -> u128 {
    u128::from_le_bytes(zt_core::random::bytes(&zt_core::random::OsEntropy).unwrap())
}
