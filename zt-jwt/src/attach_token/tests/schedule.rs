use proptest::prelude::*;
use zt_core::random::{EntropyError, OsEntropy};

use super::{super::schedule::*, *};

#[derive(Debug)]
struct Broken;

impl Entropy for Broken {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn renewal_lies_between_70_and_80_percent_of_the_lifetime() {
    // lifetime, asked within, earliest, latest
    for (life, within, earliest, latest) in [
        (Some(3_600), None, 2_520, 2_880),
        (Some(100), None, 70, 80),
        // Never less than ten seconds apart.
        (Some(10), None, 10, 10),
        (Some(12), None, 10, 10),
        // Never more than a day apart.
        (Some(86_400 * 300), None, 75_600, 86_400),
        // The source wants to be asked sooner.
        (Some(3_600), Some(60), 52, 60),
        (None, Some(60), 52, 60),
        (Some(40), Some(60), 28, 32),
    ] {
        let at = |entropy: &dyn Entropy| renew_after(life.map(secs), within.map(secs), entropy);
        let (first, last) = (at(&Same(0xff)).unwrap(), at(&Same(0)).unwrap());
        assert_eq!(
            (first.as_secs(), last),
            (earliest, secs(latest)),
            "{life:?} {within:?}"
        );
        assert_eq!(at(&Broken), Some(last));
    }
    assert_eq!(renew_after(None, None, &OsEntropy), None);
}

#[test]
fn attempts_move_apart_up_to_a_minute() {
    for (failures, whole) in [
        (1, 1),
        (2, 2),
        (3, 4),
        (6, 32),
        (7, 60),
        (8, 60),
        (u32::MAX, 60),
    ] {
        assert_eq!(back_off(failures, &Same(0)), secs(whole), "{failures}");
        let least = back_off(failures, &Same(0xff));
        assert!(
            least.abs_diff(secs(whole) / 2) < Duration::from_millis(1),
            "{failures}"
        );
        assert_eq!(back_off(failures, &Broken), secs(whole));
    }
}

#[test]
fn a_fleet_does_not_march_in_step() {
    let all: std::collections::BTreeSet<_> = (0..200)
        .filter_map(|_| renew_after(Some(secs(3_600)), None, &OsEntropy))
        .collect();
    assert!(all.len() > 190, "{}", all.len());
    let (first, last) = (all.first().unwrap(), all.last().unwrap());
    assert!(*last - *first > secs(200));
}

proptest! {
    #[test]
    fn whatever_the_numbers_the_bounds_hold(
        life in proptest::option::of(any::<u64>()),
        within in proptest::option::of(any::<u64>()),
        failures: u32,
    ) {
        let after = renew_after(life.map(secs), within.map(secs), &OsEntropy);
        prop_assert_eq!(after.is_some(), life.is_some() || within.is_some());
        if let (Some(after), Some(_)) = (after, life) {
            prop_assert!((SHORTEST..=LONGEST).contains(&after));
        }
        let pause = back_off(failures, &OsEntropy);
        prop_assert!((secs(0)..=secs(60)).contains(&pause) && pause > secs(0));
    }
}
