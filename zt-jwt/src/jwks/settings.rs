use std::{ops::RangeInclusive, time::Duration};

use serde::Deserialize;

/// How keys are kept fresh.
///
/// Each value has bounds. A method moves what is outside of them to the nearest bound; a
/// configuration with such a value is refused. There, times are whole seconds:
///
/// ```
/// use std::time::Duration;
/// use zt_jwt::jwks::RefreshSettings;
///
/// let written: RefreshSettings = serde_json::from_str(
///     r#"{"cooldown_secs": 30, "stale_secs": 7200, "max_keys": 20}"#,
/// )?;
/// let built = RefreshSettings::default()
///     .cooldown(Duration::from_secs(30))
///     .stale(Duration::from_secs(7_200))
///     .max_keys(20);
/// assert_eq!(written, built);
///
/// // Longer than the ten minutes that are allowed, and nothing that is not known.
/// assert!(serde_json::from_str::<RefreshSettings>(r#"{"cooldown_secs": 601}"#).is_err());
/// assert!(serde_json::from_str::<RefreshSettings>(r#"{"cooldwon_secs": 30}"#).is_err());
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct RefreshSettings {
    pub(super) shortest: Duration,
    pub(super) longest: Duration,
    pub(super) cooldown: Duration,
    pub(super) stale: Duration,
    pub(super) deadline: Duration,
    pub(super) max_bytes: usize,
    pub(super) max_keys: usize,
    pub(super) max_waiting: usize,
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

impl RefreshSettings {
    /// Keys count as fresh for at least this long, whatever the issuer says: a minute; from a
    /// second to a day.
    #[must_use]
    pub fn shortest(mut self, span: Duration) -> Self {
        self.shortest = within(span, &DAY);
        self
    }

    /// Keys count as fresh for at most this long, whatever the issuer says: an hour; from a second
    /// to a day. Where `shortest` is longer, that counts.
    #[must_use]
    pub fn longest(mut self, span: Duration) -> Self {
        self.longest = within(span, &DAY);
        self
    }

    /// After a fetch, whoever asked for it and whatever came of it, no unknown key causes another
    /// one for this long: ten seconds; from a second to ten minutes. So long it may take until a
    /// key is known here that was used before it was published.
    #[must_use]
    pub fn cooldown(mut self, span: Duration) -> Self {
        self.cooldown = within(span, &COOLDOWN);
        self
    }

    /// Keys that the issuer has not confirmed for this long are not used any more: a day; from a
    /// second to thirty days. Where `longest` or `cooldown` is longer, that counts.
    #[must_use]
    pub fn stale(mut self, span: Duration) -> Self {
        self.stale = within(span, &STALE);
        self
    }

    /// A fetch, with everything that belongs to it, takes no longer than this: five seconds; from
    /// a second to a minute. Requests that need a key wait as long.
    #[must_use]
    pub fn deadline(mut self, span: Duration) -> Self {
        self.deadline = within(span, &DEADLINE);
        self
    }

    /// The largest answer in bytes: 1 MiB; from 1 KiB to 16 MiB.
    #[must_use]
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes.clamp(*BYTES.start(), *BYTES.end());
        self
    }

    /// The most keys that a set may have, those that are left out counted too: 100; from 1 to
    /// 1,000.
    #[must_use]
    pub fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys.clamp(*KEYS.start(), *KEYS.end());
        self
    }

    /// How many requests may wait for the keys of one issuer at once: 10,000; from 1 to 1,000,000.
    #[must_use]
    pub fn max_waiting(mut self, requests: usize) -> Self {
        self.max_waiting = requests.clamp(*WAITING.start(), *WAITING.end());
        self
    }

    /// Where two of them contradict one another, the longer span counts.
    pub(super) fn reconciled(mut self) -> Self {
        self.longest = self.longest.max(self.shortest);
        self.stale = self.stale.max(self.longest).max(self.cooldown);
        self
    }
}

fn within(span: Duration, bounds: &RangeInclusive<u64>) -> Duration {
    span.clamp(
        Duration::from_secs(*bounds.start()),
        Duration::from_secs(*bounds.end()),
    )
}

const DAY: RangeInclusive<u64> = 1..=86_400;
const COOLDOWN: RangeInclusive<u64> = 1..=600;
const STALE: RangeInclusive<u64> = 1..=30 * 86_400;
const DEADLINE: RangeInclusive<u64> = 1..=60;
const BYTES: RangeInclusive<usize> = 1 << 10..=16 << 20;
const KEYS: RangeInclusive<usize> = 1..=1_000;
const WAITING: RangeInclusive<usize> = 1..=1_000_000;

/// As it stands in a configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Written {
    shortest_secs: u64,
    longest_secs: u64,
    cooldown_secs: u64,
    stale_secs: u64,
    deadline_secs: u64,
    max_bytes: usize,
    max_keys: usize,
    max_waiting: usize,
}

impl Default for Written {
    fn default() -> Self {
        let settings = RefreshSettings::default();
        Self {
            shortest_secs: settings.shortest.as_secs(),
            longest_secs: settings.longest.as_secs(),
            cooldown_secs: settings.cooldown.as_secs(),
            stale_secs: settings.stale.as_secs(),
            deadline_secs: settings.deadline.as_secs(),
            max_bytes: settings.max_bytes,
            max_keys: settings.max_keys,
            max_waiting: settings.max_waiting,
        }
    }
}

impl TryFrom<Written> for RefreshSettings {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let settings = Self {
            shortest: span("shortest_secs", written.shortest_secs, &DAY)?,
            longest: span("longest_secs", written.longest_secs, &DAY)?,
            cooldown: span("cooldown_secs", written.cooldown_secs, &COOLDOWN)?,
            stale: span("stale_secs", written.stale_secs, &STALE)?,
            deadline: span("deadline_secs", written.deadline_secs, &DEADLINE)?,
            max_bytes: number("max_bytes", written.max_bytes, &BYTES)?,
            max_keys: number("max_keys", written.max_keys, &KEYS)?,
            max_waiting: number("max_waiting", written.max_waiting, &WAITING)?,
        };
        if settings != settings.clone().reconciled() {
            return Err(
                "`shortest_secs` must not be more than `longest_secs`, nor that or \
                        `cooldown_secs` more than `stale_secs`"
                    .to_owned(),
            );
        }
        Ok(settings)
    }
}

fn span(name: &str, secs: u64, bounds: &RangeInclusive<u64>) -> Result<Duration, String> {
    number(name, secs, bounds).map(Duration::from_secs)
}

fn number<N: PartialOrd + std::fmt::Display>(
    name: &str,
    value: N,
    bounds: &RangeInclusive<N>,
) -> Result<N, String> {
    if bounds.contains(&value) {
        return Ok(value);
    }
    let (least, most) = (bounds.start(), bounds.end());
    Err(format!(
        "`{name}` must be between {least} and {most}, and not {value}"
    ))
}
