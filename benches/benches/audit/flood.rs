//! Permits in the middle of a storm of refusals.

use std::{
    io::Write,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use axum::body::Body;
use http::{Request, StatusCode};
use tower::Layer;
use zt_audit::{
    AuditLog, Options as LogOptions, RecordAuditLayer,
    read::LogReader,
    verify::{Finding, Trust, verify},
};
use zt_benches::{Answer, Bar, Limit, Options, Outcome, Report, drive, span, times};
use zt_core::{
    clock::{Clock, SystemClock},
    context::{PeerAddr, SecurityContext},
    decision::{Code, Denial},
    gate::{FnCheck, GateLayer, Link, Settings},
    state::Recorder,
};

use super::{Folder, Run, against, callers_of, median_of, permit};
use crate::bare::{Bare, wait};

/// How many requests a second are refused.
const STORM: u64 = 50_000;
const CALLERS: usize = 64;

/// Durable permits a second alone, and while others are refused.
pub(super) fn flood(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let folder = Folder::new("flood")?;
    let path = folder.0.join("flood");
    let log = AuditLog::open(&path, LogOptions::default())?;
    let event = permit();
    let run = || wait(callers_of(CALLERS, options, || log.record(event.clone())));

    let kinds: [(&str, Option<u32>); 3] = [
        ("alone", None),
        ("refused from one address", Some(1)),
        ("refused from 100,000 addresses", Some(100_000)),
    ];
    let mut runs = [(); 3].map(|()| (Vec::new(), Vec::new()));
    let mut refusals = 0;
    for _ in 0..3 * options.runs {
        for ((_, sources), (runs, rates)) in kinds.iter().zip(&mut runs) {
            let storm = sources.map(|sources| Storm::begin(&log, sources));
            runs.push(run()??);
            if let Some(storm) = storm {
                let (count, rate) = storm.end()?;
                refusals += count;
                rates.push(rate);
            }
        }
    }
    let health = log.health();
    if (health.refused, health.lost) != (0, 0) {
        return Err("the storm took the place of something else".into());
    }
    let key = log.verifier_key();
    log.close()?;
    let proof = verify(&path, &Trust::key(key))?;
    if proof.finding != Finding::Sound {
        return Err(format!("the log that was measured: {proof}").into());
    }
    let told = told(&path)?;
    if told.decisions != refusals || told.outcomes < refusals {
        return Err(format!("{refusals} were refused, and the log tells {told:?}").into());
    }

    let alone = &runs[0].0;
    let mut rows = Vec::new();
    for ((name, _), (runs, rates)) in kinds.iter().zip(&runs) {
        rows.push(vec![
            format!("{CALLERS} callers, {name}"),
            format!("{:.0}", median_of(runs, |run| run.per_second)),
            span(median_of(runs, |run| run.p50)),
            span(median_of(runs, |run| run.p99)),
            times(against(runs, alone, |run| run.per_second)),
            rates.iter().min().map_or("-".to_owned(), u64::to_string),
        ]);
    }
    report.table(
        "durable permits under a flood of refusals",
        &[
            "",
            "per second",
            "p50",
            "p99",
            "× alone",
            "refused a second, at least",
        ],
        &rows,
    )?;
    report.line(&format!(
        "{refusals} requests were refused: {} of them are recorded in full, the rest is counted, `rolled-up` records: {}. The log tells each once, and is sound.",
        told.in_full, told.records
    ))?;
    for ((name, _), (runs, _)) in kinds.iter().zip(&runs).skip(1) {
        report.bar(Bar::new(
            format!("durable permits a second, {STORM} a second {name}, against alone"),
            Limit::AtLeast(0.5),
            against(runs, alone, |run: &Run| run.per_second),
        ));
    }
    Ok(())
}

/// Requests that are refused by a gate, at a steady rate, on a thread of their own.
struct Storm {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Result<(u64, u64), String>>,
}

impl Storm {
    fn begin(log: &AuditLog, sources: u32) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let record = RecordAuditLayer::new(log.clone());
        let refuse = FnCheck::new(|_: &mut http::request::Parts, _: &mut SecurityContext| {
            Err(Denial::new(Code::CredentialInvalid))
        });
        let chain = Link::first(record.clone())
            .then(refuse)
            .then(record.commit());
        let mut gate = GateLayer::new(chain, Settings::shared_default()).layer(Bare);
        let until = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let begin = SystemClock.monotonic();
            let mut count = 0;
            loop {
                let passed = SystemClock.monotonic().saturating_sub(begin);
                if until.load(Ordering::Relaxed) {
                    let rate = u128::from(count) * 1_000_000 / passed.as_micros().max(1);
                    return Ok((count, u64::try_from(rate).unwrap_or(u64::MAX)));
                }
                let due = passed.as_micros() * u128::from(STORM) / 1_000_000;
                while u128::from(count) < due {
                    #[expect(clippy::cast_possible_truncation, reason = "below a u32")]
                    let source = (count % u64::from(sources)) as u32;
                    let answer = drive(&mut gate, request(source));
                    if answer != Answer::Response(StatusCode::UNAUTHORIZED) {
                        return Err(format!("not refused: {answer:?}"));
                    }
                    count += 1;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
        });
        Self { ends, thread }
    }

    /// How many were refused, and how many a second.
    fn end(self) -> Result<(u64, u64), String> {
        self.ends.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| "the storm panicked")?
    }
}

fn request(source: u32) -> Request<Body> {
    let address = IpAddr::from((0x0a00_0000 + source).to_be_bytes());
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = http::Uri::from_static("/orders/7");
    request
        .extensions_mut()
        .insert(PeerAddr((address, 4711).into()));
    request
}

/// What a log tells of refusals.
#[derive(Debug, Default)]
struct Told {
    decisions: u64,
    outcomes: u64,
    in_full: u64,
    records: u64,
}

fn told(path: &std::path::Path) -> Result<Told, Box<dyn std::error::Error + Send + Sync>> {
    let mut told = Told::default();
    let mut log = LogReader::open(path, 0)?;
    while let Some(entry) = log.next()? {
        let record = entry.fields()?;
        let number = |name: &str| record.get(name).and_then(|count| count.as_u64());
        let word = |name: &str| record.get(name).and_then(|word| word.as_str());
        match word("kind") {
            Some("decision") if word("decision") == Some("deny") => {
                told.decisions += 1;
                told.in_full += 1;
            }
            Some("outcome") => told.outcomes += 1,
            Some("rolled-up") => {
                told.records += 1;
                let denied = record.get("denied").and_then(|denied| denied.as_object());
                let denied = denied.into_iter().flat_map(|denied| denied.values());
                told.decisions += denied.filter_map(|count| count.as_u64()).sum::<u64>();
                told.outcomes += number("outcomes").unwrap_or(0);
            }
            _ => {}
        }
    }
    Ok(told)
}
