use http::Request;
use zt_core::{context::PeerAddr, decision::Code};

use super::*;

#[tokio::test]
async fn after_a_failed_write_or_flush_the_batch_goes_into_another_segment() {
    let (log, disk) = log();
    log.record(admin("before")).await.unwrap();
    let syncs = disk.state().syncs;
    disk.state().fail_next = 1;
    log.record(permit()).await.unwrap();
    log.record(permit()).await.unwrap();
    // The one that failed is not written or flushed again.
    assert_eq!(disk.state().syncs, syncs + 2);
    assert_eq!(log.health().given_up, 1);
    log.close().unwrap();
    assert_eq!(
        disk.segments(),
        ["00000000000000000000.jsonl", "00000000000000000003.jsonl"]
    );
    let recovered = of_kind(&disk, "recovered").remove(0);
    assert_eq!(recovered["cause"], "segment");
    assert_eq!(recovered["file"], "log/00000000000000000000.jsonl");
    assert!(recovered["why"].as_str().unwrap().contains("os error 5"));
    assert_eq!(
        kinds(&disk),
        [
            "started",
            "key",
            "admin",
            "recovered",
            "decision",
            "decision"
        ]
    );
    assert_sound(&disk);
    drop(log);
    log_on(&disk, Options::default()).unwrap().close().unwrap();
    assert_sound(&disk);
}

#[tokio::test]
async fn a_segment_without_a_durable_record_is_begun_anew_when_its_first_flush_fails() {
    let (log, disk) = log();
    // The first segment, and the first that takes its place.
    disk.state().fail_next = 2;
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "os error 5"), "{result:?}");
    until_writable(&log);
    log.record(permit()).await.unwrap();
    log.close().unwrap();
    assert_eq!(
        disk.segments(),
        ["00000000000000000000.jsonl", "00000000000000000002.jsonl"]
    );
    assert_eq!(
        kinds(&disk),
        ["started", "key", "recovered", "gap", "decision"]
    );
    assert_sound(&disk);
}

#[tokio::test]
async fn while_nothing_can_be_written_everything_is_refused_and_counted_exactly() {
    let (log, disk) = log();
    disk.state().fail_sync = Some(EIO);
    let result = log.record(permit()).await;
    assert!(is_unavailable(&result, "write-error"), "{result:?}");
    assert!(!log.health().is_writable());
    let mut refused = 0;
    for _ in 0..10 {
        assert!(log.record(permit()).await.is_err());
        assert!(log.record(admin("a")).await.is_err());
        assert!(log.record(denial(Code::RateLimited)).await.is_err());
        refused += 3;
    }
    assert_eq!(log.health().failed, 1);
    disk.state().fail_sync = None;
    until_writable(&log);
    log.record(permit()).await.unwrap();
    log.close().unwrap();
    let gaps = of_kind(&disk, "gap");
    let count = |kind: &str| -> u64 {
        let of = |gap: &Value| gap["refused"][kind].as_u64().unwrap_or_default();
        gaps.iter().map(of).sum()
    };
    assert_eq!(
        [count("permit"), count("admin"), count("denial")],
        [11, 10, 10]
    );
    assert_eq!(refused + 1, 31);
    assert_eq!(gaps[0]["reason"], "write-error");
    assert_sound(&disk);
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
    assert_eq!(log.health().failed, 50);
    assert!(log.close().is_err());
}

#[tokio::test]
async fn a_full_disk_still_takes_the_record_that_says_so_and_refuses_until_there_is_room() {
    let (log, disk) = log();
    log.record(permit()).await.unwrap();
    let full = disk
        .state()
        .files
        .values()
        .map(|file| file.bytes.len())
        .sum();
    disk.state().space = Some(full);
    let mut written = 1;
    let result = loop {
        match log.record(permit()).await {
            Ok(()) => written += 1,
            failed => break failed,
        }
    };
    let no_space = std::io::Error::from_raw_os_error(ENOSPC).to_string();
    assert!(is_unavailable(&result, &no_space), "{result:?}");
    assert!(is_unavailable(&log.record(permit()).await, "no-space"));
    // The last record before the gap is not the last that had room: that was kept for the gap.
    while of_kind(&disk, "gap").is_empty() {
        thread::yield_now();
    }
    let gap = of_kind(&disk, "gap");
    assert_eq!(gap.len(), 1);
    assert_eq!(gap[0]["reason"], "no-space");
    // Nothing was given up, and nothing lost.
    assert_eq!(log.health().given_up, 0);
    let permits = |disk: &Disk| of_kind(disk, "decision").len();
    assert_eq!(permits(&disk), written);

    disk.state().space = None;
    until_writable(&log);
    log.record(permit()).await.unwrap();
    log.close().unwrap();
    let gaps = of_kind(&disk, "gap");
    // The first may have been written before the second was refused, or tell of both.
    let told = |gap: &Value| gap["refused"]["permit"].as_u64().unwrap_or(0);
    assert_eq!(gaps.iter().map(told).sum::<u64>(), 2);
    assert_eq!(permits(&disk), written + 1);
    assert_sound(&disk);
}

