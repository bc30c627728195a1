//! The stretch of time that a budget is for.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{
    Timestamp as Instant, ToSpan as _,
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use zt_core::clock::Timestamp;

use super::LimitError;

/// When a budget begins anew.
///
/// Calendar windows begin at an hour of the wall clock of a time zone, so a day may have 23 or 25
/// hours. Where that hour does not exist on a day (clocks went forward over it), the window begins
/// when it would have been, an hour later by the clock; where it comes twice, with the first one.
/// Windows follow each other without a gap, whatever the zone does.
#[derive(Clone, PartialEq, Eq)]
pub struct Window {
    kind: WindowKind,
    zone: TimeZone,
    hour: i8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WindowKind {
    Day,
    Week(Weekday),
    Month,
    Rolling(Duration),
    Total,
}

/// From its first moment to before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first moment in it.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

impl Span {
    /// Whether `at` is in it.
    #[must_use]
    pub fn contains(self, at: Timestamp) -> bool {
        self.start <= at && at < self.end
    }
}

/// A rolling window is counted in so many slots; what was spent in one counts until the whole slot
/// has left the window.
pub const ROLLING_SLOTS: u32 = 24;

impl Window {
    /// A calendar day.
    #[must_use]
    pub fn day() -> Self {
        Self::of(WindowKind::Day)
    }

    /// A week that begins on `start`: `monday`, or another one.
    ///
    /// # Errors
    ///
    /// When there is no such day of the week.
    pub fn week(start: &str) -> Result<Self, LimitError> {
        let weekday = WEEKDAYS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(start))
            .ok_or_else(|| LimitError::Weekday(start.to_owned()))?;
        Ok(Self::of(WindowKind::Week(weekday.1)))
    }

    /// A calendar month.
    #[must_use]
    pub fn month() -> Self {
        Self::of(WindowKind::Month)
    }

    /// The last `length`, at any moment: in no stretch of that length is more spent than the limit.
    /// It is counted in 24 slots, so that money comes back up to a twenty-fourth of `length` later
    /// than it could.
    ///
    /// # Errors
    ///
    /// When it is shorter than a second or longer than 366 days.
    pub fn rolling(length: Duration) -> Result<Self, LimitError> {
        if !(Duration::from_secs(1)..=MAX_ROLLING).contains(&length) {
            return Err(LimitError::Rolling(length));
        }
        Ok(Self::of(WindowKind::Rolling(length)))
    }

    /// For good: prepaid money, which comes back only when somebody adds to it.
    #[must_use]
    pub fn total() -> Self {
        Self::of(WindowKind::Total)
    }

    /// Reads the calendar in the zone of this IANA name, `Europe/Berlin`; UTC unless said.
    ///
    /// # Errors
    ///
    /// When the name is not known.
    pub fn zone(self, name: &str) -> Result<Self, LimitError> {
        let zone = TimeZone::get(name).map_err(|_| LimitError::Zone(name.to_owned()))?;
        Ok(Self { zone, ..self })
    }

    /// Begins at this hour of the day (0 to 23) instead of midnight.
    ///
    /// # Errors
    ///
    /// When there is no such hour.
    pub fn reset_hour(self, hour: u8) -> Result<Self, LimitError> {
        match i8::try_from(hour) {
            Ok(hour @ 0..=23) => Ok(Self { hour, ..self }),
            _ => Err(LimitError::Hour(hour)),
        }
    }

    /// The length of a rolling window.
    #[must_use]
    pub const fn rolls_over(&self) -> Option<Duration> {
        match self.kind {
            WindowKind::Rolling(length) => Some(length),
            _ => None,
        }
    }

    /// Whether waiting alone never brings anything back.
    #[must_use]
    pub const fn is_total(&self) -> bool {
        matches!(self.kind, WindowKind::Total)
    }

