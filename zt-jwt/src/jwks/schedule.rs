//! When to ask next: plain functions of what was said, and of chance.

use std::time::Duration;

use zt_core::random::{self, OsEntropy};

use super::RefreshSettings;

/// How long after a success keys are asked for again. That is before they stop being fresh, and
/// not at the same moment in every process that has fetched them at the same moment.
pub(super) fn after_success(
    fresh_for: Option<Duration>,
    settings: &RefreshSettings,
    chance: u32,
) -> Duration {
    let fresh = fresh_for
        .unwrap_or(UNSAID)
        .min(settings.longest)
        .max(settings.shortest);
    share(fresh, 75, 95, chance)
}

/// How long after the last of `failures` in a row the keys are asked for again.
pub(super) fn after_failure(failures: u32, chance: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(6);
    let wait = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    share(wait, 50, 100, chance)
}

/// Without randomness everybody is early by as much as there is room for: that is a little load,
/// and no reason to have old keys.
pub(super) fn chance() -> u32 {
    random::bytes(&OsEntropy).map_or(0, u32::from_le_bytes)
}

/// Between `least` and `most` hundredths of `span`, evenly.
fn share(span: Duration, least: u32, most: u32, chance: u32) -> Duration {
    let hundredth = span / 100;
    let room = (hundredth * (most - least)).as_nanos();
    let part = (room * u128::from(chance)) >> u32::BITS;
    hundredth * least + Duration::from_nanos(u64::try_from(part).unwrap_or(0))
}

/// For how long keys are fresh where the issuer says nothing.
const UNSAID: Duration = Duration::from_secs(600);
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
