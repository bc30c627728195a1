use std::{sync::Arc, time::Duration};

/// A verifier that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The memory forgets before the policy does: what it has forgotten could come again.
    #[error("the replay memory remembers for {memory:?}, and signatures are good for {policy:?}")]
    MemoryTooShort {
        /// How long the memory remembers.
        memory: Duration,
        /// Maximum age and future skew of the policy.
        policy: Duration,
    },
    /// The memory counts on a smaller skew: what is dated further ahead could come again after a
    /// restart.
    #[error("the replay memory counts on a skew of {memory:?}, and the policy allows {policy:?}")]
    MemorySkew {
        /// The skew that the memory was made with.
        memory: Duration,
        /// The future skew of the policy.
        policy: Duration,
    },
    /// The policy asks for no component.
    #[error("a signature that covers nothing says nothing of a request")]
    NothingCovered,
    /// The fixed authority is no host with or without a port.
    #[error("`{0}` is not a host, nor a host and a port")]
    Authority(Arc<str>),
    /// `Accept-Signature` cannot be written: a component or the tag has characters that do not
    /// belong there.
    #[error("the policy cannot be written as `Accept-Signature`")]
    Unspeakable,
}
