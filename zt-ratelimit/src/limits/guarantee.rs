use std::fmt;

/// What is promised about money; a type, so that nobody takes one for the other.
pub trait Guarantee: Sealed + fmt::Debug + Send + Sync + 'static {
    /// `hard` or `bounded`.
    const NAME: &'static str;

    /// The promise as a formula.
    const FORMULA: &'static str;
}

/// Never overspent: what is held is an upper bound, given or metered.
///
/// At every instant and for every budget `spent + held + leased <= limit`, and what a request is
/// charged is at most what it held. Whoever uses it knows an upper bound of the cost before the
/// request is served, or has the answer metered: then the hold is extended before a frame goes out,
/// or the answer is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hard;

/// Overspent by no more than estimates were too low.
///
/// A request is held at an estimate and charged what it really cost. So at every instant
/// `spent + held + leased <= limit + overrun`, where `overrun` is the sum of
/// `max(actual - hold, 0)` over the requests that were in flight together when the limit was
/// reached. Each overrun is an event; while a budget is overrun nothing more is admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounded;

impl Guarantee for Hard {
    const NAME: &'static str = "hard";
    const FORMULA: &'static str = "spent + held + leased <= limit";
}

impl Guarantee for Bounded {
    const NAME: &'static str = "bounded";
    const FORMULA: &'static str =
        "spent + held + leased <= limit + sum of max(actual - hold, 0) in flight";
}

/// There are these two.
pub trait Sealed {}
impl Sealed for Hard {}
impl Sealed for Bounded {}
