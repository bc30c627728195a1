use super::*;
use crate::counter::{MAX_CLAIMS, MAX_SUBJECT_BYTES};

/// What nobody asked for stands at nothing, and reading counts nothing.
pub async fn nothing_is_counted_at_first(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let limits = [
        total("money", 50),
        budget("day", 50, Window::day()),
        rate("rate", 3, LONG),
        seats("seats", 3),
    ];
    for _ in 0..2 {
        for limit in &limits {
            let state = case.read(limit, "k").await;
            assert_eq!(
                (state.spent, state.held, state.leased),
                (0, 0, 0),
                "{limit:?}"
            );
            assert_eq!(state.limit, state.policy, "{limit:?}");
            assert_eq!((state.set, state.grants), (None, vec![]), "{limit:?}");
            let at = harness.now().wall;
            let budget = limit.as_budget().is_some();
            assert_eq!(state.span.is_some(), budget, "{limit:?}");
            if limit.name().as_ref() == "money" {
                assert!(state.span.unwrap().contains(at));
            }
        }
    }
    assert_eq!(case.expired().await, []);
}

/// Where one claim of many does not fit, whatever its kind, none is held.
pub async fn all_is_held_or_nothing(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (wide, small) = (total("wide", 1000), total("small", 10));
    let (often, once) = (rate("often", 100, LONG), rate("once", 1, LONG));
    let (many, one) = (seats("many", 100), seats("one", 1));
    let _ = case
        .held(&[(&small, "k"), (&once, "k"), (&one, "k")], 10 * DIME)
        .await;
    for (full, place) in [(&small, 0), (&once, 1), (&one, 3), (&small, 3)] {
        let mut claims = vec![(&wide, "k"), (&often, "k"), (&many, "k")];
        claims.insert(place, (full, "k"));
        let refused = case.refused(&claims, DIME).await;
        assert_eq!(places(refused.violated), [place], "{full:?}");
        assert_eq!(refused.standings.len(), 4);
        for limit in [&wide, &often, &many] {
            assert_eq!(
                case.usage(limit, "k").await,
                (0, 0, 0),
                "{limit:?} after {full:?}"
            );
        }
    }
    let claims = [(&one, "k"), (&wide, "k"), (&once, "k"), (&small, "k")];
    let refused = case.refused(&claims, DIME).await;
    assert_eq!(places(refused.violated), [0, 2, 3]);
    let claims = [(&wide, "k"), (&often, "k"), (&many, "k")];
    let held = case.held(&claims, DIME).await;
    assert!(held.would_refuse.is_empty());
    let left: Vec<u64> = held
        .standings
        .iter()
        .map(|standing| standing.remaining)
        .collect();
    assert_eq!(
        left,
        [999 * DIME, 99, 99],
        "standings have the hold in them"
    );
    assert_eq!(case.usage(&wide, "k").await, (0, DIME, 0));
    assert_eq!(case.usage(&often, "k").await, (1, 0, 0));
    assert_eq!(case.usage(&many, "k").await, (0, 1, 0));
}

/// Rule 1: all of a limit may be held, and no nano-unit more.
pub async fn a_budget_is_held_to_the_last_nano_unit(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    assert_eq!(
        places(case.refused(&claims, 10 * DIME + 1).await.violated),
        [0]
    );
    let first = case.held(&claims, 10 * DIME - 1).await;
    assert_eq!(first.standings[0].remaining, 1);
    let _ = case.refused(&claims, 2).await;
    assert_eq!(case.held(&claims, 1).await.standings[0].remaining, 0);
    let _ = case.refused(&claims, 1).await;
    let nothing = case.held(&claims, 0).await;
    assert!(case.settle(nothing.hold, Settle::Release).await.counted);
    assert_eq!(case.usage(&money, "k").await, (0, 10 * DIME, 0));
}

