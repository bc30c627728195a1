use super::*;
use crate::counter::MAX_GRANTS;

/// An administrator's limit holds instead of the policy's, for limits of all kinds.
pub async fn a_limit_is_set_and_cleared(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let limits = [total("money", 1), rate("rate", 1, LONG), seats("seats", 1)];
    for limit in &limits {
        let claims = [(limit, "k")];
        let policy = case.read(limit, "k").await.policy;
        let set = Adjust::Override {
            limit: 3 * policy,
            until: None,
        };
        let state = case.adjust(limit, "k", set).await.unwrap();
        assert_eq!((state.limit, state.policy), (3 * policy, policy));
        assert_eq!(state.set, Some((3 * policy, None)));
        for _ in 0..3 {
            let held = case.held(&claims, DIME).await;
            assert_eq!(held.standings[0].limit, 3 * policy);
        }
        assert_eq!(places(case.refused(&claims, DIME).await.violated), [0]);
        assert_eq!(case.read(limit, "other").await.limit, policy);
        let state = case
            .adjust(limit, "k", Adjust::ClearOverride)
            .await
            .unwrap();
        assert_eq!((state.limit, state.set), (policy, None));
    }
    let until = harness.now().wall + case.units(4);
    let set = Adjust::Override {
        limit: 5 * DIME,
        until: Some(until),
    };
    let state = case.adjust(&limits[0], "ends", set).await.unwrap();
    assert_eq!(state.set, Some((5 * DIME, Some(until))));
    assert_eq!(case.read(&limits[0], "ends").await.limit, 5 * DIME);
    case.pass(5).await;
    let state = case.read(&limits[0], "ends").await;
    assert_eq!((state.limit, state.set), (DIME, None));
}

/// Rule 1: what is in use stays in use, and nothing comes to it.
pub async fn a_lowered_limit_admits_nothing_until_usage_is_below(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    let spent = case.held(&claims, 3 * DIME).await.hold;
    let _ = case.settle(spent, Settle::ChargeHold).await;
    let hold = case.held(&claims, 5 * DIME).await.hold;
    let set = Adjust::Override {
        limit: 4 * DIME,
        until: None,
    };
    let state = case.adjust(&money, "k", set).await.unwrap();
    assert_eq!(
        (state.limit, state.spent, state.held),
        (4 * DIME, 3 * DIME, 5 * DIME)
    );
    let refused = case.refused(&claims, 0).await;
    assert_eq!(
        (refused.standings[0].limit, refused.standings[0].remaining),
        (4 * DIME, 0)
    );
    assert!(matches!(
        case.extend(hold, 1, LONG).await,
        Extended::Refused(_)
    ));
    let _ = case.settle(hold, Settle::Release).await;
    let _ = case.refused(&claims, DIME + 1).await;
    let _ = case.held(&claims, DIME).await;
}

/// Grants come on top, by name and for a time.
pub async fn grants_add_up_and_end(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let soon = harness.now().wall + case.units(6);
    let late = harness.now().wall + 100 * LONG;
    let grant = |name: &str, dimes: u64, until| Adjust::Grant {
        name: name.into(),
        amount: dimes * DIME,
        until,
    };
    for (how, limit) in [
        (grant("a", 1, soon), 11),
        (grant("b", 2, late), 13),
        (grant("a", 5, soon), 17),
        (grant("c", 9, late), 26),
        (Adjust::Revoke { name: "c".into() }, 17),
        (Adjust::Revoke { name: "c".into() }, 17),
        (
            Adjust::Override {
                limit: 20 * DIME,
                until: None,
            },
            27,
        ),
        (Adjust::ClearOverride, 17),
    ] {
        let state = case.adjust(&money, "k", how.clone()).await.unwrap();
        assert_eq!(state.limit, limit * DIME, "{how:?}");
    }
    let mut grants = case.read(&money, "k").await.grants;
    grants.sort();
    let expected = [("a".into(), 5 * DIME, soon), ("b".into(), 2 * DIME, late)];
    assert_eq!(grants, expected);
    let _ = case.held(&[(&money, "k")], 17 * DIME).await;
    let _ = case.refused(&[(&money, "k")], 1).await;
    case.pass(7).await;
    let state = case.read(&money, "k").await;
    assert_eq!((state.limit, state.grants.len()), (12 * DIME, 1));
    for name in 1..MAX_GRANTS {
        let how = grant(&format!("more {name}"), 1, late);
        let _ = case.adjust(&money, "k", how).await.unwrap();
    }
    let many = case
        .adjust(&money, "k", grant("one too many", 1, late))
        .await;
    assert!(matches!(many, Err(CounterError::Invalid(_))), "{many:?}");
    let replaced = case.adjust(&money, "k", grant("b", 4, late)).await.unwrap();
    assert_eq!(replaced.grants.len(), MAX_GRANTS);
}

