//! The audit log: what handing over costs the caller, and how many records a second are durable.

mod durable;
mod flood;
#[cfg(feature = "peers-audit")]
mod peers;
mod reading;

use std::{
    collections::HashMap,
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::{Request, StatusCode};
use tower::Layer;
use zt_audit::{
    AuditLog, Options as LogOptions, RecordAuditLayer,
    note::SigningKey,
    storage::{Place, Storage, StorageFile},
};
use zt_benches::{Bar, Group, Kind, Options, Outcome, Report, Template, median, quantile, span};
use zt_core::{
    authorize::{AnyAuthenticated, AuthorizeLayer},
    clock::{Clock, SystemClock},
    context::SecurityContext,
    decision::{Code, Permit},
    gate::{GateLayer, Link, Settings},
    identity::{AuthMethod, Principal, PrincipalKind},
    random::OsEntropy,
    state::{Acknowledgement, DecisionEvent, Durable, Event, Events, Recorder, Verdict},
};

use crate::{
    bare::{BARE, Bare},
    limit::Named,
};

pub(crate) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    report.section("audit")?;
    handing_over(options, report)?;
    if options.only.is_none() {
        asleep(options, report)?;
        seldom(options, report)?;
        durable::durable(options, report)?;
        #[cfg(feature = "peers-audit")]
        peers::appender(options, report)?;
        reading::run(options, report)?;
        flood::flood(options, report)?;
    }
    Ok(())
}

/// What the thread that serves the request pays. The writer runs beside it, into nowhere.
fn handing_over(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let busy = Enqueues::busy()?;
    let event = permit();
    let request = Template::get("/orders");
    let ok = (&request, StatusCode::OK);

    let mut group = Group::new("cost to the caller, who does not wait; a flush takes 150 µs");
    group.service(Kind::Base, BARE, "", Bare, ok, &[])?;
    let log = busy.clone();
    group.function(Kind::Zt, RECORD, "no request", move || {
        log.record(event.clone()).detach();
    });
    let batched = permit_as(Acknowledgement::Batched);
    let log = busy.clone();
    group.function(Kind::Zt, BATCHED, "no request", move || {
        log.record(batched.clone()).detach();
    });
    let in_full = roomy().denials_in_full(u32::MAX);
    for (name, log) in [
        (DENIED, nowhere(FLUSH, in_full)?),
        (COUNTED, nowhere(FLUSH, roomy().denials_in_full(0))?),
    ] {
        let event = denial();
        group.function(Kind::Zt, name, "no request", move || {
            log.record(event.clone()).detach();
        });
    }
    let named = Link::first(Named::new()).then(AuthorizeLayer::new(AnyAuthenticated));
    let bare = GateLayer::new(named.clone(), Settings::shared_default()).layer(Bare);
    group.service(Kind::Zt, UNRECORDED, "", bare, ok, &[])?;
    let recorded = |into: Enqueues| {
        let record = RecordAuditLayer::new(into);
        let chain = Link::first(record.clone())
            .then(Named::new())
            .then(AuthorizeLayer::new(AnyAuthenticated))
            .then(record.commit());
        GateLayer::new(chain, Settings::shared_default()).layer(Bare)
    };
    let note = "a decision and an outcome";
    group.service(
        Kind::Zt,
        "the same, recorded",
        note,
        recorded(busy),
        ok,
        &[],
    )?;
    let idle = recorded(Enqueues::idle()?);
    group.service(
        Kind::Zt,
        "the same, recorded by a writer that sleeps",
        "flushes at once; often woken",
        idle,
        ok,
        &[],
    )?;
    let measured = group.measure(options)?;
    report.group(&measured)?;
    if options.only.is_none() {
        let bar = report.nanos(2_000.0);
        for name in [RECORD, BATCHED] {
            report.bar(Bar::new(
                format!("handing a record over, the writer in a flush: {name}"),
                bar,
                measured.median(name)?,
            ));
        }
    }
    Ok(())
}

