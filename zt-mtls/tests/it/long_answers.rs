//! Answers that go on: they end with what permitted them, and within a second of a sanction,
//! whatever named the caller.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{State, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};
use zt_core::{
    authenticate::Authenticate,
    authorize::{Access, AuthorizeLayer, Grounds, Verdict},
    clock::{Clock, ManualClock, Timestamp},
    context::SecurityContext,
    gate::Settings,
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    stack::ZeroTrust,
    state::{Sanction, SanctionAction, SanctionTarget, Sanctions},
    store::MemoryStore,
};
use zt_jwt::{Verifier, testing::TestIssuer, verify_jwt::VerifyJwtLayer};
use zt_mtls::{
    credentials::Credentials,
    forwarded::{Forwarded, ForwardedHeader},
    peer::{Peers, RequirePeerLayer},
    serve::Config,
    testing::{TestCa, TestCert, pem, svid_params, valid},
};

use crate::calls::{Connection, soon, start};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const BATCH: &str = "spiffe://shop.example/batch";

struct Fixture {
    ca: TestCa,
    clock: ManualClock,
    sanctions: Sanctions,
    /// What open answers say whenever it changes.
    says: watch::Sender<u32>,
    /// When the policy's grant ends.
    grant: Timestamp,
}

/// How a caller is named, and what would strike it.
struct Caller {
    address: SocketAddr,
    credentials: Credentials,
    headers: Vec<(&'static str, String)>,
    strike: SanctionTarget,
}

#[derive(Debug, Clone, Copy)]
enum Named {
    Token,
    ServiceToken,
    Peer,
    Forwarded,
}

const ALL: [Named; 4] = [
    Named::Token,
    Named::ServiceToken,
    Named::Peer,
    Named::Forwarded,
];

impl Fixture {
    fn new() -> Self {
        let clock = ManualClock::default();
        Self {
            ca: TestCa::new("shop.example"),
            sanctions: Sanctions::local(clock.clone()),
            says: watch::Sender::new(0),
            grant: Timestamp::MAX,
            clock,
        }
    }

    fn now(&self) -> Timestamp {
        self.clock.now().unwrap()
    }

    fn credentials(&self, cert: &TestCert) -> Credentials {
        let material = self.ca.material("/orders");
        let trust = material.trust().clone();
        let material = zt_mtls::credentials::Material::new(cert.identity(), trust);
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Credentials::with(material, Arc::new(provider), self.clock.clone())
    }

    fn until(&self, path: &str, end: Timestamp) -> TestCert {
        let mut params = svid_params(&format!("spiffe://shop.example{path}"));
        valid(&mut params, Timestamp::EPOCH, end);
        self.ca.issue(params)
    }

