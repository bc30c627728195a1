//! Who may not go on, whatever their credential says.

mod act;
mod builder;
mod follow;
mod shared;
#[cfg(test)]
mod tests;
mod types;
mod view;

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

pub use self::{
    builder::SanctionsBuilder,
    types::{Sanction, SanctionAction, SanctionError, SanctionTarget},
};
use self::{shared::Shared, view::View};
use super::{MAX_VIEW_AGE, Probe, Readiness, Recorder};
use crate::{
    clock::{Clock, Timestamp},
    decision::{Code, Denial},
    identity::{PeerIdentity, Principal},
};

/// The sanctions in force: who may not go on, whatever their credential says. Clones share them.
///
/// A [`Sanction`] revokes or quarantines a credential, a session, everything of a subject, a key
/// or a workload. Authenticators, [`EnforceSanctionsLayer`](crate::sanction::EnforceSanctionsLayer)
/// and every live stream ask [`Sanctions::check`].
///
/// In one process [`Sanctions::local`] is enough. Several processes share a store and a feed:
/// what is imposed in one strikes there at once and everywhere else within a second. Each process
/// decides by a view of its own, which the task of [`Sanctions::follow`] keeps up to date; a view
/// that has heard nothing for [`MAX_VIEW_AGE`] refuses with `store-unavailable`.
///
/// ```
/// use std::sync::Arc;
/// use zt_core::{
///     clock::{Clock, ManualClock},
///     decision::Code,
///     identity::{AuthMethod, Principal, PrincipalKind},
///     state::{Sanction, SanctionAction, SanctionTarget, Sanctions},
/// };
///
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let clock = ManualClock::default();
/// let sanctions = Sanctions::local(clock.clone());
/// let ada = Principal::assertion(PrincipalKind::User, "ada", AuthMethod::Jwt)
///     .session("s-1")
///     .finish();
/// let now = clock.now().unwrap();
/// assert!(sanctions.check(Some(&ada), None, now).is_ok());
///
/// let session = SanctionTarget::Session("s-1".into());
/// sanctions
///     .impose(Sanction {
///         target: session.clone(),
///         action: SanctionAction::Revoke,
///         reason: "logged out".to_owned(),
///         author: "ada".into(),
///         expires: None,
///     })
///     .await?;
/// let denial = sanctions.check(Some(&ada), None, now).unwrap_err();
/// assert_eq!(denial.code(), Code::CredentialRevoked);
///
/// sanctions.lift(&session, "root", "a mistake").await?;
/// assert!(sanctions.check(Some(&ada), None, now).is_ok());
/// # Ok::<_, zt_core::state::SanctionError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Sanctions(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    view: View,
    /// When the view was last known to be complete, in microseconds of the monotonic clock;
    /// [`ALWAYS`] where nobody else can change it.
    heard_at: AtomicU64,
    /// The last place of the feed that is in the view.
    cursor: AtomicU64,
    /// Whether something was heard of and could not be looked up.
    astray: AtomicBool,
    shared: Option<Arc<Shared>>,
    recorder: Option<Arc<dyn Recorder>>,
    /// Held by whoever changes what others see, one at a time.
    turns: tokio::sync::Mutex<()>,
}

const ALWAYS: u64 = u64::MAX;

impl Sanctions {
    /// The sanctions of one process: neither stored nor recorded, at most a million.
    #[must_use]
    pub fn local(clock: impl Clock) -> Self {
        Self::builder(clock).local()
    }

    /// Sanctions that outlive the process, are shared with others, or are recorded.
    pub fn builder(clock: impl Clock) -> SanctionsBuilder {
        SanctionsBuilder::new(Arc::new(clock))
    }

    /// Whether `principal` on `peer`'s connection may go on at `now`.
    ///
    /// Where there are none at all and no feed, this costs one atomic load. A caller without any
    /// name that could be struck always may, even where the view is too old: there is nothing
    /// that it could miss.
    ///
    /// # Errors
    ///
    /// `credential-revoked` or `quarantined` where a sanction strikes (a revocation before a
    /// quarantine), `store-unavailable` where the view is too old to tell.
    #[inline]
    pub fn check(
        &self,
        principal: Option<&Principal>,
        peer: Option<&PeerIdentity>,
        now: Timestamp,
    ) -> Result<(), Denial> {
        if self.0.view.is_empty() && self.0.heard_at.load(Ordering::Acquire) == ALWAYS {
            return Ok(());
        }
        self.look_up(principal, peer, now)
    }

