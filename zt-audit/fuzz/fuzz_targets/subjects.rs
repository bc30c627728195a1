//! Whatever stands in a vault's file of keys: no panic, and no key comes out of it that was not put
//! in. The input are changes to the file of a vault with three keys.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::fuzzing;

fuzz_target!(|changes: &[u8]| fuzzing::subjects(changes));