#[test]
fn what_was_acknowledged_at_once_and_is_lost_is_told_apart() {
    let (log, disk) = log();
    disk.hold();
    log.record(admin("sync")).detach();
    disk.wait_until_stalled();
    for _ in 0..3 {
        log.record(outcome(zt_core::context::HandlerRun::Reached))
            .detach();
    }
    disk.state().fail_sync = Some(EIO);
    disk.release();
    while log.health().is_writable() {
        thread::yield_now();
    }
    disk.state().fail_sync = None;
    until_writable(&log);
    log.close().unwrap();
    let gap = of_kind(&disk, "gap").remove(0);
    assert_eq!(gap["refused"]["outcome"], 3);
    assert_eq!(gap["refused"]["admin"], 1);
    assert_eq!(gap["taken"], 3);
}

#[tokio::test]
async fn a_live_file_that_is_not_the_one_of_its_name_ends_the_log() {
    for (place, said) in [
        (Place::Gone, "was deleted"),
        (Place::Replaced, "was replaced"),
        (Place::Linked, "second name"),
    ] {
        let (log, disk) = log();
        log.record(permit()).await.unwrap();
        let writes = disk.state().writes;
        disk.state().place = Some(place);
        let result = log.record(permit()).await;
        assert!(is_unavailable(&result, said), "{result:?}");
        // Also when it looks well again: what was acknowledged may be gone.
        disk.state().place = None;
        let result = log.record(permit()).await;
        assert!(is_unavailable(&result, said), "{result:?}");
        assert_eq!(disk.state().writes, writes);
        assert!(is_unavailable(&Err(log.health().refuses.unwrap()), said));
        assert!(is_unavailable(&log.close(), said));
    }
}

#[tokio::test]
async fn a_live_file_that_somebody_else_cut_or_extended_ends_the_log() {
    for change in [-1_i64, 1] {
        let scratch = Scratch::new("length");
        let log = scratch.open().unwrap();
        log.record(permit()).await.unwrap();
        let file = fs::File::options()
            .write(true)
            .open(scratch.live())
            .unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.checked_add_signed(change).unwrap())
            .unwrap();
        let result = log.record(permit()).await;
        assert!(is_unavailable(&result, "length"), "{result:?}");
    }
}

#[test]
fn a_writer_that_panics_leaves_nobody_waiting() {
    let (log, disk) = log();
    disk.state().panic = true;
    let mut durable = log.record(permit());
    assert!(is_unavailable(&log.close(), "panicked"));
    assert!(matches!(
        poll(&mut durable),
        Poll::Ready(Err(RecordError::Unavailable(_)))
    ));
    assert_eq!(Arc::strong_count(&log.0.core), 1);
}

#[tokio::test]
async fn a_segment_that_is_full_is_followed_by_another_at_a_multiple_of_256() {
    let (log, disk) = log_with(Options::default().segment_bytes(64 << 10));
    let mut last = None;
    for index in 0..2000 {
        last = Some(log.record(admin(&index.to_string())));
        if index % 50 == 0 {
            last.take().unwrap().await.unwrap();
        }
    }
    last.unwrap().await.unwrap();
    log.close().unwrap();
    let segments = disk.segments();
    assert!(segments.len() > 2, "{segments:?}");
    for name in &segments {
        assert_eq!(name[..20].parse::<u64>().unwrap() % 256, 0, "{name}");
        let file = &disk.state().files[&format!("log/{name}")];
        assert_ne!(file.bytes.last(), Some(&0), "{name} ends with zeros");
    }
    assert_sound(&disk);
}

/// A refusal of somebody at this address.
fn refused_at(host: u32) -> Event {
    let source = std::net::IpAddr::from((0x0a00_0000 + host).to_be_bytes());
    let request = Request::get("/").extension(PeerAddr((source, 4711).into()));
    let denial = zt_core::decision::Denial::new(Code::RateLimited);
    decision(
        &trail_of(request),
        zt_core::state::Verdict::Deny(denial),
        false,
    )
}

