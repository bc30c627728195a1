//! The server's clock is the only one.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn the_wrong_clock_of_an_instance_ends_no_window() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("day", 100, Window::day());
    let all = [claim(&day, "k")];
    held(reserve(&counters, &all, 60).await);
    for (ahead, by) in [
        (true, 3 * HOUR),
        (false, 3 * HOUR),
        (true, 900 * HOUR),
        (false, 900 * HOUR),
    ] {
        let other = RedisCounters::connect(options(&server), 1).await.unwrap();
        let mut wrong = now();
        wrong.wall = if ahead {
            wrong.wall + by
        } else {
            wrong.wall.saturating_sub(by)
        };
        let ask = Reserve {
            now: wrong,
            ..ask("root", &all, 41)
        };
        refused(other.reserve(&ask).wait().await);
        let read = other.read("root", &all, wrong).wait().await.unwrap();
        assert_eq!(read[0].held, 60);
        // It has learned how wrong its clock is.
        let before = trips(&server);
        refused(other.reserve(&ask).wait().await);
        assert_eq!(trips(&server) - before, 1);
    }
    held(reserve(&counters, &all, 40).await);
}

#[tokio::test]
async fn a_month_ends_when_the_server_says_so() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let month = budget("month", 100, Window::month());
    let all = [claim(&month, "k")];
    let old = state(&counters, &month, "k").await.span.unwrap();
    let end = old.end.since(now().wall);
    shift(&server, end.saturating_sub(Duration::from_secs(30)));
    let hold = held(reserve(&counters, &all, 100).await).hold;
    let no = refused(reserve(&counters, &all, 1).await);
    assert!(no.standings[0].more_in.unwrap() <= Duration::from_secs(30));
    shift(&server, end + Duration::from_secs(1));
    let fresh = held(reserve(&counters, &all, 99).await);
    assert_eq!(fresh.standings[0].remaining, 1);
    let new = state(&counters, &month, "k").await;
    assert_eq!(new.span.unwrap().start, old.end);
    // Money belongs to the month that admitted it.
    let settled = settle(&counters, hold, Settle::Charge(70)).await;
    assert_eq!(
        (settled.budgets[0].span, settled.budgets[0].spent),
        (old, 70)
    );
    assert_eq!(state(&counters, &month, "k").await.spent, 0);
    // A clock that goes back opens no earlier month.
    shift(&server, Duration::ZERO);
    let still = state(&counters, &month, "k").await;
    assert_eq!((still.span, still.held), (new.span, 99));
    refused(reserve(&counters, &all, 2).await);
    held(reserve(&counters, &all, 1).await);
}

#[tokio::test]
async fn a_hold_that_ended_is_charged_and_can_be_corrected() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("total", 100, Window::total());
    let few = permits("few", 1);
    let all = [claim(&total, "k k"), claim(&few, "k")];
    let hold = held(reserve(&counters, &all, 60).await).hold;
    let forgotten = held(reserve(&counters, &all[..1], 30).await).hold;
    refused(reserve(&counters, &all[1..], 1).await);
    shift(&server, Duration::from_secs(61));
    let next = held(reserve(&counters, &all, 10).await).hold;
    let cell = state(&counters, &total, "k k").await;
    assert_eq!((cell.spent, cell.held), (90, 10));
    let mut told = counters.expire(10, now()).wait().await.unwrap();
    told.sort_by_key(|expired| expired.nanos);
    assert_eq!(told.len(), 2);
    assert_eq!((told[1].hold, told[1].nanos), (hold, 60));
    let (limit, subject, span) = &told[1].budgets[0];
    assert_eq!(
        (&**limit, &**subject, span.end),
        ("total", "k k", Timestamp::MAX)
    );
    assert_eq!(counters.expire(10, now()).wait().await.unwrap(), []);
    let listed = counters
        .holds("root", all[0], 10, now())
        .wait()
        .await
        .unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0].expires_in, Duration::ZERO);
    let corrected = settle(&counters, hold, Settle::Charge(5)).await;
    assert_eq!(
        (corrected.counted, corrected.held, corrected.charged),
        (true, 60, 5)
    );
    assert_eq!(state(&counters, &total, "k k").await.spent, 35);
    assert_eq!(
        state(&counters, &few, "k").await.held,
        1,
        "its permit had come back before"
    );
    shift(&server, HOUR + Duration::from_secs(62));
    let late = settle(&counters, forgotten, Settle::Release).await;
    assert_eq!((late.counted, late.charged), (false, 30));
    // Nobody else came by: it is charged when its settlement comes too late.
    let _ = next;
    let cell = state(&counters, &total, "k k").await;
    assert_eq!(cell.spent + cell.held, 45);
}

