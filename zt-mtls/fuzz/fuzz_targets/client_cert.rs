//! What is read, written again and read again is the same. The input is a line of `Client-Cert`, a
//! newline, and lines of `Client-Cert-Chain`.

#![no_main]

use base64::{Engine, prelude::BASE64_STANDARD};
use libfuzzer_sys::fuzz_target;
use zt_mtls::forwarded::ForwardedCertificate;

fuzz_target!(|input: &[u8]| {
    let mut lines = input.split(|byte| *byte == b'\n');
    let Ok(found) = ForwardedCertificate::from_client_cert(lines.next(), lines) else {
        return;
    };
    let written = |der: &[u8]| format!(":{}:", BASE64_STANDARD.encode(der));
    let cert = written(&found.leaf);
    let chain: Vec<_> = found.others.iter().map(|der| written(der)).collect();
    let chain = chain.join(", ");
    let again = ForwardedCertificate::from_client_cert([cert.as_bytes()], [chain.as_bytes()]);
    assert!(again.unwrap() == found);
});
