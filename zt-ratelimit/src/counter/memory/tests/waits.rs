//! Whoever is told to wait is admitted after it, and not before.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn whoever_waits_as_long_as_told_is_admitted_and_not_before(
        spends in proptest::collection::vec((0..40_u64, 0..400_000_u64), 1..30),
        cost in 1..100_u64, window in 0..3_usize,
    ) {
        let shop = Shop::new();
        let window = [
            Window::rolling(Duration::from_secs(1234)).unwrap(),
            Window::day(),
            Window::month().zone("Europe/Berlin").unwrap().reset_hour(3).unwrap(),
        ][window].clone();
        let money = budget("money", "0.0000001 USD", window);
        let claims = [(&money, "k")];
        for (cost, millis) in spends {
            shop.clock.advance(Duration::from_millis(millis));
            if let Ok(held) = shop.reserve(&claims, cost) {
                let _ = shop.settle(held.hold, Settle::ChargeHold);
            }
        }
        let Err(refused) = shop.reserve(&claims, cost) else {
            return Ok(());
        };
        let wait = refused.standings[0].more_in.unwrap();
        shop.clock.advance(wait.saturating_sub(Duration::from_micros(1)));
        prop_assert!(shop.reserve(&claims, cost).is_err(), "it came sooner than {:?}", wait);
        shop.clock.advance(Duration::from_micros(1));
        prop_assert!(shop.reserve(&claims, cost).is_ok(), "it did not come after {:?}", wait);
    }
}
