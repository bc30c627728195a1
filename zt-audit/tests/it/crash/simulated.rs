//! A log over a disk in memory.
//!
//! What holds after each crash, and after each error:
//!
//! 1. What was acknowledged with `Sync` is recovered, in the order in which it was handed over.
//! 2. What is found verifies: at worst it ends in a torn tail or before its signature; never tampered.
//! 3. It is opened again, goes on, and is sound when it is closed.
//! 4. Every checkpoint that was ever handed out is of a beginning of it.
//! 5. What is sealed in it opens, unless its subject was erased; whoever was told to be erased is.
//! 6. An error of the disk is a refusal that is counted, and no acknowledgement.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use serde_json::{Map, Value};
use zt_audit::{
    AuditLog, Options,
    note::SignedCheckpoint,
    open_record,
    read::LogReader,
    seal::{DataSubject, Vault, VaultError, VaultOptions},
    storage::simulated::{Fault, Kind, Loss, SimulatedDisk},
    verify::{Finding, Trust, verify},
};
use zt_core::{
    clock::ManualClock,
    state::{Acknowledgement, Recorder as _},
};

use super::events::{
    ORIGIN, Scratch, admin, denial, each, is_subsequence, outcome, permit, signing_key, wait,
};

/// What a log told to whom it served.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Acknowledged as durable.
    pub(super) durable: Vec<String>,
    /// Handed over, and not refused.
    pub(super) taken: u64,
    pub(super) refused: u64,
    pub(super) checkpoints: Checkpoints,
    /// Events that the log says it refused or lost.
    pub(super) counted: u64,
    /// Alice was told that she is forgotten.
    pub(super) erased: bool,
    /// The records before this one were dropped.
    pub(super) pruned: u64,
    /// Another key was put in force, or may have been.
    pub(super) rotated: bool,
    pub(super) opened: bool,
    pub(super) closed: bool,
}

pub(super) type Checkpoints = Arc<Mutex<Vec<SignedCheckpoint>>>;

/// Chooses what a scenario does.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

pub(super) const SEGMENT: u64 = 64 << 10;
/// The seeds of the keys: at first, and after a rotation.
pub(super) const KEYS: [u64; 2] = [1, 2];

/// The log and its vault are folders of one disk: they lose their power together.
pub(super) fn log_of(disk: &SimulatedDisk) -> SimulatedDisk {
    disk.within("audit")
}

fn vault_of(disk: &SimulatedDisk) -> Result<Vault, VaultError> {
    vault_by(disk, VaultOptions::default())
}

fn vault_by(disk: &SimulatedDisk, options: VaultOptions) -> Result<Vault, VaultError> {
    Vault::with_storage(Arc::new(disk.within("audit.keys")), options)
}

fn open(
    disk: &SimulatedDisk,
    key: u64,
    clock: &ManualClock,
    checkpoints: &Checkpoints,
) -> Result<AuditLog, String> {
    open_by(disk, VaultOptions::default(), key, clock, checkpoints)
}

pub(super) fn open_by(
    disk: &SimulatedDisk,
    vault: VaultOptions,
    key: u64,
    clock: &ManualClock,
    checkpoints: &Checkpoints,
) -> Result<AuditLog, String> {
    let checkpoints = Arc::clone(checkpoints);
    let options = Options::default()
        .origin(ORIGIN)
        .clock(clock.clone())
        .segment_bytes(SEGMENT)
        .on_checkpoint(move |checkpoint: &SignedCheckpoint| {
            checkpoints.lock().unwrap().push(checkpoint.clone());
        });
    let vault = vault_by(disk, vault).map_err(|error| error.to_string())?;
    let storage = Arc::new(log_of(disk));
    AuditLog::with_storage(storage, signing_key(key), Some(vault), options)
        .map_err(|error| error.to_string())
}

fn trust() -> Trust {
    Trust::key(signing_key(KEYS[0]).verifier())
}

/// Records before a scenario: so many that it rolls to the next segment.
pub(super) const BEFORE: usize = 250;

