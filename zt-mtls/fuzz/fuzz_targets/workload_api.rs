//! Messages of the Workload API are the same however they are cut, and give nobody an identity by chance:
//! the input has no key that fits.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::fuzzing;

fuzz_target!(|input: &[u8]| {
    assert!(!fuzzing::workload_response(input));
    let Some((size, stream)) = input.split_first() else {
        return;
    };
    let whole = fuzzing::workload_messages(stream, stream.len().max(1));
    let size = usize::from(*size).max(1);
    assert_eq!(fuzzing::workload_messages(stream, size), whole);
});
