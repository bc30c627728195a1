//! Moments as Cedar reads them, and what the clock on the wall shows at them.

use jiff::{civil::Weekday, tz::TimeZone};

use crate::clock::Timestamp;

/// What the clock on the wall of a zone shows.
pub(super) struct Wall(jiff::civil::DateTime);

impl Wall {
    /// Computed from the moment, so an hour that a zone has twice, or not at all, is no surprise:
    /// it is shown twice, or never. `None` past the year 9999.
    pub(super) fn at(now: Timestamp, zone: &TimeZone) -> Option<Self> {
        Some(Self(zone.to_datetime(moment(now)?)))
    }

    pub(super) fn hour(&self) -> i64 {
        self.0.hour().into()
    }

    pub(super) fn minute(&self) -> i64 {
        self.0.minute().into()
    }

    pub(super) fn minute_of_day(&self) -> i64 {
        self.hour() * 60 + self.minute()
    }

    pub(super) fn weekday(&self) -> &'static str {
        match self.0.weekday() {
            Weekday::Monday => "monday",
            Weekday::Tuesday => "tuesday",
            Weekday::Wednesday => "wednesday",
            Weekday::Thursday => "thursday",
            Weekday::Friday => "friday",
            Weekday::Saturday => "saturday",
            Weekday::Sunday => "sunday",
        }
    }

    /// `2026-03-29`.
    pub(super) fn date(&self) -> String {
        self.0.date().to_string()
    }
}

/// As Cedar's `datetime` takes it, to the millisecond. `None` past the year 9999.
pub(super) fn written(at: Timestamp) -> Option<String> {
    let at = moment(at)?;
    Some(format!("{at:.3}"))
}

/// A moment of RFC 3339, not before 1970. Of what that leaves to taste only capital letters are
/// read, and no leap second: parsers disagree about them.
pub(super) fn read(text: &str) -> Option<Timestamp> {
    let shape = |text: &str, like: &str| {
        text.len() == like.len()
            && text
                .bytes()
                .zip(like.bytes())
                .all(|(byte, like)| match like {
                    b'0' => byte.is_ascii_digit(),
                    like => byte == like,
                })
    };
    let (date, rest) = text.split_at_checked(19)?;
    if !shape(date, "0000-00-00T00:00:00") || date.ends_with("60") {
        return None;
    }
    let zone = match rest.strip_prefix('.') {
        Some(rest) => {
            let zone = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
            let digits = rest.len() - zone.len();
            (1..=9).contains(&digits).then_some(zone)?
        }
        None => rest,
    };
    if zone != "Z" && !shape(zone, "+00:00") && !shape(zone, "-00:00") {
        return None;
    }
    let micros = text.parse::<jiff::Timestamp>().ok()?.as_microsecond();
    u64::try_from(micros).ok().map(Timestamp::from_micros)
}

fn moment(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_microsecond(i64::try_from(at.as_micros()).ok()?).ok()
}
