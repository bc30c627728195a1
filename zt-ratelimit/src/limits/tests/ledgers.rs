use std::collections::HashMap;

use proptest::prelude::*;

use super::{
    ledger::{Ledger, LedgerError},
    *,
};

fn event(action: &'static str, hold: u128, nanos: u64) -> BudgetEvent {
    let day = moment("2030-01-01T00:00:00Z");
    BudgetEvent {
        at: day,
        author: None,
        action,
        hold: Some(hold),
        root: "acme".into(),
        budgets: [zt_core::state::BudgetPart {
            limit: "key-day".into(),
            subject: "key-1".into(),
            window: Some((day, day + HOUR * 24)),
        }]
        .into(),
        currency: Some("USD".into()),
        nanos,
        percent: None,
        request: None,
        detail: None,
    }
}

fn sums(events: &[BudgetEvent]) -> (u64, u64) {
    let mut ledger = Ledger::new();
    for event in events {
        ledger.add(event).unwrap();
    }
    let entry = ledger.entries().next();
    entry.map_or((0, 0), |entry| (entry.spent, entry.open))
}

#[test]
fn refuses_what_it_does_not_understand() {
    let mut ledger = Ledger::new();
    assert!(matches!(
        ledger.add(&event("refund", 1, 5)),
        Err(LedgerError::Action(_))
    ));
    let mut nameless = event("settled", 1, 5);
    nameless.hold = None;
    assert!(matches!(
        ledger.add(&nameless),
        Err(LedgerError::Missing { field: "hold", .. })
    ));
    for line in [
        "",
        "{}",
        r#"{"v":1,"kind":"budget"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","root":"a","budgets":[],"nanos":5,"hold":"1"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","root":"a","budgets":[],"nanos":"-5","hold":"1"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","root":"a","budgets":[],"nanos":"5","hold":"x"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","root":"a","budgets":[],"nanos":"5"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","budgets":[],"nanos":"5","hold":"1"}"#,
        r#"{"v":1,"kind":"budget","action":"settled","root":"a","nanos":"5","hold":"1"}"#,
        r#"{"v":3,"kind":"budget","action":"settled","root":"a","budgets":[],"nanos":"5","hold":"1"}"#,
        r#"{"v":2,"kind":"budget","action":"settled","root":"a","budgets":[{"limit":"b","start":1,"end":2}],"nanos":"5","hold":"1"}"#,
    ] {
        assert!(ledger.add_line(line.as_bytes()).is_err(), "{line}");
    }
    assert_eq!(ledger.entries().count(), 0);
}

/// As the audit log writes it, and as it is when it was opened.
#[test]
fn lines_whose_names_are_sealed_have_to_be_opened_and_erased_ones_are_counted() {
    let sealed = r#""sealed":[["00000000000000000000000000000000","AAAA"]]"#;
    let line = |budgets: &str, rest: &str| {
        format!(
            r#"{{"v":2,"kind":"budget","action":"charge","budgets":[{{{budgets}"limit":"day","start":1,"end":86400000001}}],"nanos":"5",{rest}}}"#
        )
    };
    let mut ledger = Ledger::new();
    let refused = ledger.add_line(line("", sealed).as_bytes());
    assert!(matches!(refused, Err(LedgerError::Sealed)));
    let erased = r#""erased":["00000000000000000000000000000000"]"#;
    assert!(!ledger.add_line(line("", erased).as_bytes()).unwrap());
    assert_eq!((ledger.erased(), ledger.entries().count()), (1, 0));

    // Only the author was erased, or is not known to this vault.
    let subject = r#""subject":"key-1","#;
    for rest in [
        r#""root":"acme""#,
        &format!(r#""root":"acme",{erased}"#),
        &format!(r#""root":"acme",{sealed}"#),
    ] {
        assert!(ledger.add_line(line(subject, rest).as_bytes()).unwrap());
    }
    let entry = ledger.entries().next().unwrap();
    assert_eq!(
        (entry.root, entry.subject, entry.spent),
        ("acme", "key-1", 15)
    );
    assert_eq!(ledger.erased(), 1);
}

#[test]
fn a_line_whose_window_was_damaged_is_refused_and_not_passed_over() {
    let mut ledger = Ledger::new();
    for window in [
        r#""start":5"#,
        r#""end":5"#,
        r#""start":6,"end":5"#,
        r#""start":5,"end":5"#,
        r#""start":null,"end":5"#,
    ] {
        let line = format!(
            r#"{{"v":1,"kind":"budget","action":"charge","root":"a","nanos":"5",
                "budgets":[{{"limit":"l","subject":"s",{window}}}]}}"#
        );
        assert!(matches!(
            ledger.add_line(line.as_bytes()),
            Err(LedgerError::Missing {
                field: "window",
                ..
            })
        ));
    }
    assert_eq!(ledger.entries().count(), 0);
}

