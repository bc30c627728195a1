//! Records of the log's own: that it was opened, with which key it signs, what was found, what is
//! gone.

use zt_core::clock::Timestamp;

use super::{Chain, event};
use crate::{
    merkle::Hash,
    seal::{DataSubject, Pseudonym, VaultError},
};

/// Most bytes of a file's name, of a reason.
const TEXT: usize = 1024;
/// Most pseudonyms of one person.
const PSEUDONYMS: usize = 16;
/// Most names of files that were set aside; the rest is there all the same.
const FILES: usize = 64;
/// Most kinds of events that are counted.
const KINDS: usize = 32;

/// With which key checkpoints are signed from here on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    /// Its verifier key, as in signed notes.
    pub(crate) vkey: &'a str,
    /// The verifier key before it, and that one's signature (base64) over this change.
    pub(crate) endorsed: Option<(&'a str, &'a str)>,
}

/// What was found when the log was opened, or had to be given up while it was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recovered<'a> {
    /// `torn`: the end was never acknowledged. `segment`: a file could not be written any more.
    /// `acknowledged`: an administrator took note of damage.
    pub(crate) cause: &'static str,
    /// Under which name it was set aside; the segment that was given up.
    pub(crate) file: &'a str,
    /// How many bytes.
    pub(crate) bytes: u64,
    /// How many whole records were among them.
    pub(crate) records: u64,
    /// Of those bytes.
    pub(crate) sha256: Option<&'a Hash>,
    /// What the system said of a segment that was given up.
    pub(crate) why: Option<&'a str>,
}

/// That an administrator took note of damage, and had the log go on from before it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acknowledged<'a> {
    /// What was damaged, in words.
    pub(crate) damage: &'a str,
    /// What was set aside, under which names.
    pub(crate) files: &'a [String],
    /// How many bytes that is.
    pub(crate) bytes: u64,
    /// What the checkpoint covered that was there, and its root.
    pub(crate) signed: Option<(u64, &'a Hash)>,
    /// Who it was.
    pub(crate) author: &'a str,
    /// Why.
    pub(crate) reason: &'a str,
}

/// A time of which records are missing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gap<'a> {
    /// From when.
    pub(crate) from: Timestamp,
    /// Until when.
    pub(crate) to: Timestamp,
    /// Why: `no-space`, `write-error`, `sealing`.
    pub(crate) reason: &'static str,
    /// How many events have no record, by kind; decisions by what was decided.
    pub(crate) refused: &'a [(&'static str, u64)],
    /// Of them, how many had been taken before, so that their effects may have happened.
    pub(crate) taken: u64,
}

/// That the keys of a person are to be destroyed, or were.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Erased<'a> {
    /// `begun`, `done`.
    pub(crate) action: &'static str,
    /// Under which names the person stands in records.
    pub(crate) pseudonyms: &'a [Pseudonym],
    /// How many keys there were.
    pub(crate) keys: u64,
    /// Who asked for it.
    pub(crate) author: Option<&'a str>,
    /// Why.
    pub(crate) reason: &'a str,
}

/// That the beginning of the log was dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prune<'a> {
    /// The first record that stays.
    pub(crate) before: u64,
    /// The root of the tree over those before it.
    pub(crate) root: &'a Hash,
    /// Who asked for it.
    pub(crate) author: Option<&'a str>,
}

impl Chain {
    /// Writes that the log was opened.
    pub(crate) fn append_started(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
    ) -> Result<Hash, VaultError> {
        self.append(out, "started", at, |record| {
            let mut clear = record.clear();
            clear.word("writer", concat!("zt-audit/", env!("CARGO_PKG_VERSION")));
            clear.number("process", std::process::id().into());
            Ok(())
        })
    }

    /// Writes with which key checkpoints are signed.
    pub(crate) fn append_key(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        key: Key<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "key", at, |record| {
            let mut clear = record.clear();
            clear.word(
                "action",
                match key.endorsed {
                    None => "first",
                    Some(_) => "rotated",
                },
            );
            clear.text("vkey", key.vkey, TEXT);
            if let Some((by, endorsement)) = key.endorsed {
                clear.text("endorsed_by", by, TEXT);
                clear.text("endorsement", endorsement, TEXT);
            }
            Ok(())
        })
    }

    /// Writes what was set aside or given up.
    pub(crate) fn append_recovered(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        found: Recovered<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "recovered", at, |record| {
            let mut clear = record.clear();
            clear.word("cause", found.cause);
            clear.text("file", found.file, TEXT);
            clear.number("bytes", found.bytes);
            clear.number("records", found.records);
            if let Some(hash) = found.sha256 {
                clear.hex("sha256", hash.as_bytes());
            }
            clear.maybe("why", found.why, TEXT);
            Ok(())
        })
    }

    /// Writes that an administrator took note of damage.
    pub(crate) fn append_acknowledged(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        taken: Acknowledged<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "recovered", at, |record| {
            let mut clear = record.clear();
            clear.word("cause", "acknowledged");
            clear.text("damage", taken.damage, TEXT);
            let files = taken.files.iter().map(String::as_str);
            clear.list("files", files, FILES, 64);
            clear.number("bytes", taken.bytes);
            if let Some((size, root)) = taken.signed {
                clear.number("signed_size", size);
                clear.hex("signed_root", root.as_bytes());
            }
            // The reason may say a name. So it stands with who gave it.
            record.about(author(Some(taken.author)), |personal| {
                personal.text("author", taken.author, event::NAME);
                personal.text("reason", taken.reason, TEXT);
            })
        })
    }

    /// Writes of which time records are missing.
    pub(crate) fn append_gap(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        gap: Gap<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "gap", at, |record| {
            let mut clear = record.clear();
            clear.time("from", Some(gap.from));
            clear.time("to", Some(gap.to));
            clear.word("reason", gap.reason);
            clear.numbers("refused", gap.refused.iter().copied(), KINDS);
            clear.number("taken", gap.taken);
            Ok(())
        })
    }

    /// Writes that keys of a person were destroyed.
    pub(crate) fn append_erased(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        erased: Erased<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "erased", at, |record| {
            let mut clear = record.clear();
            clear.word("action", erased.action);
            let digits: Vec<String> = erased.pseudonyms.iter().map(ToString::to_string).collect();
            let digits = digits.iter().map(String::as_str);
            clear.list("pseudonyms", digits, PSEUDONYMS, 32);
            clear.number("keys", erased.keys);
            // The reason may say the name. So it stands with who asked, not with who is gone.
            record.about(author(erased.author), |personal| {
                personal.maybe("author", erased.author, event::NAME);
                personal.text("reason", erased.reason, TEXT);
            })
        })
    }

    /// Writes that the beginning of the log was dropped.
    pub(crate) fn append_prune(
        &mut self,
        out: &mut Vec<u8>,
        at: Timestamp,
        prune: Prune<'_>,
    ) -> Result<Hash, VaultError> {
        self.append(out, "prune", at, |record| {
            let mut clear = record.clear();
            clear.number("before", prune.before);
            clear.hex("root", prune.root.as_bytes());
            match prune.author {
                None => Ok(()),
                Some(name) => record.about(DataSubject::Named(name), |personal| {
                    personal.text("author", name, event::NAME);
                }),
            }
        })
    }
}

/// About whom a record is that has an author. What the application did itself stands under the empty
/// name, and not under the day: nobody there is to be forgotten when it is over.
pub(super) fn author(author: Option<&str>) -> DataSubject<'_> {
    DataSubject::Named(author.unwrap_or_default())
}
