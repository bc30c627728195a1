//! How refusals are answered.

use http::HeaderValue;

use super::{ConfigError, SignaturePolicy, check::Refused};
use crate::{
    decision::{Challenge, Code, Denial},
    signature::base::{ACCEPT_SIGNATURE, AcceptSignature},
};

/// The label that clients are asked to use; it means nothing.
const LABEL: &str = "sig1";

/// What 401s carry, made once.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    challenge: Challenge,
    accept: HeaderValue,
}

impl Answers {
    pub(super) fn new(policy: &SignaturePolicy, realm: &str) -> Result<Self, ConfigError> {
        let mut asked =
            AcceptSignature::new(LABEL, policy.asked()).map_err(|_| ConfigError::Unspeakable)?;
        if policy.created {
            asked = asked.created();
        }
        if policy.expires {
            asked = asked.expires();
        }
        // A nonce and a key are asked for by value or not at all.
        if let Some(tag) = &policy.tag {
            asked = asked.tag(tag).map_err(|_| ConfigError::Unspeakable)?;
        }
        Ok(Self {
            challenge: Challenge::new("Signature").with("realm", realm),
            accept: asked
                .to_header_value()
                .map_err(|_| ConfigError::Unspeakable)?,
        })
    }

    pub(super) const fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    pub(super) fn missing(&self) -> Denial {
        self.ask(Denial::new(Code::SignatureMissing))
    }

    #[cold]
    pub(super) fn denial(&self, refused: Refused) -> Denial {
        let Refused {
            refusal,
            explanation,
        } = refused;
        let code = refusal.code();
        let mut denial = Denial::new(code);
        if let Some(sentence) = refusal.sentence() {
            denial = denial.sentence(sentence);
        }
        denial = denial.detail(match explanation {
            Some(explanation) => format!("{refusal}\n{explanation}"),
            None => refusal.to_string(),
        });
        if code.status() == http::StatusCode::UNAUTHORIZED {
            return self.ask(denial);
        }
        denial
    }

    /// RFC 9421 section 5.1, and RFC 9110 section 15.5.2, which wants a challenge.
    fn ask(&self, denial: Denial) -> Denial {
        denial
            .challenge(self.challenge.clone())
            .header(ACCEPT_SIGNATURE, self.accept.clone())
    }
}
