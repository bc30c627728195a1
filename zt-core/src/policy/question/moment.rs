//! Moments as people write them.

use serde::{Deserialize, Deserializer, de};
use toml::value::Datetime;

use crate::clock::Timestamp;

/// RFC 3339, or seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) Timestamp);

impl Moment {
    /// RFC 3339 with an offset, from 1970 on.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let written: Datetime = text.parse().ok()?;
        Self::of(&written)
    }

    fn of(written: &Datetime) -> Option<Self> {
        let (date, time) = (written.date?, written.time?);
        let minutes = match written.offset? {
            toml::value::Offset::Z => 0,
            toml::value::Offset::Custom { minutes } => i64::from(minutes),
        };
        let days = days(
            i64::from(date.year),
            i64::from(date.month),
            i64::from(date.day),
        );
        let seconds = days * 86_400
            + i64::from(time.hour) * 3_600
            + (i64::from(time.minute) - minutes) * 60
            + i64::from(time.second.unwrap_or(0));
        let micros =
            seconds.checked_mul(1_000_000)? + i64::from(time.nanosecond.unwrap_or(0)) / 1_000;
        Some(Self(Timestamp::from_micros(u64::try_from(micros).ok()?)))
    }
}

/// Since 1970, in the Gregorian calendar: years begin in March, so that a leap day is the last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Text(String),
            Toml(Datetime),
        }
        let moment = match Written::deserialize(deserializer)? {
            Written::Seconds(seconds) => Some(Self(Timestamp::from_secs(seconds))),
            Written::Text(text) => Self::parse(&text),
            Written::Toml(written) => Self::of(&written),
        };
        moment.ok_or_else(|| {
            de::Error::custom("a moment is as in RFC 3339 (`2026-03-29T12:00:00Z`) or in seconds")
        })
    }
}