    /// A server, and a caller whose credential is good until `end`.
    async fn caller(&self, named: Named, end: Timestamp) -> Caller {
        let credentials = self.credentials(&self.ca.workload("/batch"));
        let workload = SanctionTarget::Workload(BATCH.into());
        match named {
            Named::Token => {
                let issuer = TestIssuer::offline().with_clock(self.clock.clone());
                let verifier = Verifier::builder()
                    .issuer(issuer.issuer("orders").leeway(Duration::ZERO))
                    .clock(self.clock.clone())
                    .build()
                    .unwrap();
                let token = issuer.token("ada").audience("orders").id("t-1");
                let token = token.claim("exp", end.as_secs()).mint();
                Caller {
                    address: self.serve(VerifyJwtLayer::new(verifier)).await,
                    credentials,
                    headers: vec![("authorization", format!("Bearer {token}"))],
                    strike: SanctionTarget::Token("t-1".into()),
                }
            }
            Named::ServiceToken => {
                let store = Arc::new(MemoryStore::new(self.clock.clone()));
                let config = ServiceTokenConfig::new("test");
                let tokens = ServiceTokens::open(store, self.clock.clone(), config);
                let tokens = tokens.await.unwrap();
                let request = MintRequest::new("batch", "nightly").expires(end);
                let minted = tokens.mint(request).await.unwrap();
                Caller {
                    address: self.serve(VerifyServiceTokenLayer::new(tokens)).await,
                    credentials,
                    headers: vec![("x-service-token", minted.clear.expose().to_owned())],
                    strike: SanctionTarget::Token((*minted.id).into()),
                }
            }
            Named::Peer => Caller {
                address: self.serve(self.batch_only()).await,
                credentials: self.credentials(&self.until("/batch", end)),
                headers: Vec::new(),
                strike: workload,
            },
            // The connection outlives the client behind it: nothing but the lease ends it.
            Named::Forwarded => {
                let client = pem("CERTIFICATE", &self.until("/batch", end).chain[0]);
                let client = percent_encoding::utf8_percent_encode(
                    &client,
                    percent_encoding::NON_ALPHANUMERIC,
                );
                Caller {
                    address: self.serve(self.batch_only()).await,
                    credentials: self.credentials(&self.ca.workload("/gateway")),
                    headers: vec![("x-forwarded-client-cert", format!("Cert={client}"))],
                    strike: workload,
                }
            }
        }
    }

    fn batch_only(&self) -> RequirePeerLayer {
        RequirePeerLayer::new(Peers::parse([BATCH]).unwrap())
    }

    async fn serve(&self, authenticator: impl Authenticate) -> SocketAddr {
        let settings = Settings::default()
            .with_clock(self.clock.clone())
            .with_sanctions(self.sanctions.clone());
        let grant = self.grant;
        let policy = move |_: &Access<'_>| Verdict::Permit(Grounds::new("grant").until(grant));
        let zt = ZeroTrust::builder()
            .without_audit()
            .authenticate(authenticator)
            .sanctions(self.sanctions.clone())
            .authorize(AuthorizeLayer::new(policy))
            .settings(settings)
            .build()
            .unwrap();
        let router = Router::new()
            .route("/events", get(events))
            .route("/grpc", get(grpc))
            .route("/websocket", get(websocket))
            .route("/guarded", get(guarded))
            .with_state(self.says.subscribe());
        let credentials = self.credentials(&self.ca.workload("/orders"));
        let proxies = Peers::parse(["spiffe://shop.example/gateway"]).unwrap();
        let forwarded = Forwarded::by(proxies, ForwardedHeader::Xfcc, &credentials);
        let config = Config::new(credentials).forwarded(forwarded);
        start(config, &zt, router).await
    }

    async fn strike(&self, target: SanctionTarget) {
        let sanction = Sanction {
            target,
            action: SanctionAction::Revoke,
            reason: "stolen".to_owned(),
            author: "root".into(),
            expires: None,
        };
        self.sanctions.impose(sanction).await.unwrap();
    }

