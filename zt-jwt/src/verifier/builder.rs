use std::{collections::HashSet, sync::Arc};

use zt_core::{
    clock::{Clock, SystemClock},
    identity::PrincipalKind,
    random::{Entropy, OsEntropy, bytes},
    state::Sanctions,
};

use super::{
    CacheBounds, ConfigError, Inner, Issuer, Known, Source, TokenCache, Verifier, cache::Seed,
    headers::Headers, issuer,
};
use crate::jwks::RemoteKeys;

/// Collects what a [`Verifier`] works with.
#[derive(Debug)]
#[must_use]
pub struct VerifierBuilder {
    issuers: Vec<Issuer>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    sanctions: Option<Sanctions>,
    cache: Option<TokenCache>,
    longest: usize,
}

/// The longest token, unless said otherwise.
const LONGEST: usize = 8 * 1_024;
/// The longest name of an issuer.
const LONGEST_NAME: usize = 2_048;

impl Default for VerifierBuilder {
    fn default() -> Self {
        Self {
            issuers: Vec::new(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            sanctions: None,
            cache: Some(TokenCache::new(CacheBounds::default())),
            longest: LONGEST,
        }
    }
}

impl VerifierBuilder {
    /// Adds an issuer.
    pub fn issuer(mut self, issuer: Issuer) -> Self {
        self.issuers.push(issuer);
        self
    }

    /// Refuses what `sanctions` revoke: by `jti`, by `sid`, everything of a subject that was issued
    /// before a moment, or everything under a key. They are asked for every request, whether the
    /// token was verified before or not.
    ///
    /// A key is named by its own id, a public key without one by its RFC 7638 thumbprint. A shared
    /// secret has neither, and is taken out of the configuration.
    pub fn sanctions(mut self, sanctions: Sanctions) -> Self {
        self.sanctions = Some(sanctions);
        self
    }

    /// Remembers verified tokens in `cache`. Without this call each verifier has one of its own.
    pub fn cache(mut self, cache: TokenCache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Verifies every token anew.
    pub fn without_cache(mut self) -> Self {
        self.cache = None;
        self
    }

    /// The longest token, in bytes; 8 KiB unless said otherwise. Servers bound a header's size, too.
    pub const fn longest_token(mut self, bytes: usize) -> Self {
        self.longest = bytes;
        self
    }

    /// Another clock than the machine's: for keys, and for [`Verifier::verify`]. Requests bring
    /// their own time, so it has to be the clock of the stack that they come through: of two clocks
    /// with different beginnings, neither says how old keys are.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// The verifier.
    ///
    /// # Errors
    ///
    /// Where there is no issuer, one is there twice or has no name, no algorithm is left for one,
    /// or there is no randomness to be had.
    pub fn build(self) -> Result<Verifier, ConfigError> {
        if self.issuers.is_empty() {
            return Err(ConfigError::NoIssuer);
        }
        let mut names = HashSet::new();
        let mut known = Vec::new();
        for issuer in self.issuers {
            let name = &issuer.policy.name;
            if name.is_empty() || name.len() > LONGEST_NAME {
                return Err(ConfigError::IssuerName((&**name).into()));
            }
            if !names.insert(Arc::clone(name)) {
                return Err(ConfigError::IssuerTwice((&**name).into()));
            }
            known.push(Known::new(issuer, &self.clock)?);
        }
        Ok(Verifier(Arc::new(Inner {
            issuers: known,
            clock: self.clock,
            seed: Seed::new(&bytes(&*self.entropy)?),
            sanctions: self.sanctions,
            cache: self.cache,
            headers: Headers::new(),
            longest: self.longest,
        })))
    }
}

impl Known {
    fn new(issuer: Issuer, clock: &Arc<dyn Clock>) -> Result<Self, ConfigError> {
        let algorithms = issuer.policy.algorithms;
        let none_left = || ConfigError::NoAlgorithm((&*issuer.policy.name).into());
        if issuer.policy.principal == Some(PrincipalKind::Anonymous) {
            return Err(ConfigError::Anonymous((&*issuer.policy.name).into()));
        }
        if algorithms.is_empty() {
            return Err(none_left());
        }
        let source = match issuer.keys {
            issuer::Keys::Fixed(keys) => {
                let keys = keys.restrict(algorithms);
                if keys.is_empty() {
                    return Err(none_left());
                }
                Source::Fixed(keys)
            }
            issuer::Keys::Remote(source) => Source::Remote(RemoteKeys::new(
                source,
                algorithms,
                issuer.refresh,
                Arc::clone(clock),
            )),
        };
        Ok(Self {
            policy: issuer.policy,
            source,
        })
    }
}
