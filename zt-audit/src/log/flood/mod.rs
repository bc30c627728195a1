//! Floods of refusals, rolled up before the queue.
//!
//! It protects the log's disk, its queue and whoever reads it from strangers, who can be refused as
//! often as they like. No refusal is dropped, and none waits: what is not recorded in full is counted.
//!
//! 1. Only the decision on a request whose handler was not called, and that nothing waits for, can
//!    be rolled up: a denial, or `undecided`. Never a permit, a decision that an effect waits for,
//!    anything of a request whose handler ran, or anything that is not of a request.
//! 2. The first [`denials_in_full`](super::Options::denials_in_full) of a
//!    [window](super::Options::denial_window) by source and reason are recorded in full, each
//!    further one is counted.
//! 3. The source is the client's IPv4 address, or the /64 of its IPv6 address, since whoever has one
//!    address of a /64 has all of them; clients without an address are one source. The reason is
//!    the denial's code, or `undecided`.
//! 4. Windows are those of the requests' own time. They go on only: a request that was opened in an
//!    earlier window and is refused now counts in the one that stands, so that nobody begins a
//!    window anew by being slow.
//! 5. Of one request both halves are told alike. The [`Trail`] of one whose decision was counted says
//!    so, and its outcome is counted too, in the same place. Exception: where the handler was called
//!    after all, its outcome is recorded in full.
//! 6. There are counts for at most [`denial_sources`](super::Options::denial_sources) pairs of source
//!    and reason in a window. Further sources are one source, `others`, by reason: still exact.
//! 7. What has no place in the queue is counted here as well.
//! 8. The counts are written as `rolled-up` records when the window is over: when the first refusal
//!    of the next one comes, or the log looks ([`sweep`](Flood::sweep)), or it is closed. While the
//!    counts before are not written yet, as where a disk hangs, the window goes on.
//!
//! Memory is bounded by 6.: about 1 MiB where a window has been full, kept from then on. Nothing is
//! allocated for a refusal whose source is known.
//!
//! # What it does not do
//!
//! A crash loses the counts of the window that stands, as it loses what waits in the queue: nothing
//! has waited for either. Whoever has many addresses, or many /64s, has as many refusals recorded in
//! full; the bound is 6. times 2., and then the queue's own.

#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use zt_core::{
    clock::Timestamp,
    context::{HandlerRun, Trail},
    decision::{Code, Denial},
    state::{DecisionEvent, Event, Verdict},
};

use crate::record::{Refusals, RolledUp, Source};

/// When refusals are counted instead of recorded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// So many of a window are recorded in full, by source and reason.
    pub(super) in_full: u32,
    /// How long a window is.
    pub(super) window: Duration,
    /// So many pairs of source and reason are told apart.
    pub(super) sources: usize,
}

/// Counts refusals; see the [module](self).
#[derive(Debug)]
pub(super) struct Flood {
    in_full: u32,
    /// In microseconds; not zero.
    window: u64,
    sources: usize,
    table: Mutex<Table>,
    /// A copy of whether [`Table::over`] has anything in it.
    due: AtomicBool,
}

#[derive(Debug, Default)]
struct Table {
    /// Which window stands, counted from the epoch.
    window: u64,
    /// Since when, as far as sweeps have seen.
    since: Option<Duration>,
    rows: Rows,
    /// Whether any row of the window counts anything.
    counts: bool,
    /// Rows of the window before, until they are taken.
    over: Rows,
    /// All that was ever counted.
    total: u64,
    /// Nobody takes any more.
    ended: bool,
}

type Rows = HashMap<Key, Row>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    source: Source,
    /// `None`: no decision was made.
    code: Option<Code>,
}

#[derive(Debug, Clone, Copy)]
struct Row {
    /// How many decisions of the window were recorded in full.
    in_full: u32,
    decisions: u64,
    outcomes: u64,
    from: Timestamp,
    to: Timestamp,
}

/// What is to be done with an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// It is recorded in full.
    Full,
    /// It was counted.
    Counted,
}