/// One record at a time, each of which finds the writer asleep.
fn asleep(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let log = nowhere(Duration::ZERO, roomy())?;
    let event = permit();
    let nanos: Vec<f64> = (0..options.rounds * 20)
        .map(|_| {
            let begin = SystemClock.monotonic();
            log.record(event.clone()).detach();
            let took = SystemClock.monotonic().saturating_sub(begin);
            while log.health().waiting > 0 {
                std::hint::spin_loop();
            }
            let until = SystemClock.monotonic() + Duration::from_micros(100);
            while SystemClock.monotonic() < until {
                std::hint::spin_loop();
            }
            took.as_secs_f64() * 1e9
        })
        .collect();
    let p50 = median(&nanos);
    report.line(&format!(
        "`AuditLog::record` that finds the writer asleep and wakes it: p50 {}, p99 {}, with two readings of the clock.",
        span(p50),
        span(quantile(&nanos, 0.99))
    ))?;
    report.bar(Bar::new(
        "handing a record to a writer that sleeps, p50",
        report.nanos(2_000.0),
        p50,
    ));
    Ok(())
}

/// A thousand records a second, none of which anybody waits for.
fn seldom(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let log = nowhere(FLUSH, roomy())?;
    let event = permit_as(Acknowledgement::Batched);
    let nanos: Vec<f64> = (0..options.rounds * 5)
        .map(|_| {
            std::thread::sleep(Duration::from_micros(900));
            let event = event.clone();
            let begin = SystemClock.monotonic();
            log.record(event).detach();
            SystemClock.monotonic().saturating_sub(begin).as_secs_f64() * 1e9
        })
        .collect();
    let p50 = median(&nanos);
    report.line(&format!(
        "`AuditLog::record`, batched, a thousand times a second: p50 {}, p99 {}, with two readings of the clock.",
        span(p50),
        span(quantile(&nanos, 0.99))
    ))?;
    report.bar(Bar::new(
        "handing a batched record over, a thousand a second, p50",
        report.nanos(2_000.0),
        p50,
    ));
    Ok(())
}

/// What a flush takes here; see the table of durable records.
const FLUSH: Duration = Duration::from_micros(150);
const RECORD: &str = "AuditLog::record";
const BATCHED: &str = "AuditLog::record, batched";
const DENIED: &str = "AuditLog::record, a denial, in full";
const COUNTED: &str = "AuditLog::record, a denial, counted";
const UNRECORDED: &str = "a named caller, permitted";

/// Figures of one run.
struct Run {
    per_second: f64,
    p50: f64,
    p99: f64,
}

fn median_of(runs: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    median(&runs.iter().map(figure).collect::<Vec<_>>())
}

/// The median ratio of runs that took turns.
fn against(runs: &[Run], floors: &[Run], figure: impl Fn(&Run) -> f64) -> f64 {
    let pairs = runs.iter().zip(floors);
    median(
        &pairs
            .map(|(mine, floor)| figure(mine) / figure(floor))
            .collect::<Vec<_>>(),
    )
}

/// `callers` tasks of one thread; each appends, waits until that is durable, and begins again.
async fn callers_of<F, D>(callers: usize, options: &Options, append: F) -> io::Result<Run>
where
    F: Fn() -> D,
    D: Future<Output: IsDurable>,
{
    let span = options.batch * 150;
    let begin = SystemClock.monotonic();
    let caller = || async {
        let mut nanos = Vec::new();
        loop {
            let before = SystemClock.monotonic();
            if !append().await.is_durable() {
                return Err(io::Error::other("a record was not taken"));
            }
            let now = SystemClock.monotonic();
            nanos.push(now.saturating_sub(before).as_secs_f64() * 1e9);
            if now.saturating_sub(begin) > span {
                return Ok(nanos);
            }
        }
    };
    let all = futures_util::future::try_join_all((0..callers).map(|_| caller())).await?;
    let took = SystemClock.monotonic().saturating_sub(begin).as_secs_f64();
    let nanos = all.concat();
    #[expect(clippy::cast_precision_loss, reason = "a count of records")]
    let count = nanos.len() as f64;
    Ok(Run {
        per_second: count / took,
        p50: median(&nanos),
        p99: quantile(&nanos, 0.99),
    })
}

/// Whether what was appended is there.
trait IsDurable {
    fn is_durable(&self) -> bool;
}

impl<E> IsDurable for Result<(), E> {
    fn is_durable(&self) -> bool {
        self.is_ok()
    }
}

/// A permit as a stack would record it.
fn permit() -> Event {
    permit_as(Acknowledgement::Sync)
}

