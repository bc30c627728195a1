//! What administrators see and do.
//!
//! Each act that changes something is recorded with its author first (an `admin` event), done once
//! that is durable, and then recorded with its effect (a `budget` event). An audit log that cannot
//! write changes nothing. An act that was not done is recorded as `not done`. Whoever only looks is
//! recorded too, before anything is shown.
//!
//! ```
//! # use zt_core::clock::{Clock, ManualClock};
//! # use zt_ratelimit::{Limit, Limits, counter::{MemoryCounters, Moment}, limit::Window,
//! #     limits::{Ask, Hard, Level, Outcome, Policy, Subjects}};
//! use std::time::Duration;
//! use zt_ratelimit::Cost;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let clock = ManualClock::default();
//! # let policy = Policy::new([
//! #     Level::new("key", [Limit::budget("key-day", "5 USD".parse()?, Window::day())?]),
//! # ])?;
//! # let limits = Limits::builder(MemoryCounters::default()).clock(clock.clone()).build(policy)?;
//! let admin = limits.admin("alice").because("launch on friday");
//! let who = Subjects::new(["key-1"]);
//! let friday = clock.now()? + Duration::from_secs(3600);
//! let more: Cost = "20 USD".parse()?;
//! let cell = admin.grant(&who, "key-day", "launch", more, friday).await?;
//! assert_eq!(cell.state.limit, 25_000_000_000);
//!
//! // What is not a budget has no money, and nothing is granted backwards.
//! assert!(admin.grant(&who, "key-day", "launch", 20, friday).await.is_err());
//! assert!(admin.grant(&who, "key-day", "launch", more, clock.now()?).await.is_err());
//! # Ok(())
//! # }
//! ```

mod act;
mod error;

use std::sync::Arc;

use zt_core::{
    clock::Timestamp,
    state::{AdminEvent, Event},
};

use self::act::Act;
pub use self::error::AdminError;
use super::{Limits, Subjects};
use crate::{
    cost::Cost,
    counter::{Adjust, CellState, Claim, HoldState, MAX_CLAIMS, Moment, check_subject},
    limit::Limit,
};

/// Limits in the hands of an administrator; see the [module](self).
///
/// A path ([`Subjects`]) may be shorter than the tree: `["acme"]` is enough for the limits of the
/// organisation.
#[derive(Debug, Clone)]
pub struct Admin {
    limits: Limits,
    author: Arc<str>,
    reason: Option<Arc<str>>,
}

/// One limit of one subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The limit.
    pub limit: Arc<Limit>,
    /// The name of its level.
    pub level: Arc<str>,
    /// Whose.
    pub subject: Arc<str>,
    /// How it stands.
    pub state: CellState,
}

/// So much of what a limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Amount {
    /// For budgets.
    Money(Cost),
    /// For rates (the burst) and concurrency (permits).
    Units(u64),
}

impl From<Cost> for Amount {
    fn from(cost: Cost) -> Self {
        Self::Money(cost)
    }
}

impl From<u64> for Amount {
    fn from(units: u64) -> Self {
        Self::Units(units)
    }
}

impl Limits {
    /// These limits in the hands of `author`, whose name stands in the record.
    #[must_use]
    pub fn admin(&self, author: &str) -> Admin {
        Admin {
            limits: self.clone(),
            author: author.into(),
            reason: None,
        }
    }

    /// How every limit on the path stands, all at one instant, the outermost first: for answers to
    /// `who` themselves, and for metrics. Nothing is recorded.
    ///
    /// # Errors
    ///
    /// Where there is no such tier, or clock or store cannot answer.
    pub async fn standing(&self, who: &Subjects<'_>) -> Result<Vec<Cell>, AdminError> {
        let inner = self.inner();
        let policy = self.policy();
        let tier = tier(&policy, who)?;
        let named = tier.slots().iter().filter_map(|slot| {
            let subject = who.name(slot.level)?;
            Some((slot, subject))
        });
        let claims: smallvec::SmallVec<[Claim<'_>; MAX_CLAIMS]> = named
            .clone()
            .map(|(slot, subject)| Claim {
                limit: &slot.limit,
                subject,
            })
            .collect();
        let root = who.name(0).ok_or(AdminError::Path)?;
        let now = Moment::of(&*inner.clock)?;
        let states = inner.store.read(root, &claims, now).wait().await?;
        let cell = |((slot, subject), state): ((&super::policy::Slot, &str), CellState)| Cell {
            limit: Arc::clone(&slot.limit),
            level: policy.levels().get(slot.level).cloned().unwrap_or_default(),
            subject: subject.into(),
            state,
        };
        Ok(named.zip(states).map(cell).collect())
    }
}

impl Admin {
    /// Why; it stands in the record.
    #[must_use]
    pub fn because(self, reason: &str) -> Self {
        Self {
            reason: Some(reason.into()),
            ..self
        }
    }

    /// How every limit on the path stands, all at one instant, the outermost first. That somebody
    /// looked is recorded; what shows callers their own money is [`Limits::standing`].
    ///
    /// # Errors
    ///
    /// Where there is no such tier, or clock, record or store cannot answer.
    pub async fn read(&self, who: &Subjects<'_>) -> Result<Vec<Cell>, AdminError> {
        tier(&self.limits.policy(), who)?;
        let names: Vec<&str> = who.names().collect();
        self.looks("limits.read", names.join(" / ")).await?;
        self.limits.standing(who).await
    }

