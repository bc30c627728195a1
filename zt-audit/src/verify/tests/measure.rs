//! Measurements, on demand:
//! `cargo test --release -p zt-audit --lib -- --ignored --nocapture measure`.

use std::{fs, hint::black_box, num::NonZeroUsize, path::PathBuf, time::Duration};

use zt_core::clock::{Clock, SystemClock};

use super::super::{Finding, Trust, Verification, json};
use crate::{
    format::Line,
    merkle::leaf_hash,
    read::{LogReader, testing::TestLog},
    recover::{Found, recover},
    storage::{Folder, Storage as _},
};

/// What it took, and how long this thread had a processor for it.
fn timed<T>(what: impl FnOnce() -> T) -> (T, Duration, Duration) {
    let used = || {
        let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
        let nanos = text.split(' ').next().unwrap().parse().unwrap();
        Duration::from_nanos(nanos)
    };
    let (begin, before) = (SystemClock.monotonic(), used());
    let done = what();
    (done, SystemClock.monotonic() - begin, used() - before)
}

/// Segments of 64 MiB with records of 400 bytes, as many a batch as asked for.
fn log(segments: u64, batch: u64) -> (TestLog, PathBuf) {
    let fill = "x".repeat(400 - 211);
    let mut log = TestLog::begun();
    for segment in 0..segments {
        if segment > 0 {
            log.roll();
        }
        // 163,840 records of 400 bytes with their newline are 62.5 MiB.
        while log.tree.size() < (segment + 1) * 163_840 {
            for _ in 0..batch {
                log.record(
                    "decision",
                    &format!(r#","decision":"permit","rule":"{fill}""#),
                );
            }
            if log.tree.size() + batch > (segment + 1) * 163_840 {
                let rest = (segment + 1) * 163_840 - log.tree.size();
                for _ in 0..rest {
                    log.record(
                        "decision",
                        &format!(r#","decision":"permit","rule":"{fill}""#),
                    );
                }
            }
            log.commit();
        }
    }
    log.tree_files();
    log.sign();
    let folder = std::env::temp_dir().join(format!("zt-measure-{}-{batch}", std::process::id()));
    fs::create_dir_all(folder.join("log")).unwrap();
    fs::create_dir_all(folder.join("tree")).unwrap();
    for name in log.disk.names() {
        fs::write(folder.join(&name), log.disk.bytes(&name)).unwrap();
    }
    (log, folder)
}

#[test]
#[ignore = "a measurement"]
fn measure_verification_and_recovery() {
    for batch in [1024, 64, 1] {
        let (log, folder) = log(3, batch);
        let trust = Trust::key(log.key.verifier());
        for threads in [1, 2] {
            let (report, wall, cpu) = timed(|| {
                Verification::new(&trust)
                    .threads(NonZeroUsize::new(threads).unwrap())
                    .run(&folder)
                    .unwrap()
            });
            assert_eq!(report.finding, Finding::Sound, "{report}");
            let (bytes, records) = (report.bytes as f64, report.records as f64);
            println!(
                "verify, {batch} a batch, {threads} thread(s): {:.3} GB/s, {:.0} records/s by the wall; {:.3} GB/s of the main thread's processor time ({} bytes a record)",
                bytes / wall.as_secs_f64() / 1e9,
                records / wall.as_secs_f64(),
                bytes / cpu.as_secs_f64() / 1e9,
                report.bytes / report.records,
            );
        }
        let storage = Folder::read_only(&folder).unwrap();
        let (found, wall, cpu) = timed(|| recover(&storage, Some(&log.key.verifier())).unwrap());
        assert!(matches!(found, Found::Standing(..)), "{found:?}");
        println!(
            "recover, the last 62.5 MiB segment of three: {wall:?}, {cpu:?} of processor time"
        );
        let (count, wall, cpu) = timed(|| {
            let mut reader = LogReader::open(&folder, 0).unwrap();
            std::iter::from_fn(|| reader.next().unwrap()).count()
        });
        println!(
            "follow: {:.0} records/s by the wall, {:.0} by processor time",
            count as f64 / wall.as_secs_f64(),
            count as f64 / cpu.as_secs_f64()
        );
        storage.list("log").unwrap();
        fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
#[ignore = "a measurement"]
fn measure_the_parts_of_a_record() {
    let (log, folder) = log(1, 1024);
    fs::remove_dir_all(folder).unwrap();
    let bytes = log.disk.bytes(&log.file());
    let lines: Vec<&[u8]> = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"{\"v\""))
        .collect();
    type Part = fn(&[u8]);
    let parts: [(&str, Part); 3] = [
        ("leaf hash", |line| {
            black_box(leaf_hash(line));
        }),
        ("head", |line| {
            black_box(Line::read(line).unwrap());
        }),
        ("json", |line| {
            black_box(json::is_object(line));
        }),
    ];
    for (name, part) in parts {
        let ((), _, cpu) = timed(|| lines.iter().for_each(|line| part(line)));
        println!("{name}: {} ns", cpu.as_nanos() / lines.len() as u128);
    }
}
