//! Medians, and numbers as they stand in tables.

/// The value below which `share` of `values` lies; zero where there are none.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let Some(last) = sorted.len().checked_sub(1) else {
        return 0.0;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index below the length of a small list"
    )]
    let index = (share * last as f64).round() as usize;
    sorted.get(index).copied().unwrap_or_default()
}

/// The middle one of `values`.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// A span in nanoseconds, in the unit that reads best.
#[must_use]
pub fn span(nanos: f64) -> String {
    let size = nanos.abs();
    if size < 10.0 {
        format!("{nanos:.1} ns")
    } else if size < 10_000.0 {
        format!("{nanos:.0} ns")
    } else if size < 1_000_000.0 {
        format!("{:.1} µs", nanos / 1e3)
    } else {
        format!("{:.2} ms", nanos / 1e6)
    }
}

/// A span with its sign.
pub(crate) fn signed(nanos: f64) -> String {
    let text = span(nanos.abs());
    if nanos < 0.0 {
        format!("−{text}")
    } else {
        format!("+{text}")
    }
}

/// A ratio.
#[must_use]
pub fn times(ratio: f64) -> String {
    if ratio < 10.0 {
        format!("{ratio:.2}")
    } else if ratio < 100.0 {
        format!("{ratio:.1}")
    } else {
        format!("{ratio:.0}")
    }
}

/// A count that is whole in most cases.
pub(crate) fn count(value: f64) -> String {
    if (value - value.round()).abs() < 0.05 {
        format!("{value:.0}")
    } else {
        format!("{value:.1}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_list() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert!((median(&values) - 3.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 0.0) - 1.0).abs() < f64::EPSILON);
        assert!((quantile(&values, 1.0) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(span(215.4), "215 ns");
        assert_eq!(span(12_345.0), "12.3 µs");
        assert_eq!(signed(-788.0), "−788 ns");
        assert_eq!(times(9.996), "10.00");
        assert_eq!(count(14.0), "14");
        assert_eq!(count(0.25), "0.2");
    }
}
