use super::*;

#[tokio::test]
async fn delivers_every_record_once_and_in_order() {
    let stand = Stand::new();
    let log = log_of(1300);
    let follower = stand.follow(&log.disk);
    follower.delivered(1300).await.unwrap();
    let health = follower.shutdown().await;
    assert_eq!(stand.sink.indexes(), (0..1300).collect::<Vec<_>>());
    assert_eq!(
        (health.delivered, health.lag, health.position),
        (1300, 0, 1300)
    );
    assert_eq!(health.stage, Stage::Stopped(Halt::Shutdown));
    let state = stand.sink.state();
    assert_eq!(state.asked.len(), 3, "batches of 512");
    let reader = crate::read::LogReader::over(Arc::new(log.disk.clone()), 0);
    let mut reader = reader.unwrap();
    for taken in &state.taken {
        let entry = reader.next().unwrap().unwrap();
        assert_eq!((taken.stored(), taken.leaf()), (&*entry.bytes, &entry.leaf));
        assert_eq!((taken.origin(), taken.kind()), (ORIGIN, "decision"));
    }
}

#[tokio::test]
async fn delivers_nothing_that_is_not_signed_for() {
    let stand = Stand::new();
    let mut log = log_of(3);
    log.batch(4);
    let follower = stand.follow(&log.disk);
    follower.delivered(3).await.unwrap();
    // Several looks later it is still so.
    let until = stand.clock.monotonic() + Duration::from_secs(3);
    stand
        .until(&follower, |_| stand.clock.monotonic() >= until)
        .await;
    assert_eq!(stand.sink.indexes(), [0, 1, 2]);
    sign(&log);
    stand.until(&follower, |health| health.position == 7).await;
    assert_eq!(stand.sink.indexes(), [0, 1, 2, 3, 4, 5, 6]);
}

#[tokio::test]
async fn follows_a_log_that_comes_later_and_through_rolls() {
    let stand = Stand::new();
    let disk = TestLog::new().disk;
    let follower = stand.follow(&disk);
    let mut log = TestLog::new();
    log.disk = disk;
    for _ in 0..3 {
        log.batch(256).roll();
        sign(&log);
        let size = log.tree.size();
        stand
            .until(&follower, |health| health.position == size)
            .await;
    }
    assert_eq!(stand.sink.indexes(), (0..768).collect::<Vec<_>>());
}

