//! A real process over real files, that fails or is killed at every system call in turn.
//!
//! `strace` first lists the calls that a child makes on the log's files and on its keys; then the child
//! runs once for each occurrence of each call, and for each way to fail. Occurrences are counted by file
//! and by thread, as `strace` counts them. After each run the log is verified, opened again, continued,
//! verified again, and compared with what the child said was durable.
//!
//! A short write that took some bytes cannot be made this way (a made-up return value would say that
//! bytes were taken that were not); the simulated disk and the small file systems make those. A write
//! that took nothing is here.

use std::{
    collections::BTreeMap,
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use zt_audit::{
    AuditLog, Options,
    note::VerifierKey,
    verify::{Finding, Trust, verify},
};
use zt_core::{
    state::{Acknowledgement, Recorder as _},
    testing::servers_are_required,
};

use super::events::{Scratch, copy, each, is_subsequence, permit, requests, wait};

const FOLDER: &str = "ZT_AUDIT_TEST_FOLDER";
const RECORDS: &str = "ZT_AUDIT_TEST_RECORDS";
const CHILD: &str = "crash::process::a_child_that_writes";
/// Small, so that a segment ends at 256 records.
const SEGMENT: u64 = 64 << 10;

fn options() -> Options {
    Options::default().segment_bytes(SEGMENT)
}

/// Not a test where nobody asks for it: the process that fails. It says on its standard output what was
/// acknowledged, before it does anything else.
#[test]
fn a_child_that_writes() {
    let (Some(folder), Some(records)) = (env::var_os(FOLDER), env::var_os(RECORDS)) else {
        return;
    };
    let records: u64 = records.to_str().unwrap().parse().unwrap();
    let say = |line: String| {
        let mut out = std::io::stdout().lock();
        out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
        out.flush().unwrap();
    };
    let log = match AuditLog::open(&folder, options()) {
        Ok(log) => log,
        Err(error) => return say(format!("not opened: {error}")),
    };
    say("opened".to_owned());
    for _ in 0..records {
        let (name, event) = permit(Acknowledgement::Sync);
        match wait(log.record(event)) {
            Ok(()) => say(format!("durable {name}")),
            Err(_) => say(format!("refused {name}")),
        }
    }
    let closed = log.close();
    let health = log.health();
    say(format!(
        "counted {}",
        health.refused + health.lost + health.failed
    ));
    say(match closed {
        Ok(()) => "closed".to_owned(),
        Err(error) => format!("not closed: {error}"),
    });
}

/// What a child said.
#[derive(Debug, Default)]
struct Said {
    opened: bool,
    durable: Vec<String>,
    refused: u64,
    counted: Option<u64>,
    closed: bool,
}

impl Said {
    fn of(output: &Output) -> Self {
        let mut said = Self::default();
        for line in String::from_utf8(output.stdout.clone()).unwrap().lines() {
            match line.split_once(' ').unwrap_or((line, "")) {
                ("opened", "") => said.opened = true,
                ("closed", "") => said.closed = true,
                ("durable", name) => said.durable.push(name.to_owned()),
                ("refused", _) => said.refused += 1,
                ("counted", count) => said.counted = count.parse().ok(),
                _ => {}
            }
        }
        said
    }
}

/// Runs the child over `folder`, under `strace` with these arguments.
pub(super) fn child(folder: &Path, records: u64, strace: &[String]) -> Output {
    let test = env::current_exe().unwrap();
    let mut command = if strace.is_empty() {
        Command::new(test)
    } else {
        let mut command = Command::new("strace");
        command.args(["-f", "--seccomp-bpf", "-qq", "-s", "0", "-e", "signal=none"]);
        command.args(strace).arg(test);
        command
    };
    command
        .args(["--exact", CHILD, "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .env(RECORDS, records.to_string())
        .stderr(Stdio::piped())
        .output()
        .unwrap()
}

/// Whether processes can be traced here; says so where not.
fn can_trace() -> bool {
    let tried = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-qq", "-e", "trace=fsync", "true"])
        .output();
    let why = match tried {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        Err(error) => error.to_string(),
    };
    assert!(
        !servers_are_required(),
        "`strace` does not work, and ZT_REQUIRE_SERVERS=1: {why}"
    );
    eprintln!("skipped: `strace` does not work: {why}");
    false
}

/// An occurrence of a system call.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Call {
    /// Of which file, below the scratch folder.
    file: String,
    name: String,
    /// The how many-th by one thread.
    number: u64,
}

/// The calls of a child, by what `strace -y` wrote.
fn calls(listing: &str, below: &Path) -> Vec<Call> {
    let below = format!("{}/", below.display());
    let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for line in listing.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let Some((name, rest)) = call.trim_start().split_once('(') else {
            continue;
        };
        if name.starts_with('<') || name == "execve" || name == "close" {
            continue;
        }
        let mut files: Vec<String> = Vec::new();
        for place in rest.match_indices(&below).map(|(place, _)| place) {
            let file = &rest[place + below.len()..];
            let end = file.find(['"', '>', ')']).unwrap_or(file.len());
            let file = file[..end].to_owned();
            if !files.contains(&file) && !file.contains(' ') {
                files.push(file);
            }
        }
        for file in files {
            let key = (thread.to_owned(), file, name.to_owned());
            *counts.entry(key).or_default() += 1;
        }
    }
    let mut most: BTreeMap<(String, String), u64> = BTreeMap::new();
    for ((_, file, name), count) in counts {
        let entry = most.entry((file, name)).or_default();
        *entry = count.max(*entry);
    }
    let each = |((file, name), count): ((String, String), u64)| {
        (1..=count).map(move |number| Call {
            file: file.clone(),
            name: name.clone(),
            number,
        })
    };
    most.into_iter().flat_map(each).collect()
}

impl Call {
    /// The ways in which it can go wrong, as `strace` takes them.
    fn faults(&self) -> Vec<&'static str> {
        let mut faults = vec!["error=EIO", "signal=SIGKILL"];
        if self.makes() {
            faults.push("error=ENOSPC");
        }
        if matches!(self.name.as_str(), "pwrite64" | "write") {
            faults.extend(["retval=0", "error=EINTR"]);
        }
        faults
    }

    /// Whether it can want room.
    fn makes(&self) -> bool {
        [
            "write",
            "openat",
            "creat",
            "rename",
            "mkdir",
            "truncate",
            "fallocate",
            "sync",
            "link",
        ]
        .iter()
        .any(|part| self.name.contains(part))
    }
}

