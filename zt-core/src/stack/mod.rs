//! The stack: every layer in its one place, and one layer out of it.
//!
//! A stack that leaves out a mandatory step does not compile, one that puts a layer into a wrong
//! slot does not compile, and whatever order the steps are named in, they run in this one:
//!
//! ```text
//! 0 open context          one now, request id
//! 1 security headers      on refusals and panics too
//! 2 audit record          one decision and one outcome a request
//! 3 request validation    bounds, canonical path, strips claimed identities
//! 4 limit by peer         cheap, before cryptography
//! 5 authenticate          who asks
//! 6 sanctions, step-up    revoked, quarantined
//! 7 authorize             the permit
//! 8 limit, charge         by principal
//! 9 audit commit          the permit becomes durable
//!   handler
//! ```
//!
//! Mandatory are the audit record, authentication and authorization; each has an opt-out whose
//! name reads badly in review. Headers ([`api`](crate::headers::SetSecurityHeadersLayer::api)) and
//! validation have defaults, the rest may be left out.
//!
//! ```
//! use zt_core::{
//!     authorize::AuthorizeLayer,
//!     stack::ZeroTrust,
//! };
//! # use zt_core::authenticate::Authenticate;
//! # fn stack(tokens: impl Authenticate) -> Result<(), zt_core::stack::StackError> {
//!
//! let zt = ZeroTrust::builder()
//!     .without_audit()
//!     .authenticate(tokens)
//!     .any_authenticated()
//!     .public(http::Method::GET, "/health")
//!     .build()?;
//! println!("{zt}");
//! # Ok(()) }
//! ```
//!
//! Wrap the *finished* application, from outside: a layer on an axum `Router` covers only what was
//! routed before it. Nothing of zt stands around a stack: inside a context that another gate has
//! opened, or inside another stack, it refuses with `stack-misordered`, since the settings further
//! out would hold. [`ZeroTrust`] is a [`tower_layer::Layer`]; with feature `axum`,
//! `zt.wrap(router)` gives what `axum::serve` takes.
//!
//! What a proxy in front can break: the peer is then the proxy, so addresses need
//! [`Settings::with_proxies`](crate::gate::Settings::with_proxies), and whoever reaches the
//! application around the proxy must not be trusted as one.

mod builder;
mod development;
pub mod slots;
#[cfg(feature = "axum")]
mod wrap;

use std::{fmt, sync::Arc};

use tower_layer::Layer;

#[cfg(feature = "axum")]
pub use self::wrap::{Guarded, GuardedFuture, RouterFuture, RouterService};
pub use self::{
    builder::{Builder, Onion, StackError},
    development::{Development, DevelopmentToken, LoopbackOnly},
};
use crate::{
    clock::Timestamp,
    context::Stage,
    gate::{Gate, GateLayer, Replace, Settings},
};

/// A finished stack: one layer. Its `Display` prints the onion.
pub struct ZeroTrust<C = ()> {
    layer: GateLayer<C, Replace>,
    onion: Arc<[(Stage, &'static str)]>,
}

impl<C> ZeroTrust<C> {
    fn new(chain: C, settings: Arc<Settings>, onion: Vec<(Stage, &'static str)>) -> Self {
        Self {
            layer: GateLayer::stack(chain, settings),
            onion: onion.into(),
        }
    }

    /// The clock's now, for the record of the stack itself.
    fn opened_at(&self) -> Timestamp {
        self.layer
            .settings()
            .clock()
            .now()
            .unwrap_or(Timestamp::EPOCH)
    }

    /// What stands in the stack, from the outermost to the innermost.
    pub fn steps(&self) -> impl Iterator<Item = (Stage, &'static str)> {
        self.onion.iter().copied()
    }
}

impl<C> Clone for ZeroTrust<C> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            onion: Arc::clone(&self.onion),
        }
    }
}

impl<C, S> Layer<S> for ZeroTrust<C> {
    type Service = Gate<S, C, Replace>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(inner)
    }
}

impl<C> fmt::Display for ZeroTrust<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0 open context")?;
        for (stage, name) in self.onion.iter() {
            write!(f, "\n{} {name}", *stage as u8)?;
        }
        f.write_str("\n  handler")
    }
}

impl<C> fmt::Debug for ZeroTrust<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.onion.iter().map(|(_, name)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests;