#[test]
fn what_a_forged_line_takes_back_is_not_taken_from_others() {
    // Together they are more than can be said.
    let events = [
        event("settled", 1, 7),
        event("expired", 2, u64::MAX),
        event("settled", 2, 0),
    ];
    assert_eq!(sums(&events[..2]), (u64::MAX, 0));
    assert_eq!(sums(&events), (7, 0));
}

#[test]
fn a_hold_counts_once_whatever_is_read_first() {
    let held = event("held", 1, 5);
    let expired = event("expired", 1, 5);
    let settled = event("settled", 1, 2);
    for (events, expected) in [
        (vec![&held], (0, 5)),
        (vec![&held, &held], (0, 5)),
        (vec![&held, &expired], (5, 0)),
        (vec![&expired, &held, &expired], (5, 0)),
        (vec![&held, &settled], (2, 0)),
        (vec![&settled, &held], (2, 0)),
        (vec![&settled, &settled, &expired], (2, 0)),
        (vec![&held, &expired, &settled], (2, 0)),
        (vec![&held, &expired, &settled, &settled, &held], (2, 0)),
    ] {
        let events: Vec<_> = events.into_iter().cloned().collect();
        assert_eq!(sums(&events), expected, "{events:?}");
    }
}

#[test]
fn what_is_held_longer_or_again_is_open() {
    let more = event("extended", 1, 8);
    assert_eq!(sums(&[event("held", 1, 5), more.clone()]), (0, 8));
    assert_eq!(sums(&[more.clone(), event("held", 1, 5)]), (0, 8));
    let events = [event("held", 1, 5), event("expired", 1, 5), more];
    assert_eq!(sums(&events), (0, 8));
}

#[test]
fn a_reset_takes_back_what_was_charged_and_no_correction_brings_it_again() {
    let mut reset = event("reset", 0, 0);
    reset.hold = None;
    let mut charge = event("charge", 0, 7);
    charge.hold = None;
    let (expired, settled) = (event("expired", 1, 5), event("settled", 1, 2));
    let another = event("settled", 2, 3);
    let events = [
        charge.clone(),
        expired,
        another.clone(),
        reset.clone(),
        settled.clone(),
    ];
    assert_eq!(sums(&events), (0, 0));
    let events = [
        another,
        reset.clone(),
        charge,
        event("held", 1, 5),
        reset,
        settled,
    ];
    assert_eq!(sums(&events), (2, 0));
}

#[test]
fn windows_that_are_over_are_left_out() {
    let day = moment("2030-01-01T00:00:00Z");
    let mut tomorrow = event("settled", 2, 3);
    tomorrow.budgets = tomorrow
        .budgets
        .iter()
        .cloned()
        .map(|mut part| {
            part.window = Some((day + HOUR * 24, day + HOUR * 48));
            part
        })
        .collect();
    let mut ledger = Ledger::since(day + HOUR * 24);
    ledger.add(&event("held", 1, 5)).unwrap();
    ledger.add(&event("expired", 1, 5)).unwrap();
    ledger.add(&event("settled", 1, 5)).unwrap();
    ledger.add(&tomorrow).unwrap();
    let entries: Vec<_> = ledger.entries().collect();
    assert_eq!((entries.len(), entries[0].spent), (1, 3));
}

