//! Where a pruned log begins is read in one way only.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Some((before, hashes, written)) = fuzzing::pruned(bytes) {
        assert_eq!(written, bytes);
        assert!(before > 0);
        assert_eq!(hashes, before.count_ones() as usize);
    }
});
