//! Is this token genuine, fresh, bound and strong enough.
//!
//! A token passes when
//!
//! 1. it is one JSON Web Signature in compact serialization (RFC 7515 section 7.1) of at most
//!    8 KiB: three segments of canonical base64url, a header that is a JSON object whose members
//!    are unique (`credential-malformed`);
//! 2. its header names an algorithm that is known and accepted, has neither `crit` nor `b64`, and
//!    a `typ` of the right kind; `jwk`, `jku`, `x5u` and `x5c` are never where a key comes from;
//! 3. a configured issuer has a key of that id which is for that algorithm, and the signature holds
//!    under it; no claim is looked at before (`credential-invalid`);
//! 4. the payload is a JSON object whose members are unique at any depth;
//! 5. `iss` is the issuer whose key signed, `aud` names this service;
//! 6. `exp` is there and has not passed (`credential-expired`), `nbf` and `iat` are not to come,
//!    30 seconds of leeway granted, and the token lives no longer than a day;
//! 7. the claims are those of an access token, not of an id, refresh or logout token;
//! 8. what it is bound to (`cnf`, RFC 7800) was proved on this very connection
//!    (`binding-mismatch`);
//! 9. neither the token, its session, its subject nor its key was revoked (`credential-revoked`).
//!
//! Where keys cannot be had nothing passes and nobody is blamed: `keys-unavailable`, 503.

mod algorithm;
pub mod attach_token;
mod claims;
#[cfg(test)]
mod conformance;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod http;
mod jose;
pub mod jwks;
pub mod key;
mod refusal;
pub mod require;
#[cfg(test)]
mod test_log;
#[cfg(feature = "testing")]
pub mod testing;
mod verifier;
pub mod verify_jwt;

pub use self::{
    algorithm::{Algorithm, Algorithms},
    http::HttpService,
    key::{KeySet, VerificationKey},
    refusal::{Refusal, Refused},
    verifier::{Audience, CacheBounds, ConfigError, Issuer, TokenCache, Verifier, VerifierBuilder},
};
