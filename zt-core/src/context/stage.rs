/// Where in a request's order a check stands; each needs what the ones before it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum Stage {
    /// `SetSecurityHeaders`: outermost, so that refusals carry them too.
    Headers = 1,
    /// The outer half of `RecordAudit`.
    Record = 2,
    /// `ValidateRequest`.
    Validate = 3,
    /// `LimitRate` by peer: before cryptography.
    LimitPeer = 4,
    /// `VerifyX`, `RequirePeer`.
    Authenticate = 5,
    /// Sanctions and step-up.
    Sanction = 6,
    /// `Authorize`.
    Authorize = 7,
    /// `LimitRate` by principal, `ChargeBudget`.
    Spend = 8,
    /// The commit point of `RecordAudit`.
    Commit = 9,
    /// Checks that only narrow what was permitted; they may stand anywhere.
    Anywhere = 15,
}

impl Stage {
    pub(crate) const fn bit(self) -> u16 {
        1 << self as u8
    }

    /// What the layers of this stage are called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Headers => "security headers",
            Self::Record => "the audit record",
            Self::Validate => "request validation",
            Self::LimitPeer => "the peer's rate limit",
            Self::Authenticate => "authentication",
            Self::Sanction => "sanctions",
            Self::Authorize => "authorization",
            Self::Spend => "the principal's limits",
            Self::Commit => "the audit commit",
            Self::Anywhere => "a guard",
        }
    }
}
