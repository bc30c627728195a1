//! Claims as words of a call, and the words of answers.

use std::{sync::Arc, time::Duration};

use redis::Cmd;
use zt_core::clock::Timestamp;

use super::keys::{self, Names};
use crate::{
    counter::{
        Adjust, CellState, Charged, Claim, CounterError, Expired, HoldId, HoldState, Marks,
        Purpose, Settled, Standing, Standings, check_subject,
    },
    limit::{Kind, MAX_NANOS, ROLLING_SLOTS, Span, rolling_slot},
};

/// Adds `claims` to a call, with the calendar windows around `wall` and after.
pub(super) fn push_claims(
    call: &mut Cmd,
    names: &Names,
    root: &str,
    claims: &[Claim<'_>],
    wall: Timestamp,
) -> Result<(), CounterError> {
    call.arg(claims.len());
    for claim in claims {
        let kind = claim.limit.kind();
        call.arg(keys::kind(kind).to_string())
            .arg(keys::family(kind))
            .arg(names.cell(root, *claim))
            .arg(u8::from(claim.limit.is_shadow()));
        match kind {
            Kind::Rate(rate) => {
                // The server counts in microseconds: rounded up, the rate is never above its own.
                let interval = rate.interval_nanos().div_ceil(1000);
                call.arg(rate.burst_size()).arg(interval);
            }
            Kind::Concurrency(concurrency) => {
                call.arg(concurrency.permits());
            }
            Kind::Budget(budget) => {
                call.arg(budget.amount().nanos());
                call.arg(keys::label(budget.window()));
                call.arg(percent(budget.thresholds()));
                if let Some(length) = budget.window().rolls_over() {
                    let slot = rolling_slot(length);
                    call.arg(slot * u64::from(ROLLING_SLOTS)).arg(slot);
                    continue;
                }
                let calendar = |_| CounterError::Invalid("the calendar does not reach that far");
                let span = budget.window().span_at(wall).map_err(calendar)?;
                let next = match span.end {
                    Timestamp::MAX => span,
                    end => budget.window().span_at(end).map_err(calendar)?,
                };
                for span in [span, next] {
                    call.arg(span.start.as_micros()).arg(span.end.as_micros());
                }
            }
        }
    }
    Ok(())
}

pub(super) fn percent(thresholds: &[u8]) -> String {
    let words: Vec<_> = thresholds.iter().map(u8::to_string).collect();
    words.join(",")
}

/// The policy's limit, in its units.
pub(super) fn policy(kind: &Kind) -> u64 {
    match kind {
        Kind::Budget(budget) => budget.amount().nanos(),
        Kind::Rate(rate) => rate.burst_size(),
        Kind::Concurrency(concurrency) => concurrency.permits().into(),
    }
}

/// Verb, amount, end and name, as the script reads them.
pub(super) fn adjustment(claim: Claim<'_>, how: &Adjust) -> Result<[String; 4], CounterError> {
    let counted = |amount: u64| {
        if amount > MAX_NANOS {
            return Err(CounterError::Invalid("it is more than can be counted"));
        }
        Ok(amount.to_string())
    };
    let said = |verb: &str, amount: String, until: String, name: &str| {
        Ok([verb.to_owned(), amount, until, name.to_owned()])
    };
    let none = String::new;
    match how {
        Adjust::Override { limit, until } => {
            let until = until.map_or_else(none, |until| until.as_micros().to_string());
            said("set", counted(*limit)?, until, "")
        }
        Adjust::ClearOverride => said("clear", none(), none(), ""),
        Adjust::Grant {
            name,
            amount,
            until,
        } => {
            check_subject(name)?;
            let until = until.as_micros().to_string();
            said("grant", counted(*amount)?, until, name)
        }
        Adjust::Revoke { name } => said("revoke", none(), none(), name),
        Adjust::Reset => said("reset", none(), none(), ""),
        Adjust::Charge { nanos } if claim.limit.as_budget().is_some() => {
            said("charge", counted(*nanos)?, none(), "")
        }
        Adjust::Charge { .. } => Err(CounterError::Invalid("only a budget can be charged")),
    }
}

/// Whole microseconds, rounded up.
pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX)
}

/// The words of an answer, one after the other.
#[derive(Debug)]
pub(super) struct Words(std::vec::IntoIter<String>);

impl Words {
    pub(super) fn new(words: Vec<String>) -> Self {
        Self(words.into_iter())
    }

    pub(super) fn next(&mut self) -> Result<String, CounterError> {
        self.0.next().ok_or_else(garbled)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.as_slice().is_empty()
    }

    pub(super) fn number(&mut self) -> Result<u64, CounterError> {
        self.next()?.parse().map_err(|_| garbled())
    }