fn permit_as(acknowledge: Acknowledgement) -> Event {
    let request = Request::get("/orders/7?page=2")
        .header("host", "shop.example")
        .header("user-agent", "bench/1.0");
    let (parts, ()) = request.body(()).unwrap_or_default().into_parts();
    let mut cx = SecurityContext::open(&parts, &Settings::shared_default());
    let who = Principal::assertion(PrincipalKind::Service, "billing", AuthMethod::ServiceToken);
    cx.set_principal(Arc::new(
        who.issuer("service-tokens").token("x8Yh2kPq0LmN").finish(),
    ));
    Event::Decision(DecisionEvent {
        trail: Arc::clone(cx.trail()),
        verdict: Verdict::Permit(Permit::assertion("orders.read").finish()),
        acknowledge: Some(acknowledge),
    })
}

/// A denial of the same request.
fn denial() -> Event {
    match permit() {
        Event::Decision(event) => Event::Decision(DecisionEvent {
            acknowledge: None,
            verdict: Verdict::Deny(Code::PolicyDenied.into()),
            ..event
        }),
        other => other,
    }
}

/// Room for what a batch hands over before the writer has had its turn.
pub(crate) fn roomy() -> LogOptions {
    LogOptions::default()
        .max_records(1 << 21)
        .max_bytes(1 << 32)
}

/// Hands over to a real log and waits for nothing: what is left is the caller's part.
#[derive(Debug, Clone)]
pub(crate) struct Enqueues(AuditLog);

impl Enqueues {
    /// Into a log that keeps nothing and takes as long to flush as a disk: under load its writer
    /// is in a flush whenever something is handed over.
    pub(crate) fn busy() -> Result<Self, Failed> {
        nowhere(FLUSH, roomy()).map(Self)
    }

    /// Into a log that keeps nothing and flushes at once: its writer sleeps whenever something is
    /// handed over, and has to be woken, as in an application with little to do.
    pub(crate) fn idle() -> Result<Self, Failed> {
        nowhere(Duration::ZERO, roomy()).map(Self)
    }
}

impl Recorder for Enqueues {
    fn record(&self, event: Event) -> Durable {
        self.0.record(event).detach();
        Durable::done(Ok(()))
    }

    fn subscribe(&self, capacity: usize) -> Events {
        self.0.subscribe(capacity)
    }
}

type Failed = Box<dyn std::error::Error + Send + Sync>;

/// A log that keeps nothing, and takes as long for a flush as it is told.
fn nowhere(flush: Duration, options: LogOptions) -> Result<AuditLog, Failed> {
    let key = SigningKey::generate("bench", &OsEntropy)?;
    let storage = Nowhere {
        flush,
        lengths: Mutex::default(),
    };
    Ok(AuditLog::with_storage(
        Arc::new(storage),
        key,
        None,
        options,
    )?)
}

/// Only how long its files are is known.
#[derive(Debug)]
struct Nowhere {
    flush: Duration,
    lengths: Mutex<HashMap<String, Arc<AtomicU64>>>,
}

#[derive(Debug)]
struct NoFile {
    flush: Duration,
    length: Arc<AtomicU64>,
}

impl Storage for Nowhere {
    fn lock(&self, _: &str) -> io::Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }

    fn open(&self, name: &str, create: bool) -> io::Result<Box<dyn StorageFile>> {
        let mut lengths = self.lengths.lock().unwrap_or_else(PoisonError::into_inner);
        if create {
            lengths.insert(name.to_owned(), Arc::default());
        }
        let length = lengths.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(NoFile {
            flush: self.flush,
            length: Arc::clone(length),
        }))
    }

    fn replace(&self, _: &str, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &str) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for NoFile {
    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let end = offset + bytes.len() as u64;
        self.length.fetch_max(end, Ordering::Relaxed);
        Ok(bytes.len())
    }

    fn sync(&mut self) -> io::Result<()> {
        if !self.flush.is_zero() {
            std::thread::sleep(self.flush);
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.length.load(Ordering::Relaxed))
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.length.store(length, Ordering::Relaxed);
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<Place> {
        Ok(Place::Named)
    }
}

/// A folder on the disk that the build uses; gone when it is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> io::Result<Self> {
        let name = format!("{name}-{}", std::process::id());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
