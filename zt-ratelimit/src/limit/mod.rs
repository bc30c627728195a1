//! What may be spent: rates, budgets and how many at once.
//!
//! A [`Limit`] has a name and one of three kinds. It says nothing about who spends; that is the
//! *subject* of a [`Claim`](crate::counter::Claim), so one limit `key-day` counts for each key
//! apart.

mod error;
#[cfg(test)]
mod tests;
mod window;

use std::{num::NonZeroU32, sync::Arc, time::Duration};

pub(crate) use self::window::rolling_slot;
pub use self::{
    error::LimitError,
    window::{ROLLING_SLOTS, Span, Window},
};
use crate::cost::{Cost, Currency};

/// One limit: a rate, a budget, or how many at once. Every value that exists is valid.
///
/// Two limits of one store that have the same name are the same limit: a subject that comes under
/// another tier, where `key-day` is larger, has spent there what it spent here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limit {
    name: Arc<str>,
    /// Of the name, for tables.
    digest: u64,
    kind: Kind,
    shadow: bool,
}

/// The kinds of limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// So many a period.
    Rate(Rate),
    /// So much money a window.
    Budget(Budget),
    /// So many at once.
    Concurrency(Concurrency),
}

impl Limit {
    /// `requests` each `period`, which is also the burst.
    ///
    /// # Errors
    ///
    /// When the name is not 1 to 64 printable ASCII characters without quotes, backslashes and
    /// braces, when there are no requests, when the period is zero or longer than 366 days.
    pub fn rate(
        name: impl Into<Arc<str>>,
        requests: u64,
        period: Duration,
    ) -> Result<Self, LimitError> {
        Self::new(name, Kind::Rate(Rate::new(requests, period)?))
    }

    /// `amount` each `window`.
    ///
    /// # Errors
    ///
    /// As for [`rate`](Self::rate), and when the amount is above 2⁵³ − 1 nano-units (about nine
    /// million), which shared stores cannot count exactly.
    pub fn budget(
        name: impl Into<Arc<str>>,
        amount: Cost,
        window: Window,
    ) -> Result<Self, LimitError> {
        Self::new(name, Kind::Budget(Budget::new(amount, window)?))
    }

    /// At most `permits` at once.
    ///
    /// # Errors
    ///
    /// As for [`rate`](Self::rate), and when there are no permits.
    pub fn concurrency(name: impl Into<Arc<str>>, permits: u32) -> Result<Self, LimitError> {
        if permits == 0 {
            return Err(LimitError::NoPermits);
        }
        Self::new(name, Kind::Concurrency(Concurrency { permits }))
    }

    fn new(name: impl Into<Arc<str>>, kind: Kind) -> Result<Self, LimitError> {
        let name = name.into();
        let printable = |byte: u8| matches!(byte, 0x20..=0x7e) && !b"\"\\{}".contains(&byte);
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(printable) {
            return Err(LimitError::Name(name.chars().take(MAX_NAME).collect()));
        }
        Ok(Self {
            digest: digest(&name),
            name,
            kind,
            shadow: false,
        })
    }

    /// So many may come at once after a quiet time. Rates only; others stay as they are.
    ///
    /// # Errors
    ///
    /// When it is zero, or would take longer than 366 days to come back.
    pub fn burst(mut self, burst: u64) -> Result<Self, LimitError> {
        if let Kind::Rate(rate) = &mut self.kind {
            *rate = rate.with_burst(burst)?;
        }
        Ok(self)
    }

    /// Says when so many per cent of a budget were spent, each once a window, instead of at 50, 80
    /// and 100. Others than budgets stay as they are.
    ///
    /// # Errors
    ///
    /// When there are more than eight, or they do not rise from 1 to 100.
    pub fn thresholds(mut self, percent: &[u8]) -> Result<Self, LimitError> {
        if let Kind::Budget(budget) = &mut self.kind {
            let rising = percent.is_sorted_by(|a, b| a < b);
            if percent.len() > 8 || !rising || percent.iter().any(|at| !(1..=100).contains(at)) {
                return Err(LimitError::Thresholds);
            }
            budget.thresholds = percent.into();
        }
        Ok(self)
    }

    /// Refuses nobody: what it would have refused is told in an event, and counted all the same.
    #[must_use]
    pub const fn shadow(mut self) -> Self {
        self.shadow = true;
        self
    }

