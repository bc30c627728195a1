use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use base64::{Engine as _, engine::general_purpose};

use crate::{
    decision::{Code, Denial},
    random::{self, Entropy},
};

/// The request's nonce for `script` and `style` elements: 128 random bits in base64.
///
/// It is in the request's extensions (and an axum extractor) where the layer's policy has a nonce
/// source. It is made when it is first asked for, and only then does the policy on the wire have
/// it; a response whose nonce was asked for is not stored by anybody. Clones are the same nonce.
///
/// Ask before the handler returns: once the head of the response has left, the policy is on the
/// wire, and a nonce that it does not have would be of no use ([`NonceError::HeadLeft`]). A body
/// that is streamed takes the value along.
///
/// ```
/// use zt_core::headers::CspNonce;
///
/// fn page(nonce: &CspNonce) -> Result<String, zt_core::headers::NonceError> {
///     Ok(format!("<script nonce=\"{}\">start()</script>", nonce.value()?))
/// }
/// ```
#[derive(Clone)]
pub struct CspNonce(Arc<Inner>);

struct Inner {
    entropy: Arc<dyn Entropy>,
    value: OnceLock<Result<Box<str>, NonceError>>,
}

/// There is no nonce to be had; elements without one do not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NonceError {
    /// The source of randomness failed. The gate refuses the response as well.
    #[error("no randomness for a nonce")]
    Unavailable,
    /// The policy is on the wire already, without one.
    #[error("the nonce was asked for after the head of the response had left")]
    HeadLeft,
}

impl CspNonce {
    pub(super) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self(Arc::new(Inner {
            entropy,
            value: OnceLock::new(),
        }))
    }

    /// The value for the `nonce` attribute: 24 characters that need no escaping there.
    ///
    /// # Errors
    ///
    /// When there is no randomness, or the head of the response has left.
    pub fn value(&self) -> Result<&str, NonceError> {
        self.0
            .value
            .get_or_init(|| make(&*self.0.entropy))
            .as_deref()
            .map_err(|error| *error)
    }

    /// Whether it was asked for and could not be made.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.0.value.get(), Some(Err(NonceError::Unavailable)))
    }

    /// The value if it was asked for; from now on it cannot be made.
    pub(super) fn seal(&self) -> Option<&str> {
        self.0
            .value
            .get_or_init(|| Err(NonceError::HeadLeft))
            .as_deref()
            .ok()
    }
}

fn make(entropy: &dyn Entropy) -> Result<Box<str>, NonceError> {
    // CSP3 section 7.1: at least 128 bits, from a secure generator, for each response.
    let bytes = random::bytes::<16>(entropy).map_err(|_| NonceError::Unavailable)?;
    Ok(general_purpose::STANDARD.encode(bytes).into())
}

impl From<NonceError> for Denial {
    fn from(error: NonceError) -> Self {
        match error {
            // A nonce is a key that lives for one response: of the codes there are, this is the
            // one that says so. The sentence and the detail say which key.
            NonceError::Unavailable => Self::new(Code::KeysUnavailable)
                .sentence("a nonce for the page cannot be made")
                .detail("the source of randomness failed"),
            NonceError::HeadLeft => {
                Self::misordered("the nonce was asked for after the head of the response had left")
            }
        }
    }
}

/// The value, or nothing where it cannot be had: an element with an empty nonce does not run.
impl fmt::Display for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.value().unwrap_or_default())
    }
}

/// Not the value: who reads it in a log before the page is there could use it.
impl fmt::Debug for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CspNonce(..)")
    }
}
