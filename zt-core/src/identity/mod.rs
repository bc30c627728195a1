//! Who asks: the [`Principal`] of a request, and the [`PeerIdentity`] of the connection it came on.
//!
//! Both are evidence: they can be made only by [`Principal::assertion`] and
//! [`PeerIdentity::assertion`], so a search for those words lists every place that vouches for an
//! identity.

mod memo;
mod peer;
mod principal;

pub(crate) use self::memo::{Edition, Memo};
pub use self::{
    peer::{PeerAssertion, PeerIdentity, PeerSource},
    principal::{Assertion, AuthMethod, Binding, Principal, PrincipalKind},
};
