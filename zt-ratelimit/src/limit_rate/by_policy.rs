use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{request::Parts, response};
use tower_layer::Layer;
use zt_core::{
    context::{HandlerRun, SecurityContext, Stage, Trail},
    decision::Denial,
    gate::{Check, Gate, Guard, Later, Link, Root, Settlement, Step},
    stack::slots::Spends,
};

use super::LimitRateLayer;
use crate::{
    answer,
    counter::{Answer, CounterError, Moment},
    fields,
    limit::Kind,
    limits::{Ask, Hard, Limits, LimitsError, Outcome, Reservation},
    who::Who,
};

/// By the limits of a policy: see [`LimitRateLayer::by_limits`].
#[derive(Debug, Clone, Copy)]
pub enum ByPolicy {}

impl LimitRateLayer<ByPolicy> {
    /// Counts by several limits at once, rates and how many at once, of each level that `who` names,
    /// in the store of `limits`: all of them have room, or none is spent from. A permit comes back
    /// when the body of the answer has ended.
    ///
    /// It stands behind authentication, unless `who` needs nobody's name; public routes pass. A
    /// store that cannot answer refuses with `store-unavailable`.
    ///
    /// A permit also comes back by itself when nothing of the request was seen for the
    /// [`hold_time`](crate::limits::LimitsBuilder::hold_time) of `limits`: make that longer than the
    /// handler takes and than an answer is ever silent.
    ///
    /// ```
    /// use std::time::Duration;
    /// use zt_ratelimit::{
    ///     Limit, LimitRateLayer, Limits, Who,
    ///     counter::MemoryCounters,
    ///     limits::{Level, Policy},
    /// };
    ///
    /// let policy = Policy::new([
    ///     Level::new("tenant", [Limit::rate("tenant", 1000, Duration::from_secs(1))?]),
    ///     Level::new("caller", [
    ///         Limit::rate("caller", 60, Duration::from_secs(60))?,
    ///         Limit::concurrency("caller-parallel", 4)?,
    ///     ]),
    /// ])?;
    /// let limits = Limits::builder(MemoryCounters::new()).build(policy)?;
    /// let limit = LimitRateLayer::by_limits(limits, Who::by_tenant_and_principal())?;
    /// # let _ = limit;
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the policy has budgets: nobody says what a request costs. That is
    /// [`ChargeBudgetLayer`](crate::ChargeBudgetLayer)'s.
    pub fn by_limits(limits: Limits, who: Who) -> Result<LimitRateByPolicyLayer, LimitsError> {
        if limits.policy().has_budgets() {
            return Err(LimitsError::Budgets);
        }
        Ok(LimitRateByPolicyLayer(Arc::new(Rules {
            limits,
            who,
            weight: None,
            headers: true,
        })))
    }
}

/// Refuses requests that a limit of a policy has no room for; made by
/// [`LimitRateLayer::by_limits`].
#[derive(Clone)]
pub struct LimitRateByPolicyLayer(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    limits: Limits,
    who: Who,
    weight: Option<Arc<Weight>>,
    headers: bool,
}

type Weight = dyn Fn(&Parts, &SecurityContext) -> u64 + Send + Sync;

impl LimitRateByPolicyLayer {
    /// How many units of each rate a request spends; one, unless this is set.
    #[must_use]
    pub fn weight(
        mut self,
        weight: impl Fn(&Parts, &SecurityContext) -> u64 + Send + Sync + 'static,
    ) -> Self {
        Arc::make_mut(&mut self.0).weight = Some(Arc::new(weight));
        self
    }

    /// Answers do not say where the caller stands with the limits of the innermost level. Refusals
    /// still say `Retry-After`.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        Arc::make_mut(&mut self.0).headers = false;
        self
    }
}

impl Check for LimitRateByPolicyLayer {
    type Guard = Option<PermitGuard>;

    const NAME: &'static str = "LimitRate by policy";
    const STAGE: Stage = Stage::Spend;

    fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<Self::Guard> {
        match self.reserve(parts, cx) {
            Err(denial) => denial.into(),
            Ok(None) => Step::pass(None),
            Ok(Some(Answer::Now(outcome))) => self.admit(outcome, cx.monotonic()).into(),
            Ok(Some(Answer::Later(outcome))) => {
                let layer = self.clone();
                Step::Later(Later::then(outcome, move |outcome, _, cx| {
                    layer.admit(outcome, cx.monotonic())
                }))
            }
        }
    }
}

