use std::{
    sync::{Arc, Barrier},
    thread,
};

use super::{
    super::{
        MemoryReplays, ReplayLimits,
        generations::{AHEAD, FORGOTTEN},
        memory::{SHARDS, TOO_EARLY, TOO_LONG},
        rooms::{ALL_FULL, KEY_FULL},
    },
    *,
};
use crate::{clock::Clock, state::Readiness};

fn small(entries: u32, entries_per_key: u32, key_ids: usize) -> MemoryReplays {
    MemoryReplays::for_new_keys(WINDOW).with_limits(ReplayLimits {
        entries,
        entries_per_key,
        key_ids,
    })
}

fn fill(memory: &MemoryReplays, keyid: &str, count: u32, now: Timestamp) {
    for index in 0..count {
        let sighting = sighting(keyid, &format!("fill {index} {now:?}"), now);
        assert_eq!(see(memory, &sighting), Verdict::Fresh, "{keyid} {index}");
    }
}

// Restarts.

/// A request dated as far ahead as the verifier allows is accepted, the process starts again, and
/// the request is sent again: the new process must not take it, though it is newer than the start.
#[test]
fn refuses_a_request_dated_ahead_that_is_replayed_across_a_restart() {
    let before = MemoryReplays::new(WINDOW, SKEW, start().saturating_sub(secs(3600)));
    // The verifier takes `created <= now + SKEW`.
    let captured = Sighting {
        created: start() + SKEW,
        until: start() + SKEW + secs(65),
        ..sighting("k1", "captured", start())
    };
    assert_eq!(see(&before, &captured), Verdict::Fresh);
    drop(before);

    let after = MemoryReplays::new(WINDOW, SKEW, start());
    for later in [0, 1, 5, 6, 30, 69] {
        let replayed = Sighting {
            now: start() + secs(later),
            ..captured
        };
        assert_eq!(
            see(&after, &replayed),
            Verdict::Unavailable(TOO_EARLY),
            "{later} s later"
        );
    }
    let next = sighting("k1", "next", start() + SKEW + secs(1));
    assert_eq!(see(&after, &next), Verdict::Fresh);
}

#[test]
fn refuses_what_an_earlier_process_may_have_seen_within_the_same_second() {
    let started = start() + Duration::from_millis(600);
    let memory = MemoryReplays::new(WINDOW, SKEW, started);
    for (created, expected) in [
        (0, Verdict::Unavailable(TOO_EARLY)),
        (4, Verdict::Unavailable(TOO_EARLY)),
        (5, Verdict::Unavailable(TOO_EARLY)),
        (6, Verdict::Fresh),
    ] {
        let message = Sighting {
            created: start() + secs(created),
            ..sighting("k1", &created.to_string(), started)
        };
        assert_eq!(see(&memory, &message), expected, "{created}");
    }
}

#[test]
fn new_keys_are_not_refused_at_the_start() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let first = sighting("k1", "n", start());
    assert_eq!(see(&memory, &first), Verdict::Fresh);
    assert_eq!(see(&memory, &first), Verdict::Replayed);
}

#[test]
fn is_not_ready_while_it_refuses_everything() {
    let clock = ManualClock::default();
    let readiness = Readiness::default();
    let memory = MemoryReplays::new(WINDOW, SKEW, clock.now().unwrap());
    memory.register(&readiness, "replays", clock.clone());
    for _ in 0..6 {
        let now = clock.now().unwrap();
        assert_eq!(readiness.status().probes["replays"].reason, Some(TOO_EARLY));
        let verdict = see(&memory, &sighting("k1", "n", now));
        assert_eq!(verdict, Verdict::Unavailable(TOO_EARLY));
        clock.advance(secs(1));
    }
    assert!(readiness.status().ready);
    let now = clock.now().unwrap();
    assert_eq!(see(&memory, &sighting("k1", "n", now)), Verdict::Fresh);
    clock.fail();
    assert!(!readiness.status().ready);

    let readiness = Readiness::default();
    MemoryReplays::for_new_keys(WINDOW).register(&readiness, "replays", ManualClock::default());
    assert!(readiness.status().ready);
}

