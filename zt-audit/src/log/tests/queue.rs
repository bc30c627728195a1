use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use http::Request;
use zt_core::{
    clock::{Clock as _, SystemClock},
    context::HandlerRun,
    state::{Acknowledgement, BudgetEvent, BudgetPart, DecisionEvent, EventKind, Verdict},
};

use super::*;

#[test]
fn bounds_that_are_too_small_are_refused() {
    for (options, name) in [
        (Options::default().max_records(63), "max_records"),
        (Options::default().max_bytes(1000), "max_bytes"),
        (Options::default().segment_bytes(1000), "segment_bytes"),
        (
            Options::default().batch_delay(std::time::Duration::ZERO),
            "batch_delay",
        ),
    ] {
        let error = log_on(&Disk::default(), options).unwrap_err();
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
    // And once more when the zeros were cut off.
    assert_eq!(disk.state().syncs, syncs + 2);
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
    let started = disk.all().remove(0);
    assert_eq!(started["ts"], 1_893_456_000_000_000_u64);
    assert_eq!(started["process"], std::process::id());
    clock.fail();
    let (_log, disk) = log_with(Options::default().clock(clock));
    assert_eq!(disk.all()[0]["ts"], 0);
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

#[test]
fn what_is_batched_or_asynchronous_is_acknowledged_at_once_and_what_is_synchronous_is_not() {
    let clock = ManualClock::default();
    let (log, disk) = log_with(Options::default().clock(clock.clone()));
    let with = |how| {
        let Event::Decision(event) = permit() else {
            panic!("a decision")
        };
        let acknowledge = Some(how);
        log.record(Event::Decision(DecisionEvent {
            acknowledge,
            ..event
        }))
    };
    disk.hold();
    let mut sync = with(Acknowledgement::Sync);
    disk.wait_until_stalled();
    assert!(poll(&mut sync).is_pending());
    assert!(poll(&mut with(Acknowledgement::Batched)).is_ready());
    clock.advance(std::time::Duration::from_millis(20));
    assert!(poll(&mut with(Acknowledgement::Batched)).is_ready());
    // The flush takes longer than the log promises.
    clock.advance(std::time::Duration::from_micros(1));
    let mut behind = with(Acknowledgement::Batched);
    assert!(poll(&mut behind).is_pending());
    assert!(poll(&mut with(Acknowledgement::Async)).is_ready());
    disk.release();
    log.close().unwrap();
    assert_eq!(poll(&mut behind), Poll::Ready(Ok(())));
    assert_eq!(disk.records().len(), 5);
}

#[tokio::test]
async fn what_nobody_waits_for_becomes_durable_without_being_asked_for() {
    let (log, disk) = log();
    for _ in 0..3 {
        let mut events = log.subscribe(1);
        log.record(outcome(HandlerRun::Reached)).detach();
        assert!(events.next().await.is_some());
    }
    assert_eq!(disk.records().len(), 3);
}

/// So long that whoever waited for it would be seen to.
const LONG: Duration = Duration::from_secs(1200);

/// Says that it was woken.
struct Bell(mpsc::Sender<()>);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[test]
fn whoever_begins_to_wait_while_another_batch_is_flushed_does_not_wait_for_more_to_gather() {
    let (log, disk) = log_with(Options::default().batch_delay(LONG));
    disk.hold();
    log.record(permit()).detach();
    disk.wait_until_stalled();
    // Nobody waits for it when it is handed over, and the writer does not sleep.
    let mut outcome = log.record(outcome(HandlerRun::Reached));
    let (bell, rung) = mpsc::channel();
    let waker = Waker::from(Arc::new(Bell(bell)));
    let first = pin!(&mut outcome).poll(&mut Context::from_waker(&waker));
    assert!(first.is_pending());
    disk.release();
    rung.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(poll(&mut outcome), Poll::Ready(Ok(())));
}

#[test]
fn a_loss_is_told_at_once_since_no_permit_has_a_place_before() {
    let (log, disk) = log_with(Options::default().max_bytes(1 << 20).batch_delay(LONG));
    // Of few records, so that they are no heap.
    let wide = || {
        Event::Budget(BudgetEvent {
            at: Timestamp::EPOCH,
            author: None,
            action: "settled",
            hold: Some(7),
            root: "acme".into(),
            budgets: Arc::new([]),
            currency: None,
            nanos: 1,
            percent: None,
            request: None,
            detail: Some("x".repeat(60_000)),
        })
    };
    disk.hold();
    log.record(permit()).detach();
    disk.wait_until_stalled();
    let taken = (0..7).take_while(|_| !is_full(log.record(wide()))).count();
    assert_eq!(taken, 6);
    disk.release();
    let begin = SystemClock.monotonic();
    while !log.health().is_writable() {
        assert!(SystemClock.monotonic() - begin < Duration::from_secs(60));
        thread::yield_now();
    }
    assert_eq!(of_kind(&disk, "rolled-up").len(), 1);
}
