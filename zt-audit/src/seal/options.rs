use std::sync::Arc;

use serde::Deserialize;
use zt_core::{
    clock::{Clock, SystemClock},
    random::{Entropy, OsEntropy},
    secret::Secret,
};

/// Bounds of a vault, and where its sealing key comes from.
///
/// ```
/// let options: zt_audit::seal::VaultOptions =
///     serde_json::from_str(r#"{"max_subjects": 50000, "day_keys": 90}"#)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VaultOptions {
    pub(super) max_subjects: u32,
    pub(super) day_keys: u16,
    pub(super) sealing_key: Option<Secret>,
    #[serde(skip, default = "system_clock")]
    pub(super) clock: Arc<dyn Clock>,
    #[serde(skip, default = "system_entropy")]
    pub(super) entropy: Arc<dyn Entropy>,
}

impl Default for VaultOptions {
    /// 1,000,000 subjects, day keys for 365 days, the sealing key in a file of the vault, the system's
    /// clock and randomness.
    fn default() -> Self {
        Self {
            max_subjects: 1_000_000,
            day_keys: 365,
            sealing_key: None,
            clock: system_clock(),
            entropy: system_entropy(),
        }
    }
}

impl VaultOptions {
    /// How many persons have a key of their own. Those who come later are sealed under the key of the
    /// day, and can be forgotten only with it. A key takes 128 bytes on the disk and some 40 in
    /// memory.
    #[must_use]
    pub const fn max_subjects(mut self, subjects: u32) -> Self {
        self.max_subjects = subjects;
        self
    }

    /// For how many days the keys of days are kept. They are destroyed when the key of a later day is
    /// made, by the vault's clock.
    #[must_use]
    pub const fn day_keys(mut self, days: u16) -> Self {
        self.day_keys = days;
        self
    }

    /// The sealing key, at least 32 random bytes, kept by the application instead of in the file
    /// `sealing.key`. Instances that share it make the same pseudonyms.
    #[must_use]
    pub fn sealing_key(mut self, key: Secret) -> Self {
        self.sealing_key = Some(key);
        self
    }

    /// Tells which day it is, for persons beyond the bound and for when the keys of days end.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where keys and nonces come from.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }
}

fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

fn system_entropy() -> Arc<dyn Entropy> {
    Arc::new(OsEntropy)
}
