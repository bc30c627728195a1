use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose};
use http::header;
#[cfg(feature = "axum")]
use tower::Layer;
use tower::ServiceBuilder;

use super::*;
use crate::{
    gate::{OpenContextLayer, Settings},
    headers::{CspNonce, NonceError, csp::Csp},
    random::{Entropy, EntropyError, SeededEntropy},
};

const UNUSED: &str = "script-src 'strict-dynamic';style-src 'self';";

#[derive(Debug)]
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

async fn with_entropy<H>(
    entropy: impl Entropy,
    layer: SetSecurityHeadersLayer,
    handler: H,
) -> Response<ZtBody<Full<Bytes>>>
where
    H: Fn(Request<()>) -> Answer + Clone + Send + 'static,
{
    let settings = Settings::default().with_entropy(entropy);
    let service = ServiceBuilder::new()
        .layer(OpenContextLayer::new(settings))
        .layer(layer)
        .service(handler_fn(handler))
        .map_response(|response| response.map(|_| ZtBody::denial(Bytes::new(), None)));
    answer(service).await
}

fn nonce_of(request: &Request<()>) -> CspNonce {
    request.extensions().get::<CspNonce>().unwrap().clone()
}

/// A page that shows its nonce.
fn page(request: Request<()>) -> Answer {
    let nonce = nonce_of(&request);
    let mut response = Response::new(Full::new(Bytes::from(format!("{nonce}"))));
    response
        .headers_mut()
        .insert("x-nonce", nonce.value().unwrap().parse().unwrap());
    response
}

#[tokio::test]
async fn refuses_a_page_whose_nonce_cannot_be_made() {
    let careless = |request: Request<()>| {
        assert_eq!(nonce_of(&request).value(), Err(NonceError::Unavailable));
        assert_eq!(nonce_of(&request).to_string(), "");
        plain(request)
    };
    let response = with_entropy(NoEntropy, SetSecurityHeadersLayer::html_strict(), careless).await;
    assert_eq!(denied(&response), "keys-unavailable");
    assert_eq!(response.status(), 503);
    let policy = one(response.headers(), "content-security-policy");
    assert!(policy.contains(UNUSED), "{policy}");
    assert!(!policy.contains("nonce"), "{policy}");
}

#[tokio::test]
async fn needs_no_randomness_where_nobody_asked() {
    let layer = SetSecurityHeadersLayer::html_strict();
    let response = with_entropy(NoEntropy, layer, plain).await;
    assert_eq!(response.status(), 200);
    let policy = one(response.headers(), "content-security-policy");
    assert!(policy.contains(UNUSED), "{policy}");
    assert!(!response.headers().contains_key("cache-control"));
}

#[tokio::test]
async fn the_nonce_that_was_asked_for_is_in_the_policy_and_the_page_is_not_stored() {
    let handler = |request: Request<()>| {
        let mut response = page(request);
        let headers = response.headers_mut();
        headers.append("cache-control", HeaderValue::from_static("public"));
        headers.append("cache-control", HeaderValue::from_static("max-age=9"));
        for name in [
            "cdn-cache-control",
            "cloudflare-cdn-cache-control",
            "surrogate-control",
        ] {
            headers.append(name, HeaderValue::from_static("max-age=9"));
        }
        response
    };
    let layer = SetSecurityHeadersLayer::html_strict();
    let response = with_entropy(SeededEntropy::new(7), layer, handler).await;
    let nonce = one(response.headers(), "x-nonce");
    let policy = one(response.headers(), "content-security-policy");
    let expected = format!(
        "script-src 'nonce-{nonce}' 'strict-dynamic';style-src 'self' 'nonce-{nonce}';worker-src"
    );
    assert!(policy.contains(&expected), "{policy}");
    assert_eq!(one(response.headers(), "cache-control"), "no-store");
    for name in response.headers().keys() {
        let name = name.as_str();
        assert!(!name.ends_with("cdn-cache-control") && name != "surrogate-control");
    }
    let bits = general_purpose::STANDARD.decode(&nonce).unwrap();
    assert_eq!((bits.len(), nonce.len()), (16, 24));
}

#[tokio::test]
async fn no_two_responses_have_the_same_nonce() {
    let layer = SetSecurityHeadersLayer::html_strict();
    let mut seen = HashSet::new();
    for _ in 0..200 {
        let response = behind(&layer, page).await;
        assert!(seen.insert(one(response.headers(), "x-nonce")));
    }
}

#[tokio::test]
async fn a_nonce_that_was_not_asked_for_does_not_wake_unsafe_inline() {
    for (policy, unused) in [
        ("script-src 'unsafe-inline' 'nonce'", "script-src 'none'"),
        ("style-src 'nonce'", "style-src 'none'"),
        (
            "script-src 'self' 'unsafe-inline' 'nonce';style-src 'unsafe-inline'",
            "script-src 'self';style-src 'unsafe-inline'",
        ),
    ] {
        let layer = SetSecurityHeadersLayer::empty().csp(policy.parse().unwrap());
        let response = behind(&layer, plain).await;
        assert_eq!(one(response.headers(), "content-security-policy"), unused);

        let response = behind(&layer, page).await;
        let nonce = one(response.headers(), "x-nonce");
        let used = policy.replace("'nonce'", &format!("'nonce-{nonce}'"));
        assert_eq!(one(response.headers(), "content-security-policy"), used);
    }
}

