//! Elements end where a naive reader finds their ends, and lines are read like one line with commas.

#![no_main]

use libfuzzer_sys::fuzz_target;
use zt_mtls::forwarded::ForwardedCertificate;

fuzz_target!(|input: &[u8]| {
    let whole = ForwardedCertificate::from_xfcc([input]);
    let ends = ends(input);
    if let Ok((_, elements)) = &whole {
        assert_eq!(*elements, ends.len() + 1);
    }
    let Some(end) = ends.first() else {
        return;
    };
    let lines = ForwardedCertificate::from_xfcc([&input[..*end], &input[end + 1..]]);
    match (whole, lines) {
        (Ok(whole), Ok(lines)) => assert!(whole == lines),
        (whole, lines) => assert_eq!(whole.is_err(), lines.is_err()),
    }
});

/// Where commas are that stand in no quotes.
fn ends(input: &[u8]) -> Vec<usize> {
    let (mut quoted, mut escaped, mut ends) = (false, false, Vec::new());
    for (place, byte) in input.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => ends.push(place),
            _ => {}
        }
    }
    ends
}
