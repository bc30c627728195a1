//! The memory against a plain map that forgets nothing.

use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    super::{
        MemoryReplays, ReplayLimits,
        generations::FORGOTTEN,
        memory::TOO_LONG,
        rooms::{ALL_FULL, KEY_FULL},
    },
    *,
};

/// One message, sent at some time; the same number is the same message.
#[derive(Debug, Clone)]
struct Step {
    message: u16,
    keyid: u8,
    /// How the clock moves before it, in milliseconds.
    moves: i64,
}

fn steps(moves: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..60_u16, 0..3_u8, moves).prop_map(|(message, keyid, moves)| Step {
        message,
        keyid,
        moves,
    });
    prop::collection::vec(step, 1..300)
}

fn forwards() -> impl Strategy<Value = i64> {
    prop_oneof![Just(0), 0..2000_i64, 0..90_000_i64]
}

fn anywhere() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => forwards(),
        3 => -5000..5000_i64,
        1 => -200_000..200_000_i64,
        1 => Just(86_400_000),
        1 => Just(-86_400_000),
    ]
}

const TEN_DAYS: i64 = 864_000_000;

/// Sends them all; gives each with its time, its last moment and what the memory said. A message
/// that has expired is not asked about, for its verifier refuses it.
fn play(memory: &MemoryReplays, steps: &[Step]) -> Vec<((u8, u16), Timestamp, Timestamp, Verdict)> {
    let mut clock = TEN_DAYS;
    // A message is signed once, when it is first sent: its `until` never changes.
    let mut made: HashMap<(u8, u16), Timestamp> = HashMap::new();
    steps
        .iter()
        .filter_map(|step| {
            clock = (clock + step.moves).max(0);
            let now = Timestamp::from_micros(u64::try_from(clock).unwrap() * 1000);
            let name = (step.keyid, step.message);
            let made = *made.entry(name).or_insert(now);
            let keyid = format!("k{}", step.keyid);
            let until = made + secs(65);
            if now > until {
                return None;
            }
            let verdict = see(
                memory,
                &Sighting {
                    until,
                    now,
                    ..sighting(&keyid, &step.message.to_string(), made)
                },
            );
            Some((name, now, until, verdict))
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever the clock does, no message that can still be accepted is fresh twice.
    #[test]
    fn nothing_is_accepted_twice_whatever_the_clock_does(
        steps in steps(anywhere()),
        room in prop_oneof![Just(5_u32), Just(1000)],
    ) {
        let memory = MemoryReplays::for_new_keys(WINDOW).with_limits(ReplayLimits {
            entries: room * 2,
            entries_per_key: room,
            key_ids: 2,
        });
        let mut accepted: HashMap<(u8, u16), Timestamp> = HashMap::new();
        for (name, now, _, verdict) in play(&memory, &steps) {
            if verdict == Verdict::Fresh {
                prop_assert_eq!(accepted.insert(name, now), None, "{:?} at {:?}", name, now);
            }
            if verdict == Verdict::Replayed {
                prop_assert!(accepted.contains_key(&name), "{:?} was never seen", name);
            }
        }
    }

    /// While the clock goes on and there is room, the answers are those of the map.
    #[test]
    fn answers_as_a_map_does_while_the_clock_goes_on(steps in steps(forwards())) {
        let memory = MemoryReplays::for_new_keys(WINDOW);
        let mut seen: HashMap<(u8, u16), Timestamp> = HashMap::new();
        for (name, now, _, verdict) in play(&memory, &steps) {
            let expected = match seen.insert(name, now) {
                None => Verdict::Fresh,
                Some(_) => Verdict::Replayed,
            };
            prop_assert_eq!(verdict, expected, "{:?} at {:?}", name, now);
        }
    }

    /// A step back costs no message but those that had expired before it, and those that are
    /// dated ahead by more than the window allows for.
    #[test]
    fn a_step_back_refuses_no_message_that_is_new(
        steps in steps(prop_oneof![3 => forwards(), 1 => -9000..0_i64]),
    ) {
        let memory = MemoryReplays::for_new_keys(WINDOW);
        let mut highest = Timestamp::EPOCH;
        for (name, now, until, verdict) in play(&memory, &steps) {
            highest = highest.max(now);
            match verdict {
                Verdict::Unavailable(FORGOTTEN) => prop_assert!(until <= highest, "{:?}", name),
                Verdict::Unavailable(TOO_LONG) => prop_assert!(until > now + WINDOW, "{:?}", name),
                Verdict::Unavailable(reason) => prop_assert!(false, "{:?} {}", name, reason),
                Verdict::Fresh | Verdict::Replayed => {}
            }
        }
    }

    /// Room is refused exactly where it is used up, by a count over both generations.
    #[test]
    fn room_is_refused_only_where_it_is_used_up(steps in steps(forwards())) {
        let memory = MemoryReplays::for_new_keys(WINDOW).with_limits(ReplayLimits {
            entries: 20,
            entries_per_key: 8,
            key_ids: 3,
        });
        let mut fresh: Vec<(u8, Timestamp)> = Vec::new();
        for ((keyid, message), now, _, verdict) in play(&memory, &steps) {
            // What could still be there, and what must be.
            let within = |windows: u32, whose: Option<u8>| {
                fresh
                    .iter()
                    .filter(|(owner, at)| {
                        now.since(*at) <= WINDOW * windows && whose.is_none_or(|w| w == *owner)
                    })
                    .count()
            };
            match verdict {
                Verdict::Fresh => {
                    prop_assert!(within(1, Some(keyid)) < 8 && within(1, None) < 20);
                    fresh.push((keyid, now));
                }
                Verdict::Replayed => {}
                Verdict::Unavailable(KEY_FULL) => prop_assert!(within(4, Some(keyid)) >= 8),
                Verdict::Unavailable(ALL_FULL) => prop_assert!(within(4, None) >= 20),
                Verdict::Unavailable(reason) => prop_assert!(false, "{} {}", message, reason),
            }
        }
    }
}
