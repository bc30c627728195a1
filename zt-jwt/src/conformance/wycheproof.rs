//! Project Wycheproof: JSON Web Signatures and Keys.

use serde_json::Value;

use super::{Verdict, jsonwebtokens, ours, vectors};
use crate::{key::KeyError, refusal::Refusal};

/// A `tcId`, and what came of it.
type Difference = (u64, Result<(), Verdict>);

/// Runs every JWS test of `file`; every test in which the result is not the one that the file
/// expects, by its `tcId`.
fn run(file: &str) -> Option<(usize, Vec<Difference>)> {
    let file_name = format!("wycheproof/{file}");
    let vectors = vectors(&file_name)?;
    let (mut count, mut differ, mut peer) = (0, Vec::new(), Vec::new());
    for group in vectors["testGroups"].as_array().unwrap() {
        let keys = group.get("public").unwrap_or(&group["private"]);
        for test in group["tests"].as_array().unwrap() {
            let Some(jws) = test.get("jws") else {
                continue; // A JWE: see below.
            };
            count += 1;
            let token = jws
                .as_str()
                .map_or_else(|| jws.to_string(), ToOwned::to_owned);
            let id = test["tcId"].as_u64().unwrap();
            let valid = match test["result"].as_str().unwrap() {
                "valid" => true,
                "invalid" => false,
                other => panic!("{other}"),
            };
            let result = ours(keys, &token).map(|_| ());
            if result.is_ok() != valid {
                differ.push((id, result));
            }
            if jsonwebtokens(keys, &token) != valid {
                peer.push(id);
            }
        }
    }
    println!(
        "{file}: {} of {count} as expected; plain jsonwebtoken {}",
        count - differ.len(),
        count - peer.len()
    );
    println!("  jsonwebtoken differs in {peer:?}");
    Some((count, differ))
}

#[test]
fn signatures() {
    let Some((count, differ)) = run("json_web_signature_test.json") else {
        return;
    };
    assert_eq!(count, 401);
    let mislabelled = Err(Verdict::Token(Refusal::UnknownKey));
    let misspelt = Err(Verdict::Key(KeyError::UnknownAlgorithm));
    let expected = [
        // PS384 under a key that says PS256, ES512 under one that says `ES521`.
        (346, mislabelled),
        (347, misspelt),
        (350, Err(Verdict::Token(Refusal::UnknownKey))),
        (351, Err(Verdict::Key(KeyError::UnknownAlgorithm))),
        // Called invalid, and equal to 357, which is valid, to the letter.
        (367, Ok(())),
        (370, Ok(())),
        // Called valid, with a `?` within base64url.
        (372, Err(Verdict::Token(Refusal::Base64))),
        (373, Err(Verdict::Token(Refusal::Signature))),
    ];
    assert_eq!(differ, expected);
}

#[test]
fn keys() {
    let Some((count, differ)) = run("json_web_key_test.json") else {
        return;
    };
    assert_eq!((count, differ), (26, vec![]));
}

#[test]
fn the_older_mix_and_no_encrypted_token() {
    let Some((count, differ)) = run("json_web_crypto_test.json") else {
        return;
    };
    assert_eq!((count, differ), (49, vec![]));

    let vectors = vectors("wycheproof/json_web_crypto_test.json").unwrap();
    let mut encrypted = 0;
    for group in vectors["testGroups"].as_array().unwrap() {
        for test in group["tests"].as_array().unwrap() {
            let Some(jwe) = test.get("jwe") else {
                continue;
            };
            encrypted += 1;
            let text = jwe.to_string();
            let token = jwe.as_str().unwrap_or(&text);
            // The key is for encryption and cannot be had; nor does the token pass for a JWS.
            let refused = ours(&group["private"], token);
            assert!(matches!(refused, Err(Verdict::Key(_))), "{refused:?}");
            let split = crate::jose::Compact::split(token.as_bytes(), 8192).map(|_| ());
            assert!(
                matches!(split, Err(Refusal::Segments | Refusal::Base64)),
                "{} {split:?}",
                test["tcId"]
            );
        }
    }
    assert_eq!(encrypted, 34);
}

#[test]
fn why_keys_are_refused() {
    let Some(vectors) = vectors("wycheproof/json_web_key_test.json") else {
        return;
    };
    let why = |wanted: u64| -> KeyError {
        let groups = vectors["testGroups"].as_array().unwrap();
        let of = |group: &Value| {
            let tests = group["tests"].as_array().unwrap();
            let test = tests.iter().find(|test| test["tcId"] == wanted)?;
            let keys = group.get("public").unwrap_or(&group["private"]);
            match ours(keys, test["jws"].as_str().unwrap()) {
                Err(Verdict::Key(error)) => Some(error),
                other => panic!("{other:?}"),
            }
        };
        groups.iter().find_map(of).unwrap()
    };
    assert_eq!(why(1), KeyError::Mixed);
    // Its ids are the same, but before that one of its secrets has bits that are left over.
    assert_eq!(why(4), KeyError::Malformed("k"));
    assert_eq!(why(6), KeyError::Use);
    assert_eq!(
        why(7),
        KeyError::Weak("the modulus has the ROCA fingerprint")
    );
    assert_eq!(
        why(8),
        KeyError::Weak("the modulus has fewer than 2048 bits")
    );
    assert!(matches!(why(9), KeyError::Weak(why) if why.contains("exponent")));
    assert_eq!(why(10), KeyError::ShortSecret { least: 32 });
    assert_eq!(why(17), KeyError::ShortSecret { least: 48 });
    assert_eq!(why(19), KeyError::UnknownAlgorithm);
    assert_eq!(why(20), KeyError::UnknownAlgorithm);
    assert_eq!(why(21), KeyError::Use);
    assert_eq!(why(22), KeyError::NotOnCurve);
    assert_eq!(
        why(23),
        KeyError::AlgorithmMismatch(crate::Algorithm::Es256)
    );
    assert_eq!(why(24), KeyError::Missing("n"));
    assert_eq!(why(25), KeyError::UnknownAlgorithm);
}
