use std::time::Duration;

use super::{
    behaviour::{Behaviour, Endpoint},
    issuer::TestIssuer,
};

/// # Changing keys
///
/// All algorithms change at once. Verifiers of an offline issuer keep the keys that they have.
impl TestIssuer {
    /// Publishes the keys that will come next; they sign nothing yet.
    pub fn add_next_key(&self) {
        self.state.ring().add_next();
    }

    /// Signs with the next keys, made now where there are none; the former ones stay published.
    pub fn use_next_key(&self) {
        self.state.ring().use_next();
    }

    /// Publishes keys that no longer sign no more.
    pub fn retire_old_keys(&self) {
        self.state.ring().retire_old();
    }

    /// All at once: other keys sign, and the former ones are gone.
    pub fn rotate(&self) {
        let mut ring = self.state.ring();
        ring.use_next();
        ring.retire_old();
    }

    /// Other keys sign under the names of the former ones, as no issuer should do.
    pub fn swap_key_under_same_kid(&self) {
        self.state.ring().swap_current();
    }
}

/// # On the wire
impl TestIssuer {
    /// Answers in another way from now on, at every endpoint. Requests that wait are answered.
    pub fn behave(&self, behaviour: Behaviour) {
        for endpoint in Endpoint::ALL {
            self.behave_at(*endpoint, behaviour.clone());
        }
    }

    /// As [`behave`](Self::behave), at one endpoint.
    pub fn behave_at(&self, endpoint: Endpoint, behaviour: Behaviour) {
        self.state.behave(endpoint, behaviour);
    }

    /// For how long metadata and keys may be cached (`max-age`, in whole seconds); five minutes
    /// unless said otherwise.
    pub fn cache_for(&self, max_age: Duration) {
        self.state.settings().max_age = max_age;
    }

    /// How often keys were asked for, however it was answered.
    #[must_use]
    pub fn jwks_requests(&self) -> u64 {
        self.state.requests(Endpoint::Keys)
    }

    /// How often metadata was asked for.
    #[must_use]
    pub fn discovery_requests(&self) -> u64 {
        self.state.requests(Endpoint::Metadata)
    }

    /// How often the token endpoint was asked.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.state.requests(Endpoint::Token)
    }
}
