use std::time::Duration;

use super::MAX_NANOS;
use crate::cost::{Cost, CostError, Currency};

/// A limit that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LimitError {
    /// The name cannot stand in a header field or a key.
    #[error(
        "`{0}` cannot name a limit: 1 to 64 printable ASCII characters without quotes, backslashes and braces"
    )]
    Name(String),
    /// It would refuse everything.
    #[error("a rate of no requests, or with no burst, refuses everything")]
    NoRequests,
    /// It would refuse everything.
    #[error("no permits refuse everything")]
    NoPermits,
    /// The period is zero or longer than 366 days.
    #[error("a period of {0:?} cannot be counted: it is zero or longer than 366 days")]
    Period(Duration),
    /// The burst takes longer than 366 days to come back.
    #[error("a burst of {0} would take longer than 366 days to come back")]
    Burst(u64),
    /// It is more than a shared store can count exactly.
    #[error(
        "{0} is more than 2^53 - 1 = {MAX_NANOS} nano-units, which is all that is counted exactly"
    )]
    Amount(Cost),
    /// The amount is none.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// Limits of one tree are in one currency.
    #[error("the limit `{0}` is in {1}, and those around it in {2}")]
    Mismatch(String, Currency, Currency),
    /// There is no such window.
    #[error("`{0}` is not a window: `day`, `week`, `month`, `total`, or a length as in `6h`")]
    Window(String),
    /// A rolling window cannot have this length.
    #[error(
        "a rolling window of {0:?} cannot be counted: it is shorter than a second or longer than 366 days"
    )]
    Rolling(Duration),
    /// There is no such day.
    #[error("`{0}` is not a day of the week")]
    Weekday(String),
    /// There is no such zone.
    #[error("`{0}` is not a time zone of the IANA data")]
    Zone(String),
    /// There is no such hour.
    #[error("{0} is not an hour of the day")]
    Hour(u8),
    /// Thresholds are at most eight per cent figures that rise from 1 to 100.
    #[error("thresholds are at most eight, and rise from 1 to 100")]
    Thresholds,
    /// The calendar ends.
    #[error("the calendar does not reach that far")]
    Calendar,
}
