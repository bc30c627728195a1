use std::time::Duration;

use serde::Deserialize;

/// How keys are kept fresh. All times in whole seconds in a configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefreshSettings {
    pub(crate) shortest: Duration,
    pub(crate) longest: Duration,
    pub(crate) cooldown: Duration,
    pub(crate) stale: Duration,
    pub(crate) deadline: Duration,
    pub(crate) max_bytes: usize,
    pub(crate) max_keys: usize,
    pub(crate) max_waiting: usize,
}

impl Default for RefreshSettings {
    fn default() -> Self {
        Self {
            shortest: Duration::from_secs(60),
            longest: Duration::from_secs(3_600),
            cooldown: Duration::from_secs(10),
            stale: Duration::from_secs(86_400),
            deadline: Duration::from_secs(5),
            max_bytes: 1 << 20,
            max_keys: 100,
            max_waiting: 10_000,
        }
    }
}
