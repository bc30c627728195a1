//! The vectors of RFC 9421 and RFC 9530, as real connections deliver them.
//!
//! Every message is written by hand, byte for byte, into a TCP connection: the lines of HTTP/1.1, the
//! frames of HTTP/2. What a server or a client of hyper makes of it is then verified, by the layers
//! wherever their policies can say what the vector asks for.
//!
//! | | HTTP/1.1 | HTTP/2 |
//! |---|---|---|
//! | the name of a field | as in the vector | in lower case (RFC 9113 section 8.2) |
//! | the whitespace around values | as in the vector | as in the vector |
//! | `Host` | as in the vector | `:authority` (RFC 9113 section 8.3.1) |
//! | the target | as in the vector | `:scheme`, `:authority`, `:path` |
//! | `Transfer-Encoding` | as in the vector | none (RFC 9113 section 8.2.2) |
//!
//! What a connection does not deliver so is in a list, by its id, with what happens instead.

mod components;
mod digests;
mod http1;
mod http2;
mod lists;
mod message;
mod requests;
mod responses;
mod signatures;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use self::{
    message::{Sent, Transport},
    requests::{Arrived, Outcome, Refused, deliver},
};
use super::{
    Algorithm,
    base::{BaseError, Component, FieldLimits, FieldTypes, StructuredType, UrlScheme},
    key::{KeyEntry, KeyRing, Purpose, SigningKey, VerifyingKey},
    replay::MemoryReplays,
    verify::{AuthoritySource, SignaturePolicy, VerifySignatureLayer},
};
use crate::{clock::ManualClock, clock::Timestamp, decision::Code, secret::Secret};

/// Nothing of this takes a moment; whoever waits this long waits for ever.
const PATIENCE: Duration = Duration::from_secs(30);

const LIMITS: FieldLimits = FieldLimits {
    bytes: 8192,
    signatures: 8,
    components: 64,
};

fn vectors(name: &str) -> Option<Value> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/http-signatures/"
    );
    let Ok(text) = std::fs::read_to_string(format!("{path}{name}")) else {
        println!("skipped: {path}{name} is not there");
        return None;
    };
    Some(serde_json::from_str(&text).unwrap())
}

fn text<'a>(vector: &'a Value, member: &str) -> &'a str {
    vector[member].as_str().unwrap()
}

/// What the tests themselves sign with, as `wire`.
fn own_key() -> SigningKey {
    SigningKey::hmac_sha256(&Secret::new(vec![9; 32])).unwrap()
}

/// What the tests sign is made at this time.
const NOW: u64 = 1_700_000_000;

/// A server with `policy`, the key of the tests, and `keys`.
fn layer(policy: SignaturePolicy, keys: Vec<KeyEntry>) -> VerifySignatureLayer {
    let own = KeyEntry::new("wire", own_key().verifying_key(), "wire");
    let keys = KeyRing::new(keys.into_iter().chain([own])).unwrap();
    let replays = MemoryReplays::for_new_keys(policy.replay_window());
    VerifySignatureLayer::new(policy, keys, replays).unwrap()
}

fn at(secs: u64) -> ManualClock {
    ManualClock::at(Timestamp::from_secs(secs))
}

/// Adds a signature with the key of the tests over `base`, whose last line is `params`.
fn sign(sent: Sent, lines: &str, params: &str) -> Sent {
    let base = format!("{lines}\"@signature-params\": {params}");
    let signature = STANDARD.encode(own_key().sign(base.as_bytes()).unwrap());
    sent.with("Signature-Input", &format!("sig1={params}"))
        .with("Signature", &format!("sig1=:{signature}:"))
}

fn reason(vector: &Value) -> BaseError {
    match text(vector, "error") {
        "field not in the message" => BaseError::FieldAbsent,
        "component names are lowercase" => BaseError::Name,
        "unknown derived component" => BaseError::UnknownDerived,
        "parameter not understood" => BaseError::UnknownParameter,
        "incompatible parameters" => BaseError::IncompatibleParameters,
        "req in a signature that targets a request" => BaseError::ReqInRequest,
        "@status names a response component" => BaseError::StatusInRequest,
        "request component without req in a response" => BaseError::RequestComponentInResponse,
        "member not in the dictionary" => BaseError::KeyAbsent,
        "field is not a dictionary" => BaseError::NotADictionary,
        "structured field type not known" => BaseError::FieldTypeUnknown,
        "value does not parse" => BaseError::FieldValue,
        "parameter not in the query" => BaseError::QueryParamAbsent,
        "parameter occurs more than once" => BaseError::QueryParamRepeated,
        "name is required" => BaseError::QueryParamWithoutName,
        "parameter does not apply" => BaseError::ParameterNotApplicable,
        "component identifier occurs twice" => BaseError::DuplicateComponent,
        "@signature-params must not be listed" => BaseError::SignatureParamsListed,
        "the base must be ASCII" => BaseError::NotAscii,
        "not in the trailer section" => BaseError::Trailer,
        other => panic!("{other}"),
    }
}