// Time.

#[test]
fn refuses_what_can_be_accepted_for_longer_than_the_window() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    assert_eq!(memory.window(), Some(WINDOW));
    let long = Sighting {
        until: start() + WINDOW + Duration::from_micros(1),
        ..sighting("k1", "n", start())
    };
    assert_eq!(see(&memory, &long), Verdict::Unavailable(TOO_LONG));
    let whole = Sighting {
        until: start() + WINDOW,
        ..long
    };
    assert_eq!(see(&memory, &whole), Verdict::Fresh);
}

#[test]
fn remembers_for_a_window_wherever_in_a_generation_it_came() {
    for offset in [0, 1, 35, 69] {
        let memory = MemoryReplays::for_new_keys(WINDOW);
        // The first sighting begins a generation.
        assert_eq!(
            see(&memory, &sighting("k1", "begin", start())),
            Verdict::Fresh
        );
        let now = start() + secs(offset) + Duration::from_micros(999_999);
        let message = Sighting {
            until: now + WINDOW,
            ..sighting("k1", "n", now)
        };
        assert_eq!(see(&memory, &message), Verdict::Fresh);
        for later in 0..=70 {
            let again = Sighting {
                now: now + secs(later),
                ..message
            };
            assert_eq!(see(&memory, &again), Verdict::Replayed, "{offset} {later}");
        }
    }
}

#[test]
fn refuses_what_it_may_have_forgotten_when_the_clock_goes_back() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let message = sighting("k1", "n", start());
    assert_eq!(see(&memory, &message), Verdict::Fresh);
    // A day ahead, for one message of each shard.
    let day = start() + secs(86_400);
    fill(&memory, "k1", 2000, day);
    assert_eq!(memory.stats().entries, 2000, "the first is forgotten");
    // And back.
    assert_eq!(see(&memory, &message), Verdict::Unavailable(FORGOTTEN));
    // What comes after it is taken, once.
    let now = start() + WINDOW;
    let next = sighting("k1", "next", now);
    assert_eq!(see(&memory, &next), Verdict::Fresh);
    assert_eq!(see(&memory, &next), Verdict::Replayed);
    // Where the clock gets to that day again, what was seen then is still known.
    let again = sighting("k1", &format!("fill 0 {day:?}"), day);
    assert_eq!(see(&memory, &again), Verdict::Replayed);
}

#[test]
fn says_so_when_it_is_full_because_the_clock_leapt_and_came_back() {
    let memory = small(4, 4, 4);
    fill(&memory, "k1", 1, start() + secs(86_400));
    fill(&memory, "k1", 3, start());
    let verdict = see(&memory, &sighting("k1", "n", start() + secs(3600)));
    assert_eq!(verdict, Verdict::Unavailable(AHEAD));
}

#[test]
fn the_end_of_time_forgets_nothing() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let last = sighting("k1", "n", Timestamp::MAX);
    assert_eq!(see(&memory, &last), Verdict::Fresh);
    for _ in 0..5 {
        assert_eq!(see(&memory, &last), Verdict::Replayed);
    }
}

#[test]
fn a_window_of_no_time_is_one_of_a_second() {
    let tiny = MemoryReplays::for_new_keys(Duration::ZERO);
    let message = Sighting {
        until: start(),
        ..sighting("k1", "n", start())
    };
    assert_eq!(see(&tiny, &message), Verdict::Fresh);
    for _ in 0..5 {
        assert_eq!(see(&tiny, &message), Verdict::Replayed);
    }
}

// Room.

