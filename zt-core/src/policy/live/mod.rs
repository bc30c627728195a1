//! A policy that is loaded again while requests are decided by it.
//!
//! 1. A policy is replaced as a whole, by one that was loaded without an error. What cannot be loaded
//!    changes nothing: the last good one stays, and the [status](LivePolicy::status) says why. At the
//!    start there is no last good one, so that is an error.
//! 2. Its files are read until two readings agree, the further files that the main one names
//!    included; so what is put in force lay there at one moment.
//! 3. [`follow`](LivePolicy::follow) takes what two looks in a row have found: a file that is written
//!    over in its place may be a sound policy without its last rules while it is half written.
//!    [`reload`](LivePolicy::reload) takes what it finds. Where three looks in a row have each found
//!    something else nothing of it is taken, and that is an error: the status says so, and what is in
//!    force is not confirmed.
//! 4. Texts that have not changed confirm what is in force.
//! 5. Each request is decided by one edition, also where its body or its facts take long.
//! 6. Files are read, and policies compiled, on a thread of their own, one look at a time. A look that
//!    panics or hangs has failed; there is another.
//! 7. What was loaded or refused is recorded once (`config`, part `policy` or `policy-candidate`), with
//!    its version and what was wrong.
//!
//! A [candidate](LivePolicy::candidate) is tried beside it and loaded again with it; one that cannot be
//! loaded keeps nothing from being replaced.

mod look;
mod source;
#[cfg(test)]
mod tests;

use std::{fmt, future::Future, path::Path, sync::Arc, time::Duration};

use futures_util::future::{Either, select};
use tokio::sync::Mutex;

use self::{
    look::{Looks, apart},
    source::{Files, Made, Source},
};
use super::{
    CompiledPolicy, DryRunReport, PolicyError, PolicyErrors, PolicyOptions, model::Origin,
};
use crate::{
    authorize::{Access, Policy, Verdict},
    body::CollectLimits,
    clock::Clock,
    gate::Step,
    state::{Live, LiveStatus, Readiness, Snapshot},
};

/// A policy that is replaced while requests are decided by it; see the [module](super) for its file.
/// Clones share it.
///
/// ```no_run
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use zt_core::{authorize::AuthorizeLayer, policy::{LivePolicy, PolicyOptions}};
///
/// let policy = LivePolicy::open("/etc/shop/policy.toml", PolicyOptions::new())?;
/// tokio::spawn(policy.follow(Duration::from_secs(1)));
/// let layer = AuthorizeLayer::new(policy.clone());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct LivePolicy(Arc<Inner>);

struct Inner {
    live: Live<CompiledPolicy>,
    options: PolicyOptions,
    looks: Arc<Mutex<Looks>>,
}

/// What one look found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reloaded {
    /// What is in force.
    Unchanged,
    /// Something else, which is in force from now on, as this generation.
    Replaced(u64),
    /// Something else, which the next look puts in force if it finds the same.
    Settling,
}

/// A look that takes longer is reported as failed, though its result still counts.
const DEADLINE: Duration = Duration::from_secs(10);
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(3600);

impl LivePolicy {
    /// The policy in the file at `path` and in the files that it names.
    ///
    /// # Errors
    ///
    /// As [`CompiledPolicy::read`].
    pub fn open(path: impl AsRef<Path>, options: PolicyOptions) -> Result<Self, PolicyErrors> {
        let files = Files::new(path.as_ref(), &options);
        Self::start(Box::new(files), options)
    }

    /// The policy that `load` gives: from other languages, or other places. It is called at each look,
    /// on a thread that may block.
    ///
    /// # Errors
    ///
    /// What `load` says at first.
    pub fn load_with(
        load: impl Fn() -> Result<CompiledPolicy, PolicyErrors> + Send + Sync + 'static,
        options: PolicyOptions,
    ) -> Result<Self, PolicyErrors> {
        Self::start(Box::new(Made(load)), options)
    }

    /// With another policy, in the file at `path`, that is tried beside it and decides nothing; see
    /// [`CompiledPolicy::with_candidate`]. Takes the place of one that was there. Clones that were made
    /// before are without it.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), for either.
    pub fn candidate(self, path: impl AsRef<Path>) -> Result<Self, PolicyErrors> {
        let files = Files::new(path.as_ref(), &self.0.options);
        self.beside(Box::new(files))
    }

    /// The same with a candidate that `load` gives.
    ///
    /// # Errors
    ///
    /// As [`load_with`](Self::load_with), for either.
    pub fn candidate_with(
        self,
        load: impl Fn() -> Result<CompiledPolicy, PolicyErrors> + Send + Sync + 'static,
    ) -> Result<Self, PolicyErrors> {
        self.beside(Box::new(Made(load)))
    }

