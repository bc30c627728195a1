use super::*;

/// Nothing, all, or a part of what was held is charged; the rest is free again.
pub async fn a_settlement_charges_what_was_spent(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, team) = (total("money", 10), total("team", 100));
    let claims = [(&money, "k"), (&team, "t")];
    let mut spent = 0;
    for (how, charged) in [
        (Settle::Release, 0),
        (Settle::ChargeHold, 4 * DIME),
        (Settle::Charge(0), 0),
        (Settle::Charge(DIME + 1), DIME + 1),
        (Settle::Charge(4 * DIME), 4 * DIME),
    ] {
        let held = case.held(&claims, 4 * DIME).await;
        assert_eq!(case.usage(&money, "k").await, (spent, 4 * DIME, 0));
        let settled = case.settle(held.hold, how).await;
        spent += charged;
        assert!(settled.counted);
        assert_eq!((settled.held, settled.charged), (4 * DIME, charged));
        let budgets: Vec<_> = settled
            .budgets
            .iter()
            .map(|b| (b.claim, b.spent, b.limit))
            .collect();
        assert_eq!(
            budgets,
            [(0, spent, 10 * DIME), (1, spent, 100 * DIME)],
            "{how:?}"
        );
        assert_eq!(case.usage(&money, "k").await, (spent, 0, 0));
        assert_eq!(case.usage(&team, "t").await, (spent, 0, 0));
    }
}

/// Rule 1: only a settlement takes spending above the limit, and nothing is admitted then.
pub async fn more_than_was_held_is_charged_and_stops_admission(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    let hold = case.held(&claims, DIME).await.hold;
    let settled = case.settle(hold, Settle::Charge(12 * DIME)).await;
    assert_eq!((settled.held, settled.charged), (DIME, 12 * DIME));
    assert_eq!(settled.budgets[0].spent, 12 * DIME);
    let refused = case.refused(&claims, 0).await;
    assert_eq!(refused.standings[0].remaining, 0);
}

/// Rule 3.
pub async fn a_settlement_counts_once(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let one = seats("one", 1);
    let claims = [(&money, "k"), (&one, "k")];
    let first = case.held(&claims, 4 * DIME).await.hold;
    assert!(case.settle(first, Settle::Charge(DIME)).await.counted);
    let second = case.held(&claims, 4 * DIME).await.hold;
    assert_ne!(first, second, "names are not used again");
    for how in [
        Settle::Release,
        Settle::ChargeHold,
        Settle::Charge(7 * DIME),
    ] {
        assert!(!case.settle(first, how).await.counted, "{how:?}");
    }
    assert_eq!(case.extend(first, 0, LONG).await, Extended::Gone);
    assert_eq!(case.usage(&money, "k").await, (DIME, 4 * DIME, 0));
    assert_eq!(case.usage(&one, "k").await, (0, 1, 0));
}

/// A name that the store did not give is nothing to it.
pub async fn a_hold_that_nobody_made_is_not_settled(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let HoldId(real) = case.held(&[(&money, "k")], DIME).await.hold;
    for bit in [0, 1, 47, 63, 100, 127] {
        let foreign = HoldId(real ^ (1 << bit));
        let settled = case.settle(foreign, Settle::ChargeHold).await;
        assert!(!settled.counted, "{foreign:?}");
        assert_eq!(case.extend(foreign, DIME, LONG).await, Extended::Gone);
    }
    assert_eq!(case.usage(&money, "k").await, (0, DIME, 0));
}

/// Rule 5, and that permits are held no longer than their hold.
pub async fn permits_come_back_and_units_of_a_rate_do_not(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (thrice, two) = (rate("thrice", 3, LONG), seats("two", 2));
    let claims = [(&thrice, "k"), (&two, "k")];
    let first = case.held(&claims, 0).await.hold;
    let _ = case.held(&claims, 0).await;
    assert_eq!(places(case.refused(&claims, 0).await.violated), [1]);
    assert_eq!(case.usage(&thrice, "k").await.0, 2);
    assert!(case.settle(first, Settle::Release).await.counted);
    assert_eq!(case.usage(&two, "k").await, (0, 1, 0));
    assert_eq!(case.usage(&thrice, "k").await.0, 2);
    let _ = case.held(&claims, 0).await;
    assert_eq!(places(case.refused(&claims, 0).await.violated), [0, 1]);
}

/// Each threshold is told of by the settlement that crossed it, and by no other.
pub async fn thresholds_are_crossed_once(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    let mut crossed = Vec::new();
    for dimes in [4, 1, 2, 2, 0, 1] {
        let hold = case.held(&claims, dimes * DIME).await.hold;
        let settled = case.settle(hold, Settle::ChargeHold).await;
        crossed.push(settled.budgets[0].crossed);
    }
    // At 50, 80 and 100 per cent.
    assert_eq!(crossed, [0, 0b001, 0, 0b010, 0, 0b100]);
    let other = case.held(&[(&money, "other")], 9 * DIME).await.hold;
    let settled = case.settle(other, Settle::Charge(15 * DIME)).await;
    assert_eq!(settled.budgets[0].crossed, 0b111);
}

/// More money for a hold is a reservation of its own.
pub async fn an_extension_fits_or_changes_nothing(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, team) = (total("money", 10), total("team", 6));
    let (rate, seats) = (rate("rate", 2, LONG), seats("seats", 1));
    let claims = [(&money, "k"), (&rate, "k"), (&team, "t"), (&seats, "k")];
    let hold = case.held(&claims, 2 * DIME).await.hold;
    let done = case.extend(hold, 3 * DIME, LONG).await;
    assert_eq!(done, Extended::Done { held: 5 * DIME });
    match case.extend(hold, DIME + 1, LONG).await {
        Extended::Refused(refused) => {
            assert_eq!(places(refused.violated), [2]);
            assert_eq!(refused.standings.len(), 4);
            assert_eq!(refused.standings[2].remaining, DIME);
        }
        other => panic_with("it was not refused", &other),
    }
    assert_eq!(case.usage(&money, "k").await, (0, 5 * DIME, 0));
    assert_eq!(case.usage(&team, "t").await, (0, 5 * DIME, 0));
    assert_eq!(
        case.usage(&rate, "k").await.0,
        1,
        "rates and permits are taken once"
    );
    assert_eq!(case.usage(&seats, "k").await, (0, 1, 0));
    let settled = case.settle(hold, Settle::ChargeHold).await;
    assert_eq!((settled.held, settled.charged), (5 * DIME, 5 * DIME));
}

/// A limit that only watches in another tier refuses all the same in the one of the hold.
pub async fn an_extension_is_refused_by_the_limit_of_its_own_tier(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let real = total("money", 10);
    let watched = Arc::new(plain_budget("money", 10, Window::total()).shadow());
    let mine = case.held(&[(&real, "k")], 5 * DIME).await.hold;
    let theirs = case.held(&[(&watched, "k")], 8 * DIME).await.hold;
    let no = case.extend(mine, DIME, LONG).await;
    assert!(
        matches!(&no, Extended::Refused(no) if no.violated.has(0)),
        "{no:?}"
    );
    assert_eq!(
        case.extend(theirs, DIME, LONG).await,
        Extended::Done { held: 9 * DIME }
    );
}