/// A disk with a log of so many records that was closed.
pub(super) fn prepared(records: usize) -> SimulatedDisk {
    let disk = SimulatedDisk::new(1);
    let log = open(&disk, KEYS[0], &ManualClock::default(), &Arc::default()).unwrap();
    let mut pending = Vec::new();
    for _ in 0..records {
        pending.push(log.record(permit(Acknowledgement::Sync).1));
    }
    for durable in pending {
        wait(durable).unwrap();
    }
    log.close().unwrap();
    drop(log);
    disk.power_loss(Loss::Everything)
}

/// Opens the log, hands events over by chance, closes it.
fn scenario(disk: &SimulatedDisk, seed: u64) -> Told {
    let mut told = Told::default();
    let clock = ManualClock::default();
    let Ok(log) = open(disk, KEYS[0], &clock, &told.checkpoints) else {
        return told;
    };
    told.opened = true;
    let mut dice = Dice(seed);
    let mut pending = Vec::new();
    for turn in 0..7 {
        for _ in 0..=dice.roll(4) {
            let (must_be_durable, (name, event)) = match dice.roll(8) {
                0 => (false, permit(Acknowledgement::Async)),
                1 => (false, permit(Acknowledgement::Batched)),
                2 => (false, denial()),
                3 => (false, outcome()),
                4 => (true, (String::new(), admin("alice", "tokens/7"))),
                5 => (true, (String::new(), admin("bob", "tokens/8"))),
                _ => (true, permit(Acknowledgement::Sync)),
            };
            pending.push((must_be_durable, name, log.record(event)));
        }
        if dice.roll(3) > 0 {
            told.settle(&mut pending);
        }
        match dice.roll(4) {
            0 => clock.advance(Duration::from_millis(1100)),
            1 => drop(log.sign()),
            _ => {}
        }
        // Each of them in some scenarios, and never all of them in the same order.
        match (seed + turn) % 8 {
            4 => {
                told.settle(&mut pending);
                let who = DataSubject::Named("alice");
                told.erased |= log.erase(who, None, "asked for").is_ok();
            }
            5 => {
                if let Ok(pruned) = log.prune(256, None) {
                    told.pruned = pruned.before;
                }
            }
            6 if seed.is_multiple_of(2) && !told.rotated => {
                told.rotated = true;
                drop(log.rotate_key(signing_key(KEYS[1])));
            }
            _ => {}
        }
    }
    told.settle(&mut pending);
    told.closed = log.close().is_ok();
    let health = log.health();
    told.counted = health.refused + health.lost + health.rolled_up + health.failed;
    told
}

impl Told {
    fn settle(&mut self, pending: &mut Vec<(bool, String, zt_core::state::Durable)>) {
        for (must_be_durable, name, durable) in pending.drain(..) {
            match wait(durable) {
                Ok(()) => {
                    self.taken += 1;
                    if must_be_durable && !name.is_empty() {
                        self.durable.push(name);
                    }
                }
                Err(_) => self.refused += 1,
            }
        }
    }
}

/// The files and their last line, for whoever reads that a test failed.
fn listing(disk: &SimulatedDisk) -> String {
    let mut listing = String::new();
    for name in disk.names() {
        let bytes = disk.read(&name).unwrap_or_default();
        let end = bytes.iter().rposition(|byte| *byte != 0);
        let text = String::from_utf8_lossy(&bytes[..end.map_or(0, |end| end + 1)]);
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        let lines: Vec<String> = lines
            .iter()
            .map(|line| line.chars().take(200).collect())
            .collect();
        listing += &format!("\n  {name} ({} bytes): {lines:#?}", bytes.len());
    }
    listing
}

/// Opens a log that was left, with the key that is in force.
fn reopen(found: &SimulatedDisk, rotated: bool) -> Result<AuditLog, String> {
    let clock = ManualClock::default();
    let first = open(found, KEYS[0], &clock, &Arc::default());
    match first {
        Err(one) if rotated => open(found, KEYS[1], &clock, &Arc::default())
            .map_err(|two| format!("by the first key: {one}; by the second: {two}")),
        first => first,
    }
}

