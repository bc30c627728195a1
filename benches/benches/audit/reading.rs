//! What it costs to check a log, to prove one record of many, and to open it after a kill.

use std::{fs, io::Write, path::Path, time::Duration};

use zt_audit::{
    AuditLog, Trust,
    merkle::{Frontier, Hash, leaf_hash},
    note::{Checkpoint, SignedCheckpoint, SigningKey},
    tree::Prover,
    verify::{Finding, verify},
};
use zt_benches::{Bar, Limit, Options, Outcome, Report, median, quantile, span, times};
use zt_core::{
    clock::{Clock, SystemClock},
    random::OsEntropy,
    state::{Acknowledgement, Recorder},
};

use super::{Folder, permit_as, roomy};

pub(super) fn run(options: &Options, report: &mut Report<impl Write>) -> Outcome {
    let mut rows = Vec::new();
    after_a_kill(options, report, &mut rows)?;
    prove(options, report, &mut rows)?;
    report.table("reading", &["", "p50", "p99"], &rows)?;
    Ok(())
}

/// A segment of 64 MiB, opened after a kill: nothing of it but its first records is signed.
fn after_a_kill(
    options: &Options,
    report: &mut Report<impl Write>,
    rows: &mut Vec<Vec<String>>,
) -> Outcome {
    let folder = Folder::new("kill")?;
    let live = folder.path().join("live");
    let rarely = Duration::from_secs(3600);
    let quiet = || roomy().sign_every(rarely).sign_idle(rarely);
    let log = AuditLog::open(&live, quiet().segment_bytes(1 << 30))?;
    let event = permit_as(Acknowledgement::Async);
    let segment = live.join("log/00000000000000000000.jsonl");
    let full = if options.is_quick() {
        4 << 20
    } else {
        64 << 20
    };
    let mut records = 0_u64;
    // Zeros ahead count as much as eight of them.
    while fs::metadata(&segment)?.len() < full {
        for _ in 0..1024 {
            log.record(event.clone()).detach();
        }
        records += 1024;
        while log.health().waiting > 0 {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    // As a kill would leave it: with zeros ahead, and an old checkpoint.
    let killed = folder.path().join("killed");
    let mut nanos = Vec::new();
    for _ in 0..3 * options.runs {
        let _ = fs::remove_dir_all(&killed);
        let _ = fs::remove_dir_all(folder.path().join("killed.keys"));
        copy(&live, &killed)?;
        copy(
            &folder.path().join("live.keys"),
            &folder.path().join("killed.keys"),
        )?;
        let begin = SystemClock.monotonic();
        let opened = AuditLog::open(&killed, quiet())?;
        nanos.push(since(begin));
        if opened.health().size < records {
            return Err("records were lost".into());
        }
        opened.close()?;
    }
    let key = log.verifier_key();
    log.close()?;
    rows.push(row("a segment of 64 MiB opened after a kill", &nanos));

    let mut rates = Vec::new();
    for _ in 0..3 * options.runs {
        let begin = SystemClock.monotonic();
        let found = verify(&live, &Trust::key(key.clone()))?;
        let took = since(begin);
        if found.finding != Finding::Sound {
            return Err(format!("the log that was measured: {found}").into());
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of bytes")]
        rates.push(found.bytes as f64 / took);
    }
    let rate = median(&rates);
    report.line(&format!(
        "`verify` reads, hashes and checks {} GB/s on one core.",
        times(rate)
    ))?;
    report.bar(Bar::new(
        "opening a segment of 64 MiB after a kill, against 0.5 s",
        Limit::Times(1.0),
        median(&nanos) / 5e8,
    ));
    report.bar(Bar::new(
        "verifying, against 0.25 GB/s a core",
        Limit::AtLeast(1.0),
        rate / 0.25,
    ));
    Ok(())
}

/// A proof in a log of ten million records. Its hashes are there; its records are not needed.
fn prove(
    options: &Options,
    report: &mut Report<impl Write>,
    rows: &mut Vec<Vec<String>>,
) -> Outcome {
    let size: u64 = if options.is_quick() {
        100_000
    } else {
        10_000_000
    };
    let folder = Folder::new("proof")?;
    let key = SigningKey::generate("bench", &OsEntropy)?;
    let root = tree(folder.path(), size)?;
    let checkpoint = Checkpoint {
        origin: "bench".to_owned(),
        size,
        root,
    };
    let signed = SignedCheckpoint::sign(checkpoint, &key, SystemClock.now()?);
    fs::write(folder.path().join("checkpoint"), signed.encode())?;

    let prover = Prover::open(folder.path())?;
    let mut nanos = Vec::new();
    for turn in 0..1_000 {
        // A prime stride: another part of the tree each time.
        let index = turn * 7_919_u64 * 1_009 % size;
        let begin = SystemClock.monotonic();
        let proof = prover.inclusion(index)?;
        nanos.push(since(begin));
        if proof.leaf != leaf_hash(&index.to_be_bytes()) {
            return Err("a proof of another record".into());
        }
    }
    rows.push(row(&format!("a proof in a log of {size} records"), &nanos));
    report.bar(Bar::new(
        "a proof in a log of ten million records, p50, against 1 ms",
        Limit::Times(1.0),
        median(&nanos) / 1e6,
    ));
    Ok(())
}

/// `tree/` of a log of so many records: of each eighth level its hashes.
fn tree(folder: &Path, size: u64) -> std::io::Result<Hash> {
    fs::create_dir(folder.join("tree"))?;
    fs::create_dir(folder.join("log"))?;
    let mut row: Vec<Hash> = (0..size)
        .map(|index| leaf_hash(&index.to_be_bytes()))
        .collect();
    let mut whole = Frontier::new();
    row.iter().for_each(|leaf| whole.append(*leaf));
    for level in 0.. {
        if row.is_empty() {
            break;
        }
        let bytes: Vec<u8> = row.iter().flat_map(|hash| *hash.as_bytes()).collect();
        fs::write(folder.join("tree").join(format!("{level}")), bytes)?;
        row = row
            .chunks_exact(256)
            .map(|tile| {
                let mut tree = Frontier::new();
                tile.iter().for_each(|hash| tree.append(*hash));
                tree.root()
            })
            .collect();
    }
    Ok(whole.root())
}

fn row(name: &str, nanos: &[f64]) -> Vec<String> {
    vec![
        name.to_owned(),
        span(median(nanos)),
        span(quantile(nanos, 0.99)),
    ]
}

fn since(begin: Duration) -> f64 {
    SystemClock.monotonic().saturating_sub(begin).as_secs_f64() * 1e9
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let there = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &there)?;
        } else {
            fs::copy(entry.path(), there)?;
        }
    }
    Ok(())
}
