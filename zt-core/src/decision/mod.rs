//! What was decided: a [`Permit`], which is evidence, or a [`Denial`], which is an answer.
//!
//! Three kinds of failure stay apart. A configuration error comes from a constructor, before the
//! first request. A denial is an answer with a stable [`Code`]. Broken infrastructure (a store, a
//! key endpoint, the clock) is a denial too, with a code of its own; nothing passes because
//! something is down.

mod challenge;
mod code;
mod denial;
mod permit;
mod policy_name;

pub(crate) use self::policy_name::PolicyName;
pub use self::{
    challenge::Challenge,
    code::Code,
    denial::Denial,
    permit::{Permit, PermitAssertion},
};

/// The answer to "may this request go on?". Exhaustive on purpose.
#[derive(Debug, Clone)]
pub enum Decision {
    /// It may.
    Permit(Permit),
    /// It may not.
    Denial(Denial),
}

impl From<Result<Permit, Denial>> for Decision {
    fn from(result: Result<Permit, Denial>) -> Self {
        match result {
            Ok(permit) => Self::Permit(permit),
            Err(denial) => Self::Denial(denial),
        }
    }
}

impl From<Decision> for Result<Permit, Denial> {
    fn from(decision: Decision) -> Self {
        match decision {
            Decision::Permit(permit) => Ok(permit),
            Decision::Denial(denial) => Err(denial),
        }
    }
}