/// Checks conditions 1 to 6 over a disk as it was found, and continues the log on it. What it has.
pub(super) fn check(found: &SimulatedDisk, tolds: &[&Told], context: &str) -> Vec<String> {
    let scratch = Scratch::new();
    let folder = scratch.path("audit");
    log_of(found).copy_to(&folder).unwrap();
    if !log_of(found).names().is_empty() {
        let report = verify(&folder, &trust()).unwrap();
        let is_empty = report.records == 0 && tolds.iter().all(|told| told.durable.is_empty());
        assert!(
            is_empty || !matches!(report.finding, Finding::Tampered(_)),
            "{context}: {report}{}",
            listing(&log_of(found))
        );
    }

    let log = reopen(found, tolds.iter().any(|told| told.rotated));
    let log = log.unwrap_or_else(|error| {
        let listing = listing(&log_of(found));
        panic!("{context}: cannot be opened again: {error}{listing}")
    });
    let (last, event) = permit(Acknowledgement::Sync);
    wait(log.record(event)).unwrap_or_else(|error| panic!("{context}: does not go on: {error}"));
    log.close()
        .unwrap_or_else(|error| panic!("{context}: does not close: {error}"));
    drop(log);

    let folder = scratch.path("continued");
    log_of(found).copy_to(&folder).unwrap();
    let first = verify(&folder, &trust()).unwrap().first;
    assert!(
        first <= 256,
        "{context}: more was dropped than was asked for: {first}"
    );
    let mut trust = trust();
    for told in tolds {
        for checkpoint in told.checkpoints.lock().unwrap().iter() {
            // What one says that ends before the first record that is left cannot be compared.
            if checkpoint.checkpoint().size >= first {
                trust = trust.at_least(checkpoint.clone());
            }
        }
    }
    let report = verify(&folder, &trust).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{context}: {report}");
    let vault = vault_of(found).unwrap_or_else(|error| panic!("{context}: vault: {error}"));
    let records = opened(&folder, report.first, &vault, context);
    let recorded: Vec<String> = records.iter().filter_map(name_in).collect();
    assert_eq!(recorded.last(), Some(&last), "{context}");
    let different: BTreeSet<&String> = recorded.iter().collect();
    assert_eq!(different.len(), recorded.len(), "{context}: one twice");
    for told in tolds {
        assert!(
            report.first >= told.pruned,
            "{context}: pruned records are back"
        );
        let mut durable = told.durable.clone();
        if report.first > 0 {
            // No more can be gone than were dropped.
            let gone = |name: &String| !recorded.contains(name);
            let dropped = durable.iter().take_while(|name| gone(name)).count();
            assert!(dropped as u64 + BEFORE as u64 <= report.first, "{context}");
            durable.drain(..dropped);
        }
        assert!(
            is_subsequence(&durable, &recorded),
            "{context}: acknowledged {durable:?}, recovered {recorded:?}"
        );
        if told.erased {
            let said = records.iter().position(|record| record["kind"] == "erased");
            let before = &records[..said.unwrap_or_else(|| panic!("{context}: not erased"))];
            let is_of_alice =
                |record: &Map<String, Value>| record.get("author") == Some(&"alice".into());
            assert!(
                !before.iter().any(is_of_alice),
                "{context}: she is not forgotten"
            );
        }
    }
    recorded
}

/// What an event of these tests is called, where it has a name of its own.
pub(super) fn name_in(record: &Map<String, Value>) -> Option<String> {
    let text = |key| record.get(key).and_then(Value::as_str);
    let object = || text("object").filter(|object| object.starts_with("caller/"));
    text("request_id").or_else(object).map(str::to_owned)
}

/// All records with what is sealed in them; each opens.
fn opened(folder: &Path, first: u64, vault: &Vault, context: &str) -> Vec<Map<String, Value>> {
    let mut reader = LogReader::open(folder, first).unwrap();
    let mut records = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        let record = open_record(&entry.bytes, vault)
            .unwrap_or_else(|error| panic!("{context}: record {}: {error}", entry.index));
        assert!(
            !record.contains_key("sealed"),
            "{context}: a key is lost: {record:?}"
        );
        records.push(record);
    }
    records
}

/// The numbers of the operations that a scenario made after `before`.
pub(super) fn numbers(disk: &SimulatedDisk, wanted: impl Fn(Kind) -> bool) -> Vec<u64> {
    let trace = disk.trace().into_iter();
    trace
        .filter(|operation| wanted(operation.kind))
        .map(|operation| operation.number)
        .collect()
}

