//! What waits for the writer: one order for everything, room by lane.

use std::collections::VecDeque;

use zt_core::{
    context::{HandlerRun, Stage, Trail},
    state::{BudgetPart, Event, RecordError, Verdict},
};

use crate::record::RolledUp;

/// Which share of the queue an event takes its place from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lane {
    /// Decisions that an effect waits for.
    Permit,
    /// What is told of requests whose handler ran, and of what requests spend.
    Outcome,
    /// What is told of requests whose handler did not run: a stranger can make any number.
    Denial,
    /// Everything else.
    Other,
}

impl Lane {
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Decision(event) if event.acknowledge.is_some() => Self::Permit,
            Event::Decision(event) => match event.verdict {
                Verdict::Permit(_) => Self::Outcome,
                Verdict::Deny(_) if event.trail.handler() != HandlerRun::Panicked => Self::Denial,
                _ => Self::of_trail(&event.trail, event.trail.handler()),
            },
            Event::Outcome(event) => Self::of_trail(&event.trail, event.handler),
            // What was spent has to be told, and must not take the room of administrators.
            Event::Budget(event) if event.hold.is_some() => Self::Outcome,
            _ => Self::Other,
        }
    }

    fn of_trail(trail: &Trail, handler: HandlerRun) -> Self {
        // To the outermost gate of a stack made by hand the layers inside are the handler, and
        // "reached". One that denied before the commit point did not let the request through.
        let stopped = trail.denial().is_some() && !trail.has_reached(Stage::Commit);
        match handler {
            HandlerRun::NotReached => Self::Denial,
            HandlerRun::Reached if stopped => Self::Denial,
            _ => Self::Outcome,
        }
    }
}

/// An event in the queue.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) event: Event,
    pub(super) lane: Lane,
    pub(super) weight: usize,
}

impl Entry {
    pub(super) fn new(event: Event, lane: Lane) -> Self {
        Self {
            lane,
            weight: weight(&event),
            event,
        }
    }
}

/// What an event keeps in memory, roughly.
fn weight(event: &Event) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let own = match event {
        Event::Decision(event) => of_trail(&event.trail),
        Event::Outcome(event) => of_trail(&event.trail),
        Event::Admin(event) => event.object.len() + text(&event.detail),
        Event::Grant(event) => event.subject.len() + event.grant.len() + text(&event.reason),
        Event::Sanction(event) => event.reason.len(),
        Event::Config(event) => event.version.len() + text(&event.detail),
        Event::Alert(event) => event.subject.len() + event.evidence.len(),
        Event::Budget(event) => {
            let parts = event.budgets.iter();
            let part = |part: &BudgetPart| size_of::<BudgetPart>() + part.subject.len();
            parts.map(part).sum::<usize>() + text(&event.detail)
        }
        _ => 0,
    };
    own.saturating_add(512)
}

fn of_trail(trail: &Trail) -> usize {
    // The trail itself, and its permit or denial, come to about as much again.
    trail.size().saturating_add(512)
}

/// The room of one lane.
#[derive(Debug, Clone, Copy)]
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    const fn share(records: usize, bytes: usize, eighths: usize) -> Self {
        Self {
            records: records / 8 * eighths,
            bytes: bytes / 8 * eighths,
        }
    }

    fn take(&mut self, weight: usize) -> bool {
        match (self.records.checked_sub(1), self.bytes.checked_sub(weight)) {
            (Some(records), Some(bytes)) => {
                *self = Self { records, bytes };
                true
            }
            _ => false,
        }
    }
}

/// How much room is left, or was used, by lane.
#[derive(Debug, Clone)]
pub(super) struct Rooms {
    permit: Room,
    outcome: Room,
    denial: Room,
    other: Room,
}

impl Rooms {
    pub(super) const fn shares(records: usize, bytes: usize) -> Self {
        Self {
            permit: Room::share(records, bytes, 3),
            outcome: Room::share(records, bytes, 3),
            denial: Room::share(records, bytes, 1),
            other: Room::share(records, bytes, 1),
        }
    }

    pub(super) const NONE: Self = Self::shares(0, 0);

    const fn lane(&mut self, lane: Lane) -> &mut Room {
        match lane {
            Lane::Permit => &mut self.permit,
            Lane::Outcome => &mut self.outcome,
            Lane::Denial => &mut self.denial,
            Lane::Other => &mut self.other,
        }
    }

    pub(super) const fn add(&mut self, entry: &Entry) {
        let room = self.lane(entry.lane);
        room.records += 1;
        room.bytes += entry.weight;
    }

    fn give_back(&mut self, used: &Self) {
        for (room, used) in [
            (&mut self.permit, used.permit),
            (&mut self.outcome, used.outcome),
            (&mut self.denial, used.denial),
            (&mut self.other, used.other),
        ] {
            room.records += used.records;
            room.bytes += used.bytes;
        }
    }
}

/// What waits, and what could not.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) entries: VecDeque<Entry>,
    /// No more is taken: it was closed, or cannot write.
    pub(super) end: Option<RecordError>,
    /// What was lost since the writer last asked.
    pub(super) lost: RolledUp,
    pub(super) counts: Counts,
    rooms: Rooms,
    next: u64,
    /// Losses that no durable record names yet.
    untold: u64,
}

/// Counts since the log was opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) refused: u64,
    /// Refusals that came when nothing was written any more.
    pub(super) rolled_up: u64,
    pub(super) lost: u64,
}

impl Queue {
    pub(super) fn new(records: usize, bytes: usize) -> Self {
        Self {
            entries: VecDeque::with_capacity(1024),
            end: None,
            lost: RolledUp::default(),
            counts: Counts::default(),
            rooms: Rooms::shares(records, bytes),
            next: 0,
            untold: 0,
        }
    }

    /// A ticket for `entry`, or why it has no place: [`RecordError::Full`] only while the log goes
    /// on. Tickets count from 0 in the order in which
    /// records are written.
    pub(super) fn admit(&mut self, entry: &Entry) -> Result<u64, RecordError> {
        let refusal = match &self.end {
            Some(end) => end.clone(),
            // Something ran and has no record of its own. Nothing else may run until that is told.
            None if self.untold > 0 && entry.lane == Lane::Permit => RecordError::Full,
            None if self.rooms.lane(entry.lane).take(entry.weight) => {
                let ticket = self.next;
                self.next += 1;
                return Ok(ticket);
            }
            None => RecordError::Full,
        };
        match entry.lane {
            Lane::Permit | Lane::Other => self.counts.refused += 1,
            // Counted by source and reason instead, where that is still written.
            Lane::Denial => self.counts.rolled_up += u64::from(self.end.is_some()),
            Lane::Outcome => {
                self.counts.lost += 1;
                if self.end.is_none() {
                    self.untold += 1;
                    self.lost.lose(&entry.event);
                }
            }
        }
        Err(refusal)
    }

    /// `used` is durable, and so is the count of `told` losses.
    pub(super) fn release(&mut self, used: &Rooms, told: u64) {
        self.rooms.give_back(used);
        self.untold = self.untold.saturating_sub(told);
    }

    /// How many tickets were given.
    pub(super) const fn tickets(&self) -> u64 {
        self.next
    }

    /// How many events were taken of which only `durable` are durable.
    pub(super) const fn waiting(&self, durable: u64) -> u64 {
        self.next.saturating_sub(durable)
    }

    pub(super) const fn untold(&self) -> u64 {
        self.untold
    }
}
