use super::*;

/// Rule 2: at its end the money of a hold is spent, and its permits are free.
pub async fn a_hold_that_ends_is_charged_and_told_of_once(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, rate, seats) = (
        total("money", 10),
        rate("rate", 100, LONG),
        seats("seats", 3),
    );
    let claims = [(&money, "k"), (&rate, "k"), (&seats, "k")];
    let mut holds = Vec::new();
    for _ in 0..3 {
        holds.push(case.held_for(&claims, 3 * DIME, case.units(4)).await.hold);
    }
    assert_eq!(case.expired().await, []);
    assert_eq!(places(case.refused(&claims, 0).await.violated), [2]);
    case.pass(5).await;
    assert_eq!(
        places(case.refused(&claims, 2 * DIME).await.violated),
        [0],
        "it was not released"
    );
    let held = case.held(&claims, DIME).await.hold;
    assert_eq!(case.usage(&seats, "k").await, (0, 1, 0));
    let mut expired = case.expired().await;
    expired.sort_by_key(|expired| holds.iter().position(|hold| *hold == expired.hold));
    for (expired, hold) in expired.iter().zip(&holds) {
        assert_eq!((expired.hold, expired.nanos), (*hold, 3 * DIME));
        assert_eq!(expired.root.as_ref(), "acme");
        assert_eq!(expired.budgets.len(), 1);
        let (limit, subject, span) = &expired.budgets[0];
        assert_eq!((limit.as_ref(), subject.as_ref()), ("money", "k"));
        assert!(span.contains(harness.now().wall));
    }
    assert_eq!(expired.len(), 3);
    assert_eq!(case.expired().await, [], "each is told of once");
    assert_eq!(case.usage(&money, "k").await, (9 * DIME, DIME, 0));
    assert!(case.settle(held, Settle::Release).await.counted);
}

/// Rule 2: within the grace period a settlement is not too late.
pub async fn a_late_settlement_corrects_what_was_charged(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, seats) = (total("money", 10), seats("seats", 3));
    let claims = [(&money, "k"), (&seats, "k")];
    let mut holds = Vec::new();
    for _ in 0..3 {
        let hold = case.held_for(&claims, 3 * DIME, case.units(1)).await.hold;
        holds.push(hold);
    }
    case.pass(2).await;
    let _ = case.store.expire(1, harness.now()).wait().await.unwrap();
    for (hold, how, used) in [
        (holds[0], Settle::Release, 6 * DIME),
        (holds[1], Settle::Charge(DIME), 4 * DIME),
        (holds[2], Settle::Charge(5 * DIME), 6 * DIME),
    ] {
        let settled = case.settle(hold, how).await;
        assert!(settled.counted);
        assert_eq!(settled.held, 3 * DIME);
        assert!(!case.settle(hold, Settle::ChargeHold).await.counted);
        // Others may have ended, and not be charged yet.
        let (spent, held, _) = case.usage(&money, "k").await;
        assert_eq!(spent + held, used);
    }
    assert_eq!(case.usage(&money, "k").await, (6 * DIME, 0, 0));
    assert_eq!(
        case.usage(&seats, "k").await,
        (0, 0, 0),
        "permits came back once"
    );
    let told = case.expired().await;
    assert!(
        told.len() <= 2,
        "what was settled first is not told of: {told:?}"
    );
}

/// Rule 2: after the grace period what was charged stays.
pub async fn a_settlement_after_the_grace_does_not_count(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    if !case.waits(harness.grace() + case.units(3)) {
        return;
    }
    let money = total("money", 10);
    for told in [false, true] {
        let subject = if told { "told" } else { "untold" };
        let hold = case
            .held_for(&[(&money, subject)], 3 * DIME, case.units(1))
            .await
            .hold;
        harness.pass(harness.grace() + case.units(2)).await;
        if told {
            let _ = case.expired().await;
        }
        assert!(!case.settle(hold, Settle::Release).await.counted);
        assert_eq!(case.extend(hold, 0, LONG).await, Extended::Gone);
        assert_eq!(case.usage(&money, subject).await, (3 * DIME, 0, 0));
    }
}

/// A hold ends after the time that its latest extension said.
pub async fn an_extension_keeps_a_hold_alive(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let hold = case
        .held_for(&[(&money, "k")], 3 * DIME, case.units(4))
        .await
        .hold;
    let done = case.extend(hold, 0, LONG).await;
    assert_eq!(done, Extended::Done { held: 3 * DIME });
    case.pass(5).await;
    assert_eq!(case.expired().await, []);
    assert_eq!(case.usage(&money, "k").await, (0, 3 * DIME, 0));
    assert!(matches!(
        case.extend(hold, 0, case.units(1)).await,
        Extended::Done { .. }
    ));
    case.pass(2).await;
    assert_eq!(case.expired().await.len(), 1, "it can be shortened");
    assert_eq!(case.usage(&money, "k").await, (3 * DIME, 0, 0));
}

/// Within its grace period an extension makes a hold of it again.
pub async fn a_hold_that_ended_is_taken_up_again(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, seats) = (total("money", 10), seats("seats", 1));
    let claims = [(&money, "k"), (&seats, "k")];
    let hold = case.held_for(&claims, 3 * DIME, case.units(1)).await.hold;
    case.pass(2).await;
    let other = case.held(&claims, 3 * DIME).await.hold;
    let _ = case.expired().await;
    assert!(matches!(
        case.extend(hold, 5 * DIME, LONG).await,
        Extended::Refused(_)
    ));
    assert_eq!(case.usage(&money, "k").await, (3 * DIME, 3 * DIME, 0));
    let done = case.extend(hold, 2 * DIME, LONG).await;
    assert_eq!(done, Extended::Done { held: 5 * DIME });
    assert_eq!(case.usage(&money, "k").await, (0, 8 * DIME, 0));
    assert_eq!(case.usage(&seats, "k").await, (0, 2, 0), "both go on");
    assert!(case.settle(other, Settle::Release).await.counted);
    assert_eq!(places(case.refused(&claims, 0).await.violated), [1]);
    let settled = case.settle(hold, Settle::Charge(4 * DIME)).await;
    assert_eq!(
        (settled.held, settled.budgets[0].spent),
        (5 * DIME, 4 * DIME)
    );
    assert_eq!(case.usage(&money, "k").await, (4 * DIME, 0, 0));
    assert_eq!(case.usage(&seats, "k").await, (0, 0, 0));
}
