use http::HeaderValue;

use super::{
    Clause, Csp,
    Directive::{self as D},
    Source::{self, Nonce, SelfOrigin, StrictDynamic, UnsafeInline},
    SourceText,
    clause::Value,
    has_nonce,
};

impl Csp {
    /// The defaults of helmet 8, byte for byte.
    #[must_use]
    pub fn helmet() -> Self {
        preset(
            "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';\
             frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
             script-src-attr 'none';style-src 'self' https: 'unsafe-inline';\
             upgrade-insecure-requests",
            vec![
                clause(D::DefaultSrc, [SelfOrigin]),
                clause(D::BaseUri, [SelfOrigin]),
                clause(D::FontSrc, [SelfOrigin, scheme("https:"), scheme("data:")]),
                clause(D::FormAction, [SelfOrigin]),
                clause(D::FrameAncestors, [SelfOrigin]),
                clause(D::ImgSrc, [SelfOrigin, scheme("data:")]),
                clause(D::ObjectSrc, [Source::None]),
                clause(D::ScriptSrc, [SelfOrigin]),
                clause(D::ScriptSrcAttr, [Source::None]),
                clause(D::StyleSrc, [SelfOrigin, scheme("https:"), UnsafeInline]),
                clause(D::UpgradeInsecureRequests, []),
            ],
        )
    }

    /// What OWASP's Secure Headers project proposes, without `block-all-mixed-content`, which
    /// browsers no longer read, and with `base-uri`.
    #[must_use]
    pub fn owasp() -> Self {
        preset(
            "default-src 'self';base-uri 'self';form-action 'self';frame-ancestors 'none';\
             object-src 'none';upgrade-insecure-requests",
            vec![
                clause(D::DefaultSrc, [SelfOrigin]),
                clause(D::BaseUri, [SelfOrigin]),
                clause(D::FormAction, [SelfOrigin]),
                clause(D::FrameAncestors, [Source::None]),
                clause(D::ObjectSrc, [Source::None]),
                clause(D::UpgradeInsecureRequests, []),
            ],
        )
    }

    /// For answers that are data: should one be shown as a page after all, it can do nothing.
    #[must_use]
    pub fn api() -> Self {
        preset(
            "default-src 'none';frame-ancestors 'none'",
            vec![
                clause(D::DefaultSrc, [Source::None]),
                clause(D::FrameAncestors, [Source::None]),
            ],
        )
    }

    /// For pages: scripts run by the request's nonce, and what they load runs too; everything else
    /// comes from the page's own origin or not at all.
    #[must_use]
    pub fn html_strict() -> Self {
        preset(
            "default-src 'none';base-uri 'none';connect-src 'self';font-src 'self';\
             form-action 'self';frame-ancestors 'none';img-src 'self' data:;manifest-src 'self';\
             media-src 'self';script-src 'strict-dynamic';style-src 'self';worker-src 'self';\
             upgrade-insecure-requests",
            vec![
                clause(D::DefaultSrc, [Source::None]),
                clause(D::BaseUri, [Source::None]),
                clause(D::ConnectSrc, [SelfOrigin]),
                clause(D::FontSrc, [SelfOrigin]),
                clause(D::FormAction, [SelfOrigin]),
                clause(D::FrameAncestors, [Source::None]),
                clause(D::ImgSrc, [SelfOrigin, scheme("data:")]),
                clause(D::ManifestSrc, [SelfOrigin]),
                clause(D::MediaSrc, [SelfOrigin]),
                clause(D::ScriptSrc, [Nonce, StrictDynamic]),
                clause(D::StyleSrc, [SelfOrigin, Nonce]),
                clause(D::WorkerSrc, [SelfOrigin]),
                clause(D::UpgradeInsecureRequests, []),
            ],
        )
    }
}

/// A test serializes the clauses and compares: `plain` needs no allocation to clone.
fn preset(plain: &'static str, clauses: Vec<Clause>) -> Csp {
    Csp {
        plain: HeaderValue::from_static(plain),
        has_nonce: has_nonce(&clauses),
        clauses,
    }
}

fn clause<const N: usize>(directive: D, sources: [Source; N]) -> Clause {
    Clause {
        directive,
        values: sources.into_iter().map(Value::Source).collect(),
    }
}

fn scheme(text: &'static str) -> Source {
    Source::Scheme(SourceText::known(text))
}
