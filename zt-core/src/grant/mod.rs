//! Grants for a limited time: least privilege, just in time.
//!
//! **What it protects against.** Rights that somebody holds all year and needs for an hour: a stolen
//! laptop, a curious insider, a mistyped command then reach only what was granted today. And approvals
//! that somebody gives themselves.
//!
//! A caller [asks](Grants::request) for a scope, with a reason and for a time. Somebody else
//! [approves](Grants::approve). From then on the caller holds the grant, until its time is over or
//! somebody [revokes](Grants::revoke) it. In an emergency they [break the glass](Grants::break_glass).
//!
//! **A request passes [`RequireGrantLayer`] when**
//!
//! 1. authentication has run before (`stack-misordered` otherwise);
//! 2. somebody is named (`credential-missing`);
//! 3. what is known of the grants is no older than
//!    [`MAX_VIEW_AGE`](crate::state::MAX_VIEW_AGE) (`store-unavailable`): a feed or a store that is
//!    down grants nothing. Only a registry that shares a [`Feed`](crate::state::Feed) can fall behind;
//! 4. the caller, by issuer, subject, tenant and kind to the letter, holds a grant of the scope
//!    (`policy-denied`, and `violated-policies` names the scope to ask for);
//! 5. it has begun, and has not ended: approved at T for D it holds at T and at every microsecond
//!    before T + D, by the request's `now`.
//!
//! Then the answer stands on the grant: it is cut at T + D, and within a second of a revocation that
//! this process has heard of. So does one that a policy permits because of a grant.
//!
//! **A grant is approved when**
//!
//! 1. the approver's credential has not ended, and they may know of the request;
//! 2. nobody stands behind both request and approval. Behind one stand the caller, every member of
//!    the `act` chain of their claims (RFC 8693 section 4.1), and whatever else proved itself with the
//!    request ([`Principal::further_proofs`](crate::identity::Principal::further_proofs)), with its
//!    chain. Only programs that proved themselves besides the caller, a gateway, may stand behind
//!    both. A chain that cannot be read refuses;
//! 3. the approver is a person: programs decide nothing;
//! 4. they hold the scope's right, `grant.approve` unless it is configured otherwise;
//! 5. the request waits for an answer: it was not decided, and has not lapsed. Of many who decide at
//!    once, on however many instances, one does; the others are told what was decided;
//! 6. the step is durable in the audit log.
//!
//! **Tenants.** A grant is for the tenant that the credential named when it was asked for: with a
//! credential for another tenant, or for none, the same caller does not hold it. Whoever approves,
//! reviews, revokes or lists with a credential that names a tenant does so for that tenant, and is told
//! that there is nothing else; one that names none, as the operator's own people have it, reaches all.
//!
//! Names are compared whatever their issuer and their case. `ada` of two issuers, or of an issuer that
//! is not known, is taken for one person: two people of one name cannot approve each other's requests.
//! One person with two *different* names, at one issuer or at two, is not seen; name the one issuer
//! that knows people with [`GrantConfig::issuer_of_people`]. People of other issuers are then told of their
//! own grants alone, whichever rights they hold. Where no issuer is named, each one that is trusted for
//! authentication can make somebody who sees, approves, reviews and revokes others' grants.
//!
//! **Broken glass** holds at once, for people with `grant.break-glass` and scopes that allow it, for
//! their shorter time. It is recorded as `break-glass` with an alert, logged as a warning, and listed
//! until somebody else has [reviewed](Grants::review) it; a caller with too many that nobody has
//! reviewed gets no more.
//!
//! **Evidence.** Each step is first claimed in the store by compare-and-swap, then recorded, and done
//! once the record is durable. A crash in between leaves a claim, which ends after ten seconds and
//! grants nothing: at worst there is a record of what never came to be (`undone`, where somebody is
//! left to say so), and never a grant without its record.
//!
//! **A refusal** of the layer is a [`Denial`](crate::decision::Denial); those of the registry are
//! [`GrantError`]s, which the router (feature `axum`) tells as `application/problem+json`. Whoever may not see a
//! grant is told that there is none.
//!
//! **Where it belongs.** The layer may stand anywhere behind authentication. Policies ask
//! [`Grants`] as their [`ActiveGrants`](crate::authorize::ActiveGrants).
//!
//! **What a proxy in front can break.** Nothing: it reads neither path nor address.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use zt_core::{
//!     authorize::ActiveGrants,
//!     clock::{Clock, SystemClock},
//!     grant::{GrantConfig, GrantError, GrantScope, Grants, RequireGrantLayer},
//!     identity::{AuthMethod, Principal, PrincipalKind},
//!     store::MemoryStore,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hour = Duration::from_secs(3600);
//! let config = GrantConfig::new().scope("refunds.write", GrantScope::new(hour));
//! let grants = Grants::open(Arc::new(MemoryStore::new(SystemClock)), SystemClock, config).await?;
//! let layer = RequireGrantLayer::new(grants.clone(), "refunds.write")?;
//!
//! let person = |name: &str| Principal::assertion(PrincipalKind::User, name, AuthMethod::Jwt);
//! let ada = person("ada").scopes(["grant.approve"]).finish();
//! let grace = person("grace").scopes(["grant.approve"]).finish();
//!
//! let asked = grants.request(&ada, "refunds.write", "ticket 7", hour).await?;
//! let by_herself = grants.approve(&asked.id, &ada).await;
//! assert_eq!(by_herself, Err(GrantError::SamePerson));
//! assert!(grants.active(&ada, "refunds.write", SystemClock.now()?)?.is_none());
//!
//! grants.approve(&asked.id, &grace).await?;
//! assert!(grants.active(&ada, "refunds.write", SystemClock.now()?)?.is_some());
//! # let _ = layer;
//! # Ok(()) }
//! ```
//!
//! **Standards.** RFC 8693 section 4.1 (`act`), RFC 9457 (problems), RFC 9110 sections 10.2.2
//! (`Location`), 15.3.2 (201) and 15.5.10 (409).
//!
//! **What it does not do.** It tells nobody that a request waits: detectors and chat bots listen to
//! the recorder's `grant` events. It grants scopes of its own, and puts none into tokens. A token that
//! was made for somebody else to use (`act`) uses its subject's grants. Bounds (open requests, grants
//! in all) are counted by each instance: several that make one each at the same moment may go past
//! them by as many, and each of them holds up to twice as many. Without a recorder nothing is
//! evidence, and glass cannot be broken. Without a feed, other instances' revocations hold here from
//! the next [`refresh`](Grants::refresh) on, or from the next step that somebody tries with them. An end that nobody has noted in the store yet is forgotten
//! by a clock that goes back; a revocation never is. The steps of one process are taken one after the
//! other, and each waits for its record, five seconds at most.

mod active;
mod acts;
mod config;
mod error;
mod follow;
mod layer;
mod list;
mod party;
mod record;
mod registry;
#[cfg(feature = "axum")]
mod router;
mod step;
mod text;
mod view;

#[cfg(feature = "axum")]
pub use self::router::router;
pub use self::{
    config::{GrantConfig, GrantOptions, GrantScope, Right},
    error::{ConfigError, GrantError},
    layer::{RequireGrant, RequireGrantLayer},
    list::{GrantFilter, GrantPage},
    party::Party,
    record::{Act, Grant, GrantState},
    registry::Grants,
};

#[cfg(test)]
mod tests;
