//! Policies that change while money is out.

use super::*;

fn rolling(name: &str, nanos: u64) -> Arc<Limit> {
    let hour = Window::rolling(Duration::from_secs(3600)).unwrap();
    budget(name, nanos, hour)
}

fn used(cell: &CellState) -> u64 {
    cell.spent + cell.held + cell.leased
}

/// As two instances do of which one has the new policy.
#[tokio::test]
async fn a_policy_that_goes_back_and_forth_gives_no_second_budget() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let policies = [
        budget("budget", 100, Window::day()),
        rolling("budget", 100),
        budget("budget", 100, Window::month()),
    ];
    let mut given = 0;
    for turn in 0..60 {
        let claims = [claim(&policies[turn % 3], "k")];
        if let Ok(Verdict::Held(held)) = reserve(&counters, &claims, 7).await {
            given += 7;
            if turn % 2 == 0 {
                settle(&counters, held.hold, Settle::ChargeHold).await;
            }
        }
    }
    assert_eq!(given, 98);
    for policy in &policies {
        let cell = state(&counters, policy, "k").await;
        assert_eq!(used(&cell), 98, "{policy:?}");
    }
}

#[tokio::test]
async fn a_hold_of_a_window_that_was_replaced_lives_on_and_grows_no_more() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let day = budget("budget", 100, Window::day());
    let month = budget("budget", 100, Window::month());
    let old = held(reserve(&counters, &[claim(&day, "k")], 1).await).hold;
    held(reserve(&counters, &[claim(&month, "k")], 99).await);
    let extend = async |more| {
        let minute = Duration::from_secs(60);
        counters.extend(old, more, minute, now()).wait().await
    };
    let no = extend(99).await.unwrap();
    assert!(matches!(&no, Extended::Refused(no) if no.violated.has(0)));
    assert_eq!(extend(0).await, Ok(Extended::Done { held: 1 }));
    assert!(settle(&counters, old, Settle::ChargeHold).await.counted);
    refused(reserve(&counters, &[claim(&day, "k")], 1).await);
}

#[tokio::test]
async fn a_reset_forgives_what_would_come_along_from_another_window() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    for (at, to) in [
        rolling("budget", 100),
        budget("budget", 100, Window::month()),
    ]
    .iter()
    .enumerate()
    {
        let subject = format!("k{at}");
        let day = budget("budget", 100, Window::day());
        let hold = held(reserve(&counters, &[claim(&day, &subject)], 100).await).hold;
        settle(&counters, hold, Settle::ChargeHold).await;
        let one = claim(to, &subject);
        refused(reserve(&counters, &[one], 1).await);
        let reset = counters.adjust("root", one, &Adjust::Reset, now());
        assert_eq!(reset.wait().await.unwrap().spent, 0);
        held(reserve(&counters, &[one], 100).await);
    }
}

#[tokio::test]
async fn a_limit_that_is_set_after_a_change_of_window_forgets_nothing() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("budget", 100, Window::total());
    let day = budget("budget", 100, Window::day());
    held(reserve(&counters, &[claim(&total, "k")], 100).await);
    let one = claim(&day, "k");
    let until = Some(now().wall + Duration::from_secs(60));
    for how in [Adjust::Override { limit: 90, until }, Adjust::ClearOverride] {
        let set = counters.adjust("root", one, &how, now());
        assert_eq!(set.wait().await.unwrap().spent, 100);
        let record = counters.0.options.names.cell("root", one);
        assert_eq!(server.command(&["PTTL", &record]), "-1");
    }
}

#[tokio::test]
async fn a_request_without_permits_waits_too_while_more_are_out_than_the_limit() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let few = permits("few", 2);
    let one = claim(&few, "k");
    for _ in 0..2 {
        held(reserve(&counters, &[one], 0).await);
    }
    let lower = Adjust::Override {
        limit: 1,
        until: None,
    };
    counters
        .adjust("root", one, &lower, now())
        .wait()
        .await
        .unwrap();
    let all = [one];
    let none = Reserve {
        permits: 0,
        ..ask("root", &all, 0)
    };
    refused(counters.reserve(&none).wait().await);
}

#[tokio::test]
async fn a_subject_that_is_named_like_a_key_of_the_server_is_rebuilt_like_others() {
    let Some(server) = durable() else { return };
    let counters = counters(&server).await;
    let total = budget("total", 100, Window::total());
    let few = permits("few", 1);
    for subject in ["}:gen", "}:shift"] {
        let all = [claim(&total, subject), claim(&few, subject)];
        held(reserve(&counters, &all, 60).await);
    }
    RedisCounters::rebuild(options(&server), 2, [])
        .await
        .unwrap();
    let counters = RedisCounters::connect(options(&server), 2).await.unwrap();
    for subject in ["}:gen", "}:shift"] {
        let all = [claim(&total, subject), claim(&few, subject)];
        held(reserve(&counters, &all, 100).await);
    }
}
