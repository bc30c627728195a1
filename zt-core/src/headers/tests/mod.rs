//! What the layer does, seen from outside; the other files take one part each.

mod answers;
mod config;
mod csp;
mod helmet;
mod nonce;
mod overrides;
mod permissions;

use std::{collections::BTreeMap, convert::Infallible};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::Full;
use tower::{Layer, Service, ServiceExt, service_fn};

use super::SetSecurityHeadersLayer;
use crate::{body::ZtBody, decision::Denial};

type Answer = Response<Full<Bytes>>;

/// What a handler behind `layer` answers with, for a GET.
async fn behind<H>(layer: &SetSecurityHeadersLayer, handler: H) -> Response<ZtBody<Full<Bytes>>>
where
    H: Fn(Request<()>) -> Answer + Clone + Send + 'static,
{
    answer(layer.layer(handler_fn(handler))).await
}

fn handler_fn<H>(
    handler: H,
) -> impl Service<
    Request<()>,
    Response = Answer,
    Error = Infallible,
    Future = impl Future<Output = Result<Answer, Infallible>> + Send,
> + Clone
where
    H: Fn(Request<()>) -> Answer + Clone + Send + 'static,
{
    service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler(request)) }
    })
}

async fn answer<S, B>(service: S) -> Response<B>
where
    S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
{
    let Ok(response) = service.oneshot(Request::new(())).await;
    response
}

fn plain(_: Request<()>) -> Answer {
    Response::new(Full::new(Bytes::from_static(b"hello")))
}

/// A handler that sets these headers.
fn with_headers(headers: &'static [(&str, &str)]) -> impl Fn(Request<()>) -> Answer + Clone {
    move |request| {
        let mut response = plain(request);
        for (name, value) in headers {
            response
                .headers_mut()
                .append(named(name), HeaderValue::from_static(value));
        }
        response
    }
}

fn named(name: &str) -> HeaderName {
    name.parse().unwrap()
}

fn all(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|value| value.to_str().unwrap().to_owned())
        .collect()
}

fn one(headers: &HeaderMap, name: &str) -> String {
    let values = all(headers, name);
    assert_eq!(values.len(), 1, "{name}: {values:?}");
    values.concat()
}

fn as_map(headers: &HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect()
}

fn denied<B>(response: &Response<B>) -> &'static str {
    let denial = response.extensions().get::<Denial>().unwrap();
    denial.code().as_str()
}
