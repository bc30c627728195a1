//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) of several limits.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use zt_core::decision::Denial;

use crate::{
    counter::Standing,
    limit::{Kind, Limit, MAX_NAME},
    limits::Slot,
};

/// Writes where the caller stands with the limits of the innermost level. Those further out say
/// what its neighbours spend.
pub(crate) fn write<'a>(
    headers: &mut HeaderMap,
    slots: impl Iterator<Item = (&'a Slot, Standing)>,
) {
    innermost(slots, |name, value| {
        headers.append(name, value);
    });
}

/// `denial` with the same.
pub(crate) fn refuse<'a>(
    denial: Denial,
    slots: impl Iterator<Item = (&'a Slot, Standing)>,
) -> Denial {
    let mut denial = Some(denial);
    innermost(slots, |name, value| {
        denial = denial.take().map(|denial| denial.header(name, value));
    });
    // It is put back each time.
    denial.unwrap_or_else(|| zt_core::decision::Code::BudgetExhausted.into())
}

fn innermost<'a>(
    slots: impl Iterator<Item = (&'a Slot, Standing)>,
    mut field: impl FnMut(HeaderName, HeaderValue),
) {
    // Where the caller has no limits of its own, there is nothing to say.
    for (slot, standing) in slots.filter(|(slot, _)| slot.innermost) {
        if let Some(value) = policy(&slot.limit, standing) {
            field(POLICY.clone(), value);
        }
        if let Some(value) = service_limit(&slot.limit, standing) {
            field(LIMIT.clone(), value);
        }
    }
}

/// Section 3: `"name";q=60;w=60`.
fn policy(limit: &Limit, standing: Standing) -> Option<HeaderValue> {
    let mut line = Line::default();
    line.name(limit)?;
    line.push(b";q=")?;
    line.integer(units(limit, standing.limit))?;
    let window = match limit.kind() {
        // What the interval was rounded up by, less than a nanosecond for each unit, is no second.
        Kind::Rate(rate) => Some(Duration::from_nanos(
            rate.window_nanos().saturating_sub(rate.burst_size()),
        )),
        // Days have 23 to 25 hours and months 28 to 31 days.
        Kind::Budget(budget) => budget.window().rolls_over(),
        Kind::Concurrency(_) => None,
    };
    if let Some(window) = window {
        line.push(b";w=")?;
        // Section 3.1.3: at least one second.
        line.integer(ceil_secs(window).max(1))?;
    }
    match limit.kind() {
        // Without `qu` it would be requests (section 3.1.2); no unit of money is registered.
        Kind::Budget(budget) => {
            line.push(b";qu=\"zt-micro-")?;
            line.push(budget.currency().as_str().to_ascii_lowercase().as_bytes())?;
            line.push(b"\"")?;
        }
        Kind::Concurrency(_) => line.push(b";qu=\"concurrent-requests\"")?,
        Kind::Rate(_) => {}
    }
    line.value()
}

/// Section 4: `"name";r=50;t=1`, without `t` where waiting brings nothing.
fn service_limit(limit: &Limit, standing: Standing) -> Option<HeaderValue> {
    let mut line = Line::default();
    line.name(limit)?;
    line.push(b";r=")?;
    line.integer(units(limit, standing.remaining))?;
    if let Some(wait) = standing.more_in {
        line.push(b";t=")?;
        line.integer(ceil_secs(wait))?;
    }
    line.value()
}

/// Money in micro-units, rounded down.
const fn units(limit: &Limit, amount: u64) -> u64 {
    match limit.kind() {
        Kind::Budget(_) => amount / 1000,
        _ => amount,
    }
}

/// Section 4.1.2: whole seconds. Rounded up, so that whoever waits that long finds more.
pub(crate) fn ceil_secs(span: Duration) -> u64 {
    span.as_secs()
        .saturating_add(u64::from(span.subsec_nanos() > 0))
}

pub(crate) static POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub(crate) static LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A field value in the making, on the stack: a name, its quotes, two numbers, three parameters.
pub(crate) struct Line {
    bytes: [u8; MAX_NAME + 2 + 2 * DIGITS + 40],
    len: usize,
}

/// `u64::MAX` has twenty.
const DIGITS: usize = 20;

/// RFC 9651 section 3.3.1: the largest integer.
const MAX_INTEGER: u64 = 999_999_999_999_999;

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; _],
            len: 0,
        }
    }
}

impl Line {
    fn name(&mut self, limit: &Limit) -> Option<()> {
        self.push(b"\"")?;
        self.push(limit.name().as_bytes())?;
        self.push(b"\"")
    }

    /// Larger ones are cut down to the largest that can be written.
    fn integer(&mut self, number: u64) -> Option<()> {
        self.number(number.min(MAX_INTEGER))
    }

    pub(crate) fn push(&mut self, text: &[u8]) -> Option<()> {
        let end = self.len.checked_add(text.len())?;
        self.bytes.get_mut(self.len..end)?.copy_from_slice(text);
        self.len = end;
        Some(())
    }

    pub(crate) fn number(&mut self, mut number: u64) -> Option<()> {
        let mut digits = [b'0'; DIGITS];
        let mut used = 0;
        for digit in digits.iter_mut().rev() {
            *digit += (number % 10) as u8;
            number /= 10;
            used += 1;
            if number == 0 {
                break;
            }
        }
        self.push(digits.get(DIGITS - used..)?)
    }

    pub(crate) fn value(&self) -> Option<HeaderValue> {
        HeaderValue::from_bytes(self.bytes.get(..self.len)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_they_are_read() {
        for number in [0, 1, 9, 10, 99, 100, 1_000_000, u64::MAX] {
            let mut line = Line::default();
            line.number(number).unwrap();
            assert_eq!(line.value().unwrap(), number.to_string());
        }
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, secs) in [(0, 0), (1, 1), (1000, 1), (1001, 2)] {
            assert_eq!(ceil_secs(Duration::from_millis(millis)), secs);
        }
    }

    #[test]
    fn the_longest_field_fits_and_is_an_integer_of_fifteen_digits() {
        let name = "n".repeat(MAX_NAME);
        let limit = Limit::concurrency(name, u32::MAX).unwrap();
        let standing = Standing {
            limit: u64::MAX,
            remaining: u64::MAX,
            more_in: Some(Duration::MAX),
        };
        let value = policy(&limit, standing).unwrap();
        let text = value.to_str().unwrap();
        assert!(
            text.ends_with("\";q=999999999999999;qu=\"concurrent-requests\""),
            "{text}"
        );
        assert!(service_limit(&limit, standing).is_some());
    }
}
