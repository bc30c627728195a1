//! Webhook headers come from anybody: reading them never panics, gives the same twice, and does not
//! depend on headers that the format has not.
//!
//! Each line is `name: value`.

#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use zt_core::signature::webhook::{WebhookClaim, WebhookFormat};

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in input.split(|byte| *byte == b'\n').take(16) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let Ok(name) = HeaderName::from_bytes(&line[..colon]) else { continue };
        let Ok(value) = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()) else { continue };
        headers.append(name, value);
    }
    for format in [WebhookFormat::Standard, WebhookFormat::GitHub, WebhookFormat::Stripe] {
        let claim = WebhookClaim::read(format, &headers);
        assert_eq!(claim, WebhookClaim::read(format, &headers));
        let mut more = headers.clone();
        more.append("x-other", HeaderValue::from_static("1"));
        assert_eq!(claim, WebhookClaim::read(format, &more));
    }
});
