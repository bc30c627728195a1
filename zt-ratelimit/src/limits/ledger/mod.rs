//! What was spent, from the record of it.
//!
//! A [`Ledger`] adds up the `budget` events of [`Limits`](super::Limits), as a
//! [`Recorder`](zt_core::state::Recorder) hands them on or as they stand in the lines of an audit
//! log, for each budget of each subject in each window. With that a store that has lost its memory
//! is filled again, and the bill of a month can be checked by somebody else.
//!
//! 1. A hold counts once, however often it is read: what was settled, else what was charged when it
//!    ended by itself, whichever came first in the record.
//! 2. A hold whose end is not in the record is [open](Entry::open): it may have been charged. Who
//!    fills a store counts it as spent.
//! 3. A reset takes back what was charged in its window before, and no late settlement brings it
//!    again.
//! 4. What is not understood is an error, not nothing: a bill is whole or there is none.
//!
//! To fill a store, look up each entry's limit by its name
//! ([`Policy::limit`](super::Policy::limit)); one that no policy has any more has nothing to count.
//!
//! The lines of a log whose personal fields are sealed have to be opened first
//! (`zt_audit::open_record`). Budgets of somebody who was erased are in no sum any more;
//! [`Ledger::erased`] says how many records that were.
//!
//! It does not verify a log: give it lines of one that was. Events that a log could not write are
//! missing here too; what they would have settled is open, and [`Ledger::lost`] says that the log
//! admits to some. Of what was charged by hand
//! (`charge`) nothing tells two equal lines apart, so read no line twice.
//!
//! It remembers every hold of the windows that it looks at, 16 bytes each; [`Ledger::since`] leaves
//! out windows that are over.
//!
//! ```
//! # use zt_core::clock::{Clock, ManualClock};
//! # use zt_ratelimit::{Limit, Limits, counter::{MemoryCounters, Moment}, limit::Window,
//! #     limits::{Ask, Hard, Level, Outcome, Policy, Subjects}};
//! use std::sync::Arc;
//! use zt_core::state::{Event, MemoryRecorder};
//! use zt_ratelimit::limits::ledger::Ledger;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let clock = ManualClock::default();
//! # let policy = Policy::new([
//! #     Level::new("key", [Limit::budget("key-day", "5 USD".parse()?, Window::day())?]),
//! # ])?;
//! # let who = Subjects::new(["key-1"]);
//! let recorder = Arc::new(MemoryRecorder::new(100));
//! let limits = Limits::builder(MemoryCounters::default())
//!     .clock(clock.clone())
//!     .recorder(recorder.clone())
//!     .build(policy)?;
//! # let ask = Ask::at_most("3 USD".parse()?);
//! # let now = Moment::of(&clock)?;
//! let Outcome::Held(reservation) = limits.reserve::<Hard>(&who, ask, now).wait().await? else {
//!     panic!("there is room");
//! };
//! reservation.settle("1 USD".parse()?)?;
//!
//! let mut ledger = Ledger::new();
//! for event in recorder.events() {
//!     if let Event::Budget(event) = event {
//!         ledger.add(&event)?;
//!     }
//! }
//! let entry = ledger.entries().next().unwrap();
//! assert_eq!((entry.limit, entry.subject, entry.spent), ("key-day", "key-1", 1_000_000_000));
//! # Ok(())
//! # }
//! ```

mod line;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use smallvec::SmallVec;
use zt_core::{
    clock::Timestamp,
    state::{BudgetEvent, BudgetPart},
};

use self::line::Line;
use crate::limit::Span;

/// Adds up what was spent; see the [module](self).
#[derive(Debug, Default)]
pub struct Ledger {
    since: Option<Timestamp>,
    places: HashMap<Cell, usize>,
    /// Wider than what is read, so that nothing is cut off before something is taken back.
    sums: Vec<(Cell, u128)>,
    holds: HashMap<u128, Pending>,
    settled: HashSet<u128>,
    lost: u64,
    erased: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Cell {
    root: Arc<str>,
    limit: Arc<str>,
    subject: Arc<str>,
    span: Span,
}

/// A hold that is not settled.
#[derive(Debug)]
struct Pending {
    nanos: u64,
    cells: SmallVec<[usize; 4]>,
    /// Whether it ended by itself, and counts as spent.
    expired: bool,
    /// From which cells a reset has taken it.
    erased: SmallVec<[usize; 4]>,
}

/// What was spent from one budget of one subject in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Under which it is counted.
    pub root: &'a str,
    /// The name of the limit.
    pub limit: &'a str,
    /// Whose.
    pub subject: &'a str,
    /// The window; of a rolling one, the slot.
    pub span: Span,
    /// What was spent, in nano-units.
    pub spent: u64,
    /// What is held by reservations whose end is not in the record, in nano-units.
    pub open: u64,
}

