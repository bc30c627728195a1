//! Keys, refusals first.

mod configuration;
mod entries;
mod resolvers;
mod rings;
mod secrets;

use super::*;
use crate::{clock::Timestamp, secret::Secret};

fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn secret(byte: u8) -> Secret {
    Secret::new(vec![byte; 32])
}

fn hmac(byte: u8) -> SigningKey {
    SigningKey::hmac_sha256(&secret(byte)).unwrap()
}

fn entry(id: &str, byte: u8) -> KeyEntry {
    KeyEntry::new(id, hmac(byte).verifying_key(), "orders")
}

fn now(resolving: Resolving) -> Resolved {
    match resolving {
        Resolving::Now(answer) => answer,
        Resolving::Later(_) => panic!("the answer has to be waited for"),
    }
}
