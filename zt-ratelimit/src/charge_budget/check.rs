use std::sync::{Arc, Mutex};

use http::request::Parts;
use zt_core::{
    context::{SecurityContext, Stage},
    decision::Denial,
    gate::{Check, Later, Step},
};

use super::{
    ChargeBudgetLayer, Keeping, Pricing, Quote, Tab,
    account::Account,
    guard::{ChargeGuard, Purse},
    tab::Shared,
};
use crate::{
    answer,
    cost::Cost,
    counter::{Answer, CounterError, Moment},
    fields,
    limit::MAX_NANOS,
    limits::{Ask, Outcome},
};

/// What a request costs, and the answer to asking for that.
type Asked<G> = (Cost, Answer<Outcome<G>>);

impl<G: Keeping, P: Pricing> Check for ChargeBudgetLayer<G, P> {
    type Guard = Option<ChargeGuard<G>>;

    const NAME: &'static str = "ChargeBudget";
    const STAGE: Stage = Stage::Spend;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Self::Guard> {
        match self.reserve(parts, cx) {
            Err(denial) => denial.into(),
            Ok(None) => Step::pass(None),
            Ok(Some((cost, Answer::Now(outcome)))) => {
                self.admit(outcome, cost, parts, cx).map(Some).into()
            }
            Ok(Some((cost, Answer::Later(outcome)))) => {
                let layer = self.clone();
                Step::Later(Later::then(outcome, move |outcome, parts, cx| {
                    layer.admit(outcome, cost, parts, cx).map(Some)
                }))
            }
        }
    }
}

impl<G: Keeping, P: Pricing> ChargeBudgetLayer<G, P> {
    /// `None` where the request is free.
    fn reserve(&self, parts: &Parts, cx: &mut SecurityContext) -> Result<Option<Asked<G>>, Denial> {
        let rules = &*self.rules;
        rules.who.require(cx, Self::NAME)?;
        let Quote::Cost(cost) = self.pricing.price(parts, cx)? else {
            return Ok(None);
        };
        if rules.who.is_absent(cx) {
            return if rules.public_is_free {
                Ok(None)
            } else {
                Err(Denial::misordered(
                    "nobody knows who pays for a public route: name it free in the prices, or say \
                     `public_is_free()`",
                ))
            };
        }
        cx.set_effects();
        if cost.nanos() > MAX_NANOS {
            return Err(answer::unaffordable());
        }
        let now = Moment {
            wall: cx.now(),
            monotonic: cx.monotonic(),
        };
        let ask = Ask::at_most(cost).request(cx.request_id());
        let policy = rules.limits.current();
        let who = rules.who.of(parts, cx, &policy)?;
        let answer = rules.limits.reserve_by(&policy, &who, ask, now);
        Ok(Some((cost, answer)))
    }

    fn admit(
        &self,
        outcome: Result<Outcome<G>, CounterError>,
        cost: Cost,
        parts: &mut Parts,
        cx: &SecurityContext,
    ) -> Result<ChargeGuard<G>, Denial> {
        let rules = &*self.rules;
        let reservation = match outcome {
            Ok(Outcome::Held(reservation)) => reservation,
            Ok(Outcome::Refused(overspent)) => {
                let denial = answer::overspent(&overspent);
                return Err(if rules.headers {
                    fields::refuse(denial, overspent.slots())
                } else {
                    denial
                });
            }
            Err(error) => return Err(answer::unavailable(&error)),
        };
        let account = Account::open(reservation, cost, cx.monotonic());
        let purse = if rules.tab {
            if parts.extensions.get::<Tab>().is_some() {
                return Err(Denial::misordered(
                    "two layers hand a tab to the handler, which could put its costs on one only",
                ));
            }
            let shared = Arc::new(Shared {
                account: Mutex::new(account),
                limits: rules.limits.clone(),
            });
            parts.extensions.insert(Tab::new(Arc::clone(&shared)));
            Purse::Shared(shared)
        } else {
            Purse::Own(account)
        };
        let observing = cx.is_observing();
        Ok(ChargeGuard::new(Arc::clone(&self.rules), purse, observing))
    }
}