    fn start(source: Box<dyn Source>, options: PolicyOptions) -> Result<Self, PolicyErrors> {
        Self::with(Looks::first(Arc::from(source), None, &options)?, options)
    }

    fn beside(self, candidate: Box<dyn Source>) -> Result<Self, PolicyErrors> {
        let options = self.0.options.clone();
        let looks = Arc::clone(&self.0.looks);
        let enforced = match looks.try_lock() {
            Ok(looks) => looks.enforced(),
            Err(_) => return Err(failed("the policy is being loaded just now")),
        };
        let looks = Looks::first(enforced, Some(Arc::from(candidate)), &options)?;
        Self::with(looks, options)
    }

    fn with(looks: Looks, options: PolicyOptions) -> Result<Self, PolicyErrors> {
        Ok(Self(Arc::new(Inner {
            live: Live::new(looks.policy(), Arc::clone(&options.clock)),
            looks: Arc::new(Mutex::new(looks)),
            options,
        })))
    }

    /// Looks now, as on a signal. What is found is put in force at once.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, or with the candidate; what was in force stays.
    pub async fn reload(&self) -> Result<Reloaded, PolicyErrors> {
        look(Arc::clone(&self.0), false).await
    }

    /// Looks again and again, `every` so often (a tenth of a second to an hour), until nobody has the
    /// policy any more. To be spawned.
    #[must_use = "a future does nothing unless it is spawned"]
    pub fn follow(&self, every: Duration) -> impl Future<Output = ()> + Send + 'static {
        let every = every.clamp(SHORTEST, LONGEST);
        let clock = Arc::clone(&self.0.options.clock);
        let inner = Arc::downgrade(&self.0);
        async move {
            loop {
                clock.sleep(every).await;
                let Some(inner) = inner.upgrade() else {
                    return;
                };
                // What went wrong is in the status, the log and the record.
                drop(look(inner, true).await);
            }
        }
    }

    /// The policy as it is now.
    #[must_use]
    pub fn current(&self) -> CompiledPolicy {
        CompiledPolicy::clone(&self.0.live.load())
    }

    /// How it stands: its generation, since when, and why the last attempt to replace it failed.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        self.0.live.status()
    }

    /// Shows in `readiness`, as `name`, that there is a policy.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        self.0.live.register(readiness, name);
    }

    /// What would have been decided otherwise by rules that are only tried, and by the candidate.
    #[must_use]
    pub fn dry_run_report(&self) -> DryRunReport {
        self.0.live.load().dry_run_report()
    }
}

/// One look, on a thread of its own; the next one waits for it.
async fn look(inner: Arc<Inner>, settles: bool) -> Result<Reloaded, PolicyErrors> {
    let late = inner.options.clock.sleep(DEADLINE);
    let shared = Arc::clone(&inner);
    let looking = Box::pin(async move {
        let mut looks = Arc::clone(&shared.looks).lock_owned().await;
        apart(move || looks.look(&shared.live, &shared.options, settles)).await
    });
    let why = match select(looking, late).await {
        Either::Left((Some(found), _)) => return found,
        Either::Left((None, _)) => failed("the policy could not be looked at"),
        Either::Right(_) => failed("the policy has not been read for 10 s"),
    };
    inner.live.failed(&why);
    tracing::warn!(error = %why, "the policy cannot be loaded again");
    Err(why)
}

fn failed(why: &str) -> PolicyErrors {
    let origin = Origin {
        file: "policy".into(),
        ..Origin::default()
    };
    PolicyError::new(&origin, why).into()
}

impl Policy for LivePolicy {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        self.0.live.load().decide(access)
    }

    fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        self.0.live.load().needs_body(access)
    }

    fn edition(&self) -> Option<Arc<dyn Policy>> {
        Some(self.0.live.load())
    }

    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        self.0.live.load().known_as()
    }
}

/// One edition of a policy that is loaded again.
impl Policy for Snapshot<CompiledPolicy> {
    fn decide(&self, access: &Access<'_>) -> Step<Verdict> {
        (**self).decide(access)
    }

    fn needs_body(&self, access: &Access<'_>) -> Option<CollectLimits> {
        (**self).needs_body(access)
    }

    fn known_as(&self) -> Option<(Arc<str>, Arc<str>)> {
        (**self).known_as()
    }
}

impl fmt::Debug for LivePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.0.live.load();
        f.debug_struct("LivePolicy")
            .field("name", &current.name())
            .field("version", &current.version())
            .field("generation", &current.generation())
            .finish_non_exhaustive()
    }
}
