/// How a follower is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowerHealth {
    /// What it does.
    pub stage: Stage,
    /// The index of the next record to deliver: the sink has taken all before it.
    pub position: u64,
    /// How many records the log has signed for and the sink has not taken, as of the last look.
    pub lag: u64,
    /// How many records were delivered since it began.
    pub delivered: u64,
    /// How many records were pruned before they were delivered.
    pub missed: u64,
    /// How often in a row a delivery or a read has failed.
    pub failures: u32,
    /// What failed last, also where it went well again since.
    pub last_error: Option<String>,
    /// How often the sink had other bytes in a record's place.
    pub conflicts: u64,
}

impl FollowerHealth {
    pub(super) const fn new() -> Self {
        Self {
            stage: Stage::Starting,
            position: 0,
            lag: 0,
            delivered: 0,
            missed: 0,
            failures: 0,
            last_error: None,
            conflicts: 0,
        }
    }

    /// Whether it follows and nothing has failed.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.failures == 0 && !matches!(self.stage, Stage::Stopped(_))
    }
}

/// What a follower does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It compares its cursor with the log.
    Starting,
    /// It delivers what there is.
    Following,
    /// The last delivery or read failed, and it tries again.
    Retrying,
    /// It does nothing any more.
    Stopped(Halt),
}

/// Why a follower stopped. All but the first are alarms.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Halt {
    /// It was asked to.
    #[error("it was shut down")]
    Shutdown,
    /// What it should go on from cannot be read.
    #[error("its cursor cannot be read: {0}")]
    Cursor(String),
    /// It was used with another log before, or the log's folder has another log in it now.
    #[error("it followed `{expected}`, and this is `{found}`")]
    OtherLog {
        /// The log that it followed.
        expected: String,
        /// The log that is there.
        found: String,
    },
    /// The last record that was delivered is another one now.
    #[error("record {index} is not the one that was delivered")]
    OtherRecord {
        /// Its index.
        index: u64,
    },
    /// The log has fewer records than were delivered.
    #[error("{delivered} records were delivered, and the log has signed for {signed} now")]
    WentBack {
        /// The index after the last one that was delivered.
        delivered: u64,
        /// How many records the log says that it has.
        signed: u64,
    },
    /// The log is not as it was written.
    #[error("the log is not as it was written: {0}")]
    Damaged(String),
    /// The sink has other bytes in a record's place.
    #[error("the sink has record {index} of `{origin}` with other bytes")]
    Conflict {
        /// The log.
        origin: String,
        /// The record.
        index: u64,
    },
    /// The sink panicked.
    #[error("it panicked")]
    Panicked,
}

impl Halt {
    /// Whether somebody should look.
    #[must_use]
    pub const fn is_alarm(&self) -> bool {
        !matches!(self, Self::Shutdown)
    }
}
