//! Ways to be seen fresh twice, or to have others refused, tried from outside.

use std::sync::{
    Barrier,
    atomic::{AtomicUsize, Ordering},
};

use super::{
    super::{MemoryReplays, ReplayLimits, SharedReplays},
    *,
};

/// Two entries a key id, eight in all.
fn small() -> MemoryReplays {
    let limits = ReplayLimits {
        entries: 8,
        entries_per_key: 2,
        key_ids: 2,
    };
    MemoryReplays::for_new_keys(WINDOW).with_limits(limits)
}

fn is_refused(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Unavailable(_))
}

#[test]
fn a_key_id_that_used_up_its_room_locks_out_itself_alone_and_not_for_ever() {
    let memory = small();
    let mut now = start();
    for nonce in ["1", "2"] {
        assert_eq!(see(&memory, &sighting("noisy", nonce, now)), Verdict::Fresh);
    }
    // It goes on and on, as fast as it likes, for as long as what it sent is remembered.
    let mut free = None;
    for second in 0..3 * WINDOW.as_secs() {
        now = start() + secs(second);
        let verdict = see(&memory, &sighting("noisy", &format!("again {second}"), now));
        if !is_refused(verdict) {
            free.get_or_insert(second);
        }
        if second == 1 {
            assert_eq!(see(&memory, &sighting("quiet", "1", now)), Verdict::Fresh);
        }
    }
    assert!(
        free.is_some_and(|free| free <= 2 * WINDOW.as_secs()),
        "{free:?}"
    );
    assert_eq!(see(&memory, &sighting("quiet", "2", now)), Verdict::Fresh);
}

#[test]
fn what_is_refused_for_want_of_room_takes_none_and_is_remembered_by_nobody() {
    let memory = small();
    for nonce in ["1", "2"] {
        assert_eq!(see(&memory, &sighting("k", nonce, start())), Verdict::Fresh);
    }
    for round in 0..1_000 {
        let nonce = format!("flood {round}");
        assert!(is_refused(see(&memory, &sighting("k", &nonce, start()))));
    }
    assert_eq!(memory.stats().entries, 2);
    // What was seen before it was full is a replay all the same, and takes no room.
    assert_eq!(
        see(&memory, &sighting("k", "1", start())),
        Verdict::Replayed
    );
}

#[test]
fn key_ids_beyond_the_table_share_one_room_and_none_of_the_others() {
    let memory = small();
    for keyid in ["a", "b"] {
        assert_eq!(see(&memory, &sighting(keyid, "1", start())), Verdict::Fresh);
    }
    let strangers: Vec<_> = (0..100).map(|n| format!("stranger {n}")).collect();
    let fresh = strangers
        .iter()
        .filter(|keyid| see(&memory, &sighting(keyid, "1", start())) == Verdict::Fresh);
    assert_eq!(fresh.count(), 2);
    for keyid in ["a", "b"] {
        assert_eq!(see(&memory, &sighting(keyid, "2", start())), Verdict::Fresh);
    }
}

#[test]
fn a_message_dated_ahead_is_remembered_until_it_is_too_old_through_every_swap() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    // The worst moment: the last microsecond of a generation.
    let begin = start();
    assert_eq!(see(&memory, &sighting("k", "opens", begin)), Verdict::Fresh);
    let now = begin + (WINDOW - Duration::from_micros(1));
    let message = Sighting {
        created: now + SKEW,
        until: now + SKEW + secs(60),
        ..sighting("k", "ahead", now)
    };
    assert_eq!(see(&memory, &message), Verdict::Fresh);
    let mut later = now;
    while later <= message.until {
        assert_ne!(
            see(
                &memory,
                &Sighting {
                    now: later,
                    ..message
                }
            ),
            Verdict::Fresh
        );
        // Other traffic, so that generations turn as early as they can.
        let _ = see(&memory, &sighting("other", &format!("{later:?}"), later));
        later = later + secs(1);
    }
}

#[test]
fn of_copies_on_many_threads_around_a_swap_one_is_fresh() {
    for round in 0..64 {
        let memory = MemoryReplays::for_new_keys(WINDOW);
        assert_eq!(
            see(&memory, &sighting("k", "opens", start())),
            Verdict::Fresh
        );
        let (fresh, barrier) = (AtomicUsize::new(0), Barrier::new(8));
        std::thread::scope(|scope| {
            for thread in 0..8_u64 {
                let (memory, fresh, barrier) = (&memory, &fresh, &barrier);
                scope.spawn(move || {
                    // Half of them come before the generation is over, half behind it.
                    let around = if (thread + round) % 2 == 0 {
                        secs(69)
                    } else {
                        secs(71)
                    };
                    let message = Sighting {
                        created: start() + secs(65),
                        until: start() + secs(125),
                        ..sighting("k", "copy", start() + around)
                    };
                    barrier.wait();
                    if see(memory, &message) == Verdict::Fresh {
                        fresh.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!(fresh.into_inner(), 1);
    }
}

/// A request is judged by the time at which it came. One that then waits in a queue until the
/// store has forgotten the first copy must not be fresh again.
#[tokio::test]
async fn a_copy_that_was_held_up_until_the_store_forgot_is_not_fresh() {
    let clock = ManualClock::at(start());
    let store = Arc::new(MemoryStore::new(clock.clone()));
    let memory = SharedReplays::new(store, clock.clone());
    let first = sighting("k1", "n", start());
    assert_eq!(memory.record(&first).verdict().await, Verdict::Fresh);
    // The copy came in time and is held up: for keys, by a queue in front of the gate.
    let copy = Sighting {
        now: first.until,
        ..first
    };
    for (waited, verdict) in [
        (secs(60), true),
        (secs(29), false),
        (secs(1), false),
        (secs(60), false),
    ] {
        clock.advance(waited);
        let found = memory.record(&copy).verdict().await;
        assert_ne!(found, Verdict::Fresh);
        assert_eq!(found == Verdict::Replayed, verdict, "{found:?}");
    }
}

/// The same with the memory of one process, which knows what it has forgotten.
#[test]
fn a_copy_that_was_held_up_until_a_process_forgot_is_not_fresh() {
    let memory = MemoryReplays::for_new_keys(WINDOW);
    let first = sighting("k1", "n", start());
    assert_eq!(see(&memory, &first), Verdict::Fresh);
    for later in [70, 140, 210, 280] {
        let other = sighting("k2", &later.to_string(), start() + secs(later));
        assert_eq!(see(&memory, &other), Verdict::Fresh);
        let copy = Sighting {
            now: first.until,
            ..first
        };
        assert_ne!(see(&memory, &copy), Verdict::Fresh);
    }
}

#[test]
fn times_at_their_ends_neither_panic_nor_pass_twice() {
    for now in [Timestamp::EPOCH, Timestamp::from_secs(1), Timestamp::MAX] {
        let memory = MemoryReplays::for_new_keys(WINDOW);
        for until in [Timestamp::EPOCH, Timestamp::MAX, now] {
            let taken = format!("{}", memory.stats().entries);
            let message = Sighting {
                created: until,
                until,
                ..sighting("k", &taken, Timestamp::EPOCH)
            };
            let message = Sighting { now, ..message };
            let first = see(&memory, &message);
            assert!(first == Verdict::Fresh || is_refused(first));
            assert_ne!(see(&memory, &message), Verdict::Fresh);
        }
    }
}