/// An event that cannot be added up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The line is not a record.
    #[error("the line is not a record: {0}")]
    Line(#[from] serde_json::Error),
    /// It is of a version that is not known.
    #[error("records of version {0} are not known")]
    Version(u64),
    /// Whom it is about is sealed.
    #[error("whom the record is about is sealed: open it with the vault of its log first")]
    Sealed,
    /// Something happened that is not known.
    #[error("it is not known what `{0}` does to a budget")]
    Action(String),
    /// A field that is needed is not there.
    #[error("the `{action}` has no `{field}`")]
    Missing {
        /// What happened.
        action: String,
        /// What it lacks.
        field: &'static str,
    },
}

impl Ledger {
    /// Of everything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of the windows that end after `now`.
    #[must_use]
    pub fn since(now: Timestamp) -> Self {
        Self {
            since: Some(now),
            ..Self::default()
        }
    }

    /// Adds a line of an audit log. Whether it was about a budget; other records are passed over.
    ///
    /// # Errors
    ///
    /// Where it is no record, or says something about a budget that is not known. The sums are
    /// what they were.
    pub fn add_line(&mut self, line: &[u8]) -> Result<bool, LedgerError> {
        match line::parse(line)? {
            Line::Budget(event) => self.take(&event.as_noted()).map(|()| true),
            Line::Lost(count) => {
                self.lost = self.lost.saturating_add(count);
                Ok(false)
            }
            Line::Erased => {
                self.erased = self.erased.saturating_add(1);
                Ok(false)
            }
            Line::Other => Ok(false),
        }
    }

    /// How many records were about the budgets of somebody who was erased. Nobody knows which.
    #[must_use]
    pub const fn erased(&self) -> u64 {
        self.erased
    }

    /// How many events of requests the log says it could not write; budget events may be among
    /// them, and sums are then too low.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// Where it says something about a budget that is not known. The sums are what they were.
    pub fn add(&mut self, event: &BudgetEvent) -> Result<(), LedgerError> {
        self.take(&Noted {
            action: event.action,
            hold: event.hold,
            root: &event.root,
            parts: &event.budgets,
            nanos: event.nanos,
        })
    }

