//! Whatever the bytes: no panic, and a report that fits them. `cargo +nightly fuzz run verify`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_audit::Finding;

fuzz_target!(|bytes: &[u8]| {
    let Ok(report) = zt_audit::verify(bytes) else {
        panic!("memory does not fail")
    };
    let length = bytes.len() as u64;
    match &report.finding {
        Finding::Intact => assert_eq!(report.bytes, length),
        Finding::Empty => assert_eq!(length, 0),
        Finding::Torn { offset, bytes, .. } => assert_eq!(offset + bytes, length),
        Finding::Bad(record) => assert!(record.offset < length && record.index <= report.records),
        _ => {}
    }
    assert!(report.to_string().is_ascii());
});
