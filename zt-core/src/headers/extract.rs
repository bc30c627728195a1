use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::request::Parts;

use super::CspNonce;
use crate::{context::SecurityContext, decision::Denial, problem::Asked};

/// The nonce is made here, so that a handler is not even called where it cannot be.
impl<S: Send + Sync> FromRequestParts<S> for CspNonce {
    type Rejection = NonceRejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NonceRejection> {
        let nonce = parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Denial::misordered("a handler takes a nonce and no policy around it has a nonce source")
        });
        nonce
            .and_then(|nonce| match nonce.value() {
                Ok(_) => Ok(nonce),
                Err(error) => Err(error.into()),
            })
            .map_err(|denial| NonceRejection(Box::new(render(parts, denial))))
    }
}

/// The answer where there is no nonce: `keys-unavailable` where it cannot be made,
/// `stack-misordered` where no layer offers one.
#[derive(Debug)]
pub struct NonceRejection(Box<Response>);

impl IntoResponse for NonceRejection {
    fn into_response(self) -> Response {
        *self.0
    }
}

fn render(parts: &Parts, denial: Denial) -> Response {
    let mut response = match parts.extensions.get::<SecurityContext>() {
        Some(cx) => {
            let asked = Asked::new(cx.request_id(), cx.trail().is_grpc());
            let rendered = cx.settings().render().render(&denial, asked);
            rendered.map(axum::body::Body::new)
        }
        None => denial.status().into_response(),
    };
    response.extensions_mut().insert(denial);
    response
}
