use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::Deserialize;
use zt_core::{
    clock::{Clock, SystemClock},
    random::{Entropy, OsEntropy},
};

use super::{OpenError, flood::Rules};
use crate::{
    note::{SignedCheckpoint, SigningKey},
    seal::VaultOptions,
};

/// How a log is kept: the bounds of its queue, its keys, when it signs.
///
/// The bounds of the queue count what is not durable yet. They are divided, so that one kind of
/// record cannot take the place of another: three eighths for permits, three for outcomes and what
/// else is told of requests whose handler ran, one for denials and outcomes of requests whose
/// handler did not, one for everything else.
///
/// ```
/// let options: zt_audit::Options = serde_json::from_str(r#"{"max_records": 10000}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    pub(super) max_records: usize,
    pub(super) max_bytes: usize,
    pub(super) segment_bytes: u64,
    denials_in_full: u32,
    denial_sources: usize,
    #[serde(rename = "keys")]
    pub(super) keys_in: Option<PathBuf>,
    pub(super) origin: Option<String>,
    vault: Option<VaultOptions>,
    #[serde(skip)]
    denial_window: Duration,
    #[serde(skip)]
    pub(super) sign_every: Duration,
    #[serde(skip)]
    pub(super) sign_idle: Duration,
    #[serde(skip)]
    pub(super) batch_delay: Duration,
    #[serde(skip)]
    pub(super) in_clear: bool,
    #[serde(skip)]
    pub(super) signing_key: Option<Arc<SigningKey>>,
    #[serde(skip)]
    pub(super) on_checkpoint: Option<OnCheckpoint>,
    #[serde(skip)]
    clock: Option<Arc<dyn Clock>>,
    #[serde(skip)]
    entropy: Option<Arc<dyn Entropy>>,
}

/// Takes each checkpoint to a second place.
pub(super) type OnCheckpoint = Arc<dyn Fn(&SignedCheckpoint) + Send + Sync>;

const LEAST_RECORDS: usize = 64;
const LEAST_BYTES: usize = 1 << 20;
const LEAST_SOURCES: usize = 64;
const LEAST_SEGMENT: u64 = 64 << 10;
const LEAST_SPAN: Duration = Duration::from_millis(1);

impl Default for Options {
    /// 65,536 records and 64 MiB may wait; segments of 64 MiB; signed each second when there is
    /// news and each minute when there is none; what is acknowledged at once is durable within
    /// 20 ms; the system's clock and randomness.
    fn default() -> Self {
        Self {
            max_records: 65_536,
            max_bytes: 64 << 20,
            segment_bytes: 64 << 20,
            denials_in_full: 20,
            denial_sources: 4096,
            denial_window: Duration::from_secs(10),
            keys_in: None,
            origin: None,
            vault: None,
            sign_every: Duration::from_secs(1),
            sign_idle: Duration::from_secs(60),
            batch_delay: Duration::from_millis(20),
            in_clear: false,
            signing_key: None,
            on_checkpoint: None,
            clock: None,
            entropy: None,
        }
    }
}

impl Options {
    /// How many records may wait; at least 64.
    #[must_use]
    pub const fn max_records(mut self, records: usize) -> Self {
        self.max_records = records;
        self
    }

    /// How many bytes may wait, estimated from what the events keep in memory; at least 1 MiB.
    #[must_use]
    pub const fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// How many denials in a [window](Self::denial_window) are recorded in full, by source and
    /// reason; further ones are counted. 20 where nothing else is said.
    #[must_use]
    pub const fn denials_in_full(mut self, denials: u32) -> Self {
        self.denials_in_full = denials;
        self
    }

    /// How long denials of one source and reason are counted until the count is written: 10 seconds
    /// where nothing else is said, at least a millisecond. A crash loses the counts of one such
    /// window.
    #[must_use]
    pub const fn denial_window(mut self, window: Duration) -> Self {
        self.denial_window = window;
        self
    }

    /// How many pairs of source and reason are told apart in a window: 4,096 where nothing else is
    /// said, at least 64. The rest is counted by reason alone.
    #[must_use]
    pub const fn denial_sources(mut self, sources: usize) -> Self {
        self.denial_sources = sources;
        self
    }

