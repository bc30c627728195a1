use std::{fmt::Write, sync::Arc};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    clock::{ClockError, Timestamp},
    identity::{PeerIdentity, Principal},
    state::RecordError,
    store::StoreError,
};

/// What a sanction strikes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum SanctionTarget {
    /// One credential, by its id (`jti`, a service token's id).
    Token(Arc<str>),
    /// One session (`sid`).
    Session(Arc<str>),
    /// Everything of a subject that was issued no later than `before`. A credential that does not
    /// say when it was issued is struck.
    Subject {
        /// Whose subject it is; any issuer's where absent.
        issuer: Option<Arc<str>>,
        /// The subject. Anonymous callers have none, whatever they are called.
        subject: Arc<str>,
        /// Credentials issued later are not struck. An issuer whose clock is ahead writes later
        /// times than ours, so add what its clock may be off by.
        before: Timestamp,
    },
    /// Everything that a key vouched for (`kid`, `keyid`).
    Key(Arc<str>),
    /// A workload, by its SPIFFE ID: as the peer of a connection, or as the subject of a
    /// credential.
    Workload(Arc<str>),
}

impl SanctionTarget {
    /// `token`, `session`, `subject`, `key` or `workload`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::Session(_) => "session",
            Self::Subject { .. } => "subject",
            Self::Key(_) => "key",
            Self::Workload(_) => "workload",
        }
    }

    /// What a request is looked up by.
    pub(super) const fn name(&self) -> &Arc<str> {
        match self {
            Self::Token(name) | Self::Session(name) | Self::Key(name) | Self::Workload(name) => {
                name
            }
            Self::Subject { subject, .. } => subject,
        }
    }

    pub(super) fn strikes(
        &self,
        principal: Option<&Principal>,
        peer: Option<&PeerIdentity>,
    ) -> bool {
        let named = |found: Option<&str>, name: &str| found == Some(name);
        let known = principal.filter(|who| !who.is_anonymous());
        match self {
            Self::Token(id) => named(principal.and_then(Principal::token), id),
            Self::Session(id) => named(principal.and_then(Principal::session), id),
            Self::Key(id) => named(principal.and_then(Principal::key), id),
            Self::Workload(id) => {
                named(peer.and_then(PeerIdentity::spiffe_id), id)
                    || named(known.map(Principal::subject), id)
            }
            Self::Subject {
                issuer,
                subject,
                before,
            } => known.is_some_and(|who| {
                who.subject() == &**subject
                    && issuer
                        .as_deref()
                        .is_none_or(|issuer| named(who.issuer(), issuer))
                    && who.issued_at().is_none_or(|issued| issued <= *before)
            }),
        }
    }
}

/// What a sanction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SanctionAction {
    /// The credential is no longer good: `credential-revoked`, 401.
    Revoke,
    /// The caller may do nothing for now: `quarantined`, 403.
    Quarantine,
}

impl SanctionAction {
    pub(super) const ALL: [Self; 2] = [Self::Revoke, Self::Quarantine];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Quarantine => "quarantine",
        }
    }
}

/// A sanction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sanction {
    /// What it strikes.
    pub target: SanctionTarget,
    /// What it does.
    pub action: SanctionAction,
    /// Why.
    pub reason: String,
    /// Who imposed it.
    pub author: Arc<str>,
    /// When it ends by itself; `None` lasts until it is lifted. One that strikes a credential
    /// needs to last no longer than the credential.
    pub expires: Option<Timestamp>,
}

impl Sanction {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }

    /// Lasts as long as `other`, where that is longer.
    pub(super) fn no_shorter_than(mut self, other: &Self) -> Self {
        self.expires = match (self.expires, other.expires) {
            (Some(own), Some(other)) => Some(own.max(other)),
            _ => None,
        };
        self
    }

    pub(super) fn key(&self) -> Arc<str> {
        key(&self.target, self.action)
    }
}

/// All keys begin with this.
pub(super) const PREFIX: &str = "sanction/";

/// Where the sanction stands in the store: `sanction/<kind>/<SHA-256 of the target>/<action>`.
///
/// The action has its part in it, so that a quarantine never takes the place of a revocation.
pub(super) fn key(target: &SanctionTarget, action: SanctionAction) -> Arc<str> {
    let mut hash = Sha256::new();
    // Each text is preceded by its length, so that two targets never hash the same bytes.
    let mut text = |text: Option<&str>| {
        let len = text.map_or(u64::MAX, |text| text.len() as u64);
        hash.update(len.to_be_bytes());
        hash.update(text.unwrap_or_default());
    };
    match target {
        SanctionTarget::Subject {
            issuer,
            subject,
            before,
        } => {
            text(issuer.as_deref());
            text(Some(subject));
            hash.update(before.as_micros().to_be_bytes());
        }
        other => text(Some(other.name())),
    }
    let mut key = String::with_capacity(96);
    key.push_str(PREFIX);
    key.push_str(target.kind());
    key.push('/');
    for byte in hash.finalize() {
        // Writing to a string cannot fail.
        let _ = write!(key, "{byte:02x}");
    }
    key.push('/');
    key.push_str(action.as_str());
    key.into()
}

/// Why sanctions could not be loaded, or one not be imposed or lifted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SanctionError {
    /// There is no place for more, and none has expired. Nothing was imposed.
    #[error("there are too many sanctions")]
    Full,
    /// It is larger than a store takes. Nothing was imposed.
    #[error("the sanction is too large")]
    TooLarge,
    /// It would have ended already. Nothing was imposed.
    #[error("the sanction ends before it begins")]
    Over,
    /// There is none to lift.
    #[error("there is no such sanction")]
    NotFound,
    /// The clock cannot answer. Nothing has changed.
    #[error("the clock cannot answer: {0}")]
    Clock(#[from] ClockError),
    /// It could not be recorded, so it did not happen.
    #[error("the change was not recorded: {0}")]
    NotRecorded(#[from] RecordError),
    /// It is recorded and holds in this process; others may not obey yet. The task of
    /// [`Sanctions::follow`](super::Sanctions::follow) goes on trying to tell them.
    #[error("the change holds in this process only: {0}")]
    LocalOnly(Arc<str>),
    /// The store did not let go of it, so it still strikes.
    #[error("the sanction could not be lifted: {0}")]
    NotLifted(Arc<str>),
    /// The store could not be read.
    #[error("sanctions could not be loaded: {0}")]
    Store(#[from] StoreError),
    /// The feed did not answer.
    #[error("sanctions could not be followed: {0}")]
    Feed(#[from] super::super::FeedError),
    /// What stands in the store is not a sanction that this version understands. It may be one
    /// that must be obeyed, so it cannot be passed over.
    #[error("`{0}` in the store is not a sanction")]
    Unreadable(Arc<str>),
    /// A feed tells what has changed since it began; what was so before is in a store.
    #[error("a feed of sanctions needs a store")]
    FeedWithoutStore,
}
