use std::fmt;

use http::StatusCode;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident $text:literal $status:ident $grpc:literal $sentence:literal;)*) => {
        /// Why a request was refused: a stable word for programs, with its HTTP status, its gRPC
        /// status and one fixed sentence for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code there is.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The word on the wire and in records.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The HTTP status that it is answered with, unless the denial says otherwise.
            #[must_use]
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)* }
            }

            /// The gRPC status code.
            #[must_use]
            pub const fn grpc(self) -> u8 {
                match self { $(Self::$name => $grpc,)* }
            }

            /// What the caller is told.
            #[must_use]
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$name => $sentence,)* }
            }
        }
    };
}

codes! {
    /// The request breaks a rule of HTTP or of `ValidateRequest`.
    RequestMalformed "request-malformed" BAD_REQUEST 3 "the request is not well formed";
    /// A credential is there but cannot be read.
    CredentialMalformed "credential-malformed" BAD_REQUEST 3 "the credential cannot be read";
    /// There is more than one credential.
    CredentialAmbiguous "credential-ambiguous" BAD_REQUEST 3 "more than one credential was presented";
    /// There is no credential.
    CredentialMissing "credential-missing" UNAUTHORIZED 16 "a credential is required";
    /// The credential is not good.
    CredentialInvalid "credential-invalid" UNAUTHORIZED 16 "the credential is not valid";
    /// The credential was good once.
    CredentialExpired "credential-expired" UNAUTHORIZED 16 "the credential has expired";
    /// The credential was taken back.
    CredentialRevoked "credential-revoked" UNAUTHORIZED 16 "the credential has been revoked";
    /// The credential is bound to a key whose proof is not there.
    BindingMismatch "binding-mismatch" UNAUTHORIZED 16 "the credential is bound to another key";
    /// The same proof was seen before.
    Replayed "replayed" UNAUTHORIZED 16 "the request was seen before";
    /// The request is not signed.
    SignatureMissing "signature-missing" UNAUTHORIZED 16 "a signature is required";
    /// The signature does not hold.
    SignatureInvalid "signature-invalid" UNAUTHORIZED 16 "the signature is not valid";
    /// The caller must authenticate more strongly (RFC 9470).
    StepUpRequired "step-up-required" UNAUTHORIZED 16 "stronger authentication is required";
    /// The request took too long to arrive.
    RequestTimeout "request-timeout" REQUEST_TIMEOUT 4 "the request took too long to arrive";
    /// The contents do not follow their schema.
    RequestInvalid "request-invalid" UNPROCESSABLE_ENTITY 3 "the request is not valid";
    /// The credential does not reach this far (RFC 6750 section 3.1).
    ScopeInsufficient "scope-insufficient" FORBIDDEN 7 "the credential does not reach this far";
    /// The policy says no.
    PolicyDenied "policy-denied" FORBIDDEN 7 "the policy does not permit this request";
    /// The caller is under quarantine.
    Quarantined "quarantined" FORBIDDEN 7 "the caller is quarantined";
    /// The body is larger than this route takes.
    BodyTooLarge "body-too-large" PAYLOAD_TOO_LARGE 8 "the body is too large";
    /// The request was meant for another host (RFC 9110 section 15.5.20).
    Misdirected "misdirected" MISDIRECTED_REQUEST 3 "the request is for another host";
    /// Too many requests in too short a time.
    RateLimited "rate-limited" TOO_MANY_REQUESTS 8 "too many requests";
    /// Too many requests at once.
    ConcurrencyLimited "concurrency-limited" TOO_MANY_REQUESTS 8 "too many requests at once";
    /// The budget is spent.
    BudgetExhausted "budget-exhausted" TOO_MANY_REQUESTS 8 "the budget is exhausted";
    /// The audit log cannot write.
    AuditUnavailable "audit-unavailable" SERVICE_UNAVAILABLE 14 "the audit log is unavailable";
    /// A store cannot answer, or its view is too old.
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE 14 "a store is unavailable";
    /// Verification keys cannot be had.
    KeysUnavailable "keys-unavailable" SERVICE_UNAVAILABLE 14 "verification keys are unavailable";
    /// Replays cannot be told from new requests.
    ReplayUnavailable "replay-unavailable" SERVICE_UNAVAILABLE 14 "replay protection is unavailable";
    /// The clock cannot be trusted.
    ClockUnavailable "clock-unavailable" SERVICE_UNAVAILABLE 14 "the clock is unavailable";
    /// The request target is too long.
    UriTooLong "uri-too-long" URI_TOO_LONG 8 "the request target is too long";
    /// The header section is too large (RFC 6585 section 5).
    HeadersTooLarge "headers-too-large" REQUEST_HEADER_FIELDS_TOO_LARGE 8 "the header section is too large";
    /// The layers stand in an order in which they cannot keep their promises.
    StackMisordered "stack-misordered" INTERNAL_SERVER_ERROR 13 "the service is not configured correctly";
    /// The handler panicked.
    HandlerPanicked "handler-panicked" INTERNAL_SERVER_ERROR 13 "the service failed";
}

impl Code {
    /// Whether something of ours is down: answered 503 with `Retry-After`, never 401 or 403.
    #[must_use]
    pub const fn is_unavailable(self) -> bool {
        matches!(
            self,
            Self::AuditUnavailable
                | Self::StoreUnavailable
                | Self::KeysUnavailable
                | Self::ReplayUnavailable
                | Self::ClockUnavailable
        )
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