/// As zt-audit writes them.
#[test]
fn lines_of_an_audit_log_are_read() {
    let line = r#"{"v":1,"idx":7,"ts":1893456000000000,"kind":"budget","prev":"00","action":"settled","hold":"0000000000000000000000000000000a","root":"ac\u0085me","budgets":[{"limit":"prepaid","subject":"key-1","start":0,"end":9007199254740991},{"limit":"key-minute","subject":"key-1"}],"currency":"USD","nanos":"18446744073709551615","sum":"0123"}"#;
    let other = r#"{"v":1,"idx":8,"ts":1,"kind":"decision","prev":"00","root":[],"sum":"0123"}"#;
    let lost = r#"{"v":1,"idx":9,"ts":1,"kind":"rolled-up","denied":{},"lost_outcomes":3}"#;
    let mut ledger = Ledger::new();
    assert!(ledger.add_line(line.as_bytes()).unwrap());
    assert!(ledger.add_line(line.as_bytes()).unwrap());
    assert!(!ledger.add_line(other.as_bytes()).unwrap());
    assert_eq!(ledger.lost(), 0);
    assert!(!ledger.add_line(lost.as_bytes()).unwrap());
    assert_eq!(ledger.lost(), 3);
    let entries: Vec<_> = ledger.entries().collect();
    let [entry] = &entries[..] else {
        panic!("one budget: {entries:?}")
    };
    assert_eq!((entry.root, entry.limit), ("ac\u{85}me", "prepaid"));
    assert_eq!((entry.spent, entry.span.end), (u64::MAX, Timestamp::MAX));
}

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        who: usize,
        nanos: u64,
    },
    Extend {
        which: usize,
        nanos: u64,
    },
    Settle {
        which: usize,
        nanos: u64,
    },
    Drop {
        which: usize,
        dispatched: bool,
    },
    Advance {
        secs: u64,
    },
    Expire,
    Reset {
        who: usize,
        limit: usize,
    },
    Charge {
        who: usize,
        limit: usize,
        nanos: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let (who, limit, which) = (0..PATHS.len(), 0..LIMITS.len(), 0..8_usize);
    prop_oneof![
        6 => (who.clone(), 1..30_u64).prop_map(|(who, nanos)| Step::Reserve { who, nanos }),
        1 => (which.clone(), 1..10_u64).prop_map(|(which, nanos)| Step::Extend { which, nanos }),
        3 => (which.clone(), 0..40_u64).prop_map(|(which, nanos)| Step::Settle { which, nanos }),
        2 => (which, any::<bool>())
            .prop_map(|(which, dispatched)| Step::Drop { which, dispatched }),
        3 => (1..120_u64).prop_map(|secs| Step::Advance { secs }),
        1 => (3600..30_000_u64).prop_map(|secs| Step::Advance { secs }),
        2 => Just(Step::Expire),
        1 => (who.clone(), limit.clone()).prop_map(|(who, limit)| Step::Reset { who, limit }),
        1 => (who, limit, 1..20_u64)
            .prop_map(|(who, limit, nanos)| Step::Charge { who, limit, nanos }),
    ]
}

const PATHS: [[&str; 2]; 4] = [
    ["acme", "key-1"],
    ["acme", "key-2"],
    ["umbrella", "key-1"],
    ["umbrella", "acme"],
];
const LIMITS: [&str; 5] = [
    "org-month",
    "org-prepaid",
    "key-day",
    "key-rolling",
    "key-watch",
];

fn tree() -> Policy {
    let nano = |nanos| Cost::from_nanos(nanos, crate::cost::Currency::USD);
    let limit = |name: &str, nanos, window: &str| {
        Limit::budget(name, nano(nanos), window.parse().unwrap()).unwrap()
    };
    Policy::new([
        Level::new(
            "organisation",
            [
                limit("org-month", 500, "month"),
                limit("org-prepaid", 2000, "total"),
            ],
        ),
        Level::new(
            "key",
            [
                limit("key-day", 200, "day"),
                limit("key-rolling", 150, "24h"),
                limit("key-watch", 20, "day").shadow(),
            ],
        ),
    ])
    .unwrap()
}

