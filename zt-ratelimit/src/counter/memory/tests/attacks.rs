//! Clocks and sequences that nobody expects.

use super::*;

const YEAR: u64 = 366 * 86_400;

fn at(wall: Timestamp, secs: u64) -> Moment {
    Moment {
        wall,
        monotonic: Duration::from_secs(secs),
    }
}

#[test]
fn a_clock_at_its_end_gives_no_budget_without_an_end_anew() {
    let shop = Shop::new();
    let prepaid = budget("prepaid", "1 USD", Window::total());
    let hold = shop.reserve(&[(&prepaid, "k")], 60 * CENT).unwrap().hold;
    assert!(shop.settle(hold, Settle::ChargeHold).counted);
    let held = shop.reserve(&[(&prepaid, "k")], 40 * CENT).unwrap().hold;
    for _ in 0..3 {
        let end = at(Timestamp::MAX, 1);
        let verdict = shop.ask(&[(&prepaid, "k")], CENT, |ask| ask.now = end);
        assert!(matches!(verdict, Ok(Verdict::Refused(_))), "{verdict:?}");
    }
    assert!(shop.settle(held, Settle::ChargeHold).counted);
    assert_eq!(shop.read(&prepaid, "k").spent, 100 * CENT);
}

#[test]
fn a_clock_that_jumps_over_billions_of_slots_leaks_no_money() {
    for years in [1, 3, 6, 60, 500] {
        let shop = Shop::new();
        let second = Window::rolling(Duration::from_secs(1)).unwrap();
        let fast = budget("fast", "1 USD", second);
        let start = Timestamp::from_secs(1000);
        let ask = |cost, now| {
            let verdict = shop.ask(&[(&fast, "k")], cost, |ask| {
                ask.now = now;
                ask.expires_in = Duration::from_secs(3600);
            });
            match verdict.unwrap() {
                Verdict::Held(held) => Some(held.hold),
                Verdict::Refused(_) => None,
            }
        };
        let hold = ask(100 * CENT, at(start, 1)).unwrap();
        let later = start + Duration::from_secs(years * YEAR);
        assert_eq!(ask(CENT, at(later, 2)), None, "all of it is held");
        let settled = now(shop.store.settle(hold, Settle::Release, at(later, 3))).unwrap();
        assert!(settled.counted);
        assert!(ask(100 * CENT, at(later, 4)).is_some(), "{years} years");
    }
}

#[test]
fn a_window_that_changes_its_shape_takes_the_room_that_it_needs() {
    let shop = Shop::new();
    let day = budget("budget", "1 USD", Window::day());
    let hour = Window::rolling(Duration::from_secs(3600)).unwrap();
    let rolling = budget("budget", "1 USD", hour);
    let keys: Vec<_> = (0..1000).map(|key| format!("key-{key}")).collect();
    let spend = |limit| {
        for key in &keys {
            let hold = shop.reserve(&[(limit, key)], 1).unwrap().hold;
            assert!(shop.settle(hold, Settle::ChargeHold).counted);
        }
        shop.store.bytes()
    };
    let before = spend(&day);
    let slots = 1000 * crate::counter::memory::spending::SLOTS_BYTES;
    assert!(spend(&rolling) >= before + slots);
    assert_eq!(spend(&day), before);
}

#[test]
fn a_policy_that_goes_back_and_forth_gives_no_second_budget() {
    let shop = Shop::new();
    let hour = Window::rolling(Duration::from_secs(3600)).unwrap();
    let policies = [Window::day(), hour, Window::month(), Window::total()]
        .map(|window| budget("budget", "1 USD", window));
    let (mut given, mut open) = (0, Vec::new());
    for turn in 0..60 {
        let claims = [(&policies[turn % 4], "k")];
        if let Ok(held) = shop.reserve(&claims, 7 * CENT) {
            given += 7;
            match turn % 3 {
                0 => assert!(shop.settle(held.hold, Settle::ChargeHold).counted),
                _ => open.push(held.hold),
            }
        }
        shop.pass(1);
    }
    assert_eq!(given, 98);
    for hold in open {
        assert!(shop.settle(hold, Settle::Release).counted);
        given -= 7;
    }
    for policy in &policies {
        let state = shop.read(policy, "k");
        assert_eq!((state.spent, state.held), (given * CENT, 0), "{policy:?}");
    }
}
