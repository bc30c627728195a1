//! helmet 8.3.0 for Node.js, and the same here: byte by byte, for its defaults and for other
//! options. What helmet writes is a table in this file; where npm is at hand, helmet writes it
//! again.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use super::*;
use crate::{
    gate::{OpenContextLayer, Settings},
    headers::{
        CspNonce,
        csp::{Csp, CspOverride, Directive as D, Source},
    },
    random::{Entropy, EntropyError},
};

struct Case {
    name: &'static str,
    /// helmet's options.
    options: &'static str,
    /// The same here.
    layer: fn() -> SetSecurityHeadersLayer,
    /// What helmet writes.
    headers: &'static [(&'static str, &'static str)],
    /// Whether helmet removes `X-Powered-By`.
    removes: bool,
}

const CASES: &[Case] = &[
    Case {
        name: "defaults",
        options: "{}",
        layer: SetSecurityHeadersLayer::helmet,
        headers: &[
            (
                "content-security-policy",
                "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("x-xss-protection", "0"),
        ],
        removes: true,
    },
    Case {
        name: "directives over the defaults",
        options: r#"{contentSecurityPolicy: {directives: {
            scriptSrc: ["'self'", "https://cdn.example.com"],
            "img-src": ["'self'", "data:", "https:"],
            connectSrc: ["'self'", "wss://live.example.com:8443"],
            upgradeInsecureRequests: null,
        }}}"#,
        layer: || {
            let change = CspOverride::builder()
                .append_text(D::ScriptSrc, "https://cdn.example.com")
                .replace_text(D::ImgSrc, "'self' data: https:")
                .append_text(D::ConnectSrc, "wss://live.example.com:8443")
                .remove(D::UpgradeInsecureRequests)
                .build();
            let layer = SetSecurityHeadersLayer::helmet();
            layer.override_csp(&change.unwrap()).unwrap()
        },
        headers: &[
            (
                "content-security-policy",
                "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data: https:;object-src 'none';script-src 'self' https://cdn.example.com;script-src-attr 'none';style-src 'self' https: 'unsafe-inline';connect-src 'self' wss://live.example.com:8443",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("x-xss-protection", "0"),
        ],
        removes: true,
    },
    Case {
        name: "other values",
        options: r#"{
            strictTransportSecurity: {maxAge: 63072000, preload: true},
            xFrameOptions: {action: "deny"},
            referrerPolicy: {policy: ["no-referrer", "strict-origin-when-cross-origin"]},
            crossOriginEmbedderPolicy: true,
            crossOriginOpenerPolicy: {policy: "same-origin-allow-popups"},
            crossOriginResourcePolicy: {policy: "cross-origin"},
            xDnsPrefetchControl: {allow: true},
            xPermittedCrossDomainPolicies: {permittedPolicies: "by-content-type"},
        }"#,
        layer: || {
            let mut layer = SetSecurityHeadersLayer::helmet();
            for (name, value) in [
                (
                    "strict-transport-security",
                    "max-age=63072000; includeSubDomains; preload",
                ),
                ("x-frame-options", "DENY"),
                (
                    "referrer-policy",
                    "no-referrer,strict-origin-when-cross-origin",
                ),
                ("cross-origin-embedder-policy", "require-corp"),
                ("cross-origin-opener-policy", "same-origin-allow-popups"),
                ("cross-origin-resource-policy", "cross-origin"),
                ("x-dns-prefetch-control", "on"),
                ("x-permitted-cross-domain-policies", "by-content-type"),
            ] {
                let value = HeaderValue::from_static(value);
                layer = layer.with(named(name), value).unwrap();
            }
            layer
        },
        headers: &[
            (
                "content-security-policy",
                "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
            ),
            ("cross-origin-embedder-policy", "require-corp"),
            ("cross-origin-opener-policy", "same-origin-allow-popups"),
            ("cross-origin-resource-policy", "cross-origin"),
            ("origin-agent-cluster", "?1"),
            (
                "referrer-policy",
                "no-referrer,strict-origin-when-cross-origin",
            ),
            (
                "strict-transport-security",
                "max-age=63072000; includeSubDomains; preload",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "on"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "DENY"),
            ("x-permitted-cross-domain-policies", "by-content-type"),
            ("x-xss-protection", "0"),
        ],
        removes: true,
    },
    Case {
        name: "switched off",
        options: r#"{
            contentSecurityPolicy: false,
            crossOriginOpenerPolicy: false,
            originAgentCluster: false,
            xDownloadOptions: false,
            xPoweredBy: false,
            xXssProtection: false,
        }"#,
        layer: || {
            [
                "content-security-policy",
                "cross-origin-opener-policy",
                "origin-agent-cluster",
                "x-download-options",
                "x-powered-by",
                "x-xss-protection",
            ]
            .iter()
            .fold(SetSecurityHeadersLayer::helmet(), |layer, name| {
                layer.without(&named(name))
            })
        },
        headers: &[
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
        ],
        removes: false,
    },
    Case {
        name: "a policy of one's own, reported only",
        options: r#"{contentSecurityPolicy: {useDefaults: false, reportOnly: true, directives: {
            defaultSrc: ["'none'"],
            scriptSrc: ["'strict-dynamic'",
                "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"],
            sandbox: ["allow-scripts", "allow-forms"],
            requireTrustedTypesFor: ["'script'"],
            reportTo: "csp",
        }}}"#,
        layer: || {
            let csp = Csp::builder()
                .set(D::DefaultSrc, [Source::None])
                .parse(
                    D::ScriptSrc,
                    "'strict-dynamic' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
                )
                .parse(D::Sandbox, "allow-scripts allow-forms")
                .parse(D::RequireTrustedTypesFor, "'script'")
                .report_to("csp")
                .build();
            SetSecurityHeadersLayer::helmet()
                .without(&http::header::CONTENT_SECURITY_POLICY)
                .csp_report_only(csp.unwrap())
        },
        headers: &[
            (
                "content-security-policy-report-only",
                "default-src 'none';script-src 'strict-dynamic' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';sandbox allow-scripts allow-forms;require-trusted-types-for 'script';report-to csp",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("x-xss-protection", "0"),
        ],
        removes: true,
    },
    Case {
        name: "a nonce",
        options: r#"{contentSecurityPolicy: {directives: {
            scriptSrc: ["'self'", () => "'nonce-AAECAwQFBgcICQoLDA0ODw=='"],
        }}}"#,
        layer: || {
            let change = CspOverride::builder()
                .append(D::ScriptSrc, [Source::Nonce])
                .build();
            let layer = SetSecurityHeadersLayer::helmet();
            layer.override_csp(&change.unwrap()).unwrap()
        },
        headers: &[
            (
                "content-security-policy",
                "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self' 'nonce-AAECAwQFBgcICQoLDA0ODw==';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
            ),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("origin-agent-cluster", "?1"),
            ("referrer-policy", "no-referrer"),
            (
                "strict-transport-security",
                "max-age=31536000; includeSubDomains",
            ),
            ("x-content-type-options", "nosniff"),
            ("x-dns-prefetch-control", "off"),
            ("x-download-options", "noopen"),
            ("x-frame-options", "SAMEORIGIN"),
            ("x-permitted-cross-domain-policies", "none"),
            ("x-xss-protection", "0"),
        ],
        removes: true,
    },
];

