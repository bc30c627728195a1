//! For how long an answer is fresh, as far as it says so (RFC 9111).

use std::time::Duration;

use http::{
    HeaderMap,
    header::{AGE, CACHE_CONTROL},
};

/// `max-age` of `Cache-Control` without the `Age` that the answer has already (RFC 9111 sections
/// 4.2.1 and 4.2.3); zero where it is not to be kept. `None` where nothing is said.
///
/// `s-maxage` is for caches that many share, and `Expires` needs a second clock to agree with
/// ours: neither counts.
pub(super) fn fresh_for(headers: &HeaderMap) -> Option<Duration> {
    let mut freshness = None;
    for directive in headers
        .get_all(CACHE_CONTROL)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
    {
        let mut halves = directive.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default().trim_ascii();
        let said = if name.eq_ignore_ascii_case(b"max-age") {
            // What cannot be read counts as stale (section 4.2.1).
            halves.next().and_then(seconds).unwrap_or_default()
        } else if name.eq_ignore_ascii_case(b"no-store") || name.eq_ignore_ascii_case(b"no-cache") {
            0
        } else {
            continue;
        };
        // Of two that contradict each other, the more cautious one.
        freshness = Some(freshness.map_or(said, |before: u64| before.min(said)));
    }
    let age = headers.get(AGE).and_then(|age| seconds(age.as_bytes()));
    freshness.map(|span| Duration::from_secs(span.saturating_sub(age.unwrap_or_default())))
}

/// `delta-seconds` (RFC 9111 section 1.2.2), quoted or not; what is too large counts as 2^31.
fn seconds(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let text = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""))
        .unwrap_or(text);
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = text.iter().fold(0_u64, |value, digit| {
        value
            .saturating_mul(10)
            .saturating_add(u64::from(digit.saturating_sub(b'0')))
    });
    Some(value.min(1 << 31))
}