    /// What one of so many instances may give of a rate or of permits; none of budgets, and where
    /// it is less than one.
    pub(crate) fn part(&self, instances: NonZeroU32) -> Option<Self> {
        let kind = match &self.kind {
            Kind::Rate(rate) => Kind::Rate(Rate {
                // Together with the smaller burst it still comes back within 366 days.
                interval: rate.interval.checked_mul(instances.get().into())?,
                burst: rate.burst / u64::from(instances.get()),
            }),
            Kind::Concurrency(all) => Kind::Concurrency(Concurrency {
                permits: all.permits / instances,
            }),
            Kind::Budget(_) => return None,
        };
        match &kind {
            Kind::Rate(Rate { burst: 0, .. }) | Kind::Concurrency(Concurrency { permits: 0 }) => {
                None
            }
            _ => Some(Self {
                kind,
                ..self.clone()
            }),
        }
    }

    /// The name: in header fields, problems, records, and in the keys of stores.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Names that are the same have the same one. It has no secret: names of limits are no
    /// stranger's choice.
    pub(crate) const fn digest(&self) -> u64 {
        self.digest
    }

    /// Its kind.
    #[must_use]
    pub const fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether it only watches.
    #[must_use]
    pub const fn is_shadow(&self) -> bool {
        self.shadow
    }

    /// The budget that it is.
    #[must_use]
    pub const fn as_budget(&self) -> Option<&Budget> {
        match &self.kind {
            Kind::Budget(budget) => Some(budget),
            _ => None,
        }
    }
}

/// So many units a period, with a burst: GCRA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: u64,
    burst: u64,
}

impl Rate {
    fn new(requests: u64, period: Duration) -> Result<Self, LimitError> {
        if requests == 0 {
            return Err(LimitError::NoRequests);
        }
        if period.is_zero() || period > MAX_WINDOW {
            return Err(LimitError::Period(period));
        }
        // Rounded up, so that the rate is never above the one that was asked for.
        let nanos = period.as_nanos().div_ceil(requests.into());
        let interval = u64::try_from(nanos).unwrap_or(u64::MAX);
        Self { interval, burst: 1 }.with_burst(requests)
    }

    pub(crate) fn with_burst(self, burst: u64) -> Result<Self, LimitError> {
        if burst == 0 {
            return Err(LimitError::NoRequests);
        }
        let window = u128::from(self.interval) * u128::from(burst);
        if window > MAX_WINDOW.as_nanos() {
            return Err(LimitError::Burst(burst));
        }
        Ok(Self { burst, ..self })
    }

    /// The nanoseconds after which one unit comes back.
    #[must_use]
    pub const fn interval_nanos(&self) -> u64 {
        self.interval
    }

    /// How many units may come at once.
    #[must_use]
    pub const fn burst_size(&self) -> u64 {
        self.burst
    }

    /// The nanoseconds in which a burst that was used up is back.
    #[must_use]
    pub const fn window_nanos(&self) -> u64 {
        // At most 366 days, says `with_burst`.
        self.interval.saturating_mul(self.burst)
    }
}

/// So much money a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    amount: Cost,
    window: Window,
    thresholds: Arc<[u8]>,
}

impl Budget {
    fn new(amount: Cost, window: Window) -> Result<Self, LimitError> {
        if amount.nanos() > MAX_NANOS {
            return Err(LimitError::Amount(amount));
        }
        Ok(Self {
            amount,
            window,
            thresholds: [50, 80, 100].into(),
        })
    }

    /// The limit.
    #[must_use]
    pub const fn amount(&self) -> Cost {
        self.amount
    }

    /// Of which currency.
    #[must_use]
    pub const fn currency(&self) -> Currency {
        self.amount.currency()
    }

    /// When it begins anew.
    #[must_use]
    pub const fn window(&self) -> &Window {
        &self.window
    }

    /// At how many per cent spent an event says so.
    #[must_use]
    pub fn thresholds(&self) -> &[u8] {
        &self.thresholds
    }
}

/// So many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    permits: u32,
}

impl Concurrency {
    /// How many.
    #[must_use]
    pub const fn permits(&self) -> u32 {
        self.permits
    }
}

fn digest(name: &str) -> u64 {
    let words = name.as_bytes().chunks(8).map(|chunk| {
        let word = |word, byte: &u8| (word << 8) | u64::from(*byte);
        chunk.iter().fold(0, word)
    });
    words.fold(0, mix)
}

/// Mixes `word` into `hash`.
pub(crate) const fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ (hash >> 32)
}

/// The largest amount that a limit may have, and a request cost: 2⁵³ − 1 nano-units, which numbers
/// of Lua still count exactly.
pub const MAX_NANOS: u64 = (1 << 53) - 1;

/// So that every sum stays far below 2^64 ns.
const MAX_WINDOW: Duration = Duration::from_secs(366 * 86_400);

/// So that a header field fits into a buffer of fixed size.
pub(crate) const MAX_NAME: usize = 64;
