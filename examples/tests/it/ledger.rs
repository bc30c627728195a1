//! What was spent, added up from the lines of a log that verifies, is what the counters say.

use std::{fs, time::Duration};

use zt_audit::{AuditLog, Options, verify::Finding};
use zt_core::clock::ManualClock;
use zt_examples::audit;
use zt_ratelimit::{
    Cost, Limit, Limits,
    counter::{MemoryCounters, Moment},
    limit::Window,
    limits::{Ask, Bounded, Level, Outcome, Policy, Reservation, Subjects, ledger::Ledger},
};

const DOLLAR: u64 = 1_000_000_000;

fn policy() -> Policy {
    let budget = |name: &str, amount: &str, window| {
        Limit::budget(name, amount.parse().unwrap(), window).unwrap()
    };
    Policy::new([
        Level::new(
            "organisation",
            [budget("org-prepaid", "900 USD", Window::total())],
        ),
        Level::new("key", [budget("key-day", "50 USD", Window::day())]),
    ])
    .unwrap()
}

async fn reserve(limits: &Limits, who: &Subjects<'_>, now: Moment) -> Reservation<Bounded> {
    let ask = Ask::at_most("5 USD".parse().unwrap());
    match limits.reserve(who, ask, now).wait().await.unwrap() {
        Outcome::Held(reservation) => reservation,
        Outcome::Refused(overspent) => panic!("{overspent:?}"),
    }
}

#[tokio::test]
async fn a_verified_log_says_what_was_spent() {
    let folder = std::env::temp_dir().join(format!("zt-ledger-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("audit");
    let log = AuditLog::open(&path, Options::default()).unwrap();
    let clock = ManualClock::default();
    let limits = Limits::builder(MemoryCounters::new())
        .clock(clock.clone())
        .recorder(log.clone())
        .build(policy())
        .unwrap();
    // Names that JSON has to escape.
    let who = Subjects::new(["acme \"north\"", "ключ\u{202e}1"]);
    let now = Moment::of(&clock).unwrap();
    let cost = |text: &str| text.parse::<Cost>().unwrap();

    // Settled, above its estimate, released, forgotten and charged, corrected late, open.
    reserve(&limits, &who, now)
        .await
        .settle(cost("1 USD"))
        .unwrap();
    reserve(&limits, &who, now)
        .await
        .settle(cost("6 USD"))
        .unwrap();
    drop(reserve(&limits, &who, now).await);
    let (forgotten, late) = (
        reserve(&limits, &who, now).await,
        reserve(&limits, &who, now).await,
    );
    std::mem::forget(forgotten);
    clock.advance(Duration::from_secs(60));
    let now = Moment::of(&clock).unwrap();
    limits.expire(now).wait().await.unwrap();
    late.settle(cost("2 USD")).unwrap();
    let open = reserve(&limits, &who, now).await;
    let admin = limits.admin("alice");
    admin.charge(&who, "key-day", cost("3 USD")).await.unwrap();
    let cells = admin.read(&who).await.unwrap();
    std::mem::forget(open);
    drop((limits, admin));
    tokio::task::yield_now().await;
    clock.advance(Duration::from_secs(1));
    tokio::task::yield_now().await;
    log.close().unwrap();

    let report = audit::check(&path).unwrap();
    assert_eq!(report.finding, Finding::Sound, "{report}");
    let mut ledger = Ledger::new();
    for record in audit::records(&path).unwrap() {
        ledger.add_line(record.to_string().as_bytes()).unwrap();
    }
    assert_eq!(ledger.lost(), 0);
    let entries: Vec<_> = ledger.entries().collect();
    assert_eq!(entries.len(), 2);
    for (cell, spent) in cells.iter().zip([14 * DOLLAR, 17 * DOLLAR]) {
        let name = &**cell.limit.name();
        let entry = entries.iter().find(|entry| entry.limit == name).unwrap();
        assert_eq!(entry.root, "acme \"north\"");
        assert_eq!(entry.subject, &*cell.subject);
        assert_eq!(Some(entry.span), cell.state.span);
        assert_eq!(entry.spent, spent);
        assert_eq!(
            (entry.spent, entry.open),
            (cell.state.spent, cell.state.held)
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}
