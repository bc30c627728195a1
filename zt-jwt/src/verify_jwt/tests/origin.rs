use http::Request;

use super::super::origin::{CrossSite, Origins};

const OURS: Result<(), CrossSite> = Ok(());
const SITE: Result<(), CrossSite> = Err(CrossSite::Site);
const ORIGIN: Result<(), CrossSite> = Err(CrossSite::Origin);
const UNSAID: Result<(), CrossSite> = Err(CrossSite::Unsaid);
const TWICE: Result<(), CrossSite> = Err(CrossSite::Twice);

/// Method, target, headers, and what is found.
type Case<'a> = (
    &'a str,
    &'a str,
    &'a [(&'a str, &'a str)],
    Result<(), CrossSite>,
);

fn check(origins: &Origins, cases: &[Case<'_>]) {
    for (method, target, headers, expected) in cases {
        let mut request = Request::builder().method(*method).uri(*target);
        for (name, value) in *headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let found = origins.permit(&parts);
        assert_eq!(found, *expected, "{method} {target} {headers:?}");
    }
}

fn listed(origins: &[&str]) -> Origins {
    Origins {
        listed: origins.iter().map(|origin| (*origin).into()).collect(),
        same_site: false,
    }
}

#[test]
fn methods_that_change_nothing_pass_from_everywhere() {
    let evil: &[(&str, &str)] = &[
        ("host", "ours.example"),
        ("sec-fetch-site", "cross-site"),
        ("origin", "https://evil.example"),
    ];
    check(
        &Origins::default(),
        &[
            ("GET", "/", evil, OURS),
            ("HEAD", "/", evil, OURS),
            ("OPTIONS", "/", evil, OURS),
            ("GET", "/", &[], OURS),
            ("POST", "/", evil, SITE),
            ("PUT", "/", evil, SITE),
            ("PATCH", "/", evil, SITE),
            ("DELETE", "/", evil, SITE),
            ("TRACE", "/", evil, SITE),
            ("CONNECT", "ours.example:443", evil, SITE),
            ("QUERY", "/", evil, SITE),
            ("PROPFIND", "/", evil, SITE),
            // Methods have a case (RFC 9110 section 9.1).
            ("get", "/", evil, SITE),
        ],
    );
}

#[test]
fn websockets_are_never_safe() {
    let host = ("host", "ours.example");
    let upgrade = ("upgrade", "websocket");
    check(
        &Origins::default(),
        &[
            ("GET", "/", &[host, upgrade], UNSAID),
            (
                "GET",
                "/",
                &[host, upgrade, ("origin", "https://evil.example")],
                ORIGIN,
            ),
            (
                "GET",
                "/",
                &[host, upgrade, ("sec-fetch-site", "cross-site")],
                SITE,
            ),
            (
                "GET",
                "/",
                &[host, upgrade, ("sec-fetch-site", "same-origin")],
                OURS,
            ),
            (
                "GET",
                "/",
                &[host, upgrade, ("origin", "https://ours.example")],
                OURS,
            ),
            ("GET", "/", &[host, ("upgrade", "h2c")], UNSAID),
            // RFC 8441: over HTTP/2.
            (
                "CONNECT",
                "https://ours.example/chat",
                &[("origin", "https://evil.example")],
                ORIGIN,
            ),
            (
                "CONNECT",
                "https://ours.example/chat",
                &[("origin", "https://ours.example")],
                OURS,
            ),
        ],
    );
}

#[test]
fn the_browser_is_believed() {
    let host = ("host", "ours.example");
    let ours = ("origin", "https://ours.example");
    check(
        &Origins::default(),
        &[
            (
                "POST",
                "/",
                &[host, ("sec-fetch-site", "same-origin")],
                OURS,
            ),
            ("POST", "/", &[host, ("sec-fetch-site", "none")], OURS),
            ("POST", "/", &[host, ("sec-fetch-site", "same-site")], SITE),
            ("POST", "/", &[host, ("sec-fetch-site", "cross-site")], SITE),
            (
                "POST",
                "/",
                &[host, ("sec-fetch-site", "Same-Origin")],
                SITE,
            ),
            (
                "POST",
                "/",
                &[host, ("sec-fetch-site", "same-origin ")],
                SITE,
            ),
            ("POST", "/", &[host, ("sec-fetch-site", "")], SITE),
            (
                "POST",
                "/",
                &[host, ("sec-fetch-site", "same-origin, cross-site")],
                SITE,
            ),
            (
                "POST",
                "/",
                &[host, ours, ("sec-fetch-site", "cross-site")],
                SITE,
            ),
            (
                "POST",
                "/",
                &[host, ours, ("sec-fetch-site", "same-site")],
                SITE,
            ),
            // Behind a proxy that rewrites `Host`.
            (
                "POST",
                "/",
                &[
                    ("host", "internal"),
                    ours,
                    ("sec-fetch-site", "same-origin"),
                ],
                OURS,
            ),
            (
                "POST",
                "/",
                &[
                    host,
                    ("sec-fetch-site", "same-origin"),
                    ("sec-fetch-site", "cross-site"),
                ],
                TWICE,
            ),
        ],
    );
}

#[test]
fn without_word_from_the_browser_the_origin_has_to_be_our_host() {
    let post = |headers: &'static [(&'static str, &'static str)], expected| {
        ("POST", "/", headers, expected)
    };
    check(
        &Origins::default(),
        &[
            post(&[], UNSAID),
            post(&[("host", "ours.example")], UNSAID),
            post(
                &[
                    ("host", "ours.example"),
                    ("referer", "https://ours.example/"),
                ],
                UNSAID,
            ),
            post(
                &[("host", "ours.example"), ("origin", "https://ours.example")],
                OURS,
            ),
            post(
                &[("host", "ours.example"), ("origin", "http://ours.example")],
                OURS,
            ),
            post(
                &[("host", "OURS.example"), ("origin", "https://ours.example")],
                OURS,
            ),
            post(
                &[
                    ("host", "ours.example:443"),
                    ("origin", "https://ours.example"),
                ],
                OURS,
            ),
            post(
                &[
                    ("host", "ours.example:80"),
                    ("origin", "http://ours.example"),
                ],
                OURS,
            ),
            post(
                &[
                    ("host", "ours.example:8443"),
                    ("origin", "https://ours.example:8443"),
                ],
                OURS,
            ),
            post(
                &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
                OURS,
            ),
            post(
                &[
                    ("host", "ours.example:80"),
                    ("origin", "https://ours.example"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example:8443"),
                    ("origin", "https://ours.example"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://ours.example:8443"),
                ],
                ORIGIN,
            ),
            post(
                &[("host", "ours.example"), ("origin", "https://evil.example")],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://ours.example.evil"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://x.ours.example"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://ours.example/"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://evil@ours.example"),
                ],
                ORIGIN,
            ),
            post(
                &[("host", "ours.example"), ("origin", "ours.example")],
                ORIGIN,
            ),
            post(
                &[("host", "ours.example"), ("origin", "ftp://ours.example")],
                ORIGIN,
            ),
            post(
                &[("host", "ours.example"), ("origin", "HTTPS://ours.example")],
                ORIGIN,
            ),
            post(&[("host", "ours.example"), ("origin", "null")], ORIGIN),
            post(&[("host", "null"), ("origin", "null")], ORIGIN),
            post(&[("host", "ours.example"), ("origin", "")], ORIGIN),
            post(&[("host", ""), ("origin", "https://")], ORIGIN),
            post(&[("host", ":443"), ("origin", "https://")], ORIGIN),
            post(&[("origin", "https://ours.example")], ORIGIN),
            post(
                &[
                    ("host", "a"),
                    ("host", "ours.example"),
                    ("origin", "https://ours.example"),
                ],
                ORIGIN,
            ),
            post(
                &[
                    ("host", "ours.example"),
                    ("origin", "https://ours.example"),
                    ("origin", "https://evil.example"),
                ],
                TWICE,
            ),
        ],
    );
    // RFC 9113 section 8.3.1: `:authority` goes before `Host`.
    let target = "https://ours.example/pay";
    check(
        &Origins::default(),
        &[
            ("POST", target, &[("origin", "https://ours.example")], OURS),
            (
                "POST",
                target,
                &[("host", "evil"), ("origin", "https://evil")],
                ORIGIN,
            ),
        ],
    );
}

#[test]
fn where_origins_are_listed_they_are_all_there_is() {
    let host = ("host", "api.example");
    let app = ("origin", "https://app.example");
    check(
        &listed(&["https://app.example", "http://localhost:3000"]),
        &[
            ("POST", "/", &[host, app], OURS),
            (
                "POST",
                "/",
                &[host, ("origin", "http://localhost:3000")],
                OURS,
            ),
            (
                "POST",
                "/",
                &[host, app, ("sec-fetch-site", "same-site")],
                OURS,
            ),
            (
                "POST",
                "/",
                &[host, app, ("sec-fetch-site", "cross-site")],
                OURS,
            ),
            (
                "POST",
                "/",
                &[host, ("sec-fetch-site", "same-origin")],
                OURS,
            ),
            ("POST", "/", &[host, ("sec-fetch-site", "same-site")], SITE),
            (
                "POST",
                "/",
                &[host, ("origin", "https://api.example")],
                ORIGIN,
            ),
            (
                "POST",
                "/",
                &[host, ("origin", "http://app.example")],
                ORIGIN,
            ),
            (
                "POST",
                "/",
                &[host, ("origin", "https://APP.example")],
                ORIGIN,
            ),
            (
                "POST",
                "/",
                &[host, ("origin", "https://app.example:443")],
                ORIGIN,
            ),
            ("POST", "/", &[host, ("origin", "null")], ORIGIN),
            ("POST", "/", &[host], UNSAID),
            ("POST", "/", &[host, app, app], TWICE),
        ],
    );
}

#[test]
fn neighbours_pass_where_they_may() {
    let origins = Origins {
        same_site: true,
        ..Origins::default()
    };
    let host = ("host", "api.example");
    check(
        &origins,
        &[
            ("POST", "/", &[host, ("sec-fetch-site", "same-site")], OURS),
            ("POST", "/", &[host, ("sec-fetch-site", "cross-site")], SITE),
            (
                "POST",
                "/",
                &[host, ("origin", "https://app.example")],
                ORIGIN,
            ),
        ],
    );
}
