use http::{Method, StatusCode, header};
use proptest::prelude::*;
use tower::{Layer, ServiceBuilder};

use super::*;
use crate::{
    decision::Code,
    gate::{FnCheck, GateLayer, Link, OpenContextLayer, Settings},
    headers::HeadersError,
};

const CSP: &str = "default-src 'none';frame-ancestors 'none'";

#[tokio::test]
async fn refusals_of_layers_further_in_have_the_headers() {
    let refuse = FnCheck::new(|_: &mut http::request::Parts, _: &mut _| {
        Err::<(), _>(Code::PolicyDenied.into())
    });
    let service = ServiceBuilder::new()
        .layer(SetSecurityHeadersLayer::api())
        .layer(GateLayer::new(
            Link::first(refuse),
            Settings::shared_default(),
        ))
        .service(handler_fn(plain));
    let response = answer(service).await;
    assert_eq!(denied(&response), "policy-denied");
    assert_eq!(one(response.headers(), "content-security-policy"), CSP);
    assert_eq!(one(response.headers(), "x-frame-options"), "DENY");
    // The refusal's own header is as it was.
    assert_eq!(one(response.headers(), "cache-control"), "no-store");
}

#[tokio::test]
async fn refusals_of_the_same_gate_have_the_headers() {
    let refuse = FnCheck::new(|_: &mut http::request::Parts, _: &mut _| {
        Err::<(), _>(Code::RateLimited.into())
    });
    let chain = Link::first(SetSecurityHeadersLayer::api()).then(refuse);
    let gate = GateLayer::new(chain, Settings::shared_default());
    let response = answer(gate.layer(handler_fn(plain))).await;
    assert_eq!(denied(&response), "rate-limited");
    assert_eq!(one(response.headers(), "content-security-policy"), CSP);
}

#[tokio::test]
async fn what_stands_for_a_handler_that_panicked_has_the_headers() {
    let layer = SetSecurityHeadersLayer::api();
    for inside in [true, false] {
        let handler = service_fn(move |_: Request<()>| {
            assert!(inside, "before the future");
            async { panic!("in the future") }
        });
        let handler = handler.map_response(|()| Answer::default());
        let response = answer(layer.layer(handler)).await;
        assert_eq!(denied(&response), "handler-panicked");
        assert_eq!(response.status(), 500);
        assert_eq!(one(response.headers(), "content-security-policy"), CSP);
    }
}

#[tokio::test]
async fn answers_of_every_status_have_the_headers() {
    for status in [200, 204, 304, 404, 413, 429, 500, 503] {
        let response = behind(&SetSecurityHeadersLayer::api(), move |_| {
            let mut response = Answer::default();
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            response
        })
        .await;
        assert_eq!(response.status(), status);
        assert_eq!(one(response.headers(), "x-content-type-options"), "nosniff");
    }
}

#[tokio::test]
async fn another_protocol_has_none() {
    let layer = SetSecurityHeadersLayer::helmet();
    let upgrade = |_| {
        let mut response = Answer::default();
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response
            .headers_mut()
            .insert("x-powered-by", HeaderValue::from_static("ws"));
        response
    };
    let response = behind(&layer, upgrade).await;
    assert_eq!(response.status(), 101);
    let left = as_map(response.headers());
    assert_eq!(left.keys().collect::<Vec<_>>(), ["x-powered-by"]);

    let connect = |status| {
        let layer = layer.clone();
        async move {
            let handler = handler_fn(move |_| {
                let mut response = Answer::default();
                *response.status_mut() = StatusCode::from_u16(status).unwrap();
                response
            });
            let request = Request::builder()
                .method(Method::CONNECT)
                .uri("a.example:443")
                .body(())
                .unwrap();
            let Ok(response) = layer.layer(handler).oneshot(request).await;
            response.headers().len()
        }
    };
    assert_eq!(connect(200).await, 0);
    assert_eq!(connect(403).await, 12);
}

#[tokio::test]
async fn a_layer_that_stands_too_far_in_refuses() {
    let validate = |_: &mut http::request::Parts, cx: &mut crate::context::SecurityContext| {
        cx.enter(crate::context::Stage::Validate, "Validate")
    };
    let service = ServiceBuilder::new()
        .layer(OpenContextLayer::new(Settings::default()))
        .layer(GateLayer::new(
            Link::first(FnCheck::new(validate)),
            Settings::shared_default(),
        ))
        .layer(SetSecurityHeadersLayer::api())
        .service(handler_fn(plain));
    let response = answer(service).await;
    assert_eq!(denied(&response), "stack-misordered");
}

