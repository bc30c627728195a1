use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, response};
use zt_core::{
    context::{HandlerRun, Trail},
    decision::{Code, Denial},
    gate::{End, Guard, Settlement},
    store::BoxFuture,
};

use super::{
    Failure, Keeping,
    account::{Account, Claim},
    layer::{Actual, Meter, Rules},
    tab::{Shared, refused},
};
use crate::{
    answer,
    cost::{Cost, Currency},
    counter::{Answer, CounterError, Extended, Moment},
    fields,
    limit::MAX_NANOS,
};

/// Holds what a request costs, and settles it.
pub struct ChargeGuard<G: Keeping> {
    rules: Arc<Rules>,
    purse: Purse<G>,
    /// The extension that a piece of the body waits for.
    pending: Option<Pending>,
    observing: bool,
    /// Whether a refusal is what goes out.
    refused: bool,
}

/// Whose the account is.
#[expect(
    clippy::large_enum_variant,
    reason = "most accounts are the guard's alone, and a box for each request costs more"
)]
pub(super) enum Purse<G: Keeping> {
    /// The guard's alone.
    Own(Account<G>),
    /// The handler's too.
    Shared(Arc<Shared<G>>),
}

struct Pending {
    claim: Claim,
    asked: u64,
    answer: BoxFuture<'static, Result<Extended, CounterError>>,
}

impl<G: Keeping> Purse<G> {
    fn with<T>(&mut self, act: impl FnOnce(&mut Account<G>) -> T) -> T {
        match self {
            Self::Own(account) => act(account),
            Self::Shared(shared) => act(&mut shared.lock()),
        }
    }
}

impl<G: Keeping> ChargeGuard<G> {
    pub(super) const fn new(rules: Arc<Rules>, purse: Purse<G>, observing: bool) -> Self {
        Self {
            rules,
            purse,
            pending: None,
            observing,
            refused: false,
        }
    }

    /// What the answer says that the request cost.
    fn read(&mut self, header: &HeaderName, head: &response::Parts) -> Result<(), Denial> {
        let (actual, fits) = self.purse.with(|account| {
            let actual = amount(&head.headers, header, account.currency());
            match (actual, account.reservation()) {
                (None, Some(reservation))
                    if !head.status.is_server_error() && !account.is_said() =>
                {
                    reservation.unmetered();
                }
                _ => {}
            }
            (
                actual,
                actual.is_none_or(|actual| account.say(actual.nanos())),
            )
        });
        // What is above the hold is told when it is settled.
        if fits || self.observing {
            return Ok(());
        }
        let denial =
            answer::unaffordable().sentence("the request cost more than was reserved for it");
        Err(match actual {
            Some(actual) => {
                denial.detail(format!("{actual} was spent, which is more than was held"))
            }
            None => denial,
        })
    }

    /// Claims what a piece of the body costs, and asks for more where the hold has no room for it.
    fn claim(&mut self, meter: &Meter, data: &Bytes) -> Result<Option<Pending>, Denial> {
        let units = (meter.units)(data);
        let limits = &self.rules.limits;
        self.purse.with(|account| {
            let amount = match account.bill(meter.price, units) {
                Ok(amount) => amount,
                // More than can be counted is all that can be.
                Err(_) if !G::ENFORCES => u64::MAX >> 1,
                Err(_) => return Err(answer::unaffordable()),
            };
            let claim = match account.claim(amount) {
                Some(claim) => claim,
                None if !G::ENFORCES => return Ok(None),
                None => return Err(answer::unaffordable()),
            };
            if claim.more == 0 && !account.is_stale(limits) {
                account.grant(claim);
                return Ok(None);
            }
            let asked = match claim.more {
                0 => 0,
                more => more.max(meter.step),
            };
            ask(account, &self.rules, claim, asked)
        })
    }

    /// Gives the hold its full time again, where nothing is metered; nobody waits for that.
    fn renew(&mut self) {
        let limits = &self.rules.limits;
        self.purse.with(|account| {
            if account.is_stale(limits)
                && let Ok(Answer::Later(later)) = account.extend(0, limits)
            {
                limits.spawn(later);
            }
        });
    }

    /// What is charged; `None` for what is held.
    fn actual(&mut self, settlement: &Settlement<'_>) -> Option<u64> {
        // Nothing of the body of an answer to HEAD, or to a condition that did not hold, went out,
        // and the handler ran all the same: a caller can ask so.
        let bodiless = *settlement.trail.method() == Method::HEAD
            || settlement.status == Some(StatusCode::NOT_MODIFIED);
        let by_body = matches!(self.rules.actual, Actual::Body(_));
        self.purse.with(|account| {
            let metered = account.metered && !(by_body && bodiless);
            (account.is_said() || metered).then(|| account.granted())
        })
    }
}

/// Extends the hold by `asked` nano-units for `claim`.
fn ask<G: Keeping>(
    account: &mut Account<G>,
    rules: &Rules,
    claim: Claim,
    asked: u64,
) -> Result<Option<Pending>, Denial> {
    let answer = match account.extend(asked, &rules.limits) {
        Ok(Answer::Now(answer)) => return concluded(account, rules, claim, asked, answer),
        Ok(Answer::Later(answer)) => answer,
        Err(error) => {
            account.withdraw(claim);
            return Err(Denial::new(Code::ClockUnavailable).detail(error.to_string()));
        }
    };
    Ok(Some(Pending {
        claim,
        asked,
        answer,
    }))
}