/// Where children start.
struct Beginning {
    name: &'static str,
    scratch: Scratch,
    records: u64,
}

impl Beginning {
    fn new(name: &'static str, before: u64, records: u64) -> Self {
        let scratch = Scratch::new();
        if before > 0 {
            let log = AuditLog::open(scratch.path("home/audit"), options());
            // The parent of a log must be there.
            assert!(log.is_err());
            fs::create_dir(scratch.path("home")).unwrap();
            let log = AuditLog::open(scratch.path("home/audit"), options()).unwrap();
            let pending: Vec<_> = (0..before)
                .map(|_| log.record(permit(Acknowledgement::Sync).1))
                .collect();
            for durable in pending {
                wait(durable).unwrap();
            }
            log.close().unwrap();
        } else {
            fs::create_dir(scratch.path("home")).unwrap();
        }
        Self {
            name,
            scratch,
            records,
        }
    }

    fn copy(&self) -> Scratch {
        let scratch = Scratch::new();
        copy(&self.scratch.path("home"), &scratch.path("home"));
        scratch
    }
}

/// Verifies, opens again, continues, verifies, and compares.
fn check(folder: &Path, said: &Said, context: &str) {
    let key = fs::read_to_string(folder.with_extension("keys").join("vkey"));
    let key = key
        .ok()
        .and_then(|text| VerifierKey::parse(text.trim()).ok());
    assert!(key.is_some() || !said.opened, "{context}: no key");
    if let Some(key) = key
        && folder.join("log").exists()
    {
        let report = verify(folder, &Trust::key(key)).unwrap();
        assert!(
            !matches!(report.finding, Finding::Tampered(_)),
            "{context}: {report}"
        );
    }
    let log = AuditLog::open(folder, options());
    let log = log.unwrap_or_else(|error| panic!("{context}: cannot be opened again: {error}"));
    let (last, event) = permit(Acknowledgement::Sync);
    wait(log.record(event)).unwrap_or_else(|error| panic!("{context}: does not go on: {error}"));
    let key = log.verifier_key();
    log.close()
        .unwrap_or_else(|error| panic!("{context}: does not close: {error}"));
    let report = verify(folder, &Trust::key(key)).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{context}: {report}");
    let recorded = requests(folder);
    assert_eq!(recorded.last(), Some(&last), "{context}");
    assert!(
        is_subsequence(&said.durable, &recorded),
        "{context}: said {:?}, recovered {recorded:?}",
        said.durable
    );
}

