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
                Some((by, BASE64_STANDARD.decode(signature).ok()?))
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
