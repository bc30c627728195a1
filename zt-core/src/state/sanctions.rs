//! Who may not go on, whatever their credential says.

use std::{
    collections::HashMap,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use crate::{
    clock::{Clock, Timestamp},
    decision::{Code, Denial},
    identity::{PeerIdentity, Principal},
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
    /// Everything of a subject that was issued no later than `before`.
    Subject {
        /// Whose subject it is; any issuer's where absent.
        issuer: Option<Arc<str>>,
        /// The subject.
        subject: Arc<str>,
        /// Credentials issued later are not struck.
        before: Timestamp,
    },
    /// Everything that a key vouched for (`kid`, `keyid`).
    Key(Arc<str>),
    /// A workload, by its SPIFFE ID.
    Workload(Arc<str>),
}

/// What a sanction does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SanctionAction {
    /// The credential is no longer good: `credential-revoked`, 401.
    Revoke,
    /// The caller may do nothing for now: `quarantined`, 403.
    Quarantine,
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
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
}

/// A sanction could not be imposed or lifted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SanctionError {
    /// There is no place for more, and none has expired.
    #[error("there are too many sanctions")]
    Full,
}

/// The sanctions in force; clones share them.
#[derive(Debug, Clone)]
pub struct Sanctions(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Arc<dyn Clock>,
    limit: usize,
    count: AtomicUsize,
    by_name: RwLock<HashMap<Arc<str>, Vec<Sanction>>>,
}

impl Sanctions {
    /// The sanctions of one process.
    #[must_use]
    pub fn local(clock: impl Clock) -> Self {
        Self(Arc::new(Inner {
            clock: Arc::new(clock),
            limit: 1_000_000,
            count: AtomicUsize::new(0),
            by_name: RwLock::default(),
        }))
    }

    /// Whether `principal` on `peer`'s connection may go on at `now`.
    ///
    /// # Errors
    ///
    /// `credential-revoked` or `quarantined` where a sanction strikes, `store-unavailable` where
    /// the view is too old to tell.
    pub fn check(
        &self,
        principal: Option<&Principal>,
        peer: Option<&PeerIdentity>,
        now: Timestamp,
    ) -> Result<(), Denial> {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        let by_name = self
            .0
            .by_name
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let names = principal
            .into_iter()
            .flat_map(|who| [who.token(), who.session(), Some(who.subject()), who.key()])
            .chain([peer.and_then(PeerIdentity::spiffe_id)]);
        for sanction in names
            .flatten()
            .filter_map(|name| by_name.get(name))
            .flatten()
        {
            let live = sanction.expires.is_none_or(|end| now < end);
            if live && strikes(&sanction.target, principal, peer) {
                let code = match sanction.action {
                    SanctionAction::Revoke => Code::CredentialRevoked,
                    SanctionAction::Quarantine => Code::Quarantined,
                };
                return Err(Denial::new(code).detail(format!("sanction: {}", sanction.reason)));
            }
        }
        Ok(())
    }
}

fn strikes(
    target: &SanctionTarget,
    principal: Option<&Principal>,
    peer: Option<&PeerIdentity>,
) -> bool {
    let is = |found: Option<&str>, name: &str| found == Some(name);
    match target {
        SanctionTarget::Token(id) => is(principal.and_then(Principal::token), id),
        SanctionTarget::Session(id) => is(principal.and_then(Principal::session), id),
        SanctionTarget::Key(id) => is(principal.and_then(Principal::key), id),
        SanctionTarget::Workload(id) => is(peer.and_then(PeerIdentity::spiffe_id), id),
        SanctionTarget::Subject {
            issuer,
            subject,
            before,
        } => principal.is_some_and(|who| {
            who.subject() == &**subject
                && issuer
                    .as_deref()
                    .is_none_or(|issuer| who.issuer() == Some(issuer))
                && who.issued_at().is_none_or(|issued| issued <= *before)
        }),
    }
}
