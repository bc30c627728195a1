use axum::extract::FromRequestParts;
use http::request::Parts;

use super::CspNonce;
use crate::{context::SecurityContext, decision::Denial, extract::Refused};

/// The nonce is made here, so that a handler is not even called where it cannot be. Refuses with
/// `keys-unavailable` where it cannot be made, `stack-misordered` where no layer offers one.
impl<S: Send + Sync> FromRequestParts<S> for CspNonce {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let nonce = parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Denial::misordered("a handler takes a nonce and no policy around it has a nonce source")
        });
        nonce
            .and_then(|nonce| match nonce.value() {
                Ok(_) => Ok(nonce),
                Err(error) => Err(error.into()),
            })
            .map_err(|denial| Refused::new(denial, parts.extensions.get::<SecurityContext>()))
    }
}
