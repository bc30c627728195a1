use std::{num::NonZeroU32, sync::Arc};

use http::request::Parts;
use zt_core::{
    context::{SecurityContext, Stage},
    decision::{Code, Denial},
    gate::{Check, Step},
};

use super::{CountBy, LimitRateLayer, RateLimitFields, key::Counted, table::Outcome};

impl<B: CountBy> Check for LimitRateLayer<B> {
    type Guard = Option<RateLimitFields>;

    const NAME: &'static str = B::NAME;
    const STAGE: Stage = B::STAGE;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Self::Guard> {
        self.decide(parts, cx).into()
    }
}

impl<B: CountBy> LimitRateLayer<B> {
    fn decide(
        &self,
        parts: &Parts,
        cx: &SecurityContext,
    ) -> Result<Option<RateLimitFields>, Denial> {
        let limit = &*self.limit;
        let (table, key) = match self.by.count(parts, cx, limit.quota.ipv6_bits())? {
            Counted::As(key) => (limit.named(), key),
            Counted::Anonymous(key) => (limit.anonymous(), key),
            Counted::Exempt => return Ok(None),
        };
        let weight = self.weight.as_ref().map_or(1, |weigh| weigh(parts, cx));
        let Some(weight) = NonZeroU32::new(weight) else {
            return Ok(None);
        };

        let charge = table.charge(key, weight, cx.monotonic());
        let denial = match charge.outcome {
            Outcome::Admitted => return Ok(self.headers.then(|| limit.writer.guard(charge))),
            Outcome::Wait(wait) => Denial::new(Code::RateLimited).retry_after(wait),
            // RFC 6585 section 4: `Retry-After` is optional, and here no wait would help.
            Outcome::Never => Denial::new(Code::RateLimited)
                .sentence("the request asks for more than the limit ever gives")
                .detail("the request's weight is above the limit's burst"),
        }
        .violates(Arc::clone(limit.quota.name()));
        Err(if self.headers {
            limit.writer.refuse(denial, &charge)
        } else {
            denial
        })
    }
}
