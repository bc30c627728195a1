//! How far long work has come, on a terminal.

use std::{fmt, time::Duration};

use super::Io;

/// A line on standard error that is written over, at most a few times a second.
#[derive(Debug)]
pub(super) struct Meter {
    what: &'static str,
    last: Option<Duration>,
    shown: bool,
    calls: u32,
}

/// Work that is over before shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);
const INTERVAL: Duration = Duration::from_millis(200);
/// The clock is asked once in so many calls.
const STRIDE: u32 = 1024;

impl Meter {
    pub(super) fn new(what: &'static str, io: &Io<'_, '_>) -> Self {
        let begin = io.around.shows_progress.then(|| {
            let start = io.around.clock.monotonic();
            start + PATIENCE.saturating_sub(INTERVAL)
        });
        Self {
            what,
            last: begin,
            shown: false,
            calls: 0,
        }
    }

    /// The work is at record `index`; asked for each.
    pub(super) fn at(&mut self, index: u64, io: &mut Io<'_, '_>) {
        self.calls = self.calls.wrapping_add(1);
        if self.calls.is_multiple_of(STRIDE) {
            self.show(format_args!("record {index}"), io);
        }
    }

    /// So much of so much is done; asked now and then.
    pub(super) fn share(&mut self, done: u64, total: u64, io: &mut Io<'_, '_>) {
        let percent = done.saturating_mul(100).checked_div(total).unwrap_or(100);
        self.show(format_args!("{}%", percent.min(100)), io);
    }

    fn show(&mut self, place: fmt::Arguments<'_>, io: &mut Io<'_, '_>) {
        let Some(last) = self.last else { return };
        let now = io.around.clock.monotonic();
        if now.saturating_sub(last) < INTERVAL {
            return;
        }
        self.last = Some(now);
        self.shown = true;
        // Nothing depends on it.
        let _ = write!(io.around.err, "\r{} {place} ..\u{1b}[K", self.what);
        let _ = io.around.err.flush();
    }

    /// Takes the line away.
    pub(super) fn clear(&mut self, io: &mut Io<'_, '_>) {
        if std::mem::take(&mut self.shown) {
            let _ = write!(io.around.err, "\r\u{1b}[K");
            let _ = io.around.err.flush();
        }
    }
}
