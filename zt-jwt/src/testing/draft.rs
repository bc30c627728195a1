use std::sync::Arc;

use serde_json::{Map, Value};
use zt_core::clock::Timestamp;

use super::{encode::base64url, keys::TestKey};
use crate::algorithm::Algorithm;

/// A token before it is signed.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    pub(super) signer: Signer,
    /// When it is made.
    pub(super) now: Timestamp,
}

/// What a token is signed with.
#[derive(Clone)]
pub(super) enum Signer {
    Key(Arc<TestKey>),
    Secret(Algorithm, Vec<u8>),
}

impl Draft {
    /// The token.
    pub(super) fn mint(&self) -> String {
        self.signed(self.header_text(), self.claims_text())
    }

    /// With other texts in the places of header and payload, whatever they are, signed.
    pub(super) fn signed(&self, header: impl AsRef<[u8]>, payload: impl AsRef<[u8]>) -> String {
        self.signed_segments(&base64url(header), &base64url(payload))
    }

    /// With other segments, whatever they are, signed.
    pub(super) fn signed_segments(&self, header: &str, payload: &str) -> String {
        let input = format!("{header}.{payload}");
        let signature = base64url(self.signer.sign(input.as_bytes()));
        format!("{input}.{signature}")
    }

    pub(super) fn header_text(&self) -> String {
        serde_json::to_string(&self.header).expect("JSON can be written")
    }

    pub(super) fn claims_text(&self) -> String {
        serde_json::to_string(&self.claims).expect("JSON can be written")
    }

    /// Seconds from the time at which it is made.
    pub(super) fn seconds(&self, from_now: i64) -> Value {
        let now = i64::try_from(self.now.as_secs()).unwrap_or(i64::MAX);
        now.saturating_add(from_now).into()
    }
}

impl Signer {
    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Self::Key(key) => key.algorithm,
            Self::Secret(algorithm, _) => *algorithm,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self {
            Self::Key(key) => key.sign(message),
            Self::Secret(algorithm, secret) => super::keys::hmac(*algorithm, secret, message),
        }
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(..)")
    }
}

/// Header, payload and signature of a token.
pub(super) fn segments(token: &str) -> [&str; 3] {
    let mut parts = token.splitn(3, '.');
    [(); 3].map(|()| parts.next().expect("a token that was made here"))
}