#[test]
fn a_noisy_key_id_does_not_use_up_the_room_of_the_others() {
    let memory = small(1000, 10, 4);
    fill(&memory, "noisy", 10, start());
    for index in 0..50 {
        let more = sighting("noisy", &format!("more {index}"), start());
        assert_eq!(see(&memory, &more), Verdict::Unavailable(KEY_FULL));
    }
    // What it has seen it still knows.
    let seen = sighting("noisy", &format!("fill 0 {:?}", start()), start());
    assert_eq!(see(&memory, &seen), Verdict::Replayed);
    fill(&memory, "quiet", 10, start());
    assert_eq!(memory.stats().entries, 20);
}

#[test]
fn the_room_of_a_key_id_counts_both_generations() {
    let memory = small(1000, 10, 4);
    fill(&memory, "k1", 6, start());
    let second = start() + WINDOW;
    fill(&memory, "k1", 4, second);
    let more = sighting("k1", "more", second);
    assert_eq!(see(&memory, &more), Verdict::Unavailable(KEY_FULL));
    // The first six are dropped, the four are not.
    let third = second + WINDOW;
    fill(&memory, "k1", 6, third);
    let more = sighting("k1", "more", third);
    assert_eq!(see(&memory, &more), Verdict::Unavailable(KEY_FULL));
    assert_eq!(memory.stats().entries, 10);
}

#[test]
fn refuses_when_it_is_full_and_puts_nothing_out() {
    let memory = small(20, 10, 4);
    fill(&memory, "k1", 10, start());
    fill(&memory, "k2", 10, start());
    let more = sighting("k3", "more", start());
    assert_eq!(see(&memory, &more), Verdict::Unavailable(ALL_FULL));
    for keyid in ["k1", "k2"] {
        for index in 0..10 {
            let seen = sighting(keyid, &format!("fill {index} {:?}", start()), start());
            assert_eq!(see(&memory, &seen), Verdict::Replayed);
        }
    }
    // A refusal for want of room in all takes none of the key id's.
    fill(&memory, "k3", 10, start() + WINDOW * 2);
}

#[test]
fn key_ids_beyond_the_table_share_the_room_of_one() {
    let memory = small(1000, 10, 2);
    fill(&memory, "k1", 1, start());
    fill(&memory, "k2", 1, start());
    fill(&memory, "k3", 5, start());
    fill(&memory, "k4", 5, start());
    let more = sighting("k5", "more", start());
    assert_eq!(see(&memory, &more), Verdict::Unavailable(KEY_FULL));
    fill(&memory, "k1", 8, start() + secs(1));
    assert_eq!(memory.stats().key_ids, 2);
    // Key ids that are not heard of any more give their place back, and only those.
    let second = start() + WINDOW;
    fill(&memory, "k2", 1, second);
    assert_eq!(memory.stats().key_ids, 2);
    let third = second + WINDOW;
    fill(&memory, "k6", 10, third);
    assert_eq!(memory.stats().key_ids, 2);
    fill(&memory, "k2", 9, third);
    let more = sighting("k2", "more", third);
    assert_eq!(see(&memory, &more), Verdict::Unavailable(KEY_FULL));
}

#[test]
fn a_flood_of_new_key_ids_takes_no_more_memory() {
    let memory = small(2000, 1000, 8);
    let empty = memory.stats().capacity_bytes;
    for index in 0..5000 {
        let _ = see(&memory, &sighting(&format!("key {index}"), "n", start()));
    }
    let stats = memory.stats();
    assert_eq!((stats.key_ids, stats.entries), (8, 1008));
    assert!(empty < stats.capacity_bytes);
    assert!(stats.capacity_bytes <= memory_limit(2000, 1000, 8));
}

fn memory_limit(entries: u32, entries_per_key: u32, key_ids: usize) -> usize {
    ReplayLimits {
        entries,
        entries_per_key,
        key_ids,
    }
    .max_bytes()
}

/// Another number for each, without a pattern.
fn spread(number: u128) -> u128 {
    const ODD: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
    let mut number = number.wrapping_mul(ODD);
    for _ in 0..2 {
        number = (number ^ (number >> 64)).wrapping_mul(ODD);
    }
    number
}

