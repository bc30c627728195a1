use super::{admin::AdminError, *};
use crate::counter::MAX_GRANTS;

fn mixed() -> Policy {
    Policy::new([
        Level::new("organisation", [budget("org-month", "9 USD", "month")]),
        Level::new(
            "key",
            [
                budget("key-day", "5 USD", "day"),
                Limit::rate("key-minute", 60, MINUTE).unwrap(),
                Limit::concurrency("key-parallel", 4).unwrap(),
            ],
        ),
    ])
    .unwrap()
}

fn admin_events(world: &World) -> Vec<(&'static str, String, String)> {
    let events = world.recorder.events().into_iter();
    events
        .filter_map(|event| match event {
            Event::Admin(event) => {
                assert_eq!(event.author.as_deref(), Some("alice"));
                let detail = event.detail.unwrap_or_default();
                Some((event.action, event.object.to_string(), detail))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn refuses_what_is_not_there_or_does_not_fit() {
    let world = World::new(mixed());
    let admin = world.limits.admin("alice");
    let (who, one) = (key(), cost("1 USD"));
    let later = world.now().wall + HOUR;
    let set = |limit: &'static str, to: admin::Amount| ready(admin.set(&who, limit, to, None));
    assert_eq!(
        set("key-year", one.into()),
        Err(AdminError::Limit("key-year".to_owned()))
    );
    assert!(matches!(
        set("key-day", 5.into()),
        Err(AdminError::Kind { .. })
    ));
    assert!(matches!(
        set("key-minute", one.into()),
        Err(AdminError::Kind { .. })
    ));
    assert!(matches!(
        set("key-parallel", one.into()),
        Err(AdminError::Kind { .. })
    ));
    assert!(matches!(
        set("key-day", cost("1 EUR").into()),
        Err(AdminError::Currency { .. })
    ));
    let much = Cost::from_nanos(1 << 53, crate::cost::Currency::USD);
    assert_eq!(
        set("key-day", much.into()),
        Err(AdminError::TooMuch(1 << 53))
    );
    assert_eq!(
        set("key-minute", (1 << 53).into()),
        Err(AdminError::TooMuch(1 << 53))
    );
    assert_eq!(
        set("key-parallel", (1 << 32).into()),
        Err(AdminError::TooMuch(1 << 32))
    );
    assert_eq!(
        ready(admin.grant(&who, "key-day", "g", much, later)),
        Err(AdminError::TooMuch(1 << 53))
    );
    for past in [world.now().wall, Timestamp::EPOCH] {
        let granted = ready(admin.grant(&who, "key-day", "g", one, past));
        assert_eq!(granted, Err(AdminError::Past));
        let set = ready(admin.set(&who, "key-day", one, Some(past)));
        assert_eq!(set, Err(AdminError::Past));
    }
    let named = ready(admin.grant(&who, "key-day", "a\nb", one, later));
    assert_eq!(named, Err(AdminError::Name));
    let short = Subjects::new(["acme"]);
    assert!(matches!(
        ready(admin.reset(&short, "key-day")),
        Err(AdminError::Subject { .. })
    ));
    let long = Subjects::new(["acme", "key-1", "more"]);
    assert_eq!(ready(admin.reset(&long, "key-day")), Err(AdminError::Path));
    let tier = key().tier("gold");
    assert!(matches!(ready(admin.read(&tier)), Err(AdminError::Tier(_))));
    for author in ["", "a\nb"] {
        let nobody = world.limits.admin(author);
        assert_eq!(
            ready(nobody.reset(&who, "key-day")),
            Err(AdminError::Author)
        );
    }
    assert!(matches!(
        ready(admin.charge(&who, "key-minute", one)),
        Err(AdminError::Kind { .. })
    ));
    // Nothing of that was done or recorded.
    assert!(world.recorder.events().is_empty());
}

#[test]
fn what_cannot_be_recorded_is_not_done() {
    let limits = Limits::builder(MemoryCounters::new())
        .clock(ManualClock::default())
        .recorder(Broken)
        .build(mixed())
        .unwrap();
    let admin = limits.admin("alice");
    let until = Timestamp::MAX;
    let one = cost("1 USD");
    for result in [
        ready(admin.set(&key(), "key-day", one, None)),
        ready(admin.clear(&key(), "key-day")),
        ready(admin.grant(&key(), "key-day", "g", one, until)),
        ready(admin.revoke(&key(), "key-day", "g")),
        ready(admin.reset(&key(), "key-day")),
        ready(admin.charge(&key(), "key-day", one)),
    ] {
        assert!(matches!(result, Err(AdminError::Record(_))));
    }
    // Nobody looks either.
    let looked = ready(admin.read(&key()));
    assert!(matches!(looked, Err(AdminError::Record(_))));
    let cells = ready(limits.standing(&key())).unwrap();
    let day = &cells[1].state;
    assert_eq!((day.limit, day.spent), (5 * DOLLAR, 0));
    assert!(day.set.is_none() && day.grants.is_empty());
}

#[test]
fn whoever_looks_is_recorded_and_callers_see_their_own_without() {
    let world = World::new(mixed());
    world.spend(&key(), "1 USD");
    let cells = ready(world.limits.standing(&key())).unwrap();
    assert_eq!(admin_events(&world), []);
    let admin = world.limits.admin("alice").because("a bill");
    assert_eq!(ready(admin.read(&key())).unwrap(), cells);
    ready(admin.holds(&key(), "key-day", 8)).unwrap();
    let why = "a bill".to_owned();
    assert_eq!(
        admin_events(&world),
        [
            ("limits.read", "acme / key-1".to_owned(), why.clone()),
            ("limits.holds", "key-day of key-1".to_owned(), why),
        ]
    );
}

#[test]
fn what_the_store_could_not_do_is_recorded_as_not_done() {
    let store = Slow::new();
    let world = World::with(ManualClock::default(), mixed(), store.clone());
    store.down.store(true, Ordering::Relaxed);
    let admin = world.limits.admin("alice");
    let set = ready(admin.set(&key(), "key-day", cost("1 USD"), None));
    assert!(matches!(set, Err(AdminError::Counter(_))));
    let events = admin_events(&world);
    assert_eq!(events.len(), 2);
    assert!(events[1].2.starts_with("not done: "), "{events:?}");
    assert!(world.budget_events().is_empty());
}

#[tokio::test]
async fn an_act_waits_until_its_record_is_durable() {
    let (recorder, journal) = Waiting::new();
    let limits = Limits::builder(MemoryCounters::new())
        .clock(ManualClock::default())
        .recorder(recorder)
        .build(mixed())
        .unwrap();
    let admin = limits.admin("alice");
    let who = key();
    let mut act = Box::pin(admin.set(&who, "key-day", cost("1 USD"), None));
    let mut task = Context::from_waker(Waker::noop());
    assert!(act.as_mut().poll(&mut task).is_pending());
    let before = limits.standing(&who).await.unwrap();
    assert_eq!(before[1].state.limit, 5 * DOLLAR);
    journal.store(true, Ordering::Relaxed);
    assert_eq!(act.await.unwrap().state.limit, DOLLAR);
}

/// Is durable when it is told to be.
#[derive(Debug)]
struct Waiting(Arc<AtomicBool>);

impl Waiting {
    fn new() -> (Self, Arc<AtomicBool>) {
        let durable = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&durable)), durable)
    }
}

struct Progress(Arc<AtomicBool>);

impl zt_core::state::DurableProgress for Progress {
    fn poll_durable(&self, _: u64, _: &mut Context<'_>) -> Poll<Result<(), RecordError>> {
        match self.0.load(Ordering::Relaxed) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }
}

impl Recorder for Waiting {
    fn record(&self, _: Event) -> Durable {
        Durable::waiting(Arc::new(Progress(Arc::clone(&self.0))), 0)
    }

    fn subscribe(&self, capacity: usize) -> Events {
        MemoryRecorder::new(1).subscribe(capacity)
    }
}

#[test]
fn a_path_is_read_whole_or_as_far_as_it_goes() {
    let world = World::new(mixed());
    let _held = world.hold::<Hard>(&key(), "2 USD");
    let admin = world.limits.admin("alice");
    let cells = ready(admin.read(&key())).unwrap();
    let shown: Vec<_> = cells
        .iter()
        .map(|cell| {
            let (level, subject) = (&*cell.level, &*cell.subject);
            (level, subject, cell.state.held, cell.state.spent)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("organisation", "acme", 2 * DOLLAR, 0),
            ("key", "key-1", 2 * DOLLAR, 0),
            ("key", "key-1", 0, 1),
            ("key", "key-1", 1, 0),
        ]
    );
    let cells = ready(admin.read(&Subjects::new(["acme"]))).unwrap();
    assert_eq!(cells.len(), 1);
    let holds = ready(admin.holds(&key(), "key-day", 10)).unwrap();
    assert_eq!((holds.len(), holds[0].nanos), (1, 2 * DOLLAR));
    assert!(ready(admin.holds(&key(), "key-day", 0)).unwrap().is_empty());
}

#[test]
fn a_limit_is_set_for_a_time_and_given_back() {
    let world = World::new(mixed());
    let admin = world.limits.admin("alice").because("ticket 7");
    let until = world.now().wall + HOUR;
    let cell = ready(admin.set(&key(), "key-day", cost("1 USD"), Some(until))).unwrap();
    assert_eq!(cell.state.limit, DOLLAR);
    assert_eq!(cell.state.set, Some((DOLLAR, Some(until))));
    world.refused(&key(), "2 USD");
    world.clock.advance(HOUR);
    let reservation = world.hold::<Hard>(&key(), "2 USD");
    drop(reservation);
    let cell = ready(admin.set(&key(), "key-parallel", 1, None)).unwrap();
    assert_eq!(cell.state.limit, 1);
    let first = world.hold::<Hard>(&key(), "1 USD");
    let overspent = world.refused(&key(), "1 USD");
    assert_eq!(
        &**overspent.violated().next().unwrap().0.name(),
        "key-parallel"
    );
    let cell = ready(admin.clear(&key(), "key-parallel")).unwrap();
    assert_eq!(cell.state.limit, 4);
    drop(first);

    let acts = admin_events(&world);
    assert_eq!(acts[0].0, "limits.set");
    assert_eq!(acts[0].1, "key-day of key-1");
    let expected = format!("{DOLLAR} nano-USD until {}: ticket 7", until.as_secs());
    assert_eq!(acts[0].2, expected);
    let overrides = world.told("override");
    assert_eq!((overrides[0].nanos, overrides[1].nanos), (DOLLAR, 1));
    assert_eq!(overrides[0].author.as_deref(), Some("alice"));
    assert_eq!(overrides[0].detail.as_deref(), Some("ticket 7"));
    assert_eq!(overrides[1].currency, None);
    assert_eq!(world.told("clear-override").len(), 1);
}

#[test]
fn a_grant_adds_for_a_time_and_can_be_taken_back() {
    let world = World::new(mixed());
    let admin = world.limits.admin("alice");
    let until = world.now().wall + HOUR;
    let grant =
        |name: &str, amount: &str| ready(admin.grant(&key(), "key-day", name, cost(amount), until));
    assert_eq!(grant("launch", "2 USD").unwrap().state.limit, 7 * DOLLAR);
    assert_eq!(grant("launch", "1 USD").unwrap().state.limit, 6 * DOLLAR);
    assert_eq!(grant("sorry", "1 USD").unwrap().state.limit, 7 * DOLLAR);
    let cell = ready(admin.revoke(&key(), "key-day", "launch")).unwrap();
    assert_eq!(cell.state.limit, 6 * DOLLAR);
    world.spend(&key(), "6 USD");
    world.clock.advance(HOUR);
    assert_eq!(world.state(&key(), "key-day").limit, 5 * DOLLAR);
    world.refused(&key(), "0.1 USD");
    let until = world.now().wall + HOUR;
    for at in 0..MAX_GRANTS {
        let name = format!("g{at}");
        ready(admin.grant(&key(), "key-minute", &name, 1, until)).unwrap();
    }
    let more = ready(admin.grant(&key(), "key-minute", "one-more", 1, until));
    assert!(matches!(more, Err(AdminError::Counter(_))));
    let grants = world.told("grant");
    assert_eq!(grants[0].detail.as_deref(), Some("`launch`"));
    assert_eq!(world.told("revoke").len(), 1);
}

#[test]
fn a_reset_forgets_what_was_spent_and_keeps_what_is_held() {
    let world = World::new(mixed());
    let admin = world.limits.admin("alice");
    world.spend(&key(), "3 USD");
    let _held = world.hold::<Hard>(&key(), "2 USD");
    world.refused(&key(), "1 USD");
    let cell = ready(admin.reset(&key(), "key-day")).unwrap();
    assert_eq!((cell.state.spent, cell.state.held), (0, 2 * DOLLAR));
    assert_eq!(world.spent(&key(), "org-month"), 3 * DOLLAR);
    world.spend(&key(), "3 USD");
    assert_eq!(world.told("reset")[0].budgets.len(), 1);
}

#[test]
fn what_was_spent_outside_is_charged_and_may_be_more_than_the_limit() {
    let world = World::new(mixed());
    let admin = world.limits.admin("alice");
    let cell = ready(admin.charge(&key(), "key-day", cost("6 USD"))).unwrap();
    assert_eq!(cell.state.spent, 6 * DOLLAR);
    world.refused(&key(), "0.1 USD");
    let charge = &world.told("charge")[0];
    assert_eq!((charge.nanos, charge.hold), (6 * DOLLAR, None));
    assert!(charge.budgets[0].window.is_some());
}