/// A ledger that hears all there is, most of it twice.
struct Heard {
    events: Events,
    ledger: Ledger,
}

impl Heard {
    /// Whether the ledger says what the store does of the windows of now.
    fn check(&mut self, world: &World, open: usize) {
        while let Some(event) = self.events.try_next() {
            if let Event::Budget(event) = event {
                self.ledger.add(&event).unwrap();
                self.ledger.add(&event_once(&event)).unwrap();
            }
        }
        assert_eq!(self.events.dropped(), 0);
        let mut spent: HashMap<(String, String, String), u64> = HashMap::new();
        let now = world.now().wall;
        for entry in self.ledger.entries() {
            let rolling = entry.limit == "key-rolling" && entry.span.end + HOUR * 24 > now;
            if rolling || entry.span.contains(now) {
                let key = (entry.root.into(), entry.limit.into(), entry.subject.into());
                *spent.entry(key).or_default() += entry.spent;
            }
        }
        for [root, subject] in PATHS {
            let path = Subjects::new([root, subject]);
            for cell in ready(world.limits.standing(&path)).unwrap() {
                let (limit, subject) = (cell.limit.name().to_string(), cell.subject.to_string());
                let key = (root.to_owned(), limit, subject);
                let counted = spent.get(&key).copied().unwrap_or_default();
                assert_eq!(cell.state.spent, counted, "{key:?}");
            }
        }
        let held = self.ledger.entries().any(|entry| entry.open > 0);
        assert!(open > 0 || !held);
    }
}

/// The same event again where that changes nothing, else one that says nothing.
fn event_once(event: &BudgetEvent) -> BudgetEvent {
    let mut again = event.clone();
    if matches!(event.action, "charge" | "reset" | "extended") {
        again.action = "grant";
    }
    again
}

proptest! {
    #[test]
    fn the_ledger_says_what_the_store_counted(steps in proptest::collection::vec(step(), 1..60)) {
        let world = World::at(at("2030-01-31T12:00:00Z"), tree());
        let mut heard = Heard {
            events: world.recorder.subscribe(10_000),
            ledger: Ledger::new(),
        };
        let admin = world.limits.admin("alice");
        let nano = |nanos| Cost::from_nanos(nanos, crate::cost::Currency::USD);
        let mut open: Vec<Reservation<Bounded>> = Vec::new();
        for step in steps {
            match step {
                Step::Reserve { who, nanos } => {
                    let who = Subjects::new(PATHS[who]);
                    let ask = Ask::at_most(nano(nanos));
                    if let Outcome::Held(held) = world.reserve::<Bounded>(&who, ask) {
                        open.push(held);
                    }
                }
                Step::Extend { which, nanos } if which < open.len() => {
                    let answer = at_once(open[which].extend(nano(nanos), world.now()));
                    open[which].extended(&answer);
                }
                Step::Settle { which, nanos } if which < open.len() => {
                    open.swap_remove(which).settle(nano(nanos)).unwrap();
                }
                Step::Drop { which, dispatched } if which < open.len() => {
                    let mut gone = open.swap_remove(which);
                    if dispatched {
                        gone.dispatch();
                    }
                }
                Step::Advance { secs } => {
                    world.clock.advance(SECOND * u32::try_from(secs).unwrap());
                    // As the task of each second does.
                    at_once(world.limits.expire(world.now()));
                }
                Step::Expire => {
                    at_once(world.limits.expire(world.now()));
                }
                Step::Reset { who, limit } => {
                    ready(admin.reset(&Subjects::new(PATHS[who]), LIMITS[limit])).unwrap();
                }
                Step::Charge { who, limit, nanos } => {
                    let who = Subjects::new(PATHS[who]);
                    ready(admin.charge(&who, LIMITS[limit], nano(nanos))).unwrap();
                }
                _ => {}
            }
            heard.check(&world, open.len());
        }
        open.clear();
        heard.check(&world, 0);
    }
}
