//! The logs that are tampered with: one log at several moments of its life, and its sibling.

use std::{fs, path::Path};

use serde_json::{Value, json};
use zt_audit::{
    AuditLog, Options,
    note::{SignedCheckpoint, SigningKey, VerifierKey},
};
use zt_core::state::{Acknowledgement, Recorder as _};

use super::{files::Files, naive};
use crate::crash::events::{ORIGIN, Scratch, admin, copy, outcome, permit, signing_key, wait};

pub(crate) const SIBLING: &str = "shop/2";

/// What an attacker finds and a reader has.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) scratch: Scratch,
    /// The log, closed: three segments, all signed.
    pub(crate) log: Files,
    /// The same log at an earlier moment: everything that it had then was signed.
    pub(crate) earlier: Files,
    /// The same log shortly before it was signed: its checkpoint is that of the earlier moment.
    pub(crate) unsigned: Files,
    /// The log that goes on otherwise from the earlier moment, signed as well.
    pub(crate) other: Files,
    /// A log of the same application with an origin and a key of its own.
    pub(crate) sibling: Files,
    /// What the reader trusts.
    pub(crate) vkey: VerifierKey,
    /// The control: as many events in a naive chain, and in its sibling.
    pub(crate) chain: Vec<u8>,
    pub(crate) chain_sibling: Vec<u8>,
}

/// Records of the log at the earlier moment.
pub(crate) const EARLIER: usize = 300;
const ALL: usize = 600;

impl World {
    pub(crate) fn new() -> Self {
        let scratch = Scratch::new();
        let at = |name: &str| scratch.path(name);

        let log = open(&at("log"), ORIGIN, signing_key(1));
        fill(&log, EARLIER);
        let earlier = log.sign().unwrap();
        copy(&at("log"), &at("earlier"));
        copy(&at("log.keys"), &at("earlier.keys"));
        fill(&log, ALL - EARLIER);
        log.close().unwrap();
        let vkey = log.verifier_key();
        drop(log);
        let log = Files::load(&at("log"));

        // The process ended without closing: what was written ahead is still there.
        let mut earlier_files = Files::load(&at("earlier"));
        earlier_files
            .0
            .insert("checkpoint".to_owned(), earlier.encode().into_bytes());
        let mut unsigned = log.clone();
        unsigned
            .0
            .insert("checkpoint".to_owned(), earlier.encode().into_bytes());

        let other = open(&at("earlier"), ORIGIN, signing_key(1));
        fill(&other, ALL - EARLIER);
        other.close().unwrap();
        drop(other);

        let key = SigningKey::generate(SIBLING, &zt_core::random::SeededEntropy::new(2)).unwrap();
        let sibling = open(&at("sibling"), SIBLING, key);
        fill(&sibling, ALL);
        sibling.close().unwrap();
        drop(sibling);

        Self {
            log,
            earlier: earlier_files,
            unsigned,
            other: Files::load(&at("earlier")),
            sibling: Files::load(&at("sibling")),
            vkey,
            chain: naive::chain(&events("alice")),
            chain_sibling: naive::chain(&events("bob")),
            scratch,
        }
    }
}

/// The control alone.
impl World {
    pub(crate) fn chain_only() -> Vec<u8> {
        naive::chain(&events("alice"))
    }
}

/// The checkpoint in these files, as somebody else would keep a copy of it.
pub(crate) fn checkpoint(files: &Files) -> SignedCheckpoint {
    SignedCheckpoint::parse(&files.0["checkpoint"]).unwrap()
}

pub(crate) fn open(folder: &Path, origin: &str, key: SigningKey) -> AuditLog {
    let options = Options::default()
        .origin(origin)
        .signing_key(key)
        .segment_bytes(64 << 10);
    AuditLog::open(folder, options).unwrap()
}

/// Batches of ten records.
pub(crate) fn fill(log: &AuditLog, records: usize) {
    let mut pending = Vec::new();
    for number in 0..records {
        let event = match number % 10 {
            0 => admin("alice", &format!("tokens/{number}")),
            1 => outcome().1,
            _ => permit(Acknowledgement::Sync).1,
        };
        pending.push(log.record(event));
        if number % 10 == 9 {
            pending.drain(..).for_each(|durable| wait(durable).unwrap());
        }
    }
    pending.drain(..).for_each(|durable| wait(durable).unwrap());
}

/// What stands in the naive chain.
fn events(who: &str) -> Vec<Value> {
    (0..20)
        .map(|number| json!({"n": number, "who": who, "what": "orders.create"}))
        .collect()
}

pub(crate) fn written(folder: &Path, files: &Files) {
    let _ = fs::remove_dir_all(folder);
    files.store(folder);
}
