//! What a workload shows and whom it trusts, replaced as one while connections go on.
//!
//! 1. Certificate, key, roots and revocation lists are one [`Material`]: a connection never sees the
//!    one of before and the other of after.
//! 2. A material that cannot be had leaves the last good one in place; [`Credentials::status`] says
//!    why, and how old that is.
//! 3. Each new material is told to every server and connector that uses it; live connections are
//!    judged again by it.
//! 4. [`Credentials::standing`] tells how near the end our own certificate and the revocation lists are;
//!    [`Credentials::register`] makes a process whose certificate ends not ready.
//!
//! Where they come from: [`files`], which are read again when they change.

pub mod files;
mod identity;
mod standing;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use rustls::crypto::CryptoProvider;
use tokio::sync::watch;
use zt_core::{
    clock::{Clock, SystemClock},
    state::{Live, LiveStatus, Snapshot},
};

pub(crate) use self::identity::pem_all;
pub use self::{
    files::{Files, FilesError, Reload, Reloader},
    identity::{Identity, IdentityError},
    standing::{Age, Standing},
};
use crate::verify::Trust;

/// Our certificate and key, and whom we trust: one edition of it.
#[derive(Debug, Clone)]
pub struct Material {
    identity: Identity,
    trust: Trust,
}

impl Material {
    /// Shows `identity`, and trusts whom `trust` says.
    #[must_use]
    pub const fn new(identity: Identity, trust: Trust) -> Self {
        Self { identity, trust }
    }

    /// What is shown.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Who is trusted.
    #[must_use]
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }
}

/// The material in force; see the [module](self). Clones share it.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    live: Live<Material>,
    provider: Arc<CryptoProvider>,
    clock: Arc<dyn Clock>,
    /// The generation in force.
    changed: watch::Sender<u64>,
}

impl Credentials {
    /// With a first material; aws-lc-rs and the system's clock.
    #[must_use]
    pub fn new(material: Material) -> Self {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        Self::with(material, Arc::new(provider), SystemClock)
    }

    /// The same with another provider of cryptography and another clock. rustls' process-wide
    /// default is never asked.
    #[must_use]
    pub fn with(material: Material, provider: Arc<CryptoProvider>, clock: impl Clock) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let live = Live::new(material, Arc::clone(&clock));
        let (changed, _) = watch::channel(live.load().generation());
        Self(Arc::new(Inner {
            live,
            provider,
            clock,
            changed,
        }))
    }

    /// Puts another material in force, for new connections and for those that live; its generation.
    pub fn replace(&self, material: Material) -> u64 {
        let generation = self.0.live.swap(material).generation();
        self.0.changed.send_replace(generation);
        generation
    }

    /// The material in force.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot<Material>> {
        self.0.live.load()
    }

    /// Which edition is in force, how old it is, and why the last attempt to replace it failed.
    #[must_use]
    pub fn status(&self) -> LiveStatus {
        self.0.live.status()
    }

    /// Each generation as it comes into force; the one that is there counts as seen.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// For whoever replaces them for as long as anybody has them.
    #[cfg(feature = "spire")]
    pub(crate) fn downgrade(&self) -> WeakCredentials {
        WeakCredentials(Arc::downgrade(&self.0))
    }

    pub(crate) fn live(&self) -> &Live<Material> {
        &self.0.live
    }

    pub(crate) fn provider(&self) -> &Arc<CryptoProvider> {
        &self.0.provider
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.0.clock
    }
}

/// Credentials that may be gone.
#[cfg(feature = "spire")]
pub(crate) struct WeakCredentials(std::sync::Weak<Inner>);

#[cfg(feature = "spire")]
impl WeakCredentials {
    pub(crate) fn upgrade(&self) -> Option<Credentials> {
        self.0.upgrade().map(Credentials)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("material", &**self.load())
            .finish_non_exhaustive()
    }
}
