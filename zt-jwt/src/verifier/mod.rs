//! The decision: is this token genuine, fresh, bound, and meant for us.

mod attempt;
mod builder;
mod cache;
mod config;
mod decide;
mod error;
mod headers;
mod issuer;
mod policy;
#[cfg(test)]
mod tests;
mod verify;

use std::{fmt, future::Future, ops::Deref, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, join_all};
use zt_core::{
    clock::{Clock, Timestamp},
    decision::{Code, Denial},
    identity::{PeerIdentity, Principal},
    state::{Probe, Readiness, Sanctions},
};

pub(crate) use self::verify::Recalled;
pub use self::{
    builder::VerifierBuilder,
    cache::{CacheBounds, TokenCache},
    config::IssuerConfig,
    error::ConfigError,
    issuer::Issuer,
    policy::Audience,
};
use self::{cache::Seed, headers::Headers, policy::Policy};
use crate::{
    jwks::{Current, CurrentKeys, KeysStatus, RemoteKeys},
    key::KeySet,
    refusal::{Refusal, Refused},
};

/// Verifies tokens of the issuers that it was built with. Clones share keys and cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    issuers: Vec<Known>,
    clock: Arc<dyn Clock>,
    /// Tells this verifier's entries in a shared cache from those of others.
    seed: Seed,
    sanctions: Option<Sanctions>,
    cache: Option<TokenCache>,
    headers: Headers,
    longest: usize,
}

/// An issuer, ready for use.
#[derive(Debug)]
struct Known {
    policy: Policy,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Fixed(KeySet),
    Remote(RemoteKeys),
}

/// What surrounds a token in its request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    /// The workload on the connection, for tokens that are bound to its certificate.
    pub(crate) peer: Option<&'a Arc<PeerIdentity>>,
    pub(crate) now: Timestamp,
    pub(crate) monotonic: Duration,
}

/// A verification that may have to wait for keys.
pub(crate) enum Progress {
    Done(Result<Arc<Principal>, Refused>),
    /// Owns whatever it needs.
    Waiting(BoxFuture<'static, Result<Arc<Principal>, Refused>>),
}

impl Verifier {
    /// Collects issuers.
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder::default()
    }

    /// Verifies `token` at the verifier's own clock, waiting for keys where it has to. `peer` is
    /// the workload on the connection, for tokens that are bound to its certificate (RFC 8705).
    ///
    /// # Errors
    ///
    /// Why it is not good.
    pub async fn verify(
        &self,
        token: &str,
        peer: Option<&Arc<PeerIdentity>>,
    ) -> Result<Arc<Principal>, Refused> {
        let (now, monotonic) = self.0.clock.read();
        let now = now.map_err(|error| {
            Refused::from(Denial::new(Code::ClockUnavailable).detail(error.to_string()))
        })?;
        let around = Surroundings {
            peer,
            now,
            monotonic,
        };
        match self.begin(token.as_bytes(), &around) {
            Progress::Done(result) => result,
            Progress::Waiting(later) => later.await,
        }
    }

    /// Fetches the keys of every issuer, so that the first request finds them.
    ///
    /// # Errors
    ///
    /// [`Refusal::Keys`] where those of one cannot be had.
    pub async fn fetch_keys(&self) -> Result<(), Refused> {
        let fetches = self.remotes().map(RemoteKeys::fetch_now);
        let failed = join_all(fetches).await.into_iter().filter_map(Result::err);
        match failed.map(|failed| failed.retry_after).max() {
            None => Ok(()),
            Some(retry_after) => Err(Refused {
                retry_after: Some(retry_after),
                ..Refusal::Keys.into()
            }),
        }
    }

    /// Keeps the keys of all issuers fresh; to be spawned, once. It ends when the last handle is
    /// dropped. Without it keys are fetched when a request needs them, and a key that its issuer
    /// has withdrawn is trusted until then.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        let tasks: Vec<_> = self
            .remotes()
            .map(|keys| -> BoxFuture<'static, ()> { Box::pin(keys.keep_fresh()) })
            .collect();
        async move {
            join_all(tasks).await;
        }
    }

    /// Shows in `readiness`, as `name`, whether every issuer's keys are there and fresh enough. Where
    /// they are not, being asked has them fetched, so that a process which gets no requests until
    /// it is ready becomes ready.
    pub fn register(&self, readiness: &Readiness, name: &'static str) {
        let inner = Arc::downgrade(&self.0);
        readiness.register(name, move || {
            let Some(verifier) = inner.upgrade().map(Self) else {
                return Probe::NotReady("the verifier is gone");
            };
            let troubled = verifier
                .remotes()
                .map(RemoteKeys::probe)
                .find(|probe| *probe != Probe::Ready);
            troubled.unwrap_or(Probe::Ready)
        });
    }

    /// How the fetched keys of each issuer stand, for administrators.
    #[must_use]
    pub fn keys_status(&self) -> Vec<(Arc<str>, KeysStatus)> {
        let remote = |one: &Known| match &one.source {
            Source::Remote(keys) => Some((Arc::clone(&one.policy.name), keys.status())),
            Source::Fixed(_) => None,
        };
        self.0.issuers.iter().filter_map(remote).collect()
    }

    fn remotes(&self) -> impl Iterator<Item = &RemoteKeys> {
        self.0.issuers.iter().filter_map(|one| match &one.source {
            Source::Remote(keys) => Some(keys),
            Source::Fixed(_) => None,
        })
    }
}

/// The keys of an issuer, for one look at them.
enum InUse<'a> {
    Fixed(&'a KeySet),
    Remote(CurrentKeys),
}

impl Deref for InUse<'_> {
    type Target = KeySet;

    fn deref(&self) -> &KeySet {
        match self {
            Self::Fixed(keys) => keys,
            Self::Remote(keys) => keys,
        }
    }
}

impl Source {
    fn current(&self, monotonic: Duration) -> Option<InUse<'_>> {
        match self {
            Self::Fixed(keys) => Some(InUse::Fixed(keys)),
            Self::Remote(keys) => match keys.current(monotonic) {
                Current::Keys(keys) => Some(InUse::Remote(keys)),
                Current::None => None,
            },
        }
    }

    /// Whether there are keys that may be used.
    fn is_current(&self, monotonic: Duration) -> bool {
        match self {
            Self::Fixed(_) => true,
            Self::Remote(_) => self.current(monotonic).is_some(),
        }
    }

    fn epoch(&self) -> u64 {
        match self {
            Self::Fixed(_) => 0,
            Self::Remote(keys) => keys.epoch(),
        }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.0.issuers.iter().map(|one| &one.policy.name);
        f.debug_struct("Verifier")
            .field("issuers", &names.collect::<Vec<_>>())
            .field("cache", &self.0.cache)
            .finish_non_exhaustive()
    }
}
