//! `ChargeBudget`: reserves what a request may cost, and charges what it did.
//!
//! Protects against bills that nobody agreed to: against a key that spends its organisation's money
//! in a burst, a loop that calls an expensive route all night, a stream that goes on when the budget
//! has ended; and against budgets that leak, because requests that were cancelled or failed still
//! hold what they never spent.
//!
//! # A request passes when
//!
//! 1. it is known what it may cost: one [`Cost`](crate::Cost) for all, a [function](PriceBy) of the
//!    request, or a [table by route](Prices), in which what is free is named;
//! 2. it is known who pays ([`Who`](crate::Who)): a subject for each level of the policy's tree, and
//!    a tier of it;
//! 3. at one instant, every limit of every level has room for all of it, budgets, rates and permits
//!    alike ([`Limits`](crate::Limits)). It is held from then on.
//!
//! Its answer goes out when, besides,
//!
//! 4. for [`Hard`](crate::limits::Hard), its response does not
//!    [say](ChargeBudgetLayer::actual_from) that it cost more than is held;
//! 5. for `Hard`, each piece of a [metered](ChargeBudgetLayer::metered) body fits what is held, or
//!    what the budget gives on top of it.
//!
//! However it ends, what was held is settled, once:
//!
//! | the request | is charged |
//! |---|---|
//! | never came to the handler | nothing |
//! | was served | what was metered, said, or put on the [tab](Tab); where nothing was, what was held |
//! | failed: 500 or above, an error, a panic | the same, or what [`Failure`] says |
//! | was abandoned, or its body broke off | the same as served, whatever [`Failure`] says |
//!
//! A request that charges a budget [has effects](zt_core::context::SecurityContext::set_effects),
//! whatever its method: its permit is durable in the audit log before the handler is called.
//!
//! # A refusal
//!
//! names the violated limits of the narrowest level that has any as the problem's
//! `violated-policies`. It is called by the one of them that is waited for longest:
//!
//! | | status | `Retry-After` |
//! |---|---|---|
//! | `budget-exhausted`, the window begins anew | 429 | until it does |
//! | `budget-exhausted`, prepaid, or one request above the whole limit | 402 | none: waiting brings nothing |
//! | `rate-limited` | 429 | until it fits |
//! | `concurrency-limited` | 429 | a second, unless the store knows better |
//!
//! Counters that cannot answer, or are full, are `store-unavailable`, 503: money fails closed. A
//! route without a price is `policy-denied`, 403. Nobody who could pay is `credential-missing`, 401,
//! or `policy-denied` where the caller is known and `Who` has no name for it. On a public route
//! nobody could; it is `stack-misordered`, 500, until somebody says
//! [`public_is_free`](ChargeBudgetLayer::public_is_free) or names the route free. Subjects that do
//! not fit the policy, an unknown tier and a price of another currency are `stack-misordered` too.
//! A metered answer that upgrades the connection is refused so for `Hard`.
//!
//! A stream that is cut off ends with an error instead of its end: the client sees a broken body, and
//! not a short one. A handler that wants to end politely asks its [`Tab`] before it spends.
//!
//! With [`with_headers`](ChargeBudgetLayer::with_headers) answers say where the caller stands with
//! the limits of the innermost level; those further out would tell it about its neighbours:
//!
//! ```text
//! RateLimit-Policy: "key-day";q=5000000;qu="zt-micro-usd"
//! RateLimit: "key-day";r=4123456;t=30211
//! ```
//!
//! # Where it belongs
//!
//! After authorization, last before the audit commit: `.charge(..)` of a stack. Two of them may
//! stand in one stack; only one hands a tab on.
//!
//! # What a proxy in front can break
//!
//! One that retries makes two requests, and both are charged. One that buffers whole answers takes
//! all of a stream whose client has gone. A cache that answers by itself spends nothing, and hands
//! out `RateLimit` fields that are old.
//!
//! # Observing
//!
//! Where a stack only observes, what would be refused is served and not counted, and streams are not
//! cut off; what would be admitted is held and charged as ever. To count without refusing, use limits
//! that are [shadows](crate::Limit::shadow).
//!
//! # Example
//!
//! ```
//! use std::convert::Infallible;
//!
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use tower::{Layer, ServiceExt, service_fn};
//! use zt_ratelimit::{
//!     ChargeBudgetLayer, Limit, Limits, Who,
//!     charge_budget::PriceBy,
//!     counter::MemoryCounters,
//!     limit::Window,
//!     limits::{Level, Policy, Subjects},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = Policy::new([
//!     Level::new("shop", [Limit::budget("shop-day", "5 USD".parse()?, Window::day())?]),
//! ])?;
//! let limits = Limits::builder(MemoryCounters::new()).build(policy)?;
//! // One shop pays for all; behind authentication say `Who::by_principal()`.
//! let who = Who::of_request(|_, _| Some(Subjects::new(["corner-shop"])));
//! let charge = ChargeBudgetLayer::hard(limits, who, "3 USD".parse::<zt_ratelimit::Cost>()?)?;
//!
//! let service = charge.layer(service_fn(|_: Request<()>| async {
//!     Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
//! }));
//! let permitted = service.clone().oneshot(Request::new(())).await?;
//! assert_eq!(permitted.status(), 200);
//! // Two of five are left.
//! let refused = service.oneshot(Request::new(())).await?;
//! assert_eq!(refused.status(), 429);
//! assert!(refused.headers().contains_key("retry-after"));
//! # Ok(())
//! # }
//! ```
//!
//! A stream of a language model, a tenth of a cent for each of its events, cut off where the budget
//! ends; the store is asked once for each ten cents:
//!
//! ```
//! # use zt_ratelimit::{ChargeBudgetLayer, Cost, Limits, Who, cost::Price};
//! # fn stream(limits: Limits) -> Result<(), Box<dyn std::error::Error>> {
//! let estimate: Cost = "0.10 USD".parse()?;
//! let event = Price::per_million("1000 USD".parse()?);
//! let charge = ChargeBudgetLayer::hard(limits, Who::by_tenant_and_principal(), estimate)?
//!     .metered(event, |data| data.iter().filter(|byte| **byte == b'\n').count() as u64)?
//!     .in_steps_of(estimate);
//! # let _ = charge;
//! # Ok(())
//! # }
//! ```
//!
//! # Standards
//!
//! - draft-ietf-httpapi-ratelimit-headers-10: the fields of sections 3 and 4, `Retry-After` never
//!   before `t` (6), the problem type `quota-exceeded` with `violated-policies` (5.1). Money has no
//!   registered quota unit: it is `zt-micro-` and the currency, in whole micro-units, what remains
//!   rounded down. Calendar windows have no constant length and no `w`.
//! - RFC 9110 section 15.5.3 (402) and section 10.2.3 (`Retry-After`); RFC 6585 section 4 (429).
//! - ISO 4217: codes of currencies.
//!
//! # What it does not do
//!
//! It converts no currencies. It does not know what an upstream bills after a stream was cut off or
//! abandoned: give upstreams a bound of their own (`max_tokens`). It does not see what flows over an
//! upgraded connection, which costs what was held. A gRPC status in the trailers is not a failure to
//! it. A hold lives for the limits' [hold time](crate::limits::LimitsBuilder::hold_time) after the
//! last piece of the answer that went out: one that is silent for longer is charged what it holds,
//! and corrected when it ends.

mod account;
mod check;
mod error;
mod guard;
mod keeping;
mod layer;
mod prices;
mod pricing;
mod tab;

pub use self::{
    error::ChargeError,
    guard::ChargeGuard,
    keeping::Keeping,
    layer::{ChargeBudget, ChargeBudgetLayer, Failure},
    prices::{PriceList, Prices},
    pricing::{PriceBy, Pricing, Quote},
    tab::{Exhausted, Tab},
};

#[cfg(test)]
mod tests;