    /// Has the other side say something, and waits until this answer has heard it, which shows that
    /// it goes on.
    async fn hear(&self, answer: &mut Answer) {
        self.says.send_modify(|said| *said += 1);
        let expected = *self.says.borrow();
        while answer.next().await.expect("it goes on") < expected {}
    }
}

/// What is said from now on, a number a message.
fn messages(says: watch::Receiver<u32>) -> Body {
    let first = stream::iter([Ok(Bytes::from_static(&[0; 4]))]);
    let more = stream::unfold(says, |mut says| async {
        says.changed().await.ok()?;
        let said = *says.borrow_and_update();
        let said = Bytes::copy_from_slice(&said.to_be_bytes());
        Some((Ok::<_, std::io::Error>(said), says))
    });
    Body::from_stream(futures_util::StreamExt::chain(first, more))
}

async fn events(State(mut says): State<watch::Receiver<u32>>) -> Response {
    says.mark_unchanged();
    let mut response = Response::new(messages(says));
    let kind = http::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert("content-type", kind);
    response
}

async fn grpc(State(mut says): State<watch::Receiver<u32>>) -> Response {
    says.mark_unchanged();
    let mut response = Response::new(messages(says));
    let kind = http::HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("content-type", kind);
    response
}

/// As the documentation says: the handler looks at its lease.
async fn websocket(
    upgrade: WebSocketUpgrade,
    Extension(cx): Extension<SecurityContext>,
    State(mut says): State<watch::Receiver<u32>>,
) -> Response {
    says.mark_unchanged();
    let lease = cx.lease();
    upgrade.on_upgrade(async move |mut socket| {
        let talk = async {
            let mut said = 0;
            loop {
                let message = Bytes::copy_from_slice(&u32::to_be_bytes(said));
                if socket.send(message.into()).await.is_err() || says.changed().await.is_err() {
                    break;
                }
                said = *says.borrow_and_update();
            }
        };
        tokio::select! {
            () = talk => {}
            _ = lease.ended() => {}
        }
    })
}

/// Any protocol over a connection that was upgraded: the stream itself is guarded.
async fn guarded(
    Extension(cx): Extension<SecurityContext>,
    State(mut says): State<watch::Receiver<u32>>,
    mut request: http::Request<Body>,
) -> Response {
    says.mark_unchanged();
    let upgraded = hyper::upgrade::on(&mut request);
    let lease = cx.lease();
    tokio::spawn(async move {
        let mut stream = lease.guard(TokioIo::new(upgraded.await.unwrap()));
        let mut said = 0;
        loop {
            // As a websocket's frame, so that one client reads both.
            let mut message = vec![0x82, 4];
            message.extend(u32::to_be_bytes(said));
            stream.write_all(&message).await?;
            stream.flush().await?;
            tokio::select! {
                changed = says.changed() => changed.map_err(std::io::Error::other)?,
                read = stream.read_u8() => {
                    read?;
                }
            }
            said = *says.borrow_and_update();
        }
        #[expect(unreachable_code, reason = "says of what type errors are")]
        Ok::<_, std::io::Error>(())
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in [("connection", "upgrade"), ("upgrade", "websocket")] {
        let value = http::HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}

/// An answer that goes on, and what has been read of it.
enum Answer {
    /// The connection ends when nobody can ask over it any more.
    Stream {
        body: hyper::body::Incoming,
        _connection: Connection,
    },
    Socket(TokioIo<hyper::upgrade::Upgraded>),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Events,
    EventsOverHttp2,
    Grpc,
    WebSocket,
    Guarded,
}

const KINDS: [Kind; 5] = [
    Kind::Events,
    Kind::EventsOverHttp2,
    Kind::Grpc,
    Kind::WebSocket,
    Kind::Guarded,
];

impl Answer {
    async fn open(kind: Kind, caller: &Caller) -> Self {
        let http2 = matches!(kind, Kind::EventsOverHttp2 | Kind::Grpc);
        let mut connection = Connection::open(caller.address, &caller.credentials, http2).await;
        let (path, more) = match kind {
            Kind::Events | Kind::EventsOverHttp2 => ("/events", &[][..]),
            Kind::Grpc => (
                "/grpc",
                &[("content-type", "application/grpc"), ("te", "trailers")][..],
            ),
            Kind::WebSocket => ("/websocket", &UPGRADE[..]),
            Kind::Guarded => ("/guarded", &UPGRADE[..]),
        };
        let headers: Vec<_> = caller
            .headers
            .iter()
            .map(|(name, value)| (*name, &**value))
            .chain(more.iter().copied())
            .collect();
        let response = connection.send(path, &headers).await;
        let mut answer = match response.status().as_u16() {
            200 => Self::Stream {
                body: response.into_body(),
                _connection: connection,
            },
            101 => {
                let upgraded = soon(hyper::upgrade::on(response)).await.unwrap();
                Self::Socket(TokioIo::new(upgraded))
            }
            status => panic!("{kind:?}: {status}"),
        };
        assert_eq!(answer.next().await, Some(0), "{kind:?}");
        answer
    }

    /// The next number; none where it has ended.
    async fn next(&mut self) -> Option<u32> {
        let bytes = match self {
            Self::Stream { body, .. } => loop {
                let frame = soon(body.frame()).await?.ok()?;
                if let Ok(data) = frame.into_data() {
                    break data.to_vec();
                }
            },
            Self::Socket(stream) => {
                let mut frame = [0; 6];
                soon(stream.read_exact(&mut frame)).await.ok()?;
                // RFC 6455 section 5.2: a whole binary message of 4 bytes, or else it says goodbye.
                match frame {
                    [0x82, 4, number @ ..] => number.to_vec(),
                    _ => return None,
                }
            }
        };
        Some(u32::from_be_bytes(bytes.try_into().unwrap()))
    }
}

impl Answer {
    /// Whether nothing more comes of it but what was under way.
    async fn ends(&mut self) -> bool {
        let ended = async { while self.next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(20), ended)
            .await
            .is_ok()
    }
}

const UPGRADE: [(&str, &str); 4] = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn each_ends_when_what_named_the_caller_does() {
    for named in ALL {
        let fixture = Fixture::new();
        let end = fixture.now() + MINUTE;
        goes_on_for_a_minute(&fixture, named, end).await;
    }
}

#[tokio::test]
async fn each_ends_when_the_permit_does() {
    for named in ALL {
        let mut fixture = Fixture::new();
        fixture.grant = fixture.now() + MINUTE;
        let end = fixture.now() + 60 * MINUTE;
        goes_on_for_a_minute(&fixture, named, end).await;
    }
}

async fn goes_on_for_a_minute(fixture: &Fixture, named: Named, end: Timestamp) {
    let caller = fixture.caller(named, end).await;
    let mut answers = Vec::new();
    for kind in KINDS {
        answers.push((kind, Answer::open(kind, &caller).await));
    }
    for _ in 0..5 {
        fixture.clock.advance(10 * SECOND);
        for (_, answer) in &mut answers {
            fixture.hear(answer).await;
        }
    }
    fixture.clock.advance(10 * SECOND);
    for (kind, answer) in &mut answers {
        assert!(answer.ends().await, "{kind:?} {named:?}");
    }
}

#[tokio::test]
async fn each_ends_within_a_second_of_a_sanction() {
    for named in ALL {
        let fixture = Fixture::new();
        let caller = fixture.caller(named, fixture.now() + 60 * MINUTE).await;
        let mut answers = Vec::new();
        for kind in KINDS {
            answers.push((kind, Answer::open(kind, &caller).await));
        }
        // Somebody else.
        fixture.strike(SanctionTarget::Token("t-2".into())).await;
        for _ in 0..5 {
            fixture.clock.advance(SECOND);
            for (_, answer) in &mut answers {
                fixture.hear(answer).await;
            }
        }
        fixture.strike(caller.strike.clone()).await;
        fixture.clock.advance(SECOND);
        for (kind, answer) in &mut answers {
            assert!(answer.ends().await, "{kind:?} {named:?}");
        }
    }
}

#[tokio::test]
async fn each_ends_within_a_second_of_a_sanction_against_the_proxy() {
    let fixture = Fixture::new();
    let caller = fixture
        .caller(Named::Forwarded, fixture.now() + 60 * MINUTE)
        .await;
    let mut answers = Vec::new();
    for kind in KINDS {
        answers.push((kind, Answer::open(kind, &caller).await));
    }
    let gateway = SanctionTarget::Workload("spiffe://shop.example/gateway".into());
    fixture.strike(gateway).await;
    fixture.clock.advance(SECOND);
    for (kind, answer) in &mut answers {
        assert!(answer.ends().await, "{kind:?}");
    }
}
