use http::header;

use super::*;
use crate::headers::{
    CspError, CspNonce, HeadersError,
    csp::{CspOverride, Directive as D, Source},
};

fn build(text: &str) -> SetSecurityHeadersLayer {
    SetSecurityHeadersLayer::empty().csp(text.parse().unwrap())
}

async fn changed(layer: &SetSecurityHeadersLayer, change: CspOverride) -> Vec<String> {
    let response = behind(layer, move |request| {
        let mut response = plain(request);
        response.extensions_mut().insert(change.clone());
        response
    })
    .await;
    all(response.headers(), "content-security-policy")
}

#[tokio::test]
async fn a_route_changes_directives_of_its_own_response_only() {
    let layer = build("default-src 'self';img-src 'self';object-src 'none'");
    let change = CspOverride::builder()
        .append_text(D::ImgSrc, "https://a.example 'self'")
        .replace(D::DefaultSrc, [Source::None])
        .replace(D::FrameAncestors, [Source::SelfOrigin])
        .remove(D::ObjectSrc)
        .build()
        .unwrap();
    assert_eq!(
        changed(&layer, change).await,
        ["default-src 'none';img-src 'self' https://a.example;frame-ancestors 'self'"]
    );
    let response = behind(&layer, plain).await;
    assert_eq!(
        one(response.headers(), "content-security-policy"),
        "default-src 'self';img-src 'self';object-src 'none'"
    );
}

#[tokio::test]
async fn what_is_appended_joins_what_held_before() {
    for (policy, directive, expected) in [
        ("img-src 'none'", D::ImgSrc, "img-src b.example"),
        (
            "default-src 'self'",
            D::ImgSrc,
            "default-src 'self';img-src 'self' b.example",
        ),
        (
            "default-src 'none'",
            D::ImgSrc,
            "default-src 'none';img-src b.example",
        ),
        (
            "default-src 'self';script-src a.example",
            D::ScriptSrcElem,
            "default-src 'self';script-src a.example;script-src-elem a.example b.example",
        ),
        (
            "child-src a.example;script-src c.example",
            D::WorkerSrc,
            "child-src a.example;script-src c.example;worker-src a.example b.example",
        ),
        // Everything is permitted there already.
        ("script-src 'self'", D::ImgSrc, "script-src 'self'"),
        (
            "default-src 'self'",
            D::FrameAncestors,
            "default-src 'self'",
        ),
    ] {
        let change = CspOverride::builder()
            .append_text(directive, "b.example")
            .build()
            .unwrap();
        assert_eq!(
            changed(&build(policy), change).await,
            [expected],
            "{policy}"
        );
    }
}

#[tokio::test]
async fn an_override_can_take_the_whole_policy_away() {
    let change = CspOverride::builder().remove(D::ImgSrc).build().unwrap();
    assert_eq!(
        changed(&build("img-src 'self'"), change.clone()).await,
        [""; 0]
    );

    let error = build("img-src 'self'").override_csp(&change).unwrap_err();
    assert_eq!(error, HeadersError::Csp(CspError::Empty));
    let error = SetSecurityHeadersLayer::empty()
        .override_csp(&change)
        .unwrap_err();
    assert_eq!(error, HeadersError::NoPolicy);
}

#[tokio::test]
async fn the_handler_s_own_policy_and_the_reported_one_stand() {
    let change = CspOverride::builder()
        .replace(D::DefaultSrc, [Source::Any])
        .build()
        .unwrap();
    let layer = build("default-src 'self'").csp_report_only("default-src 'none'".parse().unwrap());
    let inserted = change.clone();
    let response = behind(&layer, move |request| {
        let mut response = plain(request);
        response.extensions_mut().insert(inserted.clone());
        let own = HeaderValue::from_static("img-src 'none'");
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, own);
        response
    })
    .await;
    let headers = response.headers();
    assert_eq!(one(headers, "content-security-policy"), "img-src 'none'");
    assert_eq!(
        one(headers, "content-security-policy-report-only"),
        "default-src 'none'"
    );
    assert_eq!(changed(&layer, change).await, ["default-src *"]);
}

#[tokio::test]
async fn an_override_can_bring_a_nonce_source_along() {
    let change = CspOverride::builder()
        .replace(D::ScriptSrc, [Source::Nonce])
        .build()
        .unwrap();
    let layer = SetSecurityHeadersLayer::api().offer_nonce();
    let inserted = change.clone();
    let response = behind(&layer, move |request| {
        let nonce = request.extensions().get::<CspNonce>().unwrap().clone();
        let mut response = plain(request);
        response.extensions_mut().insert(inserted.clone());
        response
            .headers_mut()
            .insert("x-nonce", nonce.value().unwrap().parse().unwrap());
        response
    })
    .await;
    let nonce = one(response.headers(), "x-nonce");
    assert_eq!(
        one(response.headers(), "content-security-policy"),
        format!("default-src 'none';frame-ancestors 'none';script-src 'nonce-{nonce}'")
    );
    // Where no nonce was asked for, none is there to be guessed.
    assert_eq!(
        changed(&layer, change).await,
        ["default-src 'none';frame-ancestors 'none';script-src 'none'"]
    );
}

#[test]
fn overrides_that_make_no_sense_do_not_build() {
    let builder = CspOverride::builder;
    for (built, expected) in [
        (builder().build(), CspError::Empty),
        (
            builder()
                .replace(D::ImgSrc, [Source::Any])
                .append(D::ImgSrc, [Source::Any])
                .build(),
            CspError::Duplicate(D::ImgSrc),
        ),
        (
            builder().append(D::ImgSrc, [Source::None]).build(),
            CspError::NoneWithOthers(D::ImgSrc),
        ),
        (
            builder().append_text(D::ReportTo, "csp").build(),
            CspError::NotAList(D::ReportTo),
        ),
        (
            builder().replace(D::ImgSrc, []).build(),
            CspError::NoValue(D::ImgSrc),
        ),
    ] {
        assert_eq!(built.unwrap_err(), expected);
    }
}
