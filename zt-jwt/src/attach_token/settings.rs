use std::time::Duration;

use serde::Deserialize;

use super::ConfigError;

/// How [`Tokens`](super::Tokens) keeps its token fresh.
///
/// ```
/// use zt_jwt::attach_token::TokenSettings;
///
/// let settings: TokenSettings = serde_json::from_str(r#"{"margin_seconds": 10}"#)?;
/// assert!(serde_json::from_str::<TokenSettings>(r#"{"margins": 10}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TokenSettings {
    margin_seconds: u32,
    wait_ms: u32,
    attempt_ms: u32,
    max_waiting: u32,
    cooldown_seconds: u32,
}

impl Default for TokenSettings {
    fn default() -> Self {
        Self {
            margin_seconds: 5,
            wait_ms: 3_000,
            attempt_ms: 10_000,
            max_waiting: 10_000,
            cooldown_seconds: 30,
        }
    }
}

impl TokenSettings {
    /// A token that ends within this many seconds is not attached any more, since it must still be
    /// good when it arrives; 5 by default, at most 300.
    #[must_use]
    pub const fn margin_seconds(mut self, seconds: u32) -> Self {
        self.margin_seconds = seconds;
        self
    }

    /// How long a request waits where there is no token, in milliseconds; 3,000 by default, at
    /// most 60,000.
    #[must_use]
    pub const fn wait_ms(mut self, ms: u32) -> Self {
        self.wait_ms = ms;
        self
    }

    /// How long the source may take, in milliseconds; 10,000 by default, 60,000 at most.
    #[must_use]
    pub const fn attempt_ms(mut self, ms: u32) -> Self {
        self.attempt_ms = ms;
        self
    }

    /// How many requests may wait at a time; 10,000 by default.
    #[must_use]
    pub const fn max_waiting(mut self, requests: u32) -> Self {
        self.max_waiting = requests;
        self
    }

    /// A token that a called service rejects is renewed, but not sooner than this many seconds
    /// after the last attempt; 30 by default, from 1 on.
    #[must_use]
    pub const fn cooldown_seconds(mut self, seconds: u32) -> Self {
        self.cooldown_seconds = seconds;
        self
    }

    pub(super) fn check(self) -> Result<Checked, ConfigError> {
        let bounds = |setting, fine, bounds| match fine {
            true => Ok(()),
            false => Err(ConfigError::OutOfBounds { setting, bounds }),
        };
        let fine = 1..=60_000;
        bounds("margin_seconds", self.margin_seconds <= 300, "at most 300")?;
        bounds("wait_ms", fine.contains(&self.wait_ms), "1 to 60000")?;
        bounds("attempt_ms", fine.contains(&self.attempt_ms), "1 to 60000")?;
        bounds("max_waiting", self.max_waiting > 0, "at least 1")?;
        bounds("cooldown_seconds", self.cooldown_seconds > 0, "at least 1")?;
        Ok(self.unchecked())
    }

    const fn unchecked(self) -> Checked {
        Checked {
            margin: Duration::from_secs(self.margin_seconds as u64),
            wait: Duration::from_millis(self.wait_ms as u64),
            attempt: Duration::from_millis(self.attempt_ms as u64),
            max_waiting: self.max_waiting as usize,
            cooldown: Duration::from_secs(self.cooldown_seconds as u64),
        }
    }
}

/// Settings that make sense.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked {
    pub(super) margin: Duration,
    pub(super) wait: Duration,
    pub(super) attempt: Duration,
    pub(super) max_waiting: usize,
    pub(super) cooldown: Duration,
}

impl Default for Checked {
    fn default() -> Self {
        TokenSettings::default().unchecked()
    }
}