/// A million messages over 48 windows: what is remembered and what is allocated stay where the
/// second window left them, below the documented formula.
#[test]
fn memory_is_flat_under_a_flood_of_valid_messages() {
    const WINDOWS: u64 = 48;
    // Shards get 328 each and their tables take 224 to 448: chance moves none of them on.
    const EACH: u64 = 21_000;
    let limits = ReplayLimits {
        entries: 60_000,
        entries_per_key: 60_000,
        key_ids: 16,
    };
    let memory = MemoryReplays::for_new_keys(WINDOW).with_limits(limits);
    let mut settled = 0;
    for window in 0..WINDOWS {
        let now = start() + WINDOW * u32::try_from(window).unwrap();
        let any = sighting("k1", "", now);
        for index in 0..EACH {
            let number = u128::from(window * EACH + index);
            let message = Sighting {
                // What is measured is the memory, not SHA-256: only as evenly spread as hashes are.
                key: ReplayKey(spread(number).to_be_bytes()),
                ..any
            };
            assert_eq!(see(&memory, &message), Verdict::Fresh);
        }
        let stats = memory.stats();
        assert_eq!(stats.entries as u64, EACH * 2.min(window + 1));
        assert_eq!(stats.generations, window + 2);
        assert!(stats.capacity_bytes <= limits.max_bytes(), "{stats:?}");
        if window == 1 {
            settled = stats.capacity_bytes;
        } else if window > 1 {
            assert_eq!(stats.capacity_bytes, settled, "window {window}");
        }
    }
    let each = settled / 42_000;
    assert!((17..=39).contains(&each), "{each} bytes an entry");
}

#[test]
fn the_documented_sizes_are_those_of_the_defaults() {
    let limits = ReplayLimits::default();
    let tables = 2 * 64 * (32_768 * 17 + 16);
    assert_eq!(limits.max_bytes(), tables + 2049 * 16);
    assert!(limits.max_bytes() < 72_000_000);
}

// Races.

#[test]
fn of_racing_copies_exactly_one_is_fresh() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let threads = 8;
    let barrier = Barrier::new(threads);
    let fresh: usize = thread::scope(|scope| {
        let racers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut fresh = 0;
                    for round in 0..500_u32 {
                        // A generation begins in the middle of it again and again.
                        let now = start() + WINDOW * (round / 10);
                        let message = sighting("k1", &round.to_string(), now);
                        barrier.wait();
                        match see(&memory, &message) {
                            Verdict::Fresh => fresh += 1,
                            verdict => assert_eq!(verdict, Verdict::Replayed),
                        }
                    }
                    fresh
                })
            })
            .collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(fresh, 500);
}

#[test]
fn racing_threads_get_exactly_the_room_there_is() {
    for (limits, keyids, room) in [((10_000, 700, 16), 8, 8 * 700), ((3001, 700, 16), 8, 3001)] {
        let (entries, entries_per_key, key_ids) = limits;
        let memory = small(entries, entries_per_key, key_ids);
        let barrier = Arc::new(Barrier::new(8));
        let fresh: usize = thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|racer| {
                    let (memory, barrier) = (&memory, Arc::clone(&barrier));
                    scope.spawn(move || {
                        barrier.wait();
                        (0..2000)
                            .filter(|index| {
                                let keyid = format!("k{}", (index + racer) % keyids);
                                let nonce = format!("{racer} {index}");
                                see(memory, &sighting(&keyid, &nonce, start())) == Verdict::Fresh
                            })
                            .count()
                    })
                })
                .collect();
            racers.into_iter().map(|racer| racer.join().unwrap()).sum()
        });
        assert_eq!(fresh, room);
        assert_eq!(memory.stats().entries, room);
        assert_eq!(memory.stats().key_ids, 8);
    }
}

#[test]
fn a_shard_bound_is_far_above_what_chance_gives() {
    let limits = ReplayLimits::default();
    let share = f64::from(limits.entries) / SHARDS as f64;
    let spare = limits.entries_per_shard() as f64 - share;
    assert!(spare > 16.0 * share.sqrt());
}
