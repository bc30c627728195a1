use std::{collections::HashMap, thread};

use proptest::prelude::*;

use super::*;

fn table(requests: u32, period: Duration, burst: u32, keys: usize) -> Table {
    let quota = Quota::new("test", requests, period).unwrap();
    Table::new(&quota.burst(burst).unwrap().keys(keys).unwrap())
}

/// A table of one set: every key meets every other.
fn crowded(burst: u32) -> Table {
    let table = table(1, Duration::from_secs(1), burst, 1);
    assert_eq!(table.sets.len(), 1);
    table
}

fn spend(table: &Table, key: u32, weight: u32, now: Duration) -> Outcome {
    let weight = NonZeroU32::new(weight).unwrap();
    table.charge(Key::of(&key), weight, now).outcome
}

fn admits(table: &Table, key: u32, now: Duration) -> bool {
    spend(table, key, 1, now) == Outcome::Admitted
}

/// The algorithm as a sentence: what was spent leaves evenly, and at most a burst may be there.
#[derive(Default, Clone, Copy)]
struct Model {
    due: u128,
}

impl Model {
    fn spend(&mut self, weight: u32, now: Duration, burst: u32, interval: u128) -> Outcome {
        if weight > burst {
            return Outcome::Never;
        }
        let now = now.as_nanos();
        let due = self.due.max(now) + u128::from(weight) * interval;
        let most = now + u128::from(burst) * interval;
        if due > most {
            return Outcome::Wait(Duration::from_nanos(u64::try_from(due - most).unwrap()));
        }
        self.due = due;
        Outcome::Admitted
    }

    fn remaining(&self, now: Duration, burst: u32, interval: u128) -> u128 {
        let ahead = self.due.saturating_sub(now.as_nanos());
        (u128::from(burst) * interval).saturating_sub(ahead) / interval
    }
}

const START: Duration = Duration::from_secs(86_400);

#[test]
fn a_request_comes_back_at_its_nanosecond_and_not_before() {
    let table = table(3, Duration::from_secs(1), 2, 100);
    assert!(admits(&table, 7, START));
    assert!(admits(&table, 7, START));
    // A third of a second, rounded up.
    let interval = Duration::from_nanos(333_333_334);
    assert_eq!(spend(&table, 7, 1, START), Outcome::Wait(interval));
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(
        spend(&table, 7, 1, START + interval - nanosecond),
        Outcome::Wait(nanosecond)
    );
    assert!(admits(&table, 7, START + interval));
    assert!(!admits(&table, 7, START + interval));
}

#[test]
fn a_weight_above_the_burst_never_fits_and_spends_nothing() {
    let table = table(10, Duration::from_secs(1), 10, 100);
    for weight in [11, 1 << 31, u32::MAX] {
        assert_eq!(spend(&table, 1, weight, START), Outcome::Never);
    }
    let ten = NonZeroU32::new(10).unwrap();
    let charge = table.charge(Key::of(&1_u32), ten, START);
    assert_eq!((charge.outcome, charge.remaining), (Outcome::Admitted, 0));
}

#[test]
fn a_heavy_weight_does_not_wrap_around_a_long_interval() {
    // 366 days for each request: weight times interval is beyond 2^64 ns.
    let table = table(1, Duration::from_secs(366 * 86_400), 1, 100);
    assert_eq!(spend(&table, 1, u32::MAX, START), Outcome::Never);
    assert!(admits(&table, 1, START));
    assert!(!admits(&table, 1, START));
}

#[test]
fn a_full_set_shares_one_quota_among_newcomers() {
    let table = crowded(2);
    for key in 0..8 {
        assert!(admits(&table, key, START));
        assert!(admits(&table, key, START));
    }
    assert!(admits(&table, 100, START));
    assert!(admits(&table, 101, START));
    assert!(!admits(&table, 100, START));
    assert!(!admits(&table, 102, START), "newcomers share");
    assert!(!admits(&table, 3, START), "nobody was forgotten");
}

#[test]
fn a_newcomer_does_not_get_a_second_burst_when_an_entry_becomes_free() {
    let table = crowded(4);
    assert!(admits(&table, 0, START));
    for key in 1..8 {
        assert_eq!(spend(&table, key, 4, START), Outcome::Admitted);
    }
    assert_eq!(spend(&table, 100, 4, START), Outcome::Admitted);
    // Key 0 can be forgotten now; 100 has three of its four seconds to go.
    let later = START + Duration::from_secs(1);
    assert!(admits(&table, 100, later));
    assert!(!admits(&table, 100, later));
}

#[test]
fn a_key_whose_burst_is_back_makes_room() {
    let table = crowded(1);
    for round in 0..100_u32 {
        let now = START + Duration::from_secs(round.into());
        for key in 0..8 {
            assert!(admits(&table, round * 8 + key, now), "round {round}");
        }
    }
}

#[test]
fn a_request_that_is_judged_late_does_not_find_a_forgotten_key_fresh() {
    let table = crowded(1);
    for key in 0..8 {
        assert!(admits(&table, key, START));
    }
    assert!(admits(&table, 100, START + Duration::from_secs(1)));
    assert!(!admits(&table, 0, START + Duration::from_millis(500)));
}

#[test]
fn a_moment_far_behind_refuses_and_does_not_overflow() {
    let table = crowded(3);
    assert!(admits(&table, 1, Duration::MAX / 2));
    let wait = spend(&table, 1, 3, Duration::ZERO);
    assert!(matches!(wait, Outcome::Wait(_)));
}