/// A reset is for what is spent and for rates; requests under way go on.
pub async fn a_reset_forgets_what_is_spent_and_not_what_is_held(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, rate, seats) = (total("money", 10), rate("rate", 2, LONG), seats("seats", 2));
    let claims = [(&money, "k"), (&rate, "k"), (&seats, "k")];
    let spent = case.held(&claims, 6 * DIME).await.hold;
    let _ = case.settle(spent, Settle::ChargeHold).await;
    let hold = case.held(&claims, 4 * DIME).await.hold;
    let state = case.adjust(&money, "k", Adjust::Reset).await.unwrap();
    assert_eq!((state.spent, state.held), (0, 4 * DIME));
    assert_eq!(
        case.adjust(&rate, "k", Adjust::Reset).await.unwrap().spent,
        0
    );
    assert_eq!(
        case.adjust(&seats, "k", Adjust::Reset).await.unwrap().held,
        1
    );
    let _ = case.refused(&claims, 7 * DIME).await;
    let settled = case.settle(hold, Settle::Charge(3 * DIME)).await;
    assert_eq!(settled.budgets[0].spent, 3 * DIME);
    assert_eq!(case.usage(&money, "k").await, (3 * DIME, 0, 0));
    let _ = case.held(&claims, 7 * DIME).await;
}

/// What a hold was charged with when it ended, and a reset has forgotten, is not given back again
/// out of what others spent.
pub async fn a_reset_is_not_given_back_by_a_late_settlement(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    let mut ended = Vec::new();
    for _ in 0..2 {
        ended.push(case.held_for(&claims, 4 * DIME, case.units(1)).await.hold);
    }
    case.pass(2).await;
    assert_eq!(case.expired().await.len(), 2);
    let _ = case.adjust(&money, "k", Adjust::Reset).await.unwrap();
    let hold = case.held(&claims, 5 * DIME).await.hold;
    let _ = case.settle(hold, Settle::ChargeHold).await;
    assert!(case.settle(ended[0], Settle::Release).await.counted);
    assert_eq!(case.usage(&money, "k").await, (5 * DIME, 0, 0));
    let _ = case.settle(ended[1], Settle::Charge(6 * DIME)).await;
    assert_eq!(
        case.usage(&money, "k").await,
        (7 * DIME, 0, 0),
        "what is new is charged"
    );
}

/// Money that was spent elsewhere is spent.
pub async fn a_charge_from_outside_counts(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let state = case
        .adjust(&money, "k", Adjust::Charge { nanos: 7 * DIME })
        .await
        .unwrap();
    assert_eq!((state.spent, state.held), (7 * DIME, 0));
    let _ = case.refused(&[(&money, "k")], 4 * DIME).await;
    let _ = case.held(&[(&money, "k")], 3 * DIME).await;
    let state = case
        .adjust(&money, "k", Adjust::Charge { nanos: 7 * DIME })
        .await
        .unwrap();
    assert_eq!(state.spent, 14 * DIME, "it is a fact, and not asked for");
}

/// What cannot be counted is refused, and changes nothing.
pub async fn adjustments_that_cannot_be_are_invalid(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, rate, seats) = (total("money", 10), rate("rate", 2, LONG), seats("seats", 2));
    let late = harness.now().wall + LONG;
    let over = crate::limit::MAX_NANOS + 1;
    for (limit, how) in [
        (
            &money,
            Adjust::Override {
                limit: over,
                until: None,
            },
        ),
        (
            &money,
            Adjust::Grant {
                name: "a".into(),
                amount: over,
                until: late,
            },
        ),
        (
            &money,
            Adjust::Grant {
                name: "line\nbreak".into(),
                amount: 1,
                until: late,
            },
        ),
        (&money, Adjust::Charge { nanos: over }),
        (&rate, Adjust::Charge { nanos: 1 }),
        (&seats, Adjust::Charge { nanos: 1 }),
    ] {
        let invalid = case.adjust(limit, "k", how.clone()).await;
        assert!(
            matches!(invalid, Err(CounterError::Invalid(_))),
            "{how:?}: {invalid:?}"
        );
    }
    let state = case.read(&money, "k").await;
    assert_eq!(
        (state.limit, state.spent, state.grants.len()),
        (10 * DIME, 0, 0)
    );
}