pub(super) fn name_of(disk: &SimulatedDisk, number: u64) -> String {
    let trace = disk.trace().into_iter();
    trace
        .filter(|operation| operation.number == number)
        .map(|operation| format!("{:?} {}", operation.kind, operation.name))
        .collect()
}

/// What is lost at a point: nothing, everything, and twice something. Where there is no time for all of
/// it, two of them, by turns: `ZT_AUDIT_TEST_ALL=1` takes the time.
pub(super) fn losses(number: u64) -> Vec<Loss> {
    let all = vec![
        Loss::Nothing,
        Loss::Random(number),
        Loss::Everything,
        Loss::Random(!number),
    ];
    if has_time() {
        return all;
    }
    let of_turn = |(place, loss)| (place as u64 % 2 == number % 2).then_some(loss);
    all.into_iter().enumerate().filter_map(of_turn).collect()
}

pub(super) fn has_time() -> bool {
    std::env::var_os("ZT_AUDIT_TEST_ALL").is_some_and(|value| value == "1")
}

/// One point alone, where a test is asked for it: `ZT_AUDIT_TEST_POINT=96`.
pub(super) fn chosen(points: Vec<u64>) -> Vec<u64> {
    match std::env::var("ZT_AUDIT_TEST_POINT") {
        Ok(point) => vec![point.parse().unwrap()],
        Err(_) => points,
    }
}

