use std::{num::NonZeroU32, sync::Arc, time::Duration};

use serde::Deserialize;

use super::QuotaError;

/// How much one caller may do: so many requests a period, so many of them at once.
///
/// A caller that has been quiet may send a burst at once; after that its requests come back one
/// by one, evenly over the period. So in any stretch as long as the period at most `burst +
/// requests` pass. Every value that exists is valid.
///
/// ```
/// use std::time::Duration;
/// use zt_ratelimit::Quota;
///
/// let quota = Quota::new("burst", 100, Duration::from_secs(60)).unwrap().burst(20).unwrap();
/// let same: Quota = serde_json::from_str(
///     r#"{"name": "burst", "requests": 100, "period_secs": 60, "burst": 20}"#,
/// )
/// .unwrap();
/// assert_eq!(quota, same);
/// ```
///
/// In configuration `name`, `requests` and one of `period_secs` and `period_ms` must be there;
/// `burst`, `keys` and `ipv6_prefix` may be. Unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub struct Quota {
    name: Arc<str>,
    rate: governor::Quota,
    keys: usize,
    ipv6_prefix: u8,
}

impl Quota {
    /// `requests` each `period`, which is also the burst. `name` stands in the answers' header
    /// fields, in the problem document and in the audit record.
    ///
    /// # Errors
    ///
    /// When the name is not 1 to 64 printable ASCII characters without quotes and backslashes,
    /// when there are no requests, and when the period is zero or longer than 366 days.
    pub fn new(
        name: impl Into<Arc<str>>,
        requests: u32,
        period: Duration,
    ) -> Result<Self, QuotaError> {
        let name = name.into();
        let printable = |byte: u8| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\';
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(printable) {
            return Err(QuotaError::Name(name.to_string()));
        }
        let Some(burst) = NonZeroU32::new(requests) else {
            return Err(QuotaError::NoRequests(name.to_string()));
        };
        if period.is_zero() || period > MAX_WINDOW {
            return Err(QuotaError::Period(name.to_string(), period));
        }
        // Rounded up, so that the rate is never above the one that was asked for.
        let nanos = period.as_nanos().div_ceil(requests.into());
        let interval = u64::try_from(nanos).unwrap_or(u64::MAX);
        let rate = governor::Quota::with_period(Duration::from_nanos(interval))
            .ok_or_else(|| QuotaError::Period(name.to_string(), period))?;
        let quota = Self {
            name,
            rate,
            keys: 100_000,
            ipv6_prefix: 64,
        };
        quota.with_burst(burst)
    }

    /// How many requests may come at once after a quiet time.
    ///
    /// # Errors
    ///
    /// When it is zero, or would take longer than 366 days to come back.
    pub fn burst(self, burst: u32) -> Result<Self, QuotaError> {
        match NonZeroU32::new(burst) {
            Some(burst) => self.with_burst(burst),
            None => Err(QuotaError::NoBurst(self.name.to_string())),
        }
    }

    /// How many keys in use at once the limiter has room for, 100,000 unless said: 52 bytes each,
    /// allocated at the start. What happens beyond is told in the [module](super).
    ///
    /// # Errors
    ///
    /// When it is zero or more than 100 million.
    pub fn keys(self, keys: usize) -> Result<Self, QuotaError> {
        if !(1..=100_000_000).contains(&keys) {
            return Err(QuotaError::Keys(self.name.to_string(), keys));
        }
        Ok(Self { keys, ..self })
    }

    /// IPv6 addresses that agree in this many bits are one peer, 64 unless said, because a single
    /// household is given that many addresses.
    ///
    /// # Errors
    ///
    /// When it is not between 32 and 128.
    pub fn ipv6_prefix(self, bits: u8) -> Result<Self, QuotaError> {
        if !(32..=128).contains(&bits) {
            return Err(QuotaError::Ipv6Prefix(self.name.to_string(), bits));
        }
        Ok(Self {
            ipv6_prefix: bits,
            ..self
        })
    }

    /// The quota's name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// How many requests may come at once.
    #[must_use]
    pub const fn burst_size(&self) -> u32 {
        self.rate.burst_size().get()
    }

    /// The time after which one request comes back, in whole nanoseconds.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.rate.replenish_interval()
    }

    /// The time after which a burst that was used up is back.
    #[must_use]
    pub fn window(&self) -> Duration {
        self.interval().saturating_mul(self.burst_size())
    }

    pub(super) const fn rate(&self) -> governor::Quota {
        self.rate
    }

    pub(super) const fn key_room(&self) -> usize {
        self.keys
    }

    pub(super) const fn ipv6_bits(&self) -> u8 {
        self.ipv6_prefix
    }

    fn with_burst(self, burst: NonZeroU32) -> Result<Self, QuotaError> {
        let rate = self.rate.allow_burst(burst);
        let quota = Self { rate, ..self };
        if quota.window() > MAX_WINDOW {
            return Err(QuotaError::Window(quota.name.to_string()));
        }
        Ok(quota)
    }
}

/// So that every sum of the limiter stays far below 2^64 ns.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// So that a header field fits into a buffer of fixed size.
pub(super) const MAX_NAME: usize = 64;

/// A quota as it stands in configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    requests: u32,
    period_secs: Option<u64>,
    period_ms: Option<u64>,
    burst: Option<u32>,
    keys: Option<usize>,
    ipv6_prefix: Option<u8>,
}

impl TryFrom<Written> for Quota {
    type Error = QuotaError;

    fn try_from(written: Written) -> Result<Self, QuotaError> {
        let period = match (written.period_secs, written.period_ms) {
            (Some(secs), None) => Duration::from_secs(secs),
            (None, Some(millis)) => Duration::from_millis(millis),
            _ => return Err(QuotaError::PeriodUnits(written.name)),
        };
        let mut quota = Self::new(written.name, written.requests, period)?;
        if let Some(burst) = written.burst {
            quota = quota.burst(burst)?;
        }
        if let Some(keys) = written.keys {
            quota = quota.keys(keys)?;
        }
        match written.ipv6_prefix {
            Some(bits) => quota.ipv6_prefix(bits),
            None => Ok(quota),
        }
    }
}
