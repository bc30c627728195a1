use std::{
    collections::BTreeMap,
    fs::{self, File},
    future::Future,
    path::PathBuf,
    pin::pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use http::Request;
use serde_json::Value;
use zt_core::{
    clock::{ManualClock, Timestamp},
    context::HandlerRun,
    decision::Code,
    state::{BudgetEvent, BudgetPart, EventKind, Verdict},
};

use super::*;
use crate::{
    Finding, Reason,
    testing::{
        Disk, EIO, ENOSPC, admin, decision, denial, log, log_with, outcome, parse, permit, trail,
        trail_of,
    },
    verify,
};

fn poll(durable: &mut Durable) -> Poll<Result<(), RecordError>> {
    pin!(durable).poll(&mut Context::from_waker(Waker::noop()))
}

fn is_full(mut durable: Durable) -> bool {
    poll(&mut durable) == Poll::Ready(Err(RecordError::Full))
}

fn is_unavailable(result: &Result<(), RecordError>, with: &str) -> bool {
    matches!(result, Err(RecordError::Unavailable(why)) if why.contains(with))
}

/// The numbers of a record's member, by name.
fn numbers(member: &Value) -> BTreeMap<String, u64> {
    serde_json::from_value(member.clone()).unwrap()
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let path = std::env::temp_dir().join(format!(
            "zt-audit-{name}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn log(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(folder: &Folder) -> Result<AuditLog, OpenError> {
    AuditLog::open(folder.log(), Options::default())
}

fn write(folder: &Folder, objects: &[&str]) {
    let log = open(folder).unwrap();
    for object in objects {
        log.record(admin(object)).detach();
    }
    log.close().unwrap();
}

fn read(folder: &Folder) -> Vec<u8> {
    fs::read(folder.log()).unwrap()
}

fn kinds(bytes: &[u8]) -> Vec<String> {
    let kind = |record: &Value| record["kind"].as_str().unwrap().to_owned();
    parse(bytes).iter().map(kind).collect()
}

// Refusals.

#[tokio::test]
async fn a_write_that_fails_refuses_everything_from_then_on() {
    let (log, disk) = log();
    log.record(admin("before")).await.unwrap();
    disk.state().fail_append = Some(EIO);
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "os error 5"), "{result:?}");
    // The disk is well again; what it holds cannot be known.
    disk.state().fail_append = None;
    let appends = disk.state().appends;
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "os error 5"), "{result:?}");
    assert_eq!(disk.state().appends, appends);
    assert!(!log.health().is_writable());
    assert!(log.close().is_err());
    assert_eq!(disk.records().len(), 1);
}

#[tokio::test]
async fn a_flush_that_fails_is_not_tried_again() {
    let (log, disk) = log();
    disk.state().fail_sync = Some(EIO);
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "os error 5"), "{result:?}");
    let syncs = disk.state().syncs;
    disk.state().fail_sync = None;
    assert!(log.record(permit()).await.is_err());
    drop(log);
    assert_eq!(disk.state().syncs, syncs);
    assert!(disk.records().is_empty());
}

#[tokio::test]
async fn a_full_disk_refuses_and_what_was_durable_stays_good() {
    let (log, disk) = log();
    log.record(permit()).await.unwrap();
    let space = disk.state().bytes.len() + 100;
    disk.state().space = Some(space);
    let result = log.record(permit()).await;
    let full = std::io::Error::from_raw_os_error(ENOSPC).to_string();
    assert!(is_unavailable(&result, &full), "{result:?}");
    assert_eq!(disk.records().len(), 1);
    let taken = disk.state().bytes.clone();
    assert!(matches!(
        verify(taken.as_slice()).unwrap().finding,
        Finding::Torn { bytes: 100, .. }
    ));
}

#[tokio::test]
async fn everybody_who_waits_is_told_of_a_failure() {
    let (log, disk) = log();
    disk.hold();
    let tasks: Vec<_> = (0..50)
        .map(|_| tokio::spawn(log.record(permit())))
        .collect();
    tokio::task::yield_now().await;
    disk.wait_until_stalled();
    disk.state().fail_sync = Some(EIO);
    disk.release();
    for task in tasks {
        assert!(is_unavailable(&task.await.unwrap(), "os error 5"));
    }
    assert_eq!(log.health().durable, 0);
}

