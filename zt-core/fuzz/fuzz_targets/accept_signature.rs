//! What `Accept-Signature` asks is the same when it is written and read again.

#![no_main]

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use zt_core::signature::base::{ACCEPT_SIGNATURE, AcceptSignature, FieldLimits, Fields};

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(16) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(ACCEPT_SIGNATURE, value);
        }
    }
    let limits = FieldLimits::default();
    let Ok(asked) = AcceptSignature::read(Fields::new(&headers), &limits) else { return };
    let mut headers = HeaderMap::new();
    let mut len = 0;
    for one in &asked {
        let value = one.to_header_value().unwrap();
        assert!(value.as_bytes().iter().all(|byte| matches!(byte, 0x20..=0x7e)));
        len += value.len();
        headers.append(ACCEPT_SIGNATURE, value);
    }
    assert!(len <= 2 * input.len());
    let limits = FieldLimits { bytes: usize::MAX, ..limits };
    assert_eq!(AcceptSignature::read(Fields::new(&headers), &limits), Ok(asked));
});
