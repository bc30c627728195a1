use std::time::Duration;

use zt_core::clock::Timestamp;

use crate::cli::times::{day, moment, rounded, shown, span};

const NOW: Timestamp = Timestamp::from_secs(1_893_456_000);

#[test]
fn refuses_what_is_no_time() {
    for text in [
        "",
        "yesterday",
        "2030-13-01",
        "2030-01-01T00:00:00",
        "12",
        "-5m",
        "1969-12-31T23:59:59Z",
        "1mo",
    ] {
        assert_eq!(moment(text, NOW), None, "{text}");
    }
    for text in ["", "5", "-5m", "1y", "1mo", "soon"] {
        assert_eq!(span(text), None, "{text}");
    }
    for text in ["2030-1-1", "2030-01-01T00:00:00Z", "2030-02-30", "20300101"] {
        assert_eq!(day(text), None, "{text}");
    }
}

#[test]
fn reads_moments_and_spans() {
    assert_eq!(moment("2030-01-01T00:00:00Z", NOW), Some(NOW));
    assert_eq!(moment("2030-01-01T01:00:00+01:00", NOW), Some(NOW));
    assert_eq!(moment("2030-01-01", NOW), Some(NOW));
    assert_eq!(
        moment("15m", NOW),
        Some(NOW.saturating_sub(Duration::from_secs(900)))
    );
    assert_eq!(span("1h 30m"), Some(Duration::from_secs(5400)));
    assert_eq!(span("7d"), Some(Duration::from_secs(7 * 86_400)));
    assert_eq!(span("PT15M"), Some(Duration::from_secs(900)));
}

#[test]
fn shows_every_time_equally_wide() {
    assert_eq!(shown(NOW.as_micros() + 7), "2030-01-01T00:00:00.000007Z");
    assert_eq!(shown(0).len(), 27);
    assert_eq!(shown((1 << 53) - 1).len(), 27);
    assert_eq!(shown(u64::MAX).len(), 27);
    assert_eq!(rounded(Duration::from_secs(3)), "3s");
    assert_eq!(rounded(Duration::from_secs(9 * 86_400)), "9d");
}
