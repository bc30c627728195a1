use crate::{
    cost::Cost,
    counter::Moment,
    limits::{Bounded, Guarantee, Hard, Reservation, SettleError},
};

/// How a guarantee is kept.
pub trait Keeping: Guarantee {
    /// Whether nothing is spent before it is held.
    const ENFORCES: bool;

    /// Settles `reservation` at `now`.
    #[doc(hidden)]
    fn settle(reservation: Reservation<Self>, actual: Cost, now: Moment) -> Result<(), SettleError>
    where
        Self: Sized;
}

impl Keeping for Hard {
    const ENFORCES: bool = true;

    fn settle(
        reservation: Reservation<Self>,
        actual: Cost,
        now: Moment,
    ) -> Result<(), SettleError> {
        reservation.settle_at(actual, Some(now))
    }
}

impl Keeping for Bounded {
    const ENFORCES: bool = false;

    fn settle(
        reservation: Reservation<Self>,
        actual: Cost,
        now: Moment,
    ) -> Result<(), SettleError> {
        reservation.settle_at(actual, Some(now))
    }
}
