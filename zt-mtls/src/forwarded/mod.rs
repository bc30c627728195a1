//! Identities that a proxy forwards: `X-Forwarded-Client-Cert` and `Client-Cert` (RFC 9440).
//!
//! Where a proxy ends TLS, the workload on the connection is the proxy, and who called the proxy
//! stands in a header that anybody can write. [`ForwardedPeerLayer`] takes these headers off every
//! request, and believes them from proxies on a list alone.
//!
//! Taken off, whoever sent them, in every spelling that servers treat alike (case, and `_` for `-`):
//! `x-forwarded-client-cert`, `client-cert` and `client-cert-chain`.
//!
//! A certificate in them becomes the request's
//! [`PeerIdentity`](zt_core::identity::PeerIdentity), with source
//! [`Forwarded`](zt_core::identity::PeerSource::Forwarded), when
//!
//! 1. the server verified the certificate of the connection itself (source `Tls`), and it has not
//!    ended (`credential-expired`);
//! 2. the workload in that certificate is on the list of proxies; a request over any other
//!    connection goes on as if it had no such header;
//! 3. the header is of the one kind that was configured; the other kind is taken off and that is all;
//! 4. the header is in its form, within [`MAX_BYTES`], [`MAX_ELEMENTS`] and
//!    [`MAX_CHAIN`](crate::verify::MAX_CHAIN) (`credential-malformed`): `Client-Cert` comes once, and
//!    `Client-Cert-Chain` never without it;
//! 5. of `X-Forwarded-Client-Cert`, the last element counts, which the nearest proxy wrote; it has
//!    the whole certificate as `Cert`, since nobody can check a name or a hash alone
//!    (`credential-invalid`), and where it has a `Hash`, that is the certificate's
//!    (`credential-invalid`);
//! 6. the certificate is good by all the rules of [`verify`](crate::verify), as a client's would be
//!    that shows it to us (`credential-expired`, `credential-revoked`, otherwise
//!    `credential-invalid`; `keys-unavailable` where our own revocation list is too old to say).
//!
//! The identity is good until the first of the two certificates ends, the proxy's or the forwarded
//! one. A sanction against the proxy strikes it too. A token that is bound to a certificate
//! (RFC 8705) is compared with the forwarded one.
//!
//! A request of such a proxy that has no such header is refused (`credential-missing`): it may be that
//! of a client without a certificate, or of one who made the proxy leave the header out, and neither is
//! the proxy. Where the proxy asks for itself too, as for a health check, another port for that is best;
//! [`insecure_proxy_for_itself`](Forwarded::insecure_proxy_for_itself) lets the proxy's identity stay.
//!
//! # What a refusal looks like
//!
//! The problem document of zt-core, or trailers alone for gRPC, before any stack is asked: it stands
//! in the log of the process, and not in the audit log, like a handshake that failed.
//!
//! # Where it belongs
//!
//! Right inside the server and outside the stack, because the stack's context reads the identity when
//! it opens. [`serve`](crate::serve) puts it there by
//! [`Config::forwarded`](crate::serve::Config::forwarded). Inside of a server that takes the headers off
//! and believes nobody, as `serve` does by default, the layer refuses what a proxy of its list forwarded
//! (`stack-misordered`): otherwise all clients of the proxy would pass for the proxy. The stack finds what was taken off as
//! [`Claimed`](zt_core::context::Claimed), so that a signature (RFC 9421) that covers
//! `client-cert` verifies as before.
//!
//! # What a proxy in front can break
//!
//! It is believed that the proxy verified possession of the key, and that it takes off these headers
//! itself: both are the proxy's settings (Envoy: `forward_client_cert_details: SANITIZE_SET` and
//! `set_current_client_cert_details: { cert: true, chain: true }`). Envoy writes URIs and DNS names
//! of a certificate without quotes: a CA that signs names with a comma in them lets its customers
//! write an element of their own behind the true one. Where the proxy sanitizes, say
//! [`single_element`](Forwarded::single_element), which refuses that.
//!
//! # Example
//!
//! ```
//! use zt_mtls::{
//!     forwarded::{Forwarded, ForwardedHeader, ForwardedPeerLayer},
//!     peer::Peers,
//!     testing::TestCa,
//! };
//!
//! let ca = TestCa::new("shop.example");
//! let credentials = ca.credentials("/orders");
//! let proxies = Peers::parse(["spiffe://shop.example/gateway"])?;
//! let layer = ForwardedPeerLayer::new(
//!     Forwarded::by(proxies, ForwardedHeader::Xfcc, &credentials).single_element(),
//! );
//! # let _ = layer;
//! # Ok::<_, zt_mtls::peer::PeersError>(())
//! ```
//!
//! # Standards
//!
//! RFC 9440 sections 2.1 to 2.4 and 4; RFC 9651 (byte sequences, lists); Envoy's documentation of
//! `x-forwarded-client-cert`, for which there is no standard.
//!
//! # What it does not do
//!
//! It reads no other header (`ssl-client-cert`, `x-amzn-mtls-clientcert`); zt-core's `ValidateRequest`
//! takes those off. It does not follow a chain of proxies: whom the nearest one names is the peer. It
//! does not write these headers on calls that we make. A certificate that is revoked while an answer
//! goes on is refused with the client's next request; the answer itself ends with the certificate, or
//! by a sanction. What was refused is not remembered: it is for the proxy to verify its clients.

mod body;
mod cache;
mod certificate;
mod client_cert;
mod layer;
mod policy;
#[cfg(test)]
mod tests;
mod xfcc;

pub use self::{
    body::ForwardedBody,
    certificate::{ForwardedCertificate, Malformed},
    layer::{ForwardedPeer, ForwardedPeerFuture, ForwardedPeerLayer},
    policy::{Forwarded, ForwardedHeader},
};

/// The most bytes of the headers of one request together.
pub const MAX_BYTES: usize = 64 << 10;
/// The most elements of `X-Forwarded-Client-Cert`, as many as there can be proxies in a row.
pub const MAX_ELEMENTS: usize = 16;
