use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::json;
use zt_core::random::OsEntropy;

use crate::{
    cli::keys::{Found, Standing},
    merkle::leaf_hash,
    note::SigningKey,
    read::Entry,
};

const INDEX: u64 = 7;

fn key() -> SigningKey {
    SigningKey::generate("shop/1", &OsEntropy).unwrap()
}

fn entry(fields: serde_json::Value) -> Entry {
    let mut record = json!({"v": 2, "idx": INDEX, "ts": 1, "kind": "key", "origin": "shop/1"});
    let members = record.as_object_mut().unwrap();
    members.extend(fields.as_object().unwrap().clone());
    let bytes = record.to_string().into_bytes();
    Entry {
        index: INDEX,
        leaf: leaf_hash(&bytes),
        bytes,
        segment: 0,
        offset: 0,
    }
}

/// `new`, endorsed by `by` for the record `index` of the log `origin`.
fn rotated(new: &SigningKey, by: &SigningKey, origin: &str, index: u64) -> Entry {
    let vkey = new.verifier().to_string();
    let text = format!("zt-audit key\n{origin}\n{vkey}\n{index}\n");
    entry(json!({
        "action": "rotated",
        "vkey": vkey,
        "endorsed_by": by.verifier().to_string(),
        "endorsement": BASE64_STANDARD.encode(by.sign(text.as_bytes())),
    }))
}

fn standing(entry: &Entry, before: Option<&SigningKey>, pruned: bool) -> Standing {
    let before = before.map(SigningKey::verifier);
    Found::of(entry, before.as_ref(), pruned).unwrap().standing
}

#[test]
fn a_key_that_the_one_before_it_did_not_endorse_is_broken() {
    let (old, new, other) = (key(), key(), key());
    let first = entry(json!({"action": "first", "vkey": new.verifier().to_string()}));
    for broken in [
        rotated(&new, &other, "shop/1", INDEX),
        rotated(&new, &old, "shop/2", INDEX),
        rotated(&new, &old, "shop/1", INDEX + 1),
        first,
        entry(json!({"action": "rotated", "vkey": new.verifier().to_string()})),
        entry(json!({"action": "first", "vkey": "no key"})),
    ] {
        assert_eq!(standing(&broken, Some(&old), false), Standing::Broken);
    }
    // The first of a log that was not pruned.
    let endorsed = rotated(&new, &old, "shop/1", INDEX);
    assert_eq!(standing(&endorsed, None, false), Standing::Broken);
}

#[test]
fn one_that_it_endorsed_is_not() {
    let (old, new) = (key(), key());
    let endorsed = rotated(&new, &old, "shop/1", INDEX);
    assert_eq!(standing(&endorsed, Some(&old), false), Standing::Endorsed);
    assert_eq!(standing(&endorsed, None, true), Standing::Unknown);
    let first = entry(json!({"action": "first", "vkey": new.verifier().to_string()}));
    assert_eq!(standing(&first, None, false), Standing::First);
}
