//! Security headers.
//!
//! # What it protects against
//!
//! A browser does what an answer lets it do. Without instructions it runs scripts that somebody
//! injected into a page, shows the page in a stranger's frame, takes a text for a script, comes
//! back over plain HTTP, tells other sites where it was, and keeps answers that were meant for one
//! person. [`SetSecurityHeadersLayer`] writes the instructions on every answer, and takes off
//! headers that only tell attackers what a service is made of.
//!
//! # When a request passes
//!
//! 1. Every request passes inwards.
//! 2. A response leaves if its nonce was not asked for, or could be made.
//!
//! What leaves has these headers, whether it is the handler's answer, a refusal by a layer inside,
//! a client's or a server's error, or what stands for a handler that panicked:
//!
//! 1. each header of the layer, where the handler has not set it (with every value it gave it);
//! 2. each header that is [forced](SetSecurityHeadersLayer::force), whatever the handler set;
//! 3. none that is [removed](SetSecurityHeadersLayer::remove);
//! 4. the content security policy with the changes that the route left in the response's
//!    extensions as a [`CspOverride`](csp::CspOverride), directive by directive;
//! 5. the policy's nonce, if somebody asked the request's [`CspNonce`] for it, and then
//!    `Cache-Control: no-store` and no header that tells a shared cache otherwise.
//!
//! Where nobody asked, the nonce sources are left out of the policy, and `'unsafe-inline'` from
//! directives that had one, since a browser ignores it only beside a nonce. What remains is
//! stricter than the policy with its nonce and costs neither randomness nor a copy; no element of
//! the page can have needed a nonce that was never made. A directive of which nothing remains
//! says `'none'`.
//!
//! A `101` and the answer to a CONNECT are left alone: what follows is another protocol.
//!
//! # What a refusal looks like
//!
//! `keys-unavailable`, 503, where a nonce was asked for and there was no randomness. A nonce is a
//! key that lives for one response, and nothing predictable ever takes its place. With axum the
//! handler is not called; otherwise its answer is dropped.
//!
//! # Where it belongs
//!
//! Outermost ([`Stage::Headers`](crate::context::Stage::Headers)): what is refused further out
//! than this layer does not have its headers. A second layer further in may serve one part of an
//! application: what it wrote is there when the outer one looks, and stays.
//!
//! # What a proxy in front can break
//!
//! A proxy that adds headers of its own may double them: two content security policies are both
//! enforced, two `X-Frame-Options` cancel each other in some browsers. One that injects scripts
//! into pages has no nonce for them. A cache that ignores `no-store` serves one nonce to many.
//! `Strict-Transport-Security` means something only over TLS; a proxy that ends TLS must pass it
//! on. Proxies that write `Server` do so after it was removed here.
//!
//! # Example
//!
//! ```
//! use http::{Request, Response};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use zt_core::{
//!     decision::Code,
//!     gate::{FnCheck, GateLayer, Link, Settings},
//!     headers::SetSecurityHeadersLayer,
//! };
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let no_traces = FnCheck::new(|parts: &mut http::request::Parts, _cx| match parts.method {
//!     http::Method::TRACE => Err(Code::RequestMalformed.into()),
//!     _ => Ok(()),
//! });
//! let service = ServiceBuilder::new()
//!     .layer(SetSecurityHeadersLayer::api())
//!     .layer(GateLayer::new(Link::first(no_traces), Settings::shared_default()))
//!     .service(service_fn(|_: Request<String>| async {
//!         Ok::<_, std::convert::Infallible>(Response::new(String::from("[]")))
//!     }));
//!
//! let permitted = service.clone().oneshot(Request::get("/").body(String::new()).unwrap()).await?;
//! assert_eq!(permitted.status(), 200);
//! assert_eq!(permitted.headers()["x-content-type-options"], "nosniff");
//!
//! let refused = service.oneshot(Request::trace("/").body(String::new()).unwrap()).await?;
//! assert_eq!(refused.status(), 400);
//! assert_eq!(refused.headers()["x-content-type-options"], "nosniff");
//! # Ok::<_, std::convert::Infallible>(()) }).unwrap();
//! ```
//!
//! # Standards
//!
//! - Content Security Policy Level 3, sections 2.2 and 2.3 (syntax), 6.7.2 and 6.7.3 (matching),
//!   6.8.3 (fallbacks), 7.1 (nonces); Trusted Types section 4.2.
//! - Permissions Policy section 5.2, as a dictionary of RFC 9651 section 3.2.
//! - RFC 9111 section 5.2.2.5 and RFC 9213 (pages with a nonce are not stored).
//! - RFC 6797 section 6.1 (HSTS), RFC 7034 (X-Frame-Options), Referrer Policy section 8.1, Fetch
//!   (`nosniff`, Cross-Origin-Resource-Policy), HTML (COOP, COEP, Origin-Agent-Cluster).
//! - The presets follow helmet 8.3 (compared byte by byte in the tests), OWASP's Secure Headers
//!   project and its REST Security Cheat Sheet.
//!
//! # What it does not do
//!
//! It does not escape what a page shows: a policy is the second line behind a template engine that
//! does. It writes no CORS headers and no cookies' attributes. It does not look at content types:
//! `html_strict` on an API is wasteful, `api` on a page makes it useless. It does not compute the
//! hashes of inline scripts, nor collect reports.

mod check;
mod config;
pub mod csp;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod feature;
mod layer;
mod nonce;
mod permissions;
mod presets;

pub use self::{
    check::HeadersGuard,
    config::SecurityHeadersConfig,
    error::{CspError, HeadersError, PermissionsError, SourceError},
    feature::{Feature, FeatureName},
    layer::{SetSecurityHeaders, SetSecurityHeadersLayer},
    nonce::{CspNonce, NonceError},
    permissions::{Allowlist, PermissionsPolicy, PermissionsPolicyBuilder},
};

#[cfg(test)]
mod tests;