#[tokio::test]
async fn bounds_a_delivery_by_its_bytes() {
    let stand = Stand::new();
    let mut log = TestLog::new();
    for _ in 0..10 {
        let filler = "x".repeat(30_000);
        log.record("admin", &format!(r#","object":"{filler}""#));
    }
    log.commit();
    sign(&log);
    let follower = stand.follow_with(&log.disk, stand.options().batch_bytes(100_000));
    follower.delivered(10).await.unwrap();
    let counts: Vec<_> = stand.sink.state().asked.iter().map(|it| it.2).collect();
    assert_eq!(counts, [4, 4, 2]);
}

#[tokio::test]
async fn asks_a_sink_that_is_away_later_and_later_up_to_a_bound() {
    let stand = Stand::new();
    stand.sink.is(Mood::Refuses);
    let log = log_of(5);
    let options = stand
        .options()
        .retry(Duration::from_millis(100), Duration::from_secs(1));
    let follower = stand.follow_with(&log.disk, options);
    stand.until(&follower, |health| health.failures == 7).await;
    let health = follower.health();
    assert_eq!(health.stage, Stage::Retrying);
    assert_eq!((health.position, health.lag), (0, 5));
    assert_eq!(health.last_error.as_deref(), Some("not now"));
    assert!(!health.is_well());
    let asked = stand.sink.state().asked.clone();
    let gaps: Vec<_> = asked
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).as_millis())
        .collect();
    assert_eq!(gaps, [100, 200, 400, 800, 1000, 1000]);
    stand.sink.is(Mood::Takes);
    stand.until(&follower, |health| health.position == 5).await;
    let health = follower.health();
    assert_eq!(
        (health.stage.clone(), health.failures),
        (Stage::Following, 0)
    );
    assert_eq!(stand.sink.indexes(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_sink_that_hangs_is_given_up_at_its_deadline_and_asked_again() {
    let stand = Stand::new();
    stand.sink.is(Mood::Hangs);
    let log = log_of(2);
    let options = stand
        .options()
        .deadline(Duration::from_secs(3))
        .retry(Duration::from_millis(500), Duration::from_secs(1));
    let follower = stand.follow_with(&log.disk, options);
    stand.until(&follower, |health| health.failures == 2).await;
    let said = follower.health().last_error.unwrap();
    assert_eq!(said, "the sink did not answer within 3s");
    let asked = stand.sink.state().asked.clone();
    assert_eq!((asked[1].0 - asked[0].0).as_millis(), 3500);
    stand.sink.is(Mood::Takes);
    stand.until(&follower, |health| health.position == 2).await;
    assert_eq!(stand.sink.indexes(), [0, 1]);
}

#[tokio::test]
async fn goes_on_after_a_restart_where_it_was() {
    let stand = Stand::new();
    let mut log = log_of(300);
    let follower = stand.follow(&log.disk);
    follower.delivered(300).await.unwrap();
    follower.shutdown().await;
    let saved = std::fs::read_to_string(stand.cursors.0.join("copy.cursor")).unwrap();
    assert_eq!(
        saved,
        format!("zt-audit cursor 1\n{ORIGIN}\n299\n{}\n", log.last)
    );
    log.batch(5);
    sign(&log);
    let follower = stand.follow(&log.disk);
    follower.delivered(305).await.unwrap();
    assert_eq!(stand.sink.indexes(), (0..305).collect::<Vec<_>>());
    assert_eq!(follower.health().delivered, 5);
}

#[tokio::test]
async fn writes_its_cursor_no_more_often_than_it_was_told() {
    let stand = Stand::new();
    let mut log = log_of(2);
    let options = || stand.options().save_every(Duration::from_secs(60));
    let follower = stand.follow_with(&log.disk, options());
    follower.delivered(2).await.unwrap();
    let cursor = stand.cursors.0.join("copy.cursor");
    assert!(!cursor.exists());
    let until = stand.clock.monotonic() + Duration::from_secs(61);
    stand
        .until(&follower, |_| {
            stand.clock.monotonic() >= until && cursor.exists()
        })
        .await;
    log.batch(1);
    sign(&log);
    stand.until(&follower, |health| health.position == 3).await;
    assert!(std::fs::read_to_string(&cursor).unwrap().contains("\n1\n"));
    follower.shutdown().await;
    assert!(std::fs::read_to_string(&cursor).unwrap().contains("\n2\n"));
}

#[tokio::test]
async fn a_shutdown_waits_for_the_delivery_in_progress() {
    let stand = Stand::new();
    let log = log_of(2);
    let (go, gone) = tokio::sync::oneshot::channel();
    let begun = Arc::new(tokio::sync::Notify::new());
    let sink = Slow {
        begun: Arc::clone(&begun),
        gone: Some(gone),
    };
    let source = Box::new(LogFiles::over(log.disk.clone()));
    let follower = Follower::follow(source, sink, stand.options(), &stand.cursors.0).unwrap();
    begun.notified().await;
    let shutdown = tokio::spawn(follower.shutdown());
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!shutdown.is_finished());
    go.send(()).unwrap();
    let health = shutdown.await.unwrap();
    assert_eq!(
        (health.position, health.stage),
        (2, Stage::Stopped(Halt::Shutdown))
    );
    assert!(stand.cursors.0.join("copy.cursor").exists());
}

struct Slow {
    begun: Arc<tokio::sync::Notify>,
    gone: Option<tokio::sync::oneshot::Receiver<()>>,
}

impl Sink for Slow {
    async fn deliver(&mut self, _records: &[Record]) -> Result<(), SinkError> {
        self.begun.notify_one();
        self.gone.take().unwrap().await.unwrap();
        Ok(())
    }
}

#[tokio::test]
async fn stops_when_it_is_dropped_also_while_the_sink_is_away() {
    let stand = Stand::new();
    stand.sink.is(Mood::Refuses);
    let log = log_of(2);
    let follower = stand.follow(&log.disk);
    stand.until(&follower, |health| health.failures > 0).await;
    let mut health = follower.watch();
    drop(follower);
    let ended = health
        .wait_for(|health| matches!(health.stage, Stage::Stopped(_)))
        .await;
    assert_eq!(ended.unwrap().stage, Stage::Stopped(Halt::Shutdown));
}

#[tokio::test]
async fn what_was_pruned_before_it_was_delivered_is_an_alarm_and_it_goes_on() {
    let stand = Stand::new();
    stand.sink.is(Mood::Refuses);
    let mut log = log_of(10);
    let alerts = Arc::new(Alerts::default());
    let options = stand.options().batch(4).alerts(Arc::clone(&alerts) as _);
    let follower = stand.follow_with(&log.disk, options);
    stand.until(&follower, |health| health.failures > 0).await;
    follower.shutdown().await;
    // The first batch was never taken, and then the log is pruned.
    log.batch(246);
    let before = log.tree.clone();
    log.roll().batch(3);
    let pruned = crate::format::Pruned { tree: before };
    log.disk.replace("pruned", &pruned.encode()).unwrap();
    log.disk.remove(&crate::format::name::segment(0)).unwrap();
    sign(&log);
    stand.sink.is(Mood::Takes);
    let options = stand.options().alerts(Arc::clone(&alerts) as _);
    let follower = stand.follow_with(&log.disk, options);
    stand
        .until(&follower, |health| health.position == 259)
        .await;
    assert_eq!(stand.sink.indexes(), [256, 257, 258]);
    assert_eq!(follower.health().missed, 256);
    assert_eq!(
        alerts.evidence(),
        ["records 0 to 256 were pruned before they were delivered"]
    );
}

#[tokio::test]
async fn what_was_delivered_may_be_pruned() {
    let stand = Stand::new();
    let mut log = log_of(256);
    let follower = stand.follow(&log.disk);
    follower.delivered(256).await.unwrap();
    follower.shutdown().await;
    let before = log.tree.clone();
    log.roll().batch(3);
    let pruned = crate::format::Pruned { tree: before };
    log.disk.replace("pruned", &pruned.encode()).unwrap();
    log.disk.remove(&crate::format::name::segment(0)).unwrap();
    sign(&log);
    let follower = stand.follow(&log.disk);
    stand
        .until(&follower, |health| health.position == 259)
        .await;
    assert_eq!(follower.health().missed, 0);
    assert_eq!(stand.sink.indexes(), (0..259).collect::<Vec<_>>());
}

/// Keeps the alerts that are recorded.
#[derive(Debug, Default)]
pub(super) struct Alerts(Mutex<Vec<zt_core::state::AlertEvent>>);

impl Alerts {
    pub(super) fn evidence(&self) -> Vec<String> {
        let alerts = self.0.lock().unwrap();
        alerts.iter().map(|alert| alert.evidence.clone()).collect()
    }
}

impl zt_core::state::Recorder for Alerts {
    fn record(&self, event: zt_core::state::Event) -> zt_core::state::Durable {
        let zt_core::state::Event::Alert(alert) = event else {
            panic!("no alert: {event:?}");
        };
        assert_eq!(
            (alert.detector, &*alert.subject),
            ("audit-follower", "copy")
        );
        self.0.lock().unwrap().push(alert);
        zt_core::state::Durable::done(Ok(()))
    }

    fn subscribe(&self, capacity: usize) -> zt_core::state::Events {
        zt_core::state::Fanout::default().subscribe(capacity)
    }
}
