//! What a server says, be it another one than it should be: no answer makes the client panic, and
//! the key of a cell tells its root, limit and subject, whatever their names are.
//!
//! Words are divided by zero bytes. The first three are names as well.

#![no_main]

use std::{sync::Arc, time::Duration};

use libfuzzer_sys::fuzz_target;
use zt_core::clock::Timestamp;
use zt_ratelimit::{
    Limit,
    counter::{Adjust, Claim, check_subject},
    fuzzing,
};

fuzz_target!(|input: &[u8]| {
    let words: Option<Vec<String>> = input
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8(word.to_vec()).ok())
        .collect();
    let Some(words) = words else { return };
    let read = fuzzing::answer(&words);
    assert!(read <= 4 + 3 * words.len());

    let [root, limit, subject, ..] = words.as_slice() else {
        return;
    };
    let names = check_subject(root).and(check_subject(subject));
    let limit = Limit::rate(limit.as_str(), 1, Duration::from_secs(1));
    let (Ok(()), Ok(limit)) = (names, limit) else {
        return;
    };
    let limit = Arc::new(limit);
    let claim = Claim {
        limit: &limit,
        subject,
    };
    let (key, parts) = fuzzing::cell_key(root, claim);
    let (found_root, found_limit, found_subject) = parts.expect("it is a key");
    assert_eq!(
        (&*found_root, &found_limit, &*found_subject),
        (root.as_str(), limit.name(), subject.as_str()),
        "{key}"
    );
    let grant = Adjust::Grant {
        name: subject.as_str().into(),
        amount: 1,
        until: Timestamp::MAX,
    };
    let said = fuzzing::adjustment(claim, &grant).expect("it can be granted");
    assert_eq!(said[3], *subject);
});