#[tokio::test]
async fn a_hold_that_ended_is_extended_anew() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("total", 100, Window::total());
    let all = [claim(&total, "k")];
    let hold = held(reserve(&counters, &all, 60).await).hold;
    shift(&server, Duration::from_secs(61));
    assert_eq!(counters.expire(10, now()).wait().await.unwrap().len(), 1);
    assert_eq!(state(&counters, &total, "k").await.spent, 60);
    let no = counters.extend(hold, 41, HOUR, now()).wait().await.unwrap();
    assert!(matches!(no, Extended::Refused(_)));
    let done = counters.extend(hold, 40, HOUR, now()).wait().await;
    assert_eq!(done, Ok(Extended::Done { held: 100 }));
    let cell = state(&counters, &total, "k").await;
    assert_eq!((cell.spent, cell.held), (0, 100));
    let settled = settle(&counters, hold, Settle::Charge(61)).await;
    assert_eq!((settled.held, settled.charged), (100, 61));
    assert_eq!(state(&counters, &total, "k").await.spent, 61);
}

#[tokio::test]
async fn what_a_reset_has_forgiven_is_not_given_back_again() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("total", 100, Window::total());
    let all = [claim(&total, "k")];
    let low = held(reserve(&counters, &all, 40).await).hold;
    let high = held(reserve(&counters, &all, 40).await).hold;
    shift(&server, Duration::from_secs(61));
    assert_eq!(counters.expire(10, now()).wait().await.unwrap().len(), 2);
    let reset = counters
        .adjust("root", all[0], &Adjust::Reset, now())
        .wait()
        .await
        .unwrap();
    assert_eq!(reset.spent, 0);
    let other = held(reserve(&counters, &all, 30).await).hold;
    settle(&counters, other, Settle::ChargeHold).await;
    settle(&counters, low, Settle::Release).await;
    assert_eq!(state(&counters, &total, "k").await.spent, 30);
    settle(&counters, high, Settle::Charge(45)).await;
    assert_eq!(state(&counters, &total, "k").await.spent, 35);
}

#[tokio::test]
async fn a_rolling_window_rolls() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("roll", 100, Window::rolling(24 * HOUR).unwrap());
    let all = [claim(&day, "k")];
    for hour in 0..4 {
        shift(&server, hour * HOUR);
        let hold = held(reserve(&counters, &all, 25).await).hold;
        settle(&counters, hold, Settle::ChargeHold).await;
    }
    let no = refused(reserve(&counters, &all, 26).await);
    let wait = no.standings[0].more_in.unwrap();
    // Two slots have to leave, of which the second began two hours ago.
    assert!(wait > 22 * HOUR && wait <= 23 * HOUR, "{wait:?}");
    for (hours, left) in [(23, 0), (25, 25), (26, 50), (27, 75), (28, 100)] {
        shift(&server, hours * HOUR);
        let cell = state(&counters, &day, "k").await;
        assert_eq!(cell.limit - cell.spent, left, "{hours}");
    }
    // After a long time without traffic its window has gone, and is new.
    shift(&server, 400 * HOUR);
    held(reserve(&counters, &all, 100).await);
}

#[tokio::test]
async fn a_rate_comes_back_by_the_clock_of_the_server() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let tries = rate("tries", 60, HOUR);
    let all = [claim(&tries, "k")];
    let burst = Reserve {
        weight: 60,
        ..ask("root", &all, 0)
    };
    held(counters.reserve(&burst).wait().await);
    refused(reserve(&counters, &all, 0).await);
    let over = Reserve {
        weight: 61,
        ..burst
    };
    let never = refused(counters.reserve(&over).wait().await);
    assert_eq!(never.standings[0].more_in, None);
    shift(&server, Duration::from_secs(60));
    held(reserve(&counters, &all, 0).await);
    refused(reserve(&counters, &all, 0).await);
    // A billion a second becomes a million a second.
    let fast = Arc::new(Limit::rate("fast", 1_000_000_000, Duration::from_secs(1)).unwrap());
    let all = [claim(&fast, "k")];
    let half = Reserve {
        weight: 500_000_000,
        ..ask("root", &all, 0)
    };
    held(counters.reserve(&half).wait().await);
    held(counters.reserve(&half).wait().await);
    let no = refused(counters.reserve(&half).wait().await);
    assert!(no.standings[0].more_in.unwrap() > Duration::from_secs(490));
}
