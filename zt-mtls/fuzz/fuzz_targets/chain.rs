//! Whoever gets in would get in by webpki alone, and has no ID but one of the trust domain. The root's
//! key is nowhere: only the seeds get in, with what stands beside them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::fuzzing;

fuzz_target!(|bytes: &[u8]| {
    if let Some((id, by_webpki_alone)) = fuzzing::chain(2_000_000_000, bytes) {
        assert!(by_webpki_alone);
        assert!(id.is_none_or(|id| id == "spiffe://shop.example/orders"));
    }
});