/// A refusal says what is left, and whether and how long to wait.
pub async fn a_refusal_says_why_and_until_when(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let month = budget("month", 10, Window::month());
    let rate = rate("rate", 2, LONG);
    let seats = seats("seats", 2);
    let claims = [(&money, "k"), (&month, "k"), (&rate, "k"), (&seats, "k")];
    let _ = case
        .ask(&claims, |ask| {
            (ask.cost, ask.weight, ask.permits) = (8 * DIME, 2, 2)
        })
        .await;
    let refused = case.refused(&claims, 3 * DIME).await;
    assert_eq!(places(refused.violated), [0, 1, 2, 3]);
    let left: Vec<_> = refused
        .standings
        .iter()
        .map(|s| (s.limit, s.remaining))
        .collect();
    assert_eq!(
        left,
        [(10 * DIME, 2 * DIME), (10 * DIME, 2 * DIME), (2, 0), (2, 0)]
    );
    let waits: Vec<_> = refused.standings.iter().map(|s| s.more_in).collect();
    assert_eq!(waits[0], None, "a total does not come back");
    assert!(waits[1].is_some_and(|wait| wait <= Duration::from_secs(31 * 86_400)));
    assert!(waits[2].is_some_and(|wait| wait <= LONG && wait > LONG / 2));
    assert!(waits[3].is_some_and(|wait| wait > Duration::ZERO));
    let larger = case.ask(&claims, |ask| {
        (ask.cost, ask.weight, ask.permits) = (11 * DIME, 3, 3)
    });
    let Ok(Verdict::Refused(refused)) = larger.await else {
        panic_with("it fitted", &());
    };
    for standing in &refused.standings {
        assert_eq!(standing.more_in, None, "it is larger than the limit");
    }
}

/// What [`check`](crate::counter::check) refuses is invalid, and leaves no trace.
pub async fn what_breaks_the_rules_of_a_reservation_is_invalid(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let many: Vec<_> = (0..=MAX_CLAIMS)
        .map(|n| total(&format!("m{n}"), 10))
        .collect();
    let many: Vec<_> = many.iter().map(|limit| (limit, "k")).collect();
    let long = "x".repeat(MAX_SUBJECT_BYTES + 1);
    let lists: [&[(&Arc<Limit>, &str)]; 6] = [
        &[],
        &many,
        &[(&money, "k"), (&money, "k")],
        &[(&money, "")],
        &[(&money, &long)],
        &[(&money, "line\nbreak")],
    ];
    for claims in lists {
        let invalid = case.ask(claims, |ask| ask.cost = 1).await;
        assert!(
            matches!(invalid, Err(CounterError::Invalid(_))),
            "{claims:?}"
        );
    }
    let invalid = case
        .ask(&[(&money, "k")], |ask| {
            ask.cost = crate::limit::MAX_NANOS + 1
        })
        .await;
    assert!(matches!(invalid, Err(CounterError::Invalid(_))));
    let invalid = case.ask(&[(&money, "k")], |ask| ask.root = "").await;
    assert!(matches!(invalid, Err(CounterError::Invalid(_))));
    assert_eq!(case.usage(&money, "k").await, (0, 0, 0));
    let longest = "é".repeat(MAX_SUBJECT_BYTES / 2);
    for subject in [
        &*longest,
        "odd: ünïcode/ %_*?[a-z]\\ 'quote' {brace} \"double\"",
    ] {
        let _ = case.held(&[(&money, subject)], DIME).await;
        assert_eq!(case.usage(&money, subject).await, (0, DIME, 0));
    }
}

/// A name stands for one kind of limit, and one currency.
pub async fn a_limit_of_another_kind_or_currency_is_invalid(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("x", 10);
    let beside = total("beside", 10);
    let _ = case.held(&[(&money, "k")], DIME).await;
    let amount = crate::cost::Cost::from_nanos(DIME, crate::cost::Currency::EUR);
    let euros = Arc::new(Limit::budget("x", amount, Window::total()).unwrap());
    for other in [euros, rate("x", 1, LONG), seats("x", 1)] {
        let invalid = case
            .ask(&[(&beside, "k"), (&other, "k")], |ask| ask.cost = 1)
            .await;
        assert!(
            matches!(invalid, Err(CounterError::Invalid(_))),
            "{other:?}"
        );
    }
    assert_eq!(case.usage(&beside, "k").await, (0, 0, 0));
    assert_eq!(case.usage(&money, "k").await, (0, DIME, 0));
}

/// One limit counts for each subject of each root apart.
pub async fn roots_and_subjects_are_counted_apart(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, other) = (total("money", 10), total("other", 10));
    let _ = case.held(&[(&money, "k")], 10 * DIME).await;
    let _ = case.held(&[(&money, "K")], 10 * DIME).await;
    let _ = case.held(&[(&other, "k")], 10 * DIME).await;
    let claims = [(&money, "k")];
    let elsewhere = case.ask(&claims, |ask| {
        (ask.cost, ask.root) = (10 * DIME, "other");
    });
    assert!(matches!(elsewhere.await, Ok(Verdict::Held(_))));
    let _ = case.refused(&[(&money, "k")], 1).await;
    // No names run into each other.
    let (a, b) = (total("a", 10), total("ab", 10));
    let _ = case.held(&[(&a, "bc")], 10 * DIME).await;
    assert_eq!(case.usage(&b, "c").await, (0, 0, 0));
}

