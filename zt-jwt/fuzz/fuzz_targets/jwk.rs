//! What passes as a key is what another reader finds in it, and verifies nothing that nobody
//! signed. The input is a JWK; as PEM and DER it must not panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use sha2::{Digest, Sha256};
use zt_jwt::{Algorithm, Algorithms, VerificationKey, fuzzing};

fuzz_target!(|input: &[u8]| {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let _ = VerificationKey::from_der(input, algorithm);
        let _ = VerificationKey::from_pem(input, algorithm);
    }
    let Ok(key) = VerificationKey::from_jwk(input) else {
        return;
    };
    assert!(fuzzing::is_strict_object(input));
    let naive: serde_json::Value = serde_json::from_slice(input).unwrap();
    let text = |name: &str| naive[name].as_str().unwrap();
    assert_eq!(naive.get("kid").map(|kid| kid.as_str().unwrap()), key.kid());
    assert!(naive.get("use").is_none_or(|usage| usage == "sig"));
    assert!(!key.algorithms().is_empty());
    assert_eq!(key.algorithms().and(Algorithms::ASYMMETRIC), key.algorithms());
    if let Some(alg) = naive.get("alg") {
        let algorithm = Algorithm::parse(alg.as_str().unwrap()).unwrap();
        assert_eq!(key.algorithms(), algorithm.into());
    }
    // RFC 7638 section 3.2.
    let members: &[&str] = match text("kty") {
        "RSA" => &["e", "kty", "n"],
        "EC" => &["crv", "kty", "x", "y"],
        "OKP" => &["crv", "kty", "x"],
        "AKP" => &["alg", "kty", "pub"],
        other => panic!("{other}"),
    };
    let members: Vec<_> = members.iter().map(|name| format!("\"{name}\":\"{}\"", text(name))).collect();
    let thumbprint = Sha256::digest(format!("{{{}}}", members.join(",")));
    assert_eq!(key.thumbprint()[..], thumbprint[..]);

    for length in [32, 64, 96, 132, 256, 512, 2420] {
        assert!(!fuzzing::verify_with(&key, b"a.b", &vec![0; length]));
        assert!(!fuzzing::verify_with(&key, b"a.b", &vec![1; length]));
    }
});
