//! A log over a disk in memory, written to by two teams of callers.
//!
//! While the records of one team are flushed, those of the other are handed over, and the writer makes
//! the next batch of them: the flush is held up until both have happened. So whatever the disk does to
//! the one batch, it does while the next is begun. What holds afterwards is what [`super::simulated`]
//! asks for, and
//!
//! 1. nothing stands in the log twice, also where a batch was written anew;
//! 2. what was acknowledged before something else was handed over stands before it.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use zt_audit::{
    AuditLog,
    seal::VaultOptions,
    storage::simulated::{Fault, Kind, Loss, SimulatedDisk},
};
use zt_core::{
    clock::{Clock as _, ManualClock, SystemClock},
    random::{Entropy, EntropyError, OsEntropy},
    state::{RecordError, Recorder as _},
};

use super::{
    events::{admin, each, wait},
    simulated::{
        BEFORE, KEYS, Told, check, chosen, has_time, losses, name_of, numbers, open_by, prepared,
    },
};

/// A batch is begun beside another for so many callers that wait.
const TEAM: u64 = 8;
const ROUNDS: u64 = 4;

/// Counts what is drawn: a key for each person who is new to the vault, when a record about them is made.
#[derive(Debug, Clone, Default)]
struct Drawn(Arc<AtomicU64>);

impl Entropy for Drawn {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        OsEntropy.fill(out)
    }
}

/// Holds each flush of records up until everybody has handed over.
struct Gate {
    log: Mutex<Option<AuditLog>>,
    flushes: Mutex<u64>,
    begun: Condvar,
    /// Callers that have not ended.
    callers: AtomicU64,
    handed: AtomicU64,
    drawn: Drawn,
    /// What was drawn before the first record.
    before: AtomicU64,
    /// Flushes during which the whole next batch was made.
    beside: AtomicU64,
    patience: Patience,
}

/// How long is waited for what may not come.
#[derive(Debug, Clone, Copy)]
struct Patience {
    callers: Duration,
    /// Towards the end of a segment no batch is begun beside another.
    batch: Duration,
}

impl Gate {
    fn new(patience: Patience) -> Self {
        Self {
            log: Mutex::default(),
            flushes: Mutex::default(),
            begun: Condvar::new(),
            callers: AtomicU64::new(2 * TEAM),
            handed: AtomicU64::new(0),
            drawn: Drawn::default(),
            before: AtomicU64::new(0),
            beside: AtomicU64::new(0),
            patience,
        }
    }