/// What becomes of a piece of the body for which the hold was to be extended.
fn concluded<G: Keeping>(
    account: &mut Account<G>,
    rules: &Rules,
    claim: Claim,
    asked: u64,
    answer: Result<Extended, CounterError>,
) -> Result<Option<Pending>, Denial> {
    // A step did not fit; what is needed now may.
    if asked > claim.more && matches!(answer, Ok(Extended::Refused(_))) {
        return ask(account, rules, claim, claim.more);
    }
    // Where the hold has room, this only was to keep it alive.
    if claim.more == 0 {
        if let (Ok(done), Some(reservation)) = (&answer, account.reservation_mut()) {
            reservation.extended(done);
        }
        account.grant(claim);
        return Ok(None);
    }
    match account.conclude(claim, &answer) {
        true => Ok(None),
        false => Err(refused(account, answer)),
    }
}

impl<G: Keeping> Guard for ChargeGuard<G> {
    const METERS: bool = true;

    fn poll_release(
        &mut self,
        _: &mut Context<'_>,
        head: &response::Parts,
        trail: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if is_refusal(head, trail) {
            return Poll::Ready(Ok(()));
        }
        if matches!(self.rules.actual, Actual::Hold) {
            return Poll::Ready(Ok(()));
        }
        let rules = Arc::clone(&self.rules);
        Poll::Ready(match &rules.actual {
            Actual::Header(header) => self.read(header, head),
            Actual::Body(_) if G::ENFORCES && upgrades(head, trail) => Err(Denial::misordered(
                "the body of an answer is metered, and this one upgrades the connection",
            )),
            _ => Ok(()),
        })
    }

    fn head(&mut self, head: &mut response::Parts, trail: &Arc<Trail>) {
        self.refused = is_refusal(head, trail);
        if trail.handler() == HandlerRun::NotReached {
            // Now, and not when the caller has read why.
            if let Some(reservation) = self.purse.with(Account::close) {
                reservation.release();
            }
            return;
        }
        match &self.rules.actual {
            Actual::Header(header) => drop(head.headers.remove(header)),
            // From here on it is known what goes out.
            Actual::Body(_) if !self.refused && !upgrades(head, trail) => {
                self.purse.with(|account| account.metered = true);
            }
            _ => {}
        }
        if self.rules.headers && !self.refused {
            self.purse.with(|account| {
                if let Some(reservation) = account.reservation() {
                    fields::write(&mut head.headers, reservation.slots());
                }
            });
        }
    }

    fn poll_frame(
        &mut self,
        task: &mut Context<'_>,
        data: &Bytes,
        _: &Arc<Trail>,
    ) -> Poll<Result<(), Denial>> {
        if self.refused {
            return Poll::Ready(Ok(()));
        }
        if !matches!(self.rules.actual, Actual::Body(_)) {
            self.renew();
            return Poll::Ready(Ok(()));
        }
        let mut pending = match self.pending.take() {
            Some(pending) => pending,
            None => {
                let rules = Arc::clone(&self.rules);
                let Actual::Body(meter) = &rules.actual else {
                    return Poll::Ready(Ok(()));
                };
                match self.claim(meter, data)? {
                    Some(pending) => pending,
                    None => return Poll::Ready(Ok(())),
                }
            }
        };
        loop {
            let Poll::Ready(answer) = pending.answer.as_mut().poll(task) else {
                self.pending = Some(pending);
                return Poll::Pending;
            };
            let Pending { claim, asked, .. } = pending;
            let rules = &self.rules;
            let next = self
                .purse
                .with(|account| concluded(account, rules, claim, asked, answer));
            match next? {
                Some(next) => pending = next,
                None => return Poll::Ready(Ok(())),
            }
        }
    }

    fn settle(&mut self, settlement: &Settlement<'_>) {
        let actual = self.actual(settlement);
        let (reservation, held) = self.purse.with(|account| {
            let held = account.held();
            (account.close(), held)
        });
        let Some(mut reservation) = reservation else {
            return;
        };
        let now = Moment::at_end(settlement);
        if settlement.handler == HandlerRun::NotReached {
            reservation.release_at(Some(now));
            return;
        }
        // Whatever becomes of this settlement, somebody was served.
        reservation.dispatch();
        let failed = settlement.end == End::Failed
            || settlement.handler == HandlerRun::Panicked
            || settlement
                .status
                .is_some_and(|status| status.is_server_error());
        match (failed, self.rules.failure, actual) {
            (true, Failure::Release, _) => reservation.release_at(Some(now)),
            (true, Failure::ChargeHold, _) | (_, _, None) => reservation.charge_at(Some(now)),
            (_, _, Some(nanos)) => {
                let actual = Cost::from_nanos(nanos.min(MAX_NANOS), held.currency());
                // What is above the hold is told where it was noticed.
                let _ = G::settle(reservation, actual, now);
            }
        }
    }
}

/// Whether the answer is a gate's refusal, this one's or that of one further in. That there was a
/// denial is not enough: a layer in between may have tried again.
fn is_refusal(head: &response::Parts, trail: &Trail) -> bool {
    trail.handler() == HandlerRun::NotReached
        || (trail.denial().is_some() && head.extensions.get::<Denial>().is_some())
}

/// Whether what follows the head is not a body (as the gate sees it).
fn upgrades(head: &response::Parts, trail: &Trail) -> bool {
    head.status == StatusCode::SWITCHING_PROTOCOLS
        || (*trail.method() == Method::CONNECT && head.status.is_success())
}

/// Exactly one, in whole micro-units or as an amount.
fn amount(headers: &HeaderMap, name: &HeaderName, currency: Currency) -> Option<Cost> {
    let mut values = headers.get_all(name).iter();
    let text = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Cost::from_micros(text.parse().ok()?, currency).ok();
    }
    let cost: Cost = text.parse().ok()?;
    (cost.currency() == currency).then_some(cost)
}

impl<G: Keeping> fmt::Debug for ChargeGuard<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChargeGuard")
            .field("guarantee", &G::NAME)
            .finish_non_exhaustive()
    }
}
