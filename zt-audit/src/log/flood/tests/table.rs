//! What is recorded in full, what is counted, and when the counts are written.

use super::*;

const WINDOW: Duration = Duration::from_secs(10);

fn flood() -> Flood {
    Flood::new(Rules {
        in_full: 3,
        window: WINDOW,
        sources: 64,
    })
}

/// How many of so many denials are recorded in full.
fn in_full(flood: &Flood, source: Option<&str>, code: Code, millis: u64, times: usize) -> usize {
    (0..times)
        .filter(|_| {
            let trail = trail_from(source, millis);
            flood.admit(&denied(&trail, code)) == Admission::Full
        })
        .count()
}

/// What is written: source, reason, decisions, outcomes.
fn rows(pieces: &[RolledUp]) -> Vec<(String, &'static str, u64, u64)> {
    let mut rows: Vec<_> = pieces
        .iter()
        .flat_map(RolledUp::refusals)
        .map(|one| {
            let code = one.code.map_or("undecided", Code::as_str);
            (one.source.to_string(), code, one.decisions, one.outcomes)
        })
        .collect();
    rows.sort_unstable();
    rows
}

fn row(source: &str, code: Code, decisions: u64) -> (String, &'static str, u64, u64) {
    (source.to_owned(), code.as_str(), decisions, 0)
}

// What is never counted.

#[test]
fn what_an_effect_waits_for_is_recorded_in_full() {
    let flood = flood();
    let trail = trail_from(Some("192.0.2.7"), 0);
    for _ in 0..10 {
        for when in [
            Acknowledgement::Sync,
            Acknowledgement::Batched,
            Acknowledgement::Async,
        ] {
            for verdict in [
                permitted(),
                Verdict::Undecided,
                Verdict::Deny(Code::PolicyDenied.into()),
            ] {
                let event = decided(&trail, verdict, Some(when));
                assert_eq!(flood.admit(&event), Admission::Full);
            }
        }
        let told = decided(&trail, permitted(), None);
        assert_eq!(flood.admit(&told), Admission::Full);
    }
    assert!(!trail.is_rolled_up());
    assert!(flood.end().is_empty());
    assert_eq!(flood.total(), 0);
}

