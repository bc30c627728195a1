//! A policy is refused, or it can be used: what fits is held, what does not is refused, its file
//! never makes the reader panic, and it can take its own place.

#![no_main]

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use libfuzzer_sys::fuzz_target;
use zt_core::{
    clock::{ManualClock, Timestamp},
    identity::{AuthMethod, Principal, PrincipalKind},
};
use zt_ratelimit::{
    Cost, Limits,
    counter::{MAX_CLAIMS, MemoryBounds, MemoryCounters, Moment},
    limit::Kind,
    limits::{Ask, Hard, Outcome, Policy, Subjects},
};

fuzz_target!(|text: &[u8]| {
    let Ok(policy) = serde_json::from_slice::<Policy>(text) else {
        return;
    };
    let caller = Principal::assertion(PrincipalKind::Service, "svc", AuthMethod::Jwt)
        .roles(["gold", "a"])
        .finish();
    let _ = policy.tier_of(&caller);
    let _ = policy.tier_of(&Principal::anonymous());

    let clock = ManualClock::at(Timestamp::from_secs(1_800_000_000));
    let bounds = MemoryBounds {
        bytes: 1 << 20,
        holds: 64,
        grace: Duration::from_secs(1),
    };
    let limits = Limits::builder(MemoryCounters::with_bounds(bounds))
        .clock(clock.clone())
        .build(policy.clone());
    let limits = limits.expect("a policy that exists is valid");
    let subjects: Vec<String> = (0..policy.levels().len())
        .map(|level| format!("s{level}"))
        .collect();
    let subjects = Subjects::new(subjects.iter().map(String::as_str));
    let now = Moment::of(&clock).unwrap();
    for tier in policy.tiers().take(8) {
        assert!((1..=MAX_CLAIMS).contains(&tier.limits().count()));
        for (limit, level) in tier.limits() {
            assert!(level < policy.levels().len());
            if let Kind::Budget(budget) = limit.kind() {
                assert_eq!(Some(budget.currency()), policy.currency());
                for secs in [0, 1, 951_782_400, 4_102_444_800] {
                    let at = Timestamp::from_secs(secs);
                    let span = budget
                        .window()
                        .span_at(at)
                        .expect("the calendar reaches far");
                    assert!(span.contains(at), "{limit:?}: {span:?} at {at:?}");
                }
            }
        }
        let ask = match tier.currency() {
            Some(currency) => Ask::at_most(Cost::from_nanos(1, currency)),
            None => Ask::free(),
        };
        let subjects = subjects.clone().tier(tier.name().to_string());
        let answer = ready(limits.reserve::<Hard>(&subjects, ask, now).wait());
        match answer.expect("the store counts it") {
            Outcome::Held(reservation) => drop(reservation),
            Outcome::Refused(refused) => assert!(refused.violated().next().is_some()),
        }
    }
    ready(limits.replace(policy)).expect("it is the same");
});

fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("the store is in this process"),
    }
}
