//! The control: a hash chain as it is usually written. Each line has the event, the hash of the line
//! before, and the SHA-256 of the event's JSON and that hash; a verifier parses each line and computes
//! the hash anew.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What its verifier says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Sound,
    Broken,
    Unreadable,
}

pub(crate) fn chain(events: &[Value]) -> Vec<u8> {
    let mut prev = String::new();
    let mut lines = Vec::new();
    for event in events {
        let hash = hash(event, &prev);
        let line = json!({"event": event, "prev": prev, "hash": hash});
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
        prev = hash;
    }
    lines
}

pub(crate) fn verify(chain: &[u8]) -> Verdict {
    let mut prev = String::new();
    for line in chain.split_inclusive(|byte| *byte == b'\n') {
        let Ok(line) = serde_json::from_slice::<Value>(line) else {
            return Verdict::Unreadable;
        };
        let hash = hash(&line["event"], &prev);
        if line["prev"] != prev.as_str() || line["hash"] != hash.as_str() {
            return Verdict::Broken;
        }
        prev = hash;
    }
    Verdict::Sound
}

/// The events of a chain, whoever wrote it.
pub(crate) fn events(chain: &[u8]) -> Vec<Value> {
    chain
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| serde_json::from_slice::<Value>(line).unwrap()["event"].take())
        .collect()
}

fn hash(event: &Value, prev: &str) -> String {
    // As `json.dumps(event, sort_keys=True)`, whatever features other crates turn on.
    let mut event = event.clone();
    event.sort_all_objects();
    let digest = Sha256::digest(format!("{event}{prev}"));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
