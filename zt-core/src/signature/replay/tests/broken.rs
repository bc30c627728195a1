//! The conformance suite finds memories that do not keep the contract.

use std::{
    collections::HashMap,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
};

use super::{super::Recording, *};

/// A map that goes wrong in one way.
#[derive(Debug)]
struct Broken {
    fault: Fault,
    seen: Mutex<HashMap<ReplayKey, Timestamp>>,
    asked: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    ForgetsAtOnce,
    ForgetsAtTheLastMoment,
    ForgetsTheOldestOfMany,
    ForgetsWhenTheClockGoesBack,
    ReadsThenWrites,
    TakesAllKeysForOne,
    ForgetsItsWindow,
}

impl ReplayMemory for Broken {
    fn record(&self, sighting: &Sighting<'_>) -> Recording {
        let Sighting {
            key, until, now, ..
        } = *sighting;
        let mut seen = self.seen.lock().unwrap();
        let key = match self.fault {
            Fault::TakesAllKeysForOne => ReplayKey([0; 16]),
            _ => key,
        };
        match self.fault {
            Fault::ForgetsAtOnce => seen.clear(),
            Fault::ForgetsAtTheLastMoment => seen.retain(|_, until| now < *until),
            Fault::ForgetsTheOldestOfMany if seen.len() >= 500 => seen.clear(),
            Fault::ForgetsWhenTheClockGoesBack => {
                seen.retain(|_, until| until.since(now) <= conformance::UNTIL);
            }
            _ => {}
        }
        if self.fault != Fault::ForgetsItsWindow && until.since(now) > WINDOW {
            return Recording::Now(Verdict::Unavailable("too long"));
        }
        if self.fault == Fault::ReadsThenWrites && self.asked.fetch_add(1, Ordering::Relaxed) == 1 {
            // As if the second one had read before the first one wrote.
            return Recording::Now(Verdict::Fresh);
        }
        Recording::Now(match seen.insert(key, until) {
            None => Verdict::Fresh,
            Some(_) => Verdict::Replayed,
        })
    }

    fn window(&self) -> Option<Duration> {
        Some(WINDOW)
    }
}

async fn keeps_the_contract(fault: Fault) -> bool {
    let harness = conformance::ManualHarness::new(move |_| {
        Arc::new(Broken {
            fault,
            seen: Mutex::default(),
            asked: AtomicUsize::new(0),
        })
    });
    tokio::spawn(async move { conformance::run(&harness).await })
        .await
        .is_ok()
}

#[tokio::test]
async fn the_suite_refuses_memories_that_are_broken() {
    assert!(keeps_the_contract(Fault::None).await);
    for fault in [
        Fault::ForgetsAtOnce,
        Fault::ForgetsAtTheLastMoment,
        Fault::ForgetsTheOldestOfMany,
        Fault::ForgetsWhenTheClockGoesBack,
        Fault::ReadsThenWrites,
        Fault::TakesAllKeysForOne,
        Fault::ForgetsItsWindow,
    ] {
        assert!(!keeps_the_contract(fault).await, "{fault:?}");
    }
}
