//! Whatever is read as claims is an object that can be read in one way only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_jwt::fuzzing;

fuzz_target!(|text: &str| {
    if fuzzing::claims(text) {
        assert!(fuzzing::is_strict_object(text.as_bytes()));
        let claims: serde_json::Value = serde_json::from_str(text).unwrap();
        for text in ["iss", "sub", "jti"] {
            assert!(claims.get(text).is_none_or(serde_json::Value::is_string));
        }
        for date in ["exp", "nbf", "iat"] {
            let seconds = claims.get(date).map(|date| date.as_f64().unwrap());
            assert!(seconds.is_none_or(|seconds| (0.0..=253_402_300_799.0).contains(&seconds)));
        }
    }
});
