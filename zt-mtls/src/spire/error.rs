use std::{io, sync::Arc};

use super::{
    Endpoint, FIRST_ANSWER, MAX_RESPONSE,
    call::{MAX_SILENCE, Status},
    update::Unusable,
};

/// Why there are no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpireError {
    /// The address is another host's, and private keys would come over the network in the clear.
    #[error("private keys would come over the network in the clear from `{0}`")]
    OverNetwork(Arc<str>),
    /// The agent does not serve the Workload API to us, and will not later.
    #[error("the agent refuses for good: {0}")]
    Refused(Arc<str>),
    /// There was no identity in time; with what was wrong last.
    #[error("there was no identity in time: {0}")]
    NoIdentity(Arc<str>),
}

/// Why one call of the agent came to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the agent at `{0}` cannot be reached: {1}")]
    Unreachable(Endpoint, io::Error),
    #[error("the agent did not answer within {} s", FIRST_ANSWER.as_secs())]
    Late,
    #[error("the agent did not answer a ping within {} s", MAX_SILENCE.as_secs())]
    Silent,
    #[error("the agent does not speak HTTP/2 as it should: {0}")]
    Http2(#[from] h2::Error),
    #[error("the agent does not speak gRPC: {0}")]
    NotGrpc(&'static str),
    #[error("the agent ended the stream: {0}")]
    Status(Status),
    #[error("the response is longer than {MAX_RESPONSE} bytes")]
    TooLong,
    #[error("the response cannot be used: {0}")]
    Unusable(#[from] Unusable),
}

impl Failure {
    /// SPIFFE_Workload_Endpoint, section 6 and appendix A.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Status(status) if status.is_final())
    }
}
