//! Others that append to a file.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{Mutex, PoisonError},
};

use audit_trail::{Action, Actor, Chain, FileSink, MonotonicClock, Sha256Hasher, Target};
use tracing_appender::non_blocking::NonBlockingBuilder;
use zt_benches::{Options, Outcome, Report, median, span};
use zt_core::clock::{Clock, SystemClock};

use super::Folder;

type Log = Chain<Sha256Hasher, FileSink<BufWriter<File>>, MonotonicClock<audit_trail::SystemClock>>;

/// `audit-trail`, made durable after each record.
pub(super) struct Chained(Mutex<Log>);

impl Chained {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let sink = FileSink::open_or_create(path)?;
        let clock = MonotonicClock::new(audit_trail::SystemClock::new());
        Ok(Self(Mutex::new(Chain::new(
            Sha256Hasher::new(),
            sink,
            clock,
        ))))
    }

    pub(super) fn append(&self) -> io::Result<()> {
        let mut chain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chain
            .append(
                Actor::new("billing"),
                Action::new("orders.read"),
                Target::new("/orders/7"),
                audit_trail::Outcome::Success,
            )
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
        chain.sink_mut().sync()
    }
}

/// `tracing-appender`: what handing over a line costs, and how many a second reach the file, which
/// is never flushed to the disk.
pub(super) fn appender(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let folder = Folder::new("appender")?;
    let file = File::create(folder.path().join("lines"))?;
    let builder = NonBlockingBuilder::default().lossy(false);
    let (mut appender, guard) = builder.finish(file);
    let mut line = vec![b'x'; 429];
    line.push(b'\n');
    let begin = SystemClock.monotonic();
    let mut nanos = Vec::new();
    loop {
        let before = SystemClock.monotonic();
        appender.write_all(&line)?;
        let now = SystemClock.monotonic();
        nanos.push(now.saturating_sub(before).as_secs_f64() * 1e9);
        if now.saturating_sub(begin) > options.batch * 150 {
            break;
        }
    }
    drop(guard);
    let took = SystemClock.monotonic().saturating_sub(begin).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a count of lines")]
    let rate = nanos.len() as f64 / took;
    report.line(&format!(
        "tracing-appender 0.2.5, not lossy, 430-byte lines: handing over p50 {} with two readings of the clock, {rate:.0} a second, none of which is durable.",
        span(median(&nanos))
    ))?;
    Ok(())
}
