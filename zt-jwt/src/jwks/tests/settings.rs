//! Bounds of what may be configured.

use super::*;

fn written(text: &str) -> Result<RefreshSettings, serde_json::Error> {
    serde_json::from_str(text)
}

#[test]
fn nothing_written_is_the_default() {
    assert_eq!(written("{}").unwrap(), RefreshSettings::default());
}

#[test]
fn refuses_what_is_out_of_bounds_and_says_what_they_are() {
    for (text, why) in [
        (
            r#"{"shortest_secs": 0}"#,
            "`shortest_secs` must be between 1 and 86400",
        ),
        (
            r#"{"longest_secs": 86401}"#,
            "`longest_secs` must be between 1 and 86400",
        ),
        (
            r#"{"cooldown_secs": 0}"#,
            "`cooldown_secs` must be between 1 and 600",
        ),
        (
            r#"{"cooldown_secs": 601}"#,
            "`cooldown_secs` must be between 1 and 600",
        ),
        (
            r#"{"stale_secs": 2592001}"#,
            "`stale_secs` must be between 1 and 2592000",
        ),
        (
            r#"{"deadline_secs": 61}"#,
            "`deadline_secs` must be between 1 and 60",
        ),
        (
            r#"{"max_bytes": 1023}"#,
            "`max_bytes` must be between 1024 and 16777216",
        ),
        (
            r#"{"max_keys": 0}"#,
            "`max_keys` must be between 1 and 1000",
        ),
        (
            r#"{"max_waiting": 0}"#,
            "`max_waiting` must be between 1 and 1000000",
        ),
        (r#"{"shortest_secs": 7200}"#, "must not be more than"),
        (r#"{"stale_secs": 3599}"#, "must not be more than"),
        (r#"{"cooldown_secs": "10"}"#, "invalid type"),
        (r#"{"cooldown_secs": -1}"#, "invalid value"),
        (r#"{"cooldown": 10}"#, "unknown field"),
        (
            r#"{"cooldown_secs": 10, "cooldown_secs": 10}"#,
            "duplicate field",
        ),
    ] {
        let error = written(text).unwrap_err().to_string();
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn methods_move_to_the_nearest_bound() {
    let none = RefreshSettings::default()
        .shortest(Duration::ZERO)
        .longest(Duration::ZERO)
        .cooldown(Duration::ZERO)
        .stale(Duration::ZERO)
        .deadline(Duration::ZERO)
        .max_bytes(0)
        .max_keys(0)
        .max_waiting(0);
    assert_eq!(
        none,
        written(
            r#"{"shortest_secs": 1, "longest_secs": 1, "cooldown_secs": 1, "stale_secs": 1,
                "deadline_secs": 1, "max_bytes": 1024, "max_keys": 1, "max_waiting": 1}"#
        )
        .unwrap()
    );
    let most = RefreshSettings::default()
        .shortest(Duration::MAX)
        .longest(Duration::MAX)
        .cooldown(Duration::MAX)
        .stale(Duration::MAX)
        .deadline(Duration::MAX)
        .max_bytes(usize::MAX)
        .max_keys(usize::MAX)
        .max_waiting(usize::MAX);
    assert_eq!(
        most,
        written(
            r#"{"shortest_secs": 86400, "longest_secs": 86400, "cooldown_secs": 600,
                "stale_secs": 2592000, "deadline_secs": 60, "max_bytes": 16777216,
                "max_keys": 1000, "max_waiting": 1000000}"#
        )
        .unwrap()
    );
}

#[test]
fn where_two_contradict_the_longer_span_counts() {
    let settings = RefreshSettings::default()
        .shortest(2 * HOUR)
        .stale(SECOND)
        .reconciled();
    assert_eq!((settings.longest, settings.stale), (2 * HOUR, 2 * HOUR));
    let settings = RefreshSettings::default()
        .shortest(SECOND)
        .longest(SECOND)
        .stale(SECOND)
        .reconciled();
    assert_eq!(settings.stale, 10 * SECOND);
}
