//! Why each default is what it is, and what it takes to change it.
//!
//! A default has to be safe for somebody who never reads this page, and bearable for everybody else,
//! because one that is not is switched off as a whole.
//!
//! # The stack
//!
//! | default | why | instead |
//! |---|---|---|
//! | audit record, authentication and policy are mandatory | each is missed only in an incident | `without_audit()`, `insecure_anonymous()`, `any_authenticated()` |
//! | headers and validation are there unasked | they need no decision of yours | [`headers`](crate::stack::Builder::headers), [`validate`](crate::stack::Builder::validate) |
//! | no limit | how much is too much only you know | [`limit_peer`](crate::stack::Builder::limit_peer), [`limit`](crate::stack::Builder::limit) |
//! | no route is public | a health check is named once, a forgotten route is found by others | [`public`](crate::stack::Builder::public) |
//! | no proxy is trusted | a network that is trusted without reason chooses its own addresses | [`with_proxies`](crate::gate::Settings::with_proxies) |
//! | readiness passes through, so refusals wait behind a full service | back-pressure is the server's language | [`ready_early`](crate::gate::Settings::ready_early) |
//! | checks are not timed | reading the clock costs as much as a check | [`measuring`](crate::gate::Settings::measuring) |
//!
//! # Validation
//!
//! | default | why |
//! |---|---|
//! | target 8 KiB | RFC 9110 section 4.1 asks for 8,000 bytes at least; longer ones belong into a body |
//! | 100 fields, 16 KiB of headers, 8 KiB a value | what common servers take; a cookie jar fits, a memory bomb does not |
//! | body 2 MiB | what axum's extractors take by default; uploads say their own with [`body_limit`](crate::state::RouteRule::body_limit) |
//! | every method but TRACE and CONNECT | TRACE shows headers to scripts, CONNECT is for proxies; the policy judges the rest |
//! | any host | a list that is wrong on the first day is switched off; name yours as soon as you know them |
//! | `%2F`, `//`, `%61` are refused | somebody in front or behind reads them otherwise; routes that mean them as data say so |
//! | identity headers are stripped | the proxy that sets them is not on every path to the service |
//!
//! # Headers
//!
//! [`api`](crate::headers::SetSecurityHeadersLayer::api): an answer that is data is not a page, is not
//! framed, sniffed or stored. It is no policy for pages; `html_strict` is. No preset says `preload` in
//! `Strict-Transport-Security`: that promise is hard to take back.
//!
//! # Credentials
//!
//! A service token needs an end; one without says
//! [`insecure_never_expires`](crate::service_token::MintRequest::insecure_never_expires). It is read
//! from `X-Service-Token` alone, so that it cannot be mistaken for another kind of bearer. Where
//! nobody bounded its methods, paths and networks it is good for all of them, and what it may do there is
//! the policy's to say. The record of one that was
//! revoked is kept for 30 days, so that its bearer is told why.
//!
//! # Signatures
//!
//! | default | why | instead |
//! |---|---|---|
//! | no verifier without a [policy](crate::signature::verify::SignaturePolicy) | a signature that covers nothing is a signature | the argument of the constructor |
//! | `@method`, `@authority`, `@path`, `@query`, and the digest of a body | that is the request; the rest is up to the application | `insecure_covering_only`, `insecure_unsigned_body` |
//! | 60 s of age, 5 s of skew | what has to be remembered grows with it; clocks are set by NTP | `max_age`, `future_skew` |
//! | a nonce | without one two requests that are alike cannot be told from one and its repetition | `insecure_without_nonce` |
//! | bodies are read whole, up to 1 MiB within 10 s | a handler that never sees an unverified byte needs no care | `buffer`, `stream` |
//! | the scheme is `https` | whoever terminates TLS in front hides it, and a guess can be led | `scheme` |
//! | the host is the request's own | a forwarded one is somebody's word | `authority` |
//! | shared secrets of 32 bytes | as long as the hash (RFC 2104 section 3) | none |
//!
//! # Waiting
//!
//! | default | why |
//! |---|---|
//! | a policy may wait 5 s for its facts | longer than any fact should take, shorter than a client waits |
//! | a shared view of tokens or sanctions refuses after 5 s of silence | within the second that a revocation takes, with room for a hiccup |
//! | unsafe methods wait for their audit record before the handler, safe ones before the answer leaves | a safe handler can run while the disk works, since it has no effects; one that has says [`BeforeHandler`](crate::state::AuditMode::BeforeHandler) |
//! | a stream is looked at twice a second | a sanction strikes within one |
//!
//! # Answers
//!
//! Problem documents with `about:blank` as their type: a link to a page that does not exist helps
//! nobody. [`with_type_base`](crate::problem::ProblemJson::with_type_base) names yours.
