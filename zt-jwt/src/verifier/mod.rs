//! The decision: is this token genuine, fresh, bound, and meant for us.

mod builder;
mod error;
mod issuer;
mod policy;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use zt_core::{
    clock::Timestamp,
    identity::{PeerIdentity, Principal},
    state::Readiness,
};

pub use self::{builder::VerifierBuilder, error::ConfigError, issuer::Issuer, policy::Audience};
use crate::refusal::Refused;

/// Verifies tokens of the issuers that it was built with. Clones share keys and cache.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {}

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
        _token: &str,
        _peer: Option<&Arc<PeerIdentity>>,
    ) -> Result<Arc<Principal>, Refused> {
        unimplemented!()
    }

    /// As [`verify`](Self::verify), at once where it can be.
    pub(crate) fn begin(&self, _token: &[u8], _around: &Surroundings<'_>) -> Progress {
        unimplemented!()
    }

    /// Fetches every issuer's keys once.
    ///
    /// # Errors
    ///
    /// `keys-unavailable` where one cannot be had.
    pub async fn fetch_keys(&self) -> Result<(), Refused> {
        unimplemented!()
    }

    /// Keeps the keys of all issuers fresh; to be spawned, once. It ends when the last handle is
    /// dropped. Without it keys are fetched when a request needs them.
    pub fn keep_fresh(&self) -> impl Future<Output = ()> + Send + 'static + use<> {
        async { unimplemented!() }
    }

    /// Shows in `readiness`, as `name`, whether every issuer's keys are there and fresh enough.
    pub fn register(&self, _readiness: &Readiness, _name: &'static str) {
        unimplemented!()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}