/// 0, 1, 2, ...
#[derive(Debug)]
struct Counting;

impl Entropy for Counting {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        for (byte, value) in out.iter_mut().zip(0..) {
            *byte = value;
        }
        Ok(())
    }
}

#[tokio::test]
async fn the_layer_writes_what_helmet_writes() {
    for case in CASES {
        let handler = |request: Request<()>| {
            if let Some(nonce) = request.extensions().get::<CspNonce>() {
                nonce.value().unwrap();
            }
            with_headers(&[("x-powered-by", "Express")])(request)
        };
        let settings = Settings::default().with_entropy(Counting);
        let service = (case.layer)().layer(handler_fn(handler));
        let response = answer(OpenContextLayer::new(settings).layer(service)).await;
        let mut found = as_map(response.headers());
        let kept = found.remove("x-powered-by").is_some();
        assert_eq!(kept, !case.removes, "{}", case.name);
        if found
            .get("cache-control")
            .is_some_and(|value| value == "no-store")
        {
            // helmet lets pages with a nonce be stored; this layer does not.
            assert_eq!(case.name, "a nonce");
            found.remove("cache-control");
        }
        assert_eq!(found, table(case), "{}", case.name);
    }
}

#[test]
fn helmet_is_byte_identical_to_npm_helmet() {
    let required = std::env::var_os("ZT_REQUIRE_SERVERS").is_some_and(|value| value == "1");
    match npm_helmet() {
        Ok(found) => {
            assert_eq!(found.len(), CASES.len());
            for (case, (headers, removed)) in CASES.iter().zip(found) {
                assert_eq!(headers, table(case), "{}", case.name);
                let expected: &[&str] = if case.removes { &["x-powered-by"] } else { &[] };
                assert_eq!(removed, expected, "{}", case.name);
            }
        }
        Err(why) if required => panic!("npm helmet cannot be had: {why}"),
        Err(why) => println!("skipped: npm helmet cannot be had: {why}"),
    }
}

fn table(case: &Case) -> BTreeMap<String, String> {
    let pairs = case.headers.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

type Written = (BTreeMap<String, String>, Vec<String>);

/// What npm's helmet writes and removes, case by case.
fn npm_helmet() -> Result<Vec<Written>, String> {
    let folder = std::env::temp_dir().join(format!("zt-helmet-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let found = install(&folder).and_then(|()| capture(&folder));
    let _ = std::fs::remove_dir_all(&folder);
    found
}

fn install(folder: &Path) -> Result<(), String> {
    std::fs::write(folder.join("package.json"), "{\"private\": true}")
        .map_err(|error| error.to_string())?;
    let npm = Command::new("npm")
        .args(["install", "helmet@8.3.0", "--no-audit", "--no-fund"])
        .args([
            "--ignore-scripts",
            "--fetch-retries=0",
            "--fetch-timeout=20000",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm: {error}"))?;
    if !npm.status.success() {
        return Err(String::from_utf8_lossy(&npm.stderr).into_owned());
    }
    Ok(())
}

fn capture(folder: &Path) -> Result<Vec<Written>, String> {
    let options: Vec<&str> = CASES.iter().map(|case| case.options).collect();
    let script = format!(
        "const helmet = require('helmet');
        const found = [{}].map(options => {{
            const headers = {{}}, removed = [];
            const res = {{
                setHeader(name, value) {{ headers[name.toLowerCase()] = String(value); }},
                removeHeader(name) {{ removed.push(name.toLowerCase()); }},
            }};
            let done = false;
            helmet(options)({{}}, res, error => {{ if (error) throw error; done = true; }});
            if (!done) throw new Error('next was not called');
            return [headers, removed];
        }});
        console.log(JSON.stringify(found));",
        options.join(",")
    );
    std::fs::write(folder.join("capture.cjs"), script).map_err(|error| error.to_string())?;
    let node = Command::new("node")
        .arg("capture.cjs")
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("node: {error}"))?;
    // helmet was there: what fails now is this test, not the surroundings.
    let stderr = String::from_utf8_lossy(&node.stderr);
    assert!(node.status.success(), "{stderr}");
    Ok(serde_json::from_slice(&node.stdout).unwrap())
}