#[test]
fn what_a_process_said_was_durable_is_there_whichever_system_call_failed_or_killed_it() {
    if !can_trace() {
        return;
    }
    let tried: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let (refusals, durable) = (AtomicU64::new(0), AtomicU64::new(0));
    for beginning in [
        Beginning::new("from nothing", 0, 3),
        Beginning::new("over a roll", 250, 8),
    ] {
        let scratch = beginning.copy();
        let listing = scratch.path("calls");
        let output = child(
            &scratch.path("home/audit"),
            beginning.records,
            &[
                "-y".to_owned(),
                "-e".to_owned(),
                "trace=%file,%desc".to_owned(),
                "-o".to_owned(),
                listing.display().to_string(),
            ],
        );
        let said = Said::of(&output);
        assert!(said.closed && said.refused == 0, "{output:?}");
        assert_eq!(said.durable.len() as u64, beginning.records);
        check(&scratch.path("home/audit"), &said, beginning.name);

        let listing = fs::read_to_string(listing).unwrap();
        let calls = calls(&listing, &scratch.path("home"));
        let points: Vec<(Call, &str)> = calls
            .iter()
            .flat_map(|call| call.faults().into_iter().map(|fault| (call.clone(), fault)))
            .collect();
        println!(
            "{}: {} calls, {} points",
            beginning.name,
            calls.len(),
            points.len()
        );
        each((0..points.len() as u64).collect(), |place| {
            let (call, fault) = &points[usize::try_from(place).unwrap()];
            let scratch = beginning.copy();
            let folder = scratch.path("home/audit");
            let file: PathBuf = scratch.path("home").join(&call.file);
            let inject = format!("inject={}:{fault}:when={}", call.name, call.number);
            let arguments = [
                "-P",
                file.to_str().unwrap(),
                "-e",
                &format!("trace={}", call.name),
                "-e",
                &inject,
                "-o",
                "/dev/null",
            ];
            let output = child(&folder, beginning.records, &arguments.map(str::to_owned));
            let said = Said::of(&output);
            let context = format!("{}: {} {inject}: {said:?}", beginning.name, call.file);
            if *fault != "signal=SIGKILL" {
                assert!(output.status.success(), "{context}: {output:?}");
                if said.opened {
                    assert!(said.counted >= Some(said.refused), "{context}");
                }
            }
            refusals.fetch_add(said.refused, Ordering::Relaxed);
            durable.fetch_add(said.durable.len() as u64, Ordering::Relaxed);
            check(&folder, &said, &context);
            *tried.lock().unwrap().entry(*fault).or_default() += 1;
        });
    }
    println!(
        "a real process: {:?} points; {} records said to be durable, {} refused",
        tried.into_inner().unwrap(),
        durable.into_inner(),
        refusals.into_inner()
    );
}
