//! Verification keys: parsed once, pinned to their algorithms.
//!
//! A key can be used when
//!
//! 1. it is a JSON Web Key (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 9964) whose members are
//!    unique, of the right type, and canonical base64url; or a SubjectPublicKeyInfo in PEM or DER
//!    that comes with its algorithms;
//! 2. it is for checking signatures: `use` is absent or `sig`, `key_ops` absent or with `verify`;
//! 3. `kty`, `crv` and `alg` belong together, and `alg`, where there is one, is known here;
//! 4. it is no weak key: RSA has 2048 to 8192 bits, an odd exponent from 3 to 2^33, no small factor
//!    and no ROCA fingerprint (CVE-2017-15361); points are on their curve, and those of Ed25519 not
//!    of small order; a shared secret is at least as long as the hash, and is not somebody's public
//!    key, certificate or JWK (CVE-2022-29217 and its successors).
//!
//! # Tokens and `kid`
//!
//! A token that names a key is checked with the key of that id and algorithm and no other. In a set
//! that was configured, not fetched, a single key without an id answers for ids that no key has. A
//! token without `kid` is checked where the set has one key of the token's algorithm, and refused
//! where it has several: the keys of one issuer are never tried one after another. Where several
//! issuers have a key for a token (the same `kid`, or none), each is tried, up to eight.
//!
//! What this does not do: certificates (`x5c`, `x5u`) are not looked at; X25519, Ed448, secp256k1
//! and RSA keys under the PSS object identifier are not supported.
//!
//! ```
//! use zt_jwt::{Algorithm, KeySet, VerificationKey, key::KeyError};
//!
//! let key = VerificationKey::from_jwk(br#"{
//!     "kty": "OKP", "crv": "Ed25519", "kid": "2026-01",
//!     "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
//! }"#)?;
//! assert!(key.algorithms().contains(Algorithm::EdDsa));
//! let keys = KeySet::new([key])?;
//! assert_eq!(keys.len(), 1);
//!
//! // A key for encryption is none for signatures.
//! let key = br#"{"kty":"RSA","use":"enc","n":"AQAB","e":"AQAB"}"#;
//! assert_eq!(VerificationKey::from_jwk(key).unwrap_err(), KeyError::Use);
//! # Ok::<_, KeyError>(())
//! ```

mod der;
mod error;
mod jwk;
mod public;
mod secret;
mod set;
mod set_document;
#[cfg(test)]
pub(crate) mod tests;
mod verification_key;

pub(crate) use self::set::Found;
pub use self::{error::KeyError, set::KeySet, verification_key::VerificationKey};
