use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use zt_core::{
    clock::{Clock, SystemClock},
    state::Recorder,
};

use super::{Limits, LimitsError, Policy, reserve::Inner};
use crate::counter::CounterStore;

/// Collects what [`Limits`] need.
#[derive(Debug)]
#[must_use]
pub struct LimitsBuilder {
    store: Arc<dyn CounterStore>,
    clock: Arc<dyn Clock>,
    recorder: Option<Arc<dyn Recorder>>,
    hold_time: Duration,
}

impl Limits {
    /// Counted by `store`.
    pub fn builder(store: impl CounterStore) -> LimitsBuilder {
        LimitsBuilder {
            store: Arc::new(store),
            clock: Arc::new(SystemClock),
            recorder: None,
            hold_time: Duration::from_secs(60),
        }
    }
}

impl LimitsBuilder {
    /// Another clock than the system's: settlements follow it.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where holds, settlements, thresholds and everything that administrators do are recorded; see
    /// the [events](super#events). Without one, administrators' acts are not recorded anywhere.
    pub fn recorder(mut self, recorder: impl Recorder) -> Self {
        self.recorder = Some(Arc::new(recorder));
        self
    }

    /// After which time a hold that nobody settled is charged; a minute unless said. A request
    /// that takes longer is charged in full and corrected when it settles; a metered stream renews
    /// its hold.
    pub const fn hold_time(mut self, time: Duration) -> Self {
        self.hold_time = time;
        self
    }

    /// The limits of `policy`. Made inside a runtime, they charge holds that ended by themselves each
    /// second; elsewhere, call [`Limits::expire`].
    ///
    /// # Errors
    ///
    /// None now; a policy that exists is valid.
    pub fn build(self, policy: Policy) -> Result<Limits, LimitsError> {
        Ok(Limits::from_inner(Inner::new(
            policy,
            self.store,
            self.clock,
            self.recorder,
            self.hold_time,
            Handle::try_current().ok(),
        )))
    }
}