    /// The clock for records of the log's own and for signatures; events bring their time.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where new keys and nonces come from.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Some(Arc::new(entropy));
        self
    }

    /// The folder of the log's keys: never within the log, which somebody may carry away. Without
    /// it, `<log>.keys` beside the log.
    #[must_use]
    pub fn keys_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keys_in = Some(folder.into());
        self
    }

    /// The name of a new log, unique among all logs: `shop/eu-1`. Without it, `zt-audit/` and 16
    /// random digits. A log keeps the name that it was begun with; another one is refused.
    #[must_use]
    pub fn origin(mut self, name: impl Into<String>) -> Self {
        self.origin = Some(name.into());
        self
    }

    /// The key that signs checkpoints, kept by the application; its name is the log's origin.
    /// Without it, `signing.key` among the log's keys, which is made at first.
    #[must_use]
    pub fn signing_key(mut self, key: SigningKey) -> Self {
        self.signing_key = Some(Arc::new(key));
        self
    }

    /// How long a segment grows before the next is begun; at least 64 KiB.
    #[must_use]
    pub const fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How often checkpoints are signed while there is news.
    #[must_use]
    pub const fn sign_every(mut self, span: Duration) -> Self {
        self.sign_every = span;
        self
    }

    /// How often the last checkpoint is signed anew while there is none, so that a log that is idle
    /// can be told from one that was stopped.
    #[must_use]
    pub const fn sign_idle(mut self, span: Duration) -> Self {
        self.sign_idle = span;
        self
    }

    /// How long a record that was acknowledged at once (`Acknowledgement::Batched`) may take to be
    /// durable. A log that is further behind lets wait.
    #[must_use]
    pub const fn batch_delay(mut self, delay: Duration) -> Self {
        self.batch_delay = delay;
        self
    }

    /// Gives each new checkpoint to `hook`, on a thread of its own: take it to where whoever can
    /// write the log cannot. A hook that is slow gets the latest; one that hangs or panics keeps
    /// nothing from being signed.
    #[must_use]
    pub fn on_checkpoint(
        mut self,
        hook: impl Fn(&SignedCheckpoint) + Send + Sync + 'static,
    ) -> Self {
        self.on_checkpoint = Some(Arc::new(hook));
        self
    }

    /// Bounds of the vault in which the keys of persons are kept.
    #[must_use]
    pub fn vault(mut self, options: VaultOptions) -> Self {
        self.vault = Some(options);
        self
    }

    /// Writes personal fields as they are: nobody can be forgotten. For development.
    #[must_use]
    pub const fn insecure_personal_data_in_clear(mut self) -> Self {
        self.in_clear = true;
        self
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        for (name, value, least) in [
            ("max_records", self.max_records as u64, LEAST_RECORDS as u64),
            ("max_bytes", self.max_bytes as u64, LEAST_BYTES as u64),
            ("segment_bytes", self.segment_bytes, LEAST_SEGMENT),
            (
                "denial_sources",
                self.denial_sources as u64,
                LEAST_SOURCES as u64,
            ),
        ] {
            if value < least {
                return Err(OpenError::Bound { name, value, least });
            }
        }
        for (name, value) in [
            ("sign_every", self.sign_every),
            ("sign_idle", self.sign_idle),
            ("batch_delay", self.batch_delay),
            ("denial_window", self.denial_window),
        ] {
            if value < LEAST_SPAN {
                return Err(OpenError::Span { name });
            }
        }
        Ok(())
    }

    pub(super) const fn flood(&self) -> Rules {
        Rules {
            in_full: self.denials_in_full,
            window: self.denial_window,
            sources: self.denial_sources,
        }
    }

    pub(super) fn own_clock(&self) -> Arc<dyn Clock> {
        match &self.clock {
            Some(clock) => Arc::clone(clock),
            None => Arc::new(SystemClock),
        }
    }

    /// What was set, or the default with the log's own clock and randomness.
    pub(super) fn own_vault(&self) -> VaultOptions {
        self.vault.clone().unwrap_or_else(|| {
            VaultOptions::default()
                .clock(self.own_clock())
                .entropy(self.own_entropy())
        })
    }

    pub(super) fn own_entropy(&self) -> Arc<dyn Entropy> {
        match &self.entropy {
            Some(entropy) => Arc::clone(entropy),
            None => Arc::new(OsEntropy),
        }
    }
}

/// Nothing of the key but its name.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("max_records", &self.max_records)
            .field("max_bytes", &self.max_bytes)
            .field("segment_bytes", &self.segment_bytes)
            .field("keys_in", &self.keys_in)
            .field("origin", &self.origin)
            .field("signing_key", &self.signing_key)
            .field("sign_every", &self.sign_every)
            .field("sign_idle", &self.sign_idle)
            .field("batch_delay", &self.batch_delay)
            .finish_non_exhaustive()
    }
}