    /// At most `at_most` holds that have a part of this limit, the oldest first.
    ///
    /// # Errors
    ///
    /// Where there is no such limit or subject, or clock or store cannot answer.
    pub async fn holds(
        &self,
        who: &Subjects<'_>,
        limit: &str,
        at_most: usize,
    ) -> Result<Vec<HoldState>, AdminError> {
        let act = self.act(who, limit)?;
        let of = format!("{} of {}", act.limit.name(), act.subject);
        self.looks("limits.holds", of).await?;
        let inner = self.limits.inner();
        let now = Moment::of(&*inner.clock)?;
        let holds = inner.store.holds(&act.root, act.claim(), at_most, now);
        Ok(holds.wait().await?)
    }

    /// Whether the author's name can stand in a record.
    fn named(&self) -> Result<(), AdminError> {
        check_subject(&self.author).map_err(|_| AdminError::Author)
    }

    /// Records that somebody looks, before anything is shown.
    async fn looks(&self, action: &'static str, object: String) -> Result<(), AdminError> {
        self.named()?;
        let inner = self.limits.inner();
        let Some(journal) = &inner.journal else {
            return Ok(());
        };
        let event = AdminEvent {
            at: inner.clock.now()?,
            author: Some(Arc::clone(&self.author)),
            action,
            object: object.into(),
            detail: self.reason.as_deref().map(str::to_owned),
        };
        Ok(journal.record(Event::Admin(event)).await?)
    }

    /// Another limit instead of the policy's: until then, or for good.
    ///
    /// # Errors
    ///
    /// Where there is no such limit or subject, the amount is not one of it or above 2⁵³ − 1, the
    /// end is not in the future, or clock, record or store cannot answer. Nothing is changed then,
    /// unless it was the store; see [`AdminError::Counter`].
    pub async fn set(
        &self,
        who: &Subjects<'_>,
        limit: &str,
        to: impl Into<Amount>,
        until: Option<Timestamp>,
    ) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?;
        let limit = act.amount(to.into())?;
        act.ends(until)?;
        let how = Adjust::Override { limit, until };
        act.perform("override", limit, how, until).await
    }

    /// The policy's limit again. Grants stay.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub async fn clear(&self, who: &Subjects<'_>, limit: &str) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?;
        act.perform("clear-override", 0, Adjust::ClearOverride, None)
            .await
    }

    /// So much more, until then. A grant replaces one of the same name.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set), and where there are [`MAX_GRANTS`](crate::counter::MAX_GRANTS)
    /// others.
    pub async fn grant(
        &self,
        who: &Subjects<'_>,
        limit: &str,
        name: &str,
        amount: impl Into<Amount>,
        until: Timestamp,
    ) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?.named(name)?;
        let amount = act.amount(amount.into())?;
        act.ends(Some(until))?;
        let how = Adjust::Grant {
            name: name.into(),
            amount,
            until,
        };
        act.perform("grant", amount, how, Some(until)).await
    }

    /// Takes a grant back; where there is none of that name, nothing changes.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub async fn revoke(
        &self,
        who: &Subjects<'_>,
        limit: &str,
        name: &str,
    ) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?.named(name)?;
        let how = Adjust::Revoke { name: name.into() };
        act.perform("revoke", 0, how, None).await
    }

    /// Nothing is spent any more in this window, and a rate is fresh. What is held stays held.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub async fn reset(&self, who: &Subjects<'_>, limit: &str) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?;
        act.perform("reset", 0, Adjust::Reset, None).await
    }

    /// Adds to what is spent in this window: what was spent outside. It may be more than the limit.
    ///
    /// # Errors
    ///
    /// As for [`set`](Self::set).
    pub async fn charge(
        &self,
        who: &Subjects<'_>,
        limit: &str,
        cost: Cost,
    ) -> Result<Cell, AdminError> {
        let act = self.act(who, limit)?;
        let nanos = act.amount(cost.into())?;
        act.perform("charge", nanos, Adjust::Charge { nanos }, None)
            .await
    }

    fn act(&self, who: &Subjects<'_>, limit: &str) -> Result<Act<'_>, AdminError> {
        self.named()?;
        let policy = self.limits.policy();
        let tier = tier(&policy, who)?;
        let slot = tier
            .find(limit)
            .ok_or_else(|| AdminError::Limit(limit.to_owned()))?;
        let level = policy.levels().get(slot.level).cloned().unwrap_or_default();
        let (Some(root), Some(subject)) = (who.name(0), who.name(slot.level)) else {
            return Err(AdminError::Subject {
                limit: limit.to_owned(),
                level: level.to_string(),
            });
        };
        Ok(Act {
            admin: self,
            root: root.into(),
            subject: subject.into(),
            limit: Arc::clone(&slot.limit),
            level,
            name: None,
        })
    }
}

/// Whose limits hold on this path, which may be shorter than the tree.
fn tier(policy: &super::Policy, who: &Subjects<'_>) -> Result<Arc<super::Tier>, AdminError> {
    if who.names().len() > policy.levels().len() {
        return Err(AdminError::Path);
    }
    let name = who.named_tier();
    let unknown = || AdminError::Tier(name.unwrap_or_default().to_owned());
    policy.find(name).cloned().ok_or_else(unknown)
}
