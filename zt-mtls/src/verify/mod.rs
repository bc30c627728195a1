//! Whether the other end of a connection is a workload that is trusted.
//!
//! A certificate, with what came beside it, is good when
//!
//! 1. there are at most [`MAX_CHAIN`] certificates of at most [`MAX_CHAIN_BYTES`] together, each can be
//!    read, and by their names they make at most [`MAX_STEPS`] steps of paths: webpki takes up to
//!    200,000, and with nine certificates of one name a stranger could keep it busy for half a second;
//! 2. webpki, which rustls' own verifiers use, finds a path from it to a root, at this time, for this
//!    end of a connection, in which each signature is good, with at most 6 certificates between;
//! 3. with SPIFFE: the roots are those of the trust domain that its one URI names, and no others; by
//!    plain PKI: the roots are those that were given. The root has not ended, nor is it yet to begin;
//! 4. each certificate between is a CA's whose key usage, which must be there, has `keyCertSign`, and it
//!    names no workload; with SPIFFE it names no other trust domain (X509-SVID, 3.2): one that another
//!    domain's CA holds, signed by ours, does not make that CA ours;
//! 5. where revocation lists were given, each certificate of the path is covered by one that is signed
//!    by its issuer and not out of date, and the newest such does not have it. A certificate whose
//!    issuer has no list is refused;
//! 6. with SPIFFE: the leaf is an X.509-SVID of a workload ([`svid`](crate::svid)); by plain PKI: its
//!    key may sign handshakes, and one of its DNS names or URIs is allowed.
//!
//! Whoever is good is so until the first certificate of the path ends, its root included.
//!
//! What a peer is told is an alert of RFC 8446 section 6.2: [`Refusal`] lists which.
//!
//! Not here: OCSP; delta lists and indirect lists, which webpki refuses; name constraints of URIs, with
//! which webpki refuses each chain (X509-SVID section 4.2 expects that); lengths of keys, which are for
//! the provider's algorithms: aws-lc-rs verifies nothing by RSA of less than 2048 bits, and no SHA-1. A
//! root that stands in the bundles of two trust domains vouches for both. webpki verifies a list's
//! signature in each handshake, over all of it: long lists cost time there.

mod chain;
mod client;
mod refusal;
mod revocation;
mod server;
#[cfg(test)]
mod tests;
mod trust;

pub(crate) use self::{
    chain::{End, Verified},
    client::PeerServer,
    server::{FOUND, PeerClient},
};
pub use self::{
    refusal::Refusal,
    revocation::{MAX_REVOCATION_LIST, MAX_REVOCATION_LISTS},
    trust::{PkiNames, Trust, TrustError},
};

/// The most certificates that a peer may send.
pub const MAX_CHAIN: usize = 10;
/// The most bytes of them.
pub const MAX_CHAIN_BYTES: usize = 64 << 10;
/// The most steps from a certificate to one that may have issued it, on all paths together. Four
/// certificates of one name, each of which may have issued each other, make 64.
pub const MAX_STEPS: usize = 100;
