use std::{fmt::Write as _, sync::Arc};

use zt_core::{
    clock::Timestamp,
    state::{AdminEvent, BudgetEvent, BudgetPart, Event},
};

use super::{Admin, AdminError, Amount, Cell};
use crate::{
    counter::{Adjust, Claim, Moment, check_subject},
    limit::{Kind, Limit, MAX_NANOS, Span, rolling_slot},
};

/// What is about to be done to one limit of one subject.
pub(super) struct Act<'a> {
    pub(super) admin: &'a Admin,
    pub(super) root: Arc<str>,
    pub(super) subject: Arc<str>,
    pub(super) limit: Arc<Limit>,
    pub(super) level: Arc<str>,
    /// Of a grant.
    pub(super) name: Option<String>,
}

impl Act<'_> {
    pub(super) fn claim(&self) -> Claim<'_> {
        Claim {
            limit: &self.limit,
            subject: &self.subject,
        }
    }

    pub(super) fn named(mut self, name: &str) -> Result<Self, AdminError> {
        check_subject(name).map_err(|_| AdminError::Name)?;
        self.name = Some(name.to_owned());
        Ok(self)
    }

    /// `amount` in the units of the limit.
    pub(super) fn amount(&self, amount: Amount) -> Result<u64, AdminError> {
        let limit = || self.limit.name().to_string();
        let expected = |expected| AdminError::Kind {
            limit: limit(),
            expected,
        };
        let (amount, most) = match (self.limit.kind(), amount) {
            (Kind::Budget(budget), Amount::Money(cost)) => {
                if cost.currency() != budget.currency() {
                    return Err(AdminError::Currency {
                        limit: limit(),
                        expected: budget.currency(),
                        found: cost.currency(),
                    });
                }
                (cost.nanos(), MAX_NANOS)
            }
            (Kind::Budget(_), Amount::Units(_)) => return Err(expected("a budget, of money")),
            (_, Amount::Money(_)) => return Err(expected("not a budget")),
            (Kind::Concurrency(_), Amount::Units(units)) => (units, u32::MAX.into()),
            (_, Amount::Units(units)) => (units, MAX_NANOS),
        };
        if amount > most {
            return Err(AdminError::TooMuch(amount));
        }
        Ok(amount)
    }

    pub(super) fn ends(&self, until: Option<Timestamp>) -> Result<(), AdminError> {
        let now = self.admin.limits.inner().clock.now()?;
        match until {
            Some(until) if until <= now => Err(AdminError::Past),
            _ => Ok(()),
        }
    }

    /// Records it, and once that is durable does it, and records what was done.
    ///
    /// A charge is recorded whole before it is done: where the log ends in between, what is rebuilt
    /// from it has too much spent rather than too little. Anything else is recorded when it is
    /// done, so that nothing is taken for reset that is not.
    pub(super) async fn perform(
        self,
        action: &'static str,
        amount: u64,
        how: Adjust,
        until: Option<Timestamp>,
    ) -> Result<Cell, AdminError> {
        let inner = self.admin.limits.inner();
        let now = Moment::of(&*inner.clock)?;
        let Some(journal) = &inner.journal else {
            return self.done(how, now).await;
        };
        let mut intent = self.intent(action, amount, until, now);
        let durable = journal.record(Event::Admin(intent.clone()));
        let first = matches!(how, Adjust::Charge { .. });
        if first {
            let budget = self.limit.as_budget();
            let span = budget.and_then(|budget| budget.window().span_at(now.wall).ok());
            durable.detach();
            journal
                .record(Event::Budget(self.effect(action, amount, span, now)))
                .await?;
        } else {
            durable.await?;
        }
        let result = self.done(how, now).await;
        match &result {
            Ok(cell) if !first => {
                let span = cell.state.span;
                let event = self.effect(action, amount, span, now);
                journal.record(Event::Budget(event)).detach();
            }
            Ok(_) => {}
            Err(error) => {
                intent.detail = Some(format!("not done: {error}"));
                journal.record(Event::Admin(intent)).detach();
            }
        }
        result
    }

    async fn done(&self, how: Adjust, now: Moment) -> Result<Cell, AdminError> {
        let limits = &self.admin.limits;
        if how == Adjust::Reset {
            // What was charged before stands before it in the record too.
            limits.expire(now).wait().await?;
        }
        let store = &limits.inner().store;
        let adjusted = store.adjust(&self.root, self.claim(), &how, now);
        Ok(Cell {
            state: adjusted.wait().await?,
            limit: Arc::clone(&self.limit),
            level: Arc::clone(&self.level),
            subject: Arc::clone(&self.subject),
        })
    }

    fn intent(
        &self,
        action: &'static str,
        amount: u64,
        until: Option<Timestamp>,
        now: Moment,
    ) -> AdminEvent {
        let mut detail = String::new();
        // Writing into memory cannot fail.
        let _ = match &self.name {
            Some(name) => write!(detail, "`{name}`, "),
            None => Ok(()),
        };
        let _ = write!(detail, "{amount}");
        if let Some(budget) = self.limit.as_budget() {
            let _ = write!(detail, " nano-{}", budget.currency());
        }
        if let Some(until) = until {
            let _ = write!(detail, " until {}", until.as_secs());
        }
        if let Some(reason) = &self.admin.reason {
            let _ = write!(detail, ": {reason}");
        }
        AdminEvent {
            at: now.wall,
            author: Some(Arc::clone(&self.admin.author)),
            action: match action {
                "override" => "limits.set",
                "clear-override" => "limits.clear",
                "grant" => "limits.grant",
                "revoke" => "limits.revoke",
                "reset" => "limits.reset",
                _ => "limits.charge",
            },
            object: format!("{} of {}", self.limit.name(), self.subject).into(),
            detail: Some(detail),
        }
    }

    fn effect(
        &self,
        action: &'static str,
        amount: u64,
        span: Option<Span>,
        now: Moment,
    ) -> BudgetEvent {
        let budget = self.limit.as_budget();
        let mut window = span.map(|span| (span.start, span.end));
        // What is reset is a rolling window in all its slots, of which `span` is the last.
        if let (Some((start, _)), Some(length), "reset") = (
            &mut window,
            budget.and_then(|budget| budget.window().rolls_over()),
            action,
        ) {
            let slot = std::time::Duration::from_micros(rolling_slot(length));
            *start = start.saturating_sub(length + slot);
        }
        BudgetEvent {
            at: now.wall,
            author: Some(Arc::clone(&self.admin.author)),
            action,
            hold: None,
            root: Arc::clone(&self.root),
            budgets: [BudgetPart {
                limit: Arc::clone(self.limit.name()),
                subject: Arc::clone(&self.subject),
                window,
            }]
            .into(),
            currency: budget.map(|budget| budget.currency().as_str().into()),
            nanos: amount,
            percent: None,
            request: None,
            detail: match (&self.name, &self.admin.reason) {
                (Some(name), Some(reason)) => Some(format!("`{name}`: {reason}")),
                (Some(name), None) => Some(format!("`{name}`")),
                (None, reason) => reason.as_deref().map(str::to_owned),
            },
        }
    }
}
