//! What is normalised for Istio's policies is normal: the same when it is read again, without dot
//! segments, and without several slashes where they are merged.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_core::policy::IstioPaths;

fuzz_target!(|path: &str| {
    let base = IstioPaths::Base.normalise(path);
    for reading in [IstioPaths::Base, IstioPaths::MergeSlashes, IstioPaths::DecodeAndMergeSlashes] {
        let normal = reading.normalise(path);
        assert_eq!(normal.is_some(), base.is_some());
        let Some(normal) = normal else { continue };
        assert!(normal.starts_with('/') && normal.len() <= path.len());
        assert!(!normal.contains('\\'));
        assert!(!normal.split('/').any(|segment| matches!(segment, "." | "..")));
        assert_eq!(reading.normalise(&normal).as_ref(), Some(&normal));
        if reading != IstioPaths::Base {
            assert!(!normal.contains("//"));
        }
    }
    // What is canonical has one reading.
    if let Some(canonical) = IstioPaths::Canonical.normalise(path) {
        let merged = IstioPaths::DecodeAndMergeSlashes.normalise(path);
        assert_eq!(merged.unwrap().to_ascii_uppercase(), canonical.to_ascii_uppercase());
    }
});
