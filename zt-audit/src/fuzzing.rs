//! What fuzz targets see of the parts that are not public. Not part of the API; behind `cfg(fuzzing)`.

use std::sync::{Arc, LazyLock};

use zt_core::{
    clock::{ManualClock, Timestamp},
    random::SeededEntropy,
    state::{AdminEvent, Event, Recorder as _},
};

use crate::{
    AuditLog, Options,
    format::{self, Pruned},
    note::{SigningKey, VerifierKey},
    recover::{Found, recover},
    seal::{DataSubject, Sealed, Vault, VaultOptions},
    storage::simulated::{Loss, SimulatedDisk},
    verify::{Finding, Trust, Verification},
};

/// A line as it was read.
#[derive(Debug)]
pub enum Line {
    /// A commit line, and as a writer writes it.
    Commit {
        /// The size.
        size: u64,
        /// With its newline.
        written: Vec<u8>,
    },
    /// A record's head.
    Record {
        /// `idx`.
        index: u64,
        /// `ts`.
        micros: u64,
        /// `kind`.
        kind: String,
        /// `origin`.
        origin: String,
        /// `prev`, in hexadecimal digits.
        prev: String,
    },
}

/// Reads a line of a segment.
#[must_use]
pub fn line(line: &[u8]) -> Option<Line> {
    Some(match format::Line::read(line).ok()? {
        format::Line::Commit { size, root } => {
            let mut written = Vec::new();
            format::write_commit(&mut written, size, &root);
            Line::Commit { size, written }
        }
        format::Line::Record(head) => Line::Record {
            index: head.index,
            micros: head.micros,
            kind: head.kind.to_owned(),
            origin: head.origin.to_owned(),
            prev: head.prev.to_string(),
        },
    })
}

/// Reads the file `pruned`: how many records are gone, how many hashes it has, and as it is written.
#[must_use]
pub fn pruned(bytes: &[u8]) -> Option<(u64, usize, Vec<u8>)> {
    let pruned = Pruned::parse(bytes)?;
    Some((pruned.before(), pruned.tree.hashes().len(), pruned.encode()))
}

/// Reads the cursor of a sink, and answers as it is written.
#[must_use]
pub fn cursor(bytes: &[u8]) -> Option<String> {
    crate::follow::cursor_as_written(bytes)
}

/// A log that is sound, and what its lines are.
struct Honest {
    disk: SimulatedDisk,
    key: VerifierKey,
    names: Vec<String>,
}

static HONEST: LazyLock<Honest> = LazyLock::new(|| {
    let disk = SimulatedDisk::new(1);
    let key = SigningKey::generate("shop/1", &SeededEntropy::new(7));
    let Ok(key) = key else { std::process::abort() };
    let verifier = key.verifier();
    let options = Options::default()
        .origin("shop/1")
        .clock(ManualClock::default())
        .segment_bytes(64 << 10)
        .insecure_personal_data_in_clear();
    let log = AuditLog::with_storage(Arc::new(disk.clone()), key, None, options);
    let Ok(log) = log else { std::process::abort() };
    for number in 0..4 {
        log.record(Event::Admin(AdminEvent {
            at: Timestamp::from_secs(1_893_456_000),
            author: None,
            action: "service-token.mint",
            object: format!("tokens/{number}").into(),
            detail: None,
        }))
        .detach();
    }
    let _ = log.close();
    let disk = disk.power_loss(Loss::Nothing);
    Honest {
        names: disk.names(),
        key: verifier,
        disk,
    }
});

/// Verifies and recovers a folder. The first byte of `input` chooses: changes to a log that is sound,
/// or the bytes of its files.
///
/// # Panics
///
/// When a log that was changed is sound, or one that can be continued is not what was signed.
#[expect(clippy::panic, reason = "that is how a fuzzer is told")]
pub fn folder(input: &[u8]) {
    let honest = &*HONEST;
    let Some((mode, rest)) = input.split_first() else {
        return;
    };
    let disk = honest.disk.after(Loss::Nothing);
    if mode % 2 == 0 {
        change(&disk, &honest.names, rest);
    } else {
        replace(&disk, &honest.names, rest);
    }
    let trust = Trust::key(honest.key.clone());
    let report = Verification::new(&trust).check(&disk);
    let lines = |disk: &SimulatedDisk| {
        let bytes = disk
            .read("log/00000000000000000000.jsonl")
            .unwrap_or_default();
        let end = bytes
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        bytes.get(..end).unwrap_or_default().to_vec()
    };
    let before = lines(&honest.disk);
    if let Ok(report) = &report {
        // It can be printed.
        let said = report.to_string();
        if report.finding == Finding::Sound && lines(&disk) != before {
            panic!("sound, though it was changed: {said}");
        }
    }
    if let Ok(Found::Standing(standing, _)) = recover(&disk, Some(&honest.key)) {
        let signed = standing.signed.as_ref();
        if signed.is_some_and(|signed| signed.checkpoint().size > standing.tree.size()) {
            panic!("it can be continued, though signed records are missing");
        }
        if standing.tree.size() > 0 && !lines(&disk).starts_with(b"{\"v\":2,\"idx\":0,") {
            panic!("it can be continued, and does not begin with its first record");
        }
    }
}

