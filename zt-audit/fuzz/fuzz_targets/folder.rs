//! Whatever stands in a log's folder: no panic, no log that was changed is sound, and a log that can be
//! continued has every record that was signed. The first byte says what the rest of the input is:
//! changes to a log that is sound, or the bytes of its files.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::fuzzing;

fuzz_target!(|input: &[u8]| fuzzing::folder(input));
