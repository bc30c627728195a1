//! A snapshot that was damaged, or made up: it is refused, or it is restored within the bounds, goes
//! through a file as it is, and counts from then on.
//!
//! An input that begins with `{` is the body of a file whose checksum is right; another is the file.

#![no_main]

use std::{sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use zt_core::clock::Timestamp;
use zt_ratelimit::{
    Cost, Limit,
    cost::Currency,
    counter::{
        Answer, Claim, CounterStore, MemoryBounds, MemoryCounters, Moment, Purpose, Reserve,
        Snapshot, Verdict,
    },
    fuzzing,
    limit::Window,
};

fuzz_target!(|input: &[u8]| {
    let snapshot: Snapshot = match input {
        [b'{', ..] => match serde_json::from_slice(input) {
            Ok(snapshot) => snapshot,
            Err(_) => return,
        },
        file => match fuzzing::snapshot(file) {
            Ok(snapshot) => snapshot,
            Err(_) => return,
        },
    };
    let bounds = MemoryBounds {
        bytes: 1 << 20,
        holds: 64,
        grace: Duration::from_secs(600),
    };
    for wall in [0, 1_800_000_000] {
        let now = Moment {
            wall: Timestamp::from_secs(wall),
            monotonic: Duration::from_secs(5),
        };
        let Ok(counters) = MemoryCounters::restored(bounds, &snapshot, now) else {
            continue;
        };
        assert!(counters.bytes() <= bounds.bytes);
        use_up(&counters, now);
        let again = counters.snapshot(now);
        MemoryCounters::restored(bounds, &again, now).expect("what was restored can be restored");
    }
});

/// Limits of the names that the seeds have.
fn use_up(counters: &MemoryCounters, now: Moment) {
    let cost = |nanos| Cost::from_nanos(nanos, Currency::USD);
    let budget = |name, window| Limit::budget(name, cost(1000), window).unwrap();
    let rolling = |secs| Window::rolling(Duration::from_secs(secs)).unwrap();
    let limits = [
        budget("day", Window::day()),
        budget("roll", rolling(24)),
        budget("total", Window::total()),
        Limit::rate("rate", 5, Duration::from_secs(10)).unwrap(),
        Limit::concurrency("parallel", 3).unwrap(),
    ]
    .map(Arc::new);
    for later in [0, 1, 30, 86_400, 1 << 31] {
        let later = Duration::from_secs(later);
        let now = Moment {
            wall: now.wall + later,
            monotonic: now.monotonic + later,
        };
        for limit in &limits {
            let claims = [Claim {
                limit,
                subject: "k",
            }];
            let ask = Reserve {
                root: "acme",
                claims: &claims,
                cost: 10,
                weight: 1,
                permits: 1,
                expires_in: Duration::from_secs(60),
                purpose: Purpose::Request,
                now,
            };
            let Answer::Now(answer) = counters.reserve(&ask) else {
                panic!("it is in this process")
            };
            if let Ok(Verdict::Held(held)) = answer {
                let standing = held.standings[0];
                assert!(standing.remaining < standing.limit);
                let Answer::Now(Ok(states)) = counters.read("acme", &claims, now) else {
                    panic!("it was just held")
                };
                let state = &states[0];
                if limit.as_budget().is_some() {
                    let used = u128::from(state.spent) + u128::from(state.held);
                    assert!(used <= u128::from(state.limit), "{state:?}");
                }
            }
        }
    }
}
