use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, de::IgnoredAny};
use zt_core::{clock::Timestamp, state::BudgetPart};

use super::{LedgerError, Noted};

/// What every record has.
#[derive(Deserialize)]
struct Head<'a> {
    v: u64,
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

/// The members of a record about a budget that matter here, whatever others it has.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow, default)]
    action: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    hold: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    root: Option<Cow<'a, str>>,
    #[serde(default)]
    budgets: Option<Vec<Part>>,
    #[serde(borrow, default)]
    nanos: Option<Cow<'a, str>>,
    /// What of it is sealed, and what was when its key was destroyed.
    #[serde(default)]
    sealed: Option<IgnoredAny>,
    #[serde(default)]
    erased: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Part {
    limit: Arc<str>,
    #[serde(default)]
    subject: Option<Arc<str>>,
    start: Option<u64>,
    end: Option<u64>,
}

/// Those of a record about what had no place in the log.
#[derive(Deserialize)]
struct RolledUp {
    lost_outcomes: u64,
}

/// A record.
pub(super) enum Line<'a> {
    /// About a budget.
    Budget(Parsed<'a>),
    /// About so many events of requests that have no record.
    Lost(u64),
    /// About the budgets of somebody who was erased.
    Erased,
    /// About something else.
    Other,
}

/// The members of a record about a budget.
pub(super) struct Parsed<'a> {
    action: Cow<'a, str>,
    hold: Option<u128>,
    root: Cow<'a, str>,
    parts: Vec<BudgetPart>,
    nanos: u64,
}

impl Parsed<'_> {
    pub(super) fn as_noted(&self) -> Noted<'_> {
        Noted {
            action: &self.action,
            hold: self.hold,
            root: &self.root,
            parts: &self.parts,
            nanos: self.nanos,
        }
    }
}

/// Reads a record.
pub(super) fn parse(line: &[u8]) -> Result<Line<'_>, LedgerError> {
    let head: Head<'_> = serde_json::from_slice(line)?;
    // The same members in both; in the second the names are sealed.
    if !matches!(head.v, 1 | 2) {
        return Err(LedgerError::Version(head.v));
    }
    match &*head.kind {
        "budget" => {}
        "rolled-up" => {
            let lost: RolledUp = serde_json::from_slice(line)?;
            return Ok(Line::Lost(lost.lost_outcomes));
        }
        _ => return Ok(Line::Other),
    }
    let line: Members<'_> = serde_json::from_slice(line)?;
    // Of an author alone nothing is needed here.
    match (&line.root, &line.erased, &line.sealed) {
        (None, Some(_), _) => return Ok(Line::Erased),
        (None, None, Some(_)) => return Err(LedgerError::Sealed),
        _ => {}
    }
    let action = line.action.unwrap_or_default();
    let missing = |field| LedgerError::Missing {
        action: action.to_string(),
        field,
    };
    let nanos = line.nanos.as_deref().and_then(|nanos| nanos.parse().ok());
    let hold = match line.hold.as_deref() {
        Some(hold) => Some(u128::from_str_radix(hold, 16).map_err(|_| missing("hold"))?),
        None => None,
    };
    Ok(Line::Budget(Parsed {
        hold,
        root: line.root.ok_or_else(|| missing("root"))?,
        parts: line
            .budgets
            .ok_or_else(|| missing("budgets"))?
            .into_iter()
            .map(|part| part.checked().map_err(missing))
            .collect::<Result<_, _>>()?,
        nanos: nanos.ok_or_else(|| missing("nanos"))?,
        action,
    }))
}

impl Part {
    /// With both ends of its window or, as limits have that are no budgets, none.
    fn checked(self) -> Result<BudgetPart, &'static str> {
        let window = match (self.start, self.end) {
            (None, None) => None,
            (Some(start), Some(end)) if start < end => {
                Some((Timestamp::from_micros(start), never(end)))
            }
            _ => return Err("window"),
        };
        Ok(BudgetPart {
            limit: self.limit,
            subject: self.subject.ok_or("subject")?,
            window,
        })
    }
}

/// Records say 2⁵³ - 1 for what never ends, which is all that JSON readers keep.
const fn never(end: u64) -> Timestamp {
    match end {
        9_007_199_254_740_991 => Timestamp::MAX,
        end => Timestamp::from_micros(end),
    }
}