impl LimitRateByPolicyLayer {
    /// `None` where no limit holds.
    fn reserve(
        &self,
        parts: &Parts,
        cx: &SecurityContext,
    ) -> Result<Option<Answer<Outcome<Hard>>>, Denial> {
        let rules = &*self.0;
        rules.who.require(cx, Self::NAME)?;
        if rules.who.is_absent(cx) {
            return Ok(None);
        }
        let weight = rules.weight.as_ref().map_or(1, |weigh| weigh(parts, cx));
        let ask = Ask::free().weight(weight).request(cx.request_id());
        let now = Moment {
            wall: cx.now(),
            monotonic: cx.monotonic(),
        };
        let policy = rules.limits.current();
        let who = rules.who.of(parts, cx, &policy)?;
        Ok(Some(rules.limits.reserve_by(&policy, &who, ask, now)))
    }

    fn admit(
        &self,
        outcome: Result<Outcome<Hard>, CounterError>,
        now: Duration,
    ) -> Result<Option<PermitGuard>, Denial> {
        match outcome {
            // Nothing has to be done for it any more.
            Ok(Outcome::Held(reservation)) if !reservation.holds() && !self.0.headers => Ok(None),
            Ok(Outcome::Held(reservation)) => {
                let mut slots = reservation.slots();
                let holds_permit =
                    slots.any(|(slot, _)| matches!(slot.limit.kind(), Kind::Concurrency(_)));
                drop(slots);
                Ok(Some(PermitGuard(Box::new(Kept {
                    rules: Arc::clone(&self.0),
                    reservation: Some(reservation),
                    holds_permit,
                    renewed: now,
                }))))
            }
            Ok(Outcome::Refused(overspent)) => {
                let denial = answer::overspent(&overspent);
                Err(match self.0.headers {
                    true => fields::refuse(denial, overspent.slots()),
                    false => denial,
                })
            }
            Err(error) => Err(answer::unavailable(&error)),
        }
    }
}

/// Holds a request's permits. Where there is nothing to hold it is not there, and takes no place.
pub struct PermitGuard(Box<Kept>);

struct Kept {
    rules: Arc<Rules>,
    reservation: Option<Reservation<Hard>>,
    holds_permit: bool,
    /// When the hold last got its full time.
    renewed: Duration,
}

impl PermitGuard {
    fn release(&mut self, now: Option<Moment>) {
        if let Some(reservation) = self.0.reservation.take() {
            reservation.release_at(now);
        }
    }
}

impl Guard for PermitGuard {
    const METERS: bool = true;

    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        if let Some(reservation) = &self.0.reservation
            && self.0.rules.headers
        {
            fields::write(&mut head.headers, reservation.slots());
        }
        if trail.handler() == HandlerRun::NotReached {
            // Now, and not when the caller has read why.
            self.release(None);
        }
    }

    /// Keeps the permit while pieces go out; nothing waits for that.
    fn poll_frame(
        &mut self,
        _: &mut Context<'_>,
        _: &Bytes,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        let kept = &mut *self.0;
        let limits = &kept.rules.limits;
        if kept.holds_permit
            && let Some(reservation) = &mut kept.reservation
            && let Ok(now) = Moment::of(limits.clock())
            && now.monotonic.saturating_sub(kept.renewed) >= limits.hold_time() / 2
        {
            kept.renewed = now.monotonic;
            if let Answer::Later(later) = reservation.renew(now) {
                limits.spawn(later);
            }
        }
        Poll::Ready(Ok(()))
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        self.release(Some(Moment::at_end(settlement)));
    }
}

impl fmt::Debug for PermitGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PermitGuard")
    }
}

impl fmt::Debug for LimitRateByPolicyLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitRateByPolicyLayer")
            .field("limits", &self.0.limits)
            .field("who", &self.0.who)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for LimitRateByPolicyLayer {
    type Service = Gate<S, Link<Root, Self>>;

    fn layer(&self, inner: S) -> Self::Service {
        Gate::new(inner, Link::first(self.clone()))
    }
}

impl Spends for LimitRateByPolicyLayer {}
