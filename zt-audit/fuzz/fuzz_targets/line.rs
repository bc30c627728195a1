//! What passes as a line of a log is exactly what a writer writes, and another reader finds the same
//! in it. The input is a line without its newline.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use zt_audit::fuzzing::{self, Line};

fuzz_target!(|line: &[u8]| {
    match fuzzing::line(line) {
        None => {}
        Some(Line::Commit { written, .. }) => {
            assert_eq!(written.strip_suffix(b"\n"), Some(line));
        }
        Some(Line::Record {
            index,
            micros,
            kind,
            origin,
            prev,
        }) => {
            assert!(line.len() <= 65_535);
            let Ok(naive) = serde_json::from_slice::<Value>(line) else {
                // Only the head is read; the rest need not be JSON here.
                return;
            };
            // Of keys that stand twice another reader may take the last.
            let text = String::from_utf8_lossy(line);
            for key in ["idx", "ts", "kind", "origin", "prev"] {
                if text.matches(&format!("\"{key}\"")).count() > 1 || text.contains('\\') {
                    return;
                }
            }
            assert_eq!(naive["idx"].as_u64(), Some(index));
            assert_eq!(naive["ts"].as_u64(), Some(micros));
            assert_eq!(naive["kind"].as_str(), Some(kind.as_str()));
            assert_eq!(naive["origin"].as_str(), Some(origin.as_str()));
            assert_eq!(naive["prev"].as_str(), Some(prev.as_str()));
        }
    }
});
