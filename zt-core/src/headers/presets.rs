use http::{HeaderName, HeaderValue, header};

use super::{SetSecurityHeadersLayer, check::Plan, csp::Csp};

pub(super) const CSP_REPORT_ONLY: HeaderName = header::CONTENT_SECURITY_POLICY_REPORT_ONLY;
pub(super) const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");

const CROSS_ORIGIN_EMBEDDER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-embedder-policy");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");
const ORIGIN_AGENT_CLUSTER: HeaderName = HeaderName::from_static("origin-agent-cluster");
const X_DOWNLOAD_OPTIONS: HeaderName = HeaderName::from_static("x-download-options");
const X_PERMITTED_CROSS_DOMAIN_POLICIES: HeaderName =
    HeaderName::from_static("x-permitted-cross-domain-policies");
const X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");

/// A year, RFC 6797 section 6.1. Never `preload`: that promise is hard to take back, and is the
/// application's to make.
const HSTS: &str = "max-age=31536000; includeSubDomains";

impl SetSecurityHeadersLayer {
    /// The defaults of helmet 8.3, byte for byte: 12 headers, and `X-Powered-By` removed.
    #[must_use]
    pub fn helmet() -> Self {
        let mut plan = Plan::default();
        plan.set_csp(header::CONTENT_SECURITY_POLICY, Csp::helmet());
        for (name, value) in [
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
            (ORIGIN_AGENT_CLUSTER, "?1"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::STRICT_TRANSPORT_SECURITY, HSTS),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_DNS_PREFETCH_CONTROL, "off"),
            (X_DOWNLOAD_OPTIONS, "noopen"),
            (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
            (X_PERMITTED_CROSS_DOMAIN_POLICIES, "none"),
            (header::X_XSS_PROTECTION, "0"),
        ] {
            plan.set(name, HeaderValue::from_static(value));
        }
        plan.remove(X_POWERED_BY);
        Self::from_plan(plan)
    }

    /// What OWASP's Secure Headers project proposes to add and to remove.
    ///
    /// Different from its list: `Clear-Site-Data` is left out, since it belongs on the answer to a
    /// logout and nowhere else; so are `block-all-mixed-content` and `interest-cohort`, which
    /// browsers no longer read. It embeds nothing that does not agree
    /// (`Cross-Origin-Embedder-Policy`) and lets nobody store anything.
    #[must_use]
    pub fn owasp() -> Self {
        let mut plan = Plan::default();
        plan.set_csp(header::CONTENT_SECURITY_POLICY, Csp::owasp());
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store, max-age=0"),
            (CROSS_ORIGIN_EMBEDDER_POLICY, "require-corp"),
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
            (PERMISSIONS_POLICY, DENY_ALL),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::STRICT_TRANSPORT_SECURITY, HSTS),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "deny"),
            (X_PERMITTED_CROSS_DOMAIN_POLICIES, "none"),
        ] {
            plan.set(name, HeaderValue::from_static(value));
        }
        for name in TALKATIVE {
            plan.remove(HeaderName::from_static(name));
        }
        Self::from_plan(plan)
    }

    /// For services whose answers are data, after OWASP's REST Security Cheat Sheet: not stored,
    /// not framed, not sniffed, not a page. `Server` and `X-Powered-By` are removed.
    #[must_use]
    pub fn api() -> Self {
        let mut plan = Plan::default();
        plan.set_csp(header::CONTENT_SECURITY_POLICY, Csp::api());
        for (name, value) in [
            (header::CACHE_CONTROL, "no-store"),
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::STRICT_TRANSPORT_SECURITY, HSTS),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            plan.set(name, HeaderValue::from_static(value));
        }
        plan.remove(header::SERVER);
        plan.remove(X_POWERED_BY);
        Self::from_plan(plan)
    }

    /// For pages: [`Csp::html_strict`], every feature of the browser denied, own window, own
    /// process. `Server` and `X-Powered-By` are removed.
    ///
    /// `Referrer-Policy` is `same-origin`: with `no-referrer`, browsers send `Origin: null` with
    /// the page's own forms (Fetch, "append a request Origin header"), which checks against
    /// cross-site requests must refuse.
    #[must_use]
    pub fn html_strict() -> Self {
        let mut plan = Plan::default();
        plan.set_csp(header::CONTENT_SECURITY_POLICY, Csp::html_strict());
        for (name, value) in [
            (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
            (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
            (ORIGIN_AGENT_CLUSTER, "?1"),
            (PERMISSIONS_POLICY, DENY_ALL),
            (header::REFERRER_POLICY, "same-origin"),
            (header::STRICT_TRANSPORT_SECURITY, HSTS),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::X_FRAME_OPTIONS, "DENY"),
        ] {
            plan.set(name, HeaderValue::from_static(value));
        }
        plan.remove(header::SERVER);
        plan.remove(X_POWERED_BY);
        Self::from_plan(plan)
    }
}

