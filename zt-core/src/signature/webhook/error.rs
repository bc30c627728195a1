use std::time::Duration;

use super::WebhookFormat;

/// Webhooks cannot be verified in this way. No variant holds a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// The secret is not written as the sender shows it.
    #[error("the secret is not written as the sender shows it: {0}")]
    SecretForm(&'static str),
    /// The secret can be guessed; see [`insecure_short_secret`](super::WebhookBuilder::insecure_short_secret).
    #[error("the secret has {bytes} bytes and must have {minimum}")]
    SecretTooShort {
        /// How many it has.
        bytes: usize,
        /// How many it must have.
        minimum: usize,
    },
    /// The secret is longer than its format knows.
    #[error("the secret has more than 64 bytes")]
    SecretTooLong,
    /// A private key, which only the sender may have.
    #[error("`whsk_` is the sender's private key; verifying takes the public one, `whpk_`")]
    PrivateKey,
    /// The public key is none, or this build has no `asymmetric`.
    #[error("the public key cannot be used: {0}")]
    PublicKey(&'static str),
    /// There is an HMAC to compute for each secret before anybody is known.
    #[error("there are more than four secrets")]
    TooManySecrets,
    /// The subject is empty or has control characters.
    #[error("the subject cannot be used")]
    Subject,
    /// The tolerance is shorter than a second, or it or the skew longer than an hour.
    #[error("the tolerance is not between a second and an hour, or the skew more than an hour")]
    Tolerance,
    /// Nothing says when such a webhook was sent.
    #[error("webhooks of `{0}` have no timestamp, so nothing to be tolerant of")]
    NoTimestamp(WebhookFormat),
    /// The timestamp says for how long a webhook is remembered.
    #[error("webhooks of `{0}` have a timestamp, which says for how long they are remembered")]
    HasTimestamp(WebhookFormat),
    /// Repeats would be accepted at once.
    #[error("the replay window is shorter than a second")]
    ReplayWindow,
    /// The replay memory forgets before a webhook has become too old.
    #[error("the replay memory must reach over {} s", .0.as_secs())]
    MemoryTooShort(Duration),
    /// The replay memory counts on a smaller skew: what is dated further ahead could come again
    /// after a restart.
    #[error("the replay memory must count on a skew of {} s", .0.as_secs())]
    MemorySkew(Duration),
    /// No body could be read.
    #[error("the bounds of the body leave no room for one")]
    Body,
}
