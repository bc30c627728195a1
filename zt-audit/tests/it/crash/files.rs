//! Real files under a live log: deleted, exchanged, linked, cut, opened by a second process; and real
//! file systems that are full.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use zt_audit::{
    AuditLog, OpenError, Options,
    verify::{Finding, Trust, verify},
};
use zt_core::{
    clock::{Clock as _, SystemClock},
    state::{Acknowledgement, RecordError, Recorder as _},
};

use super::{
    events::{Scratch, is_subsequence, permit, records, requests, wait},
    process,
};

fn options() -> Options {
    Options::default().segment_bytes(64 << 10)
}

/// Hands over a permit that must be durable.
fn record(log: &AuditLog) -> Result<String, RecordError> {
    let (name, event) = permit(Acknowledgement::Sync);
    wait(log.record(event)).map(|()| name)
}

fn live_segment(folder: &Path) -> PathBuf {
    let entries = fs::read_dir(folder.join("log")).unwrap();
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    names.sort();
    // The next one may have been made already; the live one has records.
    let has_records = |path: &PathBuf| {
        fs::read(path)
            .unwrap()
            .first()
            .is_some_and(|byte| *byte != 0)
    };
    names.into_iter().rfind(has_records).unwrap()
}

/// What is done to a live segment must refuse what comes, and be found.
fn refuses_after(harm: impl Fn(&Path)) -> (Scratch, AuditLog, Trust) {
    let scratch = Scratch::new();
    let folder = scratch.path("audit");
    let log = AuditLog::open(&folder, options()).unwrap();
    for _ in 0..3 {
        record(&log).unwrap();
    }
    log.sign().unwrap();
    assert!(log.health().is_writable());
    harm(&live_segment(&folder));
    for _ in 0..3 {
        let refused = record(&log).unwrap_err();
        assert!(matches!(refused, RecordError::Unavailable(_)), "{refused}");
    }
    let health = log.health();
    assert!(!health.is_writable());
    assert!(health.refused + health.failed >= 3, "{health:?}");
    let trust = Trust::key(log.verifier_key());
    assert!(log.close().is_err());
    (scratch, log, trust)
}

fn is_tampered(folder: &Path, trust: &Trust) -> bool {
    matches!(verify(folder, trust).unwrap().finding, Finding::Tampered(_))
}