/// `PermissionsPolicy::builder().deny_others()`, serialized; a test compares.
pub(super) const DENY_ALL: &str = "accelerometer=(), aria-notify=(), autoplay=(), bluetooth=(), camera=(), \
     captured-surface-control=(), ch-ua-high-entropy-values=(), clipboard-read=(), \
     clipboard-write=(), compute-pressure=(), cross-origin-isolated=(), \
     deferred-fetch=(), deferred-fetch-minimal=(), display-capture=(), \
     encrypted-media=(), fullscreen=(), gamepad=(), geolocation=(), gyroscope=(), hid=(), \
     identity-credentials-get=(), idle-detection=(), language-model=(), local-fonts=(), \
     local-network=(), local-network-access=(), loopback-network=(), magnetometer=(), \
     microphone=(), midi=(), on-device-speech-recognition=(), otp-credentials=(), \
     payment=(), picture-in-picture=(), private-state-token-issuance=(), \
     private-state-token-redemption=(), publickey-credentials-create=(), \
     publickey-credentials-get=(), screen-wake-lock=(), serial=(), storage-access=(), \
     summarizer=(), unload=(), usb=(), web-share=(), window-management=(), \
     xr-spatial-tracking=()";

/// Headers that tell what a service is made of: OWASP's list of what to remove.
const TALKATIVE: &[&str] = &[
    "$wsep",
    "host-header",
    "k-proxy-request",
    "liferay-portal",
    "oraclecommercecloud-version",
    "pega-host",
    "powered-by",
    "product",
    "server",
    "sourcemap",
    "x-aspnet-version",
    "x-aspnetmvc-version",
    "x-atmosphere-error",
    "x-atmosphere-first-request",
    "x-atmosphere-tracking-id",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-spanid",
    "x-b3-traceid",
    "x-beserver",
    "x-calculatedbetarget",
    "x-cf-powered-by",
    "x-cms",
    "x-cocoon-version",
    "x-content-encoded-by",
    "x-diaginfo",
    "x-dtagentid",
    "x-dthealthcheck",
    "x-dtinjectedservlet",
    "x-envoy-attempt-count",
    "x-envoy-external-address",
    "x-envoy-internal",
    "x-envoy-original-dst-host",
    "x-envoy-upstream-service-time",
    "x-feserver",
    "x-framework",
    "x-generated-by",
    "x-generator",
    "x-jitsi-release",
    "x-kubernetes-pf-flowschema-uid",
    "x-kubernetes-pf-prioritylevel-uid",
    "x-litespeed-cache",
    "x-litespeed-cache-control",
    "x-litespeed-purge",
    "x-litespeed-tag",
    "x-litespeed-vary",
    "x-mod-pagespeed",
    "x-nextjs-cache",
    "x-nextjs-matched-path",
    "x-nextjs-page",
    "x-nextjs-redirect",
    "x-old-content-length",
    "x-oneagent-js-injection",
    "x-owa-version",
    "x-page-speed",
    "x-php-version",
    "x-powered-by",
    "x-powered-by-plesk",
    "x-powered-cms",
    "x-redirect-by",
    "x-ruxit-js-agent",
    "x-server-powered-by",
    "x-sourcefiles",
    "x-sourcemap",
    "x-turbo-charged-by",
    "x-umbraco-version",
    "x-varnish-backend",
    "x-varnish-server",
];
