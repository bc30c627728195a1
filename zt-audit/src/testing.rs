//! Events, a disk that does as it is told, and logs read back.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use http::{Request, StatusCode};
use serde_json::Value;
use zt_core::{
    clock::Timestamp,
    context::{HandlerRun, SecurityContext, Trail},
    decision::{Code, Denial, Permit},
    gate::{End, Settings},
    state::{Acknowledgement, AdminEvent, DecisionEvent, Event, OutcomeEvent, Verdict},
};

use crate::{AuditLog, Options, Sink};

/// A disk in memory; clones share it.
#[derive(Clone, Default)]
pub(crate) struct Disk(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
pub(crate) struct State {
    /// What was taken.
    pub(crate) bytes: Vec<u8>,
    /// How much of that is durable.
    pub(crate) durable: usize,
    pub(crate) appends: usize,
    pub(crate) syncs: usize,
    /// At most so many bytes are taken at once.
    pub(crate) short: Option<usize>,
    /// Appends fail once so many bytes are there; as `ENOSPC` does, after taking what fits.
    pub(crate) space: Option<usize>,
    pub(crate) fail_append: Option<i32>,
    pub(crate) fail_sync: Option<i32>,
    held: bool,
    stalled: bool,
}

const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const EIO: i32 = 5;
pub(crate) const ENOSPC: i32 = 28;

impl Disk {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.0.lock().unwrap()
    }

    /// Flushes do not return from now on.
    pub(crate) fn hold(&self) {
        self.state().held = true;
    }

    pub(crate) fn release(&self) {
        self.state().held = false;
        self.0.1.notify_all();
    }

    /// Until a flush is under way and does not return.
    pub(crate) fn wait_until_stalled(&self) {
        let mut state = self.state();
        while !state.stalled {
            state = self.0.1.wait(state).unwrap();
        }
    }

    /// What would be there after a loss of power.
    pub(crate) fn durable(&self) -> Vec<u8> {
        let state = self.state();
        state.bytes[..state.durable].to_vec()
    }

    /// The durable records of the kinds that tests made.
    pub(crate) fn records(&self) -> Vec<Value> {
        let bytes = self.durable();
        parse(&bytes)
            .into_iter()
            .filter(|record| record["kind"] != "started")
            .collect()
    }
}

pub(crate) fn parse(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

impl Sink for Disk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.state();
        state.appends += 1;
        if let Some(error) = state.fail_append {
            return Err(io::Error::from_raw_os_error(error));
        }
        let mut taken = bytes.len().min(state.short.unwrap_or(usize::MAX));
        if let Some(space) = state.space {
            taken = taken.min(space - state.bytes.len());
            if taken == 0 {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
        }
        state.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.state();
        state.syncs += 1;
        while state.held {
            state.stalled = true;
            self.0.1.notify_all();
            // A test that failed while the disk was held ends too: its log waits for the disk.
            let (next, waited) = self.0.1.wait_timeout(state, PATIENCE).unwrap();
            state = next;
            if waited.timed_out() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        state.stalled = false;
        if let Some(error) = state.fail_sync {
            return Err(io::Error::from_raw_os_error(error));
        }
        state.durable = state.bytes.len();
        Ok(())
    }
}

/// A log into a disk in memory.
pub(crate) fn log() -> (AuditLog, Disk) {
    log_with(Options::default())
}

pub(crate) fn log_with(options: Options) -> (AuditLog, Disk) {
    let disk = Disk::default();
    (AuditLog::with_sink(disk.clone(), options).unwrap(), disk)
}

pub(crate) fn trail_of(request: http::request::Builder) -> Arc<Trail> {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Arc::clone(SecurityContext::open(&parts, &Arc::new(Settings::default())).trail())
}

pub(crate) fn trail() -> Arc<Trail> {
    trail_of(Request::get("/orders/7?secret=1"))
}

pub(crate) fn decision(trail: &Arc<Trail>, verdict: Verdict, awaited: bool) -> Event {
    Event::Decision(DecisionEvent {
        trail: Arc::clone(trail),
        verdict,
        acknowledge: awaited.then_some(Acknowledgement::Sync),
    })
}

pub(crate) fn permit() -> Event {
    let permit = Permit::assertion("orders.read").finish();
    decision(&trail(), Verdict::Permit(permit), true)
}

pub(crate) fn denial(code: Code) -> Event {
    decision(&trail(), Verdict::Deny(Denial::new(code)), false)
}

pub(crate) fn outcome(handler: HandlerRun) -> Event {
    Event::Outcome(OutcomeEvent {
        trail: trail(),
        end: End::Complete,
        handler,
        status: Some(StatusCode::OK),
        grpc_status: None,
        bytes: 12,
        elapsed: Duration::from_millis(3),
    })
}

pub(crate) fn admin(object: &str) -> Event {
    Event::Admin(AdminEvent {
        at: Timestamp::from_secs(1_893_456_000),
        author: Some("root".into()),
        action: "service-token.mint",
        object: object.into(),
        detail: None,
    })
}