/// Limits of one name are one limit, whatever their size: a better tier is no second budget.
pub async fn a_limit_of_another_size_goes_on_from_what_was_spent(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (basic, gold) = (total("tier", 10), total("tier", 20));
    let hold = case.held(&[(&basic, "k")], 10 * DIME).await.hold;
    let _ = case.settle(hold, Settle::ChargeHold).await;
    let _ = case.refused(&[(&gold, "k")], 11 * DIME).await;
    let held = case.held(&[(&gold, "k")], 10 * DIME).await;
    assert_eq!(
        (held.standings[0].limit, held.standings[0].remaining),
        (20 * DIME, 0)
    );
    assert_eq!(case.read(&gold, "k").await.policy, 20 * DIME);
    let refused = case.refused(&[(&basic, "k")], 0).await;
    assert_eq!(refused.standings[0].remaining, 0);
}

/// A shadow limit says whom it would have refused, and counts everybody's money and permits.
pub async fn shadow_limits_count_and_refuse_nobody(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let real = total("real", 100);
    let money = Arc::new(plain_budget("money", 1, Window::total()).shadow());
    let one = Arc::new(Limit::concurrency("one", 1).unwrap().shadow());
    let once = Limit::rate("once", 1, LONG).unwrap().shadow();
    let claims: [(&Arc<Limit>, &str); 4] = [
        (&real, "k"),
        (&money, "k"),
        (&one, "k"),
        (&Arc::new(once), "k"),
    ];
    assert!(case.held(&claims, DIME).await.would_refuse.is_empty());
    let held = case.held(&claims, DIME).await;
    assert_eq!(places(held.would_refuse), [1, 2, 3]);
    assert_eq!(held.standings[1].remaining, 0);
    assert_eq!(case.usage(&money, "k").await, (0, 2 * DIME, 0));
    assert_eq!(case.usage(&one, "k").await, (0, 2, 0));
    assert_eq!(case.usage(claims[3].0, "k").await, (1, 0, 0));
    let refused = case.refused(&claims, 99 * DIME).await;
    assert_eq!(
        places(refused.violated),
        [0],
        "shadows are not among the reasons"
    );
    assert!(case.settle(held.hold, Settle::ChargeHold).await.counted);
    assert_eq!(case.usage(&money, "k").await, (DIME, DIME, 0));
}

/// What leases hold counts as what requests hold, and is shown apart.
pub async fn leases_are_counted_beside_requests(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let money = total("money", 10);
    let claims = [(&money, "k")];
    let lease = case.ask(&claims, |ask| {
        (ask.cost, ask.purpose) = (6 * DIME, Purpose::Lease);
    });
    let Ok(Verdict::Held(lease)) = lease.await else {
        panic_with("no lease", &());
    };
    let _ = case.held(&claims, 3 * DIME).await;
    assert_eq!(case.usage(&money, "k").await, (0, 3 * DIME, 6 * DIME));
    let _ = case.refused(&claims, 2 * DIME).await;
    assert!(matches!(
        case.extend(lease.hold, DIME, LONG).await,
        Extended::Done { .. }
    ));
    assert_eq!(case.usage(&money, "k").await, (0, 3 * DIME, 7 * DIME));
    let _ = case.settle(lease.hold, Settle::Charge(2 * DIME)).await;
    assert_eq!(case.usage(&money, "k").await, (2 * DIME, 3 * DIME, 0));
}

/// Holds are listed by the limits that they have a part of.
pub async fn holds_are_listed_oldest_first(harness: &dyn Harness) {
    let case = Case::new(harness).await;
    let (money, other) = (total("money", 10), total("other", 10));
    let mut made = Vec::new();
    for count in 1..=3 {
        made.push(case.held(&[(&money, "k")], count * DIME).await.hold);
        case.pass(1).await;
    }
    let _ = case.held(&[(&other, "k")], DIME).await;
    let list = async |at_most| {
        let claim = Claim {
            limit: &money,
            subject: "k",
        };
        let answer = case.store.holds("acme", claim, at_most, harness.now());
        answer.wait().await.unwrap()
    };
    let all = list(10).await;
    let names: Vec<HoldId> = all.iter().map(|hold| hold.hold).collect();
    assert_eq!(names, made);
    assert_eq!(all[1].nanos, 2 * DIME);
    assert_eq!(all[1].purpose, Purpose::Request);
    assert!(all[1].expires_in <= LONG && all[1].expires_in > LONG / 2);
    assert_eq!(list(2).await.len(), 2);
    assert_eq!(list(2).await[0].hold, made[0]);
    let _ = case.settle(made[0], Settle::Release).await;
    assert_eq!(list(10).await.len(), 2);
}
