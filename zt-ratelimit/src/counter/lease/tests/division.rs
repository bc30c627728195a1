//! The division of one lease, under every order of steps that a scheduler finds.

use shuttle::{
    sync::{Arc, Mutex},
    thread,
};
use zt_core::clock::Timestamp;

use super::*;
use crate::{
    counter::{
        Marks,
        lease::{
            opens::Opens,
            stock::{Finishes, Kinds, Lease, Need, Stock},
        },
    },
    limit::Span,
};

const GRANTED: u64 = 100;
const NOW: Moment = Moment {
    wall: Timestamp::from_secs(1000),
    monotonic: Duration::from_secs(1000),
};

fn lease(opens: &Opens, id: u128) -> Lease {
    Lease {
        id: HoldId(id),
        number: 0,
        granted: GRANTED,
        charged: 0,
        out: 0,
        permits: 2,
        permits_out: 0,
        live: 0,
        born: NOW.monotonic,
        deadline: NOW.monotonic + MINUTE,
        window: Span {
            start: Timestamp::EPOCH,
            end: Timestamp::MAX,
        },
        spans: smallvec::SmallVec::new(),
        would_refuse: Marks::default(),
        retired: false,
        renewing: false,
        open: opens.open(),
    }
}

/// What the store heard.
#[derive(Debug, Default)]
struct Heard {
    charged: u64,
    granted: u64,
    leases: u64,
}

fn hear(heard: &Mutex<Heard>, finishes: Finishes) {
    let mut heard = heard.lock().unwrap();
    for finish in finishes {
        heard.charged += finish.charged;
        heard.leases += 1;
    }
}

fn divide() {
    let kinds = Kinds {
        budgets: true,
        rates: true,
        concurrency: true,
    };
    let opens = Opens::default();
    let mut stock = Stock::new(kinds, 0);
    stock.add(lease(&opens, 1));
    stock.add_units(6, NOW.monotonic + MINUTE);
    let stock = Arc::new(Mutex::new(stock));
    let heard = Arc::new(Mutex::new(Heard {
        granted: GRANTED,
        ..Heard::default()
    }));
    let spent = Arc::new(Mutex::new((0, 0)));
    let mut threads = Vec::new();
    for cost in [30, 50, 70] {
        let (stock, heard, spent) = (stock.clone(), heard.clone(), spent.clone());
        threads.push(thread::spawn(move || {
            for actual in [cost, cost / 2, 0] {
                let need = Need {
                    cost,
                    weight: 1,
                    permits: 1,
                };
                let until = NOW.monotonic + MINUTE;
                let Ok(taken) = stock.lock().unwrap().take(need, until, NOW) else {
                    continue;
                };
                for lease in stock.lock().unwrap().leases() {
                    assert!(lease.charged + lease.out <= lease.granted);
                    assert!(lease.permits_out <= lease.permits);
                }
                let how = Settle::Charge(actual);
                let ended = stock
                    .lock()
                    .unwrap()
                    .settle(taken.slot, taken.serial, how)
                    .unwrap();
                let again = stock.lock().unwrap().settle(taken.slot, taken.serial, how);
                assert!(again.is_none(), "it counts once");
                let mut spent = spent.lock().unwrap();
                *spent = (spent.0 + actual, spent.1 + 1);
                drop(spent);
                hear(&heard, ended.finish.into_iter().collect());
            }
        }));
    }
    let (other, told, more) = (stock.clone(), heard.clone(), opens.clone());
    threads.push(thread::spawn(move || {
        let finishes = other.lock().unwrap().retire();
        hear(&told, finishes);
        let (_, finishes) = other.lock().unwrap().add(lease(&more, 2));
        other.lock().unwrap().add_units(2, NOW.monotonic + MINUTE);
        told.lock().unwrap().granted += GRANTED;
        hear(&told, finishes);
        let finishes = other.lock().unwrap().surplus();
        hear(&told, finishes);
    }));
    for thread in threads {
        thread.join().unwrap();
    }
    let finishes = stock.lock().unwrap().retire();
    hear(&heard, finishes);
    let (heard, spent) = (heard.lock().unwrap(), spent.lock().unwrap());
    assert_eq!(heard.charged, spent.0);
    assert!(heard.charged <= heard.granted);
    assert!(spent.1 <= 8, "no more units than there were");
    assert_eq!(heard.leases, 2);
    assert_eq!(opens.count(), 0);
}

#[test]
fn in_no_order_of_steps_is_more_handed_out_than_there_is() {
    shuttle::check_random(divide, 5000);
    shuttle::check_pct(divide, 5000, 3);
}
