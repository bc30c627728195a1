use std::{fs, path::PathBuf};

use super::*;
use crate::counter::{Snapshot, SnapshotError};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("zt-counters-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Limits {
    day: Arc<Limit>,
    rolling: Arc<Limit>,
    total: Arc<Limit>,
    rate: Arc<Limit>,
    seats: Arc<Limit>,
}

impl Limits {
    fn new() -> Self {
        Self {
            day: budget("day", "10 USD", Window::day()),
            rolling: budget(
                "hours",
                "10 USD",
                Window::rolling(Duration::from_secs(2400)).unwrap(),
            ),
            total: budget("total", "10 USD", Window::total()),
            rate: Arc::new(Limit::rate("rate", 10, Duration::from_secs(100)).unwrap()),
            seats: Arc::new(Limit::concurrency("seats", 3).unwrap()),
        }
    }

    fn claims(&self) -> [(&Arc<Limit>, &str); 5] {
        [
            (&self.day, "k"),
            (&self.rolling, "k"),
            (&self.total, "acme"),
            (&self.rate, "k"),
            (&self.seats, "k"),
        ]
    }
}

/// 20 cents spent, 30 more 20 minutes later, 40 held.
fn busy() -> (Shop, Limits, HoldId) {
    let (shop, limits) = (Shop::new(), Limits::new());
    shop.pass(3600);
    for cents in [20, 30] {
        let hold = shop.reserve(&limits.claims(), cents * CENT).unwrap().hold;
        let _ = shop.settle(hold, Settle::ChargeHold);
        shop.pass(1200);
    }
    let claims = limits.claims();
    for _ in 0..3 {
        let hold = shop.reserve(&claims, 0).unwrap().hold;
        let _ = shop.settle(hold, Settle::Release);
    }
    let hold = shop.reserve(&claims, 40 * CENT).unwrap().hold;
    (shop, limits, hold)
}

/// The same clock in a process that was started anew.
fn restarted(shop: &Shop, snapshot: &Snapshot, down: u64) -> Shop {
    let wall = shop.wall() + Duration::from_secs(down);
    let clock = ManualClock::at(wall);
    clock.advance(Duration::from_nanos(123_000));
    let at = Moment::of(&clock).unwrap();
    let bounds = MemoryBounds::default();
    Shop {
        store: MemoryCounters::restored(bounds, snapshot, at).unwrap(),
        clock,
    }
}

#[test]
fn what_was_spent_and_held_is_spent_after_a_restart() {
    let (shop, limits, hold) = busy();
    let grant = Adjust::Grant {
        name: "gift".into(),
        amount: 7 * CENT,
        until: shop.wall() + Duration::from_secs(600),
    };
    let _ = shop.adjust(&limits.total, "acme", &grant).unwrap();
    let set = Adjust::Override {
        limit: 1,
        until: None,
    };
    let _ = shop.adjust(&limits.seats, "blocked", &set).unwrap();
    let folder = Folder::new("restart");
    let path = folder.0.join("counters");
    shop.store.snapshot(shop.now()).write(&path).unwrap();
    let snapshot = Snapshot::read(&path).unwrap();
    assert_eq!(snapshot.taken(), shop.wall());
    let anew = restarted(&shop, &snapshot, 1);
    for limit in [&limits.day, &limits.rolling] {
        let state = anew.read(limit, "k");
        assert_eq!((state.spent, state.held), (90 * CENT, 0), "{limit:?}");
        assert_eq!(state.span, shop.read(limit, "k").span);
    }
    let total = anew.read(&limits.total, "acme");
    assert_eq!((total.spent, total.limit), (90 * CENT, 1007 * CENT));
    // Four units of ten seconds each, one second ago.
    assert_eq!(anew.read(&limits.rate, "k").spent, 4);
    assert_eq!(anew.read(&limits.seats, "k").held, 0);
    assert_eq!(anew.read(&limits.seats, "blocked").limit, 1);
    assert!(!anew.settle(hold, Settle::Release).counted, "it is charged");
    assert_eq!(anew.store.live_holds(), 0);
    let claims = limits.claims();
    assert!(anew.reserve(&claims, 911 * CENT).is_err());
    assert!(anew.reserve(&claims, 910 * CENT).is_ok());
}

#[test]
fn time_goes_on_while_the_process_is_down() {
    let (shop, limits, _) = busy();
    let snapshot = shop.store.snapshot(shop.now());
    // What was spent 40 minutes ago has left the window, the rate is whole.
    let anew = restarted(&shop, &snapshot, 110);
    assert_eq!(anew.read(&limits.rolling, "k").spent, 70 * CENT);
    assert_eq!(anew.read(&limits.rate, "k").spent, 0);
    let tomorrow = restarted(&shop, &snapshot, 86_400);
    assert_eq!(tomorrow.read(&limits.day, "k").spent, 0);
    assert_eq!(tomorrow.read(&limits.rolling, "k").spent, 0);
    assert_eq!(tomorrow.read(&limits.total, "acme").spent, 90 * CENT);
}