#[test]
fn what_is_told_of_a_request_whose_handler_ran_is_recorded_in_full() {
    use http::{Response, StatusCode};
    use http_body_util::Full;
    use tower::{Layer, ServiceExt};
    use zt_core::gate::OpenContextLayer;

    // A gate that has called its inner service, which keeps the facts.
    let kept = Arc::new(Mutex::new(None));
    let keep = Arc::clone(&kept);
    let inner = tower::service_fn(move |request: Request<()>| {
        let cx = request.extensions().get::<SecurityContext>().unwrap();
        *keep.lock().unwrap() = Some(Arc::clone(cx.trail()));
        async {
            let body = Full::new(bytes::Bytes::new());
            Ok::<_, std::convert::Infallible>(Response::new(body))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let service = OpenContextLayer::new(Settings::default()).layer(inner);
    let response = runtime.block_on(service.oneshot(Request::new(()))).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let trail = kept.lock().unwrap().take().unwrap();
    assert_eq!(trail.handler(), HandlerRun::Reached);

    let flood = flood();
    for _ in 0..10 {
        let event = denied(&trail, Code::PolicyDenied);
        assert_eq!(flood.admit(&event), Admission::Full);
    }
    assert!(!trail.is_rolled_up());
}

#[test]
fn an_outcome_is_recorded_in_full_where_its_decision_was() {
    let flood = flood();
    for _ in 0..3 {
        let trail = trail_from(Some("192.0.2.7"), 0);
        let (decision, outcome) = (
            denied(&trail, Code::PolicyDenied),
            ended(&trail, HandlerRun::NotReached),
        );
        assert_eq!(flood.admit(&decision), Admission::Full);
        assert_eq!(flood.admit(&outcome), Admission::Full);
    }
    assert_eq!(flood.total(), 0);
}

#[test]
fn an_outcome_is_counted_where_its_decision_was_also_in_a_later_window() {
    let flood = flood();
    in_full(&flood, Some("192.0.2.7"), Code::PolicyDenied, 0, 3);
    let trails: Vec<_> = (0..5)
        .map(|_| trail_from(Some("192.0.2.7"), 1000))
        .collect();
    for trail in &trails {
        let decision = denied(trail, Code::PolicyDenied);
        assert_eq!(flood.admit(&decision), Admission::Counted);
        assert!(trail.is_rolled_up());
    }
    // Another window begins before anybody has read the answers.
    assert_eq!(in_full(&flood, None, Code::PolicyDenied, 10_000, 1), 1);
    for trail in &trails {
        let outcome = ended(trail, HandlerRun::NotReached);
        assert_eq!(flood.admit(&outcome), Admission::Counted);
    }
    assert_eq!(flood.total(), 10);
    let pieces = flood.end();
    assert_eq!(
        rows(&pieces),
        [
            row("192.0.2.7", Code::PolicyDenied, 5),
            // The gate would have noted the denial on the trail.
            ("192.0.2.7".into(), "undecided", 0, 5),
        ]
    );
}

// Sources and reasons.

#[test]
fn the_first_of_each_source_and_reason_are_recorded_in_full() {
    let flood = flood();
    for source in [Some("192.0.2.7"), Some("192.0.2.8"), None] {
        for code in [Code::CredentialInvalid, Code::RateLimited] {
            assert_eq!(
                in_full(&flood, source, code, 0, 100),
                3,
                "{source:?} {code}"
            );
        }
    }
    let undecided = (0..100).filter(|_| {
        let event = decided(&trail_from(None, 0), Verdict::Undecided, None);
        flood.admit(&event) == Admission::Full
    });
    assert_eq!(undecided.count(), 3);
    assert_eq!(flood.total(), 7 * 97);
    let pieces = flood.end();
    assert_eq!(
        rows(&pieces),
        [
            row("192.0.2.7", Code::CredentialInvalid, 97),
            row("192.0.2.7", Code::RateLimited, 97),
            row("192.0.2.8", Code::CredentialInvalid, 97),
            row("192.0.2.8", Code::RateLimited, 97),
            row("unknown", Code::CredentialInvalid, 97),
            row("unknown", Code::RateLimited, 97),
            ("unknown".into(), "undecided", 97, 0),
        ]
    );
}

#[test]
fn all_addresses_of_a_slash_64_are_one_source() {
    let flood = flood();
    let full = (0..100).map(|host| {
        let source = format!("2001:db8:0:1::{host:x}");
        in_full(&flood, Some(&source), Code::RateLimited, 0, 1)
    });
    assert_eq!(full.sum::<usize>(), 3);
    let other = Some("2001:db8:0:2::1");
    assert_eq!(in_full(&flood, other, Code::RateLimited, 0, 4), 3);
    // An IPv4 address in the form of IPv6 is that of IPv4.
    assert_eq!(
        in_full(&flood, Some("192.0.2.7"), Code::RateLimited, 0, 3),
        3
    );
    let mapped = Some("::ffff:192.0.2.7");
    assert_eq!(in_full(&flood, mapped, Code::RateLimited, 0, 2), 0);
    let pieces = flood.end();
    assert_eq!(
        rows(&pieces),
        [
            row("192.0.2.7", Code::RateLimited, 2),
            row("2001:db8:0:1::/64", Code::RateLimited, 97),
            row("2001:db8:0:2::/64", Code::RateLimited, 1),
        ]
    );
}

#[test]
fn more_sources_than_are_told_apart_are_one_by_reason_and_counted_exactly() {
    let flood = flood();
    let source = |index: u32| IpAddr::from(index.to_be_bytes()).to_string();
    // The table is full of them.
    for index in 0..64 {
        assert_eq!(
            in_full(&flood, Some(&source(index)), Code::RateLimited, 0, 1),
            1
        );
    }
    let further = (64..1064).map(|index| {
        let full = in_full(&flood, Some(&source(index)), Code::RateLimited, 0, 1);
        full + in_full(&flood, Some(&source(index)), Code::PolicyDenied, 0, 1)
    });
    assert_eq!(further.sum::<usize>(), 6);
    // Who is known stays known.
    assert_eq!(
        in_full(&flood, Some(&source(9)), Code::RateLimited, 0, 4),
        2
    );
    assert!(flood.table().rows.len() <= 64 + 2);
    let pieces = flood.end();
    assert_eq!(
        rows(&pieces),
        [
            row("0.0.0.9", Code::RateLimited, 2),
            row("others", Code::PolicyDenied, 997),
            row("others", Code::RateLimited, 997),
        ]
    );
}

#[test]
fn the_table_is_bounded_whatever_comes() {
    let flood = flood();
    for index in 0..4_000_u32 {
        let code = Code::ALL[index as usize % Code::ALL.len()];
        let source = IpAddr::from(index.to_be_bytes()).to_string();
        in_full(&flood, Some(&source), code, u64::from(index), 1);
    }
    let table = flood.table();
    let most = 64 + Code::ALL.len() + 1;
    assert!(table.rows.len() <= most && table.over.len() <= most);
}

// Windows.

#[test]
fn each_window_begins_with_some_in_full_and_ends_with_its_counts() {
    let flood = flood();
    let deny = |millis, times| in_full(&flood, Some("192.0.2.7"), Code::RateLimited, millis, times);
    assert_eq!(deny(0, 10), 3);
    assert_eq!(deny(9_999, 10), 0);
    assert!(!flood.is_due());
    assert_eq!(deny(10_000, 1), 1);
    assert!(flood.is_due());
    let pieces = flood.take();
    let [piece] = &pieces[..] else {
        panic!("{pieces:?}")
    };
    assert_eq!(rows(&pieces), [row("192.0.2.7", Code::RateLimited, 17)]);
    let one = &piece.refusals()[0];
    assert_eq!((one.from, one.to), (at(0), at(9_999)));
    assert!(!flood.is_due());
    // Two windows later; nothing was counted in the one between.
    assert_eq!(deny(30_000, 5), 3);
    assert!(!flood.is_due());
    assert_eq!(rows(&flood.end()), [row("192.0.2.7", Code::RateLimited, 2)]);
}

#[test]
fn a_request_of_an_earlier_window_does_not_begin_one_anew() {
    let flood = flood();
    let deny = |millis, times| in_full(&flood, Some("192.0.2.7"), Code::RateLimited, millis, times);
    assert_eq!(deny(20_000, 10), 3);
    for _ in 0..10 {
        // One that was opened long ago and is refused now, and one of now.
        assert_eq!(deny(1_000, 1), 0);
        assert_eq!(deny(20_000, 1), 0);
    }
    // The clock of a request that could not say.
    let settings = Settings::default().with_clock({
        let clock = ManualClock::default();
        clock.fail();
        clock
    });
    let (parts, ()) = Request::new(()).into_parts();
    let cx = SecurityContext::open(&parts, &Arc::new(settings));
    for index in 0..10 {
        let event = denied(cx.trail(), Code::ClockUnavailable);
        let expected = if index < 3 {
            Admission::Full
        } else {
            Admission::Counted
        };
        assert_eq!(flood.admit(&event), expected);
    }
    assert_eq!(deny(20_000, 1), 0);
    assert_eq!(flood.total(), 7 + 20 + 7 + 1);
}

#[test]
fn a_window_that_nobody_ends_is_ended_by_a_sweep() {
    let flood = flood();
    let second = Duration::from_secs(1);
    let deny = || in_full(&flood, Some("192.0.2.7"), Code::RateLimited, 0, 10);
    assert!(!flood.sweep(second * 100));
    assert_eq!(deny(), 3);
    // It is seen for the first time.
    assert!(!flood.sweep(second * 101));
    for passed in 1..10 {
        assert!(!flood.sweep(second * (101 + passed)));
        assert_eq!(deny(), 0);
    }
    assert!(flood.sweep(second * 111));
    assert_eq!(
        rows(&flood.take()),
        [row("192.0.2.7", Code::RateLimited, 97)]
    );
    // The flood is over.
    for passed in 0..100 {
        assert!(!flood.sweep(second * (112 + passed)));
    }
    // The clock on the wall went nowhere, and a window begins all the same.
    assert_eq!(deny(), 3);
    assert_eq!(flood.total(), 97 + 7);
}

#[test]
fn sources_that_were_recorded_in_full_only_are_forgotten_with_their_window() {
    let flood = flood();
    let second = Duration::from_secs(1);
    assert_eq!(in_full(&flood, None, Code::RateLimited, 0, 2), 2);
    assert!(!flood.sweep(second));
    assert!(!flood.sweep(second * 11));
    assert!(flood.table().rows.is_empty());
    assert!(flood.end().is_empty());
}

#[test]
fn a_window_goes_on_while_the_counts_before_are_not_written() {
    let flood = flood();
    let deny = |millis, times| in_full(&flood, None, Code::RateLimited, millis, times);
    assert_eq!(deny(0, 10), 3);
    assert_eq!(deny(10_000, 10), 3);
    // The disk hangs: nobody takes the first window's.
    for window in 2..100 {
        assert_eq!(deny(window * 10_000, 10), 0);
        flood.sweep(Duration::from_secs(window * 10));
    }
    let mut pieces = flood.take();
    assert_eq!(rows(&pieces), [row("unknown", Code::RateLimited, 7)]);
    // It is well again.
    assert_eq!(deny(1_000_000, 10), 3);
    pieces = flood.take();
    assert_eq!(
        rows(&pieces),
        [row("unknown", Code::RateLimited, 7 + 98 * 10)]
    );
    assert_eq!(rows(&flood.end()), [row("unknown", Code::RateLimited, 7)]);
}

#[test]
fn none_in_full_counts_all() {
    let flood = Flood::new(Rules {
        in_full: 0,
        window: WINDOW,
        sources: 64,
    });
    assert_eq!(in_full(&flood, None, Code::RateLimited, 0, 10), 0);
    assert_eq!(rows(&flood.end()), [row("unknown", Code::RateLimited, 10)]);
}

#[test]
fn nothing_is_counted_after_the_end() {
    let flood = flood();
    assert_eq!(in_full(&flood, None, Code::RateLimited, 0, 10), 3);
    assert_eq!(rows(&flood.end()), [row("unknown", Code::RateLimited, 7)]);
    // The queue refuses them; that is told in the log's health.
    assert_eq!(in_full(&flood, None, Code::RateLimited, 0, 10), 10);
    flood.count(&denied(&trail_from(None, 0), Code::RateLimited));
    assert_eq!(flood.total(), 8);
    assert!(flood.end().is_empty() && flood.take().is_empty());
}
