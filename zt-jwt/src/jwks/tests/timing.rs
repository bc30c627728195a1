//! The arithmetic of when to ask next.

use proptest::prelude::*;

use super::{super::schedule, *};

proptest! {
    #[test]
    fn a_refresh_comes_within_its_bounds(
        said in proptest::option::of(any::<u64>()),
        shortest in 1_u64..86_400,
        longest in 1_u64..86_400,
        chance: u32,
    ) {
        let settings = RefreshSettings::default()
            .shortest(Duration::from_secs(shortest))
            .longest(Duration::from_secs(longest))
            .reconciled();
        let fresh = said.unwrap_or(600).min(longest.max(shortest)).max(shortest);
        let fresh = Duration::from_secs(fresh);
        let said = said.map(Duration::from_secs);
        let after = schedule::after_success(said, &settings, chance);
        prop_assert!(after >= fresh * 75 / 100 && after <= fresh * 95 / 100);
    }

    #[test]
    fn a_retry_comes_within_its_bounds(failures: u32, chance: u32) {
        let longest = match failures {
            0..=6 => 1_u64 << failures.saturating_sub(1),
            _ => 60,
        };
        let longest = Duration::from_secs(longest.min(60));
        let after = schedule::after_failure(failures, chance);
        prop_assert!(after >= longest / 2 && after <= longest);
    }
}

#[test]
fn chance_decides_where_within_the_bounds() {
    let settings = RefreshSettings::default();
    let hundred = Some(Duration::from_secs(100));
    let after = |chance| schedule::after_success(hundred, &settings, chance);
    assert_eq!(after(0), Duration::from_secs(75));
    assert_eq!(after(1 << 31), Duration::from_secs(85));
    assert!(after(u32::MAX) > Duration::from_millis(94_999));
    let some: Vec<_> = (0..20).map(|_| schedule::chance()).collect();
    assert!(some.iter().any(|chance| *chance != some[0]));
}
