use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock, SystemClock},
    state::Recorder,
};

use crate::seal::Vault;

/// How a log is followed.
#[derive(Clone)]
#[must_use]
pub struct FollowOptions {
    pub(super) name: String,
    pub(super) cursors: Option<PathBuf>,
    pub(super) batch: usize,
    pub(super) batch_bytes: usize,
    pub(super) deadline: Duration,
    pub(super) poll: Duration,
    pub(super) retry_first: Duration,
    pub(super) retry_most: Duration,
    pub(super) save_every: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) opened: Option<Arc<Vault>>,
    pub(super) alerts: Option<Arc<dyn Recorder>>,
}

impl FollowOptions {
    /// A follower of this name, by which its cursor is found again: up to 64 of `a-z`, `0-9`, `-`
    /// and `_`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            cursors: None,
            batch: 512,
            batch_bytes: 1 << 20,
            deadline: Duration::from_secs(10),
            poll: Duration::from_millis(250),
            retry_first: Duration::from_millis(100),
            retry_most: Duration::from_secs(10),
            save_every: Duration::from_secs(1),
            clock: Arc::new(SystemClock),
            opened: None,
            alerts: None,
        }
    }

    /// The folder of cursors, made where there is none; unless told, `<log>.cursors` beside the
    /// log. It may not be within the log.
    pub fn cursors_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cursors = Some(folder.into());
        self
    }

    /// At most so many records a delivery; 512 unless told. At least one.
    pub fn batch(mut self, records: usize) -> Self {
        self.batch = records.max(1);
        self
    }

    /// No further record in a delivery that has so many bytes; 1 MiB unless told.
    pub fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes.max(1);
        self
    }

    /// How long a delivery may take before it is given up; 10 s unless told.
    pub fn deadline(mut self, span: Duration) -> Self {
        self.deadline = span;
        self
    }

    /// How often to look for new records where there were none; 250 ms unless told.
    pub fn poll_every(mut self, span: Duration) -> Self {
        self.poll = span;
        self
    }

    /// How long to wait after a delivery that failed: `first`, then twice as long each time, up to
    /// `most`. 100 ms and 10 s unless told.
    pub fn retry(mut self, first: Duration, most: Duration) -> Self {
        self.retry_first = first.max(Duration::from_millis(1));
        self.retry_most = most.max(self.retry_first);
        self
    }

    /// The cursor is written at most once in such a span, and at the end; 1 s unless told. So much
    /// is delivered again after a crash.
    pub fn save_every(mut self, span: Duration) -> Self {
        self.save_every = span;
        self
    }

    /// The clock that deadlines and pauses go by.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Hands personal fields to the sink **in clear**, opened with the keys of `vault`. Whoever can
    /// read the sink can then read them, and erasing a person does not reach what was delivered
    /// before. Whoever was erased is still erased here.
    pub fn opened(mut self, vault: Arc<Vault>) -> Self {
        self.opened = Some(vault);
        self
    }

    /// Where alarms are recorded as `alert`, beside the error in `tracing`.
    pub fn alerts(mut self, recorder: Arc<dyn Recorder>) -> Self {
        self.alerts = Some(recorder);
        self
    }

    /// A name that is a file's, and means the same everywhere.
    pub(super) fn has_good_name(&self) -> bool {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        (1..=64).contains(&self.name.len())
            && self
                .name
                .bytes()
                .all(|byte| is_good(byte) || byte == b'-' || byte == b'_')
    }
}

impl fmt::Debug for FollowOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FollowOptions")
            .field("name", &self.name)
            .field("cursors", &self.cursors)
            .field("batch", &self.batch)
            .field("deadline", &self.deadline)
            .field("opened", &self.opened.is_some())
            .finish_non_exhaustive()
    }
}