impl Flood {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            in_full: rules.in_full,
            window: u64::try_from(rules.window.as_micros())
                .unwrap_or(u64::MAX)
                .max(1),
            sources: rules.sources,
            table: Mutex::default(),
            due: AtomicBool::new(false),
        }
    }

    /// Whether `event`, which is told of a request whose handler did not run, is recorded in full.
    pub(super) fn admit(&self, event: &Event) -> Admission {
        match event {
            Event::Decision(event) if can_flood(event) => self.decide(event),
            // The half of one that was counted.
            Event::Outcome(outcome) if outcome.trail.is_rolled_up() => {
                self.count(event);
                Admission::Counted
            }
            _ => Admission::Full,
        }
    }

    fn decide(&self, event: &DecisionEvent) -> Admission {
        let trail = &*event.trail;
        let at = trail.opened_at();
        let mut table = self.table();
        if table.ended {
            return Admission::Full;
        }
        self.turn(&mut table, at.as_micros() / self.window);
        let row = table.row(Key::of(trail, code_of(&event.verdict)), self.sources, at);
        if row.in_full < self.in_full {
            row.in_full += 1;
            return Admission::Full;
        }
        row.count(at, true);
        table.counts = true;
        table.total += 1;
        drop(table);
        trail.roll_up();
        Admission::Counted
    }

    /// Counts `event`, which has no place elsewhere. Once the counts are at their end it only shows
    /// in the total.
    pub(super) fn count(&self, event: &Event) {
        let (trail, code) = match event {
            Event::Decision(event) => (&event.trail, code_of(&event.verdict)),
            Event::Outcome(event) => {
                let denial = event.trail.denial();
                (&event.trail, denial.map(Denial::code))
            }
            _ => return,
        };
        let is_decision = matches!(event, Event::Decision(_));
        if is_decision {
            trail.roll_up();
        }
        let at = trail.opened_at();
        let mut table = self.table();
        table.total += 1;
        if table.ended {
            return;
        }
        self.turn(&mut table, at.as_micros() / self.window);
        let row = table.row(Key::of(trail, code), self.sources, at);
        row.count(at, is_decision);
        table.counts = true;
    }

    /// Ends a window that has stood for long enough by the monotonic clock, though no refusal came
    /// to end it, and whatever the clock on the wall did meanwhile. Whether there is anything to
    /// write. To be called each second or so.
    pub(super) fn sweep(&self, now: Duration) -> bool {
        let mut table = self.table();
        if table.rows.is_empty() {
            table.since = None;
        } else {
            let since = *table.since.get_or_insert(now);
            let window = Duration::from_micros(self.window);
            if now.saturating_sub(since) >= window {
                let same = table.window;
                self.begin(&mut table, same);
            }
        }
        drop(table);
        self.is_due()
    }

    /// Whether counts of a window that is over wait to be written.
    pub(super) fn is_due(&self) -> bool {
        self.due.load(Ordering::Acquire)
    }

    /// For the writer: what is to be written, in pieces of a record each.
    pub(super) fn take(&self) -> Vec<RolledUp> {
        let mut table = self.table();
        self.due.store(false, Ordering::Release);
        pieces(&mut table.over)
    }

    /// For the writer, once nothing more is taken: all there is. Nothing is counted afterwards.
    pub(super) fn end(&self) -> Vec<RolledUp> {
        let mut table = self.table();
        table.ended = true;
        self.due.store(false, Ordering::Release);
        let mut all = pieces(&mut table.over);
        all.append(&mut pieces(&mut table.rows));
        all
    }

    /// How many events were counted instead of recorded.
    pub(super) fn total(&self) -> u64 {
        self.table().total
    }

    /// Goes on to `window`, where that is a later one.
    fn turn(&self, table: &mut Table, window: u64) {
        if window > table.window {
            self.begin(table, window);
        }
    }

    fn begin(&self, table: &mut Table, window: u64) {
        if table.counts {
            if !table.over.is_empty() {
                // What was before has not been taken.
                return;
            }
            std::mem::swap(&mut table.rows, &mut table.over);
            self.due.store(true, Ordering::Release);
        } else {
            table.rows.clear();
        }
        table.window = window;
        table.since = None;
        table.counts = false;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn row(&mut self, key: Key, sources: usize, at: Timestamp) -> &mut Row {
        let full = self.rows.len() >= sources && !self.rows.contains_key(&key);
        let source = if full { Source::Others } else { key.source };
        self.rows.entry(Key { source, ..key }).or_insert(Row {
            in_full: 0,
            decisions: 0,
            outcomes: 0,
            from: at,
            to: at,
        })
    }
}

impl Row {
    /// The span is that of what is counted.
    fn count(&mut self, at: Timestamp, is_decision: bool) {
        if self.decisions == 0 && self.outcomes == 0 {
            (self.from, self.to) = (at, at);
        }
        self.from = self.from.min(at);
        self.to = self.to.max(at);
        match is_decision {
            true => self.decisions += 1,
            false => self.outcomes += 1,
        }
    }
}

impl Key {
    fn of(trail: &Trail, code: Option<Code>) -> Self {
        let source = match trail.client().client() {
            Some(IpAddr::V4(address)) => Source::V4(address),
            Some(IpAddr::V6(address)) => {
                let [a, b, c, d, ..] = address.segments();
                Source::V6([a, b, c, d])
            }
            None => Source::Unknown,
        };
        Self { source, code }
    }
}

fn can_flood(event: &DecisionEvent) -> bool {
    event.acknowledge.is_none()
        && !matches!(event.verdict, Verdict::Permit(_))
        && event.trail.handler() == HandlerRun::NotReached
}

fn code_of(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Deny(denial) => Some(denial.code()),
        Verdict::Permit(_) | Verdict::Undecided => None,
    }
}

/// The rows that count anything, a record's worth each; leaves none.
fn pieces(rows: &mut Rows) -> Vec<RolledUp> {
    let counted = rows
        .drain()
        .filter(|(_, row)| row.decisions > 0 || row.outcomes > 0);
    let counted = counted.map(|(key, row)| Refusals {
        source: key.source,
        code: key.code,
        decisions: row.decisions,
        outcomes: row.outcomes,
        from: row.from,
        to: row.to,
    });
    RolledUp::pieces(counted.collect())
}
