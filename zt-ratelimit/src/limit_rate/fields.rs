//! `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10).

use std::{fmt, sync::Arc};

use http::{HeaderValue, response};
use zt_core::{context::Trail, decision::Denial, gate::Guard};

use super::{
    Quota,
    table::{Charge, Outcome},
};
use crate::fields::{LIMIT, Line, POLICY, ceil_secs};

/// Writes a limit's header fields into the answer of a request that passed it.
#[derive(Debug)]
pub struct RateLimitFields {
    writer: Arc<Writer>,
    charge: Charge,
}

impl Guard for RateLimitFields {
    const SETTLES: bool = false;

    fn head(&mut self, head: &mut response::Parts, _: &Arc<Trail>) {
        // Sections 3 and 4: several limits are members of one list, which RFC 9651 section 3.1
        // lets stand in several fields.
        let headers = &mut head.headers;
        if let Some(policy) = &self.writer.policy {
            headers.append(POLICY.clone(), policy.clone());
        }
        if let Some(value) = self.writer.service_limit(&self.charge) {
            headers.append(LIMIT.clone(), value);
        }
    }
}

/// What the header fields of one limit have in common.
pub(super) struct Writer {
    /// There is none only if a name were let in that cannot be written.
    policy: Option<HeaderValue>,
    /// `"name";r=`
    start: Box<[u8]>,
}

impl Writer {
    pub(super) fn new(quota: &Quota) -> Self {
        let name = quota.name();
        // Section 3.1: `q` is what can be spent at once, `w` the time in which it comes back, at
        // least one second (section 3.1.3) and rounded up, so that no more is promised than holds.
        let window = ceil_secs(quota.window());
        let policy = format!("\"{name}\";q={};w={window}", quota.burst_size());
        Self {
            policy: HeaderValue::try_from(policy).ok(),
            start: format!("\"{name}\";r=").into_bytes().into(),
        }
    }

    pub(super) fn guard(self: &Arc<Self>, charge: Charge) -> RateLimitFields {
        RateLimitFields {
            writer: Arc::clone(self),
            charge,
        }
    }

    /// `denial` with the fields.
    pub(super) fn refuse(&self, denial: Denial, charge: &Charge) -> Denial {
        let policy = self.policy.clone().map(|value| (POLICY.clone(), value));
        let limit = self
            .service_limit(charge)
            .map(|value| (LIMIT.clone(), value));
        policy
            .into_iter()
            .chain(limit)
            .fold(denial, |denial, (name, value)| denial.header(name, value))
    }

    /// `"name";r=50;t=1`, without `t` where waiting does not help the request.
    fn service_limit(&self, charge: &Charge) -> Option<HeaderValue> {
        let mut line = Line::default();
        line.push(&self.start)?;
        line.number(charge.remaining.into())?;
        if charge.outcome != Outcome::Never {
            line.push(b";t=")?;
            line.number(ceil_secs(charge.more_in))?;
        }
        line.value()
    }
}

/// The policy.
impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.policy.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::quota::MAX_NAME, *};

    #[test]
    fn the_longest_field_fits() {
        let name = "n".repeat(MAX_NAME);
        let quota = Quota::new(name.clone(), u32::MAX, Duration::from_secs(5)).unwrap();
        let charge = Charge {
            outcome: Outcome::Admitted,
            remaining: u32::MAX,
            more_in: Duration::MAX,
        };
        let value = Writer::new(&quota).service_limit(&charge).unwrap();
        assert_eq!(value, format!("\"{name}\";r=4294967295;t={}", u64::MAX));
    }
}
