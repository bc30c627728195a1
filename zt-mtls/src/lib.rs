//! Which workload is on this connection: mutual TLS with SPIFFE identities.
//!
//! [`credentials`] are what we show and whom we trust, replaced while connections go on; [`verify`]
//! says when a peer's certificate is good; [`serve`] takes connections and puts the
//! [`PeerIdentity`](zt_core::identity::PeerIdentity) on every request; [`peer`] asks for one of a
//! list; [`client`] calls others; [`forwarded`] believes a proxy.

mod apart;
pub mod bundle;
pub mod client;
pub mod credentials;
pub mod forwarded;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod id;
pub mod peer;
pub mod serve;
#[cfg(feature = "spire")]
pub mod spire;
pub mod svid;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::expect_used, reason = "a test that is wrong panics")]
pub mod testing;
pub mod verify;
