//! Plain threads on one budget.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use super::*;

#[test]
fn a_thousand_dimes_at_once_never_spend_more_than_five_dollars() {
    const DIME: u64 = 10 * CENT;
    const LIMIT: u64 = 50 * DIME;
    let (mut spent_by_others, mut rounds_full) = (0, 0);
    for round in 0..20_u64 {
        let shop = Shop::new();
        let money = budget("money", "5 USD", Window::day());
        let ledger = AtomicU64::new(0);
        let (admitted, denied, wrongly) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        thread::scope(|scope| {
            for worker in 0..8_u64 {
                let (shop, money, ledger) = (&shop, &money, &ledger);
                let (admitted, denied, wrongly) = (&admitted, &denied, &wrongly);
                scope.spawn(move || {
                    let mut open = Vec::new();
                    for step in 0..125_u64 {
                        let luck =
                            (round * 1000 + worker * 125 + step).wrapping_mul(0x9e37_79b9) >> 7;
                        match shop.reserve(&[(money, "k")], DIME) {
                            Ok(held) => {
                                admitted.fetch_add(1, Ordering::Relaxed);
                                open.push((held.hold, luck));
                            }
                            Err(refused) => {
                                denied.fetch_add(1, Ordering::Relaxed);
                                // All of it was spent or held at the instant of the refusal.
                                if refused.standings[0].remaining >= DIME {
                                    wrongly.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        }
                        if luck % 3 != 0 {
                            continue;
                        }
                        for (hold, luck) in open.drain(..) {
                            // Three in ten are cancelled.
                            let how = match luck % 10 {
                                0..3 => Settle::Release,
                                3..6 => Settle::Charge(DIME / 2),
                                _ => Settle::ChargeHold,
                            };
                            let settled = shop.settle(hold, how);
                            assert!(settled.counted);
                            let after = ledger.fetch_add(settled.charged, Ordering::SeqCst);
                            assert!(after + settled.charged <= LIMIT);
                        }
                        let state = shop.read(money, "k");
                        assert!(state.spent + state.held <= LIMIT);
                    }
                    for (hold, _) in open {
                        assert!(shop.settle(hold, Settle::Release).counted);
                    }
                });
            }
        });
        let state = shop.read(&money, "k");
        assert_eq!((state.spent, state.held), (ledger.into_inner(), 0));
        assert!(state.spent <= LIMIT);
        assert_eq!(wrongly.into_inner(), 0);
        assert_eq!(admitted.into_inner() + denied.into_inner(), 1000);
        assert_eq!(shop.store.live_holds(), 0);
        spent_by_others += state.spent;
        rounds_full += u64::from(state.spent + DIME > LIMIT);
    }
    assert!(spent_by_others > 0 && rounds_full > 0, "nothing raced");
}