/// Where the scenarios start: from nothing, in a log, and shortly before a roll.
fn beginnings() -> [(&'static str, SimulatedDisk); 3] {
    [
        ("from nothing", SimulatedDisk::new(1)),
        ("in a log", prepared(3)),
        ("before a roll", prepared(BEFORE)),
    ]
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_at_every_operation() {
    let crashes = AtomicU64::new(0);
    let recoveries = AtomicU64::new(0);
    let again = AtomicU64::new(0);
    for (name, beginning) in beginnings() {
        for seed in 1..=2 {
            let whole = beginning.after(Loss::Everything);
            let told = scenario(&whole, seed);
            assert!(told.opened && told.closed && told.refused == 0, "{told:?}");
            let points = numbers(&whole, Kind::changes);
            each(chosen(points), |number| {
                let disk = beginning.after(Loss::Everything);
                disk.fail(number, Fault::PowerOff);
                let told = scenario(&disk, seed);
                crashes.fetch_add(1, Ordering::Relaxed);
                for loss in losses(number) {
                    let at = name_of(&disk, number);
                    let context = format!("{name}, seed {seed}, off at {number} ({at}), {loss:?}");
                    check(&disk.power_loss(loss), &[&told], &context);
                    recoveries.fetch_add(1, Ordering::Relaxed);
                }
                // The power goes again while the log is being recovered.
                let found = disk.power_loss(Loss::Random(number));
                let whole = found.after(Loss::Nothing);
                drop(reopen(&whole, told.rotated));
                let points = numbers(&whole, Kind::changes);
                for (place, second) in points.iter().enumerate() {
                    // Every operation of a recovery is reached over the points of the first crash.
                    let turns = if has_time() { 4 } else { 16 };
                    if place as u64 % turns != number % turns {
                        continue;
                    }
                    let disk = found.after(Loss::Nothing);
                    disk.fail(*second, Fault::PowerOff);
                    drop(reopen(&disk, told.rotated));
                    let at = name_of(&disk, *second);
                    let context =
                        format!("{name}, seed {seed}, off at {number}, then at {second} ({at})");
                    check(&disk.power_loss(Loss::Random(*second)), &[&told], &context);
                    again.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    println!(
        "loss of power: {} operations, {} recoveries, {} with a second loss during recovery",
        crashes.into_inner(),
        recoveries.into_inner(),
        again.into_inner()
    );
}

#[test]
fn an_error_of_the_disk_at_any_operation_refuses_and_is_counted_and_leaves_a_sound_log() {
    let tried: Mutex<BTreeMap<String, u64>> = Mutex::default();
    let refusals = AtomicU64::new(0);
    for (name, beginning) in beginnings() {
        let whole = beginning.after(Loss::Everything);
        scenario(&whole, 3);
        for fault in [Fault::Io, Fault::NoSpace, Fault::Short, Fault::Interrupted] {
            let is_of_writes = matches!(fault, Fault::Short | Fault::Interrupted);
            let points = numbers(&whole, |kind| !is_of_writes || kind == Kind::Write);
            each(points, |number| {
                let disk = beginning.after(Loss::Everything);
                disk.fail(number, fault);
                let told = scenario(&disk, 3);
                let at = name_of(&disk, number);
                let context = format!("{name}, {fault:?} at {number} ({at})");
                if is_of_writes {
                    assert_eq!(told.refused, 0, "{context}: a short write is no failure");
                    assert!(told.opened && told.closed, "{context}");
                }
                assert!(
                    told.counted >= told.refused,
                    "{context}: {} refused, {} counted",
                    told.refused,
                    told.counted
                );
                refusals.fetch_add(told.refused, Ordering::Relaxed);
                // The process ended, or the power went.
                for loss in losses(number) {
                    check(&disk.after(loss), &[&told], &format!("{context}, {loss:?}"));
                }
                *tried
                    .lock()
                    .unwrap()
                    .entry(format!("{fault:?}"))
                    .or_default() += 1;
            });
        }
    }
    let tried = tried.into_inner().unwrap();
    println!(
        "errors of the disk: {tried:?} operations; {} refusals",
        refusals.into_inner()
    );
}

#[test]
fn a_disk_that_broke_for_good_refuses_everything_and_what_was_durable_is_there() {
    for (name, beginning) in beginnings() {
        let whole = beginning.after(Loss::Everything);
        scenario(&whole, 4);
        let points = numbers(&whole, Kind::changes);
        for fault in [Fault::Io, Fault::NoSpace] {
            each(points.clone(), |number| {
                let disk = beginning.after(Loss::Everything);
                disk.fail_from(number, fault);
                let told = scenario(&disk, 4);
                disk.heal();
                for loss in losses(number / 2) {
                    let context = format!("{name}, {fault:?} from {number} on, {loss:?}");
                    check(&disk.after(loss), &[&told], &context);
                }
            });
        }
    }
}

/// Opens the log and hands over more than there is room for.
fn overflow(disk: &SimulatedDisk) -> Told {
    let mut told = Told::default();
    let Ok(log) = open(disk, KEYS[0], &ManualClock::default(), &told.checkpoints) else {
        return told;
    };
    told.opened = true;
    for _ in 0..20 {
        let mut pending = Vec::new();
        for _ in 0..20 {
            let (name, event) = permit(Acknowledgement::Sync);
            pending.push((true, name, log.record(event)));
        }
        told.settle(&mut pending);
    }
    told.closed = log.close().is_ok();
    let health = log.health();
    told.counted = health.refused + health.failed;
    told
}

#[test]
fn a_disk_with_any_room_left_that_is_full_is_never_a_reason_to_forget() {
    let refusals = AtomicU64::new(0);
    let opened = AtomicU64::new(0);
    let beginning = prepared(BEFORE);
    let names = beginning.names();
    let sizes = names.iter().map(|name| beginning.read(name).unwrap().len());
    let used: u64 = sizes.map(|size| size.div_ceil(4096) as u64).sum();
    each((0..24).collect(), |room| {
        let disk = beginning.after(Loss::Everything);
        disk.limit(Some((used + room) * 4096));
        let told = overflow(&disk);
        refusals.fetch_add(told.refused, Ordering::Relaxed);
        opened.fetch_add(u64::from(told.opened), Ordering::Relaxed);
        assert!(told.counted >= told.refused, "{told:?}");
        disk.limit(None);
        for loss in [Loss::Nothing, Loss::Everything, Loss::Random(room)] {
            check(
                &disk.after(loss),
                &[&told],
                &format!("{room} pages, {loss:?}"),
            );
        }
    });
    let (refusals, opened) = (refusals.into_inner(), opened.into_inner());
    println!("full disks: room for 0 to 23 pages, {opened} opened, {refusals} refusals");
    assert!(opened > 0 && refusals > opened);
}
