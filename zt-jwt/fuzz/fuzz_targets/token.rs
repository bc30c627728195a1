//! Nothing is verified but what was signed: the private keys are gone, so every token that passes
//! has to be one of those that they signed, to the letter. (An ECDSA signature holds with `n - s`
//! in the place of `s` too; mutation does not come upon it.)

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use zt_jwt::{KeySet, fuzzing};

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::parse(include_bytes!("../signed/keys.json")).unwrap());
const TOKENS: &str = include_str!("../signed/tokens.txt");

fuzz_target!(|token: &[u8]| {
    let verified = fuzzing::verify(token, &KEYS);
    let signed = TOKENS.lines().any(|known| known.as_bytes() == token);
    assert_eq!(verified.is_ok(), signed, "{verified:?}");
    if let Ok(payload) = verified {
        assert!(fuzzing::is_strict_object(&payload));
    }
    // The whole input as a payload: whether it is strict says the same as a reader that knows no
    // duplicates, once those are gone.
    if fuzzing::is_strict_object(token) {
        let value: serde_json::Value = serde_json::from_slice(token).unwrap();
        assert!(value.is_object());
        assert!(fuzzing::is_strict_object(value.to_string().as_bytes()));
    }
});