#[test]
fn a_million_random_keys_grow_nothing_and_free_nobody() {
    let burst = 5;
    let table = table(1, Duration::from_secs(60), burst, 10_000);
    let victim = u32::MAX;
    assert_eq!(spend(&table, victim, burst, START), Outcome::Admitted);

    let bytes = table.bytes();
    assert!(bytes <= 10_000 * 52 + 256, "{bytes}");
    let mut admitted = 0_usize;
    for key in 0..1_000_000 {
        admitted += usize::from(admits(&table, key, START));
        if key % 10_000 == 0 {
            assert!(!admits(&table, victim, START));
        }
    }
    assert_eq!(table.bytes(), bytes);
    let entries = table.sets.len() * WAYS;
    assert_eq!(table.in_use(START), entries, "the flood fills the table");
    // Each key in an entry spent one; each set's shared counter gave at most a burst.
    assert!(admitted < entries + table.sets.len() * burst as usize);

    let almost = START + Duration::from_millis(59_999);
    assert!(!admits(&table, victim, almost));
    assert!(admits(&table, victim, START + Duration::from_secs(60)));
}

#[test]
fn with_as_many_keys_as_there_is_room_for_few_share() {
    let table = table(1, Duration::from_secs(60), 1, 10_000);
    for key in 0..10_000 {
        admits(&table, key, START);
    }
    let entries = table.in_use(START);
    assert!(entries > 9_850, "{entries}");
}

#[test]
fn threads_together_spend_no_more_than_the_burst() {
    for table in [crowded(100), table(1, Duration::from_secs(1), 100, 1000)] {
        let admitted: usize = thread::scope(|scope| {
            let threads: Vec<_> = (0..8_u32)
                .map(|thread: u32| {
                    let table = &table;
                    scope.spawn(move || {
                        let one = |n| {
                            // Others come and go in the same table.
                            admits(table, 1000 + thread * 1000 + n, START);
                            admits(table, 1, START)
                        };
                        (0..200_u32).filter(|n| one(*n)).count()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert!(admitted <= 100, "{admitted}");
        assert!(!admits(&table, 1, START));
    }
}

#[test]
fn threads_spend_the_whole_burst() {
    let table = table(1, Duration::from_secs(1), 1000, 1000);
    let admitted: usize = thread::scope(|scope| {
        let spend = || (0..500).filter(|_| admits(&table, 1, START)).count();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(spend)).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum()
    });
    assert_eq!(admitted, 1000);
}

/// Milliseconds that the clock moves and what is spent then.
fn steps() -> impl Strategy<Value = Vec<(u64, u32)>> {
    prop::collection::vec((0..1500_u64, 1..8_u32), 1..200)
}

proptest! {
    #[test]
    fn one_key_is_counted_as_the_model_counts(
        requests in 1..50_u32,
        period_ms in 1..5000_u64,
        burst in 1..20_u32,
        steps in steps(),
    ) {
        let table = table(requests, Duration::from_millis(period_ms), burst, 10);
        let interval = (u128::from(period_ms) * 1_000_000).div_ceil(requests.into());
        let mut model = Model::default();
        let mut now = START;
        for (millis, weight) in steps {
            now += Duration::from_millis(millis);
            let charge = table.charge(Key::of("k"), NonZeroU32::new(weight).unwrap(), now);
            prop_assert_eq!(charge.outcome, model.spend(weight, now, burst, interval));
            let remaining = model.remaining(now, burst, interval);
            prop_assert_eq!(u128::from(charge.remaining), remaining);
            // `more_in` is exact: one more then, not a nanosecond earlier.
            if remaining < burst.into() {
                let then = now + charge.more_in;
                prop_assert_eq!(model.remaining(then, burst, interval), remaining + 1);
                let before = then - Duration::from_nanos(1);
                prop_assert_eq!(model.remaining(before, burst, interval), remaining);
            }
        }
    }

    #[test]
    fn no_key_is_let_go_early_however_many_crowd_a_set_and_however_late_some_are_judged(
        burst in 1..6_u32,
        steps in prop::collection::vec((0..30_u32, -300..800_i64, 1..4_u32), 1..400),
    ) {
        let table = crowded(burst);
        let mut models: HashMap<u32, Model> = HashMap::new();
        let mut now = START;
        for (key, millis, weight) in steps {
            let by = Duration::from_millis(millis.unsigned_abs());
            now = if millis < 0 { now - by } else { now + by };
            let model = models.entry(key).or_default();
            let mut next = *model;
            let alone = next.spend(weight, now, burst, 1_000_000_000);
            if spend(&table, key, weight, now) == Outcome::Admitted {
                prop_assert_eq!(alone, Outcome::Admitted);
                *model = next;
            }
        }
    }

    #[test]
    fn a_throttled_key_stays_throttled_to_its_nanosecond_whatever_others_do(
        burst in 1..6_u32,
        others in prop::collection::vec((0..1000_u32, 0..100_u64, 1..4_u32), 1..300),
    ) {
        let table = crowded(burst);
        let victim = u32::MAX;
        prop_assert_eq!(spend(&table, victim, burst, START), Outcome::Admitted);
        let due = START + Duration::from_secs(1);
        let mut now = START;
        for (key, millis, weight) in others {
            now = (now + Duration::from_millis(millis)).min(due - Duration::from_nanos(1));
            spend(&table, key, weight, now);
            prop_assert_eq!(spend(&table, victim, 1, now), Outcome::Wait(due - now));
        }
        prop_assert!(admits(&table, victim, due));
    }
}
