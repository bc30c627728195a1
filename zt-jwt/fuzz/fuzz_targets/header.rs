//! What passes as a header is what another reader finds in it, and is written in the one way there
//! is. The input is the header's JSON, or, where it has dots, a whole token.

#![no_main]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use libfuzzer_sys::fuzz_target;
use zt_jwt::{Algorithm, fuzzing};

fuzz_target!(|input: &[u8]| {
    let encoded = URL_SAFE_NO_PAD.encode(input);
    check(format!("{encoded}.e30.AA").as_bytes());
    check(input);
});

fn check(token: &[u8]) {
    let Ok((algorithm, kid, typ)) = fuzzing::header(token) else {
        return;
    };
    let segment = token.split(|byte| *byte == b'.').next().unwrap();
    let json = URL_SAFE_NO_PAD.decode(segment).unwrap();
    assert_eq!(URL_SAFE_NO_PAD.encode(&json).as_bytes(), segment);
    assert!(fuzzing::is_strict_object(&json));

    let naive: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let naive = naive.as_object().unwrap();
    let alg = naive["alg"].as_str().unwrap();
    assert_eq!(Algorithm::parse(alg), Some(algorithm));
    assert!(!alg.eq_ignore_ascii_case("none"));
    assert!(!naive.contains_key("crit") && !naive.contains_key("b64"));
    assert_eq!(naive.get("kid").map(|kid| kid.as_str().unwrap()), kid.as_deref());
    assert!(kid.is_none_or(|kid| kid.len() <= 256));
    let lower = naive.get("typ").map(|typ| typ.as_str().unwrap().to_ascii_lowercase());
    let short = lower.map(|typ| typ.strip_prefix("application/").unwrap_or(&typ).to_owned());
    assert_eq!(short.as_deref(), typ.as_deref());
}
