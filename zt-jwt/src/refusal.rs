use std::time::Duration;

use zt_core::decision::{Code, Denial};

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident $code:ident $why:literal;)*) => {
        /// Why a token is not good. The code is for the caller; which of these it was stands in
        /// the audit record alone.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal { $($(#[$doc])* $name,)* }

        impl Refusal {
            /// Every refusal there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What the caller is told.
            #[must_use]
            pub const fn code(self) -> Code {
                match self { $(Self::$name => Code::$code,)* }
            }

            /// What the audit record says.
            #[must_use]
            pub const fn why(self) -> &'static str {
                match self { $(Self::$name => $why,)* }
            }
        }
    };
}

refusals! {
    // Before any key: what cannot be read.
    /// Longer than 8 KiB, or what else was configured.
    TooLong CredentialMalformed "the token is too long";
    /// Not three segments (RFC 7515 section 7.1); five are a JWE.
    Segments CredentialMalformed "the token has not three segments";
    /// A segment is not canonical base64url without padding (RFC 7515 section 2).
    Base64 CredentialMalformed "a segment is not canonical base64url";
    /// The header is not a JSON object, has a member twice, or is too deep.
    HeaderJson CredentialMalformed "the header is not a JSON object with unique members";

    // Header policy.
    /// `alg` is missing, `none`, of another type, or unknown.
    Algorithm CredentialInvalid "`alg` names no algorithm that is known here";
    /// `crit` is there: nothing critical is understood (RFC 7515 section 4.1.11).
    Critical CredentialInvalid "`crit` names something that is not understood";
    /// `b64` is there (RFC 7797).
    Unencoded CredentialInvalid "`b64` changes how the payload is encoded";
    /// `typ` is of another kind of token (RFC 8725 section 3.11).
    Type CredentialInvalid "`typ` is that of another kind of token";
    /// A registered header parameter has the wrong JSON type, a `kid` is too long, or there is one
    /// that only an encrypted token has.
    HeaderType CredentialInvalid "a header parameter has the wrong type";

    // Keys and signature.
    /// No issuer has such a key for this algorithm.
    UnknownKey CredentialInvalid "no key of that id and algorithm is known";
    /// Several keys could have signed, and the token does not say which.
    AmbiguousKey CredentialInvalid "the token does not say which key signed it";
    /// The signature does not hold.
    Signature CredentialInvalid "the signature does not hold";
    /// An issuer's keys could not be had, or are too old to trust.
    Keys KeysUnavailable "the issuer's keys cannot be had";
    /// Too many requests wait for an issuer's keys.
    Crowded KeysUnavailable "too many requests wait for the issuer's keys";

    // After the signature: claims.
    /// The payload is not base64url, not a JSON object, has a member twice, or is too deep.
    PayloadJson CredentialInvalid "the payload is not a JSON object with unique members";
    /// A registered claim has the wrong JSON type, or cannot be what it says.
    ClaimType CredentialInvalid "a claim has the wrong type";
    /// `iss` is missing or not the one whose key signed.
    Issuer CredentialInvalid "`iss` is not the issuer whose key signed";
    /// `aud` is missing or names others only.
    Audience CredentialInvalid "`aud` does not name this service";
    /// `exp` is missing.
    NoExpiry CredentialInvalid "`exp` is missing";
    /// `exp` has passed.
    Expired CredentialExpired "the token has expired";
    /// `nbf` is still to come.
    NotYet CredentialInvalid "`nbf` is still to come";
    /// `iat` is still to come.
    IssuedInFuture CredentialInvalid "`iat` is still to come";
    /// It lives longer than is accepted.
    Lifetime CredentialInvalid "the token lives longer than is accepted";
    /// `sub` is missing, empty or too long.
    Subject CredentialInvalid "`sub` is missing or cannot be a subject";
    /// A claim that the policy requires is missing.
    MissingClaim CredentialInvalid "a required claim is missing";
    /// The claims are those of another kind of token: an id token, a refresh token, a logout token.
    Kind CredentialInvalid "the claims are those of another kind of token";

    // What surrounds the token.
    /// The token is bound to a certificate or key whose proof is not there (RFC 7800, RFC 8705).
    Binding BindingMismatch "the token is bound to a key that was not proved";
    /// It was taken back.
    Revoked CredentialRevoked "the token, its session, subject or key was revoked";
    /// Presented in a cookie by a page of another site.
    CrossSite PolicyDenied "a cookie on an unsafe request that does not come from this site";
}

/// A refusal, and what else is known of it.
#[derive(Debug, Clone)]
pub struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) retry_after: Option<Duration>,
    /// What sanctions, or another part of zt, have said; it stands as it is.
    pub(crate) denial: Option<Denial>,
}

impl Refused {
    /// Which refusal it is.
    #[must_use]
    pub const fn refusal(&self) -> Refusal {
        self.refusal
    }

    /// The denial, without challenges.
    #[must_use]
    pub fn denial(self) -> Denial {
        if let Some(denial) = self.denial {
            return denial;
        }
        let denial = Denial::new(self.refusal.code()).detail(self.refusal.why());
        match self.retry_after {
            Some(wait) => denial.retry_after(wait),
            None => denial,
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            retry_after: None,
            denial: None,
        }
    }
}

impl From<Denial> for Refused {
    fn from(denial: Denial) -> Self {
        Self {
            refusal: Refusal::Revoked,
            retry_after: None,
            denial: Some(denial),
        }
    }
}
