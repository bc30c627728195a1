//! Ten thousand requests at once, dropped at random points: what was permitted is settled, and each
//! request has one decision and one outcome in a log that verifies.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http_body::{Body, Frame};
use http_body_util::{Empty, StreamBody};
use tower::{Layer, ServiceExt, service_fn};
use zt_audit::{AuditLog, Options, RecordAuditLayer, verify::Finding};
use zt_core::{
    authorize::{Access, AuthorizeLayer},
    body::RequestBody,
    clock::SystemClock,
    context::{PeerAddr, SecurityContext, Stage},
    gate::{Check, Guard, Settlement, Step},
    service_token::{MintRequest, ServiceTokenConfig, ServiceTokens, VerifyServiceTokenLayer},
    stack::{ZeroTrust, slots::Spends},
    store::MemoryStore,
};
use zt_examples::audit;
use zt_ratelimit::{LimitRateLayer, Quota};

const REQUESTS: u64 = 10_000;

/// Counts what is held and what is settled, as a budget would.
#[derive(Debug, Clone, Default)]
struct Ledger(Arc<(AtomicU64, AtomicU64)>);

struct Hold(Ledger);

impl Check for Ledger {
    type Guard = Hold;

    const NAME: &'static str = "ledger";
    const STAGE: Stage = Stage::Spend;

    fn check(&self, _: &mut http::request::Parts, _: &mut SecurityContext) -> Step<Hold> {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        Step::pass(Hold(self.clone()))
    }
}

impl Guard for Hold {
    fn settle(&mut self, _: &Settlement<'_>) {
        self.0.0.1.fetch_add(1, Ordering::SeqCst);
    }
}

impl Spends for Ledger {}

/// A small generator, so that a failure can be played again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

async fn wander(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Polls `future` at most `times` times; then it is dropped where it stands.
async fn polled_at_most<F: Future>(times: u64, future: F) -> Option<F::Output> {
    let mut left = times;
    let mut future = pin!(future);
    std::future::poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        let polled = future.as_mut().poll(task).map(Some);
        if polled.is_pending() && left == 0 {
            // Dropped at the next turn, whether or not anything woke it.
            task.waker().wake_by_ref();
        }
        polled
    })
    .await
}

type Chunks =
    StreamBody<Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>>;

/// Wanders, then streams a body that wanders too; panics now and then.
async fn handler(
    request: http::Request<RequestBody<Empty<Bytes>>>,
) -> Result<http::Response<Chunks>, Infallible> {
    let seed = request.headers()["x-seed"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut chance = Chance(seed);
    wander(chance.below(4)).await;
    assert_ne!(chance.below(50), 0, "the handler has a bug");
    let chunks = chance.below(4);
    let body = stream::unfold(chunks, |left| async move {
        tokio::task::yield_now().await;
        let frame = Ok(Frame::data(Bytes::from_static(b"chunk")));
        (left > 0).then(|| (frame, left - 1))
    });
    let body: Pin<Box<dyn stream::Stream<Item = _> + Send>> = Box::pin(body);
    Ok(http::Response::new(StreamBody::new(body)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_requests_dropped_at_random_points_balance() {
    super::quiet_handlers();
    let path = std::env::temp_dir().join(format!("zt-race-{}", std::process::id()));
    audit::remove(&path).unwrap();
    let log = AuditLog::open(&path, Options::default().denials_in_full(u32::MAX)).unwrap();
    let store = Arc::new(MemoryStore::new(SystemClock));
    let tokens = ServiceTokens::open(store, SystemClock, ServiceTokenConfig::new("test"))
        .await
        .unwrap();
    let token = tokens
        .mint(MintRequest::new("client", "test").insecure_never_expires())
        .await
        .unwrap();
    let ledger = Ledger::default();
    let quota = |name| Quota::new(name, 1_000_000, Duration::from_secs(1)).unwrap();
    let zt = ZeroTrust::builder()
        .record(RecordAuditLayer::new(log.clone()))
        .limit_peer(LimitRateLayer::by_peer(quota("peer")))
        .authenticate(VerifyServiceTokenLayer::new(tokens))
        .authorize(AuthorizeLayer::new(|access: &Access<'_>| {
            access.path() != "/denied"
        }))
        .limit(LimitRateLayer::by_principal(quota("principal")))
        .charge(ledger.clone())
        .build()
        .unwrap();
    let service = zt.layer(service_fn(handler));

    let mut tasks = Vec::new();
    for index in 0..REQUESTS {
        let (service, token) = (service.clone(), token.clear.expose().to_owned());
        tasks.push(tokio::spawn(async move {
            let mut chance = Chance(index.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
            let path = if chance.below(10) == 0 {
                "/denied"
            } else {
                "/orders"
            };
            let mut request = http::Request::builder()
                .method(if chance.below(2) == 0 { "POST" } else { "GET" })
                .uri(path)
                .header("host", "localhost")
                .header("x-seed", chance.below(u64::MAX) | 1)
                .extension(PeerAddr(([127, 0, 0, 1], 9).into()));
            if chance.below(10) != 0 {
                request = request.header("x-service-token", token);
            }
            let request = request.body(Empty::new()).unwrap();
            // A third is dropped while it runs, a third while its body flows.
            let patience = if chance.below(3) == 0 {
                chance.below(6)
            } else {
                u64::MAX
            };
            let call = service.oneshot(request);
            let Some(Ok(response)) = polled_at_most(patience, call).await else {
                return patience == 0;
            };
            let patience = if chance.below(3) == 0 {
                chance.below(4)
            } else {
                u64::MAX
            };
            let mut body = Box::pin(response.into_body());
            let read = async {
                while let Some(frame) =
                    std::future::poll_fn(|task| body.as_mut().poll_frame(task)).await
                {
                    frame.unwrap();
                }
            };
            polled_at_most(patience, read).await;
            false
        }));
    }
    // A request that was never polled never reached the gate.
    let mut unborn = 0;
    for task in tasks {
        unborn += u64::from(task.await.unwrap());
    }
    log.close().unwrap();

    let (held, settled) = (
        ledger.0.0.load(Ordering::SeqCst),
        ledger.0.1.load(Ordering::SeqCst),
    );
    assert_eq!(held, settled, "what was held is settled, once");
    assert!(held > REQUESTS / 2, "{held} were permitted");

    let report = audit::check(&path).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    let mut seen: HashMap<String, (u32, u32)> = HashMap::new();
    let mut ends: HashMap<String, u32> = HashMap::new();
    for record in audit::records(&path).unwrap() {
        let id = record["request_id"].as_str().unwrap_or_default().to_owned();
        match record["kind"].as_str().unwrap() {
            "decision" => {
                seen.entry(id).or_default().0 += 1;
                *ends
                    .entry(record["decision"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            "outcome" => {
                seen.entry(id).or_default().1 += 1;
                *ends
                    .entry(record["end"].as_str().unwrap().to_owned())
                    .or_default() += 1;
            }
            "rolled-up" => panic!("the queue has room for a test: {record}"),
            _ => {}
        }
    }
    println!("{REQUESTS} requests, {unborn} never polled, {held} held and settled: {ends:?}");
    assert_eq!(seen.len() as u64, REQUESTS - unborn);
    let unequal: Vec<_> = seen
        .iter()
        .filter(|(_, counts)| **counts != (1, 1))
        .collect();
    assert!(
        unequal.is_empty(),
        "{} unequal: {:?}",
        unequal.len(),
        unequal.first()
    );
    assert!(
        ends["abandoned"] > 500 && ends["complete"] > 500,
        "{ends:?}"
    );
    audit::remove(&path).unwrap();
}
