//! Keys: what they are, whose they are, what for, and where they are found.
//!
//! What this protects against: a message signed by somebody else, with another algorithm than the
//! key's, for another purpose, or with a key whose time is over; and keys that protect nobody.
//!
//! A signature holds where
//!
//! 1. the message's `keyid` is, to the letter, the id of a [`KeyEntry`] that the [`KeyResolver`]
//!    knows;
//! 2. the entry is for the [`Purpose`], has begun, and has not ended;
//! 3. the message names no `alg`, or that of the key: the algorithm belongs to the key, and the
//!    message has no say in it (RFC 9421 section 3.2, step 6);
//! 4. the signature is, in full length, by the entry's current key, or by the previous one before
//!    its end.
//!
//! A refusal is a [`KeyRefusal`], or a resolver's `None` or [`KeysUnavailable`]; the layers make
//! denials of them. A key that cannot be good is refused when it is made, with a [`KeyError`]: a
//! shared secret of fewer than 32 bytes, or one that is in truth a public key, a certificate or a
//! JWK; an RSA key of fewer than 2048 bits or more than 8192, with an exponent
//! that is not odd or not from 3 to 2^33, or with a modulus that can be factored; an Ed25519 key of small order; a key of another
//! type than the algorithm's.
//!
//! Signature layers and clients own the keys; a proxy sees nothing of them.
//!
//! ```
//! use zt_core::{
//!     clock::Timestamp,
//!     secret::Secret,
//!     signature::key::{KeyAge, KeyEntry, KeyRefusal, Purpose, SigningKey},
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let key = SigningKey::hmac_sha256(&Secret::new(vec![0x11; 32]))?;
//! let entry = KeyEntry::new("orders-1", key.verifying_key(), "orders");
//! let now = Timestamp::from_secs(1_700_000_000);
//!
//! let signature = key.sign(b"\"@method\": POST")?;
//! let by = entry.verify(Purpose::Requests, now, b"\"@method\": POST", &signature);
//! assert_eq!(by, Ok(KeyAge::Current));
//!
//! let by = entry.verify(Purpose::Requests, now, b"\"@method\": PUT", &signature);
//! assert_eq!(by, Err(KeyRefusal::BadSignature));
//! # Ok(()) }
//! ```
//!
//! Standards: RFC 9421 section 3.3 (all algorithms of its registry; `rsa-v1_5-sha256` is verified
//! and not made); RFC 2104 and RFC 8032; FIPS 186-5; RFC 8017 (PSS with a salt of 64 bytes); RFC
//! 5280, RFC 5958 and RFC 7468 for keys in files. All but `hmac-sha256` need the feature
//! `asymmetric`.
//!
//! What it does not do: read JWK and certificates, fetch keys from an address, decrypt key files.
//! ECDSA signatures are not made deterministically. What is left on the stack of the hash function
//! while a shared secret is taken in is not wiped; its state is.

mod cached;
mod config;
mod der;
mod disguise;
mod entry;
mod error;
mod hmac;
mod resolver;
mod ring;
mod signing;
mod verifying;

#[cfg(feature = "asymmetric")]
mod asymmetric;

#[cfg(test)]
mod tests;

pub use self::{
    cached::CachedKeys,
    config::KeyRingConfig,
    entry::{KeyAge, KeyEntry, KeyRefusal, Purpose},
    error::{BadSignature, KeyError, SigningFailed},
    resolver::{FromFn, KeyQuestion, KeyResolver, KeysUnavailable, Resolved, Resolving, from_fn},
    ring::KeyRing,
    signing::SigningKey,
    verifying::VerifyingKey,
};
