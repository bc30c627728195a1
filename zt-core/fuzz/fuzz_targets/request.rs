//! No request head makes validation panic, and what passes it has a canonical path, one host and no
//! claimed identity.
//!
//! Lines: method, target, version digit, then `name: value` headers.

#![no_main]

use std::{convert::Infallible, future::Future, pin::pin, task::{Context, Poll, Waker}};

use http::{HeaderName, HeaderValue, Method, Request, Response, Uri, Version};
use http_body_util::{Empty, Full};
use libfuzzer_sys::fuzz_target;
use tower::{Layer, Service, service_fn};
use zt_core::{
    body::RequestBody,
    context::ClaimedNames,
    validate::{PathAllowances, ValidateRequestLayer, check_path},
};

type Body = Empty<bytes::Bytes>;

fn request(input: &[u8]) -> Option<Request<Body>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let method = Method::from_bytes(lines.next()?).ok()?;
    let uri = Uri::try_from(lines.next()?).ok()?;
    let mut request = Request::new(Body::new());
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.version_mut() = match lines.next()? {
        b"2" => Version::HTTP_2,
        b"0" => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    for line in lines.take(200) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        let name = HeaderName::from_bytes(name);
        let value = HeaderValue::from_bytes(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            request.headers_mut().append(name, value);
        }
    }
    Some(request)
}

fuzz_target!(|input: &[u8]| {
    let Some(request) = request(input) else { return };
    let mut service = ValidateRequestLayer::default().layer(service_fn(
        |request: Request<RequestBody<Body>>| async move {
            let path = request.uri().path();
            if path != "*" && !path.is_empty() {
                assert_eq!(check_path(path.as_bytes(), PathAllowances::NONE), Ok(()), "{path:?}");
            }
            assert!(request.headers().get_all("host").iter().count() <= 1);
            let claimed = ClaimedNames::default();
            assert!(request.headers().keys().all(|name| !claimed.contains(name)));
            Ok::<_, Infallible>(Response::new(Full::<bytes::Bytes>::default()))
        },
    ));
    let answer = pin!(service.call(request)).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Ok(response)) = answer else { panic!("validation does not wait") };
    // A failed assertion of the handler would be answered by the gate.
    let denial = response.extensions().get::<zt_core::decision::Denial>();
    assert!(denial.is_none_or(|denial| denial.code() != zt_core::decision::Code::HandlerPanicked));
});
