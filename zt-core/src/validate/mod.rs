//! `ValidateRequest`: bounds, one reading of every request, no borrowed identities.
//!
//! # What it protects against
//!
//! Requests that two programs read differently: `/public/..%2fadmin` and its kin, two `Host`
//! headers, a length and a transfer coding, a method that a header overrides. Requests that cost
//! more than they should: long targets, long header sections, endless bodies. And headers in
//! which a stranger says who they are.
//!
//! # A request passes when
//!
//! 1. its target is no longer than the bound (8 KiB);
//! 2. its method is allowed: any but TRACE and CONNECT, or one of the configured list;
//! 3. its target has the form of its method: `*` for OPTIONS only, an authority alone for CONNECT
//!    only, a path for everything else;
//! 4. its path is canonical, see [`check_path`] for the nine rules; the route may allow `%2F` and
//!    empty segments;
//! 5. it has no more header fields (100), no longer header section (16 KiB) and no longer header
//!    value (8 KiB) than the bounds;
//! 6. `Authorization`, `Content-Length`, `Content-Type`, `Host` and `Transfer-Encoding` stand in
//!    it once at most, and `Content-Length` is one decimal number;
//! 7. its body is framed in one way: `Transfer-Encoding` is `chunked` and nothing else, stands in
//!    HTTP/1.1 only, and not beside `Content-Length`;
//! 8. no header has the name of one that frames the body, spelled with `_`;
//! 9. no header overrides the method or the target: `X-HTTP-Method-Override`, `X-HTTP-Method`,
//!    `X-Method-Override`, `X-Original-URL`, `X-Rewrite-URL`, spelled with `-` or `_`;
//! 10. it says which host it is for: HTTP/1.1 in a `Host`, HTTP/2 and later in `:authority` or
//!     `Host`, and what it says is a host;
//! 11. `Host` and the target's authority are the same, but for case and a default port;
//! 12. that host is one that the service answers for, where hosts are configured, and the
//!     target's scheme is `http` or `https`;
//! 13. its body is no longer than the route's limit, or the layer's (2 MiB).
//!
//! Headers that claim an identity ([`ClaimedNames`](crate::context::ClaimedNames)) are taken off
//! the request in every case and `_` variant; layers find what they said in
//! [`Trail::claimed`](crate::context::Trail::claimed).
//!
//! # A refusal
//!
//! | condition | code | status |
//! |---|---|---|
//! | 1 | `uri-too-long` | 414 |
//! | 2–4, 6–11 | `request-malformed` | 400 |
//! | 5 | `headers-too-large` | 431 |
//! | 12 | `misdirected` | 421 |
//! | 13 | `body-too-large` | 413 |
//!
//! The caller is not told which rule it broke; the audit record is. A body whose declared length
//! is past the limit is refused before anything is read. One that grows past it fails where the
//! handler reads it, and whatever head the handler then answers is replaced by the 413; a head
//! that has left already cannot be, and the handler is left with the failed body.
//!
//! # Where it belongs
//!
//! After the audit record, so that refusals are recorded; before everything that reads the
//! request. It resolves the [`Routes`](crate::state::Routes) table once, on the raw path, before
//! it judges that path, because a route has allowances of its own.
//!
//! # What a proxy in front can break
//!
//! One that normalises paths hides non-canonical ones from this layer, and decides by itself what
//! they mean. One that rewrites `Host` needs its own name among the hosts. One that speaks
//! HTTP/1.0 to us may send no `Host` at all; with hosts configured that is `misdirected`. One
//! that forwards client addresses or certificates is believed through
//! [`TrustedProxies`](crate::context::TrustedProxies), never by handlers that read its headers.
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//! use zt_core::{body::RequestBody, validate::{ValidateRequestConfig, ValidateRequestLayer}};
//!
//! # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
//! let layer = ValidateRequestLayer::new(ValidateRequestConfig::default())?;
//! let service = ServiceBuilder::new().layer(layer).service(service_fn(
//!     |_request: Request<RequestBody<Full<Bytes>>>| async {
//!         Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("hello"))))
//!     },
//! ));
//! let get = |path: &str| {
//!     Request::get(path).header("host", "shop.example").body(Full::<Bytes>::default())
//! };
//!
//! let response = service.clone().oneshot(get("/orders/7")?).await?;
//! assert_eq!(response.status(), 200);
//!
//! let response = service.oneshot(get("/public/%2e%2e/orders/7")?).await?;
//! assert_eq!(response.status(), 400);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Standards
//!
//! - RFC 3986 sections 2.1, 3.3, 6.2.2: percent encoding, paths, what canonical means. Stricter:
//!   what may be normalised there is refused here.
//! - RFC 9110 section 4.2.4 (no user information), 5.3 (repeated fields), 7.2 and 7.4 (`Host`,
//!   misdirected requests), 8.6 (`Content-Length`; a list of equal numbers is refused too),
//!   15.5.20 (421).
//! - RFC 9112 section 3.2 (forms of the target; a missing, repeated or invalid `Host` is 400),
//!   section 6 (framing). Stricter than section 3.2.2: where `Host` differs from an absolute
//!   target the request is refused instead of `Host` ignored, because whoever reads it behind us
//!   would not ignore it. A host is a name of letters, digits, `-`, `_`, or an address.
//! - RFC 9113 section 8.2.2 and 8.3.1: no `Transfer-Encoding`, `Host` and `:authority` agree.
//! - RFC 8441 section 4: extended CONNECT, once CONNECT is among the methods.
//! - RFC 6585 section 5: 431.
//!
//! # What it does not do
//!
//! It leaves path parameters (`;v=1`) alone, except that a segment whose name is `.`, `..` or
//! nothing without them is refused. It does not read queries, cookies, or bodies, so `_method` in
//! a form passes. It normalises nothing, Unicode included. Obsolete line folding, a bare CR and
//! fragments cannot reach it: hyper and `http` have no value that holds one (a fragment is cut off
//! when the target is parsed). hyper also takes `Content-Length` off a request that has
//! `Transfer-Encoding` and closes the connection after it, and drops a repeated `Content-Length`
//! that says the same; conditions 6 and 7 are for servers that do not. How fast a head or a body
//! arrives is the server's business. While a stack observes only, claimed identities are stripped
//! all the same, and bodies are not cut.

mod authority;
mod check;
mod config;
mod error;
mod headers;
mod layer;
mod path;

pub(crate) use self::path::{is_plain_path, stands_for_itself};
pub use self::{
    config::ValidateRequestConfig,
    error::ValidateRequestError,
    layer::{BodyBound, ValidateRequest, ValidateRequestLayer},
    path::{PathAllowances, PathError, check_path},
};

#[cfg(test)]
mod naive;
#[cfg(test)]
mod path_tests;
#[cfg(test)]
mod tests;