    /// For whoever flushes.
    fn hold(&self, file: &str) {
        let thread = thread::current();
        let is_second = thread.name() == Some("zt-audit-flush");
        let is_writer = is_second || thread.name() == Some("zt-audit");
        let Some(log) = self.log.lock().unwrap().clone() else {
            return;
        };
        if !is_writer || !file.starts_with("audit/log/") {
            return;
        }
        let flush = {
            let mut flushes = self.flushes.lock().unwrap();
            *flushes += 1;
            *flushes
        };
        self.begun.notify_all();
        // The first one has a single record, and the first team behind it.
        let wanted = || match flush {
            1 => TEAM + 1,
            _ => self.callers.load(Ordering::SeqCst),
        };
        let came = Self::until(self.patience.callers, || log.health().waiting >= wanted());
        let made = || {
            let drawn = self.drawn.0.load(Ordering::SeqCst) - self.before.load(Ordering::SeqCst);
            drawn >= self.handed.load(Ordering::SeqCst)
        };
        if is_second && came && wanted() > TEAM && Self::until(self.patience.batch, made) {
            self.beside.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Whether it comes to that in time. Where the disk fails it may not.
    fn until(span: Duration, done: impl Fn() -> bool) -> bool {
        let begin = SystemClock.monotonic();
        while SystemClock.monotonic() - begin < span {
            if done() {
                return true;
            }
            thread::yield_now();
        }
        false
    }

    /// Until so many flushes were begun, where they are.
    fn wait_for_flush(&self, number: u64) {
        let flushes = self.flushes.lock().unwrap();
        let fewer = |flushes: &mut u64| *flushes < number;
        let waited = self
            .begun
            .wait_timeout_while(flushes, self.patience.callers, fewer);
        drop(waited.unwrap());
    }
}

/// What one caller saw: when it handed each record over, and when it was told that it is durable.
#[derive(Debug)]
struct Seen {
    name: String,
    handed: u64,
    durable: Option<u64>,
}

#[derive(Default)]
struct World {
    told: Told,
    callers: Vec<Vec<Seen>>,
    beside: u64,
}

/// Hands over one record after the other, each when the one before is answered.
fn call(log: &AuditLog, gate: &Gate, clock: &AtomicU64, caller: u64, rounds: u64) -> Vec<Seen> {
    let one = |round| {
        let name = format!("caller/{caller}/{round}");
        let handed = clock.fetch_add(1, Ordering::SeqCst);
        gate.handed.fetch_add(1, Ordering::SeqCst);
        let durable = log.record(admin(&name, &name));
        let answer: Result<(), RecordError> = wait(durable);
        let durable = answer.is_ok().then(|| clock.fetch_add(1, Ordering::SeqCst));
        Seen {
            name,
            handed,
            durable,
        }
    };
    let seen = (0..rounds).map(one).collect();
    if caller > 0 {
        gate.callers.fetch_sub(1, Ordering::SeqCst);
    }
    seen
}

/// Opens the log, has two teams write to it in turn, closes it.
fn scenario(disk: &SimulatedDisk, patience: Patience) -> World {
    let gate = Arc::new(Gate::new(patience));
    let held = Arc::clone(&gate);
    disk.before_sync(move |file| held.hold(file));
    let mut world = World::default();
    let told = &mut world.told;
    let vault = VaultOptions::default().entropy(gate.drawn.clone());
    let Ok(log) = open_by(
        disk,
        vault,
        KEYS[0],
        &ManualClock::default(),
        &told.checkpoints,
    ) else {
        return world;
    };
    told.opened = true;
    let drawn = gate.drawn.0.load(Ordering::SeqCst);
    gate.before.store(drawn, Ordering::SeqCst);
    *gate.log.lock().unwrap() = Some(log.clone());
    let clock = AtomicU64::new(0);
    world.callers = thread::scope(|scope| {
        let (log, gate, clock) = (&log, &gate, &clock);
        let start = |caller, rounds| scope.spawn(move || call(log, gate, clock, caller, rounds));
        let mut callers = vec![start(0, 1)];
        for team in 0..2 {
            gate.wait_for_flush(team + 1);
            let first = 1 + team * TEAM;
            callers.extend((first..first + TEAM).map(|caller| start(caller, ROUNDS)));
        }
        let ended = callers.into_iter().map(|caller| caller.join().unwrap());
        ended.collect()
    });
    told.closed = log.close().is_ok();
    gate.log.lock().unwrap().take();
    let health = log.health();
    told.counted = health.refused + health.lost + health.rolled_up + health.failed;
    for seen in world.callers.iter().flatten() {
        match seen.durable {
            Some(_) => told.taken += 1,
            None => told.refused += 1,
        }
    }
    world.beside = gate.beside.load(Ordering::SeqCst);
    world
}

/// What every log has to hold to, and what callers beside each other saw of it.
fn check_world(found: &SimulatedDisk, world: &World, context: &str) {
    let recorded = check(found, &[&world.told], context);
    let place = |seen: &Seen| recorded.iter().position(|name| *name == seen.name);
    let all: Vec<(&Seen, Option<usize>)> = world
        .callers
        .iter()
        .flatten()
        .map(|seen| (seen, place(seen)))
        .collect();
    for (one, at) in &all {
        let Some(durable) = one.durable else { continue };
        let at = at.unwrap_or_else(|| panic!("{context}: `{}` is lost", one.name));
        for (later, place) in &all {
            assert!(
                later.handed < durable || place.is_none_or(|place| at < place),
                "{context}: `{}` stands behind `{}`",
                one.name,
                later.name
            );
        }
    }
}

fn beginnings() -> [(&'static str, SimulatedDisk); 2] {
    [
        ("in a log", prepared(3)),
        ("before a roll", prepared(BEFORE - 32)),
    ]
}

/// A run in which nothing fails: its operations, and how often a batch was made beside another.
fn whole(name: &str, beginning: &SimulatedDisk) -> SimulatedDisk {
    let disk = beginning.after(Loss::Everything);
    let patience = Patience {
        callers: Duration::from_secs(20),
        batch: Duration::from_millis(500),
    };
    let world = scenario(&disk, patience);
    assert!(world.told.closed, "{name}");
    assert_eq!(world.told.refused, 0, "{name}");
    assert_eq!(world.told.taken, 1 + 2 * TEAM * ROUNDS, "{name}");
    assert!(world.beside > 0, "{name}: no batch was made beside another");
    check_world(&disk.after(Loss::Everything), &world, name);
    disk
}

/// Where the disk fails nobody may come any more.
const PATIENCE: Patience = Patience {
    callers: Duration::from_millis(100),
    batch: Duration::from_millis(10),
};

/// One of so many points of each kind, where there is no time for all.
fn some(points: Vec<u64>, one_of: u64, turn: u64) -> Vec<u64> {
    let is_chosen = |place: u64| has_time() || place % one_of == turn % one_of;
    let points = (0..).zip(chosen(points));
    points
        .filter_map(|(place, point)| is_chosen(place).then_some(point))
        .collect()
}

#[test]
fn what_several_callers_were_told_survives_a_loss_of_power_at_every_operation() {
    let crashes = AtomicU64::new(0);
    let recoveries = AtomicU64::new(0);
    let beside = AtomicU64::new(0);
    for (turn, (name, beginning)) in (0..).zip(beginnings()) {
        let points = numbers(&whole(name, &beginning), Kind::changes);
        each(some(points, 2, turn), |number| {
            let disk = beginning.after(Loss::Everything);
            disk.fail(number, Fault::PowerOff);
            let world = scenario(&disk, PATIENCE);
            crashes.fetch_add(1, Ordering::Relaxed);
            beside.fetch_add(world.beside, Ordering::Relaxed);
            for loss in losses(number) {
                let at = name_of(&disk, number);
                let context = format!("{name}, off at {number} ({at}), {loss:?}");
                check_world(&disk.power_loss(loss), &world, &context);
                recoveries.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    println!(
        "loss of power under several callers: {} operations, {} recoveries, {} batches made beside another",
        crashes.into_inner(),
        recoveries.into_inner(),
        beside.into_inner()
    );
}

#[test]
fn an_error_under_several_callers_refuses_and_is_counted_and_leaves_a_sound_log() {
    let tried = AtomicU64::new(0);
    let refusals = AtomicU64::new(0);
    for (turn, (name, beginning)) in (0..).zip(beginnings()) {
        let whole = whole(name, &beginning);
        // A fault alone, and from then on: a disk that broke, and one that is full.
        let faults = [
            (Fault::Io, false),
            (Fault::NoSpace, false),
            (Fault::Short, false),
            (Fault::Io, true),
            (Fault::NoSpace, true),
        ];
        for (kind, (fault, stays)) in (0..).zip(faults) {
            let is_short = fault == Fault::Short;
            let points = numbers(&whole, |kind| match kind {
                Kind::Write => true,
                kind => !is_short && (!stays || kind.changes()),
            });
            each(some(points, 7, turn + kind), |number| {
                let disk = beginning.after(Loss::Everything);
                if stays {
                    disk.fail_from(number, fault);
                } else {
                    disk.fail(number, fault);
                }
                let world = scenario(&disk, PATIENCE);
                let at = name_of(&disk, number);
                let until = if stays { " and from then on" } else { "" };
                let context = format!("{name}, {fault:?} at {number} ({at}){until}");
                let told = &world.told;
                if is_short {
                    assert!(told.closed, "{context}");
                    assert_eq!(told.refused, 0, "{context}: a short write is no failure");
                }
                assert!(
                    told.counted >= told.refused,
                    "{context}: {} refused, {} counted",
                    told.refused,
                    told.counted
                );
                disk.heal();
                for loss in losses(number) {
                    check_world(&disk.after(loss), &world, &format!("{context}, {loss:?}"));
                }
                tried.fetch_add(1, Ordering::Relaxed);
                refusals.fetch_add(told.refused, Ordering::Relaxed);
            });
        }
    }
    println!(
        "errors under several callers: {} operations, {} refusals",
        tried.into_inner(),
        refusals.into_inner()
    );
}
