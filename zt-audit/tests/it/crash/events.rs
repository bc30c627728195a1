//! Events that are told apart by their request, what became of them, and logs read back.

use std::{
    path::{Path, PathBuf},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::Duration,
};

use http::{Request, StatusCode};
use serde_json::{Map, Value};
use zt_audit::{note::SigningKey, read::LogReader};
use zt_core::{
    clock::{Clock as _, SystemClock, Timestamp},
    context::{HandlerRun, SecurityContext, Trail},
    decision::{Code, Denial, Permit},
    gate::{End, Settings},
    random::SeededEntropy,
    state::{
        Acknowledgement, AdminEvent, DecisionEvent, Durable, Event, OutcomeEvent, RecordError,
        Verdict,
    },
};

pub(crate) const ORIGIN: &str = "shop/1";

/// Longer than anything takes that is not stuck.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn trail() -> Arc<Trail> {
    let request = Request::get("/orders/7").body(()).unwrap();
    let (parts, ()) = request.into_parts();
    Arc::clone(SecurityContext::open(&parts, &Arc::new(Settings::default())).trail())
}

/// A permit and the request that it is for, as records name it.
pub(crate) fn permit(acknowledge: Acknowledgement) -> (String, Event) {
    let trail = trail();
    let name = trail.request_id().to_string();
    let event = Event::Decision(DecisionEvent {
        trail,
        verdict: Verdict::Permit(Permit::assertion("orders.create").finish()),
        acknowledge: Some(acknowledge),
    });
    (name, event)
}

pub(crate) fn denial() -> (String, Event) {
    let trail = trail();
    let name = trail.request_id().to_string();
    let event = Event::Decision(DecisionEvent {
        trail,
        verdict: Verdict::Deny(Denial::new(Code::PolicyDenied)),
        acknowledge: None,
    });
    (name, event)
}

pub(crate) fn outcome() -> (String, Event) {
    let trail = trail();
    let name = trail.request_id().to_string();
    let event = Event::Outcome(OutcomeEvent {
        trail,
        end: End::Complete,
        handler: HandlerRun::Reached,
        status: Some(StatusCode::OK),
        grpc_status: None,
        bytes: 12,
        elapsed: Duration::from_millis(3),
    });
    (name, event)
}

pub(crate) fn admin(author: &str, object: &str) -> Event {
    Event::Admin(AdminEvent {
        at: Timestamp::from_secs(1_893_456_000),
        author: Some(author.into()),
        action: "service-token.mint",
        object: object.into(),
        detail: None,
    })
}

/// What became of a record.
pub(crate) fn wait(durable: Durable) -> Result<(), RecordError> {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut task = Context::from_waker(&waker);
    let mut durable = pin!(durable);
    let begin = SystemClock.monotonic();
    loop {
        if let Poll::Ready(result) = durable.as_mut().poll(&mut task) {
            return result;
        }
        assert!(
            SystemClock.monotonic() - begin < PATIENCE,
            "a record is neither durable nor refused"
        );
        thread::park_timeout(PATIENCE);
    }
}

/// The key that logs of tests sign with.
pub(crate) fn signing_key(seed: u64) -> SigningKey {
    SigningKey::generate(ORIGIN, &SeededEntropy::new(seed)).unwrap()
}

/// The fields of all records, in order.
pub(crate) fn records(folder: &Path) -> Vec<Map<String, Value>> {
    let mut reader = LogReader::open(folder, 0).unwrap();
    let mut records = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        assert_eq!(entry.index, records.len() as u64);
        records.push(entry.fields().unwrap());
    }
    records
}

/// The requests that are recorded, in order.
pub(crate) fn requests(folder: &Path) -> Vec<String> {
    let name = |record: Map<String, Value>| Some(record.get("request_id")?.as_str()?.to_owned());
    records(folder).into_iter().filter_map(name).collect()
}

/// Whether the one stand among the others in the same order.
pub(crate) fn is_subsequence(of: &[String], all: &[String]) -> bool {
    let mut all = all.iter();
    of.iter().all(|wanted| all.any(|found| found == wanted))
}

/// Runs `point` for each of these numbers, on as many threads as there are processors.
pub(crate) fn each(points: Vec<u64>, point: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let workers = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        let run = || {
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(number) = points.get(usize::try_from(place).unwrap()) else {
                    return;
                };
                point(*number);
            }
        };
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(run)).collect();
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    });
}

/// A folder of a test's own, gone with it.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self::within(&std::env::temp_dir())
    }

    pub(crate) fn within(parent: &Path) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = parent.join(format!("zt-audit-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Copies a folder with everything in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
