//! Which logs there should be: a registry of origins, so that an instance that vanished is noticed.
//!
//! **Protects against** a log that is missing altogether. Each log proves itself, and none proves
//! that there is not another one: who stops an instance, or deletes its log with all copies of it,
//! leaves a fleet that verifies.
//!
//! **The registry is itself an audit log**, in a folder of its own, with its own origin and key. A
//! stranger reads and verifies it like any other (`zt-audit verify`). It has a `config` record for
//! each change: `part` is `registry`, `action` is `origin-added` or `origin-retired`, and `version` is
//! the verifier key of the log that it is about, which begins with the log's origin. A log with a new
//! key is added again, with that key. Nothing is ever taken out of it.
//!
//! [`Roster::check`] compares it with checkpoints that were published elsewhere (`CheckpointSink`, or
//! whatever a log's `on_checkpoint` was given), and finds
//!
//! 1. a log that is registered, not retired, and has no checkpoint newer than a limit: logs sign
//!    when nothing happens, too, so silence is no idleness,
//! 2. a log that is smaller than it once said, or of the same size with another root: it was rolled
//!    back, or there are two histories of it,
//! 3. a checkpoint that no registered key of its log signed, or that does not say when,
//! 4. a log that nobody registered, and one that goes on after it was retired.
//!
//! **What it does not do**: it does not read the logs, and two checkpoints of different sizes are
//! consistent as far as their sizes tell. Whether the larger tree goes on from the smaller one is
//! shown by a consistency proof ([`merkle`](crate::merkle)), or by
//! [`Trust::at_least`](crate::verify::Trust) over the log itself. Whoever can write the registry can
//! retire an instance, and is on record with it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt, io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use zt_core::{
    clock::{Clock, SystemClock, Timestamp},
    state::{ConfigEvent, Event, RecordError, Recorder},
};

use crate::{
    AuditLog,
    format::Line,
    note::{SignedCheckpoint, VerifierKey},
    read::{Entry, LogReader, ReadError},
};

const PART: &str = "registry";
const ADDED: &str = "origin-added";
const RETIRED: &str = "origin-retired";
/// What a `version` keeps whole.
const LONGEST_KEY: usize = 256;

/// Writes a registry.
#[derive(Debug, Clone)]
pub struct Registry {
    log: AuditLog,
    clock: Arc<dyn Clock>,
}

/// A change that was not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The key's name is too long to be recorded whole.
    #[error("a verifier key of {0} bytes is too long: at most 256")]
    Key(usize),
    /// The registry cannot write.
    #[error(transparent)]
    Record(#[from] RecordError),
}

impl Registry {
    /// A registry in `log`, which has nothing else in it.
    #[must_use]
    pub fn new(log: AuditLog) -> Self {
        Self {
            log,
            clock: Arc::new(SystemClock),
        }
    }

    /// The clock that changes are dated by.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Registers a log, by the key that verifies it; ready when that is durable.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub async fn add(&self, key: &VerifierKey) -> Result<(), RegistryError> {
        self.record(ADDED, key, None).await
    }

    /// Retires the log of `key`: nobody expects it any more.
    ///
    /// # Errors
    ///
    /// When that is not durable.
    pub async fn retire(&self, key: &VerifierKey, why: &str) -> Result<(), RegistryError> {
        self.record(RETIRED, key, Some(why)).await
    }

    async fn record(
        &self,
        action: &'static str,
        key: &VerifierKey,
        why: Option<&str>,
    ) -> Result<(), RegistryError> {
        let version = key.to_string();
        if version.len() > LONGEST_KEY {
            return Err(RegistryError::Key(version.len()));
        }
        let event = ConfigEvent {
            at: self.clock.now().unwrap_or(Timestamp::EPOCH),
            part: PART,
            action,
            version: version.into(),
            detail: why.map(str::to_owned),
        };
        Ok(self.log.record(Event::Config(event)).await?)
    }
}

/// Which logs there should be, as a registry says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster {
    members: BTreeMap<String, Member>,
}

/// A log that should be there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// What verifies it; the last one is the newest.
    pub keys: Vec<VerifierKey>,
    /// Since when it is expected.
    pub since: Timestamp,
    /// Since when it is not any more.
    pub retired: Option<Timestamp>,
}

/// A registry that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RosterError {
    /// The log.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A record of the registry that says nothing.
    #[error("record {index} of the registry: {why}")]
    Record {
        /// Its index.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
}

/// What is wrong with a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FleetFinding {
    /// A log has no checkpoint newer than the limit.
    Silent {
        /// Which.
        origin: String,
        /// When it last said something.
        last: Option<Timestamp>,
    },
    /// A log has fewer records than it said before.
    Shrunk {
        /// Which.
        origin: String,
        /// How many it said that it had.
        from: u64,
        /// How many it said later.
        to: u64,
    },
    /// A log has signed two histories.
    Forked {
        /// Which.
        origin: String,
        /// Of how many records each.
        size: u64,
    },
    /// A checkpoint is signed by no registered key of its log, or does not say when.
    Unsigned {
        /// Which.
        origin: String,
        /// How many records it says.
        size: u64,
    },
    /// A log that nobody registered.
    Unknown {
        /// Which.
        origin: String,
    },
    /// A log goes on after it was retired.
    Undead {
        /// Which.
        origin: String,
        /// When it said something.
        last: Timestamp,
    },
}

impl Roster {
    /// Reads the registry in `folder`. Verify it first: this checks form and chain, and no
    /// signature.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a record of it cannot be understood.
    pub fn read(folder: impl AsRef<Path>) -> Result<Self, RosterError> {
        let mut reader = LogReader::open(folder, 0)?;
        let mut roster = Self::default();
        while let Some(entry) = reader.next()? {
            roster.take(&entry)?;
        }
        Ok(roster)
    }

