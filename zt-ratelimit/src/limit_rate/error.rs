use std::time::Duration;

/// A [`Quota`](super::Quota) cannot be what it was told to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuotaError {
    /// The name cannot stand in a header field.
    #[error(
        "the quota's name `{0}` must be 1 to 64 printable ASCII characters other than `\"` and `\\`"
    )]
    Name(String),
    /// Nothing would ever pass.
    #[error("the quota `{0}` permits no requests")]
    NoRequests(String),
    /// The burst is zero, so nothing would ever pass.
    #[error("the quota `{0}` has a burst of zero")]
    NoBurst(String),
    /// The period is zero, or longer than 366 days.
    #[error("the quota `{0}` has a period of {1:?}, which is not between 1 ns and 366 days")]
    Period(String, Duration),
    /// A burst that was used up would come back too slowly to be counted.
    #[error("the quota `{0}` takes longer than 366 days to give its burst back")]
    Window(String),
    /// The period is given twice, or not at all.
    #[error("the quota `{0}` needs one of `period_secs` and `period_ms`")]
    PeriodUnits(String),
    /// There is no place for any key, or for far too many.
    #[error("the quota `{0}` counts {1} keys, which is not between 1 and 100000000")]
    Keys(String, usize),
    /// The prefix is not one that networks are given out by.
    #[error("the quota `{0}` groups IPv6 addresses by /{1}, which is not between /32 and /128")]
    Ipv6Prefix(String, u8),
}
