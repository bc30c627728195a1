//! `LimitRate`: refuses callers who have used up their rate.
//!
//! Protects against floods, scraping, guessing and runaway clients: against one caller taking
//! what belongs to all. In front of authentication it also bounds how much cryptography a stranger
//! can make the service do.
//!
//! # A request passes when
//!
//! 1. it is known whose quota it spends: by [peer](LimitRateLayer::by_peer) the client's address,
//!    by [principal](LimitRateLayer::by_principal) who asks, or a
//!    [key](LimitRateLayer::by_key) of your own;
//! 2. it does not [weigh](LimitRateLayer::weight) more than the burst;
//! 3. what is left of that quota, at the moment the request came, is at least its weight.
//!
//! A request that weighs nothing spends nothing. On a public route nobody is asked who they are,
//! so limits by principal and by key pass; limits by peer and by request key hold there too.
//!
//! # A refusal
//!
//! is `rate-limited`, 429, with the quota's name among the problem's `violated-policies` and
//! `Retry-After`: the time until the same request would fit, rounded up to whole seconds. A
//! request that weighs more than the burst has no `Retry-After`, since no wait would help. A
//! refusal spends nothing, so a client that keeps asking is let in when its time has come.
//!
//! Where condition 1 fails because no server put an address on the request, the answer is
//! `stack-misordered`, 500, and its detail says how to serve; where a key function of your own
//! gives nothing, `request-malformed`, 400. A limit by principal without an authentication layer
//! outside it is `stack-misordered`.
//!
//! Answers, permitted and refused, say where the caller stands:
//!
//! ```text
//! RateLimit-Policy: "burst";q=100;w=60
//! RateLimit: "burst";r=50;t=1
//! ```
//!
//! `q` is the burst and `w` the seconds in which a burst comes back; `r` is what may be spent right
//! now and `t` the seconds until it is one more, both rounded to the safe side. Several limits in
//! one stack are members of the same list. [`LimitRateLayer::without_headers`] keeps them back.
//!
//! # Where it belongs
//!
//! By peer (and by request key) before authentication; by principal (and by key) after
//! authorization, before the handler. The gate refuses a limit that stands elsewhere.
//!
//! # What a proxy in front can break
//!
//! Behind a proxy that is not [trusted](zt_core::context::TrustedProxies) every client has the
//! proxy's address and they share one quota. A network that is trusted without reason lets its
//! members choose their address and so have as many quotas as they like. People behind one
//! network address translator are one peer: give a limit by peer room for them and keep the tight
//! limit by principal. A cache that stores answers hands out `RateLimit` fields that are old.
//!
//! # Memory
//!
//! A limiter allocates its counters when it is made, 52 bytes for each of
//! [`Quota::keys`], 5.2 MB for the default of 100,000, and never more. (A limit by principal
//! has a second table for callers whom nobody named, which the first of them allocates.) A key is
//! forgotten only when its burst is back whole, when forgetting changes nothing. Each key belongs
//! to one small set of eight counters, which a hash under a secret of the process chooses; a key
//! that comes to a set in which all eight are in use shares one more counter with the other keys
//! that found no place there. So a flood of made-up keys neither grows the memory nor lets a
//! throttled caller go: it can only make newcomers wait. With as many keys in use as the quota has
//! room for, about 8 in 1,000 share. No background task, no scan: work on the request path stays
//! within one set.
//!
//! # Example
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use zt_core::context::PeerAddr;
//! use zt_ratelimit::{LimitRateLayer, Quota};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let quota = Quota::new("burst", 1, Duration::from_secs(60))?;
//! let service = LimitRateLayer::by_peer(quota).layer(service_fn(|_: Request<()>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//! // axum's `into_make_service_with_connect_info::<SocketAddr>()` does this for each request.
//! let request = || Request::builder().extension(PeerAddr(([192, 0, 2, 7], 4000).into())).body(());
//!
//! let permitted = service.clone().oneshot(request()?).await?;
//! assert_eq!(permitted.status(), 200);
//! assert_eq!(permitted.headers()["ratelimit"], r#""burst";r=0;t=60"#);
//!
//! let refused = service.oneshot(request()?).await?;
//! assert_eq!(refused.status(), 429);
//! assert_eq!(refused.headers()["retry-after"], "60");
//! # Ok(())
//! # }
//! ```
//!
//! # Standards
//!
//! - draft-ietf-httpapi-ratelimit-headers-10: the fields of sections 3 and 4, with policy names as
//!   strings, `w` at least one (3.1.3), `t` the time until more is available (4.1.2), `Retry-After`
//!   never before `t` (6); the problem type `quota-exceeded` with `violated-policies` (5.1).
//! - RFC 9651: their syntax, and lists over several fields (3.1).
//! - RFC 6585 section 4 and RFC 9110 section 10.2.3: 429 and `Retry-After`.
//! - RFC 4291 section 2.5.5.2: an IPv4-mapped address is an IPv4 address.
//!
//! # What it does not do
//!
//! A quota is counted within one process: two instances permit twice of it, and a restart gives
//! everybody a whole burst. Several limits at once, how many requests run at the same time, tiers and
//! shared stores are for [`by_limits`](LimitRateLayer::by_limits); money is for
//! [`ChargeBudgetLayer`](crate::ChargeBudgetLayer). It sends no partition key (`pk`), and no jitter: callers who were refused at different moments come back
//! at different moments anyway, because requests come back one by one. A request that a later
//! check refuses has spent its weight all the same.

mod by_policy;
mod check;
mod error;
mod fields;
mod key;
mod layer;
mod quota;
mod table;

pub use self::{
    by_policy::{ByPolicy, LimitRateByPolicyLayer, PermitGuard},
    error::QuotaError,
    fields::RateLimitFields,
    key::{ByKey, ByPeer, ByPrincipal, ByRequestKey, CountBy, Key},
    layer::{LimitRate, LimitRateLayer},
    quota::Quota,
};

#[cfg(test)]
mod policy_tests;
#[cfg(test)]
mod tests;