    /// The window around `now`: of a rolling one the current slot.
    ///
    /// # Errors
    ///
    /// When the calendar does not reach that far (year 9999).
    pub fn span_at(&self, now: Timestamp) -> Result<Span, LimitError> {
        match self.kind {
            WindowKind::Total => Ok(Span {
                start: Timestamp::EPOCH,
                end: Timestamp::MAX,
            }),
            WindowKind::Rolling(length) => {
                let slot = rolling_slot(length);
                let start = now.as_micros() / slot * slot;
                Ok(Span {
                    start: Timestamp::from_micros(start),
                    end: Timestamp::from_micros(start.saturating_add(slot)),
                })
            }
            WindowKind::Day | WindowKind::Week(_) | WindowKind::Month => {
                self.calendar(now).map_err(|_| LimitError::Calendar)
            }
        }
    }

    fn calendar(&self, now: Timestamp) -> Result<Span, jiff::Error> {
        let micros = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
        let today = Instant::from_microsecond(micros)?
            .to_zoned(self.zone.clone())
            .date();
        let mut first = self.first_day(today)?;
        let mut start = self.boundary(first)?;
        while start > now {
            // The hour has not come yet, or a change of clocks has moved it.
            first = self.first_day(first.yesterday()?)?;
            start = self.boundary(first)?;
        }
        loop {
            first = self.next(first)?;
            let end = self.boundary(first)?;
            if end > now {
                return Ok(Span { start, end });
            }
            // Only where a zone left out a day.
            start = end;
        }
    }

    /// The first day of the day, week or month that `date` is in.
    fn first_day(&self, date: Date) -> Result<Date, jiff::Error> {
        match self.kind {
            WindowKind::Week(start) if date.weekday() != start => date.nth_weekday(-1, start),
            WindowKind::Month => Ok(date.first_of_month()),
            _ => Ok(date),
        }
    }

    fn next(&self, first: Date) -> Result<Date, jiff::Error> {
        match self.kind {
            WindowKind::Week(_) => first.checked_add(1.week()),
            WindowKind::Month => first.checked_add(1.month()),
            _ => first.tomorrow(),
        }
    }

    fn boundary(&self, date: Date) -> Result<Timestamp, jiff::Error> {
        let zoned = date
            .to_datetime(Time::constant(self.hour, 0, 0, 0))
            .to_zoned(self.zone.clone())?;
        let micros = u64::try_from(zoned.timestamp().as_microsecond()).unwrap_or(0);
        Ok(Timestamp::from_micros(micros))
    }

    fn of(kind: WindowKind) -> Self {
        Self {
            kind,
            zone: TimeZone::UTC,
            hour: 0,
        }
    }
}

/// `day`, `week`, `month` and `total`, and `90s`, `15m`, `6h` or `30d` for a rolling one.
impl FromStr for Window {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let rolling = || {
            let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
            // Digits alone: a number may have a sign for the standard library.
            let digits = number.bytes().all(|byte| byte.is_ascii_digit());
            let number: u64 = number.parse().ok().filter(|_| digits)?;
            let secs = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3600,
                "d" => 86_400,
                _ => return None,
            };
            number.checked_mul(secs).map(Duration::from_secs)
        };
        match text {
            "day" => Ok(Self::day()),
            "week" => Self::week("monday"),
            "month" => Ok(Self::month()),
            "total" => Ok(Self::total()),
            _ => Self::rolling(rolling().ok_or_else(|| LimitError::Window(text.to_owned()))?),
        }
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind)?;
        match self.kind {
            WindowKind::Rolling(_) | WindowKind::Total => Ok(()),
            _ => {
                let zone = self.zone.iana_name().unwrap_or("UTC");
                write!(f, " from {:02}:00 {zone}", self.hour)
            }
        }
    }
}

/// The length of a slot of a rolling window, in microseconds, rounded up.
pub(crate) fn rolling_slot(length: Duration) -> u64 {
    let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
    micros.div_ceil(u64::from(ROLLING_SLOTS)).max(1)
}

const MAX_ROLLING: Duration = Duration::from_secs(366 * 86_400);

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];
