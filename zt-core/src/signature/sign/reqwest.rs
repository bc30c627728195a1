//! The same for reqwest's requests.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::Uri;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::{BodyError, CannotSign, SignError, SignRequest, SignRequestLayer, TargetError};

/// Signs `request`, as the layer does, for a client that executes it right after.
///
/// What the client adds by itself (its default headers, cookies, `Accept`) is added later and
/// cannot be covered. The client must not follow redirects: it would send the signature along.
///
/// ```
/// use zt_core::{
///     secret::Secret,
///     signature::{key::SigningKey, sign::{SignRequestLayer, sign_reqwest}},
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = reqwest::Client::builder()
///     .redirect(reqwest::redirect::Policy::none())
///     .build()?;
/// let key = SigningKey::hmac_sha256(&Secret::new(vec![7; 32]))?;
/// let signer = SignRequestLayer::new(key, "orders-1")?;
///
/// let mut request = client.post("https://payments.internal/pay").body("7 EUR").build()?;
/// sign_reqwest(&signer, &mut request)?;
/// assert!(request.headers().contains_key("content-digest"));
/// // client.execute(request).await?
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// Where it cannot be signed, or its body is a stream; it must not be sent then.
pub fn sign_reqwest(
    signer: &SignRequestLayer,
    request: &mut reqwest::Request,
) -> Result<(), CannotSign> {
    // reqwest itself makes its URI so.
    let uri: Uri = request
        .url()
        .as_str()
        .parse()
        .map_err(|_| TargetError::Unclear)?;
    let headers = std::mem::take(request.headers_mut());
    let (mut parts, ()) = http::Request::new(()).into_parts();
    parts.method = request.method().clone();
    parts.uri = uri;
    parts.headers = headers;
    let signed = match request.body() {
        None => signer.sign_with(&mut parts, None),
        Some(body) => match body.as_bytes() {
            None => Err(BodyError::Stream.into()),
            Some([]) => signer.sign_with(&mut parts, None),
            some => signer.sign_with(&mut parts, some),
        },
    };
    *request.headers_mut() = parts.headers;
    signed
}

impl<S> Service<reqwest::Request> for SignRequest<S>
where
    S: Service<reqwest::Request>,
{
    type Response = S::Response;
    type Error = SignError<S::Error>;
    type Future = SignReqwestFuture<S::Future>;

    fn poll_ready(&mut self, task: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(task).map_err(SignError::Inner)
    }

    fn call(&mut self, mut request: reqwest::Request) -> Self::Future {
        match sign_reqwest(&self.layer, &mut request) {
            Ok(()) => SignReqwestFuture {
                answer: Some(self.inner.call(request)),
                why: None,
            },
            Err(why) => SignReqwestFuture {
                answer: None,
                why: Some(why),
            },
        }
    }
}

pin_project! {
    /// The answer of [`SignRequest`] to a request of reqwest's.
    #[derive(Debug)]
    pub struct SignReqwestFuture<F> {
        #[pin]
        answer: Option<F>,
        why: Option<CannotSign>,
    }
}

impl<F, R, E> Future for SignReqwestFuture<F>
where
    F: Future<Output = Result<R, E>>,
{
    type Output = Result<R, SignError<E>>;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match this.answer.as_pin_mut() {
            Some(answer) => answer.poll(task).map_err(SignError::Inner),
            None => this
                .why
                .take()
                .map_or(Poll::Pending, |why| Poll::Ready(Err(why.into()))),
        }
    }
}