#[test]
fn a_live_file_that_was_deleted_refuses_at_the_next_record() {
    let (scratch, log, trust) = refuses_after(|live| fs::remove_file(live).unwrap());
    let folder = scratch.path("audit");
    assert!(is_tampered(&folder, &trust));
    drop(log);
    let error = AuditLog::open(&folder, options()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_live_file_that_was_exchanged_refuses_at_the_next_record() {
    let (scratch, log, trust) = refuses_after(|live| {
        let copy = live.with_extension("copy");
        fs::copy(live, &copy).unwrap();
        fs::rename(copy, live).unwrap();
    });
    // What was exchanged was a faithful copy: nothing is missing from it.
    let folder = scratch.path("audit");
    assert!(!is_tampered(&folder, &trust));
    drop(log);
    let log = AuditLog::open(&folder, options()).unwrap();
    record(&log).unwrap();
}

#[test]
fn a_live_file_with_a_second_name_refuses_at_the_next_record() {
    let (scratch, log, _) = refuses_after(|live| {
        fs::hard_link(live, live.parent().unwrap().with_file_name("second")).unwrap();
    });
    drop(log);
    fs::remove_file(scratch.path("audit/second")).unwrap();
    let log = AuditLog::open(scratch.path("audit"), options()).unwrap();
    record(&log).unwrap();
}

#[test]
fn a_live_file_that_was_cut_refuses_at_the_next_record() {
    let (scratch, log, trust) = refuses_after(|live| {
        fs::OpenOptions::new()
            .write(true)
            .open(live)
            .unwrap()
            .set_len(100)
            .unwrap();
    });
    let folder = scratch.path("audit");
    assert!(is_tampered(&folder, &trust));
    drop(log);
    let error = AuditLog::open(&folder, options()).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_second_process_is_refused_and_the_first_goes_on() {
    let scratch = Scratch::new();
    let folder = scratch.path("audit");
    let log = AuditLog::open(&folder, options()).unwrap();
    let before = record(&log).unwrap();
    let output = process::child(&folder, 1, &[]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("\nnot opened: "), "{said}");
    assert!(!said.contains("\nopened"), "{said}");
    let error = AuditLog::open(&folder, options()).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    let after = record(&log).unwrap();
    log.close().unwrap();
    let key = log.verifier_key();
    drop(log);
    assert_eq!(requests(&folder), [before, after]);
    let report = verify(&folder, &Trust::key(key)).unwrap();
    assert_eq!(report.finding, Finding::Sound);
    // Once it is closed, the next may.
    let output = process::child(&folder, 1, &[]);
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("\nclosed")
    );
}

/// A file system of its own, in memory; gone with it.
struct Mount(PathBuf);

impl Mount {
    /// `None`, and a line, where nobody may mount.
    fn new(path: PathBuf, kibibytes: u64) -> Option<Self> {
        fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o"])
            .arg(format!("size={kibibytes}k"))
            .arg("tmpfs")
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(path)),
            Ok(output) => {
                let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                eprintln!("skipped: cannot mount a small file system: {why}");
                None
            }
            Err(error) => {
                eprintln!("skipped: cannot mount a small file system: {error}");
                None
            }
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_full_disk_refuses_tells_so_in_its_last_record_and_serves_again_once_there_is_room() {
    let scratch = Scratch::new();
    let Some(mount) = Mount::new(scratch.path("small"), 512) else {
        return;
    };
    let folder = mount.0.join("audit");
    let ballast = mount.0.join("ballast");
    fs::write(&ballast, vec![1; 200 << 10]).unwrap();
    let options = options().keys_in(scratch.path("keys"));
    let log = AuditLog::open(&folder, options).unwrap();
    let mut durable = Vec::new();
    let refused = loop {
        match record(&log) {
            Ok(name) => durable.push(name),
            Err(refused) => break refused,
        }
        assert!(durable.len() < 10_000, "the disk is never full");
    };
    assert!(matches!(refused, RecordError::Unavailable(_)), "{refused}");
    assert!(!log.health().is_writable());
    assert!(log.health().refused + log.health().failed > 0);

    // It is still sound, and says what happened.
    let trust = Trust::key(log.verifier_key());
    let finding = verify(&folder, &trust).unwrap().finding;
    assert!(!matches!(finding, Finding::Tampered(_)), "{finding:?}");
    let last = records(&folder).pop().unwrap();
    assert_eq!(last["kind"], "gap", "{last:?}");

    fs::remove_file(ballast).unwrap();
    let begin = SystemClock.monotonic();
    while SystemClock.monotonic() - begin < std::time::Duration::from_secs(30) {
        if let Ok(name) = record(&log) {
            durable.push(name);
            break;
        }
        std::thread::yield_now();
    }
    assert!(log.health().is_writable(), "{:?}", log.health());
    log.close().unwrap();
    drop(log);
    let report = verify(&folder, &trust).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    assert!(is_subsequence(&durable, &requests(&folder)));
    println!(
        "a full disk of 512 KiB: {} records before it",
        durable.len() - 1
    );
}

#[test]
fn a_disk_of_any_size_that_is_full_refuses_or_serves_and_forgets_nothing() {
    let mut opened = 0;
    for kibibytes in [4, 16, 32, 64, 80, 96, 112, 128, 160, 192, 256] {
        let scratch = Scratch::new();
        let Some(mount) = Mount::new(scratch.path("small"), kibibytes) else {
            return;
        };
        let folder = mount.0.join("audit");
        let options = || options().keys_in(scratch.path("keys"));
        let Ok(log) = AuditLog::open(&folder, options()) else {
            continue;
        };
        opened += 1;
        let mut durable = Vec::new();
        for _ in 0..500 {
            match record(&log) {
                Ok(name) => durable.push(name),
                Err(_) => break,
            }
        }
        let trust = Trust::key(log.verifier_key());
        // Whether there was room for the end is not the question.
        let _ = log.close();
        drop(log);
        let report = verify(&folder, &trust).unwrap();
        let finding = &report.finding;
        assert!(
            !matches!(finding, Finding::Tampered(_)),
            "{kibibytes} KiB: {report}"
        );
        let found = requests(&folder);
        assert!(is_subsequence(&durable, &found), "{kibibytes} KiB");
    }
    println!("full disks of 4 to 256 KiB: {opened} of 11 had room for a log");
}
