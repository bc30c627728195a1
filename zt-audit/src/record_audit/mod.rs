//! Records what was decided about every request, and how it ended.
//!
//! It protects against effects without evidence: a permit is durable before the handler of an
//! unsafe method runs, and before the answer of a safe one leaves. It has two halves. The outer
//! one, [`RecordAuditLayer`], stands outside of everything that may refuse and records exactly one
//! decision and one outcome of each request, also of one that was refused, abandoned, cut off, or
//! whose handler panicked. The inner one, [`CommitAuditLayer`], is the commit point.
//!
//! A request passes the commit point when
//!
//! 1. the outer half ran before it (`stack-misordered` otherwise);
//! 2. authorization ran before it and left a permit (`stack-misordered` otherwise; while a stack
//!    only observes, the permit may be absent);
//! 3. nobody has recorded its decision yet (`stack-misordered` otherwise);
//! 4. the recorder takes the permit (`audit-unavailable` otherwise), and,
//! 5. where the request may have effects, or is a stream, makes it durable before the handler is
//!    called. That is
//!    - every method but `GET`, `HEAD`, `OPTIONS` and `TRACE`: also CONNECT, extended or not;
//!    - every route declared [`BeforeHandler`](zt_core::state::AuditMode::BeforeHandler);
//!    - every request of which a check said that it
//!      [has effects](zt_core::context::SecurityContext::set_effects): it charges a budget;
//!    - every request that asks for an upgrade (a websocket), accepts `text/event-stream`, or is
//!      gRPC: what flows then is beyond the head that could be held;
//!    - every request whose body is a stream: it has `Transfer-Encoding`, or `ValidateRequest` saw
//!      that nobody knows its length.
//!
//! Its answer leaves when the permit is durable. So a safe handler runs while the disk works, and
//! nothing that it found is shown before there is evidence. That is right only where such handlers
//! have no effects; declare the others.
//!
//! # What "durable" may be exchanged for
//!
//! [`RecordAuditLayer::acknowledge`], or a route's own
//! [`acknowledge`](zt_core::state::RouteRule::acknowledge), says what 5. waits for:
//!
//! | | the handler, or the answer, goes on | what a crash can lose |
//! |---|---|---|
//! | [`Sync`](zt_core::state::Acknowledgement::Sync), the default | when the permit is durable | nothing |
//! | [`Batched`](zt_core::state::Acknowledgement::Batched) | at once, while the log is no further behind than it promises; else as with `Sync` | permits of that delay |
//! | [`Async`](zt_core::state::Acknowledgement::Async) | at once, when the log has taken it | all permits that wait |
//!
//! A log that is full, closed or cannot write refuses in each of them. The record's `ack` says which
//! one it was; what is weaker than `Sync` stands among the doors in the stack's `config` record.
//!
//! # Refusals
//!
//! `audit-unavailable`, 503 with `Retry-After`: the log cannot write, or has no room. The reason
//! stands in the denial's private detail. Denials themselves wait for nothing.
//!
//! # Where it belongs
//!
//! `.record(..)` of a stack puts both halves in their places. In a stack made by hand the outer
//! half is the second layer, inside security headers only, and [`RecordAuditLayer::commit`] the
//! last, right around the handler. The outer half alone is an access log: it records denials, what
//! was permitted, and `undecided` where no layer decides, and it holds nothing back; its decisions
//! have no `ack`. Use it once a request: a second one further in records the outcome a
//! second time.
//!
//! # What a proxy can break
//!
//! The peer's address is the proxy's, unless the gate's settings trust it to forward the client's.
//! `elapsed` and `bytes` say what was handed to the server, not what arrived.
//!
//! # Example
//!
//! ```
//! use http::{Method, Request, Response, StatusCode, request::Parts};
//! use tower::{Layer, ServiceExt};
//! use zt_audit::RecordAuditLayer;
//! use zt_core::{
//!     context::{SecurityContext, Stage},
//!     decision::{Code, Denial, Permit},
//!     gate::{Check, Step},
//!     state::MemoryRecorder,
//! };
//!
//! /// Stands for `AuthorizeLayer`.
//! #[derive(Clone)]
//! struct ReadOnly;
//!
//! impl Check for ReadOnly {
//!     type Guard = ();
//!     const NAME: &'static str = "ReadOnly";
//!     const STAGE: Stage = Stage::Authorize;
//!
//!     fn check(&self, parts: &mut Parts, cx: &mut SecurityContext) -> Step<()> {
//!         if parts.method != Method::GET {
//!             return Denial::new(Code::PolicyDenied).into();
//!         }
//!         cx.set_permit(Permit::assertion("read-only").finish()).into()
//!     }
//! }
//! zt_core::impl_layer!(ReadOnly);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recorder = std::sync::Arc::new(MemoryRecorder::new(100));
//! let record = RecordAuditLayer::new(std::sync::Arc::clone(&recorder));
//! let commit = record.commit();
//! let handler = tower::service_fn(|_: Request<String>| async {
//!     Ok::<_, std::convert::Infallible>(Response::new(String::new()))
//! });
//! let service = record.layer(ReadOnly.layer(commit.layer(handler)));
//!
//! let get = Request::get("/orders").body(String::new())?;
//! assert_eq!(service.clone().oneshot(get).await?.status(), StatusCode::OK);
//! let post = Request::post("/orders").body(String::new())?;
//! assert_eq!(service.oneshot(post).await?.status(), StatusCode::FORBIDDEN);
//! // A decision and an outcome of each.
//! assert_eq!(recorder.events().len(), 4);
//! # Ok(())
//! # }
//! ```
//!
//! # Standards
//!
//! RFC 9110 section 9.2.1 (safe methods) and section 7.8 (upgrade); RFC 8441 (extended CONNECT); RFC
//! 9112 section 6.1 (`Transfer-Encoding`); HTML section 9.2 (server-sent events); W3C Trace Context
//! level 1 (`traceparent`); gRPC over HTTP/2 (`grpc-status`, from the trailers or the head).
//!
//! # What it does not do
//!
//! It does not see what flows over an upgraded connection. It does not hold a response whose inner
//! service failed with an error instead of an answer. An effect that a safe handler has is not
//! preceded by evidence. An event stream for which nobody asked with `Accept`, and in a stack without
//! `ValidateRequest` a body of HTTP/2 without a length, is not known beforehand: such a handler runs
//! as that of any safe request, and its answer's head is held.

mod check;
mod guard;
mod layer;
#[cfg(test)]
mod tests;

pub use self::{
    guard::{CommitGuard, RecordGuard},
    layer::{CommitAudit, CommitAuditLayer, RecordAudit, RecordAuditLayer},
};