/// Each four bytes of `changes`: which file and how, where, and a byte.
fn change(disk: &SimulatedDisk, names: &[String], changes: &[u8]) {
    for change in changes.chunks_exact(4) {
        let &[what, high, low, byte] = change else {
            continue;
        };
        let Some(name) = names.get(usize::from(what >> 3) % names.len().max(1)) else {
            continue;
        };
        let mut bytes = disk.read(name).unwrap_or_default();
        let place = usize::from(high) << 8 | usize::from(low);
        let place = place % bytes.len().max(1);
        match what & 7 {
            0 | 1 => {
                if let Some(at) = bytes.get_mut(place) {
                    *at ^= byte;
                }
            }
            2 => bytes.insert(place, byte),
            3 => bytes.truncate(place),
            4 => drop(bytes.drain(place..bytes.len().min(place + usize::from(byte)))),
            5 => {
                let end = bytes.len().min(place + usize::from(byte));
                let part = bytes.get(place..end).unwrap_or_default().to_vec();
                bytes.splice(place..place, part);
            }
            6 => {
                for at in bytes.iter_mut().skip(place).take(usize::from(byte)) {
                    *at = 0;
                }
            }
            _ => {
                disk.unlink(name);
                continue;
            }
        }
        disk.put(name, &bytes);
    }
}

/// The bytes of files, one after the other, each with its number before it and 0xff behind it.
fn replace(disk: &SimulatedDisk, names: &[String], input: &[u8]) {
    for part in input.split(|byte| *byte == 0xff) {
        let Some((number, bytes)) = part.split_first() else {
            continue;
        };
        match names.get(usize::from(*number)) {
            Some(name) => disk.put(name, bytes),
            None => disk.put("pruned", bytes),
        }
    }
}

static VAULT: LazyLock<(SimulatedDisk, Vec<(crate::seal::Pseudonym, u64, Vec<u8>)>)> =
    LazyLock::new(|| {
        let disk = SimulatedDisk::new(1);
        let mut sealed = Vec::new();
        if let Ok(vault) = open_vault(&disk) {
            for (number, name) in ["alice", "bob", "carol"].into_iter().enumerate() {
                let mut out = Vec::new();
                let who = DataSubject::Named(name);
                if let Ok(who) = vault.seal(who, &bound(number), name.as_bytes(), &mut out) {
                    sealed.push((who, number as u64, out));
                }
            }
            let _ = vault.commit();
        }
        (disk.power_loss(Loss::Nothing), sealed)
    });

fn open_vault(disk: &SimulatedDisk) -> Result<Vault, crate::seal::VaultError> {
    let options = VaultOptions::default().entropy(SeededEntropy::new(3));
    Vault::with_storage(Arc::new(disk.clone()), options)
}

fn bound(number: usize) -> Vec<u8> {
    format!("shop/1\0{number}").into_bytes()
}

/// Opens a vault whose file of keys was changed.
///
/// # Panics
///
/// When what was sealed opens to something else.
#[expect(clippy::panic, reason = "that is how a fuzzer is told")]
pub fn subjects(changes: &[u8]) {
    let (disk, sealed) = &*VAULT;
    let disk = disk.after(Loss::Nothing);
    change(&disk, &["subjects".to_owned()], changes);
    let Ok(vault) = open_vault(&disk) else {
        return;
    };
    for ((who, number, bytes), name) in sealed.iter().zip(["alice", "bob", "carol"]) {
        let number = usize::try_from(*number).unwrap_or_default();
        let opened = vault.open_sealed(*who, &bound(number), bytes);
        if let Ok(Sealed::Open(fields)) = opened
            && fields != name.as_bytes()
        {
            panic!("something else came out");
        }
    }
    let mut out = Vec::new();
    if let Ok(who) = vault.seal(DataSubject::Named("dave"), b"7", b"dave", &mut out)
        && vault.commit().is_ok()
        && vault.open_sealed(who, b"7", &out).ok() != Some(Sealed::Open(b"dave".to_vec()))
    {
        panic!("what was sealed just now does not open");
    }
}
