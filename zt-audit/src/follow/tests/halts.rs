use super::{delivery::Alerts, *};
use crate::format::name;

/// A follower that has delivered all of `log` was here.
async fn delivered(stand: &Stand, log: &TestLog) {
    let follower = stand.follow(&log.disk);
    follower.delivered(log.tree.size()).await.unwrap();
    follower.shutdown().await;
}

/// Why a follower of `log` stops. It delivers nothing before that, and says so to all who asked.
async fn halt(stand: &Stand, log: &TestLog) -> Halt {
    let before = stand.sink.indexes();
    let alerts = Arc::new(Alerts::default());
    let options = stand.options().alerts(Arc::clone(&alerts) as _);
    let follower = stand.follow_with(&log.disk, options);
    let halt = follower.stopped().await;
    assert_eq!(alerts.evidence(), [halt.to_string()], "one alarm");
    assert!(halt.is_alarm());
    assert!(!follower.health().is_well());
    assert_eq!(stand.sink.indexes(), before, "something was delivered");
    halt
}

#[tokio::test]
async fn refuses_names_that_are_no_files_and_a_second_of_the_same_name() {
    let stand = Stand::new();
    let log = log_of(1);
    for name in ["", "a/b", "..", "Copy", "a b", &"x".repeat(65)] {
        let source = Box::new(LogFiles::over(log.disk.clone()));
        let options = FollowOptions::new(name);
        let begun = Follower::follow(source, stand.sink.clone(), options, &stand.cursors.0);
        assert!(matches!(begun, Err(FollowError::Name(_))), "{name}");
    }
    let first = stand.follow(&log.disk);
    let source = Box::new(LogFiles::over(log.disk.clone()));
    let begun = Follower::follow(
        source,
        stand.sink.clone(),
        stand.options(),
        &stand.cursors.0,
    );
    assert!(matches!(begun, Err(FollowError::InUse(_))));
    first.shutdown().await;
    stand.follow(&log.disk).delivered(1).await.unwrap();
}

#[tokio::test]
async fn refuses_cursors_within_the_log() {
    let scratch = Scratch::new();
    let log = scratch.0.join("audit");
    std::fs::create_dir(&log).unwrap();
    let clock = ManualClock::default();
    for inner in [
        log.clone(),
        log.join("cursors"),
        log.join("../audit/cursors"),
    ] {
        let options = FollowOptions::new("copy").cursors_in(&inner);
        let begun = Follower::spawn(&log, Told::new(&clock), options);
        assert!(matches!(begun, Err(FollowError::Within(_))), "{inner:?}");
    }
    let begun = Follower::spawn(&log, Told::new(&clock), FollowOptions::new("copy"));
    begun.unwrap().shutdown().await;
    assert!(scratch.0.join("audit.cursors/copy.lock").exists());
}

#[tokio::test]
async fn stops_where_the_cursor_is_of_another_log() {
    let stand = Stand::new();
    delivered(&stand, &log_of(3)).await;
    let mut other = TestLog::new();
    other.origin = "another/log".to_owned();
    other.batch(5);
    sign(&other);
    let expected = Halt::OtherLog {
        expected: ORIGIN.to_owned(),
        found: "another/log".to_owned(),
    };
    assert_eq!(halt(&stand, &other).await, expected);
}

#[tokio::test]
async fn stops_where_the_last_delivered_record_is_another_one_now() {
    let stand = Stand::new();
    delivered(&stand, &log_of(3)).await;
    let mut rewritten = TestLog::new();
    rewritten.micros += 1;
    rewritten.batch(5);
    sign(&rewritten);
    assert_eq!(
        halt(&stand, &rewritten).await,
        Halt::OtherRecord { index: 2 }
    );
}

#[tokio::test]
async fn stops_where_the_log_is_shorter_than_what_was_delivered() {
    let stand = Stand::new();
    delivered(&stand, &log_of(5)).await;
    let expected = Halt::WentBack {
        delivered: 5,
        signed: 3,
    };
    assert_eq!(halt(&stand, &log_of(3)).await, expected);
}

#[tokio::test]
async fn stops_where_the_checkpoint_goes_back_or_away() {
    for gone in [false, true] {
        let stand = Stand::new();
        let log = log_of(5);
        delivered(&stand, &log).await;
        match gone {
            true => log.disk.remove("checkpoint").unwrap(),
            false => {
                let older = log_of(2).disk.bytes("checkpoint");
                log.disk.replace("checkpoint", &older).unwrap();
            }
        }
        let expected = Halt::WentBack {
            delivered: 5,
            signed: if gone { 0 } else { 2 },
        };
        assert_eq!(halt(&stand, &log).await, expected);
    }
}

#[tokio::test]
async fn stops_at_a_record_that_is_not_as_it_was_written() {
    let stand = Stand::new();
    let log = log_of(3);
    log.disk.edit(&name::segment(0), |bytes| {
        let at = bytes.windows(6).rposition(|found| found == b"permit");
        bytes[at.unwrap()] = b'q';
    });
    let found = halt(&stand, &log).await;
    assert!(matches!(found, Halt::Damaged(_)), "{found}");
}

#[tokio::test]
async fn stops_where_the_cursor_cannot_be_read() {
    let stand = Stand::new();
    let log = log_of(3);
    delivered(&stand, &log).await;
    let file = stand.cursors.0.join("copy.cursor");
    let good = std::fs::read_to_string(&file).unwrap();
    let bad = [
        String::new(),
        good.replace("cursor 1", "cursor 2"),
        good.replace("\n2\n", "\n02\n"),
        good.replace("\n2\n", "\n+2\n"),
        good.to_uppercase(),
        format!("{good}\n"),
        good.trim_end().to_owned(),
        "x".repeat(100_000),
    ];
    for bad in bad {
        std::fs::write(&file, &bad).unwrap();
        let found = halt(&stand, &log).await;
        assert!(matches!(found, Halt::Cursor(_)), "{bad}: {found}");
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            bad,
            "it was overwritten"
        );
    }
}

#[tokio::test]
async fn stops_at_a_conflict_and_counts_it() {
    let stand = Stand::new();
    let log = log_of(5);
    stand.sink.is(Mood::Conflicts(3));
    let expected = Halt::Conflict {
        origin: ORIGIN.to_owned(),
        index: 3,
    };
    assert_eq!(halt(&stand, &log).await, expected);
    assert_eq!(stand.sink.state().asked.len(), 1, "it was asked again");
    let follower = stand.follow(&log.disk);
    follower.stopped().await;
    assert_eq!(follower.health().conflicts, 1);
}

#[tokio::test]
async fn says_so_where_its_sink_panics() {
    let stand = Stand::new();
    stand.sink.is(Mood::Panics);
    let log = log_of(5);
    assert_eq!(halt(&stand, &log).await, Halt::Panicked);
    let follower = stand.follow(&log.disk);
    assert_eq!(follower.stopped().await, Halt::Panicked);
    assert_eq!(
        follower.shutdown().await.stage,
        Stage::Stopped(Halt::Panicked)
    );
}
