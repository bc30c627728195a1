//! The generic cell rate algorithm, on integers, for units of any weight.
//!
//! The state is one number: the theoretical arrival time (TAT), in nanoseconds of a clock that does
//! not go back. It is the moment at which everything that was admitted so far would have come back.

use std::time::Duration;

use crate::limit::Rate;

/// Why a rate does not admit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// After this many nanoseconds it would.
    For(u64),
    /// More than the burst: never.
    Never,
}

/// Whether `weight` units fit at `now`; the TAT after them.
#[inline]
pub(crate) fn admit(rate: Rate, tat: u64, now: u64, weight: u64) -> Result<u64, Wait> {
    if weight > rate.burst_size() {
        return Err(Wait::Never);
    }
    // Below `window_nanos`, which is at most 366 days.
    let increment = rate.interval_nanos().saturating_mul(weight);
    let next = tat.max(now).saturating_add(increment);
    let latest = now.saturating_add(rate.window_nanos());
    match next.checked_sub(latest) {
        None | Some(0) => Ok(next),
        Some(early) => Err(Wait::For(early)),
    }
}

/// How many units fit at `now`, and the time until one unit more does; zero where the burst is
/// whole.
#[inline]
pub(crate) fn left(rate: Rate, tat: u64, now: u64) -> (u64, Duration) {
    let used = tat.saturating_sub(now);
    let interval = rate.interval_nanos().max(1);
    let (units, part) = (used / interval, used % interval);
    let remaining = rate.burst_size().saturating_sub(units);
    match part {
        0 if used == 0 => (remaining, Duration::ZERO),
        0 => (remaining, Duration::from_nanos(interval)),
        // A unit that is coming back is not there yet.
        part => (remaining.saturating_sub(1), Duration::from_nanos(part)),
    }
}

#[cfg(test)]
mod tests {
    use governor::{RateLimiter, clock::FakeRelativeClock};
    use proptest::prelude::*;

    use super::*;
    use crate::limit::{Kind, Limit};

    fn rate(requests: u64, period: Duration, burst: u64) -> Rate {
        let limit = Limit::rate("r", requests, period)
            .unwrap()
            .burst(burst)
            .unwrap();
        match limit.kind() {
            Kind::Rate(rate) => *rate,
            _ => unreachable!("it was made as a rate"),
        }
    }

    #[test]
    fn never_admits_more_than_the_burst_at_once() {
        let rate = rate(10, Duration::from_secs(1), 3);
        assert_eq!(admit(rate, 0, 1_000, 4), Err(Wait::Never));
        let tat = admit(rate, 0, 1_000, 3).unwrap();
        assert_eq!(left(rate, tat, 1_000).0, 0);
        assert_eq!(admit(rate, tat, 1_000, 1), Err(Wait::For(100_000_000)));
        assert!(admit(rate, tat, 100_001_000, 1).is_ok());
        assert_eq!(admit(rate, tat, 100_000_999, 1), Err(Wait::For(1)));
    }

    #[test]
    fn a_clock_at_its_end_admits_nothing_twice() {
        let rate = rate(1, Duration::from_secs(1), 1);
        let tat = admit(rate, 0, u64::MAX - 1, 1).unwrap();
        assert_eq!(tat, u64::MAX);
    }

    /// One run is 100 walks of 20,000 steps: two million decisions, each compared.
    #[test]
    fn agrees_with_governor_over_millions_of_random_steps() {
        // SplitMix64.
        let mut state = 0x6763_7261_u64;
        let mut random = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        for walk in 0..100 {
            let burst = 1 + random() % 50;
            let requests = 1 + random() % 1000;
            let period = Duration::from_millis(1 + random() % 100_000);
            let ours = rate(requests, period, burst);
            let clock = FakeRelativeClock::default();
            let quota = governor::Quota::with_period(Duration::from_nanos(ours.interval_nanos()))
                .unwrap()
                .allow_burst(u32::try_from(burst).unwrap().try_into().unwrap());
            let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
            let (mut now, mut tat) = (0_u64, 0_u64);
            for step in 0..20_000 {
                let wait = match random() % 4 {
                    0 => 0,
                    1 => random() % ours.interval_nanos(),
                    2 => ours.interval_nanos(),
                    _ => random() % (3 * ours.interval_nanos()),
                };
                now += wait;
                clock.advance(Duration::from_nanos(wait));
                let weight = 1 + random() % (burst + 1);
                let weight32 = u32::try_from(weight).unwrap().try_into().unwrap();
                let expected = theirs.check_n(weight32).map(|held| held.is_ok());
                let admitted = admit(ours, tat, now, weight);
                match (expected, admitted) {
                    (Ok(true), Ok(next)) => tat = next,
                    (Ok(false), Err(Wait::For(_))) | (Err(_), Err(Wait::Never)) => {}
                    other => panic!("walk {walk}, step {step}: {other:?}"),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn whoever_waits_as_long_as_told_is_admitted_and_not_before(
            requests in 1..10_000_u64, millis in 1..1_000_000_u64, burst in 1..1000_u64,
            used in 0..2_000_u64, weight in 1..1000_u64, now in 0..u64::MAX / 4,
        ) {
            let Ok(limit) = Limit::rate("r", requests, Duration::from_millis(millis)).unwrap().burst(burst) else {
                return Ok(());
            };
            let Kind::Rate(rate) = *limit.kind() else { unreachable!() };
            let mut tat = 0;
            for _ in 0..used.min(burst) {
                tat = admit(rate, tat, now, 1).unwrap();
            }
            match admit(rate, tat, now, weight) {
                Ok(_) => prop_assert!(left(rate, tat, now).0 >= weight),
                Err(Wait::Never) => prop_assert!(weight > burst),
                Err(Wait::For(wait)) => {
                    prop_assert!(left(rate, tat, now).0 < weight);
                    prop_assert!(admit(rate, tat, now + wait, weight).is_ok());
                    prop_assert!(admit(rate, tat, now + wait - 1, weight).is_err());
                }
            }
            let (units, more) = left(rate, tat, now);
            let more = u64::try_from(more.as_nanos()).unwrap();
            if units < burst {
                prop_assert!(left(rate, tat, now + more).0 > units);
                prop_assert!(more == 0 || left(rate, tat, now + more - 1).0 == units);
            }
        }
    }
}
