//! Limits in a tree, with a store that counts them: what layers and handlers spend from.
//!
//! [`Limits`] joins a policy (which limits hold for a key, its team, its organisation), a
//! [`CounterStore`](crate::counter::CounterStore) and the audit record. [`Limits::reserve`] takes all that a request may cost from
//! all of them at once and gives a [`Reservation`], which settles itself whatever becomes of the
//! request.
//!
//! A request is served when
//!
//! 1. there is a subject for each level of the tree ([`Subjects`]);
//! 2. what it may cost is in the currency of the budgets, and is known where there are any;
//! 3. at one instant, every limit of every level has room for all of it.
//!
//! Otherwise nothing is spent anywhere, and [`Overspent`] names the limits of the narrowest level
//! that had no room: a caller is told of its own limits before those of its organisation.
//!
//! # Events
//!
//! With a [recorder](LimitsBuilder::recorder), [`budget`](zt_core::state::BudgetEvent) events say
//! what happened: a reservation is `held` (and `extended`), then `settled`, or `expired` where nobody
//! did, or both, where somebody did later. `overrun` is what was spent above a hold. `threshold`
//! says once a window that so many per cent of a budget are spent; `burn`, once a window, that at
//! the rates of the last five minutes and of the last hour it will be used up before the window
//! ends. `would-refuse` says what a shadow limit would have done. What is recorded about requests is
//! not waited for; acts of [administrators](admin) wait for their record. Refusals stand in the
//! decision of the request.
//!
//! [`ledger`] adds all of that up again.
//!
//! `burn` is for calendar windows, of at most 4096 budgets at once in this process; where there are
//! more, the one that rested longest is forgotten and may be told of twice. Each instance speaks for
//! itself, of what all have spent.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use zt_core::clock::{Clock, ManualClock};
//! use zt_ratelimit::{
//!     Limit, Limits,
//!     counter::{MemoryCounters, Moment},
//!     limit::Window,
//!     limits::{Ask, Hard, Level, Outcome, Policy, Subjects},
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let clock = ManualClock::default();
//! let policy = Policy::new([
//!     Level::new("organisation", [Limit::budget("org-month", "900 USD".parse()?, Window::month())?]),
//!     Level::new("key", [
//!         Limit::budget("key-day", "5 USD".parse()?, Window::day().zone("Europe/Berlin")?)?,
//!         Limit::rate("key-minute", 60, Duration::from_secs(60))?,
//!         Limit::concurrency("key-parallel", 4)?,
//!     ]),
//! ])?;
//! let limits = Limits::builder(MemoryCounters::default()).clock(clock.clone()).build(policy)?;
//!
//! let who = Subjects::new(["acme", "acme-key-1"]);
//! let ask = Ask::at_most("3 USD".parse()?);
//! let now = Moment::of(&clock)?;
//! let Outcome::Held(reservation) = limits.reserve::<Hard>(&who, ask, now).wait().await? else {
//!     panic!("there is room");
//! };
//! // Three of five are held: three more do not fit.
//! let Outcome::Refused(overspent) = limits.reserve::<Hard>(&who, ask, now).wait().await? else {
//!     panic!("there is none");
//! };
//! assert_eq!(overspent.violated().next().unwrap().0.name().as_ref(), "key-day");
//! // One was spent.
//! reservation.settle("1 USD".parse()?)?;
//! assert!(matches!(limits.reserve::<Hard>(&who, ask, now).wait().await?, Outcome::Held(_)));
//! # Ok(())
//! # }
//! ```

pub mod admin;
mod builder;
mod burn;
mod config;
mod error;
mod expiry;
mod guarantee;
mod journal;
pub mod ledger;
mod members;
mod policy;
mod replace;
mod reservation;
mod reserve;
mod subjects;
#[cfg(test)]
mod tests;

pub(crate) use self::policy::Slot;
pub use self::{
    admin::Admin,
    builder::LimitsBuilder,
    config::PolicyConfig,
    error::{LimitsError, SettleError},
    guarantee::{Bounded, Guarantee, Hard},
    members::Members,
    policy::{Level, Policy, Tier},
    replace::ReplaceError,
    reservation::Reservation,
    reserve::{Ask, Limits, Outcome, Overspent},
    subjects::Subjects,
};
