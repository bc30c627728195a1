//! What refusals carry, built once (RFC 6750 section 3).

use http::StatusCode;
use zt_core::decision::{Challenge, Code, Denial};

use super::config::Parameters;

/// The challenges of one layer.
#[derive(Debug)]
pub(super) struct Answers {
    /// Nothing was presented, or nothing of ours: no error code (RFC 6750 section 3.1).
    pub(super) asked: Challenge,
    invalid: Challenge,
    expired: Challenge,
    revoked: Challenge,
    bound: Challenge,
    /// For the scheme that is not taken; `Bearer` is what it asks for instead.
    dpop: Challenge,
    unreadable: Challenge,
    several: Challenge,
}

impl Answers {
    pub(super) fn new(parameters: &Parameters<'_>) -> Self {
        let base = bearer(parameters.realm, parameters.resource_metadata);
        let asked = if parameters.scope.is_empty() {
            base.clone()
        } else {
            base.clone().with("scope", &parameters.scope)
        };
        let error = |base: &Challenge, error, description| {
            base.clone()
                .with("error", error)
                .with("error_description", description)
        };
        let token = |description| error(&asked, "invalid_token", description);
        let request = |description| error(&base, "invalid_request", description);
        Self {
            invalid: token("the token is not valid"),
            expired: token("the token has expired"),
            revoked: token("the token has been revoked"),
            bound: token("the token is bound to a key that was not proved"),
            dpop: token("the scheme DPoP is not accepted"),
            unreadable: request("the credential cannot be read"),
            several: request("more than one credential was presented"),
            asked,
        }
    }

    /// `denial` with the challenge that belongs to it. Where something of ours is down, or the
    /// credential is not to blame, there is none: asking for another one would not help.
    pub(super) fn complete(&self, denial: Denial) -> Denial {
        if !denial.challenges().is_empty() {
            return denial;
        }
        let challenge = match denial.code() {
            Code::CredentialMalformed => &self.unreadable,
            Code::CredentialAmbiguous => &self.several,
            Code::CredentialExpired => &self.expired,
            Code::CredentialRevoked => &self.revoked,
            Code::BindingMismatch => &self.bound,
            _ if denial.status() == StatusCode::UNAUTHORIZED => &self.invalid,
            _ => return denial,
        };
        denial.challenge(challenge.clone())
    }

    /// A token under `DPoP`.
    pub(super) fn dpop(&self) -> Denial {
        Denial::new(Code::CredentialInvalid)
            .detail("presented under `DPoP`, whose proofs are not verified here")
            .challenge(self.dpop.clone())
    }
}

/// The parameters that every challenge of ours begins with.
pub(crate) fn bearer(realm: &str, resource_metadata: Option<&str>) -> Challenge {
    let bearer = Challenge::new("Bearer").with("realm", realm);
    match resource_metadata {
        // RFC 9728 section 5.1.
        Some(url) => bearer.with("resource_metadata", url),
        None => bearer,
    }
}
