//! Logs to look at, made by the library.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use http::Request;
use zt_audit::{AuditLog, Options};
use zt_core::{
    clock::Timestamp,
    context::{HandlerRun, SecurityContext, Trail},
    decision::{Code, Denial, Permit},
    gate::{End, Settings},
    identity::{AuthMethod, Principal, PrincipalKind},
    state::{Acknowledgement, AdminEvent, DecisionEvent, Event, OutcomeEvent, Recorder, Verdict},
};

pub(crate) const ORIGIN: &str = "shop/1";
pub(crate) const ISSUER: &str = "https://id.example";

/// A folder that goes when it is dropped.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("zt-audit-it-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Where the log is.
    pub(crate) fn log(&self) -> PathBuf {
        self.path("audit")
    }

    /// Where its keys are.
    pub(crate) fn keys(&self) -> PathBuf {
        self.path("audit.keys")
    }

    /// Its verifier key.
    pub(crate) fn vkey(&self) -> String {
        let text = fs::read_to_string(self.keys().join("vkey")).unwrap();
        text.trim_end().to_owned()
    }

    /// Opens the log; small segments.
    pub(crate) fn open(&self) -> AuditLog {
        let options = Options::default().origin(ORIGIN).segment_bytes(64 << 10);
        AuditLog::open(self.log(), options).unwrap()
    }

    /// Writes these events, and closes the log.
    pub(crate) fn write(&self, events: impl IntoIterator<Item = Event>) {
        let log = self.open();
        for event in events {
            record(&log, event);
        }
        log.close().unwrap();
    }

    /// Writes so many permits into several segments, and closes the log.
    pub(crate) fn write_many(&self, count: u32) {
        let log = self.open();
        for number in 0..count {
            let event = permit("alice", &format!("/{number}"));
            if number % 64 == 0 {
                // A batch ends here: a segment is left only between batches.
                record(&log, event);
            } else {
                log.record(event).detach();
            }
        }
        log.close().unwrap();
    }

    /// How many segments there are.
    pub(crate) fn segments(&self) -> usize {
        fs::read_dir(self.log().join("log")).unwrap().count()
    }

    /// The first segment.
    pub(crate) fn segment(&self) -> PathBuf {
        self.log().join("log").join(format!("{:020}.jsonl", 0))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Records `event` and waits until it is durable.
pub(crate) fn record(log: &AuditLog, event: Event) {
    let runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = { runtime }.enable_all().build().unwrap();
    runtime.block_on(log.record(event)).unwrap();
}

pub(crate) fn trail(path: &str, agent: &str) -> Arc<Trail> {
    let request = Request::get(path).header("user-agent", agent.as_bytes());
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Arc::clone(SecurityContext::open(&parts, &Arc::new(Settings::default())).trail())
}

/// Somebody was permitted to read something.
pub(crate) fn permit(subject: &str, path: &str) -> Event {
    permit_to(subject, &trail(path, "curl/8.5"))
}

pub(crate) fn permit_to(subject: &str, trail: &Arc<Trail>) -> Event {
    let who = Principal::assertion(PrincipalKind::User, subject, AuthMethod::Jwt).issuer(ISSUER);
    let permit = Permit::assertion("orders.read").principal(Arc::new(who.finish()));
    Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict: Verdict::Permit(permit.finish()),
        acknowledge: Some(Acknowledgement::Sync),
    })
}

/// A stranger was denied.
pub(crate) fn denial(trail: &Arc<Trail>) -> Event {
    Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict: Verdict::Deny(Denial::new(Code::PolicyDenied)),
        acknowledge: None,
    })
}

pub(crate) fn outcome(trail: &Arc<Trail>) -> Event {
    Event::Outcome(OutcomeEvent {
        trail: Arc::clone(trail),
        end: End::Complete,
        handler: HandlerRun::Reached,
        status: Some(http::StatusCode::OK),
        grpc_status: None,
        bytes: 12,
        elapsed: std::time::Duration::from_millis(3),
    })
}

/// Somebody administered something at this second.
pub(crate) fn admin(author: &str, secs: u64) -> Event {
    Event::Admin(AdminEvent {
        at: Timestamp::from_secs(secs),
        author: Some(author.into()),
        action: "service-token.mint",
        object: "token-7".into(),
        detail: None,
    })
}

/// A copy of a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}
