use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    GrantError,
    party::{Hand, Party},
    text::invalid,
};
use crate::clock::Timestamp;

/// What a grant is at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GrantState {
    /// It was asked for.
    Requested,
    /// It holds.
    Approved,
    /// Somebody said no.
    Rejected,
    /// Whoever asked took the request back.
    Withdrawn,
    /// Nobody answered in time.
    Lapsed,
    /// It was taken back.
    Revoked,
    /// Its time is over.
    Expired,
}

impl GrantState {
    /// As it stands in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Withdrawn => "withdrawn",
            Self::Lapsed => "lapsed",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// What was done to a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Act {
    /// When.
    pub at: Timestamp,
    /// Who did it; `None` is the passing of time.
    pub by: Option<Party>,
    /// What they said.
    pub note: Option<String>,
}

/// A grant: asked for, in force, or over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Grant {
    /// Its id, which is no secret.
    pub id: Arc<str>,
    /// Who asked, and holds it.
    pub holder: Party,
    /// What it is for.
    pub scope: Arc<str>,
    /// Why it is needed.
    pub reason: String,
    /// For how long, from the moment of the approval.
    pub seconds: u64,
    /// When it was asked for.
    pub requested_at: Timestamp,
    /// When the request lapses.
    pub lapses_at: Timestamp,
    /// What it is.
    pub state: GrantState,
    /// Whether it was taken without approval.
    pub break_glass: bool,
    /// From when it holds.
    pub from: Option<Timestamp>,
    /// The first moment at which it does not hold any more.
    pub until: Option<Timestamp>,
    /// The answer to the request, or its end without one.
    pub decided: Option<Act>,
    /// How it ended.
    pub ended: Option<Act>,
    /// Who looked at it afterwards.
    pub reviewed: Option<Act>,
}

impl Grant {
    /// Whether it holds at `now`: from its first moment on, and not at its last.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        let (Some(from), Some(until)) = (self.from, self.until) else {
            return false;
        };
        self.state == GrantState::Approved && from <= now && now < until
    }

    /// What it is at `now`, whether or not anybody has noted yet that its time is over.
    #[must_use]
    pub fn state_at(&self, now: Timestamp) -> GrantState {
        match self.state {
            GrantState::Requested if self.lapses_at <= now => GrantState::Lapsed,
            GrantState::Approved if self.until.is_none_or(|until| until <= now) => {
                GrantState::Expired
            }
            state => state,
        }
    }

    /// Whether it was taken without approval and nobody has looked at it since.
    #[must_use]
    pub const fn is_unreviewed(&self) -> bool {
        self.break_glass && self.reviewed.is_none()
    }

    /// Whether nothing hangs on it any more: it could be forgotten.
    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        let over = match self.state_at(now) {
            GrantState::Requested | GrantState::Approved => false,
            // Inside its time it says that it was taken back.
            GrantState::Revoked => self.until.is_none_or(|until| until <= now),
            _ => true,
        };
        over && !self.is_unreviewed()
    }

    /// As it is shown at `now`.
    pub(super) fn as_of(&self, now: Timestamp) -> Self {
        Self {
            state: self.state_at(now),
            ..self.clone()
        }
    }
}

/// A grant as it rests in the store.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Stored {
    format: u32,
    pub(super) grant: Grant,
    /// Everybody who stood behind the request.
    pub(super) hands: Vec<Hand>,
    /// Who is recording a step at the moment.
    pub(super) claim: Option<Claim>,
}

/// That a step is being recorded: nobody else takes one until it is done, or given up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Claim {
    pub(super) at: Timestamp,
    pub(super) action: String,
}

const FORMAT: u32 = 1;

impl Stored {
    pub(super) const fn new(grant: Grant, hands: Vec<Hand>) -> Self {
        Self {
            format: FORMAT,
            grant,
            hands,
            claim: None,
        }
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let stored: Self = serde_json::from_slice(bytes).ok()?;
        (stored.format == FORMAT).then_some(stored)
    }

    /// # Errors
    ///
    /// Where it cannot be written as JSON.
    pub(super) fn encode(&self) -> Result<Bytes, GrantError> {
        serde_json::to_vec(self)
            .map(Bytes::from)
            .or_else(|_| invalid("grant", "it cannot be written"))
    }

    /// When the store may forget it.
    pub(super) fn kept_until(&self, retention: std::time::Duration) -> Option<Timestamp> {
        // What has to be reviewed waits for that, however long.
        if self.grant.is_unreviewed() {
            return None;
        }
        let end = self.grant.until.unwrap_or(self.grant.lapses_at);
        Some(end + retention)
    }
}
