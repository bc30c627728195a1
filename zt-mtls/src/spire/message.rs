//! The messages of the Workload API that we read (SPIFFE_Workload_API section 5.1).

use std::collections::BTreeMap;

use zeroize::Zeroize;

/// `X509SVIDResponse`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509SvidResponse {
    /// Each an [`X509Svid`]. A message in a message is bytes: they are counted before they are read.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) svids: Vec<Vec<u8>>,
    /// In DER.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub(super) crl: Vec<Vec<u8>>,
    /// Certificates in DER, one behind the other, by the SPIFFE ID of their trust domain.
    #[prost(btree_map = "string, bytes", tag = "3")]
    pub(super) federated_bundles: BTreeMap<String, Vec<u8>>,
}

/// `X509SVID`.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub(super) struct X509Svid {
    #[prost(string, tag = "1")]
    pub(super) spiffe_id: String,
    /// Certificates in DER, one behind the other, the leaf first.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) x509_svid: Vec<u8>,
    /// In PKCS #8, DER.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) x509_svid_key: Vec<u8>,
    /// Certificates in DER, one behind the other.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) bundle: Vec<u8>,
    #[prost(string, tag = "5")]
    pub(super) hint: String,
}

/// They hold private keys.
impl Drop for X509SvidResponse {
    fn drop(&mut self) {
        self.svids.zeroize();
    }
}

impl Drop for X509Svid {
    fn drop(&mut self) {
        self.x509_svid_key.zeroize();
    }
}

impl std::fmt::Debug for X509SvidResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X509SvidResponse")
            .field("svids", &self.svids.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for X509Svid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X509Svid")
            .field("spiffe_id", &self.spiffe_id)
            .finish_non_exhaustive()
    }
}
