//! Times and spans as people write and read them.

use std::time::Duration;

use jiff::{SignedDuration, Span, SpanRelativeTo, civil::Date, tz::TimeZone};
use zt_core::clock::Timestamp;

/// A moment: RFC 3339 (`2030-01-01T12:00:00Z`), a day (`2030-01-01`, its first moment in UTC), or a
/// span before `now` (`15m`, `7d`, `PT1H`).
pub(super) fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return from_jiff(at);
    }
    if let Some(start) = day(text) {
        return Some(start);
    }
    span(text).map(|ago| now.saturating_sub(ago))
}

/// The first moment of a day (UTC), `2030-01-01`.
pub(super) fn day(text: &str) -> Option<Timestamp> {
    // Strictly: jiff would also take a date with a time behind it.
    if text.len() != 10 {
        return None;
    }
    let date: Date = text.parse().ok()?;
    from_jiff(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

/// A span: `90s`, `15m`, `1h 30m`, `7d` (days of 24 hours), `PT15M`; not negative.
pub(super) fn span(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let signed: SignedDuration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(signed).ok()
}

/// RFC 3339 in UTC with microseconds: always 27 characters.
pub(super) fn shown(micros: u64) -> String {
    let at = i64::try_from(micros)
        .ok()
        .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok());
    match at {
        Some(at) => format!("{at:.6}"),
        // After the year 9999: no clock's time.
        None => format!("{micros:>25}us"),
    }
}

/// The same, and how long ago that was.
pub(super) fn aged(at: Timestamp, now: Timestamp) -> String {
    let shown = shown(at.as_micros());
    if at > now {
        return format!("{shown} (not yet)");
    }
    format!("{shown} ({} ago)", rounded(now.since(at)))
}

/// How long ago, for people: `3s`, `4m`, `2h`, `9d`.
pub(super) fn rounded(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7199 => format!("{}m", secs / 60),
        7200..=172_799 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

fn from_jiff(at: jiff::Timestamp) -> Option<Timestamp> {
    let micros = u64::try_from(at.as_microsecond()).ok()?;
    Some(Timestamp::from_micros(micros))
}
