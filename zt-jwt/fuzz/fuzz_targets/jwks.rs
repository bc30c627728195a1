//! A set that passes gives every token the key that it names and no other; what a strict reader
//! takes a lenient one takes too, unless it publishes private keys.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_jwt::{Algorithm, Algorithms, KeySet, fuzzing};

const LIMIT: usize = 20;

fuzz_target!(|input: &[u8]| {
    let strict = KeySet::parse(input);
    let lenient = KeySet::parse_remote(input, LIMIT);
    if let Ok((set, left_out)) = &lenient {
        check(set);
        // A number that is too large for a float is JSON, and spoils no more than its own key.
        if let Ok(naive) = serde_json::from_slice::<serde_json::Value>(input) {
            let count = naive["keys"].as_array().unwrap().len();
            assert!(set.len() + left_out.len() <= count && count <= LIMIT);
        }
        for algorithm in Algorithm::ALL {
            assert!(fuzzing::find(set, Some("no such key"), *algorithm)
                .is_none_or(|key| key.kid() == Some("no such key")));
        }
    }
    if let Ok(set) = strict {
        check(&set);
        match lenient {
            Ok((lenient, left_out)) if left_out.is_empty() => {
                assert!(fuzzing::keeps_all_of(&lenient, &set));
            }
            Ok((_, left_out)) => {
                assert!(left_out.iter().all(|line| line.ends_with("is published")));
            }
            Err(_) => {}
        }
    }
});

fn check(set: &KeySet) {
    assert!(!set.is_empty() && fuzzing::keeps_all_of(set, set));
    for key in set.iter() {
        for algorithm in key.algorithms().iter() {
            let found = fuzzing::find(set, key.kid(), algorithm);
            if key.kid().is_some() {
                assert_eq!(found.unwrap().thumbprint(), key.thumbprint());
            }
            assert!(found.is_none_or(|found| found.algorithms().contains(algorithm)));
        }
    }
    let fewer = set.clone().restrict(Algorithms::from(Algorithm::Es256));
    assert!(fuzzing::keeps_all_of(set, &fewer));
    assert!(fewer.iter().all(|key| key.algorithms() == Algorithm::Es256.into()));
}
