use super::*;

/// Units of a rate come back one by one.
pub async fn a_rate_comes_back_with_time(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let rate = rate("rate", 3, case.units(4));
    let claims = [(&rate, "k")];
    let heavy = case.ask(&claims, |ask| ask.weight = 3).await;
    assert!(matches!(heavy, Ok(Verdict::Held(_))));
    let refused = case.refused(&claims, 0).await;
    assert_eq!(refused.standings[0].remaining, 0);
    let wait = refused.standings[0].more_in.unwrap();
    assert!(wait > Duration::ZERO && wait <= case.units(4), "{wait:?}");
    case.pass(5).await;
    let _ = case.held(&claims, 0).await;
    let _ = case.refused(&claims, 0).await;
}

/// Prepaid money is spent once.
pub async fn a_total_never_comes_back(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let hold = case.held(&[(&money, "k")], 10 * DIME).await.hold;
    let _ = case.settle(hold, Settle::ChargeHold).await;
    let year = Duration::from_secs(400 * 86_400);
    harness
        .pass(if case.waits(year) {
            year
        } else {
            case.units(2)
        })
        .await;
    let refused = case.refused(&[(&money, "k")], 1).await;
    assert_eq!(refused.standings[0].more_in, None);
    assert_eq!(case.usage(&money, "k").await, (10 * DIME, 0, 0));
}

/// In no stretch of a rolling window's length is more spent than its limit, and what is held counts
/// however long ago it was admitted.
pub async fn a_rolling_window_gives_back_what_has_left_it(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let length = case.units(24).max(Duration::from_secs(1));
    if !case.waits(2 * length) {
        return;
    }
    let money = budget("money", 10, Window::rolling(length).unwrap());
    let claims = [(&money, "k")];
    let spent = case.held(&claims, 6 * DIME).await.hold;
    let _ = case.held_for(&claims, 3 * DIME, 10 * length).await;
    let _ = case.settle(spent, Settle::ChargeHold).await;
    harness.pass(length / 2).await;
    let refused = case.refused(&claims, 2 * DIME).await;
    let wait = refused.standings[0].more_in.unwrap();
    assert!(wait > Duration::ZERO && wait <= length, "{wait:?}");
    let late = case.held(&claims, DIME).await.hold;
    let _ = case.settle(late, Settle::ChargeHold).await;
    // Half a window, and the slot that the spending was in.
    harness.pass(length / 2 + length / 12).await;
    assert_eq!(case.usage(&money, "k").await, (DIME, 3 * DIME, 0));
    let _ = case.refused(&claims, 7 * DIME).await;
    let _ = case.held(&claims, 6 * DIME).await;
}

/// A calendar window ends at its end, and not before.
pub async fn a_calendar_window_begins_anew(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    if !case.waits(Duration::from_secs(3 * 86_400)) {
        return;
    }
    let money = budget("money", 10, Window::day());
    let claims = [(&money, "k")];
    let hold = case.held(&claims, 10 * DIME).await.hold;
    let _ = case.settle(hold, Settle::ChargeHold).await;
    let refused = case.refused(&claims, 1).await;
    let wait = refused.standings[0].more_in.unwrap();
    let span = case.read(&money, "k").await.span.unwrap();
    harness.pass(wait.saturating_sub(case.units(3))).await;
    let _ = case.refused(&claims, 1).await;
    case.pass(4).await;
    let next = case.read(&money, "k").await;
    assert_eq!((next.spent, next.held), (0, 0));
    assert_eq!(next.span.unwrap().start, span.end);
    let hold = case.held(&claims, 10 * DIME).await.hold;
    let settled = case.settle(hold, Settle::ChargeHold).await;
    assert_eq!(
        settled.budgets[0].crossed, 0b111,
        "thresholds are for each window"
    );
}

/// Rule 4.
pub async fn money_belongs_to_the_window_that_admitted_it(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    if !case.waits(Duration::from_secs(3 * 86_400)) {
        return;
    }
    let (day, all) = (budget("day", 10, Window::day()), total("all", 100));
    let claims = [(&day, "k"), (&all, "k")];
    let life = Duration::from_secs(10 * 86_400);
    let hold = case.held_for(&claims, 8 * DIME, life).await.hold;
    let short = case.held_for(&claims, DIME, case.units(1)).await.hold;
    let span = case.read(&day, "k").await.span.unwrap();
    harness
        .pass(span.end.since(harness.now().wall) + case.units(1))
        .await;
    assert_eq!(case.expired().await.len(), 1);
    assert_eq!(case.usage(&day, "k").await, (0, 0, 0));
    assert_eq!(case.usage(&all, "k").await, (DIME, 8 * DIME, 0));
    let next = case.held(&claims, 9 * DIME).await.hold;
    assert!(matches!(
        case.extend(hold, 2 * DIME, life).await,
        Extended::Refused(_)
    ));
    let done = case.extend(hold, DIME, life).await;
    assert_eq!(done, Extended::Done { held: 9 * DIME });
    let settled = case.settle(hold, Settle::Charge(7 * DIME)).await;
    assert_eq!(settled.budgets[0].span, span);
    assert_eq!(
        settled.budgets[0].spent,
        8 * DIME,
        "the one that ended is spent there too"
    );
    assert_eq!(case.usage(&day, "k").await, (0, 9 * DIME, 0));
    assert_eq!(case.usage(&all, "k").await, (8 * DIME, 9 * DIME, 0));
    assert!(case.settle(next, Settle::Charge(2 * DIME)).await.counted);
    assert_eq!(case.usage(&day, "k").await, (2 * DIME, 0, 0));
    // Its grace period may be over.
    let _ = case.settle(short, Settle::Release).await;
    assert_eq!(case.usage(&day, "k").await, (2 * DIME, 0, 0));
}

/// What lives on keeps its permits, however long ago its money was admitted.
pub async fn a_hold_lives_on_after_its_window(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let length = case.units(24).max(Duration::from_secs(1));
    if !case.waits(4 * length) {
        return;
    }
    let money = budget("money", 10, Window::rolling(length).unwrap());
    let seat = seats("seat", 1);
    let claims = [(&money, "k"), (&seat, "k")];
    let hold = case.held_for(&claims, DIME, 2 * length).await.hold;
    harness.pass(length + length / 8).await;
    let more = case.extend(hold, DIME, 3 * length).await;
    assert_eq!(more, Extended::Gone, "its window holds nothing more");
    let on = case.extend(hold, 0, 3 * length).await;
    assert_eq!(on, Extended::Done { held: DIME });
    harness.pass(2 * length).await;
    assert_eq!(places(case.refused(&claims, 0).await.violated), [1]);
    assert!(case.settle(hold, Settle::ChargeHold).await.counted);
    assert_eq!(case.usage(&money, "k").await, (0, 0, 0));
    let _ = case.held(&claims, 10 * DIME).await;
}
