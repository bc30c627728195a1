//! The token parser reads whatever a stranger sends: it never panics, and what it accepts has the
//! form that the documentation names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::service_token::{PREFIX, parse};

fuzz_target!(|text: &[u8]| {
    let Ok(token) = parse(text) else { return };
    let text = std::str::from_utf8(text).expect("a token is ASCII");
    let parts: Vec<&str> = text.split('_').collect();
    assert_eq!(parts.len(), 4);
    assert_eq!(format!("{}_", parts[0]), PREFIX);
    assert_eq!(parts[1], token.environment());
    assert!((1..=16).contains(&parts[1].len()));
    assert_eq!(parts[2], token.id());
    assert_eq!((parts[2].len(), parts[3].len()), (12, 49));
    assert!(!format!("{token:?}").contains(parts[3]));
});