    /// What was spent, in the order in which it was first heard of.
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut open: HashMap<usize, u64> = HashMap::new();
        for pending in self.holds.values().filter(|pending| !pending.expired) {
            for at in &pending.cells {
                let sum = open.entry(*at).or_default();
                *sum = sum.saturating_add(pending.nanos);
            }
        }
        let sums = self.sums.iter().enumerate();
        sums.map(move |(at, (cell, spent))| Entry {
            root: &cell.root,
            limit: &cell.limit,
            subject: &cell.subject,
            span: cell.span,
            spent: u64::try_from(*spent).unwrap_or(u64::MAX),
            open: open.get(&at).copied().unwrap_or_default(),
        })
    }

    fn take(&mut self, event: &Noted<'_>) -> Result<(), LedgerError> {
        match event.action {
            "held" | "extended" => {
                let hold = event.hold()?;
                self.held(hold, event);
            }
            "expired" => {
                let hold = event.hold()?;
                self.expired(hold, event);
            }
            "settled" => {
                let hold = event.hold()?;
                self.settled(hold, event);
            }
            "charge" => {
                for at in self.cells(event) {
                    self.spend(at, event.nanos);
                }
            }
            "reset" => self.reset(event),
            "overrun" | "threshold" | "burn" | "would-refuse" | "override" | "clear-override"
            | "grant" | "revoke" => {}
            unknown => return Err(LedgerError::Action(unknown.to_owned())),
        }
        Ok(())
    }

    fn held(&mut self, hold: u128, event: &Noted<'_>) {
        if self.settled.contains(&hold) {
            return;
        }
        let cells = self.cells(event);
        let known = self.holds.get_mut(&hold);
        let revived = match known {
            Some(pending) if pending.expired && event.action == "extended" => {
                // It ended, and somebody held on to it: it is held again, and not spent.
                pending.expired = false;
                let before = std::mem::replace(&mut pending.nanos, event.nanos);
                let erased = std::mem::take(&mut pending.erased);
                let cells = pending.cells.clone();
                pending.cells.extend(erased);
                Some((cells, before))
            }
            Some(pending) => {
                if !pending.expired {
                    pending.nanos = pending.nanos.max(event.nanos);
                }
                None
            }
            None if cells.is_empty() => None,
            None => {
                let new = Pending::new(event.nanos, cells, false);
                self.holds.insert(hold, new);
                None
            }
        };
        if let Some((cells, before)) = revived {
            self.take_back(&cells, before);
        }
    }

    fn expired(&mut self, hold: u128, event: &Noted<'_>) {
        let known = self.holds.get(&hold).is_some_and(|pending| pending.expired);
        if known || self.settled.contains(&hold) {
            return;
        }
        let cells = self.cells(event);
        for at in &cells {
            self.spend(*at, event.nanos);
        }
        if !cells.is_empty() {
            let new = Pending::new(event.nanos, cells, true);
            self.holds.insert(hold, new);
        }
    }

    fn settled(&mut self, hold: u128, event: &Noted<'_>) {
        let mut cells = self.cells(event);
        let pending = self.holds.remove(&hold);
        if (cells.is_empty() && pending.is_none()) || !self.settled.insert(hold) {
            return;
        }
        let Some(pending) = pending else {
            for at in cells {
                self.spend(at, event.nanos);
            }
            return;
        };
        if pending.expired {
            self.take_back(&pending.cells, pending.nanos);
        }
        // A store that has forgotten a window does not name it; what was spent in it was spent.
        for at in &pending.cells {
            let known = cells.iter().any(|cell| self.is_same_budget(*cell, *at));
            if !known {
                cells.push(*at);
            }
        }
        for at in cells {
            // What a reset has taken is gone; what is charged above it came later.
            let mut erased = pending.erased.iter();
            let nanos = match erased.any(|cell| self.is_same_budget(*cell, at)) {
                true => event.nanos.saturating_sub(pending.nanos),
                false => event.nanos,
            };
            self.spend(at, nanos);
        }
    }

    fn is_same_budget(&self, one: usize, other: usize) -> bool {
        let budget = |at: usize| {
            let (cell, _) = self.sums.get(at)?;
            Some((&cell.root, &cell.limit, &cell.subject))
        };
        budget(one) == budget(other)
    }

    fn reset(&mut self, event: &Noted<'_>) {
        for part in event.parts {
            let Some((start, end)) = part.window else {
                continue;
            };
            let inside = |cell: &Cell| {
                *cell.root == *event.root
                    && cell.limit == part.limit
                    && cell.subject == part.subject
                    && start <= cell.span.start
                    && cell.span.end <= end
            };
            for (at, (cell, spent)) in self.sums.iter_mut().enumerate() {
                if !inside(cell) {
                    continue;
                }
                *spent = 0;
                for pending in self.holds.values_mut() {
                    if let Some(found) = pending.cells.iter().position(|cell| *cell == at)
                        && pending.expired
                    {
                        pending.cells.remove(found);
                        pending.erased.push(at);
                    }
                }
            }
        }
    }

    /// The places of the budgets that it is about, those left out that are over.
    fn cells(&mut self, event: &Noted<'_>) -> SmallVec<[usize; 4]> {
        let mut cells = SmallVec::new();
        for part in event.parts {
            let Some((start, end)) = part.window else {
                continue;
            };
            if self.since.is_some_and(|since| end <= since) {
                continue;
            }
            let cell = Cell {
                root: event.root.into(),
                limit: Arc::clone(&part.limit),
                subject: Arc::clone(&part.subject),
                span: Span { start, end },
            };
            let place = match self.places.get(&cell) {
                Some(place) => *place,
                None => {
                    let place = self.sums.len();
                    self.sums.push((cell.clone(), 0));
                    self.places.insert(cell, place);
                    place
                }
            };
            cells.push(place);
        }
        cells
    }

    fn spend(&mut self, at: usize, nanos: u64) {
        if let Some((_, spent)) = self.sums.get_mut(at) {
            *spent = spent.saturating_add(nanos.into());
        }
    }

    fn take_back(&mut self, cells: &[usize], nanos: u64) {
        for at in cells {
            if let Some((_, spent)) = self.sums.get_mut(*at) {
                *spent = spent.saturating_sub(nanos.into());
            }
        }
    }
}

impl Pending {
    fn new(nanos: u64, cells: SmallVec<[usize; 4]>, expired: bool) -> Self {
        Self {
            nanos,
            cells,
            expired,
            erased: SmallVec::new(),
        }
    }
}

/// What an event says that matters here.
struct Noted<'a> {
    action: &'a str,
    hold: Option<u128>,
    root: &'a str,
    parts: &'a [BudgetPart],
    nanos: u64,
}

impl Noted<'_> {
    fn hold(&self) -> Result<u128, LedgerError> {
        self.hold.ok_or_else(|| LedgerError::Missing {
            action: self.action.to_owned(),
            field: "hold",
        })
    }
}
