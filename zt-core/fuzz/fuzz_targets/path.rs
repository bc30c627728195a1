//! What `check_path` accepts holds nothing dangerous, however often it is decoded.
//!
//! The first byte chooses the allowances, the rest is the path.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::validate::{PathAllowances, check_path};

#[path = "../../src/validate/naive.rs"]
mod naive;

fuzz_target!(|input: &[u8]| {
    let Some((choice, path)) = input.split_first() else {
        return;
    };
    let encoded_slash = choice & 1 != 0;
    let allow = PathAllowances::NONE
        .encoded_slash(encoded_slash)
        .empty_segments(choice & 2 != 0)
        .insecure_encoded_unreserved(choice & 4 != 0);
    if check_path(path, allow).is_ok() {
        let objection = naive::objection(path, encoded_slash);
        assert_eq!(objection, None, "{:?}", String::from_utf8_lossy(path));
        // What is allowed is never taken back by allowing more.
        let more = allow.encoded_slash(true).empty_segments(true).insecure_encoded_unreserved(true);
        assert_eq!(check_path(path, more), Ok(()));
    }
});
