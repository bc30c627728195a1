use super::*;
use zt_core::clock::Timestamp;

fn at(text: &str) -> Timestamp {
    let instant: jiff::Timestamp = text.parse().unwrap();
    Timestamp::from_micros(u64::try_from(instant.as_microsecond()).unwrap())
}

fn hours(span: Span) -> u64 {
    span.end.since(span.start).as_secs() / 3600
}

#[test]
fn refuses_limits_that_cannot_be() {
    let minute = Duration::from_secs(60);
    for name in ["", "a\"b", "a\\b", "{a}", "ä", "a\n", &"n".repeat(65)] {
        assert!(
            matches!(Limit::rate(name, 1, minute), Err(LimitError::Name(_))),
            "{name}"
        );
    }
    assert_eq!(Limit::rate("r", 0, minute), Err(LimitError::NoRequests));
    assert!(Limit::rate("r", 1, Duration::ZERO).is_err());
    assert!(Limit::rate("r", 1, Duration::from_secs(367 * 86_400)).is_err());
    assert!(Limit::rate("r", 1, minute).unwrap().burst(0).is_err());
    assert!(
        Limit::rate("r", 1, minute)
            .unwrap()
            .burst(1_000_000)
            .is_err()
    );
    assert_eq!(Limit::concurrency("c", 0), Err(LimitError::NoPermits));
    let too_much = Cost::from_nanos(MAX_NANOS + 1, Currency::USD);
    assert!(matches!(
        Limit::budget("b", too_much, Window::day()),
        Err(LimitError::Amount(_))
    ));
    let budget = Limit::budget("b", Cost::from_nanos(1, Currency::USD), Window::day()).unwrap();
    for bad in [
        &[0][..],
        &[101],
        &[80, 50],
        &[50, 50],
        &[1, 2, 3, 4, 5, 6, 7, 8, 9],
    ] {
        assert!(budget.clone().thresholds(bad).is_err(), "{bad:?}");
    }
    assert!(budget.thresholds(&[]).is_ok());
}

#[test]
fn refuses_windows_that_cannot_be() {
    for text in [
        "",
        "year",
        "5",
        "s",
        "5w",
        "-5m",
        "0s",
        "367d",
        "999999999999999999999d",
        "5é",
        "+5m",
    ] {
        assert!(text.parse::<Window>().is_err(), "{text}");
    }
    assert!(Window::week("someday").is_err());
    assert!(Window::day().zone("Europe/Atlantis").is_err());
    assert!(Window::day().reset_hour(24).is_err());
}

#[test]
fn a_day_may_have_23_or_25_hours() {
    let day = Window::day().zone("Europe/Berlin").unwrap();
    for (moment, start, length) in [
        ("2026-03-28T12:00:00Z", "2026-03-27T23:00:00Z", 24),
        ("2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z", 23),
        ("2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z", 25),
        ("2026-10-25T22:59:59.999999Z", "2026-10-24T22:00:00Z", 25),
        ("2026-10-25T23:00:00Z", "2026-10-25T23:00:00Z", 24),
    ] {
        let span = day.span_at(at(moment)).unwrap();
        assert_eq!((span.start, hours(span)), (at(start), length), "{moment}");
    }
}

#[test]
fn an_hour_that_does_not_exist_or_comes_twice_begins_one_window() {
    let day = Window::day()
        .zone("Europe/Berlin")
        .unwrap()
        .reset_hour(2)
        .unwrap();
    // On 29 March 2026 clocks went from 02:00 to 03:00.
    let spring = day.span_at(at("2026-03-29T01:00:00Z")).unwrap();
    assert_eq!(spring.start, at("2026-03-29T01:00:00Z"));
    assert_eq!(
        day.span_at(at("2026-03-29T00:59:59Z")).unwrap().end,
        spring.start
    );
    assert_eq!(hours(spring), 23);
    // On 25 October it was 02:00 at 00:00 and at 01:00 UTC.
    let autumn = day.span_at(at("2026-10-25T01:30:00Z")).unwrap();
    assert_eq!(autumn.start, at("2026-10-25T00:00:00Z"));
    assert_eq!(hours(autumn), 25);
}

#[test]
fn weeks_and_months_begin_where_they_say() {
    let week = Window::week("Sunday")
        .unwrap()
        .zone("America/New_York")
        .unwrap();
    let span = week.span_at(at("2026-11-22T04:59:59Z")).unwrap();
    assert_eq!(
        (span.start, span.end),
        (at("2026-11-15T05:00:00Z"), at("2026-11-22T05:00:00Z"))
    );
    let month = Window::month()
        .zone("Asia/Tokyo")
        .unwrap()
        .reset_hour(6)
        .unwrap();
    let span = month.span_at(at("2026-02-28T20:59:59Z")).unwrap();
    assert_eq!(
        (span.start, span.end),
        (at("2026-01-31T21:00:00Z"), at("2026-02-28T21:00:00Z"))
    );
    let leap = Window::month().span_at(at("2028-02-29T23:59:59Z")).unwrap();
    assert_eq!(hours(leap), 29 * 24);
}

#[test]
fn a_zone_that_leaves_out_a_day_leaves_no_gap() {
    // Samoa had no 30 December 2011.
    let day = Window::day().zone("Pacific/Apia").unwrap();
    let before = day.span_at(at("2011-12-30T09:59:59Z")).unwrap();
    let after = day.span_at(at("2011-12-30T10:00:00Z")).unwrap();
    assert_eq!(before.end, after.start);
    assert_eq!(hours(after), 24);
}

#[test]
fn the_total_never_ends_and_the_calendar_does() {
    let total = Window::total().span_at(Timestamp::from_secs(7)).unwrap();
    assert_eq!(total.end, Timestamp::MAX);
    assert_eq!(
        Window::day().span_at(Timestamp::MAX),
        Err(LimitError::Calendar)
    );
}

proptest::proptest! {
    #[test]
    fn windows_follow_each_other_without_a_gap(
        secs in 0..4_000_000_000_u64,
        zone in proptest::sample::select(vec![
            "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
            "Asia/Kathmandu", "America/Sao_Paulo", "Africa/Cairo", "Asia/Gaza",
        ]),
        hour in 0..24_u8,
        kind in proptest::sample::select(vec!["day", "week", "month", "90s", "30d"]),
    ) {
        let window: Window = kind.parse().unwrap();
        let window = window.zone(zone).unwrap().reset_hour(hour).unwrap();
        let now = Timestamp::from_secs(secs + 86_400 * 40);
        let span = window.span_at(now).unwrap();
        proptest::prop_assert!(span.contains(now));
        proptest::prop_assert_eq!(window.span_at(span.start).unwrap(), span);
        let last = Timestamp::from_micros(span.end.as_micros() - 1);
        proptest::prop_assert_eq!(window.span_at(last).unwrap(), span);
        proptest::prop_assert_eq!(window.span_at(span.end).unwrap().start, span.end);
    }
}