    fn maybe(&mut self) -> Result<Option<u64>, CounterError> {
        match self.next()? {
            word if word.is_empty() => Ok(None),
            word => word.parse().map(Some).map_err(|_| garbled()),
        }
    }

    pub(super) fn marks(&mut self) -> Result<Marks, CounterError> {
        let bits = self.number()?;
        let mut marks = Marks::default();
        (0..16)
            .filter(|place| bits & (1 << place) != 0)
            .for_each(|place| marks.mark(place));
        Ok(marks)
    }

    pub(super) fn standings(&mut self) -> Result<Standings, CounterError> {
        let mut standings = Standings::new();
        while !self.is_empty() {
            standings.push(Standing {
                limit: self.number()?,
                remaining: self.number()?,
                more_in: self.maybe()?.map(Duration::from_micros),
            });
        }
        Ok(standings)
    }

    pub(super) fn settled(&mut self) -> Result<Settled, CounterError> {
        let mut settled = Settled {
            counted: self.number()? == 1,
            held: self.number()?,
            charged: self.number()?,
            budgets: Default::default(),
        };
        while !self.is_empty() {
            settled.budgets.push(Charged {
                claim: self.byte()?,
                span: self.span()?,
                spent: self.number()?,
                limit: self.number()?,
                crossed: self.byte()?,
            });
        }
        Ok(settled)
    }

    pub(super) fn cell(&mut self, policy: u64) -> Result<CellState, CounterError> {
        let (limit, spent) = (self.number()?, self.number()?);
        let (held, leased) = (self.number()?, self.number()?);
        let span = match (self.maybe()?, self.maybe()?) {
            (Some(start), Some(end)) => Some(span(start, end)),
            _ => None,
        };
        let (set, until) = (self.maybe()?, self.maybe()?);
        let mut grants = Vec::new();
        for line in self.next()?.lines() {
            let mut parts = line.splitn(3, ' ');
            let mut part = || parts.next().ok_or_else(garbled);
            let amount = part()?.parse().map_err(|_| garbled())?;
            let until = part()?.parse().map_err(|_| garbled())?;
            grants.push((part()?.into(), amount, Timestamp::from_micros(until)));
        }
        Ok(CellState {
            limit,
            policy,
            spent,
            held,
            leased,
            span,
            set: set.map(|set| (set, until.map(Timestamp::from_micros))),
            grants,
        })
    }

    /// A hold, and when it was made.
    pub(super) fn hold(&mut self) -> Result<(u64, HoldState), CounterError> {
        let hold = HoldState {
            hold: hold(&self.next()?)?,
            purpose: match self.next()?.as_str() {
                "l" => Purpose::Lease,
                _ => Purpose::Request,
            },
            nanos: self.number()?,
            expires_in: Duration::from_micros(self.number()?),
        };
        Ok((self.number()?, hold))
    }

    fn byte(&mut self) -> Result<u8, CounterError> {
        u8::try_from(self.number()?).map_err(|_| garbled())
    }

    fn span(&mut self) -> Result<Span, CounterError> {
        Ok(span(self.number()?, self.number()?))
    }
}

/// What the script wrote of a hold that ended: its name, its money, a cell of it, a line for each budget.
pub(super) fn expired(news: &str) -> Result<Expired, CounterError> {
    let mut lines = news.lines();
    let mut line = || lines.next().ok_or_else(garbled);
    let (hold, nanos) = (hold(line()?)?, line()?.parse().map_err(|_| garbled())?);
    let (root, ..) = keys::parse_cell(line()?).ok_or_else(garbled)?;
    let mut budgets = Vec::new();
    for line in lines {
        let mut parts = line.splitn(3, ' ');
        let mut part = || parts.next().ok_or_else(garbled);
        let start = part()?.parse().map_err(|_| garbled())?;
        let end = part()?.parse().map_err(|_| garbled())?;
        let (_, limit, subject) = keys::parse_cell(part()?).ok_or_else(garbled)?;
        budgets.push((limit, subject, span(start, end)));
    }
    Ok(Expired {
        hold,
        root,
        nanos,
        budgets,
    })
}

fn hold(word: &str) -> Result<HoldId, CounterError> {
    let id = u128::from_str_radix(word, 16).map_err(|_| garbled())?;
    Ok(HoldId(id))
}

fn span(start: u64, end: u64) -> Span {
    Span {
        start: Timestamp::from_micros(start),
        end: Timestamp::from_micros(end),
    }
}

/// The server said something that no script says.
pub(super) fn garbled() -> CounterError {
    CounterError::Unavailable(Arc::from("the answer of the server cannot be read"))
}
