use std::future::Future;

use tokio::task::{JoinSet, yield_now};

use super::*;

/// Rule 1, with everybody at once: as many are admitted as fit, and no more.
pub async fn concurrent_reservations_fill_a_budget_exactly(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, seats) = (total("money", 25), seats("seats", 40));
    let verdicts = race(60, |task| {
        let (store, now) = (Arc::clone(&case.store), harness.now());
        let (money, seats) = (Arc::clone(&money), Arc::clone(&seats));
        async move {
            yield_now().await;
            let subject = format!("k{}", task % 7);
            let claims = [(&money, "acme"), (&seats, &*subject)];
            reserve(&store, &claims, DIME, now).await
        }
    })
    .await;
    let held = verdicts
        .iter()
        .filter(|verdict| matches!(verdict, Verdict::Held(_)));
    assert_eq!(held.count(), 25);
    assert_eq!(case.usage(&money, "acme").await, (0, 25 * DIME, 0));
    let mut permits = 0;
    for subject in 0..7 {
        permits += case.usage(&seats, &format!("k{subject}")).await.1;
    }
    assert_eq!(permits, 25, "those who were refused hold nothing");
}

/// Rule 3, with everybody at once.
pub async fn concurrent_settlements_of_a_hold_count_once(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 100);
    for round in 1..=10 {
        let hold = case.held(&[(&money, "k")], 3 * DIME).await.hold;
        let settled = race(8, |_| {
            let (store, now) = (Arc::clone(&case.store), harness.now());
            async move {
                yield_now().await;
                let answer = store.settle(hold, Settle::Charge(DIME), now);
                answer.wait().await.unwrap().counted
            }
        })
        .await;
        assert_eq!(settled.iter().filter(|counted| **counted).count(), 1);
        assert_eq!(case.usage(&money, "k").await, (round * DIME, 0, 0));
    }
}

/// What the settlements said they charged is what is spent, at every level, and nothing is held.
pub async fn what_was_charged_adds_up(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (key, team) = (total("key", 40), total("team", 60));
    let charged = race(8, |task| {
        let (store, now) = (Arc::clone(&case.store), harness.now());
        let (key, team) = (Arc::clone(&key), Arc::clone(&team));
        async move {
            let subject = format!("k{}", task % 2);
            let mut charged = 0;
            for round in 0..12_u64 {
                let claims = [(&key, &*subject), (&team, "t")];
                let Verdict::Held(held) = reserve(&store, &claims, 2 * DIME, now).await else {
                    continue;
                };
                yield_now().await;
                let how = match (task + round) % 3 {
                    0 => Settle::Release,
                    1 => Settle::Charge(DIME),
                    _ => Settle::ChargeHold,
                };
                let settled = store.settle(held.hold, how, now).wait().await.unwrap();
                assert!(settled.counted);
                charged += settled.charged;
            }
            (task % 2, charged)
        }
    })
    .await;
    let mut sum = 0;
    for subject in 0..2 {
        let of_key = charged.iter().filter(|(of, _)| *of == subject);
        let of_key = of_key.map(|(_, charged)| charged).sum();
        let usage = case.usage(&key, &format!("k{subject}")).await;
        assert_eq!(usage, (of_key, 0, 0));
        sum += of_key;
    }
    assert_eq!(case.usage(&team, "t").await, (sum, 0, 0));
    assert!(sum <= 60 * DIME);
}

async fn reserve(
    store: &Arc<dyn CounterStore>,
    claims: Claims<'_>,
    cost: u64,
    now: Moment,
) -> Verdict {
    let claims = to_claims(claims);
    let answer = store.reserve(&Reserve {
        root: "acme",
        claims: &claims,
        cost,
        weight: 1,
        permits: 1,
        expires_in: LONG,
        purpose: Purpose::Request,
        now,
    });
    answer.wait().await.unwrap()
}

async fn race<F, T>(tasks: u64, task: impl Fn(u64) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let mut set = JoinSet::new();
    for number in 0..tasks {
        set.spawn(task(number));
    }
    set.join_all().await
}
