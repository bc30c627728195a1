//! Records a second that are on the disk, by so many callers that wait for theirs.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::Path,
    sync::{Mutex, PoisonError},
};

use sha2::{Digest, Sha256};
use zt_audit::{
    AuditLog, Options as LogOptions,
    verify::{Finding, Trust, verify},
};
use zt_benches::{Bar, Limit, Options, Outcome, Report, median, quantile, span, times};
use zt_core::{
    clock::{Clock, SystemClock},
    state::Recorder,
};

use super::{Failed, Folder, Run, against, callers_of, median_of, permit, roomy};
use crate::{bare::wait, raw_log::RawLog};

/// Bytes of a line of the raw log and of the naive chain.
const LINE: usize = 430;

const RAW: &str = "raw group commit";
const ZEROED: &str = "raw group commit, zeroed ahead";
const NAIVE: &str = "naive chain, one fdatasync an event";
const SEALED: &str = "AuditLog";
const CLEAR: &str = "AuditLog, personal fields in the clear";
#[cfg(feature = "peers-audit")]
const PEER: &str = "audit-trail 1.1.0, `sync` an event";

type Runs = Vec<(&'static str, Vec<Run>)>;

pub(super) fn durable(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut rows = Vec::new();
    let mut size = 0;
    for callers in [1, 16, 64, 256] {
        let (runs, bytes) = take_turns(callers, options)?;
        size = bytes;
        let of = |name| {
            let found = runs.iter().find(|(other, _)| *other == name);
            found.map_or(&[][..], |(_, runs)| runs.as_slice())
        };
        let floors = of(RAW);
        for (name, runs) in &runs {
            rows.push(vec![
                format!("{name}, {callers} callers"),
                format!("{:.0}", median_of(runs, |run| run.per_second)),
                span(median_of(runs, |run| run.p50)),
                span(median_of(runs, |run| run.p99)),
                times(against(runs, floors, |run| run.per_second)),
            ]);
        }
        for name in [SEALED, CLEAR] {
            for floor in [RAW, ZEROED] {
                report.bar(Bar::new(
                    format!("durable records a second, {callers} callers, {name}, against {floor}"),
                    Limit::AtLeast(0.8),
                    against(of(name), of(floor), |run| run.per_second),
                ));
            }
        }
        if callers == 64 {
            report.bar(Bar::new(
                "durable records a second, 64 callers, against the naive chain",
                Limit::AtLeast(12.0),
                against(of(SEALED), of(NAIVE), |run| run.per_second),
            ));
        }
    }
    report.table(
        "durable before the answer",
        &["", "per second", "p50", "p99", "× raw"],
        &rows,
    )?;
    report.line(&format!(
        "A line of the raw log, and of the naive chain, has {LINE} bytes; a record of ours, sealed and with its part of the commit line, {size}."
    ))?;
    lone(options, report)
}

/// The runs of all candidates, in turns: the disk is not the same from one second to the next.
/// And how many bytes a sealed record has.
fn take_turns(callers: usize, options: &Options) -> Result<(Runs, u64), Failed> {
    let folder = Folder::new(&format!("audit-{callers}"))?;
    let path = |name| folder.path().join(name);
    let sealed = AuditLog::open(path("sealed"), roomy())?;
    let in_clear: LogOptions = roomy().insecure_personal_data_in_clear();
    let clear = AuditLog::open(path("clear"), in_clear)?;
    let raw = RawLog::open(&path("raw"))?;
    let zeroed = RawLog::open_zeroed(&path("zeroed"))?;
    let naive = Naive::open(&path("naive"))?;
    #[cfg(feature = "peers-audit")]
    let peer = super::peers::Chained::open(&path("peer"))?;
    let line = vec![b'x'; LINE];
    let event = permit();

    let mut names = vec![RAW, ZEROED, SEALED, CLEAR];
    if callers < 256 {
        names.push(NAIVE);
    }
    #[cfg(feature = "peers-audit")]
    if callers == 64 {
        names.push(PEER);
    }
    let mut runs: Runs = names.iter().map(|name| (*name, Vec::new())).collect();
    for _ in 0..3 * options.runs {
        for (name, runs) in &mut runs {
            runs.push(match *name {
                RAW => wait(callers_of(callers, options, || raw.append(&line)))??,
                ZEROED => wait(callers_of(callers, options, || zeroed.append(&line)))??,
                SEALED => wait(callers_of(callers, options, || {
                    sealed.record(event.clone())
                }))??,
                CLEAR => wait(callers_of(callers, options, || clear.record(event.clone())))??,
                #[cfg(feature = "peers-audit")]
                PEER => threads_of(callers, options, || peer.append())?,
                _ => threads_of(callers, options, || naive.append(&line))?,
            });
        }
    }
    let key = sealed.verifier_key();
    sealed.close()?;
    clear.close()?;
    let proof = verify(path("sealed"), &Trust::key(key))?;
    if proof.finding != Finding::Sound {
        return Err(format!("the log that was measured: {proof}").into());
    }
    Ok((runs, proof.bytes / proof.records.max(1)))
}

/// One record at a time against what the disk takes for the same bytes.
fn lone(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let folder = Folder::new("lone")?;
    let path = folder.path().join("lone");
    let log = AuditLog::open(&path, roomy())?;
    let event = permit();
    let append = || wait(callers_of(1, options, || log.record(event.clone())));
    let segment = path.join("log/00000000000000000000.jsonl");
    let mut file = None;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for _ in 0..5 * options.runs {
        ours.push(append()??.p50);
        let file = match &mut file {
            Some(file) => file,
            // As long as one record and its commit line.
            None => file.insert(Lone::open(&folder.path().join("raw"), ends(&segment)?)?),
        };
        floors.push(file.run(options)?);
    }
    log.close()?;
    let ratios: Vec<f64> = ours
        .iter()
        .zip(&floors)
        .map(|(ours, floor)| ours / floor)
        .collect();
    let bytes = file.map_or(0, |file| file.bytes.len());
    report.line(&format!(
        "One record at a time: p50 {}; a write and `fdatasync` of the same {bytes} bytes, zeroed ahead: {}.",
        span(median(&ours)),
        span(median(&floors))
    ))?;
    report.bar(Bar::new(
        "one durable record at a time, p50, against a write and fdatasync of the same bytes",
        Limit::Times(1.3),
        median(&ratios),
    ));
    Ok(())
}

/// How many bytes the last record of a live segment has, with its commit line.
fn ends(segment: &Path) -> Result<usize, Failed> {
    let bytes = fs::read(segment)?;
    let lines = bytes.split(|byte| *byte == b'\n');
    let lengths: Vec<usize> = lines
        .filter(|line| line.first() == Some(&b'{'))
        .map(|line| line.len() + 1)
        .collect();
    match lengths.as_slice() {
        [.., record, commit] => Ok(record + commit),
        _ => Err("the segment has no record".into()),
    }
}

struct Lone {
    file: File,
    bytes: Vec<u8>,
    offset: u64,
}

const ZEROS: u64 = 8 << 20;

impl Lone {
    fn open(path: &Path, length: usize) -> io::Result<Self> {
        let file = File::create(path)?;
        for piece in 0..ZEROS >> 16 {
            file.write_all_at(&[0; 1 << 16], piece << 16)?;
        }
        file.sync_all()?;
        Ok(Self {
            file,
            bytes: vec![b'x'; length],
            offset: 0,
        })
    }

    fn run(&mut self, options: &Options) -> io::Result<f64> {
        let begin = SystemClock.monotonic();
        let mut nanos = Vec::new();
        while SystemClock.monotonic().saturating_sub(begin) < options.batch * 150 {
            let before = SystemClock.monotonic();
            self.file.write_all_at(&self.bytes, self.offset)?;
            self.file.sync_data()?;
            let took = SystemClock.monotonic().saturating_sub(before);
            nanos.push(took.as_secs_f64() * 1e9);
            self.offset += self.bytes.len() as u64;
            if self.offset + self.bytes.len() as u64 > ZEROS {
                self.offset = 0;
            }
        }
        Ok(median(&nanos))
    }
}

/// What is often made of a hash chain: hashed with the hash before, written and flushed, by one
/// after the other.
struct Naive(Mutex<(File, [u8; 32])>);

impl Naive {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self(Mutex::new((File::create(path)?, [0; 32]))))
    }

    fn append(&self, line: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, hash) = &mut *state;
        let mut hasher = Sha256::new();
        hasher.update(*hash);
        hasher.update(line);
        *hash = hasher.finalize().into();
        let mut bytes = line.to_vec();
        bytes.extend_from_slice(hash);
        file.write_all(&bytes)?;
        file.sync_data()
    }
}

/// So many threads that append one after the other.
fn threads_of(
    callers: usize,
    options: &Options,
    append: impl Fn() -> io::Result<()> + Sync,
) -> io::Result<Run> {
    let span = options.batch * 150;
    let begin = SystemClock.monotonic();
    let caller = || {
        let mut nanos = Vec::new();
        loop {
            let before = SystemClock.monotonic();
            append()?;
            let now = SystemClock.monotonic();
            nanos.push(now.saturating_sub(before).as_secs_f64() * 1e9);
            if now.saturating_sub(begin) > span {
                return Ok::<_, io::Error>(nanos);
            }
        }
    };
    let nanos = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..callers).map(|_| scope.spawn(caller)).collect();
        threads.into_iter().try_fold(Vec::new(), |mut all, thread| {
            let one = thread.join().map_err(|_| io::Error::other("a panic"))?;
            all.extend(one?);
            Ok::<_, io::Error>(all)
        })
    })?;
    let took = SystemClock.monotonic().saturating_sub(begin).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of records")]
    let count = nanos.len() as f64;
    Ok(Run {
        per_second: count / took,
        p50: median(&nanos),
        p99: quantile(&nanos, 0.99),
    })
}