    fn look_up(
        &self,
        principal: Option<&Principal>,
        peer: Option<&PeerIdentity>,
        now: Timestamp,
    ) -> Result<(), Denial> {
        let has_name = principal.is_some_and(can_be_struck)
            || view::along(peer).any(|peer| peer.spiffe_id().is_some());
        if !has_name {
            return Ok(());
        }
        if self.0.age() > MAX_VIEW_AGE {
            return Err(Denial::new(Code::StoreUnavailable)
                .detail("the view of the sanctions is too old to decide by"));
        }
        if self.0.view.is_empty() {
            return Ok(());
        }
        let Some(sanction) = self.0.view.striking(principal, peer, now) else {
            return Ok(());
        };
        let code = match sanction.action {
            SanctionAction::Revoke => Code::CredentialRevoked,
            SanctionAction::Quarantine => Code::Quarantined,
        };
        let kind = sanction.target.kind();
        Err(Denial::new(code).detail(format!("{kind} sanctioned: {}", sanction.reason)))
    }

    /// The sanctions in force, in no order. All that are known where the clock cannot answer.
    #[must_use]
    pub fn list(&self) -> Vec<Arc<Sanction>> {
        self.0.view.list(self.0.lenient_now())
    }

    /// Grows with each change, so that a cache of verified credentials can notice that it has to
    /// [`check`](Self::check) again. A sanction that ends by itself is no change.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.view.generation()
    }

    /// Keeps the view up to date with what others do; to be spawned, once. It ends when the last
    /// handle is dropped.
    ///
    /// With a feed, nobody who could be struck passes unless this runs. It hears the feed at
    /// least twice a second, reads the whole store again after an error or a gap, and goes on
    /// telling others of changes that they could not be told of at first. Without a store it
    /// ends at once.
    pub fn follow(&self) -> impl Future<Output = ()> + Send + 'static {
        follow::run(Arc::downgrade(&self.0))
    }

    /// How old the view is; zero without a feed.
    #[must_use]
    pub fn age(&self) -> Duration {
        self.0.age()
    }

    /// Shows in `readiness`, as `name`, whether the view is fresh enough to decide by.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        let inner = Arc::downgrade(&self.0);
        readiness.register(name, move || match inner.upgrade() {
            Some(inner) if inner.age() <= MAX_VIEW_AGE => Probe::Ready,
            Some(_) => Probe::NotReady("the view is too old to decide by"),
            None => Probe::NotReady("it is gone"),
        });
    }
}

impl fmt::Debug for Sanctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sanctions")
            .field("generation", &self.generation())
            .field("shared", &self.0.shared)
            .finish_non_exhaustive()
    }
}

impl Inner {
    fn age(&self) -> Duration {
        match self.heard_at.load(Ordering::Acquire) {
            ALWAYS => Duration::ZERO,
            heard => self
                .clock
                .monotonic()
                .saturating_sub(Duration::from_micros(heard)),
        }
    }

    /// The view was complete at `at`, on the monotonic clock.
    fn heard(&self, at: Duration) {
        if self.heard_at.load(Ordering::Acquire) != ALWAYS {
            let micros = u64::try_from(at.as_micros()).unwrap_or(ALWAYS - 1);
            self.heard_at.fetch_max(micros, Ordering::AcqRel);
        }
    }

    /// The time for deciding what has expired: nothing has, where nobody can say.
    fn lenient_now(&self) -> Timestamp {
        self.clock.now().unwrap_or(Timestamp::EPOCH)
    }
}

/// Whether any sanction could name it.
fn can_be_struck(who: &Principal) -> bool {
    !who.is_anonymous()
        || who.token().is_some()
        || who.session().is_some()
        || who.key().is_some()
        || who.further_proofs().next().is_some()
}
