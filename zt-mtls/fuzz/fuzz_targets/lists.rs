//! Revocation lists are read without a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    let _ = fuzzing::revocation_lists(bytes);
});
