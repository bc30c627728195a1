use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Deserialize;

use crate::note::VerifierKey;

/// A record of kind `key`: from here on checkpoints are signed with this key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyChange {
    pub(crate) index: u64,
    pub(crate) vkey: String,
    /// The key before it, and that one's signature over the change.
    endorsed: Option<(String, Vec<u8>)>,
}

#[derive(Deserialize)]
struct Fields {
    action: String,
    vkey: String,
    endorsed_by: Option<String>,
    endorsement: Option<String>,
}

impl KeyChange {
    /// Of the record's line; `None` where it does not name a key, or names how it was endorsed in
    /// another way than its action says.
    pub(crate) fn parse(index: u64, line: &[u8]) -> Option<Self> {
        let fields: Fields = serde_json::from_slice(line).ok()?;
        let endorsed = match (fields.endorsed_by, fields.endorsement) {
            (None, None) if fields.action == "first" => None,
            (Some(by), Some(signature)) if fields.action == "rotated" => {
                let signature = BASE64_STANDARD.decode(signature).ok()?;
                // Nothing longer is kept until it is compared.
                if signature.len() != SIGNATURE {
                    return None;
                }
                Some((by, signature))
            }
            _ => return None,
        };
        VerifierKey::parse(&fields.vkey).ok()?;
        Some(Self {
            index,
            vkey: fields.vkey,
            endorsed,
        })
    }

    /// The key.
    pub(crate) fn key(&self) -> Option<VerifierKey> {
        VerifierKey::parse(&self.vkey).ok()
    }

    /// The key that endorsed this one for the log named `origin`; `None` where it did not.
    pub(crate) fn endorser(&self, origin: &str) -> Option<VerifierKey> {
        let (by, signature) = self.endorsed.as_ref()?;
        let by = VerifierKey::parse(by).ok()?;
        let text = endorsed_text(origin, &self.vkey, self.index);
        by.verifies(text.as_bytes(), signature).then_some(by)
    }

    /// Whether it says that it is the log's first.
    pub(crate) const fn is_first(&self) -> bool {
        self.endorsed.is_none()
    }
}

/// What a key signs to put another one in force from the record `index` on. It has four lines, so
/// that it is no checkpoint of any log.
pub(crate) fn endorsed_text(origin: &str, vkey: &str, index: u64) -> String {
    format!("zt-audit key\n{origin}\n{vkey}\n{index}\n")
}

/// The keys of a log, in order.
#[derive(Debug, Default)]
pub(super) struct KeyHistory {
    changes: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    index: u64,
    vkey: String,
    /// The key before it, which endorsed it.
    endorser: Option<VerifierKey>,
}

/// A change of the key that nobody endorsed.
#[derive(Debug)]
pub(super) struct NotEndorsed;

impl KeyHistory {
    /// Takes the next change in the log named `origin`.
    pub(super) fn push(&mut self, change: KeyChange, origin: &str) -> Result<(), NotEndorsed> {
        let endorser = change.endorser(origin);
        let last = self.changes.last().map(|entry| &entry.vkey);
        let fits = match (&endorser, last) {
            (None, None) => change.is_first(),
            // Older changes may have been pruned.
            (Some(_), None) => true,
            (Some(endorser), Some(last)) => endorser.to_string() == *last,
            (None, Some(_)) => false,
        };
        if !fits
            || self.changes.len() >= MAX_CHANGES
            || change.key().is_none_or(|key| key.name() != origin)
        {
            return Err(NotEndorsed);
        }
        self.changes.push(Entry {
            index: change.index,
            vkey: change.vkey,
            endorser,
        });
        Ok(())
    }

    /// The verifier key that a log of `size` records names.
    pub(super) fn named(&self, size: u64) -> Option<&str> {
        let mut entries = self.changes.iter().rev();
        let entry = entries.find(|entry| entry.index < size)?;
        Some(&entry.vkey)
    }

    /// The key that signs a log of `size` records: `None` where no record names it, `Some(None)`
    /// where that one is neither among `trusted` nor endorsed, step by step, by one of them.
    pub(super) fn in_force(
        &self,
        size: u64,
        trusted: &[VerifierKey],
    ) -> Option<Option<VerifierKey>> {
        let mut found = None;
        for entry in self.changes.iter().filter(|entry| entry.index < size) {
            let known = trusted.iter().any(|key| key.to_string() == entry.vkey);
            let before = match &found {
                Some(before) => Option::is_some(before),
                // The change before was pruned.
                None => entry
                    .endorser
                    .as_ref()
                    .is_some_and(|endorser| trusted.contains(endorser)),
            };
            let endorsed = entry.endorser.is_some() && before;
            found = Some(
                (known || endorsed)
                    .then(|| VerifierKey::parse(&entry.vkey).ok())
                    .flatten(),
            );
        }
        found
    }
}

/// Bytes of an Ed25519 signature.
const SIGNATURE: usize = 64;
/// A log whose key changes more often is none of ours.
const MAX_CHANGES: usize = 4096;