#[tokio::test]
async fn a_clock_that_cannot_answer_does_not_take_the_headers_away() {
    let clock = crate::clock::ManualClock::default();
    clock.fail();
    let service = ServiceBuilder::new()
        .layer(OpenContextLayer::new(Settings::default().with_clock(clock)))
        .layer(SetSecurityHeadersLayer::api())
        .service(handler_fn(plain));
    let response = answer(service).await;
    assert_eq!(one(response.headers(), "content-security-policy"), CSP);
}

#[tokio::test]
async fn what_the_handler_set_stays_with_all_its_values() {
    let layer = SetSecurityHeadersLayer::api();
    let handler = with_headers(&[
        ("x-frame-options", "SAMEORIGIN"),
        ("cache-control", "public"),
        ("cache-control", "max-age=60"),
        ("content-security-policy", "default-src 'self'"),
    ]);
    let response = behind(&layer, handler).await;
    let headers = response.headers();
    assert_eq!(one(headers, "x-frame-options"), "SAMEORIGIN");
    assert_eq!(all(headers, "cache-control"), ["public", "max-age=60"]);
    assert_eq!(
        one(headers, "content-security-policy"),
        "default-src 'self'"
    );
    assert_eq!(one(headers, "referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn what_is_forced_takes_the_place_of_all_values() {
    let layer = SetSecurityHeadersLayer::api()
        .force(header::CACHE_CONTROL)
        .unwrap()
        .force(header::CONTENT_SECURITY_POLICY)
        .unwrap();
    let handler = with_headers(&[
        ("cache-control", "public"),
        ("cache-control", "max-age=60"),
        ("content-security-policy", "default-src *"),
    ]);
    let response = behind(&layer, handler).await;
    assert_eq!(one(response.headers(), "cache-control"), "no-store");
    assert_eq!(one(response.headers(), "content-security-policy"), CSP);
}

#[tokio::test]
async fn what_is_removed_leaves_no_value() {
    let layer = SetSecurityHeadersLayer::api()
        .remove(named("x-runtime"))
        .unwrap()
        .remove(header::X_FRAME_OPTIONS)
        .unwrap();
    let handler = with_headers(&[
        ("x-runtime", "0.1"),
        ("x-runtime", "0.2"),
        ("server", "shop/1.2"),
        ("x-powered-by", "zeal"),
        ("x-frame-options", "DENY"),
        ("x-run", "stays"),
    ]);
    let response = behind(&layer, handler).await;
    for name in ["x-runtime", "server", "x-powered-by", "x-frame-options"] {
        assert_eq!(all(response.headers(), name), [""; 0], "{name}");
    }
    assert_eq!(one(response.headers(), "x-run"), "stays");
}

#[tokio::test]
async fn what_is_left_alone_is_neither_set_nor_removed() {
    let layer = SetSecurityHeadersLayer::api()
        .without(&header::X_FRAME_OPTIONS)
        .without(&header::SERVER);
    let response = behind(&layer, with_headers(&[("server", "shop")])).await;
    assert_eq!(one(response.headers(), "server"), "shop");
    assert!(!response.headers().contains_key("x-frame-options"));
}

#[tokio::test]
async fn a_layer_further_in_has_the_last_word() {
    let service = ServiceBuilder::new()
        .layer(SetSecurityHeadersLayer::api())
        .layer(SetSecurityHeadersLayer::helmet())
        .service(handler_fn(plain));
    let response = answer(service).await;
    assert_eq!(one(response.headers(), "x-frame-options"), "SAMEORIGIN");
    assert!(one(response.headers(), "content-security-policy").starts_with("default-src 'self'"));
    assert_eq!(one(response.headers(), "cache-control"), "no-store");
}

#[tokio::test]
async fn owasp_s_list_is_taken_off_and_put_on() {
    let handler = with_headers(&[
        ("server", "a"),
        ("$wsep", "b"),
        ("x-envoy-upstream-service-time", "c"),
        ("x-ruxit-js-agent", "d"),
        ("etag", "\"e\""),
    ]);
    let response = behind(&SetSecurityHeadersLayer::owasp(), handler).await;
    let expected = [
        ("cache-control", "no-store, max-age=0"),
        (
            "content-security-policy",
            "default-src 'self';base-uri 'self';form-action 'self';frame-ancestors 'none';\
             object-src 'none';upgrade-insecure-requests",
        ),
        ("cross-origin-embedder-policy", "require-corp"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("etag", "\"e\""),
        ("permissions-policy", crate::headers::presets::DENY_ALL),
        ("referrer-policy", "no-referrer"),
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "deny"),
        ("x-permitted-cross-domain-policies", "none"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(as_map(response.headers()), BTreeMap::from(expected));
}

#[test]
fn no_preset_names_what_is_deprecated_or_promises_preload() {
    for layer in [
        SetSecurityHeadersLayer::helmet(),
        SetSecurityHeadersLayer::owasp(),
        SetSecurityHeadersLayer::api(),
        SetSecurityHeadersLayer::html_strict(),
    ] {
        for (name, value) in layer.headers() {
            let value = value.to_str().unwrap();
            for word in [
                "report-uri",
                "block-all-mixed-content",
                "preload",
                "interest-cohort",
            ] {
                assert!(!value.contains(word), "{name}: {value}");
            }
            let dead = [
                "expect-ct",
                "feature-policy",
                "public-key-pins",
                "report-to",
            ];
            assert!(!dead.contains(&name.as_str()));
        }
    }
}

#[test]
fn headers_of_the_message_itself_are_an_error() {
    let layer = SetSecurityHeadersLayer::api;
    let value = HeaderValue::from_static("1");
    for name in [
        "content-length",
        "transfer-encoding",
        "connection",
        "upgrade",
    ] {
        let error = layer().with(named(name), value.clone()).unwrap_err();
        assert_eq!(error, HeadersError::Framing(named(name)));
        let error = layer().remove(named(name)).unwrap_err();
        assert_eq!(error, HeadersError::Framing(named(name)));
    }
    let error = layer().force(header::SERVER).unwrap_err();
    assert_eq!(error, HeadersError::NothingToForce(header::SERVER));
    let wrong = HeaderValue::from_static("default-src self");
    assert!(
        layer()
            .with(header::CONTENT_SECURITY_POLICY, wrong.clone())
            .is_err()
    );
    assert!(
        layer()
            .with(header::CONTENT_SECURITY_POLICY_REPORT_ONLY, wrong)
            .is_err()
    );
}

const NAMES: [&str; 8] = [
    "cache-control",
    "content-type",
    "permissions-policy",
    "server",
    "x-a",
    "x-b",
    "x-frame-options",
    "x-powered-by",
];

#[derive(Debug, Clone)]
enum Edit {
    With(usize, &'static str),
    Force(usize),
    Remove(usize),
    Without(usize),
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let name = 0..NAMES.len();
    let edit = prop_oneof![
        (name.clone(), prop_oneof![Just("1"), Just("2")])
            .prop_map(|(name, value)| Edit::With(name, value)),
        name.clone().prop_map(Edit::Force),
        name.clone().prop_map(Edit::Remove),
        name.prop_map(Edit::Without),
    ];
    proptest::collection::vec(edit, 0..16)
}

/// What a header becomes, written down the slow way.
#[derive(Debug, Clone, Default)]
struct Rule {
    value: Option<&'static str>,
    forced: bool,
    removed: bool,
}

proptest! {
    #[test]
    fn set_never_overwrites_force_always_does_and_remove_always_removes(
        edits in edits(),
        handler in proptest::collection::vec((0..NAMES.len(), "[a-z]{1,4}"), 0..12),
    ) {
        let mut layer = SetSecurityHeadersLayer::empty();
        let mut rules = vec![Rule::default(); NAMES.len()];
        for edit in edits {
            match edit {
                Edit::With(name, value) => {
                    layer = layer
                        .with(named(NAMES[name]), HeaderValue::from_static(value))
                        .unwrap();
                    rules[name].value = Some(value);
                    rules[name].removed = false;
                }
                Edit::Force(name) => {
                    let forced = layer.clone().force(named(NAMES[name]));
                    prop_assert_eq!(forced.is_ok(), rules[name].value.is_some());
                    if let Ok(forced) = forced {
                        layer = forced;
                        rules[name].forced = true;
                    }
                }
                Edit::Remove(name) => {
                    layer = layer.remove(named(NAMES[name])).unwrap();
                    rules[name] = Rule { removed: true, ..Rule::default() };
                }
                Edit::Without(name) => {
                    layer = layer.without(&named(NAMES[name]));
                    rules[name] = Rule::default();
                }
            }
        }
        let set = handler.clone();
        let response = futures_util::FutureExt::now_or_never(behind(&layer, move |request| {
            let mut response = plain(request);
            for (name, value) in &set {
                response
                    .headers_mut()
                    .append(named(NAMES[*name]), value.parse().unwrap());
            }
            response
        })).unwrap();
        for (index, rule) in rules.iter().enumerate() {
            let own: Vec<String> = handler
                .iter()
                .filter(|(name, _)| *name == index)
                .map(|(_, value)| value.clone())
                .collect();
            let expected = match rule.value {
                _ if rule.removed => vec![],
                Some(value) if rule.forced || own.is_empty() => vec![value.to_owned()],
                _ => own,
            };
            prop_assert_eq!(all(response.headers(), NAMES[index]), expected);
        }
    }
}