fn counting() -> Options {
    Options::default()
        .denials_in_full(0)
        .denial_sources(30_000)
        .denial_window(std::time::Duration::from_secs(36_000))
        .clock(ManualClock::at(Timestamp::from_secs(1_893_456_000)))
}

/// More than a batch holds, of a log that is closed before it knew that its disk is well.
#[tokio::test]
async fn a_flood_is_told_whole_where_the_disk_is_well_only_when_the_log_is_closed() {
    let (log, disk) = log_with(counting());
    disk.state().fail_sync = Some(EIO);
    assert!(log.record(permit()).await.is_err());
    for host in 0..20_000 {
        log.record(refused_at(host)).detach();
    }
    disk.state().fail_sync = None;
    log.close().unwrap();
    let told = |record: &Value| record["denied"]["rate-limited"].as_u64().unwrap();
    let rolled = of_kind(&disk, "rolled-up");
    assert_eq!(rolled.iter().map(told).sum::<u64>(), 20_000);
    assert_sound(&disk);
}

#[test]
fn a_log_that_could_not_tell_of_a_flood_does_not_close_well() {
    let (log, disk) = log_with(counting());
    disk.state().fail_sync = Some(EIO);
    for host in 0..5 {
        log.record(refused_at(host)).detach();
    }
    assert!(is_unavailable(&log.close(), "no record says so"));
}

/// A log whose writer has begun the next batch, of ten, while the one before, of one, is flushed
/// and does not return.
async fn two_batches_under_way() -> (AuditLog, Disk, Vec<Durable>) {
    let (log, disk) = log();
    disk.hold();
    log.record(admin("alone")).detach();
    disk.wait_until_stalled();
    log.record(admin("two")).detach();
    let two = log.record(admin("at once"));
    disk.release();
    two.await.unwrap();
    disk.hold();
    let mut all = vec![log.record(admin("0"))];
    disk.wait_until_stalled();
    for index in 1..=10 {
        all.push(log.record(admin(&index.to_string())));
    }
    // It takes a group of them as soon as there is one; what comes later waits for the flush.
    while log.0.core.shared.state().queue.entries.len() >= crate::log::shared::GROUP {
        thread::yield_now();
    }
    (log, disk, all)
}

fn objects(disk: &Disk) -> Vec<String> {
    let object = |record: &Value| record["object"].as_str().unwrap().to_owned();
    of_kind(disk, "admin").iter().map(object).collect()
}

#[tokio::test]
async fn a_flush_that_fails_while_the_next_batch_is_made_loses_and_moves_nothing() {
    let (log, disk, all) = two_batches_under_way().await;
    disk.state().fail_next = 1;
    disk.release();
    for durable in all {
        durable.await.unwrap();
    }
    assert_eq!(log.health().given_up, 1);
    log.close().unwrap();
    let mut expected = vec!["alone".to_owned(), "two".to_owned(), "at once".to_owned()];
    expected.extend((0..=10).map(|index| index.to_string()));
    assert_eq!(objects(&disk), expected);
    assert_eq!(of_kind(&disk, "recovered").len(), 1);
    assert_sound(&disk);
}

#[tokio::test]
async fn nobody_is_told_durable_of_a_batch_that_was_made_behind_one_that_failed_twice() {
    let (log, disk, all) = two_batches_under_way().await;
    disk.state().fail_next = 2;
    disk.release();
    for durable in all {
        let result = durable.await;
        assert!(is_unavailable(&result, "os error 5"), "{result:?}");
    }
    until_writable(&log);
    log.record(admin("after")).await.unwrap();
    log.close().unwrap();
    assert_eq!(objects(&disk), ["alone", "two", "at once", "after"]);
    let gap = of_kind(&disk, "gap").remove(0);
    assert_eq!(gap["refused"]["admin"], 11, "{gap}");
    assert_sound(&disk);
}

#[tokio::test]
async fn what_is_made_while_another_batch_is_flushed_is_durable_when_the_log_is_closed_at_once() {
    let (log, disk, all) = two_batches_under_way().await;
    let closing = thread::spawn(move || log.close());
    disk.release();
    for durable in all {
        durable.await.unwrap();
    }
    closing.join().unwrap().unwrap();
    assert_eq!(objects(&disk).len(), 14);
    assert_sound(&disk);
}