#[test]
fn a_sink_that_takes_nothing_fails() {
    let disk = Disk::default();
    disk.state().short = Some(0);
    assert!(matches!(
        AuditLog::with_sink(disk, Options::default()),
        Err(OpenError::Sink(error)) if error.kind() == std::io::ErrorKind::WriteZero
    ));
}

#[test]
fn bounds_that_are_too_small_are_refused() {
    for (options, name) in [
        (Options::default().max_records(63), "max_records"),
        (Options::default().max_bytes(1000), "max_bytes"),
    ] {
        let error = AuditLog::with_sink(Disk::default(), options).unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(serde_json::from_str::<Options>(r#"{"max_recrods": 1}"#).is_err());
}

#[test]
fn a_full_queue_refuses_permits_at_once() {
    let (log, disk) = log_with(Options::default().max_records(64));
    disk.hold();
    let taken: Vec<_> = (0..24).map(|_| log.record(permit())).collect();
    assert!(is_full(log.record(permit())));
    assert_eq!(log.health().refused, 1);
    assert_eq!(log.health().waiting, 24);
    disk.release();
    log.close().unwrap();
    for mut durable in taken {
        assert_eq!(poll(&mut durable), Poll::Ready(Ok(())));
    }
    assert_eq!(disk.records().len(), 24);
}

#[test]
fn the_queue_is_bounded_by_bytes_too() {
    let (log, disk) = log_with(Options::default().max_bytes(1 << 20));
    disk.hold();
    let wide = || {
        let request = Request::get(format!("/?{}", "x".repeat(30_000)))
            .header("x-forwarded-user", "x".repeat(30_000));
        decision(&trail_of(request), Verdict::Undecided, true)
    };
    // Three eighths of a mebibyte over a little more than 60,000.
    let taken: Vec<_> = (0..6).map(|_| log.record(wide())).collect();
    assert!(is_full(log.record(wide())));
    disk.release();
    log.close().unwrap();
    assert_eq!(disk.records().len(), taken.len());
}

#[test]
fn a_closed_log_refuses() {
    let (log, disk) = log();
    log.record(permit()).detach();
    log.close().unwrap();
    assert_eq!(
        poll(&mut log.record(permit())),
        Poll::Ready(Err(RecordError::Closed))
    );
    assert_eq!(log.health().refuses, Some(RecordError::Closed));
    assert_eq!(disk.records().len(), 1);
    log.close().unwrap();
}

#[test]
fn a_flood_of_denials_leaves_room_for_permits_and_is_counted_exactly() {
    let (log, disk) = log_with(Options::default().max_records(800));
    disk.hold();
    log.record(admin("first")).detach();
    disk.wait_until_stalled();
    for _ in 0..10_000 {
        log.record(denial(Code::CredentialInvalid)).detach();
        log.record(outcome(HandlerRun::NotReached)).detach();
    }
    for _ in 0..500 {
        log.record(denial(Code::RateLimited)).detach();
    }
    let permits: Vec<_> = (0..300).map(|_| log.record(permit())).collect();
    let outcomes: Vec<_> = (0..300)
        .map(|_| log.record(outcome(HandlerRun::Reached)))
        .collect();
    assert!(log.health().is_writable());
    assert_eq!(log.health().refused, 0);
    assert_eq!(log.health().lost, 0);
    assert_eq!(log.health().rolled_up, 20_500 - 100);
    disk.release();
    log.close().unwrap();
    for mut durable in permits.into_iter().chain(outcomes) {
        assert_eq!(poll(&mut durable), Poll::Ready(Ok(())));
    }

    let records = disk.records();
    let count = |test: &dyn Fn(&Value) -> bool| records.iter().filter(|r| test(r)).count() as u64;
    let mut denied = BTreeMap::from([
        (
            "credential-invalid".to_owned(),
            count(&|record| record["code"] == "credential-invalid"),
        ),
        (
            "rate-limited".to_owned(),
            count(&|record| record["code"] == "rate-limited"),
        ),
    ]);
    let mut outcomes = count(&|record| record["handler"] == "not-reached");
    assert_eq!(denied.values().sum::<u64>() + outcomes, 100);
    for rolled in records.iter().filter(|r| r["kind"] == "rolled-up") {
        for (code, more) in numbers(&rolled["denied"]) {
            *denied.get_mut(&code).unwrap() += more;
        }
        outcomes += rolled["outcomes"].as_u64().unwrap();
        assert_eq!(rolled["lost_outcomes"], 0);
        assert!(rolled["from"].as_u64() <= rolled["to"].as_u64());
    }
    assert_eq!(denied["credential-invalid"], 10_000);
    assert_eq!(denied["rate-limited"], 500);
    assert_eq!(outcomes, 10_000);
}

#[tokio::test]
async fn after_a_lost_outcome_nothing_is_permitted_until_that_is_durable() {
    let (log, disk) = log_with(Options::default().max_records(64));
    disk.hold();
    for _ in 0..24 {
        log.record(outcome(HandlerRun::Reached)).detach();
    }
    assert!(log.health().is_writable());
    assert!(is_full(log.record(outcome(HandlerRun::Panicked))));
    assert_eq!(log.health().refuses, Some(RecordError::Full));
    assert_eq!(log.health().lost, 1);
    // There is room for it, and it is refused.
    assert!(is_full(log.record(permit())));
    disk.release();
    // What comes after the count is written after it.
    while !log.health().is_writable() {
        log.record(admin("later")).await.unwrap();
    }
    log.record(permit()).await.unwrap();
    let records = disk.records();
    let told = records.iter().find(|record| record["kind"] == "rolled-up");
    assert_eq!(told.unwrap()["lost_outcomes"], 1);
    assert_eq!(records.last().unwrap()["decision"], "permit");
}

#[test]
fn what_requests_spend_is_told_like_what_they_did_and_leaves_room_for_administrators() {
    let spent = |subject: &str| {
        Event::Budget(BudgetEvent {
            at: Timestamp::EPOCH,
            author: None,
            action: "settled",
            hold: Some(7),
            root: "acme".into(),
            budgets: vec![
                BudgetPart {
                    limit: "key-day".into(),
                    subject: subject.into(),
                    window: None,
                };
                16
            ]
            .into(),
            currency: Some("USD".into()),
            nanos: 1,
            percent: None,
            request: None,
            detail: None,
        })
    };
    let (log, disk) = log_with(Options::default().max_records(64));
    disk.hold();
    for _ in 0..24 {
        log.record(spent("key-1")).detach();
    }
    assert_eq!(log.health().lost, 0);
    let admin = log.record(admin("limits"));
    assert!(is_full(log.record(spent("key-1"))));
    assert_eq!(log.health().lost, 1);
    disk.release();
    log.close().unwrap();
    assert_eq!(disk.records().len(), 26);
    assert!(!is_full(admin));

    // They take as many bytes as they have.
    let (log, disk) = log_with(Options::default().max_bytes(1 << 20));
    disk.hold();
    let wide = "s".repeat(256);
    let taken = (0..1000).take_while(|_| !is_full(log.record(spent(&wide))));
    let taken = taken.count();
    assert!((40..100).contains(&taken), "{taken}");
    disk.release();
    log.close().unwrap();
}

// What it does.

#[tokio::test]
async fn records_are_written_in_the_order_in_which_they_came() {
    let (log, disk) = log();
    let mut last = None;
    for index in 0..3000 {
        last = Some(log.record(admin(&index.to_string())));
    }
    // The last is durable only after all the others.
    last.unwrap().await.unwrap();
    let objects: Vec<_> = disk.records();
    assert_eq!(objects.len(), 3000);
    for (index, record) in objects.iter().enumerate() {
        assert_eq!(record["object"], index.to_string());
    }
}

#[test]
fn what_gathers_during_a_flush_is_written_at_once() {
    let (log, disk) = log();
    disk.hold();
    log.record(admin("first")).detach();
    disk.wait_until_stalled();
    let syncs = disk.state().syncs;
    for index in 0..1024 {
        log.record(admin(&index.to_string())).detach();
    }
    disk.release();
    log.close().unwrap();
    assert_eq!(disk.state().syncs, syncs + 1);
    assert_eq!(disk.records().len(), 1025);
}

#[test]
fn nothing_is_durable_before_its_flush_has_returned() {
    let (log, disk) = log();
    disk.hold();
    let mut durable = log.record(permit());
    disk.wait_until_stalled();
    assert!(poll(&mut durable).is_pending());
    assert_eq!(log.health().durable, 0);
    disk.release();
    log.close().unwrap();
    assert!(poll(&mut durable).is_ready());
    assert_eq!(log.health().durable, 1);
}

#[test]
fn short_writes_are_completed() {
    let (log, disk) = log();
    disk.state().short = Some(7);
    for index in 0..20 {
        log.record(admin(&index.to_string())).detach();
    }
    log.close().unwrap();
    assert_eq!(disk.records().len(), 20);
}

#[test]
fn the_last_waker_is_woken_and_one_that_was_dropped_is_not_kept() {
    struct Counter(AtomicUsize);
    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (log, disk) = log();
    disk.hold();
    let [first, second] = [(); 2].map(|()| Arc::new(Counter(AtomicUsize::new(0))));
    let mut durable = log.record(permit());
    disk.wait_until_stalled();
    for counter in [&first, &second] {
        let waker = Waker::from(Arc::clone(counter));
        let polled = pin!(&mut durable).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    assert_eq!(Arc::strong_count(&first), 1);
    drop(durable);
    disk.release();
    log.close().unwrap();
    assert_eq!(Arc::strong_count(&second), 1);
    assert_eq!(first.0.load(Ordering::SeqCst), 0);
    assert_eq!(second.0.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn subscribers_see_what_is_durable_and_nothing_else() {
    let (log, disk) = log();
    let mut events = log.subscribe(2);
    disk.hold();
    let durable = log.record(admin("a"));
    disk.wait_until_stalled();
    assert!(events.try_next().is_none());
    for object in ["b", "c"] {
        log.record(admin(object)).detach();
    }
    disk.release();
    durable.await.unwrap();
    log.close().unwrap();
    for _ in 0..2 {
        assert_eq!(events.next().await.unwrap().kind(), EventKind::Admin);
    }
    assert_eq!(events.dropped(), 1);
}

#[test]
fn dropping_the_last_handle_writes_what_waits() {
    let (log, disk) = log();
    let other = log.clone();
    for _ in 0..100 {
        log.record(permit()).detach();
    }
    drop(log);
    other.record(permit()).detach();
    drop(other);
    assert_eq!(disk.records().len(), 101);
}

#[test]
fn records_of_its_own_have_the_log_s_time() {
    let clock = ManualClock::default();
    let (log, disk) = log_with(Options::default().clock(clock.clone()));
    log.close().unwrap();
    let started = parse(&disk.durable()).remove(0);
    assert_eq!(started["ts"], 1_893_456_000_000_000_u64);
    assert_eq!(started["process"], std::process::id());
    clock.fail();
    let (_log, disk) = log_with(Options::default().clock(clock));
    assert_eq!(parse(&disk.durable())[0]["ts"], 0);
}

// Files.

#[test]
fn a_log_is_continued() {
    let folder = Folder::new("continued");
    write(&folder, &["a"]);
    write(&folder, &["b"]);
    let bytes = read(&folder);
    assert!(verify(bytes.as_slice()).unwrap().is_intact());
    assert_eq!(kinds(&bytes), ["started", "admin", "started", "admin"]);
}

#[test]
fn a_log_is_its_owner_s_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("owner");
    write(&folder, &[]);
    let mode = fs::metadata(folder.log()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_second_writer_is_refused() {
    let folder = Folder::new("second");
    let first = open(&folder).unwrap();
    assert!(matches!(open(&folder), Err(OpenError::InUse(_))));
    drop(first);
    open(&folder).unwrap();
}

#[test]
fn a_second_process_is_refused() {
    const PLACE: &str = "ZT_AUDIT_TEST_LOG";
    if let Some(path) = std::env::var_os(PLACE) {
        let refused = AuditLog::open(path, Options::default());
        assert!(matches!(refused, Err(OpenError::InUse(_))), "{refused:?}");
        return;
    }
    let folder = Folder::new("process");
    let _log = open(&folder).unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::a_second_process_is_refused"])
        .env(PLACE, folder.log())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn half_a_record_is_moved_aside_and_said_so() {
    let folder = Folder::new("torn");
    write(&folder, &["a", "b"]);
    for turn in 0..2 {
        let whole = read(&folder);
        let torn = b"{\"v\":1,\"idx\":3,\"ts\"";
        let mut bytes = whole.clone();
        bytes.extend_from_slice(torn);
        fs::write(folder.log(), bytes).unwrap();

        write(&folder, &["c"]);
        let bytes = read(&folder);
        assert!(bytes.starts_with(&whole));
        assert!(verify(bytes.as_slice()).unwrap().is_intact());
        let records = parse(&bytes[whole.len()..]);
        assert_eq!(
            kinds(&bytes[whole.len()..]),
            ["recovered", "started", "admin"]
        );
        let aside = ["audit.jsonl.torn", "audit.jsonl.torn.1"][turn];
        let moved_to = records[0]["moved_to"].as_str().unwrap();
        assert!(moved_to.ends_with(aside), "{moved_to}");
        assert_eq!(fs::read(moved_to).unwrap(), torn);
        assert_eq!(records[0]["bytes"], torn.len());
        assert_eq!(records[0]["sha256"].as_str().unwrap().len(), 64);
    }
}

#[test]
fn a_log_of_half_a_record_begins_again() {
    let folder = Folder::new("half");
    fs::write(folder.log(), b"{\"v\":").unwrap();
    write(&folder, &[]);
    let bytes = read(&folder);
    assert!(verify(bytes.as_slice()).unwrap().is_intact());
    assert_eq!(kinds(&bytes), ["recovered", "started"]);
}

#[test]
fn nothing_is_appended_to_a_damaged_log() {
    let folder = Folder::new("damaged");
    write(&folder, &["a", "b"]);
    let mut bytes = read(&folder);
    let at = bytes
        .windows(12)
        .position(|text| text == b"\"object\":\"a\"")
        .unwrap();
    bytes[at + 10] = b'x';
    // Half a record at the end does not make the damage less.
    bytes.extend_from_slice(b"{");
    fs::write(folder.log(), &bytes).unwrap();
    let error = open(&folder).unwrap_err();
    assert!(
        matches!(&error, OpenError::Damaged { record, .. }
            if record.index == 1 && record.reason == Reason::Altered),
        "{error}"
    );
    assert!(error.to_string().contains("record 1 at byte"), "{error}");
    assert_eq!(read(&folder), bytes);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn what_is_not_a_regular_file_is_refused() {
    let folder = Folder::new("folder");
    let error = AuditLog::open(&folder.0, Options::default()).unwrap_err();
    assert!(matches!(error, OpenError::File { action: "open", .. }));
    let error = AuditLog::open("/dev/null", Options::default()).unwrap_err();
    assert!(
        matches!(error, OpenError::File { action: "lock", .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_log_that_was_deleted_refuses() {
    let folder = Folder::new("deleted");
    let log = open(&folder).unwrap();
    log.record(permit()).await.unwrap();
    fs::remove_file(folder.log()).unwrap();
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "deleted"), "{result:?}");
}

#[tokio::test]
async fn a_log_that_somebody_else_cut_or_wrote_to_refuses() {
    for change in [-1_i64, 1] {
        let folder = Folder::new("length");
        let log = open(&folder).unwrap();
        let file = File::options().write(true).open(folder.log()).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.checked_add_signed(change).unwrap())
            .unwrap();
        let result = log.record(permit()).await;
        assert!(is_unavailable(&result, "length"), "{result:?}");
    }
}

#[tokio::test]
async fn a_real_disk_that_is_full_refuses() {
    struct Full(File);
    impl Sink for Full {
        fn append(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            std::io::Write::write(&mut self.0, bytes)
        }
        fn sync(&mut self) -> std::io::Result<()> {
            self.0.sync_data()
        }
    }
    let Ok(full) = File::options().write(true).open("/dev/full") else {
        println!("skipped: there is no /dev/full here");
        return;
    };
    let error = AuditLog::with_sink(Full(full), Options::default()).unwrap_err();
    assert!(
        matches!(&error, OpenError::Sink(error) if error.raw_os_error() == Some(ENOSPC)),
        "{error}"
    );
}

#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    struct Panics(bool);
    impl Sink for Panics {
        fn append(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            assert!(!std::mem::replace(&mut self.0, true), "as it is told");
            Ok(bytes.len())
        }
        fn sync(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let log = AuditLog::with_sink(Panics(false), Options::default()).unwrap();
    let mut durable = log.record(permit());
    assert!(log.close().is_err());
    assert!(matches!(
        poll(&mut durable),
        Poll::Ready(Err(RecordError::Unavailable(_)))
    ));
}

#[test]
fn the_trail_of_a_record_is_let_go_when_it_is_written() {
    let (log, _disk) = log();
    let trail = trail();
    log.record(decision(&trail, Verdict::Undecided, false))
        .detach();
    log.close().unwrap();
    assert_eq!(Arc::strong_count(&trail), 1);
}
