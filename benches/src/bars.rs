use std::borrow::Cow;

use crate::numbers::{count, span, times};

/// How much is allowed.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Limit {
    /// A ratio within one run.
    Times(f64),
    /// Nanoseconds on the machine of the peers' baseline. Scaled by `floor`, what a floor takes
    /// in this run, over what it took there.
    Nanos {
        /// The bar.
        at_most: f64,
        /// This run's floor over the baseline's.
        floor: f64,
    },
    /// Allocations.
    Allocations(f64),
    /// A ratio that shall be reached.
    AtLeast(f64),
}

/// Something that was promised, beside what was found.
#[derive(Debug, Clone)]
pub struct Bar {
    pub(crate) what: Cow<'static, str>,
    pub(crate) limit: Limit,
    pub(crate) found: f64,
}

impl Bar {
    /// `found` shall stay within `limit`.
    #[must_use]
    pub fn new(what: impl Into<Cow<'static, str>>, limit: Limit, found: f64) -> Self {
        Self {
            what: what.into(),
            limit,
            found,
        }
    }

    /// Whether it does; an absolute bar as scaled.
    #[must_use]
    pub fn is_met(&self) -> bool {
        match self.limit {
            Limit::Times(most) => self.found <= most,
            Limit::Nanos { at_most, floor } => self.found <= at_most * floor,
            // Averages of many calls: a rare growth of a table is not an allocation a call.
            Limit::Allocations(most) => self.found < most + 0.5,
            Limit::AtLeast(least) => self.found >= least,
        }
    }

    pub(crate) fn line(&self) -> String {
        let (limit, found) = match self.limit {
            Limit::Times(most) => (
                format!("≤ {}×", times(most)),
                format!("{}×", times(self.found)),
            ),
            Limit::Nanos { at_most, floor } => (
                format!("≤ {}, scaled {}", span(at_most), span(at_most * floor)),
                span(self.found),
            ),
            Limit::Allocations(most) => {
                (format!("≤ {} allocations", count(most)), count(self.found))
            }
            Limit::AtLeast(least) => (
                format!("≥ {}×", times(least)),
                format!("{}×", times(self.found)),
            ),
        };
        let met = if self.is_met() { "met" } else { "**not met**" };
        format!("| {} | {limit} | {found} | {met} |", self.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_bar_is_scaled_by_the_floor() {
        let limit = |floor| Limit::Nanos {
            at_most: 2_000.0,
            floor,
        };
        assert!(Bar::new("a", limit(1.0), 1_999.0).is_met());
        assert!(!Bar::new("a", limit(0.5), 1_999.0).is_met());
        assert!(Bar::new("a", limit(2.0), 3_999.0).is_met());
    }

    #[test]
    fn a_bar_that_is_missed_says_so() {
        assert!(!Bar::new("a", Limit::Times(1.3), 1.31).is_met());
        assert!(!Bar::new("a", Limit::Allocations(3.0), 4.0).is_met());
        assert!(
            Bar::new("a", Limit::Times(1.3), 1.31)
                .line()
                .contains("not met")
        );
    }
}
