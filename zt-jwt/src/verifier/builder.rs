use std::sync::Arc;

use zt_core::{
    clock::{Clock, SystemClock},
    state::Sanctions,
};

use super::{ConfigError, Issuer, Verifier};

/// Collects what a [`Verifier`] works with.
#[derive(Debug)]
#[must_use]
pub struct VerifierBuilder {
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
    sanctions: Option<Sanctions>,
}

impl Default for VerifierBuilder {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            clock: Arc::new(SystemClock),
            sanctions: None,
        }
    }
}

impl VerifierBuilder {
    /// Adds an issuer.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Refuses what `sanctions` revoke.
    pub fn sanctions(mut self, sanctions: Sanctions) -> Self {
        self.sanctions = Some(sanctions);
        self
    }

    /// Another clock than the machine's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The verifier.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        let _ = (self.issuers, self.clock, self.sanctions);
        unimplemented!()
    }
}
