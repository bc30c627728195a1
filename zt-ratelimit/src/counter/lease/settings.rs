use std::time::Duration;

use zt_core::random::EntropyError;

/// How leases are taken.
///
/// ```
/// use std::time::Duration;
/// use zt_ratelimit::counter::lease::Leasing;
///
/// let leasing = Leasing::among(4).lives(Duration::from_secs(30)).paths(1000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leasing {
    pub(super) instances: u32,
    pub(super) interval: Duration,
    pub(super) requests: u32,
    pub(super) life: Duration,
    pub(super) idle: Duration,
    pub(super) margin: Duration,
    pub(super) grace: Duration,
    pub(super) paths: u32,
    pub(super) ahead: u8,
    pub(super) denials: Duration,
}

impl Leasing {
    /// Among so many instances that share the store. Where there are more than said, chunks are
    /// larger than they should be and the end of a budget comes in larger steps; nothing is
    /// overspent.
    #[must_use]
    pub const fn among(instances: u32) -> Self {
        Self {
            instances,
            interval: Duration::from_secs(20),
            requests: 128,
            life: Duration::from_secs(60),
            idle: Duration::from_secs(10),
            margin: Duration::from_secs(1),
            grace: Duration::from_secs(60),
            paths: 10_000,
            ahead: 25,
            denials: MAX_DENIALS,
        }
    }

    /// A chunk is what is spent in this time (20 s), and at least what `requests` (128) cost,
    /// where that much is left.
    #[must_use]
    pub const fn chunk(self, interval: Duration, requests: u32) -> Self {
        Self {
            interval,
            requests,
            ..self
        }
    }

    /// How long a lease lives in the store (60 s): what a crash strands is charged after it.
    #[must_use]
    pub const fn lives(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// After which time without a request a lease goes back (10 s).
    #[must_use]
    pub const fn idle(self, idle: Duration) -> Self {
        Self { idle, ..self }
    }

    /// By how much the clocks of instances and store may differ (1 s): so long before and after a
    /// budget's window begins anew, requests go to the store.
    #[must_use]
    pub const fn clocks_differ_by(self, margin: Duration) -> Self {
        Self { margin, ..self }
    }

    /// How long the charge of a local hold that ended by itself can be corrected (60 s).
    #[must_use]
    pub const fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// How many paths have leases at most (10,000); others go to the store.
    #[must_use]
    pub const fn paths(self, paths: u32) -> Self {
        Self { paths, ..self }
    }

    /// For how long units of a rate may be taken ahead, in per cent of the time in which its burst
    /// comes back (25): by so much can a burst be larger than the limit says. With zero, paths
    /// that have a rate go to the store.
    #[must_use]
    pub const fn ahead(self, percent: u8) -> Self {
        Self {
            ahead: percent,
            ..self
        }
    }

    /// How long a refusal of the store is repeated without asking it (250 ms, which is also the
    /// most); zero for not at all.
    #[must_use]
    pub const fn denials(self, at_most: Duration) -> Self {
        Self {
            denials: at_most,
            ..self
        }
    }

    pub(super) fn check(&self) -> Result<(), LeaseError> {
        let bad = LeaseError::Setting;
        match self {
            Self { instances: 0, .. } => Err(bad("there are no instances")),
            Self { paths, .. } if *paths == 0 || *paths > super::id::MAX_PATHS => {
                Err(bad("paths are 1 to 4,194,304"))
            }
            Self { ahead: 101.., .. } => Err(bad("more than a whole burst is taken ahead")),
            Self { life, .. } if !(MIN_LIFE..=MAX_LIFE).contains(life) => {
                Err(bad("a lease lives a second to an hour"))
            }
            Self { interval, idle, .. } if interval.is_zero() || idle.is_zero() => {
                Err(bad("the interval or the time of idleness is zero"))
            }
            Self { denials, .. } if *denials > MAX_DENIALS => {
                Err(bad("a refusal is repeated for longer than 250 ms"))
            }
            _ => Ok(()),
        }
    }

    /// From the sending of the request for a lease to the local end of it: a tenth of its life is
    /// for clocks that run apart.
    pub(super) fn serves_for(&self) -> Duration {
        self.life - self.life / 10
    }

    /// How often what is due is looked for.
    pub(super) fn tick(&self) -> Duration {
        (self.life / 20).min(self.idle / 4).max(MIN_TICK)
    }
}

/// Leases that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LeaseError {
    /// A setting makes no sense.
    #[error("leases cannot be taken so: {0}")]
    Setting(&'static str),
    /// The names of local holds need a random prefix.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
}

const MAX_DENIALS: Duration = Duration::from_millis(250);
const MIN_LIFE: Duration = Duration::from_secs(1);
const MAX_LIFE: Duration = Duration::from_secs(3600);
const MIN_TICK: Duration = Duration::from_millis(10);
