//! `Content-Digest` reads whatever a stranger sends: it never panics, and what it accepts prints as
//! a field that says the same, however it was written.
//!
//! Each line is a field line.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use zt_core::digest::{CONTENT_DIGEST, ContentDigest};

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    let mut spaced = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(64) {
        let Ok(value) = HeaderValue::from_bytes(line) else { continue };
        headers.append(CONTENT_DIGEST, value);
        // Space before a member means nothing, and keeps the line from the short way.
        let line = [b" ", line].concat();
        spaced.append(CONTENT_DIGEST, HeaderValue::from_bytes(&line).unwrap());
    }
    let found = ContentDigest::from_headers(&headers);
    let Ok(Some(digest)) = &found else { return };
    if input.len() < 4000 {
        assert_eq!(found, ContentDigest::from_headers(&spaced));
    }
    let again = HeaderMap::from_iter([(CONTENT_DIGEST, digest.header_value())]);
    assert_eq!(found, ContentDigest::from_headers(&again));
    assert_eq!(digest.matches(b"abc"), {
        let mut hasher = digest.hasher();
        hasher.update(b"a");
        hasher.update(b"bc");
        hasher.finish()
    });
});