#[tokio::test]
async fn a_nonce_that_is_asked_for_too_late_is_none() {
    let kept: Arc<Mutex<Option<CspNonce>>> = Arc::default();
    let place = Arc::clone(&kept);
    let layer = SetSecurityHeadersLayer::html_strict();
    let response = behind(&layer, move |request| {
        *place.lock().unwrap() = Some(nonce_of(&request));
        plain(request)
    })
    .await;
    assert!(one(response.headers(), "content-security-policy").contains(UNUSED));
    let nonce = kept.lock().unwrap().take().unwrap();
    assert_eq!(nonce.value(), Err(NonceError::HeadLeft));
    assert_eq!(nonce.to_string(), "");
}

#[tokio::test]
async fn clones_and_nested_layers_have_one_nonce() {
    let service = ServiceBuilder::new()
        .layer(
            SetSecurityHeadersLayer::empty().csp_report_only("script-src 'nonce'".parse().unwrap()),
        )
        .layer(SetSecurityHeadersLayer::empty().csp("script-src 'nonce'".parse().unwrap()))
        .service(handler_fn(|request| {
            assert_eq!(
                nonce_of(&request).value().unwrap(),
                nonce_of(&request).value().unwrap()
            );
            page(request)
        }));
    let response = answer(service).await;
    let nonce = one(response.headers(), "x-nonce");
    let policy = one(response.headers(), "content-security-policy");
    assert_eq!(policy, format!("script-src 'nonce-{nonce}'"));
    assert_eq!(
        one(response.headers(), "content-security-policy-report-only"),
        policy
    );
}

#[tokio::test]
async fn both_policies_have_the_same_nonce() {
    let policy: Csp = "script-src 'nonce'".parse().unwrap();
    let layer = SetSecurityHeadersLayer::empty()
        .csp(policy.clone())
        .csp_report_only(policy);
    let response = behind(&layer, page).await;
    let headers = response.headers();
    let expected = format!("script-src 'nonce-{}'", one(headers, "x-nonce"));
    assert_eq!(one(headers, "content-security-policy"), expected);
    assert_eq!(
        one(headers, "content-security-policy-report-only"),
        expected
    );
}

#[tokio::test]
async fn only_a_policy_with_a_nonce_source_offers_one() {
    let strict = SetSecurityHeadersLayer::html_strict;
    for (layer, offered) in [
        (SetSecurityHeadersLayer::helmet(), false),
        (SetSecurityHeadersLayer::owasp(), false),
        (SetSecurityHeadersLayer::api(), false),
        (strict(), true),
        (strict().csp(Csp::api()), false),
        (strict().without(&header::CONTENT_SECURITY_POLICY), false),
        (SetSecurityHeadersLayer::api().offer_nonce(), true),
        (
            SetSecurityHeadersLayer::api().csp_report_only(Csp::html_strict()),
            true,
        ),
    ] {
        behind(&layer, move |request| {
            assert_eq!(request.extensions().get::<CspNonce>().is_some(), offered);
            plain(request)
        })
        .await;
    }
}

#[tokio::test]
async fn debug_does_not_tell_the_nonce() {
    behind(&SetSecurityHeadersLayer::html_strict(), |request| {
        let nonce = nonce_of(&request);
        nonce.value().unwrap();
        assert_eq!(format!("{nonce:?}"), "CspNonce(..)");
        plain(request)
    })
    .await;
}

#[cfg(feature = "axum")]
mod axum {
    use std::sync::atomic::{AtomicBool, Ordering};

    use ::axum::{Router, body::Body, routing::get};

    use super::*;

    static CALLED: AtomicBool = AtomicBool::new(false);

    fn router() -> Router {
        let handler = |nonce: CspNonce| async move {
            CALLED.store(true, Ordering::SeqCst);
            nonce.value().unwrap().to_owned()
        };
        Router::new().route("/", get(handler))
    }

    async fn ask<S, B>(service: S) -> Response<B>
    where
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    {
        let Ok(response) = service.oneshot(Request::new(Body::empty())).await;
        response
    }

    #[tokio::test]
    async fn a_handler_that_takes_a_nonce_is_called_with_one_or_not_at_all() {
        let layer = SetSecurityHeadersLayer::html_strict();

        let settings = Settings::default().with_entropy(NoEntropy);
        let service = ServiceBuilder::new()
            .layer(OpenContextLayer::new(settings))
            .layer(layer.clone())
            .service(router());
        let response = ask(service).await;
        assert_eq!(denied(&response), "keys-unavailable");
        assert_eq!(response.status(), 503);
        assert!(response.headers().contains_key("retry-after"));

        let response = ask(SetSecurityHeadersLayer::api().layer(router())).await;
        assert_eq!(denied(&response), "stack-misordered");
        assert_eq!(
            response.headers()["content-type"],
            "application/problem+json"
        );
        let response = ask(router()).await;
        assert_eq!(denied(&response), "stack-misordered");
        assert!(!CALLED.load(Ordering::SeqCst));

        let (head, body) = ask(layer.layer(router())).await.into_parts();
        let body = http_body_util::BodyExt::collect(body).await.unwrap();
        let nonce = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        let policy = one(&head.headers, "content-security-policy");
        assert!(policy.contains(&format!("'nonce-{nonce}'")), "{policy}");
        assert!(CALLED.load(Ordering::SeqCst));
    }
}
