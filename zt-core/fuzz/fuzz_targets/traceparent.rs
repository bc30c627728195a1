//! A `traceparent` that is kept prints as one that is kept, with the same ids.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::context::TraceParent;

fuzz_target!(|input: &[u8]| {
    if let Some(parsed) = TraceParent::parse(input) {
        assert!(parsed.trace_id != 0 && parsed.parent_id != 0);
        let printed = parsed.to_string();
        assert_eq!(printed.len(), 55);
        assert_eq!(TraceParent::parse(printed.as_bytes()), Some(parsed));
        // Versions differ in the first two characters and in what may follow.
        assert_eq!(input.get(2..55), printed.as_bytes().get(2..));
    }
});
