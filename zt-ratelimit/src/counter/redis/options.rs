use std::{fmt, sync::Arc, time::Duration};

use zt_core::{
    clock::{Clock, SystemClock},
    random::{Entropy, OsEntropy},
};

use super::{RedisSetupError, keys::Names};

/// Where the counters are, and how long is waited for them.
#[derive(Clone)]
pub struct RedisOptions {
    pub(super) client: redis::Client,
    pub(super) names: Names,
    pub(super) timeout: Duration,
    pub(super) grace: Duration,
    pub(super) longest_hold: Duration,
    pub(super) queue: usize,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) shifted: bool,
}

impl RedisOptions {
    /// The server at `redis://[[user]:password@]host[:port][/database]` or
    /// `redis+unix:///path/to/socket`.
    ///
    /// # Errors
    ///
    /// When the address cannot be read.
    pub fn new(url: &str) -> Result<Self, RedisSetupError> {
        Ok(Self {
            client: redis::Client::open(url).map_err(|_| RedisSetupError::Address)?,
            names: Names::new("zt").ok_or(RedisSetupError::Address)?,
            timeout: Duration::from_millis(500),
            grace: Duration::from_secs(3600),
            longest_hold: Duration::from_secs(86_400),
            queue: 16_384,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            shifted: false,
        })
    }

    /// Keeps them apart from others on the same server; `zt` unless said.
    ///
    /// # Errors
    ///
    /// When it is not 1 to 32 letters, digits and hyphens.
    pub fn namespace(mut self, namespace: &str) -> Result<Self, RedisSetupError> {
        let bad = || RedisSetupError::Namespace(namespace.chars().take(32).collect());
        self.names = Names::new(namespace).ok_or_else(bad)?;
        Ok(self)
    }

    /// How long a connection, and an answer, is waited for; half a second unless said. A
    /// reservation is tried twice.
    ///
    /// # Errors
    ///
    /// When it is zero or longer than 366 days.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, RedisSetupError> {
        self.timeout = checked(timeout, "timeout")?;
        Ok(self)
    }

    /// How long after its end a hold can still be corrected, and how long it is remembered after it
    /// was settled; an hour unless said. Nothing that is still on its way after that is harmless.
    ///
    /// # Errors
    ///
    /// When it is zero or longer than 366 days.
    pub fn grace(mut self, grace: Duration) -> Result<Self, RedisSetupError> {
        self.grace = checked(grace, "grace")?;
        Ok(self)
    }

    /// The longest time that a hold may be asked for; a day unless said. For so long, and the grace
    /// period, a settlement is tried while the server is away.
    ///
    /// # Errors
    ///
    /// When it is zero or longer than 366 days.
    pub fn longest_hold(mut self, longest: Duration) -> Result<Self, RedisSetupError> {
        self.longest_hold = checked(longest, "longest hold")?;
        Ok(self)
    }

    /// How many settlements wait at most (at least one); 16,384 unless said. One that finds no
    /// place is dropped and counted, and its hold is charged when it ends.
    #[must_use]
    pub fn queue(self, settlements: usize) -> Self {
        Self {
            queue: settlements.max(1),
            ..self
        }
    }

    /// The clock for waiting between tries; the time of steps is the server's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        Self {
            clock: Arc::new(clock),
            ..self
        }
    }

    /// The randomness that names holds.
    #[must_use]
    pub fn entropy(self, entropy: impl Entropy) -> Self {
        Self {
            entropy: Arc::new(entropy),
            ..self
        }
    }

    /// The server's clock moved on by what stands under the keys `{<namespace>-NN}:shift`.
    #[cfg(test)]
    pub(crate) fn shifted(self) -> Self {
        Self {
            shifted: true,
            ..self
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An address may have a password in it.
        f.debug_struct("RedisOptions")
            .field("names", &self.names)
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .field("longest_hold", &self.longest_hold)
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

fn checked(time: Duration, what: &'static str) -> Result<Duration, RedisSetupError> {
    if time.is_zero() || time > Duration::from_secs(366 * 86_400) {
        return Err(RedisSetupError::Time(what));
    }
    Ok(time)
}
