use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwapOption;
use tokio::sync::{Semaphore, watch};
use zt_core::{
    clock::{Clock, SystemClock},
    random::{Entropy, OsEntropy},
};

use super::{
    ConfigError, TokenSettings, TokenSource, Tokens, flight::Flights, settings::Checked,
    tokens::Shared,
};

/// Makes [`Tokens`].
#[derive(Debug)]
pub struct TokensBuilder {
    source: Box<dyn TokenSource>,
    settings: TokenSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl TokensBuilder {
    pub(super) fn new(source: impl TokenSource) -> Self {
        Self {
            source: Box::new(source),
            settings: TokenSettings::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
        }
    }

    /// Other settings.
    #[must_use]
    pub fn settings(mut self, settings: TokenSettings) -> Self {
        self.settings = settings;
        self
    }

    /// Another clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Another source of randomness, which spreads renewals and attempts.
    #[must_use]
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// The tokens.
    ///
    /// # Errors
    ///
    /// Where a setting is out of bounds.
    pub fn build(self) -> Result<Tokens, ConfigError> {
        let settings = self.settings.check()?;
        Ok(self.finish(settings))
    }

    pub(super) fn finish(self, settings: Checked) -> Tokens {
        Tokens(Arc::new(Shared {
            source: self.source,
            settings,
            clock: self.clock,
            entropy: self.entropy,
            current: ArcSwapOption::empty(),
            due: AtomicU64::new(0),
            flights: Flights::default(),
            landed: watch::Sender::new(0),
            seats: Semaphore::new(settings.max_waiting.min(Semaphore::MAX_PERMITS)),
        }))
    }
}