    /// The logs, by origin.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<String, Member> {
        &self.members
    }

    /// What is wrong with the fleet whose checkpoints are `seen`: the latest of each log, and the
    /// earlier ones that somebody kept. `limit` is how long a log may be silent: a few times the
    /// span in which it signs when it is idle, and in which it is published.
    #[must_use]
    pub fn check(
        &self,
        seen: &[SignedCheckpoint],
        now: Timestamp,
        limit: Duration,
    ) -> Vec<FleetFinding> {
        let mut found = Vec::new();
        let mut said: BTreeMap<&str, Vec<(Timestamp, &SignedCheckpoint)>> = BTreeMap::new();
        let mut unknown = BTreeSet::new();
        for note in seen {
            let checkpoint = note.checkpoint();
            let Some((origin, member)) = self.members.get_key_value(&checkpoint.origin) else {
                unknown.insert(checkpoint.origin.clone());
                continue;
            };
            match member.signed_at(note) {
                Some(at) => said.entry(origin).or_default().push((at, note)),
                None => found.push(FleetFinding::Unsigned {
                    origin: origin.clone(),
                    size: checkpoint.size,
                }),
            }
        }
        found.extend(
            unknown
                .into_iter()
                .map(|origin| FleetFinding::Unknown { origin }),
        );
        for (origin, member) in &self.members {
            let notes = said.get_mut(&**origin);
            let notes = notes.map(std::mem::take).unwrap_or_default();
            member.judge(origin, notes, now, limit, &mut found);
        }
        found
    }

    fn take(&mut self, entry: &Entry) -> Result<(), RosterError> {
        let wrong = |why| RosterError::Record {
            index: entry.index,
            why,
        };
        let Ok(Line::Record(head)) = Line::read(&entry.bytes) else {
            return Err(wrong("it is not a record"));
        };
        if head.kind != "config" {
            // What the log says of itself.
            return Ok(());
        }
        let fields = entry.fields().map_err(|_| wrong("it is not JSON"))?;
        let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
        if text("part") != Some(PART) {
            return Ok(());
        }
        let key = text("version").and_then(|key| VerifierKey::parse(key).ok());
        let key = key.ok_or_else(|| wrong("it has no verifier key"))?;
        let at = Timestamp::from_micros(head.micros);
        match text("action") {
            Some(ADDED) => {
                let member = self.members.entry(key.name().to_owned());
                let member = member.or_insert_with(|| Member {
                    keys: Vec::new(),
                    since: at,
                    retired: None,
                });
                member.retired = None;
                member.keys.retain(|known| *known != key);
                member.keys.push(key);
                Ok(())
            }
            Some(RETIRED) => {
                let member = self.members.get_mut(key.name());
                let member = member.ok_or_else(|| wrong("it retires a log that was not added"))?;
                member.retired = Some(at);
                Ok(())
            }
            _ => Err(wrong("its action is not known")),
        }
    }
}

impl Member {
    /// When one of its keys signed `note`.
    fn signed_at(&self, note: &SignedCheckpoint) -> Option<Timestamp> {
        let mut keys = self.keys.iter().rev();
        keys.find_map(|key| note.verify(key).ok().flatten())
    }

    fn judge(
        &self,
        origin: &str,
        mut notes: Vec<(Timestamp, &SignedCheckpoint)>,
        now: Timestamp,
        limit: Duration,
        found: &mut Vec<FleetFinding>,
    ) {
        let origin = || origin.to_owned();
        // Several are signed in one second; of those a smaller one is an earlier one.
        notes.sort_by_key(|(at, note)| (*at, note.checkpoint().size));
        let mut largest: Option<&SignedCheckpoint> = None;
        for (_, note) in &notes {
            let checkpoint = note.checkpoint();
            match largest.map(SignedCheckpoint::checkpoint) {
                Some(before) if checkpoint.size < before.size => found.push(FleetFinding::Shrunk {
                    origin: origin(),
                    from: before.size,
                    to: checkpoint.size,
                }),
                Some(before) if checkpoint.size == before.size => {
                    if checkpoint.root != before.root {
                        found.push(FleetFinding::Forked {
                            origin: origin(),
                            size: checkpoint.size,
                        });
                    }
                }
                _ => largest = Some(*note),
            }
        }
        let last = notes.last().map(|(at, _)| *at);
        match (self.retired, last) {
            (Some(retired), Some(last)) if last > retired + limit => {
                found.push(FleetFinding::Undead {
                    origin: origin(),
                    last,
                });
            }
            (Some(_), _) => {}
            (None, last) if now.since(last.unwrap_or(self.since)) > limit => {
                found.push(FleetFinding::Silent {
                    origin: origin(),
                    last,
                });
            }
            (None, _) => {}
        }
    }
}

impl fmt::Display for FleetFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent { origin, last: None } => write!(f, "`{origin}` never said anything"),
            Self::Silent {
                origin,
                last: Some(last),
            } => write!(f, "`{origin}` is silent since second {}", last.as_secs()),
            Self::Shrunk { origin, from, to } => {
                write!(f, "`{origin}` went back from {from} records to {to}")
            }
            Self::Forked { origin, size } => {
                write!(f, "`{origin}` has two histories of {size} records")
            }
            Self::Unsigned { origin, size } => write!(
                f,
                "no registered key of `{origin}` signed its checkpoint of {size} records"
            ),
            Self::Unknown { origin } => write!(f, "`{origin}` is not registered"),
            Self::Undead { origin, last } => {
                let last = last.as_secs();
                write!(f, "`{origin}` was retired and went on until second {last}")
            }
        }
    }
}

impl From<RosterError> for io::Error {
    fn from(error: RosterError) -> Self {
        Self::other(error)
    }
}
