//! Amounts that are read print as what is read again, prices and bills are never too low and never
//! a nano-unit too high, sums are exact or refused, and windows are spans that follow each other.
//!
//! The first line is an amount, the second a window and the moment for it, the rest are the numbers
//! of a bill.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::clock::Timestamp;
use zt_ratelimit::{
    Cost,
    cost::{Bill, CostError, Currency, Price},
    limit::Window,
};

fuzz_target!(|input: &[u8]| {
    let mut lines = input.splitn(3, |byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(line()) {
        amount(text);
    }
    if let Ok(text) = std::str::from_utf8(line()) {
        window(text);
    }
    bill(line());
});

fn amount(text: &str) {
    let Ok(cost) = text.parse::<Cost>() else {
        return;
    };
    let printed = cost.to_string();
    assert_eq!(printed.parse(), Ok(cost));
    assert!(printed.len() <= "18446744073.709551615 XTS".len());
    let json = serde_json::to_string(&cost).unwrap();
    assert_eq!(serde_json::from_str::<Cost>(&json).unwrap(), cost);
    assert_eq!(cost.micros(), cost.nanos() / 1000);

    // The naive way: digits without the point, filled up to nine behind it.
    let (number, code) = text.split_once(' ').unwrap();
    assert_eq!(code, cost.currency().as_str());
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut nanos = 0_u128;
    for digit in whole
        .bytes()
        .chain(fraction.bytes())
        .chain(std::iter::repeat_n(b'0', 9 - fraction.len()))
    {
        nanos = nanos * 10 + u128::from(digit - b'0');
    }
    assert_eq!(nanos, u128::from(cost.nanos()));

    let each = Price::per_million(cost);
    let million = each.times(1_000_000);
    match million {
        Ok(million) => {
            assert!(million.nanos() >= cost.nanos() && million.nanos() - cost.nanos() <= 1000)
        }
        Err(error) => assert_eq!(error, CostError::TooLarge),
    }
    assert_eq!(
        cost.checked_add(cost).ok().map(Cost::nanos),
        cost.nanos().checked_mul(2)
    );
}

fn window(text: &str) {
    let (text, at) = text.rsplit_once('@').unwrap_or((text, "0"));
    let Ok(window) = text.parse::<Window>() else {
        return;
    };
    assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let at = Timestamp::from_micros(at.parse().unwrap_or(0));
    let zones = [
        "UTC",
        "Europe/Berlin",
        "Pacific/Apia",
        "America/St_Johns",
        "Africa/Monrovia",
    ];
    for (hour, zone) in zones.into_iter().enumerate() {
        let Ok(window) = window
            .clone()
            .zone(zone)
            .and_then(|window| window.reset_hour(hour as u8 * 5))
        else {
            panic!("{zone}");
        };
        let Ok(span) = window.span_at(at) else {
            // Year 9999 minus a month.
            assert!(at.as_secs() > 253_370_000_000);
            continue;
        };
        assert!(
            span.contains(at) || (window.is_total() && at == Timestamp::MAX),
            "{window:?} {span:?} {at:?}"
        );
        if let Ok(same) = window.span_at(span.start)
            && !window.is_total()
        {
            assert_eq!(same, span, "{window:?} at {at:?}");
        }
        if let Ok(next) = window.span_at(span.end)
            && !window.is_total()
        {
            assert_eq!(next.start, span.end, "{window:?} at {at:?}");
        }
    }
}

fn bill(numbers: &[u8]) {
    let mut bill = Bill::new(Currency::XTS);
    let mut exact = Some(0_u128);
    for pair in numbers.chunks_exact(16) {
        let (picos, units) = pair.split_at(8);
        let picos = u64::from_le_bytes(picos.try_into().unwrap());
        let units = u64::from_le_bytes(units.try_into().unwrap());
        let more = u128::from(picos) * u128::from(units);
        let before = bill;
        let added = bill.add(Price::from_picos(picos, Currency::XTS), units);
        match exact.and_then(|sum| sum.checked_add(more)) {
            Some(sum) => {
                assert_eq!(added, Ok(()));
                exact = Some(sum);
            }
            None => {
                assert_eq!(added, Err(CostError::TooLarge));
                assert_eq!(bill, before);
            }
        }
        assert!(bill.add(Price::from_picos(1, Currency::EUR), 1).is_err());
    }
    let Some(exact) = exact else { return };
    match bill.total() {
        Ok(cost) => assert_eq!(u128::from(cost.nanos()), exact.div_ceil(1000)),
        Err(_) => assert!(exact > u128::from(u64::MAX) * 1000),
    }
}
