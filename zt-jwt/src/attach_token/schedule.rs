//! When to ask for the next token: plain functions of times and chance.

use std::time::Duration;

use zt_core::random::{Entropy, bytes};

/// Renewals of a good token are this far apart at least.
pub(super) const SHORTEST: Duration = Duration::from_secs(10);
/// And at most, however long the token lives: a key or a client may have been replaced.
pub(super) const LONGEST: Duration = Duration::from_secs(86_400);

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// When to renew a token that is good for `remaining` and whose source wants to be asked within
/// `ask_again`: between 70 % and 80 % of it; never for one that has neither.
pub(super) fn renew_after(
    remaining: Option<Duration>,
    ask_again: Option<Duration>,
    entropy: &dyn Entropy,
) -> Option<Duration> {
    let by_end = remaining.map(|remaining| (remaining.saturating_mul(4) / 5).min(LONGEST));
    let latest = match (by_end, ask_again) {
        (Some(a), Some(b)) => a.min(b),
        (a, b) => a.or(b)?,
    };
    Some(somewhat_before(latest, latest / 8, entropy).max(SHORTEST))
}

/// How long to leave a source alone that failed so many times in a row: half to the whole of
/// 1, 2, 4 .. 60 seconds.
pub(super) fn back_off(failures: u32, entropy: &dyn Entropy) -> Duration {
    let doubled = FIRST_PAUSE * (1 << failures.saturating_sub(1).min(6));
    let pause = doubled.min(LONGEST_PAUSE);
    somewhat_before(pause, pause / 2, entropy)
}

/// `latest` less a random part of `spread`. Without randomness it is `latest`: that a fleet
/// marches in step is no reason to be without a token.
fn somewhat_before(latest: Duration, spread: Duration, entropy: &dyn Entropy) -> Duration {
    let Ok(chance) = bytes(entropy) else {
        return latest;
    };
    let spread = micros(spread);
    let part = (u128::from(u64::from_le_bytes(chance)) * u128::from(spread)) >> 64;
    latest.saturating_sub(Duration::from_micros(u64::try_from(part).unwrap_or(spread)))
}

pub(super) fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}
