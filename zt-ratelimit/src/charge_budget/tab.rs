use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use zt_core::decision::{Code, Denial};

use super::{
    Keeping,
    account::{Account, Claim},
};
use crate::{
    answer,
    cost::Cost,
    counter::{Answer, CounterError, Extended},
    limit::MAX_NANOS,
    limits::{Limits, SettleError},
};

/// What a handler puts its costs on: in the request's extensions, where the layer was made
/// [`with_tab`](super::ChargeBudgetLayer::with_tab). Clones are the same tab.
///
/// A request whose handler never asks it is charged what was held; one whose handler asked, was
/// refused and stopped, only what it had put there before.
///
/// ```
/// use http::Request;
/// use zt_ratelimit::charge_budget::{Exhausted, Tab};
///
/// async fn handler(request: Request<()>) -> Result<(), Exhausted> {
///     if let Some(tab) = request.extensions().get::<Tab>() {
///         // Before each call to something that bills.
///         tab.charge("0.02 USD".parse().unwrap()).await?;
///     }
///     Ok(())
/// }
/// # let _ = handler;
/// ```
#[derive(Clone)]
pub struct Tab(Arc<dyn Spending>);

impl Tab {
    pub(super) fn new<G: Keeping>(shared: Arc<Shared<G>>) -> Self {
        Self(shared)
    }

    /// Puts `cost` on the tab, before it is spent. Where the hold has no room for it,
    /// [`Hard`](crate::limits::Hard) extends the hold first.
    ///
    /// Dropping the future puts nothing on the tab.
    ///
    /// # Errors
    ///
    /// When the budget has no room for it, its store cannot answer, it is of another currency, or
    /// the request is over; nothing was put on the tab then.
    pub async fn charge(&self, cost: Cost) -> Result<(), Exhausted> {
        let (claim, answer) = match self.0.begin(cost)? {
            Begun::Granted => return Ok(()),
            Begun::Asked(claim, answer) => (claim, answer),
        };
        let mut open = Open {
            tab: &*self.0,
            claim: Some(claim),
        };
        let answer = answer.wait().await;
        match open.claim.take() {
            Some(claim) => self.0.conclude(claim, answer),
            None => Ok(()),
        }
    }

    /// The request has cost so much until now, all in all, whatever was put on the tab. What is put
    /// on it later, or metered, comes on top.
    ///
    /// # Errors
    ///
    /// When it is of another currency, or, for [`Hard`](crate::limits::Hard), more than is held; what
    /// is held is charged then.
    pub fn actual(&self, cost: Cost) -> Result<(), SettleError> {
        self.0.actual(cost)
    }

    /// What is held for the request.
    #[must_use]
    pub fn held(&self) -> Cost {
        self.0.held()
    }
}

impl fmt::Debug for Tab {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tab").field(&self.held()).finish()
    }
}

/// There is no room for what was to be spent; the handler stops here.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Exhausted(Denial);

impl Exhausted {
    /// What callers may be told.
    #[must_use]
    pub const fn denial(&self) -> &Denial {
        &self.0
    }
}

impl From<Exhausted> for Denial {
    fn from(exhausted: Exhausted) -> Self {
        exhausted.0
    }
}

/// Takes back what was claimed and not answered.
struct Open<'a> {
    tab: &'a dyn Spending,
    claim: Option<Claim>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        if let Some(claim) = self.claim.take() {
            self.tab.withdraw(claim);
        }
    }
}

enum Begun {
    Granted,
    Asked(Claim, Answer<Extended>),
}

trait Spending: Send + Sync {
    fn begin(&self, cost: Cost) -> Result<Begun, Exhausted>;

    fn conclude(
        &self,
        claim: Claim,
        answer: Result<Extended, CounterError>,
    ) -> Result<(), Exhausted>;

    fn withdraw(&self, claim: Claim);

    fn actual(&self, cost: Cost) -> Result<(), SettleError>;

    fn held(&self) -> Cost;
}

/// An account that the guard and the handler share.
pub(super) struct Shared<G: Keeping> {
    pub(super) account: Mutex<Account<G>>,
    pub(super) limits: Limits,
}

impl<G: Keeping> Shared<G> {
    pub(super) fn lock(&self) -> MutexGuard<'_, Account<G>> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<G: Keeping> Spending for Shared<G> {
    fn begin(&self, cost: Cost) -> Result<Begun, Exhausted> {
        let mut account = self.lock();
        if account.reservation().is_none() {
            return Err(over());
        }
        if cost.currency() != account.currency() {
            return Err(Exhausted(Denial::misordered(
                "the handler puts costs of another currency on its tab",
            )));
        }
        account.metered = true;
        if cost.nanos() > MAX_NANOS {
            return Err(too_much());
        }
        let claim = account.claim(cost.nanos()).ok_or_else(too_much)?;
        if claim.more == 0 {
            account.grant(claim);
            return Ok(Begun::Granted);
        }
        match account.extend(claim.more, &self.limits) {
            Ok(answer) => Ok(Begun::Asked(claim, answer)),
            Err(error) => {
                account.withdraw(claim);
                let denial = Denial::new(Code::ClockUnavailable).detail(error.to_string());
                Err(Exhausted(denial))
            }
        }
    }

    fn conclude(
        &self,
        claim: Claim,
        answer: Result<Extended, CounterError>,
    ) -> Result<(), Exhausted> {
        let mut account = self.lock();
        if account.conclude(claim, &answer) {
            return Ok(());
        }
        Err(Exhausted(refused(&account, answer)))
    }

    fn withdraw(&self, claim: Claim) {
        self.lock().withdraw(claim);
    }

    fn actual(&self, cost: Cost) -> Result<(), SettleError> {
        let mut account = self.lock();
        let held = account.held();
        if cost.currency() != held.currency() {
            return Err(SettleError::Mismatch(cost.currency(), held.currency()));
        }
        match account.say(cost.nanos()) {
            true => Ok(()),
            false => Err(SettleError::AboveHold { actual: cost, held }),
        }
    }

    fn held(&self) -> Cost {
        self.lock().held()
    }
}

/// Why a hold could not be extended.
#[cold]
pub(super) fn refused<G: Keeping>(
    account: &Account<G>,
    answer: Result<Extended, CounterError>,
) -> Denial {
    match (answer, account.reservation()) {
        (Ok(Extended::Refused(refused)), Some(reservation)) => {
            answer::overspent(&reservation.overspent(refused))
        }
        (Err(error), _) => answer::unavailable(&error),
        (Ok(_), _) => over().0,
    }
}

#[cold]
fn over() -> Exhausted {
    let denial = Denial::new(Code::BudgetExhausted);
    Exhausted(denial.detail("the hold has ended: nothing can be charged to it any more"))
}

#[cold]
fn too_much() -> Exhausted {
    Exhausted(answer::unaffordable())
}