#[test]
fn a_wall_clock_that_went_back_over_a_restart_opens_no_earlier_window() {
    let (shop, limits, _) = busy();
    let snapshot = shop.store.snapshot(shop.now());
    let clock = ManualClock::at(shop.wall().saturating_sub(Duration::from_secs(86_400)));
    let at = Moment::of(&clock).unwrap();
    let store = MemoryCounters::restored(MemoryBounds::default(), &snapshot, at).unwrap();
    let anew = Shop { store, clock };
    assert_eq!(anew.read(&limits.day, "k").spent, 90 * CENT);
    assert_eq!(anew.read(&limits.rolling, "k").spent, 90 * CENT);
}

#[test]
fn a_policy_with_another_window_goes_on_from_what_was_spent() {
    let (shop, limits, _) = busy();
    let snapshot = shop.store.snapshot(shop.now());
    let anew = restarted(&shop, &snapshot, 1);
    let monthly = budget("day", "10 USD", Window::month());
    assert_eq!(anew.read(&monthly, "k").spent, 90 * CENT);
    let rolling = Window::rolling(Duration::from_secs(7200)).unwrap();
    let longer = budget("hours", "10 USD", rolling.clone());
    assert_eq!(anew.read(&longer, "k").spent, 90 * CENT);
    // And in a process that goes on, with money held.
    let rolls = budget("day", "10 USD", rolling);
    let hold = shop.reserve(&[(&limits.day, "k")], 5 * CENT).unwrap().hold;
    let state = shop.read(&rolls, "k");
    assert_eq!((state.spent, state.held), (50 * CENT, 45 * CENT));
    let settled = shop.settle(hold, Settle::Charge(CENT));
    assert_eq!(settled.budgets[0].spent, 51 * CENT);
    assert_eq!(shop.read(&limits.day, "k").held, 40 * CENT);
    let other = Arc::new(Limit::concurrency("day", 1).unwrap());
    let invalid = anew.ask(&[(&other, "k")], 1, |_| ());
    assert!(matches!(invalid, Err(CounterError::Invalid(_))));
    let euros = budget("total", "10 EUR", Window::total());
    let invalid = anew.ask(&[(&euros, "acme")], 1, |_| ());
    assert!(matches!(invalid, Err(CounterError::Invalid(_))));
}

#[test]
fn a_damaged_file_is_refused_whatever_byte_it_is() {
    let (shop, ..) = busy();
    let folder = Folder::new("damage");
    let path = folder.0.join("counters");
    assert_eq!(Snapshot::read(&path).unwrap_err(), SnapshotError::Absent);
    shop.store.snapshot(shop.now()).write(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    for place in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[place] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let error = Snapshot::read(&path).unwrap_err();
        assert!(
            matches!(error, SnapshotError::Damaged(_)),
            "{place}: {error}"
        );
    }
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(Snapshot::read(&path).is_err(), "{length} bytes");
    }
    fs::write(&path, &whole).unwrap();
    let snapshot = Snapshot::read(&path).unwrap();
    let small = MemoryBounds {
        bytes: 100,
        holds: 0,
        ..MemoryBounds::default()
    };
    let restored = MemoryCounters::restored(small, &snapshot, shop.now());
    assert_eq!(restored.unwrap_err(), SnapshotError::Full);
    // A write that fails leaves what was there.
    fs::create_dir(folder.0.join("counters.new")).unwrap();
    assert!(matches!(snapshot.write(&path), Err(SnapshotError::Io(_))));
    assert_eq!(fs::read(&path).unwrap(), whole);
}

#[test]
fn a_snapshot_that_contradicts_itself_is_refused() {
    let (shop, ..) = busy();
    let json = serde_json::to_value(shop.store.snapshot(shop.now())).unwrap();
    let at = shop.now();
    let restore = |json: &serde_json::Value| {
        let snapshot: Snapshot = serde_json::from_value(json.clone()).unwrap();
        MemoryCounters::restored(MemoryBounds::default(), &snapshot, at).map(|_| ())
    };
    assert_eq!(restore(&json), Ok(()));
    let mut other = json.clone();
    other["version"] = 2.into();
    assert_eq!(restore(&other), Err(SnapshotError::Version(2)));
    let mut twice = json.clone();
    let first = twice["cells"][0].clone();
    twice["cells"].as_array_mut().unwrap().push(first);
    assert!(matches!(restore(&twice), Err(SnapshotError::Damaged(_))));
    for field in ["root", "limit"] {
        let mut bad = json.clone();
        bad["cells"][0][field] = "line\nbreak".into();
        assert!(
            matches!(restore(&bad), Err(SnapshotError::Damaged(_))),
            "{field}"
        );
    }
    let rolling = |cell: &&mut serde_json::Value| cell["count"]["budget"]["slots"].is_array();
    let mut bad = json;
    let cell = bad["cells"]
        .as_array_mut()
        .unwrap()
        .iter_mut()
        .find(rolling);
    cell.unwrap()["count"]["budget"]["spent"] = 1.into();
    assert!(matches!(restore(&bad), Err(SnapshotError::Damaged(_))));
}
