//! The body of a signed request.

use std::fmt;

use http::request::Parts;

use super::{SignaturePolicy, policy::BodyMode, refusal::Refusal, refuse::Answers};
use crate::{
    authenticate::{BodyPlan, ProveBody},
    context::SecurityContext,
    decision::Denial,
    digest::ContentDigest,
};

/// What a signature that holds says of the body: its digest, or nothing.
pub(super) struct SignedBody {
    covered: bool,
    unsigned: bool,
    mode: BodyMode,
    answers: Answers,
}

impl SignedBody {
    pub(super) fn new(policy: &SignaturePolicy, covered: bool, answers: &Answers) -> Self {
        Self {
            covered,
            unsigned: policy.unsigned_body,
            mode: policy.body,
            answers: answers.clone(),
        }
    }

    fn refuse<T>(&self, refusal: Refusal) -> Result<T, Denial> {
        Err(self.answers.denial(refusal.into()))
    }
}

impl ProveBody for SignedBody {
    fn plan(&self, parts: &Parts, present: bool, _: &SecurityContext) -> Result<BodyPlan, Denial> {
        if !self.covered {
            // Whether there is a body is for the server to say, not for `Content-Length`.
            return match present && !self.unsigned {
                true => self.refuse(Refusal::BodyNotCovered),
                false => Ok(BodyPlan::HandOn),
            };
        }
        // Also where there is no body: then the digest is that of nothing.
        match ContentDigest::from_headers(&parts.headers) {
            Ok(Some(digest)) => Ok(match self.mode {
                BodyMode::Buffer(limits) => BodyPlan::Collect {
                    limits,
                    digest: Some(digest),
                },
                BodyMode::Stream => BodyPlan::Stream { digest },
            }),
            Ok(None) | Err(_) => self.refuse(Refusal::BadDigest),
        }
    }

    fn mismatch(&self) -> Denial {
        self.answers.denial(Refusal::DigestMismatch.into())
    }
}

impl fmt::Debug for SignedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBody")
            .field("covered", &self.covered)
            .finish_non_exhaustive()
    }
}
