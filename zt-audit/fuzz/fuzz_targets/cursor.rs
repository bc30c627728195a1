//! A sink's place in a log is read in one way only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Some(written) = fuzzing::cursor(bytes) {
        assert_eq!(written.as_bytes(), bytes);
    }
});
